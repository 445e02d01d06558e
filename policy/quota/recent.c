/*
 * recent.c - a bounded set of marks, each with the time when it was last seen
 *
 * An array in the order of marks: looking up is what every message does, adding and forgetting
 * is rare and costs one pass over 16 octets a mark.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "policy/base/mem.h"
#include "policy/quota/recent.h"

/* recent_place_of - where a mark is, or would be */
static uint32_t
recent_place_of(const struct recent *set, uint64_t mark)
{
	uint32_t low = 0, high = set->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (set->marks[middle].mark < mark)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* recent_find - the place of a mark, or -1 */
long
recent_find(const struct recent *set, uint64_t mark)
{
	uint32_t place = recent_place_of(set, mark);

	return place < set->n && set->marks[place].mark == mark ? (long)place : -1;
}

/* newest - when the newest was seen; the set is not empty */
static int64_t
newest(const struct recent *set)
{
	int64_t latest = set->marks[0].seen;

	for (uint32_t i = 1; i < set->n; i++)
		if (set->marks[i].seen > latest)
			latest = set->marks[i].seen;
	return latest;
}

/* recent_turn - as of now, forget what is older than its life */
int64_t
recent_turn(struct recent *set, int64_t life_ms, int64_t now)
{
	int64_t latest, shift = 0;
	uint32_t kept = 0;

	if (set->n == 0)
		return now;
	latest = newest(set);
	if (latest - now > life_ms)
		shift = now - latest;
	else if (latest > now)
		now = latest;
	for (uint32_t i = 0; i < set->n; i++) {
		struct recent_mark mark = set->marks[i];

		mark.seen += shift;
		if (now - mark.seen < life_ms)
			set->marks[kept++] = mark;
	}
	set->n = kept;
	return now;
}

/* recent_prune - forget what is older than its life */
void
recent_prune(struct recent *set, int64_t life_ms, int64_t now)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < set->n; i++)
		if (now - set->marks[i].seen < life_ms)
			set->marks[kept++] = set->marks[i];
	set->n = kept;
}

/* recent_remove_at - forget one */
static void
recent_remove_at(struct recent *set, uint32_t place)
{
	set->n--;
	memmove(&set->marks[place], &set->marks[place + 1],
	    (set->n - place) * sizeof(set->marks[0]));
}

/* remove_oldest - of equal ones the first, which has the smaller mark */
static void
remove_oldest(struct recent *set)
{
	uint32_t oldest = 0;

	for (uint32_t i = 1; i < set->n; i++)
		if (set->marks[i].seen < set->marks[oldest].seen)
			oldest = i;
	recent_remove_at(set, oldest);
}

/* recent_make_room - for one more */
static void
recent_make_room(TALLOC_CTX *ctx, struct recent *set)
{
	if (set->n < set->room)
		return;
	set->room = set->room == 0 ? 4 : set->room + set->room / 2;
	set->marks = mem_grow(ctx, set->marks, struct recent_mark, set->room);
}

/* recent_see - a mark was seen */
void
recent_see(TALLOC_CTX *ctx, struct recent *set, uint64_t mark, int64_t seen, uint32_t max)
{
	uint32_t place = recent_place_of(set, mark);

	if (place < set->n && set->marks[place].mark == mark) {
		if (set->marks[place].seen < seen)
			set->marks[place].seen = seen;
	} else {
		recent_make_room(ctx, set);
		memmove(&set->marks[place + 1], &set->marks[place],
		    (set->n - place) * sizeof(set->marks[0]));
		set->marks[place] = (struct recent_mark){ mark, seen };
		set->n++;
	}
	recent_trim(set, max > 0 ? max : 1);
}

/* recent_trim - forget the oldest beyond max */
void
recent_trim(struct recent *set, uint32_t max)
{
	while (set->n > max)
		remove_oldest(set);
}

static int
by_time(const void *a, const void *b)
{
	int64_t of_a = *(const int64_t *)a, of_b = *(const int64_t *)b;

	return (of_a > of_b) - (of_a < of_b);
}

/* recent_nth - when the nth oldest was seen */
int64_t
recent_nth(const struct recent *set, uint32_t n)
{
	int64_t *times = mem_array(NULL, int64_t, set->n), result;

	for (uint32_t i = 0; i < set->n; i++)
		times[i] = set->marks[i].seen;
	qsort(times, set->n, sizeof(times[0]), by_time);
	result = times[n - 1];
	talloc_free(times);
	return result;
}

/* recent_forget - all of it */
void
recent_forget(struct recent *set)
{
	talloc_free(set->marks);
	memset(set, 0, sizeof(*set));
}

/* recent_knows - whether a mark was seen within its life */
bool
recent_knows(const struct recent *set, uint64_t mark, int64_t life_ms, int64_t now)
{
	long place = recent_find(set, mark);

	return place >= 0 && now - set->marks[place].seen < life_ms;
}
