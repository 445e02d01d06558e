/*
 * window.c - counting in a window that slides
 *
 * A window of length W is cut into WINDOW_BUCKETS buckets of width W/n. What is
 * counted at time t goes into bucket t/width, and a bucket counts whole as long as
 * any part of it may lie within W of now: the one that is filling and the n before
 * it. Any span of length W touches at most those n+1 buckets of its end, so the
 * total is never less than what the span holds: that is the promise. The price is
 * that a count leaves up to one bucket's width late.
 *
 * Slots are kept by age, newest first, instead of as a ring: moving them when
 * time enters a new bucket is one memmove of 400 octets, and a clock that was
 * wrong is put right by changing head alone.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/quota/window.h"

/* window_width - the width of a bucket, rounded up */
int64_t
window_width(int64_t length_ms)
{
	return (length_ms + WINDOW_BUCKETS - 1) / WINDOW_BUCKETS;
}

/* shift - let steps buckets pass, 0 < steps < WINDOW_SLOTS */
static void
shift(struct window *window, size_t steps)
{
	size_t kept = WINDOW_SLOTS - steps;

	for (size_t i = kept; i < WINDOW_SLOTS; i++)
		window->total -= window->slots[i];
	memmove(&window->slots[steps], &window->slots[0], kept * sizeof(window->slots[0]));
	memset(&window->slots[0], 0, steps * sizeof(window->slots[0]));
}

/* window_turn - forget what has left the window by now */
void
window_turn(struct window *window, int64_t width, int64_t now)
{
	int64_t ahead = now / width - window->head;

	if (ahead == 0)
		return;
	if (window->total == 0) {
		window->head +=
		    ahead; /* nothing is counted, so there is nothing to keep in order */
		return;
	}
	if (ahead < 0 && ahead >= -WINDOW_BUCKETS)
		return;		/* time ran back a little: it stands still here */
	if (ahead > WINDOW_BUCKETS) {
		memset(window->slots, 0, sizeof(window->slots));
		window->total = 0;
	} else if (ahead > 0)
		shift(window, (size_t)ahead);
	/* else: stamped by a clock that was wrong; the counts stay, their age is put right */
	window->head += ahead;
}

/* window_used - what is counted as of now */
uint64_t
window_used(const struct window *window, int64_t width, int64_t now)
{
	int64_t ahead;
	uint64_t used = window->total;

	if (used == 0)
		return 0;
	ahead = now / width - window->head;
	if (ahead <= 0)
		return used;	/* time stands still, or the head is put right: nothing leaves */
	if (ahead > WINDOW_BUCKETS)
		return 0;
	for (size_t i = WINDOW_SLOTS - (size_t)ahead; i < WINDOW_SLOTS; i++)
		used -= window->slots[i];
	return used;
}

/* window_idle - whether all that was counted has left by now */
bool
window_idle(const struct window *window, int64_t width, int64_t now)
{
	return window->total == 0 || now / width - window->head > WINDOW_BUCKETS;
}

/* add_to - count in one slot, as far as the total can hold it */
static void
add_to(struct window *window, size_t slot, uint64_t amount)
{
	uint64_t room = (uint64_t)LIMIT_MAX_COUNT - window->total;

	if (amount > room)
		amount = room;
	window->slots[slot] += amount;
	window->total += amount;
}

/* window_add - count amount now */
void
window_add(struct window *window, uint64_t amount)
{
	add_to(window, 0, amount);
}

/* window_add_at - count amount at stamp */
void
window_add_at(struct window *window, int64_t width, int64_t stamp, uint64_t amount)
{
	int64_t age;

	if (stamp < 0)
		stamp = 0;
	age = window->head - stamp / width;
	if (age < 0)
		age = 0;
	if (age <= WINDOW_BUCKETS)
		add_to(window, (size_t)age, amount);
}

/* leaves_in - how long until the bucket of a slot leaves the window */
static int64_t
leaves_in(const struct window *window, int64_t width, int64_t now, size_t slot)
{
	return (window->head - (int64_t)slot + WINDOW_SLOTS) * width - now;
}

/* window_wait - how long until cost more would fit under max */
int64_t
window_wait(const struct window *window, int64_t width, int64_t now, uint64_t max, uint64_t cost)
{
	uint64_t excess;

	if (cost > max)
		return -1;
	if (window->total <= max - cost)
		return 0;
	excess = window->total - (max - cost);
	for (size_t i = WINDOW_SLOTS; i-- > 0;) {
		if (window->slots[i] >= excess)
			return leaves_in(window, width, now, i);
		excess -= window->slots[i];
	}
	return leaves_in(window, width, now, 0);
}

/* window_next - how long until some of what is counted leaves the window */
int64_t
window_next(const struct window *window, int64_t width, int64_t now)
{
	for (size_t i = WINDOW_SLOTS; i-- > 0;)
		if (window->slots[i] > 0)
			return leaves_in(window, width, now, i);
	return 0;
}
