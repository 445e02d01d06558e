/*
 * signing.h - which domain signs a message, and which of its fields
 *
 * The signature follows the verified From, never a wish of the client: the
 * domain is that of the first From mailbox, and only if that is owned. What
 * is covered follows a list of field names, each with one of three classes.
 *
 * Memory: results live in the given talloc context and may point into the
 * arguments. Threads: no state; any thread.
 */
#ifndef POLICY_DKIM_SIGNING_H
#define POLICY_DKIM_SIGNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/sender/header.h"

#define SIGNING_COVERED_MAX	256	/* fields one signature covers, oversigned ones included */
#define SIGNING_NAMES_MAX	3500	/* octets of h=: the library cuts it off at 4096 */

/* Bounds that the reader of the configuration and the verifier share. */
#define DKIM_SIGNATURES_DEFAULT	10	/* verified of one message */
#define DKIM_SIGNATURES_LIMIT	50	/* the most that may be configured */

/* How a field is covered. */
enum signing_class {
	SIGNING_PRESENT,	/* each one that is there */
	SIGNING_CLOSED,		/* the same, and if one is there, no other can be added */
	SIGNING_SEALED		/* the same, and none can be added if none is there */
};

/* One row of the list. */
struct signing_field {
	const char *name;	/* of the field, any case */
	enum signing_class class;
};

/* The list, and the MTA's habits. */
struct signing_rules {
	const struct signing_field *fields; /* begins with From, sealed */
	size_t n;
	size_t line_max; /* octets of a line that the MTA leaves whole; 0: any */
	bool mta_completes; /* the MTA adds a missing Date or Message-ID, and writes address fields
			     * again, after the filter (Sendmail) */
};

/* What i= names (RFC 6376 section 3.5): for whom the domain signs. */
enum sign_identity {
	SIGN_IDENTITY_NONE,   /* there is no i=, which means @d= */
	SIGN_IDENTITY_DOMAIN, /* "@" and the domain of the From address, if that is at or below
				 d= */
	SIGN_IDENTITY_ADDRESS /* the From address */
};

/* How the signatures of a domain are made. All zero is the default. */
struct sign_profile {
	bool simple_header;	/* canonicalisation; else relaxed */
	bool simple_body;
	uint64_t ttl;		/* seconds until x=; 0: the signature does not expire */
	enum sign_identity identity;
};

/* What one message's signatures cover. */
struct sign_plan {
	const char *domain;	/* d=, in normal form; for messages */
	bool *covered;		/* for each field of the header list: is it signed? */
	size_t n_fields;	/* entries of covered */
	size_t n_covered;	/* how many of them are true */
	const char **oversigned; /* names that close the header, NULL-terminated */
	size_t n_oversigned;
	size_t line_max;	/* of the rules */
	const char **folded;	/* for each field the value to sign and to send instead, or NULL */
	const char *risk;	/* what the MTA will do to From, which must be signed: "long-line",
				 * "rewritten-from"; else NULL */
	const char *problem;	/* why this header cannot be signed, or NULL */
};

/* The list shipped: what the RFC and the field's experience ask for. */
void signing_rules_default(struct signing_rules *rules_r);

/*
 * signing_rules_read - rules from words such as "(o)from", "(x)date", "list-id"
 *
 * (o) is SIGNING_SEALED, (x) is SIGNING_CLOSED, a bare name SIGNING_PRESENT. From is sealed
 * whether listed or not. Returns 0, or -1 with *error_r (on ctx) for a name
 * that is none, is listed twice, or must never be signed (signing_forbidden).
 */
int signing_rules_read(TALLOC_CTX *ctx, const char *const *words, size_t n,
    struct signing_rules *rules_r, const char **error_r);

/*
 * signing_forbidden - may a field of this name never be signed?
 * Bcc, Return-Path, Authentication-Results, Received and the like, which are
 * changed or removed on the way (RFC 6376 section 5.4), and DKIM-Signature itself.
 */
bool signing_forbidden(const char *name);

/*
 * signing_author - the claim that mail is signed for, or NULL
 *
 * The first From mailbox, if each claim there is was asked for and is owned. An address
 * literal is no author.
 */
const struct claim *signing_author(const struct claim *claims, size_t n);

/*
 * signing_identity - the text of i= for an author and a signing domain, or NULL: none
 * address, domain: normal form. Never one that conflicts with d=, nor one that a header could not
 * carry.
 */
const char *signing_identity(TALLOC_CTX *ctx, enum sign_identity kind, const char *address,
    const char *domain);

/* signing_identity_fits - may this text stand in i= beside d=? */
bool signing_identity_fits(const char *identity, const char *domain);

/*
 * signing_domain - the domain that may sign for these claims, or NULL
 *
 * The domain of the first From mailbox, if each claim there is was asked for and is
 * owned. sign_as: if not NULL, the only domain (normal form) that may
 * sign: it signs for itself and for names below it, and nothing else is signed.
 * An address literal never signs. The result points into the arguments.
 */
const char *signing_domain(const struct claim *claims, size_t n, const char *sign_as);

/*
 * signing_plan - which fields of this header the domain's signatures cover
 *
 * domain: not NULL, for messages only. Never returns NULL; look at problem. The strings of the
 * arguments are not copied.
 */
struct sign_plan *signing_plan(TALLOC_CTX *ctx, const struct signing_rules *rules,
    const char *domain, const struct header_list *list);

#endif
