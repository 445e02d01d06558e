/*
 * table.c - a table by its specification, and the list of types
 *
 * A new type is one file and one row in types[]. What is the same for all is here: keys are
 * checked and folded; for tables that ask a server, answers are cached, and a server that has
 * failed is left alone for a moment.
 *
 * Threads: what a type opened is read-only or has locks of its own; so have cache and breaker.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/clock.h"
#include "filter/log.h"
#include "filter/table_breaker.h"
#include "filter/table_cache.h"
#include "filter/table_type.h"
#include "policy/mem.h"
#include "policy/text.h"

struct table {
	const struct table_type *type;
	void *state;
	const char *spec;
	struct table_limits limits;
	struct table_cache *cache;	/* TABLE_REMOTE */
	struct table_breaker *breaker;	/* TABLE_REMOTE */
};

struct type_row {
	const char *prefix;
	const struct table_type *type;	/* NULL: this program was built without it */
	const char *package;		/* what would have made the difference */
};

#ifdef HAVE_PCRE2
#define PCRE	&table_pcre
#else
#define PCRE	NULL
#endif
#ifdef HAVE_SQLITE
#define SQLITE	&table_sqlite
#else
#define SQLITE	NULL
#endif

#ifdef HAVE_MYSQL
#define MYSQL_TABLE	&table_mysql
#else
#define MYSQL_TABLE	NULL
#endif
#ifdef HAVE_PGSQL
#define PGSQL	&table_pgsql
#else
#define PGSQL	NULL
#endif
#ifdef HAVE_LDAP
#define LDAP_TABLE	&table_ldap
#else
#define LDAP_TABLE	NULL
#endif

/* The indexed types of Postfix are made from a text file of the same name; that text is read. */
static const struct type_row types[] = {
	{ "texthash", &table_texthash, NULL },
	{ "hash", &table_texthash, NULL },
	{ "btree", &table_texthash, NULL },
	{ "lmdb", &table_texthash, NULL },
	{ "inline", &table_inline, NULL },
	{ "cidr", &table_cidr, NULL },
	{ "regexp", &table_regexp, NULL },
	{ "pcre", PCRE, "libpcre2-dev" },
	{ "redis", &table_redis, NULL },
	{ "socketmap", &table_socketmap, NULL },
	{ "sqlite", SQLITE, "libsqlite3-dev" },
	{ "mysql", MYSQL_TABLE, "libmariadb-dev" },
	{ "pgsql", PGSQL, "libpq-dev" },
	{ "ldap", LDAP_TABLE, "libldap-dev" },
};

/* row_of - the row a specification names, and where its argument begins */
static const struct type_row *
row_of(const char *spec, const char **argument_r)
{
	const char *colon = strchr(spec, ':');

	if (colon == NULL)
		return NULL;
	*argument_r = colon + 1;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i].prefix) == (size_t)(colon - spec) &&
		    strncmp(types[i].prefix, spec, (size_t)(colon - spec)) == 0)
			return &types[i];
	return NULL;
}

/* table_limits_of - the limits of env, or the standard ones */
struct table_limits
table_limits_of(const struct table_env *env)
{
	static const struct table_limits standard = TABLE_LIMITS_STANDARD;

	return env != NULL ? env->limits : standard;
}

/* find_type - the type of a specification, or NULL and what to do */
static const struct table_type *
find_type(TALLOC_CTX *ctx, const char *spec, const char **argument_r, const char **error_r)
{
	const struct type_row *row = row_of(strncmp(spec, "proxy:", 6) == 0 ? spec + 6 : spec, argument_r);

	if (row == NULL)
		*error_r = mem_printf(ctx, "\"%s\" is no table known here; write texthash:/path/to/file", spec);
	else if (row->type == NULL)
		*error_r = mem_printf(ctx, "\"%s\": this countersign was built without %s tables; install %s and build it anew",
		    spec, row->prefix, row->package);
	return row != NULL ? row->type : NULL;
}

/* table_open_with - open a table named as in Postfix */
struct table *
table_open_with(TALLOC_CTX *ctx, const struct table_env *env, const char *spec, const char **error_r)
{
	struct table *table = mem_new(ctx, struct table);
	const char *argument = NULL, *error = NULL;

	table->spec = mem_strdup(table, spec);
	table->limits = table_limits_of(env);
	table->type = find_type(table, spec, &argument, &error);
	if (table->type != NULL)
		table->state = table->type->open(table, env, argument, &error);
	if (table->state == NULL) {
		*error_r = mem_strdup(ctx, error);
		talloc_free(table);
		return NULL;
	}
	if (table->type->flags & TABLE_REMOTE) {
		table->breaker = table_breaker_new(table);
		table->cache = table_cache_new(table, (size_t)table->limits.cache, table->limits.cache_ms,
		    table->limits.negative_ms);
	}
	return table;
}

/* table_open - the same with nothing besides */
struct table *
table_open(TALLOC_CTX *ctx, const char *spec, const char **error_r)
{
	return table_open_with(ctx, NULL, spec, error_r);
}

/* table_spec - the specification it was opened with */
const char *
table_spec(const struct table *table)
{
	return table->spec;
}

/* ask_server - ask, unless the server has just failed; note how it went */
static void
ask_server(struct table *table, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer)
{
	int64_t now_ms = clock_ms();

	if (deadline_ms == 0 || deadline_ms > now_ms + table->limits.timeout_ms)
		deadline_ms = now_ms + table->limits.timeout_ms;
	answer->outcome = TABLE_TEMPERROR;
	if (!table_breaker_may(table->breaker, ctx, now_ms, &answer->error))
		return;
	table->type->get(table->state, ctx, key, deadline_ms, answer);
	now_ms = clock_ms();
	if (table_breaker_report(table->breaker, now_ms, answer->away ? answer->error : NULL) && !answer->away)
		log_info("table %s answers again", table->spec);
	if (answer->outcome != TABLE_TEMPERROR)
		table_cache_put(table->cache, key, answer->outcome == TABLE_FOUND ? answer->value : NULL, now_ms);
}

/* ask - by the cache or by the type */
static void
ask(struct table *table, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms, struct table_answer *answer)
{
	if (!(table->type->flags & TABLE_REMOTE)) {
		table->type->get(table->state, ctx, key, deadline_ms, answer);
		return;
	}
	if (!table_cache_get(table->cache, ctx, key, clock_ms(), &answer->value)) {
		ask_server(table, ctx, key, deadline_ms, answer);
		return;
	}
	answer->outcome = answer->value != NULL ? TABLE_FOUND : TABLE_NOT_FOUND;
}

/* folded - a key in lower case, on ctx where that changes it */
static const char *
folded(TALLOC_CTX *ctx, const char *key, size_t len)
{
	const char *lower;

	if (!text_is_ascii(key, len)) {
		lower = text_fold_utf8(ctx, key, len, true);
		return lower != NULL ? lower : key;
	}
	for (size_t i = 0; i < len; i++)
		if (key[i] != text_lower(key[i]))
			return text_lower_copy(ctx, key, len);
	return key;
}

/* table_get - look up one key */
enum table_outcome
table_get(struct table *table, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    const char **value_r, const char **error_r)
{
	struct table_answer answer = { .outcome = TABLE_NOT_FOUND };
	size_t len = strlen(key);

	if (len == 0 || !text_is_utf8(key, len))
		return TABLE_NOT_FOUND;
	if (table->type->flags & TABLE_FOLD)
		key = folded(ctx, key, len);
	ask(table, ctx, key, deadline_ms, &answer);
	/* as in Postfix: who has nothing to say must say "not found" */
	if (answer.outcome == TABLE_FOUND && answer.value[0] == '\0') {
		answer.outcome = TABLE_TEMPERROR;
		answer.error = "the value is empty";
	}
	if (answer.outcome == TABLE_FOUND && table->type->flags & TABLE_REMOTE &&
	    !text_is_utf8(answer.value, strlen(answer.value))) {
		answer.outcome = TABLE_TEMPERROR;
		answer.error = "the value is no UTF-8";
	}
	if (answer.outcome == TABLE_FOUND)
		*value_r = answer.value;
	else if (answer.outcome == TABLE_TEMPERROR)
		*error_r = answer.error != NULL ? answer.error : "no reason given";
	return answer.outcome;
}
