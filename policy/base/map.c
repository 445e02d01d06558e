/*
 * map.c - a hash table from texts to values of one size, bounded if wanted
 *
 * Slots lead to chains; all entries are also in a list, the newest first. An entry is one piece of
 * memory: its links, the value, the key.
 *
 * Four tables stay apart. embedded_table.c: the layout of a subject is what makes a charge cheap.
 * texthash.c: values have no one size, and all records of a file are in one piece of memory.
 * signing_table.c: several rows have one key, and the order of the file decides. key_shortcut.c:
 * compares handles in constant time and wipes them; its public keys are in sets of four.
 *
 * Threads: see map.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/hash.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"

#define FIRST_SLOTS	16
#define FIRST_BLOCK	1024
#define LAST_BLOCK	65536	/* octets; each block is twice the one before, up to this */
#define UNIT		16	/* entries begin at multiples of it */

struct entry {
	struct entry *chain;	/* next in the same slot */
	struct entry *newer, *older;
	uint64_t hash;
	char value[];		/* then the key */
};

_Static_assert(offsetof(struct entry, value) % UNIT == 0, "a value must be aligned");

struct map {
	struct map_options options;
	struct entry **slots;
	size_t n_slots;		/* a power of two */
	size_t n;
	struct entry *newest, *oldest;
	char *block;		/* without a bound: what entries are cut from */
	size_t block_left, block_size;
};

/* map_entry - the entry of a value */
static struct entry *
map_entry(const void *value)
{
	return (struct entry *)(uintptr_t)((const char *)value - offsetof(struct entry, value));
}

/* map_free - destructor: the values end */
static int
map_free(struct map *map)
{
	for (struct entry *entry = map->newest; entry != NULL; entry = entry->older)
		map->options.gone(entry->value);
	return 0;
}

struct map *
map_new(TALLOC_CTX *ctx, const struct map_options *options)
{
	struct map *map = mem_new(ctx, struct map);

	map->options = *options;
	map->n_slots = FIRST_SLOTS;
	map->slots = mem_array(map, struct entry *, map->n_slots);
	map->block_size = FIRST_BLOCK;
	if (options->gone != NULL)
		talloc_set_destructor(map, map_free);
	return map;
}

/* map_slot - where the chain of a hash begins */
static struct entry **
map_slot(const struct map *map, uint64_t hash)
{
	return &map->slots[hash & (map->n_slots - 1)];
}

/* map_lookup - the entry of a key, or NULL */
static struct entry *
map_lookup(const struct map *map, const char *key, uint64_t hash)
{
	struct entry *entry = *map_slot(map, hash);

	while (entry != NULL && (entry->hash != hash ||
	    strcmp(entry->value + map->options.value_size, key) != 0))
		entry = entry->chain;
	return entry;
}

void *
map_find(const struct map *map, const char *key)
{
	struct entry *entry =
	    map_lookup(map, key, hash_quick(map->options.seed, key, strlen(key)));

	return entry == NULL ? NULL : entry->value;
}

/* map_enlarge - twice the slots */
static void
map_enlarge(struct map *map)
{
	talloc_free(map->slots);
	map->n_slots *= 2;
	map->slots = mem_array(map, struct entry *, map->n_slots);
	for (struct entry *entry = map->newest; entry != NULL; entry = entry->older) {
		struct entry **slot = map_slot(map, entry->hash);

		entry->chain = *slot;
		*slot = entry;
	}
}

/* map_list - enter the list as the newest */
static void
map_list(struct map *map, struct entry *entry)
{
	entry->newer = NULL;
	entry->older = map->newest;
	*(map->newest != NULL ? &map->newest->newer : &map->oldest) = entry;
	map->newest = entry;
}

/* map_unlist - leave the list */
static void
map_unlist(struct map *map, const struct entry *entry)
{
	*(entry->newer != NULL ? &entry->newer->older : &map->newest) = entry->older;
	*(entry->older != NULL ? &entry->older->newer : &map->oldest) = entry->newer;
}

void
map_used(struct map *map, void *value)
{
	map_unlist(map, map_entry(value));
	map_list(map, map_entry(value));
}

/* map_size - octets of an entry with a key of so many */
static size_t
map_size(const struct map *map, size_t len)
{
	size_t size = sizeof(struct entry) + map->options.value_size + len + 1;

	return (size + UNIT - 1) & ~(size_t)(UNIT - 1);
}

/* map_give_back - the memory of an entry: of those that were cut from a block, of the last one */
static void
map_give_back(struct map *map, struct entry *entry)
{
	size_t size = map_size(map, strlen(map_key(map, entry->value)));

	if (map->options.max > 0) {
		talloc_free(entry);
	} else if ((char *)entry == map->block + map->block_left) {
		memset(entry, 0, size);
		map->block_left += size;
	}
}

void
map_remove(struct map *map, void *value)
{
	struct entry *entry = map_entry(value), **at = map_slot(map, entry->hash);

	while (*at != entry)
		at = &(*at)->chain;
	*at = entry->chain;
	map_unlist(map, entry);
	map->n--;
	if (map->options.gone != NULL)
		map->options.gone(value);
	map_give_back(map, entry);
}

/* map_make_room - forget the oldest that may go */
static void
map_make_room(struct map *map)
{
	struct entry *entry = map->oldest;

	while (entry != NULL && map->options.may_go != NULL && !map->options.may_go(entry->value))
		entry = entry->newer;
	if (entry != NULL)
		map_remove(map, entry->value);
}

/* map_cut - memory for an entry, all zero */
static void *
map_cut(struct map *map, size_t size)
{
	if (map->options.max > 0 || size > map->block_size)
		return mem_check(talloc_zero_size(map, size));
	if (size > map->block_left) {
		map->block = mem_check(talloc_zero_size(map, map->block_size));
		map->block_left = map->block_size;
		if (map->block_size < LAST_BLOCK)
			map->block_size *= 2;
	}
	map->block_left -= size;
	return map->block + map->block_left;
}

void *
map_put(struct map *map, const char *key, bool *new_r)
{
	size_t len = strlen(key);
	uint64_t hash = hash_quick(map->options.seed, key, len);
	struct entry *entry = map_lookup(map, key, hash), **slot;

	if (new_r != NULL)
		*new_r = entry == NULL;
	if (entry != NULL)
		return entry->value;
	if (map->options.max > 0 && map->n >= map->options.max)
		map_make_room(map);
	if (map->n >= map->n_slots)
		map_enlarge(map);
	entry = map_cut(map, map_size(map, len));
	memcpy(entry->value + map->options.value_size, key, len + 1);
	entry->hash = hash;
	slot = map_slot(map, hash);
	entry->chain = *slot;
	*slot = entry;
	map_list(map, entry);
	map->n++;
	return entry->value;
}

void *
map_next(const struct map *map, const void *value)
{
	struct entry *entry = value == NULL ? map->newest : map_entry(value)->older;

	return entry == NULL ? NULL : entry->value;
}

const char *
map_key(const struct map *map, const void *value)
{
	return (const char *)value + map->options.value_size;
}

size_t
map_count(const struct map *map)
{
	return map->n;
}
