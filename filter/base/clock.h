/*
 * clock.h - the clocks, read in one place
 */
#ifndef FILTER_BASE_CLOCK_H
#define FILTER_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_MINUTE_MS	(INT64_C(60) * 1000)
#define CLOCK_HOUR_MS	(INT64_C(3600) * 1000)
#define CLOCK_DAY_MS	(INT64_C(24) * 3600 * 1000)

/* clock_ms - CLOCK_MONOTONIC in milliseconds, for deadlines. Any thread. */
static inline int64_t
clock_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* clock_wall_ms - UNIX time in milliseconds, for what people read and what outlives us. Any
 * thread. */
static inline int64_t
clock_wall_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* clock_pause - wait ms milliseconds, or less if a signal comes. Any thread. */
static inline void
clock_pause(int64_t ms)
{
	const struct timespec pause = { .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&pause, NULL);
}

/* clock_today - the day, UTC, as a number since 1970. Any thread. */
static inline int64_t
clock_today(void)
{
	return clock_wall_ms() / CLOCK_DAY_MS;
}

#endif
