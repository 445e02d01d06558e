/*
 * store_redis_keeper.c - the thread that looks after Redis
 *
 * It tries at once whether a Redis that failed works again, then with growing pauses; and where Redis passes
 * the trial but keeps failing messages, with a pause even before the trial. The trial is a write, as a full
 * or read-only server answers PING as well. What passed meanwhile is handed over before messages ask Redis again.
 *
 * Thread rule: that of store_redis_inside.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "filter/store_redis_inside.h"
#include "policy/mem.h"

#define BATCH		256	/* charges handed over between two looks at the world */
#define FIRST_PAUSE_MS	100	/* between trials; doubled up to ... */
#define LAST_PAUSE_MS	2000
#define CALM_MS		10000	/* UP for so long: earlier failures are forgiven */
#define MANY_DOUBTS	3	/* failures without calm between them: pause before the trial */
#define CHORES_MS	2000	/* between two reports of usage, and two looks at the blocked accounts */

/* store_redis_wake - there is something to do */
void
store_redis_wake(struct store_redis *redis)
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
	outcome = store_redis_run(redis, ctx, QUOTA_OP_VOID, nothing, 0, store_clock_ms() + redis->deadline_ms,
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

	outcome = store_redis_run(redis, ctx, pending->annul ? QUOTA_OP_VOID : QUOTA_OP_MERGE, pending->plan,
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
		if (away_state(redis->away) == AWAY_UP) {
			store_redis_chores(redis);
			go_on = rest(redis, CHORES_MS, true);
		} else
			go_on = calm_down(redis, &k) && try_back(redis, &k);
	}
	return NULL;
}

/* store_redis_start_keeper - the thread, with all signals blocked: they are the first thread's */
int
store_redis_start_keeper(TALLOC_CTX *ctx, struct store_redis *redis, const char **error_r)
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

/* store_redis_last_words - at the end, hand over what is queued if Redis takes it */
void
store_redis_last_words(struct store_redis *redis)
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
