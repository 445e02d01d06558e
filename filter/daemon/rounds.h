/*
 * rounds.h - the thread that looks, now and then, whether this site is still sound
 */
#ifndef FILTER_DAEMON_ROUNDS_H
#define FILTER_DAEMON_ROUNDS_H

struct daemon;
struct rounds;

/*
 * rounds_start - a minute after the start, then every hour, the doctor's checks that need no MTA
 * An error that the round before did not find is an event. daemon must be open. NULL if no thread
 * can be started.
 */
struct rounds *rounds_start(struct daemon *daemon);

/* rounds_stop - end the thread; waits for a round under way. Before daemon_close. NULL is fine. */
void rounds_stop(struct rounds *rounds);

#endif
