/*
 * test_dns.c - names and record data, well formed and not
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/dns.h"
#include "policy/base/mem.h"

#define OCTETS(text)	(const unsigned char *)(text), sizeof(text) - 1
#define L63		"\x3f" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct row {
	const char *label;
	enum dns_type type;
	const unsigned char *data;
	size_t len;
	const char *expected;	/* NULL: malformed */
	size_t expected_len;
};

static const struct row rows[] = {
	{ "address", DNS_A, OCTETS("\300\0\2\1"), "\300\0\2\1", 4 },
	{ "address too short", DNS_A, OCTETS("\300\0\2"), NULL, 0 },
	{ "address too long", DNS_A, OCTETS("\300\0\2\1\1"), NULL, 0 },
	{ "IPv6 address", DNS_AAAA, OCTETS("0123456789abcdef"), "0123456789abcdef", 16 },
	{ "IPv6 address of 4 octets", DNS_AAAA, OCTETS("0123"), NULL, 0 },
	{ "text", DNS_TXT, OCTETS("\3abc"), "abc", 3 },
	{ "strings are joined", DNS_TXT, OCTETS("\3abc\0\2de"), "abcde", 5 },
	{ "NUL in a text", DNS_TXT, OCTETS("\3a\0c"), "a\0c", 3 },
	{ "empty text", DNS_TXT, OCTETS("\0"), "", 0 },
	{ "no string at all", DNS_TXT, OCTETS(""), "", 0 },
	{ "a string that is cut off", DNS_TXT, OCTETS("\4abc"), NULL, 0 },
	{ "a second string that is cut off", DNS_TXT, OCTETS("\1a\1"), NULL, 0 },
	{ "name", DNS_PTR, OCTETS("\4host\7example\0"), "host.example", 12 },
	{ "the root", DNS_PTR, OCTETS("\0"), "", 0 },
	{ "no name", DNS_PTR, OCTETS(""), NULL, 0 },
	{ "a name without end", DNS_PTR, OCTETS("\4host"), NULL, 0 },
	{ "a label that is cut off", DNS_PTR, OCTETS("\5host"), NULL, 0 },
	{ "a pointer, which nobody follows here", DNS_PTR, OCTETS("\300\14"), NULL, 0 },
	{ "a label with a dot", DNS_PTR, OCTETS("\3a.b\1c\0"), NULL, 0 },
	{ "a label with a NUL", DNS_PTR, OCTETS("\3a\0b\1c\0"), NULL, 0 },
	{ "8-bit octets", DNS_PTR, OCTETS("\2\344\377\0"), "\344\377", 2 },
	{ "a name of 255 octets", DNS_PTR, OCTETS(L63 L63 L63 L63 "\0"), NULL, 0 },
	{ "host of MX", DNS_MX, OCTETS("\1\2\2mx\0"), "mx", 2 },
	{ "null MX", DNS_MX, OCTETS("\0\0\0"), "", 0 },
	{ "MX without host", DNS_MX, OCTETS("\0\1"), NULL, 0 },
	{ "unknown type", (enum dns_type)99, OCTETS("abc"), NULL, 0 },
};

static void
test_records(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct dns_record record;

		if (dns_record_read(ctx, row->type, row->data, row->len, &record) !=
		    (row->expected != NULL))
			fail_msg("%s", row->label);
		if (row->expected != NULL && (record.len != row->expected_len ||
		    memcmp(record.data, row->expected, record.len + 1) != 0))
			fail_msg("%s: wrong data", row->label);
		if (row->expected != NULL && row->type == DNS_MX)
			assert_int_equal(record.preference, row->data[0] << 8 | row->data[1]);
	}
	talloc_free(ctx);
}

/* The longest name there is: three labels of 63 and one of 61. */
static void
test_longest_name(void **state)
{
	static const unsigned char longest[] = L63 L63 L63 "\x3d"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct dns_record record;

	(void)state;
	assert_true(dns_record_read(ctx, DNS_PTR, longest, sizeof(longest), &record));
	assert_int_equal(record.len, DNS_NAME_MAX);
	assert_true(dns_name_ok((const char *)record.data, record.len));
	talloc_free(ctx);
}

static void
test_type_names(void **state)
{
	(void)state;
	assert_string_equal(dns_type_name(DNS_AAAA), "AAAA");
	assert_string_equal(dns_type_name(DNS_TXT), "TXT");
	assert_string_equal(dns_type_name((enum dns_type)99), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_longest_name),
		cmocka_unit_test(test_type_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
