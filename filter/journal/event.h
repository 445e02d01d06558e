/*
 * event.h - what operators should hear of at once
 *
 * An event goes to the log, to the books (books.h) and to the configured program
 * (event_command.h). Its JSON:
 *
 *	{"event":"over","time":"2026-11-22T21:30:00Z","filter":"mail1","account":"alice@example.org",
 *	 "text":"...", and details of its kind}
 *
 * Kinds that traffic repeats, or that every filter sees, are raised once for each subject in
 * EVENT_QUIET_MS (sign-risk: in a day), by all filters on one Redis together; changes of a filter's
 * own state each time.
 *
 * Threads: event_raise() any, and it never waits; event_flush() the journal's.
 */
#ifndef FILTER_JOURNAL_EVENT_H
#define FILTER_JOURNAL_EVENT_H

#include <jansson.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/journal/backlog.h"
#include "filter/journal/books.h"
#include "filter/journal/event_command.h"

#define EVENT_QUIET_MS		(60 * 60 * 1000)
#define EVENTS_WAITING_MAX	1000	/* not yet handed to the books and the program */

enum event_kind {
	EVENT_SOFT_LEVEL,	/* an account crossed warn_at of a limit */
	EVENT_OVER,		/* a message was refused (in watch: would be) over a limit */
	EVENT_BLOCKED,
	EVENT_UNBLOCKED,
	EVENT_STORE_AWAY,
	EVENT_STORE_BACK,
	EVENT_STORE_EMPTIED,	/* Redis has lost what it held */
	EVENT_RESOLVER_AWAY,
	EVENT_RESOLVER_BACK,
	EVENT_BOOKS_FAILED,	/* the books take nothing, though the store is there */
	EVENT_BOOKS_BACK,
	EVENT_RELOAD,
	EVENT_RELOAD_FAILED,
	EVENT_KEY_FAILURE,	/* no signature could be made although one was due */
	EVENT_SIGN_RISK,	/* the MTA will change what was signed */
	EVENT_FOREIGN_BURST,	/* an account was refused many foreign senders within an hour */
	EVENT_CHECK_FAILED,	/* a check of the doctor that the daemon makes found an error */
	EVENT_CHECK_PASSED,	/* and does not find it any more */
	EVENT_SHORTAGE,		/* the system refuses threads, or descriptors are used up */
	EVENT_NEW_COUNTRY,	/* an account logged in from a country that it was not in before */
	EVENT_NEW_NETWORK,	/* the same of a provider's network */
	EVENT_LOGIN_GUESSING,	/* a client network failed to log in as many accounts */
	EVENT_PEER_REFUSED,	/* somebody who may not connect as an MTA tried to */
	EVENT_KINDS
};

/* event_word - "soft-level", as in the log and in JSON. Any thread. */
const char *event_word(enum event_kind kind);

struct events;

/* events_new - nothing happened yet; books and backlog (or NULL) must live longer. A talloc child
 * of ctx. */
struct events *events_new(TALLOC_CTX *ctx, const char *host, struct books *books,
    struct backlog *backlog);

/* events_restore - one that was kept over a restart */
void events_restore(struct events *events, const struct backlog_event *event);

/* events_keep - put those that wait into the backlog; the journal's thread commits */
void events_keep(struct events *events);

/*
 * events_waiting - how many wait for the books
 * *unkept_r, unless NULL: how many of these are not in the backlog; only the journal's thread may
 * ask for it, or one that has ended that thread.
 */
size_t events_waiting(struct events *events, size_t *unkept_r);

/*
 * event_raise - something happened
 * member: what the subject is called in JSON ("account", "domain"), or NULL if there is none;
 * about: what distinguishes it from other news of this kind and subject, or NULL; text: a sentence
 * without newline; details: more members, used up, or NULL. Logged at once, the rest follows.
 */
void event_raise(struct events *events, enum event_kind kind, const char *member,
    const char *subject, const char *about, const char *text, json_t *details);

/* What to do with each event; argv may be empty. */
struct event_program {
	struct event_runner *runner;
	const char *const *argv;
	size_t n;
	long timeout_ms;
};

/*
 * event_flush - hand the waiting events on; those that the books did not take wait for the next
 * time
 * Returns how many were handed on, or -1 and *error_r on ctx if the books did not take one.
 */
int event_flush(struct events *events, TALLOC_CTX *ctx, const struct event_program *program,
    const char **error_r);

/* event_run_waiting - the books take nothing: the program gets what waits all the same */
void event_run_waiting(struct events *events, const struct event_program *program);

#endif
