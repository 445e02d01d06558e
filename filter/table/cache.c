/*
 * cache.c - answers of a server, kept for a while
 *
 * Strangers choose many of the keys (addresses they write into mail), so the hash is seeded at
 * random, and what they can fill is bounded by number and by the length of a key and a value.
 *
 * Thread rule: everything is under cache->lock. The map is a talloc tree of its own, because
 * the tree that the cache hangs from is shared by threads.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "filter/table/cache.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"

#define MAX_OCTETS	4096	/* of key and value together; longer answers are not kept */

struct answer {
	int64_t until_ms;
	char *text;		/* NULL: not found */
};

struct table_cache {
	pthread_mutex_t lock;
	struct map *answers;	/* key => struct answer */
	size_t max;
	int64_t found_ms, other_ms;
};

static int
cache_free(struct table_cache *cache)
{
	talloc_free(cache->answers);
	(void)pthread_mutex_destroy(&cache->lock);
	return 0;
}

/* answer_gone - the end of an answer */
static void
answer_gone(void *value)
{
	talloc_free(((struct answer *)value)->text);
}

/* table_cache_new - an empty cache */
struct table_cache *
table_cache_new(TALLOC_CTX *ctx, size_t max, int64_t found_ms, int64_t other_ms)
{
	struct table_cache *cache = mem_new(ctx, struct table_cache);
	struct map_options options = { .value_size = sizeof(struct answer), .max = max,
	    .gone = answer_gone };

	(void)pthread_mutex_init(&cache->lock, NULL);
	if (getrandom(&options.seed, sizeof(options.seed), 0) != (ssize_t)sizeof(options.seed))
		options.seed = (uint64_t)(uintptr_t)cache;
	cache->answers = map_new(NULL, &options);
	cache->max = max;
	cache->found_ms = found_ms;
	cache->other_ms = other_ms;
	talloc_set_destructor(cache, cache_free);
	return cache;
}

/* table_cache_get - is the answer known? */
bool
table_cache_get(struct table_cache *cache, TALLOC_CTX *ctx, const char *key, int64_t now_ms,
    const char **value_r)
{
	struct answer *answer;
	bool known = false;

	(void)pthread_mutex_lock(&cache->lock);
	answer = map_find(cache->answers, key);
	if (answer != NULL && answer->until_ms <= now_ms) {
		map_remove(cache->answers, answer);
	} else if (answer != NULL) {
		map_used(cache->answers, answer);
		*value_r = mem_strdup_or_null(ctx, answer->text);
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
	struct answer *answer;

	if (keep_ms <= 0 || cache->max == 0 ||
	    strlen(key) + (value != NULL ? strlen(value) : 0) > MAX_OCTETS)
		return;
	(void)pthread_mutex_lock(&cache->lock);
	answer = map_put(cache->answers, key, NULL);
	map_used(cache->answers, answer);
	talloc_free(answer->text);
	*answer = (struct answer){ now_ms + keep_ms, mem_strdup_or_null(cache->answers, value) };
	(void)pthread_mutex_unlock(&cache->lock);
}

/* table_cache_entries - how many answers are kept */
size_t
table_cache_entries(struct table_cache *cache)
{
	size_t n;

	(void)pthread_mutex_lock(&cache->lock);
	n = map_count(cache->answers);
	(void)pthread_mutex_unlock(&cache->lock);
	return n;
}
