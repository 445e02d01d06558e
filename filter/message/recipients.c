/*
 * recipients.c - a set of names by open addressing
 *
 * A message may have thousands of recipients, in any order, named twice; each
 * is looked up once. Lives and dies with its message; one thread at a time.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdint.h>
#include <string.h>

#include "filter/message/recipients.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

struct recipients {
	char **slots;		/* NULL: free */
	size_t room;		/* slots, a power of two */
	size_t n;		/* slots taken */
	size_t last;		/* the slot taken last */
};

/* recipients_slot_of - where a name is, or where it would go */
static size_t
recipients_slot_of(const struct recipients *set, const char *name)
{
	size_t slot = (size_t)hash_text(HASH_START, name) & (set->room - 1);

	while (set->slots[slot] != NULL && strcmp(set->slots[slot], name) != 0)
		slot = (slot + 1) & (set->room - 1);
	return slot;
}

/* recipients_new - an empty set */
struct recipients *
recipients_new(TALLOC_CTX *ctx)
{
	struct recipients *set = mem_new(ctx, struct recipients);

	set->room = 16;
	set->slots = mem_array(set, char *, set->room);
	return set;
}

/* recipients_grow - twice the room */
static void
recipients_grow(struct recipients *set)
{
	char **old = set->slots;
	size_t room = set->room;

	set->room *= 2;
	set->slots = mem_array(set, char *, set->room);
	for (size_t i = 0; i < room; i++)
		if (old[i] != NULL)
			set->slots[recipients_slot_of(set, old[i])] = old[i];
	talloc_free(old);
}

/* recipients_add - add a name */
bool
recipients_add(struct recipients *set, const char *name)
{
	size_t slot;

	if (set->n * 2 >= set->room)
		recipients_grow(set);
	slot = recipients_slot_of(set, name);
	if (set->slots[slot] != NULL)
		return false;
	set->slots[slot] = mem_strdup(set, name);
	set->last = slot;
	set->n++;
	return true;
}

/* recipients_remove_last - take back the last name; nothing can lie behind it in its run yet */
void
recipients_remove_last(struct recipients *set)
{
	talloc_free(set->slots[set->last]);
	set->slots[set->last] = NULL;
	set->n--;
}

/* recipients_list - all names */
const char **
recipients_list(const struct recipients *set, TALLOC_CTX *ctx)
{
	const char **list = mem_array(ctx, const char *, set->n + 1);
	size_t n = 0;

	for (size_t i = 0; i < set->room; i++)
		if (set->slots[i] != NULL)
			list[n++] = set->slots[i];
	return list;
}

/* recipients_count - how many there are */
size_t
recipients_count(const struct recipients *set)
{
	return set->n;
}
