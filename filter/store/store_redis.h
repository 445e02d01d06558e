/*
 * store_redis.h - counts in Redis
 *
 * Threads: as store.h says. Owns one thread, the keeper: it resolves the server's name,
 * tries whether a Redis that failed is back, and hands over what was charged meanwhile.
 */
#ifndef FILTER_STORE_STORE_REDIS_H
#define FILTER_STORE_STORE_REDIS_H

#include <talloc.h>

#include "filter/store/blocks.h"
#include "filter/store/types.h"
#include "policy/quota/quota.h"

struct store_redis;

/*
 * As the functions of store.h, for this kind. blocks is kept like Redis's list and must live longer
 * than the store.
 */
struct store_redis *store_redis_open(TALLOC_CTX *ctx, const struct store_options *options,
    struct blocks *blocks, const char **error_r);
int store_redis_renew(struct store_redis *redis, TALLOC_CTX *ctx, const char **error_r);
void store_redis_close(struct store_redis *redis);
void store_redis_charge(struct store_redis *redis, TALLOC_CTX *ctx,
    const struct quota_plan *plan, int64_t deadline_ms, struct quota_reply *reply_r);
void store_redis_read(struct store_redis *redis, TALLOC_CTX *ctx,
    const struct quota_plan *plan, int64_t deadline_ms, struct quota_reply *reply_r);
int store_redis_reset(struct store_redis *redis, TALLOC_CTX *ctx,
    const struct quota_plan *plan, int64_t deadline_ms, const char **error_r);
int store_redis_raise(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct quota_counter *counter, uint64_t max, int64_t for_ms, int64_t deadline_ms,
    const char **error_r);
int store_redis_unraise(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r);
void store_redis_status(struct store_redis *redis, TALLOC_CTX *ctx,
    struct store_status *status);

#endif
