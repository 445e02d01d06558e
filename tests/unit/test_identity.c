/*
 * test_identity.c - accounts, and which addresses belong to them
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
#include "policy/sender/identity.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

static void
test_account(void **state)
{
	static const struct {
		const char *label;
		const char *login;
		const char *realm;
		const char *account;	/* NULL: refused */
	} rows[] = {
		{ "address", "alice@example.org", NULL, "alice@example.org" },
		{ "address, realm is not used", "alice@example.net", "example.org", "alice@example.net" },
		{ "upper case", "Alice@Example.ORG", NULL, "alice@example.org" },
		{ "name and realm", "alice", "example.org", "alice@example.org" },
		{ "upper case name and realm", "ALICE", "example.org", "alice@example.org" },
		{ "name without realm", "Alice", NULL, "alice" },
		{ "name with empty realm", "Alice", "", "alice" },
		{ "trailing dot", "alice@example.org.", NULL, "alice@example.org" },
		{ "international", "J\xc3\x9cRGEN@M\xc3\xbcller.example", NULL, "j\xc3\xbcrgen@xn--mller-kva.example" },
		{ "Windows domain", "CORP\\Alice", "example.org", "corp\\alice@example.org" },
		{ "Kerberos principal", "host/mx@EXAMPLE.ORG", NULL, "host/mx@example.org" },
		{ "two at signs: the last divides", "alice@home@example.org", NULL, "alice@home@example.org" },
		{ "certificate", "/O=Example+20Org/CN=alice@example.com", NULL, "/o=example+20org/cn=alice@example.com" },
		{ "sub-address stays", "alice+x@example.org", NULL, "alice+x@example.org" },
		{ "empty", "", "example.org", NULL },
		{ "only an at sign", "@", "example.org", NULL },
		{ "only a domain", "@example.org", NULL, NULL },
		{ "no domain behind the at sign", "alice@", "example.org", NULL },
		{ "blank", "alice smith", "example.org", NULL },
		{ "comma", "alice,bob", "example.org", NULL },
		{ "line end", "alice\nbob", "example.org", NULL },
		{ "control character", "alice\x01", "example.org", NULL },
		{ "delete", "alice\x7f", "example.org", NULL },
		{ "Latin-1", "j\xfcrgen", "example.org", NULL },
		{ "zero width space", "ali\xe2\x80\x8b" "ce", "example.org", NULL },
		{ "fullwidth letter in the domain", "alice@\xef\xbd\x85xample.org", NULL, NULL },
		{ "Kelvin sign in the domain", "alice@ban\xe2\x84\xaa.example", NULL, NULL },
		{ "ideographic dot in the domain", "alice@example\xe3\x80\x82org", NULL, NULL },
		{ "ligature in the domain", "alice@\xef\xac\x81rm.example", NULL, NULL },
		{ "international, A-label", "j@xn--mller-kva.example", NULL, "j@xn--mller-kva.example" },
		{ "international, decomposed, trailing dot", "j@mu\xcc\x88ller.example.", NULL, "j@xn--mller-kva.example" },
		{ "international, Chinese", "j@\xe4\xbe\x8b\xe5\xad\x90.example", NULL, "j@xn--fsqu00a.example" },
		{ "international, sharp s", "j@stra\xc3\x9f" "e.example", NULL, "j@xn--strae-oqa.example" },
		{ "Kelvin sign", "\xe2\x84\xaa" "ate", "example.org", NULL },
		{ "dotless i stays itself", "al\xc4\xb1" "ce", "example.org", "al\xc4\xb1" "ce@example.org" },
		{ "long s stays itself", "bo\xc5\xbf", "example.org", "bo\xc5\xbf@example.org" },
		{ "fullwidth at sign", "alice\xef\xbc\xa0" "example.org", "example.org", NULL },
		{ "malformed domain", "alice@exam ple", "example.org", NULL },
		{ "domain with two dots", "alice@example..org", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const char *error = NULL;
		char *account = identity_account(NULL, rows[i].login, rows[i].realm, &error);

		if (rows[i].account == NULL ? account != NULL || error == NULL :
		    account == NULL || strcmp(account, rows[i].account) != 0)
			fail_msg("%s: %s (%s)", rows[i].label,
			    account == NULL ? "refused" : account,
			    error == NULL ? "" : error);
		talloc_free(account);
	}
}

static void
test_account_length(void **state)
{
	char login[IDENTITY_LOGIN_MAX + 2];

	(void)state;
	memset(login, 'a', sizeof(login));
	login[IDENTITY_LOGIN_MAX + 1] = '\0';
	assert_null(identity_account(NULL, login, NULL, NULL));
	login[IDENTITY_LOGIN_MAX] = '\0';
	talloc_free(mem_check(identity_account(NULL, login, NULL, NULL)));
}

static void
test_owner_keys(void **state)
{
	static const struct {
		const char *address;
		const char *delimiters;
		const char *local_domains;
		const char *keys;
	} rows[] = {
		{ "user@example.org", "+", NULL, "user@example.org @example.org" },
		{ "user+tag@example.org", "+", NULL, "user+tag@example.org user@example.org @example.org" },
		{ "user+tag@example.org", NULL, NULL, "user+tag@example.org @example.org" },
		{ "user@example.org", "+", "example.org", "user@example.org user @example.org" },
		{ "user+tag@example.org", "+", "example.org", "user+tag@example.org user@example.org user+tag user @example.org" },
		{ "user@example.net", "+", "example.org, example.net", "user@example.net user @example.net" },
		{ "user@sub.example.org", "+", "example.org", "user@sub.example.org @sub.example.org" },
		{ "user", "+", NULL, "user" },
		{ "user+tag", "+", NULL, "user+tag user" },
		{ "\"a b\"@example.org", "+", "example.org", "\"a b\"@example.org \"a b\" @example.org" },
		{ "\"a@b+c\"@example.org", "+", "example.org", "\"a@b+c\"@example.org \"a@b\"@example.org \"a@b+c\" \"a@b\" @example.org" },
		{ "\"foo..bar\"@docomo.example", "+", NULL, "\"foo..bar\"@docomo.example foo..bar@docomo.example @docomo.example" },
		{ "foo.+x@example.org", "+", "example.org", "foo.+x@example.org \"foo.\"@example.org foo.@example.org foo.+x \"foo.\" foo. @example.org" },
		{ "\"a..b+x\"@example.org", "+", "example.org", "\"a..b+x\"@example.org a..b+x@example.org \"a..b\"@example.org a..b@example.org \"a..b+x\" a..b+x \"a..b\" a..b @example.org" },
		{ "\"foo.\"@example.org", "+", "example.org", "\"foo.\"@example.org foo.@example.org \"foo.\" foo. @example.org" },
		{ "\"\"@example.org", "+", NULL, "\"\"@example.org @example.org" },
		{ "\"a@b\"@example.org", "+", NULL, "\"a@b\"@example.org @example.org" },
		{ "user@[192.0.2.1]", "+", NULL, "user@[192.0.2.1] @[192.0.2.1]" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct identity_key keys[IDENTITY_KEYS_MAX];
		size_t n = identity_owner_keys(ctx, rows[i].address, rows[i].delimiters,
		    rows[i].local_domains, keys);
		char *text = mem_strdup(ctx, "");

		for (size_t j = 0; j < n; j++)
			text = mem_printf(ctx, "%s%s%s", text, j == 0 ? "" : " ", keys[j].text);
		if (strcmp(text, rows[i].keys) != 0)
			fail_msg("%s: %s", rows[i].address, text);
		talloc_free(ctx);
	}
}

/* The keys that pattern tables are asked for. */
static void
test_whole_keys(void **state)
{
	static const struct {
		const char *address;
		size_t whole;		/* the first ones */
	} rows[] = {
		{ "user+tag@example.org", 1 },
		{ "user@example.org", 1 },
		{ "user+tag", 1 },
		{ "\"a..b+x\"@example.org", 2 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct identity_key keys[IDENTITY_KEYS_MAX];
		size_t n = identity_owner_keys(ctx, rows[i].address, "+", "example.org", keys);

		for (size_t j = 0; j < n; j++)
			if (keys[j].whole != (j < rows[i].whole))
				fail_msg("%s: %s", rows[i].address, keys[j].text);
		talloc_free(ctx);
	}
}

/* The other spelling of a key. */
static void
test_key_unicode(void **state)
{
	static const struct {
		const char *key;
		const char *unicode;	/* NULL: none */
	} rows[] = {
		{ "info@xn--bcher-kva.example", "info@b\xc3\xbc" "cher.example" },
		{ "@xn--bcher-kva.example", "@b\xc3\xbc" "cher.example" },
		{ "xn--bcher-kva.example", "b\xc3\xbc" "cher.example" },
		{ "\"a@xn--x\"@mail.xn--bcher-kva.example", "\"a@xn--x\"@mail.b\xc3\xbc" "cher.example" },
		{ "info@example.org", NULL },
		{ "xn--bcher-kva@example.org", NULL },
		{ "info@xn--a.example", NULL },
		{ "info@xn---.example", NULL },
		{ "@[192.0.2.1]", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char *unicode = identity_key_unicode(NULL, rows[i].key);

		if (rows[i].unicode == NULL ? unicode != NULL :
		    unicode == NULL || strcmp(unicode, rows[i].unicode) != 0)
			fail_msg("%s: %s", rows[i].key, unicode == NULL ? "none" : unicode);
		talloc_free(unicode);
	}
}

static void
test_list_has(void **state)
{
	static const struct {
		const char *label;
		const char *value;
		const char *account;
		const char *login;
		const char *realm;
		int has;
	} rows[] = {
		{ "one", "alice@example.org", "alice@example.org", NULL, NULL, 1 },
		{ "other", "bob@example.org", "alice@example.org", NULL, NULL, 0 },
		{ "second, comma", "bob@example.org,alice@example.org", "alice@example.org", NULL, NULL, 1 },
		{ "second, comma and blank", "bob@example.org, alice@example.org", "alice@example.org", NULL, NULL, 1 },
		{ "second, blanks", "bob@example.org \t alice@example.org", "alice@example.org", NULL, NULL, 1 },
		{ "case", "ALICE@Example.Org", "alice@example.org", NULL, NULL, 1 },
		{ "realm completes the entry", "alice", "alice@example.org", NULL, "example.org", 1 },
		{ "without realm it is another", "alice", "alice@example.org", NULL, NULL, 0 },
		{ "login without realm", "alice", "alice", NULL, NULL, 1 },
		{ "mapped account: entry is the login", "alice", "customer7@example.org", "alice", "example.org", 1 },
		{ "mapped account: entry is the account", "customer7@example.org", "customer7@example.org", "alice", "example.org", 1 },
		{ "mapped account: entry is neither", "bob", "customer7@example.org", "alice", "example.org", 0 },
		{ "login and entry differ in realm form", "alice@example.org", "customer7@example.org", "Alice", "example.org", 1 },
		{ "part of a name", "alice", "malice", NULL, NULL, 0 },
		{ "name is part of an entry", "malice", "alice", NULL, NULL, 0 },
		{ "empty", "", "alice", NULL, NULL, 0 },
		{ "only dividers", " , ", "alice", NULL, NULL, 0 },
		{ "a domain is no login", "@example.org", "alice@example.org", NULL, "example.org", 0 },
		{ "bad entry is passed over", "\x01 alice", "alice", NULL, NULL, 1 },
		{ "bad login does not match bad entry", "a@..", "alice", "a@..", NULL, 0 },
		{ "international", "j\xc3\xbcrgen@m\xc3\xbcller.example", "j\xc3\xbcrgen@xn--mller-kva.example", NULL, NULL, 1 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (identity_list_has(rows[i].value, rows[i].account, rows[i].login,
		    rows[i].realm) != (rows[i].has != 0))
			fail_msg("%s", rows[i].label);
}

static void
test_owns_itself(void **state)
{
	static const struct {
		const char *account;
		const char *address;
		const char *delimiters;
		int owns;
	} rows[] = {
		{ "alice@example.org", "alice@example.org", "+", 1 },
		{ "alice@example.org", "alice+x@example.org", "+", 1 },
		{ "alice@example.org", "alice+x@example.org", NULL, 0 },
		{ "alice@example.org", "alice-x@example.org", "+", 0 },
		{ "alice@example.org", "alice@example.net", "+", 0 },
		{ "alice@example.org", "bob@example.org", "+", 0 },
		{ "alice+x@example.org", "alice+x@example.org", "+", 1 },
		{ "alice+x@example.org", "alice@example.org", "+", 0 },
		{ "alice@example.org", "\"alice+ <ceo@bank.example>\"@example.org", "+", 0 },
		{ "alice@example.org", "\"alice+,\"@example.org", "+", 0 },
		{ "alice@example.org", "\"alice+a b\"@example.org", "+", 1 },
		{ "alice@example.org", "\"alice+..\"@example.org", "+", 1 },
		{ "alice+x@example.org", "alice+y@example.org", "+", 0 },
		{ "alice", "alice", "+", 1 },
		{ "alice", "alice@example.org", "+", 0 },
		{ "alice@example.org", "alice", "+", 0 },
		{ "foo..bar@docomo.example", "\"foo..bar\"@docomo.example", "+", true },
		{ "foo.@docomo.example", "\"foo.+x\"@docomo.example", "+", true },
		{ "foo..bar@docomo.example", "foo.bar@docomo.example", "+", false },
		{ "foo..bar@docomo.example", "\"foo..bar\"@other.example", "+", false },
		{ "alice@home@example.org", "\"alice@home\"@example.org", "+", true },
		{ "alice@home@example.org", "alice@home", "+", false },
		{ "corp\\alice@example.org", "\"corp\\\\alice\"@example.org", "+", true },
		{ "corp\\alice@example.org", "alice@example.org", "+", false },
		{ "foo..bar", "\"foo..bar\"", "+", false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (identity_owns_itself(rows[i].account, rows[i].address,
		    rows[i].delimiters) != (rows[i].owns != 0))
			fail_msg("%s, %s", rows[i].account, rows[i].address);
}

static void
test_patterns(void **state)
{
	static const struct {
		const char *pattern;
		const char *address;
		int covers;		/* -1: the pattern is refused */
	} rows[] = {
		{ "info@example.org", "info@example.org", 1 },
		{ "Info@Example.org", "info@example.org", 1 },
		{ "\"info\"@example.org", "info@example.org", 1 },
		{ "info@example.org", "info+x@example.org", 1 },
		{ "info@example.org", "infos@example.org", 0 },
		{ "info@example.org", "info@sub.example.org", 0 },
		{ "info+x@example.org", "info@example.org", 0 },
		{ "@example.net", "a@example.net", 1 },
		{ "@Example.NET", "a@example.net", 1 },
		{ "@example.net", "a@sub.example.net", 0 },
		{ "@example.net", "\"a <ceo@bank.example>\"@example.net", 0 },
		{ "@.example.net", "\"ceo@bank.example\"@example.net", 0 },
		{ "info@example.net", "\"info+<ceo@bank.example>\"@example.net", 0 },
		{ "\"ceo@bank.example\"@example.net", "\"ceo@bank.example\"@example.net", 1 },
		{ "@example.net", "\"a b\"@example.net", 1 },
		{ "@example.net", "\"a..b\"@example.net", 1 },
		{ "*", "\"ceo@bank.example\"@example.net", 1 },
		{ "@example.net", "a@badexample.net", 0 },
		{ "@example.net", "\"x@example.net\"@other.example", 0 },
		{ "@example.net", "root", 0 },
		{ "@.example.net", "a@example.net", 1 },
		{ "@.example.net", "a@b.c.example.net", 1 },
		{ "@.example.net", "a@badexample.net", 0 },
		{ "@m\xc3\xbcller.example", "a@xn--mller-kva.example", 1 },
		{ "@[192.0.2.1]", "a@[192.0.2.1]", 1 },
		{ "*", "a@example.net", 1 },
		{ "*", "root", 1 },
		{ "", "", -1 },
		{ "<>", "", -1 },
		{ "example.org", "", -1 },
		{ "info", "", -1 },
		{ "@", "", -1 },
		{ "@.", "", -1 },
		{ "@..example.org", "", -1 },
		{ "*@example.org", "", -1 },
		{ "*.example.org", "", -1 },
		{ "@*.example.org", "", -1 },
		{ "info@", "", -1 },
		{ "info@example.org bob@example.org", "", -1 },
		{ "info@example.org,bob@example.org", "", -1 },
		{ " info@example.org", "", -1 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct identity_pattern pattern;
		const char *error = NULL;
		int rc = identity_pattern_read(ctx, rows[i].pattern, true, &pattern, &error);

		if ((rc < 0) != (rows[i].covers < 0) || (rc < 0 && error == NULL))
			fail_msg("%s: %s", rows[i].pattern, error == NULL ? "read" : error);
		if (rc == 0 && identity_pattern_matches(&pattern, rows[i].address, "+") !=
		    (rows[i].covers > 0))
			fail_msg("%s on %s", rows[i].pattern, rows[i].address);
		talloc_free(ctx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_account),
		cmocka_unit_test(test_account_length),
		cmocka_unit_test(test_owner_keys),
		cmocka_unit_test(test_whole_keys),
		cmocka_unit_test(test_key_unicode),
		cmocka_unit_test(test_list_has),
		cmocka_unit_test(test_owns_itself),
		cmocka_unit_test(test_patterns),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
