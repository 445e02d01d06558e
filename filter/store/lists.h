/*
 * lists.h - what Redis has of all accounts together: which are blocked
 *
 * Threads: any number at once, but for what is marked as the keeper's.
 */
#ifndef FILTER_STORE_LISTS_H
#define FILTER_STORE_LISTS_H

#include <talloc.h>

#include "policy/quota/quota.h"

struct store_redis;

/* As the function of struct store_ops (ops.h); impl is a struct store_redis. */
void store_redis_offence(
    void *impl, const struct quota_plan *offence, const struct store_block_rule *rule);

/* store_redis_chores - the regular work; for the keeper. While Redis is away it does nothing */
void store_redis_chores(struct store_redis *redis);

/* store_redis_look_for_changes - a part of it: whether others changed something by hand */
void store_redis_look_for_changes(struct store_redis *redis);

/* store_redis_count_offences - those that wait, if Redis can be asked; for the keeper */
void store_redis_count_offences(struct store_redis *redis);

/* store_redis_lift_offences - those of an account that still wait block it no more: it is
 * unblocked */
void store_redis_lift_offences(struct store_redis *redis, const char *account);

/* store_redis_drop_offences - at the end: those that still wait are not counted */
void store_redis_drop_offences(struct store_redis *redis);

/* store_redis_read_blocks_again - the list is read whole with the next look; for the keeper */
void store_redis_read_blocks_again(struct store_redis *redis);

#endif
