/*
 * test_header.c - the header section, and who it says sent the message
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
#include "policy/sender/header.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))
#define FIELDS_MAX	8

static const struct address_rules rules = { .fold_local = true };

/* add - append a field given as two strings */
static void
add(struct header_list *list, const char *name, const char *value)
{
	header_append(list, name, strlen(name), value, strlen(value));
}

static void
test_list(void **state)
{
	struct header_list *list = header_list_new(NULL, 1000);
	const struct header_field *field;

	(void)state;
	add(list, "Received", " one");
	add(list, "From", " a@b.example");
	add(list, "RECEIVED \t", " two");
	add(list, "Empty", "");
	header_append(list, "X-Nul", 5, " a\0b", 4);
	assert_int_equal(list->n, 5);
	assert_int_equal(list->seen, 5);
	assert_false(list->too_many);
	assert_int_equal(header_count(list, "received"), 2);
	assert_int_equal(header_count(list, "Receive"), 0);
	assert_int_equal(header_count(list, "From"), 1);
	field = header_find(list, "Received", 1);
	assert_non_null(field);
	assert_string_equal(field->value, " two");
	assert_string_equal(field->name, "RECEIVED \t");
	assert_null(header_find(list, "Received", 2));
	assert_null(header_find(list, "To", 0));
	field = header_find(list, "x-nul", 0);
	assert_int_equal(field->value_len, 4);
	assert_memory_equal(field->value, " a\0b", 5);
	assert_int_equal(header_find(list, "Empty", 0)->value_len, 0);
	talloc_free(list);
}

static void
test_bounds(void **state)
{
	struct header_list *list = header_list_new(NULL, 20);

	(void)state;
	add(list, "A", "123456789");	/* 10 octets */
	add(list, "B", "123456789");	/* 20 */
	assert_false(list->too_many);
	add(list, "C", "");		/* 21: does not fit */
	assert_true(list->too_many);
	add(list, "", "");		/* fits, but comes behind one that did not */
	assert_int_equal(list->n, 2);
	assert_int_equal(list->seen, 4);
	assert_int_equal(list->octets, 20);
	talloc_free(list);

	list = header_list_new(NULL, 1024 * 1024);
	for (size_t i = 0; i < HEADER_FIELDS_MAX; i++)
		add(list, "A", " b");
	assert_false(list->too_many);
	add(list, "From", " a@b.example");
	assert_true(list->too_many);
	assert_int_equal(list->n, HEADER_FIELDS_MAX);
	assert_int_equal(list->seen, HEADER_FIELDS_MAX + 1);
	assert_int_equal(header_count(list, "From"), 0);
	talloc_free(list);
}

/* A header section, and what is read in it. */
struct row {
	const char *label;
	const char *fields[FIELDS_MAX];	/* "Name:value" */
	const char *claims;		/* "F:a@b S:c@d" in order; f and s for Resent- */
	size_t from_fields;
	const char *malformed_field;	/* NULL: nothing is malformed */
	size_t displays;
};

static const struct row rows[] = {
	{ "plain", { "From: a@x.example" }, "F:a@x.example", 1, NULL, 0 },
	{ "name in other case", { "FROM: a@x.example" }, "F:a@x.example", 1, NULL, 0 },
	{ "blank before the colon", { "From : a@x.example" }, "F:a@x.example", 1, NULL, 0 },
	{ "no From", { "To: a@x.example", "Subject: From: a@x.example" }, "", 0, NULL, 0 },
	{ "nothing", { NULL }, "", 0, NULL, 0 },
	{ "two From", { "From: a@x.example", "From: b@x.example" }, "", 2, NULL, 0 },
	{ "two equal From", { "From: a@x.example", "from: a@x.example" }, "", 2, NULL, 0 },
	{ "second From with a blank", { "From: a@x.example", "From\t: b@x.example" }, "", 2, NULL, 0 },
	{ "two From, Sender is still read", { "From: a@x.example", "From: b@x.example", "Sender: c@x.example" }, "S:c@x.example", 2, NULL, 0 },
	{ "several mailboxes", { "From: a@x.example, b@x.example", "Sender: a@x.example" }, "F:a@x.example F:b@x.example S:a@x.example", 1, NULL, 0 },
	{ "Sender before From", { "Sender: c@x.example", "From: a@x.example" }, "F:a@x.example S:c@x.example", 1, NULL, 0 },
	{ "two Sender", { "From: a@x.example", "Sender: b@x.example", "Sender: b@x.example" }, "F:a@x.example", 1, "Sender", 0 },
	{ "Sender with two addresses", { "From: a@x.example", "Sender: b@x.example, c@x.example" }, "F:a@x.example", 1, "Sender", 0 },
	{ "Sender with a group, RFC 6854", { "From: a@x.example", "Sender: G: b@x.example, c@x.example;" }, "F:a@x.example S:b@x.example S:c@x.example", 1, NULL, 0 },
	{ "Sender with a group and one more", { "From: a@x.example", "Sender: G: b@x.example;, c@x.example" }, "F:a@x.example", 1, "Sender", 0 },
	{ "Sender with an empty group", { "From: a@x.example", "Sender: nobody:;" }, "F:a@x.example", 1, NULL, 0 },
	{ "empty Sender", { "From: a@x.example", "Sender:" }, "F:a@x.example", 1, "Sender", 0 },
	{ "malformed Sender", { "From: a@x.example", "Sender: b" }, "F:a@x.example", 1, "Sender", 0 },
	{ "malformed From", { "From: <a@x.example> <b@x.example>", "Sender: c@x.example" }, "S:c@x.example", 1, "From", 0 },
	{ "both malformed: From is named", { "Sender: b", "From: a" }, "", 1, "From", 0 },
	{ "empty group in From", { "From: undisclosed:;" }, "", 1, "From", 0 },
	{ "empty From", { "From:" }, "", 1, "From", 0 },
	{ "group in From", { "From: G: a@x.example, b@x.example;" }, "F:a@x.example F:b@x.example", 1, NULL, 0 },
	{ "Resent", { "Resent-From: r@x.example", "Resent-Sender: s@x.example", "From: a@x.example" }, "F:a@x.example f:r@x.example s:s@x.example", 1, NULL, 0 },
	{ "resent twice", { "Resent-From: r@x.example", "Resent-Date: x", "Resent-From: q@x.example", "From: a@x.example" }, "F:a@x.example f:r@x.example f:q@x.example", 1, NULL, 0 },
	{ "Resent-From with two", { "Resent-From: r@x.example, q@x.example", "From: a@x.example" }, "F:a@x.example f:r@x.example f:q@x.example", 1, NULL, 0 },
	{ "malformed Resent-From", { "Resent-From: r", "From: a@x.example" }, "F:a@x.example", 1, "Resent-From", 0 },
	{ "one of two Resent-From malformed", { "Resent-From: r", "Resent-From: q@x.example", "From: a@x.example" }, "F:a@x.example f:q@x.example", 1, "Resent-From", 0 },
	{ "malformed Resent-Sender", { "Resent-Sender: r@", "From: a@x.example" }, "F:a@x.example", 1, "Resent-Sender", 0 },
	{ "Reply-To is no sender", { "From: a@x.example", "Reply-To: <<" }, "F:a@x.example", 1, NULL, 0 },
	{ "X-From is no sender", { "From: a@x.example", "X-From: b@x.example", "From_: c@x.example" }, "F:a@x.example", 1, NULL, 0 },
	{ "foreign display", { "From: \"ceo@bank.example\" <a@x.example>" }, "F:a@x.example", 1, NULL, 1 },
	{ "foreign displays", { "From: \"ceo@bank.example\" <a@x.example>, B <b@x.example>", "Sender: \"x@y.example\" <a@x.example>" }, "F:a@x.example F:b@x.example S:a@x.example", 1, NULL, 2 },
	{ "second From, control character behind its name", { "From: a@x.example", "From\x01: b@x.example" }, "F:a@x.example", 1, "From", 0 },
	{ "second From, vertical tab", { "From\x0b: b@x.example", "From: a@x.example" }, "F:a@x.example", 1, "From", 0 },
	{ "second From, blank before its name", { " From: b@x.example", "From: a@x.example" }, "F:a@x.example", 1, "From", 0 },
	{ "second From, fold before its colon", { "From\r\n : b@x.example", "From: a@x.example" }, "", 2, NULL, 0 },
	{ "second From, byte order mark", { "\xef\xbb\xbf" "From: b@x.example", "From: a@x.example" }, "F:a@x.example", 1, "From", 0 },
	{ "second From, 8-bit octet", { "From\xff: b@x.example", "From: a@x.example" }, "F:a@x.example", 1, "From", 0 },
	{ "second From, zero width space inside", { "Fr\xe2\x80\x8bom: b@x.example", "From: a@x.example" }, "F:a@x.example", 1, "From", 0 },
	{ "Sender with a delete in its name", { "Sender\x7f: b@x.example", "From: a@x.example" }, "F:a@x.example", 1, "Sender", 0 },
	{ "From behind a bare CR", { "Subject: x\rFrom: b@x.example", "From: a@x.example" }, "F:a@x.example", 1, "From", 0 },
	{ "From behind a bare LF", { "From: a@x.example", "Subject: x\nfrom : b@x.example" }, "F:a@x.example", 1, "From", 0 },
	{ "Sender behind LF and CR", { "From: a@x.example", "Subject: x\n\rSender: b@x.example" }, "F:a@x.example", 1, "Sender", 0 },
	{ "Resent-From behind a bare CR", { "From: a@x.example", "X:\rResent-From:b@x.example" }, "F:a@x.example", 1, "Resent-From", 0 },
	{ "folds before From are folds", { "From: a@x.example", "Subject: x\n From: b@x.example", "X: y\r\n\tFrom: z" }, "F:a@x.example", 1, NULL, 0 },
	{ "a bare CR before anything else", { "From: a@x.example", "Subject: x\rfrom b\r", "X: \rFromage: y\rFrom" }, "F:a@x.example", 1, NULL, 0 },
	{ "other names with odd octets", { "From: a@x.example", "X-\xfc: x", "From2: b@x.example", "-From\x01: y" }, "F:a@x.example", 1, NULL, 0 },
	{ "foreign display in a malformed field", { "From: \"ceo@bank.example\" <a@x.example> x" }, "", 1, "From", 0 },
};

/* claims_text - claims in the spelling of the table */
static char *
claims_text(TALLOC_CTX *ctx, const struct claim *claims, size_t n)
{
	static const char letters[] = "EFSfs";
	char *text = mem_strdup(ctx, "");

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(claims[i].owned, OWNED_NOT_ASKED);
		assert_non_null(strstr(claims[i].address, claims[i].domain));
		text = mem_printf(ctx, "%s%s%c:%s", text, i == 0 ? "" : " ",
		    letters[claims[i].place], claims[i].address);
	}
	return text;
}

static void
test_senders(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const struct row *row = &rows[i];
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct header_list *list = header_list_new(ctx, 10000);
		struct header_facts facts;
		struct header_displays displays;
		struct claim *claims;
		size_t n, n_fields = 0;
		char *text;

		for (size_t j = 0; j < FIELDS_MAX && row->fields[j] != NULL; j++) {
			const char *colon = strchr(row->fields[j], ':');

			header_append(list, row->fields[j],
			    (size_t)(colon - row->fields[j]), colon + 1,
			    strlen(colon + 1));
			n_fields++;
		}
		header_read_senders(ctx, list, &rules, &facts, &claims, &n, &displays);
		text = claims_text(ctx, claims, n);
		if (strcmp(text, row->claims) != 0)
			fail_msg("%s: claims %s", row->label, text);
		if (facts.from_fields != row->from_fields || facts.fields != n_fields ||
		    facts.too_many)
			fail_msg("%s: %zu From fields", row->label, facts.from_fields);
		if ((facts.malformed == NULL) != (row->malformed_field == NULL) ||
		    (facts.malformed_field == NULL) != (row->malformed_field == NULL) ||
		    (row->malformed_field != NULL &&
		    strcmp(facts.malformed_field, row->malformed_field) != 0))
			fail_msg("%s: malformed: %s", row->label,
			    facts.malformed == NULL ? "nothing" : facts.malformed);
		if (displays.n != row->displays)
			fail_msg("%s: %zu displays", row->label, displays.n);
		talloc_free(ctx);
	}
}

static void
test_displays(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct header_list *list = header_list_new(ctx, 10000);
	struct header_facts facts;
	struct header_displays displays;
	struct claim *claims;
	size_t n;

	(void)state;
	add(list, "From", " \"Chief <ceo@bank.example>\" <a@x.example>");
	add(list, "Sender", " \"ceo@bank.example via us\" <a@x.example>");
	header_read_senders(ctx, list, &rules, &facts, &claims, &n, &displays);
	assert_int_equal(displays.n, 2);
	assert_int_equal(displays.items[0].place, CLAIM_FROM);
	assert_int_equal(displays.items[0].finding, ADDRESS_DISPLAY_MAILBOX);
	assert_string_equal(displays.items[0].display, "Chief <ceo@bank.example>");
	assert_string_equal(displays.items[0].shown, "ceo@bank.example");
	assert_string_equal(displays.items[0].address, "a@x.example");
	assert_string_equal(displays.items[0].field, "From");
	assert_string_equal(displays.items[0].text, " \"Chief <ceo@bank.example>\" <a@x.example>");
	assert_int_equal(displays.items[1].place, CLAIM_SENDER);
	assert_string_equal(displays.items[1].field, "Sender");
	assert_int_equal(displays.items[1].finding, ADDRESS_DISPLAY_ADDRESS);
	/* they may be left out */
	header_read_senders(ctx, list, &rules, &facts, &claims, &n, NULL);
	assert_int_equal(n, 2);
	talloc_free(ctx);
}

/* All that a name shows is handed over; too much of it makes the field malformed. */
static void
test_many_displays(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct header_list *list = header_list_new(ctx, 100000);
	struct header_facts facts;
	struct header_displays displays;
	struct claim *claims;
	size_t n;

	(void)state;
	add(list, "From", " \"a+1@x.example Chief <ceo@bank.example> \xe2\x80\xae\" <a@x.example>");
	header_read_senders(ctx, list, &rules, &facts, &claims, &n, &displays);
	assert_int_equal(displays.n, 3);
	assert_string_equal(displays.items[0].shown, "a+1@x.example");
	assert_int_equal(displays.items[0].finding, ADDRESS_DISPLAY_ADDRESS);
	assert_string_equal(displays.items[1].shown, "ceo@bank.example");
	assert_int_equal(displays.items[1].finding, ADDRESS_DISPLAY_MAILBOX);
	assert_int_equal(displays.items[2].finding, ADDRESS_DISPLAY_OVERRIDE);
	assert_null(facts.malformed);
	for (int i = 0; i < 300; i++)
		add(list, "Resent-From", " \"q@z.example\" <r@x.example>");
	header_read_senders(ctx, list, &rules, &facts, &claims, &n, &displays);
	assert_string_equal(facts.malformed_field, "Resent-From");
	assert_true(displays.n <= 200);
	talloc_free(ctx);
}

/* The texts of what is wrong are there for the log. */
static void
test_texts(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct header_list *list = header_list_new(ctx, 100000);
	struct header_facts facts;
	struct claim *claims;
	size_t n;

	(void)state;
	add(list, "From", " a@x.example ");
	add(list, "Sender", " ceo @ bank <a@x.example>");
	header_read_senders(ctx, list, &rules, &facts, &claims, &n, NULL);
	assert_string_equal(facts.malformed_field, "Sender");
	assert_string_equal(facts.malformed_text, " ceo @ bank <a@x.example>");
	assert_null(facts.from_text);
	for (int i = 0; i < 5; i++)
		add(list, "from", " b@x.example\n");
	header_read_senders(ctx, list, &rules, &facts, &claims, &n, NULL);
	assert_string_equal(facts.from_text, "a@x.example | b@x.example | b@x.example");
	talloc_free(ctx);
}

/* Many fields of many addresses: bounded, and said. */
static void
test_many_claims(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct header_list *list = header_list_new(ctx, 10 * 1024 * 1024);
	struct header_facts facts;
	struct claim *claims;
	size_t n;

	(void)state;
	add(list, "From", " a@x.example");
	for (int i = 0; i < 5000; i++)
		add(list, "Resent-From", " \"q@z.example\" <r@x.example>, s@x.example");
	header_read_senders(ctx, list, &rules, &facts, &claims, &n, NULL);
	assert_string_equal(facts.malformed_field, "Resent-From");
	assert_true(n <= 400);
	assert_string_equal(claims[0].address, "a@x.example");
	talloc_free(ctx);
}

static void
test_too_many(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct header_list *list = header_list_new(ctx, 30);
	struct header_facts facts;
	struct claim *claims;
	size_t n;

	(void)state;
	add(list, "From", " a@x.example");
	add(list, "Subject", " a subject that does not fit");
	add(list, "From", " b@x.example");
	header_read_senders(ctx, list, &rules, &facts, &claims, &n, NULL);
	assert_true(facts.too_many);
	assert_int_equal(facts.fields, 3);
	assert_int_equal(facts.from_fields, 1);
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_senders),
		cmocka_unit_test(test_displays),
		cmocka_unit_test(test_many_displays),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_many_claims),
		cmocka_unit_test(test_too_many),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
