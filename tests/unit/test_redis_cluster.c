/*
 * test_redis_cluster.c - a Redis Cluster and Sentinels, real ones, that fail over under load
 *
 * Three masters and a replica of the first; or a master, its replica and a Sentinel. Messages are
 * charged by several threads while a master is killed, a slot is moved, or the network is cut
 * (SIGSTOP). What the store promised is compared with what it let pass.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <netinet/in.h>
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
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "filter/base/clock.h"
#include "filter/journal/books.h"
#include "filter/journal/event.h"
#include "filter/redis/pool.h"
#include "filter/redis/route.h"
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "tests/support/redis_server.h"

#define PATIENCE_MS	60000
#define HUNG_MS		20000
#define MASTERS		3
#define NODES		4	/* the last is a replica of the first */
#define ACCOUNTS	12
#define LIMIT		40
#define CROWD		6

#define CLUSTER_LINES \
	"cluster-enabled yes\ncluster-node-timeout 1000\ncluster-config-file nodes.conf\n" \
	"cluster-require-full-coverage no"

struct fixture {
	TALLOC_CTX *ctx;
	struct redis_server nodes[NODES];
	int ports[NODES];
	size_t n_nodes;
	struct redis_server sentinel;
	int sentinel_port;
	struct store_options options;
	struct plan *plan;
	atomic_uint_fast64_t ids;
	pthread_mutex_t lock;
	char *log;		/* all lines; under lock */
};

/* --- servers --- */

static bool
port_is_free(int port)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_free = bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0;

	close(fd);
	return is_free;
}

/* free_port - one with its bus port (10000 more) */
static int
free_port(void)
{
	static unsigned int seed;

	if (seed == 0)
		seed = (unsigned int)getpid();
	for (;;) {
		int port = 20000 + rand_r(&seed) % 12000;

		if (port_is_free(port) && port_is_free(port + 10000))
			return port;
	}
}

/* tell - one command to a node; the answer, which belongs to the caller; NULL: a Sentinel closed
 * the connection */
static redisReply *
tell(struct fixture *f, size_t node, const char *format, ...)
{
	redisContext *c = redisConnectUnix(f->nodes[node].socket);
	redisReply *reply;
	va_list args;

	assert_non_null(c);
	assert_int_equal(c->err, 0);
	va_start(args, format);
	reply = redisvCommand(c, format, args);
	va_end(args);
	redisFree(c);
	return reply;
}

static void
tell_ok(struct fixture *f, size_t node, const char *format, const char *a, int b, int c)
{
	redisReply *reply = tell(f, node, format, a, b, c);

	assert_non_null(reply);
	if (reply->type == REDIS_REPLY_ERROR)
		fail_msg("%s: %s", format, reply->str);
	freeReplyObject(reply);
}

static bool
says(struct fixture *f, size_t node, const char *command, const char *part)
{
	redisReply *reply = tell(f, node, command);
	bool found =
	    reply != NULL && reply->type == REDIS_REPLY_STRING && strstr(reply->str, part) != NULL;

	freeReplyObject(reply);
	return found;
}

static void
wait_says(struct fixture *f, size_t node, const char *command, const char *part)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (!says(f, node, command, part)) {
		if (clock_ms() > end)
			fail_msg("%s never says %s", command, part);
		usleep(50000);
	}
}

/* wait_flows - until a replica gets what its master writes: after the first copy that may take a
 * second */
static void
wait_flows(struct fixture *f, size_t master, size_t replica)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	wait_says(f, master, "INFO replication", "state=online");
	while (says(f, replica, "INFO replication", "slave_repl_offset:0\r")) {
		if (clock_ms() > end)
			fail_msg("the replica never gets anything");
		usleep(20000);
	}
}

static void
collect_log(void *arg, enum store_log_level level, const char *text)
{
	struct fixture *f = arg;

	(void)level;
	pthread_mutex_lock(&f->lock);
	f->log = talloc_asprintf_append(f->log, "%s\n", text);
	pthread_mutex_unlock(&f->lock);
}

static bool
log_says(struct fixture *f, const char *text)
{
	bool found;

	pthread_mutex_lock(&f->lock);
	found = strstr(f->log, text) != NULL;
	pthread_mutex_unlock(&f->lock);
	return found;
}

static void
wait_log(struct fixture *f, const char *text)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (!log_says(f, text)) {
		if (clock_ms() > end)
			fail_msg("the log never says \"%s\": %s", text, f->log);
		usleep(20000);
	}
}

static struct fixture *
new_fixture(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *error = NULL;

	f->ctx = talloc_new(NULL);
	f->plan = mem_new(f->ctx, struct plan);
	f->plan->on_over = ACTION_TEMPFAIL;
	f->plan->limits = mem_array(f->plan, struct limit, 1);
	assert_int_equal(limit_parse(f->plan, mem_printf(f->ctx, "%d messages per day", LIMIT),
	    &f->plan->limits[f->plan->n_limits++], &error), 0);
	f->options.kind = STORE_REDIS;
	f->options.deadline_ms = 300;
	f->options.log = collect_log;
	f->options.log_arg = f;
	f->log = mem_strdup(f->ctx, "");
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

static void
start_node(struct fixture *f, const char *line)
{
	size_t i = f->n_nodes++;

	assert_true(redis_server_make(&f->nodes[i]));
	f->ports[i] = free_port();
	redis_server_start(&f->nodes[i],
	    mem_printf(f->ctx,
		"bind 127.0.0.1\nport %d\nrepl-diskless-sync-delay 0\n"
		"repl-ping-replica-period 1\n%s",
		f->ports[i], line));
}

static int
set_up_cluster(void **state)
{
	struct fixture *f = new_fixture();

	for (size_t i = 0; i < NODES; i++)
		start_node(f, CLUSTER_LINES);
	for (int i = 0; i < MASTERS; i++)
		for (int slot = i * REDIS_SLOTS / MASTERS; slot < (i + 1) * REDIS_SLOTS / MASTERS;
		     slot++)
			tell_ok(f, (size_t)i, "CLUSTER ADDSLOTS %s%d", "", slot, 0);
	for (int i = 1; i < NODES; i++)
		tell_ok(f, 0, "CLUSTER MEET %s %d", "127.0.0.1", f->ports[i], 0);
	for (size_t i = 0; i < NODES; i++)
		wait_says(f, i, "CLUSTER INFO", "cluster_known_nodes:4");
	{
		redisReply *id = tell(f, 0, "CLUSTER MYID");

		tell_ok(f, 3, "CLUSTER REPLICATE %s", id->str, 0, 0);
		freeReplyObject(id);
	}
	wait_flows(f, 0, 3);
	for (size_t i = 0; i < NODES; i++)
		wait_says(f, i, "CLUSTER INFO", "cluster_state:ok");
	f->options.redis.cluster = true;
	f->options.redis.server =
	    mem_printf(f->ctx, "inet:127.0.0.1:%d inet:127.0.0.1:%d", f->ports[1], f->ports[2]);
	*state = f;
	return 0;
}

static int
set_up_sentinel(void **state)
{
	struct fixture *f = new_fixture();

	start_node(f, "");
	start_node(f, mem_printf(f->ctx, "replicaof 127.0.0.1 %d", f->ports[0]));
	wait_flows(f, 0, 1);
	f->sentinel_port = free_port();
	assert_true(redis_server_make(&f->sentinel));
	redis_server_start_sentinel(&f->sentinel, mem_printf(f->ctx, "port %d\nbind 127.0.0.1\n"
	    "sentinel monitor mail 127.0.0.1 %d 1\nsentinel down-after-milliseconds mail 1000\n"
	    "sentinel failover-timeout mail 5000", f->sentinel_port, f->ports[0]));
	/* one that does not exist stands in front */
	f->options.redis.sentinels = mem_printf(
	    f->ctx, "inet:127.0.0.1:%d inet:127.0.0.1:%d", free_port(), f->sentinel_port);
	f->options.redis.master = "mail";
	/* it must have heard of the replica before the master is killed: it asks every 10 seconds
	 * at most */
	for (int64_t end = clock_ms() + PATIENCE_MS;; usleep(100000)) {
		redisContext *c = redisConnect("127.0.0.1", f->sentinel_port);
		redisReply *reply =
		    c != NULL && c->err == 0 ? redisCommand(c, "INFO sentinel") : NULL;
		bool knows = reply != NULL && reply->type == REDIS_REPLY_STRING &&
		    strstr(reply->str, "slaves=1") != NULL;

		freeReplyObject(reply);
		redisFree(c);
		if (knows)
			break;
		if (clock_ms() > end)
			fail_msg("the Sentinel does not come to know the replica");
	}
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->sentinel.pid > 0)
		redis_server_remove(&f->sentinel);
	for (size_t i = 0; i < f->n_nodes; i++)
		redis_server_remove(&f->nodes[i]);
	talloc_free(f->ctx);
	free(f);
	return 0;
}

/* be_patient - nodes do not give each other up on a machine with other work: for tests without
 * fail-over */
static void
be_patient(struct fixture *f)
{
	for (size_t i = 0; i < f->n_nodes; i++)
		tell_ok(f, i, "CONFIG SET cluster-node-timeout %s%d", "", PATIENCE_MS, 0);
}

/* --- mail --- */

static struct store *
open_store(struct fixture *f)
{
	const char *error = NULL;
	struct store *store = store_open(f->ctx, &f->options, &error);

	if (store == NULL)
		fail_msg("%s", error);
	return store;
}

/* open_patient - one that waits longer: for tests in which Redis is to decide, on a machine with
 * other work */
static struct store *
open_patient(struct fixture *f)
{
	f->options.deadline_ms = 3000;
	return open_store(f);
}

static bool
is_away(struct store *store)
{
	TALLOC_CTX *tmp = talloc_new(NULL);
	struct store_status status;

	store_status(store, tmp, &status);
	talloc_free(tmp);
	return status.away;
}

static void
wait_back(struct store *store)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (is_away(store)) {
		if (clock_ms() > end)
			fail_msg("the store does not come back");
		usleep(20000);
	}
}

static struct quota_plan *
ask(struct fixture *f, const char *account)
{
	struct quota_cost cost = { .messages = 1, .recipients = 1, .bytes = 1 };
	uint8_t id[QUOTA_ID_LEN] = { 0 };
	uint64_t number = atomic_fetch_add(&f->ids, 1) + 1;

	memcpy(id, &number, sizeof(number));
	return quota_plan_make(NULL, f->plan, account, &cost, false, id);
}

static enum quota_state
charge(struct fixture *f, struct store *store, const char *account, uint64_t *used_r,
    const char **where_r)
{
	struct quota_plan *asked = ask(f, account);
	struct quota_reply reply;

	store_charge(store, asked, asked, clock_ms() + 1000, &reply);
	if (used_r != NULL)
		*used_r = reply.n_counts > 0 ? reply.counts[0].used : 0;
	if (where_r != NULL)
		*where_r = reply.store;
	talloc_free(asked);
	return reply.state;
}

/* The crowd: every account gets more mail than its limit, however long that takes. */
struct crowd {
	struct fixture *f;
	struct store *store;
	atomic_int passed[ACCOUNTS];
	atomic_int without[ACCOUNTS];	/* answers without Redis */
	atomic_int unknown, local, late;
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
		char room[64];
		const char *where = NULL;
		int64_t before = clock_ms();
		enum quota_state state = charge(crowd->f, crowd->store,
		    account_name(room, sizeof(room), i % ACCOUNTS), NULL, &where);

		/* what has no deadline: a machine with other work adds less than that */
		if (clock_ms() - before > HUNG_MS)
			atomic_fetch_add(&crowd->late, 1);
		if (where != NULL && strcmp(where, "local") == 0) {
			atomic_fetch_add(&crowd->local, 1);
			atomic_fetch_add(&crowd->without[i % ACCOUNTS], 1);
		}
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

/* wait_passed - until so many have passed, of all accounts */
static void
wait_passed(struct crowd *crowd, int n)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (total(crowd) < n) {
		if (clock_ms() > end)
			fail_msg("only %d of %d messages passed", total(crowd), n);
		usleep(5000);
	}
}

/* counted - what the store has of an account in the end */
static int
counted(struct crowd *crowd, unsigned int i)
{
	char room[64];
	struct quota_plan *asked = ask(crowd->f, account_name(room, sizeof(room), i));
	struct quota_reply reply;
	int used;

	store_read(crowd->store, asked, asked, clock_ms() + 2000, &reply);
	assert_int_equal(reply.state, QUOTA_READ);
	used = (int)reply.counts[0].used;
	talloc_free(asked);
	return used;
}

/*
 * end_crowd - every account has had its fill; what was promised, and what was seen
 * Promised are the limit, what was in flight, and what the store itself lost: charges that the old
 * master had answered and that the new one does not have.
 */
static void
end_crowd(struct crowd *crowd, const char *what)
{
	int most = 0, lost = 0, over = 0;

	wait_passed(crowd, ACCOUNTS * LIMIT);
	wait_back(crowd->store);
	usleep(500000);
	atomic_store(&crowd->stop, true);
	for (int i = 0; i < CROWD; i++)
		pthread_join(crowd->threads[i], NULL);
	for (unsigned int i = 0; i < ACCOUNTS; i++) {
		int passed = crowd->passed[i], used = counted(crowd, i);

		most = passed > most ? passed : most;
		lost += passed - used;
		over = used - LIMIT > over ? used - LIMIT : over;
		assert_true(passed >= LIMIT);
	}
	printf(
	    "# %s: limit %d; promised %d and what the store loses; seen %d; of %d charges the store lost %d; "
	    "%d answers without Redis, %d late\n",
	    what, LIMIT, LIMIT + 2 * CROWD, most, total(crowd), lost, crowd->local, crowd->late);
	assert_true(over <= 2 * CROWD);
	assert_true(lost >= 0);	/* none counted twice */
	assert_int_equal(crowd->unknown, 0);
	assert_int_equal(crowd->late, 0);
}

/* --- the Cluster --- */

static void
test_slots(void **state)
{
	(void)state;
	/* the values of the Redis Cluster specification and of CLUSTER KEYSLOT */
	assert_int_equal(redis_slot("123456789", 9), 0x31c3);
	assert_int_equal(redis_slot("foo{bar}{zap}", 13), redis_slot("bar", 3));
	assert_int_equal(redis_slot("foo{}{bar}", 10), 8363);
	assert_int_equal(redis_slot("{user1000}.following", 20), 3443);
	assert_int_equal(redis_slot("", 0), 0);
}

static void
test_redirects(void **state)
{
	static const struct {
		const char *text;
		bool good;
		enum redis_redirect_kind kind;
	} rows[] = {
		{ "MOVED 3999 127.0.0.1:6381", true, REDIS_REDIRECT_MOVED },
		{ "ASK 3999 ::1:6381", true, REDIS_REDIRECT_ASK },
		{ "MOVED 16384 127.0.0.1:6381", false, REDIS_REDIRECT_MOVED },
		{ "MOVED 3999 :6381", false, REDIS_REDIRECT_MOVED },
		{ "MOVED 3999", false, REDIS_REDIRECT_MOVED },
		{ "MOVED x", false, REDIS_REDIRECT_MOVED },
		{ "TRYAGAIN Multiple keys", false, REDIS_REDIRECT_TRYAGAIN },
		{ "ERR no", false, REDIS_REDIRECT_NONE },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct redis_redirect redirect;

		assert_int_equal(redis_redirect_kind(rows[i].text), rows[i].kind);
		if (redis_redirect_read(ctx, rows[i].text, &redirect) != rows[i].good)
			fail_msg("%s", rows[i].text);
	}
	talloc_free(ctx);
}

/* All accounts, whatever their slots; and what one store wrote another one reads. */
static void
test_cluster(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_patient(f), *other = open_patient(f);
	const char *where = NULL, *error = NULL;
	struct quota_plan *alice = ask(f, "alice");
	uint64_t used;

	wait_back(store);
	wait_back(other);
	for (unsigned int i = 0; i < 50; i++) {
		char room[64];

		assert_int_equal(
		    charge(f, store, account_name(room, sizeof(room), i), &used, &where),
		    QUOTA_CHARGED);
		assert_string_equal(where, "redis");
		assert_int_equal(used, 1);
		assert_int_equal(charge(f, other, room, &used, &where), QUOTA_CHARGED);
		assert_int_equal(used, 2);
	}
	assert_int_equal(
	    store_block(store, f->ctx, alice, 0, "why", "me", clock_ms() + 2000, &error), 0);
	assert_int_equal(charge(f, other, "alice", NULL, NULL),
	    QUOTA_CHARGED); /* block_binds is false: only reported */
	assert_int_equal(store_unblock(other, f->ctx, alice, clock_ms() + 2000, &error), 1);
	talloc_free(alice);
	store_close(other);
	store_close(store);
}

/* set_one - SET by a pool of its own, which knows the Cluster as it was */
static enum pool_outcome
set_one(struct fixture *f, const char *key)
{
	const struct redis_options options = { .server = f->options.redis.server, .cluster = true };
	const char *argv[3] = { "SET", key, "1" }, *error = NULL;
	const size_t argv_len[3] = { 3, strlen(key), 1 };
	struct redis_pool *pool = redis_pool_new(f->ctx, &options, 1, &error);
	enum pool_outcome outcome;
	redisReply *reply;

	assert_non_null(pool);
	assert_int_equal(redis_pool_resolve(pool, f->ctx, &error), 0);
	outcome = redis_pool_call(
	    pool, f->ctx, 3, argv, argv_len, true, clock_ms() + 2000, &reply, &error);
	freeReplyObject(reply);
	talloc_free(pool);
	return outcome;
}

/* count_row - books_sums_each */
static void
count_row(void *arg, const char *account, const struct daybook_row *row)
{
	(void)account;
	*(uint64_t *)arg += row->day.recipients;
}

/* What the filters keep of what happened lies in one slot each, wherever that is. */
static void
test_cluster_journal(void **state)
{
	struct fixture *f = *state;
	static const struct event_program no_program;
	const struct books_options options = {
		.store = &f->options, .decisions = 100, .days = 7, .accounts = 1000
	};
	const struct books_decision item = { 1, "a@example.org", "Q1", true,
		"{\"at\":9999999999999,\"queue_id\":\"Q1\"}" };
	const struct books_query by_id = { .queue_id = "Q1", .n = 5 };
	const struct books_query by_account = { .account = "a@example.org", .n = 5 };
	const struct daybook_delta delta = { .account = "a@example.org", .sums = { 1, 7, 1 } };
	const char *error = NULL;
	struct books *books = books_open(f->ctx, &options, &error);
	struct events *events = events_new(f->ctx, "mx1", books, NULL);
	uint64_t recipients = 0;
	json_t *answer;

	assert_non_null(books);
	assert_int_equal(books_add_decisions(books, f->ctx, &item, 1, &error), 0);
	assert_int_equal(json_array_size(answer = books_find(books, f->ctx, &by_id, &error)), 1);
	json_decref(answer);
	assert_int_equal(
	    json_array_size(answer = books_find(books, f->ctx, &by_account, &error)), 1);
	json_decref(answer);
	assert_int_equal(books_add_sums(books, f->ctx, 0, &delta, 1, NULL, &error), 0);
	assert_int_equal(
	    books_read_sums(books, f->ctx, 19700101, count_row, &recipients, &error), 0);
	assert_int_equal(recipients, 7);
	event_raise(events, EVENT_OVER, "account", "a@example.org", NULL, "over", NULL);
	assert_true(event_flush(events, f->ctx, &no_program, &error) >= 0);
	assert_int_equal(json_array_size(answer = books_last_events(books, f->ctx, 5, &error)), 1);
	json_decref(answer);
	talloc_free(events);
	talloc_free(books);
}

/* A slot moves while an account in it sends: ASK, TRYAGAIN, MOVED. */
static void
test_cluster_moves(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_patient(f);
	unsigned int slot = redis_slot("mover", 5);
	size_t from = 0, to;
	redisReply *id_from, *id_to, *keys;
	const char *where;
	uint64_t used;

	be_patient(f);
	while (slot >= (from + 1) * REDIS_SLOTS / MASTERS)
		from++;
	to = (from + 1) % MASTERS;
	wait_back(store);
	assert_int_equal(charge(f, store, "mover", &used, NULL), QUOTA_CHARGED);
	id_from = tell(f, from, "CLUSTER MYID");
	id_to = tell(f, to, "CLUSTER MYID");
	tell_ok(f, to, mem_printf(f->ctx, "CLUSTER SETSLOT %u IMPORTING %%s", slot), id_from->str,
	    0, 0);
	tell_ok(f, from, mem_printf(f->ctx, "CLUSTER SETSLOT %u MIGRATING %%s", slot), id_to->str,
	    0, 0);
	/* a script of several keys cannot run while its slot moves: TRYAGAIN, so this one is
	 * decided here */
	assert_int_equal(charge(f, store, "mover", &used, &where), QUOTA_CHARGED);
	assert_int_equal(used, 2);
	assert_string_equal(where, "local");
	keys = tell(f, from, "CLUSTER GETKEYSINSLOT %d 100", (int)slot);
	for (size_t i = 0; i < keys->elements; i++) {
		redisReply *moved = tell(
		    f, from, "MIGRATE 127.0.0.1 %d %s 0 5000", f->ports[to], keys->element[i]->str);

		assert_int_not_equal(moved->type, REDIS_REPLY_ERROR);
		freeReplyObject(moved);
	}
	freeReplyObject(keys);
	/* a command of one key follows ASK */
	assert_int_equal(set_one(f, "{mover}:one"), POOL_ANSWERED);
	keys = tell(f, to, "CLUSTER COUNTKEYSINSLOT %d", (int)slot);
	assert_true(keys->integer > 1);
	freeReplyObject(keys);
	for (size_t i = 0; i < MASTERS; i++)
		tell_ok(f, i, mem_printf(f->ctx, "CLUSTER SETSLOT %u NODE %%s", slot), id_to->str,
		    0, 0);
	wait_back(store);
	assert_int_equal(charge(f, store, "mover", &used, &where), QUOTA_CHARGED);
	assert_int_equal(used, 3);
	assert_string_equal(where, "redis");
	/* it has moved for good */
	assert_int_equal(charge(f, store, "mover", &used, &where), QUOTA_CHARGED);
	assert_int_equal(used, 4);
	assert_string_equal(where, "redis");
	freeReplyObject(id_from);
	freeReplyObject(id_to);
	store_close(store);
}

/* A master is killed under load; its replica takes over. */
static void
test_cluster_fails_over(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f, .store = open_store(f) };

	wait_back(crowd.store);
	start_crowd(&crowd);
	wait_passed(&crowd, ACCOUNTS * LIMIT / 3);
	redis_server_kill(&f->nodes[0], SIGKILL);
	wait_says(f, 1, "CLUSTER INFO", "cluster_slots_ok:16384");
	end_crowd(&crowd, "Cluster, master killed");
	wait_says(f, 3, "INFO replication", "role:master");
	store_close(crowd.store);
}

/*
 * A node that has had more addresses than are remembered, as where each start gives a new one: it
 * is found all the same. The node says of itself where it is; that nobody is there is of no
 * interest here.
 */
static void
test_cluster_addresses(void **state)
{
	struct fixture *f = *state;
	const struct redis_options options = {
		.server = mem_printf(f->ctx, "inet:127.0.0.1:%d", f->ports[1]), .cluster = true
	};
	const char *argv[2] = { "GET", "a" }, *error = NULL;	/* in a slot of the last third */
	const size_t argv_len[2] = { 3, 1 };
	struct redis_pool *pool = redis_pool_new(f->ctx, &options, 1, &error);
	redisReply *reply;

	assert_true(redis_slot("a", 1) * MASTERS / REDIS_SLOTS == 2);
	reply = tell(f, 0, "CONFIG SET cluster-announce-port %d", f->ports[0]);
	if (reply->type == REDIS_REPLY_ERROR) {
		/* before Redis 7 it needs a restart */
		freeReplyObject(reply);
		talloc_free(pool);
		skip();
	}
	freeReplyObject(reply);
	for (int i = 0; i < 140; i++) {
		/* all of them: whichever is asked has a new one */
		for (int node = 0; node < MASTERS; node++)
			tell_ok(f, (size_t)node, "CONFIG SET cluster-announce-port %s%d", "",
			    1000 + MASTERS * i + node, 0);
		redis_pool_drop_idle(pool, 0);
		if (redis_pool_resolve(pool, f->ctx, &error) < 0)
			fail_msg("%d: %s", i, error);
		for (unsigned int slot = 0; slot < REDIS_SLOTS; slot += 1000)
			assert_int_not_equal(redis_pool_part(pool, slot), REDIS_PART_UNKNOWN);
	}
	for (int node = 0; node < MASTERS; node++)
		tell_ok(f, (size_t)node, "CONFIG SET cluster-announce-port %s%d", "",
		    f->ports[node], 0);
	for (int64_t end = clock_ms() + PATIENCE_MS;; usleep(50000)) {
		redis_pool_drop_idle(pool, 0);
		if (redis_pool_resolve(pool, f->ctx, &error) == 0 &&
		    redis_pool_call(pool, f->ctx, 2, argv, argv_len, true, clock_ms() + 3000,
			&reply, &error) == POOL_ANSWERED)
			break;
		if (clock_ms() > end)
			fail_msg("%s", error);
	}
	freeReplyObject(reply);
	talloc_free(pool);
}

/* node_of - which of the masters has an account */
static size_t
node_of(unsigned int account)
{
	char room[64];
	unsigned int slot = redis_slot(account_name(room, sizeof(room), account),
	    strlen(account_name(room, sizeof(room), account)));
	size_t node = 0;

	while (slot >= (node + 1) * REDIS_SLOTS / MASTERS)
		node++;
	return node;
}

/*
 * A master is killed, and nobody stands in for it: its accounts are decided here, those of the
 * others in Redis as if nothing had happened. When it is back, with what it had, all is as it was.
 */
static void
test_cluster_without_one(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f };
	int dead_ones = 0, charged = 0;

	be_patient(f);
	/* the one without replica keeps what it has been told */
	tell_ok(f, 1, "CONFIG SET appendfsync %s", "always", 0, 0);
	tell_ok(f, 1, "CONFIG SET appendonly %s", "yes", 0, 0);
	wait_says(f, 1, "INFO persistence", "aof_rewrite_in_progress:0");
	for (size_t i = 0; i < ACCOUNTS; i++)
		dead_ones += node_of((unsigned int)i) == 1;
	assert_in_range(dead_ones, 1, ACCOUNTS - 1);
	crowd.store = open_patient(f);
	wait_back(crowd.store);
	start_crowd(&crowd);
	wait_passed(&crowd, ACCOUNTS * LIMIT / 3);
	redis_server_kill(&f->nodes[1], SIGKILL);
	wait_log(f, mem_printf(f->ctx, "Redis node 127.0.0.1:%d is away: ", f->ports[1]));
	/* a call without answer may be in a total seen already and counts once more here, until
	 * Redis says: a little too strict */
	wait_passed(&crowd, ACCOUNTS * LIMIT - CROWD);
	usleep(500000);
	assert_true(is_away(crowd.store));
	redis_server_start(&f->nodes[1],
	    mem_printf(f->ctx,
		"bind 127.0.0.1\nport %d\nappendonly yes\n"
		"appendfsync always\n" CLUSTER_LINES,
		f->ports[1]));
	end_crowd(&crowd, "Cluster, a master without replica killed");
	wait_log(f, mem_printf(f->ctx, "Redis node 127.0.0.1:%d is back after ", f->ports[1]));
	for (unsigned int i = 0; i < ACCOUNTS; i++) {
		if (node_of(i) == 1)
			charged += crowd.without[i];
		else
			assert_int_equal(crowd.without[i], 0);
		assert_int_equal(counted(&crowd, i), crowd.passed[i]);
	}
	assert_true(charged > 0);
	assert_false(log_says(f, mem_printf(f->ctx, "127.0.0.1:%d is away", f->ports[2])));
	store_close(crowd.store);
}

/* move_slot - from one master to another, key by key, while it is in use; hold: for how long in ms
 * keys lie on both sides */
static void
move_slot(struct fixture *f, unsigned int slot, size_t from, size_t to, unsigned int hold)
{
	redisReply *id_from = tell(f, from, "CLUSTER MYID"), *id_to = tell(f, to, "CLUSTER MYID"),
		   *keys;
	size_t n;

	tell_ok(f, to, mem_printf(f->ctx, "CLUSTER SETSLOT %u IMPORTING %%s", slot), id_from->str,
	    0, 0);
	tell_ok(f, from, mem_printf(f->ctx, "CLUSTER SETSLOT %u MIGRATING %%s", slot), id_to->str,
	    0, 0);
	do {
		keys = tell(f, from, "CLUSTER GETKEYSINSLOT %d 1", (int)slot);
		n = keys->elements;
		if (n > 0)
			freeReplyObject(tell(f, from, "MIGRATE 127.0.0.1 %d %s 0 5000",
			    f->ports[to], keys->element[0]->str));
		freeReplyObject(keys);
		usleep(hold * 1000);
		hold = 2;
	} while (n > 0);
	for (size_t i = 0; i < MASTERS; i++)
		tell_ok(f, (to + i) % MASTERS,
		    mem_printf(f->ctx, "CLUSTER SETSLOT %u NODE %%s", slot), id_to->str, 0, 0);
	freeReplyObject(id_from);
	freeReplyObject(id_to);
}

/*
 * Slots move under load, there and back: their accounts are decided here while keys lie on both
 * sides, all others in Redis; and every message is counted once.
 */
static void
test_cluster_moves_under_load(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f };
	bool moved[ACCOUNTS] = { false };
	int without = 0;

	be_patient(f);
	f->options.deadline_ms = 1000;
	crowd.store = open_store(f);
	wait_back(crowd.store);
	start_crowd(&crowd);
	for (unsigned int i = 0; i < ACCOUNTS; i += 3) {
		char room[64];
		const char *name = account_name(room, sizeof(room), i);
		unsigned int slot = redis_slot(name, strlen(name));
		size_t home = node_of(i);

		wait_passed(&crowd, (int)(ACCOUNTS * LIMIT / 8 * (i / 3 + 1)));
		moved[i] = true;
		move_slot(f, slot, home, (home + 1) % MASTERS, i == 0 ? 3000 : 2);
		move_slot(f, slot, (home + 1) % MASTERS, home, 2);
	}
	end_crowd(&crowd, "Cluster, slots on the move");
	for (unsigned int i = 0; i < ACCOUNTS; i++) {
		assert_int_equal(counted(&crowd, i), crowd.passed[i]);
		if (moved[i])
			without += crowd.without[i];
		else if (crowd.without[i] != 0)
			fail_msg("account %u was decided without Redis %d times: %s", i,
			    crowd.without[i], f->log);
	}
	assert_true(without > 0);
	assert_true(log_says(f, "has slots on the move: TRYAGAIN"));
	wait_log(f, "has moved its slots after ");
	assert_false(log_says(f, " is away: "));
	printf("# of the accounts whose slots moved %d messages were decided without Redis\n",
	    without);
	store_close(crowd.store);
}

/* --- Sentinel --- */

static void
test_sentinel_fails_over(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f, .store = open_store(f) };
	const char *where;

	wait_back(crowd.store);
	assert_int_equal(charge(f, crowd.store, "first", NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "redis");
	start_crowd(&crowd);
	wait_passed(&crowd, ACCOUNTS * LIMIT / 3);
	redis_server_kill(&f->nodes[0], SIGKILL);
	wait_says(f, 1, "INFO replication", "role:master");
	end_crowd(&crowd, "Sentinel, master killed");
	assert_int_equal(charge(f, crowd.store, "last", NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "redis");
	store_close(crowd.store);
}

/*
 * The master hangs, is given up, and wakes, for a moment still as a master: the calls it holds are
 * not counted twice. That it takes no more then is for min-replicas-to-write, which
 * countersign.conf(5) advises; without it all that it takes in that moment is lost with it.
 */
static void
test_sentinel_partition(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f, .store = open_store(f) };

	for (size_t i = 0; i < 2; i++) {
		tell_ok(f, i, "CONFIG SET min-replicas-max-lag %s%d", "", 2, 0);
		tell_ok(f, i, "CONFIG SET min-replicas-to-write %s%d", "", 1, 0);
	}
	wait_back(crowd.store);
	start_crowd(&crowd);
	wait_passed(&crowd, ACCOUNTS * LIMIT / 3);
	redis_server_signal(&f->nodes[0], SIGSTOP);
	wait_says(f, 1, "INFO replication", "role:master");
	redis_server_signal(&f->nodes[0], SIGCONT);
	wait_says(f, 0, "INFO replication", "role:slave");
	end_crowd(&crowd, "Sentinel, master hangs and comes back as a replica");
	store_close(crowd.store);
}

static void
test_no_sentinel(void **state)
{
	struct fixture *f = *state;
	const char *where;
	struct store *store;

	f->options.redis.master = "other";
	store = open_store(f);
	assert_int_equal(charge(f, store, "alice", NULL, &where), QUOTA_CHARGED);
	assert_string_equal(where, "local");
	assert_true(is_away(store));
	store_close(store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_redirects),
		cmocka_unit_test_setup_teardown(test_cluster, set_up_cluster, tear_down),
		cmocka_unit_test_setup_teardown(test_cluster_journal, set_up_cluster, tear_down),
		cmocka_unit_test_setup_teardown(test_cluster_moves, set_up_cluster, tear_down),
		cmocka_unit_test_setup_teardown(test_cluster_fails_over, set_up_cluster, tear_down),
		cmocka_unit_test_setup_teardown(test_cluster_addresses, set_up_cluster, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_cluster_without_one, set_up_cluster, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_cluster_moves_under_load, set_up_cluster, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_sentinel_fails_over, set_up_sentinel, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_sentinel_partition, set_up_sentinel, tear_down),
		cmocka_unit_test_setup_teardown(test_no_sentinel, set_up_sentinel, tear_down),
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
