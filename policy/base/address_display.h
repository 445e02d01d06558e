/*
 * address_display.h - what a reader sees in a display name: addresses, imitations, overrides
 *
 * Pure. Threads: any. Memory: results are on ctx.
 */
#ifndef POLICY_BASE_ADDRESS_DISPLAY_H
#define POLICY_BASE_ADDRESS_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/text.h"

/* Octets kept of a display name, each of the raw and the decoded one. */
#define ADDRESS_DISPLAY_MAX	256

/* What users see in a display name besides a name. */
enum address_display {
	ADDRESS_DISPLAY_PLAIN,   /* nothing remarkable */
	ADDRESS_DISPLAY_ADDRESS, /* it shows an address that is not the mailbox's own */
	ADDRESS_DISPLAY_MAILBOX, /* the same, disguised as a mailbox: "<" before it; a bracket, a
				  * quotation mark, a divider or a fold after it
				  * ("Chief <ceo@bank.example>", "ceo@bank.example, x"); an at sign
				  * that only looks like one, an encoded address, or the name of a
				  * group */
	ADDRESS_DISPLAY_OVERRIDE /* it holds a bidirectional override (U+202D, U+202E) */
};

/* Foreign addresses kept of one display name or group name; more are malformed. */
#define ADDRESS_SHOWN_MAX	32

/* An address that a display name shows and that is not the mailbox's own. */
struct address_shown {
	const char *address;	/* normal form if it has one; else a stranger's octets, with "@" */
	bool disguised;		/* see ADDRESS_DISPLAY_MAILBOX */
};

/* Text of a display name under construction. */
struct display {
	char *text;
	size_t len;
};

/* What a scan of a display name found. */
struct scan {
	size_t own;		/* times the mailbox's own address is shown */
	size_t words;		/* at signs that are no part of an address: "Support @ Example" */
	size_t others;		/* every other at sign */
	size_t tight;		/* those of them in an address without blanks */
	struct address_shown *shown;	/* the foreign addresses, each once */
	size_t n_shown;
	bool too_many;		/* there are more of them than are kept */
	bool override;		/* a bidirectional override */
	size_t conversions;	/* addresses converted so far */
};

/*
 * address_display_add - append what a reader shows of a piece of a field
 *
 * The piece was through the lexer, so everything in it closes. only_comments: take nothing else.
 * display->text has room for twice the octets of all pieces.
 */
void address_display_add(struct display *display, struct span piece, bool only_comments);

/* address_display_decode - decode its encoded words (RFC 2047); 0, or -1 and *error_r */
int address_display_decode(TALLOC_CTX *ctx, const struct display *display, struct span *text_r,
    const char **error_r);

/* address_display_scan - look for addresses and overrides; own: the mailbox's address, or NULL */
void address_display_scan(TALLOC_CTX *ctx, struct span text, const char *own, struct scan *scan_r);

/* address_display_is_encoded - does it show an address only once its encoded words are decoded? */
bool address_display_is_encoded(TALLOC_CTX *ctx, const struct display *display, const char *own,
    const struct scan *decoded);

/* address_display_are_own - do all unquoted at signs of a name belong to the mailbox's address? */
bool address_display_are_own(
    TALLOC_CTX *ctx, struct span name, size_t unquoted_ats, const char *own);

/* address_keep, address_display_keep - a copy of ADDRESS_DISPLAY_MAX octets at most that cuts no
 * UTF-8 character; the second without the marks that only a scan needs */
char *address_keep(TALLOC_CTX *ctx, struct span text);
char *address_display_keep(TALLOC_CTX *ctx, struct span text);

/*
 * address_at_sign - octets of an at sign, or of what passes for one to the eye (U+FF20, U+FE6B,
 * overlong forms), at the start of text; 0 if text begins otherwise
 */
size_t address_at_sign(const char *bytes, size_t len);

#endif
