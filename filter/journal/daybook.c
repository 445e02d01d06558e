/*
 * daybook.c - the sums of an account on a day, and as text
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
#define HOUR_MAX 23
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

unsigned int
daybook_hour_of(uint64_t n)
{
	return n <= HOUR_MAX ? (unsigned int)n : 0;
}

/* --- a row as text --- */

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
daybook_write_reasons(TALLOC_CTX *ctx, const uint32_t *refused, const uint32_t *would)
{
	char *reasons = mem_strdup(ctx, "");

	write_reasons(&reasons, "", refused);
	write_reasons(&reasons, WOULD, would);
	return reasons;
}

/* daybook_word - the word of a reason */
const char *
daybook_word(char word[DAYBOOK_WORD_MAX], enum reason reason, bool would)
{
	(void)snprintf(word, DAYBOOK_WORD_MAX, "%s%s", would ? WOULD : "", reply_row(reason)->word);
	return word;
}

/* daybook_write - a row as text */
char *
daybook_write(TALLOC_CTX *ctx, const struct daybook_row *row)
{
	char *reasons = daybook_write_reasons(ctx, row->refused, row->would);
	char *text;

	text = mem_printf(ctx,
	    "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
	    " %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %s",
	    row->day.messages, row->day.recipients, row->day.bytes, row->connections,
	    row->peak.messages, row->peak.recipients, row->peak.bytes, row->hour,
	    row->of_hour.messages, row->of_hour.recipients, row->of_hour.bytes,
	    reasons[0] != '\0' ? reasons : "-");
	talloc_free(reasons);
	return text;
}

/* daybook_set_reason - how often a row was refused for the reason of a word */
void
daybook_set_reason(struct daybook_row *row, const char *word, size_t len, uint32_t n)
{
	uint32_t *counts = row->refused;

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

/* parse_reason - one "word=n" of len octets */
static void
parse_reason(const char *text, size_t len, struct daybook_row *row)
{
	const char *equals = memchr(text, '=', len);

	if (equals != NULL)
		daybook_set_reason(row, text, (size_t)(equals - text),
		    (uint32_t)strtoul(equals + 1, NULL, 10));
}

/* daybook_parse - text as a row */
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
	*row_r = (struct daybook_row){
		.day = { n[0], n[1], n[2] }, .connections = n[3], .peak = { n[4], n[5], n[6] },
		.hour = daybook_hour_of(n[7]), .of_hour = { n[8], n[9], n[10] },
	};
	text += strspn(text, " ");
	while (*text != '\0') {
		size_t len = strcspn(text, ",");

		parse_reason(text, len, row_r);
		text += len + (text[len] == ',');
	}
}
