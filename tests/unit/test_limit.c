/*
 * test_limit.c - one limit as an administrator writes it, right and wrong
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
#include "policy/quota/limit.h"

#define SECOND	INT64_C(1000)
#define HOUR	(3600 * SECOND)
#define DAY	(24 * HOUR)

static void
test_good(void **state)
{
	static const struct {
		const char *text;
		enum limit_unit unit;
		uint64_t max;
		int64_t window;
	} rows[] = {
		{ "100 recipients per hour", LIMIT_RECIPIENTS, 100, HOUR },
		{ "100 recipients per h", LIMIT_RECIPIENTS, 100, HOUR },
		{ "100 recipients per 1h", LIMIT_RECIPIENTS, 100, HOUR },
		{ "300 recipients per day", LIMIT_RECIPIENTS, 300, DAY },
		{ "1 message per second", LIMIT_MESSAGES, 1, SECOND },
		{ "500 messages per 30 minutes", LIMIT_MESSAGES, 500, 1800 * SECOND },
		{ "2 messages per 2 weeks", LIMIT_MESSAGES, 2, 14 * DAY },
		{ "100 recipients/hour", LIMIT_RECIPIENTS, 100, HOUR },
		{ "100recipients/1hour", LIMIT_RECIPIENTS, 100, HOUR },
		{ "  100\tRecipients  PER   Hour ", LIMIT_RECIPIENTS, 100, HOUR },
		{ "1 GB per day", LIMIT_BYTES, 1000000000, DAY },
		{ "1gib per day", LIMIT_BYTES, 1073741824, DAY },
		{ "1.5 GB per day", LIMIT_BYTES, 1500000000, DAY },
		{ "0.125 KiB per day", LIMIT_BYTES, 128, DAY },
		{ "9 PB per 366 days", LIMIT_BYTES, UINT64_C(9000000000000000), 366 * DAY },
		{ "9007199254740991 bytes per day", LIMIT_BYTES, UINT64_C(9007199254740991), DAY },
		{ "20 new-recipients per hour", LIMIT_NEW, 20, HOUR },
		{ "1 client-address per day", LIMIT_CLIENTS, 1, DAY },
		{ "50 External-Recipients per day", LIMIT_EXTERNAL, 50, DAY },
		{ "20 foreign-senders per hour", LIMIT_FOREIGN, 20, HOUR },
		{ "50 refused-recipients per hour", LIMIT_REFUSED, 50, HOUR },
		{ "over 3 times per day", LIMIT_OVER, 3, DAY },
		{ "Over 1 time per hour", LIMIT_OVER, 1, HOUR },
		{ "0", LIMIT_MESSAGES, 0, HOUR },
		{ "0 recipients per day", LIMIT_RECIPIENTS, 0, DAY },
		{ "007 messages per day", LIMIT_MESSAGES, 7, DAY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;
		struct limit limit;

		if ((rows[i].unit == LIMIT_OVER ? limit_parse_sign : limit_parse)(
			ctx, rows[i].text, &limit, &error) < 0)
			fail_msg("%s: %s", rows[i].text, error);
		if (limit.unit != rows[i].unit || limit.max != rows[i].max ||
		    limit.window_ms != rows[i].window || limit.unlimited)
			fail_msg("%s: unit %d max %llu window %lld", rows[i].text, (int)limit.unit,
			    (unsigned long long)limit.max, (long long)limit.window_ms);
		talloc_free(ctx);
	}
}

static void
test_unlimited(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error;
	struct limit limit;

	(void)state;
	assert_int_equal(limit_parse(ctx, " Unlimited ", &limit, &error), 0);
	assert_true(limit.unlimited);
	assert_string_equal(limit.text, "Unlimited");
	talloc_free(ctx);
}

/* refuses - a text is refused, and the error holds a part */
static void
refuses(int (*parse)(TALLOC_CTX *ctx, const char *text, struct limit *limit_r,
	    const char **error_r), const char *text, const char *part)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;
	struct limit limit;

	if (parse(ctx, text, &limit, &error) == 0)
		fail_msg("%s: taken", text);
	if (error == NULL || strstr(error, part) == NULL)
		fail_msg("%s: %s", text, error);
	talloc_free(ctx);
}

static void
test_bad(void **state)
{
	/* A part of the sentence that shows the right spelling, or names the slip. */
	static const struct { const char *text, *part; } rows[] = {
		{ "", "is empty" },
		{ "  \t", "is empty" },
		{ "hundred recipients per hour", "does not begin with a number" },
		{ "-5 messages per hour", "does not begin with a number" },
		{ "100", "\"100 recipients per hour\"" },
		{ "100 per hour", "\"100 recipients per hour\"" },
		{ "100 recipients", "has no length of time; write for example \"100 recipients per "
		    "hour\"" },
		{ "100 recipients hour", "\"hour\" in the limit \"100 recipients hour\" is where \"per\"" },
		{ "100 recipients per", "\"100 recipients per hour\"" },
		{ "100 recipients per 30", "\"100 recipients per hour\"" },
		{ "100 recipients per month", "\"100 recipients per 30 days\"" },
		{ "100 recipients per hr", "\"100 recipients per hour\"" },
		{ "100 recipients per 2 hrs", "\"100 recipients per 2 hours\"" },
		{ "100 recipients per dya", "not a length of time" },
		{ "100 recipients per hourr", "\"100 recipients per hour\"" },
		{ "100 recipients per 0 hours", "\"0\" in the limit" },
		{ "100 recipients per 1.5 hours", "write a whole number" },
		{ "100 recipients per 367 days", "at most \"per 366 days\"" },
		{ "100 recipients per 99999999999999999999 days", "not a length of time" },
		{ "100 recipients per hour per day", "each limit is a text of its own" },
		{ "100 recipients per hour, 300 per day", "" },
		{ "100 rcpts per hour", "\"100 recipients per hour\"" },
		{ "100 recipents per hour", "\"100 recipients per hour\"" },
		{ "100 mails per hour", "\"100 messages per hour\"" },
		{ "100 bananas per hour", "is not a unit; write messages, recipients, " },
		{ "3 nations per day", "foreign-senders, refused-recipients, countries, networks, failed-logins" },
		{ "3 country-codes per day", "write messages" },
		{ "3 asns per day", "\"3 networks per hour\"" },
		{ "3 failed logins per day", "\"3 failed-logins per hour\"" },
		{ "3 over per day", "\"3 recipients per hour\"" },
		{ "1 G per day", "\"1 GB per hour\"" },
		{ "20 new-recipient per hou", "\"20 new-recipient per hour\"" },
		{ "5 client-adresses per hour", "\"5 client-addresses per hour\"" },
		{ "5 ips per hour", "\"5 client-addresses per hour\"" },
		{ "50 externals per hour", "\"50 external-recipients per hour\"" },
		{ "1001 client-addresses per hour", "at most \"1000 client-addresses\"" },
		{ "1,000 recipients per hour", "write \"1000\"" },
		{ "1_000 recipients per hour", "write \"1000\"" },
		{ "1.5 recipients per hour", "counts in whole numbers" },
		{ "1.2345 GB per day", "is not a number" },
		{ "1.2.3 GB per day", "is not a number" },
		{ "1. GB per day", "is not a number" },
		{ "10 PB per day", "larger than can be counted" },
		{ "9007199254740992 bytes per day", "larger than can be counted" },
		{ "99999999999999999999999 messages per day", "larger than can be counted" },
		{ "unlimited recipients per day", "write \"unlimited\" instead" },
		{ "unlimitd", "does not begin with a number" },
		{ "0 0 0 0 0 0 0 0 0 0", "too long" },
		{ "100 \xffrecipients per hour", "\\xff" },
		{ "100 rec\"ipients per hour", "is not a unit" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refuses(limit_parse, rows[i].text, rows[i].part);
}

/* Errors of block_on name what it may count. */
static void
test_bad_sign(void **state)
{
	static const struct { const char *text, *part; } rows[] = {
		{ "", "\"100 refused-recipients per hour\"" },
		{ "many bounces", "does not begin with a number; write for example \"100 refused-recipients per hour\"" },
		{ "3", "\"3 refused-recipients per hour\"" },
		{ "3 bananas per day", "is not a unit; write new-recipients, client-addresses, foreign-senders, "
		    "refused-recipients, countries, networks, failed-logins, duplicates, bounces, "
		    "or \"over 20 times per hour\", for example \"3 refused-recipients per hour\"" },
		{ "3 dups per day", "\"3 duplicates per hour\"" },
		{ "3 dsns per day", "\"3 bounces per hour\"" },
		{ "3 bounced per day", "\"3 bounces per hour\"" },
		{ "3 duplicate bodies per day", "\"3 duplicate per hour\"" },
		{ "3 over per day", "\"over 3 times per hour\"" },
		{ "8 times usual per day", "must be a number of times from 2 to 1000, as in \"8 times usual\"" },
		{ "3 bounces per day per week", "as in \"100 refused-recipients per hour\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refuses(limit_parse_sign, rows[i].text, rows[i].part);
}

static void
test_long(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *text = mem_array(ctx, char, 100001);
	const char *error;
	struct limit limit;

	(void)state;
	memset(text, '9', 100000);
	assert_int_equal(limit_parse(ctx, text, &limit, &error), -1);
	assert_true(strlen(error) < 400);
	talloc_free(ctx);
}

static void
test_units(void **state)
{
	(void)state;
	assert_string_equal(limit_unit_name(LIMIT_MESSAGES), "messages");
	assert_string_equal(limit_unit_name(LIMIT_RECIPIENTS), "recipients");
	assert_string_equal(limit_unit_name(LIMIT_BYTES), "bytes");
	assert_int_equal(limit_unit_letter(LIMIT_MESSAGES), 'm');
	assert_int_equal(limit_unit_letter(LIMIT_RECIPIENTS), 'r');
	assert_int_equal(limit_unit_letter(LIMIT_BYTES), 'b');
	assert_string_equal(limit_unit_name(LIMIT_EXTERNAL), "external-recipients");
	assert_int_equal(limit_unit_letter(LIMIT_EXTERNAL), 'x');
	assert_string_equal(limit_unit_name(LIMIT_NEW), "new-recipients");
	assert_int_equal(limit_unit_letter(LIMIT_NEW), 'n');
	assert_string_equal(limit_unit_name(LIMIT_CLIENTS), "client-addresses");
	assert_int_equal(limit_unit_letter(LIMIT_CLIENTS), 'c');
	assert_string_equal(limit_unit_name(LIMIT_FOREIGN), "foreign-senders");
	assert_int_equal(limit_unit_letter(LIMIT_FOREIGN), 'f');
	assert_true(limit_is_sign(LIMIT_OVER) && limit_is_sign(LIMIT_NEW));
	assert_false(limit_is_sign(LIMIT_BYTES) || limit_is_sign(LIMIT_BLOCKS));
	assert_true(limit_is_level(LIMIT_REFUSED) && !limit_is_level(LIMIT_COUNTRIES));
}

/* As a limit, nothing is proposed that only block_on takes. */
static void
test_times_limit(void **state)
{
	static const struct { const char *text, *part; } rows[] = {
		{ "8 times usual", "\"8 times usual\" compares an hour that is sent already, so it "
		    "cannot be a limit: write block_on = \"8 times usual\"" },
		{ "over 3 times per day", "counts messages that other limits refuse" },
		{ "8 times", "counts times, which no limit does; write for example \"100 recipients "
		    "per hour\"" },
		{ "1001 times usual", "counts times, which no limit does" },
		{ "8 times per day", "counts times, which no limit does" },
		{ "over 3", "counts times, which no limit does" },
		{ "1 time", "counts times, which no limit does" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refuses(limit_parse, rows[i].text, rows[i].part);
}

/* One of a thing is told in the singular, and reads back as it was. */
static void
test_singular(void **state)
{
	static const char *const texts[] = { "1 message per day", "1 recipient per 2 hours",
		"1 byte per hour", "1 external-recipient per day", "1 new-recipient per day",
		"1 client-address per day", "1 foreign-sender per hour",
		"1 refused-recipient per day", "over 1 time per day", "1 country per day",
		"1 network per day", "1 failed-login per day", "1 duplicate per day",
		"1 bounce per day", "2 countries per day", "0 messages per day",
		"2 times usual" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;
		struct limit limit;

		assert_int_equal(limit_parse_sign(ctx, texts[i], &limit, &error), 0);
		assert_string_equal(
		    limit_text(ctx, limit.unit, limit.max, limit.window_ms), texts[i]);
		talloc_free(ctx);
	}
}

/* "8 times usual" */
static void
test_usual(void **state)
{
	static const char *const wrong[] = { "8 times", "8 times per day", "1 times usual",
		"0 times usual", "1001 times usual", "1.5 times usual", "times usual",
		"8 times usual per hour", "over 8 times usual", "8 usual",
		"99999999999999999999 times usual" };
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;
	struct limit limit;

	(void)state;
	assert_int_equal(limit_parse_sign(ctx, " 8  Times usual", &limit, &error), 0);
	assert_int_equal(limit.unit, LIMIT_USUAL);
	assert_int_equal(limit.max, 8);
	assert_true(limit_is_sign(limit.unit));
	assert_string_equal(
	    limit_text(ctx, limit.unit, limit.max, limit.window_ms), "8 times usual");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		error = NULL;
		if (limit_parse_sign(ctx, wrong[i], &limit, &error) == 0)
			fail_msg("%s", wrong[i]);
		assert_non_null(error);
	}
	limit_parse_sign(ctx, "8 times per day", &limit, &error);
	assert_non_null(strstr(error, "as in \"8 times usual\", or \"over 8 times per day\""));
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),
		cmocka_unit_test(test_times_limit),
		cmocka_unit_test(test_singular),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_unlimited),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bad_sign),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_units),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
