/*
 * test_figures.c - what is counted of messages, and the text that Prometheus reads
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "filter/base/exposition.h"
#include "filter/daemon/figures.h"
#include "policy/base/mem.h"

#define THREADS	4
#define TIMES	2000

/* count - a message of a listener */
static void
count(struct figures *figures, const char *listener)
{
	const struct facts facts = { .listener = listener, .role = ROLE_SUBMISSION };
	const struct verdict verdict = { .action = ACTION_ACCEPT, .would = ACTION_REJECT,
		.reason = REASON_OVER };

	figures_message(figures, &facts, &verdict);
}

/* more listeners than there are places share the last, and nothing is lost */
static void
test_many_listeners(void **state)
{
	static struct figures figures;
	char name[32];
	double sum = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "listener%d", i);
		count(&figures, name);
	}
	for (size_t i = 0; i < FIGURES_LISTENERS; i++) {
		const struct figures_listener *listener = atomic_load(&figures.listeners[i]);

		assert_non_null(listener);
		sum += figures_read(&listener->done[ACTION_ACCEPT][REASON_OVER]);
	}
	assert_true(sum == 1000);
	assert_string_equal(
	    atomic_load(&figures.listeners[FIGURES_LISTENERS - 1])->name, FIGURES_OTHER);
	figures_free(&figures);
}

/* count_many - a thread: messages of a few listeners in turn */
static void *
count_many(void *arg)
{
	static const char *const names[] = { "a", "b", NULL, "c" };

	for (int i = 0; i < TIMES; i++)
		count(arg, names[i % 4]);
	return NULL;
}

/* threads that meet a new listener at once make one place of it */
static void
test_threads(void **state)
{
	static struct figures figures;
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, count_many, &figures), 0);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++) {
		const struct figures_listener *listener = atomic_load(&figures.listeners[i]);

		assert_true(figures_read(&listener->done[ACTION_ACCEPT][REASON_OVER]) ==
		    THREADS * TIMES / 4);
		assert_true(figures_read(&listener->would[ACTION_REJECT][REASON_OVER]) ==
		    THREADS * TIMES / 4);
	}
	assert_null(atomic_load(&figures.listeners[4]));
	figures_free(&figures);
}

/* bounds are inclusive, buckets add up, and what is above all of them counts */
static void
test_histogram(void **state)
{
	static struct histogram histogram;
	struct exposition *out = exposition_new(NULL, false);
	const char *text;

	(void)state;
	histogram_add(&histogram, 100);
	histogram_add(&histogram, 101);
	histogram_add(&histogram, 3600000000u);
	exposition_family(out, EXPOSITION_HISTOGRAM, "x_seconds", "seconds", "Some.");
	exposition_histogram(out, &histogram, NULL, NULL);
	text = exposition_text(out);
	assert_non_null(strstr(text, "# TYPE x_seconds histogram\n"));
	assert_non_null(strstr(text, "x_seconds_bucket{le=\"0.0001\"} 1\n"));
	assert_non_null(strstr(text, "x_seconds_bucket{le=\"0.00025\"} 2\n"));
	assert_non_null(strstr(text, "x_seconds_bucket{le=\"30\"} 2\n"));
	assert_non_null(strstr(text, "x_seconds_bucket{le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(text, "x_seconds_sum 3600.000201\n"));
	assert_non_null(strstr(text, "x_seconds_count 3\n"));
	talloc_free(out);
}

/* the same counter in both spellings; a label may hold anything */
static void
test_spellings(void **state)
{
	(void)state;
	for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
		struct exposition *out = exposition_new(NULL, openmetrics);
		const char *text;

		exposition_family(out, EXPOSITION_COUNTER, "x_seconds", "seconds", "Some.");
		exposition_value(out, 9007199254740992.0, "a", "q\"\\\n{}", "b", "", NULL);
		exposition_family(out, EXPOSITION_INFO, "x_build", NULL, "What.");
		exposition_value(out, 1, NULL);
		text = exposition_text(out);
		assert_string_equal(text, openmetrics
			? "# HELP x_seconds Some.\n# TYPE x_seconds counter\n"
			  "# UNIT x_seconds seconds\n"
			  "x_seconds_total{a=\"q\\\"\\\\\\n{}\",b=\"\"} 9007199254740992\n"
			  "# HELP x_build What.\n# TYPE x_build info\nx_build_info 1\n# EOF\n"
			: "# HELP x_seconds_total Some.\n# TYPE x_seconds_total counter\n"
			  "x_seconds_total{a=\"q\\\"\\\\\\n{}\",b=\"\"} 9007199254740992\n"
			  "# HELP x_build_info What.\n# TYPE x_build_info gauge\nx_build_info 1\n"
			  "# EOF\n");
		talloc_free(out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_listeners),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_spellings),
	};

	(void)cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
