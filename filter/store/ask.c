/*
 * ask.c - how Redis is asked: the scripts, the slots, and the keeper's bell
 *
 * Thread rule: that of ask.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <pthread.h>

#include "filter/store/ask.h"
#include "policy/base/mem.h"

/* store_redis_run_script - EVALSHA, and EVAL if the server does not know the script */
enum pool_outcome
store_redis_run_script(struct store_redis *redis, TALLOC_CTX *ctx,
    const struct redis_script *script, struct quota_command *command, bool resend,
    int64_t deadline_ms, redisReply **answer_r, unsigned int *part_r, const char **error_r)
{
	struct redis_pool_command sent = { .argc = command->argc, .argv = command->argv,
	    .argv_len = command->argv_len };

	if (redis_pool_command(redis->pool, ctx, &sent, resend, deadline_ms) == POOL_NOSCRIPT) {
		command->argv[0] = "EVAL";
		command->argv_len[0] = 4;
		command->argv[1] = script->text;
		command->argv_len[1] = script->len;
		(void)redis_pool_command(redis->pool, ctx, &sent, resend, deadline_ms);
	}
	talloc_free(command);
	*answer_r = sent.reply;
	*error_r = sent.error;
	if (part_r != NULL)
		*part_r = sent.part;
	return sent.outcome;
}

/* store_redis_run - one run of quota.lua within the deadline */
enum pool_outcome
store_redis_run(struct store_redis *redis, TALLOC_CTX *ctx, enum quota_op op,
    const struct quota_plan *plan, int64_t age_ms, int64_t deadline_ms, redisReply **answer_r,
    unsigned int *part_r, const char **error_r)
{
	return store_redis_run_script(redis, ctx, &redis->quota,
	    quota_command_make(ctx, redis->prefix, redis->quota.digest, op, plan, NULL, age_ms),
	    true, deadline_ms, answer_r, part_r, error_r);
}

/* store_redis_index_command - a run of index.lua with room for n arguments after op */
struct quota_command *
store_redis_index_command(struct store_redis *redis, TALLOC_CTX *ctx, const char *op, size_t n)
{
	struct quota_command *command = mem_new(ctx, struct quota_command);

	command->argv = mem_array(command, const char *, n + 5);
	command->argv_len = mem_array(command, size_t, n + 5);
	quota_command_push(command, "EVALSHA");
	quota_command_push(command, redis->index.digest);
	quota_command_push(command, "1");
	quota_command_push(command, mem_printf(command->argv, "%s{index}:blocked", redis->prefix));
	quota_command_push(command, op);
	return command;
}

/* store_redis_touch - let other filters know of a change */
enum pool_outcome
store_redis_touch(struct store_redis *redis, TALLOC_CTX *ctx, int64_t deadline_ms)
{
	redisReply *answer;
	const char *error;
	enum pool_outcome outcome = store_redis_run_script(redis, ctx, &redis->index,
	    store_redis_index_command(redis, ctx, "touch", 0), true, deadline_ms, &answer, NULL,
	    &error);

	freeReplyObject(answer);
	return outcome;
}

/* store_redis_slot - the slot of a home's keys, or of a hash tag */
unsigned int
store_redis_slot(const struct store_redis *redis, const char *home)
{
	unsigned int slot;
	char *key;

	if (redis_pool_slots(redis->pool) == 1)
		return 0;
	key = mem_printf(NULL, "%s{%s}", redis->prefix, home);
	slot = redis_pool_slot(redis->pool, key);
	talloc_free(key);
	return slot;
}

/* store_redis_place - where a slot's counts are now */
struct away_place
store_redis_place(const struct store_redis *redis, unsigned int slot)
{
	return (struct away_place){ .slot = slot, .part = redis_pool_part(redis->pool, slot) };
}

/* store_redis_wake - there is something to do */
void
store_redis_wake(struct store_redis *redis)
{
	(void)pthread_mutex_lock(&redis->lock);
	redis->woken = true;
	(void)pthread_cond_signal(&redis->wake);
	(void)pthread_mutex_unlock(&redis->lock);
}
