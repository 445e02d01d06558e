/*
 * advice.h - what an operator may do about a reason
 *
 * One row for each reason: a sentence, and a command if one helps. countersignctl last and why
 * print them.
 */
#ifndef POLICY_VERDICT_ADVICE_H
#define POLICY_VERDICT_ADVICE_H

#include <stdbool.h>
#include <talloc.h>

#include "policy/verdict/reasons.h"

struct advice_row {
	const char *text;	/* a sentence without a full stop, with %{...} items */
	const char *command;	/* for a shell, with %{...} items; NULL: none */
};

/* What is known of the message; members may be NULL. */
struct advice_facts {
	const char *account;
	const char *address;	/* what the reason is about */
	const char *sender;	/* of the envelope, without <> */
	const char *domain;	/* of From */
	const char *client;	/* address */
	const char *helo;
	const char *listener;
	const char *owner; /* of the limit, as in countersignctl(8): "pool:acme" */
	const char *limit;	/* a larger limit, in which the message fits */
	const char *span;	/* for how long to set that: "1d" */
	bool zero;		/* the limit is 0 */
};

struct advice {
	const char *text;
	const char *command;	/* may be pasted into a shell; NULL: none */
};

/* advice_row - the row of a reason; NULL for REASON_NONE. Any thread. */
const struct advice_row *advice_row(enum reason reason);

/*
 * advice_make - what to do about a reason
 * The items are the members of struct advice_facts by name. In a command each stands as one word of
 * a shell; without a value for one of its items, or with one that would be an option, there is no
 * command. Texts are on ctx and hold strangers' octets. Pure; any thread.
 */
void advice_make(TALLOC_CTX *ctx, enum reason reason, const struct advice_facts *facts,
    struct advice *advice_r);

#endif
