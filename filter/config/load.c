/*
 * load.c - the options of countersign.conf and of the plans file
 *
 * The tables below, and those of load_*.c for the larger groups, are the list of all options; the
 * index of countersign.conf(5) names each (tests/unit/test_manual.c). After the tables have been
 * read, finish_*() resolves names (plans, tables) and refuses what cannot work. Nothing here is
 * opened: that is done by snapshot.c.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/config/effect.h"
#include "filter/config/load.h"
#include "filter/config/load_accounts.h"
#include "filter/config/load_dkim.h"
#include "filter/config/load_dmarc.h"
#include "filter/config/load_listeners.h"
#include "filter/config/load_peers.h"
#include "filter/config/load_plans.h"
#include "filter/config/load_replies.h"
#include "filter/config/load_redis.h"
#include "filter/config/load_spf.h"
#include "filter/config/options.h"
#include "filter/config/reach.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/verdict/reply_texts.h"

static void read_history(struct options_reader *, config_setting_t *, void *);
static void read_dns(struct options_reader *, config_setting_t *, void *);
static void read_tables(struct options_reader *, config_setting_t *, void *);

static const struct option_choice log_formats[] = {
	{ "text", LOG_FORMAT_TEXT }, { "json", LOG_FORMAT_JSON }, { NULL, 0 },
};
#define AT(type, member)	offsetof(struct type, member)

/* Options that stand in either file, apart from plans. */
#define OPERATORS_ROWS \
	{ .name = "event_command", \
	    .works = WORKS_ALWAYS, \
	    .type = OPTION_WORDS, \
	    .offset = AT(config, event_command) }, \
	{ .name = "country_of", \
	    .works = WORKS_COUNTRIES, \
	    .type = OPTION_WORDS, \
	    .offset = AT(config, country_of) }, \
	{ .name = "asn_of", \
	    .works = WORKS_NETWORKS, \
	    .type = OPTION_WORDS, \
	    .offset = AT(config, asn_of) },

static const struct option top_rows[] = {
	{ .name = "mode",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CHOICE,
	    .offset = AT(config, mode),
	    .choices = config_modes },
	{ .name = "listen",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, listen) },
	{ .name = "listen_mode",
	    .works = WORKS_UNIX_SOCKET,
	    .type = OPTION_OCTAL,
	    .offset = AT(config, listen_mode) },
	{ .name = "listen_group",
	    .works = WORKS_UNIX_SOCKET,
	    .type = OPTION_STRING,
	    .offset = AT(config, listen_group) },
	{ .name = "peers",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CUSTOM,
	    .offset = AT(config, peers),
	    .read = configuration_peers_read },
	{ .name = "control",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, control) },
	{ .name = "control_group",
	    .works = WORKS_CONTROL,
	    .type = OPTION_STRING,
	    .offset = AT(config, control_group) },
	{ .name = "control_read_group",
	    .works = WORKS_CONTROL,
	    .type = OPTION_STRING,
	    .offset = AT(config, control_read_group) },
	{ .name = "user",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, user) },
	{ .name = "log", .works = WORKS_ALWAYS, .type = OPTION_STRING, .offset = AT(config, log) },
	{ .name = "log_format",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CHOICE,
	    .offset = AT(config, log_format),
	    .choices = log_formats },
	{ .name = "realm",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, realm) },
	{ .name = "recipient_delimiter",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, delimiter) },
	{ .name = "authserv_id",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, authserv_id) },
	{ .name = "help_url",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, help_url) },
	{ .name = "replies",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CUSTOM,
	    .offset = AT(config, replies),
	    .read = load_replies },
	{ .name = "keys",
	    .works = WORKS_SENDING,
	    .type = OPTION_STRING,
	    .offset = AT(config, keys) },
	{ .name = "dkim",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CUSTOM,
	    .read = configuration_dkim_read },
	{ .name = "require_tls",
	    .works = WORKS_SUBMISSION,
	    .type = OPTION_BOOL,
	    .offset = AT(config, require_tls_set) },
	{ .name = "dmarc",
	    .works = WORKS_INBOUND,
	    .type = OPTION_CUSTOM,
	    .offset = AT(config, dmarc),
	    .read = config_dmarc_read },
	{ .name = "own_domains",
	    .works = WORKS_INBOUND,
	    .type = OPTION_CUSTOM,
	    .read = config_own_read },
	{ .name = "owners",
	    .works = WORKS_SENDING,
	    .type = OPTION_WORDS,
	    .offset = AT(config, owners) },
	{ .name = "mailboxes",
	    .works = WORKS_SUBMISSION,
	    .type = OPTION_WORDS,
	    .offset = AT(config, mailboxes) },
	{ .name = "login_map",
	    .works = WORKS_SUBMISSION,
	    .type = OPTION_WORDS,
	    .offset = AT(config, login_map) },
	{ .name = "allowed_networks",
	    .works = WORKS_SUBMISSION,
	    .type = OPTION_WORDS,
	    .offset = AT(config, allowed_networks) },
	{ .name = "restricted_recipients",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_WORDS,
	    .offset = AT(config, restricted_recipients) },
	{ .name = "accounts",
	    .works = WORKS_SENDING,
	    .type = OPTION_CUSTOM,
	    .read = config_accounts_read },
	{ .name = "listeners",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CUSTOM,
	    .read = config_listeners_read },
	{ .name = "store",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, store) },
	{ .name = "redis", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = config_redis_read },
	{ .name = "dns", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = read_dns },
	{ .name = "spf",
	    .works = WORKS_INBOUND,
	    .type = OPTION_CUSTOM,
	    .offset = AT(config, spf),
	    .read = config_spf_read },
	{ .name = "tables",
	    .works = WORKS_SERVER_TABLE,
	    .type = OPTION_CUSTOM,
	    .offset = AT(config, table_limits),
	    .read = read_tables },
	{ .name = "history", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = read_history },
	OPERATORS_ROWS
	{ .name = "event_timeout",
	    .works = WORKS_EVENT_COMMAND,
	    .type = OPTION_DURATION,
	    .offset = AT(config, event_timeout_ms),
	    .min = 100,
	    .max = 600000 },
	{ .name = "plans_file",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, plans_file) },
	CONFIGURATION_PLANS_ROWS{ .name = "drain_timeout",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_DURATION,
	    .offset = AT(config, drain_timeout_ms),
	    .min = 0,
	    .max = 600000 },
	{ .name = NULL },
};
static const struct option_group top_group = {
	"the configuration file", top_rows, (long)AT(config, set), OPTION_SCOPE_FILE,
};

/* The operators' file: what hosting operators tune, and nothing else. */
static const struct option plans_file_rows[] = {
	OPERATORS_ROWS
	CONFIGURATION_PLANS_ROWS
	{ .name = NULL },
};
static const struct option_group plans_file_group = {
	"the plans file", plans_file_rows, -1, OPTION_SCOPE_FILE,
};

static const struct option dns_rows[] = {
	{ .name = "servers",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_WORDS,
	    .offset = AT(config, dns_servers) },
	{ .name = "timeout",
	    .works = WORKS_WAITING,
	    .type = OPTION_DURATION,
	    .offset = AT(config, dns_timeout_ms),
	    .min = 100,
	    .max = 20000 },
	{ .name = "cache",
	    .works = WORKS_RESOLVER,
	    .type = OPTION_COUNT,
	    .offset = AT(config, dns_cache),
	    .max = 10000000 },
	{ .name = "trust_anchor",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, resolver.trust_anchor) },
	{ .name = NULL },
};
static const struct option tables_rows[] = {
	{ .name = "timeout",
	    .works = WORKS_SERVER_TABLE,
	    .type = OPTION_DURATION,
	    .offset = AT(table_limits, timeout_ms),
	    .min = 50,
	    .max = 20000 },
	{ .name = "connections",
	    .works = WORKS_SERVER_TABLE,
	    .type = OPTION_COUNT,
	    .offset = AT(table_limits, connections),
	    .min = 1,
	    .max = 100 },
	{ .name = "cache",
	    .works = WORKS_SERVER_TABLE,
	    .type = OPTION_COUNT,
	    .offset = AT(table_limits, cache),
	    .max = 1000000 },
	{ .name = "cache_time",
	    .works = WORKS_TABLE_CACHE,
	    .type = OPTION_DURATION,
	    .offset = AT(table_limits, cache_ms),
	    .max = CLOCK_DAY_MS },
	{ .name = "negative_time",
	    .works = WORKS_TABLE_CACHE,
	    .type = OPTION_DURATION,
	    .offset = AT(table_limits, negative_ms),
	    .max = CLOCK_DAY_MS },
	{ .name = NULL },
};
static const struct option_group tables_group = {
	"tables", tables_rows, -1, OPTION_SCOPE_FILE,
};

static const struct option_group dns_group = { "dns", dns_rows, -1, OPTION_SCOPE_FILE };

static const struct option history_rows[] = {
	{ .name = "messages",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_COUNT,
	    .offset = AT(config, history_messages),
	    .max = 10000000 },
	{ .name = "days",
	    .works = WORKS_HISTORY,
	    .type = OPTION_COUNT,
	    .offset = AT(config, history_days),
	    .min = 1,
	    .max = 366 },
	{ .name = "accounts",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_COUNT,
	    .offset = AT(config, history_accounts),
	    .min = 1000,
	    .max = 10000000 },
	{ .name = NULL },
};
static const struct option_group history_group = {
	"history", history_rows, -1, OPTION_SCOPE_FILE,
};

/* at - the line of a top-level option, for mistakes found once all is read; NULL: the file as a
 * whole */
static const config_setting_t *
at(const config_t *tree, const char *name)
{
	return config_setting_get_member(config_root_setting(tree), name);
}

/* read_dns - dns = { servers = [...] timeout = "5 s" } */
static void
read_dns(struct options_reader *reader, config_setting_t *setting, void *target)
{
	options_group(reader, setting, &dns_group, target);
}

/* read_tables - tables = { timeout = "3 s" } */
static void
read_tables(struct options_reader *reader, config_setting_t *setting, void *target)
{
	options_group(reader, setting, &tables_group, target);
}

/* read_history - history = { messages = 20000 days = 7 } */
static void
read_history(struct options_reader *reader, config_setting_t *setting, void *target)
{
	options_group(reader, setting, &history_group, target);
}

/* set_defaults - what holds unless the file says otherwise */
static void
set_defaults(struct options_reader *reader, struct config *config)
{
	config->file = mem_strdup(reader->ctx, reader->file);
	config->mode = MODE_WATCH;
	config->listen_mode = 0660;
	config->log = "syslog";
	config->store = "embedded";
	config->delimiter = "+";
	config->fold_local = true;
	config->require_tls_set = 1;
	config->drain_timeout_ms = 30000;
	config->dns_timeout_ms = 10000;
	config->dns_cache = 10000;
	config_spf_defaults(reader->ctx, &config->spf);
	config->table_limits = (struct table_limits)TABLE_LIMITS_STANDARD;
	config->history_messages = 20000;
	config->history_days = 7;
	config->history_accounts = 1000000;
	config->event_timeout_ms = 30000;
	memset(config->set.of, -1, sizeof(config->set.of));
	configuration_dkim_defaults(config);
}

/* load_add_domain - one more domain that accounts name */
static void
load_add_domain(struct options_reader *reader, struct config *config, const char *domain)
{
	if (config->domains.n % 64 == 0)
		config->domains.items = mem_grow(reader->ctx, config->domains.items, const char *,
		    config->domains.n + 64);
	config->domains.items[config->domains.n++] = domain;
}

/* finish_domains - what accounts have and own, for telling a foreign domain from one of ours */
static void
finish_domains(struct options_reader *reader, struct config *config)
{
	for (size_t i = 0; i < config->n_accounts; i++) {
		const struct account *account = &config->accounts[i];

		if (strrchr(account->name, '@') != NULL)
			load_add_domain(reader, config, strrchr(account->name, '@') + 1);
		for (size_t k = 0; k < account->owns.n; k++) {
			const struct identity_pattern *pattern = &account->patterns[k];

			if (pattern->kind == IDENTITY_DOMAIN)
				load_add_domain(reader, config, pattern->text);
			else if (pattern->kind == IDENTITY_SUBDOMAINS)
				load_add_domain(
				    reader, config, mem_printf(reader->ctx, ".%s", pattern->text));
			else if (pattern->kind == IDENTITY_ADDRESS &&
			    strrchr(pattern->text, '@') != NULL)
				load_add_domain(reader, config, strrchr(pattern->text, '@') + 1);
		}
	}
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener *listener = &config->listeners[i];

		if (listener->sign_as != NULL)
			load_add_domain(reader, config, listener->sign_as);
		if (listener->account != NULL && strrchr(listener->account, '@') != NULL)
			load_add_domain(reader, config, strrchr(listener->account, '@') + 1);
	}
	config_sort_domains(config);
}

/* read_plans_file - the operators' file */
static void
read_plans_file(struct options_reader *reader, struct config *config)
{
	struct options_reader inner = {
		.ctx = reader->ctx,
		.file = config->plans_file,
		.files = reader->files,
		.given = reader->given,
		.n_given = reader->n_given,
		.top = &top_group,
	};
	const struct words outer[] = { config->event_command, config->country_of, config->asn_of };
	const struct words *const lists[] = { &config->event_command, &config->country_of,
		&config->asn_of };
	static const char *const names[] = { "event_command", "country_of", "asn_of" };
	config_t tree;

	config_init(&tree);
	if (options_parse_file(&inner, &tree))
		options_group(&inner, config_root_setting(&tree), &plans_file_group, config);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (outer[i].n > 0 && lists[i]->items != outer[i].items)
			options_error(&inner, at(&tree, names[i]),
			    "%s is given in %s already; keep one of the two", names[i], config->file);
	config_destroy(&tree);
	reader->files = inner.files;
	reader->given = inner.given;
	reader->n_given = inner.n_given;
	if (inner.errors == NULL)
		return;
	reader->n_errors += inner.n_errors;
	reader->errors = reader->errors == NULL ? inner.errors :
	    mem_printf(reader->ctx, "%s\n%s", reader->errors, inner.errors);
}

/* finish_store - which store, with which options */
static void
finish_store(struct options_reader *reader, struct config *config, const config_t *tree)
{
	if (strcmp(config->store, "embedded") == 0)
		return;
	if (strncmp(config->store, "file:", 5) == 0 && config->store[5] == '/') {
		config->store_options.file = config->store + 5;
		return;
	}
	for (size_t i = 0; strncmp(config->store, "redis:", 6) == 0 && i < config->n_redis; i++) {
		if (strcmp(config->redis[i].name, config->store + 6) != 0)
			continue;
		config->store_options = config->redis[i].options;
		config->store_password_file = config->redis[i].password_file;
		config->store_sentinel_password_file = config->redis[i].sentinel_password_file;
		return;
	}
	options_error(reader, at(tree, "store"),
	    "store = \"%s\" must be \"embedded\", \"file:/absolute/path\", or \"redis:NAME\" with NAME in the redis group",
	    config->store);
}

/* is_port - a number from 1 to 65535 */
static bool
is_port(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= 5 && strspn(text, "0123456789") == len && atoi(text) > 0 &&
	    atoi(text) <= 65535;
}

/* is_descriptor_name - a name of a socket, as FileDescriptorName= of systemd.socket(5) */
static bool
is_descriptor_name(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == ':' || text[i] == '/')
			return false;
	return len > 0 && len <= 255;
}

/*
 * listen_spec - the socket as libmilter wants it
 * Postfix writes inet:HOST:PORT and unix:PATH, libmilter inet:PORT@HOST and unix:PATH. Both are
 * taken.
 */
static const char *
listen_spec(struct options_reader *reader, const char *listen)
{
	const char *host = strncmp(listen, "inet:", 5) == 0 ? listen + 5 :
	    strncmp(listen, "inet6:", 6) == 0 ? listen + 6 : NULL;
	const char *colon = host == NULL ? NULL : strrchr(host, ':');
	size_t len;

	if (strncmp(listen, "unix:/", 6) == 0 || strncmp(listen, "local:/", 7) == 0)
		return listen;
	if (strncmp(listen, "systemd:", 8) == 0 && is_descriptor_name(listen + 8))
		return listen;
	if (host == NULL)
		return NULL;
	if (strchr(host, '@') != NULL)
		return strchr(host, '@')[1] != '\0' &&
		    is_port(mem_strndup(reader->ctx, host, strcspn(host, "@"))) ? listen : NULL;
	if (colon == NULL || colon == host || !is_port(colon + 1))
		return NULL;
	len = (size_t)(colon - host);
	if (host[0] == '[' && host[len - 1] == ']') { /* Postfix has no inet6: of its own */
		host++;
		len -= 2;
		listen = "inet6:";
	}
	return mem_printf(reader->ctx, "%.*s%s@%.*s", (int)(strchr(listen, ':') - listen) + 1,
	    listen, colon + 1, (int)len, host);
}

/* load_finish_names - realm, authserv-id, socket */
static void
load_finish_names(struct options_reader *reader, struct config *config, const config_t *tree)
{
	const char *error = NULL;
	char host[256] = "";

	if (config->listen == NULL)
		options_error(reader, NULL,
		    "listen is missing; write for example listen = "
		    "\"unix:/var/spool/postfix/countersign/milter\"");
	else if ((config->listen_spec = listen_spec(reader, config->listen)) == NULL)
		options_error(reader, at(tree, "listen"),
		    "listen = \"%s\" must be \"inet:HOST:PORT\", \"inet6:[ADDRESS]:PORT\", \"unix:/path\" "
		    "or \"systemd:NAME\"",
		    config->listen);
	if (config->control != NULL && config->control[0] != '/')
		options_error(reader, at(tree, "control"),
		    "control = \"%s\" must be an absolute path", config->control);
	for (const char *c = config->help_url; c != NULL && *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || *c == '%') {
			options_error(reader, at(tree, "help_url"),
			    "help_url = \"%s\" must be printable ASCII without spaces and %%",
			    config->help_url);
			break;
		}
	if (config->help_url != NULL && strlen(config->help_url) > REPLY_HELP_MAX)
		options_error(reader, at(tree, "help_url"), "help_url has %zu bytes; %d are the most",
		    strlen(config->help_url), REPLY_HELP_MAX);
	if (config->log == NULL ||
	    (strcmp(config->log, "syslog") != 0 && strcmp(config->log, "stderr") != 0))
		options_error(reader, at(tree, "log"), "log must be \"syslog\" or \"stderr\"");
	if (config->realm != NULL) {
		char *realm =
		    domain_normalise(reader->ctx, config->realm, strlen(config->realm), &error);

		if (realm == NULL)
			options_error(
			    reader, at(tree, "realm"), "realm = \"%s\": %s", config->realm, error);
		config->realm = realm;
	}
	if (config->authserv_id == NULL) {
		(void)gethostname(host, sizeof(host) - 1);
		config->authserv_id = mem_strdup(reader->ctx, host[0] != '\0' ? host : "localhost");
	}
	if (domain_normalise(
		reader->ctx, config->authserv_id, strlen(config->authserv_id), &error) == NULL)
		options_error(reader, at(tree, "authserv_id"),
		    "authserv_id = \"%s\" must be a host name: %s", config->authserv_id, error);
	if (config->resolver.trust_anchor != NULL && config->resolver.trust_anchor[0] != '/')
		options_error(reader, config_setting_get_member(at(tree, "dns"), "trust_anchor"),
		    "trust_anchor = \"%s\" must be an absolute path",
		    config->resolver.trust_anchor);
	config->resolver.servers = config->dns_servers.items;
	config->resolver.cache_entries = (size_t)config->dns_cache;
}

/* finish_event_command - a program that can be run */
static void
finish_event_command(struct options_reader *reader, struct config *config, const config_t *tree)
{
	const config_setting_t *setting = at(tree, "event_command");
	const char *file =
	    setting == NULL && config->plans_file != NULL ? config->plans_file : config->file;
	const char *where = setting != NULL ? options_where(reader, setting) : file;
	const char *program = config->event_command.n > 0 ? config->event_command.items[0] : NULL;

	if (program == NULL)
		return;
	if (program[0] != '/')
		options_error_at(reader, where,
		    "event_command = \"%s\" must be an absolute path; arguments are words of their own: "
		    "[\"/usr/local/sbin/tell\", \"admin\"]",
		    program);
}

/* load_finish - everything that needs the whole file */
static void
load_finish(struct options_reader *reader, struct config *config, const config_t *tree)
{
	config->plans_file = options_beside(reader->ctx, config->file, config->plans_file);
	if (config->plans_file != NULL)
		read_plans_file(reader, config);
	load_finish_names(reader, config, tree);
	configuration_dkim_finish(reader, config, tree);
	finish_store(reader, config, tree);
	configuration_plans_finish(reader, config);
	config_accounts_finish(reader, config);
	config_tables(config, &config->country_of, &config->country_tables);
	config_tables(config, &config->asn_of, &config->asn_tables);
	config_tables(config, &config->login_map, &config->login_tables);
	config_tables(config, &config->allowed_networks, &config->network_tables);
	config_tables(config, &config->restricted_recipients, &config->restricted_tables);
	config_tables(config, &config->own_words, &config->own_tables);
	finish_event_command(reader, config, tree);
	config_listeners_finish(reader, config, options_where(reader, at(tree, "on_inbound_login")));
	/* an error leaves accounts and listeners half read */
	if (reader->errors != NULL)
		return;
	finish_domains(reader, config);
	if (!config->auto_roles)
		reach_check(reader, config);
	effect_check(reader, config);
	config->warnings = configuration_peers_warn(reader->ctx, config);
	config->files = reader->files;
}

/* config_load - read and check a configuration file */
struct config *
config_load(TALLOC_CTX *ctx, const char *file, const char **error_r)
{
	struct config *config = mem_new(ctx, struct config);
	struct options_reader reader = { .ctx = config, .file = file, .top = &top_group };
	config_t tree;

	set_defaults(&reader, config);
	config_init(&tree);
	if (options_parse_file(&reader, &tree)) {
		options_group(&reader, config_root_setting(&tree), &top_group, config);
		/* names that other messages depend on are only worth checking in a sound file */
		if (reader.errors == NULL)
			load_finish(&reader, config, &tree);
	}
	config_destroy(&tree);
	if (reader.errors == NULL)
		return config;
	*error_r = reader.n_errors <= OPTIONS_ERRORS_MAX
	    ? talloc_steal(ctx, reader.errors)
	    : mem_printf(ctx, "%s\n%s: and %zu more", reader.errors, file,
		  reader.n_errors - OPTIONS_ERRORS_MAX);
	talloc_free(config);
	return NULL;
}

/* config_option_groups - the groups of all options */
const struct option_group *const *
config_option_groups(void)
{
	static const struct option_group *const groups[] = {
		&top_group, &plans_file_group, &config_listener_group, &config_account_group,
		&config_redis_group,
		&tables_group, &dns_group, &history_group, &configuration_dkim_group,
		&configuration_dkim_domain_group, &config_spf_group, &config_spf_override_group,
		&config_dmarc_group, &config_dmarc_override_group, &config_dmarc_report_group,
		&configuration_plan_group, &configuration_peers_group, NULL,
	};

	return groups;
}
