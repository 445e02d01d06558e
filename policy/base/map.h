/*
 * map.h - a hash table from texts to values of one size, bounded if wanted
 *
 * The one table of chains in memory. Its declaration says what a map holds:
 *
 *	struct map *plans;	(account => struct plan)
 *
 * A value is memory of the map, all zero at first, and stays at its place until it is removed.
 * A full map forgets the value that was entered or used longest ago; without a bound values are
 * cut from blocks and cost no allocation each.
 *
 * Threads: the caller's lock guards the map. map_find(), map_key() and map_next() change nothing
 * and may be called by all threads at once while no other function is. Values are talloc children
 * of the map, so a map that threads change must be a talloc root (ctx NULL).
 */
#ifndef POLICY_BASE_MAP_H
#define POLICY_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

struct map;

struct map_options {
	size_t value_size;	/* octets of a value */
	size_t max;		/* values at most; 0: no bound */
	uint64_t seed;		/* random if strangers choose keys; else 0 */
	/* May a full map forget this one? NULL: any. If none may go, it exceeds its bound. */
	bool (*may_go)(const void *value);
	/* What else ends with a value that is removed or forgotten. NULL: nothing. */
	void (*gone)(void *value);
};

/* map_new - an empty map on ctx; freeing it calls gone for each value */
struct map *map_new(TALLOC_CTX *ctx, const struct map_options *options);

/* map_find - the value of a key, or NULL */
void *map_find(const struct map *map, const char *key);

/* map_put - the value of a key, which is made if there is none; *new_r (may be NULL): it was */
void *map_put(struct map *map, const char *key, bool *new_r);

/* map_used - a value was used: it is forgotten last */
void map_used(struct map *map, void *value);

/* map_remove - a value and its key end */
void map_remove(struct map *map, void *value);

/* map_next - the value after another, from the newest (NULL) to the oldest; NULL: there is none */
void *map_next(const struct map *map, const void *value);

/* map_key - the key of a value; as long as the value */
const char *map_key(const struct map *map, const void *value);

/* map_count - the number of values */
size_t map_count(const struct map *map);

#endif
