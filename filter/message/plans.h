/*
 * plans.h - to whom a message is charged, and by which plans
 */
#ifndef FILTER_MESSAGE_PLANS_H
#define FILTER_MESSAGE_PLANS_H

#include <stdint.h>
#include <talloc.h>

#include "filter/message/lookup.h"
#include "policy/quota/quota.h"

#define PLANS_PARTIES	4

/* The parties of a message. */
struct plans {
	struct quota_party
	    parties[PLANS_PARTIES]; /* the account first; only those that have a plan follow */
	const char
	    *from[PLANS_PARTIES]; /* where each plan is said, for people; "" where there is none */
	size_t n;
	const char *pool;	/* of the account, with a plan or without one; NULL: none */
	const char *failed;	/* what could not be looked up, or NULL; limits are then unknown */
};

/*
 * plans_assign - find the parties of an account (normal form) and, where not NULL, of a client's
 *address
 *
 *	account	its own plan in `accounts`, else plan_of (user@domain, user, @domain), else
 *default_plan domain	of the account: domain_plan_of, else domain_plan pool	pool_of (as plan_of)
 *names it; pool_plan_of, else pool_plan network	network_of names that of the client;
 *network_plan_of, else network_plan
 *
 * on_over of the parties is left to the caller. Strings are on lookup->ctx or as long as the
 * snapshot. Any thread.
 */
void plans_assign(const struct lookup *lookup, const char *account, const char *client,
    struct plans *plans_r);

/*
 * plans_counters - what a message of account would ask of the store, for reading and for operators
 * Without a client's network. plans_r may be NULL. NULL, and *error_r on ctx, where the plans
 * cannot be found out. On ctx; not longer than the snapshot. Any thread.
 */
struct quota_plan *plans_counters(TALLOC_CTX *ctx, const struct snapshot *snapshot,
    const char *account, int64_t deadline_ms, struct plans *plans_r, const char **error_r);

#endif
