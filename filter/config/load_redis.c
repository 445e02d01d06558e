/*
 * load_redis.c - the group redis of the configuration: servers, Sentinels, Clusters
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/config/configuration.h"
#include "filter/config/load_redis.h"
#include "filter/config/options.h"
#include "filter/redis/place.h"
#include "filter/redis/tls.h"
#include "policy/base/mem.h"

static void read_places(struct options_reader *, config_setting_t *, void *);

#define AT(type, member)	offsetof(struct type, member)

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
const struct option_group config_redis_group = {
	"a redis server", redis_rows, -1, OPTION_SCOPE_TARGET,
};

/* read_places - one server or several; kept as one text, separated by spaces */
static void
read_places(struct options_reader *reader, config_setting_t *setting, void *target)
{
	const char **text = target;
	struct words words = { 0 };
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

/* config_redis_read - redis = { main = { server = ... } } */
void
config_redis_read(struct options_reader *reader, config_setting_t *setting, void *target)
{
	static const struct { const char *word; enum store_on_away value;
	} aways[] = {
		{ "local", STORE_AWAY_LOCAL },
		{ "accept", STORE_AWAY_ACCEPT },
		{ "tempfail", STORE_AWAY_TEMPFAIL },
	};
	struct config *config = target;
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
		options_group(reader, member, &config_redis_group, redis);
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
