/*
 * test_suggest.c - which plans follow from what accounts sent
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/quota/suggest.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static void
test_percentile(void **state)
{
	static const struct { size_t percent; uint64_t is; } rows[] = {
		{ 1, 10 }, { 10, 10 }, { 11, 20 }, { 50, 50 }, { 90, 90 }, { 91, 100 }, { 100, 100 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t numbers[] = { 100, 30, 20, 90, 10, 60, 50, 80, 70, 40 };

		assert_int_equal(suggest_percentile(numbers, 10, rows[i].percent), rows[i].is);
	}
	assert_int_equal(suggest_percentile(NULL, 0, 95), 0);
}

static void
test_rounded(void **state)
{
	static const struct { uint64_t number, is; } rows[] = {
		{ 0, 1 }, { 1, 1 }, { 2, 2 }, { 7, 8 }, { 9, 10 }, { 10, 10 }, { 11, 15 }, { 15, 15 },
		{ 16, 20 }, { 81, 100 }, { 101, 150 }, { 2001, 3000 }, { 999999, 1000000 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (suggest_rounded(rows[i].number) != rows[i].is)
			fail_msg("%llu becomes %llu", (unsigned long long)rows[i].number,
			    (unsigned long long)suggest_rounded(rows[i].number));
}

/* A busy day among quiet ones does not make the habit, but it is remembered; a day that is there
 * twice, as when it was read out while it was written, counts once. */
static void
test_habits(void **state)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct suggest_use uses[] = {
		{ "bob", 3, 7, 70 }, { "alice", 2, 5, 50 }, { "alice", 1, 900, 9000 },
		{ "alice", 4, 4, 40 }, { "alice", 3, 6, 60 }, { "alice", 3, 6, 60 },
	};
	struct suggest_habit *habits;
	size_t n;

	(void)state;
	habits = suggest_habits(ctx, uses, COUNT(uses), 75, &n);
	assert_int_equal(n, 2);
	assert_string_equal(habits[0].account, "alice");
	assert_int_equal(habits[0].hour, 6);
	assert_int_equal(habits[0].day, 60);
	assert_int_equal(habits[0].most_hour, 900);
	assert_int_equal(habits[0].most_day, 9000);
	assert_string_equal(habits[1].account, "bob");
	assert_int_equal(habits[1].most_day, 70);
	(void)suggest_habits(ctx, NULL, 0, 95, &n);
	assert_int_equal(n, 0);
	talloc_free(ctx);
}

/* 97 accounts send 10 a day, two send 300, one sends 50000. */
static void
test_plans(void **state)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct suggest_habit habits[100];
	struct suggest_plans plans;

	(void)state;
	for (size_t i = 0; i < COUNT(habits); i++) {
		uint64_t day = i < 97 ? 10 : i < 99 ? 300 : 50000;

		habits[i] = (struct suggest_habit){ "x", day / 5, day, day / 5, day };
	}
	plans = suggest_plans(ctx, habits, COUNT(habits), 95);
	assert_int_equal(plans.person.hour, 4);
	assert_int_equal(plans.person.day, 20);
	assert_int_equal(plans.person.accounts, 97);
	assert_int_equal(plans.busy.hour, 150);
	assert_int_equal(plans.busy.day, 600);
	assert_int_equal(plans.busy.accounts, 2);
	assert_int_equal(habits[0].most_day, 50000);
	assert_false(suggest_fits(&habits[0], &plans.busy));
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percentile),
		cmocka_unit_test(test_rounded),
		cmocka_unit_test(test_habits),
		cmocka_unit_test(test_plans),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
