/*
 * type.h - what a type of table is made of; for the table_*.c files only
 *
 * A type is one row of functions in a file of its own. What all of them need (folding keys,
 * caching, not asking a server that is known to have failed) is done by table.c.
 */
#ifndef FILTER_TABLE_TYPE_H
#define FILTER_TABLE_TYPE_H

#include <stdint.h>
#include <talloc.h>

#include "filter/table/env.h"

/* What came of asking. Strings are on the asker's ctx, or owned by the state for its life. */
struct table_answer {
	enum table_outcome outcome;
	const char *value;	/* TABLE_FOUND */
	const char *error;	/* TABLE_TEMPERROR */
	bool away; /* TABLE_TEMPERROR: the server could not be asked at all, whatever the key */
};

/* Flags of a type. */
#define TABLE_FOLD	1u	/* keys are lower-cased before they are asked for */
#define TABLE_REMOTE	2u	/* asks a server: answers are cached, failures remembered */
#define TABLE_FILE	4u	/* the argument is a file that is read whole at open */
#define TABLE_CDB	16u	/* TABLE_FILE: the file is the argument with ".cdb" after */
#define TABLE_PATTERN	8u	/* keys are matched, not found: partial keys are never asked for */

struct table_type {
	const char *name;	/* before the colon of a specification */
	unsigned int flags;
	/* open: state on ctx, or NULL with *error_r on ctx */
	void *(*open)(TALLOC_CTX *ctx, const struct table_env *env, const char *argument,
	    const char **error_r);
	/* get: fills *answer_r, which is zeroed; from any thread. deadline_ms is never 0 for
	 * TABLE_REMOTE, and the answer must be there by then. */
	void (*get)(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
	    struct table_answer *answer_r);
	/* get_partial: as get, for a partial key; for types made of other tables, else NULL */
	void (*get_partial)(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
	    struct table_answer *answer_r);
	/* tend: what is to be done now and then, by a thread that may wait; or NULL */
	void (*tend)(void *state);
};

/* The types, one file each; those of optional libraries exist if these were found. */
extern const struct table_type table_texthash;
extern const struct table_type table_inline;
extern const struct table_type table_cidr;
extern const struct table_type table_static;
extern const struct table_type table_union;
extern const struct table_type table_pipe;
extern const struct table_type table_cdb;
extern const struct table_type table_mmdb;
extern const struct table_type table_regexp;
extern const struct table_type table_pcre;
extern const struct table_type table_sqlite;
extern const struct table_type table_mysql;
extern const struct table_type table_pgsql;
extern const struct table_type table_ldap;
extern const struct table_type table_socketmap;
extern const struct table_type table_redis;

#endif
