/*
 * test_journal.c - decisions, sums and events in the books: in memory, in a file, in a real Redis
 *
 * The same questions to both kinds. The script of the daybook and the SQL are held to each other by
 * random days.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <sqlite3.h>

#include "filter/base/clock.h"
#include "filter/journal/backlog.h"
#include "filter/journal/books.h"
#include "filter/journal/event.h"
#include "filter/journal/journal_redis.h"
#include "filter/journal/unusual.h"
#include "policy/base/mem.h"
#include "tests/support/redis_server.h"
#include "tests/support/road.h"

#define HOUR_MS	INT64_C(3600000)

static struct redis_server server;
static bool has_redis;

static int
set_up(void **state)
{
	(void)state;
	has_redis = redis_server_make(&server);
	if (has_redis)
		redis_server_start(&server, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (has_redis)
		redis_server_remove(&server);
	return 0;
}

/* open_books - in Redis, in a file or in memory; NULL and *error_r */
static struct books *
open_books(TALLOC_CTX *ctx, const struct store_options *store, size_t decisions,
    const char **error_r)
{
	const struct books_options options = {
		.store = store, .decisions = decisions, .days = 2, .accounts = 1000
	};

	*error_r = NULL;
	return books_open(ctx, &options, error_r);
}

/* shared - books in the Redis of these tests, under a prefix of the test's own */
static struct books *
shared(TALLOC_CTX *ctx, const char *prefix, size_t decisions)
{
	const struct store_options store = {
		.kind = STORE_REDIS, .redis.server = server.address, .prefix = prefix
	};
	const char *error;
	struct books *books;

	if (!has_redis)
		skip();
	books = open_books(ctx, &store, decisions, &error);
	assert_non_null(books);
	return books;
}

/* in_file - books beside a file of counters; NULL: in memory */
static struct books *
in_file(TALLOC_CTX *ctx, const char *file, size_t decisions)
{
	const struct store_options store = { .kind = STORE_EMBEDDED, .file = file };
	const char *error;
	struct books *books = open_books(ctx, &store, decisions, &error);

	if (books == NULL)
		fail_msg("%s", error);
	return books;
}

/* make_directory - a directory of the test's own, and in it the name of a file of counters */
static char *
make_directory(TALLOC_CTX *ctx)
{
	char path[] = "/tmp/test_journal.XXXXXX";

	assert_non_null(mkdtemp(path));
	return mem_printf(ctx, "%s/counters", path);
}

/* remove_directory - with all that is in it */
static void
remove_directory(const char *file)
{
	char *path = mem_strdup(NULL, file);
	struct dirent *entry;
	DIR *directory;

	*strrchr(path, '/') = '\0';
	directory = opendir(path);
	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL)
		(void)unlinkat(dirfd(directory), entry->d_name, 0);
	(void)closedir(directory);
	assert_int_equal(rmdir(path), 0);
	talloc_free(path);
}

/* --- daybook --- */

/* row_text - an account's day: messages, recipients, bytes, connections, the two of the fullest
 * hour, refusals, and the hours with something in them */
static char *
row_text(TALLOC_CTX *ctx, const struct daybook_row *row, bool with_hours)
{
	const char *reasons = daybook_write_reasons(ctx, row->refused, row->would, row->blocks);
	char *text = mem_printf(ctx, "%d %d %lld %d peak %d %d %s", (int)row->day.messages,
	    (int)row->day.recipients, (long long)row->day.bytes, (int)row->connections,
	    (int)row->peak_messages, (int)row->peak_recipients,
	    reasons[0] != '\0' ? reasons : "-");

	for (int i = 0; with_hours && i < DAYBOOK_HOURS; i++) {
		const struct daybook_hour *hour = &row->hours[i];

		if (hour->messages != 0 || hour->recipients != 0 || hour->refused != 0)
			text = mem_printf(ctx, "%s %d:%u/%u/%u", text, i, hour->messages,
			    hour->recipients, hour->refused);
	}
	return text;
}

/* Rows as earlier versions wrote them are understood. */
static void
test_old_row(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct daybook_row row;

	(void)state;
	daybook_parse("10 250 99 7 4 100 50 23 1 2 3 -", &row);
	assert_string_equal(row_text(ctx, &row, true), "10 250 99 7 peak 4 100 - 23:1/2/0");
	daybook_parse("10 250 99 7 4 100 50 23 1 2 3 over=5,would-foreign-from=2", &row);
	assert_string_equal(row_text(ctx, &row, false),
	    "10 250 99 7 peak 4 100 over=5,would-foreign-from=2");
	talloc_free(ctx);
}

/* A packed row, and whatever is none. */
static void
test_packed_row(void **state)
{
	/* 5 octets in doubles, 7 connections, "over=2", hour 3 narrow, hour 9 wide */
	static const char row[] = "\0\0\0\0\0\0\x14\x40\7\0\0\0\6\0over=2"
				  "\1\2\3\3" "\4\1\5\0\0\0\x29";
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct daybook_row got;

	(void)state;
	daybook_unpack(row, sizeof(row) - 1, &got);
	assert_string_equal(row_text(ctx, &got, true),
	    "261 7 5 7 peak 260 5 over=2 3:1/2/3 9:260/5/0");
	for (size_t len = 0; len < sizeof(row); len++)
		daybook_unpack(mem_memdup(ctx, row, len + 1), len, &got);
	srandom(20261129);
	for (int i = 0; i < 20000; i++) {
		char octets[40];
		size_t len = (size_t)random() % sizeof(octets);

		for (size_t k = 0; k < len; k++)
			octets[k] = (char)random();
		if (len > 13)
			octets[13] = 0;
		daybook_unpack(mem_memdup(ctx, octets, len + 1), len, &got);
	}
	talloc_free(ctx);
}

/* What is no row gives no surprise: what is understood is taken. */
static void
test_row_nonsense(void **state)
{
	static const char *const texts[] = {
		"",
		"x",
		"1",
		"1 2 3 4 5 6 7 8 9 10 11",
		"1 2 3 4 5 6 7 8 9 10 11 =,=5,over,over=,unknown-word=7,",
		"99999999999999999999999 1",
		"1 2 3 4 5 6 7 8 9 10 11 would-,would-=1",
		"-1 -2 -3",
		"1 2 3 4 5 6 7 24 9 10 11 -",
	};
	struct daybook_row row;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		daybook_parse(texts[i], &row);
		for (int reason = 0; reason < REASON_COUNT; reason++)
			assert_true(row.refused[reason] == 0 && row.would[reason] == 0);
	}
}

static void
test_day(void **state)
{
	(void)state;
	assert_int_equal(daybook_day(0), 19700101);
	assert_int_equal(daybook_day(INT64_C(1795384935029)), 20261122);
	assert_int_equal(daybook_day(INT64_C(1795391999999)), 20261122);
	assert_int_equal(daybook_day(INT64_C(1795392000000)), 20261123);
}

/* A day as text, sorted by account. */
struct dump {
	TALLOC_CTX *ctx;
	char *lines[64 * 64];
	size_t n;
};

static void
dump_row(void *arg, const char *account, const struct daybook_row *row)
{
	struct dump *dump = arg;

	assert_true(dump->n < 64 * 64);
	dump->lines[dump->n++] =
	    mem_printf(dump->ctx, "%s %s", account, row_text(dump->ctx, row, false));
}

static int
compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct dump
dump_day(TALLOC_CTX *ctx, struct books *books, int day)
{
	struct dump dump = { .ctx = ctx };
	const char *error = NULL;

	assert_int_equal(books_read_sums(books, ctx, day, dump_row, &dump, &error), 0);
	qsort(dump.lines, dump.n, sizeof(dump.lines[0]), compare_lines);
	return dump;
}

/* dump_hours - the last days of an account by hour, as text: how many hours ago, and what it did */
static char *
dump_hours(TALLOC_CTX *ctx, struct books *books, const char *account, int64_t now_ms)
{
	struct daybook_hour hours[BOOKS_HOURS_DAYS * DAYBOOK_HOURS];
	size_t n = sizeof(hours) / sizeof(hours[0]);
	char *text = mem_strdup(ctx, "");
	const char *error = NULL;

	assert_int_equal(books_read_hours(books, ctx, account, now_ms, hours, n, &error), 0);
	for (size_t i = 0; i < n; i++)
		if (hours[i].messages != 0 || hours[i].recipients != 0 || hours[i].refused != 0)
			text = mem_printf(ctx, "%s %zu:%u/%u/%u%s", text, n - 1 - i, hours[i].messages,
			    hours[i].recipients, hours[i].refused, hours[i].blocked ? "!" : "");
	return text;
}

/* count_row - books_sums_each: how many there are */
static void
count_row(void *arg, const char *account, const struct daybook_row *row)
{
	(void)account;
	(void)row;
	++*(size_t *)arg;
}

/* random_delta - something that an account of a few did */
static struct daybook_delta
random_delta(TALLOC_CTX *ctx)
{
	struct daybook_delta delta = { .account =
					   mem_printf(ctx, "user%ld@example.org", random() % 5) };

	delta.sums = (struct daybook_sums){ (uint64_t)(random() % 3), (uint64_t)(random() % 100),
		(uint64_t)random() * 4096 };
	delta.connections = (uint64_t)(random() % 2);
	if (random() % 3 == 0)
		delta.refused[1 + random() % (REASON_COUNT - 1)] = (uint32_t)(random() % 4);
	delta.blocks = random() % 30 == 0;
	if (random() % 5 == 0)
		delta.would[1 + random() % (REASON_COUNT - 1)] = (uint32_t)(random() % 4);
	return delta;
}

/* The script and the SQL give the same sums. */
static void
test_script_and_rules(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *here = in_file(ctx, NULL, 0);
	struct books *there = shared(ctx, "rules:", 0);
	int64_t at = INT64_C(1795384935029);
	struct dump one, two;
	const char *error = NULL;

	(void)state;
	srandom(20261122);
	for (int i = 0; i < 400; i++, at += random() % (HOUR_MS / 2)) {
		struct daybook_delta delta = random_delta(ctx);
		/* one in a while comes late, and some are many */
		int64_t when = random() % 10 == 0 ? at - random() % 5 * HOUR_MS : at;

		if (random() % 20 == 0)
			delta.sums.recipients += (uint64_t)1 << random() % 24;
		assert_int_equal(books_add_sums(here, ctx, when, &delta, 1, NULL, &error), 0);
		assert_int_equal(books_add_sums(there, ctx, when, &delta, 1, NULL, &error), 0);
	}
	for (int64_t day = INT64_C(1795384935029); day <= at; day += CLOCK_DAY_MS) {
		one = dump_day(ctx, here, daybook_day(day));
		two = dump_day(ctx, there, daybook_day(day));
		assert_int_equal(one.n, two.n);
		assert_true(one.n > 0);
		for (size_t i = 0; i < one.n; i++)
			assert_string_equal(one.lines[i], two.lines[i]);
	}
	for (int user = 0; user < 5; user++) {
		const char *account = mem_printf(ctx, "user%d@example.org", user);

		assert_string_equal(dump_hours(ctx, here, account, at),
		    dump_hours(ctx, there, account, at));
		assert_true(strlen(dump_hours(ctx, here, account, at)) > 20);
	}
	talloc_free(ctx);
}

/* The fullest clock hour is kept, not the last one, nor one that lies across. */
static void
test_peak_hour(void **state)
{
	static const struct { int64_t minute; uint64_t recipients; } steps[] = {
		{ 0, 10 }, { 59, 20 }, { 60, 25 }, { 61, 1 }, { 185, 29 },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = in_file(ctx, NULL, 0);
	const char *error = NULL;
	struct dump dump;

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct daybook_delta delta = { .account = "a@example.org",
			.sums = { 1, steps[i].recipients, 1 } };

		(void)books_add_sums(
		    books, ctx, 20 * CLOCK_DAY_MS + steps[i].minute * 60000, &delta, 1,
		    NULL, &error);
	}
	dump = dump_day(ctx, books, 19700121);
	assert_string_equal(dump.lines[0], "a@example.org 5 85 5 0 peak 2 30 -");
	talloc_free(ctx);
}

/* Of the days the last ones are kept, and a file brings them back. */
static void
test_days_and_file(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *path = make_directory(ctx);
	struct books *books = in_file(ctx, path, 0);
	const struct daybook_delta delta = {
		.account = "a@example.org", .sums = { 1, 2, 3 }, .refused[REASON_OVER] = 4
	};
	const char *error = NULL;
	struct stat st;

	(void)state;
	for (int day = 0; day <= DAYBOOK_DAYS; day++)
		(void)books_add_sums(books, ctx, (20000 + day) * CLOCK_DAY_MS, &delta, 1, NULL, &error);
	assert_int_equal(dump_day(ctx, books, daybook_day(20000 * CLOCK_DAY_MS)).n, 0);
	assert_int_equal(dump_day(ctx, books, daybook_day(20001 * CLOCK_DAY_MS)).n, 1);
	(void)books_add_sums(books, ctx, 19000 * CLOCK_DAY_MS, &delta, 1, NULL, &error);
	assert_int_equal(dump_day(ctx, books, daybook_day(19000 * CLOCK_DAY_MS)).n, 0);
	assert_int_equal(stat(mem_printf(ctx, "%s.books", path), &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	talloc_free(books);
	books = in_file(ctx, path, 0);
	assert_string_equal(dump_day(ctx, books, daybook_day(20001 * CLOCK_DAY_MS)).lines[0],
	    "a@example.org 1 2 3 0 peak 1 2 over=4");
	talloc_free(books);
	remove_directory(path);
	talloc_free(ctx);
}

/* If a later part was not answered, the caller knows which part is in the books, so that it does not
 * count that again. */
static void
test_done(void **state)
{
	enum { MANY = 60, FIRST = 25 /* of accounts or rows in a call */ };
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct daybook_delta deltas[MANY] = { { 0 } };
	struct dmarc_sum sums[MANY] = { { 0 } };
	const char *error = NULL;
	struct books *books;
	struct road *road;
	size_t done;
	int port;

	(void)state;
	if (!has_redis)
		skip();
	road = road_open(server.socket, &port);
	books = open_books(ctx, &(struct store_options){ .kind = STORE_REDIS, .prefix = "done:",
	    .redis.server = mem_printf(ctx, "inet:127.0.0.1:%d", port) }, 0, &error);
	assert_non_null(books);
	for (int i = 0; i < MANY; i++) {
		deltas[i] = (struct daybook_delta){ .account = mem_printf(ctx, "u%d", i),
			.sums = { 1, 1, 1 } };
		sums[i] = (struct dmarc_sum){ mem_printf(ctx, "d%d", i), "v=DMARC1", "row", 1 };
	}
	assert_int_equal(books_add_sums(books, ctx, HOUR_MS, deltas, MANY, &done, &error), 0);
	assert_int_equal(done, MANY);
	assert_int_equal(books_add_dmarc(books, ctx, 20261128, sums, MANY, &done, &error), 0);
	assert_int_equal(done, MANY);
	/* an answer is ":0" and the end of a line; the second one does not arrive */
	road_cut_after(road, 5);
	assert_int_equal(books_add_sums(books, ctx, HOUR_MS, deltas, MANY, &done, &error), -1);
	assert_int_equal(done, FIRST);
	assert_int_equal(books_add_sums(books, ctx, HOUR_MS, deltas, 1, &done, &error), 0);
	assert_int_equal(done, 1);
	road_cut_after(road, 5);
	assert_int_equal(books_add_dmarc(books, ctx, 20261128, sums, MANY, &done, &error), -1);
	assert_int_equal(done, FIRST);
	talloc_free(ctx);
	road_close(road);
}

/* --- the counts by minute and hour --- */

/* dump_rates_row - books_rates_each */
static void
dump_rates_row(void *arg, int64_t at_ms, const char *host, const struct rates *rates)
{
	struct dump *dump = arg;

	assert_true(dump->n < 64 * 64);
	dump->lines[dump->n++] = mem_printf(dump->ctx, "%lld %s %s",
	    (long long)at_ms / CLOCK_MINUTE_MS, host, rates_write(dump->ctx, rates));
}

/* dump_rates - what filters did from one time to another, in lines: minute, host, counts */
static char *
dump_rates(TALLOC_CTX *ctx, struct books *books, bool by_hour, int64_t from, int64_t to)
{
	struct dump dump = { .ctx = ctx };
	char *text = mem_strdup(ctx, "");
	const char *error = NULL;

	assert_int_equal(
	    books_read_rates(books, ctx, by_hour, from, to, dump_rates_row, &dump, &error), 0);
	qsort(dump.lines, dump.n, sizeof(dump.lines[0]), compare_lines);
	for (size_t i = 0; i < dump.n; i++)
		text = mem_printf(ctx, "%s%s\n", text, dump.lines[i]);
	return text;
}

/* check_rates - minutes are added up by host, and hours */
static void
check_rates(TALLOC_CTX *ctx, struct books *books)
{
	int64_t at = (int64_t)30000000 * CLOCK_MINUTE_MS;	/* a whole hour */
	struct rates rates = { .actions = { 0 } };
	const char *error = NULL;

	rates_count(&rates, ACTION_ACCEPT, ACTION_ACCEPT, REASON_NONE);
	rates_count(&rates, ACTION_REJECT, ACTION_REJECT, REASON_OVER);
	rates_count(&rates, ACTION_WARN, ACTION_TEMPFAIL, REASON_OVER);
	rates_count(&rates, ACTION_WARN, ACTION_WARN, REASON_OVER);
	assert_int_equal(books_add_rates(books, ctx, at + 59999, "mx1", &rates, &error), 0);
	assert_int_equal(books_add_rates(books, ctx, at, "mx1", &rates, &error), 0);
	assert_int_equal(books_add_rates(books, ctx, at + 60000, "mx1", &rates, &error), 0);
	rates = (struct rates){ .actions = { 0 } };
	rates_count(&rates, ACTION_QUARANTINE, ACTION_QUARANTINE, REASON_OVER);
	assert_int_equal(books_add_rates(books, ctx, at, "mx2", &rates, &error), 0);
	assert_string_equal(dump_rates(ctx, books, false, at, at + 120000),
	    "30000000 mx1 action:accept=2,action:warn=4,action:reject=2,"
	    "reason:over=2,would:over=2\n"
	    "30000000 mx2 action:quarantine=1,reason:over=1\n"
	    "30000001 mx1 action:accept=1,action:warn=2,action:reject=1,"
	    "reason:over=1,would:over=1\n");
	assert_string_equal(dump_rates(ctx, books, true, at, at + CLOCK_HOUR_MS),
	    "30000000 mx1 action:accept=3,action:warn=6,action:reject=3,"
	    "reason:over=3,would:over=3\n"
	    "30000000 mx2 action:quarantine=1,reason:over=1\n");
	assert_string_equal(dump_rates(ctx, books, false, at + 120000, at + 240000), "");
	/* the same over midnight and hours, and what is not in the span is not answered */
	assert_int_equal(books_add_rates(books, ctx, at - 60000, "mx2", &rates, &error), 0);
	assert_string_equal(dump_rates(ctx, books, false, at - 60000, at - 1),
	    "29999999 mx2 action:quarantine=1,reason:over=1\n");
	assert_string_equal(dump_rates(ctx, books, true, at - CLOCK_DAY_MS, at - 1),
	    "29999940 mx2 action:quarantine=1,reason:over=1\n");
}

/* dump_signed - books_sums_each: "domain messages recipients bytes" */
static void
dump_signed(void *arg, const char *domain, const struct daybook_row *row)
{
	char **text = arg;

	*text = mem_check(talloc_asprintf_append_buffer(*text, "%s %d %d %d;", domain,
	    (int)row->day.messages, (int)row->day.recipients, (int)row->day.bytes));
}

/* check_signed - signatures are added up by domain and day */
static void
check_signed(TALLOC_CTX *ctx, struct books *books)
{
	const struct daybook_delta deltas[] = {
		{ .account = "example.net", .sums = { 1, 2, 300 } },
		{ .account = "example.org", .sums = { 1, 1, 100 } },
	};
	int64_t now = clock_wall_ms();
	const char *error = NULL;
	size_t done = 0;

	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    books_add_signed(books, ctx, now, &deltas[i], 2 - (size_t)i, &done, &error), 0);
	assert_int_equal(done, 1);
	assert_int_equal(
	    books_add_signed(books, ctx, now - CLOCK_DAY_MS, deltas, 1, &done, &error), 0);
	for (int i = 0; i < 3; i++) {
		char *text = mem_strdup(ctx, "");

		assert_int_equal(books_read_signed(books, ctx,
		    daybook_day(now - i * CLOCK_DAY_MS), dump_signed, &text, &error), 0);
		if (i == 0) {
			assert_non_null(strstr(text, "example.net 1 2 300;"));
			assert_non_null(strstr(text, "example.org 2 2 200;"));
		} else
			assert_string_equal(text, i == 1 ? "example.net 1 2 300;" : "");
	}
}

static void
test_signed_here(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	check_signed(ctx, in_file(ctx, NULL, 0));
	talloc_free(ctx);
}

static void
test_rates_here(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = in_file(ctx, NULL, 0);
	int64_t at = (int64_t)30000000 * CLOCK_MINUTE_MS;
	struct rates rates = { .actions = { [ACTION_ACCEPT] = 1 } };
	const char *error = NULL;

	(void)state;
	check_rates(ctx, books);
	/* minutes go after a day, hours after fourteen */
	assert_int_equal(
	    books_add_rates(books, ctx, at + 2 * CLOCK_DAY_MS, "mx1", &rates, &error), 0);
	assert_string_equal(dump_rates(ctx, books, false, at, at + 120000), "");
	assert_true(strlen(dump_rates(ctx, books, true, at, at + 120000)) > 0);
	assert_int_equal(
	    books_add_rates(books, ctx, at + 15 * CLOCK_DAY_MS, "mx1", &rates, &error), 0);
	assert_string_equal(dump_rates(ctx, books, true, at, at + 120000), "");
	talloc_free(ctx);
}

static void
test_rates_shared(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = shared(ctx, "rates:", 0);
	int64_t at = (int64_t)40000020 * CLOCK_MINUTE_MS; /* a whole hour */
	const struct rates rates = { .actions = { [ACTION_ACCEPT] = 1 } };
	const char *error = NULL;

	(void)state;
	check_rates(ctx, books);
	check_signed(ctx, books);
	/* hosts beyond the bound are one, and always the same ones */
	for (int i = 0; i < 60 * (BOOKS_HOSTS + 5); i++)
		assert_int_equal(
		    books_add_rates(books, ctx, at + i / (BOOKS_HOSTS + 5) * CLOCK_MINUTE_MS,
			mem_printf(ctx, "h%d", i % (BOOKS_HOSTS + 5)), &rates, &error), 0);
	for (int64_t minute = at; minute < at + CLOCK_HOUR_MS; minute += CLOCK_MINUTE_MS) {
		const char *text = dump_rates(ctx, books, false, minute, minute + 1);

		assert_non_null(strstr(text, " * action:accept=5\n"));
		assert_non_null(strstr(text, " h0 action:accept=1\n"));
		assert_null(strstr(text, mem_printf(ctx, " h%d ", BOOKS_HOSTS)));
	}
	assert_non_null(strstr(dump_rates(ctx, books, true, at, at), " * action:accept=300\n"));
	talloc_free(ctx);
}

/* What a Redis that stands still executes later is one try, not all of them. */
static void
test_stopped(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = shared(ctx, "stopped:", 0);
	int64_t at = (int64_t)40000000 * CLOCK_MINUTE_MS;
	const struct rates rates = { .actions = { [ACTION_ACCEPT] = 1 } };
	const char *error = NULL;

	(void)state;
	assert_int_equal(books_add_rates(books, ctx, at, "mx1", &rates, &error), 0);
	redis_server_signal(&server, SIGSTOP);
	for (int i = 0; i < 4; i++) {
		books_hurry(books, clock_ms() + 200);
		assert_int_equal(books_add_rates(books, ctx, at, "mx1", &rates, &error), -1);
	}
	redis_server_signal(&server, SIGCONT);
	books_hurry(books, clock_ms() + 60000);
	assert_int_equal(books_add_rates(books, ctx, at, "mx1", &rates, &error), 0);
	assert_string_equal(
	    dump_rates(ctx, books, false, at, at), "40000000 mx1 action:accept=3\n");
	talloc_free(ctx);
}

/* A Redis that stands is waited for once, however many accounts are to be compared. */
static void
test_unusual_stopped(void **state)
{
	enum { MANY = 12 };
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = shared(ctx, "unusual:", 0);
	struct unusual *unusual = unusual_new(ctx, "mx1");
	struct quota_counter counter = { .max = 8, .field = "f" };
	const struct store_block_rule rule = { 0 };
	int64_t began;

	(void)state;
	unusual_begin(unusual);
	for (int i = 0; i < MANY; i++)
		unusual_note(unusual,
		    &(struct quota_plan){ .account = mem_printf(ctx, "u%d", i), .home = "u",
			.hand_key = "u", .counters = &counter, .n_counters = 1 },
		    &rule, 1, HOUR_MS);
	unusual_begin(unusual);
	redis_server_signal(&server, SIGSTOP);
	began = clock_ms();
	unusual_look(unusual, books, NULL, HOUR_MS);
	began = clock_ms() - began;
	redis_server_signal(&server, SIGCONT);
	assert_true(began < MANY / 2 * JOURNAL_REDIS_WAIT_MS);
	talloc_free(ctx);
}

/* --- the counts for DMARC reports --- */

/* dump_dmarc - the domains of a day with their rows, as text */
static char *
dump_dmarc(TALLOC_CTX *ctx, struct books *books, int day)
{
	struct books_dmarc_domain *domains;
	const char *error = NULL;
	char *text = mem_strdup(ctx, "");
	size_t n;

	assert_int_equal(books_dmarc_domains(books, ctx, day, &domains, &n, &error), 0);
	for (size_t i = 0; i < n; i++) {
		struct books_dmarc_row *rows;
		size_t n_rows;

		text = mem_printf(ctx, "%s[%s %s %d %d %s]", text, domains[i].domain,
		    domains[i].record, (int)domains[i].messages, (int)domains[i].beyond,
		    domains[i].state != NULL ? domains[i].state : "-");
		assert_int_equal(books_dmarc_rows(
				     books, ctx, day, domains[i].domain, &rows, &n_rows, &error),
		    0);
		for (size_t k = 0; k < n_rows; k++)
			text = mem_printf(ctx, "%s %s=%d", text, rows[k].text, (int)rows[k].n);
	}
	return text;
}

/* check_dmarc - rows are added up, the last record and the state are kept */
static void
check_dmarc(TALLOC_CTX *ctx, struct books *books)
{
	static const struct dmarc_sum first[] = {
		{ "b.example", "old", "r1", 2 }, { "a.example", "of a", "r1", 1 },
		{ "b.example", "old", "r2", 5 },
	};
	static const struct dmarc_sum second[] = { { "b.example", "new", "r1", 3 } };
	const char *error = NULL;

	assert_int_equal(books_add_dmarc(books, ctx, 20261128, first, 3, NULL, &error), 0);
	assert_int_equal(books_add_dmarc(books, ctx, 20261128, second, 1, NULL, &error), 0);
	assert_string_equal(dump_dmarc(ctx, books, 20261128),
	    "[a.example of a 1 0 -] r1=1[b.example new 10 0 -] r1=5 r2=5");
	assert_int_equal(
	    books_set_dmarc(books, ctx, 20261128, "a.example", "{\"x\":1}", &error), 0);
	assert_string_equal(dump_dmarc(ctx, books, 20261128),
	    "[a.example of a 1 0 {\"x\":1}] r1=1[b.example new 10 0 -] r1=5 r2=5");
	assert_string_equal(dump_dmarc(ctx, books, 20261127), "");
}

/* check_dmarc_bounds - what is beyond the rows of a domain is counted, and others go on */
static void
check_dmarc_bounds(TALLOC_CTX *ctx, struct books *books)
{
	size_t n = BOOKS_DMARC_ROWS_DOMAIN + 10;
	struct dmarc_sum *sums = mem_array(ctx, struct dmarc_sum, n);
	const struct dmarc_sum other = { "other.example", "r", "row", 1 };
	struct books_dmarc_domain *domains;
	const char *error = NULL;

	for (size_t i = 0; i < n; i++)
		sums[i] = (struct dmarc_sum){ "full.example", "r", mem_printf(sums, "%zu", i), 2 };
	assert_int_equal(books_add_dmarc(books, ctx, 20261129, sums, n, NULL, &error), 20);
	assert_int_equal(books_add_dmarc(books, ctx, 20261129, sums, 1, NULL, &error), 0);
	assert_int_equal(books_add_dmarc(books, ctx, 20261129, &other, 1, NULL, &error), 0);
	assert_int_equal(books_dmarc_domains(books, ctx, 20261129, &domains, &n, &error), 0);
	assert_int_equal(n, 2);
	assert_int_equal(domains[0].messages, 2 * BOOKS_DMARC_ROWS_DOMAIN + 20 + 2);
	assert_int_equal(domains[0].beyond, 20);
}

static void
test_dmarc_here(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = in_file(ctx, NULL, 0);
	const struct dmarc_sum sum = { "a.example", "r", "row", 1 };
	const char *error = NULL;

	(void)state;
	check_dmarc(ctx, books);
	check_dmarc_bounds(ctx, books);
	/* old days go */
	for (int day = 20261201; day < 20261201 + BOOKS_DMARC_DAYS + 1; day++)
		assert_int_equal(books_add_dmarc(books, ctx, day, &sum, 1, NULL, &error), 0);
	assert_string_equal(dump_dmarc(ctx, books, 20261128), "");
	assert_string_equal(dump_dmarc(ctx, books, 20261208), "[a.example r 1 0 -] row=1");
	assert_int_equal(books_lease(books, ctx, "report", "one", 1000, &error), 1);
	assert_int_equal(books_lease(books, ctx, "report", "two", 1000, &error), 1);
	talloc_free(ctx);
}

static void
test_dmarc_shared(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = shared(ctx, "dmarc:", 0);
	const char *error = NULL;

	(void)state;
	check_dmarc(ctx, books);
	check_dmarc_bounds(ctx, books);
	assert_int_equal(books_lease(books, ctx, "report", "one", 60000, &error), 1);
	assert_int_equal(books_lease(books, ctx, "report", "two", 60000, &error), 0);
	assert_int_equal(books_lease(books, ctx, "report", "one", 60000, &error), 1);
	assert_int_equal(books_lease(books, ctx, "other", "two", 60000, &error), 1);
	talloc_free(ctx);
}

/* Books of the version before get the tables that they lack, and keep the rest. */
static void
test_dmarc_old_file(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *path = make_directory(ctx);
	const struct daybook_delta delta = { .account = "a@example.org", .sums = { 1, 2, 3 } };
	struct books *books = in_file(ctx, path, 0);
	const char *error = NULL;
	sqlite3 *db;

	(void)state;
	(void)books_add_sums(books, ctx, 20000 * CLOCK_DAY_MS, &delta, 1, NULL, &error);
	talloc_free(books);
	assert_int_equal(sqlite3_open(mem_printf(ctx, "%s.books", path), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "DROP TABLE dmarc_rows; DROP TABLE dmarc_domains;"
	    "UPDATE sums SET hour = 0, hour_messages = 5, hour_recipients = 7, peak_recipients = 8;"
	    "DROP TABLE hours; DROP TABLE rates; DROP TABLE signed;"
	    "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
	books = in_file(ctx, path, 0);
	check_dmarc(ctx, books);
	assert_int_equal(dump_day(ctx, books, daybook_day(20000 * CLOCK_DAY_MS)).n, 1);
	assert_int_equal(books_add_sums(books, ctx, 20000 * CLOCK_DAY_MS, &delta, 1, NULL, &error), 0);
	assert_string_equal(dump_hours(ctx, books, "a@example.org", 20000 * CLOCK_DAY_MS),
	    " 0:6/9/0");
	assert_string_equal(dump_day(ctx, books, daybook_day(20000 * CLOCK_DAY_MS)).lines[0],
	    "a@example.org 2 4 6 0 peak 6 9 -");
	talloc_free(books);
	remove_directory(path);
	talloc_free(ctx);
}

/* --- history --- */

/* add - one verdict */
static void
add(struct books *books, TALLOC_CTX *ctx, int64_t at_ms, const char *account,
    const char *queue_id, const char *action)
{
	const struct books_decision item = { at_ms, account, queue_id,
		strcmp(action, "tempfail") != 0 && strcmp(action, "reject") != 0,
		mem_printf(ctx,
		    "{\"at\":%lld,\"queue_id\":\"%s\",\"account\":\"%s\",\"action\":\"%s\"}",
		    (long long)at_ms, queue_id, account != NULL ? account : "-", action) };
	const char *error = NULL;

	assert_int_equal(books_add_decisions(books, ctx, &item, 1, &error), 0);
}

/* id_of - the queue id of the i-th verdict of an answer */
static const char *
id_of(const json_t *answer, size_t i)
{
	return json_string_value(json_object_get(json_array_get(answer, i), "queue_id"));
}

/* last, why, accepted - the questions of operators */
static json_t *
last(struct books *books, TALLOC_CTX *ctx, const char *account, size_t n)
{
	const struct books_query query = { .account = account, .n = n };
	const char *error = NULL;

	return books_find(books, ctx, &query, &error);
}

static json_t *
why(struct books *books, TALLOC_CTX *ctx, const char *queue_id)
{
	const struct books_query query = { .queue_id = queue_id, .n = BOOKS_ANSWER_MAX };
	const char *error = NULL;

	return books_find(books, ctx, &query, &error);
}

static json_t *
accepted(struct books *books, TALLOC_CTX *ctx, const char *account, size_t n)
{
	const struct books_query query = { .account = account, .passed = true, .n = n };
	const char *error = NULL;

	return books_find(books, ctx, &query, &error);
}

/* check_questions - the same questions to both kinds */
static void
check_questions(struct books *books, TALLOC_CTX *ctx)
{
	int64_t now = clock_wall_ms();
	json_t *answer;

	add(books, ctx, now - 3 * CLOCK_DAY_MS, "old@example.org", "OLD", "accept");
	add(books, ctx, now, "alice@example.org", "A1", "accept");
	add(books, ctx, now, "bob@example.org", "B1", "accept");
	add(books, ctx, now, "alice@example.org", "A2", "tempfail");
	add(books, ctx, now, NULL, "IN1", "accept");
	add(books, ctx, now, "alice@example.org", "A3", "quarantine");
	answer = last(books, ctx, "alice@example.org", 2);
	assert_int_equal(json_array_size(answer), 2);
	assert_string_equal(id_of(answer, 0), "A3");
	assert_string_equal(id_of(answer, 1), "A2");
	json_decref(answer);
	answer = last(books, ctx, "old@example.org", 10);
	assert_int_equal(json_array_size(answer), 0);
	json_decref(answer);
	answer = last(books, ctx, "nobody@example.org", 10);
	assert_int_equal(json_array_size(answer), 0);
	json_decref(answer);
	answer = why(books, ctx, "IN1");
	assert_int_equal(json_array_size(answer), 1);
	json_decref(answer);
	answer = why(books, ctx, "A");
	assert_int_equal(json_array_size(answer), 0);
	json_decref(answer);
	answer = accepted(books, ctx, "alice@example.org", 10);
	assert_int_equal(json_array_size(answer), 2);
	assert_string_equal(id_of(answer, 0), "A3");
	assert_string_equal(id_of(answer, 1), "A1");
	json_decref(answer);
}

static void
test_questions_here(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	check_questions(in_file(ctx, NULL, 100), ctx);
	talloc_free(ctx);
}

static void
test_questions_there(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	check_questions(shared(ctx, "questions:", 100), ctx);
	talloc_free(ctx);
}

/* Bounded in number, and brought back by the file. */
static void
test_bounds_and_file(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *path = make_directory(ctx);
	struct books *books = in_file(ctx, path, 10);
	int64_t now = clock_wall_ms();
	struct stat st;
	json_t *answer;

	(void)state;
	for (int i = 0; i < 105; i++)
		add(books, ctx, now, "a@example.org", mem_printf(ctx, "Q%d", i), "accept");
	answer = last(books, ctx, "a@example.org", 100);
	assert_int_equal(json_array_size(answer), 10);
	assert_string_equal(id_of(answer, 9), "Q95");
	json_decref(answer);
	assert_int_equal(stat(mem_printf(ctx, "%s.books", path), &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	talloc_free(books);
	books = in_file(ctx, path, 10);
	answer = last(books, ctx, "a@example.org", 100);
	assert_int_equal(json_array_size(answer), 10);
	assert_string_equal(id_of(answer, 0), "Q104");
	json_decref(answer);
	assert_int_equal(json_array_size(answer = why(books, ctx, "Q104")), 1);
	json_decref(answer);
	talloc_free(books);
	remove_directory(path);
	talloc_free(ctx);
}

/* count_keys - keys of a pattern in Redis */
static size_t
count_keys(const char *pattern)
{
	redisContext *context = redisConnectUnix(server.socket);
	redisReply *reply = redisCommand(context, "KEYS %s", pattern);
	size_t n = reply->elements;

	freeReplyObject(reply);
	redisFree(context);
	return n;
}

/* What becomes of a report may be known when the day is forgotten: that stays no longer, either. */
static void
test_forgotten_day(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = shared(ctx, "forgotten:", 0);
	redisContext *context = redisConnectUnix(server.socket);
	const char *error = NULL;
	redisReply *reply;

	(void)state;
	assert_int_equal(books_set_dmarc(books, ctx, 20261128, "a.example", "{}", &error), 0);
	reply = redisCommand(context, "TTL forgotten:{dmarc}:20261128:figures");
	assert_in_range(reply->integer, 1, BOOKS_DMARC_DAYS * 86400);
	freeReplyObject(reply);
	redisFree(context);
	talloc_free(books);
	talloc_free(ctx);
}

/* Bounded in Redis: the stream about, an account's list to 20, and the number of lists. Pages are
 * crossed. */
static void
test_bounds_there(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = shared(ctx, "bounds:", 1200);
	int64_t now = clock_wall_ms();
	const char *error = NULL;
	json_t *answer;

	(void)state;
	for (int i = 0; i < 3000; i += 100) {
		struct books_decision items[100];

		for (int k = 0; k < 100; k++)
			items[k] = (struct books_decision){ now,
				mem_printf(ctx, "u%d@example.org", (i + k) / 3), NULL, true,
				mem_printf(ctx,
				    "{\"at\":%lld,\"queue_id\":\"Q%d\",\"action\":\"accept\"}",
				    (long long)now, i + k) };
		assert_int_equal(books_add_decisions(books, ctx, items, 100, &error), 0);
	}
	assert_int_equal(json_array_size(answer = why(books, ctx, "Q2999")), 1);
	json_decref(answer);
	/* on the third page of 500 */
	assert_int_equal(json_array_size(answer = why(books, ctx, "Q1900")), 1);
	json_decref(answer);
	assert_int_equal(json_array_size(answer = why(books, ctx, "Q5")), 0);
	json_decref(answer);
	assert_true(count_keys("bounds:{history}:a:*") <= 1200 / BOOKS_PER_ACCOUNT + 1);
	for (int i = 0; i < 30; i++)
		add(books, ctx, now, "busy@example.org", mem_printf(ctx, "B%d", i), "accept");
	answer = last(books, ctx, "busy@example.org", 20);
	assert_int_equal(json_array_size(answer), 20);
	assert_string_equal(id_of(answer, 0), "B29");
	json_decref(answer);
	answer = last(books, ctx, "busy@example.org", 100);
	assert_int_equal(json_array_size(answer), 30);
	json_decref(answer);
	talloc_free(ctx);
}

/* What an earlier version left in Redis is read beside what this one writes, until it expires. */
static void
test_old_layout(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = shared(ctx, "old:", 100);
	redisContext *context = redisConnectUnix(server.socket);
	int64_t now = clock_wall_ms();
	int day = daybook_day(now);
	const struct daybook_delta delta = { .account = "a@example.org", .sums = { 1, 2, 3 } };
	const char *error = NULL;
	struct dump dump;
	json_t *answer;

	(void)state;
	freeReplyObject(redisCommand(context, "HSET old:{daybook}:%d a@example.org %s", day,
	    "10 250 99 7 4 100 50 23 1 2 3 over=5"));
	freeReplyObject(redisCommand(context, "HSET old:{daybook}:%d b@example.org %s", day - 1,
	    "1 2 3 4 1 2 3 5 1 2 3 -"));
	for (int i = 0; i < 3; i++)
		freeReplyObject(redisCommand(context, "XADD old:{history}:all * a a@example.org v %s",
		    mem_printf(ctx, "{\"at\":%lld,\"queue_id\":\"OLD%d\",\"action\":\"accept\"}",
			(long long)now + 10LL * i, i)));
	redisFree(context);
	assert_int_equal(books_add_sums(books, ctx, now, &delta, 1, NULL, &error), 0);
	dump = dump_day(ctx, books, day);
	assert_int_equal(dump.n, 2);
	assert_string_equal(dump.lines[0], "a@example.org 1 2 3 0 peak 1 2 -");
	assert_string_equal(dump.lines[1], "a@example.org 10 250 99 7 peak 4 100 over=5");
	dump = dump_day(ctx, books, day - 1);
	assert_int_equal(dump.n, 1);
	assert_string_equal(dump.lines[0], "b@example.org 1 2 3 4 peak 1 2 -");
	/* another filter still is of that version */
	add(books, ctx, now + 5, "a@example.org", "NEW0", "accept");
	add(books, ctx, now + 15, "a@example.org", "NEW1", "accept");
	assert_int_equal(json_array_size(answer = why(books, ctx, "OLD1")), 1);
	json_decref(answer);
	answer = last(books, ctx, "a@example.org", 50);
	assert_int_equal(json_array_size(answer), 5);
	assert_string_equal(id_of(answer, 0), "OLD2");
	assert_string_equal(id_of(answer, 1), "NEW1");
	assert_string_equal(id_of(answer, 2), "OLD1");
	assert_string_equal(id_of(answer, 3), "NEW0");
	json_decref(answer);
	answer = accepted(books, ctx, "a@example.org", 2);
	assert_int_equal(json_array_size(answer), 2);
	assert_string_equal(id_of(answer, 1), "NEW1");
	json_decref(answer);
	talloc_free(ctx);
}

/* --- files --- */

/* put_file - a file beside that of the counters */
static char *
put_file(TALLOC_CTX *ctx, const char *path, const char *end, const char *octets, size_t len)
{
	char *name = mem_printf(ctx, "%s%s", path, end);
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(octets, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	return name;
}

/* assert_refused - books beside this file of counters are not opened, and say so and so */
static void
assert_refused(const char *path, const char *wanted)
{
	const struct store_options store = { .kind = STORE_EMBEDDED, .file = path };
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error;

	assert_null(open_books(ctx, &store, 10, &error));
	assert_non_null(error);
	if (strstr(error, wanted) == NULL)
		fail_msg("\"%s\" says nothing of \"%s\"", error, wanted);
	talloc_free(ctx);
}

/* What is not ours is not opened, and not changed. */
static void
test_foreign_files(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *path = make_directory(ctx);
	const char *books = put_file(ctx, path, ".books", "something else\n", 15);
	struct stat st;

	(void)state;
	assert_refused(path, "were not written by countersign");
	assert_int_equal(stat(books, &st), 0);
	assert_int_equal(st.st_size, 15);
	assert_int_equal(chmod(books, 0620), 0);
	assert_refused(path, "can be written by other users");
	assert_int_equal(chmod(books, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(books, 65534, 65534), 0);
		assert_refused(path, "belong to uid 65534, but the daemon runs as uid 0");
	}
	assert_int_equal(unlink(books), 0);
	assert_int_equal(symlink("/dev/null", books), 0);
	assert_refused(path, "are a symbolic link");
	assert_int_equal(unlink(books), 0);
	assert_int_equal(mkfifo(books, 0600), 0);
	assert_refused(path, "are not a regular file");
	assert_int_equal(unlink(books), 0);
	assert_int_equal(mkdir(books, 0700), 0);
	assert_refused(path, "cannot open the books");
	assert_int_equal(rmdir(books), 0);
	remove_directory(path);
	talloc_free(ctx);
}

/* alter - run SQL in the books of a file, without countersign */
static void
alter(TALLOC_CTX *ctx, const char *path, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(mem_printf(ctx, "%s.books", path), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(chmod(mem_printf(ctx, "%s.books", path), 0600), 0);
}

/* Databases of others, of later versions, and damaged ones. */
static void
test_foreign_databases(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *path = make_directory(ctx);
	const char *name = mem_printf(ctx, "%s.books", path);
	struct books *books;
	char page[4096];
	FILE *file;

	(void)state;
	alter(ctx, path, "CREATE TABLE aliases (name TEXT)");
	assert_refused(path, "were not written by countersign");
	assert_int_equal(unlink(name), 0);
	books = in_file(ctx, path, 100);
	for (int i = 0; i < 100; i++)
		add(books, ctx, clock_wall_ms(), "a@example.org", mem_printf(ctx, "Q%d", i),
		    "accept");
	talloc_free(books);
	alter(ctx, path, "PRAGMA user_version = 99");
	assert_refused(path, "newer version");
	alter(ctx, path, "PRAGMA user_version = 4");
	talloc_free(in_file(ctx, path, 100));
	memset(page, 'x', sizeof(page));
	file = fopen(name, "r+");
	assert_int_equal(fseek(file, 4096, SEEK_SET), 0);
	assert_int_equal(fwrite(page, 1, sizeof(page), file), sizeof(page));
	assert_int_equal(fclose(file), 0);
	assert_refused(path, "are damaged");
	assert_int_equal(truncate(name, 5000), 0);
	assert_refused(path, "are damaged");
	remove_directory(path);
	talloc_free(ctx);
}

/* What earlier versions wrote is there after the first start, and is imported once. */
static void
test_import(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *path = make_directory(ctx);
	int day = daybook_day(clock_wall_ms());
	const char *history = mem_printf(ctx,
	    "{\"at\":%lld,\"queue_id\":\"OLD1\",\"account\":\"a@example.org\",\"action\":\"accept\"}\n"
	    "garbage\n{\"at\":\"x\"}\n[1]\n"
	    "{\"at\":%lld,\"queue_id\":\"OLD2\",\"account\":\"a@example.org\",\"action\":\"reject\"}\n"
	    "{\"at\":17,\"que",
	    (long long)clock_wall_ms(), (long long)clock_wall_ms());
	const char *daybook = mem_printf(ctx,
	    "%d a@example.org 1 2 3 4 1 2 3 5 1 2 3 over=4,would-foreign-from=2\nnonsense\n", day);
	const char *old_history = put_file(ctx, path, ".history", history, strlen(history));
	struct books *books;
	struct dump dump;
	json_t *answer;

	(void)state;
	(void)put_file(ctx, path, ".daybook", daybook, strlen(daybook));
	books = in_file(ctx, path, 100);
	answer = last(books, ctx, "a@example.org", 10);
	assert_int_equal(json_array_size(answer), 2);
	assert_string_equal(id_of(answer, 0), "OLD2");
	json_decref(answer);
	answer = accepted(books, ctx, "a@example.org", 10);
	assert_int_equal(json_array_size(answer), 1);
	assert_string_equal(id_of(answer, 0), "OLD1");
	json_decref(answer);
	dump = dump_day(ctx, books, day);
	assert_int_equal(dump.n, 1);
	assert_string_equal(dump.lines[0],
	    "a@example.org 1 2 3 4 peak 1 2 over=4,would-foreign-from=2");
	talloc_free(books);
	assert_int_equal(access(old_history, F_OK), -1);
	assert_int_equal(access(mem_printf(ctx, "%s.imported", old_history), F_OK), 0);
	books = in_file(ctx, path, 100);
	assert_int_equal(json_array_size(answer = why(books, ctx, "OLD1")), 1);
	json_decref(answer);
	talloc_free(books);
	remove_directory(path);
	talloc_free(ctx);
}

/* An old file that cannot be read is no empty one, and nothing of it is lost. */
static void
test_import_refused(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *path = make_directory(ctx);
	const char *old = mem_printf(ctx, "%s.history", path);
	struct books *books;

	(void)state;
	assert_int_equal(symlink("/etc/passwd", old), 0);
	assert_refused(path, "cannot import");
	assert_int_equal(unlink(old), 0);
	/* what was begun is not there, so it is still the first start */
	(void)put_file(ctx, path, ".daybook", "20260101 a@example.org 1 2 3 0 0 0 0 0 0 0 0 -\n", 47);
	books = in_file(ctx, path, 10);
	assert_int_equal(dump_day(ctx, books, 20260101).n, 1);
	talloc_free(books);
	remove_directory(path);
	talloc_free(ctx);
}

/* More accounts than the bound are added up, and that is said. */
static void
test_accounts_bounded(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *kinds[] = { in_file(ctx, NULL, 0), has_redis ? shared(ctx, "many:", 0) : NULL };
	const char *error = NULL;

	(void)state;
	for (size_t k = 0; k < 2 && kinds[k] != NULL; k++) {
		size_t n = 0;
		int beyond = 0;

		for (int i = 0; i < 1100; i++) {
			const struct daybook_delta delta = { .account = mem_printf(ctx, "u%d", i % 1050),
				.sums = { 1, 1, 1 }, .refused[REASON_OVER] = 1 };
			int more = books_add_sums(kinds[k], ctx, 20000 * CLOCK_DAY_MS, &delta, 1, NULL, &error);

			assert_true(more >= 0);
			beyond += more;
		}
		assert_int_equal(beyond, 50);
		assert_int_equal(
		    books_read_sums(kinds[k], ctx, daybook_day(20000 * CLOCK_DAY_MS), count_row, &n, &error),
		    0);
		assert_int_equal(n, 1001);
	}
	talloc_free(ctx);
}

/* --- events --- */

static const struct event_program no_program;

/* What two filters raise of one thing is told once; what differs is told. */
static void
test_told_once(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = shared(ctx, "events:", 0);
	struct events *one = events_new(ctx, "mx1", books, NULL);
	struct events *two = events_new(ctx, "mx2", shared(ctx, "events:", 0), NULL);
	const char *error = NULL;
	json_t *answer;

	(void)state;
	for (int i = 0; i < 3; i++) {
		event_raise(one, EVENT_OVER, "account", "a@example.org", "hour", "a over", NULL);
		event_raise(two, EVENT_OVER, "account", "a@example.org", "hour", "a over", NULL);
		assert_true(event_flush(one, ctx, &no_program, &error) >= 0);
		assert_true(event_flush(two, ctx, &no_program, &error) >= 0);
	}
	event_raise(two, EVENT_OVER, "account", "a@example.org", "day", "a over by day", NULL);
	event_raise(two, EVENT_OVER, "account", "b@example.org", "hour", "b over",
	    json_pack("{s:i}", "n", 7));
	event_raise(one, EVENT_RELOAD, NULL, NULL, NULL, "again", NULL);
	event_raise(one, EVENT_RELOAD, NULL, NULL, NULL, "again", NULL);
	assert_true(event_flush(two, ctx, &no_program, &error) >= 0);
	assert_true(event_flush(one, ctx, &no_program, &error) >= 0);
	answer = books_last_events(books, ctx, 100, &error);
	assert_int_equal(json_array_size(answer), 5);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(answer, 4), "text")), "a over");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(answer, 2), "n")), 7);
	json_decref(answer);
	talloc_free(ctx);
}

/* The last BOOKS_EVENTS are kept; a list that nobody empties is bounded. */
static void
test_events_bounded(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct books *books = in_file(ctx, NULL, 0);
	struct events *events = events_new(ctx, "mx1", books, NULL);
	const char *error = NULL;
	json_t *answer;

	(void)state;
	for (int i = 0; i < EVENTS_WAITING_MAX + 50; i++)
		event_raise(events, EVENT_RELOAD, NULL, NULL, NULL, "full", NULL);
	assert_int_equal(event_flush(events, ctx, &no_program, &error), EVENTS_WAITING_MAX);
	for (int turn = 0; turn < BOOKS_EVENTS / EVENTS_WAITING_MAX; turn++) {
		for (int i = 0; i < EVENTS_WAITING_MAX; i++)
			event_raise(events, EVENT_RELOAD, NULL, NULL, NULL, "more", NULL);
		assert_true(event_flush(events, ctx, &no_program, &error) >= 0);
	}
	for (int i = 0; i < 10; i++)
		event_raise(events, EVENT_STORE_BACK, NULL, NULL, NULL, "last", NULL);
	assert_true(event_flush(events, ctx, &no_program, &error) >= 0);
	answer = books_last_events(books, ctx, 5 * BOOKS_EVENTS, &error);
	assert_int_equal(json_array_size(answer), BOOKS_EVENTS);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(answer, 0), "event")), "store-back");
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(answer, 10), "event")), "reload");
	json_decref(answer);
	talloc_free(ctx);
}

/* --- what waits for the books --- */

/* What a file was found to hold. */
struct found {
	struct entry *entry;	/* the last one */
	size_t entries, events;
	char event[256];
};

static void
found_entry(void *arg, struct entry *entry)
{
	struct found *found = arg;

	talloc_free(found->entry);
	found->entry = entry;
	found->entries++;
}

static void
found_event(void *arg, const struct backlog_event *event)
{
	struct found *found = arg;

	snprintf(found->event, sizeof(found->event), "%s|%s|%s|%d%d|%d", event->kind, event->key,
	    event->text, event->run, event->told, (int)event->at_ms);
	found->events++;
}

/* look_into - all that a file holds; the backlog stays open */
static struct backlog *
look_into(TALLOC_CTX *ctx, const char *path, struct found *found)
{
	const struct backlog_reader reader = { found, found_entry, found_event };
	const char *error = NULL;
	struct backlog *backlog = backlog_open(ctx, path, &error);

	if (backlog == NULL)
		fail_msg("%s", error);
	talloc_free(found->entry);
	*found = (struct found){ 0 };
	assert_int_equal(backlog_read(backlog, ctx, &reader, &error), 0);
	return backlog;
}

/* waiting_entry - a decision that waits */
static struct entry *
waiting_entry(TALLOC_CTX *ctx)
{
	static const struct dmarc_sum sum = { "example.net", "v=DMARC1; p=none", "{}", 1 };
	struct entry *entry = talloc_zero(ctx, struct entry);

	entry->at_ms = 1700000000123;
	entry->text = "{\"at\":1,\"sign\":\"example.org/s1\"}";
	entry->queue_id = "Q1";
	entry->account = "a@example.org";
	entry->action = ACTION_TEMPFAIL;
	entry->would = ACTION_TEMPFAIL;
	entry->reason = REASON_OVER;
	entry->recipients = 3;
	entry->bytes = 1000;
	entry->connection = true;
	entry->dmarc = &sum;
	return entry;
}

/* What waits is found again by the next process; what was written is not. */
static void
test_backlog(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *path = make_directory(ctx);
	struct entry *entry = waiting_entry(ctx), *bare = talloc_zero(ctx, struct entry);
	struct backlog_event event = { .at_ms = 5, .kind = "over", .key = "a/b", .text = "{}" };
	struct found found = { 0 };
	struct backlog *backlog = look_into(ctx, path, &found);

	(void)state;
	assert_int_equal(found.entries + found.events, 0);
	assert_false(backlog_has_entry(backlog, entry));
	backlog_put_entry(backlog, entry);
	backlog_put_entry(backlog, bare);
	backlog_put_event(backlog, &event);
	backlog_commit(backlog);
	assert_true(backlog_has_entry(backlog, entry) && backlog_has_event(backlog, &event));
	event.run = true;
	backlog_put_event(backlog, &event);
	backlog_remove_entry(backlog, bare);
	backlog_commit(backlog);
	talloc_free(backlog);
	backlog = look_into(ctx, path, &found);
	assert_int_equal(found.entries, 1);
	assert_int_equal(found.events, 1);
	assert_string_equal(found.event, "over|a/b|{}|10|5");
	assert_true(found.entry->at_ms == 1700000000123 && found.entry->bytes == 1000);
	assert_string_equal(found.entry->text, entry->text);
	assert_string_equal(found.entry->queue_id, "Q1");
	assert_string_equal(found.entry->account, "a@example.org");
	assert_true(found.entry->action >= ACTION_TEMPFAIL && found.entry->would >= ACTION_TEMPFAIL);
	assert_int_equal(found.entry->reason, REASON_OVER);
	assert_int_equal(found.entry->recipients, 3);
	assert_true(found.entry->connection && backlog_has_entry(backlog, found.entry));
	assert_string_equal(found.entry->dmarc->domain, "example.net");
	assert_string_equal(found.entry->dmarc->row, "{}");
	assert_false(found.entry->in_history || found.entry->in_usage || found.entry->in_dmarc ||
	    found.entry->in_signed);
	assert_true(found.entry->sign == OUTCOME_PASS);
	assert_string_equal(found.entry->sign_domain, "example.org");
	/* one part of it was written */
	found.entry->in_history = true;
	backlog_put_entry(backlog, found.entry);
	backlog_commit(backlog);
	talloc_free(backlog);
	backlog = look_into(ctx, path, &found);
	assert_true(found.entry->in_history && !found.entry->in_usage && !found.entry->in_dmarc);
	backlog_remove_entry(backlog, found.entry);
	backlog_commit(backlog);
	talloc_free(backlog);
	backlog = look_into(ctx, path, &found);
	assert_int_equal(found.entries, 0);
	assert_int_equal(found.events, 1);
	talloc_free(found.entry);
	talloc_free(backlog);
	remove_directory(path);
	talloc_free(ctx);
}

/* A file that fails keeps nothing and says so; later all is put again. */
static void
test_backlog_fails(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *path = make_directory(ctx), *error = NULL;
	struct entry *entry = waiting_entry(ctx), *other = waiting_entry(ctx);
	struct found found = { 0 };
	struct backlog *backlog = look_into(ctx, path, &found);
	char *moved = mem_printf(ctx, "%s.moved", path);

	(void)state;
	backlog_put_entry(backlog, entry);
	backlog_commit(backlog);
	assert_int_equal(rename(path, moved), 0);
	backlog_put_entry(backlog, other);
	backlog_commit(backlog);
	assert_false(backlog_has_entry(backlog, entry) || backlog_has_entry(backlog, other));
	assert_int_equal(rename(moved, path), 0);
	backlog_put_entry(backlog, other);
	backlog_commit(backlog);
	assert_true(backlog_has_entry(backlog, other) && !backlog_has_entry(backlog, entry));
	talloc_free(backlog);
	backlog = look_into(ctx, path, &found);
	assert_int_equal(found.entries, 1);
	talloc_free(found.entry);
	talloc_free(backlog);
	put_file(ctx, path, "", "not ours", 8);
	assert_null(backlog_open(ctx, path, &error));
	assert_non_null(strstr(error, "were not written by countersign; move the file away"));
	remove_directory(path);
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backlog),
		cmocka_unit_test(test_backlog_fails),
		cmocka_unit_test(test_old_row),
		cmocka_unit_test(test_packed_row),
		cmocka_unit_test(test_row_nonsense),
		cmocka_unit_test(test_day),
		cmocka_unit_test(test_script_and_rules),
		cmocka_unit_test(test_peak_hour),
		cmocka_unit_test(test_days_and_file),
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_signed_here),
		cmocka_unit_test(test_rates_here),
		cmocka_unit_test(test_rates_shared),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_unusual_stopped),
		cmocka_unit_test(test_old_layout),
		cmocka_unit_test(test_dmarc_here),
		cmocka_unit_test(test_dmarc_shared),
		cmocka_unit_test(test_dmarc_old_file),
		cmocka_unit_test(test_questions_here),
		cmocka_unit_test(test_questions_there),
		cmocka_unit_test(test_bounds_and_file),
		cmocka_unit_test(test_forgotten_day),
		cmocka_unit_test(test_bounds_there),
		cmocka_unit_test(test_foreign_files),
		cmocka_unit_test(test_foreign_databases),
		cmocka_unit_test(test_import),
		cmocka_unit_test(test_import_refused),
		cmocka_unit_test(test_accounts_bounded),
		cmocka_unit_test(test_told_once),
		cmocka_unit_test(test_events_bounded),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
