/*
 * keeper.c - the thread that looks after Redis
 *
 * It tries at once whether a Redis that failed works again, then with growing pauses; and if
 * Redis passes the trial but keeps failing messages, with a pause even before the trial. The trial
 * is a write, as a full or read-only server answers PING as well. What passed meanwhile is handed
 * over before messages ask Redis again.
 *
 * In a Cluster each node is tried by itself, and charges are handed over to the node that has their
 * slot. They go in batches, written without waiting for answers in between: the time that charges
 * take is then Redis's own, not that of as many round trips. A batch is bounded, so that Redis
 * answers messages between two of its reads.
 *
 * Thread rule: that of ask.h; struct keeping is the thread's own, and after its end
 * that of who ended it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/store/ask.h"
#include "filter/store/changes.h"
#include "filter/store/keeper.h"
#include "filter/store/lists.h"
#include "policy/base/mem.h"

#define FIRST_BATCH	16	/* charges handed over at once; doubled and halved as they ... */
#define LAST_BATCH	512
#define BATCH_OCTETS	131072	/* of the commands; Redis looks at other clients after each 16 KB */
#define BATCH_SHARE 8 /* ... take less or more than this part of the deadline that messages have
		       * \ */
#define FIRST_PAUSE_MS	100	/* between trials; doubled up to ... */
#define LAST_PAUSE_MS	2000
#define CALM_MS		10000	/* UP for so long: earlier failures are forgiven */
#define MANY_DOUBTS	3	/* failures without calm between them: pause before the trial */
#define CHORES_MS 2000 /* between two looks at the blocked accounts */
#define LOOK_MS	200	/* the same while an account is remembered to be over */
#define HOME_TRIES	1000000	/* names tried to find one whose slot a node has */

/* What the keeper remembers of a part of Redis. */
struct watch {
	bool off;		/* it was not UP when looked at last */
	unsigned int doubts;	/* how often UP was left without calm */
	int64_t up_since;
	int64_t pause_ms;
	int64_t next_trial;
};

/* What the keeper has at hand. */
struct keeping {
	struct store_redis *redis;
	uint8_t *parts;			/* of each slot, as redis_pool_parts() gave them last */
	struct watch watches[REDIS_PARTS];
	size_t batch;			/* charges handed over at once */
	struct away_pending *taken[LAST_BATCH];
	enum away_result results[LAST_BATCH];
	struct redis_pool_command commands[LAST_BATCH];
	int64_t next_chores;
	int64_t next_look;	/* for changes by hand, while accounts are remembered to be over */
};

/* keeper_rest - wait until a time, or until woken; returns whether to go on */
static bool
keeper_rest(struct store_redis *redis, int64_t until)
{
	struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
	bool go_on;

	(void)pthread_mutex_lock(&redis->lock);
	while (!redis->stop && !redis->woken)
		if (pthread_cond_timedwait(&redis->wake, &redis->lock, &at) != 0)
			break;
	redis->woken = false;
	go_on = !redis->stop;
	(void)pthread_mutex_unlock(&redis->lock);
	return go_on;
}

/* is_stopped - whether the store is being closed */
static bool
is_stopped(struct store_redis *redis)
{
	bool stopped;

	(void)pthread_mutex_lock(&redis->lock);
	stopped = redis->stop;
	(void)pthread_mutex_unlock(&redis->lock);
	return stopped;
}

/* --- trials --- */

/* a_home - a home whose slot a part has, on ctx; "" if it has none */
static const char *
a_home(const struct keeping *k, TALLOC_CTX *ctx, unsigned int part)
{
	char home[16];

	for (unsigned int i = 0; i < HOME_TRIES; i++) {
		snprintf(home, sizeof(home), "%u", i);
		if (k->parts[store_redis_slot(k->redis, home)] == part)
			return mem_strdup(ctx, home);
	}
	return "";
}

/* has_slots - whether a part has any */
static bool
has_slots(const struct keeping *k, unsigned int part)
{
	for (unsigned int i = 0; i < redis_pool_slots(k->redis->pool); i++)
		if (k->parts[i] == part)
			return true;
	return false;
}

/* probe - whether a part takes a write of ours; 0, or -1 with an error */
static int
probe(struct keeping *k, TALLOC_CTX *ctx, unsigned int part, const char **error_r)
{
	struct store_redis *redis = k->redis;
	struct quota_plan *nothing =
	    quota_plan_make(ctx, NULL, a_home(k, ctx, part), NULL, false, NULL);
	redisReply *answer;
	enum pool_outcome outcome;

	outcome = store_redis_run(redis, ctx, QUOTA_OP_VOID, nothing, 0,
	    clock_ms() + redis->deadline_ms, &answer, NULL, error_r);
	freeReplyObject(answer);
	return outcome == POOL_ANSWERED ? 0 : -1;
}

/* --- handing over --- */

/* make_commands - of what was taken, as many as may go at once; how many */
static size_t
make_commands(struct keeping *k, TALLOC_CTX *ctx, size_t n)
{
	int64_t now = clock_ms();
	size_t octets = 0, made = 0;

	while (made < n && (made == 0 || octets < BATCH_OCTETS)) {
		const struct away_pending *pending = k->taken[made];
		const struct quota_command *made_of = quota_command_make(ctx, k->redis->prefix,
		    k->redis->quota.digest, pending->annul ? QUOTA_OP_VOID : QUOTA_OP_MERGE,
		    pending->plan, NULL, now - pending->at);

		for (int i = 0; i < made_of->argc; i++)
			octets += made_of->argv_len[i];
		k->commands[made++] = (struct redis_pool_command){
			.argc = made_of->argc, .argv = made_of->argv, .argv_len = made_of->argv_len
		};
	}
	return made;
}

/* keeper_result_of - what an outcome means for the charge */
static enum away_result
keeper_result_of(enum pool_outcome outcome)
{
	switch (outcome) {
	case POOL_ANSWERED:
		return AWAY_MERGED;
	case POOL_BROKEN:
		return AWAY_DROPPED;
	case POOL_LOST:
		return AWAY_AMBIGUOUS;
	case POOL_NOSCRIPT:
	case POOL_REFUSED:
	case POOL_NOT_SENT:
		break;
	}
	return AWAY_KEPT;
}

/* fit_batch - batches shall take long enough to be worth while, and messages shall not notice
 * them */
static void
fit_batch(struct keeping *k, int64_t took_ms)
{
	int64_t share = k->redis->deadline_ms / BATCH_SHARE;

	if (took_ms > share && k->batch > 1)
		k->batch /= 2;
	else if (took_ms < share / 2 && k->batch < LAST_BATCH)
		k->batch *= 2;
}

/* note_failures - who is to blame for charges that were kept; one of the reasons, or NULL */
static const char *
note_failures(struct keeping *k, size_t n, int64_t now)
{
	const char *why = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct redis_pool_command *command = &k->commands[i];
		const struct away_place place = { k->taken[i]->slot, command->part };

		if (k->results[i] == AWAY_MERGED || k->results[i] == AWAY_DROPPED ||
		    command->outcome == POOL_NOSCRIPT)
			continue;
		away_failed(k->redis->away, &place, command->error, now);
		if (why == NULL || command->part != REDIS_PART_SLOT)
			why = command->error;
	}
	return why;
}

/*
 * hand_over - send Redis some charges of a part (as for away_take())
 * How many were settled; 0 with *error_r NULL: there were none. *error_r is on ctx.
 */
static size_t
keeper_hand_over(struct keeping *k, TALLOC_CTX *ctx, unsigned int part, const char **error_r)
{
	struct store_redis *redis = k->redis;
	int64_t start = clock_ms(), now;
	size_t taken = away_take(redis->away, k->parts, part, start, k->batch, k->taken);
	size_t n = make_commands(k, ctx, taken), settled = 0;

	*error_r = NULL;
	if (n == 0)
		return 0;
	redis_pool_batch(redis->pool, ctx, k->commands, n, start + redis->deadline_ms);
	/* a server that was restarted does not know the script */
	if (k->commands[0].outcome == POOL_NOSCRIPT)
		k->commands[0].outcome =
		    store_redis_run(redis, ctx, k->taken[0]->annul ? QUOTA_OP_VOID : QUOTA_OP_MERGE,
			k->taken[0]->plan, start - k->taken[0]->at, start + redis->deadline_ms,
			&k->commands[0].reply, &k->commands[0].part, &k->commands[0].error);
	now = clock_ms();
	for (size_t i = 0; i < taken; i++) {
		k->results[i] = i < n ? keeper_result_of(k->commands[i].outcome) : AWAY_KEPT;
		if (k->results[i] == AWAY_MERGED || k->results[i] == AWAY_DROPPED)
			settled++;
		if (i < n)
			freeReplyObject(k->commands[i].reply);
	}
	*error_r = note_failures(k, n, now);
	away_settle(redis->away, part, k->taken, k->results, taken, now);
	fit_batch(k, now - start);
	return settled;
}

/* come_back - try to get a part to UP; 0, or -1 with an error */
static int
come_back(
    struct keeping *k, TALLOC_CTX *ctx, unsigned int part, const char *name, const char **error_r)
{
	struct store_redis *redis = k->redis;

	redis_pool_drop_idle(redis->pool, part);
	if (!has_slots(k, part)) {
		away_is_deserted(redis->away, part, name);
		return 0;
	}
	if (part == REDIS_PART_UNKNOWN)
		*error_r = "nodes of some slots are not known";
	if (part == REDIS_PART_UNKNOWN || probe(k, ctx, part, error_r) < 0)
		return -1;
	if (store_redis_hand_changes(redis, part))
		store_redis_read_blocks_again(redis);
	while (!is_stopped(redis) &&
	    !away_is_back(redis->away, k->parts, part, name, clock_ms())) {
		TALLOC_CTX *batch = mem_check(talloc_new(ctx));
		size_t settled = keeper_hand_over(k, batch, part, error_r);

		if (settled == 0 && *error_r != NULL)
			return -1;	/* the text is on batch, which is on ctx */
		talloc_free(batch);
	}
	return 0;
}

/* --- the thread --- */

/* notice - a part has just left UP: try at once, but with a pause if trials succeed and messages
 * fail all the same */
static void
notice(struct keeping *k, unsigned int part, const char *name, int64_t now)
{
	struct watch *watch = &k->watches[part];

	watch->off = true;
	watch->pause_ms = FIRST_PAUSE_MS;
	watch->next_trial = now;
	watch->doubts = now - watch->up_since > CALM_MS ? 1 : watch->doubts + 1;
	if (watch->doubts <= MANY_DOUBTS)
		return;
	away_is_gone(k->redis->away, part, name, NULL, now);
	watch->next_trial =
	    now + (FIRST_PAUSE_MS << (watch->doubts < 8 ? watch->doubts - MANY_DOUBTS : 4));
}

/* keeper_find_masters - what redis_pool_resolve() finds, once for all parts that are tried now;
 * false with a reason */
static bool
keeper_find_masters(struct keeping *k, TALLOC_CTX *ctx, const char **why_r)
{
	if (redis_pool_resolve(k->redis->pool, ctx, why_r) < 0)
		return false;
	redis_pool_parts(k->redis->pool, k->parts);
	return true;
}

/* try_part - a trial of a part; if masters could not be found (found is false), it is why */
static void
try_part(struct keeping *k, unsigned int part, bool found, const char *why)
{
	struct watch *watch = &k->watches[part];
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *name = redis_pool_part_name(k->redis->pool, tmp, part);

	if (!watch->off)
		notice(k, part, name, clock_ms());
	if (watch->next_trial <= clock_ms()) {
		if (found && come_back(k, tmp, part, name, &why) == 0) {
			watch->off = false;
			watch->up_since = clock_ms();
		} else {
			away_is_gone(k->redis->away, part, name, why, clock_ms());
			watch->next_trial = clock_ms() + watch->pause_ms;
			watch->pause_ms = watch->pause_ms * 2 > LAST_PAUSE_MS ? LAST_PAUSE_MS
									      : watch->pause_ms * 2;
		}
	}
	talloc_free(tmp);
}

/* try_slots - hand over what is queued for slots that were on the move, or whose node came back
 * before them */
static void
try_slots(struct keeping *k)
{
	struct store_redis *redis = k->redis;
	struct watch *watch = &k->watches[REDIS_PART_SLOT];
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *name = redis_pool_part_name(redis->pool, tmp, REDIS_PART_SLOT), *why = NULL;
	size_t settled = 1;

	while (settled > 0 && !is_stopped(redis))
		settled = keeper_hand_over(k, tmp, REDIS_PART_SLOT, &why);
	watch->off = !away_is_back(redis->away, k->parts, REDIS_PART_SLOT, name, clock_ms());
	watch->next_trial = watch->off ? clock_ms() + AWAY_SLOT_REST_MS : 0;
	/* a slot that moves within a moment is not worth a line in the log */
	if (watch->off && why != NULL && away_state(redis->away, REDIS_PART_SLOT) != AWAY_UP)
		away_is_gone(redis->away, REDIS_PART_SLOT, name, why, clock_ms());
	talloc_free(tmp);
}

/* keeper_is_due - whether a part is to be tried now */
static bool
keeper_is_due(const struct keeping *k, unsigned int part, int64_t now)
{
	const struct watch *watch = &k->watches[part];

	return watch->off ? watch->next_trial <= now : away_state(k->redis->away, part) != AWAY_UP;
}

/* try_parts - trials of those that are due */
static void
try_parts(struct keeping *k)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	bool asked = false, found = false;
	const char *why = NULL;

	for (unsigned int part = 0; part < REDIS_PART_SLOT && !is_stopped(k->redis); part++) {
		if (!keeper_is_due(k, part, clock_ms()))
			continue;
		if (!asked)
			found = keeper_find_masters(k, tmp, &why);
		asked = true;
		try_part(k, part, found, why);
	}
	talloc_free(tmp);
}

/* has_strays - whether try_slots() has something to do */
static bool
has_strays(const struct keeping *k)
{
	return away_state(k->redis->away, REDIS_PART_SLOT) != AWAY_UP ||
	    away_has_work(k->redis->away, k->parts, REDIS_PART_SLOT, clock_ms());
}

/* look_around - whatever is to be done now; when to look again */
static int64_t
look_around(struct keeping *k)
{
	struct store_redis *redis = k->redis;
	int64_t next, now;

	try_parts(k);
	away_keep(redis->away);
	redis_pool_parts(redis->pool, k->parts);
	if (has_strays(k) && k->watches[REDIS_PART_SLOT].next_trial <= clock_ms())
		try_slots(k);
	store_redis_count_offences(redis);
	if (k->next_chores <= clock_ms()) {
		if (store_redis_hand_changes(redis, REDIS_PARTS))
			store_redis_read_blocks_again(redis);
		store_redis_chores(redis);
		k->next_chores = clock_ms() + CHORES_MS;
		k->next_look = clock_ms() + LOOK_MS;
	} else if (over_any(redis->over) && k->next_look <= clock_ms()) {
		store_redis_look_for_changes(redis);
		k->next_look = clock_ms() + LOOK_MS;
	}
	now = clock_ms();
	next = has_strays(k) ? k->watches[REDIS_PART_SLOT].next_trial : k->next_chores;
	for (unsigned int part = 0; part < REDIS_PART_SLOT; part++) {
		if (k->watches[part].off && k->watches[part].next_trial < next)
			next = k->watches[part].next_trial;
		if (keeper_is_due(k, part, now))
			next = now;
	}
	if (over_any(redis->over) && k->next_look < next)
		next = k->next_look;
	return next < k->next_chores ? next : k->next_chores;
}

/* first_trials - of all parts that are known, so that a Redis that is down is reported at once */
static void
first_trials(struct keeping *k)
{
	int64_t now = clock_ms();

	redis_pool_parts(k->redis->pool, k->parts);
	for (unsigned int part = 0; part < REDIS_PART_SLOT; part++) {
		k->watches[part].up_since = now;
		k->watches[part].pause_ms = FIRST_PAUSE_MS;
		k->watches[part].off = has_slots(k, part);
	}
}

/* keeper - the thread */
static void *
keeper(void *arg)
{
	struct keeping *k = arg;

	first_trials(k);
	while (keeper_rest(k->redis, look_around(k)))
		continue;
	return NULL;
}

/* store_redis_start_keeper - the thread, with all signals blocked: they are the first thread's */
int
store_redis_start_keeper(TALLOC_CTX *ctx, struct store_redis *redis, const char **error_r)
{
	sigset_t all, before;
	int code;

	redis->keeping = mem_new(redis, struct keeping);
	redis->keeping->redis = redis;
	redis->keeping->parts = mem_array(redis->keeping, uint8_t, redis_pool_slots(redis->pool));
	redis->keeping->batch = FIRST_BATCH;
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&redis->keeper, NULL, keeper, redis->keeping);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
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
	struct keeping *k = redis->keeping;
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	int64_t end = clock_ms() + redis->deadline_ms;
	const char *error;

	redis_pool_parts(redis->pool, k->parts);
	for (unsigned int part = 0; part < REDIS_PART_UNKNOWN && clock_ms() < end; part++)
		if (away_has_work(redis->away, k->parts, part, clock_ms()) &&
		    probe(k, tmp, part, &error) == 0)
			while (clock_ms() < end && keeper_hand_over(k, tmp, part, &error) > 0)
				continue;
	talloc_free(tmp);
}
