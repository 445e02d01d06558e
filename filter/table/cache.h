/*
 * cache.h - answers of a server, kept for a while
 *
 * Bounded: the answer not used for longest goes when there is no room. "Not found" is an answer,
 * too; a failure is none.
 *
 * Threads: any number at once.
 */
#ifndef FILTER_TABLE_CACHE_H
#define FILTER_TABLE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

struct table_cache;

/* table_cache_new - room for max answers, found ones for found_ms, others for other_ms (<= 0: not
 * kept) */
struct table_cache *table_cache_new(
    TALLOC_CTX *ctx, size_t max, int64_t found_ms, int64_t other_ms);

/*
 * table_cache_get - is the answer known at now_ms?
 * *value_r is a copy on ctx, or NULL for "not found".
 */
bool table_cache_get(struct table_cache *cache, TALLOC_CTX *ctx, const char *key, int64_t now_ms,
    const char **value_r);

/* table_cache_put - remember an answer; value NULL: not found */
void table_cache_put(struct table_cache *cache, const char *key, const char *value, int64_t now_ms);

/* table_cache_entries - how many answers are kept, for status and tests */
size_t table_cache_entries(struct table_cache *cache);

#endif
