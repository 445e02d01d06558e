/*
 * test_signing.c - which domain signs, and which fields
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
#include <strings.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/dkim/fold.h"
#include "policy/dkim/signing.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

static void
test_domain(void **state)
{
	static const struct {
		const char *label;
		struct claim claims[4];
		size_t n;
		const char *sign_as;
		const char *domain;
	} rows[] = {
		{ "nothing claimed", { { 0 } }, 0, NULL, NULL },
		{ "owned From", { { CLAIM_FROM, "a@b.example", "b.example", OWNED_YES, NULL, NULL } }, 1, NULL, "b.example" },
		{ "foreign From", { { CLAIM_FROM, "a@b.example", "b.example", OWNED_NO, NULL, NULL } }, 1, NULL, NULL },
		{ "From not asked for", { { CLAIM_FROM, "a@b.example", "b.example", OWNED_NOT_ASKED, NULL, NULL } }, 1, NULL, NULL },
		{ "table away", { { CLAIM_FROM, "a@b.example", "b.example", OWNED_TEMPERROR, NULL, NULL } }, 1, NULL, NULL },
		{ "envelope only", { { CLAIM_ENVELOPE, "a@b.example", "b.example", OWNED_YES, NULL, NULL } }, 1, NULL, NULL },
		{ "the From, not the envelope", { { CLAIM_ENVELOPE, "a@c.example", "c.example", OWNED_YES, NULL, NULL },
		    { CLAIM_FROM, "a@b.example", "b.example", OWNED_YES, NULL, NULL } }, 2, NULL, "b.example" },
		{ "foreign envelope", { { CLAIM_ENVELOPE, "a@c.example", "c.example", OWNED_NO, NULL, NULL },
		    { CLAIM_FROM, "a@b.example", "b.example", OWNED_YES, NULL, NULL } }, 2, NULL, NULL },
		{ "the first of two", { { CLAIM_FROM, "a@b.example", "b.example", OWNED_YES, NULL, NULL },
		    { CLAIM_FROM, "a@c.example", "c.example", OWNED_YES, NULL, NULL } }, 2, NULL, "b.example" },
		{ "second foreign", { { CLAIM_FROM, "a@b.example", "b.example", OWNED_YES, NULL, NULL },
		    { CLAIM_FROM, "a@c.example", "c.example", OWNED_NO, NULL, NULL } }, 2, NULL, NULL },
		{ "foreign Sender", { { CLAIM_FROM, "a@b.example", "b.example", OWNED_YES, NULL, NULL },
		    { CLAIM_SENDER, "a@c.example", "c.example", OWNED_NO, NULL, NULL } }, 2, NULL, NULL },
		{ "Sender alone", { { CLAIM_SENDER, "a@c.example", "c.example", OWNED_YES, NULL, NULL } }, 1, NULL, NULL },
		{ "Resent-From does not sign", { { CLAIM_RESENT_FROM, "a@c.example", "c.example", OWNED_YES, NULL, NULL } }, 1, NULL, NULL },
		{ "a literal", { { CLAIM_FROM, "a@[192.0.2.1]", "[192.0.2.1]", OWNED_YES, NULL, NULL } }, 1, NULL, NULL },
		{ "no domain", { { CLAIM_FROM, "a", "", OWNED_YES, NULL, NULL } }, 1, NULL, NULL },
		{ "sign_as itself", { { CLAIM_FROM, "a@b.example", "b.example", OWNED_YES, NULL, NULL } }, 1, "b.example", "b.example" },
		{ "sign_as above", { { CLAIM_FROM, "a@x.b.example", "x.b.example", OWNED_YES, NULL, NULL } }, 1, "b.example", "b.example" },
		{ "sign_as below", { { CLAIM_FROM, "a@b.example", "b.example", OWNED_YES, NULL, NULL } }, 1, "x.b.example", NULL },
		{ "sign_as another", { { CLAIM_FROM, "a@b.example", "b.example", OWNED_YES, NULL, NULL } }, 1, "c.example", NULL },
		{ "sign_as only ends alike", { { CLAIM_FROM, "a@bb.example", "bb.example", OWNED_YES, NULL, NULL } }, 1, "b.example", NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const char *domain = signing_domain(rows[i].claims, rows[i].n, rows[i].sign_as);

		if ((domain == NULL) != (rows[i].domain == NULL) ||
		    (domain != NULL && strcmp(domain, rows[i].domain) != 0))
			fail_msg("%s: got %s", rows[i].label, domain == NULL ? "none" : domain);
	}
}

/* list_of - a header of these names, "|" between */
static struct header_list *
list_of(TALLOC_CTX *ctx, const char *names)
{
	struct header_list *list = header_list_new(ctx, 1024 * 1024);

	while (*names != '\0') {
		size_t len = strcspn(names, "|");

		header_append(list, names, len, " x", 2);
		names += len + (names[len] == '|');
	}
	return list;
}

/* covered_names - the names a plan signs, "," between, then "/" and the oversigned ones */
static char *
covered_names(TALLOC_CTX *ctx, const struct sign_plan *plan, const struct header_list *list)
{
	char *out = mem_strdup(ctx, "");

	for (size_t i = 0; i < list->n; i++)
		if (plan->covered[i])
			out = mem_printf(ctx, "%s%s,", out, list->fields[i].name);
	out = mem_printf(ctx, "%s/", out);
	for (size_t i = 0; plan->oversigned[i] != NULL; i++)
		out = mem_printf(ctx, "%s%s,", out, plan->oversigned[i]);
	return out;
}

#define SEALED	"From,Reply-To,Subject,To,Cc,"

static void
test_plan(void **state)
{
	static const struct {
		const char *label, *names, *covered, *problem;
	} rows[] = {
		{ "From alone", "From", "From,/" SEALED, NULL },
		{ "usual", "Received|From|To|Subject|Date|Message-ID|X-Mailer",
		    "From,To,Subject,Date,Message-ID,/" SEALED "Date,Message-ID,", NULL },
		{ "any case", "FROM|subject", "FROM,subject,/" SEALED, NULL },
		{ "white space before the colon", "From |Subject\t", "From ,Subject\t,/" SEALED,
		    NULL },
		{ "closed where there",
		    "From|Sender|MIME-Version|Content-Type|Content-Transfer-Encoding|References|In-Reply-To",
		    "From,Sender,MIME-Version,Content-Type,Content-Transfer-Encoding,References,In-Reply-To,/" SEALED
		    "Sender,In-Reply-To,References,MIME-Version,Content-Type,Content-Transfer-Encoding,",
		    NULL },
		{ "lists are signed, not closed",
		    "From|List-ID|List-Unsubscribe|List-Unsubscribe-Post|List-Post|Resent-From",
		    "From,List-ID,List-Unsubscribe,List-Unsubscribe-Post,List-Post,Resent-From,/" SEALED,
		    NULL },
		{ "never",
		    "From|Bcc|Return-Path|Authentication-Results|Received|DKIM-Signature|Resent-Bcc|ARC-Seal|Received-SPF",
		    "From,/" SEALED, NULL },
		{ "several", "To|From|To|Cc|Cc", "To,From,To,Cc,Cc,/" SEALED, NULL },
		{ "no From", "To", "To,/" SEALED, "there is no From field" },
		{ "two From", "From|from", "From,from,/" SEALED, "there are several From fields" },
		{ "empty", "", "/" SEALED, "there is no From field" },
	};
	struct signing_rules rules;

	(void)state;
	signing_rules_default(&rules);
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct header_list *list = list_of(ctx, rows[i].names);
		struct sign_plan *plan = signing_plan(ctx, &rules, "b.example", list);
		const char *got = covered_names(ctx, plan, list);

		if (strcmp(got, rows[i].covered) != 0)
			fail_msg("%s: got %s", rows[i].label, got);
		if ((plan->problem == NULL) != (rows[i].problem == NULL) ||
		    (plan->problem != NULL && strcmp(plan->problem, rows[i].problem) != 0))
			fail_msg("%s: problem %s", rows[i].label,
			    plan->problem == NULL ? "none" : plan->problem);
		assert_int_equal(plan->n_fields, list->n);
		assert_string_equal(plan->domain, "b.example");
		talloc_free(ctx);
	}
}

/* Nothing of the default list may be forbidden, or listed twice. */
static void
test_default_list(void **state)
{
	struct signing_rules rules;

	(void)state;
	signing_rules_default(&rules);
	assert_string_equal(rules.fields[0].name, "From");
	assert_int_equal(rules.fields[0].class, SIGNING_SEALED);
	assert_false(rules.mta_completes);
	for (size_t i = 0; i < rules.n; i++) {
		if (signing_forbidden(rules.fields[i].name))
			fail_msg("%s is forbidden", rules.fields[i].name);
		for (size_t j = 0; j < i; j++)
			assert_true(strcasecmp(rules.fields[i].name, rules.fields[j].name) != 0);
	}
}

static void
test_read(void **state)
{
	static const struct {
		const char *label;
		const char *words[5];
		const char *error;	/* part of it, or NULL */
		const char *covered;	/* of the fields From, Date, Subject, X-A; or NULL */
	} rows[] = {
		{ "nothing", { NULL }, NULL, "From,/From," },
		{ "all classes", { "(o)subject", "(x)date", "x-a" }, NULL, "From,Date,Subject,X-A,/From,subject,date," },
		{ "From is sealed anyway", { "from", "subject" }, NULL, "From,Subject,/From," },
		{ "upper case marks", { "(O)Subject", "(X)Date" }, NULL, "From,Date,Subject,/From,Subject,Date," },
		{ "absent sealed, absent closed", { "(o)to", "(x)cc" }, NULL, "From,/From,to," },
		{ "twice", { "date", "(x)Date" }, "twice", NULL },
		{ "From twice", { "from", "(o)From" }, "twice", NULL },
		{ "Received", { "received" }, "must not be signed", NULL },
		{ "Bcc", { "(x)bcc" }, "must not be signed", NULL },
		{ "DKIM-Signature", { "dkim-signature" }, "must not be signed", NULL },
		{ "empty", { "" }, "not the name", NULL },
		{ "mark alone", { "(o)" }, "not the name", NULL },
		{ "colon", { "date:" }, "not the name", NULL },
		{ "semicolon", { "a;b" }, "not the name", NULL },
		{ "space", { "a b" }, "not the name", NULL },
		{ "8 bit", { "\xc3\xa9" }, "not the name", NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct header_list *list = list_of(ctx, "From|Date|Subject|X-A");
		struct signing_rules rules;
		const char *error = NULL;
		size_t n = 0;

		while (rows[i].words[n] != NULL)
			n++;

		int result = signing_rules_read(ctx, rows[i].words, n, &rules, &error);

		if (result != (rows[i].error == NULL ? 0 : -1) ||
		    (result != 0 && strstr(error, rows[i].error) == NULL))
			fail_msg("%s: %d, %s", rows[i].label, result,
			    error == NULL ? "no error" : error);
		if (result == 0) {
			const char *got =
			    covered_names(ctx, signing_plan(ctx, &rules, "b.example", list), list);

			if (strcmp(got, rows[i].covered) != 0)
				fail_msg("%s: got %s", rows[i].label, got);
		}
		talloc_free(ctx);
	}
}

/* An MTA that adds a missing Date or Message-ID behind the filter. */
static void
test_mta_completes(void **state)
{
	static const char *const words[] = { "(o)date", "(o)message-id", "(o)subject" };
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct signing_rules rules;
	struct header_list *without = list_of(ctx, "From"),
			   *with = list_of(ctx, "From|Date|Message-Id");
	const char *error;

	(void)state;
	assert_int_equal(signing_rules_read(ctx, words, N(words), &rules, &error), 0);
	assert_string_equal(covered_names(ctx, signing_plan(ctx, &rules, "b", without), without),
	    "From,/From,date,message-id,subject,");
	rules.mta_completes = true;
	assert_string_equal(covered_names(ctx, signing_plan(ctx, &rules, "b", without), without),
	    "From,/From,subject,");
	assert_string_equal(covered_names(ctx, signing_plan(ctx, &rules, "b", with), with),
	    "From,Date,Message-Id,/From,date,message-id,subject,");
	talloc_free(ctx);
}

/* A field that Sendmail will write anew is left out. */
static void
test_rewritten(void **state)
{
	static const struct {
		const char *label, *to;
		bool covered;
	} rows[] = {
		{ "with a domain", " bob@elsewhere.example", true },
		{ "without", " bob", false },
		{ "one of two without", " bob@elsewhere.example, carol", false },
		{ "within a group", " team: bob;", false },
		{ "an empty group", " undisclosed-recipients:;", true },
		{ "nothing that has to do with addresses", " <<", false },
		{ "empty", "", true },
		{ "only named so", " bob <bob@elsewhere.example>", true },
		{ "two", " a@b.example, c@d.example", true },
		{ "two in two lines", " a@b.example,\n\tc@d.example", true },
		{ "no space after the comma", " a@b.example,c@d.example", false },
		{ "a space before the comma", " a@b.example , c@d.example", false },
		{ "a fold before the comma", " a@b.example\n , c@d.example", false },
		{ "a comma at the end", " a@b.example,", false },
		{ "an empty element", " a@b.example, , c@d.example", false },
		{ "a semicolon", " a@b.example; c@d.example", false },
		{ "a source route", " <@x.example,@y.example:a@b.example>", false },
		{ "a dot at the end", " a@b.example.", false },
		{ "a dot at the end, in angles", " A <a@b.example.>", false },
		{ "spaces around the at sign", " a @ b.example", false },
		{ "a space before the at sign", " a @b.example", false },
		{ "a space after the at sign", " a@ b.example", false },
		{ "a space in the domain", " a@b .example", false },
		{ "spaces in angles", " A < a@b.example >", false },
		{ "a space before the angle closes", " A <a@b.example >", false },
		{ "a comment in the address", " a(x)@b.example", false },
		{ "a comment right behind it", " a@b.example(x)", false },
		{ "a comment behind it", " a@b.example (A (B) <x@y>, C)", true },
		{ "a comment before it", " (x) a@b.example", true },
		{ "a comment in the name", " A (x) <a@b.example>", true },
		{ "a comment in angles", " A <a@b.example (x)>", false },
		{ "a name in quotes", " \"A, \\\"B\" <a@b.example>, c@d.example", true },
		{ "no space before the angle", " A<a@b.example>", true },
		{ "angles alone", " <a@b.example>", true },
		{ "an address as a name", " a@b.example <a@b.example>", false },
		{ "the same in quotes", " \"a@b.example\" <a@b.example>", true },
		{ "text behind the angle", " <a@b.example> x", false },
		{ "two angles", " A <a@b.example> <c@d.example>", false },
		{ "a literal", " a@[192.0.2.1]", true },
		{ "an IPv6 literal", " A <a@[IPv6:2001:db8::1]>, c@d.example", true },
		{ "localhost", " a@localhost", false },
		{ "a quoted local part", " \"a b\"@c.example", true },
		{ "a group", " team: a@b.example, c@d.example;", true },
		{ "a group and one more", " team: a@b.example;, c@d.example", true },
		{ "a group without the space", " team:a@b.example,c@d.example;", false },
		{ "a space before the semicolon", " team : a@b.example ;", false },
		{ "a group that does not end", " team: a@b.example", false },
		{ "a semicolon too many", " team: a@b.example;;", false },
		{ "a comma inside angles", " <a@b.example, c@d.example>", false },
		{ "a quote that does not end", " \"A <a@b.example>", false },
		{ "a comment that does not end", " a@b.example (A", false },
		{ "null", " <>", false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct header_list *list = list_of(ctx, "From");
		struct signing_rules rules;
		struct sign_plan *plan;

		header_append(list, "To", 2, rows[i].to, strlen(rows[i].to));
		signing_rules_default(&rules);
		plan = signing_plan(ctx, &rules, "b.example", list);
		assert_true(plan->covered[1]);
		rules.mta_completes = true;
		plan = signing_plan(ctx, &rules, "b.example", list);
		if (plan->covered[1] != rows[i].covered)
			fail_msg("%s", rows[i].label);
		for (size_t k = 0; k < plan->n_oversigned; k++)
			if (strcasecmp(plan->oversigned[k], "To") == 0 && !rows[i].covered)
				fail_msg("%s: To is oversigned", rows[i].label);
		talloc_free(ctx);
	}
}

/* A long address with its name, or a long parameter, does not fit the buffers of Sendmail. */
static void
test_rewritten_long(void **state)
{
	static const struct {
		const char *field, *format;
		int n;
		bool covered;
	} rows[] = {
		{ "To", " %0*d <a@b.example>", 200, true },
		{ "To", " %0*d <a@b.example>", 260, false },
		{ "To", " \"%0*d\" <a@b.example>", 260, false },
		{ "To", " a@b.example (%0*d)", 260, false },
		{ "To", " a@b.example, c@d.example (%0*d)", 225, true },
		{ "Reply-To", " c@d.example, %0*d <a@b.example>", 260, false },
		{ "Content-Type", " text/plain; x=\"%0*d\"; charset=utf-8", 900, true },
		{ "Content-Type", " text/plain; x=\"%0*d\"; charset=utf-8", 1020, false },
		{ "Subject", " %0*d", 900, true },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct header_list *list = list_of(ctx, "From");
		const char *value;
		struct signing_rules rules;
		struct sign_plan *plan;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		value = talloc_asprintf(ctx, rows[i].format, rows[i].n, 1);
#pragma GCC diagnostic pop
		header_append(list, rows[i].field, strlen(rows[i].field), value, strlen(value));
		signing_rules_default(&rules);
		rules.mta_completes = true;
		plan = signing_plan(ctx, &rules, "b.example", list);
		if (plan->covered[1] != rows[i].covered)
			fail_msg("%s:%s of %d", rows[i].field, rows[i].format, rows[i].n);
		talloc_free(ctx);
	}
}

static void
test_bounds(void **state)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct signing_rules rules;
	struct header_list *list = list_of(ctx, "From");

	(void)state;
	signing_rules_default(&rules);
	for (size_t i = 0; i < SIGNING_COVERED_MAX - 6; i++)
		header_append(list, "To", 2, " x", 2);
	assert_null(signing_plan(ctx, &rules, "b", list)->problem);
	header_append(list, "To", 2, " x", 2);
	assert_string_equal(signing_plan(ctx, &rules, "b", list)->problem,
	    "there are too many header fields to sign");

	list = list_of(ctx, "From");
	for (size_t i = 0; i < 200; i++)
		header_append(list, "Content-Transfer-Encoding", 25, " x", 2);
	assert_string_equal(signing_plan(ctx, &rules, "b", list)->problem,
	    "there are too many header fields to sign");

	list = list_of(ctx, "From");
	header_append(list, "Subject", 7, " a\0b", 4);
	assert_string_equal(signing_plan(ctx, &rules, "b", list)->problem,
	    "a header field holds a NUL byte");

	list = header_list_new(ctx, 30);
	header_append(list, "From", 4, " x", 2);
	header_append(list, "X-Long", 6, " 0123456789012345678901234567890", 30);
	assert_true(list->too_many);
	assert_string_equal(signing_plan(ctx, &rules, "b", list)->problem,
	    "there are too many header fields to sign");
	talloc_free(ctx);
}

/* Lines that the MTA would break: folded if they can be, else not signed. */
static void
test_fold(void **state)
{
	static const struct {
		const char *label, *value;
		size_t max;
		const char *folded;	/* NULL: it cannot be */
	} rows[] = {
		{ "at the last space that fits", " aaa bbb ccc", 10, " aaa\n bbb ccc" },
		{ "just fits", " aaa bbb", 13, " aaa bbb" },
		{ "one too long", " aaa bbb", 9, " aaa\n bbb" },
		{ "a word too long", " aaaaaaaaaaaa", 10, NULL },
		{ "a later word too long", " a bbbbbbbbbbbb", 10, NULL },
		{ "folds stay", " aaa\n bbb ccc ddd", 9, " aaa\n bbb ccc\n ddd" },
		{ "runs of white space stay", " aaa  \t bbb", 12, " aaa  \t\n bbb" },
		{ "no line of white space alone", "            aaa bbb", 14, NULL },
		{ "a tab", "\taaa\tbbb", 9, "\taaa\n\tbbb" },
		{ "blanks at the end", " aaa bbb     ", 9, " aaa\n bbb     " },
		{ "too many blanks at the end", " aaa bbb           ", 9, NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		const struct header_field field = { "Name", 4, rows[i].value,
			strlen(rows[i].value) };
		char *folded = fold_value(ctx, &field, rows[i].max);

		if (rows[i].folded == NULL ? folded != NULL
					   : folded == NULL || strcmp(folded, rows[i].folded) != 0)
			fail_msg("%s: \"%s\"", rows[i].label, folded != NULL ? folded : "NULL");
		talloc_free(ctx);
	}
}

/* long_text - a text of n octets with a space after each 50, or none */
static char *
long_text(TALLOC_CTX *ctx, size_t n, bool spaces)
{
	char *text = mem_array(ctx, char, n + 1);

	memset(text, 'a', n);
	for (size_t i = 0; spaces && i < n; i += 50)
		text[i] = ' ';
	text[0] = ' ';
	return text;
}

static void
test_long_lines(void **state)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct header_list *list = header_list_new(ctx, 1000000);
	struct signing_rules rules;
	struct sign_plan *plan;

	(void)state;
	signing_rules_default(&rules);
	header_append(list, "From", 4, " a@b", 4);
	header_append(list, "References", 10, long_text(ctx, 1500, true), 1500);
	header_append(list, "Subject", 7, long_text(ctx, 1500, false), 1500);
	plan = signing_plan(ctx, &rules, "b", list);
	assert_true(plan->covered[1] && plan->covered[2]);
	assert_null(plan->folded[1]);
	rules.line_max = 998;
	plan = signing_plan(ctx, &rules, "b", list);
	assert_true(plan->covered[1]);
	assert_non_null(plan->folded[1]);
	assert_int_equal(strlen(plan->folded[1]), 1501);
	assert_false(plan->covered[2]);
	for (size_t i = 0; i < plan->n_oversigned; i++)
		assert_string_not_equal(plan->oversigned[i], "Subject");
	assert_null(plan->risk);
	header_append(list, "X-Long", 6, long_text(ctx, 1500, false), 1500);
	list->fields[0].value = long_text(ctx, 1500, false);
	list->fields[0].value_len = 1500;
	plan = signing_plan(ctx, &rules, "b", list);
	assert_true(plan->covered[0]);
	assert_string_equal(plan->risk, "long-line");
	talloc_free(ctx);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_default_list),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_mta_completes),
		cmocka_unit_test(test_rewritten),
		cmocka_unit_test(test_rewritten_long),
		cmocka_unit_test(test_bounds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
