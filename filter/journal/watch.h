/*
 * watch.h - changes of the store that make events: away and back, blocked and unblocked
 *
 * Looked at once a second rather than notified of each change: so a block is an event
 * wherever it came from, another filter, countersignctl on another host, or block_on.
 *
 * Threads: the journal's.
 */
#ifndef FILTER_JOURNAL_WATCH_H
#define FILTER_JOURNAL_WATCH_H

#include <stdbool.h>
#include <talloc.h>

#include "filter/journal/books.h"
#include "filter/journal/event.h"
#include "filter/journal/sightings.h"
#include "filter/store/store.h"

struct journal_watch;

/* journal_watch_new - nothing was seen yet. A talloc child of ctx. */
struct journal_watch *journal_watch_new(TALLOC_CTX *ctx);

/* journal_watch_look - raise what has changed since the last look; new blocks are noted in the
 * books, which also say what is usual for the account */
void journal_watch_look(struct journal_watch *watch, struct store *store,
    const struct sightings *sightings, struct books *books, struct events *events);

/* journal_watch_away - was the store away at the last look? */
bool journal_watch_away(const struct journal_watch *watch);

#endif
