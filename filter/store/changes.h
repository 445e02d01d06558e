/*
 * changes.h - what operators change in Redis: blocks and raised limits
 *
 * While Redis is unavailable, a change holds in this process at once, is kept (away.h), and is
 * handed over when Redis is back. Of two changes of the same thing the later one wins, whichever
 * filter they were made at; both are stamped with Redis's time as far as it is known.
 *
 * Threads: any number at once, but for store_redis_hand_changes(), which is the keeper's.
 */
#ifndef FILTER_STORE_CHANGES_H
#define FILTER_STORE_CHANGES_H

#include <stdbool.h>
#include <talloc.h>

#include "filter/redis/types.h"
#include "filter/store/types.h"
#include "policy/quota/quota.h"

struct store_redis;

/* As the functions of struct store_ops (ops.h); impl is a struct store_redis. */
int store_redis_block(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct store_block *block, int64_t for_ms, int64_t deadline_ms, const char **error_r);
int store_redis_unblock(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r);
int store_redis_raise(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct quota_counter *counter, uint64_t max, int64_t for_ms, int64_t deadline_ms,
    const char **error_r);
int store_redis_unraise(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r);

/*
 * store_redis_hand_changes - send Redis the changes that were held
 * Those of accounts in one part, which has just been tried; REDIS_PARTS: of all that may be asked.
 * Returns whether there were any: then others may have changed something meanwhile, too.
 */
bool store_redis_hand_changes(struct store_redis *redis, unsigned int part);

#endif
