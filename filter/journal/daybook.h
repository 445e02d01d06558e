/*
 * daybook.h - what an account sent on a day and what it was refused, by hour
 *
 * For reports, for plots, and for limits proposed from what accounts really send. Days are UTC, so
 * that filters in different places mean the same one. books.h keeps DAYBOOK_DAYS of them.
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

#define DAYBOOK_HOURS		24	/* of a day */

/* An account's hour. */
struct daybook_hour {
	uint32_t messages;	/* accepted or held */
	uint32_t recipients;	/* of those */
	uint32_t refused;	/* answers with tempfail or reject */
	bool blocked;		/* the account was, on that day; books_read_hours() sets it */
};

/* An account's day. */
struct daybook_row {
	struct daybook_sums day;
	uint64_t connections;	/* on which it sent, or tried to */
	uint64_t peak_messages, peak_recipients; /* of the fullest clock hour, each for itself */
	struct daybook_hour hours[DAYBOOK_HOURS]; /* as far as they are known */
	uint32_t refused[REASON_COUNT];	/* answers with tempfail or reject, by reason */
	uint32_t would[REASON_COUNT];	/* the same that passed because of mode watch */
	uint32_t blocks;	/* how often it was blocked; each filter may have counted it */
};

/* What one account did since the last time. */
struct daybook_delta {
	const char *account;
	struct daybook_sums sums;
	uint64_t connections;
	uint32_t refused[REASON_COUNT];
	uint32_t would[REASON_COUNT];
	uint32_t blocks;
};

/* daybook_day - the day of a time (UNIX time in ms, UTC) as a number: 20261122. Any thread. */
int daybook_day(int64_t at_ms);

/* daybook_hour - the hour of a time, 0 to 23. Any thread. */
unsigned int daybook_hour(int64_t at_ms);

/* daybook_refused - all refusals of a delta, whatever the reason. Any thread. */
uint32_t daybook_refused(const struct daybook_delta *delta);

/*
 * daybook_unpack - a row as daybook.lua writes it: numbers are little-endian
 * Bytes (double), connections (4 octets), the length of the refusals (2 octets) and these as
 * "over=2,would-foreign-from=1,block=1"; then the hours in their order: messages, recipients and
 * refusals in 1, 2 or 4 octets each, and an octet with the hour and 0, 32 or 64 for this width.
 * Takes what it understands. Any thread.
 */
void daybook_unpack(const char *data, size_t len, struct daybook_row *row_r);

#define DAYBOOK_DELTA_MAX	24

/* daybook_pack - a delta as daybook.lua reads it: bytes (double), messages, recipients, refusals
 * and connections (4 octets each); DAYBOOK_DELTA_MAX octets. Any thread. */
void daybook_pack(const struct daybook_delta *delta, char data[DAYBOOK_DELTA_MAX]);

/*
 * daybook_parse - a row as earlier versions wrote it, as text
 * "messages recipients bytes connections", the three of the fullest hour, the last hour and its
 * three so far, and refusals as above or "-". Takes what it understands. Any thread.
 */
void daybook_parse(const char *text, struct daybook_row *row_r);

/* daybook_write_reasons - refusals and blocks as in daybook_unpack(), "" for none; on ctx */
char *daybook_write_reasons(
    TALLOC_CTX *ctx, const uint32_t *refused, const uint32_t *would, uint32_t blocks);

/* daybook_is_blocked - was the account blocked on that day? */
bool daybook_is_blocked(const struct daybook_row *row);

#define DAYBOOK_BLOCK	"block"	/* the word of a block among those of refusals */

#define DAYBOOK_WORD_MAX	64

/* daybook_word - the word of a reason, "over", or "would-over"; returns word */
const char *daybook_word(char word[DAYBOOK_WORD_MAX], enum reason reason, bool would);

/* daybook_words - read "word=n,word=n" of len octets; each word has its own length */
typedef void daybook_word_fn(void *arg, const char *word, size_t len, uint64_t n);
void daybook_words(const char *text, size_t len, daybook_word_fn *each, void *arg);

/* daybook_set_reason - set the refusals of a row for such a word of len octets, if it is known */
void daybook_set_reason(struct daybook_row *row, const char *word, size_t len, uint32_t n);

#endif
