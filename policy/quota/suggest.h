/*
 * suggest.h - plans proposed from what accounts really sent
 *
 * Two plans: "person" for most accounts, "busy" for all but the few. Each allows twice what the
 * accounts below a percentile usually send, rounded up to a number that people write.
 *
 * Pure. Threads: no state.
 */
#ifndef POLICY_QUOTA_SUGGEST_H
#define POLICY_QUOTA_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/quota/limit.h"

/* What an account sent on one day, in recipients. */
struct suggest_use {
	const char *account;
	int day;		/* any number that grows with the days */
	uint64_t most_hour;	/* in the fullest hour */
	uint64_t whole_day;
};

/* An account's usual use, in recipients. */
struct suggest_habit {
	const char *account;
	uint64_t hour;		/* in the fullest hour of all but its busiest days */
	uint64_t day;
	uint64_t most_hour;	/* and of the busiest */
	uint64_t most_day;
};

/* A plan, in recipients. */
struct suggest_plan {
	uint64_t hour;
	uint64_t day;
	size_t accounts;	/* for which it is enough, and no smaller one is */
};

struct suggest_plans {
	struct suggest_plan person;
	struct suggest_plan busy;
};

/* suggest_percentile - the smallest of n numbers that covers percent of them; 0 if n is 0. The
 * numbers are sorted in place. */
uint64_t suggest_percentile(uint64_t *numbers, size_t n, size_t percent);

/* suggest_rounded - up to 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is a whole number */
uint64_t suggest_rounded(uint64_t number);

/*
 * suggest_raised - a limit of the same unit and window that need fits into, as one would write it
 * Half as large again at least, and rounded up. NULL for a limit of 0, which stays as it is, for
 * an unlimited one, and for one that is as large as it may be. On ctx.
 */
char *suggest_raised(TALLOC_CTX *ctx, const struct limit *limit, uint64_t need);

/* suggest_span - for how long to raise it, for a command line: its window, an hour at least; on
 * ctx */
char *suggest_span(TALLOC_CTX *ctx, const struct limit *limit);

/*
 * suggest_habits - what each account sends, by percentile (1 to 100) over its days
 * n uses in any order, which are sorted; of several uses of one day the first counts. The array
 * of *n_r habits is on ctx and borrows the names.
 */
struct suggest_habit *suggest_habits(TALLOC_CTX *ctx, struct suggest_use *uses, size_t n,
    size_t percent, size_t *n_r);

/* suggest_fits - would this account not have reached the limits, even on its busiest day? */
bool suggest_fits(const struct suggest_habit *habit, const struct suggest_plan *plan);

/* suggest_plans - the plans for n habits, which are sorted, those with the most on a day first */
struct suggest_plans suggest_plans(TALLOC_CTX *ctx, struct suggest_habit *habits, size_t n,
    size_t percent);

#endif
