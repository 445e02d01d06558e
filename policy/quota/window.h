/*
 * window.h - counting in a window that slides
 *
 * The promise: with window_wait() asked before every window_add(), no span of
 * the window's length ever holds more than the limit. Room returns at most one
 * bucket, 1/48 of the window, later than it could (75 s for an hour, 30 minutes
 * for a day).
 *
 * Time is milliseconds of one clock, >= 0, passed in; so are lengths. Within a
 * window time never runs back: an earlier now counts into the newest bucket. A
 * window whose newest bucket lies more than its length ahead of now was stamped by a
 * clock that was wrong; its buckets are kept and moved so that the newest is now.
 *
 * filter/store/quota.lua holds the same rules; tests/unit/test_store_redis.c compares them.
 * Pure. Threads: the caller's lock guards the struct.
 */
#ifndef POLICY_QUOTA_WINDOW_H
#define POLICY_QUOTA_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/* The largest count anywhere: 2^53 - 1, which Lua's numbers hold exactly (9 PB). */
#define LIMIT_MAX_COUNT		INT64_C(9007199254740991)

/* Buckets a window is cut into. One more slot holds the bucket that is filling. */
#define WINDOW_BUCKETS	48
#define WINDOW_SLOTS	(WINDOW_BUCKETS + 1)

/* The counts of one window. All zero is an empty window. */
struct window {
	int64_t head;			/* number of the newest bucket: its time / width */
	uint64_t total;			/* sum of slots, at most LIMIT_MAX_COUNT */
	uint64_t slots[WINDOW_SLOTS];	/* newest first: slots[i] is bucket head - i */
};

/*
 * window_width - the width of a bucket for a window of length_ms, in milliseconds
 * Rounded up, so that the buckets together are never shorter than the window.
 */
int64_t window_width(int64_t length_ms);

/*
 * window_turn - forget what has left the window by now
 * To be called before any other function of this file is asked about now.
 */
void window_turn(struct window *window, int64_t width, int64_t now);

/*
 * window_used - what is counted as of now, without turning the window
 */
uint64_t window_used(const struct window *window, int64_t width, int64_t now);

/*
 * window_idle - whether all that was counted has left by now
 * Looks without turning, so it may still say no when only empty buckets are left.
 */
bool window_idle(const struct window *window, int64_t width, int64_t now);

/*
 * window_add - count amount now; the total stops at LIMIT_MAX_COUNT
 */
void window_add(struct window *window, uint64_t amount);

/*
 * window_add_at - count amount at stamp, which may lie in the past
 * What has left the window already is not counted; a stamp ahead of the newest
 * bucket counts into it.
 */
void window_add_at(struct window *window, int64_t width, int64_t stamp, uint64_t amount);

/*
 * window_wait - how long until cost more would fit under max
 * Returns milliseconds; 0 when it fits now; -1 when it never will (cost > max).
 */
int64_t window_wait(const struct window *window, int64_t width, int64_t now,
    uint64_t max, uint64_t cost);

/*
 * window_next - how long until some of what is counted leaves the window
 * Returns milliseconds; 0 when nothing is counted.
 */
int64_t window_next(const struct window *window, int64_t width, int64_t now);

#endif
