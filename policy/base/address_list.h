/*
 * address_list.h - lists of mailboxes in header fields
 *
 * What can be read in more than one way is malformed; a reader that guesses can be cheated. What is
 * odd but has one reading passes. Errors and memory: as in address.h. Pure. Threads: any.
 */
#ifndef POLICY_BASE_ADDRESS_LIST_H
#define POLICY_BASE_ADDRESS_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/address.h"
#include "policy/base/address_display.h"

/* Mailboxes read from one field; more are malformed. */
#define ADDRESS_MAILBOXES_MAX	100

/* One mailbox of a From or Sender field. */
struct mailbox {
	const char *display_raw; /* text before "<" as sent, at most ADDRESS_DISPLAY_MAX octets; ""
				    if none */
	const char *display; /* as a reader shows it: unquoted, decoded, with comments, as long; ""
				if none */
	const char *group;   /* name of its RFC 6854 group, decoded, as long; NULL outside groups */
	struct address address;
	enum address_display finding;	/* the gravest thing that display and group show */
	const struct address_shown *shown;	/* every foreign address in them, each once */
	size_t n_shown;		/* 0 for PLAIN and OVERRIDE */
	bool override;		/* they hold an override, whatever else they show */
};

/*
 * address_parse_list - read the value of a From, Sender or Resent- field
 *
 * value: len octets after the colon, folds as "\n" or "\r\n" before white space.
 * Read: mailbox and address lists of RFC 5322 3.4, groups (RFC 6854), comments of
 * any depth, UTF-8 (RFC 6532), address literals; the obsolete forms that have one
 * reading: dots in phrases, empty list elements, white space around "@" and
 * after the first label of a domain. Beyond the RFC, because mail programs write
 * it: raw 8-bit octets of any charset in display names and comments; brackets in
 * unquoted names; dots at odd places of a local part; commas, colons and semicolons
 * left raw in an encoded word; and an unquoted "@" in a display name if it belongs to
 * the mailbox's own address.
 *
 * Malformed is, among others: control octets, a fold without white space, what does not close,
 * two addresses without comma, text after ">", any other "@" unquoted before "<" ("Support @
 * Example"), a domain in fullwidth letters, source routes, encoded words in an address, an
 * address in comments or groups that belong to no mailbox, invisible characters in an address,
 * an address without domain (but see default_domain), a trailing dot, and encoded words that
 * hide a NUL or a line end.
 *
 * Returns 0 with *n_r mailboxes (0 is possible: "undisclosed:;"; an empty value is
 * malformed), or -1 with *error_r; then there are none. Time is linear in len;
 * nothing recurses.
 */
int address_parse_list(TALLOC_CTX *ctx, const char *value, size_t len,
    const struct address_rules *rules, struct mailbox **mailboxes_r, size_t *n_r,
    const char **error_r);

#endif
