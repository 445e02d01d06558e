/*
 * test_table_remote.c - tables that ask a server: what all of them share, and socketmap: and redis:
 *
 * The socketmap server is a thread of this program that answers as each test wants, also with
 * what no honest server would send; Redis is the real one. Databases and directories are in
 * tests/mta/table.test.
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

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/table/breaker.h"
#include "filter/table/cache.h"
#include "filter/table/open.h"
#include "filter/table/workers.h"
#include "policy/base/mem.h"
#include "tests/support/redis_server.h"

#define COUNT(rows)	(sizeof(rows) / sizeof((rows)[0]))

/* --- a socketmap server --- */

struct server {
	char directory[64];
	char path[80];
	char *spec;
	int listener;
	pthread_t thread;
	atomic_uint connections, questions;
	atomic_bool silent;		/* takes questions and says nothing */
	atomic_bool hang_up;		/* closes after each answer */
	const char *_Atomic fixed;	/* answered to everything, or NULL */
	atomic_size_t fixed_len;
	atomic_uint live;		/* connections whose threads run */
	pthread_mutex_t lock;
	char last[20000];		/* under lock: the last question, without its length */
};

/* read_question - one netstring from a connection into 20000 octets; false at its end */
static bool
read_question(struct server *server, int fd, char *question)
{
	size_t len = 0, got = 0;
	char c;

	while (read(fd, &c, 1) == 1 && c != ':')
		len = len * 10 + (size_t)(c - '0');
	if (len == 0 || len + 1 > sizeof(server->last))
		return false;
	while (got < len + 1) {
		ssize_t n = read(fd, question + got, len + 1 - got);

		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	assert_int_equal(question[len], ',');
	question[len] = '\0';
	pthread_mutex_lock(&server->lock);
	memcpy(server->last, question, len + 1);
	pthread_mutex_unlock(&server->lock);
	return true;
}

/* answer - "map key" is known where the key begins with "known" */
static void
answer(struct server *server, int fd, const char *question)
{
	const char *fixed = atomic_load(&server->fixed);
	char text[21000];
	int len;

	if (fixed != NULL) {
		assert_true(write(fd, fixed, atomic_load(&server->fixed_len)) > 0);
		return;
	}
	if (strncmp(question, "map known", 9) == 0) {
		len = snprintf(text, sizeof(text), "%zu:OK value/%s,",
		    strlen("OK value/") + strlen(question + 4), question + 4);
	} else {
		len = snprintf(text, sizeof(text), "9:NOTFOUND ,");
	}
	assert_int_equal(write(fd, text, (size_t)len), len);
}

/* converse - one connection's life */
static void *
converse(void *arg)
{
	struct server *server = ((void **)arg)[0];
	int fd = (int)(intptr_t)((void **)arg)[1];
	char question[20000];

	free(arg);
	while (read_question(server, fd, question)) {
		atomic_fetch_add(&server->questions, 1);
		if (atomic_load(&server->silent))
			continue;
		answer(server, fd, question);
		if (atomic_load(&server->hang_up))
			break;
	}
	close(fd);
	atomic_fetch_sub(&server->live, 1);
	return NULL;
}

static void *
serve(void *arg)
{
	struct server *server = arg;
	int fd;

	while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
		void **pair = malloc(2 * sizeof(void *));
		pthread_t thread;

		pair[0] = server;
		pair[1] = (void *)(intptr_t)fd;
		atomic_fetch_add(&server->connections, 1);
		atomic_fetch_add(&server->live, 1);
		assert_int_equal(pthread_create(&thread, NULL, converse, pair), 0);
		pthread_detach(thread);
	}
	return NULL;
}

static void
start_server(struct server *server)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(name.sun_path, server->path, strlen(server->path) + 1);
	(void)unlink(server->path);
	assert_int_equal(bind(server->listener, (const struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(server->listener, 64), 0);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

/* stop_server - no new connections; those that are there end when they are answered next */
static void
stop_server(struct server *server)
{
	(void)shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
	(void)unlink(server->path);
}

static int
setup(void **state)
{
	struct server *server = calloc(1, sizeof(*server));

	pthread_mutex_init(&server->lock, NULL);
	(void)snprintf(
	    server->directory, sizeof(server->directory), "/tmp/test_table_remote.XXXXXX");
	if (mkdtemp(server->directory) == NULL)
		return -1;
	(void)snprintf(server->path, sizeof(server->path), "%s/socket", server->directory);
	server->spec = mem_printf(NULL, "socketmap:unix:%s:map", server->path);
	start_server(server);
	*state = server;
	return 0;
}

static int
teardown(void **state)
{
	struct server *server = *state;

	stop_server(server);
	workers_settle(5000);
	(void)rmdir(server->directory);
	talloc_free(server->spec);
	while (atomic_load(&server->live) > 0)
		usleep(1000);
	pthread_mutex_destroy(&server->lock);
	free(server);
	return 0;
}

/* open_server - a table that asks the server; cache in milliseconds */
static struct table *
open_server(TALLOC_CTX *ctx, const struct server *server, long connections, long cache_ms)
{
	const struct table_env env = { .limits = { 300, connections, 100, cache_ms, cache_ms } };
	const char *error = NULL;
	struct table *table = table_open_with(ctx, &env, server->spec, &error);

	if (table == NULL)
		fail_msg("%s", error);
	return table;
}

/* outcome_of - ask, with what is expected besides the outcome checked */
static enum table_outcome
outcome_of(struct table *table, const char *key, const char *value, const char *problem)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *got = NULL, *error = NULL;
	enum table_outcome outcome = table_get(table, ctx, key, 0, &got, &error);

	if (value != NULL)
		assert_string_equal(got, value);
	if (problem != NULL && (error == NULL || strstr(error, problem) == NULL))
		fail_msg("\"%s\" lacks \"%s\"", error, problem);
	talloc_free(ctx);
	return outcome;
}

/* --- socketmap --- */

static void
test_socketmap(void **state)
{
	struct server *server = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table *table = open_server(ctx, server, 4, 0);
	char *longest = mem_array(ctx, char, 10001);

	assert_int_equal(
	    outcome_of(table, "known@example.org", "value/known@example.org", NULL), TABLE_FOUND);
	assert_string_equal(server->last, "map known@example.org");
	assert_int_equal(
	    outcome_of(table, "KNOWN two,3:x@", "value/known two,3:x@", NULL), TABLE_FOUND);
	assert_int_equal(outcome_of(table, "other", NULL, NULL), TABLE_NOT_FOUND);
	memset(longest, 'x', 10000);
	memcpy(longest, "known", 5);
	assert_int_equal(outcome_of(table, longest, NULL, NULL), TABLE_FOUND);
	assert_int_equal(outcome_of(table, "known\xff", NULL, NULL), TABLE_NOT_FOUND);
	assert_int_equal(outcome_of(table, "", NULL, NULL), TABLE_NOT_FOUND);
	/* one after the other, so one connection served them all */
	assert_int_equal(atomic_load(&server->connections), 1);
	assert_int_equal(atomic_load(&server->questions), 4);
	talloc_free(ctx);
}

static void
test_socketmap_replies(void **state)
{
#define REPLY(text)	text, sizeof(text) - 1
	static const struct {
		const char *reply;
		size_t len;
		enum table_outcome outcome;
		const char *value, *problem;
	} rows[] = {
		{ REPLY("7:OK a, b,"), TABLE_FOUND, "a, b", NULL },
		{ REPLY("3:OK ,"), TABLE_TEMPERROR, NULL, "the value is empty" },
		{ REPLY("9:NOTFOUND ,"), TABLE_NOT_FOUND, NULL, NULL },
		{ REPLY("8:NOTFOUND,"), TABLE_TEMPERROR, NULL, "the server answered: NOTFOUND" },
		{ REPLY("12:TEMP no disk,"), TABLE_TEMPERROR, NULL,
		    "the server answered: TEMP no disk" },
		{ REPLY("9:TIMEOUT x,"), TABLE_TEMPERROR, NULL, "TIMEOUT x" },
		{ REPLY("6:PERM x,"), TABLE_TEMPERROR, NULL, "PERM x" },
		{ REPLY("2:OK,"), TABLE_TEMPERROR, NULL, "the server answered: OK" },
		{ REPLY("0:,"), TABLE_TEMPERROR, NULL, "the server answered: " },
		{ REPLY("5:OK a\xff,"), TABLE_TEMPERROR, NULL, "not UTF-8" },
		{ REPLY("6:OK a\0b,"), TABLE_TEMPERROR, NULL, "holds a NUL" },
		{ REPLY("4:OK ab"), TABLE_TEMPERROR, NULL, "not a netstring" },
		{ REPLY("4:OK abc,"), TABLE_TEMPERROR, NULL, "not a netstring" },
		{ REPLY("OK a"), TABLE_TEMPERROR, NULL, "not a netstring" },
		{ REPLY(":OK a"), TABLE_TEMPERROR, NULL, "not a netstring" },
		{ REPLY("-1:OK a,"), TABLE_TEMPERROR, NULL, "not a netstring" },
		{ REPLY("99999999999999999999:OK a,"), TABLE_TEMPERROR, NULL, "not a netstring" },
		{ REPLY("100001:OK a,"), TABLE_TEMPERROR, NULL, "longer than 100000" },
		{ REPLY("100:OK a"), TABLE_TEMPERROR, NULL, "" },
	};
	struct server *server = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct table *table = open_server(ctx, server, 1, 0);

		atomic_store(&server->fixed, rows[i].reply);
		atomic_store(&server->fixed_len, rows[i].len);
		if (outcome_of(table, "key", rows[i].value, rows[i].problem) != rows[i].outcome)
			fail_msg("%s", rows[i].reply);
		talloc_free(ctx);
	}
}

static void
test_socketmap_names(void **state)
{
	static const struct { const char *spec; bool good; } rows[] = {
		{ "socketmap:unix:/run/x:map", true }, { "socketmap:inet:localhost:99:map", true },
		{ "socketmap:inet:[::1]:99:map", true }, { "proxy:socketmap:inet:127.0.0.1:99:map", true },
		{ "socketmap:unix:run/x:map", false }, { "socketmap:unix:/run/x", false }, { "socketmap:inet:localhost:map", false },
		{ "socketmap:inet:localhost:99:", false }, { "socketmap:", false }, { "socketmap:tcp:x:1:map", false },
		{ "socketmap:unix:/run/x:two words", false }, { "socketmap:inet:[::1:99:map", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;
		struct table *table = table_open(ctx, rows[i].spec, &error);

		if ((table != NULL) != rows[i].good)
			fail_msg("%s: %s", rows[i].spec, error);
		if (table == NULL)
			assert_non_null(strstr(error, "write socketmap:inet:HOST:PORT:NAME"));
		talloc_free(ctx);
	}
}

/* --- a server that is away --- */

static void
test_silence(void **state)
{
	struct server *server = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table *table = open_server(ctx, server, 2, 0);
	const char *value = NULL, *error = NULL;
	int64_t began = clock_ms();

	atomic_store(&server->silent, true);
	/* the caller's own deadline holds if it is nearer */
	assert_int_equal(
	    table_get(table, ctx, "known", began + 50, &value, &error), TABLE_TEMPERROR);
	assert_int_equal(outcome_of(table, "known", NULL, "time"), TABLE_TEMPERROR);
	/* now the server is left alone: this fails without a question */
	unsigned int questions = atomic_load(&server->questions);

	assert_int_equal(
	    outcome_of(table, "known", NULL, "failed 2 times in a row"), TABLE_TEMPERROR);
	assert_int_equal(atomic_load(&server->questions), questions);
	/* and it is asked again after a while */
	atomic_store(&server->silent, false);
	for (int i = 0; i < 1000 && outcome_of(table, "known", NULL, NULL) != TABLE_FOUND; i++)
		usleep(10000);
	assert_int_equal(outcome_of(table, "known", "value/known", NULL), TABLE_FOUND);
	talloc_free(ctx);
}

static void
test_restart(void **state)
{
	struct server *server = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table *table = open_server(ctx, server, 1, 0);

	assert_int_equal(outcome_of(table, "known", NULL, NULL), TABLE_FOUND);
	/* each connection is closed behind an answer: that is what a restart looks like */
	atomic_store(&server->hang_up, true);
	for (int i = 0; i < 5; i++)
		assert_int_equal(outcome_of(table, "known", "value/known", NULL), TABLE_FOUND);
	stop_server(server);
	assert_int_equal(outcome_of(table, "known", NULL, "connect"), TABLE_TEMPERROR);
	start_server(server);
	for (int i = 0; i < 1000 && outcome_of(table, "known", NULL, NULL) != TABLE_FOUND; i++)
		usleep(10000);
	assert_int_equal(outcome_of(table, "known", NULL, NULL), TABLE_FOUND);
	talloc_free(ctx);
}

/* One of many who ask at once. */
struct asker {
	struct table *table;
	unsigned int found, failed;
};

static void *
ask_often(void *arg)
{
	struct asker *asker = arg;

	for (int i = 0; i < 20; i++) {
		if (outcome_of(asker->table, "known", NULL, NULL) == TABLE_FOUND)
			asker->found++;
		else
			asker->failed++;
	}
	return NULL;
}

/* ask_many - with so many threads; the sums of all */
static struct asker
ask_many(struct table *table)
{
	struct asker askers[16], sum = { .table = table };
	pthread_t threads[COUNT(askers)];

	for (size_t i = 0; i < COUNT(askers); i++) {
		askers[i] = (struct asker){ .table = table };
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &askers[i]), 0);
	}
	for (size_t i = 0; i < COUNT(askers); i++) {
		pthread_join(threads[i], NULL);
		sum.found += askers[i].found;
		sum.failed += askers[i].failed;
	}
	return sum;
}

static void
test_many(void **state)
{
	struct server *server = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table *table = open_server(ctx, server, 3, 0);
	struct asker sum = ask_many(table);

	assert_int_equal(sum.found, 16 * 20);
	assert_in_range(atomic_load(&server->connections), 1, 3);
	/* silent: all fail, and this test ends */
	atomic_store(&server->silent, true);
	sum = ask_many(table);
	assert_int_equal(sum.found, 0);
	assert_int_equal(sum.failed, 16 * 20);
	/* freed while connections are held up: nobody waits for them */
	talloc_free(ctx);
}

/* --- cache --- */

static void
test_cached(void **state)
{
	struct server *server = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table *table = open_server(ctx, server, 2, 60000);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(outcome_of(table, "known", "value/known", NULL), TABLE_FOUND);
		assert_int_equal(outcome_of(table, "Known", "value/known", NULL), TABLE_FOUND);
		assert_int_equal(outcome_of(table, "other", NULL, NULL), TABLE_NOT_FOUND);
	}
	assert_int_equal(atomic_load(&server->questions), 2);
	/* what is known is known while the server is away; what failed is not remembered as an
	 * answer */
	stop_server(server);
	atomic_store(&server->hang_up, true);
	(void)outcome_of(table, "third", NULL, NULL);
	assert_int_equal(outcome_of(table, "fourth", NULL, "onnect"), TABLE_TEMPERROR);
	assert_int_equal(outcome_of(table, "known", "value/known", NULL), TABLE_FOUND);
	assert_int_equal(outcome_of(table, "other", NULL, NULL), TABLE_NOT_FOUND);
	atomic_store(&server->hang_up, false);
	start_server(server);
	for (int i = 0; i < 1000 && outcome_of(table, "known fourth", NULL, NULL) != TABLE_FOUND;
	     i++)
		usleep(10000);
	assert_int_equal(
	    outcome_of(table, "known fourth", "value/known fourth", NULL), TABLE_FOUND);
	talloc_free(ctx);
}

static void
test_cache(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table_cache *cache = table_cache_new(ctx, 3, 100, 10);
	const char *value = NULL;
	char *large = mem_array(ctx, char, 5001);

	(void)state;
	table_cache_put(cache, "a", "1", 1000);
	table_cache_put(cache, "b", NULL, 1000);
	assert_true(table_cache_get(cache, ctx, "a", 1099, &value));
	assert_string_equal(value, "1");
	assert_true(table_cache_get(cache, ctx, "b", 1009, &value));
	assert_null(value);
	assert_false(table_cache_get(cache, ctx, "b", 1010, &value));
	assert_false(table_cache_get(cache, ctx, "a", 1100, &value));
	assert_int_equal(table_cache_entries(cache), 0);
	/* bounded: the one not used for longest goes */
	table_cache_put(cache, "a", "1", 2000);
	table_cache_put(cache, "b", "2", 2000);
	table_cache_put(cache, "c", "3", 2000);
	assert_true(table_cache_get(cache, ctx, "a", 2001, &value));
	table_cache_put(cache, "d", "4", 2001);
	assert_false(table_cache_get(cache, ctx, "b", 2001, &value));
	assert_true(table_cache_get(cache, ctx, "a", 2001, &value));
	assert_true(table_cache_get(cache, ctx, "c", 2001, &value));
	assert_true(table_cache_get(cache, ctx, "d", 2001, &value));
	assert_int_equal(table_cache_entries(cache), 3);
	/* a newer answer takes the place of the older */
	table_cache_put(cache, "a", "new", 2050);
	assert_true(table_cache_get(cache, ctx, "a", 2149, &value));
	assert_string_equal(value, "new");
	assert_int_equal(table_cache_entries(cache), 3);
	/* what strangers make long is not kept */
	memset(large, 'x', 5000);
	table_cache_put(cache, large, "1", 2050);
	table_cache_put(cache, "e", large, 2050);
	assert_false(table_cache_get(cache, ctx, "e", 2051, &value));
	for (int i = 0; i < 10000; i++) {
		(void)snprintf(large, 100, "key %d", i);
		table_cache_put(cache, large, i % 2 == 0 ? "x" : NULL, 3000);
	}
	assert_int_equal(table_cache_entries(cache), 3);
	/* a cache that keeps nothing */
	cache = table_cache_new(ctx, 0, 100, 100);
	table_cache_put(cache, "a", "1", 1);
	assert_false(table_cache_get(cache, ctx, "a", 1, &value));
	talloc_free(ctx);
}

static void
test_breaker(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table_breaker *breaker = table_breaker_new(ctx);
	const char *why = NULL;
	int64_t now = 1000, waited = 0;

	(void)state;
	assert_true(table_breaker_may(breaker, ctx, now, &why));
	assert_true(table_breaker_report(breaker, now, "first"));	/* news */
	assert_true(table_breaker_may(breaker, ctx, now, &why));
	assert_false(table_breaker_report(breaker, now, "second"));
	assert_false(table_breaker_may(breaker, ctx, now, &why));
	assert_non_null(strstr(why, "failed 2 times"));
	assert_non_null(strstr(why, "second"));
	/* one may try after the pause; meanwhile nobody else */
	assert_true(table_breaker_may(breaker, ctx, now + 250, &why));
	assert_false(table_breaker_may(breaker, ctx, now + 250, &why));
	assert_false(table_breaker_report(breaker, now + 250, "third"));
	assert_false(table_breaker_may(breaker, ctx, now + 700, &why));
	assert_true(table_breaker_may(breaker, ctx, now + 750, &why));
	assert_true(table_breaker_report(breaker, now + 750, NULL));	/* news: it answers */
	for (int i = 0; i < 3; i++)
		assert_true(table_breaker_may(breaker, ctx, now + 750, &why));
	assert_false(table_breaker_report(breaker, now + 750, NULL));
	/* pauses grow to eight seconds and no further */
	now = 100000;
	for (int i = 0; i < 20; i++) {
		int64_t began = now;

		while (!table_breaker_may(breaker, ctx, now, &why))
			now += 10;
		waited = now - began;
		(void)table_breaker_report(breaker, now, "again");
	}
	assert_int_equal(waited, 8000);
	talloc_free(ctx);
}

/* --- redis --- */

static struct table *
open_redis(
    TALLOC_CTX *ctx, const struct redis_server *redis, const char *spec, const char **error_r)
{
	const struct table_redis servers[] = {
		{ .name = "main", .options.server = redis->address },
	};
	const struct table_env env = {
		.redis = servers, .n_redis = COUNT(servers), .limits = { 500, 2, 0, 0, 0 }
	};

	return table_open_with(ctx, &env, spec, error_r);
}

/* redis_do - a command of redis-cli */
static void
redis_do(const struct redis_server *redis, const char *command)
{
	char line[512];

	(void)snprintf(line, sizeof(line), "redis-cli -s %s %s >/dev/null", redis->socket, command);
	assert_int_equal(system(line), 0);
}

static void
test_redis(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct redis_server redis;
	const char *error = NULL;
	struct table *table, *parts;

	(void)state;
	if (!redis_server_make(&redis))
		skip();
	redis_server_start(&redis, NULL);
	redis_do(&redis, "SET owner:alice@example.org 'alice, bob'");
	redis_do(&redis, "SET owner:empty ''");
	redis_do(&redis, "SET example.org/alice split");
	redis_do(&redis, "SADD owner:set x");
	redis_do(&redis, "SET 'owner:a b\r\nSET x' '%s'");
	redis_do(&redis,
	    "EVAL \"redis.call('SET', 'owner:nul', 'a\\\\0b'); redis.call('SET', 'owner:octets', '\\\\255')\" 0");
	table = open_redis(ctx, &redis, "redis:main:owner:%s", &error);
	parts = open_redis(ctx, &redis, "redis:main:%d/%u", &error);
	assert_non_null(table);
	assert_non_null(parts);
	assert_int_equal(outcome_of(table, "Alice@Example.org", "alice, bob", NULL), TABLE_FOUND);
	assert_int_equal(outcome_of(parts, "alice@example.org", "split", NULL), TABLE_FOUND);
	assert_int_equal(outcome_of(parts, "alice", NULL, NULL), TABLE_NOT_FOUND);
	assert_int_equal(outcome_of(parts, "@example.org", NULL, NULL), TABLE_NOT_FOUND);
	assert_int_equal(outcome_of(table, "nobody", NULL, NULL), TABLE_NOT_FOUND);
	assert_int_equal(outcome_of(table, "x\r\nSET y z", NULL, NULL), TABLE_NOT_FOUND);
	assert_int_equal(outcome_of(table, "empty", NULL, NULL), TABLE_NOT_FOUND);
	assert_int_equal(outcome_of(table, "set", NULL, "WRONGTYPE"), TABLE_TEMPERROR);
	assert_int_equal(outcome_of(table, "nul", NULL, "NUL"), TABLE_TEMPERROR);
	assert_int_equal(outcome_of(table, "octets", NULL, "UTF-8"), TABLE_TEMPERROR);
	/* a key of the wrong type says nothing of the server */
	assert_int_equal(outcome_of(table, "set", NULL, "WRONGTYPE"), TABLE_TEMPERROR);
	assert_int_equal(outcome_of(table, "alice@example.org", NULL, NULL), TABLE_FOUND);

	redis_server_signal(&redis, SIGSTOP);
	assert_int_equal(outcome_of(table, "alice@example.org", NULL, ""), TABLE_TEMPERROR);
	redis_server_signal(&redis, SIGCONT);
	for (int i = 0;
	     i < 1000 && outcome_of(table, "alice@example.org", NULL, NULL) != TABLE_FOUND; i++)
		usleep(10000);
	redis_server_kill(&redis, SIGKILL);
	assert_int_equal(outcome_of(table, "alice@example.org", NULL, ""), TABLE_TEMPERROR);
	redis_server_start(&redis, NULL);
	redis_do(&redis, "SET owner:alice@example.org carol");
	for (int i = 0;
	     i < 1000 && outcome_of(table, "alice@example.org", NULL, NULL) != TABLE_FOUND; i++)
		usleep(10000);
	assert_int_equal(outcome_of(table, "alice@example.org", "carol", NULL), TABLE_FOUND);
	table_tend(table);
	talloc_free(ctx);
	redis_server_remove(&redis);
}

static void
test_redis_names(void **state)
{
	static const struct { const char *spec, *problem; } rows[] = {
		{ "redis:main", "has no pattern" }, { "redis:main:", "has no pattern" }, { "redis:", "has no pattern" },
		{ "redis:other:owner:%s", "no server named \"other\"" }, { "redis:main:%q", "not a placeholder" },
	};
	const struct redis_server redis = { .address = "unix:/nonexistent" };
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_null(open_redis(ctx, &redis, rows[i].spec, &error));
		if (strstr(error, rows[i].problem) == NULL)
			fail_msg("%s: %s", rows[i].spec, error);
	}
	assert_null(table_open(ctx, "redis:main:%s", &error));
	assert_non_null(strstr(error, "no server named \"main\""));
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_breaker),
		cmocka_unit_test(test_cache),
		cmocka_unit_test_setup_teardown(test_socketmap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socketmap_replies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cached, setup, teardown),
		cmocka_unit_test(test_socketmap_names),
		cmocka_unit_test(test_redis),
		cmocka_unit_test(test_redis_names),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
