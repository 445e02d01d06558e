/*
 * control_long.h - requests whose answer takes long, in threads of their own
 *
 * The sums of two weeks from many filters are read from Redis in a second or more. The control
 * thread hands such requests over and answers others meanwhile; it is woken when one is done.
 *
 * Threads: all functions are for the control thread, or for the one that made it.
 */
#ifndef FILTER_CONTROL_CONTROL_LONG_H
#define FILTER_CONTROL_CONTROL_LONG_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/base/wakeup.h"
#include "filter/control/control_asked.h"

#define CONTROL_LONG_THREADS	2

struct control_long;
struct control_job;

/* control_long_start - start the threads; done is rung for each answer, and outlives them. NULL:
 * the system has no thread. */
struct control_long *control_long_start(struct daemon *daemon, const struct wakeup *done);

/* control_long_stop - wait for the answers that are being made, forget the others. NULL is fine. */
void control_long_stop(struct control_long *all);

/* control_long_ask - hand a request over: a line of len octets. The job is the caller's until it
 * calls control_long_take() with an answer, or control_long_leave(). */
struct control_job *control_long_ask(struct control_long *all, const char *line, size_t len,
    const struct asker *asker);

/* control_long_take - the answer as text (malloc), which ends the job; NULL: it is not there yet */
char *control_long_take(struct control_long *all, struct control_job *job);

/* control_long_leave - nobody waits for the answer any more */
void control_long_leave(struct control_long *all, struct control_job *job);

#endif
