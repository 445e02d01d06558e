/*
 * address.h - mail addresses: SMTP paths, normal form, parts
 *
 * The normal form is what addresses are compared by, never what is displayed:
 *   local "@" domain
 * with the domain as in domain.h and the local part unquoted, in NFC, folded to
 * lower case if the rules say so, and then quoted again only if RFC 5321
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
/* How addresses are read; part of the configuration. */
struct address_rules {
	bool fold_local;	/* local parts in lower case: Alice@ is alice@ */
	const char *default_domain; /* normal domain given to addresses without one, or NULL: then
				       they are malformed */
};

/* An address in normal form. */
struct address {
	const char *full;	/* local@domain; the local part quoted if it must be */
	const char *local;	/* unquoted */
	const char *domain;	/* points into full, after the last "@"; "" if there is none */
};

/*
 * address_normalise - put together an address from its parts
 *
 * local: unquoted octets, ASCII or UTF-8; may be empty. domain: as for
 * domain_normalise, in its plain spelling (domain_is_plain, as IDNA 2008 wants it); domain_len 0
 * means none: default_domain is taken, or, if
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
 * domain, rules->default_domain is added; if that is NULL the address is
 * returned as it is, with an empty domain (the MTA accepted it: <postmaster>).
 * One trailing dot of the domain is dropped, as MTAs do.
 *
 * Fills *address_r for ADDRESS_PATH_MAILBOX; for ADDRESS_PATH_NULL all its strings
 * are ""; for ADDRESS_PATH_MALFORMED *error_r.
 */
enum address_path address_parse_path(TALLOC_CTX *ctx, const char *path, size_t len,
    const struct address_rules *rules, struct address *address_r,
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
 * Returns the normal form without sub-address, or NULL if there is none.
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

/*
 * address_may_route - may an MTA find another address inside the local part?
 *
 * full: normal form. True if the local part holds "%", "!" or "@". Such an address must not be cut
 * at a delimiter before address_inner() has looked at it: v+x%example.net@example.org is no
 * sub-address of v@example.org if the MTA reads it as v+x@example.net.
 */
bool address_may_route(const char *full);

#define ADDRESS_INNER_MAX	3	/* addresses inside one local part */

/*
 * address_inner - the addresses that an MTA may find inside a local part
 *
 * If the domain is its own, an MTA may go on with what the local part says:
 * user%host, host!user (RFC 5321 appendix F) or "user@host". full: normal form.
 * Fills inner_r with normal forms and returns how many; each may hold more of them.
 */
size_t address_inner(TALLOC_CTX *ctx, const char *full,
    const char *inner_r[ADDRESS_INNER_MAX]);

/* For the readers of fields */

/* address_is_atext - may this octet stand in an atom? RFC 5322 section 3.2.3, RFC 6532 3.2 */
bool address_is_atext(char c);

/* address_is_dotted - may this octet stand in an unquoted local part? */
bool address_is_dotted(char c);

/*
 * address_unquote - the text of the quoted string that at begins with
 * out: room for len octets; *len_r of them are filled. Returns octets consumed, or 0: no end.
 */
size_t address_unquote(const char *at, size_t len, char *out, size_t *len_r);

/* address_folded - the normal form with the local part folded, as display names are compared with
 * it */
const char *address_folded(TALLOC_CTX *ctx, const struct address *address);

#endif
