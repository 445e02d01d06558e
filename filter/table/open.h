/*
 * open.h - open a table by its specification; the list of types
 */
#ifndef FILTER_TABLE_OPEN_H
#define FILTER_TABLE_OPEN_H

#include <talloc.h>

#include "filter/table/table.h"

/*
 * table_open - open a table named as in Postfix: type:argument
 * Types: texthash:/path (also hash:, btree: and lmdb:, whose text source is read), inline:{
 * key=value ... }, cidr:/path, regexp:/path, pcre:/path, sqlite:, mysql:, pgsql: and ldap: with the
 * path of one of Postfix's .cf files, socketmap:ENDPOINT:name, redis:NAME:pattern. "proxy:" in
 * front is ignored. Without env there are no redis: tables, and the limits are the standard ones.
 * Returns NULL and *error_r (file:line if there is one) on ctx when it is unknown, unreadable,
 * malformed or of a type this program was built without. Connects to nothing, but may look up host
 * names.
 */
struct table *table_open(TALLOC_CTX *ctx, const char *spec, const char **error_r);
struct table *table_open_with(TALLOC_CTX *ctx, const struct table_env *env, const char *spec,
    const char **error_r);

/*
 * table_type_index - a small number for the type of a table, the same as long as the process lives
 * table_type_name - the word for such a number, or NULL if it is too large. Types that are read
 * alike (texthash, hash, btree and lmdb) have one number. Any thread.
 */
size_t table_type_index(const struct table *table);
const char *table_type_name(size_t index);

/* table_types - the types this program was built with, in one line on ctx */
const char *table_types(TALLOC_CTX *ctx);

#endif
