/*
 * test_sessions.c - sessions of the console: when they end, and how many there are
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

/* a reload locks out no one whose token was good before, and allows no further tries */
static void
test_inherit(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct crypt_data *data = talloc_zero(ctx, struct crypt_data);
	const char *hash = crypt_rn("right", "$y$j75$bC0rkSNO1zFGXvkZaPK.K.$", data, sizeof(*data));
	struct tokens *tokens = two_tokens(ctx, "bob", hash, "read"), *again, *other;
	const struct token *token = NULL;

	(void)state;
	again = two_tokens(ctx, "bob", hash, "operator");
	other = two_tokens(ctx, "bob", OTHER, "operator");
	assert_int_equal(tokens_check(tokens, "bob.right", START, &token), TOKENS_GOOD);
	for (int i = 0; i < 10; i++)
		assert_int_equal(tokens_check(tokens, "bob.wrong", START, &token), TOKENS_BAD);
	tokens_inherit(again, tokens);
	tokens_inherit(other, tokens);
	assert_int_equal(tokens_check(again, "bob.wrong", START, &token), TOKENS_TOO_MANY);
	assert_int_equal(tokens_check(again, "bob.right", START, &token), TOKENS_GOOD);
	assert_ptr_equal(token, tokens_named(again, "bob"));
	assert_int_equal(token->role, TOKEN_OPERATOR);
	/* of another secret nothing is known */
	assert_int_equal(tokens_check(other, "bob.right", START, &token), TOKENS_BAD);
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
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
