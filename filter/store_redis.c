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

#include "filter/index_lua.h"
#include "filter/quota_lua.h"
#include "filter/redis_pool.h"
#include "filter/store_away.h"
#include "filter/store_redis.h"
#include "policy/mem.h"

#define BATCH		256	/* charges handed over between two looks at the world */
#define FIRST_PAUSE_MS	100	/* between trials; doubled up to ... */
#define LAST_PAUSE_MS	2000
#define CALM_MS		10000	/* UP for so long: earlier failures are forgiven */
#define MANY_DOUBTS	3	/* failures without calm between them: pause before the trial */
#define CHORES_MS	2000	/* between two reports of usage, and two looks at the blocked accounts */
#define REREAD_MS	60000	/* the blocked accounts are read whole that often, whatever their version */
#define MANY_OFFENCES	1000	/* that wait to be counted */
#define MANY_USERS	500	/* accounts in one report of usage */
#define USAGE_LIFE	"259200000" /* days' lists live that long, in ms */
#define DIGEST_LEN	41	/* SHA-1 in hex, with NUL */

/* A script, and the name under which Redis knows it. */
struct script {
	const char *text;
	size_t len;
	char digest[DIGEST_LEN];
};

/* An offence that is to be counted. A talloc root of its own. */
struct offence {
	struct offence *next;
	struct quota_plan *plan;
	int64_t for_ms;
};

struct store_redis {
	struct redis_pool *pool;
	struct away *away;
	char *prefix;
	struct script quota;
	struct script index;
	struct blocks *blocks;
	struct usage *usage;
	char *blocks_version;	/* of the list that was read last; the keeper's alone */
	int64_t blocks_read;	/* when it was read whole; likewise */
	unsigned int deadline_ms;
	struct store_options log;	/* only log and log_arg */
	atomic_uint_fast64_t failed;

	pthread_t keeper;
	bool has_keeper;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	bool woken;		/* there is something to do */
	struct offence *offences; /* the newest first */
	size_t n_offences;
};

/* --- calls --- */

/* run_script - EVALSHA, and EVAL where the server does not know the script; as redis_pool_call() */
static enum pool_outcome
run_script(struct store_redis *redis, TALLOC_CTX *ctx, const struct script *script,
    struct quota_command *command, bool resend, int64_t deadline_ms, redisReply **answer_r,
    const char **error_r)
{
	enum pool_outcome outcome;

	outcome = redis_pool_call(redis->pool, ctx, command->argc, command->argv, command->argv_len,
	    resend, deadline_ms, answer_r, error_r);
	if (outcome == POOL_NOSCRIPT) {
		command->argv[0] = "EVAL";
		command->argv_len[0] = 4;
		command->argv[1] = script->text;
		command->argv_len[1] = script->len;
		outcome = redis_pool_call(redis->pool, ctx, command->argc, command->argv,
		    command->argv_len, resend, deadline_ms, answer_r, error_r);
	}
	talloc_free(command);
	return outcome;
}

/* run - one run of quota.lua within the deadline; as redis_pool_call() */
static enum pool_outcome
run(struct store_redis *redis, TALLOC_CTX *ctx, enum quota_op op, const struct quota_plan *plan,
    int64_t age_ms, int64_t deadline_ms, redisReply **answer_r, const char **error_r)
{
	return run_script(redis, ctx, &redis->quota, quota_command_make(ctx, redis->prefix,
	    redis->quota.digest, op, plan, NULL, age_ms), true, deadline_ms, answer_r, error_r);
}

/* run_by_hand - a change by an operator; how many things it changed, or -1 with an error */
static int
run_by_hand(struct store_redis *redis, TALLOC_CTX *ctx, enum quota_op op,
    const struct quota_plan *plan, const char *const *words, size_t n, int64_t deadline_ms,
    const char **error_r)
{
	redisReply *answer;
	enum pool_outcome outcome;
	int done = -1;

	outcome = run_script(redis, ctx, &redis->quota, quota_command_by_hand(ctx, redis->prefix,
	    redis->quota.digest, op, plan, NULL, words, n), true, deadline_ms, &answer, error_r);
	if (outcome == POOL_ANSWERED) {
		done = quota_command_done(answer);
		*error_r = "Redis gave an answer of an unexpected form";
	}
	freeReplyObject(answer);
	return done;
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

/* --- the lists of all accounts (index.lua) --- */

/* push_word - one more argument; the command has room for it */
static void
push_word(struct quota_command *command, const char *word)
{
	command->argv[command->argc] = word;
	command->argv_len[command->argc++] = strlen(word);
}

/* push_int - the same, written out */
static void
push_int(struct quota_command *command, int64_t number)
{
	push_word(command, mem_printf(command->argv, "%" PRId64, number));
}

/* index_command - a run of index.lua with room for n arguments after op; day for the lists of usage */
static struct quota_command *
index_command(struct store_redis *redis, TALLOC_CTX *ctx, const char *op, int64_t day, size_t n)
{
	static const char measures[] = "rmx";
	struct quota_command *command = mem_new(ctx, struct quota_command);

	command->argv = mem_array(command, const char *, n + 8);
	command->argv_len = mem_array(command, size_t, n + 8);
	push_word(command, "EVALSHA");
	push_word(command, redis->index.digest);
	push_word(command, "4");
	push_word(command, mem_printf(command->argv, "%s{index}:blocked", redis->prefix));
	for (size_t i = 0; i < 3; i++)
		push_word(command, mem_printf(command->argv, "%s{index}:%" PRId64 ":%c", redis->prefix,
		    day, measures[i]));
	push_word(command, op);
	return command;
}

/* run_index - one run of index.lua */
static enum pool_outcome
run_index(struct store_redis *redis, TALLOC_CTX *ctx, struct quota_command *command, bool resend,
    int64_t deadline_ms, redisReply **answer_r, const char **error_r)
{
	return run_script(redis, ctx, &redis->index, command, resend, deadline_ms, answer_r, error_r);
}

/* number_of - a number in text, 0 where there is none */
static int64_t
number_of(const redisReply *element)
{
	return element->type == REDIS_REPLY_STRING ? (int64_t)strtoll(element->str, NULL, 10) : 0;
}

/* all_strings - whether an answer is a list of strings, by n after the first */
static bool
all_strings(const redisReply *answer, size_t first, size_t n)
{
	if (answer->type != REDIS_REPLY_ARRAY || answer->elements < first ||
	    (answer->elements - first) % n != 0)
		return false;
	for (size_t i = 0; i < answer->elements; i++)
		if (answer->element[i]->type != REDIS_REPLY_STRING)
			return false;
	return true;
}

/* take_blocks - the list as Redis has it instead of ours */
static void
take_blocks(struct store_redis *redis, TALLOC_CTX *ctx, const redisReply *answer)
{
	size_t n = (answer->elements - 1) / 5;
	struct store_block *list = mem_array(ctx, struct store_block, n + 1);

	for (size_t i = 0; i < n; i++) {
		redisReply **at = &answer->element[1 + 5 * i];

		list[i] = (struct store_block){ .account = at[0]->str, .until = number_of(at[1]),
		    .since = number_of(at[2]), .by = at[3]->str, .reason = at[4]->str };
	}
	blocks_replace(redis->blocks, list, n);
	talloc_free(redis->blocks_version);
	redis->blocks_version = mem_strdup(redis, answer->element[0]->str);
	redis->blocks_read = store_clock_ms();
}

/* renew_blocks - read the list again if it has changed; -1 with an error */
static int
renew_blocks(struct store_redis *redis, TALLOC_CTX *ctx, const char **error_r)
{
	int64_t now = store_clock_ms();
	struct quota_command *command = index_command(redis, ctx, "blocks", 0, 1);
	redisReply *answer;

	push_word(command, redis->blocks_version == NULL || now - redis->blocks_read > REREAD_MS ? "" :
	    redis->blocks_version);
	if (run_index(redis, ctx, command, true, now + redis->deadline_ms, &answer, error_r) !=
	    POOL_ANSWERED)
		return -1;
	/* The same version alone means that nothing changed; an empty list has the version "none". */
	if (all_strings(answer, 1, 5) && (answer->elements > 1 || redis->blocks_version == NULL ||
	    strcmp(answer->element[0]->str, redis->blocks_version) != 0))
		take_blocks(redis, ctx, answer);
	freeReplyObject(answer);
	return 0;
}

/* report_some - tell Redis of n accounts' day; -1 with an error, and they are noted again */
static int
report_some(struct store_redis *redis, TALLOC_CTX *ctx, int64_t day,
    const struct store_top_entry *list, size_t n, const char **error_r)
{
	struct quota_command *command = index_command(redis, ctx, "usage", day, 2 + 4 * n);
	enum pool_outcome outcome;
	redisReply *answer;

	push_word(command, USAGE_LIFE);
	push_int(command, STORE_TOP_MAX);
	for (size_t i = 0; i < n; i++) {
		push_word(command, list[i].account);
		push_int(command, (int64_t)list[i].recipients);
		push_int(command, (int64_t)list[i].messages);
		push_int(command, (int64_t)list[i].refused);
	}
	outcome = run_index(redis, ctx, command, false, store_clock_ms() + redis->deadline_ms, &answer,
	    error_r);
	freeReplyObject(answer);
	/* What may have been counted is not told twice. */
	for (size_t i = 0; i < n && outcome != POOL_ANSWERED && outcome != POOL_LOST; i++)
		usage_note(redis->usage, day, &list[i]);
	return outcome == POOL_ANSWERED ? 0 : -1;
}

/* report_day - tell Redis what was noted of a day; -1 with an error */
static int
report_day(struct store_redis *redis, TALLOC_CTX *ctx, int64_t day, const char **error_r)
{
	size_t n, some;
	const struct store_top_entry *list = usage_take(redis->usage, ctx, day, &n);
	int result = 0;

	for (size_t i = 0; i < n; i += some) {
		some = n - i < MANY_USERS ? n - i : MANY_USERS;
		if (result == 0)
			result = report_some(redis, ctx, day, &list[i], some, error_r);
		else
			for (size_t k = i; k < i + some; k++)
				usage_note(redis->usage, day, &list[k]);
	}
	return result;
}

/* take_offences - those that wait */
static struct offence *
take_offences(struct store_redis *redis)
{
	struct offence *list;

	pthread_mutex_lock(&redis->lock);
	list = redis->offences;
	redis->offences = NULL;
	redis->n_offences = 0;
	pthread_mutex_unlock(&redis->lock);
	return list;
}

/* put_offence - one more that waits; where there are too many it is dropped */
static void
put_offence(struct store_redis *redis, struct offence *offence)
{
	pthread_mutex_lock(&redis->lock);
	if (redis->n_offences < MANY_OFFENCES) {
		offence->next = redis->offences;
		redis->offences = offence;
		redis->n_offences++;
		offence = NULL;
	}
	pthread_mutex_unlock(&redis->lock);
	talloc_free(offence);
}

/* count_offence - one offence, and the block where it is one too many; -1 with an error */
static int
count_offence(struct store_redis *redis, TALLOC_CTX *ctx, const struct offence *offence,
    const char **error_r)
{
	int64_t deadline = store_clock_ms() + redis->deadline_ms, stamp;
	const struct quota_plan *plan = offence->plan;
	enum pool_outcome outcome;
	struct quota_reply reply;
	redisReply *answer;
	bool over;

	outcome = run(redis, ctx, QUOTA_OP_CHARGE, plan, 0, deadline, &answer, error_r);
	if (outcome == POOL_BROKEN)
		return 0;	/* a matter of this account's key alone */
	if (outcome != POOL_ANSWERED)
		return -1;
	over = quota_command_read(ctx, plan, answer, &reply, &stamp) == 0 && reply.n_counts == 1 &&
	    reply.counts[0].used > reply.counts[0].max;
	freeReplyObject(answer);
	if (!over || !blocks_offender(redis->blocks, &redis->log, plan, offence->for_ms))
		return 0;
	return store_redis_block(redis, ctx, plan, offence->for_ms, blocks_offence_text(ctx,
	    &plan->counters[0]), "block_on", deadline + redis->deadline_ms, error_r);
}

/* count_offences - all that wait; -1 with an error, and those not counted go on waiting */
static int
count_offences(struct store_redis *redis, TALLOC_CTX *ctx, const char **error_r)
{
	struct offence *next;
	int result = 0;

	for (struct offence *at = take_offences(redis); at != NULL; at = next) {
		next = at->next;
		if (result == 0)
			result = count_offence(redis, ctx, at, error_r);
		if (result < 0)
			put_offence(redis, at);
		else
			talloc_free(at);
	}
	return result;
}

/* do_chores - the regular work while Redis is there */
static void
do_chores(struct store_redis *redis)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	int64_t today = store_today();
	const char *error = NULL;

	if (redis_pool_resolve(redis->pool, tmp, &error) < 0)
		error = NULL;	/* as long as the master answers, Sentinels may be away */
	if (count_offences(redis, tmp, &error) < 0 || renew_blocks(redis, tmp, &error) < 0 || report_day(redis, tmp, today - 1, &error) < 0 ||
	    report_day(redis, tmp, today, &error) < 0) {
		atomic_fetch_add(&redis->failed, 1);
		away_failed(redis->away, error, store_clock_ms());
	}
	talloc_free(tmp);
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
		if (away_state(redis->away) == AWAY_UP) {
			do_chores(redis);
			go_on = rest(redis, CHORES_MS, true);
		} else
			go_on = calm_down(redis, &k) && try_back(redis, &k);
	}
	return NULL;
}

/* --- construction and destruction --- */

/* digest_script - the name under which Redis knows a script */
static void
digest_script(struct script *script, const char *text, size_t text_len)
{
	unsigned char octets[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	script->text = text;
	script->len = text_len;
	if (EVP_Digest(text, text_len, octets, &len, EVP_sha1(), NULL) != 1)
		len = 0;	/* an unknown name only means that the script is sent each time */
	script->digest[0] = '\0';
	for (unsigned int i = 0; i < len && 2 * i + 2 < DIGEST_LEN; i++)
		snprintf(script->digest + 2 * i, 3, "%02x", octets[i]);
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

/* find_masters - once, before mail comes */
static void
find_masters(struct store_redis *redis)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *ignored = NULL;

	(void)redis_pool_resolve(redis->pool, tmp, &ignored);
	talloc_free(tmp);
}

/* store_redis_open - the store; options have their defaults filled in */
struct store_redis *
store_redis_open(TALLOC_CTX *ctx, const struct store_options *options, struct blocks *blocks,
    struct usage *usage, const char **error_r)
{
	struct store_redis *redis = mem_new(ctx, struct store_redis);
	struct redis_pool_options pool = { .server = options->server, .sentinels = options->sentinels,
	    .master = options->master, .cluster = options->cluster, .user = options->user,
	    .password = options->password, .database = options->database,
	    .connections = options->connections };

	init_locks(redis);
	redis->prefix = mem_strdup(redis, options->prefix);
	redis->deadline_ms = options->deadline_ms;
	redis->log.log = options->log;
	redis->log.log_arg = options->log_arg;
	atomic_init(&redis->failed, 0);
	digest_script(&redis->quota, quota_lua, quota_lua_len);
	digest_script(&redis->index, index_lua, index_lua_len);
	redis->blocks = blocks;
	redis->usage = usage;
	redis->pool = redis_pool_new(redis, &pool, error_r);
	if (redis->pool == NULL) {
		*error_r = mem_strdup(ctx, *error_r);
		store_redis_close(redis);
		return NULL;
	}
	redis->away = away_new(redis, options, redis_pool_server(redis->pool));
	/* Mail may come at once. A second is worth it here; what fails, the keeper says. */
	if (options->cluster || options->sentinels != NULL)
		find_masters(redis);
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
	for (struct offence *next, *at = take_offences(redis); at != NULL; at = next) {
		next = at->next;
		talloc_free(at);
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

/* store_redis_block - in the lists, and in the home's slot for the next charge */
int
store_redis_block(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t for_ms, const char *reason, const char *by, int64_t deadline_ms, const char **error_r)
{
	const char *words[2] = { mem_printf(ctx, "%" PRId64, for_ms), reason };
	struct quota_command *command = index_command(redis, ctx, "block", 0, 5);
	bool full = false;
	redisReply *answer;

	push_word(command, plan->account);
	push_word(command, words[0]);
	push_word(command, by);
	push_word(command, reason);
	push_int(command, STORE_BLOCKS_MAX);
	if (run_index(redis, ctx, command, true, deadline_ms, &answer, error_r) != POOL_ANSWERED)
		return -1;
	full = answer->type != REDIS_REPLY_INTEGER || answer->integer != 1;
	freeReplyObject(answer);
	if (full) {
		*error_r = mem_printf(ctx, "%d accounts are blocked already", STORE_BLOCKS_MAX);
		return -1;
	}
	return run_by_hand(redis, ctx, QUOTA_OP_BLOCK, plan, words, 2, deadline_ms, error_r) < 0 ? -1 : 0;
}

/* store_redis_offence - an offence is to be counted */
void
store_redis_offence(struct store_redis *redis, const struct quota_plan *plan, int64_t for_ms)
{
	struct offence *offence = mem_new(NULL, struct offence);

	offence->plan = quota_plan_copy(offence, plan);
	offence->for_ms = for_ms;
	put_offence(redis, offence);
	wake_keeper(redis);
}

/* store_redis_unblock - the reverse */
int
store_redis_unblock(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct quota_command *command = index_command(redis, ctx, "unblock", 0, 1);
	redisReply *answer;
	int marked, listed;

	marked = run_by_hand(redis, ctx, QUOTA_OP_UNBLOCK, plan, NULL, 0, deadline_ms, error_r);
	if (marked < 0)
		return -1;
	push_word(command, plan->account);
	if (run_index(redis, ctx, command, true, deadline_ms, &answer, error_r) != POOL_ANSWERED)
		return -1;
	listed = answer->type == REDIS_REPLY_INTEGER && answer->integer > 0;
	freeReplyObject(answer);
	return marked > 0 || listed;
}

/* store_redis_raise - a limit that stands in for the plan's */
int
store_redis_raise(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct quota_counter *counter, uint64_t max, int64_t for_ms, int64_t deadline_ms,
    const char **error_r)
{
	const char *words[3] = { mem_printf(ctx, "%" PRId64, for_ms), counter->field,
	    mem_printf(ctx, "%" PRIu64, max) };

	return run_by_hand(redis, ctx, QUOTA_OP_RAISE, plan, words, 3, deadline_ms, error_r) < 0 ? -1 : 0;
}

/* store_redis_unraise - the plan's own limits hold again */
int
store_redis_unraise(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	return run_by_hand(redis, ctx, QUOTA_OP_UNRAISE, plan, NULL, 0, deadline_ms, error_r);
}

/* store_redis_top - the accounts with the most of something */
int
store_redis_top(struct store_redis *redis, TALLOC_CTX *ctx, enum store_top_by by, int64_t day,
    size_t max, int64_t deadline_ms, struct store_top_entry **list_r, size_t *n_r,
    const char **error_r)
{
	static const int orders[] = { [STORE_TOP_RECIPIENTS] = 2, [STORE_TOP_MESSAGES] = 3,
	    [STORE_TOP_REFUSED] = 4 };
	struct quota_command *command = index_command(redis, ctx, "top", day, 2);
	redisReply *answer;

	*n_r = 0;
	if (away_state(redis->away) != AWAY_UP) {
		*list_r = usage_top(redis->usage, ctx, day, by, max, n_r);
		return 0;
	}
	push_int(command, orders[by]);
	push_int(command, (int64_t)max);
	if (run_index(redis, ctx, command, true, deadline_ms, &answer, error_r) != POOL_ANSWERED)
		return -1;
	*list_r = mem_array(ctx, struct store_top_entry, answer->elements / 4 + 1);
	for (size_t i = 0; all_strings(answer, 0, 4) && i + 3 < answer->elements; i += 4) {
		redisReply **at = &answer->element[i];

		(*list_r)[(*n_r)++] = (struct store_top_entry){ .account = mem_strdup(*list_r, at[0]->str),
		    .recipients = (uint64_t)number_of(at[1]), .messages = (uint64_t)number_of(at[2]),
		    .refused = (uint64_t)number_of(at[3]) };
	}
	freeReplyObject(answer);
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
