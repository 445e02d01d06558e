/*
 * test_sessions.c - sessions of the console: when they end, and how many there are; wrong tokens,
 * and where they come from
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <crypt.h>
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

#include "filter/web/sessions.h"
#include "policy/base/mem.h"

#define HASH	"$y$j9T$bC0rkSNO1zFGXvkZaPK.K.$8uQvTzuSkCWCFHpgpQ4dlQRZqxuLoIbPNxVoxGIOcF0"
#define OTHER	"$y$j9T$bC0rkSNO1zFGXvkZaPK.K.$9uQvTzuSkCWCFHpgpQ4dlQRZqxuLoIbPNxVoxGIOcF0"
#define START	INT64_C(1000000)
#define IDLE_MS	(SESSIONS_IDLE_S * INT64_C(1000))
#define LIFE_MS	(SESSIONS_LIFE_S * INT64_C(1000))

/* tokens_of - what a file with these tokens says */
static struct tokens *
tokens_of(TALLOC_CTX *ctx, const char *text)
{
	char path[] = "/tmp/test_sessions.XXXXXX";
	const char *error = NULL;
	struct tokens *tokens;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
	tokens = tokens_read(ctx, path, &error);
	(void)unlink(path);
	if (tokens == NULL)
		fail_msg("%s", error);
	return tokens;
}

/* two_tokens - anna, and one more with that name and hash */
static struct tokens *
two_tokens(TALLOC_CTX *ctx, const char *name, const char *hash, const char *role)
{
	return tokens_of(ctx, mem_printf(ctx,
	    "tokens = ( { name = \"anna\"  hash = \"" HASH "\"  role = \"admin\" },"
	    " { name = \"%s\"  hash = \"%s\"  role = \"%s\" } )", name, hash, role));
}

/* idle - found as long as it is used within an hour, and for 12 hours at most */
static void
test_time(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct tokens *tokens = two_tokens(ctx, "bob", HASH, "read");
	const struct token *bob = tokens_named(tokens, "bob");
	struct sessions *sessions = sessions_new(ctx);
	char id[SESSIONS_TEXT], idle[SESSIONS_TEXT];
	int64_t now = START;

	(void)state;
	assert_true(sessions_begin(sessions, bob, now, id));
	assert_true(sessions_begin(sessions, bob, now, idle));
	assert_string_not_equal(id, idle);
	assert_ptr_equal(sessions_find(sessions, tokens, idle, now + IDLE_MS), bob);
	assert_null(sessions_find(sessions, tokens, idle, now + 2 * IDLE_MS + 1));
	assert_null(sessions_find(sessions, tokens, idle, now));
	for (; now <= START + LIFE_MS; now += IDLE_MS)
		assert_ptr_equal(sessions_find(sessions, tokens, id, now), bob);
	assert_null(sessions_find(sessions, tokens, id, START + LIFE_MS + 1));
	assert_null(sessions_find(sessions, tokens, "", START));
	assert_null(sessions_find(sessions, tokens, "0", START));
	talloc_free(ctx);
}

/* after a reload: the role is the new one, and a token that changed or went has no session */
static void
test_tokens_change(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct tokens *tokens = two_tokens(ctx, "bob", HASH, "operator");
	struct sessions *sessions = sessions_new(ctx);
	char id[3][SESSIONS_TEXT];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(sessions_begin(sessions, tokens_named(tokens, "bob"), START, id[i]));
	tokens = two_tokens(ctx, "bob", HASH, "read");
	assert_int_equal(sessions_find(sessions, tokens, id[0], START)->role, TOKEN_READ);
	assert_null(sessions_find(sessions, two_tokens(ctx, "bob", OTHER, "read"), id[0], START));
	/* it does not come back */
	assert_null(sessions_find(sessions, tokens, id[0], START));
	assert_null(sessions_find(sessions, two_tokens(ctx, "carl", HASH, "read"), id[1], START));
	assert_non_null(sessions_find(sessions, tokens, id[2], START));
	sessions_end(sessions, id[2]);
	assert_null(sessions_find(sessions, tokens, id[2], START));
	talloc_free(ctx);
}

/* one token cannot take the places of others, and there are no more than the table has */
static void
test_many(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct tokens *tokens = two_tokens(ctx, "bob", HASH, "read");
	struct sessions *sessions = sessions_new(ctx);
	char annas[SESSIONS_TEXT], id[SESSIONS_NAME + 1][SESSIONS_TEXT], other[SESSIONS_TEXT];

	(void)state;
	assert_true(sessions_begin(sessions, tokens_named(tokens, "anna"), START, annas));
	for (int i = 0; i <= SESSIONS_NAME; i++)
		assert_true(
		    sessions_begin(sessions, tokens_named(tokens, "bob"), START + 1 + i, id[i]));
	assert_null(sessions_find(sessions, tokens, id[0], START + 100));
	for (int i = 1; i <= SESSIONS_NAME; i++)
		assert_non_null(sessions_find(sessions, tokens, id[i], START + 100));
	assert_non_null(sessions_find(sessions, tokens, annas, START + 100));
	/* of many names: the one that was idle longest goes */
	for (int i = 0; i < SESSIONS_MAX; i++) {
		char name[8];
		struct token many = { .name = name, .hash = HASH };

		(void)snprintf(name, sizeof(name), "n%d", i);
		assert_true(sessions_begin(sessions, &many, START + 200 + i, other));
	}
	assert_null(sessions_find(sessions, tokens, annas, START + 1000));
	assert_null(sessions_find(sessions, tokens, id[1], START + 1000));
	talloc_free(ctx);
}

/* a proof belongs to one session of one process */
static void
test_proof(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct sessions *sessions = sessions_new(ctx), *others = sessions_new(ctx);
	char proof[SESSIONS_TEXT], longer[SESSIONS_TEXT + 1];

	(void)state;
	sessions_proof(sessions, "a", proof);
	assert_true(sessions_proven(sessions, "a", proof));
	assert_false(sessions_proven(sessions, "b", proof));
	assert_false(sessions_proven(others, "a", proof));
	assert_false(sessions_proven(sessions, "a", NULL));
	assert_false(sessions_proven(sessions, "a", ""));
	(void)snprintf(longer, sizeof(longer), "%s0", proof);
	assert_false(sessions_proven(sessions, "a", longer));
	talloc_free(ctx);
}

/* hash_of - a cheap hash of a secret */
static const char *
hash_of(TALLOC_CTX *ctx, const char *secret)
{
	struct crypt_data *data = talloc_zero(ctx, struct crypt_data);

	return crypt_rn(secret, "$y$j75$bC0rkSNO1zFGXvkZaPK.K.$", data, sizeof(*data));
}

/* check - a token from a place */
static enum tokens_result
check(struct tokens *tokens, struct guesses *guesses, const char *place, const char *presented,
    int64_t now_ms)
{
	const struct token *token = NULL;
	enum tokens_result result = tokens_check(tokens, presented,
	    &(struct tokens_asked){ guesses, place, now_ms }, &token);

	assert_int_equal(token != NULL, result == TOKENS_GOOD);
	return result;
}

/* a reload locks out no one whose token was good before */
static void
test_inherit(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *hash = hash_of(ctx, "right");
	struct tokens *tokens = two_tokens(ctx, "bob", hash, "read"), *again, *other;
	struct guesses *guesses = guesses_new(ctx);

	(void)state;
	again = two_tokens(ctx, "bob", hash, "operator");
	other = two_tokens(ctx, "bob", OTHER, "operator");
	assert_int_equal(check(tokens, guesses, "a", "bob.right", START), TOKENS_GOOD);
	for (int i = 0; i < GUESSES_NAME; i++)
		assert_int_equal(check(tokens, guesses, "a", "bob.wrong", START), TOKENS_BAD);
	tokens_inherit(again, tokens);
	tokens_inherit(other, tokens);
	assert_int_equal(check(again, guesses, "a", "bob.wrong", START), TOKENS_TOO_MANY);
	assert_int_equal(check(again, guesses, "a", "bob.right", START), TOKENS_GOOD);
	assert_int_equal(tokens_named(again, "bob")->role, TOKEN_OPERATOR);
	/* of another secret nothing is known */
	assert_int_equal(check(other, guesses, "b", "bob.right", START), TOKENS_BAD);
	talloc_free(ctx);
}

/* names that exist and names that do not are answered alike, each by its own count */
static void
test_names_alike(void **state)
{
	static const char *const names[] = { "bob.x", "nobody.x", "no-one.x", "anna.x", ".x" };
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct tokens *tokens = two_tokens(ctx, "bob", hash_of(ctx, "right"), "read");
	struct guesses *guesses = guesses_new(ctx);

	(void)state;
	for (size_t name = 0; name < 4; name++) {
		for (int i = 0; i < GUESSES_NAME; i++)
			assert_int_equal(
			    check(tokens, guesses, "a", names[name], START), TOKENS_BAD);
		assert_int_equal(check(tokens, guesses, "a", names[name], START), TOKENS_TOO_MANY);
		assert_int_equal(check(tokens, guesses, "a", names[name], START + GUESSES_MS),
		    TOKENS_TOO_MANY);
	}
	assert_int_equal(check(tokens, guesses, "a", names[4], START), TOKENS_BAD);
	for (size_t name = 0; name < 5; name++)
		assert_int_equal(check(tokens, guesses, "a", names[name], START + GUESSES_MS + 1),
		    TOKENS_BAD);
	talloc_free(ctx);
}

/* the owner gets in from a place where no one guesses, also one that was never seen */
static void
test_places(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct tokens *tokens = two_tokens(ctx, "bob", hash_of(ctx, "right"), "read");
	struct guesses *guesses = guesses_new(ctx);
	char name[16];
	int taken = 0;

	(void)state;
	for (int i = 0; i < 2 * GUESSES_PLACE; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		taken += guesses_take(guesses, "a", name, strlen(name), START);
	}
	assert_int_equal(taken, GUESSES_PLACE);
	assert_int_equal(check(tokens, guesses, "a", "bob.right", START), TOKENS_TOO_MANY);
	assert_int_equal(check(tokens, guesses, "b", "bob.right", START), TOKENS_GOOD);
	/* all places together */
	for (int i = 0; i < 2 * GUESSES_ALL; i++) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		taken += guesses_take(guesses, name, "anna", 4, START + GUESSES_MS - 1);
	}
	assert_int_equal(taken, GUESSES_ALL);
	/* the tables have room for what comes in the next minute, and forget it after that */
	for (int minute = 1; minute < 4; minute++) {
		taken = 0;
		for (int i = 0; i < 2 * GUESSES_ALL; i++) {
			(void)snprintf(name, sizeof(name), "%d-%d", minute, i);
			taken += guesses_take(guesses, name, "anna", 4,
			    START + minute * (GUESSES_MS + INT64_C(1)));
		}
		assert_int_equal(taken, GUESSES_ALL);
	}
	talloc_free(ctx);
}

/* secrets that are right are no guesses */
static void
test_right(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct guesses *guesses = guesses_new(ctx);

	(void)state;
	for (int i = 0; i < 2 * GUESSES_ALL; i++) {
		assert_true(guesses_take(guesses, "a", "bob", 3, START));
		guesses_return(guesses, "a", "bob", 3, START);
	}
	/* none is given back that was not taken */
	guesses_return(guesses, "a", "bob", 3, START);
	for (int i = 0; i < GUESSES_NAME; i++)
		assert_true(guesses_take(guesses, "a", "bob", 3, START));
	assert_false(guesses_take(guesses, "a", "bob", 3, START));
	talloc_free(ctx);
}

/* where a request comes from, by the field of the last proxy */
static void
test_place(void **state)
{
	static const char *const places[][2] = {
		{ "192.0.2.7", "192.0.2.7" },
		{ "198.51.100.1, 192.0.2.7", "192.0.2.7" },
		{ "192.0.2.7:40000", "192.0.2.7" },
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::" },
		{ "[2001:db8:1:2::9]:443", "2001:db8:1:2::" },
		{ "::ffff:192.0.2.7", "192.0.2.7" },
		{ "192.0.2.7, unknown", NULL },
		{ "", NULL },
		{ ",", NULL },
		{ "[", NULL },
		{ "1.2.3.4 5.6.7.8, ", NULL },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *peer = guesses_place(ctx, -1, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		assert_string_equal(guesses_place(ctx, -1, places[i][0]),
		    places[i][1] != NULL ? mem_printf(ctx, "%s for %s", peer, places[i][1]) : peer);
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_tokens_change),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_inherit),
		cmocka_unit_test(test_names_alike),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_place),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
