/*
 * quota_cpu.c - what a charge costs Redis itself, in CPU time of its process
 *
 * Redis is what a fleet shares, so its time decides what a site can grow to. Measured in turn: a
 * script that does nothing; INCR and EXPIRE, which is the least that any counter in Redis costs;
 * the charge of a message; that of an account's first message in another bucket of the windows of an
 * hour; the charge without the quick path (quick.lua). Each in three ways:
 * paced, on one connection, quiet enough that Redis wakes up and finds its caches cold each time;
 * alone, on one connection that sends again as soon as it has the answer, so that each message still
 * pays for a turn of the event loop; busy, with a message on each of many connections, which share
 * that turn, so that almost only the commands are left. The windows of an hour are three quarters
 * full.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "filter/base/clock.h"
#include "filter/store/quota_command.h"
#include "policy/base/mem.h"
#include "policy/quota/window.h"
#include "tests/bench/quota_bench.h"
#include "tests/support/redis_server.h"

#define ACCOUNTS	500	/* and as many others for NEXT */
#define FILLED		36	/* buckets of the shortest window */
#define PACE		500	/* messages a second */
#define PACED_N		1000	/* messages of a round at that pace */
#define FLOOD		10000	/* messages of a round without one */
#define CROWD		32	/* connections, if busy, each with one message at a time */
#define ARGC		8	/* of a charge for quick.lua: EVALSHA, digest, 4, keys, plan */

enum kind {
	NOTHING,
	INCR,
	CHARGE,
	NEXT,
	WHOLE,
	KINDS
};

enum way {
	PACED,
	ALONE,
	BUSY,
	WAYS
};

static const char *const way_names[WAYS] = { "paced", "alone", "busy" };
static const char *const names[KINDS] = { "nothing", "incr-expire", "charge",
	"charge-in-next-bucket", "charge-without-quick-path" };

/* What one run needs. */
struct cpu_run {
	const struct world *world;
	redisContext *crowd[CROWD];
	redisContext *redis;	/* the one in use */
	clockid_t clock;	/* of Redis's process */
	const char *nothing;	/* digests of the scripts */
	const char *quota;
	uint64_t random;
	int64_t width;		/* of a bucket of the windows of an hour */
	int64_t began;		/* by the clock, in ms */
	uint32_t n_next;	/* messages in a next bucket */
};

/* append - one command */
static void
append(redisContext *redis, int argc, const char **argv, const size_t *argv_len)
{
	require(redisAppendCommandArgv(redis, argc, argv, argv_len) == REDIS_OK, "no memory");
}

/* append_charge - a message of an account at random */
static void
append_charge(struct cpu_run *run, uint32_t account, bool quick, const int64_t *now)
{
	struct quota_plan *plan =
	    ask(NULL, run->world, &run->world->windows, account, &run->random);
	struct quota_command *charge = quota_command_make(
	    plan, "countersign:", run->quota, QUOTA_OP_CHARGE, plan, now, 0);

	require(charge->argc == ARGC + (now != NULL), "the plan is not for the quick path");
	if (!quick) {
		quota_command_push(charge, "");
		quota_command_push(charge, "charge");
	}
	append(run->redis, charge->argc, charge->argv, charge->argv_len);
	talloc_free(plan);
}

/* append_message - what a message of that kind sends; the number of answers */
static size_t
append_message(struct cpu_run *run, enum kind kind)
{
	uint32_t account = (uint32_t)(next_random(&run->random) % ACCOUNTS);
	char key[2 * NAME_SIZE];

	if (kind == NOTHING) {
		append(run->redis, 3, (const char *[]){ "EVALSHA", run->nothing, "0" }, NULL);
		return 1;
	}
	if (kind == INCR) {
		(void)snprintf(key, sizeof(key), "incr:%s", run->world->names[account]);
		append(run->redis, 2, (const char *[]){ "INCR", key }, NULL);
		append(run->redis, 3, (const char *[]){ "EXPIRE", key, "3600" }, NULL);
		return 2;
	}
	if (kind == NEXT) {	/* accounts of their own, whose clock runs ahead */
		int64_t now = run->began + (run->n_next / ACCOUNTS + 1) * run->width;

		append_charge(run, ACCOUNTS + run->n_next++ % ACCOUNTS, true, &now);
		return 1;
	}
	append_charge(run, account, kind == CHARGE, NULL);
	return 1;
}

/* fill - each account sends in every bucket but the last ones */
static void
fill(struct cpu_run *run)
{
	for (int64_t i = FILLED; i > 0; i--) {
		int64_t now = run->began - i * run->width;

		for (uint32_t account = 0; account < 2 * ACCOUNTS; account++)
			append_charge(run, account, true, &now);
		take_answers(run->redis, (size_t)2 * ACCOUNTS);
	}
}

/* wait_for - the turn of message i at the pace */
static void
wait_for(double began, size_t i)
{
	double us = began + (double)i * 1e6 / PACE - clock_us(CLOCK_MONOTONIC);
	const struct timespec rest = { .tv_nsec = (long)(us * 1000) };

	if (us > 0)
		(void)nanosleep(&rest, NULL);
}

/* send_one - a message on one connection, after another or at the pace; how many it was */
static size_t
send_one(struct cpu_run *run, enum kind kind)
{
	run->redis = run->crowd[0];
	take_answers(run->redis, append_message(run, kind));
	return 1;
}

/* send_many - a message on every connection; how many these were */
static size_t
send_many(struct cpu_run *run, enum kind kind)
{
	size_t n = 0;
	int done;

	for (size_t k = 0; k < CROWD; k++) {
		run->redis = run->crowd[k];
		n = append_message(run, kind);
		do
			require(redisBufferWrite(run->redis, &done) == REDIS_OK,
			    "Redis takes no command");
		while (!done);
	}
	for (size_t k = 0; k < CROWD; k++)
		take_answers(run->crowd[k], n);
	return CROWD;
}

/* measure_way - CPU time of Redis for a message, in us */
static double
measure_way(struct cpu_run *run, enum way way, enum kind kind)
{
	double began = clock_us(CLOCK_MONOTONIC), cpu = clock_us(run->clock);
	size_t sent = 0;

	while (sent < (way == PACED ? PACED_N : FLOOD)) {
		if (way == PACED)
			wait_for(began, sent);
		sent += way == BUSY ? send_many(run, kind) : send_one(run, kind);
	}
	return (clock_us(run->clock) - cpu) / (double)sent;
}

/* print_cpu - a row for each kind, and how many times the floors a charge costs */
static void
print_cpu(double us[KINDS][ROUNDS_MAX], size_t rounds, const char *how)
{
	double ratios[ROUNDS_MAX];
	char name[80];

	for (size_t floor = NOTHING; floor <= INCR; floor++) {
		for (size_t i = 0; i < rounds; i++)
			ratios[i] = us[CHARGE][i] / us[floor][i];
		(void)snprintf(name, sizeof(name), "redis/cpu-charge-to-%s-%s", names[floor], how);
		row(name, median(ratios, rounds), "x");
	}
	for (size_t kind = 0; kind < KINDS; kind++) {
		(void)snprintf(name, sizeof(name), "redis/cpu-%s-%s", names[kind], how);
		row(name, median(us[kind], rounds), "us");
	}
}

/* bench_redis_cpu - all rows */
void
bench_redis_cpu(const struct world *world, const struct redis_server *server, const char *nothing,
    const char *quota)
{
	static double us[WAYS][KINDS][ROUNDS_MAX];
	struct cpu_run run = { .world = world, .nothing = nothing, .quota = quota, .random = 815,
		.width = window_width(world->windows.limits[0].window_ms),
		.began = clock_wall_ms() };

	for (size_t k = 0; k < CROWD; k++) {
		run.redis = run.crowd[k] = redisConnectUnix(server->socket);
		require(run.redis != NULL && run.redis->err == 0, "no connection to Redis");
	}
	require(clock_getcpuclockid(server->pid, &run.clock) == 0, "no clock of Redis's process");
	fill(&run);
	for (size_t i = 0; i < world->rounds; i++)
		for (enum kind kind = 0; kind < KINDS; kind++)
			for (enum way way = 0; way < WAYS; way++)
				us[way][kind][i] = measure_way(&run, way, kind);
	for (enum way way = 0; way < WAYS; way++)
		print_cpu(us[way], world->rounds, way_names[way]);
	for (size_t k = 0; k < CROWD; k++)
		redisFree(run.crowd[k]);
}
