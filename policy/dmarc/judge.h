/*
 * judge.h - from records, SPF and DKIM to the DMARC result of a message
 *
 * RFC 9989 sections 4.4, 4.10.1, 4.10.2 and 5.3. If the text leaves room, the reading is here:
 *
 *	no usable record: none; a broken record of the domain itself or its organisation: permerror
 *	a silent name server never gives pass or fail, unless what it would say cannot matter
 *	several author domains: each is judged, and the strictest policy among those that fail
 *	counts; a pass takes all of them
 *	existence unknown: the milder of sp and np
 *
 * Memory: strings point into the arguments. Threads: no state; any thread.
 */
#ifndef POLICY_DMARC_JUDGE_H
#define POLICY_DMARC_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/dmarc/walk.h"

/* Something that SPF or DKIM verified, or may have. */
struct dmarc_identifier {
	const char *domain;	/* MAIL FROM's domain or d=, normal form */
	const char *selector;	/* DKIM: s=; NULL: this is SPF's */
	bool passed;		/* false: a temporary failure, so it may pass later */
};

/* Whether the author domain is in DNS (section 3.2.13: anything but NXDOMAIN). */
enum dmarc_existence {
	DMARC_EXISTS,
	DMARC_ABSENT,
	DMARC_EXISTENCE_UNKNOWN
};

/*
 * dmarc_needs_existence - would it matter whether the author domain exists?
 * Only if the record of a domain above it applies, and has an np that differs from sp. walk: from
 * the author domain, here and below.
 */
bool dmarc_needs_existence(const struct dmarc_walk *walk);

/*
 * dmarc_needs_walk - does alignment of an identifier need the walk from its domain?
 * No if it is the author domain itself, or if it cannot be in the author's organisation: that would
 * have to be the identifier's domain or one above it.
 */
bool dmarc_needs_walk(const struct dmarc_walk *walk, const char *identifier);

/*
 * dmarc_alignment - is d= of the author's organisation, by the walks from both?
 * Unknown if no record was found for the author, or a name of the walks did not answer.
 */
enum dkim_alignment dmarc_alignment(const struct dmarc_walk *walk, const char *identifier,
    const struct dmarc_answers *answers);

/*
 * dmarc_judge - the result for one author domain
 * walk: from it. identifiers: n of them, of SPF and DKIM. Texts are on ctx.
 */
void dmarc_judge(TALLOC_CTX *ctx, const struct dmarc_walk *walk,
    const struct dmarc_answers *answers, const struct dmarc_identifier *identifiers, size_t n,
    enum dmarc_existence existence, struct dmarc_fact *fact_r);

/* dmarc_merge - the result of a message of which two author domains were judged: *fact and other */
void dmarc_merge(struct dmarc_fact *fact, const struct dmarc_fact *other);

/*
 * dmarc_settle - the result of a message whose From was not read in one way, or names too many
 * problem: why, or NULL; no_from: there is no From field. It never passes; if there are more author
 * domains than are judged, it fails with the strictest policy, since the rest is not known.
 */
void dmarc_settle(struct dmarc_fact *fact, const char *problem, bool no_from, bool too_many);

#endif
