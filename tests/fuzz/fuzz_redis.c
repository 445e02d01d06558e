/*
 * fuzz_redis.c - any octets as the replies of a Redis
 *
 * The first octet says what is asked (see questions), the rest is what the server answers, one
 * reply for each command; behind the last one every command fails. The functions that send commands
 * are replaced here: there is no connection and no thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filter/journal/books.h"
#include "filter/redis/pool.h"
#include "filter/redis/route.h"
#include "filter/redis/wire.h"
#include "filter/store/ask.h"
#include "filter/store/keeper.h"
#include "filter/store/lists.h"
#include "filter/store/ops.h"
#include "policy/base/mem.h"
#include "policy/quota/quota.h"

#define DAY	20261122
#define DAY_MS		(INT64_C(2) * 24 * 3600 * 1000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static redisReader *reader;	/* of the input */

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* --- in place of call.c and keeper.c --- */

/* next_reply - of the input; NULL: there is none */
static redisReply *
next_reply(void)
{
	void *reply = NULL;

	return redisReaderGetReply(reader, &reply) == REDIS_OK ? reply : NULL;
}

enum pool_outcome
redis_pool_command(struct redis_pool *pool, TALLOC_CTX *ctx, struct redis_pool_command *command,
    bool resend, int64_t deadline_ms)
{
	redisReply *reply = next_reply();
	struct redis_redirect redirect;

	(void)pool, (void)resend, (void)deadline_ms;
	command->outcome = POOL_ANSWERED;
	command->reply = reply;
	if (reply != NULL && reply->type != REDIS_REPLY_ERROR)
		return command->outcome;
	if (reply != NULL && redis_redirect_read(ctx, reply->str, &redirect))
		must(redirect.slot < REDIS_SLOTS && redirect.host[0] != '\0');
	command->outcome = POOL_BROKEN;
	command->error = mem_strdup(ctx, reply != NULL ? reply->str : "the input is at its end");
	freeReplyObject(reply);
	command->reply = NULL;
	return command->outcome;
}

enum pool_outcome
redis_pool_call(struct redis_pool *pool, TALLOC_CTX *ctx, int argc, const char **argv,
    const size_t *argv_len, bool resend, int64_t deadline_ms, struct redisReply **reply_r,
    const char **error_r)
{
	struct redis_pool_command command = { .argc = argc, .argv = argv, .argv_len = argv_len };

	(void)redis_pool_command(pool, ctx, &command, resend, deadline_ms);
	*reply_r = command.reply;
	*error_r = command.error;
	return command.outcome;
}

void
redis_pool_batch(struct redis_pool *pool, TALLOC_CTX *ctx, struct redis_pool_command *commands,
    size_t n, int64_t deadline_ms)
{
	for (size_t i = 0; i < n; i++)
		(void)redis_pool_command(pool, ctx, &commands[i], true, deadline_ms);
}

int
store_redis_start_keeper(TALLOC_CTX *ctx, struct store_redis *redis, const char **error_r)
{
	(void)ctx, (void)redis, (void)error_r;
	return 0;
}

void
store_redis_last_words(struct store_redis *redis)
{
	(void)redis;
}

/* --- what is asked --- */

/* What the questions share. */
struct asking {
	TALLOC_CTX *ctx;
	struct store_redis *redis;
	struct blocks *blocks;
	struct books *books;
	struct quota_plan *plan;
};

/* make_plan - what a message is charged to: two limits of an account, one of its domain */
static struct quota_plan *
make_plan(TALLOC_CTX *ctx)
{
	static const char *const texts[] = { "100 recipients per hour", "20 new-recipients per day",
		"5 client-addresses per hour" };
	static const uint64_t marks[] = { 1, 2 };
	const struct quota_cost cost = { .messages = 1, .recipients = 2, .bytes = 1000,
		.marks = marks, .n_marks = 2, .things[LIMIT_CLIENTS] = { true, 3 } };
	struct limit *limits = mem_array(ctx, struct limit, 3);
	struct plan *plan = mem_new(ctx, struct plan);
	const char *error;

	for (size_t i = 0; i < 3; i++)
		must(limit_parse(ctx, texts[i], &limits[i], &error) == 0);
	plan->name = "basic";
	plan->limits = limits;
	plan->n_limits = 3;
	plan->warn_at = 80;
	return quota_plan_make(ctx, plan, "alice@example.org", &cost, false, NULL);
}

/* judge - an answer is judged, whatever it says */
static void
judge(const struct asking *a, const struct quota_reply *reply)
{
	struct quota_fact fact;
	struct quota_mark *marks;

	must(reply->n_counts == 0 || reply->n_counts == a->plan->n_counters);
	quota_judge(a->ctx, a->plan, reply, &fact);
	if (reply->state == QUOTA_CHARGED)
		(void)quota_marks(a->ctx, a->plan, reply, &marks);
}

/* ask_slots - CLUSTER SLOTS */
static void
ask_slots(const struct asking *a)
{
	redisReply *reply = next_reply();
	struct redis_range *ranges;
	size_t n = 0;

	if (reply == NULL)
		return;
	ranges = redis_ranges_read(a->ctx, reply, "192.0.2.1", &n);
	for (size_t i = 0; i < n; i++) {
		must(ranges[i].first <= ranges[i].last && ranges[i].last < REDIS_SLOTS);
		must(ranges[i].host[0] != '\0' && ranges[i].port[0] != '\0');
	}
	freeReplyObject(reply);
}

/* ask_charge - a message */
static void
ask_charge(const struct asking *a)
{
	struct quota_reply reply;

	store_redis_ops.charge(a->redis, a->ctx, a->plan, INT64_MAX, &reply);
	judge(a, &reply);
}

/* ask_read - the counters */
static void
ask_read(const struct asking *a)
{
	struct quota_reply reply;

	store_redis_ops.read(a->redis, a->ctx, a->plan, INT64_MAX, &reply);
	judge(a, &reply);
}

/* ask_hand - what operators set and take back */
static void
ask_hand(const struct asking *a)
{
	const struct store_block block = { .account = "alice@example.org", .reason = "r",
		.by = "root" };
	const char *error = NULL;

	if (store_redis_ops.block(a->redis, a->ctx, a->plan, &block, 1000, INT64_MAX, &error) != 0)
		must(error != NULL);
	(void)store_redis_ops.unblock(a->redis, a->ctx, a->plan, INT64_MAX, &error);
	(void)store_redis_ops.raise(
	    a->redis, a->ctx, a->plan, &a->plan->counters[0], 7, 1000, INT64_MAX, &error);
	(void)store_redis_ops.unraise(a->redis, a->ctx, a->plan, INT64_MAX, &error);
	(void)store_redis_ops.reset(a->redis, a->ctx, a->plan, INT64_MAX, &error);
}

/* ask_keeper - who is blocked, and an offence */
static void
ask_keeper(const struct asking *a)
{
	size_t n = 0;

	store_redis_chores(a->redis);
	(void)blocks_list(a->blocks, a->ctx, 0, &n);
	must(n <= STORE_BLOCKS_MAX);
	store_redis_ops.offence(
	    a->redis, a->plan, &(struct store_block_rule){ .for_ms = 1000, .grows = 4 });
	store_redis_count_offences(a->redis);
}

/* note_sums - an account of a day */
static void
note_sums(void *arg, const char *account, const struct daybook_row *row)
{
	(void)arg;
	(void)row;
	must(account != NULL);
}

/* note_rates - what a host's filter did in a time */
static void
note_rates(void *arg, int64_t at_ms, const char *host, const struct rates *rates)
{
	(void)arg;
	(void)rates;
	must(host != NULL && at_ms >= 0 && at_ms <= DAY_MS);
}

/* ask_sums - a day */
static void
ask_sums(const struct asking *a)
{
	const char *error = NULL;

	if (books_read_sums(a->books, a->ctx, DAY, note_sums, NULL, &error) != 0)
		must(error != NULL);
}

/* ask_times - an account by hour, and filters by minute */
static void
ask_times(const struct asking *a)
{
	struct daybook_hour hours[2 * DAYBOOK_HOURS];
	const char *error = NULL;

	if (books_read_hours(a->books, a->ctx, "alice@example.org", DAY_MS, hours,
		sizeof(hours) / sizeof(hours[0]), &error) != 0)
		must(error != NULL);
	error = NULL;
	if (books_read_rates(a->books, a->ctx, false, 0, DAY_MS, note_rates, NULL, &error) != 0)
		must(error != NULL);
}

/* ask_find - decisions: an account's own list, then all */
static void
ask_find(const struct asking *a)
{
	const struct books_query own = { .account = "alice@example.org", .n = 20 };
	const struct books_query all = { .queue_id = "4ABC", .n = 20 };
	const char *error = NULL;

	json_decref(books_find(a->books, a->ctx, &own, &error));
	json_decref(books_find(a->books, a->ctx, &all, &error));
}

/* ask_events - the last ones, and whether one is news */
static void
ask_events(const struct asking *a)
{
	const struct books_event event = { 0, "blocked", "alice@example.org", "{}" };
	const char *error = NULL;

	json_decref(books_last_events(a->books, a->ctx, 20, &error));
	(void)books_event_is_news(a->books, a->ctx, &event, 1000);
	(void)books_add_events(a->books, a->ctx, &event, 1, &error);
}

/* ask_add - what is kept of a message */
static void
ask_add(const struct asking *a)
{
	const struct books_decision decision = { 0, "alice@example.org", "4ABC", true, "{}" };
	const struct daybook_delta delta = { .account = "alice@example.org" };
	const char *error = NULL;

	(void)books_add_decisions(a->books, a->ctx, &decision, 1, &error);
	(void)books_add_sums(a->books, a->ctx, 0, &delta, 1, NULL, &error);
	(void)books_add_rates(
	    a->books, a->ctx, 0, "mx1", &(struct rates){ .actions = { 1 } }, &error);
}

static const struct {
	char octet;
	void (*ask)(const struct asking *asking);
} questions[] = {
	{ 's', ask_slots }, { 'c', ask_charge }, { 'r', ask_read }, { 'h', ask_hand },
	{ 'k', ask_keeper }, { 'd', ask_sums }, { 'f', ask_find }, { 'e', ask_events },
	{ 'a', ask_add }, { 't', ask_times },
};

/* ask - open all and ask one thing */
static void
ask(TALLOC_CTX *ctx, void (*what)(const struct asking *))
{
	const struct store_options options = { .kind = STORE_REDIS,
		.redis = { .server = "127.0.0.1:1" }, .prefix = "c:", .deadline_ms = 200,
		.connections = 1, .max_accounts = 100, .max_pending = 100 };
	const struct books_options kept = { .store = &options, .decisions = 100, .days = 9,
		.accounts = 100 };
	const char *error = NULL;
	struct asking asking = { .ctx = ctx, .blocks = blocks_new(ctx), .plan = make_plan(ctx) };

	asking.redis =
	    store_redis_ops.open(ctx, &options, asking.blocks, over_new(ctx), &error);
	asking.books = books_open(ctx, &kept, &error);
	must(asking.redis != NULL && asking.books != NULL);
	what(&asking);
	talloc_free(asking.books);
	store_redis_ops.close(asking.redis);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));

	reader = mem_check(redis_wire_reader());
	if (size > 0)
		(void)redisReaderFeed(reader, (const char *)data + 1, size - 1);
	for (size_t i = 0; size > 0 && i < sizeof(questions) / sizeof(questions[0]); i++)
		if (questions[i].octet == (char)data[0])
			ask(ctx, questions[i].ask);
	redis_wire_reader_free(reader);
	talloc_free(ctx);
	return 0;
}
