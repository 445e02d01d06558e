/*
 * over.h - accounts just found to be over, whatever they send
 *
 * An account whose smallest message would not fit is remembered for at most three seconds, so that
 * a client that repeats itself costs neither a round trip nor a body. An account over an observed
 * limit is never remembered. It is forgotten when its limit changes: by a reload or in a table,
 * which over_find() sees by the plans; by hand on this filter, or on another one (over_changed()).
 *
 * Threads: any number at once.
 */
#ifndef FILTER_STORE_OVER_H
#define FILTER_STORE_OVER_H

#include <stdbool.h>
#include <talloc.h>

#include "policy/quota/quota.h"

struct over_table;

/* over_new - no account is remembered. A talloc child of ctx. */
struct over_table *over_new(TALLOC_CTX *ctx);

/* over_mark - to be taken before the store is asked, for over_remember() */
unsigned int over_mark(const struct over_table *over);

/*
 * over_remember - a message of plan's account was refused: remember it if a smaller one would be,
 * too; not if limits were changed since the mark
 * Returns whether it is the first that is remembered.
 */
bool over_remember(struct over_table *over, const struct quota_plan *plan,
    const struct quota_reply *reply, unsigned int mark);

/* over_changed - limits or counts were changed by hand: forget all */
void over_changed(struct over_table *over);

/* over_any - is any account remembered? */
bool over_any(const struct over_table *over);

/*
 * over_find - is the account remembered, and is the limit still one of its plans?
 * parties: who would be charged now. Then fact_r is filled as store_known_over() says.
 */
bool over_find(struct over_table *over, TALLOC_CTX *ctx, const char *account,
    const struct quota_party *parties, size_t n, struct quota_fact *fact_r);

#endif
