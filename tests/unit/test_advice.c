/*
 * test_advice.c - each reason has its advice, and each command in one can be typed
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

#include "policy/base/mem.h"
#include "policy/quota/suggest.h"
#include "policy/verdict/advice.h"

static const struct advice_facts sample = {
	.account = "alice@example.org", .address = "boss@example.org", .sender = "bob@example.net",
	.domain = "example.org", .client = "192.0.2.1", .helo = "client.example",
	.listener = "users", .owner = "pool:acme", .limit = "3000 recipients per day",
	.span = "1d",
};

/* print_commands - each command of the table, for tests/advice.test */
static int
print_commands(void)
{
	TALLOC_CTX *ctx = talloc_new(NULL);

	for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
		struct advice advice;

		advice_make(ctx, reason, &sample, &advice);
		if (advice.command != NULL)
			(void)printf("%s\n", advice.command);
	}
	talloc_free(ctx);
	return 0;
}

/* no reason lacks advice, and no item is left in one */
static void
test_every_reason(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	assert_null(advice_row(REASON_NONE));
	for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
		const struct advice_row *row = advice_row(reason);
		struct advice advice;

		if (row == NULL || row->text == NULL)
			fail_msg("%s has no advice", reply_row(reason)->word);
		advice_make(ctx, reason, &sample, &advice);
		if (strchr(advice.text, '%') != NULL || strlen(row->text) > 160)
			fail_msg("%s: %s", reply_row(reason)->word, advice.text);
		if ((row->command != NULL) != (advice.command != NULL))
			fail_msg("%s: an item of its command is unknown", reply_row(reason)->word);
	}
	talloc_free(ctx);
}

static void
test_commands(void **state)
{
	static const struct {
		const char *label;
		enum reason reason;
		struct advice_facts facts;
		const char *command;
	} rows[] = {
		{ "a pool", REASON_OVER, { .owner = "pool:acme", .limit = "3000 recipients per day",
		    .span = "1d" },
		    "countersignctl quota set pool:acme \"3000 recipients per day\" --for 1d" },
		{ "a limit that cannot be larger", REASON_OVER, { .owner = "bob", .span = "1h" }, NULL },
		{ "a limit of 0", REASON_NEVER_FITS, { .owner = "bob", .span = "1h", .zero = true },
		    "countersignctl plan of bob" },
		{ "a stranger's name", REASON_BLOCKED, { .account = "a b'; $(rm -rf /)@x" },
		    "countersignctl unblock 'a b'\\''; $(rm -rf /)@x'" },
		{ "an option", REASON_BLOCKED, { .account = "--help" }, NULL },
		{ "a line break", REASON_BLOCKED, { .account = "a\nb" }, NULL },
		{ "the null sender", REASON_SPF_NONE, { .client = "192.0.2.1", .sender = "<>" },
		    "countersignctl spf check --ip 192.0.2.1 --from \"<>\"" },
		{ "no account", REASON_BLOCKED, { .account = NULL }, NULL },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct advice advice;

		advice_make(ctx, rows[i].reason, &rows[i].facts, &advice);
		if ((advice.command == NULL) != (rows[i].command == NULL) ||
		    (advice.command != NULL && strcmp(advice.command, rows[i].command) != 0))
			fail_msg("%s: %s", rows[i].label, advice.command);
	}
	talloc_free(ctx);
}

/* a raised limit is never lower, has unit and window of the one it replaces, and fits the message */
static void
test_raised(void **state)
{
	static const struct { const char *limit; uint64_t need; const char *raised, *span; } rows[] = {
		{ "2000 recipients per day", 2001, "3000 recipients per day", "1d" },
		{ "100 recipients per hour", 110, "150 recipients per hour", "1h" },
		{ "4 messages per 30 minutes", 5, "6 messages per 30 minutes", "1h" },
		{ "3 recipients per hour", 4, "5 recipients per hour", "1h" },
		{ "1 message per hour", 2, "2 messages per hour", "1h" },
		{ "5 messages per hour", 6, "8 messages per hour", "1h" },
		{ "1000 client-addresses per day", 1001, NULL, NULL },
		{ "1 recipient per hour", 50, "50 recipients per hour", "1h" },
		{ "1 GB per week", 1, "1500 MB per week", "7d" },
		{ "10 KiB per 36 hours", 1, "20 KB per 36 hours", "36h" },
		{ "900 client-addresses per day", 901, "1000 client-addresses per day", "1d" },
		{ "9 external-recipients per 2 days", 10, "15 external-recipients per 2 days", "2d" },
		{ "unlimited", 1, NULL, NULL },
		{ "0", 1, NULL, NULL },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct limit limit, again;
		const char *error = NULL, *raised;

		assert_int_equal(limit_parse(ctx, rows[i].limit, &limit, &error), 0);
		raised = suggest_raised(ctx, &limit, rows[i].need);
		if ((raised == NULL) != (rows[i].raised == NULL))
			fail_msg("%s: %s", rows[i].limit, raised);
		if (raised == NULL)
			continue;
		assert_string_equal(raised, rows[i].raised);
		assert_string_equal(suggest_span(ctx, &limit), rows[i].span);
		assert_int_equal(limit_parse(ctx, raised, &again, &error), 0);
		assert_string_equal(again.field, limit.field);
		assert_true(again.max >= rows[i].need && again.max > limit.max);
	}
	talloc_free(ctx);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_reason),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_raised),
	};

	if (argc > 1 && strcmp(argv[1], "--commands") == 0)
		return print_commands();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
