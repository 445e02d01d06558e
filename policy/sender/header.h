/*
 * header.h - the header section as the MTA gave it, and who it says sent it
 *
 * Memory: everything lives below the list, or in the given talloc context.
 * Threads: one at a time per list.
 */
#ifndef POLICY_SENDER_HEADER_H
#define POLICY_SENDER_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/address_list.h"
#include "policy/base/facts.h"

#define HEADER_FIELDS_MAX	10000	/* fields kept of one message */

/* One header field. Both strings are NUL-terminated, and may hold NUL besides. */
struct header_field {
	const char *name;	/* as sent, without the colon */
	size_t name_len;
	const char
	    *value; /* all that followed the colon, its leading space included; folds as "\n" */
	size_t value_len;
};

/* The header section, in the order of the message. */
struct header_list {
	struct header_field *fields;	/* those that are kept */
	size_t n;			/* how many are kept */
	size_t room;			/* entries allocated in fields */
	size_t octets;			/* of names and values kept */
	size_t max_octets;		/* bound of octets */
	size_t seen;			/* fields appended, kept or not */
	bool too_many;			/* some were not kept */
};

/* An empty list that will keep at most max_octets octets of names and values. */
struct header_list *header_list_new(TALLOC_CTX *ctx, size_t max_octets);

/*
 * header_append - add a field at the end
 *
 * Both texts are copied. From the first field that does not fit the bounds on,
 * fields are only counted, and too_many is set.
 */
void header_append(struct header_list *list, const char *name, size_t name_len,
    const char *value, size_t value_len);

/* Is this the field's name? Case-insensitive; white space before the colon ignored. */
bool header_is(const struct header_field *field, const char *name);

/* How many kept fields have this name. */
size_t header_count(const struct header_list *list, const char *name);

/* The nth kept field of this name, counted from 0, or NULL. */
const struct header_field *header_find(const struct header_list *list,
    const char *name, size_t nth);

/* One thing that a display name shows besides a name; see enum address_display. */
struct header_display {
	enum claim_place place;		/* the field it stands in */
	const char *field;		/* the name of that field */
	const char *text;		/* its value as sent */
	enum address_display finding;	/* never ADDRESS_DISPLAY_PLAIN */
	const char *display;		/* the name as shown, decoded; a stranger's octets */
	const char
	    *shown; /* the address it shows, normal form if it has one; NULL for an override */
	const char *address;		/* the address of the mailbox itself, normal form */
};

/* All such display names of a message. */
struct header_displays {
	struct header_display *items;
	size_t n;
};

/*
 * header_read_senders - who the header says sent the message
 *
 * Fills *facts_r (all its members), and the claims of every mailbox in From,
 * Sender, Resent-From and Resent-Sender, in this order of fields. From is not read
 * if it is absent or there are several (facts_r->from_fields says so).
 * Several Resent-From or Resent-Sender fields are several times of resending
 * (RFC 5322 section 3.6.6) and all claimed; several Sender fields are malformed, as
 * are a From without mailbox and a Sender with more than one address, and any of
 * these fields that only sloppy readers would see: with octets in its name that are
 * not printable ASCII, or inside another field after a line end that is no fold. The
 * first malformed field is reported; a malformed field makes no claims. Values as sent, in facts_r
 * and displays_r, are the list's own.
 *
 * claims_r, n_r: an array in ctx, owned = OWNED_NOT_ASKED throughout; NULL and 0
 * if nothing is claimed. displays_r: may be NULL.
 */
void header_read_senders(TALLOC_CTX *ctx, const struct header_list *list,
    const struct address_rules *rules, struct header_facts *facts_r,
    struct claim **claims_r, size_t *n_r, struct header_displays *displays_r);

#endif
