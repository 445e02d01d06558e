/*
 * dmarc_sums.h - what an aggregate report says of a message (RFC 9990 section 3.1)
 *
 * Messages of which a report says the same are one row and a count. A row is text: a JSON object of
 * printable ASCII with sorted members, so that equal rows are equal texts:
 *
 *	ip		whose address SPF judged
 *	disposition	none, pass, quarantine or reject
 *	dkim, spf	pass or fail: aligned, and passed
 *	reasons		[[type, comment] ...]: why the policy was not applied
 *	header_from, envelope_from	domains; envelope_from is empty for the null sender
 *	dkim_results	[[d=, s=, result] ...], those that matter most first
 *	spf_result	[domain, result], if SPF was checked
 *
 * Threads: any.
 */
#ifndef FILTER_JOURNAL_DMARC_SUMS_H
#define FILTER_JOURNAL_DMARC_SUMS_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/verdict/verdict.h"

#define DMARC_SIGNATURES_MAX	20	/* of a row; RFC 9990 allows 100 */

/* Some messages in the report to one domain. */
struct dmarc_sum {
	const char *domain;	/* whose record applied */
	const char *record;	/* its text */
	const char *row;
	uint64_t n;
};

/*
 * dmarc_sum_of - one message, or NULL: no report says anything of it
 * That is one that is not for a report (struct dmarc_fact), whose result is neither pass nor fail,
 * or that was deferred and will come again. A talloc child of ctx.
 */
struct dmarc_sum *dmarc_sum_of(TALLOC_CTX *ctx, const struct facts *facts,
    const struct verdict *verdict);

#endif
