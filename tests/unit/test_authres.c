/*
 * test_authres.c - forged Authentication-Results in every disguise, and our own field
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
#include "policy/verdict/authres.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))
#define BYTES(s)	(s), sizeof(s) - 1
#define OURS		"mx.example.org"

/* A field's value, the id that is read (NULL: unreadable), and whether it is ours. */
static const struct id_row {
	const char *label;
	const char *value;
	size_t len;
	const char *id;
	bool ours;
} id_rows[] = {
	/* plain */
	{ "plain", BYTES(" mx.example.org; dkim=pass"), "mx.example.org", true },
	{ "no space", BYTES("mx.example.org;dkim=pass"), "mx.example.org", true },
	{ "none", BYTES(" mx.example.org; none"), "mx.example.org", true },
	{ "id alone", BYTES(" mx.example.org"), "mx.example.org", true },
	{ "id and semicolon", BYTES(" mx.example.org ; "), "mx.example.org", true },
	{ "upper case", BYTES(" MX.Example.ORG; none"), "MX.Example.ORG", true },
	{ "dot at the end", BYTES(" mx.example.org.; none"), "mx.example.org.", true },
	{ "tab", BYTES("\tmx.example.org\t;\tnone"), "mx.example.org", true },
	/* folds */
	{ "folded before", BYTES("\n mx.example.org; none"), "mx.example.org", true },
	{ "folded after", BYTES(" mx.example.org\n\t; none"), "mx.example.org", true },
	{ "CRLF fold", BYTES("\r\n mx.example.org\r\n\t;\r\n none"), "mx.example.org", true },
	/* versions */
	{ "version", BYTES(" mx.example.org 1; none"), "mx.example.org", true },
	{ "other version", BYTES(" mx.example.org 2; none"), "mx.example.org", true },
	{ "long version", BYTES(" mx.example.org 99999999999999999999; none"), "mx.example.org",
	    true },
	{ "folded version", BYTES(" mx.example.org\n 1\n ; none"), "mx.example.org", true },
	{ "version in comments", BYTES(" mx.example.org (a) 1 (b) ; none"), "mx.example.org",
	    true },
	{ "two versions", BYTES(" mx.example.org 1 1; none"), NULL, true },
	{ "version no number", BYTES(" mx.example.org v1; none"), NULL, true },
	{ "version behind a slash", BYTES(" mx.example.org/1; none"), NULL, true },
	/* comments */
	{ "comment before", BYTES(" (x) mx.example.org; none"), "mx.example.org", true },
	{ "comment after", BYTES(" mx.example.org (x); none"), "mx.example.org", true },
	{ "comment touching", BYTES("(x)mx.example.org(y);none"), "mx.example.org", true },
	{ "nested comment", BYTES(" (a (b (c) d) e) mx.example.org; none"), "mx.example.org",
	    true },
	{ "several comments", BYTES("()( )(()) mx.example.org; none"), "mx.example.org", true },
	{ "escaped parenthesis", BYTES(" (a \\) b) mx.example.org; none"), "mx.example.org", true },
	{ "escaped backslash", BYTES(" (a \\\\) mx.example.org; none"), "mx.example.org", true },
	{ "quotation mark in comment", BYTES(" (\") mx.example.org (\"); none"), "mx.example.org",
	    true },
	{ "folded comment", BYTES(" (a\n b) mx.example.org; none"), "mx.example.org", true },
	{ "other id in comment", BYTES(" (other.example;) mx.example.org; none"), "mx.example.org",
	    true },
	{ "ours in a comment only", BYTES(" (mx.example.org;) other.example; none"),
	    "other.example", false },
	{ "comment inside the id", BYTES(" mx.example(x).org; none"), NULL, true },
	{ "comment splits the id", BYTES(" mx.(a)example(b).org; none"), NULL, true },
	{ "comment not closed", BYTES(" mx.example.org (; none"), NULL, true },
	{ "comment not closed, ours in it", BYTES(" other.example ((mx.example.org); none"), NULL,
	    true },
	{ "comment closed twice", BYTES(" mx.example.org (a)); none"), NULL, true },
	{ "parenthesis first", BYTES(" ) mx.example.org; none"), NULL, true },
	{ "escape at the end of a comment", BYTES(" (a\\"), NULL, false },
	/* quotes */
	{ "quoted", BYTES(" \"mx.example.org\"; none"), "mx.example.org", true },
	{ "quoted, escapes", BYTES(" \"mx\\.example\\.org\"; none"), "mx.example.org", true },
	{ "quoted, each octet escaped",
	    BYTES(" \"\\m\\x\\.\\e\\x\\a\\m\\p\\l\\e\\.\\o\\r\\g\"; none"), "mx.example.org",
	    true },
	{ "quoted, fold inside", BYTES(" \"mx.exa\n mple.org\"; none"), "mx.exa mple.org", false },
	{ "quoted, version", BYTES(" \"mx.example.org\" 1; none"), "mx.example.org", true },
	{ "quoted, comments", BYTES("(a)\"mx.example.org\"(b);none"), "mx.example.org", true },
	{ "quoted, parentheses are text", BYTES(" \"(mx.example.org)\"; none"), "(mx.example.org)",
	    false },
	{ "quoted, semicolon is text", BYTES(" \"mx.example.org;\"; none"), "mx.example.org;",
	    false },
	{ "half quoted", BYTES(" mx.\"example\".org; none"), NULL, true },
	{ "two quoted", BYTES(" \"mx.\"\"example.org\"; none"), NULL, true },
	{ "quote not closed", BYTES(" \"mx.example.org; none"), NULL, true },
	{ "quote not closed, escapes", BYTES(" \"mx.ex\\ample.org; none"), NULL, true },
	{ "quote closed by an escape", BYTES(" \"mx.example.org\\\"; none"), NULL, true },
	{ "quote not closed behind the id", BYTES(" mx.example.org; x=\"y"), NULL, true },
	{ "empty quotes", BYTES(" \"\"; none"), "", false },
	/* others' */
	{ "other", BYTES(" other.example; dkim=pass"), "other.example", false },
	{ "ours inside a longer name", BYTES(" mx.example.org.evil.example; none"),
	    "mx.example.org.evil.example", false },
	{ "below ours", BYTES(" a.mx.example.org; none"), "a.mx.example.org", false },
	{ "above ours", BYTES(" example.org; none"), "example.org", false },
	{ "ours as a value", BYTES(" other.example; spf=pass smtp.helo=mx.example.org"),
	    "other.example", false },
	{ "ours behind a semicolon", BYTES(" other.example; mx.example.org; dkim=pass"),
	    "other.example", false },
	{ "ours in quotes later", BYTES(" other.example; x=y reason=\"mx.example.org\""),
	    "other.example", false },
	{ "a real one",
	    BYTES(
		" mx.google.com;\n       dkim=pass header.i=@example.com header.s=a header.b=\"ab/c+d=\";\n"
		"       spf=pass (google.com: domain of a@example.com designates 192.0.2.1 as permitted sender)\n"
		"        smtp.mailfrom=a@example.com;\n       dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=example.com"),
	    "mx.google.com", false },
	{ "a real one of Microsoft's",
	    BYTES(" spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=example.com; dkim=none"), NULL,
	    false },
	{ "the same, ours in it",
	    BYTES(" spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=mx.example.org; dkim=none"),
	    NULL, true },
	/* unreadable */
	{ "empty", BYTES(""), NULL, false },
	{ "spaces", BYTES(" \n "), NULL, false },
	{ "semicolon", BYTES(";"), NULL, false },
	{ "semicolon first", BYTES("; mx.example.org; none"), NULL, true },
	{ "two words", BYTES(" x mx.example.org; none"), NULL, true },
	{ "at sign", BYTES(" @mx.example.org; none"), NULL, true },
	{ "address", BYTES(" a@mx.example.org; none"), NULL, true },
	{ "spaces inside the id", BYTES(" mx . example . org; none"), NULL, true },
	{ "fold inside the id", BYTES(" mx.exa\n mple.org; none"), NULL, true },
	{ "backslash", BYTES(" mx\\.example.org; none"), NULL, true },
	{ "comma", BYTES(" other.example, mx.example.org; none"), NULL, true },
	{ "equals sign", BYTES(" x=mx.example.org; none"), NULL, true },
	{ "brackets", BYTES(" [mx.example.org]; none"), NULL, true },
	{ "control character", BYTES(" mx.example.org\x01; none"), NULL, true },
	{ "NUL inside the id", BYTES(" mx.exa\0mple.org; none"), NULL, true },
	{ "NUL behind", BYTES(" mx.example.org; \0"), NULL, true },
	{ "delete", BYTES(" \x7fmx.example.org; none"), NULL, true },
	{ "unreadable, not ours", BYTES(" ((; mx.example.net"), NULL, false },
	{ "8-bit id", BYTES(" m\xc3\xbcller.example; none"), "m\xc3\xbcller.example", false },
};

static void
test_ids(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(id_rows); i++) {
		const struct id_row *row = &id_rows[i];
		TALLOC_CTX *ctx = mem_new(NULL, char);
		char *copy = mem_memdup(ctx, row->value, row->len + 1);
		const char *id = authres_read_id(ctx, copy, row->len);

		if ((id == NULL) != (row->id == NULL) || (id != NULL && strcmp(id, row->id) != 0))
			fail_msg("%s: read %s", row->label, id == NULL ? "nothing" : id);
		if (authres_is_ours(copy, row->len, OURS) != row->ours)
			fail_msg("%s: %s", row->label,
			    row->ours ? "should be ours" : "should be another's");
		talloc_free(ctx);
	}
}

/* The same name in its other spellings. */
static void
test_international_ids(void **state)
{
	static const struct {
		const char *label, *value, *ours;
		bool is_ours;
	} rows[] = {
		{ "U-label for A-label", " mx.m\xc3\xbcller.example; none", "mx.xn--mller-kva.example", true },
		{ "A-label for U-label", " mx.xn--mller-kva.example; none", "mx.m\xc3\xbcller.example", true },
		{ "upper case U-label", " mx.M\xc3\x9cLLER.example; none", "mx.xn--mller-kva.example", true },
		{ "unreadable, A-label", " ( mx.xn--mller-kva.example; none", "mx.m\xc3\xbcller.example", true },
		{ "another", " mx.mueller.example; none", "mx.xn--mller-kva.example", false },
		{ "id that is no domain", " \"my host\"; none", "my host", true },
		{ "id with underscore", " MX_1; none", "mx_1", true },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (authres_is_ours(rows[i].value, strlen(rows[i].value), rows[i].ours) !=
		    rows[i].is_ours)
			fail_msg("%s", rows[i].label);
}

/* Nesting costs no stack, and length no more than its own time. */
static void
test_deep(void **state)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	size_t depth = 500000;
	char *value = mem_array(ctx, char, 2 * depth + 40);

	(void)state;
	memset(value, '(', depth);
	memset(value + depth, ')', depth);
	strcpy(value + 2 * depth, OURS "; none");
	assert_string_equal(authres_read_id(ctx, value, strlen(value)), OURS);
	assert_true(authres_is_ours(value, strlen(value), OURS));
	value[0] = ' ';
	assert_null(authres_read_id(ctx, value, strlen(value)));
	assert_true(authres_is_ours(value, strlen(value), OURS));
	memset(value, '(', 2 * depth);
	assert_true(authres_is_ours(value, strlen(value), OURS));
	memset(value, '\\', 2 * depth);
	assert_true(authres_is_ours(value, strlen(value), OURS));
	talloc_free(ctx);
}

/* --- writing ----------------------------------------------------------- */

/* written - the value for these facts */
static char *
written(TALLOC_CTX *ctx, const struct facts *facts, bool show_login)
{
	struct authres_options options = { .authserv_id = OURS, .show_login = show_login };

	return authres_write(ctx, &options, facts);
}

/* check_form - what every value must be, whatever is in it */
static void
check_form(const char *label, const char *value)
{
	size_t column = strlen("Authentication-Results:");

	if (value[0] != ' ' || strlen(value) > AUTHRES_MAX + 2000 ||
	    value[strlen(value) - 1] == '\n')
		fail_msg("%s: ends: %s", label, value);
	for (const char *p = value; *p != '\0'; p++) {
		if (*p == '\n') {
			if (p[1] != '\t')
				fail_msg("%s: fold without tab", label);
			column = 7;
			p++;
		} else if (*p < ' ' || *p > '~') {
			fail_msg("%s: octet %d", label, *p);
		}
		/* longer only if one word is */
		if (++column > AUTHRES_COLUMNS && *p == ' ')
			fail_msg("%s: line too long: %s", label, value);
	}
	/* what we write, we must read as ours */
	if (!authres_is_ours(value, strlen(value), OURS))
		fail_msg("%s: not ours: %s", label, value);
	char *id = authres_read_id(NULL, value, strlen(value));

	if (id == NULL)
		fail_msg("%s: cannot be read: %s", label, value);
	talloc_free(id);
}

static struct dkim_fact passing = { .result = DKIM_IS_PASS,
	.sdid = "example.net",
	.selector = "s1",
	.auid = "@example.net",
	.algorithm = "rsa-sha256",
	.b_prefix = "aB/+cd12",
	.key_bits = 2048 };

static void
test_write(void **state)
{
	static struct dkim_fact two[] = {
		{ .result = DKIM_IS_FAIL,
		    .sdid = "a.example",
		    .selector = "s",
		    .algorithm = "rsa-sha256",
		    .b_prefix = "AAAA",
		    .problem = "the body has changed" },
		{ .result = DKIM_IS_TEMPERROR,
		    .sdid = "b.example",
		    .selector = "s",
		    .problem = "the key could not be fetched: SERVFAIL" },
	};
	static struct dkim_fact hostile[] = {
		{ .result = DKIM_IS_NEUTRAL,
		    .sdid = "a;dkim=pass header.d=bank.example",
		    .selector = "(",
		    .auid = "\"@x\\",
		    .algorithm = "a\nb",
		    .b_prefix = "\xff\r\n",
		    .problem = "a \"quote\" \\ and (\n" },
	};
	static struct dkim_fact utf8[] = {
		{ .result = DKIM_IS_PASS,
		    .sdid = "friend.example",
		    .selector = "s",
		    .auid = "j\303\266@friend.example",
		    .algorithm = "rsa-sha256",
		    .b_prefix = "abcd" },
	};
	static const struct {
		const char *label;
		struct facts facts;
		bool show_login;
		const char *value;
	} rows[] = {
		{ "nothing", { .sender = "" }, false, " mx.example.org; none" },
		{ "no signature", { .sender = "a@b", .dkim_checked = true }, false,
		    " mx.example.org;\n\tdkim=none" },
		{ "not verified", { .sender = "a@b", .dkim = &passing, .n_dkim = 1 }, false,
		    " mx.example.org; none" },
		{ "SPF pass",
		    { .sender = "a@b.example",
			.spf_mailfrom = { .result = SPF_IS_PASS,
			    .domain = "b.example",
			    .sender = "a@b.example" } },
		    false, " mx.example.org;\n\tspf=pass smtp.mailfrom=a@b.example" },
		{ "SPF of both",
		    { .sender = "a@b.example",
			.spf_helo = { .result = SPF_IS_NONE, .domain = "h.example" },
			.spf_mailfrom = { .result = SPF_IS_SOFTFAIL,
			    .domain = "b.example",
			    .sender = "a@b.example" } },
		    false,
		    " mx.example.org;\n\tspf=none smtp.helo=h.example;\n\tspf=softfail smtp.mailfrom=a@b.example" },
		{ "SPF without a HELO name, by what DNS said before",
		    { .sender = "a@b.example",
			.spf_helo = { .result = SPF_IS_NONE, .domain = "" },
			.spf_mailfrom = { .result = SPF_IS_PASS,
			    .domain = "b.example",
			    .sender = "a@b.example",
			    .stale = true } },
		    false,
		    " mx.example.org;\n\tspf=pass reason=\"by what DNS had before it "
		    "failed\"\n\tsmtp.mailfrom=a@b.example" },
		{ "null sender without a HELO name",
		    { .sender = "",
			.spf_helo = { .result = SPF_IS_NONE, .domain = "" },
			.spf_mailfrom = { .result = SPF_IS_NONE, .domain = "" } },
		    false, " mx.example.org; none" },
		{ "null sender",
		    { .sender = "",
			.spf_mailfrom = { .result = SPF_IS_NEUTRAL,
			    .domain = "h.example",
			    .sender = "postmaster@h.example" } },
		    false, " mx.example.org;\n\tspf=neutral smtp.helo=h.example" },
		{ "null sender, HELO says the same",
		    { .sender = "",
			.spf_helo = { .result = SPF_IS_FAIL, .domain = "h.example" },
			.spf_mailfrom = { .result = SPF_IS_FAIL,
			    .domain = "h.example",
			    .sender = "postmaster@h.example" } },
		    false, " mx.example.org;\n\tspf=fail smtp.helo=h.example" },
		{ "SPF error",
		    { .sender = "a@b.example",
			.spf_mailfrom = { .result = SPF_IS_TEMPERROR,
			    .domain = "b.example",
			    .sender = "a@b.example",
			    .problem = "timeout" } },
		    false,
		    " mx.example.org;\n\tspf=temperror reason=\"timeout\" smtp.mailfrom=a@b.example" },
		{ "quoted local part",
		    { .sender = "\"a b\"@b.example",
			.spf_mailfrom = { .result = SPF_IS_PERMERROR,
			    .domain = "b.example",
			    .sender = "\"a b\"@b.example" } },
		    false,
		    " mx.example.org;\n\tspf=permerror smtp.mailfrom=\"\\\"a b\\\"@b.example\"" },
		{ "8-bit sender",
		    { .sender = "\xc3\xa9@b.example",
			.spf_mailfrom = { .result = SPF_IS_PASS,
			    .domain = "b.example",
			    .sender = "\xc3\xa9@b.example" } },
		    false, " mx.example.org;\n\tspf=pass smtp.mailfrom=b.example" },
		{ "DKIM pass",
		    { .sender = "a@b", .dkim_checked = true, .dkim = &passing, .n_dkim = 1 }, false,
		    " mx.example.org;\n\tdkim=pass header.d=example.net header.i=@example.net header.s=s1\n"
		    "\theader.a=rsa-sha256 header.b=\"aB/+cd12\"" },
		{ "DKIM fail and temperror",
		    { .sender = "a@b", .dkim_checked = true, .dkim = two, .n_dkim = 2 }, false,
		    " mx.example.org;\n\tdkim=fail reason=\"the body has changed\" header.d=a.example\n"
		    "\theader.s=s header.a=rsa-sha256 header.b=AAAA;\n"
		    "\tdkim=temperror reason=\"the key could not be fetched: SERVFAIL\"\n"
		    "\theader.d=b.example header.s=s" },
		{ "the client's name",
		    { .sender = "a@b", .client_addr = "192.0.2.7", .iprev = OUTCOME_PASS }, false,
		    " mx.example.org;\n\tiprev=pass policy.iprev=192.0.2.7" },
		{ "a forged one, IPv6",
		    { .sender = "a@b", .client_addr = "2001:db8::7", .iprev = OUTCOME_FAIL }, false,
		    " mx.example.org;\n\tiprev=fail policy.iprev=\"2001:db8::7\"" },
		{ "none",
		    { .sender = "a@b", .client_addr = "192.0.2.7", .iprev = OUTCOME_PERMERROR },
		    false, " mx.example.org;\n\tiprev=permerror policy.iprev=192.0.2.7" },
		{ "not now",
		    { .sender = "a@b", .client_addr = "192.0.2.7", .iprev = OUTCOME_TEMPERROR },
		    false, " mx.example.org;\n\tiprev=temperror policy.iprev=192.0.2.7" },
		{ "the MTA does not say", { .sender = "a@b", .client_addr = "192.0.2.7" }, false,
		    " mx.example.org; none" },
		{ "hostile",
		    { .sender = "a@b", .dkim_checked = true, .dkim = hostile, .n_dkim = 1 }, false,
		    " mx.example.org;\n\tdkim=neutral reason=\"a \\\"quote\\\" \\\\ and (?\"\n"
		    "\theader.d=\"a;dkim=pass header.d=bank.example\" header.i=\"\\\"@x\\\\\"\n"
		    "\theader.s=\"(\" header.a=\"a?b\" header.b=\"???\"" },
		{ "login", { .sender = "a@b", .login = "alice@example.org" }, true,
		    " mx.example.org;\n\tauth=pass smtp.auth=alice@example.org" },
		{ "a login that is not ASCII",
		    { .sender = "a@b", .login = "j\303\266@example.org" }, true,
		    " mx.example.org;\n\tauth=pass" },
		{ "an identity that is not ASCII",
		    { .sender = "a@b", .dkim_checked = true, .dkim = utf8, .n_dkim = 1 }, false,
		    " mx.example.org;\n\tdkim=pass header.d=friend.example header.s=s "
		    "header.a=rsa-sha256\n\theader.b=abcd" },
		{ "login is private", { .sender = "a@b", .login = "alice@example.org" }, false,
		    " mx.example.org; none" },
		{ "odd login", { .sender = "a@b", .login = "al ice\";" }, true,
		    " mx.example.org;\n\tauth=pass smtp.auth=\"al ice\\\";\"" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char *value = written(NULL, &rows[i].facts, rows[i].show_login);

		if (strcmp(value, rows[i].value) != 0)
			fail_msg("%s: got%s", rows[i].label, value);
		check_form(rows[i].label, value);
		talloc_free(value);
	}
}

/* More results than fit: those that pass stay. */
static void
test_write_bounds(void **state)
{
	struct dkim_fact facts_of[100];
	struct facts facts = {
		.sender = "a@b", .dkim_checked = true, .dkim = facts_of, .n_dkim = N(facts_of)
	};
	char huge[5000];
	char *value;

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	for (size_t i = 0; i < N(facts_of); i++)
		facts_of[i] = (struct dkim_fact){ .result = DKIM_IS_FAIL,
			.sdid = huge,
			.selector = huge,
			.auid = huge,
			.algorithm = huge,
			.b_prefix = huge,
			.problem = huge };
	facts_of[99].result = DKIM_IS_PASS;
	value = written(NULL, &facts, false);
	assert_true(strlen(value) <= AUTHRES_MAX + 200);
	assert_non_null(strstr(value, "dkim=pass"));
	assert_non_null(strstr(value, "dkim=fail"));
	check_form("bounds", value);
	talloc_free(value);
}

/* An id that is no token is quoted, and still ours. */
static void
test_write_id(void **state)
{
	struct facts facts = { .sender = "" };
	struct authres_options options = { .authserv_id = "my \"host\"" };
	char *value = authres_write(NULL, &options, &facts);

	(void)state;
	assert_string_equal(value, " \"my \\\"host\\\"\"; none");
	assert_true(authres_is_ours(value, strlen(value), options.authserv_id));
	talloc_free(value);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_international_ids),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_bounds),
		cmocka_unit_test(test_write_id),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
