/*
 * merge.h - which refused messages count for "over N times", if many have one subject
 *
 * A mail program that sends a letter to each of many recipients, or an invoice to each customer,
 * sends messages that differ in recipient only, and exceeds a limit with all of them at once. Of
 * such messages the first MERGE_FIRST count each, then one of every MERGE_EVERY, or the next after
 * MERGE_PAUSE_MS: a letter to 200 people is not a theft, a letter that goes on for an hour is.
 *
 * Pure. Threads: no state; a struct belongs to one thread at a time.
 */
#ifndef POLICY_QUOTA_MERGE_H
#define POLICY_QUOTA_MERGE_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#define MERGE_FIRST	5
#define MERGE_EVERY	8
#define MERGE_PAUSE_MS	INT64_C(120000)

/* Refused messages of an account with one subject. Zeros: none yet. */
struct merge {
	int64_t seen_ms;	/* the last one */
	int64_t counted_ms;	/* the last one that counted */
	uint32_t n;		/* so many within the window */
	uint32_t uncounted;	/* since the last one that counted */
};

/*
 * merge_counts - one more message with that subject is refused at now; does it count?
 * window_ms: after so long without one counting begins again. Times are UNIX time in milliseconds.
 */
bool merge_counts(struct merge *merge, int64_t now, int64_t window_ms);

/*
 * merge_subject - what the subjects of a mail merge have in common; on ctx
 * Lower case, digits and white space left out: "Invoice 1001" and "Invoice 1002" are one.
 */
char *merge_subject(TALLOC_CTX *ctx, const char *subject);

#endif
