/*
 * table.h - lookup tables in the MTA's own formats
 *
 * A table is opened with a snapshot, asked by any number of threads, and freed
 * with the snapshot. A table that cannot answer says TEMPERROR, never "not found".
 * How a type is written: type.h.
 */
#ifndef FILTER_TABLE_TABLE_H
#define FILTER_TABLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/redis/pool.h"

enum table_outcome {
	TABLE_FOUND,
	TABLE_NOT_FOUND,
	TABLE_TEMPERROR
};

struct table;

/* A server of the configuration's redis group, for redis: tables. */
struct table_redis {
	const char *name;
	struct redis_pool_options options; /* without passwords and connections */
	const char *password_file; /* or NULL */
	const char *sentinel_password_file; /* or NULL */
};

/* What holds for all tables that ask a server. */
struct table_limits {
	long timeout_ms;	/* of one lookup, within the caller's deadline */
	long connections;	/* most at once, for each table; >= 1 */
	long cache;		/* answers kept for each table */
	long cache_ms;		/* for how long; 0: not at all */
	long negative_ms;	/* the same for "not found" */
};
#define TABLE_LIMITS_STANDARD	{ 3000, 4, 10000, 30000, 5000 }

/* What opening may need besides the specification; it is copied. */
struct table_env {
	const struct table_redis *redis;
	size_t n_redis;
	struct table_limits limits;
};

/*
 * table_open - open a table named as in Postfix: type:argument
 * Types: texthash:/path (also hash:, btree: and lmdb:, whose text source is read), inline:{
 * key=value ... }, cidr:/path, regexp:/path, pcre:/path, sqlite:, mysql:, pgsql: and ldap: with the
 * path of one of Postfix's .cf files, socketmap:ENDPOINT:name, redis:NAME:pattern. "proxy:" in
 * front is ignored. Without env there are no redis: tables, and the limits are the standard ones.
 * Returns NULL and *error_r (file:line where there is one) on ctx when it is unknown, unreadable,
 * malformed or of a type this program was built without. Connects to nothing, but may look up host
 * names.
 */
struct table *table_open(TALLOC_CTX *ctx, const char *spec, const char **error_r);
struct table *table_open_with(TALLOC_CTX *ctx, const struct table_env *env, const char *spec,
    const char **error_r);

/* table_is_pattern - is it asked for whole keys only? See table_get_partial(). */
bool table_is_pattern(const struct table *table);

/* table_spec - the specification it was opened with */
const char *table_spec(const struct table *table);

/*
 * table_get - look up one key
 * Keys are compared without regard to ASCII case, as Postfix folds them (patterns decide for
 * themselves). deadline_ms is CLOCK_MONOTONIC in milliseconds; 0: none but the table's own. A key
 * that is no UTF-8 is not found, as in Postfix. *value_r lives at least as long as ctx and the
 * table. *error_r, on ctx, is set for TABLE_TEMPERROR only. Any thread.
 */
enum table_outcome table_get(struct table *table, TALLOC_CTX *ctx, const char *key,
    int64_t deadline_ms, const char **value_r, const char **error_r);

/*
 * table_get_partial - the same for a partial key: an address without its sub-address or domain, or
 * a domain alone
 * As in Postfix, pattern tables (regexp, pcre, cidr) are asked for whole keys only; here they
 * return TABLE_NOT_FOUND. A rule that excepts root@ would otherwise be passed by the key @domain.
 */
enum table_outcome table_get_partial(struct table *table, TALLOC_CTX *ctx, const char *key,
    int64_t deadline_ms, const char **value_r, const char **error_r);

/*
 * table_log_failure - a line in the log about a TABLE_TEMPERROR
 * While a server is away every message fails: there is a line every five seconds for each table,
 * with the number of failures it stands for. Any thread.
 */
void table_log_failure(struct table *table, const char *error);

/* table_types - the types this program was built with, in one line on ctx */
const char *table_types(TALLOC_CTX *ctx);

/*
 * table_tend - what is to be done for a table now and then, about every second; may wait
 * A table that is a file is read anew when the file has changed and has stayed as it is from one
 * call to the next. A file that is then wrong or gone is told in the log with file:line, once, and
 * the old content stays. One thread at a time for a table; never on the path of a message.
 */
void table_tend(struct table *table);

#endif
