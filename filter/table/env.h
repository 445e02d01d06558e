/*
 * env.h - what tables are opened with, and what they answer
 */
#ifndef FILTER_TABLE_ENV_H
#define FILTER_TABLE_ENV_H

#include <stddef.h>
#include <talloc.h>

#include "filter/redis/types.h"

enum table_outcome {
	TABLE_FOUND,
	TABLE_NOT_FOUND,
	TABLE_TEMPERROR
};

/* A server of the configuration's redis group, for redis: tables. */
struct table_redis {
	const char *name;
	struct redis_options options; /* without passwords */
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

struct table;
struct table_env;
typedef struct table *table_opener(TALLOC_CTX *ctx, const struct table_env *env, const char *spec,
    const char **error_r);

/* What opening may need besides the specification; it is copied. */
struct table_env {
	const struct table_redis *redis;
	size_t n_redis;
	struct table_limits limits;
	table_opener *open;	/* for tables that name others; set by table_open_with() */
};

#endif
