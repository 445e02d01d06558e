/*
 * over.h - accounts just found to be over, whatever they send
 *
 * An account whose smallest message would not fit is remembered for at most three seconds, so that
 * a client that repeats itself costs neither a round trip nor a body. An account over an observed
 * limit is never remembered.
 *
 * Threads: any number at once.
 */
#ifndef FILTER_STORE_OVER_H
#define FILTER_STORE_OVER_H

#include <stdbool.h>
#include <talloc.h>

#include "policy/quota/quota.h"

struct over_table;

/* over_new - nobody is remembered. A talloc child of ctx. */
struct over_table *over_new(TALLOC_CTX *ctx);

/* over_remember - a message of plan's account was refused: remember it if a smaller one would be,
 * too */
void over_remember(struct over_table *over, const struct quota_plan *plan,
    const struct quota_reply *reply);

/* over_forget - the account may have room again */
void over_forget(struct over_table *over, const char *account);

/* over_find - is the account remembered? Then fact_r is filled as store_known_over() says. */
bool over_find(
    struct over_table *over, TALLOC_CTX *ctx, const char *account, struct quota_fact *fact_r);

#endif
