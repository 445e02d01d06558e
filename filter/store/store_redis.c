/*
 * store_redis.c - counts in Redis
 *
 * A message costs one round trip: EVALSHA of quick.lua with quota.lua, and the whole script is
 * sent only to a server that does not know it yet. Any failure that says "not now" turns the state
 * to DOUBTFUL (away.h), and from then on messages are decided in this process until the
 * keeper thread (keeper.c) has found Redis working again and has handed over all that passed
 * meanwhile. The breaker is that same state: no message waits for a Redis that is known to have
 * failed.
 *
 * An error that concerns one command only (a key of another type, say) changes no
 * state: that message gets QUOTA_UNKNOWN, the others go on.
 *
 * Thread rule: that of ask.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/store/ask.h"
#include "filter/store/changes.h"
#include "filter/store/index_lua.h"
#include "filter/store/keeper.h"
#include "filter/store/ops.h"
#include "filter/store/lists.h"
#include "filter/store/quota_lua.h"
#include "policy/base/mem.h"

#define RENEW_MS	1000	/* for a server to say whether it accepts a new password */
#define STOP_MS		1000	/* for each call, once the store is being closed */

/* --- construction and destruction --- */

/* init_locks - the condition waits by the clock that deadlines use */
static void
init_locks(struct store_redis *redis)
{
	pthread_condattr_t attributes;

	(void)pthread_mutex_init(&redis->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&redis->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
}

/* store_redis_find_masters - once, before mail comes */
static void
store_redis_find_masters(struct store_redis *redis)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *ignored = NULL;

	(void)redis_pool_resolve(redis->pool, tmp, &ignored);
	talloc_free(tmp);
}

/* store_redis_close - end it */
static void
store_redis_close(void *impl)
{
	struct store_redis *redis = impl;

	if (redis->pool != NULL)
		redis_pool_hurry(redis->pool, clock_ms() + STOP_MS);
	(void)pthread_mutex_lock(&redis->lock);
	redis->stop = true;
	(void)pthread_cond_signal(&redis->wake);
	(void)pthread_mutex_unlock(&redis->lock);
	if (redis->has_keeper) {
		(void)pthread_join(redis->keeper, NULL);
		store_redis_last_words(redis);
		away_keep_last(redis->away);
	}
	store_redis_drop_offences(redis);
	(void)pthread_cond_destroy(&redis->wake);
	(void)pthread_mutex_destroy(&redis->lock);
	talloc_free(redis);
}

/* store_redis_slot_of - away_slot_fn */
static unsigned int
store_redis_slot_of(void *arg, const char *home)
{
	return store_redis_slot(arg, home);
}

/* store_redis_open - the store; options have their defaults filled in */
static void *
store_redis_open(TALLOC_CTX *ctx, const struct store_options *options, struct blocks *blocks,
    struct over_table *over, const char **error_r)
{
	struct store_redis *redis = mem_new(NULL, struct store_redis);

	init_locks(redis);
	redis->prefix = mem_strdup(redis, options->prefix);
	redis->deadline_ms = options->deadline_ms;
	redis->holds = options->holds;
	redis->over = over;
	redis->log.log = options->log;
	redis->log.log_arg = options->log_arg;
	atomic_init(&redis->failed, 0);
	atomic_init(&redis->emptied, 0);
	redis_script_init(&redis->quota, quota_lua, quota_lua_len);
	redis_script_init(&redis->index, index_lua, index_lua_len);
	redis->blocks = blocks;
	redis->pool = talloc_steal(
	    redis, redis_pool_new(ctx, &options->redis, options->connections, error_r));
	if (redis->pool == NULL) {
		store_redis_close(redis);
		return NULL;
	}
	redis->away = away_new(redis, options, blocks, redis_pool_server(redis->pool),
	    redis_pool_slots(redis->pool));
	redis->index_slot = store_redis_slot(redis, "index");
	if (options->away_file != NULL &&
	    away_restore(redis->away, ctx, options->away_file, store_redis_slot_of, redis,
		error_r) < 0) {
		store_redis_close(redis);
		return NULL;
	}
	/* Mail may come at once. A second is worth it here; what fails, the keeper says. */
	if (options->redis.cluster || options->redis.sentinels != NULL)
		store_redis_find_masters(redis);
	if (store_redis_start_keeper(ctx, redis, error_r) < 0) {
		store_redis_close(redis);
		return NULL;
	}
	return redis;
}

/* store_redis_renew - files of TLS and passwords may be new */
static int
store_redis_renew(void *impl, TALLOC_CTX *ctx, const struct redis_passwords *passwords,
    const char **error_r)
{
	struct store_redis *redis = impl;

	return redis_pool_renew(redis->pool, ctx, passwords, RENEW_MS, error_r);
}

/* --- the message's side --- */

/* within - the caller's deadline, or the configured one if that is earlier */
static int64_t
within(const struct store_redis *redis, int64_t now, int64_t deadline_ms)
{
	int64_t own = now + redis->deadline_ms;

	return deadline_ms < own ? deadline_ms : own;
}

/* unknown - an answer for which Redis gave no help */
static void
unknown(TALLOC_CTX *ctx, const char *problem, struct quota_reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	reply->state = QUOTA_UNKNOWN;
	reply->store = "redis";
	reply->problem = mem_strdup(ctx, problem);
}

/* store_redis_take_answer - Redis answered; note the totals */
static void
store_redis_take_answer(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    unsigned int slot, const redisReply *answer, struct quota_reply *reply)
{
	const struct away_place place = store_redis_place(redis, slot);
	int64_t stamp;

	if (quota_command_read(ctx, plan, answer, reply, &stamp) < 0 ||
	    reply->state == QUOTA_UNKNOWN) {
		unknown(ctx, "Redis gave an answer of an unexpected form", reply);
		return;
	}
	reply->store = "redis";
	away_seen(redis->away, plan, &place, reply, stamp, clock_ms());
}

/* fall_back - a call failed, for which place->part is to blame: decide here, and have it looked
 * after */
static void
fall_back(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct away_place *place, bool ambiguous, const char *why, struct quota_reply *reply)
{
	int64_t now = clock_ms();

	away_failed(redis->away, place, why, now);
	away_charge(redis->away, ctx, plan, place->slot, ambiguous, now, reply);
	store_redis_wake(redis);
}

/* store_redis_charge - charge one message */
static void
store_redis_charge(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	struct store_redis *redis = impl;
	struct away_place place = store_redis_place(redis, store_redis_slot(redis, plan->home));
	int64_t now = clock_ms();
	enum pool_outcome outcome;
	redisReply *answer;
	const char *why;

	if (!away_may_ask(redis->away, &place, now)) {
		away_charge(redis->away, ctx, plan, place.slot, false, now, reply_r);
		return;
	}
	outcome = store_redis_run(redis, ctx, QUOTA_OP_CHARGE, plan, 0,
	    within(redis, now, deadline_ms), &answer, &place.part, &why);
	if (outcome != POOL_ANSWERED)
		atomic_fetch_add(&redis->failed, 1);
	if (outcome == POOL_ANSWERED)
		store_redis_take_answer(redis, ctx, plan, place.slot, answer, reply_r);
	else if (outcome == POOL_BROKEN)
		unknown(ctx, why, reply_r);
	else
		fall_back(redis, ctx, plan, &place, outcome == POOL_LOST, why, reply_r);
	freeReplyObject(answer);
}

/* store_redis_read - the counters without charging */
static void
store_redis_read(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	struct store_redis *redis = impl;
	const struct away_place place =
	    store_redis_place(redis, store_redis_slot(redis, plan->home));
	enum pool_outcome outcome;
	redisReply *answer;
	const char *why;

	if (redis->holds && !away_may_ask(redis->away, &place, clock_ms())) {
		away_read(redis->away, ctx, plan, clock_ms(), reply_r);
		return;
	}
	outcome = store_redis_run(redis, ctx, QUOTA_OP_READ, plan, 0,
	    within(redis, clock_ms(), deadline_ms), &answer, NULL, &why);
	if (outcome == POOL_ANSWERED)
		store_redis_take_answer(redis, ctx, plan, place.slot, answer, reply_r);
	else
		unknown(ctx, why, reply_r);
	freeReplyObject(answer);
}

/* store_redis_foretell - the counters, in Redis or while it is away here */
static void
store_redis_foretell(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	struct store_redis *redis = impl;
	const struct away_place place =
	    store_redis_place(redis, store_redis_slot(redis, plan->home));
	enum pool_outcome outcome = POOL_LOST;
	redisReply *answer = NULL;
	const char *why = NULL;

	if (away_may_ask(redis->away, &place, clock_ms()))
		outcome = store_redis_run(redis, ctx, QUOTA_OP_READ, plan, 0,
		    within(redis, clock_ms(), deadline_ms), &answer, NULL, &why);
	if (outcome == POOL_ANSWERED)
		store_redis_take_answer(redis, ctx, plan, place.slot, answer, reply_r);
	else if (outcome == POOL_BROKEN)
		unknown(ctx, why, reply_r);
	else
		away_foretell(redis->away, ctx, plan, why, clock_ms(), reply_r);
	freeReplyObject(answer);
}

/* store_redis_reset - forget all counts of plan's subjects */
static int
store_redis_reset(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct store_redis *redis = impl;
	const struct away_place place =
	    store_redis_place(redis, store_redis_slot(redis, plan->home));
	struct quota_plan bare = *plan;
	enum pool_outcome outcome;
	redisReply *answer;
	const char *why;
	int64_t now;
	bool late, asked;
	int n;

	bare.n_counters = 0;
	if (redis->holds && !away_may_ask(redis->away, &place, clock_ms())) {
		*error_r = "Redis is away; nothing was changed: try again when it is back";
		return -1;
	}
	/* what is said to have failed must not be done later: is there an answer at all? */
	outcome = store_redis_run(redis, ctx, QUOTA_OP_READ, &bare, 0,
	    within(redis, clock_ms(), deadline_ms), &answer, NULL, &why);
	asked = outcome == POOL_ANSWERED;
	if (asked) {
		freeReplyObject(answer);
		outcome = store_redis_run(redis, ctx, QUOTA_OP_RESET, &bare, 0,
		    within(redis, clock_ms(), deadline_ms), &answer, NULL, &why);
	}
	n = outcome == POOL_ANSWERED ? quota_command_done(answer, &late, &now) : -1;
	freeReplyObject(answer);
	if (outcome != POOL_ANSWERED || n < 0) {
		*error_r = mem_printf(ctx, "Redis could not be queried: %s; %s",
		    outcome == POOL_ANSWERED ? "its answer is not one of the script" : why,
		    asked && outcome == POOL_LOST ? "it may do so when it is back" :
						    "nothing was changed");
		return -1;
	}
	away_reset(redis->away, plan);
	/* others know it after 3 seconds at the latest: a failure is no reason to reset again */
	(void)store_redis_touch(redis, ctx, deadline_ms);
	return n > 0;
}

/* store_redis_status - how the store is doing */
static void
store_redis_status(void *impl, TALLOC_CTX *ctx, struct store_status *status)
{
	struct store_redis *redis = impl;

	status->kind = "redis";
	status->failed = atomic_load(&redis->failed);
	status->emptied = atomic_load(&redis->emptied);
	away_status(redis->away, ctx, clock_ms(), status);
}

/* store_redis_look - an account is remembered to be over: another filter may change that */
static void
store_redis_look(void *impl)
{
	store_redis_wake(impl);
}

/* unblock - also from what its signs that wait would do */
static int
unblock(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t deadline_ms,
    const char **error_r)
{
	store_redis_lift_offences(impl, plan->account);
	return store_redis_unblock(impl, ctx, plan, deadline_ms, error_r);
}

const struct store_ops store_redis_ops = {
	.open = store_redis_open,
	.close = store_redis_close,
	.charge = store_redis_charge,
	.read = store_redis_read,
	.foretell = store_redis_foretell,
	.reset = store_redis_reset,
	.block = store_redis_block,
	.unblock = unblock,
	.offence = store_redis_offence,
	.raise = store_redis_raise,
	.unraise = store_redis_unraise,
	.renew = store_redis_renew,
	.look = store_redis_look,
	.status = store_redis_status,
};
