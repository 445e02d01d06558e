/*
 * test_merge.c - which refused messages of a mail merge count, and how long blocks last
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/quota/merge.h"
#include "policy/quota/quota.h"

#define HOUR	INT64_C(3600000)

/* counted - of n messages of one subject, one each gap_ms, so many count within an hour's window */
static unsigned int
counted(unsigned int n, int64_t gap_ms)
{
	struct merge merge = { 0 };
	unsigned int sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += merge_counts(&merge, 1000000 + i * gap_ms, HOUR);
	return sum;
}

static void
test_counts(void **state)
{
	(void)state;
	assert_int_equal(counted(1, 0), 1);
	assert_int_equal(counted(MERGE_FIRST, 0), MERGE_FIRST);
	assert_int_equal(counted(MERGE_FIRST + MERGE_EVERY - 1, 0), MERGE_FIRST);
	assert_int_equal(counted(MERGE_FIRST + MERGE_EVERY, 0), MERGE_FIRST + 1);
	assert_true(counted(120, 100) <= 20);
	assert_true(counted(150, 100) > 20);
	/* who goes on slowly is counted by time */
	assert_int_equal(counted(30, MERGE_PAUSE_MS), 30);
	/* and a wrong clock does not stop it for ever */
	struct merge merge = { .seen_ms = 100 * HOUR, .counted_ms = 100 * HOUR, .n = 50 };

	assert_true(merge_counts(&merge, HOUR, HOUR));
	assert_int_equal(merge.n, 1);
}

static void
test_subject(void **state)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));

	(void)state;
	assert_string_equal(merge_subject(ctx, " Invoice 1001"), "invoice");
	assert_string_equal(merge_subject(ctx, "invoice  no\t7\n"), "invoiceno");
	assert_string_equal(merge_subject(ctx, ""), "");
	assert_string_equal(merge_subject(ctx, "\xc3\x89t\xc3\xa9 1"), "\xc3\x89t\xc3\xa9");
	talloc_free(ctx);
}

static void
test_length(void **state)
{
	(void)state;
	assert_int_equal(quota_block_length(HOUR, 0, 7), HOUR);
	assert_int_equal(quota_block_length(HOUR, 1, 7), HOUR);
	assert_int_equal(quota_block_length(HOUR, 4, 1), HOUR);
	assert_int_equal(quota_block_length(HOUR, 4, 3), 16 * HOUR);
	assert_int_equal(quota_block_length(HOUR, 4, UINT64_MAX), QUOTA_BLOCK_MEMORY_MS);
	assert_int_equal(quota_block_length(QUOTA_BLOCK_MEMORY_MS, 100, 2), QUOTA_BLOCK_MEMORY_MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_subject),
		cmocka_unit_test(test_length),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
