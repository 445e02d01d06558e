/*
 * cache.c - answers of a server, kept for a while
 *
 * A hash table of fixed size with chains, and a list by last use. Strangers choose many of the keys
 * (addresses they write into mail), so the hash is seeded at random, and what they can fill is
 * bounded by number and by the length of a key and a value.
 *
 * Thread rule: everything is under cache->lock. Entries are a talloc tree of their own, because
 * the tree that the cache hangs from is shared by threads.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "filter/table/cache.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define MAX_OCTETS	4096	/* of key and value together; longer answers are not kept */

struct entry {
	struct entry *chain;	/* next in the same slot */
	struct entry *newer, *older; /* by last use */
	size_t slot;
	int64_t until_ms;
	char *value;		/* NULL: not found */
	char key[];
};

struct table_cache {
	pthread_mutex_t lock;
	TALLOC_CTX *memory;
	struct entry **slots;
	size_t n_slots;
	struct entry *newest, *oldest;
	size_t n, max;
	int64_t found_ms, other_ms;
	uint64_t seed;
};

static int
cache_free(struct table_cache *cache)
{
	talloc_free(cache->memory);
	(void)pthread_mutex_destroy(&cache->lock);
	return 0;
}

/* table_cache_new - an empty cache */
struct table_cache *
table_cache_new(TALLOC_CTX *ctx, size_t max, int64_t found_ms, int64_t other_ms)
{
	struct table_cache *cache = mem_new(ctx, struct table_cache);

	(void)pthread_mutex_init(&cache->lock, NULL);
	cache->memory = mem_check(talloc_named_const(NULL, 0, "table cache"));
	cache->max = max;
	cache->n_slots = max + max / 2 + 1;
	cache->slots = mem_array(cache->memory, struct entry *, cache->n_slots);
	cache->found_ms = found_ms;
	cache->other_ms = other_ms;
	if (getrandom(&cache->seed, sizeof(cache->seed), 0) != (ssize_t)sizeof(cache->seed))
		cache->seed = (uint64_t)(uintptr_t)cache;
	talloc_set_destructor(cache, cache_free);
	return cache;
}

/* table_cache_slot_of - by a hash of the key, begun and ended with the seed */
static size_t
table_cache_slot_of(const struct table_cache *cache, const char *key)
{
	uint64_t hash = hash_text(cache->seed ^ HASH_START, key);

	hash = (hash ^ cache->seed >> 7) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)((hash >> 32) % cache->n_slots);
}

/* table_cache_find - the entry of a key, or NULL; with the lock held */
static struct entry *
table_cache_find(const struct table_cache *cache, size_t slot, const char *key)
{
	struct entry *entry = cache->slots[slot];

	while (entry != NULL && strcmp(entry->key, key) != 0)
		entry = entry->chain;
	return entry;
}

/* leave_list - out of the order of use */
static void
leave_list(struct table_cache *cache, struct entry *entry)
{
	*(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
	*(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
}

/* enter_list - as the one used last */
static void
enter_list(struct table_cache *cache, struct entry *entry)
{
	entry->newer = NULL;
	entry->older = cache->newest;
	*(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
	cache->newest = entry;
}

/* table_cache_forget - remove an entry */
static void
table_cache_forget(struct table_cache *cache, struct entry *entry)
{
	struct entry **at = &cache->slots[entry->slot];

	while (*at != entry)
		at = &(*at)->chain;
	*at = entry->chain;
	leave_list(cache, entry);
	talloc_free(entry);
	cache->n--;
}

/* table_cache_get - is the answer known? */
bool
table_cache_get(struct table_cache *cache, TALLOC_CTX *ctx, const char *key, int64_t now_ms,
    const char **value_r)
{
	struct entry *entry;
	bool known = false;

	(void)pthread_mutex_lock(&cache->lock);
	entry = table_cache_find(cache, table_cache_slot_of(cache, key), key);
	if (entry != NULL && entry->until_ms <= now_ms) {
		table_cache_forget(cache, entry);
	} else if (entry != NULL) {
		leave_list(cache, entry);
		enter_list(cache, entry);
		*value_r = entry->value != NULL ? mem_strdup(ctx, entry->value) : NULL;
		known = true;
	}
	(void)pthread_mutex_unlock(&cache->lock);
	return known;
}

/* table_cache_put - remember an answer */
void
table_cache_put(struct table_cache *cache, const char *key, const char *value, int64_t now_ms)
{
	int64_t keep_ms = value != NULL ? cache->found_ms : cache->other_ms;
	size_t len = strlen(key);
	struct entry *entry;

	if (keep_ms <= 0 || cache->max == 0 ||
	    len + (value != NULL ? strlen(value) : 0) > MAX_OCTETS)
		return;
	(void)pthread_mutex_lock(&cache->lock);
	entry = table_cache_find(cache, table_cache_slot_of(cache, key), key);
	if (entry != NULL)
		table_cache_forget(cache, entry);
	while (cache->n >= cache->max)
		table_cache_forget(cache, cache->oldest);
	entry = mem_check(talloc_zero_size(cache->memory, sizeof(*entry) + len + 1));
	memcpy(entry->key, key, len + 1);
	entry->value = value != NULL ? mem_strdup(entry, value) : NULL;
	entry->until_ms = now_ms + keep_ms;
	entry->slot = table_cache_slot_of(cache, key);
	entry->chain = cache->slots[entry->slot];
	cache->slots[entry->slot] = entry;
	enter_list(cache, entry);
	cache->n++;
	(void)pthread_mutex_unlock(&cache->lock);
}

/* table_cache_entries - how many answers are kept */
size_t
table_cache_entries(struct table_cache *cache)
{
	size_t n;

	(void)pthread_mutex_lock(&cache->lock);
	n = cache->n;
	(void)pthread_mutex_unlock(&cache->lock);
	return n;
}
