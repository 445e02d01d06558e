/*
 * load_spf.c - the group spf of the configuration: how incoming mail is checked
 *
 * Overriding records are parsed here already, by the same strict parser that
 * reads published ones, so that a slip is a mistake with file and line and
 * not a permerror at night. Runs at start and at reload, in one thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/config/configuration.h"
#include "filter/config/load_spf.h"
#include "filter/config/options.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/spf/record.h"

#define AT(type, member)	offsetof(struct type, member)

static void read_exempt(struct options_reader *, config_setting_t *, void *);
static void read_relays(struct options_reader *, config_setting_t *, void *);
static void read_overrides(struct options_reader *, config_setting_t *, void *);

static const struct option spf_rows[] = {
	{ .name = "exempt", .works = WORKS_INBOUND, .type = OPTION_CUSTOM, .read = read_exempt },
	{ .name = "trusted_relays",
	    .works = WORKS_INBOUND,
	    .type = OPTION_CUSTOM,
	    .read = read_relays },
	{ .name = "overrides",
	    .works = WORKS_INBOUND,
	    .type = OPTION_CUSTOM,
	    .read = read_overrides },
	{ .name = "explain",
	    .works = WORKS_INBOUND,
	    .type = OPTION_BOOL,
	    .offset = AT(spf_config, explain) },
	{ .name = "received_spf",
	    .works = WORKS_INBOUND,
	    .type = OPTION_BOOL,
	    .offset = AT(spf_config, received_spf) },
	{ .name = "strict_voids",
	    .works = WORKS_INBOUND,
	    .type = OPTION_BOOL,
	    .offset = AT(spf_config, strict_voids) },
	{ .name = "void_limit",
	    .works = WORKS_INBOUND,
	    .type = OPTION_COUNT,
	    .offset = AT(spf_config, void_limit),
	    .max = 10 },
	{ .name = "timeout",
	    .works = WORKS_INBOUND,
	    .type = OPTION_DURATION,
	    .offset = AT(spf_config, timeout_ms),
	    .min = 100,
	    .max = 25000 },
	{ .name = NULL },
};
const struct option_group config_spf_group = { "spf", spf_rows, -1, OPTION_SCOPE_FILE };

static const struct option override_rows[] = {
	{ .name = "domain",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(spf_override, domain) },
	{ .name = "record",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(spf_override, record) },
	{ .name = NULL },
};
const struct option_group config_spf_override_group = {
	"an override", override_rows, -1, OPTION_SCOPE_FILE,
};

static void
read_exempt(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct spf_config *spf = target;

	spf->exempt = options_networks(reader, setting, &spf->n_exempt);
}

static void
read_relays(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct spf_config *spf = target;

	spf->relays = options_networks(reader, setting, &spf->n_relays);
	for (size_t i = 0; i < spf->n_relays; i++)
		if (spf->relays[i].prefix == 0)
			options_error(reader, setting,
			    "trusted_relays must not hold every address: what a stranger "
			    "writes into Received would be believed");
}

/* check_override - a domain and a record that can be used, or a mistake */
static bool
check_override(
    struct options_reader *reader, const config_setting_t *setting, struct spf_override *override)
{
	const char *error = NULL, *domain = override->domain;
	const char *record = override->record;
	size_t i;

	if (domain == NULL || record == NULL) {
		options_error(reader, setting, "an override needs both: { domain = \"example.com\" "
		    "record = \"v=spf1 ip4:192.0.2.0/24 include:example.com -all\" }");
		return false;
	}
	override->below = domain[0] == '.';
	override->domain = domain_normalise(reader->ctx, domain + override->below,
	    strlen(domain + override->below), &error);
	if (override->domain == NULL) {
		options_error(reader, setting, "domain = \"%s\": %s", domain, error);
		return false;
	}
	for (i = 0; record[i] >= ' ' && record[i] <= '~'; i++)
		;
	if (record[i] != '\0' || !spf_record_is_spf(record, strlen(record))) {
		options_error(reader, setting,
		    "record = \"%s\" is not an SPF record; one begins with v=spf1", record);
		return false;
	}
	if (spf_record_parse(reader->ctx, record, strlen(record), &error) == NULL) {
		options_error(reader, setting, "the record for %s: %s", domain, error);
		return false;
	}
	return true;
}

/* read_overrides - overrides = ( { domain = ... record = ... }, ... ) */
static void
read_overrides(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct spf_config *spf = target;
	size_t n;

	if (!config_setting_is_list(setting)) {
		options_error(reader, setting, "overrides must be a list in parentheses: "
		    "( { domain = \"example.com\" record = \"v=spf1 ...\" }, ... )");
		return;
	}
	n = (size_t)config_setting_length(setting);
	spf->overrides = mem_array(reader->ctx, struct spf_override, n + 1);
	for (size_t i = 0; i < n; i++) {
		config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);
		struct spf_override *override = &spf->overrides[spf->n_overrides];

		memset(override, 0, sizeof(*override));
		options_group(reader, member, &config_spf_override_group, override);
		if (config_setting_is_group(member) && check_override(reader, member, override))
			spf->n_overrides++;
	}
}

/* config_spf_read - spf = { ... } */
void
config_spf_read(struct options_reader *reader, config_setting_t *setting, void *target)
{
	options_group(reader, setting, &config_spf_group, target);
}

/* config_spf_defaults - what holds unless the file says otherwise */
void
config_spf_defaults(TALLOC_CTX *ctx, struct spf_config *spf)
{
	static const char *const loopback[] = { "127.0.0.0/8", "::1" };
	const char *error = NULL;

	memset(spf, 0, sizeof(*spf));
	spf->exempt = mem_array(ctx, struct netblock, 2);
	for (size_t i = 0; i < 2; i++)
		if (netblock_parse(ctx, loopback[i], &spf->exempt[i], &error))
			spf->n_exempt++;
	spf->explain = 1;
	spf->received_spf = 1;
	spf->void_limit = SPF_LIMIT_VOIDS;
	spf->timeout_ms = SPF_TIMEOUT_MS;
}
