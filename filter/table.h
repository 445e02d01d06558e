/*
 * table.h - lookup tables in the MTA's own formats
 *
 * A table is opened with a snapshot, asked by any number of threads, and freed
 * with the snapshot. A table that cannot answer says TEMPERROR, never "not found".
 */
#ifndef FILTER_TABLE_H
#define FILTER_TABLE_H

#include <stdint.h>
#include <talloc.h>

enum table_outcome {
	TABLE_FOUND,
	TABLE_NOT_FOUND,
	TABLE_TEMPERROR
};

struct table;

/* One kind of table: what its opener returns. */
struct table_type {
	const char *name;	/* before the colon of a specification */
	/* open: state on ctx, or NULL with *error_r on ctx */
	void *(*open)(TALLOC_CTX *ctx, const char *argument, const char **error_r);
	/* get: *value_r on ctx (or owned by the table, for its life) when found; *error_r for
	 * TABLE_TEMPERROR; deadline_ms is CLOCK_MONOTONIC in milliseconds */
	enum table_outcome (*get)(const void *state, TALLOC_CTX *ctx, const char *key,
	    int64_t deadline_ms, const char **value_r, const char **error_r);
};

/*
 * table_open - open a table named as in Postfix: type:argument
 * Types: texthash:/path (also hash:, btree: and lmdb:, whose text source is read), inline:{ key=value ... },
 * cidr:/path (networks in file order, the first that holds the address wins).
 * "proxy:" in front is ignored. Returns NULL and *error_r (file:line where
 * there is one) on ctx when it is unknown, unreadable or malformed.
 */
struct table *table_open(TALLOC_CTX *ctx, const char *spec, const char **error_r);

/* table_spec - the specification it was opened with */
const char *table_spec(const struct table *table);

/*
 * table_get - look up one key
 * Keys are compared without regard to ASCII case, as Postfix folds them. *value_r lives at
 * least as long as ctx and the table. *error_r is set for TABLE_TEMPERROR only. Any thread.
 */
enum table_outcome table_get(const struct table *table, TALLOC_CTX *ctx, const char *key,
    int64_t deadline_ms, const char **value_r, const char **error_r);

/* The types, one file each. */
extern const struct table_type table_texthash;
extern const struct table_type table_inline;
extern const struct table_type table_cidr;

#endif
