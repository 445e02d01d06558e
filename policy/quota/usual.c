/*
 * usual.c - what an account usually sends in an hour
 *
 * Pure, no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>

#include "policy/quota/usual.h"

#define DAY	24
#define WEEK	(7 * DAY)

/* usual_counts - is hour i looked at? Not on the day of a block nor on the day before it */
static bool
usual_counts(const struct usual_hour *hours, size_t n, size_t i)
{
	if (i + DAY >= n)
		return false;
	for (size_t k = i; k <= i + DAY; k++)
		if (hours[k].blocked)
			return false;
	return true;
}

static int
usual_compare(const void *a, const void *b)
{
	const uint32_t *one = a, *two = b;

	return (*one > *two) - (*one < *two);
}

/* usual_most_at - the most in the hours around one of earlier weeks */
static uint64_t
usual_most_at(const struct usual_hour *hours, size_t n)
{
	uint64_t most = 0;

	for (size_t back = WEEK; back <= n; back += WEEK) {
		size_t end = n - back + 1;	/* after the hour that follows that of then */

		for (size_t i = end >= 3 ? end - 3 : 0; i < end; i++)
			if (usual_counts(hours, n, i) && hours[i].recipients > most)
				most = hours[i].recipients;
	}
	return most;
}

uint64_t
usual_recipients(const struct usual_hour *hours, size_t n)
{
	uint32_t active[USUAL_HOURS];
	size_t n_active = 0, days = 0, last_day = 0;
	uint64_t volume = 0, most;

	if (n > USUAL_HOURS) {
		hours += n - USUAL_HOURS;
		n = USUAL_HOURS;
	}
	for (size_t i = 0; i < n; i++) {
		if (hours[i].recipients == 0 || !usual_counts(hours, n, i))
			continue;
		active[n_active++] = hours[i].recipients;
		volume += hours[i].recipients;
		if (days == 0 || i / DAY != last_day)
			days++;
		last_day = i / DAY;
	}
	if (days < USUAL_DAYS || volume < USUAL_VOLUME)
		return 0;
	qsort(active, n_active, sizeof(active[0]), usual_compare);
	most = usual_most_at(hours, n);
	return most > active[(9 * n_active - 1) / 10] ? most : active[(9 * n_active - 1) / 10];
}

bool
usual_exceeded(uint64_t recipients, uint64_t times, uint64_t usual)
{
	return usual > 0 && recipients >= USUAL_LEAST && recipients / usual >= times &&
	    recipients > times * usual;
}
