/*
 * load_dkim.c - the dkim group of the configuration file
 *
 * How mail is signed, in general and for single domains, and how signatures of others are
 * judged. A domain's section names only what differs; the rest is taken over here, so that
 * there is one place to look at when a message is signed.
 *
 * Threads: as load.c.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/config/load_dkim.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/dkim/signing_table.h"

static void read_domains(struct options_reader *, config_setting_t *, void *);

static const struct option_choice identities[] = {
	{ "none", SIGN_IDENTITY_NONE }, { "domain", SIGN_IDENTITY_DOMAIN },
	{ "address", SIGN_IDENTITY_ADDRESS }, { NULL, 0 },
};
static const struct option_choice missing_actions[] = {
	{ "unsigned", ACTION_ACCEPT }, { "tempfail", ACTION_TEMPFAIL }, { "reject", ACTION_REJECT },
	{ NULL, 0 },
};

#define AT(member)		offsetof(struct config, dkim.member)
#define AT_DOMAIN(member)	offsetof(struct dkim_domain, member)

static const struct option dkim_rows[] = {
	{ .name = "key_table",
	    .works = WORKS_SENDING,
	    .type = OPTION_STRING,
	    .offset = AT(key_table) },
	{ .name = "signing_table",
	    .works = WORKS_SENDING,
	    .type = OPTION_STRING,
	    .offset = AT(signing_table) },
	{ .name = "base_directory",
	    .works = WORKS_SIGNING_TABLE,
	    .type = OPTION_STRING,
	    .offset = AT(base_directory) },
	{ .name = "multiple_signatures",
	    .works = WORKS_SIGNING_TABLE,
	    .type = OPTION_BOOL,
	    .offset = AT(multiple_signatures) },
	{ .name = "check_dns", .works = WORKS_KEYS, .type = OPTION_BOOL, .offset = AT(check_dns) },
	{ .name = "sign_headers",
	    .works = WORKS_KEYS,
	    .type = OPTION_WORDS,
	    .offset = AT(sign_headers) },
	{ .name = "line_length_limit",
	    .works = WORKS_KEYS,
	    .type = OPTION_COUNT,
	    .offset = AT(line_length_limit),
	    .max = 1000000 },
	{ .name = "canonicalization",
	    .works = WORKS_KEYS,
	    .type = OPTION_STRING,
	    .offset = AT(all.canonicalization) },
	{ .name = "expire_after",
	    .works = WORKS_KEYS,
	    .type = OPTION_DURATION,
	    .offset = AT(all.expire_ms),
	    .min = 3600L * 1000,
	    .max = 3650 * CLOCK_DAY_MS },
	{ .name = "identity",
	    .works = WORKS_KEYS,
	    .type = OPTION_CHOICE,
	    .offset = AT(all.identity),
	    .choices = identities },
	{ .name = "subdomains",
	    .works = WORKS_KEYS_DIRECTORY,
	    .type = OPTION_BOOL,
	    .offset = AT(all.subdomains) },
	{ .name = "on_missing_key",
	    .works = WORKS_KEYS,
	    .type = OPTION_CHOICE,
	    .offset = AT(all.on_missing_key),
	    .choices = missing_actions },
	{ .name = "domains", .works = WORKS_KEYS, .type = OPTION_CUSTOM, .read = read_domains },
	{ .name = "min_key_bits",
	    .works = WORKS_INBOUND,
	    .type = OPTION_COUNT,
	    .offset = AT(min_key_bits),
	    .min = 512,
	    .max = 4096 },
	{ .name = "max_signatures",
	    .works = WORKS_INBOUND,
	    .type = OPTION_COUNT,
	    .offset = AT(max_signatures),
	    .min = 1,
	    .max = DKIM_SIGNATURES_LIMIT },
	{ .name = "clock_drift",
	    .works = WORKS_INBOUND,
	    .type = OPTION_DURATION,
	    .offset = AT(clock_drift_ms),
	    .min = 1000,
	    .max = CLOCK_DAY_MS },
	{ .name = "trust_partial_body",
	    .works = WORKS_INBOUND,
	    .type = OPTION_BOOL,
	    .offset = AT(trust_partial_body) },
	{ .name = NULL },
};
const struct option_group configuration_dkim_group = {
	"dkim", dkim_rows, -1, OPTION_SCOPE_FILE,
};

static const struct option domain_rows[] = {
	{ .name = "domain",
	    .works = WORKS_DOMAIN_SETTING,
	    .type = OPTION_WORDS,
	    .offset = AT_DOMAIN(names) },
	{ .name = "canonicalization",
	    .works = WORKS_KEYS,
	    .type = OPTION_STRING,
	    .offset = AT_DOMAIN(canonicalization) },
	{ .name = "expire_after",
	    .works = WORKS_KEYS,
	    .type = OPTION_DURATION,
	    .offset = AT_DOMAIN(expire_ms),
	    .min = 3600L * 1000,
	    .max = 3650 * CLOCK_DAY_MS },
	{ .name = "identity",
	    .works = WORKS_KEYS,
	    .type = OPTION_CHOICE,
	    .offset = AT_DOMAIN(identity),
	    .choices = identities },
	{ .name = "subdomains",
	    .works = WORKS_KEYS_DIRECTORY,
	    .type = OPTION_BOOL,
	    .offset = AT_DOMAIN(subdomains) },
	{ .name = "on_missing_key",
	    .works = WORKS_KEYS,
	    .type = OPTION_CHOICE,
	    .offset = AT_DOMAIN(on_missing_key),
	    .choices = missing_actions },
	{ .name = NULL },
};
const struct option_group configuration_dkim_domain_group = {
	"a domain of dkim", domain_rows, -1, OPTION_SCOPE_TARGET,
};

/* unset - a section in which nothing is given */
static void
unset(struct dkim_domain *domain)
{
	domain->expire_ms = -1;
	domain->identity = domain->subdomains = domain->on_missing_key = -1;
}

void
configuration_dkim_defaults(struct config *config)
{
	unset(&config->dkim.all);
	config->dkim.check_dns = 1;
	config->dkim.line_length_limit = -1;
}

/* read_domains - domains = ( { domain = "example.org" ... }, ... ) */
static void
read_domains(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct dkim_config *dkim = &((struct config *)target)->dkim;
	size_t n;

	if (!config_setting_is_list(setting)) {
		options_error(reader, setting,
		    "domains must be a list in parentheses: ( { domain = \"example.org\" ... }, ... )");
		return;
	}
	n = (size_t)config_setting_length(setting);
	dkim->domains = mem_array(reader->ctx, struct dkim_domain, n + 1);
	for (size_t i = 0; i < n; i++) {
		config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);
		struct dkim_domain *domain = &dkim->domains[dkim->n_domains++];

		unset(domain);
		domain->where = options_where(reader, member);
		options_group(reader, member, &configuration_dkim_domain_group, domain);
		if (domain->names.n == 0)
			options_error(reader, member,
			    "a section of domains needs its domain: { domain = \"example.org\" ... "
			    "}");
	}
}

void
configuration_dkim_read(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct config *config = target;

	config->dkim.all.where = options_where(reader, setting);
	options_group(reader, setting, &configuration_dkim_group, target);
}

/* read_form - one half of a canonicalisation: is it simple? -1: neither */
static int
read_form(const char *text, size_t len)
{
	if (len == 6 && memcmp(text, "simple", 6) == 0)
		return 1;
	return len == 7 && memcmp(text, "relaxed", 7) == 0 ? 0 : -1;
}

/* finish_canonicalization - "relaxed/simple"; one word alone is that of the header, and the body's
 * is simple */
static void
finish_canonicalization(struct options_reader *reader, struct dkim_domain *domain)
{
	const char *text = domain->canonicalization, *slash = strchr(text, '/');
	int header = read_form(text, slash == NULL ? strlen(text) : (size_t)(slash - text));
	int body = slash == NULL ? 1 : read_form(slash + 1, strlen(slash + 1));

	if (header < 0 || body < 0)
		options_error_at(reader, domain->where,
		    "canonicalization = \"%s\" must be \"relaxed/relaxed\", "
		    "\"relaxed/simple\", \"simple/relaxed\" or \"simple/simple\"",
		    text);
	domain->profile.simple_header = header == 1;
	domain->profile.simple_body = body == 1;
}

/* finish_domain - inherit from the settings for all domains, and read the words */
static void
finish_domain(
    struct options_reader *reader, struct dkim_domain *domain, const struct dkim_domain *all)
{
	if (domain != all)
		domain->profile = all->profile;
	if (domain->canonicalization != NULL)
		finish_canonicalization(reader, domain);
	if (domain->expire_ms >= 0)
		domain->profile.ttl = (uint64_t)domain->expire_ms / 1000;
	if (domain->identity >= 0)
		domain->profile.identity = (enum sign_identity)domain->identity;
	if (domain->subdomains < 0)
		domain->subdomains = all->subdomains;
}

/* load_dkim_finish_names - the domains by name, sorted */
static void
load_dkim_finish_names(struct options_reader *reader, struct config *config)
{
	struct dkim_config *dkim = &config->dkim;
	size_t n = 0;

	for (size_t i = 0; i < dkim->n_domains; i++)
		n += dkim->domains[i].names.n;
	dkim->names = mem_array(reader->ctx, struct dkim_name, n + 1);
	for (size_t i = 0; i < dkim->n_domains; i++) {
		const struct dkim_domain *domain = &dkim->domains[i];

		for (size_t k = 0; k < domain->names.n; k++) {
			const char *error = NULL, *text = domain->names.items[k];
			char *name = domain_normalise(reader->ctx, text, strlen(text), &error);

			if (name == NULL)
				options_error_at(
				    reader, domain->where, "domain = \"%s\": %s", text, error);
			else
				dkim->names[dkim->n_names++] = (struct dkim_name){ name, domain };
		}
	}
	config_sort_dkim_names(config);
	for (size_t i = 1; i < dkim->n_names; i++)
		if (strcmp(dkim->names[i - 1].name, dkim->names[i].name) == 0)
			options_error_at(reader, dkim->names[i].domain->where,
			    "the domain %s is given twice (%s)", dkim->names[i].name,
			    dkim->names[i - 1].domain->where);
}

/* check_table - one of the two tables */
static void
check_table(struct options_reader *reader, const struct dkim_config *dkim, const char *name,
    const char *spec)
{
	enum dataset_kind kind;
	const char *path, *error = NULL;

	if (spec != NULL && dataset_read_spec(reader->ctx, spec, &kind, &path, &error) != 0)
		options_error_at(reader, dkim->all.where, "%s = %s", name, error);
}

/* table_beside - a table whose path begins in the directory of the configuration file */
static const char *
table_beside(struct options_reader *reader, const struct config *config, const char *spec)
{
	const char *colon = spec != NULL ? strchr(spec, ':') : NULL, *path;

	if (spec == NULL || strstr(spec, ":/") != NULL)
		return spec;
	path = options_beside(reader->ctx, config->file, colon != NULL ? colon + 1 : spec);
	if (colon == NULL)
		return path;
	if (strncmp(spec, "file:", 5) != 0 && strncmp(spec, "refile:", 7) != 0)
		return spec;
	return mem_printf(reader->ctx, "%.*s:%s", (int)(colon - spec), spec, path);
}

/* finish_tables - both or none, and not beside the plain layout */
static void
finish_tables(struct options_reader *reader, struct config *config)
{
	struct dkim_config *dkim = &config->dkim;

	dkim->key_table = table_beside(reader, config, dkim->key_table);
	dkim->signing_table = table_beside(reader, config, dkim->signing_table);
	check_table(reader, dkim, "key_table", dkim->key_table);
	check_table(reader, dkim, "signing_table", dkim->signing_table);
	if ((dkim->key_table == NULL) != (dkim->signing_table == NULL))
		options_error_at(reader, dkim->all.where,
		    "key_table and signing_table belong together; %s is missing",
		    dkim->key_table == NULL ? "key_table" : "signing_table");
	if (dkim->key_table != NULL && config->keys != NULL)
		options_error_at(reader, dkim->all.where,
		    "keys = \"%s\" is given as well as key_table; keep one of the two",
		    config->keys);
	if (dkim->base_directory != NULL && dkim->base_directory[0] != '/')
		options_error_at(reader, dkim->all.where,
		    "base_directory = \"%s\" must be an absolute path", dkim->base_directory);
}

/* finish_missing_key - on_missing_key of the group is the same as that of the file */
static void
finish_missing_key(struct options_reader *reader, struct config *config, const config_t *tree)
{
	signed char *set = &config->set.of[REASON_MISSING_KEY];

	if (config->dkim.all.on_missing_key < 0)
		return;
	if (*set >= 0)
		options_error(reader,
		    config_setting_get_member(config_root_setting(tree), "on_missing_key"),
		    "on_missing_key is given in dkim as well; keep one of the two");
	*set = (signed char)config->dkim.all.on_missing_key;
	/* a listener of its own may say otherwise, a domain's section more so */
	config->dkim.all.on_missing_key = -1;
}

void
configuration_dkim_finish(
    struct options_reader *reader, struct config *config, const config_t *tree)
{
	struct dkim_config *dkim = &config->dkim;
	const char *error = NULL;

	finish_tables(reader, config);
	finish_missing_key(reader, config, tree);
	finish_domain(reader, &dkim->all, &dkim->all);
	for (size_t i = 0; i < dkim->n_domains; i++)
		finish_domain(reader, &dkim->domains[i], &dkim->all);
	load_dkim_finish_names(reader, config);
	signing_rules_default(&dkim->rules);
	if (dkim->sign_headers.n > 0 && signing_rules_read(reader->ctx, dkim->sign_headers.items,
	    dkim->sign_headers.n, &dkim->rules, &error) != 0)
		options_error_at(reader, dkim->all.where, "sign_headers: %s", error);
}
