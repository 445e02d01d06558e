/*
 * store_redis.h - counts in Redis
 *
 * Threads: as store.h says. Owns one thread, the keeper: it resolves the server's name,
 * tries whether a Redis that failed is back, and hands over what was charged meanwhile.
 */
#ifndef FILTER_STORE_REDIS_H
#define FILTER_STORE_REDIS_H

#include <talloc.h>

#include "filter/store.h"

struct store_redis;

/* The operations of filter/quota.lua. */
enum quota_op {
	QUOTA_OP_CHARGE,
	QUOTA_OP_READ,
	QUOTA_OP_MERGE,
	QUOTA_OP_VOID,
	QUOTA_OP_RESET
};

/* For how long Redis remembers charge ids. */
#define QUOTA_ID_TTL_MS	INT64_C(600000)

/* One run of the script, as arguments of EVALSHA; for this file and the tests. */
struct quota_command {
	int argc;
	const char **argv;	/* argv[0] "EVALSHA", argv[1] the digest */
	size_t *argv_len;
};

/*
 * quota_command_make - the arguments of one run, on ctx
 * digest is the script's SHA-1 in hex; now NULL (the store's clock) or, in tests, milliseconds;
 * age_ms is for merges.
 */
struct quota_command *quota_command_make(TALLOC_CTX *ctx, const char *prefix, const char *digest,
    enum quota_op op, const struct quota_plan *plan, const int64_t *now, int64_t age_ms);

struct redisReply;

/*
 * quota_command_read - the script's answer
 * Fills reply_r (counts on ctx) and *stamp_r, Redis's time. Returns 0, or -1 when the answer
 * is not of the expected shape.
 */
int quota_command_read(TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct redisReply *answer, struct quota_reply *reply_r, int64_t *stamp_r);

/* As the functions of store.h, for this kind. */
struct store_redis *store_redis_open(TALLOC_CTX *ctx, const struct store_options *options,
    const char **error_r);
void store_redis_close(struct store_redis *redis);
void store_redis_charge(struct store_redis *redis, TALLOC_CTX *ctx,
    const struct quota_plan *plan, int64_t deadline_ms, struct quota_reply *reply_r);
void store_redis_read(struct store_redis *redis, TALLOC_CTX *ctx,
    const struct quota_plan *plan, int64_t deadline_ms, struct quota_reply *reply_r);
int store_redis_reset(struct store_redis *redis, TALLOC_CTX *ctx,
    const struct quota_plan *plan, int64_t deadline_ms, const char **error_r);
void store_redis_status(struct store_redis *redis, TALLOC_CTX *ctx,
    struct store_status *status);

#endif
