/*
 * books_redis_sums.c - what accounts and filters did, in the Redis that all filters share
 *
 * A hash a day has the rows of accounts (daybook.lua), and another those of domains for which we
 * signed; one an hour has what the filter of each host
 * did by minute, and one a day the same by hour (rates.lua). All have one hash tag, for a Redis
 * Cluster. Days of before this version are hashes of rows as text, which are only read.
 *
 * Thread rule: nothing changes after opening; journal_redis.c has rules of its own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/journal/books_kind.h"
#include "filter/journal/books_redis.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define DAY_S		86400
#define ROWS_KEY	"{daybook}:rows:%d"	/* of a day */
#define TEXT_ROWS_KEY	"{daybook}:%d"		/* the same, of earlier versions */
#define SIGNED_KEY	"{daybook}:signed:%d"	/* rows of domains, of a day */
#define MINUTES_KEY	"{daybook}:minutes:%d%02u" /* of a day and hour */
#define HOURS_KEY	"{daybook}:hours:%d"	/* of a day */

/* --- sums of accounts --- */

/* push_delta - the arguments of an account */
static void
push_delta(struct journal_words *words, const struct daybook_delta *delta)
{
	char *packed = mem_array(words, char, DAYBOOK_DELTA_MAX);

	daybook_pack(delta, packed);
	journal_word(words, delta->account);
	journal_octets(words, packed, DAYBOOK_DELTA_MAX);
	journal_word(words, daybook_write_reasons(
	    words, delta->refused, delta->would, delta->blocks));
}

/* redis_sums_add_rows - to the rows of a hash; how many went to "*", or -1 and *error_r */
static int
redis_sums_add_rows(struct redis_books *books, TALLOC_CTX *ctx, const char *key, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, size_t *done_r, const char **error_r)
{
	int beyond = 0;
	size_t next;

	for (size_t i = 0; i < n; i = next) {
		struct journal_words *words = journal_words_new(ctx);
		int sent;

		journal_script(words, &books->daybook);
		journal_number(words, 1);
		journal_key(books->redis, words, key);
		journal_number(words, (DAYBOOK_DAYS + 1) * DAY_S);
		journal_number(words, daybook_hour(at_ms));
		journal_number(words, (long long)books->accounts);
		for (next = i; next < n && next < i + REDIS_BOOKS_BATCH; next++)
			push_delta(words, &deltas[next]);
		sent = journal_redis_number(books->redis, ctx, words, error_r);
		if (sent < 0)
			return -1;
		*done_r = next;
		beyond += sent;
	}
	return beyond;
}

static int
redis_sums_add(void *impl, TALLOC_CTX *ctx, int64_t at_ms, const struct daybook_delta *deltas,
    size_t n, size_t *done_r, const char **error_r)
{
	return redis_sums_add_rows(impl, ctx, mem_printf(ctx, ROWS_KEY, daybook_day(at_ms)), at_ms,
	    deltas, n, done_r, error_r);
}

static int
redis_sums_add_signed(void *impl, TALLOC_CTX *ctx, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, size_t *done_r, const char **error_r)
{
	return redis_sums_add_rows(impl, ctx, mem_printf(ctx, SIGNED_KEY, daybook_day(at_ms)),
	    at_ms, deltas, n, done_r, error_r);
}

/* The accounts of a day that were read, by their hashes; a hash that grows while it is scanned may
 * name one twice. */
struct seen {
	TALLOC_CTX *ctx;
	uint64_t *hashes;	/* 0: empty */
	size_t n_places;	/* a power of two */
	size_t n;
};

/* put_seen - put a hash in; false: it was there */
static bool
put_seen(struct seen *seen, uint64_t hash)
{
	size_t mask = seen->n_places - 1;
	size_t i;

	for (i = hash & mask; seen->hashes[i] != 0; i = (i + 1) & mask)
		if (seen->hashes[i] == hash)
			return false;
	seen->hashes[i] = hash;
	return true;
}

/* see - is this the first time that an account is read? */
static bool
see(struct seen *seen, const char *account)
{
	uint64_t hash = hash_mix(hash_text(HASH_START, account)) | 1;

	if (2 * (seen->n + 1) > seen->n_places) {
		struct seen larger = { .ctx = seen->ctx,
			.n_places = seen->n_places > 0 ? 2 * seen->n_places : 1024, .n = seen->n };

		larger.hashes = mem_array(seen->ctx, uint64_t, larger.n_places);
		for (size_t i = 0; i < seen->n_places; i++)
			if (seen->hashes[i] != 0)
				(void)put_seen(&larger, seen->hashes[i]);
		talloc_free(seen->hashes);
		*seen = larger;
	}
	if (!put_seen(seen, hash))
		return false;
	seen->n++;
	return true;
}

/* What is read of a day's sums. */
struct sums_reader {
	struct seen seen;
	books_sums_each *each;
	void *arg;
};

/* redis_sums_take_row, redis_sums_take_text - an account; the second time it is passed over */
static void
redis_sums_take_row(void *arg, const char *account, const char *data, size_t len)
{
	struct sums_reader *reader = arg;
	struct daybook_row row;

	if (!see(&reader->seen, account))
		return;
	daybook_unpack(data, len, &row);
	reader->each(reader->arg, account, &row);
}

static void
redis_sums_take_text(void *arg, const char *account, const char *text, size_t len)
{
	struct sums_reader *reader = arg;
	struct daybook_row row;

	(void)len;
	if (!see(&reader->seen, account))
		return;
	daybook_parse(text, &row);
	reader->each(reader->arg, account, &row);
}

/* redis_sums_scan - each row of a hash, as take reads it; 0, or -1 and *error_r */
static int
redis_sums_scan(struct redis_books *books, TALLOC_CTX *ctx, const char *key,
    journal_scan_each *take, books_sums_each *each, void *arg, const char **error_r)
{
	struct sums_reader reader = { { .ctx = ctx }, each, arg };
	int result = journal_redis_scan(books->redis, ctx, key, take, &reader, error_r);

	talloc_free(reader.seen.hashes);
	return result;
}

static int
redis_sums_read(void *impl, TALLOC_CTX *ctx, int day, books_sums_each *each, void *arg,
    const char **error_r)
{
	int result = redis_sums_scan(impl, ctx, mem_printf(ctx, ROWS_KEY, day),
	    redis_sums_take_row, each, arg, error_r);

	if (result == 0)
		result = redis_sums_scan(impl, ctx, mem_printf(ctx, TEXT_ROWS_KEY, day),
		    redis_sums_take_text, each, arg, error_r);
	return result;
}

static int
redis_sums_read_signed(void *impl, TALLOC_CTX *ctx, int day, books_sums_each *each, void *arg,
    const char **error_r)
{
	return redis_sums_scan(impl, ctx, mem_printf(ctx, SIGNED_KEY, day), redis_sums_take_row,
	    each, arg, error_r);
}

static int
redis_sums_read_hours(void *impl, TALLOC_CTX *ctx, const char *account, int day,
    struct daybook_hour hours[DAYBOOK_HOURS], const char **error_r)
{
	struct redis_books *books = impl;
	struct journal_words *words = journal_words_new(ctx);
	struct daybook_row row = { 0 };
	redisReply *reply;

	journal_word(words, "HGET");
	journal_key(books->redis, words, mem_printf(words, ROWS_KEY, day));
	journal_word(words, account);
	reply = journal_redis_call(books->redis, ctx, words, true, error_r);
	talloc_free(words);
	if (reply == NULL)
		return -1;
	if (journal_redis_text(reply) != NULL)
		daybook_unpack(reply->str, reply->len, &row);
	freeReplyObject(reply);
	for (size_t i = 0; i < DAYBOOK_HOURS; i++) {
		hours[i] = row.hours[i];
		hours[i].blocked = daybook_is_blocked(&row);
	}
	return 0;
}

/* --- what filters did --- */

/* push_field - the arguments of one of the two hashes */
static void
push_field(struct journal_words *words, int days, int64_t time, const char *host)
{
	journal_number(words, (days + 1) * DAY_S);
	journal_number(words, BOOKS_HOSTS);
	journal_number(words, time);
	journal_word(words, host);
}

static int
redis_sums_add_rates(void *impl, TALLOC_CTX *ctx, int64_t at_ms, const char *host,
    const struct rates *rates, const char **error_r)
{
	struct redis_books *books = impl;
	struct journal_words *words = journal_words_new(ctx);
	int day = daybook_day(at_ms);
	unsigned int hour = daybook_hour(at_ms);

	journal_script(words, &books->rates);
	journal_number(words, 2);
	journal_key(books->redis, words, mem_printf(words, MINUTES_KEY, day, hour));
	journal_key(books->redis, words, mem_printf(words, HOURS_KEY, day));
	journal_word(words, rates_write(words, rates));
	push_field(
	    words, BOOKS_MINUTES_DAYS, at_ms % CLOCK_HOUR_MS / CLOCK_MINUTE_MS, host);
	push_field(words, BOOKS_HOURS_DAYS, hour, host);
	return journal_redis_number(books->redis, ctx, words, error_r) < 0 ? -1 : 0;
}

/* What is read of what filters did. */
struct rates_reader {
	int64_t start_ms;	/* of the hash's hour or day */
	int64_t step_ms;
	int64_t from_ms, to_ms;
	books_rates_each *each;
	void *arg;
};

/* redis_sums_take_field - "minute host" or "hour host" */
static void
redis_sums_take_field(
    const struct rates_reader *reader, const char *field, const char *text, size_t len)
{
	struct rates rates = { .actions = { 0 } };
	char *host;
	int64_t at_ms = reader->start_ms + (int64_t)strtoul(field, &host, 10) * reader->step_ms;

	if (*host != ' ' || at_ms < reader->from_ms || at_ms > reader->to_ms)
		return;
	rates_parse(text, len, &rates);
	reader->each(reader->arg, at_ms, host + 1, &rates);
}

/* redis_sums_read_hash - one hash, which has about BOOKS_HOSTS * 60 fields at most; 0 or -1 */
static int
redis_sums_read_hash(struct redis_books *books, TALLOC_CTX *ctx, const char *key,
    const struct rates_reader *reader, const char **error_r)
{
	struct journal_words *words = journal_words_new(ctx);
	redisReply *reply;

	journal_word(words, "HGETALL");
	journal_key(books->redis, words, key);
	reply = journal_redis_call(books->redis, ctx, words, true, error_r);
	talloc_free(words);
	if (reply == NULL)
		return -1;
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
		const redisReply *value = reply->element[i + 1];

		if (journal_redis_text(reply->element[i]) != NULL &&
		    journal_redis_text(value) != NULL)
			redis_sums_take_field(
			    reader, reply->element[i]->str, value->str, value->len);
	}
	freeReplyObject(reply);
	return 0;
}

static int
redis_sums_read_rates(void *impl, TALLOC_CTX *ctx, bool by_hour, int64_t from_ms, int64_t to_ms,
    books_rates_each *each, void *arg, const char **error_r)
{
	int64_t span_ms = by_hour ? CLOCK_DAY_MS : CLOCK_HOUR_MS;
	struct rates_reader reader = { .start_ms = from_ms - from_ms % span_ms,
		.step_ms = by_hour ? CLOCK_HOUR_MS : CLOCK_MINUTE_MS, .from_ms = from_ms,
		.to_ms = to_ms, .each = each, .arg = arg };

	for (; reader.start_ms <= to_ms; reader.start_ms += span_ms) {
		int day = daybook_day(reader.start_ms);
		unsigned int hour = daybook_hour(reader.start_ms);

		if (redis_sums_read_hash(impl, ctx, by_hour ? mem_printf(ctx, HOURS_KEY, day) :
						    mem_printf(ctx, MINUTES_KEY, day, hour),
			&reader, error_r) != 0)
			return -1;
	}
	return 0;
}

const struct books_sums_kind books_redis_sums = {
	.add = redis_sums_add,
	.read = redis_sums_read,
	.read_hours = redis_sums_read_hours,
	.add_signed = redis_sums_add_signed,
	.read_signed = redis_sums_read_signed,
	.add_rates = redis_sums_add_rates,
	.read_rates = redis_sums_read_rates,
};
