/*
 * test_spf_record.c - selecting, parsing and rewriting SPF records
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/spf/record.h"
#include "policy/spf/rewrite.h"

/* TEXT - a string literal and its length, NULs inside included */
#define TEXT(literal)	(literal), sizeof(literal) - 1

/* Records that obey the grammar and records that do not. */
static const struct {
	const char *label;
	const char *text;
	size_t len;
	int terms;		/* -1: a syntax error */
} records[] = {
	{ "version only", TEXT("v=spf1"), 0 },
	{ "version and spaces", TEXT("v=spf1   "), 0 },
	{ "version in capitals", TEXT("V=SPF1 ALL"), 1 },
	{ "spaces everywhere", TEXT("v=spf1  a   mx  "), 2 },
	{ "tab", TEXT("v=spf1 a\tmx"), -1 },
	{ "newline", TEXT("v=spf1 a\n"), -1 },
	{ "NUL at the end", TEXT("v=spf1 a\0"), -1 },
	{ "NUL in a term", TEXT("v=spf1 a\0 -all"), -1 },
	{ "NUL as a term", TEXT("v=spf1 \0 -all"), -1 },
	{ "8-bit octet", TEXT("v=spf1 a:\303\244.example"), -1 },
	{ "all four qualifiers", TEXT("v=spf1 +a -a ~a ?a"), 4 },
	{ "two qualifiers", TEXT("v=spf1 +-a"), -1 },
	{ "qualifier alone", TEXT("v=spf1 -"), -1 },
	{ "unknown mechanism", TEXT("v=spf1 moo"), -1 },
	{ "mechanism cut short", TEXT("v=spf1 al"), -1 },
	{ "mechanism too long", TEXT("v=spf1 alll"), -1 },
	{ "all with domain", TEXT("v=spf1 all:a.example"), -1 },
	{ "all with length", TEXT("v=spf1 all/8"), -1 },
	{ "colon alone", TEXT("v=spf1 :"), -1 },
	{ "a with empty domain", TEXT("v=spf1 a:"), -1 },
	{ "a with empty domain and length", TEXT("v=spf1 a:/24"), -1 },
	{ "a with length", TEXT("v=spf1 a/24"), 1 },
	{ "a with both lengths", TEXT("v=spf1 a/24//64"), 1 },
	{ "a with length in wrong order", TEXT("v=spf1 a//64/24"), -1 },
	{ "a with two IPv4 lengths", TEXT("v=spf1 a/24/24"), -1 },
	{ "a with three slashes", TEXT("v=spf1 a:a.example///64"), -1 },
	{ "a with empty length", TEXT("v=spf1 a/"), -1 },
	{ "a with empty IPv6 length", TEXT("v=spf1 a//"), -1 },
	{ "a with zero length", TEXT("v=spf1 a/0//0"), 1 },
	{ "leading zero", TEXT("v=spf1 a/024"), -1 },
	{ "double zero", TEXT("v=spf1 a/00"), -1 },
	{ "IPv4 length 33", TEXT("v=spf1 a/33"), -1 },
	{ "IPv6 length 129", TEXT("v=spf1 a//129"), -1 },
	{ "length that wraps at 32 bits", TEXT("v=spf1 a/4294967297"), -1 },
	{ "length that wraps at 64 bits", TEXT("v=spf1 a/18446744073709551617"), -1 },
	{ "negative length", TEXT("v=spf1 a/-1"), -1 },
	{ "slash in the domain", TEXT("v=spf1 a:x/y.example/24"), 1 },
	{ "length that is part of a domain", TEXT("v=spf1 exists:x.example/24"), -1 },
	{ "include without domain", TEXT("v=spf1 include"), -1 },
	{ "include", TEXT("v=spf1 include:a.example"), 1 },
	{ "ptr with length", TEXT("v=spf1 ptr/24"), -1 },
	{ "ptr with domain", TEXT("v=spf1 ptr:a.example"), 1 },
	{ "ip4", TEXT("v=spf1 ip4:192.0.2.0/24"), 1 },
	{ "ip4 without length", TEXT("v=spf1 ip4:192.0.2.1"), 1 },
	{ "ip4 with length 0", TEXT("v=spf1 ip4:192.0.2.1/0"), 1 },
	{ "ip4 without address", TEXT("v=spf1 ip4"), -1 },
	{ "ip4 with empty address", TEXT("v=spf1 ip4:"), -1 },
	{ "ip4 with three numbers", TEXT("v=spf1 ip4:192.0.2"), -1 },
	{ "ip4 with a leading zero", TEXT("v=spf1 ip4:192.0.02.1"), -1 },
	{ "ip4 of 256", TEXT("v=spf1 ip4:192.0.2.256"), -1 },
	{ "ip4 with port", TEXT("v=spf1 ip4:192.0.2.1:25"), -1 },
	{ "ip4 with IPv6 length", TEXT("v=spf1 ip4:192.0.2.1//32"), -1 },
	{ "ip4 in IPv6", TEXT("v=spf1 ip4:::ffff:192.0.2.1"), -1 },
	{ "ip4 with NUL", TEXT("v=spf1 ip4:192.0.2.1\0/8"), -1 },
	{ "ip4 of endless ones", TEXT("v=spf1 ip4:1111111111111111111111111111111111111111111111"
	    "11111111111111111111 +all"), -1 },
	{ "ip6", TEXT("v=spf1 ip6:2001:db8::/32"), 1 },
	{ "ip6 with dotted end", TEXT("v=spf1 ip6:::1.2.3.4/96"), 1 },
	{ "ip6 with two gaps", TEXT("v=spf1 ip6:2001::1::2"), -1 },
	{ "ip6 with zone", TEXT("v=spf1 ip6:fe80::1%eth0"), -1 },
	{ "ip6 in brackets", TEXT("v=spf1 ip6:[2001:db8::1]"), -1 },
	{ "exists", TEXT("v=spf1 exists:%{i}.a.example"), 1 },
	{ "redirect", TEXT("v=spf1 redirect=a.example"), 0 },
	{ "redirect in capitals", TEXT("v=spf1 REDIRECT=a.example"), 0 },
	{ "redirect as a mechanism", TEXT("v=spf1 redirect:a.example"), -1 },
	{ "redirect twice", TEXT("v=spf1 redirect=a.example redirect=a.example"), -1 },
	{ "redirect twice, once in capitals", TEXT("v=spf1 redirect=a.example Redirect=b.example"),
	    -1 },
	{ "empty redirect", TEXT("v=spf1 redirect="), -1 },
	{ "exp twice", TEXT("v=spf1 exp=a.example exp=b.example"), -1 },
	{ "exp with a letter of explanations", TEXT("v=spf1 exp=%{r}.example"), -1 },
	{ "unknown modifier", TEXT("v=spf1 a.b-c_d=anything/goes:here"), 0 },
	{ "unknown modifier, empty", TEXT("v=spf1 x="), 0 },
	{ "unknown modifier twice", TEXT("v=spf1 x=1 x=2"), 0 },
	{ "unknown modifier with macro", TEXT("v=spf1 x=%{d}%{r}"), 0 },
	{ "unknown modifier, bad macro", TEXT("v=spf1 x=%d"), -1 },
	{ "modifier that begins with a digit", TEXT("v=spf1 1x=y"), -1 },
	{ "modifier without name", TEXT("v=spf1 =y"), -1 },
	{ "modifier with a qualifier", TEXT("v=spf1 -exp=a.example"), -1 },
	{ "modifier with a slash in its name", TEXT("v=spf1 a/b=c"), -1 },
	{ "mechanism with equals sign in its domain", TEXT("v=spf1 a:b=c.example"), 1 },
	{ "error behind all", TEXT("v=spf1 -all moo"), -1 },
};

static void
test_parse(void **state)
{
	struct spf_record *record;
	const char *error;
	TALLOC_CTX *ctx;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		ctx = talloc_new(NULL);
		error = NULL;
		record = spf_record_parse(ctx, records[i].text, records[i].len, &error);
		if ((record == NULL) != (records[i].terms < 0))
			fail_msg("%s: %s", records[i].label, error != NULL ? error : "accepted");
		if (record == NULL)
			assert_non_null(error);
		else if (record->n_terms != (size_t)records[i].terms)
			fail_msg("%s: %zu terms", records[i].label, record->n_terms);
		talloc_free(ctx);
	}
}

/* Domain-specs, RFC 7208 section 7.1. */
static const struct {
	const char *text;
	bool ok;
} specs[] = {
	{ "a.example", true }, { "a.example.", true }, { "a.example..", false },
	{ "example", false }, { "example.", false }, { ".example", true }, { ".", false },
	{ "a..example", true }, { "a.123", false }, { "a.1-2", true }, { "a.12a", true },
	{ "a.-ab", false }, { "a.ab-", false }, { "a.a_b", false }, { "a.xn--zckzah", true },
	{ "%{d}", true }, { "%{d}.", false }, { "%{d}example", false }, { "%{d}.example", true },
	{ "example.%{d}", true }, { "%{d}%%", true }, { "%_", true }, { "a.b%", false },
	{ "%{d", false }, { "%{}", false }, { "%{x}", false }, { "%{d0}", false },
	{ "%{d00}", false }, { "%{d01}", true }, { "%{d10r.-+,/_=}", true }, { "%{dR}", true },
	{ "%{rd}", false }, { "%{drr}", false }, { "%{d|}", false }, { "%{D2}", true },
	{ "%{c}", false }, { "%{t}.example", false }, { "a b.example", false }, { "", false },
};

static void
test_domain_spec(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(specs) / sizeof(specs[0]); i++)
		if (spf_record_domain_spec_ok(specs[i].text, strlen(specs[i].text)) != specs[i].ok)
			fail_msg("\"%s\" should be %s", specs[i].text,
			    specs[i].ok ? "a domain-spec" : "refused");
}

static void
test_fields(void **state)
{
	static const char text[] =
	    "v=spf1 ~ip4:192.0.2.7/25 ip6:2001:db8::/33 ?mx:%{d1}.example/8//9 exp=e.example -a";
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;
	struct spf_record *record;

	(void)state;
	record = spf_record_parse(ctx, text, strlen(text), &error);
	assert_non_null(record);
	assert_int_equal(record->n_terms, 4);
	assert_int_equal(record->terms[0].mechanism, SPF_MECH_IP4);
	assert_int_equal(record->terms[0].qualifier, '~');
	assert_int_equal(record->terms[0].prefix4, 25);
	assert_memory_equal(record->terms[0].network, "\300\0\2\7", 4);
	assert_int_equal(record->terms[1].qualifier, '+');
	assert_int_equal(record->terms[1].prefix6, 33);
	assert_memory_equal(record->terms[1].network, "\040\001\015\270\0", 5);
	assert_int_equal(record->terms[2].mechanism, SPF_MECH_MX);
	assert_int_equal(record->terms[2].prefix4, 8);
	assert_int_equal(record->terms[2].prefix6, 9);
	assert_int_equal(record->terms[2].spec.len, strlen("%{d1}.example"));
	assert_memory_equal(record->terms[2].spec.data, "%{d1}.example", 13);
	assert_null(record->terms[3].spec.data);
	assert_int_equal(record->terms[3].prefix4, 32);
	assert_int_equal(record->terms[3].prefix6, 128);
	assert_memory_equal(record->exp.data, "e.example", 9);
	assert_null(record->redirect.data);
	talloc_free(ctx);
}

static void
test_error_is_printable(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char text[5000] = "v=spf1 ";
	const char *error = NULL, *c;

	(void)state;
	memset(text + 7, '\r', sizeof(text) - 7);
	assert_null(spf_record_parse(ctx, text, sizeof(text), &error));
	assert_true(strlen(error) < 120);
	for (c = error; *c != '\0'; c++)
		assert_in_range(*c, ' ', '~');
	talloc_free(ctx);
}

/* Sets of TXT records. */
static const struct {
	const char *label;
	const char *texts[4];
	enum spf_selection selection;
	size_t index;
} sets[] = {
	{ "empty set", { NULL }, SPF_SELECT_NONE, 0 },
	{ "others only", { "hello", "spf2.0/pra", "" }, SPF_SELECT_NONE, 0 },
	{ "one among others", { "hello", "v=spf1", "v=spf10" }, SPF_SELECT_ONE, 1 },
	{ "in capitals", { "V=SPF1 -all" }, SPF_SELECT_ONE, 0 },
	{ "no space behind the version", { "v=spf1-all", "v=spf1mx", "v=spf1\t-all" },
	    SPF_SELECT_NONE, 0 },
	{ "space before the version", { " v=spf1" }, SPF_SELECT_NONE, 0 },
	{ "two of them", { "v=spf1 -all", "x", "v=spf1 -all" }, SPF_SELECT_SEVERAL, 0 },
};

static void
test_select(void **state)
{
	struct spf_text texts[4];
	size_t i, n, index;

	(void)state;
	for (i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		for (n = 0; n < 4 && sets[i].texts[n] != NULL; n++) {
			texts[n].data = sets[i].texts[n];
			texts[n].len = strlen(sets[i].texts[n]);
		}
		index = 0;
		if (spf_record_select(texts, n, &index) != sets[i].selection)
			fail_msg("%s: wrong selection", sets[i].label);
		if (sets[i].selection == SPF_SELECT_ONE)
			assert_int_equal(index, sets[i].index);
	}
}

/* What libspf2 gets to see of a record; tokens are numbered from 7 on. And what they stand for,
 * with the length to compare, and the term that ends the record for this client. */
static const struct {
	const char *record;
	const char *client;
	size_t max_terms;
	const char *text;
	const char *tokens;
	const char *end;
} rewrites[] = {
	{ "v=spf1", "192.0.2.1", 11, "v=spf1", "", "" },
	{ "v=spf1 a -all mx", "192.0.2.1", 11, "v=spf1 +exists:7.t -all", " a/32", "-all" },
	{ "v=spf1 a/24//64 ?mx:b.example//9", "192.0.2.1", 11, "v=spf1 +exists:7.t ?exists:8.t",
	    " a/24 mx/32", "" },
	{ "v=spf1 a/24//64 ?mx:b.example//9", "2001:db8::1", 11, "v=spf1 +exists:7.t ?exists:8.t",
	    " a/64 mx/9", "" },
	{ "v=spf1 a/0//8 mx/0", "192.0.2.1", 11, "v=spf1 +exists:7.t +exists:8.t", " a/0 mx/0",
	    "" },
	{ "v=spf1 a/0//8 mx/0", "2001:db8::1", 11, "v=spf1 +exists:7.t +exists:8.t", " a/8 mx/128",
	    "" },
	{ "v=spf1 ~ptr exists:%{i}.x.example", "192.0.2.1", 11,
	    "v=spf1 ~exists:7.t +exists:8.t", " ptr exists", "" },
	{ "v=spf1 ip4:192.0.2.0/31 -all", "192.0.2.1", 11, "v=spf1 +all", "",
	    "ip4:192.0.2.0/31" },
	{ "v=spf1 ip4:192.0.2.0/32 -all", "192.0.2.1", 11, "v=spf1 -all", "", "-all" },
	{ "v=spf1 ip6::: -ip4:0.0.0.0/0 +all", "192.0.2.1", 11, "v=spf1 -all", "",
	    "-ip4:0.0.0.0/0" },
	{ "v=spf1 ip4:0.0.0.0/0 ip6:2001:db8::/32 -all", "2001:db8::1", 11, "v=spf1 +all", "",
	    "ip6:2001:db8::/32" },
	{ "v=spf1 redirect=b.example include:c.example", "192.0.2.1", 11,
	    "v=spf1 +include:7.t redirect=8.t", " record redirect", "" },
	{ "v=spf1 redirect=b.example -all exp=e.example x=y", "192.0.2.1", 11, "v=spf1 -all", "",
	    "-all" },
	{ "v=spf1 a mx a mx -all", "192.0.2.1", 3, "v=spf1 +exists:7.t +exists:8.t +exists:9.t",
	    " a/32 mx/32 a/32", "" },
	{ "v=spf1 a mx redirect=b.example", "192.0.2.1", 2, "v=spf1 +exists:7.t +exists:8.t",
	    " a/32 mx/32", "" },
};

/* token_words - the tokens of a rewritten record as the table above has them */
static char *
token_words(TALLOC_CTX *ctx, const struct spf_rewritten *rewritten)
{
	static const char *const words[] = { [SPF_TOKEN_RECORD] = "record", [SPF_TOKEN_A] = "a",
		[SPF_TOKEN_MX] = "mx", [SPF_TOKEN_PTR] = "ptr", [SPF_TOKEN_EXISTS] = "exists" };
	char *all = mem_strdup(ctx, "");

	for (size_t i = 0; i < rewritten->n_tokens; i++) {
		const struct spf_token *token = &rewritten->tokens[i];

		all = mem_printf(ctx, "%s %s", all,
		    token->redirect ? "redirect" : words[token->kind]);
		if (token->kind == SPF_TOKEN_A || token->kind == SPF_TOKEN_MX)
			all = mem_printf(ctx, "%s/%u", all, token->prefix);
	}
	return all;
}

static void
test_rewrite(void **state)
{
	struct spf_rewritten *rewritten;
	unsigned char address[16];
	struct spf_record *record;
	const char *error = NULL;
	TALLOC_CTX *ctx;
	bool ipv6;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rewrites) / sizeof(rewrites[0]); i++) {
		ctx = talloc_new(NULL);
		ipv6 = strchr(rewrites[i].client, ':') != NULL;
		inet_pton(ipv6 ? AF_INET6 : AF_INET, rewrites[i].client, address);
		record = spf_record_parse(ctx, rewrites[i].record, strlen(rewrites[i].record),
		    &error);
		assert_non_null(record);
		rewritten = spf_rewrite(ctx, record, address, ipv6, 7, rewrites[i].max_terms);
		assert_string_equal(rewritten->text, rewrites[i].text);
		assert_string_equal(token_words(ctx, rewritten), rewrites[i].tokens);
		assert_int_equal(rewritten->end.len, strlen(rewrites[i].end));
		assert_memory_equal(
		    rewritten->end.len > 0 ? rewritten->end.data : "", rewrites[i].end,
		    rewritten->end.len);
		talloc_free(ctx);
	}
}

static void
test_rewrite_is_bounded(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *text = mem_strdup(ctx, "v=spf1");
	const unsigned char address[16] = { 0 };
	struct spf_rewritten *rewritten;
	struct spf_record *record;
	const char *error = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		text = talloc_asprintf_append(text, " -include:%%{d}.example");
	record = spf_record_parse(ctx, text, strlen(text), &error);
	assert_non_null(record);
	assert_int_equal(record->n_terms, 1000);
	rewritten = spf_rewrite(ctx, record, address, true, 999980, 1000);
	assert_int_equal(rewritten->n_tokens, SPF_REWRITE_TERMS_MAX);
	assert_true(rewritten->tokens[0].spec.len == strlen("%{d}.example"));
	talloc_free(ctx);
}

static void
test_token_number(void **state)
{
	static const char *const bad[] = { "", ".t", "t", "1", "1.", "1.tt", "-1.t", " 1.t",
		"1234567.t", "x.t", "1.T", "0x1.t" };
	size_t i, number;

	(void)state;
	assert_true(spf_token_number("0.t", &number) && number == 0);
	assert_true(spf_token_number("999999.t", &number) && number == 999999);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(spf_token_number(bad[i], &number));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_domain_spec),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_error_is_printable),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_rewrite),
		cmocka_unit_test(test_rewrite_is_bounded),
		cmocka_unit_test(test_token_number),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
