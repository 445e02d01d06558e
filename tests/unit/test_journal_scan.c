/*
 * test_journal_scan.c - the pages of a hash in Redis, and a server that never comes to an end
 *
 * The functions that send commands are replaced here: there is no connection and no thread.
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
#include <hiredis/hiredis.h>

#include "filter/journal/journal_redis.h"
#include "filter/redis/pool.h"
#include "policy/base/mem.h"

static const char *const *answers;	/* in turn; the last one again and again */
static unsigned int asked;

enum pool_outcome
redis_pool_command(struct redis_pool *pool, TALLOC_CTX *ctx, struct redis_pool_command *command,
    bool resend, int64_t deadline_ms)
{
	redisReader *reader = redisReaderCreate();
	void *reply = NULL;

	(void)pool, (void)ctx, (void)resend, (void)deadline_ms;
	assert_int_equal(redisReaderFeed(reader, *answers, strlen(*answers)), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	redisReaderFree(reader);
	if (answers[1] != NULL)
		answers++;
	asked++;
	command->reply = reply;
	return POOL_ANSWERED;
}

enum pool_outcome
redis_pool_call(struct redis_pool *pool, TALLOC_CTX *ctx, int argc, const char **argv,
    const size_t *argv_len, bool resend, int64_t deadline_ms, struct redisReply **reply_r,
    const char **error_r)
{
	struct redis_pool_command command = { .argc = argc, .argv = argv, .argv_len = argv_len };
	enum pool_outcome outcome =
	    redis_pool_command(pool, ctx, &command, resend, deadline_ms);

	*reply_r = command.reply;
	*error_r = NULL;
	return outcome;
}

void
redis_pool_batch(struct redis_pool *pool, TALLOC_CTX *ctx, struct redis_pool_command *commands,
    size_t n, int64_t deadline_ms)
{
	for (size_t i = 0; i < n; i++)
		(void)redis_pool_command(pool, ctx, &commands[i], true, deadline_ms);
}

/* add_field - append "field=value " */
static void
add_field(void *arg, const char *field, const char *value, size_t len)
{
	char **text = arg;

	assert_int_equal(strlen(value), len);
	*text = mem_check(talloc_asprintf_append(*text, "%s=%s ", field, value));
}

/* ask - scan with these answers; what was read, or the error */
static const char *
ask(TALLOC_CTX *ctx, const char *const *with)
{
	const struct store_options options = { .redis = { .server = "127.0.0.1:1" } };
	const char *error = NULL;
	struct journal_redis *redis = journal_redis_new(ctx, &options, &error);
	char *text = mem_strdup(ctx, "");

	assert_non_null(redis);
	answers = with;
	asked = 0;
	if (journal_redis_scan(redis, ctx, "{daybook}:1", add_field, &text, &error) == 0)
		return text;
	assert_non_null(error);
	return error;
}

static void
test_pages(void **state)
{
	static const char *const pages[] = {
		"*2\r\n$1\r\n7\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n",
		"*2\r\n$1\r\n0\r\n*3\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n",
		NULL
	};
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	assert_string_equal(ask(ctx, pages), "a=1 b=2 c=3 ");
	assert_int_equal(asked, 2);
	talloc_free(ctx);
}

static void
test_other_shapes(void **state)
{
	static const char *const shapes[] = { ":1\r\n", "*0\r\n", "*2\r\n:0\r\n*0\r\n",
		"*2\r\n$1\r\n0\r\n$1\r\n0\r\n", "*3\r\n$1\r\n0\r\n*0\r\n*0\r\n", "$-1\r\n" };
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		assert_string_equal(ask(ctx, (const char *const[]){ shapes[i], NULL }),
		    "the answer of Redis is of an unknown shape");
	talloc_free(ctx);
}

static void
test_no_end(void **state)
{
	static const char *const round[] = { "*2\r\n$1\r\n9\r\n*0\r\n", NULL };
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	assert_string_equal(ask(ctx, round), "Redis did not come to the end of {daybook}:1");
	assert_int_equal(asked, JOURNAL_SCAN_STEPS);
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_other_shapes),
		cmocka_unit_test(test_no_end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
