/*
 * lookup.h - one key in a list of tables
 */
#ifndef FILTER_MESSAGE_LOOKUP_H
#define FILTER_MESSAGE_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/daemon/figures.h"
#include "filter/daemon/snapshot.h"
#include "filter/message/witness.h"

/* What lookups have in common. */
struct lookup {
	TALLOC_CTX *ctx;	/* owns what is found */
	const struct snapshot *snapshot;
	int64_t deadline_ms;	/* CLOCK_MONOTONIC */
	struct witness *witness; /* whom each answer is reported to, or NULL */
	struct figures *figures; /* where answers are counted, or NULL */
};

/*
 * lookup_key - ask the tables of a list in turn
 * Falls through to the next on "not found" only; a table that cannot answer ends the search
 * with TABLE_TEMPERROR and, now and then, a line in the log (not before a witness). A key with an
 * international domain is looked up with A-labels and with U-labels. partial: as for
 * table_get_partial(). *value_r as for table_get(). Any thread.
 */
enum table_outcome lookup_key(const struct lookup *lookup, const struct table_list *list,
    const char *key, bool partial, const char **value_r);

/* Which keys of an address are looked up. */
enum lookup_keys {
	LOOKUP_WHOLE,		/* those that spell it in full */
	LOOKUP_MAILBOX,		/* also without its sub-address or our realm, but not @domain */
	LOOKUP_ALL
};

/*
 * lookup_address - the same for an address and its partial keys
 * In Postfix's order: user+tag@domain, user@domain, user (of our realm), @domain; the first hit
 * decides.
 */
enum table_outcome lookup_address(const struct lookup *lookup, const struct table_list *list,
    const char *address, enum lookup_keys which, const char **value_r);

#endif
