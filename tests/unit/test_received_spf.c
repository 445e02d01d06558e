/*
 * test_received_spf.c - Received-SPF: written to the grammar, forged ones found
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

#include "policy/base/mem.h"
#include "policy/verdict/received_spf.h"

#define RECEIVER "mx.example.org"

static void
test_values(void **state)
{
	static const struct {
		const char *label;
		enum spf_identity identity;
		struct facts facts;
		const char *value;
	} rows[] = {
		{ "fail of MAIL FROM", SPF_IDENTITY_MAILFROM,
		    { .sender = "ceo@bank.example",
			.spf_client = "203.0.113.9",
			.spf_client_helo = "mail.s.example",
			.spf_mailfrom = { .result = SPF_IS_FAIL,
			    .domain = "bank.example",
			    .sender = "ceo@bank.example" } },
		    " fail (mx.example.org:\n\tthe domain of ceo@bank.example does not permit 203.0.113.9)\n"
		    "\treceiver=mx.example.org; identity=mailfrom; client-ip=203.0.113.9;\n"
		    "\tenvelope-from=\"ceo@bank.example\"; helo=mail.s.example" },
		{ "pass of HELO, IPv6, null sender", SPF_IDENTITY_HELO,
		    { .sender = "",
			.spf_client = "2001:db8::7",
			.spf_client_helo = "out.f.example",
			.spf_helo = { .result = SPF_IS_PASS,
			    .domain = "out.f.example",
			    .sender = "postmaster@out.f.example" } },
		    " pass (mx.example.org:\n\tthe HELO name out.f.example permits 2001:db8::7)\n"
		    "\treceiver=mx.example.org; identity=helo; client-ip=\"2001:db8::7\";\n"
		    "\tenvelope-from=\"<>\"; helo=out.f.example" },
		{ "an error and its problem", SPF_IDENTITY_MAILFROM,
		    { .sender = "a@b.example",
			.spf_client = "192.0.2.1",
			.spf_client_helo = NULL,
			.spf_mailfrom = { .result = SPF_IS_PERMERROR,
			    .domain = "b.example",
			    .sender = "a@b.example",
			    .problem = "unknown mechanism in \"moo\"" } },
		    " permerror (mx.example.org:\n\tthe record of the domain of a@b.example is in error, client 192.0.2.1)\n"
		    "\treceiver=mx.example.org; identity=mailfrom; client-ip=192.0.2.1;\n"
		    "\tenvelope-from=\"a@b.example\"; problem=\"unknown mechanism in \\\"moo\\\"\"" },
		{ "a record of this site", SPF_IDENTITY_MAILFROM,
		    { .sender = "a@b.example",
			.spf_client = "192.0.2.1",
			.spf_client_helo = "x",
			.spf_mailfrom = { .result = SPF_IS_NEUTRAL,
			    .domain = "b.example",
			    .sender = "a@b.example",
			    .local = true } },
		    " neutral (mx.example.org:\n\tthe domain of a@b.example neither permits nor denies 192.0.2.1, by a record of this site)\n"
		    "\treceiver=mx.example.org; identity=mailfrom; client-ip=192.0.2.1;\n"
		    "\tenvelope-from=\"a@b.example\"; helo=x" },
		{ "the term that decided, and what DNS said before", SPF_IDENTITY_MAILFROM,
		    { .sender = "a@b.example",
			.spf_client = "192.0.2.1",
			.spf_client_helo = "x",
			.spf_mailfrom = { .result = SPF_IS_FAIL,
			    .domain = "b.example",
			    .sender = "a@b.example",
			    .mechanism = "-all",
			    .stale = true } },
		    " fail (mx.example.org:\n\tthe domain of a@b.example does not permit "
		    "192.0.2.1, by what DNS had before it failed)\n"
		    "\treceiver=mx.example.org; identity=mailfrom; client-ip=192.0.2.1;\n"
		    "\tenvelope-from=\"a@b.example\"; helo=x; mechanism=-all" },
		{ "no HELO, no field", SPF_IDENTITY_HELO,
		    { .sender = "a@b.example",
			.spf_client = "192.0.2.1",
			.spf_helo = { .result = SPF_IS_NONE, .domain = "" } },
		    NULL },
		{ "nothing that ends a comment, a quoted string or a line", SPF_IDENTITY_MAILFROM,
		    { .sender = "a)(\\\"\r\n@b.example",
			.spf_client = "192.0.2.1",
			.spf_client_helo = "..\r\nX: y",
			.spf_mailfrom = { .result = SPF_IS_NONE,
			    .domain = "b.example",
			    .sender = "a)(\\\"\r\n@b.example" } },
		    " none (mx.example.org:\n\tthe domain of a\\)\\(\\\\\"\?\?@b.example has no SPF record for 192.0.2.1)\n"
		    "\treceiver=mx.example.org; identity=mailfrom; client-ip=192.0.2.1;\n"
		    "\tenvelope-from=\"a)(\\\\\\\"\?\?@b.example\"; helo=\"..\?\?X: y\"" },
		{ "not checked", SPF_IDENTITY_HELO, { .sender = "a@b.example" }, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *value = received_spf_write(NULL, RECEIVER, &rows[i].facts, rows[i].identity);

		if (rows[i].value == NULL)
			assert_null(value);
		else if (value == NULL || strcmp(value, rows[i].value) != 0)
			fail_msg("%s:%s", rows[i].label, value);
		talloc_free(value);
	}
}

/* Every result has its word, and no line comes near 998 octets however long the values. */
static void
test_bounds(void **state)
{
	char longest[3000];
	enum spf_result result;
	const char *line;

	(void)state;
	memset(longest, '(', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (result = SPF_IS_NONE; result <= SPF_IS_PERMERROR; result++) {
		const struct facts facts = { .sender = longest,
			.spf_client = "192.0.2.1",
			.spf_client_helo = longest,
			.spf_mailfrom = { .result = result,
			    .domain = longest,
			    .sender = longest,
			    .problem = longest } };
		char *value = received_spf_write(NULL, RECEIVER, &facts, SPF_IDENTITY_MAILFROM);

		assert_non_null(value);
		for (line = value; line != NULL; line = strchr(line + 1, '\n'))
			assert_true(strcspn(line + 1, "\n") < 900);
		talloc_free(value);
	}
}

static void
test_forged(void **state)
{
	static const struct {
		const char *value;
		bool ours;
	} rows[] = {
		{ " pass (mx.example.org: domain of x) receiver=mx.example.org;", true },
		{ " pass receiver=MX.Example.ORG", true },
		{ " pass receiver=\"mx.example.org\"; client-ip=1", true },
		{ " pass receiver=\"mx\\.exam\\ple.org.\"", true },
		{ " pass receiver=\n\tmx.example.org", true },
		{ " pass receiver=mx.exam\n ple.org", false },
		{ " pass (mx.example.org: permits)", true },
		{ " pass receiver=other.example; x=mx.example.organic", false },
		{ " pass receiver=amx.example.org", false },
		{ " pass receiver=a.mx.example.org", false },
		{ " pass receiver=mx.example.org.other.example", false },
		{ " pass receiver=other.example", false },
		{ "", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (received_spf_is_ours(rows[i].value, strlen(rows[i].value), RECEIVER) !=
		    rows[i].ours)
			fail_msg("%s", rows[i].value);
	assert_true(received_spf_is_ours(" p\0mx.example.org", 17, RECEIVER));
}

static void
test_plan(void **state)
{
	struct facts facts = { .role = ROLE_INBOUND,
		.sender = "a@b.example",
		.spf_client = "192.0.2.1",
		.spf_helo = { .result = SPF_IS_NONE, .domain = "h.example" },
		.spf_mailfrom = {
		    .result = SPF_IS_PASS, .domain = "b.example", .sender = "a@b.example" } };
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct header_list *list = header_list_new(ctx, 10000);
	struct edits edits;

	(void)state;
	header_append(list, "received-spf", 12, " pass receiver=mx.example.org", 29);
	header_append(list, "Received-SPF", 12, " pass receiver=other.example", 28);
	header_append(list, "Received-SPF", 12, " pass receiver=mx.example.org", 29);
	edits_plan(ctx, list, &facts, RECEIVER, NULL, &edits);
	received_spf_plan(ctx, list, &facts, RECEIVER, true, &edits);
	assert_int_equal(edits.n_deletes, 2);
	assert_int_equal(edits.deletes[0].index, 3);
	assert_int_equal(edits.deletes[1].index, 1);
	assert_int_equal(edits.n_inserts, 3);
	assert_non_null(strstr(edits.inserts[0].value, "identity=helo"));
	assert_non_null(strstr(edits.inserts[1].value, "identity=mailfrom"));
	assert_string_equal(edits.inserts[2].name, "Authentication-Results");

	/* a null sender: one check, one field */
	facts.sender = "";
	edits_plan(ctx, list, &facts, RECEIVER, NULL, &edits);
	received_spf_plan(ctx, list, &facts, RECEIVER, true, &edits);
	assert_int_equal(edits.n_inserts, 2);
	assert_non_null(strstr(edits.inserts[0].value, "identity=helo"));

	/* where none are written, forged ones go all the same */
	edits_plan(ctx, list, &facts, RECEIVER, NULL, &edits);
	received_spf_plan(ctx, list, &facts, RECEIVER, false, &edits);
	assert_int_equal(edits.n_inserts, 1);
	assert_int_equal(edits.n_deletes, 2);
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_plan),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
