/*
 * test_seldom.c - one line a minute for each cause, and not many causes
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "filter/base/seldom.h"

#define START	1000

/* one cause: a line, then none for a minute, then one with the number of those skipped */
static void
test_one(void **state)
{
	static struct seldom seldom = { .lock = PTHREAD_MUTEX_INITIALIZER };
	unsigned long skipped = 99;

	(void)state;
	assert_true(seldom_may(&seldom, "a", START, &skipped));
	assert_int_equal(skipped, 0);
	for (int i = 0; i < 7; i++)
		assert_false(seldom_may(&seldom, "a", START + i, &skipped));
	assert_true(seldom_may(&seldom, "b", START, &skipped));
	assert_int_equal(skipped, 0);
	assert_false(seldom_may(&seldom, "a", START + SELDOM_MS - 1, &skipped));
	assert_true(seldom_may(&seldom, "a", START + SELDOM_MS, &skipped));
	assert_int_equal(skipped, 8);
}

/* a thousand causes: no more lines than places, and later causes get theirs */
static void
test_many(void **state)
{
	static struct seldom seldom = { .lock = PTHREAD_MUTEX_INITIALIZER };
	unsigned long skipped = 0, lines = 0;
	char name[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "peer %d", i);
		lines += seldom_may(&seldom, name, START, &skipped);
	}
	assert_int_equal(lines, SELDOM_CAUSES);
	assert_true(seldom_may(&seldom, "late", START + SELDOM_MS, &skipped));
	assert_int_equal(skipped, 0);
	assert_false(seldom_may(&seldom, "late", START + SELDOM_MS, &skipped));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_many),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
