/*
 * daybook.c - what each account sent and what it was refused, day by day
 *
 * A row of sums an account and day. In Redis a hash a day, added to by daybook.lua; in this process
 * a hash table a day with the same texts written to a file. Written by the journal's thread in
 * batches, so a message costs nothing here.
 *
 * Thread rule: lock guards the days and their talloc tree; Redis has rules of its own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filter/base/log.h"
#include "filter/journal/daybook.h"
#include "filter/journal/daybook_lua.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define BUCKETS		4096	/* of a day's hash table */
#define PAGE		500	/* accounts read from Redis at once, about */
#define BATCH		100	/* accounts in one call */
#define DAY_S		86400
#define LINE_MAX_OCTETS	8192	/* of a line in the file */
#define WOULD		"would-" /* in front of a reason that mode watch let pass */

/* One account of a day in this process. */
struct entry {
	struct entry *next;
	char *account;
	struct daybook_row row;
};

/* One day in this process. */
struct day {
	int number;		/* 20261122; 0: an empty place */
	size_t n;
	struct entry **buckets;
};

struct daybook {
	struct journal_redis *redis; /* or NULL: days */
	char *path;		/* or NULL */

	pthread_mutex_t lock;
	TALLOC_CTX *memory;	/* a root of its own, because threads share it */
	struct day days[DAYBOOK_DAYS];
	bool changed;		/* since the last save */
};

/* daybook_day - the day of a time as a number */
int
daybook_day(int64_t at_ms)
{
	time_t seconds = (time_t)(at_ms / 1000);
	struct tm tm;

	(void)gmtime_r(&seconds, &tm);
	return (tm.tm_year + 1900) * 10000 + (tm.tm_mon + 1) * 100 + tm.tm_mday;
}

/* hour_of - the hour of a time, 0 to 23 */
static unsigned int
hour_of(int64_t at_ms)
{
	return (unsigned int)(at_ms / 1000 % DAY_S / 3600);
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

/* daybook_write - a row as text */
char *
daybook_write(TALLOC_CTX *ctx, const struct daybook_row *row)
{
	char *reasons = mem_strdup(ctx, "");
	char *text;

	write_reasons(&reasons, "", row->refused);
	write_reasons(&reasons, WOULD, row->would);
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

/* parse_reason - one "word=n" of len octets */
static void
parse_reason(const char *text, size_t len, struct daybook_row *row)
{
	uint32_t *counts = row->refused;
	const char *equals = memchr(text, '=', len);

	if (equals == NULL)
		return;
	if (strncmp(text, WOULD, strlen(WOULD)) == 0) {
		counts = row->would;
		text += strlen(WOULD);
	}
	for (int reason = 0; reason < REASON_COUNT; reason++) {
		const char *word = reply_row((enum reason)reason)->word;

		if (strlen(word) == (size_t)(equals - text) &&
		    memcmp(word, text, strlen(word)) == 0)
			counts[reason] = (uint32_t)strtoul(equals + 1, NULL, 10);
	}
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
		.hour = (unsigned int)n[7], .of_hour = { n[8], n[9], n[10] },
	};
	text += strspn(text, " ");
	while (*text != '\0') {
		size_t len = strcspn(text, ",");

		parse_reason(text, len, row_r);
		text += len + (text[len] == ',');
	}
}

/* --- in this process --- */

/* bucket_of - by a hash; the accounts are ours, no stranger chooses them */
static size_t
bucket_of(const char *account)
{
	return (size_t)(hash_text(HASH_START, account) % BUCKETS);
}

/* find_day - a day; made in place of the oldest where it is new and wanted, else NULL */
static struct day *
find_day(struct daybook *daybook, int number, bool wanted)
{
	struct day *oldest = &daybook->days[0];

	for (size_t i = 0; i < DAYBOOK_DAYS; i++) {
		struct day *day = &daybook->days[i];

		if (day->number == number)
			return day;
		if (day->number < oldest->number)
			oldest = day;
	}
	if (!wanted || number < oldest->number)
		return NULL;
	talloc_free(oldest->buckets);
	*oldest = (struct day){ .number = number,
		.buckets = mem_array(daybook->memory, struct entry *, BUCKETS) };
	return oldest;
}

/* find_row - the row of an account; made where it is new */
static struct daybook_row *
find_row(struct day *day, const char *account)
{
	struct entry **bucket = &day->buckets[bucket_of(account)];
	struct entry *entry;

	for (entry = *bucket; entry != NULL; entry = entry->next)
		if (strcmp(entry->account, account) == 0)
			return &entry->row;
	if (day->n >= DAYBOOK_ACCOUNTS_MAX && strcmp(account, "*") != 0)
		return find_row(day, "*");
	entry = mem_new(day->buckets, struct entry);
	entry->account = mem_strdup(entry, account);
	entry->next = *bucket;
	*bucket = entry;
	day->n++;
	return &entry->row;
}

/* add_sums - a += b */
static void
add_sums(struct daybook_sums *a, const struct daybook_sums *b)
{
	a->messages += b->messages;
	a->recipients += b->recipients;
	a->bytes += b->bytes;
}

/* raise_sums - a = max(a, b), each for itself */
static void
raise_sums(struct daybook_sums *a, const struct daybook_sums *b)
{
	a->messages = b->messages > a->messages ? b->messages : a->messages;
	a->recipients = b->recipients > a->recipients ? b->recipients : a->recipients;
	a->bytes = b->bytes > a->bytes ? b->bytes : a->bytes;
}

/* add_delta - the same as daybook.lua does */
static void
add_delta(struct daybook_row *row, unsigned int hour, const struct daybook_delta *delta)
{
	if (row->hour != hour) {
		row->hour = hour;
		row->of_hour = (struct daybook_sums){ 0 };
	}
	add_sums(&row->day, &delta->sums);
	row->connections += delta->connections;
	add_sums(&row->of_hour, &delta->sums);
	raise_sums(&row->peak, &row->of_hour);
	for (int reason = 0; reason < REASON_COUNT; reason++) {
		row->refused[reason] += delta->refused[reason];
		row->would[reason] += delta->would[reason];
	}
}

/* read_file - what an earlier process wrote: "day account row" */
static void
read_file(struct daybook *daybook)
{
	int fd = open(daybook->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char line[LINE_MAX_OCTETS];

	if (file == NULL && fd >= 0)
		(void)close(fd);
	if (file == NULL)
		return;
	while (fgets(line, sizeof(line), file) != NULL) {
		char *account = strchr(line, ' ');
		char *row = account != NULL ? strchr(account + 1, ' ') : NULL;
		struct day *day;

		if (row == NULL || atoi(line) < 20000000 || atoi(line) > 99991231)
			continue;
		*row = '\0';
		line[strcspn(line, "\n")] = '\0';
		row[1 + strcspn(row + 1, "\n")] = '\0';
		day = find_day(daybook, atoi(line), true);
		if (day != NULL)
			daybook_parse(row + 1, find_row(day, account + 1));
	}
	(void)fclose(file);
}

/* write_file - all days as text */
static int
write_file(struct daybook *daybook, FILE *file)
{
	for (size_t d = 0; d < DAYBOOK_DAYS; d++)
		for (size_t b = 0; daybook->days[d].number != 0 && b < BUCKETS; b++)
			for (const struct entry *entry = daybook->days[d].buckets[b]; entry != NULL;
			     entry = entry->next) {
				char *text = daybook_write(NULL, &entry->row);

				(void)fprintf(file, "%d %s %s\n", daybook->days[d].number,
				    entry->account, text);
				talloc_free(text);
			}
	return fflush(file) == 0 && !ferror(file) ? 0 : -1;
}

/* daybook_save - write the file */
void
daybook_save(struct daybook *daybook)
{
	char *path;
	FILE *file;
	int fd;

	if (daybook->path == NULL)
		return;
	path = mem_printf(NULL, "%s.new", daybook->path);
	(void)pthread_mutex_lock(&daybook->lock);
	if (daybook->changed) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		file = fd < 0 ? NULL : fdopen(fd, "w");
		if (file == NULL || write_file(daybook, file) != 0 ||
		    rename(path, daybook->path) != 0)
			log_warning("daybook: %s cannot be written: %s", path, strerror(errno));
		else
			daybook->changed = false;
		if (file != NULL)
			(void)fclose(file);
		else if (fd >= 0)
			(void)close(fd);
	}
	(void)pthread_mutex_unlock(&daybook->lock);
	talloc_free(path);
}

/* --- construction --- */

static int
daybook_destroy(struct daybook *daybook)
{
	(void)pthread_mutex_destroy(&daybook->lock);
	return talloc_free(daybook->memory);
}

/* daybook_new - empty sums, or the shared ones */
struct daybook *
daybook_new(TALLOC_CTX *ctx, struct journal_redis *redis, const char *file)
{
	struct daybook *daybook = mem_new(ctx, struct daybook);

	daybook->redis = redis;
	(void)pthread_mutex_init(&daybook->lock, NULL);
	daybook->memory = mem_check(talloc_new(NULL));
	talloc_set_destructor(daybook, daybook_destroy);
	if (redis == NULL && file != NULL) {
		daybook->path = mem_strdup(daybook, file);
		read_file(daybook);
	}
	return daybook;
}

/* --- adding --- */

/* day_key - one more word: the key of a day */
static void
day_key(const struct daybook *daybook, struct journal_words *words, int day)
{
	journal_key(daybook->redis, words, mem_printf(words, "{daybook}:%d", day));
}

/* push_delta - the arguments of an account */
static void
push_delta(struct journal_words *words, const struct daybook_delta *delta)
{
	char *reasons = mem_strdup(words, "");

	write_reasons(&reasons, "", delta->refused);
	write_reasons(&reasons, WOULD, delta->would);
	journal_word(words, delta->account);
	journal_number(words, (long long)delta->sums.messages);
	journal_number(words, (long long)delta->sums.recipients);
	journal_number(words, (long long)delta->sums.bytes);
	journal_number(words, (long long)delta->connections);
	journal_word(words, reasons);
}

/* add_shared - in Redis, some accounts in one call */
static int
add_shared(struct daybook *daybook, TALLOC_CTX *ctx, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, const char **error_r)
{
	struct journal_words *words = journal_words_new(ctx);
	redisReply *reply;

	journal_word(words, "EVAL");
	journal_word(words, daybook_lua);
	journal_number(words, 1);
	day_key(daybook, words, daybook_day(at_ms));
	journal_number(words, (DAYBOOK_DAYS + 1) * DAY_S);
	journal_number(words, hour_of(at_ms));
	journal_number(words, DAYBOOK_ACCOUNTS_MAX);
	for (size_t i = 0; i < n; i++)
		push_delta(words, &deltas[i]);
	reply = journal_redis_call(daybook->redis, ctx, words, false, error_r);
	talloc_free(words);
	freeReplyObject(reply);
	return reply != NULL ? 0 : -1;
}

/* add_here - in this process */
static void
add_here(struct daybook *daybook, int64_t at_ms, const struct daybook_delta *deltas, size_t n)
{
	struct day *day;

	(void)pthread_mutex_lock(&daybook->lock);
	day = find_day(daybook, daybook_day(at_ms), true);
	for (size_t i = 0; day != NULL && i < n; i++)
		add_delta(find_row(day, deltas[i].account), hour_of(at_ms), &deltas[i]);
	daybook->changed = true;
	(void)pthread_mutex_unlock(&daybook->lock);
}

/* daybook_add - add to the sums */
int
daybook_add(struct daybook *daybook, TALLOC_CTX *ctx, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, const char **error_r)
{
	if (daybook->redis == NULL) {
		add_here(daybook, at_ms, deltas, n);
		return 0;
	}
	for (size_t i = 0; i < n; i += BATCH)
		if (add_shared(daybook, ctx, at_ms, deltas + i, n - i < BATCH ? n - i : BATCH,
			error_r) != 0)
			return -1;
	return 0;
}

/* --- reading --- */

/* tell_page - the accounts of a page of HSCAN */
static void
tell_page(const redisReply *page, daybook_each *each, void *arg)
{
	for (size_t i = 0; i + 1 < page->elements; i += 2) {
		struct daybook_row row;

		if (page->element[i]->type != REDIS_REPLY_STRING ||
		    page->element[i + 1]->type != REDIS_REPLY_STRING)
			continue;
		daybook_parse(page->element[i + 1]->str, &row);
		each(arg, page->element[i]->str, &row);
	}
}

/* read_page - one step of HSCAN; moves cursor on; -1: no answer */
static int
read_page(struct daybook *daybook, TALLOC_CTX *ctx, int day, char *cursor, size_t size,
    daybook_each *each, void *arg, const char **error_r)
{
	struct journal_words *words = journal_words_new(ctx);
	redisReply *reply;

	journal_word(words, "HSCAN");
	day_key(daybook, words, day);
	journal_word(words, cursor);
	journal_word(words, "COUNT");
	journal_number(words, PAGE);
	reply = journal_redis_call(daybook->redis, ctx, words, true, error_r);
	talloc_free(words);
	if (reply == NULL)
		return -1;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY) {
		freeReplyObject(reply);
		*error_r = "the answer of Redis is of an unknown shape";
		return -1;
	}
	tell_page(reply->element[1], each, arg);
	(void)snprintf(cursor, size, "%s", reply->element[0]->str);
	freeReplyObject(reply);
	return 0;
}

/* read_here - in this process */
static void
read_here(struct daybook *daybook, int number, daybook_each *each, void *arg)
{
	const struct day *day;

	(void)pthread_mutex_lock(&daybook->lock);
	day = find_day(daybook, number, false);
	for (size_t b = 0; day != NULL && b < BUCKETS; b++)
		for (const struct entry *entry = day->buckets[b]; entry != NULL;
		     entry = entry->next)
			each(arg, entry->account, &entry->row);
	(void)pthread_mutex_unlock(&daybook->lock);
}

/* daybook_read - each account of a day */
int
daybook_read(struct daybook *daybook, TALLOC_CTX *ctx, int day, daybook_each *each, void *arg,
    const char **error_r)
{
	char cursor[32] = "0";

	if (daybook->redis == NULL) {
		read_here(daybook, day, each, arg);
		return 0;
	}
	do {
		if (read_page(daybook, ctx, day, cursor, sizeof(cursor), each, arg, error_r) != 0)
			return -1;
	} while (strcmp(cursor, "0") != 0);
	return 0;
}
