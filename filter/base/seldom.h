/*
 * seldom.h - log lines that strangers can cause: at most one a minute for each of them
 *
 * A static structure that is all zero is ready for use. A line that names its cause is allowed once
 * a minute for each cause, and for at most SELDOM_CAUSES - 1 of them; the others share one line.
 *
 * Threads: any.
 */
#ifndef FILTER_BASE_SELDOM_H
#define FILTER_BASE_SELDOM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SELDOM_MS	60000
#define SELDOM_CAUSES	32
#define SELDOM_NAME	72	/* octets of a cause's name that count, NUL included */

struct seldom {
	pthread_mutex_t lock;
	struct {
		char name[SELDOM_NAME];
		int64_t logged_ms;	/* 0: never */
		unsigned long skipped;	/* lines since then */
	} causes[SELDOM_CAUSES];
};

/*
 * seldom_may - may a line about this cause be logged now?
 * now_ms: clock_ms(). If it may, *skipped_r is how many lines about it were skipped since its last.
 */
bool seldom_may(struct seldom *seldom, const char *cause, int64_t now_ms,
    unsigned long *skipped_r);

#endif
