/*
 * test_signing_table.c - OpenDKIM's tables: what its manual says, and what the real one does
 *
 * The expected rows were compared with opendkim 2.11; tests/talk/opendkim.test does so
 * again with the real program.
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
#include "policy/dkim/signing_table.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

static const char keys_text[] =
    "# a comment\n"
    "one\ta.example:s1:/keys/k1.pem\n"
    "two   a.example:s2:/keys/k2.pem   # and one here\n"
    "\n"
    "ONE   dup.example:dup:/keys/k1.pem\n"
    "pct   %:sp:/keys/%/x.pem\r\n"
    "rel   b.example : s3 : ./x.pem\n"
    "inl   b.example:si:MIIEvQIBADANBgkqhkiG9w0\n"
    "c.example C.Example:sc:/keys/c:d.pem\n"
    "mu    m\xc3\xbcller.example:s.2024:/keys/mu.pem";

static const char patterns_text[] =
    "vip@a.example   two\n"
    "*@a.example     one\n"
    "VIP2@A.example  inl:boss@%\n"
    "*@b.example     pct\n"
    "*@*.b.example   pct:@%\n"
    "*@c.example     %\n"
    "*sub*@e.example two:x@a.example\n"
    "*@e.example     two:@%\n"
    "*@m\xc3\xbcller.example mu\n"
    "*@*.m\xc3\xbcller.example mu\n"
    "*               rel\n";

static const char names_text[] =
    "vip@a.example   two\n"
    "a.example       one\n"
    "a.example       two\n"
    ".b.example      pct\n"
    "joe@.b.example  one\n"
    "c.example       %\n"
    "joe@*           inl\n"
    "*               rel\n";

/* read_keys - a KeyTable that must be flawless */
static struct key_table *
read_keys(TALLOC_CTX *ctx, enum dataset_kind kind, const char *text, struct table_report *report)
{
	return key_table_read(ctx, kind, "KeyTable", mem_strdup(ctx, text), strlen(text), report);
}

/* found - the names of what matches an address: "key(i=identity)", with blanks between */
static char *
found(TALLOC_CTX *ctx, const struct signing_table *table, const char *address, bool multiple)
{
	struct signing_match matches[SIGNING_MATCHES_MAX];
	char *text = mem_strdup(ctx, "");
	bool more = false;
	size_t n = 0;

	signing_table_find(ctx, table, address, multiple, matches, &n, &more);
	assert_false(more);
	for (size_t i = 0; i < n; i++)
		text = mem_printf(ctx, "%s%s%s%s%s%s", text, i > 0 ? " " : "", matches[i].key,
		    matches[i].identity != NULL ? "(i=" : "",
		    matches[i].identity != NULL ? matches[i].identity : "",
		    matches[i].identity != NULL ? ")" : "");
	return text;
}

static void
test_keys(void **state)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct table_report report = { .ctx = ctx };
	struct key_table *table = read_keys(ctx, DATASET_FILE, keys_text, &report);
	static const struct {
		const char *name, *domain, *selector, *key;	/* domain NULL: there is none */
		bool file, fixed;
	} rows[] = {
		{ "one", "a.example", "s1", "/keys/k1.pem", true, true },
		{ "Two", "a.example", "s2", "/keys/k2.pem", true, true },
		{ "ONE", "a.example", "s1", "/keys/k1.pem", true, true },
		{ "pct", "%", "sp", "/keys/%/x.pem", true, false },
		{ "rel", "b.example", "s3", "./x.pem", true, true },
		{ "inl", "b.example", "si", "MIIEvQIBADANBgkqhkiG9w0", false, true },
		{ "c.example", "c.example", "sc", "/keys/c:d.pem", true, true },
		{ "mu", "xn--mller-kva.example", "s.2024", "/keys/mu.pem", true, true },
		{ "three", NULL, NULL, NULL, false, false },
		{ "", NULL, NULL, NULL, false, false },
	};

	(void)state;
	assert_null(report.errors);
	assert_null(report.missing);
	assert_non_null(strstr(report.warnings, "KeyTable:5: ONE was named before"));
	assert_int_equal(report.n_warnings, 1);
	for (size_t i = 0; i < N(rows); i++) {
		const struct key_row *row = key_table_find(table, rows[i].name);

		if ((row == NULL) != (rows[i].domain == NULL))
			fail_msg("%s: %s", rows[i].name, row == NULL ? "not found" : "found");
		if (row == NULL)
			continue;
		assert_string_equal(row->domain, rows[i].domain);
		assert_string_equal(row->selector, rows[i].selector);
		assert_string_equal(row->key, rows[i].key);
		assert_int_equal(key_row_is_file(row), rows[i].file);
		assert_int_equal(key_row_is_fixed(row), rows[i].fixed);
	}
	talloc_free(ctx);
}

/* A KeyTable is often given as refile: though no name in it is a pattern. */
static void
test_key_patterns(void **state)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct table_report report = { .ctx = ctx };
	struct key_table *table = read_keys(ctx, DATASET_REFILE,
	    "a.b x.example:1:/1\n*.b x.example:2:/2\n"
	    "c.b x.example:3:/3\nd x.example:4:/4\n*z* x.example:5:/5\n",
	    &report);

	(void)state;
	assert_string_equal(key_table_find(table, "a.b")->selector, "1");
	assert_string_equal(key_table_find(table, "C.B")->selector, "2");
	assert_string_equal(key_table_find(table, "d")->selector, "4");
	assert_string_equal(key_table_find(table, "azb")->selector, "5");
	assert_string_equal(key_table_find(table, "z")->selector, "5");
	assert_null(key_table_find(table, "e"));
	talloc_free(ctx);
}

static void
test_key_mistakes(void **state)
{
	static const struct {
		const char *label, *line, *what;
	} rows[] = {
		{ "no value", "one", "needs three values" },
		{ "two values", "one a.example:s1", "needs three values" },
		{ "an empty one", "one a.example::/k", "needs three values" },
		{ "a domain that is none", "one a..example:s1:/k", "a..example is not a domain" },
		{ "a literal", "one [192.0.2.1]:s1:/k", "needs three values|is not a domain" },
		{ "a selector that is none", "one a.example:s_1!:/k", "s_1! is not a selector" },
		{ "two dots", "one a.example:s..1:/k", "is not a selector" },
		{ "a relative path without dots", "one a.example:s1:keys/k", "neither a path" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct table_report report = { .ctx = ctx };
		struct key_table *table = read_keys(ctx, DATASET_FILE,
		    mem_printf(ctx, "\n%s\ngood a.example:s1:/k\n", rows[i].line), &report);
		const char *bar = strchr(rows[i].what, '|');

		if (report.missing == NULL ||
		    (strstr(report.missing, bar != NULL ? bar + 1 : rows[i].what) == NULL &&
			strstr(report.missing,
			    mem_strndup(ctx, rows[i].what, strcspn(rows[i].what, "|"))) == NULL))
			fail_msg(
			    "%s: %s", rows[i].label, report.missing == NULL ? "-" : report.missing);
		assert_non_null(strstr(report.missing, "KeyTable:2: "));
		assert_null(key_table_find(table, "one"));
		assert_non_null(key_table_find(table, "good"));
		talloc_free(ctx);
	}
}

static void
test_find(void **state)
{
	static const struct {
		const char *address, *first, *all;
		enum dataset_kind kind;
	} rows[] = {
		{ "vip@a.example", "two", "two one rel", DATASET_REFILE },
		{ "vip2@a.example", "one", "one inl(i=boss@a.example) rel", DATASET_REFILE },
		{ "other@a.example", "one", "one rel", DATASET_REFILE },
		{ "x@sub.a.example", "rel", "rel", DATASET_REFILE },
		{ "x@aa.example", "rel", "rel", DATASET_REFILE },
		{ "x@b.example", "pct", "pct rel", DATASET_REFILE },
		{ "x@sub.b.example", "pct(i=@sub.b.example)", "pct(i=@sub.b.example) rel", DATASET_REFILE },
		{ "x@c.example", "c.example", "c.example rel", DATASET_REFILE },
		{ "xsuby@e.example", "two(i=x@a.example)", "two(i=x@a.example) rel", DATASET_REFILE },
		{ "z@e.example", "two(i=@e.example)", "two(i=@e.example) rel", DATASET_REFILE },
		{ "z@xn--mller-kva.example", "mu", "mu rel", DATASET_REFILE },
		{ "z@sub.xn--mller-kva.example", "mu", "mu rel", DATASET_REFILE },
		{ "\"a@a.example\"@q.example", "rel", "rel", DATASET_REFILE },
		{ "vip@a.example", "two", "two one rel", DATASET_FILE },
		{ "VIP@a.example", "two", "two one rel", DATASET_FILE },
		{ "other@a.example", "one", "one rel", DATASET_FILE },
		{ "x@sub.a.example", "rel", "rel", DATASET_FILE },
		{ "x@b.example", "rel", "rel", DATASET_FILE },
		{ "x@sub.b.example", "pct", "pct rel", DATASET_FILE },
		{ "joe@sub.b.example", "one", "one pct inl rel", DATASET_FILE },
		{ "joe@x.y.b.example", "one", "one pct inl rel", DATASET_FILE },
		{ "x@c.example", "c.example", "c.example rel", DATASET_FILE },
		{ "joe@q.example", "inl", "inl rel", DATASET_FILE },
		{ "z@q.example", "rel", "rel", DATASET_FILE },
	};
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct table_report report = { .ctx = ctx };
	struct key_table *keys = read_keys(ctx, DATASET_FILE, keys_text, &report);
	struct signing_table *tables[] = {
		[DATASET_FILE] = signing_table_read(ctx, DATASET_FILE, "F",
		    mem_strdup(ctx, names_text), strlen(names_text), keys, &report),
		[DATASET_REFILE] = signing_table_read(ctx, DATASET_REFILE, "R",
		    mem_strdup(ctx, patterns_text), strlen(patterns_text), keys, &report),
	};

	(void)state;
	assert_null(report.errors);
	assert_null(report.missing);
	assert_int_equal(signing_table_rows(tables[DATASET_REFILE]), 11);
	for (size_t i = 0; i < N(rows); i++) {
		const struct signing_table *table = tables[rows[i].kind];
		char *first = found(ctx, table, rows[i].address, false);
		char *all = found(ctx, table, rows[i].address, true);

		if (strcmp(first, rows[i].first) != 0 || strcmp(all, rows[i].all) != 0)
			fail_msg("%s in a %s: \"%s\" and \"%s\"", rows[i].address,
			    rows[i].kind == DATASET_FILE ? "file" : "refile", first, all);
	}
	assert_true(signing_table_has_domain(tables[DATASET_REFILE], "a.example"));
	assert_false(signing_table_has_domain(tables[DATASET_REFILE], "q.example"));
	assert_true(signing_table_has_domain(tables[DATASET_FILE], "c.example"));
	assert_false(signing_table_has_domain(tables[DATASET_FILE], "q.example"));
	talloc_free(ctx);
}

/* Without a line for all others, others have none. */
static void
test_find_none(void **state)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct table_report report = { .ctx = ctx };
	struct key_table *keys = read_keys(ctx, DATASET_FILE, keys_text, &report);

	(void)state;
	for (int kind = DATASET_FILE; kind <= DATASET_REFILE; kind++) {
		const char *text = kind == DATASET_FILE ? "a.example one\n" : "*@a.example one\n";
		struct signing_table *table = signing_table_read(ctx, (enum dataset_kind)kind, "T",
		    mem_strdup(ctx, text), strlen(text), keys, &report);

		assert_string_equal(found(ctx, table, "x@a.example", true), "one");
		assert_string_equal(found(ctx, table, "x@b.example", true), "");
		assert_string_equal(found(ctx, table, "x@a.example.b.example", true), "");
		assert_string_equal(found(ctx, table, "a.example@b.example", true), "");
		assert_string_equal(found(ctx, table, "x@a.exampl", true), "");
		assert_string_equal(found(ctx, table, "x@xa.example", true), "");
	}
	talloc_free(ctx);
}

/* More lines than one message may bear signatures; the same key twice signs once. */
static void
test_many(void **state)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct table_report report = { .ctx = ctx };
	char *keys_of = mem_strdup(ctx, ""), *text = mem_strdup(ctx, "*@a.example k0\n");
	struct signing_match matches[SIGNING_MATCHES_MAX];
	bool more = false;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < SIGNING_MATCHES_MAX + 1; i++) {
		keys_of = mem_printf(ctx, "%sk%d a.example:s%d:/k\n", keys_of, i, i);
		text = mem_printf(ctx, "%s*@a.example k%d\n", text, i);
	}

	struct key_table *keys = read_keys(ctx, DATASET_FILE, keys_of, &report);
	struct signing_table *table =
	    signing_table_read(ctx, DATASET_REFILE, "T", text, strlen(text), keys, &report);

	signing_table_find(ctx, table, "x@a.example", true, matches, &n, &more);
	assert_int_equal(n, SIGNING_MATCHES_MAX);
	assert_true(more);
	assert_string_equal(matches[0].key, "k0");
	assert_string_equal(matches[1].key, "k1");
	talloc_free(ctx);
}

static void
test_signing_mistakes(void **state)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct table_report report = { .ctx = ctx };
	struct key_table *keys = read_keys(ctx, DATASET_FILE, keys_text, &report);
	const char *text =
	    "*@a.example\n*@b.example one:nobody\n*@c.example three\n*@d.example one\n";
	struct signing_table *table = signing_table_read(
	    ctx, DATASET_REFILE, "T", mem_strdup(ctx, text), strlen(text), keys, &report);

	(void)state;
	assert_non_null(strstr(report.errors, "T:1: *@a.example needs a value"));
	assert_non_null(strstr(report.errors, "T:2: *@b.example: \"nobody\" cannot be used in i="));
	assert_non_null(
	    strstr(report.missing, "T:3: *@c.example: the KeyTable has no key named three"));
	assert_int_equal(signing_table_rows(table), 2);
	/* the line whose key is missing stays: its mail has a missing key, not none */
	assert_string_equal(found(ctx, table, "x@c.example", false), "three");
	assert_string_equal(found(ctx, table, "x@d.example", false), "one");

	/* what OpenDKIM's users ask about again and again */
	report = (struct table_report){ .ctx = ctx };
	text = "*@a.example one\n* one\n";
	(void)signing_table_read(
	    ctx, DATASET_FILE, "T", mem_strdup(ctx, text), strlen(text), keys, &report);
	assert_non_null(strstr(report.warnings, "T:1: *@a.example matches nothing"));
	assert_non_null(strstr(report.warnings, "refile:T"));
	assert_null(strstr(report.warnings, "T:2"));
	talloc_free(ctx);
}

static void
test_spec(void **state)
{
	static const struct {
		const char *spec;
		int result;
		enum dataset_kind kind;
		const char *path;
	} rows[] = {
		{ "/etc/KeyTable", 0, DATASET_FILE, "/etc/KeyTable" },
		{ "file:/etc/KeyTable", 0, DATASET_FILE, "/etc/KeyTable" },
		{ "refile:/etc/KeyTable", 0, DATASET_REFILE, "/etc/KeyTable" },
		{ "dsn:mysql://x", -1, DATASET_FILE, NULL },
		{ "ldap://x", -1, DATASET_FILE, NULL },
		{ "refile:KeyTable", -1, DATASET_FILE, NULL },
		{ "a,b", -1, DATASET_FILE, NULL },
		{ "", -1, DATASET_FILE, NULL },
	};
	TALLOC_CTX *ctx = mem_new(NULL, char);

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		enum dataset_kind kind;
		const char *path, *error = NULL;
		int result = dataset_read_spec(ctx, rows[i].spec, &kind, &path, &error);

		if (result != rows[i].result)
			fail_msg("%s: %d", rows[i].spec, result);
		if (result != 0) {
			assert_non_null(error);
			continue;
		}
		assert_int_equal(kind, rows[i].kind);
		assert_string_equal(path, rows[i].path);
	}
	talloc_free(ctx);
}

static void
test_substitute(void **state)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);

	(void)state;
	assert_string_equal(
	    table_substitute(ctx, "/k/%/%.pem", "a.example"), "/k/a.example/a.example.pem");
	assert_string_equal(table_substitute(ctx, "/k", "a.example"), "/k");
	assert_string_equal(table_substitute(ctx, "", "a.example"), "");
	assert_string_equal(table_substitute(ctx, "%", "%"), "%");
	talloc_free(ctx);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_key_patterns),
		cmocka_unit_test(test_key_mistakes),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_find_none),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_signing_mistakes),
		cmocka_unit_test(test_spec),
		cmocka_unit_test(test_substitute),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
