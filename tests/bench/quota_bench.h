/*
 * quota_bench.h - what the parts of quota_bench share
 *
 * Threads: functions may be called by any; a struct series belongs to one at a time.
 */
#ifndef TESTS_BENCH_QUOTA_BENCH_H
#define TESTS_BENCH_QUOTA_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <time.h>

#include "policy/quota/quota.h"
#include "tests/bench/measure.h"

#define ROUNDS_MAX	99
#define NAME_SIZE	32

/* What is measured: so many accounts under one plan. */
struct world {
	size_t rounds;
	uint32_t accounts;
	uint64_t amount;	/* messages and recipients of each charge */
	char (*names)[NAME_SIZE]; /* of the accounts */
	uint32_t *order;	/* all of them, shuffled */
	struct plan windows;	/* three windows that nobody fills */
	struct plan lists;	/* new recipients, and client addresses twice */
};

/* world_make - accounts, their order and their plans; on ctx */
struct world *world_make(TALLOC_CTX *ctx, size_t rounds, uint32_t accounts);

/*
 * ask - what one message of an account costs, on ctx; with a charge id of its own
 * random is the state of the caller's generator, never 0.
 */
struct quota_plan *ask(TALLOC_CTX *ctx, const struct world *world, const struct plan *plan,
    uint32_t account, uint64_t *random);

/* next_random - a small generator */
uint64_t next_random(uint64_t *random);

/* row - one line of the report */
void row(const char *name, double value, const char *unit);

struct redisContext;
struct redis_server;

/* take_answers - of n commands that were sent ahead, none of which may be an error */
void take_answers(struct redisContext *redis, size_t n);

/* bench_redis_cpu - what a charge costs Redis's own process; nothing, quota: digests of scripts */
void bench_redis_cpu(const struct world *world, const struct redis_server *server,
    const char *nothing, const char *quota);

/* bench_embedded, bench_redis - all rows of a kind of store */
void bench_embedded(const struct world *world);
void bench_redis(const struct world *world);

#endif
