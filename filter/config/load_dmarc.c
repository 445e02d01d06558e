/*
 * load_dmarc.c - the dmarc group and own_domains of the configuration file
 *
 *	dmarc = {
 *	  trusted_forwarders = ["192.0.2.0/28"]
 *	  overrides = ( { domain = "partner.example"  policy = "none" },
 *	                { domain = ".lists.example"  client = ["198.51.100.7"]  policy = "none" } )
 *	  report = { from = "dmarc-noreply@example.org"  org = "Example" }
 *	}
 *	own_domains = ["example.org", ".example.org", "texthash:/etc/countersign/domains"]
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stddef.h>
#include <string.h>

#include "filter/config/load_dmarc.h"
#include "policy/base/address.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

#define AT(type, member)	offsetof(struct type, member)

static void dmarc_read_forwarders(struct options_reader *, config_setting_t *, void *);
static void dmarc_read_clients(struct options_reader *, config_setting_t *, void *);
static void dmarc_read_overrides(struct options_reader *, config_setting_t *, void *);
static void dmarc_read_report(struct options_reader *, config_setting_t *, void *);

static const struct option_choice policies[] = {
	{ "none", DMARC_POLICY_NONE },
	{ "quarantine", DMARC_POLICY_QUARANTINE },
	{ "reject", DMARC_POLICY_REJECT },
	{ NULL, 0 },
};

static const struct option dmarc_rows[] = {
	{ .name = "trusted_forwarders",
	    .works = WORKS_INBOUND,
	    .type = OPTION_CUSTOM,
	    .read = dmarc_read_forwarders },
	{ .name = "overrides",
	    .works = WORKS_INBOUND,
	    .type = OPTION_CUSTOM,
	    .read = dmarc_read_overrides },
	{ .name = "report",
	    .works = WORKS_INBOUND,
	    .type = OPTION_CUSTOM,
	    .offset = AT(dmarc_config, report),
	    .read = dmarc_read_report },
	{ .name = NULL },
};
const struct option_group config_dmarc_group = { "dmarc", dmarc_rows, -1, OPTION_SCOPE_FILE };

static const struct option override_rows[] = {
	{ .name = "domain",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(dmarc_override, domain) },
	{ .name = "client",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CUSTOM,
	    .read = dmarc_read_clients },
	{ .name = "policy",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CHOICE,
	    .offset = AT(dmarc_override, policy),
	    .choices = policies },
	{ .name = NULL },
};
const struct option_group config_dmarc_override_group = {
	"an override", override_rows, -1, OPTION_SCOPE_FILE
};

static const struct option report_rows[] = {
	{ .name = "from",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(dmarc_report_config, from) },
	{ .name = "org",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(dmarc_report_config, org) },
	{ .name = "email",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(dmarc_report_config, email) },
	{ .name = "extra_contact_info",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(dmarc_report_config, contact) },
	{ .name = "sendmail",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(dmarc_report_config, sendmail) },
	{ .name = NULL },
};
const struct option_group config_dmarc_report_group = {
	"report", report_rows, -1, OPTION_SCOPE_FILE
};

static void
dmarc_read_forwarders(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct dmarc_config *dmarc = target;

	dmarc->forwarders = options_networks(reader, setting, &dmarc->n_forwarders);
}

static void
dmarc_read_clients(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct dmarc_override *override = target;

	override->clients = options_networks(reader, setting, &override->n_clients);
}

/* dmarc_check_override - whom it is for, and a policy; or an error */
static bool
dmarc_check_override(struct options_reader *reader, const config_setting_t *setting,
    struct dmarc_override *override)
{
	const char *domain = override->domain, *error = NULL;

	if ((domain == NULL && override->n_clients == 0) || override->policy < 0) {
		options_error(reader, setting,
		    "an override needs a domain or a client, and a policy: "
		    "{ domain = \"example.com\"  policy = \"none\" }");
		return false;
	}
	if (domain == NULL)
		return true;
	override->below = domain[0] == '.';
	override->domain = domain_normalise(reader->ctx, domain + override->below,
	    strlen(domain + override->below), &error);
	if (override->domain == NULL)
		options_error(reader, setting, "domain = \"%s\": %s", domain, error);
	return override->domain != NULL;
}

/* dmarc_read_overrides - overrides = ( { domain = ... policy = ... }, ... ) */
static void
dmarc_read_overrides(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct dmarc_config *dmarc = target;
	size_t n;

	if (!config_setting_is_list(setting)) {
		options_error(reader, setting, "overrides must be a list in parentheses: "
		    "( { domain = \"example.com\"  policy = \"none\" }, ... )");
		return;
	}
	n = (size_t)config_setting_length(setting);
	dmarc->overrides = mem_array(reader->ctx, struct dmarc_override, n + 1);
	for (size_t i = 0; i < n; i++) {
		config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);
		struct dmarc_override *override = &dmarc->overrides[dmarc->n_overrides];

		*override = (struct dmarc_override){ .policy = -1 };
		options_group(reader, member, &config_dmarc_override_group, override);
		if (config_setting_is_group(member) &&
		    dmarc_check_override(reader, member, override))
			dmarc->n_overrides++;
	}
}

/* dmarc_is_plain - may an address stand in a header field as it is? */
static bool
dmarc_is_plain(const char *address)
{
	for (const char *c = address; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || strchr("\"(),:;<>[\\]", *c) != NULL)
			return false;
	return true;
}

/* dmarc_read_address - an address in normal form; NULL after an error */
static const char *
dmarc_read_address(struct options_reader *reader, const config_setting_t *setting,
    const char *option, const char *text, const char **domain_r)
{
	const struct address_rules rules = { .fold_local = false };
	const char *error = NULL;
	struct address address;

	if (address_parse_path(reader->ctx, text, strlen(text), &rules, &address, &error) ==
		ADDRESS_PATH_MAILBOX && address.domain[0] != '\0' &&
	    !domain_is_literal(address.domain) && dmarc_is_plain(address.full)) {
		*domain_r = address.domain;
		return address.full;
	}
	options_error(reader, setting, "%s = \"%s\" is not an address%s%s; write for example "
	    "\"dmarc-noreply@example.org\"", option, text, error != NULL ? ": " : "",
	    error != NULL ? error : "");
	return NULL;
}

/* dmarc_read_report - report = { from = ... org = ... } */
static void
dmarc_read_report(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct dmarc_report_config *report = target;
	const char *domain;

	options_group(reader, setting, &config_dmarc_report_group, report);
	if (!config_setting_is_group(setting))
		return;
	if (report->from == NULL || report->org == NULL || report->org[0] == '\0') {
		options_error(reader, setting, "report needs the sender of the reports and who sends "
		    "them: { from = \"dmarc-noreply@example.org\"  org = \"Example\" }");
		return;
	}
	report->from = dmarc_read_address(reader, setting, "from", report->from, &report->domain);
	if (report->email != NULL)
		report->email =
		    dmarc_read_address(reader, setting, "email", report->email, &domain);
	if (report->sendmail != NULL && report->sendmail[0] != '/')
		options_error(reader, setting, "sendmail = \"%s\" must be a path that begins with /",
		    report->sendmail);
}

/* config_dmarc_read - dmarc = { ... } */
void
config_dmarc_read(struct options_reader *reader, config_setting_t *setting, void *target)
{
	options_group(reader, setting, &config_dmarc_group, target);
}

/* config_own_read - own_domains: names, names below a domain, and tables */
void
config_own_read(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct config *config = target;
	struct words words = { 0 };

	options_words(reader, setting, &words);
	config->own_set = true;
	config->own_domains.items = mem_array(reader->ctx, const char *, words.n + 1);
	config->own_words.items = mem_array(reader->ctx, const char *, words.n + 1);
	for (size_t i = 0; i < words.n; i++) {
		const char *word = words.items[i], *error = NULL, *domain;
		bool below = word[0] == '.';

		if (strchr(word, ':') != NULL) {
			config->own_words.items[config->own_words.n++] = word;
			continue;
		}
		domain = domain_normalise(reader->ctx, word + below, strlen(word + below), &error);
		if (domain == NULL)
			options_error(reader, setting, "own_domains: \"%s\": %s", word, error);
		else
			config->own_domains.items[config->own_domains.n++] =
			    below ? mem_printf(reader->ctx, ".%s", domain) : domain;
	}
}
