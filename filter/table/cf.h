/*
 * cf.h - Postfix's own .cf files for sqlite:, mysql:, pgsql: and ldap: tables
 *
 * "name = value", a line that begins with white space goes on with the one before, # comments. As
 * in Postfix the last of two equal names wins, names that a type does not know are passed over, and
 * nothing is substituted in values.
 */
#ifndef FILTER_TABLE_CF_H
#define FILTER_TABLE_CF_H

#include <stdbool.h>
#include <talloc.h>

struct table_cf;

/* table_cf_load - read a file; NULL and *error_r on ctx. The result is for one thread; freeing it
 * wipes the values. */
struct table_cf *table_cf_load(TALLOC_CTX *ctx, const char *path, const char **error_r);

/* table_cf_path - the file, for messages */
const char *table_cf_path(const struct table_cf *cf);

/* table_cf_text - the value of a name, or standard if it is not set; lives as long as cf */
const char *table_cf_text(const struct table_cf *cf, const char *name, const char *standard);

/* table_cf_need - the same for a name that must have a value; NULL and *error_r (unless an error is
 * there already) */
const char *table_cf_need(
    const struct table_cf *cf, const char *name, const char *example, const char **error_r);

/* table_cf_number - a number from min to max; a wrong one gives standard and *error_r (unless one
 * is there already) */
long table_cf_number(const struct table_cf *cf, const char *name, long standard, long min, long max,
    const char **error_r);

/* table_cf_bool - yes or no; the same */
bool table_cf_bool(
    const struct table_cf *cf, const char *name, bool standard, const char **error_r);

/* table_cf_error - "file:line: text" for a name's value (file alone if it is not set), on cf */
const char *table_cf_error(const struct table_cf *cf, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
