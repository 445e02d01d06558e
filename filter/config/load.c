/*
 * load.c - the options of countersign.conf and of the plans file
 *
 * The tables below are the list of all options; countersign.conf(5) describes
 * them in the same order. After the tables have been read, finish_*()
 * resolves names (plans, tables), lets listeners inherit, and refuses what
 * cannot work. Nothing here is opened: that is snapshot.c's.
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
#include "filter/config/load_dkim.h"
#include "filter/config/load_dmarc.h"
#include "filter/config/load_peers.h"
#include "filter/config/load_plans.h"
#include "filter/config/load_spf.h"
#include "filter/config/options.h"
#include "filter/config/reach.h"
#include "filter/redis/place.h"
#include "filter/redis/tls.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

static void read_accounts(struct options_reader *, config_setting_t *, void *);
static void read_listeners(struct options_reader *, config_setting_t *, void *);
static void read_places(struct options_reader *, config_setting_t *, void *);
static void read_redis(struct options_reader *, config_setting_t *, void *);
static void read_daemons(struct options_reader *, config_setting_t *, void *);
static void read_clients(struct options_reader *, config_setting_t *, void *);
static void read_ports(struct options_reader *, config_setting_t *, void *);
static void read_history(struct options_reader *, config_setting_t *, void *);
static void read_dns(struct options_reader *, config_setting_t *, void *);
static void read_tables(struct options_reader *, config_setting_t *, void *);

static const struct option_choice modes[] = {
	{ "watch", MODE_WATCH }, { "enforce", MODE_ENFORCE }, { NULL, 0 },
};
static const struct option_choice log_formats[] = {
	{ "text", LOG_FORMAT_TEXT }, { "json", LOG_FORMAT_JSON }, { NULL, 0 },
};
static const struct option_choice roles[] = {
	{ "submission", ROLE_SUBMISSION }, { "relay", ROLE_RELAY }, { "local", ROLE_LOCAL },
	{ "inbound", ROLE_INBOUND }, { NULL, 0 },
};

#define AT(type, member)	offsetof(struct type, member)

static const struct option top_rows[] = {
	{ .name = "mode",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CHOICE,
	    .offset = AT(config, mode),
	    .choices = modes },
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
	    .read = read_accounts },
	{ .name = "listeners",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CUSTOM,
	    .read = read_listeners },
	{ .name = "store",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(config, store) },
	{ .name = "redis", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = read_redis },
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
	{ .name = "event_command",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_WORDS,
	    .offset = AT(config, event_command) },
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
	{ .name = "event_command",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_WORDS,
	    .offset = AT(config, event_command) },
	CONFIGURATION_PLANS_ROWS
	{ .name = NULL },
};
static const struct option_group plans_file_group = {
	"the plans file", plans_file_rows, -1, OPTION_SCOPE_FILE,
};

static const struct option listener_rows[] = {
	{ .name = "role",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CHOICE,
	    .offset = AT(listener, role),
	    .choices = roles },
	{ .name = "daemon", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = read_daemons },
	{ .name = "port",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CUSTOM,
	    .offset = AT(listener, ports),
	    .read = read_ports },
	{ .name = "client", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = read_clients },
	{ .name = "pickup",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_BOOL,
	    .offset = AT(listener, pickup) },
	{ .name = "login",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_BOOL,
	    .offset = AT(listener, login) },
	{ .name = "mode",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CHOICE,
	    .offset = AT(listener, mode_set),
	    .choices = modes },
	{ .name = "require_tls",
	    .works = WORKS_SUBMISSION,
	    .type = OPTION_BOOL,
	    .offset = AT(listener, require_tls_set) },
	{ .name = "owners",
	    .works = WORKS_SENDING,
	    .type = OPTION_WORDS,
	    .offset = AT(listener, owners) },
	{ .name = "mailboxes",
	    .works = WORKS_SUBMISSION,
	    .type = OPTION_WORDS,
	    .offset = AT(listener, mailboxes) },
	{ .name = "account",
	    .works = WORKS_RELAY,
	    .type = OPTION_STRING,
	    .offset = AT(listener, account) },
	{ .name = "client_accounts",
	    .works = WORKS_RELAY,
	    .type = OPTION_WORDS,
	    .offset = AT(listener, client_accounts) },
	{ .name = "sign_as",
	    .works = WORKS_KEYS,
	    .type = OPTION_STRING,
	    .offset = AT(listener, sign_as) },
	{ .name = NULL },
};
static const struct option_group listener_group = {
	"a listener",
	listener_rows,
	(long)AT(listener, set),
	OPTION_SCOPE_LISTENER,
};

static const struct option account_rows[] = {
	{ .name = "login",
	    .works = WORKS_SENDING,
	    .type = OPTION_STRING,
	    .offset = AT(account, login) },
	{ .name = "owns",
	    .works = WORKS_SENDING,
	    .type = OPTION_WORDS,
	    .offset = AT(account, owns) },
	{ .name = "plan",
	    .works = WORKS_SENDING,
	    .type = OPTION_STRING,
	    .offset = AT(account, plan_name) },
	{ .name = "allowed_networks",
	    .works = WORKS_SUBMISSION,
	    .type = OPTION_WORDS,
	    .offset = AT(account, networks_as_written) },
	{ .name = "mode",
	    .works = WORKS_SENDING,
	    .type = OPTION_CHOICE,
	    .offset = AT(account, mode_set),
	    .choices = modes },
	{ .name = NULL },
};
static const struct option_group account_group = {
	"an account", account_rows, -1, OPTION_SCOPE_FILE,
};

static const struct option redis_rows[] = {
	{ .name = "server",
	    .works = WORKS_REDIS_USED,
	    .type = OPTION_CUSTOM,
	    .offset = AT(redis_server, options.redis.server),
	    .read = read_places },
	{ .name = "cluster",
	    .works = WORKS_REDIS_USED,
	    .type = OPTION_BOOL,
	    .offset = AT(redis_server, cluster) },
	{ .name = "sentinels",
	    .works = WORKS_REDIS_USED,
	    .type = OPTION_CUSTOM,
	    .offset = AT(redis_server, options.redis.sentinels),
	    .read = read_places },
	{ .name = "master",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, options.redis.master) },
	{ .name = "sentinel_user",
	    .works = WORKS_SENTINELS,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, options.redis.sentinel_user) },
	{ .name = "sentinel_password_file",
	    .works = WORKS_SENTINELS,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, sentinel_password_file) },
	{ .name = "tls",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_BOOL,
	    .offset = AT(redis_server, tls) },
	{ .name = "tls_ca_cert_file",
	    .works = WORKS_REDIS_TLS,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, options.redis.tls.ca_file) },
	{ .name = "tls_cert_file",
	    .works = WORKS_REDIS_TLS,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, options.redis.tls.cert_file) },
	{ .name = "tls_key_file",
	    .works = WORKS_REDIS_TLS,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, options.redis.tls.key_file) },
	{ .name = "tls_name",
	    .works = WORKS_REDIS_TLS,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, options.redis.tls.name) },
	{ .name = "user",
	    .works = WORKS_REDIS_PASSWORD,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, options.redis.user) },
	{ .name = "password_file",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, password_file) },
	{ .name = "database",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_COUNT,
	    .offset = AT(redis_server, database),
	    .max = 65535 },
	{ .name = "prefix",
	    .works = WORKS_REDIS_STORE,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, options.prefix) },
	{ .name = "deadline",
	    .works = WORKS_REDIS_STORE,
	    .type = OPTION_DURATION,
	    .offset = AT(redis_server, deadline_ms),
	    .min = 5,
	    .max = 10000 },
	{ .name = "on_away",
	    .works = WORKS_REDIS_STORE,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, on_away) },
	{ .name = "away_file",
	    .works = WORKS_REDIS_STORE,
	    .type = OPTION_STRING,
	    .offset = AT(redis_server, options.away_file) },
	{ .name = NULL },
};
static const struct option_group redis_group = {
	"a redis server", redis_rows, -1, OPTION_SCOPE_TARGET,
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

/* load_config_of - the configuration whose custom option is being read (its offset is 0) */
static struct config *
load_config_of(void *target)
{
	return target;
}

/* read_account_patterns - the owns list, normalised */
static void
read_account_patterns(struct options_reader *reader, const config_setting_t *setting,
    const struct config *config, struct account *account)
{
	account->patterns = mem_array(reader->ctx, struct identity_pattern, account->owns.n + 1);
	for (size_t i = 0; i < account->owns.n; i++) {
		const char *error = NULL;

		if (identity_pattern_read(reader->ctx, account->owns.items[i], config->fold_local,
		    &account->patterns[i], &error) != 0)
			options_error(
			    reader, setting, "owns \"%s\": %s", account->owns.items[i], error);
	}
}

/* read_account_networks - the allowed_networks list of an account */
static void
read_account_networks(struct options_reader *reader, const config_setting_t *setting,
    struct account *account)
{
	account->networks =
	    mem_array(reader->ctx, struct netblock, account->networks_as_written.n + 1);
	for (size_t i = 0; i < account->networks_as_written.n; i++) {
		const char *error = NULL;

		if (netblock_parse(reader->ctx, account->networks_as_written.items[i],
		    &account->networks[account->n_networks], &error))
			account->n_networks++;
		else
			options_error(reader, setting, "allowed_networks: %s", error);
	}
}

/* read_accounts - accounts = ( { login = ... }, ... ) */
static void
read_accounts(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct config *config = load_config_of(target);
	size_t n;

	if (!config_setting_is_list(setting)) {
		options_error(reader, setting,
		    "accounts must be a list in parentheses: ( { login = \"alice\" }, ... )");
		return;
	}
	n = (size_t)config_setting_length(setting);
	config->accounts = mem_array(reader->ctx, struct account, n + 1);
	for (size_t i = 0; i < n; i++) {
		config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);
		struct account *account = &config->accounts[config->n_accounts];

		account->where = options_where(reader, member);
		account->mode_set = -1;
		options_group(reader, member, &account_group, account);
		read_account_patterns(reader, member, config, account);
		read_account_networks(reader, member, account);
		if (account->login == NULL)
			options_error(
			    reader, member, "an account needs a login: { login = \"alice\" }");
		else
			config->n_accounts++;
	}
}

/* read_daemons - {daemon_name} values of a listener */
static void
read_daemons(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct listener *listener = target;

	options_words(reader, setting, &listener->daemons);
	if (listener->daemons.n == 0)
		options_error(reader, setting,
		    "daemon names no listener of the MTA; remove it to take every one");
}

/* read_clients - client networks of a listener */
static void
read_clients(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct listener *listener = target;
	struct words words = { NULL, 0 };

	options_words(reader, setting, &words);
	if (words.n == 0)
		options_error(
		    reader, setting, "client names no network; remove it to take every client");
	listener->clients = mem_array(reader->ctx, struct netblock, words.n + 1);
	for (size_t i = 0; i < words.n; i++) {
		const char *error = NULL;

		if (netblock_parse(reader->ctx, words.items[i], &listener->clients[i], &error))
			listener->n_clients++;
		else
			options_error(reader, setting, "client: %s", error);
	}
}

/* read_ports - listener ports: a number or numbers */
static void
read_ports(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct words *ports = target;
	int aggregate = config_setting_is_aggregate(setting);
	int n = aggregate ? config_setting_length(setting) : 1;

	if (n == 0)
		options_error(reader, setting, "port names no port; remove it to take every port");
	ports->items = mem_array(reader->ctx, const char *, (size_t)n + 1);
	for (int i = 0; i < n; i++) {
		config_setting_t *port = aggregate ?
		    config_setting_get_elem(setting, (unsigned int)i) : setting;

		if (config_setting_type(port) != CONFIG_TYPE_INT ||
		    config_setting_get_int(port) < 1 || config_setting_get_int(port) > 65535) {
			options_error(reader, setting,
			    "port must be a number from 1 to 65535, or a list of them: [587, 465]");
			return;
		}
		ports->items[ports->n++] =
		    mem_printf(reader->ctx, "%d", config_setting_get_int(port));
	}
}

/* new_listener - an empty listener at the end of the list */
static struct listener *
new_listener(
    struct options_reader *reader, struct config *config, const char *name, const char *where)
{
	struct listener *listener = &config->listeners[config->n_listeners++];

	listener->name = mem_strdup(reader->ctx, name);
	listener->where = where;
	listener->pickup = -1;
	listener->login = -1;
	listener->mode_set = -1;
	listener->require_tls_set = -1;
	memset(listener->set.of, -1, sizeof(listener->set.of));
	return listener;
}

/* read_listeners - listeners = { name = { role = ... } ... } */
static void
read_listeners(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct config *config = load_config_of(target);
	size_t n;

	if (!config_setting_is_group(setting)) {
		options_error(reader, setting,
		    "listeners must be a group in braces: { users = { role = \"submission\" } }");
		return;
	}
	n = (size_t)config_setting_length(setting);
	config->listeners = mem_array(reader->ctx, struct listener, n + 1);
	for (size_t i = 0; i < n; i++) {
		config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);

		options_group(reader, member, &listener_group, new_listener(reader, config,
		    config_setting_name(member), options_where(reader, member)));
	}
}

/* read_places - one server or several; kept as one text, separated by spaces */
static void
read_places(struct options_reader *reader, config_setting_t *setting, void *target)
{
	const char **text = target;
	struct words words = { NULL, 0 };
	char *all = mem_strdup(reader->ctx, "");

	options_words(reader, setting, &words);
	for (size_t i = 0; i < words.n; i++) {
		struct redis_place place;
		const char *error = NULL;

		if (redis_place_read(reader->ctx, words.items[i], &place, &error) < 0)
			options_error(reader, setting, "%s", error);
		all = mem_check(
		    talloc_asprintf_append(all, "%s%s", i > 0 ? " " : "", words.items[i]));
	}
	if (words.n > 0)
		*text = all;
}

/* check_redis_tls - what goes together; the files are read */
static void
check_redis_tls(
    struct options_reader *reader, const config_setting_t *member, const struct redis_server *redis)
{
	const struct redis_options *options = &redis->options.redis;
	const struct redis_tls_options *tls = &options->tls;
	const char *places = options->sentinels != NULL ? options->sentinels : options->server;
	const char *error = NULL;

	if (!tls->on)
		return;
	if (places != NULL &&
	    (strncmp(places, "unix:", 5) == 0 || strstr(places, " unix:") != NULL))
		options_error(reader, member,
		    "redis %s: a unix socket needs no TLS; remove tls, or name the server as "
		    "\"inet:HOST:PORT\"",
		    redis->name);
	if (!redis_tls_check(reader->ctx, tls, &error))
		options_error(reader, member, "redis %s: %s", redis->name, error);
}

/* check_redis - which server is meant, and what goes together */
static void
check_redis(
    struct options_reader *reader, const config_setting_t *member, const struct redis_server *redis)
{
	const struct redis_options *options = &redis->options.redis;

	if (options->server == NULL && options->sentinels == NULL)
		options_error(reader, member,
		    "redis %s needs a server: \"unix:/path\" or \"inet:host:port\"", redis->name);
	if (options->server != NULL && options->sentinels != NULL)
		options_error(reader, member,
		    "redis %s has a server and sentinels, which name the server themselves; keep one of "
		    "the two",
		    redis->name);
	if ((options->sentinels != NULL) != (options->master != NULL))
		options_error(reader, member,
		    "redis %s: sentinels and master = \"NAME\" belong together", redis->name);
	if (options->server != NULL && strchr(options->server, ' ') != NULL && !redis->cluster)
		options_error(reader, member,
		    "redis %s has several servers, which is for a Cluster: write cluster = true; for "
		    "Sentinels write sentinels = [...] with master",
		    redis->name);
	if (redis->cluster && options->sentinels != NULL)
		options_error(reader, member,
		    "redis %s: a Cluster has no Sentinels; remove sentinels or cluster",
		    redis->name);
	if (redis->cluster && redis->database != 0)
		options_error(reader, member,
		    "redis %s: a Cluster has one database; remove database", redis->name);
	if (options->sentinel_user != NULL && redis->sentinel_password_file == NULL)
		options_error(reader, member,
		    "redis %s: sentinel_user needs sentinel_password_file", redis->name);
	check_redis_tls(reader, member, redis);
}

/* read_redis - redis = { main = { server = ... } } */
static void
read_redis(struct options_reader *reader, config_setting_t *setting, void *target)
{
	static const struct { const char *word; enum store_on_away value;
	} aways[] = {
		{ "local", STORE_AWAY_LOCAL },
		{ "accept", STORE_AWAY_ACCEPT },
		{ "tempfail", STORE_AWAY_TEMPFAIL },
	};
	struct config *config = load_config_of(target);
	size_t n;

	if (!config_setting_is_group(setting)) {
		options_error(reader, setting,
		    "redis must be a group in braces: { main = { server = \"unix:/run/redis/redis.sock\" } }");
		return;
	}
	n = (size_t)config_setting_length(setting);
	config->redis = mem_array(reader->ctx, struct redis_server, n + 1);
	for (size_t i = 0; i < n; i++) {
		config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);
		struct redis_server *redis = &config->redis[config->n_redis++];
		bool known = false;

		redis->name = mem_strdup(reader->ctx, config_setting_name(member));
		redis->where = options_where(reader, member);
		redis->on_away = "local";
		options_group(reader, member, &redis_group, redis);
		redis->options.kind = STORE_REDIS;
		redis->options.redis.database = (unsigned int)redis->database;
		redis->options.deadline_ms = (unsigned int)redis->deadline_ms;
		for (size_t k = 0; redis->on_away != NULL && k < 3; k++) {
			if (strcmp(redis->on_away, aways[k].word) == 0) {
				redis->options.on_away = aways[k].value;
				known = true;
			}
		}
		if (!known)
			options_error(reader, member,
			    "on_away of redis %s must be one of: local, accept, tempfail",
			    redis->name);
		redis->options.redis.cluster = redis->cluster;
		redis->options.redis.tls.on = redis->tls;
		check_redis(reader, member, redis);
	}
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

/* auto_listeners - without a section, one listener a role */
static void
auto_listeners(struct options_reader *reader, struct config *config)
{
	config->auto_roles = true;
	config->listeners = mem_array(reader->ctx, struct listener, 4);
	new_listener(reader, config, "submission", reader->file)->role = ROLE_SUBMISSION;
	new_listener(reader, config, "local", reader->file)->role = ROLE_LOCAL;
	new_listener(reader, config, "inbound", reader->file)->role = ROLE_INBOUND;
}

/* check_local - the rules of role local: nothing may stay in maildrop for ever */
static void
check_local(struct options_reader *reader, const struct listener *listener)
{
	for (int reason = 1; reason < REASON_COUNT; reason++)
		if (listener->set.of[reason] == ACTION_TEMPFAIL)
			options_error_at(reader, listener->where,
			    "%s = \"tempfail\" in listener %s: mail of role local would stay in maildrop "
			    "and come back every minute; write reject or quarantine",
			    reply_row((enum reason)reason)->option, listener->name);
}

/* check_inbound_login - mail with a login may not pass where nobody checks its sender */
static void
check_inbound_login(struct options_reader *reader, const char *where, const struct action_set *set)
{
	signed char action = set->of[REASON_INBOUND_LOGIN];

	if (action >= 0 && action < ACTION_TEMPFAIL)
		options_error_at(reader, where,
		    "on_inbound_login must be tempfail or reject: role inbound checks no user's sender; "
		    "for mail with a login add a listener of role submission before this one");
}

/* global_action - what the file says for all listeners, or -1 */
static int
global_action(const struct config *config, const struct listener *listener, enum reason reason)
{
	/* a global tempfail is not meant for maildrop */
	if (listener->role == ROLE_LOCAL && config->set.of[reason] == ACTION_TEMPFAIL)
		return -1;
	return config->set.of[reason];
}

/*
 * action_of - the action in force: what is nearest to the listener wins, first by the reason's own
 * word, then by that of the reason it is a case of (reply_heir)
 */
static enum action
action_of(const struct config *config, const struct listener *listener, enum reason reason)
{
	enum reason heir = reply_heir(reason);
	int action = listener->set.of[reason];

	if (action < 0 && heir != REASON_NONE)
		action = listener->set.of[heir];
	if (action < 0)
		action = global_action(config, listener, reason);
	if (action < 0 && heir != REASON_NONE)
		action = global_action(config, listener, heir);
	/* mail without a listener may be let in, a user among strangers not */
	if (reason == REASON_INBOUND_LOGIN && action < ACTION_TEMPFAIL)
		action = -1;
	return action >= 0 ? (enum action)action : reply_default_action(reason, listener->role);
}

/* has_self - is "self" in a list of tables? */
static bool
has_self(const struct words *words)
{
	for (size_t i = 0; i < words->n; i++)
		if (strcmp(words->items[i], "self") == 0)
			return true;
	return false;
}

/* finish_owners - who owns what: by tables, by mailboxes, by the name of the login */
static void
finish_owners(struct options_reader *reader, struct config *config, struct listener *listener)
{
	const struct words *owners = listener->owners.n > 0 ? &listener->owners : &config->owners;
	const struct words *mailboxes =
	    listener->mailboxes.n > 0 ? &listener->mailboxes : &config->mailboxes;
	struct words tables = { .items = mem_array(config, const char *, owners->n + 1) };

	listener->own_self = has_self(owners);
	for (size_t i = 0; i < owners->n; i++)
		if (strcmp(owners->items[i], "self") != 0)
			tables.items[tables.n++] = owners->items[i];
	tables.items[tables.n] = NULL;
	config_tables(config, &tables, &listener->owner_tables);
	if (listener->role == ROLE_SUBMISSION)
		config_tables(config, mailboxes, &listener->mailbox_tables);
	if (listener->role != ROLE_SUBMISSION && has_self(&listener->owners))
		options_error_at(reader, listener->where,
		    "listener %s: \"self\" in owners is for role submission; elsewhere an account always owns its name",
		    listener->name);
}

/* finish_listener - inherit, resolve, check */
static void
finish_listener(struct options_reader *reader, struct config *config, struct listener *listener)
{
	const char *problem = NULL;

	if (listener->role == ROLE_AUTO)
		options_error_at(reader, listener->where,
		    "listener %s needs a role: submission, relay, local or inbound",
		    listener->name);
	listener->mode = listener->mode_set >= 0 ? (enum mode)listener->mode_set : config->mode;
	listener->require_tls = listener->require_tls_set >= 0 ? listener->require_tls_set :
	    config->require_tls_set;
	for (int reason = 0; reason < REASON_COUNT; reason++)
		listener->actions[reason] = action_of(config, listener, (enum reason)reason);
	listener->dmarc_by_policy =
	    (int)listener->actions[REASON_DMARC_FAIL] == ACTION_BY_POLICY;
	if (listener->dmarc_by_policy)
		listener->actions[REASON_DMARC_FAIL] = ACTION_REJECT;
	if (listener->set.of[REASON_NO_LISTENER] >= 0)
		options_error_at(reader, listener->where,
		    "on_no_listener stands outside the listeners: it is for connections that belong to none");
	check_inbound_login(reader, listener->where, &listener->set);
	if (listener->role == ROLE_LOCAL)
		check_local(reader, listener);
	if (listener->role == ROLE_RELAY && listener->account == NULL &&
	    listener->client_accounts.n == 0)
		options_error_at(reader, listener->where,
		    "listener %s of role relay needs account = \"...\": who answers for its mail",
		    listener->name);
	config_tables(config, &listener->client_accounts, &listener->client_tables);
	finish_owners(reader, config, listener);
	if (listener->sign_as != NULL) {
		char *domain = domain_normalise(
		    reader->ctx, listener->sign_as, strlen(listener->sign_as), &problem);

		if (domain == NULL)
			options_error_at(reader, listener->where, "sign_as = \"%s\": %s",
			    listener->sign_as, problem);
		listener->sign_as = domain;
	}
	if (listener->account != NULL) {
		const char *error = NULL;
		char *account =
		    identity_account(reader->ctx, listener->account, config->realm, &error);

		if (account == NULL)
			options_error_at(reader, listener->where, "account = \"%s\": %s",
			    listener->account, error);
		listener->account = account;
	}
}

/* finish_accounts - names in normal form, plans found, sorted for the search */
static void
finish_accounts(struct options_reader *reader, struct config *config)
{
	for (size_t i = 0; i < config->n_accounts; i++) {
		struct account *account = &config->accounts[i];
		const char *error = NULL;

		account->name =
		    identity_account(reader->ctx, account->login, config->realm, &error);
		if (account->name == NULL) {
			options_error_at(
			    reader, account->where, "login \"%s\": %s", account->login, error);
			account->name = account->login;
		}
		if (account->plan_name == NULL)
			continue;
		account->plan = config_find_plan(config, account->plan_name);
		account->plan_from = mem_printf(reader->ctx, "accounts (%s)", account->where);
		if (account->plan == NULL)
			options_error_at(reader, account->where,
			    "plan \"%s\" is not among the plans", account->plan_name);
	}
	config_sort_accounts(config);
	for (size_t i = 1; i < config->n_accounts; i++)
		if (strcmp(config->accounts[i - 1].name, config->accounts[i].name) == 0)
			options_error_at(reader, config->accounts[i].where,
			    "the account %s is given twice (%s)", config->accounts[i].name,
			    config->accounts[i - 1].where);
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
	};
	const struct words outer_program = config->event_command;
	config_t tree;

	config_init(&tree);
	if (options_parse_file(&inner, &tree))
		options_group(&inner, config_root_setting(&tree), &plans_file_group, config);
	config_destroy(&tree);
	if (outer_program.n > 0 && config->event_command.items != outer_program.items)
		options_error(&inner, NULL,
		    "event_command is given in %s already; keep one of the two", config->file);
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
	if (host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
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
	finish_accounts(reader, config);
	config_tables(config, &config->login_map, &config->login_tables);
	config_tables(config, &config->allowed_networks, &config->network_tables);
	config_tables(config, &config->restricted_recipients, &config->restricted_tables);
	config_tables(config, &config->own_words, &config->own_tables);
	finish_event_command(reader, config, tree);
	check_inbound_login(
	    reader, options_where(reader, at(tree, "on_inbound_login")), &config->set);
	if (config->n_listeners == 0)
		auto_listeners(reader, config);
	for (size_t i = 0; i < config->n_listeners; i++)
		finish_listener(reader, config, &config->listeners[i]);
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
	struct options_reader reader = { .ctx = config, .file = file };
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
		&top_group, &plans_file_group, &listener_group, &account_group, &redis_group,
		&tables_group, &dns_group, &history_group, &configuration_dkim_group,
		&configuration_dkim_domain_group, &config_spf_group, &config_spf_override_group,
		&config_dmarc_group, &config_dmarc_override_group,
		&configuration_plan_group, &configuration_peers_group, NULL,
	};

	return groups;
}
