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
	    *from[PLANS_PARTIES]; /* where each plan is set, for people; "" if there is none */
	size_t n;
	const char *pool;	/* of the account, with a plan or without one; NULL: none */
	const char *network;	/* of the client, the same */
	const char *failed;	/* what could not be looked up, or NULL; limits are then unknown */
};

/*
 * plans_assign - find the parties of an account (normal form) and, if not NULL, of a client's
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
 * plans_counters - what a message would ask of the store, for reading and for operators
 * Of an account, without a client's network; or of a domain, a pool or a network alone. A network
 * may be named by the address of a client; the counters of a domain are those beside its pool's
 * (pool_of of "@domain"). plans_r may be NULL. NULL, and *error_r on ctx, if the plans cannot be
 * determined. On ctx; not longer than the snapshot. Any thread.
 */
struct quota_plan *plans_counters(TALLOC_CTX *ctx, const struct snapshot *snapshot,
    enum quota_subject_kind kind, const char *name, int64_t deadline_ms, struct plans *plans_r,
    const char **error_r);

/*
 * plans_is_named - does the configuration (accounts, a table of plans) name the first party?
 * False if its plan is the one of all, or if it has none. Any thread.
 */
bool plans_is_named(const struct snapshot *snapshot, const struct plans *plans);

/* plans_is_known - the same, and true of an account whose domain is ours by accounts or realm */
bool plans_is_known(const struct snapshot *snapshot, const struct plans *plans);

/* plans_base - an account without its sub-address, on ctx; NULL: it has none. Any thread. */
const char *plans_base(TALLOC_CTX *ctx, const struct snapshot *snapshot, const char *account);

#endif
