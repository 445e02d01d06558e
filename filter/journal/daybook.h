/*
 * daybook.h - what an account sent on a day and what it was refused: the sums, and as text
 *
 * For reports, and for limits proposed from what accounts really send. Days are UTC, so that
 * filters in different places mean the same one. books.h keeps DAYBOOK_DAYS of them.
 */
#ifndef FILTER_JOURNAL_DAYBOOK_H
#define FILTER_JOURNAL_DAYBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/verdict/reply.h"

#define DAYBOOK_DAYS		31

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

/* daybook_day - the day of a time (UNIX time in ms, UTC) as a number: 20261122. Any thread. */
int daybook_day(int64_t at_ms);

/* daybook_hour - the hour of a time, 0 to 23. Any thread. */
unsigned int daybook_hour(int64_t at_ms);

/* daybook_hour_of - an hour that was read back: 0 if it is none. Any thread. */
unsigned int daybook_hour_of(uint64_t n);

/*
 * daybook_write, daybook_parse - a row as text and back
 * "messages recipients bytes connections", the three of the fullest hour, an hour, the three of
 * that hour, and refusals as "over=2,would-foreign-from=1" or "-". daybook_write: on ctx.
 * daybook_parse takes what it understands. Any thread.
 */
char *daybook_write(TALLOC_CTX *ctx, const struct daybook_row *row);
void daybook_parse(const char *text, struct daybook_row *row_r);

/* daybook_write_reasons - the refusals as in daybook_write(), "" for none; on ctx */
char *daybook_write_reasons(TALLOC_CTX *ctx, const uint32_t *refused, const uint32_t *would);

#define DAYBOOK_WORD_MAX	64

/* daybook_word - the word of a reason, "over", or "would-over"; returns word */
const char *daybook_word(char word[DAYBOOK_WORD_MAX], enum reason reason, bool would);

/* daybook_set_reason - set the refusals of a row for such a word of len octets, if it is known */
void daybook_set_reason(struct daybook_row *row, const char *word, size_t len, uint32_t n);

#endif
