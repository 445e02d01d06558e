/*
 * test_journal.c - history, daybook and events: in the process, in files, and in a real Redis
 *
 * The same questions to both kinds. The script of the daybook and its C rules are held to each
 * other by random days.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
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

#include "filter/base/clock.h"
#include "filter/journal/daybook.h"
#include "filter/journal/event.h"
#include "filter/journal/history.h"
#include "policy/base/mem.h"
#include "tests/support/redis_server.h"

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

/* shared - the Redis of these tests under a prefix of the test's own; NULL: there is none */
static struct journal_redis *
shared(TALLOC_CTX *ctx, const char *prefix)
{
	const struct store_options options = {
		.kind = STORE_REDIS, .server = server.address, .prefix = prefix
	};
	const char *error = NULL;
	struct journal_redis *redis = NULL;

	if (!has_redis)
		skip();
	redis = journal_redis_new(ctx, &options, &error);
	assert_non_null(redis);
	return redis;
}

/* --- daybook --- */

static void
test_row_as_text(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct daybook_row row = {
		.day = { 10, 250, 99 },
		.connections = 7,
		.peak = { 4, 100, 50 },
		.hour = 23,
		.of_hour = { 1, 2, 3 },
	};
	struct daybook_row back;

	(void)state;
	assert_string_equal(daybook_write(ctx, &row), "10 250 99 7 4 100 50 23 1 2 3 -");
	row.refused[REASON_OVER] = 5;
	row.would[REASON_FOREIGN_FROM] = 2;
	assert_string_equal(
	    daybook_write(ctx, &row), "10 250 99 7 4 100 50 23 1 2 3 over=5,would-foreign-from=2");
	daybook_parse(daybook_write(ctx, &row), &back);
	assert_memory_equal(&row, &back, sizeof(row));
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
	char *lines[64];
	size_t n;
};

static void
dump_row(void *arg, const char *account, const struct daybook_row *row)
{
	struct dump *dump = arg;

	assert_true(dump->n < 64);
	dump->lines[dump->n++] =
	    mem_printf(dump->ctx, "%s %s", account, daybook_write(dump->ctx, row));
}

static int
compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct dump
dump_day(TALLOC_CTX *ctx, struct daybook *daybook, int day)
{
	struct dump dump = { .ctx = ctx };
	const char *error = NULL;

	assert_int_equal(daybook_read(daybook, ctx, day, dump_row, &dump, &error), 0);
	qsort(dump.lines, dump.n, sizeof(dump.lines[0]), compare_lines);
	return dump;
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
	if (random() % 5 == 0)
		delta.would[1 + random() % (REASON_COUNT - 1)] = (uint32_t)(random() % 4);
	return delta;
}

/* The script and the C rules give the same sums. */
static void
test_script_and_rules(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct daybook *here = daybook_new(ctx, NULL, NULL);
	struct daybook *there = daybook_new(ctx, shared(ctx, "rules:"), NULL);
	int64_t at = INT64_C(1795384935029);
	struct dump one, two;
	const char *error = NULL;

	(void)state;
	srandom(20261122);
	for (int i = 0; i < 400; i++, at += random() % (HOUR_MS / 2)) {
		struct daybook_delta delta = random_delta(ctx);

		assert_int_equal(daybook_add(here, ctx, at, &delta, 1, &error), 0);
		assert_int_equal(daybook_add(there, ctx, at, &delta, 1, &error), 0);
	}
	for (int64_t day = INT64_C(1795384935029); day <= at; day += CLOCK_DAY_MS) {
		one = dump_day(ctx, here, daybook_day(day));
		two = dump_day(ctx, there, daybook_day(day));
		assert_int_equal(one.n, two.n);
		assert_true(one.n > 0);
		for (size_t i = 0; i < one.n; i++)
			assert_string_equal(one.lines[i], two.lines[i]);
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
	struct daybook *daybook = daybook_new(ctx, NULL, NULL);
	const char *error = NULL;
	struct daybook_row row;
	struct dump dump;

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct daybook_delta delta = { .account = "a@example.org",
			.sums = { 1, steps[i].recipients, 1 } };

		(void)daybook_add(
		    daybook, ctx, 20 * CLOCK_DAY_MS + steps[i].minute * 60000, &delta, 1, &error);
	}
	dump = dump_day(ctx, daybook, 19700121);
	daybook_parse(strchr(dump.lines[0], ' ') + 1, &row);
	assert_int_equal(row.day.recipients, 85);
	assert_int_equal(row.peak.recipients, 30);
	assert_int_equal(row.peak.messages, 2);
	talloc_free(ctx);
}

/* Of the days the last ones are kept, and a file brings them back. */
static void
test_days_and_file(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char path[] = "/tmp/test_journal.XXXXXX";
	int fd = mkstemp(path);
	struct daybook *daybook = daybook_new(ctx, NULL, path);
	const struct daybook_delta delta = {
		.account = "a@example.org", .sums = { 1, 2, 3 }, .refused[REASON_OVER] = 4
	};
	const char *error = NULL;
	struct stat st;

	(void)state;
	assert_true(fd >= 0);
	for (int day = 0; day <= DAYBOOK_DAYS; day++)
		(void)daybook_add(daybook, ctx, (20000 + day) * CLOCK_DAY_MS, &delta, 1, &error);
	assert_int_equal(dump_day(ctx, daybook, daybook_day(20000 * CLOCK_DAY_MS)).n, 0);
	assert_int_equal(dump_day(ctx, daybook, daybook_day(20001 * CLOCK_DAY_MS)).n, 1);
	(void)daybook_add(daybook, ctx, 19000 * CLOCK_DAY_MS, &delta, 1, &error);
	assert_int_equal(dump_day(ctx, daybook, daybook_day(19000 * CLOCK_DAY_MS)).n, 0);
	daybook_save(daybook);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	talloc_free(daybook);
	daybook = daybook_new(ctx, NULL, path);
	assert_string_equal(dump_day(ctx, daybook, daybook_day(20001 * CLOCK_DAY_MS)).lines[0],
	    "a@example.org 1 2 3 0 1 2 3 0 1 2 3 over=4");
	(void)close(fd);
	(void)unlink(path);
	talloc_free(ctx);
}

/* --- history --- */

/* add - one verdict */
static void
add(struct history *history, TALLOC_CTX *ctx, int64_t at_ms, const char *account,
    const char *queue_id, const char *action)
{
	const struct history_item item = { at_ms, account,
		mem_printf(ctx,
		    "{\"at\":%lld,\"queue_id\":\"%s\",\"account\":\"%s\",\"action\":\"%s\"}",
		    (long long)at_ms, queue_id, account != NULL ? account : "-", action) };
	const char *error = NULL;

	assert_int_equal(history_add(history, ctx, &item, 1, &error), 0);
}

/* id_of - the queue id of the i-th verdict of an answer */
static const char *
id_of(const json_t *answer, size_t i)
{
	return json_string_value(json_object_get(json_array_get(answer, i), "queue_id"));
}

/* check_questions - the same questions to both kinds */
static void
check_questions(struct history *history, TALLOC_CTX *ctx)
{
	int64_t now = clock_wall_ms();
	const char *error = NULL;
	json_t *answer;

	add(history, ctx, now - 3 * CLOCK_DAY_MS, "old@example.org", "OLD", "accept");
	add(history, ctx, now, "alice@example.org", "A1", "accept");
	add(history, ctx, now, "bob@example.org", "B1", "accept");
	add(history, ctx, now, "alice@example.org", "A2", "tempfail");
	add(history, ctx, now, NULL, "IN1", "accept");
	add(history, ctx, now, "alice@example.org", "A3", "quarantine");
	answer = history_last(history, ctx, "alice@example.org", 2, &error);
	assert_int_equal(json_array_size(answer), 2);
	assert_string_equal(id_of(answer, 0), "A3");
	assert_string_equal(id_of(answer, 1), "A2");
	json_decref(answer);
	answer = history_last(history, ctx, "old@example.org", 10, &error);
	assert_int_equal(json_array_size(answer), 0);
	json_decref(answer);
	answer = history_last(history, ctx, "nobody@example.org", 10, &error);
	assert_int_equal(json_array_size(answer), 0);
	json_decref(answer);
	answer = history_why(history, ctx, "IN1", &error);
	assert_int_equal(json_array_size(answer), 1);
	json_decref(answer);
	answer = history_why(history, ctx, "A", &error);
	assert_int_equal(json_array_size(answer), 0);
	json_decref(answer);
	answer = history_accepted(history, ctx, "alice@example.org", 10, &error);
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
	check_questions(history_new(ctx, NULL, NULL, 100, 2), ctx);
	talloc_free(ctx);
}

static void
test_questions_there(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	check_questions(history_new(ctx, shared(ctx, "questions:"), NULL, 100, 2), ctx);
	talloc_free(ctx);
}

/* Bounded in number, and brought back by the file. */
static void
test_ring_and_file(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char path[] = "/tmp/test_journal.XXXXXX";
	int fd = mkstemp(path);
	struct history *history = history_new(ctx, NULL, path, 10, 2);
	int64_t now = clock_wall_ms();
	const char *error = NULL;
	struct stat st;
	json_t *answer;

	(void)state;
	for (int i = 0; i < 105; i++)
		add(history, ctx, now, "a@example.org", mem_printf(ctx, "Q%d", i), "accept");
	answer = history_last(history, ctx, "a@example.org", 100, &error);
	assert_int_equal(json_array_size(answer), 10);
	assert_string_equal(id_of(answer, 9), "Q95");
	json_decref(answer);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 20 * 100);
	assert_int_equal(st.st_mode & 077, 0);
	talloc_free(history);
	history = history_new(ctx, NULL, path, 10, 2);
	answer = history_last(history, ctx, "a@example.org", 100, &error);
	assert_int_equal(json_array_size(answer), 10);
	assert_string_equal(id_of(answer, 0), "Q104");
	json_decref(answer);
	talloc_free(history);
	assert_true(write(fd, "garbage\n{\"at\":\"x\"}\n[1]\n", 23) == 23);
	history = history_new(ctx, NULL, path, 10, 2);
	assert_int_equal(json_array_size(answer = history_why(history, ctx, "Q104", &error)), 1);
	json_decref(answer);
	(void)close(fd);
	(void)unlink(path);
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

/* Bounded in Redis: the stream about, an account's list to 20, and the number of lists. Pages are
 * crossed. */
static void
test_bounds_there(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct history *history = history_new(ctx, shared(ctx, "bounds:"), NULL, 1200, 2);
	int64_t now = clock_wall_ms();
	const char *error = NULL;
	json_t *answer;

	(void)state;
	for (int i = 0; i < 3000; i += 100) {
		struct history_item items[100];

		for (int k = 0; k < 100; k++)
			items[k] = (struct history_item){ now,
				mem_printf(ctx, "u%d@example.org", (i + k) / 3),
				mem_printf(ctx,
				    "{\"at\":%lld,\"queue_id\":\"Q%d\",\"action\":\"accept\"}",
				    (long long)now, i + k) };
		assert_int_equal(history_add(history, ctx, items, 100, &error), 0);
	}
	assert_int_equal(json_array_size(answer = history_why(history, ctx, "Q2999", &error)), 1);
	json_decref(answer);
	/* on the third page of 500 */
	assert_int_equal(json_array_size(answer = history_why(history, ctx, "Q1900", &error)), 1);
	json_decref(answer);
	assert_int_equal(json_array_size(answer = history_why(history, ctx, "Q5", &error)), 0);
	json_decref(answer);
	assert_true(count_keys("bounds:{history}:a:*") <= 1200 / HISTORY_PER_ACCOUNT + 1);
	for (int i = 0; i < 30; i++)
		add(history, ctx, now, "busy@example.org", mem_printf(ctx, "B%d", i), "accept");
	answer = history_last(history, ctx, "busy@example.org", 20, &error);
	assert_int_equal(json_array_size(answer), 20);
	assert_string_equal(id_of(answer, 0), "B29");
	json_decref(answer);
	answer = history_last(history, ctx, "busy@example.org", 100, &error);
	assert_int_equal(json_array_size(answer), 30);
	json_decref(answer);
	talloc_free(ctx);
}

/* --- events --- */

static const struct event_program no_program;

/* What two filters raise of one thing is told once; what differs is told. */
static void
test_told_once(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct events *one = events_new(ctx, shared(ctx, "events:"));
	struct events *two = events_new(ctx, shared(ctx, "events:"));
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
	answer = events_last(one, ctx, 100, &error);
	assert_int_equal(json_array_size(answer), 5);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(answer, 4), "text")), "a over");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(answer, 2), "n")), 7);
	json_decref(answer);
	talloc_free(ctx);
}

/* Without Redis the last thousand are kept; a list that nobody empties is bounded. */
static void
test_events_bounded(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct events *events = events_new(ctx, NULL);
	const char *error = NULL;
	json_t *answer;

	(void)state;
	for (int i = 0; i < EVENTS_WAITING_MAX + 50; i++)
		event_raise(events, EVENT_RELOAD, NULL, NULL, NULL, "full", NULL);
	assert_true(event_flush(events, ctx, &no_program, &error) >= 0);
	for (int i = 0; i < 10; i++)
		event_raise(events, EVENT_STORE_BACK, NULL, NULL, NULL, "last", NULL);
	assert_true(event_flush(events, ctx, &no_program, &error) >= 0);
	answer = events_last(events, ctx, 5000, &error);
	assert_int_equal(json_array_size(answer), 1000);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(answer, 0), "event")), "store-back");
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(answer, 10), "event")), "reload");
	json_decref(answer);
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_row_as_text),
		cmocka_unit_test(test_row_nonsense),
		cmocka_unit_test(test_day),
		cmocka_unit_test(test_script_and_rules),
		cmocka_unit_test(test_peak_hour),
		cmocka_unit_test(test_days_and_file),
		cmocka_unit_test(test_questions_here),
		cmocka_unit_test(test_questions_there),
		cmocka_unit_test(test_ring_and_file),
		cmocka_unit_test(test_bounds_there),
		cmocka_unit_test(test_told_once),
		cmocka_unit_test(test_events_bounded),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
