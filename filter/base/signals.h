/*
 * signals.h - HUP, TERM and INT for the first thread
 */
#ifndef FILTER_BASE_SIGNALS_H
#define FILTER_BASE_SIGNALS_H

#include <stdbool.h>

/*
 * signals_begin - block HUP, ignore SIGPIPE
 * First of all. TERM and INT still end the process, so that it does not survive them while it waits
 * for a file, for example a FIFO.
 */
void signals_begin(void);

/*
 * signals_block - block all three, for all threads made from now on
 * To be called before any thread is made.
 */
void signals_block(void);

/* signals_receive - install handlers and unblock, in the calling (first) thread. Returns 0 or
 * -1. */
int signals_receive(void);

/* What happened. */
struct signals_seen {
	bool reload;		/* HUP came, once or more often */
	bool stop;		/* TERM or INT came */
};

/* signals_wait - wait for a signal or until timeout_ms; clears what it reports */
void signals_wait(int timeout_ms, struct signals_seen *seen_r);

#endif
