/*
 * stand_in.h - verify a signature that libopendkim cannot read, through one that it can
 *
 * libopendkim knows a signature by "b=" alone (not "b =", and takes "xb=" for it), reads ASCII only
 * (RFC 8616 allows UTF-8 in d=, s= and i=), and hashes a DKIM-Signature field named in h= only if
 * it can read that one, too. Such a signature is replaced for the library by a stand-in: the same
 * tags, written plainly, over From alone, signed with a key of our own. The library then checks the
 * body hash, l=, t= and x=, and the flags of the key record; stand_in_verify() checks what the
 * stand-in replaced, the signature over the real header, with the real key.
 *
 * Threads: a stand-in belongs to one message, so to one thread at a time.
 */
#ifndef FILTER_DKIM_STAND_IN_H
#define FILTER_DKIM_STAND_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/dkim/dkim.h"
#include "policy/base/facts.h"
#include "policy/base/text.h"
#include "policy/sender/header.h"

/* A signature, read. Strings outlive the call only. */
struct stand_in_of {
	const struct header_list *list;
	size_t field;		/* index of the DKIM-Signature in list */
	const struct dkim_tags *tags;
	struct span names;	/* h= */
	const char *sdid;	/* d=, A-labels */
	const char *auid;	/* i=, its domain in A-labels; NULL if absent */
	bool ed25519;
	bool relaxed_header;
};

struct stand_in;

/* stand_in_needed - can libopendkim not hash a signature with these tags? (h= apart) */
bool stand_in_needed(const struct dkim_tags *tags);

/*
 * stand_in_new - hash what the signature covers, and make its stand-in
 * Returns NULL if libcrypto makes no key. A talloc child of ctx;
 * nothing of `of` is kept.
 */
struct stand_in *stand_in_new(TALLOC_CTX *ctx, const struct stand_in_of *of);

/* The DKIM-Signature field to show libopendkim instead; belongs to the stand-in. */
const struct header_field *stand_in_field(const struct stand_in *stand_in);

/* What k= and p= of the key record for libopendkim must be: "k=ed25519; p=...". */
const char *stand_in_key(const struct stand_in *stand_in);

/*
 * stand_in_verify - does the real signature match the real header?
 *
 * p: the p= of the key record, without white space, or NULL if there was none. min_bits: the
 * shortest RSA key. *bits_r: bits of the key, 0 if it cannot be read. *problem_r: static text, or
 * NULL for a pass.
 */
enum dkim_result stand_in_verify(const struct stand_in *stand_in, const char *p,
    unsigned int min_bits, unsigned int *bits_r, const char **problem_r);

#endif
