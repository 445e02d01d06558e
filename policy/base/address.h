/*
 * address.h - mail addresses: SMTP paths, lists of mailboxes, normal form
 *
 * The normal form is what addresses are compared by, never what is displayed:
 *   local "@" domain
 * with the domain as in domain.h and the local part unquoted, in NFC, folded to
 * lower case where the rules say so, and then quoted again only where RFC 5321
 * needs quotes. So "alice"@Example.ORG and alice@example.org are one address.
 *
 * What can be read in more than one way is malformed; a reader who guesses is a
 * reader who can be cheated. What is odd but has one reading passes.
 *
 * Errors: a clause for the end of a sentence, such as "a quoted string has no
 * end"; static text, without the stranger's octets. error_r may be NULL.
 * Memory: results live in the given talloc context. Threads: any.
 */
#ifndef POLICY_BASE_ADDRESS_H
#define POLICY_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

/* Octets of an unquoted local part. RFC 5321 says 64; reply and bounce addresses of real services
 * are longer. */
#define ADDRESS_LOCAL_MAX	512
/* Mailboxes read from one field; more are malformed. */
#define ADDRESS_MAILBOXES_MAX	100
/* Octets kept of a display name, each of the raw and the decoded one. */
#define ADDRESS_DISPLAY_MAX	256

/* How addresses are read; part of the configuration. */
struct address_rules {
	bool fold_local;	/* local parts in lower case: Alice@ is alice@ */
	const char *default_domain; /* normal domain given to addresses without one, or NULL: then
				       they are malformed */
};

/* An address in normal form. */
struct address {
	const char *full;	/* local@domain; the local part quoted where it must be */
	const char *local;	/* unquoted */
	const char *domain;	/* points into full, behind the last "@"; "" where there is none */
};

/*
 * address_normalise - put together an address from its parts
 *
 * local: unquoted octets, ASCII or UTF-8; may be empty. domain: as for
 * domain_normalise, in its plain spelling (domain_is_plain, as IDNA 2008 wants it); domain_len 0
 * means none: default_domain is taken, or, where
 * that is NULL, the address stays without domain. Returns 0, or -1 with *error_r.
 */
int address_normalise(TALLOC_CTX *ctx, const char *local, size_t local_len,
    const char *domain, size_t domain_len, const struct address_rules *rules,
    struct address *address_r, const char **error_r);

/* What an SMTP path turned out to be. */
enum address_path {
	ADDRESS_PATH_MAILBOX,
	ADDRESS_PATH_NULL,	/* "<>" or "": bounces */
	ADDRESS_PATH_MALFORMED
};

/*
 * address_parse_path - read the argument of MAIL FROM or RCPT TO (RFC 5321 4.1.2)
 *
 * path: as an MTA hands it to a milter: with or without "<" ">"; without
 * parameters. A source route is dropped, as RFC 5321 appendix C wants:
 * <@a,@b:user@c> is user@c. Local parts may be quoted or UTF-8 (RFC 6531). Without
 * domain, rules->default_domain is added; where that is NULL the address is
 * returned as it is, with an empty domain (the MTA accepted it: <postmaster>).
 * One trailing dot of the domain is dropped, as MTAs do.
 *
 * Fills *address_r for ADDRESS_PATH_MAILBOX; for ADDRESS_PATH_NULL all its strings
 * are ""; for ADDRESS_PATH_MALFORMED *error_r.
 */
enum address_path address_parse_path(TALLOC_CTX *ctx, const char *path, size_t len,
    const struct address_rules *rules, struct address *address_r,
    const char **error_r);

/* What users see in a display name besides a name. */
enum address_display {
	ADDRESS_DISPLAY_PLAIN,   /* nothing remarkable */
	ADDRESS_DISPLAY_ADDRESS, /* it shows an address that is not the mailbox's own */
	ADDRESS_DISPLAY_MAILBOX, /* the same, disguised as a mailbox: "<" before it; a bracket, a
				  * quotation mark, a divider or a fold behind it
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
 * value: len octets behind the colon, folds as "\n" or "\r\n" before white space.
 * Read: mailbox and address lists of RFC 5322 3.4, groups (RFC 6854), comments of
 * any depth, UTF-8 (RFC 6532), address literals; the obsolete forms that have one
 * reading: dots in phrases, empty list elements, white space around "@" and
 * after the first label of a domain. Beyond the RFC, because mail programs write
 * it: raw 8-bit octets of any charset in display names and comments; brackets in
 * unquoted names; dots at odd places of a local part; commas, colons and semicolons
 * left raw in an encoded word; and an unquoted "@" in a display name where it belongs to
 * the mailbox's own address.
 *
 * Malformed is, among others: control octets, a fold without white space, what does not close,
 * two addresses without comma, text behind ">", any other "@" unquoted before "<" ("Support @
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

/*
 * address_split - the parts of an address in normal form
 *
 * full: a normal form, as a claim carries it; copied.
 */
void address_split(TALLOC_CTX *ctx, const char *full, struct address *address_r);

/*
 * address_base - an address without its sub-address (RFC 5233)
 *
 * full: normal form. delimiters: any one of these characters begins the
 * sub-address, as Postfix's recipient_delimiter; NULL or "" for none. A delimiter
 * at the start of the local part does not count; with "-", mailer-daemon,
 * double-bounce, owner-x and x-request stay whole, as in Postfix.
 * Returns the normal form without sub-address, or NULL where there is none.
 */
char *address_base(TALLOC_CTX *ctx, const char *full, const char *delimiters);

/*
 * address_is_plain - has the local part nothing that a sloppy reader takes for an address?
 *
 * full: normal form. False if the local part holds "@", a bracket, a parenthesis, a comma, colon
 * or semicolon, a quotation mark or a backslash: of "alice+ <ceo@bank.example>"@example.org many
 * mail programs show ceo@bank.example. Such an address is owned only as a whole.
 */
bool address_is_plain(const char *full);

#define ADDRESS_INNER_MAX	3	/* addresses inside one local part */

/*
 * address_inner - the addresses that an MTA may find inside a local part
 *
 * Where the domain is its own, an MTA may go on with what the local part says:
 * user%host, host!user (RFC 5321 appendix F) or "user@host". full: normal form.
 * Fills inner_r with normal forms and returns how many; each may hold more of them.
 */
size_t address_inner(TALLOC_CTX *ctx, const char *full,
    const char *inner_r[ADDRESS_INNER_MAX]);

/*
 * address_at_sign - octets of an at sign, or of what passes for one to the eye (U+FF20, U+FE6B,
 * overlong forms), at the start of text; 0 where text begins otherwise
 */
size_t address_at_sign(const char *bytes, size_t len);

#endif
