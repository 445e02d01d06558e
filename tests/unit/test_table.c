/*
 * test_table.c - lookup tables: the text format, its mistakes, and the short forms
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/table/open.h"
#include "policy/base/mem.h"

#define COUNT(rows)	(sizeof(rows) / sizeof((rows)[0]))

/* What each test works in; removed after it. */
struct place {
	char dir[64];
	char path[80];		/* the table */
	char spec[96];		/* texthash:path */
};

static int
setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	if (place == NULL)
		return -1;
	(void)snprintf(place->dir, sizeof(place->dir), "/tmp/test_table.XXXXXX");
	if (mkdtemp(place->dir) == NULL)
		return -1;
	(void)snprintf(place->path, sizeof(place->path), "%s/table", place->dir);
	(void)snprintf(place->spec, sizeof(place->spec), "texthash:%s", place->path);
	*state = place;
	return 0;
}

static int
teardown(void **state)
{
	struct place *place = *state;

	(void)unlink(place->path);
	(void)rmdir(place->dir);
	free(place);
	return 0;
}

/* write_octets - the file, anew */
static void
write_octets(const struct place *place, const char *text, size_t len)
{
	FILE *file = fopen(place->path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void
write_text(const struct place *place, const char *text)
{
	write_octets(place, text, strlen(text));
}

/* get - what a key gives; NULL: not found */
static const char *
get(struct table *table, TALLOC_CTX *ctx, const char *key)
{
	const char *value = NULL;
	const char *error = NULL;
	enum table_outcome outcome = table_get(table, ctx, key, 0, &value, &error);

	if (outcome == TABLE_TEMPERROR || error != NULL)
		fail_msg("%s: %s", key, error);
	if (outcome == TABLE_FOUND)
		assert_non_null(value);
	return outcome == TABLE_FOUND ? value : NULL;
}

static void
test_format(void **state)
{
	/* a table, a key, its value or NULL */
	static const struct { const char *label, *text, *key, *value; } rows[] = {
		{ "plain", "a@example.org alice\n", "a@example.org", "alice" },
		{ "absent", "a@example.org alice\n", "b@example.org", NULL },
		{ "a part of a key is no key", "a@example.org alice\n", "a@example", NULL },
		{ "a key with more is no key", "a@example.org alice\n", "a@example.orgx", NULL },
		{ "the empty key", "a@example.org alice\n", "", NULL },
		{ "last line without its end", "a x\nb y", "b", "y" },
		{ "tabs", "a\t\talice\n", "a", "alice" },
		{ "several words", "a alice, bob carol\n", "a", "alice, bob carol" },
		{ "space at the end", "a alice \t \n", "a", "alice" },
		{ "empty file", "", "a", NULL },
		{ "only comments", "# a x\n\n  # b y\n", "a", NULL },
		{ "comment lines", "# one\na x\n# two\nb y\n", "b", "y" },
		{ "no comment behind a value", "a x # y\n", "a", "x # y" },
		{ "empty lines", "\n\na x\n   \n\t\nb y\n\n", "b", "y" },
		{ "continuation", "a alice,\n  bob\n", "a", "alice, bob" },
		{ "continuation by tab, twice", "a alice,\n\tbob,\n\tcarol\nd x\n", "a", "alice, bob, carol" },
		{ "after a continuation", "a alice,\n\tbob\nd x\n", "d", "x" },
		{ "value on the next line", "a\n  alice\n", "a", "alice" },
		{ "comment within", "a alice,\n# no\n  bob\n", "a", "alice, bob" },
		{ "indented comment within", "a alice,\n  # no\n  bob\n", "a", "alice, bob" },
		{ "empty line within", "a alice,\n\n  bob\n", "a", "alice, bob" },
		{ "CR LF", "a alice\r\nb bob\r\n", "a", "alice" },
		{ "CR LF, second line", "a alice\r\nb bob\r\n", "b", "bob" },
		{ "CR LF, empty line and comment", "# c\r\n\r\na alice\r\n", "a", "alice" },
		{ "CR LF, continuation", "a alice,\r\n bob\r\n", "a", "alice, bob" },
		{ "key asked in other case", "a@example.org alice\n", "A@EXAMPLE.ORG", "alice" },
		{ "key written in other case", "Info@Example.ORG alice\n", "info@example.org", "alice" },
		{ "the value keeps its case", "a Alice\n", "a", "Alice" },
		{ "domain key", "@example.net alice\n", "@example.net", "alice" },
		{ "user key", "root alice\n", "root", "alice" },
		{ "8-bit", "j\xc3\xb6rg@example.org j\n", "j\xc3\xb6rg@example.org", "j" },
		{ "8-bit, other case in the file", "@B\xc3\x9c" "CHER.example j\n", "@b\xc3\xbc" "cher.example", "j" },
		{ "8-bit, other case asked for", "@b\xc3\xbc" "cher.example j\n", "@B\xc3\x9c" "CHER.example", "j" },
		{ "8-bit, decomposed", "bu\xcc\x88@x j\n", "b\xc3\xbc@x", "j" },
		{ "quoted key", "\"odd name\"@x who\n", "\"odd name\"@x", "who" },
		{ "quoted key with a quoted quote", "\"a\\\" b\"@x who\n", "\"a\\\" b\"@x", "who" },
		{ "escaped blank", "a\\ b@x who\n", "a\\ b@x", "who" },
		{ "quoted key and quotes in the value", "\"a b\"@x \"who\n", "\"a b\"@x", "\"who" },
		{ "equals sign is nothing special", "a=b c\n", "a=b", "c" },
		{ "unsorted", "c 3\na 1\nb 2\n", "b", "2" },
	};
	const struct place *place = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;
		struct table *table;
		const char *value;

		write_text(place, rows[i].text);
		table = table_open(ctx, place->spec, &error);
		if (table == NULL)
			fail_msg("%s: %s", rows[i].label, error);
		assert_string_equal(table_spec(table), place->spec);
		value = get(table, ctx, rows[i].key);
		if ((value == NULL) != (rows[i].value == NULL) ||
		    (value != NULL && strcmp(value, rows[i].value) != 0))
			fail_msg("%s: %s", rows[i].label, value);
		talloc_free(ctx);
	}
}

static void
test_mistakes(void **state)
{
	/* what is told behind the path */
	static const struct { const char *label, *text, *part; } rows[] = {
		{ "no value", "a x\nb\n", ":2: \"b\" has no value; write: key, white space, value" },
		{ "no value at the end", "a x\nb", ":2: \"b\" has no value" },
		{ "spaces for a value", "a x\nb   \n", ":2: \"b\" has no value" },
		{ "line of the entry, not of what follows", "a x\nb\n# c\n\nd y\n", ":2: \"b\"" },
		{ "quotation mark without end", "a x\n\"b y\n", ":2: \"\"b y\" has a quotation mark without end" },
		{ "twice in other case, 8-bit", "@\xc3\xbc x\n@\xc3\x9c y\n", "is in line 1 already" },
		{ "continues nothing", "  a x\n", ":1: begins with white space but continues nothing" },
		{ "continues only a comment", "# c\n  a x\n", ":2: begins with white space but continues nothing" },
		{ "twice", "a x\nb y\na z\n", ":3: the key \"a\" is in line 1 already; join the two lines" },
		{ "twice in other case", "b y\nAlice x\n\nalice z\n", "is in line 2 already" },
		{ "twice, with the same value", "a x\na x\n", ":2: the key \"a\" is in line 1 already" },
		{ "twice, behind a continuation", "a x,\n y\nb z\na w\n", ":4: the key \"a\" is in line 1 already" },
	};
	const struct place *place = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;

		write_text(place, rows[i].text);
		if (table_open(ctx, place->spec, &error) != NULL)
			fail_msg("%s: taken", rows[i].label);
		if (error == NULL || strncmp(error, place->path, strlen(place->path)) != 0 ||
		    strstr(error, rows[i].part) == NULL)
			fail_msg("%s: %s", rows[i].label, error);
		assert_ptr_equal(talloc_parent(error), ctx);
		talloc_free(ctx);
	}
}

static void
test_files(void **state)
{
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;
	char *text;

	/* the file is not there */
	assert_null(table_open(ctx, place->spec, &error));
	assert_non_null(strstr(error, place->path));
	assert_non_null(strstr(error, "cannot be opened: No such file"));
	/* it is a directory */
	text = mem_printf(ctx, "texthash:%s", place->dir);
	error = NULL;
	assert_null(table_open(ctx, text, &error));
	assert_non_null(strstr(error, "cannot be opened: Is a directory"));
	/* it is no text */
	write_octets(place, "a x\nb\0c y\n", 10);
	error = NULL;
	assert_null(table_open(ctx, place->spec, &error));
	assert_non_null(strstr(error, ":2: too long or not text"));
	/* one line without end */
	text = mem_array(ctx, char, 200001);
	memset(text, 'k', 200000);
	write_octets(place, text, 200000);
	error = NULL;
	assert_null(table_open(ctx, place->spec, &error));
	assert_non_null(strstr(error, ":1: too long or not text"));
	assert_true(strlen(error) < 300);
	/* one entry without end, in short lines */
	for (size_t i = 0; i + 10 <= 200000; i += 10)
		memcpy(text + i, i == 0 ? "a alice,\n " : " a23456,\n\t", 10);
	memcpy(text + 199998, "x\n", 2);
	write_octets(place, text, 200000);
	error = NULL;
	assert_null(table_open(ctx, place->spec, &error));
	assert_non_null(strstr(error, ":1: the entry is longer than"));
	talloc_free(ctx);
}

/* a named pipe without a writer, which open(2) would wait for, and a device, which may be named */
static void
test_pipes(void **state)
{
	static const char *const types[] = { "texthash", "regexp", "pcre", "cidr", "cdb", "mmdb",
		"sqlite", "ldap" };
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;

	(void)unlink(place->path);
	assert_int_equal(mkfifo(place->path, 0600), 0);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		error = NULL;
		assert_null(table_open(ctx, mem_printf(ctx, "%s:%s", types[i], place->path), &error));
		assert_non_null(error);
		if (i < 4)
			assert_non_null(strstr(error, "a pipe or a socket, not a file"));
	}
	assert_non_null(table_open(ctx, "texthash:/dev/null", &error));
	(void)unlink(place->path);
	talloc_free(ctx);
}

static void
test_types(void **state)
{
	static const char *const names[] = {
		"texthash:%s",
		"hash:%s",
		"btree:%s",
		"lmdb:%s",
		"proxy:texthash:%s",
		"proxy:hash:%s",
	};
	static const char *const unknown[] = {
		"%s", "nosuch:%s", "TEXTHASH:%s", "text:%s", "texthashes:%s", ":%s", "", "proxy:%s",
		"proxy:proxy:hash:%s", "texthash",
	};
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);

	write_text(place, "a alice\n");
	for (size_t i = 0; i < COUNT(names) + COUNT(unknown); i++) {
		const char *name = i < COUNT(names) ? names[i] : unknown[i - COUNT(names)];
		const char *percent = strstr(name, "%s");
		char *spec = percent == NULL ? mem_strdup(ctx, name) :
		    mem_printf(ctx, "%.*s%s", (int)(percent - name), name, place->path);
		const char *error = NULL;
		struct table *table = table_open(ctx, spec, &error);

		if ((table != NULL) != (i < COUNT(names)))
			fail_msg("%s: %s", spec, error);
		if (table != NULL) {
			assert_string_equal(get(table, ctx, "a"), "alice");
			assert_string_equal(table_spec(table), spec);
		} else {
			assert_non_null(strstr(error, spec));
			assert_non_null(strstr(error, "write texthash:/path/to/file"));
		}
	}
	talloc_free(ctx);
}

static void
test_inline(void **state)
{
	static const struct { const char *spec, *key, *value; } rows[] = {
		{ "inline:{ a=alice }", "a", "alice" },
		{ "inline:{a=alice}", "a", "alice" },
		{ "inline:{ a=alice, b=bob }", "b", "bob" },
		{ "inline:{ a=alice b=bob }", "b", "bob" },
		{ "inline:{ a=alice,b=bob,, }", "a", "alice" },
		{ "inline:{ { a = alice, bob } }", "a", "alice, bob" },
		{ "inline:{ {a=alice bob}, c=carol }", "a", "alice bob" },
		{ "inline:{ {a=alice bob}, c=carol }", "c", "carol" },
		{ "inline:{{a=alice}}", "a", "alice" },
		{ "inline:{ @example.org=alice }", "@EXAMPLE.org", "alice" },
		{ "inline:{ a=x=y }", "a", "x=y" },
		{ "inline:{ a=alice }", "b", NULL },
		{ "inline:{ }", "a", NULL },
		{ "inline:{}", "a", NULL },
		{ "inline: { a=alice } ", "a", "alice" },
		{ "inline:{ a=alice,\n\tb=bob }", "b", "bob" },
		{ "proxy:inline:{ a=alice }", "a", "alice" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;
		struct table *table = table_open(ctx, rows[i].spec, &error);
		const char *value;

		if (table == NULL)
			fail_msg("%s: %s", rows[i].spec, error);
		value = get(table, ctx, rows[i].key);
		if ((value == NULL) != (rows[i].value == NULL) ||
		    (value != NULL && strcmp(value, rows[i].value) != 0))
			fail_msg("%s: %s", rows[i].spec, value);
		talloc_free(ctx);
	}
}

static void
test_inline_mistakes(void **state)
{
	static const struct { const char *spec, *part; } rows[] = {
		{ "inline:", "is not within { and }" },
		{ "inline:a=b", "is not within { and }" },
		{ "inline:{ a=b", "is not within { and }" },
		{ "inline:a=b }", "is not within { and }" },
		{ "inline:{", "is not within { and }" },
		{ "inline:}", "is not within { and }" },
		{ "inline:{ a }", "\"a \" is not a pair; write inline:{ key=value" },
		{ "inline:{ a=b, c }", "is not a pair" },
		{ "inline:{ a = b }", "is not a pair" },
		{ "inline:{ {a b} }", "is not a pair" },
		{ "inline:{ {a=b }", "is not a pair" },
		{ "inline:{ a=x, b=y, A=z }", "the key \"" },
		{ "inline:{ a=x, {a=y} }", "join the two" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;

		if (table_open(ctx, rows[i].spec, &error) != NULL)
			fail_msg("%s: taken", rows[i].spec);
		if (error == NULL || strstr(error, "inline") == NULL ||
		    strstr(error, rows[i].part) == NULL)
			fail_msg("%s: %s", rows[i].spec, error);
		talloc_free(ctx);
	}
}

/* A hundred thousand lines, in no order: each is found, and nothing else. */
static void
test_large(void **state)
{
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	FILE *file = fopen(place->path, "we");
	const char *error = NULL;
	struct table *table;
	char key[64], value[64];
	const uint32_t n = 100000;

	assert_non_null(file);
	/* 7919 and n have no common divisor: every number comes once */
	for (uint32_t i = 0; i < n; i++)
		(void)fprintf(file, "User%u@example.org login%u\n", i * 7919 % n, i * 7919 % n);
	assert_int_equal(fclose(file), 0);
	table = table_open(ctx, place->spec, &error);
	if (table == NULL)
		fail_msg("%s", error);
	for (uint32_t i = 0; i < n; i++) {
		const char *found;

		(void)snprintf(key, sizeof(key), "user%u@example.org", i);
		(void)snprintf(value, sizeof(value), "login%u", i);
		found = get(table, ctx, key);
		if (found == NULL || strcmp(found, value) != 0)
			fail_msg("%s: %s", key, found);
	}
	assert_null(get(table, ctx, "user100000@example.org"));
	assert_null(get(table, ctx, "user@example.org"));
	/* one key twice among them all is found, with both its lines */
	file = fopen(place->path, "ae");
	assert_non_null(file);
	(void)fprintf(file, "USER7919@example.org someone\n");
	assert_int_equal(fclose(file), 0);
	assert_null(table_open(ctx, place->spec, &error));
	assert_non_null(strstr(error, ":100001: the key"));
	assert_non_null(strstr(error, "is in line 2 already"));
	talloc_free(ctx);
}

/* An open table is a picture: the file may change or go. */
static void
test_snapshot(void **state)
{
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;
	struct table *table;

	write_text(place, "a alice\n");
	table = table_open(ctx, place->spec, &error);
	assert_non_null(table);
	write_text(place, "a bob\n");
	assert_string_equal(get(table, ctx, "a"), "alice");
	assert_int_equal(unlink(place->path), 0);
	assert_string_equal(get(table, ctx, "a"), "alice");
	talloc_free(ctx);
}

/* cidr: the first network that holds the address, in the order of the file. */
/* file_says - the open table gives this value for "a", and still after another look */
static void
file_says(struct table *table, TALLOC_CTX *ctx, const char *value)
{
	const char *got = get(table, ctx, "a");

	if (value == NULL)
		assert_null(got);
	else
		assert_string_equal(got, value);
}

/* look - what the daemon does every second, often enough for a change to be seen and to have
 * settled */
static void
look(struct table *table)
{
	for (int i = 0; i < 3; i++)
		table_tend(table);
}

static void
test_changes(void **state)
{
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;
	const char *held;
	struct table *table;
	char *other;

	write_text(place, "a one\n");
	table = table_open(ctx, place->spec, &error);
	assert_non_null(table);
	look(table);
	file_says(table, ctx, "one");
	held = get(table, ctx, "a");

	/* a change counts once it has been at rest from one look to the next */
	write_text(place, "a two\n");
	file_says(table, ctx, "one");
	table_tend(table);
	file_says(table, ctx, "one");
	table_tend(table);
	file_says(table, ctx, "two");
	assert_string_equal(held, "one");

	/* a wrong line: the old content stays, and the rest of the file does not count */
	write_text(place, "b new\na three\nhalf");
	look(table);
	file_says(table, ctx, "two");
	assert_null(get(table, ctx, "b"));
	write_text(place, "b new\na three\nhalf line\n");
	look(table);
	file_says(table, ctx, "three");
	assert_string_equal(get(table, ctx, "half"), "line");

	/* gone, and another file in its place */
	assert_int_equal(unlink(place->path), 0);
	look(table);
	file_says(table, ctx, "three");
	other = mem_printf(ctx, "%s.new", place->path);
	write_text(place, "a four\n");
	look(table);
	file_says(table, ctx, "four");
	assert_int_equal(rename(place->path, other), 0);
	assert_int_equal(rename(other, place->path), 0);
	look(table);
	file_says(table, ctx, "four");

	/* an empty file is a table, too */
	write_text(place, "");
	look(table);
	file_says(table, ctx, NULL);
	talloc_free(ctx);
}

static void
test_cidr(void **state)
{
	static const struct { const char *key, *value; } rows[] = {
		{ "192.0.2.8", "host" },
		{ "192.0.2.9", "net" },
		{ "::ffff:192.0.2.9", "net" },
		{ "198.51.100.1", NULL },
		{ "2001:db8::7", "six, and more" },
		{ "2001:db9::7", NULL },
		{ "no address", NULL },
		{ "", NULL },
	};
	static const struct { const char *text, *error; } wrong[] = {
		{ "192.0.2.1/24 x\n", ":1: " },
		{ "192.0.2.0/24\n", ":1: the network has no value" },
		{ "\nif 192.0.2.0/24\n", ":2: if without endif" },
	};
	const struct place *place = *state;
	char *spec = mem_printf(NULL, "cidr:%s", strchr(place->spec, ':') + 1);
	const char *error = NULL;
	struct table *table;

	write_text(place,
	    "# networks\n192.0.2.8 host\n\n192.0.2.0/24\tnet \n192.0.2.9 never\n2001:db8::/32  six, and more\n");
	table = table_open(spec, spec, &error);
	assert_non_null(table);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *value = get(table, spec, rows[i].key);

		if ((value == NULL) != (rows[i].value == NULL) ||
		    (value != NULL && strcmp(value, rows[i].value) != 0))
			fail_msg("%s: %s", rows[i].key, value);
	}
	for (size_t i = 0; i < COUNT(wrong); i++) {
		write_text(place, wrong[i].text);
		assert_null(table_open(spec, spec, &error));
		if (strstr(error, wrong[i].error) == NULL)
			fail_msg("%s: %s", wrong[i].text, error);
	}
	talloc_free(spec);
}

/* A pattern that regcomp() would make too large, or regexec() try for too long, is refused. */
static void
test_regexp_bounds(void **state)
{
	static const struct {
		const char *pattern;
		bool good;
	} rows[] = {
		{ "a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q+r+s+t+u+v+w+x+y+z+", true },
		{ "^[a-z0-9.+-]{1,64}@(example|example2)\\.(org|net)$", true },
		{ "[+++++++++++++++++++++++++++++++++]", true },
		{ "a\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+b", true },
		{ "a++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++", false },
		{ "((((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+", false },
		{ "((a{100}){100}){100}", false },
		{ "(a|b){0,2000}", false },
		{ "a{1000}{1000}", false },
		{ "(a*)\\1", false },
		/* found by the fuzzer: 22 s of regcomp() */
		{ "b?????++++++++", false },
		{ "((((((((b?)?)?)?)+)+)+)+)", false },
		{ "((((a?)+b?)*c?)+d?)*x+y*z?{2}", true },
		/* states by the thousand for each key, from each of its octets on */
		{ "[ab]*a[ab]{200}c", false },
		{ "([ab]+a[ab]){30,}", false },
		{ "^[ab]*a[ab]{200}c", true },
		{ "a[ab]{200}c", true },
		{ ".*@[a-z]{2,20}\\.example", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;
		const char *spec = talloc_asprintf(ctx, "regexp:{ { /%s/ x } }", rows[i].pattern);
		struct table *table = table_open(ctx, spec, &error);

		if ((table != NULL) != rows[i].good)
			fail_msg("%s: %s", rows[i].pattern, error != NULL ? error : "was taken");
		talloc_free(ctx);
	}
}

/* What regexec() keeps of the keys that strangers choose does not grow for ever. */
static void
test_regexp_memory(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL, *value;
	struct table *table = table_open(ctx, "regexp:{ { /[ab]*a[ab]{30}/ x } }", &error);
	char key[321] = "";
	size_t before = mallinfo2().uordblks;

	(void)state;
	assert_non_null(table);
	for (unsigned int i = 0; i < 300; i++) {
		/* the same in each run; all different */
		for (size_t k = 0; k < sizeof(key) - 1; k++)
			key[k] = (i * 2654435761U + (unsigned int)k * 40503U * i) >> 13 & 1 ? 'a' : 'b';
		assert_int_equal(table_get(table, ctx, key, 0, &value, &error),
		    strlen(key) > 31 && strstr(key, "a") != NULL && strstr(key, "a") < key + 290
			? TABLE_FOUND : TABLE_NOT_FOUND);
	}
	assert_true(mallinfo2().uordblks < before + 32 * 1024 * 1024);
	/* longer than any address */
	value = talloc_asprintf(ctx, "%s%s", key, key);
	assert_int_equal(table_get(table, ctx, value, 0, &value, &error), TABLE_TEMPERROR);
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regexp_memory),
		cmocka_unit_test(test_regexp_bounds),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cidr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_format, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_types, setup, teardown),
		cmocka_unit_test(test_inline),
		cmocka_unit_test(test_inline_mistakes),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_snapshot, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
