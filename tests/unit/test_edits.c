/*
 * test_edits.c - which fields go, which come, and in which order
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/verdict/authres.h"
#include "policy/verdict/edits.h"

#define COUNT(rows)	(sizeof(rows) / sizeof((rows)[0]))
#define OUR_ID		"mx.example.org"
#define MAX_FIELDS	12

/* add - one field, as the MTA gives it: with its leading space */
static void
add(struct header_list *list, const char *name, const char *value)
{
	header_append(list, name, strlen(name), value, strlen(value));
}

/*
 * delete_as_postfix - carry out one deletion as Postfix does: the index counts the
 * fields of that name which are there now
 */
static void
delete_as_postfix(
    const char *names[], const char *values[], size_t *n, const struct edit_delete *edit)
{
	size_t index = 0;

	for (size_t i = 0; i < *n; i++) {
		if (strcasecmp(names[i], edit->name) != 0 || ++index != edit->index)
			continue;
		memmove(&names[i], &names[i + 1], (*n - i - 1) * sizeof(names[0]));
		memmove(&values[i], &values[i + 1], (*n - i - 1) * sizeof(values[0]));
		(*n)--;
		return;
	}
	fail_msg("there is no %s number %zu", edit->name, edit->index);
}

/* Forged and foreign fields mixed: exactly the forged ones go (CVE-2022-48521). */
static void
test_deletes(void **state)
{
	/* one letter a field: o ours, O ours in other case, v ours with a version, u unreadable
	 * with our id, f foreign, F unreadable without our id, n a name like ours, s Subject */
	static const struct { const char *label, *fields, *indexes; } rows[] = {
		{ "no such field", "s", "" },
		{ "empty header", "", "" },
		{ "one of ours", "so", "1" },
		{ "one foreign", "sf", "" },
		{ "two in a row: the second is not left over", "oo", "21" },
		{ "four in a row", "oooo", "4321" },
		{ "ours, foreign, ours", "ofo", "31" },
		{ "foreign, ours, foreign, ours", "fofo", "42" },
		{ "foreign around ours", "foof", "32" },
		{ "other fields do not count", "sosfso", "31" },
		{ "case of the name does not count", "fOo", "32" },
		{ "with a version, and unreadable", "vfuF", "31" },
		{ "our id as part of another name", "nfn", "" },
	};
	static const struct facts facts = { .role = ROLE_SUBMISSION };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct header_list *list = header_list_new(ctx, 100000);
		const char *names[MAX_FIELDS], *values[MAX_FIELDS];
		size_t n = strlen(rows[i].fields);
		struct edits edits;

		for (size_t k = 0; k < n; k++) {
			char c = rows[i].fields[k];

			names[k] = c == 's' ? "Subject" : c == 'O' ? "AUTHENTICATION-results" :
			    "Authentication-Results";
			values[k] = c == 'o' ? " mx.example.org; spf=pass" :
			    c == 'O' ? "\n\tMX.Example.ORG; none" :
			    c == 'v' ? " (x) \"mx.example.org\" 1; dkim=pass" :
			    c == 'u' ? " mx.example.org (no end; spf=pass" :
			    c == 'f' ? " mx.example.net; spf=fail" :
			    c == 'F' ? " mx.example.net (no end; spf=fail" :
			    c == 'n' ? " amx.example.org; spf=pass" : " hello mx.example.org";
			add(list, names[k], values[k]);
		}
		edits_plan(ctx, list, &facts, OUR_ID, NULL, &edits);
		if (edits.n_deletes != strlen(rows[i].indexes))
			fail_msg("%s: %zu deletions", rows[i].label, edits.n_deletes);
		for (size_t k = 0; k < edits.n_deletes; k++) {
			if (edits.deletes[k].index != (size_t)(rows[i].indexes[k] - '0'))
				fail_msg("%s: deletion %zu is number %zu", rows[i].label, k,
				    edits.deletes[k].index);
			assert_string_equal(edits.deletes[k].name, "Authentication-Results");
			delete_as_postfix(names, values, &n, &edits.deletes[k]);
		}
		assert_int_equal(n, strlen(rows[i].fields) - edits.n_deletes);
		for (size_t k = 0; k < n; k++)
			if (strcasecmp(names[k], "Subject") != 0 &&
			    authres_is_ours(values[k], strlen(values[k]), OUR_ID))
				fail_msg("%s: still there:%s", rows[i].label, values[k]);
		assert_int_equal(edits.n_inserts, 0);
		talloc_free(ctx);
	}
}

/* Deleting in the listed order never names a field that is gone. */
static void
test_many_deletes(void **state)
{
	static const struct facts facts = { .role = ROLE_RELAY };
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct header_list *list = header_list_new(ctx, 10000000);
	struct edits edits;

	(void)state;
	for (int i = 0; i < 9000; i++)
		add(list, "Authentication-Results",
		    i % 3 == 0 ? " other.example; none" : " " OUR_ID "; none");
	edits_plan(ctx, list, &facts, OUR_ID, NULL, &edits);
	assert_int_equal(edits.n_deletes, 6000);
	assert_int_equal(edits.deletes[0].index, 9000);
	for (size_t i = 1; i < edits.n_deletes; i++)
		assert_true(edits.deletes[i].index < edits.deletes[i - 1].index);
	assert_int_equal(edits.deletes[5999].index, 2);
	talloc_free(ctx);
}

/* The signatures keep their order, our results stand above everything. */
static void
test_inserts(void **state)
{
	static const char *const signatures[] = { " first", " second", " third", NULL };
	static const struct facts inbound = { .role = ROLE_INBOUND, .sender = "x@example.com" };
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct header_list *list = header_list_new(ctx, 1000);
	struct edits edits;
	const char *top[5];
	size_t n = 0;

	(void)state;
	edits_plan(ctx, list, &inbound, OUR_ID, signatures, &edits);
	assert_int_equal(edits.n_deletes, 0);
	assert_int_equal(edits.n_inserts, 4);
	/* each goes above the one before it */
	for (size_t i = 0; i < edits.n_inserts; i++) {
		memmove(top + 1, top, n * sizeof(top[0]));
		top[0] = edits.inserts[i].value;
		n++;
		assert_string_equal(edits.inserts[i].name,
		    i < 3 ? "DKIM-Signature" : "Authentication-Results");
	}
	assert_string_equal(top[0], " mx.example.org; none");
	assert_string_equal(top[1], " first");
	assert_string_equal(top[2], " second");
	assert_string_equal(top[3], " third");
	talloc_free(ctx);
}

/* Our results are told to inbound mail only, and to all of it; signatures if there are some. */
static void
test_what_comes(void **state)
{
	static const char *const one[] = { " v=1", NULL };
	static const char *const none[] = { NULL };
	static const struct {
		const char *label;
		enum role role;
		const char *const *signatures;
		size_t inserts;
		const char *last;
	} rows[] = {
		{ "submission, unsigned", ROLE_SUBMISSION, NULL, 0, NULL },
		{ "submission, an empty list", ROLE_SUBMISSION, none, 0, NULL },
		{ "submission, signed", ROLE_SUBMISSION, one, 1, "DKIM-Signature" },
		{ "relay, signed", ROLE_RELAY, one, 1, "DKIM-Signature" },
		{ "relay, unsigned", ROLE_RELAY, NULL, 0, NULL },
		{ "local, signed", ROLE_LOCAL, one, 1, "DKIM-Signature" },
		{ "local, unsigned", ROLE_LOCAL, NULL, 0, NULL },
		{ "inbound", ROLE_INBOUND, NULL, 1, "Authentication-Results" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const struct facts facts = { .role = rows[i].role };
		struct header_list *list = header_list_new(ctx, 1000);
		struct edits edits;

		add(list, "From", " a@example.org");
		add(list, "Authentication-Results", " elsewhere.example; none");
		edits_plan(ctx, list, &facts, OUR_ID, rows[i].signatures, &edits);
		if (edits.n_deletes != 0 || edits.n_inserts != rows[i].inserts)
			fail_msg(
			    "%s: %zu and %zu", rows[i].label, edits.n_deletes, edits.n_inserts);
		if (rows[i].last != NULL)
			assert_string_equal(edits.inserts[edits.n_inserts - 1].name, rows[i].last);
		talloc_free(ctx);
	}
}

/* What is inserted says what the facts say, begins with its space and folds with LF. */
static void
test_results_of_facts(void **state)
{
	static const struct facts facts = {
		.role = ROLE_INBOUND,
		.sender = "x@example.com",
		.helo = "mail.example.com",
		.spf_mailfrom = { .result = SPF_IS_PASS,
		    .domain = "example.com",
		    .sender = "x@example.com" },
		.dkim_checked = true,
	};
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct header_list *list = header_list_new(ctx, 1000);
	struct edits edits;
	const char *value;

	(void)state;
	edits_plan(ctx, list, &facts, OUR_ID, NULL, &edits);
	assert_int_equal(edits.n_inserts, 1);
	value = edits.inserts[0].value;
	assert_string_equal(
	    value, " mx.example.org;\n\tspf=pass smtp.mailfrom=x@example.com;\n\tdkim=none");
	assert_null(strchr(value, '\r'));
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deletes),
		cmocka_unit_test(test_many_deletes),
		cmocka_unit_test(test_inserts),
		cmocka_unit_test(test_what_comes),
		cmocka_unit_test(test_results_of_facts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
