/*
 * rewrite.h - SPF records as libspf2 gets to see them
 *
 * Pure. A record is rewritten for one client: what can be decided without DNS
 * is decided, and every domain-spec becomes a token "<number>.t". The text that
 * comes out is made of our own words and numbers only, is short, and asks for no
 * feature that libspf2 gets wrong (rewrite.c says which those are).
 */
#ifndef POLICY_SPF_REWRITE_H
#define POLICY_SPF_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/spf/record.h"

/* Highest number of DNS terms a rewritten record can hold; libspf2 keeps 511
 * octets of compiled mechanisms and drops what is more without a word. */
#define SPF_REWRITE_TERMS_MAX	20

/* What a token stands for, which says how a question for it is answered. */
enum spf_token_kind {
	SPF_TOKEN_RECORD,	/* the target of include or redirect */
	SPF_TOKEN_A,		/* whether an address of a name lies where the client does */
	SPF_TOKEN_MX,		/* the same of the hosts of an mx */
	SPF_TOKEN_PTR,		/* whether a validated name of the client lies in a domain */
	SPF_TOKEN_EXISTS	/* whether a name has an IPv4 address */
};

/* One token of a rewritten record. */
struct spf_token {
	enum spf_token_kind kind;
	bool redirect;		/* SPF_TOKEN_RECORD: of redirect=, not of include */
	char qualifier;		/* '+', '-', '~' or '?' */
	unsigned int prefix;	/* bits that must agree with the client: a, mx */
	struct spf_text spec;	/* domain-spec to expand; absent: the current domain */
	struct spf_text text;	/* the term as written */
};

/* A record for one client. */
struct spf_rewritten {
	char *text;		/* for libspf2; NUL-terminated */
	struct spf_token *tokens; /* the first one has the number first_token */
	size_t n_tokens;
	struct spf_text end;	/* the term that matches whatever gets so far; absent: none */
	char end_qualifier;	/* of it */
};

/*
 * spf_rewrite - rewrite a record for one client
 * address has 4 or 16 octets in network order. Tokens are numbered from
 * first_token on. Rewriting ends after max_terms terms that query DNS, because
 * no later one can be reached; max_terms is at most SPF_REWRITE_TERMS_MAX.
 * The result is on ctx; its texts point into what record points into.
 */
struct spf_rewritten *spf_rewrite(TALLOC_CTX *ctx, const struct spf_record *record,
    const unsigned char *address, bool ipv6, size_t first_token, size_t max_terms);

/*
 * spf_token_number - the number in a token
 * Returns false if name is no token as spf_rewrite() writes them.
 */
bool spf_token_number(const char *name, size_t *number_r);

#endif
