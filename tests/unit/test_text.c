/*
 * test_text.c - spans, escaping, folding, decoding of encoded words
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
#include "policy/base/text.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))
#define BYTES(s)	(s), sizeof(s) - 1

/* A row of bytes in, text out. */
struct row {
	const char *label;
	const char *in;
	size_t len;
	size_t max;
	const char *out;
};

static void
test_escape(void **state)
{
	static const struct row rows[] = {
		{ "empty", BYTES(""), 80, "" },
		{ "plain", BYTES("alice@example.org"), 80, "alice@example.org" },
		{ "blank is kept", BYTES("a b"), 80, "a b" },
		{ "percent is kept", BYTES("100%s"), 80, "100%s" },
		{ "quote", BYTES("a\"b"), 80, "a\\x22b" },
		{ "backslash", BYTES("a\\b"), 80, "a\\x5cb" },
		{ "line end", BYTES("a\r\nb"), 80, "a\\x0d\\x0ab" },
		{ "NUL", BYTES("a\0b"), 80, "a\\x00b" },
		{ "delete", BYTES("\x7f"), 80, "\\x7f" },
		{ "8 bit", BYTES("\xc3\xa9"), 80, "\\xc3\\xa9" },
		{ "just fits", BYTES("abcdefgh"), 8, "abcdefgh" },
		{ "one too many", BYTES("abcdefghi"), 8, "abcde..." },
		{ "escape just fits", BYTES("abcd\n"), 8, "abcd\\x0a" },
		{ "never cut inside an escape", BYTES("\n\n\n"), 8, "\\x0a..." },
		{ "cut before an escape", BYTES("abc\n\n"), 8, "abc..." },
		{ "tiny max", BYTES("abcdef"), 0, "a..." },
		{ "tiny max, escape", BYTES("\n\n"), 0, "..." },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char *out = text_escape(NULL, rows[i].in, rows[i].len, rows[i].max);

		if (strcmp(out, rows[i].out) != 0)
			fail_msg("%s: got %s", rows[i].label, out);
		talloc_free(out);
	}
}

static void
test_escape_large(void **state)
{
	size_t len = 1024 * 1024;
	char *big = mem_array(NULL, char, len);
	char *out;

	(void)state;
	memset(big, '\n', len);
	out = text_escape(big, big, len, 100);
	assert_true(strlen(out) <= 100);
	assert_string_equal(out + strlen(out) - 3, "...");
	assert_true(talloc_get_size(out) <= 104);
	talloc_free(big);
}

static void
test_controls(void **state)
{
	static const struct {
		const char *text;
		const char *replaced;	/* NULL: as it is */
	} rows[] = {
		{ "", NULL },
		{ "alice@example.org", NULL },
		{ "B\xc3\xbc" "cher \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x99\x82", NULL },
		{ "a\tb\x1b[2Kc\x7f", "a?b?[2Kc?" },
		{ "a\xc2\x85" "b", "a??b" },			/* NEL */
		{ "a\xc2\x9b" "2K", "a??2K" },			/* CSI */
		{ "a\x9b" "2K", "a?2K" },			/* CSI to a terminal without UTF-8 */
		{ "a\xe2\x80\xa8" "b", "a???b" },		/* line separator */
		{ "a\xe2\x80\xae" "b", "a???b" },		/* right-to-left override */
		{ "a\xe2\x81\xa6" "b\xe2\x81\xa9", "a???b???" }, /* isolates */
		{ "a\xd8\x9c" "b", "a??b" },			/* Arabic letter mark */
		{ "\xe2\x80", "??" },
		{ "a\nb", "a?b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = mem_strdup(NULL, rows[i].text);

		assert_int_equal(text_has_controls(text), rows[i].replaced != NULL);
		text_replace_controls(text, '?', '\0');
		assert_string_equal(
		    text, rows[i].replaced != NULL ? rows[i].replaced : rows[i].text);
		talloc_free(text);
	}
}

static void
test_compare(void **state)
{
	(void)state;
	assert_true(text_equal_fold(text_span("FROM"), text_span("from")));
	assert_false(text_equal_fold(text_span("FROM"), text_span("form")));
	assert_false(text_equal_fold(text_span("a"), text_span("ab")));
	assert_true(text_equal_fold(text_span(NULL), text_span("")));
	/* an octet of Latin-1 has no case here, whatever the locale */
	assert_false(text_equal_fold(text_span("\xc9"), text_span("\xe9")));
	assert_true(text_equal(text_span("ab"), text_span("ab")));
	assert_false(text_equal(text_span("ab"), text_span("aB")));
	/* I is i, in Turkey too */
	assert_int_equal(text_lower('I'), 'i');
	assert_int_equal(text_lower('@'), '@');
	assert_int_equal(text_lower('['), '[');
	assert_int_equal(text_trim(text_span(" \t a b\r\n ")).len, 3);
	assert_int_equal(text_trim(text_span(" \n ")).len, 0);
}

static void
test_utf8(void **state)
{
	static const struct {
		const char *label;
		const char *in;
		size_t len;
		int valid;
	} rows[] = {
		{ "empty", BYTES(""), 1 },
		{ "ascii", BYTES("abc"), 1 },
		{ "two octets", BYTES("\xc3\xa9"), 1 },
		{ "four octets", BYTES("\xf0\x9f\x92\xa9"), 1 },
		{ "cut", BYTES("\xc3"), 0 },
		{ "overlong slash", BYTES("\xc0\xaf"), 0 },
		{ "overlong at sign", BYTES("\xc1\x80"), 0 },
		{ "surrogate", BYTES("\xed\xa0\x80"), 0 },
		{ "beyond Unicode", BYTES("\xf4\x90\x80\x80"), 0 },
		{ "Latin-1", BYTES("caf\xe9"), 0 },
		{ "lone continuation", BYTES("\x80"), 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (text_is_utf8(rows[i].in, rows[i].len) != (rows[i].valid != 0))
			fail_msg("%s", rows[i].label);
}

static void
test_strange(void **state)
{
	static const struct {
		const char *label;
		const char *in;
		int strange;
	} rows[] = {
		{ "ascii", "alice", 0 },
		{ "blank", "a b", 0 },
		{ "letters", "j\xc3\xbcrgen", 0 },
		{ "kanji", "\xe5\xb1\xb1", 0 },
		{ "combining accent", "e\xcc\x81", 0 },
		{ "control", "a\x01", 1 },
		{ "delete", "a\x7f", 1 },
		{ "C1 control", "a\xc2\x85", 1 },
		{ "no-break space", "a\xc2\xa0", 1 },
		{ "ideographic space", "\xe3\x80\x80", 1 },
		{ "line separator", "\xe2\x80\xa8", 1 },
		{ "zero width space", "\xe2\x80\x8b", 1 },
		{ "zero width joiner", "\xe2\x80\x8d", 1 },
		{ "right-to-left override", "\xe2\x80\xae", 1 },
		{ "right-to-left isolate", "\xe2\x81\xa7", 1 },
		{ "Arabic letter mark", "\xd8\x9c", 1 },
		{ "soft hyphen", "\xc2\xad", 1 },
		{ "byte order mark", "\xef\xbb\xbf", 1 },
		{ "Hangul filler", "\xe3\x85\xa4", 1 },
		{ "tag letter", "\xf3\xa0\x81\xa1", 1 },
		{ "fullwidth at sign", "\xef\xbc\xa0", 1 },
		{ "small at sign", "\xef\xb9\xab", 1 },
		{ "malformed", "\xff", 1 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (text_has_strange(rows[i].in, strlen(rows[i].in)) !=
		    (rows[i].strange != 0))
			fail_msg("%s", rows[i].label);
}

static void
test_fold_utf8(void **state)
{
	static const struct {
		const char *label;
		const char *in;
		int lower;
		const char *out;	/* NULL: refused */
	} rows[] = {
		{ "ascii kept", "Alice", 0, "Alice" },
		{ "ascii lower", "Alice", 1, "alice" },
		{ "empty", "", 1, "" },
		{ "composed", "J\xc3\x9cRGEN", 1, "j\xc3\xbcrgen" },
		{ "decomposed", "JU\xcc\x88RGEN", 1, "j\xc3\xbcrgen" },
		{ "decomposed, case kept", "JU\xcc\x88RGEN", 0, "J\xc3\x9cRGEN" },
		{ "sharp s stays one letter", "stra\xc3\x9f" "e", 1, "stra\xc3\x9f" "e" },
		{ "fullwidth stays", "\xef\xbd\x81", 1, "\xef\xbd\x81" },
		{ "Latin-1", "caf\xe9", 1, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char *out = text_fold_utf8(NULL, rows[i].in, strlen(rows[i].in),
		    rows[i].lower != 0);

		if (rows[i].out == NULL ? out != NULL :
		    out == NULL || strcmp(out, rows[i].out) != 0)
			fail_msg("%s: got %s", rows[i].label, out == NULL ? "(null)" : out);
		talloc_free(out);
	}
}

static void
test_list(void **state)
{
	struct span rest = text_span(" a, b\t,,c\r\n d "), item;
	char seen[32] = "";

	(void)state;
	while (text_list_next(&rest, &item)) {
		strncat(seen, item.at, item.len);
		strcat(seen, "|");
	}
	assert_string_equal(seen, "a|b|c|d|");
	rest = text_span(NULL);
	assert_false(text_list_next(&rest, &item));
	rest = text_span(" ,, ");
	assert_false(text_list_next(&rest, &item));
}

static void
test_decode(void **state)
{
	static const struct row rows[] = {
		{ "nothing to do", BYTES("Alice"), 0, "Alice" },
		{ "Q", BYTES("=?utf-8?Q?J=C3=BCrgen_M?="), 0, "J\xc3\xbcrgen M" },
		{ "q, lower hex", BYTES("=?UTF-8?q?=c3=bc?="), 0, "\xc3\xbc" },
		{ "B", BYTES("=?utf-8?B?SsO8cmdlbg==?="), 0, "J\xc3\xbcrgen" },
		{ "B without padding", BYTES("=?utf-8?B?SsO8cmdlbg?="), 0, "J\xc3\xbcrgen" },
		{ "B, broken by blanks", BYTES("=?utf-8?B?SsO8 cmdlbg==?="), 0, "J\xc3\xbcrgen" },
		{ "Latin-1", BYTES("=?iso-8859-1?Q?caf=E9?="), 0, "caf\xc3\xa9" },
		{ "Latin-9 is not Latin-1", BYTES("=?iso-8859-15?Q?caf=E9?="), 0, "caf?" },
		{ "Windows-1252", BYTES("=?windows-1252?Q?=80?="), 0, "\xe2\x82\xac" },
		{ "language tag", BYTES("=?utf-8*en?Q?a=2Eb?="), 0, "a.b" },
		{ "two words join", BYTES("=?utf-8?Q?a?= =?utf-8?Q?b?="), 0, "ab" },
		{ "two words join over a fold", BYTES("=?utf-8?Q?a?=\n =?utf-8?Q?b?="), 0, "ab" },
		{ "a letter cut between words", BYTES("=?utf-8?Q?=C3?= =?utf-8?Q?=BC?="), 0, "\xc3\xbc" },
		{ "a blank before text stays", BYTES("=?utf-8?Q?a?= b"), 0, "a b" },
		{ "a blank after text stays", BYTES("a =?utf-8?Q?b?= c =?utf-8?Q?d?="), 0, "a b c d" },
		{ "raw blank in a word", BYTES("=?utf-8?Q?a b?="), 0, "a b" },
		{ "koi8 keeps ASCII", BYTES("=?koi8-r?Q?=D7a@b?="), 0, "?a@b" },
		{ "gb2312 swallows pairs", BYTES("=?gb2312?Q?=D7=D6a?="), 0, "?a" },
		{ "gbk: @ as second octet is no at sign", BYTES("=?gbk?Q?=81@a?="), 0, "?a" },
		{ "shift_jis half-width kana", BYTES("=?shift_jis?Q?=B1@a?="), 0, "?@a" },
		{ "shift_jis pair", BYTES("=?shift_jis?Q?=83@a?="), 0, "?a" },
		{ "iso-2022-jp", BYTES("=?iso-2022-jp?B?GyRCRnxLXBsoQmE=?="), 0, "??a" },
		{ "UTF-7", BYTES("=?utf-7?Q?a+AEA-b?="), 0, "a@b" },
		{ "UTF-7, a plus", BYTES("=?UTF-7?Q?a+-b+AGE?="), 0, "a+ba" },
		{ "UTF-7, two characters, no end", BYTES("=?utf-7?Q?+AEAAQg?="), 0, "@B" },
		{ "UTF-7, surrogates", BYTES("=?utf-7?Q?+2D3cSw-?="), 0, "??" },
		{ "UTF-7, 8-bit octet", BYTES("=?utf-7?Q?=FF?="), 0, "?" },
		{ "UTF-16, no mark", BYTES("=?utf-16?B?AGEAQABi?="), 0, "a@b" },
		{ "UTF-16, mark of the other order", BYTES("=?utf-16?B?//5hAEAAYgA=?="), 0, "a@b" },
		{ "UTF-16, other order, no mark", BYTES("=?utf-16?B?YQBAAGIA?="), 0, "a@b" },
		{ "UTF-16LE", BYTES("=?utf-16le?B?YQDpAA==?="), 0, "a\xc3\xa9" },
		{ "UTF-16, odd octet", BYTES("=?utf-16be?B?AGEA?="), 0, "a" },
		{ "UTF-32", BYTES("=?utf-32be?B?AAAAYQAAAEAAAABi?="), 0, "a@b" },
		{ "UTF-32, mark of the other order", BYTES("=?utf-32?B?//4AAGEAAABAAAAAYgAAAA==?="), 0, "a@b" },
		{ "UTF-32, no character", BYTES("=?utf-32be?B?/////w==?="), 0, "?" },
		{ "HZ", BYTES("=?hz-gb-2312?B?YX57TXV+fUB+e1Ahfn1+fg==?="), 0, "a?@?~" },
		{ "HZ, fullwidth", BYTES("=?hz-gb-2312?B?fnsjQH59?="), 0, "@" },
		{ "EBCDIC", BYTES("=?ibm037?B?wan5QEyBfIJLg24=?="), 0, "Az9 <a@b.c>" },
		{ "ISO-2022-KR", BYTES("=?iso-2022-kr?B?YRskKUMOMWgPQGI=?="), 0, "a?@b" },
		{ "ISO-2022-JP, half-width kana", BYTES("=?iso-2022-jp?B?GyhJQEAbKEJA?="), 0, "??@" },
		{ "GBK, fullwidth", BYTES("=?gbk?B?o8GjwKOuzfU=?="), 0, "A@.?" },
		{ "EUC-JP, fullwidth", BYTES("=?euc-jp?Q?=A3=C1=A1=F7=A1=A5=BB=B3@?="), 0, "A@.?@" },
		{ "EUC-JP, half-width kana and three octets", BYTES("=?euc-jp?Q?=8E=B1@=8F=B0=A1@?="), 0, "?@??@" },
		{ "EUC-KR, fullwidth", BYTES("=?euc-kr?Q?=A3=C0@?="), 0, "@@" },
		{ "Shift_JIS, fullwidth", BYTES("=?shift_jis?B?gmCCmoJPgZeBRIFDgYOBhI5S?="), 0, "Az0@.,<>?" },
		{ "Big5, fullwidth", BYTES("=?big5?B?okmhRKHVodak/Q==?="), 0, "@.<>?" },
		{ "unknown charset keeps ASCII", BYTES("=?x-y?Q?a@b=E9?="), 0, "a@b?" },
		{ "empty text", BYTES("=?utf-8?Q?" "?="), 0, "" },
		{ "text that begins with =", BYTES("=?utf-8?Q?=41?="), 0, "A" },
		{ "no end", BYTES("=?utf-8?Q?abc"), 0, "=?utf-8?Q?abc" },
		{ "no encoding", BYTES("=?utf-8?X?abc?="), 0, "=?utf-8?X?abc?=" },
		{ "no charset", BYTES("=?" "?Q?abc?="), 0, "=?" "?Q?abc?=" },
		{ "bad hex stays", BYTES("=?utf-8?Q?=4?="), 0, "=4" },
		{ "word in the middle", BYTES("x=?utf-8?Q?b?=y"), 0, "xby" },
		{ "empty", BYTES(""), 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		size_t len = 0;
		char *out = text_decode_words(NULL, rows[i].in, rows[i].len, &len);

		if (strcmp(out, rows[i].out) != 0 || len != strlen(out))
			fail_msg("%s: got %s", rows[i].label, out);
		talloc_free(out);
	}
}

/* Each "=?" looks for an end; only the first may look through all of the text. */
static void
test_decode_large(void **state)
{
	static const char unit[] = "=?a?q? ";
	size_t n = 1024 * 1024 / (sizeof(unit) - 1), len = 0;
	char *big = mem_array(NULL, char, n * (sizeof(unit) - 1) + 1);
	char *out;

	(void)state;
	for (size_t i = 0; i < n; i++)
		memcpy(big + i * (sizeof(unit) - 1), unit, sizeof(unit) - 1);
	out = text_decode_words(big, big, strlen(big), &len);
	assert_int_equal(len, n * (sizeof(unit) - 1));
	assert_memory_equal(out, big, len);
	talloc_free(big);
}

static void
test_decode_nul(void **state)
{
	size_t len = 0;
	char *out = text_decode_words(NULL, BYTES("=?utf-8?Q?a=00b=0Ac?="), &len);

	(void)state;
	assert_int_equal(len, 5);
	assert_memory_equal(out, "a\0b\nc", 5);
	talloc_free(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_large),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_strange),
		cmocka_unit_test(test_fold_utf8),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_decode_large),
		cmocka_unit_test(test_decode_nul),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
