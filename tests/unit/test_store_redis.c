/*
 * test_store_redis.c - the script, the pool and the store against a real Redis
 *
 * The script and the C rules (embedded.h) go through one table of cases and a randomised
 * comparison with an explicit clock. The failures are real ones: the server is killed, stopped,
 * flushed, protected, filled, while messages are charged.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

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
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <openssl/evp.h>

#include "filter/base/clock.h"
#include "filter/redis/pool.h"
#include "filter/store/embedded.h"
#include "filter/store/quota_command.h"
#include "filter/store/quota_lua.h"
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "tests/support/redis_server.h"

#define PATIENCE_MS	20000	/* for what must happen at last */

/* What each test finds: a server that runs, a pool for commands of its own, and a log. */
/* who would be charged, for store_known_over() */
#define ALICE_OF(of) \
	&(const struct quota_party){ .kind = QUOTA_ACCOUNT, .name = "alice", .plan = (of) }, 1

struct fixture {
	struct redis_server server;
	struct redis_pool *pool;
	TALLOC_CTX *ctx;
	pthread_mutex_t lock;
	char *log;		/* all lines; under lock */
	uint64_t ids;		/* the last charge id */
};

/* --- helpers --- */

static void
collect_log(void *arg, enum store_log_level level, const char *text)
{
	struct fixture *f = arg;

	(void)level;
	pthread_mutex_lock(&f->lock);
	f->log = talloc_asprintf_append(f->log, "%s\n", text);
	pthread_mutex_unlock(&f->lock);
}

static int
count_in_log(struct fixture *f, const char *part)
{
	int n = 0;

	pthread_mutex_lock(&f->lock);
	for (const char *at = f->log; (at = strstr(at, part)) != NULL; at++)
		n++;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void
make_pool(struct fixture *f, const char *password)
{
	struct redis_options options = { .server = f->server.address, .password = password };
	const char *error;

	talloc_free(f->pool);
	f->pool = redis_pool_new(f->ctx, &options, 4, &error);
	assert_non_null(f->pool);
}

static void
start(struct fixture *f, const char *line)
{
	redis_server_start(&f->server, line);
	make_pool(f, NULL);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL || !redis_server_make(&f->server))
		return -1;
	f->ctx = talloc_new(NULL);
	f->log = talloc_strdup(NULL, "");
	pthread_mutex_init(&f->lock, NULL);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	talloc_free(f->ctx);
	talloc_free(f->log);
	pthread_mutex_destroy(&f->lock);
	redis_server_remove(&f->server);
	free(f);
	return 0;
}

/* command - one command of the test's own, in words; the integer of the answer, or -1 */
static long long
command(struct fixture *f, const char *words)
{
	const char *argv[16];
	size_t argv_len[16];
	char *copy = mem_strdup(f->ctx, words), *save = NULL, *word;
	const char *error = NULL;
	redisReply *reply;
	long long value = -1;
	int argc = 0;

	for (word = strtok_r(copy, " ", &save); word != NULL && argc < 16;
	    word = strtok_r(NULL, " ", &save)) {
		argv[argc] = word;
		argv_len[argc++] = strlen(word);
	}
	if (redis_pool_call(f->pool, f->ctx, argc, argv, argv_len, true,
		clock_ms() + PATIENCE_MS, &reply, &error) != POOL_ANSWERED)
		fail_msg("%s: %s", words, error);
	if (reply->type == REDIS_REPLY_INTEGER)
		value = reply->integer;
	freeReplyObject(reply);
	return value;
}

static struct store_options
options_of(struct fixture *f)
{
	struct store_options options = { .kind = STORE_REDIS, .redis.server = f->server.address,
	    .deadline_ms = 300, .log = collect_log, .log_arg = f };

	return options;
}

static struct store *
open_store(struct fixture *f, const struct store_options *options)
{
	const char *error = NULL;
	struct store *store = store_open(f->ctx, options, &error);

	if (store == NULL)
		fail_msg("%s", error);
	return store;
}

/* plan_of - a plan with up to three limits */
static struct plan *
plan_of(TALLOC_CTX *ctx, const char *a, const char *b, const char *c)
{
	struct plan *plan = mem_new(ctx, struct plan);
	const char *texts[3] = { a, b, c }, *error = NULL;

	plan->name = "test";
	plan->on_over = ACTION_TEMPFAIL;
	plan->limits = mem_array(plan, struct limit, 3);
	for (int i = 0; i < 3 && texts[i] != NULL; i++)
		if (limit_parse(plan, texts[i], &plan->limits[plan->n_limits++], &error) < 0)
			fail_msg("%s", error);
	return plan;
}

/* ask - what one message of so many recipients asks, under a new id */
static struct quota_plan *
ask(struct fixture *f, const struct plan *plan, const char *account, uint64_t recipients)
{
	struct quota_cost cost = { .messages = 1, .recipients = recipients, .bytes = 1000 };
	uint8_t id[QUOTA_ID_LEN] = { 0 };
	uint64_t number;

	pthread_mutex_lock(&f->lock);
	number = ++f->ids;
	pthread_mutex_unlock(&f->lock);
	memcpy(id, &number, sizeof(number));
	return quota_plan_make(NULL, plan, account, &cost, false, id);
}

/* charge - one message; the state, and the first counter's total if asked for */
static enum quota_state
charge(struct fixture *f, struct store *store, const struct plan *plan, const char *account,
    uint64_t recipients, uint64_t *used_r, const char **store_r)
{
	struct quota_plan *asked = ask(f, plan, account, recipients);
	struct quota_reply reply;

	store_charge(store, asked, asked, clock_ms() + 1000, &reply);
	if (used_r != NULL)
		*used_r = reply.n_counts > 0 ? reply.counts[0].used : 0;
	if (store_r != NULL)
		*store_r = reply.store;
	talloc_free(asked);
	return reply.state;
}

/* used_now - the first counter's total */
static uint64_t
used_now(struct fixture *f, struct store *store, const struct plan *plan, const char *account)
{
	struct quota_plan *asked = ask(f, plan, account, 1);
	struct quota_reply reply;
	uint64_t used;

	store_read(store, asked, asked, clock_ms() + 1000, &reply);
	assert_int_equal(reply.state, QUOTA_READ);
	used = reply.counts[0].used;
	talloc_free(asked);
	return used;
}

static bool
is_away(struct fixture *f, struct store *store)
{
	struct store_status status;

	store_status(store, f->ctx, &status);
	return status.away;
}

/* wait_away - until the store is away, or back */
static void
wait_away(struct fixture *f, struct store *store, bool away)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (is_away(f, store) != away) {
		if (clock_ms() > end)
			fail_msg("the store does not get %s", away ? "away" : "back");
		usleep(5000);
	}
}

/* wait_log - until the log says so: a line follows the change of state that it tells of */
static void
wait_log(struct fixture *f, const char *part)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (count_in_log(f, part) == 0) {
		if (clock_ms() > end)
			fail_msg("the log does not say \"%s\" but: %s", part, f->log);
		usleep(5000);
	}
}

/* --- twin rules --- */

/* The script with an explicit clock, and the C rules beside it. */
struct twins {
	struct fixture *f;
	struct embedded *table;
	char digest[41];
	long quick;		/* charges that quick.lua made */
	long known;		/* counters of new recipients in these */
};

static void
make_twins(struct twins *t, struct fixture *f)
{
	unsigned char octets[EVP_MAX_MD_SIZE];
	unsigned int len;

	t->f = f;
	t->quick = t->known = 0;
	t->table = embedded_new(f->ctx, 1000, true);
	assert_int_equal(EVP_Digest(quota_lua, quota_lua_len, octets, &len, EVP_sha1(), NULL), 1);
	for (unsigned int i = 0; i < len; i++)
		snprintf(t->digest + 2 * i, 3, "%02x", octets[i]);
}

static void
run_lua(struct twins *t, enum quota_op op, const struct quota_plan *asked, int64_t now, int64_t age,
    struct quota_reply *reply_r)
{
	TALLOC_CTX *tmp = talloc_new(NULL);
	struct quota_command *c = quota_command_make(tmp, "t:", t->digest, op, asked, &now, age);
	const char *error = NULL;
	enum pool_outcome outcome;
	redisReply *answer;
	int64_t stamp;
	bool late;

	outcome = redis_pool_call(t->f->pool, tmp, c->argc, c->argv, c->argv_len, false,
	    clock_ms() + PATIENCE_MS, &answer, &error);
	if (outcome == POOL_NOSCRIPT) {
		c->argv[0] = "EVAL";
		c->argv_len[0] = 4;
		c->argv[1] = quota_lua;
		c->argv_len[1] = quota_lua_len;
		outcome = redis_pool_call(t->f->pool, tmp, c->argc, c->argv, c->argv_len, false,
		    clock_ms() + PATIENCE_MS, &answer, &error);
	}
	if (outcome != POOL_ANSWERED)
		fail_msg("script: %s", error);
	memset(reply_r, 0, sizeof(*reply_r));
	if (answer->type == REDIS_REPLY_STRING) {
		t->quick++;
		for (size_t i = 0; i < asked->n_counters; i++)
			t->known += asked->counters[i].unit == LIMIT_NEW;
	}
	if (op == QUOTA_OP_RESET) {
		assert_true(quota_command_done(answer, &late, &stamp) >= 0);
		reply_r->state = QUOTA_READ;
	} else {
		assert_int_equal(
		    quota_command_read(t->f->ctx, asked, answer, reply_r, &stamp), 0);
		assert_int_equal(stamp, now);
	}
	freeReplyObject(answer);
	talloc_free(tmp);
}

static void
run_c(struct twins *t, enum quota_op op, const struct quota_plan *asked, int64_t now, int64_t age,
    struct quota_reply *reply_r)
{
	memset(reply_r, 0, sizeof(*reply_r));
	switch (op) {
	case QUOTA_OP_CHARGE:
		embedded_charge(t->table, t->f->ctx, asked, now, true, reply_r);
		return;
	case QUOTA_OP_MERGE:
		embedded_merge(t->table, t->f->ctx, asked, now, age, reply_r);
		return;
	case QUOTA_OP_READ:
		embedded_read(t->table, t->f->ctx, asked, now, reply_r);
		return;
	case QUOTA_OP_RESET:
		(void)embedded_reset(t->table, asked);
		reply_r->state = QUOTA_READ;
		return;
	case QUOTA_OP_VOID:
	case QUOTA_OP_BLOCK:
	case QUOTA_OP_UNBLOCK:
	case QUOTA_OP_RAISE:
	case QUOTA_OP_UNRAISE:
		return;
	}
}

/* both - one step on both sides; they must agree in everything */
static struct quota_reply
both(struct twins *t, const char *label, enum quota_op op, const struct quota_plan *asked,
    int64_t now, int64_t age)
{
	struct quota_reply lua, c;

	run_lua(t, op, asked, now, age, &lua);
	run_c(t, op, asked, now, age, &c);
	if (lua.state != c.state || lua.n_counts != c.n_counts)
		fail_msg("%s: state %d in Lua, %d in C", label, (int)lua.state, (int)c.state);
	for (size_t i = 0; i < c.n_counts; i++) {
		const struct quota_count *a = &lua.counts[i], *b = &c.counts[i];

		if (a->used != b->used || a->wait_ms != b->wait_ms || a->one_ms != b->one_ms ||
		    a->next_ms != b->next_ms || a->max != b->max || a->raised_ms != b->raised_ms)
			fail_msg(
			    "%s: counter %zu (%s): Lua %llu %lld %lld %lld, C %llu %lld %lld %lld",
			    label, i, asked->counters[i].field, (unsigned long long)a->used,
			    (long long)a->wait_ms, (long long)a->one_ms, (long long)a->next_ms,
			    (unsigned long long)b->used, (long long)b->wait_ms,
			    (long long)b->one_ms, (long long)b->next_ms);
	}
	return c;
}

#define T0	INT64_C(1700000000000)
#define MINUTE	INT64_C(60000)

static void
test_cases(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *label;
		enum quota_op op;
		int64_t now;
		int64_t age;
		uint64_t recipients;
		bool same_id;		/* as the step before */
		enum quota_state state;
		uint64_t used[3];
	} rows[] = {
		{ "first", QUOTA_OP_CHARGE, T0, 0, 4, false, QUOTA_CHARGED, { 4, 1, 1000 } },
		{ "the same again", QUOTA_OP_CHARGE, T0 + 5, 0, 4, true, QUOTA_CHARGED,
		    { 4, 1, 1000 } },
		{ "over in one window: none is charged", QUOTA_OP_CHARGE, T0 + 10, 0, 7, false,
		    QUOTA_REFUSED, { 4, 1, 1000 } },
		{ "larger than the limit", QUOTA_OP_CHARGE, T0 + 10, 0, 11, false, QUOTA_REFUSED,
		    { 4, 1, 1000 } },
		{ "exactly full", QUOTA_OP_CHARGE, T0 + 10, 0, 6, false, QUOTA_CHARGED,
		    { 10, 2, 2000 } },
		{ "reading charges nothing", QUOTA_OP_READ, T0 + 10, 0, 1, false, QUOTA_READ,
		    { 10, 2, 2000 } },
		{ "merging goes past the limit", QUOTA_OP_MERGE, T0 + 10, MINUTE, 5, false,
		    QUOTA_CHARGED, { 15, 3, 3000 } },
		{ "merged once", QUOTA_OP_MERGE, T0 + 20, MINUTE, 5, true, QUOTA_CHARGED,
		    { 15, 3, 3000 } },
		{ "merging what has left one window", QUOTA_OP_MERGE, T0 + 20, 2 * 60 * MINUTE, 5,
		    false, QUOTA_CHARGED, { 15, 4, 4000 } },
		{ "the hour is over, the day is not", QUOTA_OP_CHARGE, T0 + 62 * MINUTE, 0, 1,
		    false, QUOTA_CHARGED, { 1, 5, 5000 } },
		{ "time runs back", QUOTA_OP_CHARGE, T0 + 30 * MINUTE, 0, 1, false, QUOTA_CHARGED,
		    { 2, 6, 6000 } },
		{ "time runs back for good", QUOTA_OP_CHARGE, T0 - 10 * 24 * 60 * MINUTE, 0, 1,
		    false, QUOTA_CHARGED, { 3, 7, 7000 } },
		{ "reset", QUOTA_OP_RESET, T0, 0, 1, false, QUOTA_READ, { 0 } },
		{ "empty after it", QUOTA_OP_READ, T0, 0, 1, false, QUOTA_READ, { 0 } },
	};
	struct twins t;
	struct plan *plan;
	struct quota_plan *asked = NULL;

	start(f, NULL);
	make_twins(&t, f);
	plan = plan_of(f->ctx, "10 recipients per hour", "100 messages per day", "1 MB per day");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct quota_reply reply;

		if (!rows[i].same_id)
			asked = talloc_steal(f->ctx,
			    ask(f, plan, "alice@example.org", rows[i].recipients));
		reply = both(&t, rows[i].label, rows[i].op, asked, rows[i].now, rows[i].age);
		if (reply.state != rows[i].state)
			fail_msg("%s: state %d", rows[i].label, (int)reply.state);
		for (size_t k = 0; k < reply.n_counts; k++)
			if (reply.counts[k].used != rows[i].used[k])
				fail_msg("%s: counter %zu is %llu", rows[i].label, k,
				    (unsigned long long)reply.counts[k].used);
	}
}

/* Large numbers stay exact on their way through Lua. */
static void
test_exact(void **state)
{
	struct fixture *f = *state;
	struct quota_cost cost = { .messages = 1, .recipients = 1 };
	struct twins t;
	struct plan *plan;

	start(f, NULL);
	make_twins(&t, f);
	plan = plan_of(f->ctx, "9007199254740991 bytes per day", NULL, NULL);
	for (uint8_t i = 1; i <= 9; i++) {
		uint8_t id[QUOTA_ID_LEN] = { i };

		cost.bytes = UINT64_C(1000799917193443) + (i == 9 ? 4 : 0);
		both(&t, "large", QUOTA_OP_CHARGE,
		    quota_plan_make(f->ctx, plan, "bob", &cost, false, id), T0 + i * MINUTE, 0);
	}
	cost.bytes = 1;
	assert_int_equal(
	    both(&t, "full", QUOTA_OP_READ,
		quota_plan_make(f->ctx, plan, "bob", &cost, false, NULL), T0 + 9 * MINUTE, 0)
		.counts[0]
		.used,
	    LIMIT_MAX_COUNT);
}

/* A voided charge is taken back, and one that comes later is ignored. */
static void
test_void(void **state)
{
	struct fixture *f = *state;
	struct quota_plan *first, *second;
	struct quota_reply reply;
	struct twins t;
	struct plan *plan;

	start(f, NULL);
	make_twins(&t, f);
	plan = plan_of(f->ctx, "10 recipients per hour", "100 messages per day", NULL);
	first = ask(f, plan, "carol", 4);
	second = ask(f, plan, "carol", 3);
	run_lua(&t, QUOTA_OP_CHARGE, first, T0, 0, &reply);
	run_lua(&t, QUOTA_OP_VOID, first, T0 + 10 * MINUTE, 0, &reply);
	assert_int_equal(reply.counts[0].used, 0);
	assert_int_equal(reply.counts[1].used, 0);
	run_lua(&t, QUOTA_OP_VOID, first, T0 + 10 * MINUTE, 0, &reply);
	run_lua(&t, QUOTA_OP_VOID, second, T0, 0, &reply);
	run_lua(&t, QUOTA_OP_CHARGE, second, T0, 0, &reply);
	assert_int_equal(reply.state, QUOTA_UNKNOWN);
	assert_int_equal(reply.counts[0].used, 0);
	run_lua(&t, QUOTA_OP_MERGE, second, T0, 5, &reply);
	assert_int_equal(reply.counts[0].used, 0);
	talloc_free(first);
	talloc_free(second);
}

/* next_random - a small generator with a fixed seed, so that failures repeat */
static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* random_step_of_time - mostly small, sometimes a jump, sometimes back */
static int64_t
random_step_of_time(uint64_t *random)
{
	int64_t some = (int64_t)(next_random(random) % 1000);

	switch (next_random(random) % 40) {
	case 0:
		return some * 60 * MINUTE;	/* weeks */
	case 1:
		return -some * 60 * MINUTE;
	case 2:
	case 3:
		return -some * 100;
	case 4:
	case 5:
		return some * MINUTE / 10;
	default:
		return next_random(random) % 2 ? some * 30 : 0;
	}
}

/* random_event - something that a level counts, or a sign of block_on */
static struct quota_plan *
random_event(uint64_t *random, const struct quota_party *parties, struct quota_cost *cost,
    const uint8_t *id)
{
	static const enum limit_unit units[] = { LIMIT_REFUSED, LIMIT_FOREIGN, LIMIT_LOGINS };
	static const char *const signs[] = { "4 refused-recipients per hour",
		"6 foreign-senders per hour", "2 countries per hour",
		"30 new-recipients per 20 minutes" };
	TALLOC_CTX *tmp = talloc_new(NULL);
	const char *error = NULL;
	struct quota_plan *asked;
	struct limit limit;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		cost->things[units[i]] =
		    (struct quota_thing){ next_random(random) % 8 > 0, next_random(random) % 20 };
	assert_int_equal(limit_parse(tmp, signs[next_random(random) % 4], &limit, &error), 0);
	asked = next_random(random) % 3 > 0
	    ? quota_plan_event(NULL, parties, 4, units[next_random(random) % 3], 0,
		cost, id)
	    : quota_plan_offence(NULL, parties, 4, &limit, cost, id);
	for (size_t i = 0; i < asked->n_counters; i++)
		asked->counters[i].field = talloc_strdup(asked, asked->counters[i].field);
	talloc_free(tmp);
	return asked;
}

/* random_message - a message of some parties, from some client, to some recipients. The plans of
 * accounts change now and then. */
static struct quota_plan *
random_message(struct fixture *f, uint64_t *random, struct plan **plans, long step)
{
	static const char *const accounts[] = { "a", "b@example.org", "we{ird} %name\xff", "" };
	struct quota_party parties[4] = { { .kind = QUOTA_ACCOUNT },
		{ .kind = QUOTA_DOMAIN, .name = "dom" }, { .kind = QUOTA_POOL, .name = "pool" },
		{ .kind = QUOTA_NETWORK, .name = "net" } };
	uint64_t marks[6], number, account, picked;
	struct quota_cost cost = { .messages = 1,
		.recipients = next_random(random) % 6 + 1,
		.bytes = next_random(random) % 20 > 0 ? 1000
						       : UINT64_C(1) << next_random(random) % 54,
		.marks = marks,
		.things = {
			[LIMIT_CLIENTS] = { next_random(random) % 8 > 0, next_random(random) % 9 },
			[LIMIT_COUNTRIES] = { next_random(random) % 8 > 0, next_random(random) % 4 },
			[LIMIT_NETWORKS] = { next_random(random) % 2 > 0, next_random(random) % 6 },
		} };
	uint8_t id[QUOTA_ID_LEN] = { 0 };

	cost.external = next_random(random) % (cost.recipients + 1);
	cost.n_marks = (size_t)cost.recipients;
	for (size_t i = 0; i < cost.n_marks; i++)
		marks[i] = (next_random(random) % 60) * UINT64_C(0x0101010101010101);
	account = next_random(random) % 4;
	parties[0].name = accounts[account];
	picked = next_random(random) % 20 > 0 ? ((uint64_t)step / 150 + account) % 8
					      : next_random(random) % 8;
	for (size_t i = 0; i < 4; i++) {
		parties[i].plan = i == 0      ? plans[picked]
		    : next_random(random) % 3 ? NULL
					      : plans[8 + next_random(random) % 2];
		parties[i].on_over =
		    parties[i].plan != NULL ? parties[i].plan->on_over : ACTION_ACCEPT;
	}
	number = ++f->ids;
	memcpy(id, &number, sizeof(number));
	if (next_random(random) % 10 == 0) {
		struct quota_plan *event = random_event(random, parties, &cost, id);

		if (event->n_counters > 0)
			return event;
		talloc_free(event);
	}
	return quota_plan_of(NULL, parties, 4, &cost, next_random(random) % 10 == 0, id);
}

/* raise_both - an operator raises a limit of the owner of a plan, or takes that back */
static void
raise_both(struct twins *t, const struct quota_plan *asked, uint64_t *random, int64_t now)
{
	const struct quota_counter *counter = &asked->counters[0];
	const char *words[3] = { "600000", counter->field, "25" };
	bool raise = next_random(random) % 2;
	struct quota_command *c = quota_command_by_hand(t->f->ctx, "t:", t->digest,
	    raise ? QUOTA_OP_RAISE : QUOTA_OP_UNRAISE, asked, &now, 0, words,
	    raise ? 3 : 0);
	const char *error = NULL;
	redisReply *answer;
	int64_t done_at;
	bool late;
	int changed;

	if (redis_pool_call(t->f->pool, t->f->ctx, c->argc, c->argv, c->argv_len, false,
	    clock_ms() + PATIENCE_MS, &answer, &error) != POOL_ANSWERED)
		fail_msg("by hand: %s", error);
	changed = quota_command_done(answer, &late, &done_at);
	assert_false(late);
	freeReplyObject(answer);
	if (raise)
		embedded_raise(t->table, asked, counter, 25, now + 600000, now);
	else
		assert_int_equal(embedded_unraise(t->table, asked, now), changed);
}

/* raise_pool - the same for the pool */
static void
raise_pool(struct twins *t, const struct plan *plan, uint64_t *random, int64_t now)
{
	const struct quota_party pool = { QUOTA_POOL, "pool", plan, ACTION_REJECT };
	struct quota_plan *asked = quota_plan_of(NULL, &pool, 1, NULL, false, NULL);

	raise_both(t, asked, random, now);
	talloc_free(asked);
}

/* The plans of the randomised comparison: every unit, binding and observed, long and short. An
 * account has at most 16 counters, because of more the embedded store forgets idle ones. */
static void
random_plans(struct fixture *f, struct plan **plans)
{
	plans[0] = plan_of(
	    f->ctx, "12 recipients per hour", "40 recipients per day", "9 messages per 7 minutes");
	plans[1] = plan_of(f->ctx, "30 recipients per hour", "5 messages per minute", NULL);
	plans[2] = plan_of(f->ctx, "2 countries per 20 minutes", "3 networks per hour",
	    "4 refused-recipients per 30 minutes");
	plans[3] = plan_of(f->ctx, "20 KB per 10 minutes", "7 client-addresses per hour",
	    "3 messages per minute");
	plans[4] = plan_of(f->ctx, "20 new-recipients per 20 minutes",
	    "3 client-addresses per hour", "8 external-recipients per 30 minutes");
	plans[5] = plan_of(f->ctx, "9007199254740991 bytes per hour", "12 recipients per hour",
	    "9007199254740990 bytes per 90 seconds");
	plans[6] = plan_of(f->ctx, "70 messages per hour", "50 MB per hour",
	    "3 foreign-senders per 10 minutes");
	plans[7] = plan_of(f->ctx, "500 recipients per week", "70 messages per hour",
	    "30 new-recipients per 20 minutes");
	plans[8] = plan_of(f->ctx, "60 recipients per hour", "40 new-recipients per day",
	    "2 failed-logins per 5 minutes");
	plans[9] = plan_of(f->ctx, "60 recipients per hour", "200 messages per day",
	    "40 new-recipients per day");
	plans[1]->on_over = ACTION_WARN;
}

/* Every step on both sides, which must agree in everything. COUNTERSIGN_TWIN_STEPS makes it longer,
 * and alone; COUNTERSIGN_TWIN_SEED makes it another. */
static void
test_random(void **state)
{
	struct fixture *f = *state;
	static const enum quota_op ops[] = { QUOTA_OP_CHARGE, QUOTA_OP_CHARGE, QUOTA_OP_CHARGE,
	    QUOTA_OP_CHARGE, QUOTA_OP_CHARGE, QUOTA_OP_CHARGE, QUOTA_OP_READ, QUOTA_OP_MERGE };
	const char *steps_text = getenv("COUNTERSIGN_TWIN_STEPS");
	long steps = steps_text != NULL ? atol(steps_text) : 6000;
	const char *seed_text = getenv("COUNTERSIGN_TWIN_SEED");
	uint64_t random = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 20250101;
	struct plan *plans[10];
	struct twins t;
	int64_t now = T0;

	start(f, NULL);
	make_twins(&t, f);
	random_plans(f, plans);
	for (long i = 0; i < steps; i++) {
		enum quota_op op = ops[next_random(&random) % 8];
		struct quota_plan *asked = random_message(f, &random, plans, i);
		int64_t age = next_random(&random) % 4 == 0
		    ? 0 : (int64_t)(next_random(&random) % 5000) * 1000;
		TALLOC_CTX *outer = f->ctx;
		char label[32];

		now += random_step_of_time(&random);
		if (now < 1000000)
			now = T0;
		if (next_random(&random) % 500 == 0)
			op = QUOTA_OP_RESET;
		snprintf(label, sizeof(label), "step %ld", i);
		f->ctx = asked;
		both(&t, label, op, asked, now, age);
		if (next_random(&random) % 8 == 0) {
			now += (int64_t)(next_random(&random) % 3) * 40000;
			both(&t, label, op, asked, now, age);	/* its answer was lost */
		}
		if (i > 0 && asked->n_counters > 0 && asked->counters[0].subject == 0 &&
		    strcmp(asked->account, "a") == 0 && next_random(&random) % 20 == 0)
			raise_both(&t, asked, &random, now);
		if (next_random(&random) % 200 == 0)
			raise_pool(&t, plans[9], &random, now);
		f->ctx = outer;
		talloc_free(asked);
		if (i % 2500 == 2499) {
			command(f, "SAVE");
			redis_server_kill(&f->server, SIGKILL);
			start(f, NULL);
		}
	}
	if (steps_text != NULL)
		print_message("%ld of %ld steps were quick, with %ld counters of new "
			      "recipients\n", t.quick, steps, t.known);
	assert_in_range(t.quick, steps / 20, steps);
	assert_true(t.known > 0);
}

/* lua - run a line of Lua on the keys of alice's counts and windows; the integer of the answer */
static long long
lua(struct fixture *f, const char *text)
{
	const char *argv[] = { "EVAL", text, "2", "t:{alice}:a:alice", "t:{alice}:w:alice" };
	const char *error = NULL;
	redisReply *reply;
	long long value;

	if (redis_pool_call(f->pool, f->ctx, 5, argv, NULL, true, clock_ms() + PATIENCE_MS, &reply,
		&error) != POOL_ANSWERED)
		fail_msg("%s: %s", text, error);
	value = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
	freeReplyObject(reply);
	return value;
}

/* expect_used - run an operation of a message of alice's, and compare the totals after it */
static void
expect_used(struct twins *t, const struct plan *plan, enum quota_op op, enum quota_state state,
    uint64_t first, uint64_t second)
{
	struct quota_plan *asked = ask(t->f, plan, "alice", 2);
	struct quota_reply reply;

	run_lua(t, op, asked, T0, 0, &reply);
	assert_int_equal(reply.state, state);
	assert_int_equal(reply.counts[0].used, first);
	assert_int_equal(reply.counts[1].used, second);
	talloc_free(asked);
}

/* Counts of a release before quick.lua, a field for each window, are found and move. */
static void
test_upgrade(void **state)
{
	struct fixture *f = *state;
	struct plan *plan, *other;
	struct twins t;

	start(f, NULL);
	make_twins(&t, f);
	plan = plan_of(f->ctx, "10 recipients per hour", "2 GB per day", NULL);
	other = plan_of(f->ctx, "10 recipients per hour", "99 messages per week", NULL);
	/* newest and oldest bucket; a count of 8 octets; a window of a plan of other times */
	lua(f, "local function old(field, width, ...)"
	       "  local window = { math.floor(1700000000000 / width), 0, ... }"
	       "  for i = 3, #window do window[2] = window[2] + window[i] end"
	       "  redis.call('HSET', KEYS[1], field, cmsgpack.pack(window)) "
	       "end "
	       "old('r3600000.48', 75000, 1, 0, 0, 2) "
	       "old('b86400000.48', 1800000, 0, 1, 1000000000, 7) "
	       "old('m604800000.48', 12600000, 40, 2)");
	expect_used(&t, plan, QUOTA_OP_READ, QUOTA_READ, 3, 1000000008);
	expect_used(&t, plan, QUOTA_OP_CHARGE, QUOTA_CHARGED, 5, 1000001008);
	assert_int_equal(lua(f, "return redis.call('HLEN', KEYS[1])"), 1);
	expect_used(&t, plan, QUOTA_OP_CHARGE, QUOTA_CHARGED, 7, 1000002008);
	assert_int_equal(t.quick, 1);
	assert_in_range(lua(f, "local least = math.huge "
			       "for _, id in ipairs(redis.call('KEYS', 't:{alice}:i:*')) do"
			       "  least = math.min(least, redis.call('PTTL', id)) "
			       "end return least"),
	    QUOTA_ID_TTL_MS - PATIENCE_MS, QUOTA_ID_TTL_MS);
	expect_used(&t, other, QUOTA_OP_CHARGE, QUOTA_CHARGED, 9, 43);
	assert_int_equal(lua(f, "return redis.call('EXISTS', KEYS[1])"), 0);
	assert_in_range(lua(f, "return redis.call('PTTL', KEYS[2])"), 604800000, 640000000);
	expect_used(&t, other, QUOTA_OP_CHARGE, QUOTA_REFUSED, 9, 43);
	expect_used(&t, plan, QUOTA_OP_READ, QUOTA_READ, 9, 1000002008);
}

/* The same for a domain, whose windows stay in its hash: they move within it, and are quick then,
 * unless a limit is raised. What is damaged counts nothing. */
static void
test_upgrade_shared(void **state)
{
	static const struct {
		const char *first;	/* in Lua; key is the domain's */
		uint64_t used;		/* of the domain, after a message of 2 */
		bool quick;
	} rows[] = {
		{ "redis.call('HSET', key, 'r3600000.48', cmsgpack.pack({ 22666666, 5, 5 }))", 7,
		    false },
		{ "", 9, true },
		{ "redis.call('HSET', key, 'max:r3600000.48', '1700000600000 20')", 11, false },
		{ "redis.call('HSET', key, 'max:r3600000.48', '1700000000000 20')", 13, true },
		{ "redis.call('HSET', key, 'c3600000', 'x')", 15, true },
		{ "redis.call('HSET', key, 'w', string.sub(redis.call('HGET', key, 'w'), 1, -2))",
		    2, false },
		{ "redis.call('DEL', key)", 2, false },
		{ "", 4, true },
	};
	struct fixture *f = *state;
	struct plan *plan;
	struct twins t;

	start(f, NULL);
	make_twins(&t, f);
	plan = plan_of(f->ctx, "100 recipients per hour", NULL, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct quota_party parties[] = { { QUOTA_ACCOUNT, "a", plan, ACTION_REJECT },
			{ QUOTA_DOMAIN, "d", plan, ACTION_REJECT } };
		const struct quota_cost cost = { .recipients = 2 };
		uint8_t id[QUOTA_ID_LEN] = { (uint8_t)i, 77 };
		struct quota_plan *asked = quota_plan_of(f->ctx, parties, 2, &cost, false, id);
		struct quota_reply reply;
		long before = t.quick;

		lua(f, mem_printf(f->ctx, "local key = 't:{d}:d:d' %s", rows[i].first));
		run_lua(&t, QUOTA_OP_CHARGE, asked, T0, 0, &reply);
		if (reply.state != QUOTA_CHARGED || reply.counts[1].used != rows[i].used ||
		    t.quick - before != rows[i].quick)
			fail_msg("row %zu: state %d, used %llu, quick %ld", i, (int)reply.state,
			    (unsigned long long)reply.counts[1].used, t.quick - before);
		assert_int_equal(reply.counts[0].used, 2 * (i + 1));
	}
}

/* A charge that is handed over at once, with the clock set back: time stands still. */
static void
test_merge_back(void **state)
{
	struct fixture *f = *state;
	struct plan *plan;
	struct twins t;

	start(f, NULL);
	make_twins(&t, f);
	plan = plan_of(f->ctx, "10 recipients per hour", "3 client-addresses per hour",
	    "20 new-recipients per day");
	for (int64_t step = 0; step < 60; step++) {
		int64_t now = T0 - step * (step % 2 > 0 ? 5 * MINUTE : MINUTE);
		struct quota_plan *asked = ask(f, plan, "alice", 1);

		both(&t, "merge", step % 3 > 0 ? QUOTA_OP_MERGE : QUOTA_OP_CHARGE, asked, now,
		    step % 5 > 1 ? 0 : 90000);
		both(&t, "read", QUOTA_OP_READ, asked, T0, 0);
		talloc_free(asked);
	}
}

/* A value that is damaged counts nothing, and stops nothing. */
static void
test_damaged(void **state)
{
	static const char *const values[] = { "''", "'\\1'", "'\\255\\255' .. string.rep('x', 99)",
		"string.rep('\\0', 300)", "string.sub(value, 1, -2)", "value .. 'x'",
		"string.sub(value, 1, 30)", "'\\3' .. string.sub(value, 2)",
		"string.sub(value, 1, 52) .. '\\0' .. string.sub(value, 54)",
		"string.sub(value, 1, 53) .. '\\200' .. string.sub(value, 55)" };
	struct fixture *f = *state;
	struct plan *plan;
	struct twins t;

	start(f, NULL);
	make_twins(&t, f);
	plan = plan_of(f->ctx, "10 recipients per hour", "100 messages per day", NULL);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct quota_plan *asked = ask(f, plan, "alice", 2);
		struct quota_plan *later = ask(f, plan, "alice", 2);
		struct quota_reply reply;

		command(f, "FLUSHALL");
		run_lua(&t, QUOTA_OP_CHARGE, asked, T0, 0, &reply);
		lua(f, mem_printf(f->ctx, "local value = redis.call('GET', KEYS[2]) "
					  "redis.call('SET', KEYS[2], %s)", values[i]));
		run_lua(&t, QUOTA_OP_CHARGE, later, T0 + 5 * MINUTE, 0, &reply);
		if (reply.state != QUOTA_CHARGED || reply.counts[0].used != 2)
			fail_msg("%s: %llu", values[i], (unsigned long long)reply.counts[0].used);
		talloc_free(asked);
		talloc_free(later);
	}
}

/* --- the store when all is well --- */

static void
test_store(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	struct quota_fact fact;
	struct store_status status;
	struct quota_plan *asked;
	const char *error = NULL, *where = NULL;
	struct store *store;
	struct plan *plan, *roomy;
	uint64_t used;

	start(f, NULL);
	options.redis.database = 3;
	options.prefix = "mine:";
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "5 recipients per hour", "100 messages per day", NULL);
	roomy = plan_of(f->ctx, "6 recipients per hour", "100 messages per day", NULL);
	assert_int_equal(charge(f, store, plan, "alice", 3, &used, &where), QUOTA_CHARGED);
	assert_int_equal(used, 3);
	assert_string_equal(where, "redis");
	assert_int_equal(charge(f, store, plan, "alice", 3, &used, NULL), QUOTA_REFUSED);
	assert_int_equal(used, 3);
	assert_false(store_known_over(store, f->ctx, "alice", ALICE_OF(plan), &fact));
	assert_int_equal(charge(f, store, plan, "alice", 2, NULL, NULL), QUOTA_CHARGED);
	assert_int_equal(charge(f, store, plan, "alice", 1, NULL, NULL), QUOTA_REFUSED);
	assert_true(store_known_over(store, f->ctx, "alice", ALICE_OF(plan), &fact));
	assert_string_equal(fact.limit, "5 recipients per hour");
	assert_string_equal(fact.store, "cache");
	assert_int_equal(fact.used, 5);
	assert_in_range(fact.retry_after, 3500, 3675);
	assert_false(store_known_over(store, f->ctx, "alic", ALICE_OF(plan), &fact));
	/* a reload, or a table, gives the account another plan: the old limit is not quoted */
	assert_false(store_known_over(store, f->ctx, "alice", ALICE_OF(roomy), &fact));
	assert_false(store_known_over(store, f->ctx, "alice", ALICE_OF(NULL), &fact));
	/* Where it was said, and for how long: a key of the account and one for each charge. */
	command(f, "SELECT 3");
	assert_int_equal(command(f, "EXISTS mine:{alice}:w:alice"), 1);
	assert_in_range(command(f, "DBSIZE"), 3,
	    7); /* the others: the store's trial at start, the day's lists */
	assert_in_range(command(f, "PTTL mine:{alice}:w:alice"), 86400000, 2 * 86400000);
	asked = ask(f, plan, "alice", 1);
	assert_int_equal(store_reset(store, f->ctx, asked, clock_ms() + 1000, &error), 1);
	assert_false(store_known_over(store, f->ctx, "alice", ALICE_OF(plan), &fact));
	assert_int_equal(used_now(f, store, plan, "alice"), 0);
	store_status(store, f->ctx, &status);
	assert_string_equal(status.kind, "redis");
	assert_int_equal(status.charged, 2);
	assert_int_equal(status.refused, 2);
	assert_int_equal(status.failed, 0);
	assert_false(status.away);
	talloc_free(asked);
	store_close(store);
}

/* All threads together get exactly the limit. */
struct crowd {
	struct fixture *f;
	struct store *store;
	const struct plan *plan;
	int messages;
	atomic_int charged;
	atomic_int unknown;
};

static void *
crowd_member(void *arg)
{
	struct crowd *crowd = arg;

	for (int i = 0; i < crowd->messages; i++) {
		enum quota_state state =
		    charge(crowd->f, crowd->store, crowd->plan, "crowd", 1, NULL, NULL);

		if (state == QUOTA_CHARGED)
			atomic_fetch_add(&crowd->charged, 1);
		else if (state == QUOTA_UNKNOWN)
			atomic_fetch_add(&crowd->unknown, 1);
	}
	return NULL;
}

#define CROWD	8

static void
start_crowd(struct crowd *crowd, pthread_t *threads)
{
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_member, crowd), 0);
}

static void
join_crowd(pthread_t *threads)
{
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
}

static void
test_crowd(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	struct crowd crowd = { .f = f, .messages = 100 };
	pthread_t threads[CROWD];

	start(f, NULL);
	options.deadline_ms = 10000;
	options.connections = 3;	/* fewer than threads: they wait for each other */
	crowd.store = open_store(f, &options);
	crowd.plan = plan_of(f->ctx, "333 recipients per hour", NULL, NULL);
	start_crowd(&crowd, threads);
	join_crowd(threads);
	assert_int_equal(crowd.charged, 333);
	assert_int_equal(used_now(f, crowd.store, crowd.plan, "crowd"), 333);
	store_close(crowd.store);
}

static void
test_flush(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	const char *where = NULL;
	struct store *store;
	struct plan *plan;
	uint64_t used;

	start(f, NULL);
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "5 recipients per hour", NULL, NULL);
	assert_int_equal(charge(f, store, plan, "alice", 1, &used, &where), QUOTA_CHARGED);
	command(f, "SCRIPT FLUSH");
	assert_int_equal(charge(f, store, plan, "alice", 1, &used, &where), QUOTA_CHARGED);
	assert_string_equal(where, "redis");
	assert_int_equal(used, 2);
	command(f, "FLUSHALL");
	assert_int_equal(charge(f, store, plan, "alice", 1, &used, &where), QUOTA_CHARGED);
	assert_int_equal(used, 1);
	assert_string_equal(where, "redis");
	store_close(store);
}

/* A key that is not ours: that account's problem alone. */
static void
test_foreign_key(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	const char *where = NULL;
	struct store *store;
	struct plan *plan;

	start(f, NULL);
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "5 recipients per hour", NULL, NULL);
	command(f, "SET countersign:{alice}:a:alice nonsense");
	assert_int_equal(charge(f, store, plan, "alice", 1, NULL, NULL), QUOTA_UNKNOWN);
	command(f, "DEL countersign:{alice}:a:alice");
	command(f, "HSET countersign:{alice}:a:alice r3600000.48 nonsense");
	assert_int_equal(charge(f, store, plan, "alice", 1, NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "redis");
	assert_false(is_away(f, store));
	store_close(store);
}

/* --- the store when it is not --- */

#define KEEP	"appendonly yes\nappendfsync always"

/* Killed without a warning; what passes meanwhile is told afterwards. */
static void
test_kill(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	struct store_status status;
	const char *where = NULL;
	struct store *store;
	struct plan *plan;
	uint64_t used;

	start(f, KEEP);
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "10 recipients per hour", NULL, NULL);
	assert_int_equal(charge(f, store, plan, "alice", 4, &used, &where), QUOTA_CHARGED);
	redis_server_kill(&f->server, SIGKILL);
	assert_int_equal(charge(f, store, plan, "alice", 3, &used, &where), QUOTA_CHARGED);
	assert_string_equal(where, "local");
	assert_int_equal(used, 7);
	assert_int_equal(charge(f, store, plan, "alice", 4, &used, &where), QUOTA_REFUSED);
	assert_int_equal(charge(f, store, plan, "alice", 3, &used, &where), QUOTA_CHARGED);
	assert_int_equal(charge(f, store, plan, "alice", 1, &used, &where), QUOTA_REFUSED);
	assert_int_equal(used, 10);
	assert_int_equal(charge(f, store, plan, "never seen", 10, &used, &where), QUOTA_CHARGED);
	assert_int_equal(charge(f, store, plan, "never seen", 1, &used, &where), QUOTA_REFUSED);
	wait_away(f, store, true);
	redis_server_start(&f->server, KEEP);
	wait_away(f, store, false);
	assert_int_equal(used_now(f, store, plan, "alice"), 10);
	assert_int_equal(used_now(f, store, plan, "never seen"), 10);
	assert_int_equal(charge(f, store, plan, "alice", 1, &used, &where), QUOTA_REFUSED);
	assert_string_equal(where, "redis");
	store_status(store, f->ctx, &status);
	assert_int_equal(status.merged, 3);
	assert_int_equal(status.pending, 0);
	assert_int_equal(count_in_log(f, " is away: "), 1);
	assert_int_equal(count_in_log(f, " is back after "), 1);
	store_close(store);
}

/* A stopped server executes later what it was sent: nothing is charged twice. */
static void
test_stop(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	struct store *store;
	const char *where = NULL;
	struct plan *plan;
	uint64_t used;

	start(f, NULL);
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "10 recipients per hour", NULL, NULL);
	assert_int_equal(charge(f, store, plan, "alice", 1, NULL, NULL), QUOTA_CHARGED);
	redis_server_signal(&f->server, SIGSTOP);
	/* It returns although the server never does: that is the deadline. */
	assert_int_equal(charge(f, store, plan, "alice", 2, &used, &where), QUOTA_CHARGED);
	assert_string_equal(where, "local");
	assert_int_equal(used, 3);
	assert_int_equal(charge(f, store, plan, "alice", 4, &used, &where), QUOTA_CHARGED);
	assert_int_equal(used, 7);
	redis_server_signal(&f->server, SIGCONT);
	wait_away(f, store, false);
	assert_int_equal(used_now(f, store, plan, "alice"), 7);
	store_close(store);
}

/* What was not let pass is not charged, though the server executes it in the end. */
static void
test_stop_tempfail(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	struct store *store;
	struct plan *plan;

	start(f, NULL);
	options.on_away = STORE_AWAY_TEMPFAIL;
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "10 recipients per hour", NULL, NULL);
	assert_int_equal(charge(f, store, plan, "alice", 1, NULL, NULL), QUOTA_CHARGED);
	redis_server_signal(&f->server, SIGSTOP);
	assert_int_equal(charge(f, store, plan, "alice", 2, NULL, NULL), QUOTA_UNKNOWN);
	assert_int_equal(charge(f, store, plan, "alice", 4, NULL, NULL), QUOTA_UNKNOWN);
	redis_server_signal(&f->server, SIGCONT);
	wait_away(f, store, false);
	assert_int_equal(used_now(f, store, plan, "alice"), 1);
	store_close(store);
}

/* accept: nothing is refused, everything is counted in the end. */
static void
test_accept(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	struct store *store;
	struct plan *plan;
	uint64_t used;

	start(f, KEEP);
	options.on_away = STORE_AWAY_ACCEPT;
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "3 recipients per hour", NULL, NULL);
	assert_int_equal(charge(f, store, plan, "alice", 2, NULL, NULL), QUOTA_CHARGED);
	redis_server_kill(&f->server, SIGKILL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(charge(f, store, plan, "alice", 2, &used, NULL), QUOTA_CHARGED);
	assert_int_equal(used, 10);
	redis_server_start(&f->server, KEEP);
	wait_away(f, store, false);
	assert_int_equal(used_now(f, store, plan, "alice"), 10);
	assert_int_equal(charge(f, store, plan, "alice", 1, NULL, NULL), QUOTA_REFUSED);
	store_close(store);
}

/* A server that stops and goes on while many messages are charged: each counts once. */
static void
test_crowd_stop(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	struct crowd crowd = { .f = f, .messages = 3000 };
	pthread_t threads[CROWD];

	start(f, NULL);
	options.deadline_ms = 30;
	crowd.store = open_store(f, &options);
	crowd.plan = plan_of(f->ctx, "1000000 recipients per hour", NULL, NULL);
	start_crowd(&crowd, threads);
	for (int i = 0; i < 4; i++) {
		usleep(20000);
		redis_server_signal(&f->server, SIGSTOP);
		usleep(100000);
		redis_server_signal(&f->server, SIGCONT);
	}
	join_crowd(threads);
	wait_away(f, crowd.store, false);
	assert_int_equal(crowd.unknown, 0);
	assert_int_equal(crowd.charged, CROWD * crowd.messages);
	assert_int_equal(used_now(f, crowd.store, crowd.plan, "crowd"), CROWD * crowd.messages);
	store_close(crowd.store);
}

/* Down at the start, up later. */
static void
test_down_at_start(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	const char *where = NULL;
	struct store *store;
	struct plan *plan;

	store = open_store(f, &options);
	wait_away(f, store, true);
	plan = plan_of(f->ctx, "3 recipients per hour", NULL, NULL);
	assert_int_equal(charge(f, store, plan, "alice", 2, NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "local");
	start(f, NULL);
	wait_away(f, store, false);
	assert_int_equal(used_now(f, store, plan, "alice"), 2);
	store_close(store);
}

/* What is queued at the end is handed over at the end. */
static void
test_last_words(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	struct store *store;
	struct plan *plan;

	start(f, NULL);
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "9 recipients per hour", NULL, NULL);
	redis_server_signal(&f->server, SIGSTOP);
	assert_int_equal(charge(f, store, plan, "alice", 2, NULL, NULL), QUOTA_CHARGED);
	wait_away(f, store, true);
	redis_server_signal(&f->server, SIGCONT);
	store_close(store);
	store = open_store(f, &options);
	assert_int_equal(used_now(f, store, plan, "alice"), 2);
	store_close(store);
}

static void
test_password(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	const char *where = NULL;
	struct store *store;
	struct plan *plan;

	redis_server_start(&f->server,
	    "user default on >open-sesame ~* +@all\n"
	    "user countersign on >swordfish ~countersign:* -@all +evalsha +eval +time "
	    "+get +set +setrange +hmget +hget +hgetall +hset +hdel +hlen +hexists +pttl +pexpire "
	    "+persist +del +zadd +zincrby +zcard +zremrangebyrank +zremrangebyscore +zrevrange +zscore");
	plan = plan_of(f->ctx, "10 recipients per hour", NULL, NULL);

	options.redis.user = "countersign";
	options.redis.password = "sword-fish";
	store = open_store(f, &options);
	wait_away(f, store, true);
	assert_int_equal(charge(f, store, plan, "alice", 1, NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "local");
	wait_log(f, "WRONGPASS");
	assert_int_equal(count_in_log(f, "sword-fish"), 0);
	store_close(store);

	options.redis.password = "swordfish";
	store = open_store(f, &options);
	assert_int_equal(charge(f, store, plan, "alice", 1, NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "redis");
	assert_int_equal(used_now(f, store, plan, "alice"), 1);
	store_close(store);

	options.redis.user = NULL;
	options.redis.password = "open-sesame";
	store = open_store(f, &options);
	assert_int_equal(charge(f, store, plan, "alice", 1, NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "redis");
	store_close(store);

	options.redis.password = NULL;
	store = open_store(f, &options);
	wait_away(f, store, true);
	wait_log(f, "NOAUTH");
	store_close(store);
}

/* A user who may not SETRANGE, as before it was needed: no message is taken for one that is counted. */
static void
test_old_rules(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	struct store *store;
	struct plan *plan;

	redis_server_start(&f->server,
	    "user default on >open-sesame ~* +@all\n"
	    "user countersign on >swordfish ~countersign:* +@all -setrange");
	plan = plan_of(f->ctx, "10 recipients per hour", NULL, NULL);
	options.redis.user = "countersign";
	options.redis.password = "swordfish";
	store = open_store(f, &options);
	for (uint64_t i = 1; i <= 3; i++) {
		const char *where = NULL;

		assert_int_equal(charge(f, store, plan, "alice", 2, NULL, &where), QUOTA_CHARGED);
		assert_string_equal(where, "redis");
		assert_int_equal(used_now(f, store, plan, "alice"), 2 * i);
	}
	store_close(store);
}

/* A full or a read-only server answers, but does not serve. */
static void
test_full_and_read_only(void **state)
{
	struct fixture *f = *state;
	static const struct { const char *label, *on, *off, *word; } rows[] = {
		{ "full", "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM" },
		{ "read-only", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY" },
		{ "too few replicas", "CONFIG SET min-replicas-to-write 1",
		    "CONFIG SET min-replicas-to-write 0", "NOREPLICAS" },
	};
	struct store_options options = options_of(f);
	const char *where = NULL;
	struct store *store;
	struct plan *plan;
	uint64_t used;

	start(f, NULL);
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "10 recipients per hour", NULL, NULL);
	assert_int_equal(charge(f, store, plan, "alice", 1, &used, &where), QUOTA_CHARGED);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].word, "NOREPLICAS") == 0 &&
		    redis_server_before(7, 0, "min-replicas-to-write, for scripts"))
			continue;
		command(f, rows[i].on);
		if (charge(f, store, plan, "alice", 2, &used, &where) != QUOTA_CHARGED ||
		    strcmp(where, "local") != 0 || used != 3 + 2 * i)
			fail_msg("%s: from %s, used %llu", rows[i].label, where,
			    (unsigned long long)used);
		wait_away(f, store, true);
		for (int64_t end = clock_ms() + PATIENCE_MS;
		     count_in_log(f, rows[i].word) == 0;) {
			if (clock_ms() > end)
				fail_msg("%s: not in the log", rows[i].label);
			usleep(5000);
		}
		command(f, rows[i].off);
		wait_away(f, store, false);
		assert_int_equal(used_now(f, store, plan, "alice"), 3 + 2 * i);
	}
	store_close(store);
}

/* A server that a script keeps busy, and one that may not do all we need, answer but do not
 * serve. */
static void *
keep_busy(void *arg)
{
	const char *path = arg;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	static const char loop[] = "EVAL \"while true do end\" 0\r\n";
	char answer[256];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(name.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0 &&
	    send(fd, loop, sizeof(loop) - 1, MSG_NOSIGNAL) > 0)
		(void)recv(fd, answer, sizeof(answer), 0);	/* until SCRIPT KILL */
	close(fd);
	return NULL;
}

static void
test_busy(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	const char *where = NULL;
	struct store *store;
	struct plan *plan;
	pthread_t thread;

	start(f, "lua-time-limit 50");
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "10 recipients per hour", NULL, NULL);
	assert_int_equal(charge(f, store, plan, "alice", 1, NULL, &where), QUOTA_CHARGED);
	assert_int_equal(pthread_create(&thread, NULL, keep_busy, f->server.socket), 0);
	usleep(200000);
	assert_int_equal(charge(f, store, plan, "alice", 2, NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "local");
	wait_log(f, "BUSY");
	command(f, "SCRIPT KILL");
	pthread_join(thread, NULL);
	wait_away(f, store, false);
	assert_int_equal(used_now(f, store, plan, "alice"), 3);
	store_close(store);
}

static void
test_no_permission(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	const char *where = NULL;
	struct store *store;
	struct plan *plan;

	start(f, "user countersign on >swordfish ~countersign:* +@all -set");
	options.redis.user = "countersign";
	options.redis.password = "swordfish";
	store = open_store(f, &options);
	plan = plan_of(f->ctx, "10 recipients per hour", NULL, NULL);
	assert_int_equal(charge(f, store, plan, "alice", 2, NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "local");
	assert_true(is_away(f, store));
	command(f, "ACL SETUSER countersign +set");
	wait_away(f, store, false);
	assert_int_equal(used_now(f, store, plan, "alice"), 2);
	/* another prefix than the one it may touch */
	command(f, "ACL SETUSER countersign resetkeys ~other:*");
	assert_int_equal(charge(f, store, plan, "alice", 2, NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "local");
	store_close(store);
}

/* It answers while it loads, but LOADING. */
struct waiting {
	struct fixture *f;
	struct store *store;
	struct plan *plan;
	atomic_bool stop;
	atomic_int charged;
	atomic_bool loading;	/* was given as the reason */
	atomic_bool some;	/* charged */
};

/* a file in which long values are long */
#define UNPACKED	KEEP "\nrdbcompression no"

/* wait_flag - until another thread sets it */
static void
wait_flag(atomic_bool *flag, const char *otherwise)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (!atomic_load(flag)) {
		if (clock_ms() > end)
			fail_msg("%s", otherwise);
		usleep(5000);
	}
}

/* wait_info - until INFO persistence has part */
static void
wait_info(struct fixture *f, const char *part)
{
	const char *words[] = { "INFO", "persistence" };
	const size_t lengths[] = { 4, 11 };
	int64_t end = clock_ms() + PATIENCE_MS;
	bool found = false;

	while (!found) {
		const char *error = NULL;
		redisReply *reply;

		assert_true(clock_ms() < end);
		assert_int_equal(redis_pool_call(f->pool, f->ctx, 2, words, lengths,
				     true, end, &reply, &error), POOL_ANSWERED);
		found = strstr(reply->str, part) != NULL;
		freeReplyObject(reply);
		usleep(20000);
	}
}

static void *
charge_on(void *arg)
{
	struct waiting *w = arg;

	while (!atomic_load(&w->stop)) {
		TALLOC_CTX *tmp = talloc_new(NULL);
		struct store_status status;

		store_status(w->store, tmp, &status);
		if (status.problem != NULL && strstr(status.problem, "LOADING") != NULL)
			atomic_store(&w->loading, true);
		talloc_free(tmp);
		if (charge(w->f, w->store, w->plan, "alice", 1, NULL, NULL) == QUOTA_CHARGED) {
			atomic_fetch_add(&w->charged, 1);
			atomic_store(&w->some, true);
		}
		usleep(20000);	/* each is an fsync to be handed over */
	}
	return NULL;
}

static void
test_loading(void **state)
{
	struct fixture *f = *state;
	struct store_options options = options_of(f);
	struct waiting w = { .f = f };
	pthread_t thread;

	if (redis_server_before(6, 2, "answering while it loads little"))
		return;
	start(f, UNPACKED);
	/* it answers after each of them, as each is longer than the interval below */
	for (int i = 0; i < 1000; i++)
		command(f, mem_printf(f->ctx, "SETRANGE filler%d 2000 x", i));
	command(f, "BGREWRITEAOF");
	wait_info(f, "aof_rewrite_in_progress:0");
	w.store = open_store(f, &options);
	w.plan = plan_of(f->ctx, "1000000 recipients per hour", NULL, NULL);
	assert_int_equal(pthread_create(&thread, NULL, charge_on, &w), 0);
	wait_flag(&w.some, "nothing is charged");
	redis_server_kill(&f->server, SIGKILL);
	redis_server_start_loading(&f->server, UNPACKED "\nkey-load-delay 60000\n"
		"loading-process-events-interval-bytes 1024");
	wait_flag(&w.loading, "nothing sees that it loads");
	command(f, "CONFIG SET key-load-delay 0");
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);
	wait_away(f, w.store, false);
	assert_int_equal(used_now(f, w.store, w.plan, "alice"), w.charged);
	store_close(w.store);
}

/* --- the pool alone --- */

/* cut_server - answers half a reply to each command, and ends */
static void *
cut_server(void *arg)
{
	int listener = *(int *)arg;
	char command[4096];

	for (int i = 0; i < 2; i++) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0 && read(fd, command, sizeof(command)) > 0)
			(void)send(fd, "*7\r\n:1\r\n:17", 12, MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

/* A reply that is cut in the middle may have been executed: POOL_LOST, and never taken for another
 * one. */
static void
test_cut(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	const char *argv[] = { "GET", "x" }, *error = NULL;
	size_t argv_len[] = { 3, 1 };
	redisReply *reply;
	pthread_t thread;

	memcpy(name.sun_path, f->server.socket, strlen(f->server.socket) + 1);
	assert_int_equal(bind(listener, (const struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(listener, 5), 0);
	assert_int_equal(pthread_create(&thread, NULL, cut_server, &listener), 0);
	make_pool(f, NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(redis_pool_call(f->pool, f->ctx, 2, argv, argv_len, true,
		    clock_ms() + 5000, &reply, &error), POOL_LOST);
		assert_null(reply);
		assert_non_null(error);
	}
	pthread_join(thread, NULL);
	close(listener);
}

/* A server that sends one octet now and then; the real one never would. */
struct trickle {
	int listener;
	atomic_bool stop;
};

static void *
trickle_server(void *arg)
{
	struct trickle *trickle = arg;
	int fd = accept(trickle->listener, NULL, NULL);

	while (fd >= 0 && !atomic_load(&trickle->stop)) {
		if (send(fd, "1", 1, MSG_NOSIGNAL) < 0)
			break;
		usleep(5000);
	}
	close(fd);
	return NULL;
}

static void
test_trickle(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct trickle trickle = { .listener = socket(AF_UNIX, SOCK_STREAM, 0) };
	const char *argv[] = { "PING" }, *error = NULL;
	size_t argv_len[] = { 4 };
	redisReply *reply;
	pthread_t thread;

	memcpy(name.sun_path, f->server.socket, strlen(f->server.socket) + 1);
	assert_int_equal(bind(trickle.listener, (const struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(trickle.listener, 5), 0);
	/* An answer that begins and never ends. */
	assert_int_equal(pthread_create(&thread, NULL, trickle_server, &trickle), 0);
	make_pool(f, NULL);
	assert_int_not_equal(redis_pool_call(f->pool, f->ctx, 1, argv, argv_len, false,
	    clock_ms() + 100, &reply, &error), POOL_ANSWERED);
	assert_null(reply);
	/* And one that accepts nothing. */
	assert_int_equal(redis_pool_call(f->pool, f->ctx, 1, argv, argv_len, false,
	    clock_ms() + 50, &reply, &error), POOL_LOST);
	atomic_store(&trickle.stop, true);
	pthread_join(thread, NULL);
	close(trickle.listener);
}

static void
test_server_names(void **state)
{
	static const struct { const char *server; bool good; } rows[] = {
		{ "unix:/run/redis.sock", true },
		{ "unix:redis.sock", false },
		{ "unix:", false },
		{ "inet:127.0.0.1:6379", true },
		{ "127.0.0.1:6379", true },
		{ "redis.example:6379", true },
		{ "inet6:[::1]:6379", true },
		{ "[::1]:6379", true },
		{ "::1:6379", false },
		{ "inet:127.0.0.1", false },
		{ "127.0.0.1:0", false },
		{ "127.0.0.1:65536", false },
		{ "127.0.0.1:63x", false },
		{ ":6379", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct redis_options options = { .server = rows[i].server };
		const char *error = NULL;

		if ((redis_pool_new(ctx, &options, 1, &error) != NULL) != rows[i].good)
			fail_msg("%s: %s", rows[i].server, error);
		assert_true(rows[i].good == (error == NULL));
		talloc_free(ctx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cases, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_exact, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_void, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_upgrade, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_upgrade_shared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_merge_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_store, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crowd, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flush, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_foreign_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stop_tempfail, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_accept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crowd_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_down_at_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_last_words, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_old_rules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_password, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_and_read_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_busy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_permission, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_loading, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_trickle, set_up, tear_down),
		cmocka_unit_test(test_server_names),
	};

	if (!redis_server_exists()) {
		printf("1..0 # SKIP redis-server is not installed: apt-get install redis-server\n");
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	if (getenv("COUNTERSIGN_TWIN_STEPS") != NULL)
		cmocka_set_test_filter("test_random");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
