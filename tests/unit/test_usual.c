/*
 * test_usual.c - what is usual for an account, and what is not
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

#include "policy/quota/usual.h"

static struct usual_hour hours[USUAL_HOURS];

/* put - so many recipients in one hour, so many hours ago */
static void
put(size_t ago, uint32_t recipients)
{
	hours[USUAL_HOURS - 1 - ago].recipients = recipients;
}

/* office - ten hours of some messages on each of 13 days; what is now is the last of them */
static void
office(uint32_t recipients)
{
	memset(hours, 0, sizeof(hours));
	for (size_t day = 1; day < 14; day++)
		for (size_t i = 0; i < 10; i++)
			put(24 * day + i, recipients + (uint32_t)(i % 3));
}

static void
test_office(void **state)
{
	(void)state;
	office(4);
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 6);
	assert_true(usual_exceeded(50, 8, 6));
	assert_false(usual_exceeded(49, 8, 6));
	assert_false(usual_exceeded(56, 8, 7));
	assert_true(usual_exceeded(57, 8, 7));
	assert_false(usual_exceeded(UINT64_MAX, 8, 0));
	assert_false(usual_exceeded(1000, UINT64_MAX, 7));
}

/* Nothing is usual of who is new, or hardly sends. */
static void
test_little_known(void **state)
{
	(void)state;
	memset(hours, 0, sizeof(hours));
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 0);
	assert_int_equal(usual_recipients(hours, 0), 0);
	assert_int_equal(usual_recipients(hours, 1), 0);
	for (size_t day = 1; day <= 5; day++) {
		assert_int_equal(usual_recipients(hours, USUAL_HOURS), 0);
		put(24 * day + 3, 4);
	}
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 4);
	put(24 * 5 + 3, 3);
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 0);
	/* nor from the last 24 hours alone */
	memset(hours, 0, sizeof(hours));
	for (size_t i = 0; i < 24; i++)
		put(i, 100);
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 0);
}

/* What goes on now is not usual, nor was a single peak. */
static void
test_theft(void **state)
{
	(void)state;
	office(4);
	for (size_t i = 0; i < 20; i++)
		put(i, 5000);
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 6);
	put(24 * 3 + 12, 400);
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 6);
}

/* A theft that was stopped: its day, and the one before on which it may have begun. */
static void
test_blocked(void **state)
{
	(void)state;
	office(4);
	for (size_t i = 0; i < 40; i++)
		put(24 * 4 + i, 3000);
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 3000);
	for (size_t i = 0; i < 24; i++)
		hours[USUAL_HOURS - 1 - 24 * 4 - i].blocked = true;
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 6);
	/* all days */
	for (size_t i = 0; i < USUAL_HOURS; i++)
		hours[i].blocked = i % 24 == 0;
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 0);
}

/* A letter to all on the same weekday and about the same hour; on another day it is not usual. */
static void
test_newsletter(void **state)
{
	(void)state;
	for (size_t at = 7 * 24 - 1; at <= 7 * 24 + 1; at++) {
		office(4);
		put(at, 700);
		assert_int_equal(usual_recipients(hours, USUAL_HOURS), 700);
	}
	office(4);
	put(7 * 24 + 2, 700);
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 6);
	office(4);
	put(14 * 24 - 1, 700);
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 700);
	office(4);
	put(3 * 24, 700);
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 6);
}

/* A letter each day, at whatever hour, is usual. */
static void
test_daily(void **state)
{
	(void)state;
	memset(hours, 0, sizeof(hours));
	for (size_t day = 1; day < 14; day++) {
		for (size_t i = 0; i < 5; i++)
			put(24 * day + i, 2);
		put(24 * day + 6 + day % 5, 300);
	}
	assert_int_equal(usual_recipients(hours, USUAL_HOURS), 300);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_office),
		cmocka_unit_test(test_little_known),
		cmocka_unit_test(test_theft),
		cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_newsletter),
		cmocka_unit_test(test_daily),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
