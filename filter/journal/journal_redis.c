/*
 * journal_redis.c - the Redis that holds what happened, in addition to the counters
 *
 * A command that got no answer may be executed later, when the server goes on. It is sent again by
 * then, and counts twice. So that this is once, not once for each try, the next command that
 * changes something waits for the answer to a question.
 *
 * Thread rule: nothing but lost changes after journal_redis_new(); the pool locks by itself.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/journal/journal_redis.h"
#include "filter/redis/pool.h"
#include "policy/base/mem.h"

#define CONNECTIONS	4	/* the journal's thread, the control thread, and some to spare */

struct journal_redis {
	struct redis_pool *pool;
	char *prefix;
	atomic_bool lost;	/* the last command that changes something got no answer */
};

/* journal_redis_new - prepare connections */
struct journal_redis *
journal_redis_new(TALLOC_CTX *ctx, const struct store_options *options, const char **error_r)
{
	struct journal_redis *redis = mem_new(ctx, struct journal_redis);

	redis->prefix =
	    mem_strdup(redis, options->prefix != NULL ? options->prefix : "countersign:");
	redis->pool =
	    talloc_steal(redis, redis_pool_new(ctx, &options->redis, CONNECTIONS, error_r));
	if (redis->pool != NULL)
		return redis;
	talloc_free(redis);
	return NULL;
}

#define JOURNAL_REDIS_RENEW_MS	1000	/* for a server to say whether it accepts a new password */

/* journal_redis_renew - files of TLS and passwords may be new */
int
journal_redis_renew(struct journal_redis *redis, TALLOC_CTX *ctx,
    const struct redis_passwords *passwords, const char **error_r)
{
	return redis_pool_renew(
	    redis->pool, ctx, passwords, JOURNAL_REDIS_RENEW_MS, error_r);
}

void
journal_redis_hurry(struct journal_redis *redis, int64_t until_ms)
{
	redis_pool_hurry(redis->pool, until_ms);
}

/* journal_words_new - an empty list */
struct journal_words *
journal_words_new(TALLOC_CTX *ctx)
{
	return mem_new(ctx, struct journal_words);
}

/* journal_script - begin a command that runs a script */
void
journal_script(struct journal_words *words, const struct redis_script *script)
{
	words->script = script;
	journal_word(words, "EVALSHA");
	journal_word(words, script->digest);
}

/* journal_octets - one more word, of any octets */
void
journal_octets(struct journal_words *words, const char *data, size_t len)
{
	if (words->n % 32 == 0) {
		words->items = mem_grow(words, words->items, const char *, words->n + 32);
		words->lens = mem_grow(words, words->lens, size_t, words->n + 32);
	}
	words->items[words->n] = data;
	words->lens[words->n++] = len;
}

/* journal_word - one more word */
void
journal_word(struct journal_words *words, const char *word)
{
	journal_octets(words, word, strlen(word));
}

/* journal_number - one more word, a number */
void
journal_number(struct journal_words *words, long long number)
{
	journal_word(words, mem_printf(words, "%lld", number));
}

/* journal_key - one more word, a key */
void
journal_key(const struct journal_redis *redis, struct journal_words *words, const char *name)
{
	journal_word(words, mem_printf(words, "%s%s", redis->prefix, name));
}

/* journal_redis_answers - does the server that has the key of a command answer? */
static bool
journal_redis_answers(struct journal_redis *redis, TALLOC_CTX *ctx,
    const struct journal_words *words, int64_t deadline_ms, const char **error_r)
{
	const char *key = words->items[words->script != NULL ? 3 : 1];
	const char *argv[] = { "EVAL", "return 1", "1", key };
	const size_t lens[] = { 4, 8, 1, strlen(key) };
	struct redisReply *reply = NULL;
	enum pool_outcome outcome =
	    redis_pool_call(redis->pool, ctx, 4, argv, lens, true, deadline_ms, &reply, error_r);

	freeReplyObject(reply);
	return outcome == POOL_ANSWERED;
}

/* journal_redis_call - one command, one answer */
struct redisReply *
journal_redis_call(struct journal_redis *redis, TALLOC_CTX *ctx, struct journal_words *words,
    bool again, const char **error_r)
{
	int64_t deadline_ms = clock_ms() + JOURNAL_REDIS_WAIT_MS;
	struct redisReply *reply = NULL;
	enum pool_outcome outcome;

	if (redis_pool_resolve(redis->pool, ctx, error_r) < 0)
		return NULL;
	if (!again && atomic_load(&redis->lost) &&
	    !journal_redis_answers(redis, ctx, words, deadline_ms, error_r))
		return NULL;
	outcome = redis_pool_call(redis->pool, ctx, (int)words->n, words->items, words->lens, again,
	    deadline_ms, &reply, error_r);
	if (outcome == POOL_NOSCRIPT && words->script != NULL) {
		/* a server that has started meanwhile: send it whole, which it then knows */
		words->items[0] = "EVAL";
		words->lens[0] = strlen("EVAL");
		words->items[1] = words->script->text;
		words->lens[1] = words->script->len;
		outcome = redis_pool_call(redis->pool, ctx, (int)words->n, words->items,
		    words->lens, again, deadline_ms, &reply, error_r);
	}
	if (!again)
		atomic_store(&redis->lost, outcome == POOL_LOST);
	if (outcome == POOL_ANSWERED)
		return reply;
	freeReplyObject(reply);
	if (*error_r == NULL)
		*error_r = "Redis is unavailable";
	return NULL;
}

int
journal_redis_number(struct journal_redis *redis, TALLOC_CTX *ctx, struct journal_words *words,
    const char **error_r)
{
	redisReply *reply = journal_redis_call(redis, ctx, words, false, error_r);
	int number = reply == NULL ? -1 :
	    reply->type == REDIS_REPLY_INTEGER && reply->integer > 0 ? (int)reply->integer : 0;

	talloc_free(words);
	freeReplyObject(reply);
	return number;
}

const char *
journal_redis_text(const redisReply *reply)
{
	return reply != NULL && reply->type == REDIS_REPLY_STRING ? reply->str : NULL;
}

/* scan_step - one HSCAN; the reply if it has the right shape, else NULL and *error_r */
static redisReply *
scan_step(struct journal_redis *redis, TALLOC_CTX *ctx, const char *key, const char *cursor,
    const char **error_r)
{
	struct journal_words *words = journal_words_new(ctx);
	redisReply *reply;

	journal_word(words, "HSCAN");
	journal_key(redis, words, key);
	journal_word(words, cursor);
	journal_word(words, "COUNT");
	journal_number(words, JOURNAL_PAGE);
	reply = journal_redis_call(redis, ctx, words, true, error_r);
	talloc_free(words);
	if (reply == NULL || (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
	    journal_redis_text(reply->element[0]) != NULL &&
	    reply->element[1]->type == REDIS_REPLY_ARRAY))
		return reply;
	freeReplyObject(reply);
	*error_r = "the answer of Redis is of an unknown shape";
	return NULL;
}

int
journal_redis_scan(struct journal_redis *redis, TALLOC_CTX *ctx, const char *key,
    journal_scan_each *each, void *arg, const char **error_r)
{
	char cursor[32] = "0";

	for (int step = 0; step < JOURNAL_SCAN_STEPS; step++) {
		redisReply *reply = scan_step(redis, ctx, key, cursor, error_r);
		const redisReply *page;

		if (reply == NULL)
			return -1;
		page = reply->element[1];
		for (size_t i = 0; i + 1 < page->elements; i += 2) {
			const char *field = journal_redis_text(page->element[i]);
			const char *value = journal_redis_text(page->element[i + 1]);

			if (field != NULL && value != NULL)
				each(arg, field, value, page->element[i + 1]->len);
		}
		(void)snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);
		freeReplyObject(reply);
		if (strcmp(cursor, "0") == 0)
			return 0;
	}
	*error_r = mem_printf(ctx, "Redis did not come to the end of %s", key);
	return -1;
}
