/*
 * lookup.h - one key in a list of tables
 */
#ifndef FILTER_MESSAGE_LOOKUP_H
#define FILTER_MESSAGE_LOOKUP_H

#include <stdint.h>
#include <talloc.h>

#include "filter/daemon/snapshot.h"

/*
 * lookup_key - ask the tables of a list in turn
 * Falls through to the next on "not found" only; a table that cannot answer ends the search
 * with TABLE_TEMPERROR and, now and then, a line in the log. *value_r as for table_get(). Any
 * thread.
 */
enum table_outcome lookup_key(TALLOC_CTX *ctx, const struct snapshot *snapshot,
    const struct table_list *list, const char *key, int64_t deadline_ms, const char **value_r);

/*
 * lookup_address - the same for an address and its partial keys
 * In Postfix's order: user+tag@domain, user@domain, user (of our realm), @domain; the first hit
 * decides.
 */
enum table_outcome lookup_address(TALLOC_CTX *ctx, const struct snapshot *snapshot,
    const struct table_list *list, const char *address, int64_t deadline_ms, const char **value_r);

#endif
