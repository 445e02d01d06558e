/*
 * signing.h - for which domains messages were signed, from entries into the sums of a day
 *
 * Threads: the journal's.
 */
#ifndef FILTER_JOURNAL_SIGNING_H
#define FILTER_JOURNAL_SIGNING_H

#include <stddef.h>
#include <talloc.h>

#include "filter/journal/books.h"
#include "filter/journal/entry.h"

/* signing_sdid - the domain (d=) that an entry's message went out with, or NULL */
const char *signing_sdid(const struct entry *entry);

/*
 * signing_write - add those of n entries that are not in_signed to the books
 * Each that is there is marked so, also if others fail. 0, or -1 and *error_r on ctx.
 */
int signing_write(struct books *books, TALLOC_CTX *ctx, struct entry **entries, size_t n,
    const char **error_r);

#endif
