/*
 * quota_redis.c - what limits cost in Redis
 *
 * A redis-server of our own on a unix socket. The floor is a script that does nothing, called by
 * hiredis on a connection of its own: what any store in Redis that decides in one step must cost.
 * Both are measured in turn, one call after the other and by several threads at once.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "filter/base/clock.h"
#include "filter/store/quota_command.h"
#include "filter/store/quota_lua.h"
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "policy/quota/window.h"
#include "tests/bench/quota_bench.h"
#include "tests/support/redis_server.h"

#define CALLS		4000	/* of one series of round trips */
#define THREADS		8
#define PIPELINE	100	/* commands that are sent ahead of their answers */
#define PATIENCE_MS	10000
#define T0		INT64_C(1700000000000)
#define HOUR_MS		INT64_C(3600000)
#define SOME		1000	/* accounts whose windows are filled */
#define NOTHING		"return 1"

/* What is called again and again. */
struct series {
	const struct world *world;
	struct store *store;	/* NULL: the script that does nothing */
	const char *socket;
	const char *digest;	/* of that script */
	uint64_t random;
	size_t n;
	double *us;		/* of each call; NULL: nobody asks */
};

/* connected - to the server */
static redisContext *
connected(const char *path)
{
	redisContext *redis = redisConnectUnix(path);

	require(redis != NULL && redis->err == 0, "no connection to Redis");
	return redis;
}

/* command - whose answer is a text, on ctx */
static char *
command(
    TALLOC_CTX *ctx, redisContext *redis, const char *first, const char *second, const char *third)
{
	const char *words[3] = { first, second, third };
	redisReply *answer = redisCommandArgv(redis, third != NULL ? 3 : 2, words, NULL);
	char *text;

	require(answer != NULL && answer->type != REDIS_REPLY_ERROR, "Redis answers with an error");
	text = mem_strdup(ctx, answer->str != NULL ? answer->str : "");
	freeReplyObject(answer);
	return text;
}

/* --- speed --- */

/* call_nothing - n round trips of the script that does nothing */
static void
call_nothing(const struct series *series)
{
	redisContext *redis = connected(series->socket);
	const char *words[3] = { "EVALSHA", series->digest, "0" };

	for (size_t i = 0; i < series->n; i++) {
		double began = clock_us(CLOCK_MONOTONIC);
		redisReply *answer = redisCommandArgv(redis, 3, words, NULL);

		require(answer != NULL && answer->type == REDIS_REPLY_INTEGER,
		    "Redis does not do nothing");
		freeReplyObject(answer);
		if (series->us != NULL)
			series->us[i] = clock_us(CLOCK_MONOTONIC) - began;
	}
	redisFree(redis);
}

/* call_store - n messages of accounts at random */
static void
call_store(struct series *series)
{
	for (size_t i = 0; i < series->n; i++) {
		uint32_t pick = (uint32_t)(next_random(&series->random) % series->world->accounts);
		struct quota_plan *plan =
		    ask(NULL, series->world, &series->world->windows, pick, &series->random);
		struct quota_reply reply;
		double began = clock_us(CLOCK_MONOTONIC);

		store_charge(series->store, plan, plan, clock_ms() + PATIENCE_MS, &reply);
		if (series->us != NULL)
			series->us[i] = clock_us(CLOCK_MONOTONIC) - began;
		require(reply.state == QUOTA_CHARGED && strcmp(reply.store, "redis") == 0,
		    "Redis did not charge");
		talloc_free(plan);
	}
}

/* run - a series; also as a thread */
static void *
run(void *arg)
{
	struct series *series = arg;

	if (series->store != NULL)
		call_store(series);
	else
		call_nothing(series);
	return NULL;
}

/* a_second - calls by several threads at once */
static double
a_second(const struct series *like)
{
	struct series series[THREADS];
	pthread_t threads[THREADS];
	double began = clock_us(CLOCK_MONOTONIC);

	for (size_t i = 0; i < THREADS; i++) {
		series[i] = *like;
		series[i].random = like->random + i * 7919;
		require(pthread_create(&threads[i], NULL, run, &series[i]) == 0, "no thread");
	}
	for (size_t i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	return (double)(THREADS * like->n) * 1e6 / (clock_us(CLOCK_MONOTONIC) - began);
}

/* The figures of each round. */
struct figures {
	double p50[ROUNDS_MAX], p99[ROUNDS_MAX];
	double rate[ROUNDS_MAX];
};

/* measure - one round of one kind of call */
static void
measure(struct series *series, struct figures *figures, size_t round)
{
	double us[CALLS];

	series->us = us;
	series->n = CALLS;
	(void)run(series);
	figures->p50[round] = percentile(us, CALLS, 0.5);
	figures->p99[round] = percentile(us, CALLS, 0.99);
	series->us = NULL;
	series->n = CALLS / 4;
	figures->rate[round] = a_second(series);
}

/* print_speed - the rows */
static void
print_speed(struct figures *charge, struct figures *nothing, size_t rounds)
{
	double trips[ROUNDS_MAX], tails[ROUNDS_MAX], rates[ROUNDS_MAX];

	for (size_t i = 0; i < rounds; i++) {
		trips[i] = charge->p50[i] / nothing->p50[i];
		tails[i] = charge->p99[i] / nothing->p99[i];
		rates[i] = charge->rate[i] / nothing->rate[i];
	}
	row("redis/nothing-p50", median(nothing->p50, rounds), "us");
	row("redis/nothing-p99", median(nothing->p99, rounds), "us");
	row("redis/charge-p50", median(charge->p50, rounds), "us");
	row("redis/charge-p99", median(charge->p99, rounds), "us");
	row("redis/nothing-8-threads", median(nothing->rate, rounds), "per-second");
	row("redis/charges-8-threads", median(charge->rate, rounds), "per-second");
	row("redis/charge-to-nothing-p50", median(trips, rounds), "x");
	row("redis/charge-to-nothing-p99", median(tails, rounds), "x");
	row("redis/charges-to-nothing-8-threads", median(rates, rounds), "x");
}

/* speed - round trips, and charges a second */
static void
speed(const struct world *world, const struct redis_server *server, const char *nothing)
{
	const struct store_options options = { .kind = STORE_REDIS, .redis.server = server->address,
	    .connections = THREADS, .deadline_ms = PATIENCE_MS };
	const char *error = NULL;
	struct store *store = store_open(NULL, &options, &error);
	struct series charging = { .world = world, .store = store, .random = 4711 };
	struct series idling = { .world = world, .socket = server->socket, .digest = nothing };
	static struct figures charge, idle;

	require(store != NULL, error);
	charging.n = 100;
	(void)run(&charging);
	for (size_t i = 0; i < world->rounds; i++) {
		measure(&idling, &idle, i);
		measure(&charging, &charge, i);
	}
	print_speed(&charge, &idle, world->rounds);
	store_close(store);
}

/* --- memory --- */

/* used_memory - what Redis says it uses */
static double
used_memory(redisContext *redis)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	const char *text = command(ctx, redis, "INFO", "memory", NULL),
		   *at = strstr(text, "used_memory:");
	double octets;

	require(at != NULL, "Redis does not tell its memory");
	octets = strtod(at + strlen("used_memory:"), NULL);
	talloc_free(ctx);
	return octets;
}

/* take_answers - of n commands that were sent ahead */
void
take_answers(redisContext *redis, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		redisReply *answer;

		require(redisGetReply(redis, (void **)&answer) == REDIS_OK && answer != NULL &&
		    answer->type != REDIS_REPLY_ERROR, "Redis answers with an error");
		freeReplyObject(answer);
	}
}

/* send_charge - one message at a time, without waiting; its id is forgotten at once unless it shall
 * be kept */
static void
send_charge(
    redisContext *redis, const struct quota_plan *plan, const char *digest, int64_t now, bool keep)
{
	struct quota_command *charge =
	    quota_command_make(NULL, "countersign:", digest, QUOTA_OP_CHARGE, plan, &now, 0);
	const char *words[2] = { "DEL", charge->argv[3] };

	require(redisAppendCommandArgv(redis, charge->argc, charge->argv, charge->argv_len) ==
		    REDIS_OK &&
		redisAppendCommandArgv(
		    redis, 2, keep ? (const char *[]){ "ECHO", "" } : words, NULL) == REDIS_OK,
	    "no memory");
	talloc_free(charge);
}

/* charge_all - each of the first accounts sends once */
static void
charge_all(const struct world *world, redisContext *redis, const char *digest,
    const struct plan *plan, uint32_t accounts, int64_t now, bool keep)
{
	uint64_t random = (uint64_t)now | 1;

	for (uint32_t i = 0; i < accounts;) {
		size_t sent = 0;

		for (; i < accounts && sent < PIPELINE; i++, sent++) {
			struct quota_plan *asked = ask(NULL, world, plan, i, &random);

			send_charge(redis, asked, digest, now, keep);
			talloc_free(asked);
		}
		take_answers(redis, 2 * sent);
	}
}

/* memory_of_all - of an account all of whose buckets are in use, with so much in each */
static double
memory_of_all(const struct world *like, redisContext *redis, const char *digest, uint64_t amount)
{
	int64_t now = T0, day = window_width(24 * HOUR_MS), hour = window_width(HOUR_MS);
	struct world world = *like;
	double before = used_memory(redis);

	world.amount = amount;
	for (int i = 0; i < WINDOW_BUCKETS - 2; i++, now += day)
		charge_all(&world, redis, digest, &world.windows, SOME, now, false);
	for (int i = 0; i < WINDOW_SLOTS; i++, now += hour)
		charge_all(&world, redis, digest, &world.windows, SOME, now, false);
	return (used_memory(redis) - before) / SOME;
}

/* memory - of an account: what Redis uses more, less what remembers the charges */
static void
memory(const struct world *world, const struct redis_server *server)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	redisContext *redis = connected(server->socket);
	const char *digest = command(ctx, redis, "SCRIPT", "LOAD", quota_lua);
	double before, without;

	(void)command(ctx, redis, "FLUSHALL", "SYNC", NULL);
	before = used_memory(redis);
	charge_all(world, redis, digest, &world->windows, world->accounts, T0, false);
	without = (used_memory(redis) - before) / world->accounts;
	row("redis/memory-of-an-account", without, "octets");
	(void)command(ctx, redis, "FLUSHALL", "SYNC", NULL);
	before = used_memory(redis);
	charge_all(world, redis, digest, &world->windows, world->accounts, T0, true);
	row("redis/memory-of-a-charge", (used_memory(redis) - before) / world->accounts - without,
	    "octets");
	(void)command(ctx, redis, "FLUSHALL", "SYNC", NULL);
	before = used_memory(redis);
	charge_all(world, redis, digest, &world->lists, world->accounts, T0, false);
	row("redis/memory-recipients-clients", (used_memory(redis) - before) / world->accounts,
	    "octets");
	(void)command(ctx, redis, "FLUSHALL", "SYNC", NULL);
	row("redis/memory-all-buckets-in-use", memory_of_all(world, redis, digest, 1), "octets");
	(void)command(ctx, redis, "FLUSHALL", "SYNC", NULL);
	row("redis/memory-all-buckets-1000-each", memory_of_all(world, redis, digest, 1000),
	    "octets");
	redisFree(redis);
	talloc_free(ctx);
}

/* bench_redis - all rows of the store in Redis */
void
bench_redis(const struct world *world)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct redis_server server;
	redisContext *redis;

	require(
	    redis_server_make(&server), "there is no redis-server (apt-get install redis-server)");
	redis_server_start(&server, NULL);
	redis = connected(server.socket);
	memory(world, &server);
	speed(world, &server, command(ctx, redis, "SCRIPT", "LOAD", NOTHING));
	(void)command(ctx, redis, "FLUSHALL", "SYNC", NULL);
	bench_redis_cpu(world, &server, command(ctx, redis, "SCRIPT", "LOAD", NOTHING),
	    command(ctx, redis, "SCRIPT", "LOAD", quota_lua));
	redisFree(redis);
	redis_server_remove(&server);
	talloc_free(ctx);
}
