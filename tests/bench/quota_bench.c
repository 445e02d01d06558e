/*
 * quota_bench.c - what limits cost: charges in the process and in Redis, and memory an account
 *
 *	quota_bench [ROUNDS [ACCOUNTS]]
 *
 * One line a figure: NAME VALUE UNIT, the median of ROUNDS rounds (5). What could not be done with
 *less stands beside each figure, measured in turn with it: a table of the same accounts with
 *nothing but a hash, a lock and three numbers; a script that does nothing, on the same Redis by the
 *same kind of socket. ACCOUNTS (100 000) are charged in an order that no processor's cache
 *foresees, each to three windows.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base/mem.h"
#include "tests/bench/quota_bench.h"

/* next_random - a small generator */
uint64_t
next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

/* row - one line of the report */
void
row(const char *name, double value, const char *unit)
{
	(void)printf(value < 100 ? "quota/%s %.3f %s\n" : "quota/%s %.0f %s\n", name, value, unit);
	(void)fflush(stdout);
}

/* make_plan - a plan of three limits */
static void
make_plan(TALLOC_CTX *ctx, const char *const texts[3], struct plan *plan)
{
	const char *error;

	memset(plan, 0, sizeof(*plan));
	plan->on_over = ACTION_TEMPFAIL;
	plan->limits = mem_array(ctx, struct limit, 3);
	for (; plan->n_limits < 3; plan->n_limits++)
		require(limit_parse(
			    ctx, texts[plan->n_limits], &plan->limits[plan->n_limits], &error) == 0,
		    "a limit cannot be read");
}

/* world_make - accounts, their order and their plans */
struct world *
world_make(TALLOC_CTX *ctx, size_t rounds, uint32_t accounts)
{
	static const char *const windows[3] = { "1000000000 recipients per hour",
	    "1000000000 recipients per day", "1000000000 messages per hour" };
	static const char *const lists[3] = { "1000000000 new-recipients per hour",
	    "1000 client-addresses per hour", "1000 client-addresses per day" };
	struct world *world = mem_new(ctx, struct world);
	uint64_t random = UINT64_C(88172645463325252);

	world->rounds = rounds;
	world->accounts = accounts;
	world->amount = 1;
	world->names = mem_check(talloc_zero_size(world, (size_t)accounts * NAME_SIZE));
	world->order = mem_array(world, uint32_t, accounts);
	for (uint32_t i = 0; i < accounts; i++) {
		uint32_t other = (uint32_t)(next_random(&random) % (i + 1));

		(void)snprintf(world->names[i], NAME_SIZE, "user%u@example.org", i);
		world->order[i] = world->order[other];
		world->order[other] = i;
	}
	make_plan(world, windows, &world->windows);
	make_plan(world, lists, &world->lists);
	return world;
}

/* ask - what one message of an account costs */
struct quota_plan *
ask(TALLOC_CTX *ctx, const struct world *world, const struct plan *plan, uint32_t account,
    uint64_t *random)
{
	const uint64_t id[QUOTA_ID_LEN / sizeof(uint64_t)] = { next_random(random),
		next_random(random) };
	const struct quota_cost cost = { .messages = world->amount,
		.recipients = world->amount,
		.bytes = 4096,
		.marks = &id[0],
		.n_marks = plan == &world->lists,
		.things = { [LIMIT_CLIENTS] = { plan == &world->lists, id[1] } } };

	return quota_plan_make(ctx, plan, world->names[account], &cost, false, (const uint8_t *)id);
}

int
main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 5;
	uint32_t accounts = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 100000;
	struct world *world;

	require(rounds >= 1 && rounds <= ROUNDS_MAX && accounts >= 1000 && accounts <= 10000000,
	    "usage: quota_bench [ROUNDS [ACCOUNTS]]");
	(void)signal(SIGPIPE, SIG_IGN);
	world = world_make(NULL, rounds, accounts);
	bench_embedded(world);
	bench_redis(world);
	talloc_free(world);
	return 0;
}
