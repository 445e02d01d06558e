/*
 * window_packed.c - a window as it is kept in memory: narrow slots, or none
 *
 * The loops over the older buckets have a fixed length and no branches, so that the
 * compiler can do several buckets at once.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/quota/window_packed.h"

/* window_older_width - the width that the older buckets of a window need */
unsigned int
window_older_width(const struct window *window)
{
	uint64_t any = 0;

	for (size_t i = 1; i < WINDOW_SLOTS; i++)
		any |= window->slots[i];
	if (any == 0)
		return 0;
	if (any <= UINT16_MAX)
		return 2;
	return any <= UINT32_MAX ? 4 : 8;
}

/* window_pack - write window to packed and older */
void
window_pack(
    const struct window *window, struct window_packed *packed, void *older, unsigned int width)
{
	uint16_t *narrow = older;
	uint32_t *middle = older;

	packed->head = window->head;
	packed->total = window->total;
	packed->newest = window->slots[0];
	if (width == 2)
		for (size_t i = 0; i < WINDOW_BUCKETS; i++)
			narrow[i] = (uint16_t)window->slots[i + 1];
	else if (width == 4)
		for (size_t i = 0; i < WINDOW_BUCKETS; i++)
			middle[i] = (uint32_t)window->slots[i + 1];
	else if (width == 8)
		memcpy(older, &window->slots[1], window_older_size(width));
}

/* window_unpack - the window that was packed */
void
window_unpack(const struct window_packed *packed, const void *older, unsigned int width,
    struct window *window_r)
{
	const uint16_t *narrow = older;
	const uint32_t *middle = older;

	window_r->head = packed->head;
	window_r->total = packed->total;
	window_r->slots[0] = packed->newest;
	if (width == 0)
		memset(
		    &window_r->slots[1], 0, sizeof(window_r->slots) - sizeof(window_r->slots[0]));
	else if (width == 2)
		for (size_t i = 0; i < WINDOW_BUCKETS; i++)
			window_r->slots[i + 1] = narrow[i];
	else if (width == 4)
		for (size_t i = 0; i < WINDOW_BUCKETS; i++)
			window_r->slots[i + 1] = middle[i];
	else
		memcpy(&window_r->slots[1], older, window_older_size(width));
}

/* window_packed_add - window_add() without unpacking */
void
window_packed_add(struct window_packed *packed, uint64_t amount)
{
	uint64_t room = (uint64_t)LIMIT_MAX_COUNT - packed->total;

	if (amount > room)
		amount = room;
	packed->newest += amount;
	packed->total += amount;
}
