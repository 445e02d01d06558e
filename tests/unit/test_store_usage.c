/*
 * test_store_usage.c - who sends how much: nothing is lost, nothing counted twice
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "filter/store/usage.h"
#include "policy/base/mem.h"

#define TODAY	INT64_C(20000)

static void
note(struct usage *usage, int64_t day, const char *account, uint64_t recipients)
{
	const struct store_top_entry entry = {
		.account = account, .messages = 1, .recipients = recipients
	};

	usage_note(usage, day, &entry);
}

/* recipients_of - of an account on a day; 0 where it is not listed */
static uint64_t
recipients_of(struct usage *usage, int64_t day, const char *account)
{
	TALLOC_CTX *tmp = talloc_new(NULL);
	uint64_t result = 0;
	size_t n;
	const struct store_top_entry *list =
	    usage_top(usage, tmp, day, STORE_TOP_RECIPIENTS, 0, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].account, account) == 0)
			result += list[i].recipients;
	talloc_free(tmp);
	return result;
}

/* Two days are kept; names of any length; what was noted is seen at once. */
static void
test_days(void **state)
{
	struct usage *usage = usage_new(NULL, 100);
	char longest[2000];
	size_t n;

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	note(usage, TODAY, "alice", 3);
	note(usage, TODAY, "", 1);
	note(usage, TODAY, longest, 5);
	note(usage, TODAY, longest, 5);
	note(usage, TODAY - 1, "alice", 7);
	note(usage, TODAY - 2, "alice", 100);
	assert_int_equal(recipients_of(usage, TODAY, "alice"), 3);
	assert_int_equal(recipients_of(usage, TODAY, ""), 1);
	assert_int_equal(recipients_of(usage, TODAY, longest), 10);
	assert_int_equal(recipients_of(usage, TODAY - 1, "alice"), 7);
	assert_int_equal(recipients_of(usage, TODAY - 2, "alice"), 0);
	note(usage, TODAY + 1, "bob", 1);
	assert_int_equal(recipients_of(usage, TODAY - 1, "alice"), 0);
	assert_int_equal(recipients_of(usage, TODAY, "alice"), 3);
	talloc_free(usage_take(usage, NULL, TODAY, &n));
	assert_int_equal(n, 3);
	talloc_free(usage_take(usage, NULL, TODAY, &n));
	assert_int_equal(n, 0);
	assert_int_equal(recipients_of(usage, TODAY + 1, "bob"), 1);
	talloc_free(usage);
}

/* A full table forgets those with the fewest recipients. */
static void
test_full(void **state)
{
	struct usage *usage = usage_new(NULL, 1000);
	struct store_top_entry *list;
	char name[16];
	size_t n;

	(void)state;
	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "u%u", i);
		note(usage, TODAY, name, i % 10 == 0 ? 1000 + i : 1);
	}
	list = usage_top(usage, usage, TODAY, STORE_TOP_RECIPIENTS, 3, &n);
	assert_int_equal(n, 3);
	assert_string_equal(list[0].account, "u4990");
	assert_int_equal(list[0].recipients, 5990);
	assert_int_equal(recipients_of(usage, TODAY, "u0"), 1000);
	talloc_free(usage_top(usage, NULL, TODAY, STORE_TOP_RECIPIENTS, 0, &n));
	assert_in_range(n, 500, 1000);
	talloc_free(usage);
}

/* Threads that note, while others list and take. */
struct crowd {
	struct usage *usage;
	atomic_uint_fast64_t taken;
	atomic_bool stop;
};

#define CROWD	4
#define EACH	20000

static void *
crowd_member(void *arg)
{
	struct crowd *crowd = arg;
	char name[16];

	for (unsigned int i = 0; i < EACH; i++) {
		snprintf(name, sizeof(name), "u%u", i * 7919 % 4001);
		note(crowd->usage, TODAY, name, 1);
	}
	return NULL;
}

/* take - what was noted, and forget it */
static void
take(struct crowd *crowd)
{
	size_t n;
	struct store_top_entry *list = usage_take(crowd->usage, NULL, TODAY, &n);

	for (size_t i = 0; i < n; i++)
		atomic_fetch_add(&crowd->taken, list[i].recipients);
	talloc_free(list);
}

static void *
reader(void *arg)
{
	struct crowd *crowd = arg;
	size_t n;

	for (unsigned int i = 0; !atomic_load(&crowd->stop); i++) {
		talloc_free(
		    usage_top(crowd->usage, NULL, TODAY, STORE_TOP_MESSAGES, i % 2 * 10, &n));
		if (i % 4 == 0)
			take(crowd);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct crowd crowd = { .usage = usage_new(NULL, 100000) };
	pthread_t threads[CROWD], looker;

	(void)state;
	assert_int_equal(pthread_create(&looker, NULL, reader, &crowd), 0);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_member, &crowd), 0);
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&crowd.stop, true);
	pthread_join(looker, NULL);
	take(&crowd);
	assert_int_equal(atomic_load(&crowd.taken), CROWD * EACH);
	talloc_free(crowd.usage);
}

/* A list that is made while users come is of whole entries, each once. */
static void
test_growing(void **state)
{
	struct crowd crowd = { .usage = usage_new(NULL, 100000) };
	pthread_t thread;
	size_t n = 0;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, crowd_member, &crowd), 0);
	while (n < 4001) {
		struct store_top_entry *list =
		    usage_top(crowd.usage, NULL, TODAY, STORE_TOP_RECIPIENTS, 0, &n);

		assert_true(n <= 4001);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(list[i].recipients, list[i].messages);
		talloc_free(list);
	}
	pthread_join(thread, NULL);
	assert_int_equal(recipients_of(crowd.usage, TODAY, "u0"), EACH / 4001 + 1);
	talloc_free(crowd.usage);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_growing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
