/*
 * daybook.c - the sums of an account on a day, as they are written and read
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filter/journal/daybook.h"
#include "policy/base/mem.h"

#define DAY_S	86400
#define WOULD	"would-" /* in front of a reason that mode watch let pass */

/* daybook_day - the day of a time as a number */
int
daybook_day(int64_t at_ms)
{
	time_t seconds = (time_t)(at_ms / 1000);
	struct tm tm;

	(void)gmtime_r(&seconds, &tm);
	return (tm.tm_year + 1900) * 10000 + (tm.tm_mon + 1) * 100 + tm.tm_mday;
}

/* daybook_hour - the hour of a time, 0 to 23 */
unsigned int
daybook_hour(int64_t at_ms)
{
	return (unsigned int)(at_ms / 1000 % DAY_S / 3600);
}

/* daybook_add - to a count that stays at its most */
static uint32_t
daybook_add(uint64_t count, uint64_t more)
{
	return more > UINT32_MAX - count ? UINT32_MAX : (uint32_t)(count + more);
}

uint32_t
daybook_refused(const struct daybook_delta *delta)
{
	uint32_t n = 0;

	for (int reason = 0; reason < REASON_COUNT; reason++)
		n = daybook_add(n, delta->refused[reason]);
	return n;
}

/* --- refusals --- */

/* write_reasons - ",word=n" for each that is not 0 */
static void
write_reasons(char **text, const char *front, const uint32_t *counts)
{
	for (int reason = 0; reason < REASON_COUNT; reason++)
		if (counts[reason] > 0)
			*text = mem_check(talloc_asprintf_append_buffer(*text, "%s%s%s=%" PRIu32,
			    (*text)[0] != '\0' ? "," : "", front,
			    reply_row((enum reason)reason)->word, counts[reason]));
}

/* daybook_write_reasons - "over=2,would-foreign-from=1" */
char *
daybook_write_reasons(
    TALLOC_CTX *ctx, const uint32_t *refused, const uint32_t *would, uint32_t blocks)
{
	char *reasons = mem_strdup(ctx, "");

	write_reasons(&reasons, "", refused);
	write_reasons(&reasons, WOULD, would);
	if (blocks > 0)
		reasons = mem_check(talloc_asprintf_append_buffer(reasons,
		    "%s" DAYBOOK_BLOCK "=%" PRIu32, reasons[0] != '\0' ? "," : "", blocks));
	return reasons;
}

bool
daybook_is_blocked(const struct daybook_row *row)
{
	return row->blocks > 0 || row->refused[REASON_BLOCKED] > 0;
}

/* daybook_word - the word of a reason */
const char *
daybook_word(char word[DAYBOOK_WORD_MAX], enum reason reason, bool would)
{
	(void)snprintf(word, DAYBOOK_WORD_MAX, "%s%s", would ? WOULD : "", reply_row(reason)->word);
	return word;
}

/* daybook_set_reason - how often a row was refused for the reason of a word */
void
daybook_set_reason(struct daybook_row *row, const char *word, size_t len, uint32_t n)
{
	uint32_t *counts = row->refused;

	if (len == strlen(DAYBOOK_BLOCK) && memcmp(word, DAYBOOK_BLOCK, len) == 0)
		row->blocks = n;
	if (len >= strlen(WOULD) && strncmp(word, WOULD, strlen(WOULD)) == 0) {
		counts = row->would;
		word += strlen(WOULD);
		len -= strlen(WOULD);
	}
	for (int reason = 0; reason < REASON_COUNT; reason++) {
		const char *known = reply_row((enum reason)reason)->word;

		if (strlen(known) == len && memcmp(known, word, len) == 0)
			counts[reason] = n;
	}
}

/* daybook_words - read "word=n,word=n" */
void
daybook_words(const char *text, size_t len, daybook_word_fn *each, void *arg)
{
	while (len > 0) {
		const char *comma = memchr(text, ',', len);
		size_t one = comma != NULL ? (size_t)(comma - text) : len;
		const char *equals = memchr(text, '=', one);

		if (equals != NULL)
			each(arg, text, (size_t)(equals - text), strtoull(equals + 1, NULL, 10));
		one += comma != NULL;
		text += one;
		len -= one;
	}
}

/* take_reason - daybook_word_fn */
static void
take_reason(void *arg, const char *word, size_t len, uint64_t n)
{
	daybook_set_reason(arg, word, len, daybook_add(0, n));
}

/* --- rows of earlier versions --- */

void
daybook_parse(const char *text, struct daybook_row *row_r)
{
	uint64_t n[11] = { 0 };
	char *end;

	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++, text = end) {
		n[i] = strtoull(text, &end, 10);
		if (end == text)
			break;
	}
	*row_r = (struct daybook_row){ .day = { n[0], n[1], n[2] }, .connections = n[3],
		.peak_messages = n[4], .peak_recipients = n[5] };
	if (n[7] < DAYBOOK_HOURS)
		row_r->hours[n[7]] = (struct daybook_hour){ .messages = daybook_add(0, n[8]),
			.recipients = daybook_add(0, n[9]) };
	text += strspn(text, " ");
	daybook_words(text, strlen(text), take_reason, row_r);
}

/* --- packed --- */

#define ROW_HEAD	14	/* octets before the refusals */
#define HOUR_BITS	31	/* of the last octet of an hour; the others are the width */

/* daybook_read_octets - a whole number of n octets */
static uint64_t
daybook_read_octets(const char *data, size_t n)
{
	uint64_t number = 0;

	while (n-- > 0)
		number = number << 8 | (unsigned char)data[n];
	return number;
}

/* daybook_write_octets - the same, written */
static void
daybook_write_octets(char *data, size_t n, uint64_t number)
{
	for (size_t i = 0; i < n; i++, number >>= 8)
		data[i] = (char)(number & 0xff);
}

/* read_double - a whole number that is kept as a double; 0 for what is none */
static uint64_t
read_double(const char *data)
{
	uint64_t bits = daybook_read_octets(data, sizeof(bits));
	double number;

	memcpy(&number, &bits, sizeof(number));
	return number >= 0 && number < (double)(UINT64_C(1) << 62) ? (uint64_t)number : 0;
}

/* unpack_hour - the last hour of len octets; how many octets before it, or 0 if it is none */
static size_t
unpack_hour(const char *data, size_t len, struct daybook_row *row)
{
	unsigned int tag = (unsigned char)data[len - 1];
	size_t hour = tag & HOUR_BITS, width = (size_t)1 << (tag >> 5);
	struct daybook_hour *to = &row->hours[hour % DAYBOOK_HOURS];

	if (hour >= DAYBOOK_HOURS || width > 4 || len < 3 * width + 1)
		return 0;
	data += len - 1 - 3 * width;
	to->messages = daybook_add(to->messages, daybook_read_octets(data, width));
	to->recipients = daybook_add(to->recipients, daybook_read_octets(data + width, width));
	to->refused = daybook_add(to->refused, daybook_read_octets(data + 2 * width, width));
	return len - 1 - 3 * width;
}

void
daybook_unpack(const char *data, size_t len, struct daybook_row *row_r)
{
	size_t reasons;

	*row_r = (struct daybook_row){ 0 };
	if (len < ROW_HEAD)
		return;
	row_r->day.bytes = read_double(data);
	row_r->connections = daybook_read_octets(data + 8, 4);
	reasons = (size_t)daybook_read_octets(data + 12, 2);
	data += ROW_HEAD;
	len -= ROW_HEAD;
	if (reasons > len)
		return;
	daybook_words(data, reasons, take_reason, row_r);
	data += reasons;
	for (len -= reasons; len > 0;)
		len = unpack_hour(data, len, row_r);
	for (size_t i = 0; i < DAYBOOK_HOURS; i++) {
		const struct daybook_hour *hour = &row_r->hours[i];

		row_r->day.messages += hour->messages;
		row_r->day.recipients += hour->recipients;
		if (hour->messages > row_r->peak_messages)
			row_r->peak_messages = hour->messages;
		if (hour->recipients > row_r->peak_recipients)
			row_r->peak_recipients = hour->recipients;
	}
}

void
daybook_pack(const struct daybook_delta *delta, char data[DAYBOOK_DELTA_MAX])
{
	double bytes = (double)delta->sums.bytes;
	uint64_t bits;

	memcpy(&bits, &bytes, sizeof(bits));
	daybook_write_octets(data, 8, bits);
	daybook_write_octets(data + 8, 4, daybook_add(0, delta->sums.messages));
	daybook_write_octets(data + 12, 4, daybook_add(0, delta->sums.recipients));
	daybook_write_octets(data + 16, 4, daybook_refused(delta));
	daybook_write_octets(data + 20, 4, daybook_add(0, delta->connections));
}
