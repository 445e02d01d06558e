/*
 * witness.h - what a message that is only tried leaves behind of how it was decided
 *
 * A session with a witness is a trial (countersignctl try): it gathers and decides as any other,
 * but nothing is charged, logged or kept. The gatherers report to the witness what they looked up;
 * the rules and the store report what they found. Real mail has none: every function takes NULL,
 * and does nothing then.
 *
 * Threads: that of the session.
 */
#ifndef FILTER_MESSAGE_WITNESS_H
#define FILTER_MESSAGE_WITNESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/config/listener.h"
#include "filter/table/table.h"
#include "policy/quota/quota.h"
#include "policy/verdict/verdict.h"

#define WITNESS_STEPS_MAX	1000	/* lookups and findings that are kept */

/* What was seen. JSON holds strangers' text as witness_text() makes it. */
struct witness {
	TALLOC_CTX *memory;	/* of the texts below */
	struct listener_traits traits; /* by which the listener was chosen */
	bool other_mode;	/* judge in the other mode: watch for enforce, enforce for watch */
	json_t *steps;		/* {"of", "about", "table", "key", "answer", "value"} or {"of",
				 * "about", "what", "found"}, in order */
	json_t *spf;		/* lines of the SPF checks, in order */
	const char *of;		/* what is being asked: "account", "plan", a place ... */
	const char *about;	/* ... of which address or name */
	enum stage stage;	/* of the last decision */
	struct verdict_step *rules; /* of the last decision, verdict_rules() of them; or NULL */
	const struct quota_plan *plan; /* what the store was asked, or NULL */
	struct quota_reply reply; /* what it answered */
};

/* witness_new - on ctx; frees its JSON with it */
struct witness *witness_new(TALLOC_CTX *ctx);

/* witness_topic - what the next lookups are for; both texts must outlive the witness */
void witness_topic(struct witness *witness, const char *of, const char *about);

/* witness_lookup - a table was asked for a key; text: the value, or the error */
void witness_lookup(struct witness *witness, const char *table, const char *key,
    enum table_outcome outcome, const char *text);

/* witness_found - something that is no lookup was looked at */
void witness_found(struct witness *witness, const char *what, bool found);

/* witness_spf - a line of an SPF check; state is the witness */
void witness_spf(void *state, const char *line);

/* witness_charge - what the store was asked and answered; plan must outlive the witness */
void witness_charge(struct witness *witness, const struct quota_plan *plan,
    const struct quota_reply *reply);

/* witness_place - where an address is claimed, for people; the topic of its lookups */
const char *witness_place(enum claim_place place);

/* witness_text - strangers' octets as JSON: what is not UTF-8 becomes "?", NULL becomes null */
json_t *witness_text(const char *text);

#endif
