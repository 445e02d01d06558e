/*
 * reporter.h - the thread that sends the aggregate reports of DMARC
 */
#ifndef FILTER_DAEMON_REPORTER_H
#define FILTER_DAEMON_REPORTER_H

#include <stdbool.h>

struct daemon;
struct reporter;

/*
 * reporter_start - once a day, and again for what did not work, if the configuration in force has
 * dmarc = { report = ... }
 * daemon must be open. NULL if no thread can be started.
 */
struct reporter *reporter_start(struct daemon *daemon);

/* reporter_stop - end the thread; waits for the mail under way. Before daemon_close. NULL is
 * fine. */
void reporter_stop(struct reporter *reporter);

/* reporter_ask - send the reports of a day now, also those that failed. domain: NULL for all. Any
 * thread. */
void reporter_ask(struct reporter *reporter, int day, const char *domain);

/* reporter_is_busy - is something that was asked for not done yet? Any thread. */
bool reporter_is_busy(struct reporter *reporter);

#endif
