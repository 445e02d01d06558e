/*
 * table.h - lookup tables in the MTA's own formats: asking and tending
 *
 * A table is opened (open.h) with a snapshot, asked by any number of threads, and freed
 * with the snapshot. A table that cannot answer says TEMPERROR, never "not found".
 * How a type is written: type.h.
 */
#ifndef FILTER_TABLE_TABLE_H
#define FILTER_TABLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/table/env.h"

struct table;
struct table_type;

/*
 * table_make - a table of a type; for open.c
 * spec: for people. argument: what is after its colon. As table_open_with().
 */
struct table *table_make(TALLOC_CTX *ctx, const struct table_env *env,
    const struct table_type *type, const char *spec, const char *argument, const char **error_r);

/* table_is_pattern - is it asked for whole keys only? See table_get_partial(). */
bool table_is_pattern(const struct table *table);

/* table_type_of - its type */
const struct table_type *table_type_of(const struct table *table);

/* table_spec - the specification it was opened with */
const char *table_spec(const struct table *table);

/*
 * table_get - look up one key
 * Keys are compared without regard to ASCII case, as Postfix folds them (patterns decide for
 * themselves). deadline_ms is CLOCK_MONOTONIC in milliseconds; 0: none but the table's own. A key
 * that is not UTF-8 is not found, as in Postfix. *value_r lives at least as long as ctx and the
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

/*
 * table_tend - what is to be done for a table now and then, about every second; may wait
 * A table that is a file is read again when the file has changed and has stayed as it is from one
 * call to the next. A file that is then wrong or gone is logged with file:line, once, and
 * the old content stays. One thread at a time for a table; never on the path of a message.
 */
void table_tend(struct table *table);

#endif
