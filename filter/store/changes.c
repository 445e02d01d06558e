/*
 * changes.c - what operators change in Redis: blocks and raised limits
 *
 * A change is up to three runs of a script: in the slot of the account's home, for the next charge;
 * in that of the account by itself; and in the list of all (lists.c). Each may be repeated, as it
 * has the same stamp every time: a call that got no answer may be executed late, and must not undo
 * what was changed since. The list has no stamps, and who is told that a change failed must not
 * find it made later: so a question that changes nothing goes first, and if Redis hangs, nothing
 * else is sent.
 *
 * Thread rule: that of ask.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/store/ask.h"
#include "filter/store/changes.h"
#include "policy/base/mem.h"

/* What came of an attempt. */
struct attempt {
	enum pool_outcome outcome;	/* of the last run */
	struct away_place place;	/* where that was */
	const char *error;		/* why it was not answered */
	int done;			/* how many things were changed; 0 also if late */
	bool late;			/* there is a later change */
	bool full;			/* too many accounts are blocked */
	int64_t now;			/* Redis's time; 0: not known */
};

/* --- asking Redis --- */

/* left_ms - for how long a change holds from now on; 0: no end */
static int64_t
left_ms(const struct away_change *change)
{
	int64_t left = change->until - clock_wall_ms();

	return change->until == 0 ? 0 : left < 1 ? 1 : left;
}

/* change_has_ended - whether there is nothing to hand over any more */
static bool
change_has_ended(const struct away_change *change)
{
	return change->until != 0 && change->until <= clock_wall_ms();
}

/* change_home - in the slot of plan's home; false: no more to be done */
static bool
change_home(struct store_redis *redis, TALLOC_CTX *ctx, const struct away_change *change,
    const struct quota_plan *plan, int64_t deadline_ms, struct attempt *attempt)
{
	const char *words[3] = { mem_printf(ctx, "%" PRId64, left_ms(change)),
		change->op == QUOTA_OP_BLOCK ? change->reason : change->field,
		mem_printf(ctx, "%" PRIu64, change->max) };
	size_t n = change->op == QUOTA_OP_BLOCK ? 2 : change->op == QUOTA_OP_RAISE ? 3 : 0;
	redisReply *answer;
	int done;

	attempt->place = store_redis_place(redis, store_redis_slot(redis, plan->home));
	attempt->outcome = store_redis_run_script(redis, ctx, &redis->quota,
	    quota_command_by_hand(ctx, redis->prefix, redis->quota.digest, change->op, plan, NULL,
		change->stamp, words, n),
	    true, deadline_ms, &answer, &attempt->place.part, &attempt->error);
	if (attempt->outcome != POOL_ANSWERED)
		return false;
	done = quota_command_done(answer, &attempt->late, &attempt->now);
	freeReplyObject(answer);
	if (done < 0) {
		attempt->outcome = POOL_BROKEN;
		attempt->error = "Redis gave an answer of an unexpected form";
		return false;
	}
	attempt->done += done;
	return !attempt->late;
}

/* change_list - in the list of blocked accounts; false: no more to be done */
static bool
change_list(struct store_redis *redis, TALLOC_CTX *ctx, const struct away_change *change,
    int64_t deadline_ms, struct attempt *attempt)
{
	bool block = change->op == QUOTA_OP_BLOCK;
	struct quota_command *command =
	    store_redis_index_command(redis, ctx, block ? "block" : "unblock", 6);
	redisReply *answer;

	quota_command_push(command, change->plan->account);
	if (block) {
		quota_command_push_number(command, left_ms(change));
		quota_command_push(command, change->by);
		quota_command_push(command, change->reason);
		quota_command_push_number(command, STORE_BLOCKS_MAX);
		quota_command_push_number(command, change->since);
	}
	attempt->place = store_redis_place(redis, redis->index_slot);
	attempt->outcome = store_redis_run_script(redis, ctx, &redis->index, command, true,
	    deadline_ms, &answer, &attempt->place.part, &attempt->error);
	if (attempt->outcome != POOL_ANSWERED)
		return false;
	attempt->full = block && (answer->type != REDIS_REPLY_INTEGER || answer->integer != 1);
	if (!block && answer->type == REDIS_REPLY_INTEGER && answer->integer > 0)
		attempt->done++;
	freeReplyObject(answer);
	return !attempt->full;
}

/* change_unblock - where the account may be blocked: in this home, in its own, in the list */
static void
change_unblock(struct store_redis *redis, TALLOC_CTX *ctx, const struct away_change *change,
    int64_t deadline_ms, struct attempt *attempt)
{
	const struct quota_plan *own =
	    quota_plan_make(ctx, NULL, change->plan->account, NULL, false, NULL);

	if (change_home(redis, ctx, change, change->plan, deadline_ms, attempt) &&
	    (strcmp(own->home, change->plan->home) == 0 ||
		change_home(redis, ctx, change, own, deadline_ms, attempt)))
		(void)change_list(redis, ctx, change, deadline_ms, attempt);
}

/* change_probe - ask whether Redis answers at all, where a change will go; false: no */
static bool
change_probe(struct store_redis *redis, TALLOC_CTX *ctx, const struct away_change *change,
    int64_t deadline_ms, struct attempt *attempt)
{
	struct quota_plan bare = *change->plan;
	redisReply *answer;

	memset(attempt, 0, sizeof(*attempt));
	bare.n_counters = 0;
	attempt->place = store_redis_place(redis, store_redis_slot(redis, bare.home));
	attempt->outcome = store_redis_run(redis, ctx, QUOTA_OP_READ, &bare, 0, deadline_ms,
	    &answer, &attempt->place.part, &attempt->error);
	freeReplyObject(answer);
	if (attempt->outcome != POOL_ANSWERED)
		return false;
	attempt->place = store_redis_place(redis, redis->index_slot);
	attempt->outcome = store_redis_run_script(redis, ctx, &redis->index,
	    store_redis_index_command(redis, ctx, "ping", 0), true, deadline_ms, &answer,
	    &attempt->place.part, &attempt->error);
	freeReplyObject(answer);
	return attempt->outcome == POOL_ANSWERED;
}

/* attempt_change - ask Redis for a change; one that is handed over gives way to later ones */
static void
attempt_change(struct store_redis *redis, TALLOC_CTX *ctx, const struct away_change *change,
    bool handed_over, int64_t deadline_ms, struct attempt *attempt)
{
	memset(attempt, 0, sizeof(*attempt));
	if (change->op == QUOTA_OP_UNBLOCK)
		change_unblock(redis, ctx, change, deadline_ms, attempt);
	else if (change->op != QUOTA_OP_BLOCK) {
		/* others know it after 3 seconds at the latest, so a failure does not matter */
		if (change_home(redis, ctx, change, change->plan, deadline_ms, attempt))
			(void)store_redis_touch(redis, ctx, deadline_ms);
	}
	else if (handed_over) {
		if (change_home(redis, ctx, change, change->plan, deadline_ms, attempt))
			(void)change_list(redis, ctx, change, deadline_ms, attempt);
	} else if (change_list(redis, ctx, change, deadline_ms, attempt))
		(void)change_home(redis, ctx, change, change->plan, deadline_ms, attempt);
}

/* --- what operators do --- */

/* hold_change - Redis is unavailable: it holds here, and Redis gets it later */
static int
hold_change(struct store_redis *redis, TALLOC_CTX *ctx, const struct away_change *change,
    bool lost, const char *why, const char **error_r)
{
	int done;

	if (!redis->holds) {
		*error_r = mem_printf(ctx, "Redis could not be queried: %s; %s", why,
		    lost ? "it may do so when it is back" : "nothing was changed");
		return -1;
	}
	done = away_hold(redis->away, change);
	*error_r = done < 0 ? mem_printf(ctx, "%d accounts are blocked already", STORE_BLOCKS_MAX) :
	    "Redis is away: this holds on this filter at once, and on the others when Redis is back";
	return done;
}

/* make_change - in Redis, or here while it is away; how many things it changed, or -1 and *error_r;
 * a change that is held has a text in *error_r as well */
static int
make_change(struct store_redis *redis, TALLOC_CTX *ctx, struct away_change *change,
    int64_t deadline_ms, const char **error_r)
{
	const struct away_place place =
	    store_redis_place(redis, store_redis_slot(redis, change->plan->home));
	struct attempt attempt;
	bool sent;

	change->stamp = away_stamp(redis->away, clock_ms());
	if (redis->holds && !away_may_ask(redis->away, &place, clock_ms()))
		return hold_change(redis, ctx, change, false, "it is away", error_r);
	sent = change_probe(redis, ctx, change, deadline_ms, &attempt);
	if (sent)
		attempt_change(redis, ctx, change, false, deadline_ms, &attempt);
	if (attempt.outcome == POOL_ANSWERED && attempt.late) {
		/* a clock is wrong, for nothing is later than now */
		int64_t now = attempt.now;

		change->stamp = 0;
		attempt_change(redis, ctx, change, false, deadline_ms, &attempt);
		change->stamp = now;
	}
	if (attempt.outcome == POOL_ANSWERED && !attempt.full)
		return attempt.done;
	*error_r = attempt.error;
	if (attempt.full)
		*error_r = mem_printf(ctx, "%d accounts are blocked already", STORE_BLOCKS_MAX);
	if (attempt.full || attempt.outcome == POOL_BROKEN)
		return -1;
	away_failed(redis->away, &attempt.place, attempt.error, clock_ms());
	store_redis_wake(redis);
	return hold_change(redis, ctx, change, sent && attempt.outcome == POOL_LOST, attempt.error,
	    error_r);
}

/* store_redis_block - block an account */
int
store_redis_block(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct store_block *block, int64_t for_ms, int64_t deadline_ms, const char **error_r)
{
	struct away_change change = { .op = QUOTA_OP_BLOCK,
		.plan = plan,
		.until = for_ms > 0 ? clock_wall_ms() + for_ms : 0,
		.reason = block->reason,
		.by = block->by,
		.since = block->since };

	return make_change(impl, ctx, &change, deadline_ms, error_r) < 0 ? -1 : 0;
}

/* store_redis_unblock - the reverse */
int
store_redis_unblock(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct away_change change = { .op = QUOTA_OP_UNBLOCK, .plan = plan };

	return make_change(impl, ctx, &change, deadline_ms, error_r);
}

/* store_redis_raise - a limit that stands in for the plan's */
int
store_redis_raise(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct quota_counter *counter, uint64_t max, int64_t for_ms, int64_t deadline_ms,
    const char **error_r)
{
	struct away_change change = { .op = QUOTA_OP_RAISE,
		.plan = plan,
		.until = clock_wall_ms() + for_ms,
		.field = counter->field,
		.max = max };

	return make_change(impl, ctx, &change, deadline_ms, error_r) < 0 ? -1 : 0;
}

/* store_redis_unraise - the plan's own limits hold again */
int
store_redis_unraise(void *impl, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct away_change change = { .op = QUOTA_OP_UNRAISE, .plan = plan };

	return make_change(impl, ctx, &change, deadline_ms, error_r);
}

/* --- handing over --- */

/* say_handed_over - what became of a change that was held */
static void
say_handed_over(struct store_redis *redis, const struct away_change *change, const char *what)
{
	static const char *const names[] = { [QUOTA_OP_BLOCK] = "the block",
		[QUOTA_OP_UNBLOCK] = "the end of the block",
		[QUOTA_OP_RAISE] = "the raised limit",
		[QUOTA_OP_UNRAISE] = "the end of the raised limits" };
	const char *owner = change->plan->account;	/* a subject's name is lost in the file */
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *of = quota_subject_text(tmp, change->plan->subjects[0].kind, owner);
	const char *text = mem_printf(tmp, "%s of %s, set while Redis was away, %s", names[change->op],
	    of != NULL ? of : owner, what);

	if (redis->log.log != NULL)
		redis->log.log(redis->log.log_arg, STORE_LOG_INFO, text);
	talloc_free(tmp);
}

/* hand_change - one; false: Redis is unavailable after all */
static bool
hand_change(struct store_redis *redis, TALLOC_CTX *ctx, const struct away_change *change)
{
	struct attempt attempt;

	if (change_has_ended(change)) {
		away_release(redis->away, change->number);
		return true;
	}
	attempt_change(redis, ctx, change, true, clock_ms() + redis->deadline_ms, &attempt);
	if (attempt.outcome != POOL_ANSWERED && attempt.outcome != POOL_BROKEN) {
		away_failed(redis->away, &attempt.place, attempt.error, clock_ms());
		return false;
	}
	away_release(redis->away, change->number);
	if (attempt.outcome == POOL_BROKEN)
		say_handed_over(redis, change,
		    mem_printf(ctx, "cannot be handed over: %s", attempt.error));
	else if (attempt.late)
		say_handed_over(redis, change, "is superseded by a later one of another filter");
	else if (attempt.full)
		say_handed_over(redis, change, "was handed over, but the list of blocks is full");
	else
		say_handed_over(redis, change, "was handed over");
	return true;
}

/* store_redis_hand_changes - send Redis the changes that were held */
bool
store_redis_hand_changes(struct store_redis *redis, unsigned int part)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const struct away_change *change;
	int64_t after = 0;
	bool any = false, answers = true;

	while (answers && (change = away_held(redis->away, tmp, after)) != NULL) {
		const struct away_place place =
		    store_redis_place(redis, store_redis_slot(redis, change->plan->home));

		after = change->number;
		if (part == REDIS_PARTS ? !away_may_ask(redis->away, &place, clock_ms())
					: place.part != part)
			continue;
		answers = hand_change(redis, tmp, change);
		any = true;
	}
	talloc_free(tmp);
	return any;
}
