/*
 * usage.h - who sent how much today and yesterday, as far as this process knows
 *
 * With the embedded store this is the record that "top" lists; with Redis it holds what was
 * not reported yet. Days are UTC, as numbers since 1970.
 *
 * Threads: any number at once.
 */
#ifndef FILTER_STORE_USAGE_H
#define FILTER_STORE_USAGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <talloc.h>

#include "filter/store/types.h"

struct usage;

/*
 * usage_new - nothing noted
 * max: accounts kept a day; when there are more, those with the fewest recipients are forgotten. A
 * talloc child of ctx.
 */
struct usage *usage_new(TALLOC_CTX *ctx, size_t max);

/* usage_note - add to an account's day; entry->account is copied. Days before yesterday are
 * ignored */
void usage_note(struct usage *usage, int64_t day, const struct store_top_entry *entry);

/* usage_top - the max first accounts of a day, the largest first; on ctx. max 0: all, in no
 * order */
struct store_top_entry *usage_top(struct usage *usage, TALLOC_CTX *ctx, int64_t day,
    enum store_top_by by, size_t max, size_t *n_r);

/* usage_take - as usage_top() for all of a day, which is then forgotten */
struct store_top_entry *usage_take(struct usage *usage, TALLOC_CTX *ctx, int64_t day, size_t *n_r);

#endif
