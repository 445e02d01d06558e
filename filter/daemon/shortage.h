/*
 * shortage.h - the system has no more threads or descriptors for us: the log, and an event
 */
#ifndef FILTER_DAEMON_SHORTAGE_H
#define FILTER_DAEMON_SHORTAGE_H

#include <stdint.h>

#include "filter/daemon/daemon.h"

/* What was reported. All zero at the start. */
struct shortage {
	struct {
		unsigned long seen;	/* the figure when it was reported last */
		unsigned long closed;
		int64_t logged_ms;	/* 0: never */
		int64_t raised_ms;	/* the event */
	} threads, descriptors;
};

/*
 * shortage_tick - report what is new in daemon->edge
 * One line a minute for threads and one for descriptors; the first within an hour is an event.
 * now_ms: clock_ms(). About once a second, by one thread.
 */
void shortage_tick(struct shortage *shortage, struct daemon *daemon, int64_t now_ms);

#endif
