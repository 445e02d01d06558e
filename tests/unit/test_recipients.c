/*
 * test_recipients.c - a set that counts each recipient once
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "filter/message/recipients.h"
#include "policy/base/mem.h"

#define MANY	20000

static void
test_empty(void **state)
{
	struct recipients *set = recipients_new(NULL);

	(void)state;
	assert_int_equal(recipients_count(set), 0);
	talloc_free(set);
}

static void
test_distinct(void **state)
{
	static const struct { const char *name; bool added; size_t count; } rows[] = {
		{ "a@example.org", true, 1 },
		{ "a@example.org", false, 1 },
		{ "b@example.org", true, 2 },
		{ "a@example.org", false, 2 },
		{ "", true, 3 },
		{ "", false, 3 },
		/* names come in normal form: the set does not fold them */
		{ "A@example.org", true, 4 },
		{ "a@example.orga", true, 5 },
		{ "a@example.or", true, 6 },
		{ "\xff\x01", true, 7 },
		{ "\xff\x01", false, 7 },
	};
	struct recipients *set = recipients_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (recipients_add(set, rows[i].name) != rows[i].added)
			fail_msg("row %zu: \"%s\"", i, rows[i].name);
		assert_int_equal(recipients_count(set), rows[i].count);
	}
	talloc_free(set);
}

/* The name is copied: what the caller does to his does not matter. */
static void
test_copies(void **state)
{
	struct recipients *set = recipients_new(NULL);
	char name[] = "a@example.org";

	(void)state;
	assert_true(recipients_add(set, name));
	name[0] = 'b';
	assert_true(recipients_add(set, name));
	name[0] = 'a';
	assert_false(recipients_add(set, name));
	assert_int_equal(recipients_count(set), 2);
	talloc_free(set);
}

/* name_of - the ith name of many */
static const char *
name_of(char buffer[40], int i)
{
	(void)snprintf(buffer, 40, "user%d@example%d.org", i, i % 7);
	return buffer;
}

/* Through all growth, each of many names is new once, and known ever after. */
static void
test_many(void **state)
{
	struct recipients *set = recipients_new(NULL);
	char name[40];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		assert_true(recipients_add(set, name_of(name, i)));
		assert_false(recipients_add(set, name_of(name, i / 2)));
		assert_int_equal(recipients_count(set), i + 1);
	}
	for (int i = 0; i < MANY; i++)
		if (recipients_add(set, name_of(name, i)))
			fail_msg("%s was forgotten", name);
	assert_int_equal(recipients_count(set), MANY);
	talloc_free(set);
}

/* A recipient that is refused is taken back, and may come again; the others stay. */
static void
test_remove_last(void **state)
{
	struct recipients *set = recipients_new(NULL);
	char name[40];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_true(recipients_add(set, name_of(name, i)));
		recipients_remove_last(set);
		assert_int_equal(recipients_count(set), i);
		/* taken back, it is new again */
		assert_true(recipients_add(set, name_of(name, i)));
		assert_int_equal(recipients_count(set), i + 1);
	}
	for (int i = 0; i < 1000; i++)
		if (recipients_add(set, name_of(name, i)))
			fail_msg("%s was lost", name);
	talloc_free(set);
}

/* Refusing for ever neither grows the count nor loses what was there. */
static void
test_remove_often(void **state)
{
	struct recipients *set = recipients_new(NULL);
	char name[40];

	(void)state;
	for (int i = 0; i < 7; i++)
		assert_true(recipients_add(set, name_of(name, i)));
	for (int i = 7; i < MANY; i++) {
		assert_true(recipients_add(set, name_of(name, i)));
		recipients_remove_last(set);
	}
	assert_int_equal(recipients_count(set), 7);
	for (int i = 0; i < 7; i++)
		assert_false(recipients_add(set, name_of(name, i)));
	talloc_free(set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_distinct),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_remove_last),
		cmocka_unit_test(test_remove_often),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
