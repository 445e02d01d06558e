/*
 * signature.h - one signature of a message while it is verified
 *
 * For verify.c, which fills what comes after the tags. Threads: as verify.h.
 */
#ifndef FILTER_DKIM_SIGNATURE_H
#define FILTER_DKIM_SIGNATURE_H

#include "filter/dkim/dkim.h"
#include "filter/dkim/stand_in.h"

#define SIGNATURE_FIELD	"DKIM-Signature"

/* One signature of the message. */
struct check {
	struct dkim_fact fact;	/* strings belong to the verification */
	struct dkim_tags tags;
	struct span names;	/* h= */
	size_t n_names;
	bool ed25519;
	bool signs_signatures;	/* h= names DKIM-Signature */
	bool relaxed_header;
	bool relaxed;		/* body */
	int64_t length;		/* l=, or -1 */
	bool open;		/* has no result yet: the library is to say it */
	size_t field;		/* index in the header list */
	struct stand_in *stand_in; /* what the library gets instead; NULL: the field itself */
	bool fed;		/* the library has it */
	DKIM_SIGINFO *sig;	/* the library's; NULL if it was not given */
	char *key_name;		/* where its key record is */
	const char *p;		/* of the record that was chosen */
	struct dns_answer *answer; /* for that; NULL before */
	bool revoked;
	const char *key_problem; /* why there is no key, or NULL */
	bool key_temporary;	/* that may change */
};

/* signature_settle - the result of a signature that has none yet; problem is not copied */
void signature_settle(struct check *check, enum dkim_result result, const char *problem);

/*
 * signature_read - read the tags of a DKIM-Signature field (RFC 6376 section 3.5)
 * check: all zero. Texts are on ctx. A field that cannot be verified has its result then.
 */
void signature_read(TALLOC_CTX *ctx, struct check *check, const struct header_field *field,
    bool knows_ed25519);

#endif
