/*
 * test_redis_away.c - Redis goes away and comes back under load: packets are lost, answers are
 * lost, charges are handed over
 *
 * The server is a real one, behind a road on which packets get lost (road.h). Several threads
 * charge more mail than limits allow; what the store promised is compared with what it let pass and
 * with what Redis has counted.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "filter/base/clock.h"
#include "filter/redis/pool.h"
#include "filter/store/quota_command.h"
#include "filter/store/quota_lua.h"
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "tests/support/redis_server.h"
#include "tests/support/road.h"

#define PATIENCE_MS	60000
#define HUNG_MS		20000
#define ACCOUNTS	12
#define LIMIT		40
#define CROWD		6
#define DAY		(24 * 3600)
#define MANY		6000	/* charges handed over */

struct fixture {
	TALLOC_CTX *ctx;
	struct redis_server server;
	struct road *road;
	struct store_options options;	/* over the road */
	struct plan *plan;
	atomic_uint_fast64_t ids;
};

/* --- helpers --- */

static struct plan *
plan_of(TALLOC_CTX *ctx, const char *text)
{
	struct plan *plan = mem_new(ctx, struct plan);
	const char *error = NULL;

	plan->on_over = ACTION_TEMPFAIL;
	plan->limits = mem_array(plan, struct limit, 1);
	assert_int_equal(limit_parse(plan, text, &plan->limits[plan->n_limits++], &error), 0);
	return plan;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int port;

	assert_non_null(f);
	assert_true(redis_server_make(&f->server));
	redis_server_start(&f->server, "appendonly yes\nappendfsync always");
	f->road = road_open(f->server.socket, &port);
	f->ctx = talloc_new(NULL);
	f->plan = plan_of(f->ctx, mem_printf(f->ctx, "%d messages per day", LIMIT));
	f->options.kind = STORE_REDIS;
	f->options.redis.server = mem_printf(f->ctx, "inet:127.0.0.1:%d", port);
	f->options.deadline_ms = 300;
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	talloc_free(f->ctx);
	road_close(f->road);
	redis_server_remove(&f->server);
	free(f);
	return 0;
}

static struct store *
open_store(struct fixture *f)
{
	const char *error = NULL;
	struct store *store = store_open(f->ctx, &f->options, &error);

	if (store == NULL)
		fail_msg("%s", error);
	return store;
}

static struct store_status
status_of(struct store *store)
{
	TALLOC_CTX *tmp = talloc_new(NULL);
	struct store_status status;

	store_status(store, tmp, &status);
	talloc_free(tmp);
	return status;
}

static void
wait_away(struct store *store, bool away)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (status_of(store).away != away) {
		if (clock_ms() > end)
			fail_msg("the store is never %s", away ? "away" : "back");
		usleep(5000);
	}
}

/* wait_late - until what was sent before packets were lost has arrived, on connections long given
 * up */
static void
wait_late(struct fixture *f)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (road_late(f->road) > 0) {
		if (clock_ms() > end)
			fail_msg("packets never arrive");
		usleep(50000);
	}
	usleep(200000);		/* the road is as fast as its thread */
}

static struct quota_plan *
ask(struct fixture *f, const struct plan *plan, const char *account)
{
	struct quota_cost cost = { .messages = 1, .recipients = 1, .bytes = 1 };
	uint8_t id[QUOTA_ID_LEN] = { 0 };
	uint64_t number = atomic_fetch_add(&f->ids, 1) + 1;

	memcpy(id, &number, sizeof(number));
	return quota_plan_make(NULL, plan, account, &cost, false, id);
}

static enum quota_state
charge(struct fixture *f, struct store *store, const struct plan *plan, const char *account,
    bool *local_r)
{
	struct quota_plan *asked = ask(f, plan, account);
	struct quota_reply reply;

	store_charge(store, asked, asked, clock_ms() + PATIENCE_MS, &reply);
	*local_r = reply.store != NULL && strcmp(reply.store, "local") == 0;
	talloc_free(asked);
	return reply.state;
}

static int
counted(struct fixture *f, struct store *store, const struct plan *plan, const char *account)
{
	struct quota_plan *asked = ask(f, plan, account);
	struct quota_reply reply;
	int used;

	store_read(store, asked, asked, clock_ms() + PATIENCE_MS, &reply);
	assert_int_equal(reply.state, QUOTA_READ);
	used = (int)reply.counts[0].used;
	talloc_free(asked);
	return used;
}

/* --- a crowd --- */

/* Threads that send more than every account may, through one or two stores. */
struct crowd {
	struct fixture *f;
	struct store *stores[2];
	size_t n_stores;
	atomic_int passed[ACCOUNTS];
	atomic_int unknown, local, late;
	atomic_int_fast64_t longest;
	atomic_bool stop;
	pthread_t threads[CROWD];
};

static const char *
account_name(char *room, size_t size, unsigned int i)
{
	snprintf(room, size, "user%u@example.org", i);
	return room;
}

static void *
crowd_member(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned int i = 0; !atomic_load(&crowd->stop); i++) {
		int64_t before = clock_ms(), took;
		bool local;
		char room[64];
		enum quota_state state =
		    charge(crowd->f, crowd->stores[i / ACCOUNTS % crowd->n_stores], crowd->f->plan,
			account_name(room, sizeof(room), i % ACCOUNTS), &local);

		took = clock_ms() - before;
		if (took > atomic_load(&crowd->longest))
			atomic_store(&crowd->longest, took);
		/* what has no deadline: a machine with other work adds less than that */
		if (took > HUNG_MS)
			atomic_fetch_add(&crowd->late, 1);
		if (local)
			atomic_fetch_add(&crowd->local, 1);
		if (state == QUOTA_CHARGED)
			atomic_fetch_add(&crowd->passed[i % ACCOUNTS], 1);
		else if (state == QUOTA_UNKNOWN)
			atomic_fetch_add(&crowd->unknown, 1);
		usleep(4000);
	}
	return NULL;
}

static void
start_crowd(struct crowd *crowd)
{
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&crowd->threads[i], NULL, crowd_member, crowd), 0);
}

static int
total(struct crowd *crowd)
{
	int sum = 0;

	for (int i = 0; i < ACCOUNTS; i++)
		sum += atomic_load(&crowd->passed[i]);
	return sum;
}

static void
wait_passed(struct crowd *crowd, int n)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (total(crowd) < n) {
		if (clock_ms() > end)
			fail_msg("only %d of %d messages passed", total(crowd), n);
		usleep(2000);
	}
}

/*
 * end_crowd - every account has had its fill; what was promised, and what was seen
 * Each message that passed is counted once, and no account is over its limit by more than extra.
 */
static void
end_crowd(struct crowd *crowd, const char *what, int extra)
{
	int most = 0;

	wait_passed(crowd, ACCOUNTS * LIMIT);
	for (size_t i = 0; i < crowd->n_stores; i++)
		wait_away(crowd->stores[i], false);
	wait_late(crowd->f);
	atomic_store(&crowd->stop, true);
	for (int i = 0; i < CROWD; i++)
		pthread_join(crowd->threads[i], NULL);
	for (size_t i = 0; i < crowd->n_stores; i++)
		wait_away(crowd->stores[i], false);
	for (unsigned int i = 0; i < ACCOUNTS; i++) {
		char room[64];

		assert_int_equal(counted(crowd->f, crowd->stores[0], crowd->f->plan,
				     account_name(room, sizeof(room), i)),
		    crowd->passed[i]);
		most = crowd->passed[i] > most ? crowd->passed[i] : most;
	}
	printf(
	    "# %s: limit %d; promised %d; seen %d; %d passed and were counted; %d answers without Redis; the longest took "
	    "%d ms of %u\n",
	    what, LIMIT, LIMIT + extra, most, total(crowd), crowd->local, (int)crowd->longest,
	    crowd->f->options.deadline_ms);
	assert_true(most <= LIMIT + extra);
	assert_int_equal(crowd->unknown, 0);
	assert_int_equal(crowd->late, 0);
}

/* --- packets get lost --- */

/* No packet arrives, three times, for longer and longer; half-open connections are left behind each
 * time. */
static void
test_partition(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f, .n_stores = 1 };

	crowd.stores[0] = open_store(f);
	wait_away(crowd.stores[0], false);
	start_crowd(&crowd);
	for (int i = 1; i <= 3; i++) {
		wait_passed(&crowd, i * ACCOUNTS * LIMIT / 5);
		road_lose(f->road, true);
		wait_away(crowd.stores[0], true);
		usleep((unsigned int)i * 400000);
		assert_true(status_of(crowd.stores[0]).away);
		road_lose(f->road, false);
		wait_away(crowd.stores[0], false);
	}
	end_crowd(&crowd, "no packet arrives", CROWD);
	store_close(crowd.stores[0]);
}

/* Commands arrive and are executed, answers do not: each call that was on its way is ambiguous. */
static void
test_answers_lost(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f, .n_stores = 1 };

	crowd.stores[0] = open_store(f);
	wait_away(crowd.stores[0], false);
	start_crowd(&crowd);
	for (int i = 1; i <= 3; i++) {
		wait_passed(&crowd, i * ACCOUNTS * LIMIT / 5);
		road_hold_answers(f->road, true);
		wait_away(crowd.stores[0], true);
		usleep((unsigned int)i * 400000);
		road_hold_answers(f->road, false);
		wait_away(crowd.stores[0], false);
	}
	end_crowd(&crowd, "no answer arrives", CROWD);
	store_close(crowd.stores[0]);
}

/* wait_known - until a store has heard from Redis, and not counted by itself, that n of an account
 * are used: a charge may have taken longer than the deadline, on a machine with other work */
static void
wait_known(struct fixture *f, struct store *store, unsigned int account, int n)
{
	int64_t end = clock_ms() + PATIENCE_MS;
	bool known = false;

	while (!known) {
		char room[64];
		struct quota_plan *asked =
		    ask(f, f->plan, account_name(room, sizeof(room), account));
		struct quota_reply reply;

		store_read(store, asked, asked, clock_ms() + PATIENCE_MS, &reply);
		known = reply.state == QUOTA_READ && strcmp(reply.store, "redis") == 0 &&
		    (int)reply.counts[0].used == n;
		talloc_free(asked);
		if (!known && clock_ms() > end)
			fail_msg("Redis never has %d of account %u", n, account);
		if (!known)
			usleep(5000);
	}
}

/* Two filters that cannot see each other: each lets pass what was left when it heard of Redis
 * last. */
static void
test_two_filters(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f, .n_stores = 2 };
	const int seen = LIMIT / 2;
	bool local;

	for (size_t i = 0; i < 2; i++) {
		crowd.stores[i] = open_store(f);
		wait_away(crowd.stores[i], false);
	}
	for (unsigned int i = 0; i < ACCOUNTS; i++)
		for (int k = 0; k < seen; k++) {
			char room[64];

			assert_int_equal(charge(f, crowd.stores[k % 2], f->plan,
					     account_name(room, sizeof(room), i), &local),
			    QUOTA_CHARGED);
			atomic_fetch_add(&crowd.passed[i], 1);
		}
	/* both have just heard of every account that seen is used */
	for (size_t i = 0; i < 2; i++)
		for (unsigned int k = 0; k < ACCOUNTS; k++)
			wait_known(f, crowd.stores[i], k, seen);
	road_lose(f->road, true);
	start_crowd(&crowd);
	wait_passed(&crowd, ACCOUNTS * (LIMIT + LIMIT - seen));
	road_lose(f->road, false);
	end_crowd(&crowd, "two filters, no packet arrives", LIMIT - seen + CROWD);
	for (size_t i = 0; i < 2; i++)
		store_close(crowd.stores[i]);
}

/* --- signs of a stolen account --- */

static const struct store_block_rule an_hour = { 3600000, 4 };

/* sign - an account shows a sign: the MTA refused a recipient of it */
static void
sign(struct fixture *f, struct store *store, const char *account, uint64_t thing)
{
	struct quota_party party = { .kind = QUOTA_ACCOUNT, .name = account };
	struct quota_cost cost = { .things = { [LIMIT_REFUSED] = { true, thing } } };
	TALLOC_CTX *tmp = talloc_new(NULL);
	uint8_t id[QUOTA_ID_LEN] = { 0 };
	uint64_t number = atomic_fetch_add(&f->ids, 1) + 1;
	const char *error = NULL;
	struct limit limit;

	memcpy(id, &number, sizeof(number));
	assert_int_equal(
	    limit_parse_sign(tmp, "3 refused-recipients per hour", &limit, &error), 0);
	store_offence(store, quota_plan_offence(tmp, &party, 1, &limit, &cost, id), &an_hour);
	talloc_free(tmp);
}

/* wait_blocked - until a store knows a block of the account; its reason, on f->ctx */
static const char *
wait_blocked(struct fixture *f, struct store *store, const char *account)
{
	int64_t end = clock_ms() + PATIENCE_MS;
	struct store_block block;

	while (!store_known_block(store, f->ctx, account, &block)) {
		if (clock_ms() > end)
			fail_msg("%s is never blocked", account);
		usleep(5000);
	}
	return block.reason;
}

/*
 * While Redis is away a filter counts the signs that it sees, different ones, and blocks; the other
 * filter knows the block when Redis is back, and the next block of the account is the second.
 */
static void
test_signs(void **state)
{
	struct fixture *f = *state;
	struct store *one, *other;
	const char *ignored;

	f->options.holds = true;
	one = open_store(f);
	other = open_store(f);
	wait_away(one, false);
	wait_away(other, false);
	road_lose(f->road, true);
	for (uint64_t i = 1; i <= 4; i++) {
		sign(f, one, "thief", i);
		sign(f, one, "clumsy", i % 3);
		sign(f, one, "cleared", i);
	}
	(void)wait_blocked(f, one, "thief");
	(void)wait_blocked(f, one, "cleared");
	sign(f, one, "cleared", 5);
	assert_true(store_unblock(one, f->ctx, ask(f, f->plan, "cleared"),
	    clock_ms() + PATIENCE_MS, &ignored) >= 0);
	assert_false(store_known_block(one, f->ctx, "clumsy", NULL));
	assert_false(store_known_block(other, f->ctx, "thief", NULL));
	road_lose(f->road, false);
	wait_away(one, false);
	(void)wait_blocked(f, other, "thief");
	assert_false(store_known_block(one, f->ctx, "clumsy", NULL));
	while (store_unblock(one, f->ctx, ask(f, f->plan, "thief"), clock_ms() + PATIENCE_MS,
	    &ignored) < 0)
		usleep(5000);
	sign(f, one, "thief", 5);
	assert_non_null(strstr(wait_blocked(f, one, "thief"), "block 2 within 30 days"));
	/* the signs from before are counted by the time when these are */
	for (uint64_t i = 1; i <= 4; i++)
		sign(f, one, "late", i);
	(void)wait_blocked(f, one, "late");
	assert_false(store_known_block(one, f->ctx, "cleared", NULL));
	store_close(one);
	store_close(other);
}

/* --- the store loses something, or takes nothing --- */

/* redis - one command to the server itself, not over the road */
static void
redis(struct fixture *f, const char *words)
{
	redisContext *c = redisConnectUnix(f->server.socket);
	redisReply *reply = redisCommand(c, words);

	assert_non_null(reply);
	if (reply->type == REDIS_REPLY_ERROR)
		fail_msg("%s: %s", words, reply->str);
	freeReplyObject(reply);
	redisFree(c);
}

/*
 * FLUSHALL under load: what had passed is lost with the store, and the limit holds from then on. No
 * filter asks whether that happened: Redis is there all the time.
 */
static void
test_flush_all(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f, .n_stores = 1 };
	int before = 0, most = 0;

	f->options.deadline_ms = 3000;
	crowd.stores[0] = open_store(f);
	wait_away(crowd.stores[0], false);
	start_crowd(&crowd);
	wait_passed(&crowd, ACCOUNTS * LIMIT / 2);
	redis(f, "FLUSHALL");
	before = total(&crowd);
	wait_passed(&crowd, ACCOUNTS * LIMIT + before - CROWD);
	usleep(300000);
	atomic_store(&crowd.stop, true);
	for (int i = 0; i < CROWD; i++)
		pthread_join(crowd.threads[i], NULL);
	for (unsigned int i = 0; i < ACCOUNTS; i++) {
		char room[64];
		int used =
		    counted(f, crowd.stores[0], f->plan, account_name(room, sizeof(room), i));

		assert_int_equal(used, LIMIT);
		assert_true(crowd.passed[i] <= 2 * LIMIT);
		most = crowd.passed[i] > most ? crowd.passed[i] : most;
	}
	printf(
	    "# FLUSHALL after %d messages: limit %d; promised %d and what the store lost; seen %d\n",
	    before, LIMIT, LIMIT, most);
	assert_true(total(&crowd) <= ACCOUNTS * LIMIT + before + CROWD);
	assert_int_equal(crowd.unknown, 0);
	assert_int_equal(crowd.local, 0);
	assert_int_equal(crowd.late, 0);
	store_close(crowd.stores[0]);
}

/* write_until_away - accounts that have reached their limit write nothing, which a full server and a
 * replica answer as ever: so others are charged until the store is away */
static void
write_until_away(struct fixture *f, struct store *store)
{
	int64_t end = clock_ms() + PATIENCE_MS;
	static int number;

	while (!status_of(store).away) {
		char name[32];
		bool local;

		if (clock_ms() > end)
			fail_msg("the store is never away");
		snprintf(name, sizeof(name), "writer%d", number++);
		(void)charge(f, store, f->plan, name, &local);
		usleep(5000);
	}
}

/* A server that is full (noeviction), or takes no writes because its disk fails, under load: as if
 * it were away. */
static void
test_full(void **state)
{
	static const struct { const char *what, *on, *off; } rows[] = {
		{ "a full server", "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0" },
		{ "a replica of a master that is not there", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE" },
		{ "a server without good replicas", "CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0" },
	};
	struct fixture *f = *state;
	struct crowd crowd = { .f = f, .n_stores = 1 };

	redis(f, "CONFIG SET maxmemory-policy noeviction");
	crowd.stores[0] = open_store(f);
	wait_away(crowd.stores[0], false);
	start_crowd(&crowd);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strstr(rows[i].on, "replicas") != NULL &&
		    redis_server_before(7, 0, "min-replicas-to-write, for scripts"))
			continue;
		wait_passed(&crowd, (int)(i + 1) * ACCOUNTS * LIMIT / 5);
		redis(f, rows[i].on);
		write_until_away(f, crowd.stores[0]);
		usleep(300000);
		redis(f, rows[i].off);
		wait_away(crowd.stores[0], false);
	}
	end_crowd(&crowd, "a full server, a replica, one without replicas", CROWD);
	store_close(crowd.stores[0]);
}

/* --- the server's clock --- */

/* set_clock - the server's, by so many seconds from the true time */
static void
set_clock(struct fixture *f, int64_t seconds)
{
	int fd = open(mem_printf(f->ctx, "%s/clock", f->server.directory),
	    O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &seconds, sizeof(seconds), 0), sizeof(seconds));
	close(fd);
}

/* clock_of - the server's time in seconds */
static long long
clock_of(struct fixture *f)
{
	redisContext *c = redisConnectUnix(f->server.socket);
	redisReply *reply = redisCommand(c, "TIME");
	long long now;

	assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
	now = strtoll(reply->element[0]->str, NULL, 10);
	freeReplyObject(reply);
	redisFree(c);
	return now;
}

/* start_shifted - the server with a clock that can be set (tests/support/clock_shift.c) */
static void
start_shifted(struct fixture *f)
{
	char path[512] = "";
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 64);
	const char library[] = "/../support/clock_shift.so";

	assert_true(len > 0);
	memcpy(strrchr(path, '/'), library, sizeof(library));
	assert_int_equal(access(path, R_OK), 0);
	redis_server_kill(&f->server, SIGTERM);
	set_clock(f, 0);
	setenv("CLOCK_SHIFT", mem_printf(f->ctx, "%s/clock", f->server.directory), 1);
	setenv("LD_PRELOAD", path, 1);
	redis_server_start(&f->server, NULL);
	unsetenv("LD_PRELOAD");
}

/*
 * The server's clock jumps. What is counted stays counted when it runs back, however far; when it
 * runs ahead, counts leave the window that it says has passed, and no others. No account gets more
 * than its limit in any day of the server's own time.
 */
static void
test_clock_jumps(void **state)
{
	static const struct { int64_t seconds; int charged, used; } rows[] = {
		{ 0, 10, 10 },
		{ 600, 10, 20 },	/* within the day */
		{ 0, 5, 25 },
		{ -3600, 5, 30 },
		{ -30 * DAY, 5, 35 },	/* stamps are more than a window ahead now */
		{ 3 * DAY, 50, 40 },	/* all is out of the window */
		{ 0, 5, 40 },		/* what was charged three days ahead counts on */
		{ 3600, 5, 40 },
	};
	struct fixture *f = *state;
	struct store *store;

	start_shifted(f);
	store = open_store(f);
	wait_away(store, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int passed = 0, used;

		set_clock(f, rows[i].seconds);
		for (int k = 0; k < rows[i].charged; k++) {
			bool local;

			passed += charge(f, store, f->plan, "alice", &local) == QUOTA_CHARGED;
			assert_false(local);
		}
		used = counted(f, store, f->plan, "alice");
		assert_in_range(clock_of(f) - time(NULL) - rows[i].seconds + 60, 0, 120);
		if (used != rows[i].used)
			fail_msg("clock wrong by %lld s: %d passed, %d used",
			    (long long)rows[i].seconds, passed, used);
	}
	store_close(store);
}

/* --- handing over --- */

/* queue_many - charges that Redis is not told of, for accounts of their own */
static void
queue_many(struct fixture *f, struct store *store, const struct plan *plan, int n, int accounts)
{
	for (int i = 0; i < n; i++) {
		bool local;
		char room[64];

		assert_int_equal(
		    charge(f, store, plan,
			account_name(room, sizeof(room), (unsigned int)(i % accounts)), &local),
		    QUOTA_CHARGED);
		assert_true(local);
	}
	assert_int_equal(status_of(store).pending, n);
}

/* What is handed over counts once, though the connection is cut in the middle of a batch's answers
 * again and again. */
static void
test_hand_over_cut(void **state)
{
	struct fixture *f = *state;
	struct plan *plan = plan_of(f->ctx, "1000000 messages per day");
	struct store *store;
	int sum = 0, cuts = 0;

	f->options.deadline_ms = 3000;
	redis_server_kill(&f->server, SIGKILL);
	store = open_store(f);
	wait_away(store, true);
	queue_many(f, store, plan, MANY, 100);
	road_cut_after(f->road, 700);
	redis_server_start(&f->server, "appendonly yes\nappendfsync always");
	for (uint64_t failed = 0, left = MANY; status_of(store).away; usleep(1000)) {
		struct store_status status = status_of(store);

		if (status.pending < left - 500 && status.pending > 0) {
			road_cut_after(f->road, 100 + failed++ * 77);
			left = status.pending;
			cuts++;
		}
	}
	for (unsigned int i = 0; i < 100; i++) {
		char room[64];

		sum += counted(f, store, plan, account_name(room, sizeof(room), i));
	}
	printf("# %d charges, the connection cut %d times: %d counted\n", MANY, 1 + cuts, sum);
	assert_int_equal(sum, MANY);
	assert_int_equal(status_of(store).merged, MANY);
	assert_true(cuts > 0);
	store_close(store);
}

/* While one filter hands over, the messages of another one are answered by Redis within their
 * deadline. */
static void
test_hand_over_beside(void **state)
{
	struct fixture *f = *state;
	struct plan *plan = plan_of(f->ctx, "1000000 messages per day");
	struct store_options direct = f->options;
	struct store *store, *other;
	int during = 0, beside = 0;
	const char *error;
	int64_t longest = 0;
	bool local;

	redis_server_kill(&f->server, SIGKILL);
	store = open_store(f);
	wait_away(store, true);
	queue_many(f, store, plan, 5 * MANY, 1000);
	redis_server_start(&f->server, "appendonly yes\nappendfsync everysec");
	direct.redis.server = f->server.address;
	direct.deadline_ms = 2000;
	other = store_open(f->ctx, &direct, &error);
	assert_non_null(other);
	while (status_of(store).away) {
		int64_t before = clock_ms();

		assert_int_equal(charge(f, other, plan, "beside", &local), QUOTA_CHARGED);
		assert_false(local);
		longest = clock_ms() - before > longest ? clock_ms() - before : longest;
		beside++;
		during += status_of(store).merged > 0;
	}
	printf(
	    "# while %d charges were handed over, %d others were answered, the slowest in %d ms\n",
	    5 * MANY, during, (int)longest);
	assert_int_equal(counted(f, other, plan, "beside"), beside);
	assert_int_equal(status_of(store).merged, 5 * MANY);
	store_close(other);
	store_close(store);
}

static void
take_line(void *arg, enum store_log_level level, const char *text)
{
	(void)level;
	if (strstr(text, "is back after") != NULL)
		snprintf(arg, 256, "%s", text);
}

/* More charges than may wait: messages go on being judged, and the oldest charges are given up,
 * which is told. */
static void
test_too_many(void **state)
{
	struct fixture *f = *state;
	struct plan *plan = plan_of(f->ctx, "1000000 messages per day");
	char line[256] = "";
	struct store *store;
	bool local;

	f->options.max_pending = 100;
	f->options.log = take_line;
	f->options.log_arg = line;
	redis_server_kill(&f->server, SIGKILL);
	store = open_store(f);
	wait_away(store, true);
	for (int i = 0; i < 150; i++)
		assert_int_equal(
		    charge(f, store, plan, i < 75 ? "early" : "late", &local), QUOTA_CHARGED);
	assert_int_equal(status_of(store).pending, 100);
	assert_int_equal(status_of(store).dropped, 50);
	redis_server_start(&f->server, "appendonly no");
	wait_away(store, false);
	assert_int_equal(counted(f, store, plan, "early"), 25);
	assert_int_equal(counted(f, store, plan, "late"), 75);
	store_close(store);
	assert_non_null(strstr(line, "100 charges handed over, 50 given up"));
}

/* merges - commands that merge one charge each */
static struct redis_pool_command *
merges(struct fixture *f, TALLOC_CTX *ctx, const struct plan *plan, size_t n)
{
	struct redis_pool_command *commands = mem_array(ctx, struct redis_pool_command, n);
	/* not the digest: the server may not know the script yet */
	const char *script = mem_strndup(ctx, quota_lua, quota_lua_len);
	char digest[41] = "";
	redisReply *reply;
	redisContext *c = redisConnectUnix(f->server.socket);

	reply = redisCommand(c, "SCRIPT LOAD %s", script);
	assert_int_equal(reply->type, REDIS_REPLY_STRING);
	memcpy(digest, reply->str, 40);
	freeReplyObject(reply);
	redisFree(c);
	for (size_t i = 0; i < n; i++) {
		char room[64];
		struct quota_plan *asked =
		    ask(f, plan, account_name(room, sizeof(room), (unsigned int)(i % 100)));
		struct quota_command *made = quota_command_make(ctx,
		    "countersign:", mem_strdup(ctx, digest), QUOTA_OP_MERGE, asked, NULL, 1000);

		commands[i] = (struct redis_pool_command){ .argc = made->argc, .argv = made->argv,
		    .argv_len = made->argv_len };
		talloc_free(asked);
	}
	return commands;
}

/* The same charges, one after the other and in batches: what each way takes. */
static void
test_batches(void **state)
{
	static const struct { const char *what, *line; } rows[] = {
		{ "in memory", "appendonly no" },
		{ "appendfsync always", "appendonly yes\nappendfsync always" },
	};
	struct fixture *f = *state;
	struct plan *plan = plan_of(f->ctx, "1000000 messages per day");
	const size_t n = 2000, some = 250;

	for (size_t row = 0; row < 2; row++) {
		TALLOC_CTX *tmp = talloc_new(NULL);
		struct redis_options options = { .server = f->server.address };
		struct redis_pool_command *one_by_one, *batches;
		const char *error = NULL;
		struct redis_pool *pool;
		int64_t begin, middle, end;

		redis_server_kill(&f->server, SIGTERM);
		redis_server_start(&f->server, rows[row].line);
		pool = redis_pool_new(tmp, &options, 1, &error);
		one_by_one = merges(f, tmp, plan, n);
		batches = merges(f, tmp, plan, n);
		begin = clock_ms();
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(redis_pool_command(pool, tmp, &one_by_one[i], true,
					     clock_ms() + PATIENCE_MS),
			    POOL_ANSWERED);
			freeReplyObject(one_by_one[i].reply);
		}
		middle = clock_ms();
		for (size_t i = 0; i < n; i += some)
			redis_pool_batch(
			    pool, tmp, &batches[i], some, clock_ms() + PATIENCE_MS);
		end = clock_ms();
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(batches[i].outcome, POOL_ANSWERED);
			freeReplyObject(batches[i].reply);
		}
		printf(
		    "# %zu charges merged, %s: one by one %d ms, in batches %d ms, %.1f times as fast\n",
		    n, rows[row].what, (int)(middle - begin), (int)(end - middle),
		    (double)(middle - begin) / (double)(end - middle + 1));
		talloc_free(tmp);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_partition, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answers_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_filters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_signs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flush_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_clock_jumps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hand_over_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hand_over_beside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_batches, set_up, tear_down),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!redis_server_exists()) {
		printf("1..0 # SKIP redis-server is not installed: apt-get install redis-server\n");
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	cmocka_set_test_filter(getenv("TEST_FILTER"));	/* one of them, if it is set */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
