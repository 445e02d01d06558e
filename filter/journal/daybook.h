/*
 * daybook.h - what each account sent and what it was refused, day by day
 *
 * For reports, and for limits proposed from what accounts really send. Days are UTC, so that
 * filters in different places mean the same one. Kept are DAYBOOK_DAYS days of DAYBOOK_ACCOUNTS_MAX
 * accounts each, some 100 octets an account and day; in Redis, shared by all filters, or in
 * this process.
 *
 * Threads: any. Adding and reading may wait for Redis: not for the message's path.
 */
#ifndef FILTER_JOURNAL_DAYBOOK_H
#define FILTER_JOURNAL_DAYBOOK_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/journal/journal_redis.h"
#include "policy/verdict/reply.h"

#define DAYBOOK_DAYS		31
#define DAYBOOK_ACCOUNTS_MAX	200000

/* What is counted of messages: three sums that belong together. */
struct daybook_sums {
	uint64_t messages;	/* accepted or held */
	uint64_t recipients;	/* of those */
	uint64_t bytes;
};

/* An account's day. */
struct daybook_row {
	struct daybook_sums day;
	uint64_t connections;	/* on which it sent, or tried to */
	struct daybook_sums peak;	/* of the fullest clock hour, each for itself */
	unsigned int hour;	/* 0 to 23: */
	struct daybook_sums of_hour; /* so far */
	uint32_t refused[REASON_COUNT];	/* answers with tempfail or reject, by reason */
	uint32_t would[REASON_COUNT];	/* the same that passed because of mode watch */
};

/* What one account did since the last time. */
struct daybook_delta {
	const char *account;
	struct daybook_sums sums;
	uint64_t connections;
	uint32_t refused[REASON_COUNT];
	uint32_t would[REASON_COUNT];
};

struct daybook;

/*
 * daybook_new - empty sums, or the shared ones
 * redis may be NULL: in this process, and, where file is given, read from it and written by
 * daybook_save().
 */
struct daybook *daybook_new(TALLOC_CTX *ctx, struct journal_redis *redis, const char *file);

/*
 * daybook_add - add to the sums of the day and hour of at_ms (UNIX time)
 * Returns 0, or -1 and *error_r on ctx: then nothing is certain to be added.
 */
int daybook_add(struct daybook *daybook, TALLOC_CTX *ctx, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, const char **error_r);

/* daybook_save - write the file, if there is one and anything changed; failures are logged */
void daybook_save(struct daybook *daybook);

/* What daybook_read() calls; account "*" stands for those beyond the bound. */
typedef void daybook_each(void *arg, const char *account, const struct daybook_row *row);

/*
 * daybook_read - each account of a day, in no order
 * day: as daybook_day() gives it. Returns 0, or -1 and *error_r on ctx.
 */
int daybook_read(struct daybook *daybook, TALLOC_CTX *ctx, int day, daybook_each *each, void *arg,
    const char **error_r);

/* daybook_day - the day of a time (UNIX time in ms, UTC) as a number: 20261122. Any thread. */
int daybook_day(int64_t at_ms);

/*
 * daybook_write, daybook_parse - a row as text and back
 * "messages recipients bytes connections", the three of the fullest hour, an hour, the three of
 * that hour, and refusals as "over=2,would-foreign-from=1" or "-". daybook_write: on ctx.
 * daybook_parse takes what it understands. Any thread.
 */
char *daybook_write(TALLOC_CTX *ctx, const struct daybook_row *row);
void daybook_parse(const char *text, struct daybook_row *row_r);

#endif
