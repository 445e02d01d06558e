/*
 * keeper.h - the thread that looks after Redis
 */
#ifndef FILTER_STORE_KEEPER_H
#define FILTER_STORE_KEEPER_H

#include <talloc.h>

struct store_redis;

/* store_redis_start_keeper - the thread, with all signals blocked; 0, or -1 with an error on ctx */
int store_redis_start_keeper(TALLOC_CTX *ctx, struct store_redis *redis, const char **error_r);

/* store_redis_last_words - at the end, without keeper: hand over what is queued if Redis takes
 * it */
void store_redis_last_words(struct store_redis *redis);

#endif
