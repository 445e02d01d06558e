/*
 * quota_embedded.c - what limits cost in the process
 *
 * Speed is CPU time of the threads, so that neighbours do not count. Plans are made in batches
 * outside the clock, but for the row "with_plan". The bare table does what any store of
 * counts must: hash the account's name, find it, take a lock, add to three numbers.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filter/store/embedded.h"
#include "filter/store/store.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"
#include "policy/quota/window.h"
#include "tests/bench/quota_bench.h"

#define BATCH		64
#define THREADS		2
#define T0		INT64_C(1700000000000)
#define HOUR_MS		INT64_C(3600000)
#define BARE_LOCKS	16

/* --- the bare table --- */

struct bare_account {
	struct bare_account *next;
	uint64_t hash;
	uint64_t counts[3];
	char name[NAME_SIZE];
};

struct bare {
	pthread_mutex_t locks[BARE_LOCKS];
	struct bare_account **buckets;
	size_t n_buckets;	/* a power of two */
};

/* bare_hash - of a name */
static uint64_t
bare_hash(const char *name)
{
	uint64_t hash = hash_text(HASH_START, name);

	return hash ^ hash >> 32;
}

/* bare_make - a table of all accounts */
static struct bare *
bare_make(TALLOC_CTX *ctx, const struct world *world)
{
	struct bare *bare = mem_new(ctx, struct bare);
	struct bare_account *accounts = mem_array(bare, struct bare_account, world->accounts);

	for (bare->n_buckets = 16; bare->n_buckets < world->accounts;)
		bare->n_buckets *= 2;
	bare->buckets = mem_array(bare, struct bare_account *, bare->n_buckets);
	for (size_t i = 0; i < BARE_LOCKS; i++)
		(void)pthread_mutex_init(&bare->locks[i], NULL);
	for (uint32_t i = 0; i < world->accounts; i++) {
		struct bare_account **bucket;

		memcpy(accounts[i].name, world->names[i], NAME_SIZE);
		accounts[i].hash = bare_hash(world->names[i]);
		bucket = &bare->buckets[accounts[i].hash & (bare->n_buckets - 1)];
		accounts[i].next = *bucket;
		*bucket = &accounts[i];
	}
	return bare;
}

/* bare_charge - count one message */
static void
bare_charge(struct bare *bare, const char *name)
{
	uint64_t hash = bare_hash(name);
	pthread_mutex_t *lock = &bare->locks[hash >> 32 & (BARE_LOCKS - 1)];
	struct bare_account *account;

	(void)pthread_mutex_lock(lock);
	account = bare->buckets[hash & (bare->n_buckets - 1)];
	while (account != NULL && (account->hash != hash || strcmp(account->name, name) != 0))
		account = account->next;
	require(account != NULL, "an account is not in the bare table");
	for (size_t i = 0; i < 3; i++)
		account->counts[i]++;
	(void)pthread_mutex_unlock(lock);
}

/* --- one series of charges --- */

struct series;

/* A way to charge a batch of messages; plans[i] is of the account picks[i]. */
typedef void charge_fn(struct series *series, TALLOC_CTX *ctx, struct quota_plan **plans,
    const uint32_t *picks);

struct series {
	const struct world *world;
	struct store *store;
	struct embedded *table;
	struct bare *bare;
	charge_fn *charge;
	bool planned;		/* the plans are made outside the clock */
	uint64_t random;
	size_t n;		/* messages */
	int64_t now;		/* for the table */
	double us;		/* CPU time in the clock */
};

/* charge_bare - the table that does the least */
static void
charge_bare(
    struct series *series, TALLOC_CTX *ctx, struct quota_plan **plans, const uint32_t *picks)
{
	(void)ctx, (void)picks;
	for (size_t i = 0; i < BATCH; i++)
		bare_charge(series->bare, plans[i]->account);
}

/* charge_store - the store, by its door */
static void
charge_store(
    struct series *series, TALLOC_CTX *ctx, struct quota_plan **plans, const uint32_t *picks)
{
	struct quota_reply reply;

	(void)picks;
	for (size_t i = 0; i < BATCH; i++) {
		store_charge(series->store, ctx, plans[i], 0, &reply);
		require(reply.state == QUOTA_CHARGED, "a message was not charged");
	}
}

/* charge_planned - the same, from the account's name and its limits on */
static void
charge_planned(
    struct series *series, TALLOC_CTX *ctx, struct quota_plan **plans, const uint32_t *picks)
{
	struct quota_reply reply;

	(void)plans;
	for (size_t i = 0; i < BATCH; i++) {
		struct quota_plan *plan = ask(ctx, series->world, &series->world->windows, picks[i],
		    &series->random);

		store_charge(series->store, ctx, plan, 0, &reply);
		require(reply.state == QUOTA_CHARGED, "a message was not charged");
	}
}

/* charge_table - the rules alone, with a clock of ours */
static void
charge_table(
    struct series *series, TALLOC_CTX *ctx, struct quota_plan **plans, const uint32_t *picks)
{
	struct quota_reply reply;

	(void)picks;
	for (size_t i = 0; i < BATCH; i++) {
		embedded_charge(series->table, ctx, plans[i], series->now, true, &reply);
		require(reply.state == QUOTA_CHARGED, "a message was not charged");
	}
}

/* run - a series; also as a thread. The accounts come at random, or, for the table, each once */
static void *
run(void *arg)
{
	struct series *series = arg;
	const struct world *world = series->world;
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL)), *replies = mem_check(talloc_new(NULL));

	series->us = 0;
	for (size_t done = 0; done < series->n; done += BATCH) {
		struct quota_plan *plans[BATCH] = { NULL };
		uint32_t picks[BATCH];
		double began;

		for (size_t i = 0; i < BATCH; i++) {
			picks[i] = series->table != NULL
			    ? world->order[(done + i) % world->accounts]
			    : (uint32_t)(next_random(&series->random) % world->accounts);
			if (series->planned)
				plans[i] =
				    ask(ctx, world, &world->windows, picks[i], &series->random);
		}
		began = clock_us(CLOCK_THREAD_CPUTIME_ID);
		series->charge(series, replies, plans, picks);
		talloc_free_children(replies);
		series->us += clock_us(CLOCK_THREAD_CPUTIME_ID) - began;
		talloc_free_children(ctx);
	}
	talloc_free(ctx);
	talloc_free(replies);
	return NULL;
}

/* cost_ns - of one charge, by n threads at once: CPU time */
static double
cost_ns(const struct series *like, size_t n)
{
	struct series series[THREADS];
	pthread_t threads[THREADS];
	double us = 0;

	for (size_t i = 0; i < n; i++) {
		series[i] = *like;
		series[i].random = like->random + i * 7919;
		require(pthread_create(&threads[i], NULL, run, &series[i]) == 0, "no thread");
	}
	for (size_t i = 0; i < n; i++) {
		(void)pthread_join(threads[i], NULL);
		us += series[i].us;
	}
	return us * 1000 / (double)(n * like->n);
}

/* --- speed --- */

/* fill_store - every account sends once */
static void
fill_store(const struct world *world, struct store *store)
{
	uint64_t random = 4711;

	for (uint32_t i = 0; i < world->accounts; i++) {
		struct quota_plan *plan =
		    ask(NULL, world, &world->windows, world->order[i], &random);
		struct quota_reply reply;

		store_charge(store, plan, plan, 0, &reply);
		require(reply.state == QUOTA_CHARGED, "a message was not charged");
		talloc_free(plan);
	}
}

/* What is measured in turn. */
enum way { BARE, BARE_THREADS, CHARGE, PLANNED, CHARGE_THREADS, WAYS };

/* print_speed - the rows, from nanoseconds a charge in each round */
static void
print_speed(double ns[WAYS][ROUNDS_MAX], size_t rounds)
{
	double ratios[ROUNDS_MAX], ratios_threads[ROUNDS_MAX];

	for (size_t i = 0; i < rounds; i++) {
		ratios[i] = ns[CHARGE][i] / ns[BARE][i];
		ratios_threads[i] = ns[CHARGE_THREADS][i] / ns[CHARGE][i];
	}
	row("embedded/bare-table", median(ns[BARE], rounds), "ns");
	row("embedded/bare-table-2-threads", median(ns[BARE_THREADS], rounds), "ns");
	row("embedded/charge", median(ns[CHARGE], rounds), "ns");
	row("embedded/charge-with-plan", median(ns[PLANNED], rounds), "ns");
	row("embedded/charge-2-threads", median(ns[CHARGE_THREADS], rounds), "ns");
	row("embedded/charges-a-core", 1e9 / median(ns[CHARGE], rounds), "per-second");
	row("embedded/charges-two-cores", THREADS * 1e9 / median(ns[CHARGE_THREADS], rounds),
	    "per-second");
	row("embedded/charge-to-bare-table", median(ratios, rounds), "x");
	row("embedded/2-threads-to-1", median(ratios_threads, rounds), "x");
}

/* speed - charges of all accounts at random, as the clock goes */
static void
speed(const struct world *world)
{
	const struct store_options options = { .kind = STORE_EMBEDDED,
		.max_accounts = world->accounts };
	const char *error = NULL;
	struct store *store = store_open(NULL, &options, &error);
	struct bare *bare = bare_make(NULL, world);
	double ns[WAYS][ROUNDS_MAX];

	require(store != NULL, error);
	fill_store(world, store);
	for (size_t i = 0; i < world->rounds; i++) {
		struct series series = { .world = world,
			.store = store,
			.bare = bare,
			.planned = true,
			.random = 88172645463325252u + i,
			.n = world->accounts };

		series.charge = charge_bare;
		ns[BARE][i] = cost_ns(&series, 1);
		ns[BARE_THREADS][i] = cost_ns(&series, THREADS);
		series.charge = charge_store;
		ns[CHARGE][i] = cost_ns(&series, 1);
		ns[CHARGE_THREADS][i] = cost_ns(&series, THREADS);
		series.charge = charge_planned;
		series.planned = false;
		ns[PLANNED][i] = cost_ns(&series, 1);
	}
	print_speed(ns, world->rounds);
	store_close(store);
	talloc_free(bare);
}

/* evicting - each charge is of an account that was forgotten for want of room */
static void
evicting(const struct world *world)
{
	struct embedded *table = embedded_new(NULL, world->accounts / 2, true);
	struct series series = { .world = world,
		.table = table,
		.charge = charge_table,
		.planned = true,
		.random = 4711,
		.n = world->accounts,
		.now = T0 };
	double ns[ROUNDS_MAX];

	(void)cost_ns(&series, 1);
	for (size_t i = 0; i < world->rounds; i++) {
		series.random += 2;
		ns[i] = cost_ns(&series, 1);
	}
	row("embedded/rules-evicting", median(ns, world->rounds), "ns");
	talloc_free(table);
}

/* moving - each charge of an account enters a new bucket of its shorter windows */
static void
moving(const struct world *world)
{
	struct embedded *table = embedded_new(NULL, world->accounts, true);
	double still[ROUNDS_MAX], moved[ROUNDS_MAX];
	struct series series = { .world = world,
		.table = table,
		.charge = charge_table,
		.planned = true,
		.random = 4711,
		.n = world->accounts,
		.now = T0 };

	(void)cost_ns(&series, 1);
	for (size_t i = 0; i < world->rounds; i++) {
		series.random += 2;
		still[i] = cost_ns(&series, 1);
		series.now += window_width(HOUR_MS);
		moved[i] = cost_ns(&series, 1);
	}
	row("embedded/rules-same-bucket", median(still, world->rounds), "ns");
	row("embedded/rules-new-bucket", median(moved, world->rounds), "ns");
	talloc_free(table);
}

/* --- memory --- */

/* resident - memory of this process in octets */
static double
resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	require(file != NULL && fscanf(file, "%*u %lu", &pages) == 1,
	    "/proc/self/statm cannot be read");
	(void)fclose(file);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* charge_all - each account sends once */
static void
charge_all(struct embedded *table, const struct world *world, const struct plan *plan,
    uint32_t accounts, int64_t now)
{
	uint64_t random = (uint64_t)now | 1;

	for (uint32_t i = 0; i < accounts; i++) {
		struct quota_plan *asked = ask(NULL, world, plan, i, &random);
		struct quota_reply reply;

		embedded_charge(table, asked, asked, now, true, &reply);
		talloc_free(asked);
	}
}

/* charge_everywhere - so that all buckets of all windows are in use */
static void
charge_everywhere(struct embedded *table, const struct world *world, uint32_t accounts)
{
	int64_t now = T0, day = window_width(24 * HOUR_MS), hour = window_width(HOUR_MS);

	for (int i = 0; i < WINDOW_BUCKETS - 2; i++, now += day)
		charge_all(table, world, &world->windows, accounts, now);
	for (int i = 0; i < WINDOW_SLOTS; i++, now += hour)
		charge_all(table, world, &world->windows, accounts, now);
}

/* fill_windows, fill_buckets, fill_lists - what memory is measured of; how many
 * accounts */
static uint32_t
fill_windows(const struct world *world)
{
	charge_all(embedded_new(NULL, world->accounts, true), world, &world->windows,
	    world->accounts, T0);
	return world->accounts;
}

static uint32_t
fill_buckets(const struct world *world)
{
	uint32_t some = world->accounts / 5;

	charge_everywhere(embedded_new(NULL, some, true), world, some);
	return some;
}

static uint32_t
fill_lists(const struct world *world)
{
	charge_all(embedded_new(NULL, world->accounts, true), world, &world->lists,
	    world->accounts, T0);
	return world->accounts;
}

/* memory - of an account, as a process grows; each time a new one, because freed memory stays with
 * a process */
static void
memory(const char *name, uint32_t (*fill)(const struct world *), const struct world *world)
{
	double before = resident();
	pid_t pid = fork();
	uint32_t accounts;
	int status;

	require(pid >= 0, "no process");
	if (pid == 0) {
		accounts = fill(world);
		row(name, (resident() - before) / accounts, "octets");
		_exit(0);
	}
	require(waitpid(pid, &status, 0) == pid && status == 0, "a part of it failed");
}

/* --- the file --- */

/* A thread that charges while another saves, and what it noticed. */
struct bystander {
	const struct world *world;
	struct embedded *table;
	int64_t now;
	atomic_bool stop;
	double worst;		/* microseconds of the slowest charge */
};

/* stand_by - charge, and look at the clock each time */
static void *
stand_by(void *arg)
{
	struct bystander *bystander = arg;
	uint64_t random = 4711;

	while (!atomic_load(&bystander->stop)) {
		uint32_t pick = (uint32_t)(next_random(&random) % bystander->world->accounts);
		struct quota_plan *plan =
		    ask(NULL, bystander->world, &bystander->world->windows, pick, &random);
		struct quota_reply reply;
		double began = clock_us(CLOCK_MONOTONIC), took;

		embedded_charge(bystander->table, plan, plan, bystander->now, true, &reply);
		took = clock_us(CLOCK_MONOTONIC) - began;
		if (took > bystander->worst)
			bystander->worst = took;
		talloc_free(plan);
	}
	return NULL;
}

/* save_ms - one save beside somebody who charges, or as long a time of doing nothing as busily; the
 * slowest charge */
static double
save_ms(struct bystander *bystander, double instead_ms, double *worst_r)
{
	const char *error = NULL;
	double began;
	pthread_t thread;

	atomic_store(&bystander->stop, false);
	bystander->worst = 0;
	require(pthread_create(&thread, NULL, stand_by, bystander) == 0, "no thread");
	began = clock_us(CLOCK_MONOTONIC);
	if (instead_ms > 0)
		while (clock_us(CLOCK_MONOTONIC) - began < instead_ms * 1000)
			;
	else
		require(embedded_save(bystander->table, NULL, bystander->now, &error) >= 0, error);
	began = (clock_us(CLOCK_MONOTONIC) - began) / 1000;
	atomic_store(&bystander->stop, true);
	(void)pthread_join(thread, NULL);
	*worst_r = bystander->worst;
	return began;
}

/* load_ms - CPU time of loading the file */
static double
load_ms(const struct world *world, const char *path, int64_t now)
{
	double began = clock_us(CLOCK_THREAD_CPUTIME_ID);
	const char *error = NULL;
	struct embedded *table =
	    embedded_open(NULL, world->accounts, path, NULL, now, &error);

	require(table != NULL, error);
	began = (clock_us(CLOCK_THREAD_CPUTIME_ID) - began) / 1000;
	talloc_free(table);
	return began;
}

/* file - saving and loading windows with several buckets in use */
static void
file(const struct world *world)
{
	char directory[] = "/tmp/quota_bench.XXXXXX";
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	double saves[ROUNDS_MAX], loads[ROUNDS_MAX], worst[ROUNDS_MAX], quiet[ROUNDS_MAX];
	struct bystander bystander = { .world = world, .now = T0 };
	const char *error = NULL, *path;

	require(mkdtemp(directory) != NULL, "no directory");
	path = mem_printf(ctx, "%s/counters", directory);
	bystander.table = embedded_open(NULL, world->accounts, path, NULL, T0, &error);
	require(bystander.table != NULL, error);
	for (int i = 0; i < 8; i++, bystander.now += HOUR_MS / 4)
		charge_all(bystander.table, world, &world->windows, world->accounts, bystander.now);
	for (size_t i = 0; i < world->rounds; i++) {
		embedded_touch(bystander.table);
		saves[i] = save_ms(&bystander, 0, &worst[i]);
		(void)save_ms(&bystander, saves[i], &quiet[i]);
	}
	talloc_free(bystander.table);
	for (size_t i = 0; i < world->rounds; i++)
		loads[i] = load_ms(world, path, bystander.now);
	row("embedded/save", median(saves, world->rounds), "ms");
	row("embedded/slowest-charge-during-save", median(worst, world->rounds), "us");
	row("embedded/slowest-charge-without-save", median(quiet, world->rounds), "us");
	row("embedded/load", median(loads, world->rounds), "ms");
	(void)unlink(path);
	(void)unlink(mem_printf(ctx, "%s.lock", path));
	(void)rmdir(directory);
	talloc_free(ctx);
}

/* bench_embedded - all rows of the store in the process */
void
bench_embedded(const struct world *world)
{
	memory("embedded/memory-of-an-account", fill_windows, world);
	memory("embedded/memory-all-buckets-in-use", fill_buckets, world);
	memory("embedded/memory-recipients-clients", fill_lists, world);
	speed(world);
	moving(world);
	evicting(world);
	file(world);
}
