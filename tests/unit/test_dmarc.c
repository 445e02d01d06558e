/*
 * test_dmarc.c - DMARC records, walks and addresses of reports; the whole is in
 * tests/talk/dmarc.test
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
#include "policy/dmarc/address.h"
#include "policy/dmarc/judge.h"
#include "policy/dmarc/record.h"
#include "policy/dmarc/walk.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

/* letters - n, q, r: what p, sp and np come to */
static char
letter(enum dmarc_policy policy)
{
	return "nqr"[policy];
}

static void
test_record(void **state)
{
	static const struct {
		const char *text;
		const char *policies;	/* p, sp, np as letters; NULL: it is no record */
		bool usable, testing, strict_dkim, strict_spf;
		enum dmarc_psd psd;
	} rows[] = {
		{ "v=DMARC1; p=none", "nnn", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1;p=reject", "rrr", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "V=DMARC1;p=reject", "rrr", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v\t=\tDMARC1\t;\tp\t=\treject\t", "rrr", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; p=reject; sp=quarantine; np=none", "rqn", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; p=reject; np=none", "rrn", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; p=quarantine; sp=none", "qnn", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; p=reject; t=y; adkim=s; aspf=s; psd=n", "rrr", true, true, true, true, DMARC_PSD_NO },
		{ "v=DMARC1; p=reject; psd=y; t=n; adkim=r", "rrr", true, false, false, false, DMARC_PSD_YES },
		{ "v=DMARC1; p=reject; psd=u; t=x; adkim=x; aspf=", "rrr", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; p=reject; pct=0; rf=afrf; ri=1", "rrr", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; rubbish; p=reject", "rrr", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; p=none; p=reject", "nnn", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; p=reject \xff", "nnn", false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1", "nnn", false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; sp=reject", "nnn", false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; p=", "nnn", false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; rua=mailto:a@b", "nnn", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; rua=b", "nnn", false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1; p=reject; sp=x; rua=b, mailto:a@b!1m", "nnn", true, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=dmarc1; p=reject", NULL, false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC10; p=reject", NULL, false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=DMARC1 p=reject", NULL, false, false, false, false, DMARC_PSD_UNKNOWN },
		{ " v=DMARC1; p=reject", NULL, false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "p=reject; v=DMARC1", NULL, false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v", NULL, false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "v=", NULL, false, false, false, false, DMARC_PSD_UNKNOWN },
		{ "", NULL, false, false, false, false, DMARC_PSD_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct dmarc_record record;
		bool is_record =
		    dmarc_record_read(ctx, rows[i].text, strlen(rows[i].text), &record);

		if (is_record != (rows[i].policies != NULL))
			fail_msg("\"%s\" is%s a record", rows[i].text, is_record ? "" : " not");
		if (is_record &&
		    (letter(record.p) != rows[i].policies[0] ||
			letter(record.sp) != rows[i].policies[1] ||
			letter(record.np) != rows[i].policies[2] ||
			record.usable != rows[i].usable || record.testing != rows[i].testing ||
			record.strict_dkim != rows[i].strict_dkim ||
			record.strict_spf != rows[i].strict_spf || record.psd != rows[i].psd))
			fail_msg("\"%s\": %c%c%c, usable %d", rows[i].text, letter(record.p),
			    letter(record.sp), letter(record.np), record.usable);
		talloc_free(ctx);
	}
}

static void
test_faults(void **state)
{
	static const struct {
		const char *text, *part; /* of the fault; NULL: there is none */
	} rows[] = {
		{ "v=DMARC1; p=none", NULL },
		{ "v=DMARC1; p=reject; sp=none; np=reject; adkim=s; aspf=R; rua=mailto:a@b;", NULL },
		{ "v=DMARC1; p=none; pct=50; ri=1; rf=afrf; x-mine=1; ;", NULL },
		{ "v=DMARC1", "p= is missing" },
		{ "v=DMARC1; rua=mailto:a@b", "p= is missing" },
		{ "v=DMARC1; p=monitor", "p= is neither" },
		{ "v=DMARC1; p=none; sp=x", "sp=" },
		{ "v=DMARC1; p=none; np=x", "np=" },
		{ "v=DMARC1; rua=mailto:a@b; p=none", "right after" },
		{ "v=DMARC1; p=none; adkim=strict", "adkim=" },
		{ "v=DMARC1; p=none; aspf=", "aspf=" },
		{ "v=DMARC1; p=none; rua=a@b", "rua=" },
		{ "v=DMARC1; p=none, rua=mailto:a@b", "p= is neither" },
		{ "v=DMARC1; p=none; rubbish", "no =" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct dmarc_record record;

		assert_true(dmarc_record_read(ctx, rows[i].text, strlen(rows[i].text), &record));
		if ((record.fault != NULL) != (rows[i].part != NULL) ||
		    (record.fault != NULL && strstr(record.fault, rows[i].part) == NULL))
			fail_msg("\"%s\": %s", rows[i].text,
			    record.fault != NULL ? record.fault : "no fault");
		talloc_free(ctx);
	}
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *rua,
		    *addresses; /* of mailto: URIs, with blanks between; "-": another scheme */
	} rows[] = {
		{ "mailto:a@b.example", "a@b.example " },
		{ " mailto:a@b.example , MAILTO:c@d.example ", "a@b.example c@d.example " },
		{ "mailto:a@b.example!10m,mailto:c@d.example!", "a@b.example c@d.example " },
		{ "https://b.example/report,mailto:a@b.example", "- a@b.example " },
		{ "a@b.example", "" },
		{ "mailto:", "" },
		{ "mailto:a", "" },
		{ "mailto:@b", "" },
		{ "mailto:a@", "" },
		{ "mailto:a b@c.example", "" },
		{ ",,!,mailto:a@b,", "a@b " },
		{ "1x:a@b", "" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct span rest = text_span(rows[i].rua);
		char *found = mem_strdup(ctx, "");
		struct dmarc_uri uri;

		while (dmarc_uri_next(&rest, &uri))
			found = mem_check(talloc_asprintf_append(found, "%.*s ",
			    (int)(uri.mailto.len > 0 ? uri.mailto.len : 1),
			    uri.mailto.len > 0 ? uri.mailto.at : "-"));
		if (strcmp(found, rows[i].addresses) != 0)
			fail_msg("\"%s\": \"%s\"", rows[i].rua, found);
		talloc_free(ctx);
	}
}

/* The mailbox that a URI means, and its size limit. */
static void
test_mailboxes(void **state)
{
	static const struct { const char *rua, *mailbox; uint64_t max; } rows[] = {
		{ "mailto:D+x@B.Example!10m", "D+x@b.example", 10 * 1024 * 1024 },
		{ "mailto:d@b.example!5", "d@b.example", 5 },
		{ "mailto:d@b.example!2K", "d@b.example", 2048 },
		{ "mailto:d@b.example!x", "d@b.example", 0 },
		{ "mailto:d@b.example!999999999999999999999t", "d@b.example", 0 },
		{ "mailto:a%2Bb@b.example?subject=x", "a+b@b.example", 0 },
		{ "mailto:d@b\303\274cher.example", NULL, 0 },
		{ "mailto:a%40c@b.example", NULL, 0 },
		{ "mailto:a%0aBcc:c@b.example", NULL, 0 },
		{ "mailto:a%2@b.example", NULL, 0 },
		{ "mailto:-oQ/tmp@b.example", NULL, 0 },
		{ "mailto:|sh@b.example", NULL, 0 },
		{ "mailto:a!c@b.example", NULL, 0 },
		{ "mailto:a@[192.0.2.1]", NULL, 0 },
		{ "mailto:a@localhost", NULL, 0 },
		{ "mailto:a@b..example", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct span rest = text_span(rows[i].rua);
		const char *mailbox = NULL, *domain = NULL, *error = NULL;
		struct dmarc_uri uri;

		if (dmarc_uri_next(&rest, &uri))
			mailbox = dmarc_mailbox(ctx, uri.mailto, &domain, &error);
		if ((mailbox == NULL) != (rows[i].mailbox == NULL) ||
		    (mailbox != NULL && strcmp(mailbox, rows[i].mailbox) != 0))
			fail_msg("%s: %s", rows[i].rua, mailbox != NULL ? mailbox : error);
		if (mailbox != NULL)
			assert_int_equal(uri.max, rows[i].max);
		talloc_free(ctx);
	}
}

static void
test_names(void **state)
{
	static const struct { const char *domain, *names;
	} rows[] = {
		{ "example", "example " },
		{ "a.example", "a.example example " },
		{ "a.b.c.d.e.f.g", "a.b.c.d.e.f.g b.c.d.e.f.g c.d.e.f.g d.e.f.g e.f.g f.g g " },
		{ "a.b.c.d.e.f.g.h",
		    "a.b.c.d.e.f.g.h b.c.d.e.f.g.h c.d.e.f.g.h d.e.f.g.h e.f.g.h f.g.h g.h h " },
		/* the example of RFC 9989 section 4.10 */
		{ "a.b.c.d.e.f.g.h.i.j.mail.example.com",
		    "a.b.c.d.e.f.g.h.i.j.mail.example.com g.h.i.j.mail.example.com h.i.j.mail.example.com "
		    "i.j.mail.example.com j.mail.example.com mail.example.com example.com com " },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		const char *names[DMARC_WALK_MAX];
		size_t n = dmarc_walk_names(rows[i].domain, names);
		char *found = mem_strdup(ctx, "");

		for (size_t j = 0; j < n; j++)
			found = mem_check(talloc_asprintf_append(found, "%s ", names[j]));
		assert_string_equal(found, rows[i].names);
		talloc_free(ctx);
	}
}

/* What is not asked, or silent, never gives an organisation. */
static void
test_silent_walk(void **state)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct dmarc_answer items[3];
	struct dmarc_answers answers = { items, 0 };
	const char *text = "v=DMARC1; p=reject";
	size_t len = strlen(text);
	struct dmarc_walk walk;

	(void)state;
	dmarc_walk("a.example", &answers, &walk);
	assert_null(walk.organisation);
	assert_string_equal(walk.silent, "a.example");
	assert_string_equal(walk.highest, "example");
	dmarc_answer_read(ctx, "a.example", &text, &len, 1, &items[0]);
	answers.n = 1;
	dmarc_walk("a.example", &answers, &walk);
	assert_null(walk.organisation);
	assert_ptr_equal(walk.own, &items[0]);
	assert_string_equal(walk.silent, "example");
	assert_true(dmarc_needs_walk(&walk, "b.example"));
	assert_false(dmarc_needs_walk(&walk, "a.test"));
	dmarc_answer_read(ctx, "example", NULL, NULL, 0, &items[1]);
	answers.n = 2;
	dmarc_walk("a.example", &answers, &walk);
	assert_string_equal(walk.organisation, "a.example");
	assert_false(dmarc_needs_walk(&walk, "b.example"));
	assert_false(dmarc_needs_walk(&walk, "a.example"));
	assert_true(dmarc_needs_walk(&walk, "x.a.example"));
	talloc_free(ctx);
}

static void
test_merge(void **state)
{
	struct dmarc_fact pass = { .result = DMARC_IS_PASS, .domains = 1 },
			  none = { .result = DMARC_IS_NONE, .domains = 1 },
			  silent = { .result = DMARC_IS_TEMPERROR, .domains = 1 },
			  held = { .result = DMARC_IS_FAIL,
				  .policy = DMARC_POLICY_QUARANTINE,
				  .domains = 1 },
			  rejected = { .result = DMARC_IS_FAIL,
				  .policy = DMARC_POLICY_REJECT,
				  .domains = 1 };
	const struct dmarc_fact *order[] = { &pass, &none, &silent, &held, &rejected };

	(void)state;
	for (size_t i = 0; i < N(order); i++) {
		for (size_t j = 0; j < N(order); j++) {
			struct dmarc_fact fact = *order[i];
			const struct dmarc_fact *worse = order[i > j ? i : j];

			dmarc_merge(&fact, order[j]);
			assert_int_equal(fact.result, worse->result);
			assert_int_equal(fact.policy, worse->policy);
			assert_int_equal(fact.domains, 2);
		}
	}
	dmarc_settle(&pass, "there are several From fields", false, false);
	assert_int_equal(pass.result, DMARC_IS_PERMERROR);
	dmarc_settle(&rejected, "there are several From fields", false, false);
	assert_int_equal(rejected.result, DMARC_IS_FAIL);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_mailboxes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_silent_walk),
		cmocka_unit_test(test_merge),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
