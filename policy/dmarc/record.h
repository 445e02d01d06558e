/*
 * record.h - DMARC policy records as values
 *
 * RFC 9989 section 4.7 and 4.8. Which of several records counts, and for whom, is walk.h's.
 *
 * Memory: strings live in the given talloc context. Threads: no state; any thread.
 */
#ifndef POLICY_DMARC_RECORD_H
#define POLICY_DMARC_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/base/text.h"

#define DMARC_RECORD_MAX	8192	/* longest TXT that is looked at */

/* Is the domain a public suffix? */
enum dmarc_psd {
	DMARC_PSD_UNKNOWN,	/* "u" or absent: the walk decides */
	DMARC_PSD_YES,		/* a registry: the organisation is one label below */
	DMARC_PSD_NO		/* the organisation itself: look no higher */
};

/* One record. Policies stand as they apply: sp falls back to p, np to sp (section 4.7). */
struct dmarc_record {
	enum dmarc_policy p, sp, np;
	bool has_p, has_sp, has_np; /* the tag is there, and valid */
	bool usable;		/* false: section 4.10.1 wants no DMARC processing by it */
	bool broken;		/* no valid p, or an invalid sp or np: all count as none */
	bool strict_dkim, strict_spf; /* adkim=s, aspf=s */
	bool testing;		/* t=y */
	enum dmarc_psd psd;
	const char *fo;		/* the value of fo=, or NULL */
	const char *rua;	/* the value of rua=, or NULL */
	const char *text;	/* the whole record, for logs and reports */
	const char *fault;	/* the first error, for its owner, though receivers may not mind; or
				   NULL. Static. */
};

/*
 * dmarc_record_read - read one TXT record
 * text: len octets, all its strings joined. Returns false if it is not a DMARC record at all: it
 * does not begin with v=DMARC1. Other errors leave the default of their tag; unknown tags (pct, rf
 * and ri of RFC 7489 among them) are ignored. Of a tag that occurs twice the first counts.
 */
bool dmarc_record_read(TALLOC_CTX *ctx, const char *text, size_t len,
    struct dmarc_record *record_r);

/* dmarc_record_has_address - does rua= name a well-formed URI, of any scheme? */
bool dmarc_record_has_address(const struct dmarc_record *record);

#endif
