/*
 * test_domain.c - domain names in their normal form, and comparing them
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

#include "policy/base/domain.h"
#include "policy/base/mem.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))
#define L10		"abcdefghij"
#define L63		L10 L10 L10 L10 L10 L10 "abc"
#define D253		L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 L10 "a"

static void
test_normalise(void **state)
{
	static const struct {
		const char *label;
		const char *in;
		const char *out;	/* NULL: refused */
	} rows[] = {
		{ "plain", "example.org", "example.org" },
		{ "case", "Example.ORG", "example.org" },
		{ "one label", "localhost", "localhost" },
		{ "trailing dot", "example.org.", "example.org" },
		{ "two trailing dots", "example.org..", NULL },
		{ "only a dot", ".", NULL },
		{ "empty", "", NULL },
		{ "leading dot", ".example.org", NULL },
		{ "two dots", "example..org", NULL },
		{ "underscore", "_x.example.org", "_x.example.org" },
		{ "hyphens at the edge", "-a-.example.org", "-a-.example.org" },
		{ "digits", "192.0.2.1", "192.0.2.1" },
		{ "blank", "example .org", NULL },
		{ "at sign", "a@example.org", NULL },
		{ "slash", "a/b.example.org", NULL },
		{ "comment of CVE-2020-12272", "example.net(.example.com", NULL },
		{ "label of 63", L63 ".org", L63 ".org" },
		{ "label of 64", L63 "d.org", NULL },
		{ "name of 253", D253, D253 },
		{ "name of 254", D253 "b", NULL },
		{ "German", "M\xc3\xbcller.Example", "xn--mller-kva.example" },
		{ "German, decomposed", "mu\xcc\x88ller.example", "xn--mller-kva.example" },
		{ "the same as A-label", "XN--MLLER-KVA.example", "xn--mller-kva.example" },
		{ "sharp s is non-transitional", "stra\xc3\x9f" "e.example", "xn--strae-oqa.example" },
		{ "Japanese", "\xe4\xbe\x8b\xe3\x81\x88.jp", "xn--r8jz45g.jp" },
		{ "ideographic full stop", "\xe4\xbe\x8b\xe3\x81\x88\xe3\x80\x82jp", "xn--r8jz45g.jp" },
		{ "fullwidth letters are letters", "\xef\xbd\x85xample.org", "example.org" },
		{ "zero width space", "exa\xe2\x80\x8bmple.org", NULL },
		{ "soft hyphen", "exa\xc2\xadmple.org", NULL },
		{ "override", "\xe2\x80\xae" "example.org", NULL },
		{ "joiner between Latin letters", "exa\xe2\x80\x8dmple.org", NULL },
		{ "non-joiner where Persian has it",
		    "\xd9\x86\xd8\xa7\xd9\x85\xd9\x87\xe2\x80\x8c\xd8\xa7\xdb\x8c.example",
		    "xn--mgba3gch31f060k.example" },
		{ "sign that becomes a slash", "a\xe2\x84\x80" "b.example", NULL },
		{ "emoji is no letter in IDNA2008", "\xf0\x9f\x92\xa9.example", NULL },
		{ "malformed UTF-8", "caf\xe9.example", NULL },
		{ "IPv4 literal", "[192.0.2.1]", "[192.0.2.1]" },
		{ "IPv4 literal with blanks", "[ 192.0.2.1 ]", "[192.0.2.1]" },
		{ "IPv6 literal", "[IPv6:2001:DB8:0:0:0:0:0:7]", "[ipv6:2001:db8::7]" },
		{ "IPv6 literal without tag", "[2001:db8::7]", NULL },
		{ "name in brackets", "[example.org]", NULL },
		{ "empty literal", "[]", NULL },
		{ "half a literal", "[192.0.2.1", NULL },
		{ "short IPv4", "[127.1]", NULL },
		{ "literal and more", "[192.0.2.1].example", NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const char *error = NULL;
		char *out = domain_normalise(NULL, rows[i].in, strlen(rows[i].in), &error);
		char *again;

		if (rows[i].out == NULL ? out != NULL || error == NULL :
		    out == NULL || strcmp(out, rows[i].out) != 0)
			fail_msg("%s: got %s (%s)", rows[i].label,
			    out == NULL ? "(null)" : out, error == NULL ? "" : error);
		if (out == NULL)
			continue;
		again = domain_normalise(out, out, strlen(out), NULL);
		if (again == NULL || strcmp(again, out) != 0)
			fail_msg("%s: not its own normal form", rows[i].label);
		talloc_free(out);
	}
}

static void
test_octets(void **state)
{
	char *huge = mem_array(NULL, char, 1024 * 1024);

	(void)state;
	assert_null(domain_normalise(NULL, "a\0b", 3, NULL));
	assert_null(domain_normalise(NULL, "\xc3\xbc\0b", 4, NULL));
	memset(huge, 'a', 1024 * 1024);
	assert_null(domain_normalise(NULL, huge, 1024 * 1024, NULL));
	talloc_free(huge);
}

static void
test_below(void **state)
{
	static const struct {
		const char *child;
		const char *parent;
		int below;
	} rows[] = {
		{ "example.org", "example.org", 1 },
		{ "a.example.org", "example.org", 1 },
		{ "a.b.example.org", "example.org", 1 },
		{ "example.org", "a.example.org", 0 },
		{ "badexample.org", "example.org", 0 },
		{ "example.org.evil", "example.org", 0 },
		{ "org", "example.org", 0 },
		{ "example.org", "", 0 },
		{ "[192.0.2.1]", "[192.0.2.1]", 1 },
		{ "[192.0.2.1]", "1]", 0 },
		{ "a.[192.0.2.1]", "[192.0.2.1]", 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (domain_is_or_below(rows[i].child, rows[i].parent) !=
		    (rows[i].below != 0))
			fail_msg("%s below %s", rows[i].child, rows[i].parent);
	assert_true(domain_is_literal("[192.0.2.1]"));
	assert_false(domain_is_literal("192.0.2.1"));
	assert_true(domain_equal("a.b", "a.b"));
	assert_false(domain_equal("a.b", "a.c"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normalise),
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_below),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
