/*
 * walk.h - the DNS tree walk: which names are asked, and what the answers mean
 *
 * RFC 9989 section 4.10. All names of a walk are known beforehand, so that they can be asked at
 * once; the caller hands the answers in.
 *
 * Memory: names point into the domain they come from. Threads: no state; any thread.
 */
#ifndef POLICY_DMARC_WALK_H
#define POLICY_DMARC_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/dmarc/record.h"

#define DMARC_WALK_MAX	8	/* questions of one walk */

/* What DNS said of `_dmarc.` and a name. */
enum dmarc_state {
	DMARC_NO_RECORD,	/* none, or several, or none that is one */
	DMARC_HAS_RECORD,
	DMARC_SILENT		/* a failure that may pass: nothing is known */
};

struct dmarc_answer {
	const char *name;	/* the domain, without "_dmarc."; normal form */
	enum dmarc_state state;
	struct dmarc_record record; /* for DMARC_HAS_RECORD */
};

/* Answers of one message, each name once. */
struct dmarc_answers {
	const struct dmarc_answer *items;
	size_t n;
};

/* What a walk found. */
struct dmarc_walk {
	const char *domain;	/* where it began */
	const char
	    *organisation; /* the organisational domain; NULL: an answer that matters is missing */
	const char *highest;	/* the shortest name that may be it, whatever silent names hold */
	const struct dmarc_answer *own; /* the record at the domain itself, or NULL */
	const struct dmarc_answer *upper; /* the one at the organisation above it, or NULL */
	const struct dmarc_answer
	    *registry;          /* the one with psd=y above the organisation, or NULL */
	const char *silent;	/* the first name that did not answer, or NULL */
};

/*
 * dmarc_walk_names - the names of a walk from a domain, longest first
 * domain: normal form, no literal. Returns how many; the first is the domain itself.
 */
size_t dmarc_walk_names(const char *domain, const char *names_r[DMARC_WALK_MAX]);

/*
 * dmarc_answer_read - from the TXT records at a name to its answer
 * records, lens: n of them. DMARC_NO_RECORD if several of them are DMARC records.
 */
void dmarc_answer_read(TALLOC_CTX *ctx, const char *name, const char *const *records,
    const size_t *lens, size_t n, struct dmarc_answer *answer_r);

/* dmarc_answer_find - the answer for a name, or NULL: it was not asked */
const struct dmarc_answer *dmarc_answer_find(const struct dmarc_answers *answers, const char *name);

/*
 * dmarc_walk - judge the answers to a walk from a domain
 * A name of the walk that was not asked counts as silent.
 */
void dmarc_walk(const char *domain, const struct dmarc_answers *answers, struct dmarc_walk *walk_r);

#endif
