/*
 * test_spf_macro.c - expanding SPF macros
 *
 * The first rows are the examples of RFC 7208 section 7.4.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/dns.h"
#include "policy/base/mem.h"
#include "policy/spf/macro.h"

/* values_for - the sender of RFC 7208 section 7.4, from an address */
static struct spf_values
values_for(const char *address)
{
	struct spf_values values = { .local = "strong-bad", .sender_domain = "email.example.com",
	    .domain = "email.example.com", .helo = "mx.example.org", .validated = "mx.example.org",
	    .receiver = "mx.receiver.example", .time = 1234567890 };

	values.ipv6 = strchr(address, ':') != NULL;
	inet_pton(values.ipv6 ? AF_INET6 : AF_INET, address, values.address);
	return values;
}

#define IPV4	"192.0.2.3"
#define IPV6	"2001:db8::cb01"

static const struct {
	const char *address;
	const char *text;
	const char *name;
} names[] = {
	{ IPV4, "%{s}", "strong-bad@email.example.com" },
	{ IPV4, "%{o}", "email.example.com" },
	{ IPV4, "%{d}", "email.example.com" },
	{ IPV4, "%{d4}", "email.example.com" },
	{ IPV4, "%{d3}", "email.example.com" },
	{ IPV4, "%{d2}", "example.com" },
	{ IPV4, "%{d1}", "com" },
	{ IPV4, "%{dr}", "com.example.email" },
	{ IPV4, "%{d2r}", "example.email" },
	{ IPV4, "%{l}", "strong-bad" },
	{ IPV4, "%{l-}", "strong.bad" },
	{ IPV4, "%{lr}", "strong-bad" },
	{ IPV4, "%{lr-}", "bad.strong" },
	{ IPV4, "%{l1r-}", "strong" },
	{ IPV4, "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com" },
	{ IPV4, "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com" },
	{ IPV4, "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}",
	    "bad.strong.lp.3.2.0.192.in-addr._spf.example.com" },
	{ IPV4, "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}",
	    "3.2.0.192.in-addr.strong.lp._spf.example.com" },
	{ IPV4, "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net" },
	{ IPV6, "%{ir}.%{v}._spf.%{d2}", "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
	    "8.B.D.0.1.0.0.2.ip6._spf.example.com" },
	{ IPV4, "%{D}.%{L-}", "email.example.com.strong.bad" },
	{ IPV4, "%{DR}", "com.example.email" },
	{ IPV4, "%{S}", "strong-bad%40email.example.com" },
	{ IPV4, "%{h}.%{p2}", "mx.example.org.example.org" },
	{ IPV4, "%{d200}", "email.example.com" },
	{ IPV4, "%{d99999999999999999999}", "email.example.com" },
	{ IPV4, "%{d4294967297}", "email.example.com" },
	{ IPV4, "%{s2@}x", NULL },		/* not a delimiter: not a macro */
	{ IPV4, "%{s1r-}.a.b", "strong.a.b" },
	{ IPV4, "%{o,/}.x", "email.example.com.x" },
	{ IPV4, "a%%b%_c%-d", "a%b c%20d" },
	{ IPV4, "%{d}.", "email.example.com" },
	{ IPV4, "", "" },
	{ IPV4, ".", "" },
};

static void
test_names(void **state)
{
	struct spf_values values;
	size_t i, len;
	char *name;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].name == NULL) {
			assert_int_equal(spf_macro_length(names[i].text, strlen(names[i].text),
			    false), 0);
			continue;
		}
		values = values_for(names[i].address);
		name = spf_macro_expand_name(NULL, names[i].text, strlen(names[i].text), &values,
		    &len);
		assert_string_equal(name, names[i].name);
		assert_int_equal(len, strlen(name));
		talloc_free(name);
	}
}

/* Delimiters at the ends and in a row make empty parts. */
static const struct {
	const char *local;
	const char *text;
	const char *name;
} parts[] = {
	{ "", "%{l}", "" },
	{ "", "%{lr}", "" },
	{ ".", "%{l}", "." },
	{ "a.", "%{lr}x", ".ax" },
	{ ".a", "%{lr}x", "a.x" },
	{ "a..b", "%{l2}", ".b" },
	{ "a..b", "%{l2r}", ".a" },
	{ "a--b", "%{l-}", "a..b" },
	{ "a-b+c", "%{l2+-}", "b.c" },
	{ "a-b+c", "%{lr+-}", "c.b.a" },
	{ "a b", "%{L}", "a%20b" },
	{ "'()!*~", "%{L}", "%27%28%29%21%2A~" },
	{ "\377", "%{L}", "%FF" },
};

static void
test_parts(void **state)
{
	struct spf_values values = values_for(IPV4);
	size_t i, len;
	char *name;

	(void)state;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		values.local = parts[i].local;
		name = spf_macro_expand_name(NULL, parts[i].text, strlen(parts[i].text), &values,
		    &len);
		/* A dot at the end of the whole name goes, RFC 7208 section 7.3. */
		if (strcmp(parts[i].name, ".") == 0)
			assert_string_equal(name, "");
		else
			assert_string_equal(name, parts[i].name);
		talloc_free(name);
	}
}

/* repeat - a text repeated n times, and an end */
static char *
repeat(TALLOC_CTX *ctx, const char *text, size_t n, const char *end)
{
	size_t len = strlen(text), i;
	char *all = mem_array(ctx, char, (unsigned int)(n * len + strlen(end) + 1));

	for (i = 0; i < n; i++)
		memcpy(all + i * len, text, len);
	strcpy(all + n * len, end);
	return all;
}

static void
test_long_names_lose_labels(void **state)
{
	struct spf_values values = values_for(IPV4);
	TALLOC_CTX *ctx = talloc_new(NULL);
	size_t n, len, whole;
	char *text, *name;

	(void)state;
	for (n = 1; n < 400; n++) {
		/* Labels of one to four octets; every length around the bound comes by. */
		text = repeat(ctx, "ab.c.", n, n % 2 ? "xyz.example" : "xyzw.example.");
		whole = strlen(text) - (n % 2 ? 0 : 1);
		name = spf_macro_expand_name(ctx, text, strlen(text), &values, &len);
		assert_true(len <= DNS_NAME_MAX);
		assert_int_equal(len, strlen(name));
		assert_memory_equal(name, text + whole - len, len);
		if (whole <= DNS_NAME_MAX) {
			assert_int_equal(len, whole);
		} else {
			/* cut at a dot, and not earlier than needed */
			assert_int_equal(text[whole - len - 1], '.');
			assert_true(len + 3 > DNS_NAME_MAX);
		}
	}
	talloc_free(ctx);
}

/* A spec of which only the end is expanded gives the name that a shorter one with the same end
 * gives. */
static void
test_long_specs(void **state)
{
	static const char *const pieces[] = { "ab.", "a", "%{l}.", "%{o}.", "%{h1}", "%{i}", "%%",
		"%-", "%_x.", "%{s2r-}.", "%{D1}", "%{l1-}.", "%{v}%{i}." };
	static const char *const ends[] = { ".example", "%{d}", "%{i}.%{v}.x.example.", "%{h}%{h}",
		"%{l1r-}.c" };
	struct spf_values values = values_for(IPV4);
	TALLOC_CTX *ctx = talloc_new(NULL);
	size_t i, k, n;

	(void)state;
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		for (k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
			/* from as long as is expanded whole to far beyond, around the bound one by
			 * one */
			size_t few = 980 / strlen(pieces[i]), len, other_len;
			char *name =
			    spf_macro_expand_name(ctx, repeat(ctx, pieces[i], few, ends[k]),
				few * strlen(pieces[i]) + strlen(ends[k]), &values, &len);

			for (n = few; n < few + 400; n += n < few + 100 ? 1 : 37) {
				char *other = spf_macro_expand_name(ctx,
				    repeat(ctx, pieces[i], n, ends[k]),
				    n * strlen(pieces[i]) + strlen(ends[k]), &values, &other_len);

				if (dns_name_ok(name, len) != dns_name_ok(other, other_len) ||
				    (dns_name_ok(name, len) && strcmp(name, other) != 0))
					fail_msg("%s * %zu + %s: %s, not %s", pieces[i], n, ends[k],
					    other, name);
			}
		}
	}
	talloc_free(ctx);
}

static void
test_thousands_of_macros(void **state)
{
	struct spf_values values = values_for(IPV6);
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *text, *name, *line, sender[513];
	size_t len;

	(void)state;
	memset(sender, '&', 512);
	sender[512] = '\0';
	values.local = sender;
	text = repeat(ctx, "%{S}", 16000, ".example");
	name = spf_macro_expand_name(ctx, text, strlen(text), &values, &len);
	/* The sender's label alone is longer than a name may be, so it goes. */
	assert_string_equal(name, "example.com.example");
	line = spf_macro_expand_explanation(ctx, text, strlen(text), &values);
	assert_int_equal(strlen(line), SPF_EXPLANATION_MAX);

	/* One label that never ends cannot be cut at a dot. */
	text = repeat(ctx, "%{L}", 1000, "");
	name = spf_macro_expand_name(ctx, text, strlen(text), &values, &len);
	assert_false(dns_name_ok(name, len));
	talloc_free(ctx);
}

/* Explanations; NULL: not one. */
static const struct {
	const char *text;
	const char *line;
} lines[] = {
	{ "See me.", "See me." },
	{ "%{c} at %{t} to %{r}", "192.0.2.3 at 1234567890 to mx.receiver.example" },
	{ "http://x.example/?s=%{S}&ip=%{C}", "http://x.example/?s=strong-bad%40email.example.com"
	    "&ip=192.0.2.3" },
	{ "100%%", "100%" },
	{ "100%", NULL },
	{ "%{x}", NULL },
	{ "tab\there", NULL },
	{ "line\r\nbreak", NULL },
	{ "\303\244", NULL },
	{ "", "" },
};

static void
test_explanations(void **state)
{
	struct spf_values values = values_for(IPV4);
	char *line;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		line = spf_macro_expand_explanation(NULL, lines[i].text, strlen(lines[i].text),
		    &values);
		if (lines[i].line == NULL)
			assert_null(line);
		else
			assert_string_equal(line, lines[i].line);
		talloc_free(line);
	}
	values.local = "a\r\nb\t\377";
	line = spf_macro_expand_explanation(NULL, "%{l}", 4, &values);
	assert_string_equal(line, "a??b??");
	talloc_free(line);
}

static void
test_uses(void **state)
{
	(void)state;
	assert_true(spf_macro_uses("a.%{P2r}.example", 16, 'p'));
	assert_false(spf_macro_uses("%%{p}", 5, 'p'));
	assert_false(spf_macro_uses("p.%{d}", 6, 'p'));
	assert_false(spf_macro_uses("%{p", 3, 'p'));
}

static void
test_names_ok(void **state)
{
	char name[300];

	(void)state;
	assert_true(dns_name_ok("a", 1));
	assert_true(dns_name_ok("a b/c.d", 7));
	assert_false(dns_name_ok("", 0));
	assert_false(dns_name_ok(".", 1));
	assert_false(dns_name_ok("a.", 2));
	assert_false(dns_name_ok("a..b", 4));
	memset(name, 'x', sizeof(name));
	assert_true(dns_name_ok(name, 63));
	assert_false(dns_name_ok(name, 64));
	name[50] = name[100] = name[150] = name[200] = '.';
	assert_true(dns_name_ok(name, 253));
	assert_false(dns_name_ok(name, 254));
}

static void
test_within(void **state)
{
	(void)state;
	assert_true(spf_name_within("a.Example", "A.example"));
	assert_true(spf_name_within("b.a.example", "a.example"));
	assert_false(spf_name_within("ba.example", "a.example"));
	assert_false(spf_name_within("example", "a.example"));
}

static void
test_reverse(void **state)
{
	struct spf_values values = values_for(IPV6);
	char *name = spf_reverse_name(NULL, values.address, true);

	(void)state;
	assert_string_equal(name, "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
	    ".ip6.arpa");
	talloc_free(name);
	values = values_for(IPV4);
	name = spf_reverse_name(NULL, values.address, false);
	assert_string_equal(name, "3.2.0.192.in-addr.arpa");
	talloc_free(name);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_long_names_lose_labels),
		cmocka_unit_test(test_long_specs),
		cmocka_unit_test(test_thousands_of_macros),
		cmocka_unit_test(test_explanations),
		cmocka_unit_test(test_uses),
		cmocka_unit_test(test_names_ok),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_reverse),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
