/*
 * redis.c - redis: tables, one string in Redis for each key
 *
 * redis:NAME:PATTERN, where NAME is a server of the configuration's redis group and PATTERN is the
 * Redis key, with the placeholders of the .cf files: redis:main:owner:%s. The value is what GET
 * gives.
 *
 * Connections are those of pool.h, which waits until a deadline by itself; its failures mean here
 * what they mean there.
 *
 * Threads: the pool has locks; the rest is read-only.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/password_file.h"
#include "filter/redis/pool.h"
#include "filter/table/rules.h"
#include "policy/base/mem.h"

struct redis_table {
	struct redis_pool *pool;
	struct rules rules;
	const char *pattern;
	int64_t resolve_ms;	/* the tending thread's: when the server is looked for again */
	int64_t resolve_every_ms;
};

#define RESOLVE_EVERY_MS	30000	/* a name, which may lead elsewhere */
#define DISCOVER_EVERY_MS 1000 /* a master; the pool itself knows when to ask who is master */

/* find_server - a server of the configuration by its name (len octets) */
static const struct table_redis *
find_server(const struct table_env *env, const char *name, size_t len)
{
	for (size_t i = 0; i < env->n_redis; i++)
		if (strlen(env->redis[i].name) == len && memcmp(env->redis[i].name, name, len) == 0)
			return &env->redis[i];
	return NULL;
}

/* read_password - from its file, if one is named; false with an error */
static bool
read_password(TALLOC_CTX *ctx, const char *file, char **password_r, const char **error_r)
{
	if (file == NULL)
		return true;
	*password_r = password_file_read(ctx, file, error_r);
	return *password_r != NULL;
}

/* new_pool - connections to a server */
static struct redis_pool *
new_pool(TALLOC_CTX *ctx, struct redis_table *table, const struct table_redis *server,
    const struct table_limits *limits, const char **error_r)
{
	struct redis_options options = server->options;
	char *password = NULL, *sentinel_password = NULL;
	struct redis_pool *pool = NULL;
	const char *ignored;

	if (read_password(ctx, server->password_file, &password, error_r) &&
	    read_password(ctx, server->sentinel_password_file, &sentinel_password, error_r)) {
		options.password = password;
		options.sentinel_password = sentinel_password;
		pool = talloc_steal(table,
		    redis_pool_new(ctx, &options, (unsigned int)limits->connections, error_r));
	}
	password_wipe(password);
	password_wipe(sentinel_password);
	if (pool == NULL)
		return NULL;
	table->resolve_every_ms =
	    options.sentinels != NULL || options.cluster ? DISCOVER_EVERY_MS : RESOLVE_EVERY_MS;
	(void)redis_pool_resolve(pool, table, &ignored);	/* tried again by redis_tend */
	return pool;
}

static void *
redis_open(TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct table_limits limits = env->limits;
	const struct table_redis *server;
	struct redis_table *table;
	size_t len = strcspn(argument, ":");
	const char *why;

	if (argument[len] == '\0' || argument[len + 1] == '\0') {
		*error_r = mem_printf(ctx,
		    "\"redis:%s\" has no pattern; write for example redis:main:owner:%%s",
		    argument);
		return NULL;
	}
	server = find_server(env, argument, len);
	if (server == NULL) {
		*error_r = mem_printf(ctx,
		    "the redis group of the configuration has no server named \"%.*s\"", (int)len,
		    argument);
		return NULL;
	}
	table = mem_new(ctx, struct redis_table);
	table->rules.result_format = "%s";
	table->pattern = mem_strdup(table, argument + len + 1);
	if (!rules_template(table, &table->rules, table->pattern, false, &why)) {
		*error_r = mem_printf(ctx, "redis:%s: %s", argument, why);
		talloc_free(table);
		return NULL;
	}
	table->pool = new_pool(ctx, table, server, &limits, error_r);
	if (table->pool != NULL)
		return table;
	talloc_free(table);
	return NULL;
}

/* redis_table_read_reply - what GET gave */
static void
redis_table_read_reply(const struct redis_table *table, TALLOC_CTX *ctx, const redisReply *reply,
    const char *key, struct table_answer *answer)
{
	struct rules_result result = { NULL, 0 };

	answer->outcome = TABLE_NOT_FOUND;
	if (reply->type == REDIS_REPLY_NIL)
		return;
	if (reply->type != REDIS_REPLY_STRING)
		answer->error = "the reply to GET is not a string";
	else if (rules_add(ctx, &table->rules, &result, key, reply->str, (size_t)reply->len,
		     &answer->error) &&
	    result.value != NULL) {
		answer->outcome = TABLE_FOUND;
		answer->value = result.value;
	}
	if (answer->error != NULL)
		answer->outcome = TABLE_TEMPERROR;
}

static void
redis_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	struct redis_table *table = state;
	const char *argv[2] = { "GET", NULL };
	size_t argv_len[2] = { 3, 0 };
	enum pool_outcome outcome;
	redisReply *reply;
	bool bad;

	argv[1] = rules_query(ctx, &table->rules, table->pattern, key, NULL, NULL, &bad);
	if (argv[1] == NULL) {
		answer_r->outcome = TABLE_NOT_FOUND;
		return;
	}
	argv_len[1] = strlen(argv[1]);
	outcome = redis_pool_call(
	    table->pool, ctx, 2, argv, argv_len, true, deadline_ms, &reply, &answer_r->error);
	if (outcome == POOL_ANSWERED) {
		answer_r->error = NULL;
		redis_table_read_reply(table, ctx, reply, key, answer_r);
		freeReplyObject(reply);
		return;
	}
	answer_r->outcome = TABLE_TEMPERROR;
	answer_r->away = outcome != POOL_BROKEN && outcome != POOL_NOSCRIPT;
}

/* redis_tend - the server's name may lead elsewhere by now */
static void
redis_tend(void *state)
{
	struct redis_table *table = state;
	TALLOC_CTX *tmp;
	const char *ignored;

	if (clock_ms() < table->resolve_ms)
		return;
	table->resolve_ms = clock_ms() + table->resolve_every_ms;
	tmp = mem_check(talloc_new(NULL));
	(void)redis_pool_resolve(table->pool, tmp, &ignored);
	talloc_free(tmp);
}

const struct table_type table_redis = { "redis", TABLE_FOLD | TABLE_REMOTE, redis_open, redis_get,
	NULL, redis_tend };
