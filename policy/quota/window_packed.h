/*
 * window_packed.h - a window as it is kept in memory: narrow slots, or none
 *
 * A struct window takes 408 octets, and most of its slots are zero or small. Packed, the newest
 * bucket and the total stand in full; the older buckets take 2, 4 or 8 octets each, whatever
 * the largest needs, or nothing while all are zero. Where the older ones lie is the caller's
 * business, so that those of several windows can share a piece of memory.
 *
 * Nothing is counted here: unpack, count by window.h, pack. Only the bucket that is filling may be
 * added to as it stands, which is what most messages do.
 *
 * Pure. Threads: the caller's lock guards the structs.
 */
#ifndef POLICY_QUOTA_WINDOW_PACKED_H
#define POLICY_QUOTA_WINDOW_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/quota/window.h"

/* All zero is an empty window. */
struct window_packed {
	int64_t head;		/* as in struct window */
	uint64_t total;		/* likewise */
	uint64_t newest;	/* slot 0 */
};

/* window_older_size - octets of memory for the older buckets of one window: width is 0, 2, 4 or
 * 8 */
static inline size_t
window_older_size(unsigned int width)
{
	return (size_t)WINDOW_BUCKETS * width;
}

/* window_older_width - the width that the older buckets of a window need */
unsigned int window_older_width(const struct window *window);

/*
 * window_pack - write window to packed and older
 * older has window_older_size(width) octets, aligned for its width; width is at least
 * window_older_width().
 */
void window_pack(const struct window *window, struct window_packed *packed, void *older,
    unsigned int width);

/* window_unpack - the window that was packed; width 0: all older buckets are zero, and older is not
 * looked at */
void window_unpack(const struct window_packed *packed, const void *older, unsigned int width,
    struct window *window_r);

/*
 * window_packed_is_filling - whether bucket (now / width) is the one that is filling
 * Then the total is what is used as of now, and window_packed_add() counts now.
 */
static inline bool
window_packed_is_filling(const struct window_packed *packed, int64_t bucket)
{
	return packed->head == bucket;
}

/* window_packed_add - window_add() without unpacking */
void window_packed_add(struct window_packed *packed, uint64_t amount);

#endif
