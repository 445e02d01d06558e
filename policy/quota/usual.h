/*
 * usual.h - what an account usually sends in an hour, and whether it sends far more now
 *
 * From its last 14 days by clock hour. A theft in the past must not become usual, and the one that
 * goes on must not either: days of a block, the day before each, and the last 24 hours are left
 * out.
 *
 * Pure. Threads: no state.
 */
#ifndef POLICY_QUOTA_USUAL_H
#define POLICY_QUOTA_USUAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USUAL_HOURS	336	/* that are looked at: 14 days */
#define USUAL_DAYS	5	/* on which it sent, at least; else nothing is usual */
#define USUAL_VOLUME	20	/* recipients in them, at least */
#define USUAL_LEAST	50	/* recipients in an hour: fewer are never unusual */

/* An hour of an account. */
struct usual_hour {
	uint32_t recipients;
	bool blocked;		/* it was, on that day */
};

/*
 * usual_recipients - how many recipients in an hour are usual for an account
 * hours: n of them, the oldest first, the one that is now the last; USUAL_HOURS is best. The larger
 * of two: what 9 of 10 hours in which it sent did not exceed; and what it sent a week ago (and two)
 * at this hour, the one before and the one after. 0: too little is known.
 */
uint64_t usual_recipients(const struct usual_hour *hours, size_t n);

/* usual_exceeded - are so many recipients in an hour more than so many times what is usual? */
bool usual_exceeded(uint64_t recipients, uint64_t times, uint64_t usual);

#endif
