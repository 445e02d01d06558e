/*
 * store_redis.c - counts in Redis
 *
 * A message costs one round trip: EVALSHA of quota.lua, with the whole script sent only to a
 * server that does not know it yet. Any failure that says "not now" turns the state to
 * DOUBTFUL (store_away.h), and from then on messages are decided in this process until the
 * keeper thread has found Redis working again (with a write, as a full or read-only server
 * answers PING as well) and has handed over all that passed meanwhile.
 *
 * The breaker is that same state: no message waits for a Redis that is known to have failed. The
 * keeper tries at once, then with growing pauses; and where Redis passes the trial but keeps
 * failing messages, with a pause even before the trial.
 *
 * An error that concerns one command only (a key of another type, say) changes no
 * state: that message gets QUOTA_UNKNOWN, the others go on.
 *
 * Thread rule: options and digest never change after open. lock guards stop and woken; the rest
 * is in the pool and in away, which have rules of their own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "filter/quota_lua.h"
#include "filter/redis_pool.h"
#include "filter/store_away.h"
#include "filter/store_redis.h"
#include "policy/mem.h"
#include "policy/window.h"

#define BATCH		256	/* charges handed over between two looks at the world */
#define FIRST_PAUSE_MS	100	/* between trials; doubled up to ... */
#define LAST_PAUSE_MS	2000
#define CALM_MS		10000	/* UP for so long: earlier failures are forgiven */
#define MANY_DOUBTS	3	/* failures without calm between them: pause before the trial */
#define IDLE_WAIT_MS	60000
#define DIGEST_LEN	41	/* SHA-1 in hex, with NUL */

struct store_redis {
	struct redis_pool *pool;
	struct away *away;
	char *prefix;
	char digest[DIGEST_LEN];
	unsigned int deadline_ms;
	store_log_fn *log;
	void *log_arg;
	atomic_uint_fast64_t failed;

	pthread_t keeper;
	bool has_keeper;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	bool woken;		/* there is something to do */
};

/* --- the script as a command --- */

static const char *const op_names[] = {
	[QUOTA_OP_CHARGE] = "charge",
	[QUOTA_OP_READ] = "read",
	[QUOTA_OP_MERGE] = "merge",
	[QUOTA_OP_VOID] = "void",
	[QUOTA_OP_RESET] = "reset",
};

#define FIXED_ARGS	5	/* ARGV before the counters */
#define COUNTER_ARGS	7	/* ARGV for each counter */

/* push - one more argument; command->argv has room for it */
static void
push(struct quota_command *command, const char *text)
{
	command->argv[command->argc] = text;
	command->argv_len[command->argc++] = strlen(text);
}

/* push_number - one more argument, written out */
static void
push_number(struct quota_command *command, int64_t number)
{
	push(command, mem_printf(command->argv, "%" PRId64, number));
}

/* id_key - the key that remembers a charge */
static const char *
id_key(struct quota_command *command, const char *prefix, const struct quota_plan *plan)
{
	static const char hex[] = "0123456789abcdef";
	char text[2 * QUOTA_ID_LEN + 1];

	for (size_t i = 0; i < QUOTA_ID_LEN; i++) {
		text[2 * i] = hex[plan->id[i] >> 4];
		text[2 * i + 1] = hex[plan->id[i] & 15];
	}
	text[2 * QUOTA_ID_LEN] = '\0';
	return mem_printf(command->argv, "%s{%s}:i:%s", prefix, plan->home, text);
}

/* push_keys - the number of keys, and the keys */
static void
push_keys(struct quota_command *command, const char *prefix, const struct quota_plan *plan)
{
	push_number(command, (int64_t)plan->n_subjects + 1);
	push(command, id_key(command, prefix, plan));
	for (size_t i = 0; i < plan->n_subjects; i++)
		push(command, mem_printf(command->argv, "%s%s", prefix, plan->subjects[i].key));
}

/* push_counter - the arguments of one counter, as quota.lua lists them */
static void
push_counter(struct quota_command *command, const struct quota_counter *counter)
{
	push_number(command, (int64_t)counter->subject + 1);
	push(command, counter->field);
	push_number(command, counter->width_ms);
	push_number(command, (int64_t)counter->max);
	push_number(command, (int64_t)counter->cost);
	push_number(command, (int64_t)counter->one);
	push(command, counter->binding ? "1" : "0");
}

/* quota_command_make - the arguments of one run */
struct quota_command *
quota_command_make(TALLOC_CTX *ctx, const char *prefix, const char *digest, enum quota_op op,
    const struct quota_plan *plan, const int64_t *now, int64_t age_ms)
{
	struct quota_command *command = mem_new(ctx, struct quota_command);
	size_t n = 3 + 1 + plan->n_subjects + FIXED_ARGS + COUNTER_ARGS * plan->n_counters;

	command->argv = mem_array(command, const char *, n);
	command->argv_len = mem_array(command, size_t, n);
	push(command, "EVALSHA");
	push(command, digest);
	push_keys(command, prefix, plan);
	push(command, op_names[op]);
	push_number(command, QUOTA_ID_TTL_MS);
	if (now != NULL)
		push_number(command, *now);
	else
		push(command, "");
	push_number(command, age_ms);
	push_number(command, WINDOW_BUCKETS);
	for (size_t i = 0; i < plan->n_counters; i++)
		push_counter(command, &plan->counters[i]);
	return command;
}

/* all_integers - whether an answer is a list of n integers */
static bool
all_integers(const struct redisReply *answer, size_t n)
{
	if (answer->type != REDIS_REPLY_ARRAY || answer->elements != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (answer->element[i]->type != REDIS_REPLY_INTEGER)
			return false;
	return true;
}

/* state_of - the script's number for what it did */
static enum quota_state
state_of(long long number)
{
	switch (number) {
	case 0:
		return QUOTA_REFUSED;
	case 1:
	case 2:
		return QUOTA_CHARGED;
	case 4:
		return QUOTA_READ;
	default:
		return QUOTA_UNKNOWN;
	}
}

/* quota_command_read - the script's answer */
int
quota_command_read(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct redisReply *answer,
    struct quota_reply *reply_r, int64_t *stamp_r)
{
	memset(reply_r, 0, sizeof(*reply_r));
	if (!all_integers(answer, 2 + 4 * plan->n_counters)) {
		reply_r->state = QUOTA_UNKNOWN;
		return -1;
	}
	reply_r->state = state_of(answer->element[0]->integer);
	*stamp_r = answer->element[1]->integer;
	reply_r->n_counts = plan->n_counters;
	reply_r->counts = mem_array(ctx, struct quota_count, plan->n_counters);
	for (size_t i = 0; i < plan->n_counters; i++) {
		struct redisReply **at = &answer->element[2 + 4 * i];

		reply_r->counts[i].used = at[0]->integer < 0 ? 0 : (uint64_t)at[0]->integer;
		reply_r->counts[i].wait_ms = at[1]->integer;
		reply_r->counts[i].one_ms = at[2]->integer;
		reply_r->counts[i].next_ms = at[3]->integer;
	}
	return 0;
}

/* run - one run of the script within the deadline; as redis_pool_call() */
static enum pool_outcome
run(struct store_redis *redis, TALLOC_CTX *ctx, enum quota_op op, const struct quota_plan *plan,
    int64_t age_ms, int64_t deadline_ms, redisReply **answer_r, const char **error_r)
{
	struct quota_command *command = quota_command_make(ctx, redis->prefix, redis->digest, op, plan,
	    NULL, age_ms);
	enum pool_outcome outcome;

	outcome = redis_pool_call(redis->pool, ctx, command->argc, command->argv, command->argv_len,
	    true, deadline_ms, answer_r, error_r);
	if (outcome == POOL_NOSCRIPT) {
		command->argv[0] = "EVAL";
		command->argv_len[0] = 4;
		command->argv[1] = quota_lua;
		command->argv_len[1] = quota_lua_len;
		outcome = redis_pool_call(redis->pool, ctx, command->argc, command->argv,
		    command->argv_len, true, deadline_ms, answer_r, error_r);
	}
	talloc_free(command);
	return outcome;
}

/* --- the keeper thread --- */

/* wake_keeper - there is something to do */
static void
wake_keeper(struct store_redis *redis)
{
	pthread_mutex_lock(&redis->lock);
	redis->woken = true;
	pthread_cond_signal(&redis->wake);
	pthread_mutex_unlock(&redis->lock);
}

/* rest - wait for ms, or, if early, until woken; returns whether to go on */
static bool
rest(struct store_redis *redis, int64_t ms, bool early)
{
	int64_t until = store_clock_ms() + ms;
	struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
	bool go_on;

	pthread_mutex_lock(&redis->lock);
	while (!redis->stop && !(early && redis->woken))
		if (pthread_cond_timedwait(&redis->wake, &redis->lock, &at) != 0)
			break;
	redis->woken = false;
	go_on = !redis->stop;
	pthread_mutex_unlock(&redis->lock);
	return go_on;
}

/* probe - whether Redis takes a write of ours; 0, or -1 with an error */
static int
probe(struct store_redis *redis, TALLOC_CTX *ctx, const char **error_r)
{
	struct quota_plan *nothing = quota_plan_make(ctx, NULL, "", NULL, false, NULL);
	redisReply *answer;
	enum pool_outcome outcome;

	if (redis_pool_resolve(redis->pool, ctx, error_r) < 0)
		return -1;
	outcome = run(redis, ctx, QUOTA_OP_VOID, nothing, 0, store_clock_ms() + redis->deadline_ms,
	    &answer, error_r);
	freeReplyObject(answer);
	return outcome == POOL_ANSWERED ? 0 : -1;
}

/* hand_over_one - tell Redis of one charge; whether it is settled, and if not, why */
static enum pool_outcome
hand_over_one(struct store_redis *redis, TALLOC_CTX *ctx, const struct away_pending *pending,
    const char **error_r)
{
	int64_t now = store_clock_ms();
	redisReply *answer;
	enum pool_outcome outcome;

	outcome = run(redis, ctx, pending->annul ? QUOTA_OP_VOID : QUOTA_OP_MERGE, pending->plan,
	    now - pending->at, now + redis->deadline_ms, &answer, error_r);
	freeReplyObject(answer);
	return outcome;
}

/* hand_over_batch - tell Redis of some charges; 0 when there were none, -1 with an error */
static int
hand_over_batch(struct store_redis *redis, TALLOC_CTX *ctx, const char **error_r)
{
	struct away_pending *pending = away_take(redis->away, store_clock_ms(), BATCH);
	struct away_pending *next;
	int n = 0;

	for (; pending != NULL && n < BATCH; pending = next) {
		enum pool_outcome outcome = hand_over_one(redis, ctx, pending, error_r);

		if (outcome != POOL_ANSWERED && outcome != POOL_BROKEN)
			return -1;
		/* The next one may only be looked up with away's lock: mail is queueing behind it. */
		away_done(redis->away, 1, outcome == POOL_BROKEN);
		next = away_take(redis->away, store_clock_ms(), BATCH);
		n++;
	}
	return n;
}

/* come_back - try to get to UP; 0, or -1 with an error */
static int
come_back(struct store_redis *redis, TALLOC_CTX *ctx, const char **error_r)
{
	int n = 1;

	redis_pool_drop_idle(redis->pool);
	if (probe(redis, ctx, error_r) < 0)
		return -1;
	while (n > 0 || !away_is_back(redis->away, store_clock_ms())) {
		n = hand_over_batch(redis, ctx, error_r);
		if (n < 0)
			return -1;
	}
	return 0;
}

/* What the keeper remembers between trials. */
struct keeping {
	unsigned int doubts;	/* how often UP was left without calm */
	int64_t up_since;
	int64_t pause_ms;
};

/* calm_down - a pause before the trial where trials succeed and messages fail all the same */
static bool
calm_down(struct store_redis *redis, struct keeping *k)
{
	int64_t now = store_clock_ms();

	k->doubts = now - k->up_since > CALM_MS ? 1 : k->doubts + 1;
	if (k->doubts <= MANY_DOUBTS)
		return true;
	away_is_gone(redis->away, NULL, now);
	return rest(redis, FIRST_PAUSE_MS << (k->doubts < 8 ? k->doubts - MANY_DOUBTS : 4), false);
}

/* try_back - trials with pauses until Redis is back; false when it is time to stop */
static bool
try_back(struct store_redis *redis, struct keeping *k)
{
	k->pause_ms = FIRST_PAUSE_MS;
	for (;;) {
		TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
		const char *why = "unknown";
		int result = come_back(redis, tmp, &why);

		if (result < 0)
			away_is_gone(redis->away, why, store_clock_ms());
		talloc_free(tmp);
		if (result == 0)
			break;
		if (!rest(redis, k->pause_ms, false))
			return false;
		k->pause_ms = k->pause_ms * 2 > LAST_PAUSE_MS ? LAST_PAUSE_MS : k->pause_ms * 2;
	}
	k->up_since = store_clock_ms();
	return true;
}

/* first_trial - at start, so that a Redis that is down is told at once */
static bool
first_trial(struct store_redis *redis, struct keeping *k)
{
	k->up_since = store_clock_ms();
	return try_back(redis, k);
}

/* keeper - the thread */
static void *
keeper(void *arg)
{
	struct store_redis *redis = arg;
	struct keeping k = { 0 };
	bool go_on = first_trial(redis, &k);

	while (go_on) {
		if (away_state(redis->away) == AWAY_UP)
			go_on = rest(redis, IDLE_WAIT_MS, true);
		else
			go_on = calm_down(redis, &k) && try_back(redis, &k);
	}
	return NULL;
}

/* --- construction and destruction --- */

/* digest_script - the name under which Redis knows the script */
static void
digest_script(char *digest)
{
	unsigned char octets[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (EVP_Digest(quota_lua, quota_lua_len, octets, &len, EVP_sha1(), NULL) != 1)
		len = 0;	/* an unknown name only means that the script is sent each time */
	digest[0] = '\0';
	for (unsigned int i = 0; i < len && 2 * i + 2 < DIGEST_LEN; i++)
		snprintf(digest + 2 * i, 3, "%02x", octets[i]);
}

/* start_keeper - the thread, with all signals blocked: they are the first thread's */
static int
start_keeper(TALLOC_CTX *ctx, struct store_redis *redis, const char **error_r)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&redis->keeper, NULL, keeper, redis);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	redis->has_keeper = code == 0;
	if (code != 0)
		*error_r = mem_printf(ctx, "cannot start the thread that looks after Redis: %s",
		    strerror(code));
	return code == 0 ? 0 : -1;
}

/* init_locks - the condition waits by the clock that deadlines use */
static void
init_locks(struct store_redis *redis)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&redis->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&redis->wake, &attributes);
	pthread_condattr_destroy(&attributes);
}

/* store_redis_open - the store; options have their defaults filled in */
struct store_redis *
store_redis_open(TALLOC_CTX *ctx, const struct store_options *options, const char **error_r)
{
	struct store_redis *redis = mem_new(ctx, struct store_redis);
	struct redis_pool_options pool = { .server = options->server, .user = options->user,
	    .password = options->password, .database = options->database,
	    .connections = options->connections };

	init_locks(redis);
	redis->prefix = mem_strdup(redis, options->prefix);
	redis->deadline_ms = options->deadline_ms;
	redis->log = options->log;
	redis->log_arg = options->log_arg;
	atomic_init(&redis->failed, 0);
	digest_script(redis->digest);
	redis->pool = redis_pool_new(redis, &pool, error_r);
	if (redis->pool == NULL) {
		*error_r = mem_strdup(ctx, *error_r);
		store_redis_close(redis);
		return NULL;
	}
	redis->away = away_new(redis, options, options->server);
	if (start_keeper(ctx, redis, error_r) < 0) {
		store_redis_close(redis);
		return NULL;
	}
	return redis;
}

/* last_words - at the end, hand over what is queued if Redis takes it */
static void
last_words(struct store_redis *redis)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	int64_t end = store_clock_ms() + redis->deadline_ms;
	const char *error;
	int n = 1;

	if (away_take(redis->away, store_clock_ms(), 1) != NULL && probe(redis, tmp, &error) == 0)
		while (n > 0 && store_clock_ms() < end)
			n = hand_over_batch(redis, tmp, &error);
	talloc_free(tmp);
}

/* store_redis_close - end it */
void
store_redis_close(struct store_redis *redis)
{
	pthread_mutex_lock(&redis->lock);
	redis->stop = true;
	pthread_cond_signal(&redis->wake);
	pthread_mutex_unlock(&redis->lock);
	if (redis->has_keeper) {
		pthread_join(redis->keeper, NULL);
		last_words(redis);
	}
	pthread_cond_destroy(&redis->wake);
	pthread_mutex_destroy(&redis->lock);
	talloc_free(redis);
}

/* --- the message's side --- */

/* within - the caller's deadline, or the configured one where that is earlier */
static int64_t
within(const struct store_redis *redis, int64_t now, int64_t deadline_ms)
{
	int64_t own = now + redis->deadline_ms;

	return deadline_ms < own ? deadline_ms : own;
}

/* unknown - an answer for which Redis gave no help */
static void
unknown(TALLOC_CTX *ctx, const char *problem, struct quota_reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	reply->state = QUOTA_UNKNOWN;
	reply->store = "redis";
	reply->problem = mem_strdup(ctx, problem);
}

/* take_answer - Redis answered; note the totals */
static void
take_answer(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const redisReply *answer, struct quota_reply *reply)
{
	int64_t stamp;

	if (quota_command_read(ctx, plan, answer, reply, &stamp) < 0 ||
	    reply->state == QUOTA_UNKNOWN) {
		unknown(ctx, "Redis gave an answer of an unexpected form", reply);
		return;
	}
	reply->store = "redis";
	away_seen(redis->away, plan, reply, stamp, store_clock_ms());
}

/* fall_back - Redis cannot be asked now: decide here, and have it looked after */
static void
fall_back(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    bool ambiguous, const char *why, struct quota_reply *reply)
{
	int64_t now = store_clock_ms();

	away_failed(redis->away, why, now);
	away_charge(redis->away, ctx, plan, ambiguous, now, reply);
	wake_keeper(redis);
}

/* store_redis_charge - charge one message */
void
store_redis_charge(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	int64_t now = store_clock_ms();
	enum pool_outcome outcome;
	redisReply *answer;
	const char *why;

	if (away_state(redis->away) != AWAY_UP) {
		away_charge(redis->away, ctx, plan, false, now, reply_r);
		wake_keeper(redis);
		return;
	}
	outcome = run(redis, ctx, QUOTA_OP_CHARGE, plan, 0, within(redis, now, deadline_ms), &answer,
	    &why);
	if (outcome != POOL_ANSWERED)
		atomic_fetch_add(&redis->failed, 1);
	if (outcome == POOL_ANSWERED)
		take_answer(redis, ctx, plan, answer, reply_r);
	else if (outcome == POOL_BROKEN)
		unknown(ctx, why, reply_r);
	else
		fall_back(redis, ctx, plan, outcome == POOL_LOST, why, reply_r);
	freeReplyObject(answer);
}

/* store_redis_read - the counters without charging */
void
store_redis_read(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	enum pool_outcome outcome;
	redisReply *answer;
	const char *why;

	outcome = run(redis, ctx, QUOTA_OP_READ, plan, 0,
	    within(redis, store_clock_ms(), deadline_ms), &answer, &why);
	if (outcome == POOL_ANSWERED)
		take_answer(redis, ctx, plan, answer, reply_r);
	else
		unknown(ctx, why, reply_r);
	freeReplyObject(answer);
}

/* store_redis_reset - forget all counts of plan's subjects */
int
store_redis_reset(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct quota_plan bare = *plan;
	enum pool_outcome outcome;
	redisReply *answer;
	const char *why;

	bare.n_counters = 0;
	outcome = run(redis, ctx, QUOTA_OP_RESET, &bare, 0,
	    within(redis, store_clock_ms(), deadline_ms), &answer, &why);
	freeReplyObject(answer);
	if (outcome != POOL_ANSWERED) {
		*error_r = mem_printf(ctx, "Redis could not be asked: %s", why);
		return -1;
	}
	away_reset(redis->away, plan);
	return 0;
}

/* store_redis_status - how the store is doing */
void
store_redis_status(struct store_redis *redis, TALLOC_CTX *ctx, struct store_status *status)
{
	status->kind = "redis";
	status->failed = atomic_load(&redis->failed);
	away_status(redis->away, ctx, store_clock_ms(), status);
}
