/*
 * ask.h - the Redis store from inside, and how Redis is asked
 *
 * From the bottom up: ask.c; changes.c, what operators do; lists.c, what is kept of all accounts
 * together; keeper.c, the thread that looks after Redis; store_redis.c, messages. Only these
 * include this.
 *
 * Threads: options and digests never change after open. lock guards stop, woken and the offences;
 * the rest is in the pool and in away, which have rules of their own.
 */
#ifndef FILTER_STORE_ASK_H
#define FILTER_STORE_ASK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/redis/pool.h"
#include "filter/redis/script.h"
#include "filter/store/away.h"
#include "filter/store/blocks.h"
#include "filter/store/over.h"
#include "filter/store/quota_command.h"


/* A script, and the name under which Redis knows it. */
struct offence;			/* lists.c */

struct store_redis {
	struct redis_pool *pool;
	struct away *away;
	char *prefix;
	struct redis_script quota;
	struct redis_script index;
	struct blocks *blocks;
	struct over_table *over;
	char *blocks_version;	/* of the list that was read last; the keeper's alone */
	char *born;		/* when that list began, as its version says; likewise */
	int64_t blocks_read;	/* when it was read whole; likewise */
	bool holds;		/* changes by operators hold here while Redis is away */
	unsigned int deadline_ms;
	unsigned int index_slot; /* that of the lists of all accounts */
	struct store_options log;	/* only log and log_arg */
	atomic_uint_fast64_t failed;
	atomic_uint_fast64_t emptied;

	struct keeping *keeping; /* what the keeper has at hand: keeper.c */
	pthread_t keeper;
	bool has_keeper;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	bool woken;		/* there is something to do */
	struct offence *offences; /* the newest first */
	struct offence *taken;	/* those of them that the keeper is counting */
	size_t n_offences;
};

/*
 * store_redis_run_script - EVALSHA, and EVAL if the server does not know the script; as
 * redis_pool_call() *part_r, if not NULL, is the part that was asked or is to blame (struct
 * redis_pool_command).
 */
enum pool_outcome store_redis_run_script(struct store_redis *redis, TALLOC_CTX *ctx,
    const struct redis_script *script, struct quota_command *command, bool resend,
    int64_t deadline_ms, struct redisReply **answer_r, unsigned int *part_r, const char **error_r);

/* store_redis_run - one run of quota.lua within the deadline; the same */
enum pool_outcome store_redis_run(struct store_redis *redis, TALLOC_CTX *ctx, enum quota_op op,
    const struct quota_plan *plan, int64_t age_ms, int64_t deadline_ms,
    struct redisReply **answer_r, unsigned int *part_r, const char **error_r);

/* store_redis_index_command - a run of index.lua with room for n arguments after op; on ctx */
struct quota_command *store_redis_index_command(
    struct store_redis *redis, TALLOC_CTX *ctx, const char *op, size_t n);

/* store_redis_touch - let other filters know that limits or counts were changed by hand */
enum pool_outcome store_redis_touch(
    struct store_redis *redis, TALLOC_CTX *ctx, int64_t deadline_ms);

/* store_redis_slot - the slot of a home's keys, or of a hash tag */
unsigned int store_redis_slot(const struct store_redis *redis, const char *home);

/* store_redis_place - where a slot's counts are now */
struct away_place store_redis_place(const struct store_redis *redis, unsigned int slot);

/* store_redis_wake - there is something for the keeper to do */
void store_redis_wake(struct store_redis *redis);

#endif
