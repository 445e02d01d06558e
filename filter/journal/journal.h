/*
 * journal.h - what happened, written down off the message's path
 *
 * A message leaves an entry on a list and goes on. One thread takes the entries in batches, writes
 * them into the books (books.h), and makes events of some (event.h). The list is bounded; what does
 * not fit while the books take nothing is dropped and counted. With Redis and away_file, what waits
 * survives a restart.
 *
 * Threads: journal_message(), journal_marks() and event_raise() any; open and close the first.
 */
#ifndef FILTER_JOURNAL_JOURNAL_H
#define FILTER_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/config/configuration.h"
#include "filter/journal/books.h"
#include "filter/journal/event.h"
#include "filter/store/store.h"
#include "policy/quota/quota.h"
#include "policy/verdict/logline.h"
#include "policy/verdict/verdict.h"

#define JOURNAL_WAITING_MAX	5000	/* entries not yet written */

struct journal;

/*
 * journal_open - the journal of a configuration; nothing runs yet
 * options: those of the store, with passwords. A talloc child of ctx; NULL and *error_r on ctx.
 */
struct journal *journal_open(TALLOC_CTX *ctx, const struct config *config,
    const struct store_options *options, const char **error_r);

/* journal_renew - as store_renew() */
int journal_renew(struct journal *journal, TALLOC_CTX *ctx,
    const struct redis_passwords *passwords, const char **error_r);

/*
 * journal_program_fn - what to run for each event: fills argv (words on ctx), n and timeout_ms
 * arg is that of journal_start(). Called by the journal's thread.
 */
typedef void journal_program_fn(void *arg, TALLOC_CTX *ctx, struct event_program *program_r);

/* journal_start - start the thread; store is watched for events. 0, or -1 and *error_r on ctx. */
int journal_start(struct journal *journal, TALLOC_CTX *ctx, struct store *store,
    journal_program_fn *program_of, void *arg, const char **error_r);

/* journal_stop - write what waits, as far as that works, and end the thread. NULL is fine. */
void journal_stop(struct journal *journal);

/*
 * journal_message - a message, or a recipient of it, was decided
 * line is used up. connection: the first of its account on this connection. marks: n limits whose
 * warn_at mark was crossed; copied. Never waits.
 */
void journal_message(struct journal *journal, struct logline *line, const struct facts *facts,
    const struct verdict *verdict, bool connection, const struct quota_mark *marks, size_t n);

/*
 * journal_marks - something of account other than an accepted message took n limits to their
 * warn_at mark
 * Raises the events; mode is that of the account. Never waits.
 */
void journal_marks(struct journal *journal, const char *account, enum mode mode,
    const struct quota_mark *marks, size_t n);

/*
 * journal_usual - an account whose plan has "N times usual" sent a message
 * As unusual_note(). Never waits.
 */
void journal_usual(struct journal *journal, const struct quota_plan *offence,
    const struct store_block_rule *rule, uint64_t recipients);

/* The parts. Live as long as the journal. */
struct books *journal_books(const struct journal *journal);
struct events *journal_events(const struct journal *journal);

/* journal_host - the name of this host as the books have it; lives as long as the journal */
const char *journal_host(const struct journal *journal);

/* How the journal is doing. */
struct journal_status {
	const char *books;	/* where they are (books_place()) */
	const char *problem;	/* why they take nothing, or NULL; on ctx */
	uint64_t waiting;	/* entries that wait to be written, now */
	uint64_t events;	/* the same of events */
	uint64_t dropped;	/* entries given up since the start */
};

/* journal_status - fill status_r. Any thread. */
void journal_status(struct journal *journal, TALLOC_CTX *ctx, struct journal_status *status_r);

#endif
