/*
 * journal_bench.c - what the books cost the Redis that the counters are in
 *
 *	journal_bench [ROUNDS]
 *
 * A redis-server of our own on a unix socket. One line a figure, the median of ROUNDS rounds (5):
 * the time in Redis a decision, of the history and of the sums of accounts, if all accounts send
 * alike and if few send most; for how long a call holds Redis, all but one in a hundred; and the
 * p99 of charges with the books being written at the pace of the charges, beside that without, each
 * in turn.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filter/base/clock.h"
#include "filter/journal/books.h"
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "policy/quota/limit.h"
#include "tests/bench/measure.h"
#include "tests/support/redis_server.h"

#define DECISIONS	20000	/* kept, as by default */
#define BATCH		200	/* decisions that the journal writes at once */
#define BATCHES		60
#define ACCOUNTS	5000
#define ROUNDS_MAX	99
#define PACE		500	/* charges and decisions a second */
#define CHARGES		1000	/* of a round */
#define PATIENCE_MS	10000

/* pick - an account: any, or one of few most of the time */
static unsigned int
pick(unsigned int n, bool skewed)
{
	unsigned int any = n * 2654435761u % ACCOUNTS;

	return skewed && n % 10 != 0 ? any % 10 * (any % 7) : any;
}

/* --- time in Redis --- */

#define CALLS_MAX	10000

/* The calls of a kind in a round, as the server's own log has them. */
struct calls {
	const char *key;	/* what their first key has in it */
	double us[CALLS_MAX];
	size_t n;
};

/* take_calls - the calls of a kind since the log was emptied */
static void
take_calls(const redisReply *log, struct calls *calls)
{
	calls->n = 0;
	for (size_t i = 0; i < log->elements && calls->n < CALLS_MAX; i++) {
		const redisReply *entry = log->element[i], *words;

		if (entry->elements < 4 || (words = entry->element[3])->elements < 4 ||
		    strstr(words->element[3]->str, calls->key) == NULL)
			continue;
		calls->us[calls->n++] = (double)entry->element[2]->integer;
	}
	require(calls->n > 0, "Redis has logged no call");
}

/* compare_deltas - by account */
static int
compare_deltas(const void *a, const void *b)
{
	return strcmp(((const struct daybook_delta *)a)->account,
	    ((const struct daybook_delta *)b)->account);
}

/* add_deltas - the sums of a batch, each account once */
static void
add_deltas(struct books *books, TALLOC_CTX *ctx, struct daybook_delta *deltas)
{
	const char *error = NULL;
	size_t n = 0;

	qsort(deltas, BATCH, sizeof(*deltas), compare_deltas);
	for (size_t i = 0; i < BATCH; i++) {
		if (n > 0 && strcmp(deltas[n - 1].account, deltas[i].account) == 0) {
			deltas[n - 1].sums.messages++;
			deltas[n - 1].sums.recipients += deltas[i].sums.recipients;
			deltas[n - 1].sums.bytes += deltas[i].sums.bytes;
		} else {
			deltas[n++] = deltas[i];
		}
	}
	require(books_add_sums(books, ctx, clock_wall_ms(), deltas, n, NULL, &error) >= 0, error);
}

/* write_batch - decisions n and following, as the journal does it */
static void
write_batch(struct books *books, unsigned int n, bool skewed)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct books_decision items[BATCH];
	struct daybook_delta *deltas = mem_array(ctx, struct daybook_delta, BATCH);
	struct rates rates = { .actions = { BATCH } };
	size_t most = books_batch(books);
	const char *error = NULL;

	for (unsigned int i = 0; i < BATCH; i++) {
		const char *account =
		    mem_printf(ctx, "user%u@example.org", pick(n + i, skewed));
		const char *id = mem_printf(ctx, "%08X%u", (n + i) * 2654435761u, n + i);

		items[i] = (struct books_decision){ clock_wall_ms(), account, id, true,
			mem_printf(ctx,
			    "{\"at\":%lld,\"filter\":\"mx1.example.org\",\"queue_id\":\"%s\","
			    "\"listener\":\"users\",\"role\":\"submission\",\"mode\":\"enforce\","
			    "\"account\":\"%s\",\"client\":\"localhost[127.0.0.1]\","
			    "\"helo\":\"client.example.com\",\"tls\":\"TLSv1.3\",\"from\":\"%s\","
			    "\"header_from\":\"%s\",\"recipients\":1,\"size\":5124,"
			    "\"sender\":\"owned\",\"quota\":\"12/1000(1%%)\",\"limit\":"
			    "\"1000 recipients per hour\",\"sign\":\"example.org:s1\","
			    "\"action\":\"accept\",\"would\":\"accept\"}",
			    (long long)clock_wall_ms(), id, account, account, account) };
		deltas[i] = (struct daybook_delta){ .account = account, .sums = { 1, 2, 5124 } };
	}
	for (size_t i = 0; i < BATCH; i += most)
		require(books_add_decisions(books, ctx, &items[i],
			    BATCH - i < most ? BATCH - i : most, &error) == 0,
		    error);
	add_deltas(books, ctx, deltas);
	require(books_add_rates(books, ctx, clock_wall_ms(), "mx1", &rates, &error) == 0, error);
	talloc_free(ctx);
}

/* measure_writing - rows for accounts that send alike, or of which few send most. Medians of calls:
 * on a busy machine some wait for a processor. */
static void
measure_writing(struct books *books, redisContext *redis, bool skewed, size_t rounds)
{
	static struct calls history = { .key = "{history}" }, sums = { .key = "{daybook}:rows" };
	const char *name = skewed ? "few-send-most" : "all-send-alike";
	double per_history[ROUNDS_MAX], per_sums[ROUNDS_MAX], longest[ROUNDS_MAX];
	unsigned int n = 0;

	for (; n < 2 * DECISIONS; n += BATCH)
		write_batch(books, n, skewed);
	for (size_t i = 0; i < rounds; i++) {
		redisReply *log;

		freeReplyObject(redisCommand(redis, "SLOWLOG RESET"));
		for (int k = 0; k < BATCHES; k++, n += BATCH)
			write_batch(books, n, skewed);
		log = redisCommand(redis, "SLOWLOG GET %d", CALLS_MAX);
		require(log != NULL && log->type == REDIS_REPLY_ARRAY, "Redis has no slow log");
		take_calls(log, &history);
		take_calls(log, &sums);
		freeReplyObject(log);
		per_history[i] = percentile(history.us, history.n, 0.5) * (double)history.n /
		    (BATCHES * BATCH);
		per_sums[i] = percentile(sums.us, sums.n, 0.5) * (double)sums.n / (BATCHES * BATCH);
		longest[i] = percentile(history.us, history.n, 0.99);
		if (percentile(sums.us, sums.n, 0.99) > longest[i])
			longest[i] = percentile(sums.us, sums.n, 0.99);
	}
	(void)printf("journal/%s/history %.2f us\n", name, percentile(per_history, rounds, 0.5));
	(void)printf("journal/%s/sums %.2f us\n", name, percentile(per_sums, rounds, 0.5));
	(void)printf("journal/%s/call-p99 %.0f us\n", name, percentile(longest, rounds, 0.5));
	(void)fflush(stdout);
}

/* --- charges while it is written --- */

/* Who writes meanwhile. */
struct writer {
	struct books *books;
	atomic_bool stop;
};

/* writer_run - the journal of a filter with PACE messages a second */
static void *
writer_run(void *arg)
{
	struct writer *writer = arg;

	for (unsigned int n = 0; !atomic_load(&writer->stop); n += BATCH) {
		const struct timespec pause = { .tv_nsec = 1000000000L / PACE * BATCH };

		write_batch(writer->books, n, false);
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

/* charge_paced - CHARGES messages at that pace; the p99 of a charge in microseconds */
static double
charge_paced(struct store *store, const struct plan *plan, unsigned int first)
{
	double us[CHARGES], start = clock_us(CLOCK_MONOTONIC);

	for (unsigned int i = 0; i < CHARGES; i++) {
		const struct quota_cost cost = { .messages = 1, .recipients = 2, .bytes = 5124 };
		uint8_t id[QUOTA_ID_LEN] = { 0 };
		TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
		struct quota_plan *asked = quota_plan_make(ctx, plan,
		    mem_printf(ctx, "user%u@example.org", pick(first + i, false)), &cost, false,
		    memcpy(id, &(unsigned int){ first + i }, sizeof(first)));
		double due = start + 1e6 / PACE * i, left = due - clock_us(CLOCK_MONOTONIC);
		const struct timespec pause = { .tv_nsec = left > 0 ? (long)left * 1000 : 0 };
		struct quota_reply reply;

		if (left > 0)
			(void)nanosleep(&pause, NULL);
		us[i] = -clock_us(CLOCK_MONOTONIC);
		store_charge(store, ctx, asked, clock_ms() + PATIENCE_MS, &reply);
		us[i] += clock_us(CLOCK_MONOTONIC);
		require(reply.state == QUOTA_CHARGED, "Redis did not charge");
		talloc_free(ctx);
	}
	return percentile(us, CHARGES, 0.99);
}

/* measure_charges - p99 with and without the books, and one by the other */
static void
measure_charges(struct books *books, const struct store_options *options, size_t rounds)
{
	static const char *const texts[] = { "100000 recipients per hour",
		"900000 recipients per day", "100000 messages per hour" };
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct limit *limits = mem_array(ctx, struct limit, 3);
	const struct plan plan = { .name = "bench", .limits = limits, .n_limits = 3 };
	const char *error = NULL;
	struct store *store = store_open(ctx, options, &error);
	double without[ROUNDS_MAX], with[ROUNDS_MAX], ratio[ROUNDS_MAX];
	unsigned int n = 0;

	require(store != NULL, error);
	for (size_t i = 0; i < 3; i++)
		require(limit_parse(ctx, texts[i], &limits[i], &error) == 0, error);
	(void)charge_paced(store, &plan, n += CHARGES);
	for (size_t i = 0; i < rounds; i++) {
		struct writer writer = { .books = books };
		pthread_t thread;

		without[i] = charge_paced(store, &plan, n += CHARGES);
		require(pthread_create(&thread, NULL, writer_run, &writer) == 0, "no thread");
		with[i] = charge_paced(store, &plan, n += CHARGES);
		atomic_store(&writer.stop, true);
		(void)pthread_join(thread, NULL);
		ratio[i] = with[i] / without[i];
	}
	(void)printf("journal/charge-p99-without %.0f us\n", percentile(without, rounds, 0.5));
	(void)printf("journal/charge-p99-with %.0f us\n", percentile(with, rounds, 0.5));
	(void)printf("journal/charge-p99-with-to-without %.2f x\n", percentile(ratio, rounds, 0.5));
	store_close(store);
	talloc_free(ctx);
}

int
main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 5;
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct redis_server server;
	const char *error = NULL;
	struct store_options store = { .kind = STORE_REDIS, .connections = 2,
		.deadline_ms = PATIENCE_MS };
	const struct books_options options = {
		.store = &store, .decisions = DECISIONS, .days = 7, .accounts = 1000000
	};
	struct books *books;
	redisContext *redis;

	require(rounds >= 1 && rounds <= ROUNDS_MAX, "usage: journal_bench [ROUNDS]");
	(void)signal(SIGPIPE, SIG_IGN);
	if (!redis_server_make(&server)) {
		(void)fprintf(stderr, "journal_bench: there is no redis-server\n");
		return 0;
	}
	redis_server_start(&server, "slowlog-log-slower-than 0");
	store.redis.server = server.address;
	redis = redisConnectUnix(server.socket);
	require(redis != NULL && redis->err == 0, "no connection to Redis");
	freeReplyObject(redisCommand(redis, "CONFIG SET slowlog-max-len %d", CALLS_MAX));
	books = books_open(ctx, &options, &error);
	require(books != NULL, error);
	measure_writing(books, redis, false, rounds);
	measure_writing(books, redis, true, rounds);
	freeReplyObject(redisCommand(redis, "CONFIG SET slowlog-log-slower-than -1"));
	measure_charges(books, &store, rounds);
	redisFree(redis);
	talloc_free(ctx);
	redis_server_remove(&server);
	return 0;
}
