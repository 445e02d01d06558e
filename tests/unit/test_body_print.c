/*
 * test_body_print.c - bodies that say the same have one print
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

#include "policy/quota/body_print.h"

/* print_in - the print of a body that comes in pieces of so many octets; 0: it says nothing */
static uint64_t
print_in(const char *body, size_t piece)
{
	struct body_print print;
	uint64_t result = 0;

	body_print_begin(&print, 7);
	for (size_t left = strlen(body); left > 0; left -= piece, body += piece) {
		if (piece > left)
			piece = left;
		body_print_add(&print, body, piece);
	}
	return body_print_end(&print, &result) ? result : 0;
}

static uint64_t
print_of(const char *body)
{
	uint64_t whole = print_in(body, 100000);

	for (size_t piece = 1; piece < 9; piece++)
		assert_true(print_in(body, piece) == whole);
	return whole;
}

static void
test_same(void **state)
{
	static const char first[] =
	    "--a1\r\nContent-Type: multipart/alternative; boundary=\"b1\"\r\n\r\n--b1\r\n\r\n"
	    "Buy now\r\n--b1--\r\n--a1--\r\n";
	static const char second[] =
	    "--x\r\nContent-Type: multipart/alternative; Boundary=yy\r\n\r\n--yy\r\n\r\n"
	    "Buy  now\r\n--yy--\r\n--x--\r\n";

	(void)state;
	assert_true(print_of("Hello.\r\n") != 0);
	/* RFC 6376 section 3.4.4 */
	assert_true(print_of(" C \r\nD \t E\r\n\r\n\r\n") == print_of(" C\r\nD E\r\n"));
	assert_true(print_of("Hello.\r\n") == print_of("Hello."));
	assert_true(print_of(first) == print_of(second));
}

static void
test_other(void **state)
{
	(void)state;
	assert_true(print_of("Hello.\r\n") != print_of("Hello!\r\n"));
	assert_true(print_of("a\r\nb\r\n") != print_of("b\r\na\r\n"));
	assert_true(print_of("ab\r\n") != print_of("a\r\nb\r\n"));
	assert_true(print_of("-a\r\nx\r\n") != print_of("-b\r\nx\r\n"));
	assert_true(print_of("a--\r\n") != print_of("b--\r\n"));
	assert_true(print_of("the boundary is 1\r\n") != print_of("the boundary is 2\r\n"));
	assert_true(print_of("bboundary=1\r\nx") == print_of("x"));
}

static void
test_nothing(void **state)
{
	(void)state;
	assert_true(print_of("") == 0);
	assert_true(print_of("\r\n \t\r\n") == 0);
	assert_true(print_of("--only\r\n--a boundary\r\n") == 0);
}

/* test_large - of a large body the end matters, too */
static void
test_large(void **state)
{
	static char line[1000];
	struct body_print prints[3];
	uint64_t results[3];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	for (size_t k = 0; k < 3; k++) {
		body_print_begin(&prints[k], 1);
		for (size_t i = 0; i < 3000; i++)
			body_print_add(&prints[k], line, sizeof(line));
		body_print_add(&prints[k], k < 2 ? "invoice 1\r\n" : "invoice 2\r\n", 11);
		assert_true(body_print_end(&prints[k], &results[k]));
	}
	assert_true(results[0] == results[1]);
	assert_true(results[0] != results[2]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_other),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_large),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
