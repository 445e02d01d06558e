/*
 * test_store_by_hand.c - blocks, raised limits and "top", the same for both kinds of store
 *
 * Each case runs against the embedded store with a file and against a real Redis; a second store on
 * the same Redis is the other filter.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/base/clock.h"
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "tests/support/redis_server.h"

#define PATIENCE_MS	20000
#define HOUR_MS		INT64_C(3600000)

/* who would be charged, for store_known_over() */
#define ALICE_OF(of) \
	&(const struct quota_party){ .kind = QUOTA_ACCOUNT, .name = "alice", .plan = (of) }, 1

struct fixture {
	TALLOC_CTX *ctx;
	struct redis_server server;
	char directory[64];
	struct store_options options;
	struct store *store;
	struct plan *plan;
	uint64_t ids;
};

static int64_t
soon(void)
{
	return clock_ms() + 5000;
}

static void
open_store(struct fixture *f)
{
	const char *error = NULL;

	f->store = store_open(f->ctx, &f->options, &error);
	if (f->store == NULL)
		fail_msg("%s", error);
}

static struct fixture *
new_fixture(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	static const char *const texts[] = { "5 recipients per hour", "100 messages per day" };
	const char *error = NULL;

	f->ctx = talloc_new(NULL);
	f->options.deadline_ms = 2000;
	f->plan = mem_new(f->ctx, struct plan);
	f->plan->on_over = ACTION_TEMPFAIL;
	f->plan->limits = mem_array(f->plan, struct limit, 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
		    limit_parse(f->plan, texts[i], &f->plan->limits[f->plan->n_limits++], &error),
		    0);
	return f;
}

static int
set_up_embedded(void **state)
{
	struct fixture *f = new_fixture();

	strcpy(f->directory, "/tmp/countersign-by-hand-XXXXXX");
	if (mkdtemp(f->directory) == NULL)
		return -1;
	f->options.kind = STORE_EMBEDDED;
	f->options.file = mem_printf(f->ctx, "%s/counters", f->directory);
	open_store(f);
	*state = f;
	return 0;
}

static int
set_up_redis(void **state)
{
	struct fixture *f = new_fixture();

	if (!redis_server_make(&f->server))
		return -1;
	redis_server_start(&f->server, "appendonly yes\nappendfsync always");
	f->options.kind = STORE_REDIS;
	f->options.redis.server = f->server.address;
	open_store(f);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	static const char *const ends[] = { "", ".tmp", ".lock" };

	store_close(f->store);
	for (size_t i = 0; i < 3 && f->options.file != NULL; i++)
		unlink(mem_printf(f->ctx, "%s%s", f->options.file, ends[i]));
	if (f->directory[0] != '\0')
		rmdir(f->directory);
	if (f->options.kind == STORE_REDIS)
		redis_server_remove(&f->server);
	talloc_free(f->ctx);
	free(f);
	return 0;
}

static struct quota_plan *
ask(struct fixture *f, const struct plan *plan, const char *account, uint64_t recipients)
{
	struct quota_cost cost = { .messages = 1, .recipients = recipients, .bytes = 1000 };
	uint8_t id[QUOTA_ID_LEN] = { 0 };
	struct quota_plan *asked;

	f->ids++;
	memcpy(id, &f->ids, sizeof(f->ids));
	asked = quota_plan_make(f->ctx, plan, account, &cost, false, id);
	asked->block_binds = true;
	return asked;
}

static struct quota_reply
charge(struct fixture *f, struct store *store, const char *account, uint64_t recipients)
{
	struct quota_reply reply;

	store_charge(store, f->ctx, ask(f, f->plan, account, recipients), soon(), &reply);
	return reply;
}

static void
reopen(struct fixture *f)
{
	store_close(f->store);
	open_store(f);
}

/* Blocked, refused, listed, kept over a restart, unblocked. */
static void
test_block(void **state)
{
	struct fixture *f = *state;
	struct quota_plan *alice = ask(f, f->plan, "alice@example.org", 1);
	struct store_block *list, known;
	struct quota_reply reply;
	struct quota_fact fact;
	const char *error = NULL;
	size_t n;

	assert_false(store_known_block(f->store, f->ctx, alice->account, NULL));
	if (store_block(f->store, f->ctx, alice, 0, "sends spam\n% {x}", "root", soon(), &error) <
	    0)
		fail_msg("%s", error);
	reply = charge(f, f->store, alice->account, 1);
	assert_int_equal(reply.state, QUOTA_REFUSED);
	assert_non_null(reply.block);
	assert_string_equal(reply.block->reason, "sends spam?% {x}");
	assert_int_equal(reply.block->left_ms, -1);
	quota_judge(f->ctx, alice, &reply, &fact);
	assert_int_equal(fact.outcome, OUTCOME_FAIL);
	assert_true(fact.blocked);
	assert_int_equal(fact.retry_after, 0);
	assert_int_equal(charge(f, f->store, "bob@example.org", 1).state, QUOTA_CHARGED);
	assert_int_equal(store_block(f->store, f->ctx, ask(f, f->plan, "bob@example.org", 1),
			     HOUR_MS, "", "rule", soon(), &error),
	    0);
	reopen(f);
	for (int64_t end = soon(); store_blocked(f->store, f->ctx, &list, &n), n < 2; usleep(10000))
		if (clock_ms() > end)
			fail_msg("blocks were lost");
	assert_int_equal(n, 2);
	assert_string_equal(list[0].account, "alice@example.org");
	assert_string_equal(list[0].by, "root");
	assert_int_equal(list[0].until, 0);
	assert_string_equal(list[1].account, "bob@example.org");
	assert_string_equal(list[1].reason, "");
	assert_in_range(list[1].until - list[1].since, HOUR_MS - 1000, HOUR_MS + 1000);
	assert_true(store_known_block(f->store, f->ctx, "bob@example.org", &known));
	assert_string_equal(known.by, "rule");
	reply = charge(f, f->store, "bob@example.org", 1);
	assert_int_equal(reply.state, QUOTA_REFUSED);
	assert_in_range(reply.block->left_ms, HOUR_MS - 20000, HOUR_MS);
	assert_int_equal(store_unblock(f->store, f->ctx, alice, soon(), &error), 1);
	assert_int_equal(store_unblock(f->store, f->ctx, alice, soon(), &error), 0);
	assert_int_equal(charge(f, f->store, alice->account, 1).state, QUOTA_CHARGED);
	assert_int_equal(
	    store_unblock(f->store, f->ctx, ask(f, f->plan, "bob@example.org", 1), soon(), &error),
	    1);
	store_blocked(f->store, f->ctx, &list, &n);
	assert_int_equal(n, 0);
}

/* Every filter knows a block by the time at which it was made: their events are one event. */
static void
test_block_since(void **state)
{
	struct fixture *f = *state;
	struct quota_plan *alice = ask(f, f->plan, "alice@example.org", 1);
	struct store_block here, there;
	const char *error = NULL;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(
		    store_block(f->store, f->ctx, alice, HOUR_MS, "", "root", soon(), &error), 0);
		assert_true(store_known_block(f->store, f->ctx, alice->account, &here));
		reopen(f);
		for (int64_t end = soon();
		     !store_known_block(f->store, f->ctx, alice->account, &there); usleep(10000))
			if (clock_ms() > end)
				fail_msg("the block was lost");
		assert_int_equal(here.since, there.since);
		assert_int_equal(store_unblock(f->store, f->ctx, alice, soon(), &error), 1);
	}
}

/* A block that ends by itself, and one that is only reported. */
static void
test_block_ends(void **state)
{
	struct fixture *f = *state;
	struct quota_plan *alice = ask(f, f->plan, "alice", 1);
	struct quota_reply reply;
	struct quota_fact fact;
	const char *error = NULL;
	int64_t end = soon();

	assert_int_equal(
	    store_block(f->store, f->ctx, alice, 400, "short", "x", soon(), &error), 0);
	assert_int_equal(charge(f, f->store, "alice", 1).state, QUOTA_REFUSED);
	alice->block_binds = false;
	store_charge(f->store, f->ctx, alice, soon(), &reply);
	assert_int_equal(reply.state, QUOTA_CHARGED);
	quota_judge(f->ctx, alice, &reply, &fact);
	assert_true(fact.blocked);
	assert_true(fact.charged);
	while (charge(f, f->store, "alice", 1).state != QUOTA_CHARGED) {
		if (clock_ms() > end)
			fail_msg("the block does not end");
		usleep(20000);
	}
	assert_false(store_known_block(f->store, f->ctx, "alice", NULL));
}

/* remember_over - charge until it is remembered that alice is over: an earlier change that is noticed
 * only now makes that forgotten */
static void
remember_over(struct fixture *f)
{
	struct quota_fact fact;
	int64_t end = clock_ms() + PATIENCE_MS;

	assert_int_equal(charge(f, f->store, "alice", 5).state, QUOTA_CHARGED);
	do {
		assert_true(clock_ms() < end);
		assert_int_equal(charge(f, f->store, "alice", 5).state, QUOTA_REFUSED);
	} while (!store_known_over(f->store, f->ctx, "alice", ALICE_OF(f->plan), &fact));
}

/* forgotten_ms - how long it is remembered here that alice is over */
static int64_t
forgotten_ms(struct fixture *f)
{
	struct quota_fact fact;
	int64_t before = clock_ms();

	while (store_known_over(f->store, f->ctx, "alice", ALICE_OF(f->plan), &fact))
		usleep(10000);
	return clock_ms() - before;
}

/* Limits and counts that another filter changes are known here before the 3 seconds are over. On a
 * busy machine that may fail, but not each time. */
static void
test_other_filter(void **state)
{
	struct fixture *f = *state;
	struct quota_plan *alice = ask(f, f->plan, "alice", 1);
	const char *error = NULL;
	struct store *other;
	struct limit limit;

	other = store_open(f->ctx, &f->options, &error);
	assert_non_null(other);
	assert_int_equal(limit_parse(f->ctx, "8 recipients per 60 minutes", &limit, &error), 0);
	for (int i = 0; i < 2; i++) {
		int64_t took = INT64_MAX;

		/* 3 s without the news, STORE_LIMITS_FRESH_MS with it */
		for (int tries = 0; took > 2500 && tries < 10; tries++) {
			assert_true(store_reset(other, f->ctx, alice, soon(), &error) >= 0);
			assert_true(store_unraise(other, f->ctx, alice, soon(), &error) >= 0);
			remember_over(f);
			if (i == 1)
				assert_int_equal(store_raise(other, f->ctx, alice, &limit, HOUR_MS,
						     soon(), &error), 0);
			else
				assert_int_equal(
				    store_reset(other, f->ctx, alice, soon(), &error), 1);
			took = forgotten_ms(f);
		}
		assert_in_range(took, 0, 2500);
		assert_int_equal(charge(f, f->store, "alice", 1).state, QUOTA_CHARGED);
	}
	store_close(other);
}

/* Raised, in force, kept over a restart and a reset, lowered again. */
static void
test_raise(void **state)
{
	struct fixture *f = *state;
	struct quota_plan *alice = ask(f, f->plan, "alice", 1);
	struct quota_reply reply;
	struct limit limit;
	const char *error = NULL;
	struct quota_fact fact;

	assert_int_equal(charge(f, f->store, "alice", 5).state, QUOTA_CHARGED);
	assert_int_equal(charge(f, f->store, "alice", 1).state, QUOTA_REFUSED);
	assert_true(store_known_over(f->store, f->ctx, "alice", ALICE_OF(f->plan), &fact));
	assert_int_equal(limit_parse(f->ctx, "8 recipients per 60 minutes", &limit, &error), 0);
	assert_int_equal(store_raise(f->store, f->ctx, alice, &limit, HOUR_MS, soon(), &error), 0);
	assert_false(store_known_over(f->store, f->ctx, "alice", ALICE_OF(f->plan), &fact));
	reopen(f);
	reply = charge(f, f->store, "alice", 3);
	assert_int_equal(reply.state, QUOTA_CHARGED);
	assert_int_equal(reply.counts[0].used, 8);
	assert_int_equal(reply.counts[0].max, 8);
	assert_in_range(reply.counts[0].raised_ms, HOUR_MS - 20000, HOUR_MS);
	assert_int_equal(reply.counts[1].max, 100);
	assert_int_equal(reply.counts[1].raised_ms, 0);
	reply = charge(f, f->store, "alice", 1);
	assert_int_equal(reply.state, QUOTA_REFUSED);
	quota_judge(f->ctx, alice, &reply, &fact);
	assert_string_equal(fact.limit, "8 recipients per hour");
	assert_int_equal(fact.max, 8);
	assert_int_equal(store_reset(f->store, f->ctx, alice, soon(), &error), 1);
	assert_int_equal(charge(f, f->store, "alice", 8).state, QUOTA_CHARGED);
	store_read(f->store, f->ctx, alice, soon(), &reply);
	assert_int_equal(reply.counts[0].max, 8);
	assert_int_equal(store_unraise(f->store, f->ctx, alice, soon(), &error), 1);
	assert_int_equal(store_unraise(f->store, f->ctx, alice, soon(), &error), 0);
	store_read(f->store, f->ctx, alice, soon(), &reply);
	assert_int_equal(reply.counts[0].used, 8);
	assert_int_equal(reply.counts[0].max, 5);
	assert_int_equal(limit_parse(f->ctx, "8 recipients per day", &limit, &error), 0);
	assert_int_equal(store_raise(f->store, f->ctx, alice, &limit, HOUR_MS, soon(), &error), -1);
	assert_non_null(strstr(error, "\"5 recipients per hour\", \"100 messages per day\""));
}

/* charge_in_pool - a message of an account whose counters lie with its pool's; the plan that was
 * asked with in *asked_r */
static struct quota_reply
charge_in_pool(struct fixture *f, const char *account, struct quota_plan **asked_r)
{
	struct quota_cost cost = { .messages = 1, .recipients = 1, .bytes = 1000 };
	struct quota_party parties[2] = {
		{ .kind = QUOTA_ACCOUNT, .name = account, .plan = f->plan, .on_over = ACTION_TEMPFAIL },
		{ .kind = QUOTA_POOL, .name = "acme", .plan = f->plan, .on_over = ACTION_TEMPFAIL },
	};
	uint8_t id[QUOTA_ID_LEN] = { 1 };
	struct quota_reply reply;

	f->ids++;
	memcpy(id + 1, &f->ids, sizeof(f->ids));
	*asked_r = quota_plan_of(f->ctx, parties, 2, &cost, false, id);
	(*asked_r)->block_binds = true;
	store_charge(f->store, f->ctx, *asked_r, soon(), &reply);
	return reply;
}

/*
 * An account moves to another home and back: counters begin anew, at most one window's worth; what
 * is blocked stays blocked, and what was unblocked in the new home is so in its own one as well.
 */
static void
test_moves_home(void **state)
{
	struct fixture *f = *state;
	struct quota_plan *alice = ask(f, f->plan, "alice", 1), *in_pool;
	struct quota_reply reply;
	const char *error = NULL;

	assert_int_equal(charge(f, f->store, "alice", 5).state, QUOTA_CHARGED);
	reply = charge_in_pool(f, "alice", &in_pool);
	assert_int_equal(reply.state, QUOTA_CHARGED);
	assert_string_not_equal(in_pool->home, alice->home);
	assert_int_equal(reply.counts[0].used, 1);
	assert_int_equal(store_block(f->store, f->ctx, alice, 0, "why", "root", soon(), &error), 0);
	reopen(f);
	for (int64_t end = soon(); !store_known_block(f->store, f->ctx, "alice", NULL);
	     usleep(10000))
		if (clock_ms() > end)
			fail_msg("the block was lost");
	reply = charge_in_pool(f, "alice", &in_pool);
	assert_int_equal(reply.state, QUOTA_REFUSED);
	assert_non_null(reply.block);
	assert_int_equal(store_unblock(f->store, f->ctx, in_pool, soon(), &error), 1);
	assert_int_equal(charge_in_pool(f, "alice", &in_pool).state, QUOTA_CHARGED);
	assert_int_equal(store_reset(f->store, f->ctx, alice, soon(), &error), 1);
	assert_int_equal(charge(f, f->store, "alice", 1).state, QUOTA_CHARGED);
}

/* A limit of a pool, set and unset by hand, holds for its accounts; counts are reset with it. */
static void
test_raise_pool(void **state)
{
	struct fixture *f = *state;
	const struct quota_party pool = { .kind = QUOTA_POOL, .name = "acme", .plan = f->plan,
	    .on_over = ACTION_TEMPFAIL };
	struct quota_cost cost = { .messages = 1, .recipients = 1, .bytes = 1 };
	struct quota_plan *by_hand = quota_plan_of(f->ctx, &pool, 1, &cost, false, NULL), *asked;
	struct quota_reply reply;
	const char *error = NULL;
	struct limit limit;

	assert_int_equal(limit_parse(f->ctx, "1 recipient per hour", &limit, &error), 0);
	assert_int_equal(store_reset(f->store, f->ctx, by_hand, soon(), &error), 0);
	assert_int_equal(charge_in_pool(f, "alice", &asked).state, QUOTA_CHARGED);
	store_read(f->store, f->ctx, by_hand, soon(), &reply);
	assert_int_equal(reply.counts[0].used, 1);
	assert_int_equal(reply.counts[0].max, 5);
	assert_int_equal(
	    store_raise(f->store, f->ctx, by_hand, &limit, HOUR_MS, soon(), &error), 0);
	reply = charge_in_pool(f, "bob", &asked);
	assert_int_equal(reply.state, QUOTA_REFUSED);
	assert_int_equal(reply.counts[2].max, 1);
	assert_in_range(reply.counts[2].raised_ms, HOUR_MS - 20000, HOUR_MS);
	assert_int_equal(reply.counts[0].raised_ms, 0);
	reopen(f);
	assert_int_equal(charge_in_pool(f, "bob", &asked).state, QUOTA_REFUSED);
	assert_int_equal(store_reset(f->store, f->ctx, by_hand, soon(), &error), 1);
	assert_int_equal(charge_in_pool(f, "bob", &asked).state, QUOTA_CHARGED);
	assert_int_equal(charge_in_pool(f, "carol", &asked).state, QUOTA_REFUSED);
	assert_int_equal(store_unraise(f->store, f->ctx, by_hand, soon(), &error), 1);
	assert_int_equal(store_unraise(f->store, f->ctx, by_hand, soon(), &error), 0);
	assert_int_equal(charge_in_pool(f, "carol", &asked).state, QUOTA_CHARGED);
	/* an account that is called as the pool has limits of its own */
	assert_int_equal(charge(f, f->store, "acme", 5).state, QUOTA_CHARGED);
}

/* What one filter blocks, the next charge at another one knows; and it holds while Redis is
 * away. */
static void
test_two_filters(void **state)
{
	struct fixture *f = *state;
	struct quota_plan *alice = ask(f, f->plan, "alice", 1);
	const char *error = NULL;
	struct store *other = store_open(f->ctx, &f->options, &error);
	struct quota_reply reply;
	int64_t end;

	assert_non_null(other);
	assert_int_equal(charge(f, other, "alice", 1).state, QUOTA_CHARGED);
	assert_int_equal(store_block(f->store, f->ctx, alice, 0, "why", "root", soon(), &error), 0);
	reply = charge(f, other, "alice", 1);
	assert_int_equal(reply.state, QUOTA_REFUSED);
	assert_non_null(reply.block);
	assert_string_equal(reply.block->reason, "why");
	for (end = clock_ms() + PATIENCE_MS; !store_known_block(other, f->ctx, "alice", NULL);
	    usleep(10000))
		assert_true(clock_ms() < end);
	redis_server_kill(&f->server, SIGKILL);
	assert_int_equal(charge(f, other, "alice", 1).state, QUOTA_REFUSED);
	assert_int_equal(charge(f, other, "bob", 1).state, QUOTA_CHARGED);
	assert_int_equal(store_unblock(other, f->ctx, alice, clock_ms() + 300, &error), -1);
	redis_server_start(&f->server, "appendonly yes\nappendfsync always");
	for (end = clock_ms() + PATIENCE_MS;
	     store_unblock(other, f->ctx, alice, soon(), &error) != 1; usleep(10000))
		assert_true(clock_ms() < end);
	for (end = clock_ms() + PATIENCE_MS;
	     store_known_block(f->store, f->ctx, "alice", NULL); usleep(10000))
		assert_true(clock_ms() < end);
	store_close(other);
}

int
main(void)
{
	const struct CMUnitTest embedded[] = {
		cmocka_unit_test_setup_teardown(test_block, set_up_embedded, tear_down),
		cmocka_unit_test_setup_teardown(test_block_since, set_up_embedded, tear_down),
		cmocka_unit_test_setup_teardown(test_block_ends, set_up_embedded, tear_down),
		cmocka_unit_test_setup_teardown(test_raise, set_up_embedded, tear_down),
		cmocka_unit_test_setup_teardown(test_moves_home, set_up_embedded, tear_down),
		cmocka_unit_test_setup_teardown(test_raise_pool, set_up_embedded, tear_down),
	};
	const struct CMUnitTest redis[] = {
		cmocka_unit_test_setup_teardown(test_block, set_up_redis, tear_down),
		cmocka_unit_test_setup_teardown(test_block_since, set_up_redis, tear_down),
		cmocka_unit_test_setup_teardown(test_block_ends, set_up_redis, tear_down),
		cmocka_unit_test_setup_teardown(test_raise, set_up_redis, tear_down),
		cmocka_unit_test_setup_teardown(test_moves_home, set_up_redis, tear_down),
		cmocka_unit_test_setup_teardown(test_raise_pool, set_up_redis, tear_down),
		cmocka_unit_test_setup_teardown(test_two_filters, set_up_redis, tear_down),
		cmocka_unit_test_setup_teardown(test_other_filter, set_up_redis, tear_down),
	};
	struct CMUnitTest
	    all[sizeof(embedded) / sizeof(embedded[0]) + sizeof(redis) / sizeof(redis[0])];
	bool has_redis = redis_server_exists();

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!has_redis)
		return cmocka_run_group_tests_name(
		    "store by hand (no redis-server: embedded only)", embedded, NULL, NULL);
	memcpy(all, embedded, sizeof(embedded));
	memcpy(all + sizeof(embedded) / sizeof(embedded[0]), redis, sizeof(redis));
	return cmocka_run_group_tests_name("store by hand", all, NULL, NULL);
}
