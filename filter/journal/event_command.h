/*
 * event_command.h - run the operators' program for each event
 *
 * One thread starts the programs, hands each its event on standard input, and ends it when its time
 * is up. EVENT_RUNNING_MAX run at once, EVENT_WAITING_MAX wait; what comes beyond is dropped and
 * told in the log. Nothing of this is on a message's path.
 *
 * A program runs as the daemon's user, in a process group of its own, with the daemon's environment
 * and none of its descriptors. What it prints goes to the log if it fails.
 */
#ifndef FILTER_JOURNAL_EVENT_COMMAND_H
#define FILTER_JOURNAL_EVENT_COMMAND_H

#include <stddef.h>
#include <talloc.h>

#define EVENT_RUNNING_MAX	4
#define EVENT_WAITING_MAX	200

struct event_runner;

/* event_runner_new - start the thread; NULL and *error_r on ctx if that fails. A talloc child of
 * ctx. */
struct event_runner *event_runner_new(TALLOC_CTX *ctx, const char **error_r);

/* event_runner_stop - end what runs and the thread; then it may be freed */
void event_runner_stop(struct event_runner *runner);

/*
 * event_runner_submit - run a program soon
 * argv: n words, the first an absolute path. text: one line for its standard input,
 * without the line break. timeout_ms: for how long
 * it may run. All is copied. Any thread; never waits.
 */
void event_runner_submit(struct event_runner *runner, const char *const *argv, size_t n,
    const char *text, long timeout_ms);

#endif
