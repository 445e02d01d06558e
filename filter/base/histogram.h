/*
 * histogram.h - how long something took, counted in fixed buckets
 *
 * Buckets never move, so histograms of several filters can be added up. Observing costs one read
 * of the clock and two additions to memory; nothing is locked. All zero is an empty histogram.
 *
 * Threads: any number may observe and read at once. What is read need not be of one moment.
 */
#ifndef FILTER_BASE_HISTOGRAM_H
#define FILTER_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define HISTOGRAM_BOUNDS	17	/* and one bucket without bound */

struct histogram {
	atomic_uint_fast64_t buckets[HISTOGRAM_BOUNDS + 1]; /* each without those below */
	atomic_uint_fast64_t sum_us;
};

/* The upper bounds of the buckets, inclusive, in microseconds. */
static const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = { 100, 250, 500, 1000, 2500, 5000,
	10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
	30000000 };

/* histogram_now - CLOCK_MONOTONIC in microseconds */
static inline uint64_t
histogram_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* histogram_add - something took so many microseconds */
static inline void
histogram_add(struct histogram *histogram, uint64_t us)
{
	size_t i = 0;

	while (i < HISTOGRAM_BOUNDS && us > histogram_bounds_us[i])
		i++;
	(void)atomic_fetch_add_explicit(&histogram->buckets[i], 1, memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&histogram->sum_us, us, memory_order_relaxed);
}

/* histogram_since - the same for what began at since_us (histogram_now()) and ends now */
static inline void
histogram_since(struct histogram *histogram, uint64_t since_us)
{
	histogram_add(histogram, histogram_now() - since_us);
}

#endif
