/*
 * lists.c - what Redis has of all accounts together: which are blocked
 *
 * index.lua keeps the list under a hash tag of its own. The keeper thread reads it every few
 * seconds, off the message's path; operators' changes (changes.c) go to the list and to the
 * account's home.
 *
 * Thread rule: that of ask.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/store/ask.h"
#include "filter/store/changes.h"
#include "filter/store/lists.h"
#include "policy/base/mem.h"

#define REREAD_MS 60000 /* the blocked accounts are read whole that often, whatever their version
			 * \ */
#define MANY_OFFENCES	1000	/* that wait to be counted; and as many that are new */

/* An offence that is to be counted. A talloc root of its own. */
struct offence {
	struct offence *next;
	struct quota_plan *plan;
	struct store_block_rule rule;
	bool here;		/* it was counted in this process, because Redis is away */
	bool blocks;		/* and blocked the account */
	atomic_bool lifted;	/* the account was unblocked since: it blocks no more */
};

/* lists_blame - a call of the keeper's failed; a matter of one key alone (POOL_BROKEN) changes no
 * state */
static void
lists_blame(struct store_redis *redis, enum pool_outcome outcome, unsigned int slot,
    unsigned int part, const char *error)
{
	const struct away_place place = { .slot = slot, .part = part };

	if (outcome == POOL_ANSWERED)
		return;
	atomic_fetch_add(&redis->failed, 1);
	if (outcome != POOL_BROKEN)
		away_failed(redis->away, &place, error, clock_ms());
}

/* run_chore - one run of index.lua for the keeper: a failure is noted */
static enum pool_outcome
run_chore(struct store_redis *redis, TALLOC_CTX *ctx, struct quota_command *command, bool resend,
    redisReply **answer_r)
{
	enum pool_outcome outcome;
	unsigned int part = 0;
	const char *error;

	outcome = store_redis_run_script(redis, ctx, &redis->index, command, resend,
	    clock_ms() + redis->deadline_ms, answer_r, &part, &error);
	lists_blame(redis, outcome, redis->index_slot, part, error);
	return outcome;
}

/* lists_number_of - a number in text, 0 if there is none */
static int64_t
lists_number_of(const redisReply *element)
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

/* note_birth - a version begins with the time when the list began: if that is another one, Redis
 * has lost the list we knew, and everything with it */
static void
note_birth(struct store_redis *redis, const char *version)
{
	size_t len = strcspn(version, " ");

	if (redis->born != NULL &&
	    (strlen(redis->born) != len || strncmp(redis->born, version, len) != 0))
		atomic_fetch_add(&redis->emptied, 1);
	talloc_free(redis->born);
	redis->born = mem_strndup(redis, version, len);
}

/* take_blocks - the list as Redis has it instead of ours, unless ours changed while it was read */
static void
take_blocks(
    struct store_redis *redis, TALLOC_CTX *ctx, const redisReply *answer, unsigned long changes)
{
	size_t n = (answer->elements - 1) / 5;
	struct store_block *list = mem_array(ctx, struct store_block, n + 1);

	for (size_t i = 0; i < n; i++) {
		redisReply **at = &answer->element[1 + 5 * i];

		list[i] = (struct store_block){ .account = at[0]->str,
			.until = lists_number_of(at[1]),
			.since = lists_number_of(at[2]),
			.by = at[3]->str,
			.reason = at[4]->str };
	}
	if (!blocks_replace(redis->blocks, list, n, changes))
		return;
	away_hold_again(redis->away);
	if (redis->blocks_version != NULL &&
	    strcmp(redis->blocks_version, answer->element[0]->str) != 0)
		over_changed(redis->over);
	if (redis->blocks_version == NULL ||
	    strcmp(redis->blocks_version, answer->element[0]->str) != 0)
		away_keep_blocks(redis->away);
	note_birth(redis, answer->element[0]->str);
	talloc_free(redis->blocks_version);
	redis->blocks_version = mem_strdup(redis, answer->element[0]->str);
	redis->blocks_read = clock_ms();
}

/* renew_blocks - read the list again if it has changed */
static void
renew_blocks(struct store_redis *redis, TALLOC_CTX *ctx)
{
	int64_t now = clock_ms();
	unsigned long changes = blocks_changes(redis->blocks);
	struct quota_command *command = store_redis_index_command(redis, ctx, "blocks", 1);
	redisReply *answer;

	quota_command_push(command,
	    redis->blocks_version == NULL || now - redis->blocks_read > REREAD_MS
		? ""
		: redis->blocks_version);
	if (run_chore(redis, ctx, command, true, &answer) != POOL_ANSWERED)
		return;
	/* The same version alone means that nothing changed. */
	if (all_strings(answer, 1, 5) && (answer->elements > 1 || redis->blocks_version == NULL ||
	    strcmp(answer->element[0]->str, redis->blocks_version) != 0))
		take_blocks(redis, ctx, answer, changes);
	freeReplyObject(answer);
}

/* take_offences - those that wait */
static struct offence *
take_offences(struct store_redis *redis)
{
	struct offence *list;

	(void)pthread_mutex_lock(&redis->lock);
	list = redis->taken = redis->offences;
	redis->offences = NULL;
	redis->n_offences = 0;
	(void)pthread_mutex_unlock(&redis->lock);
	return list;
}

/* untake_offence - the first of those that were taken is taken no more */
static void
untake_offence(struct store_redis *redis)
{
	(void)pthread_mutex_lock(&redis->lock);
	redis->taken = redis->taken->next;
	(void)pthread_mutex_unlock(&redis->lock);
}

/* put_offence - one more that waits; if there are max it is dropped */
static void
put_offence(struct store_redis *redis, struct offence *offence, size_t max)
{
	(void)pthread_mutex_lock(&redis->lock);
	if (redis->n_offences < max) {
		offence->next = redis->offences;
		redis->offences = offence;
		redis->n_offences++;
		offence = NULL;
	}
	(void)pthread_mutex_unlock(&redis->lock);
	talloc_free(offence);
}

/* charge_one - charge a plan of one counter; -1: it is to be tried again. reply_r->counts is NULL
 * if Redis has no answer for this account alone. */
static int
charge_one(struct store_redis *redis, TALLOC_CTX *ctx, const struct quota_plan *plan,
    struct quota_reply *reply_r)
{
	struct away_place place = store_redis_place(redis, store_redis_slot(redis, plan->home));
	enum pool_outcome outcome;
	redisReply *answer;
	const char *error;
	int64_t stamp;

	memset(reply_r, 0, sizeof(*reply_r));
	if (!away_may_ask(redis->away, &place, clock_ms()))
		return -1;
	outcome = store_redis_run(redis, ctx, QUOTA_OP_CHARGE, plan, 0,
	    clock_ms() + redis->deadline_ms, &answer, &place.part, &error);
	lists_blame(redis, outcome, place.slot, place.part, error);
	if (outcome == POOL_BROKEN)
		return 0;	/* a matter of this account's key alone */
	if (outcome != POOL_ANSWERED)
		return -1;
	if (quota_command_read(ctx, plan, answer, reply_r, &stamp) != 0 || reply_r->n_counts != 1)
		reply_r->counts = NULL;
	freeReplyObject(answer);
	return 0;
}

/* is_one_too_many - does a counted offence block? The same thing again is no news: a block that has
 * ended must not begin again with it */
static bool
is_one_too_many(const struct offence *offence, const struct quota_reply *reply)
{
	return offence->rule.for_ms > 0 && !atomic_load(&offence->lifted) &&
	    reply->counts != NULL && reply->counts[0].cost > 0 &&
	    reply->counts[0].used > reply->counts[0].max;
}

/* block_offender - block, if an offence was one too many, or count a block that holds already;
 * -1: it failed */
static int
block_offender(struct store_redis *redis, TALLOC_CTX *ctx, const struct offence *offence)
{
	const struct quota_plan *plan = offence->plan;
	struct store_block block;
	const char *ignored;
	struct quota_reply reply;
	uint64_t nth = 1;

	if (!offence->blocks &&
	    blocks_find(redis->blocks, ctx, plan->account, clock_wall_ms(), NULL))
		return 0;
	if (offence->rule.grows > 1) {
		const struct quota_plan *blocks = quota_plan_blocks(ctx, plan, clock_wall_ms());

		if (charge_one(redis, ctx, blocks, &reply) < 0)
			return -1;
		nth = reply.counts != NULL ? reply.counts[0].used : 1;
	}
	if (offence->blocks ||
	    !blocks_offender(redis->blocks, &redis->log, plan, &offence->rule, nth) ||
	    !blocks_find(redis->blocks, ctx, plan->account, clock_wall_ms(), &block))
		return 0;
	return store_redis_block(redis, ctx, plan, &block,
	    block.until - block.since, clock_ms() + redis->deadline_ms, &ignored);
}

/* count_offence - one offence, and the block if it is one too many; -1: it is to be tried
 * again */
static int
count_offence(struct store_redis *redis, TALLOC_CTX *ctx, const struct offence *offence)
{
	struct quota_reply reply;

	if (charge_one(redis, ctx, offence->plan, &reply) < 0)
		return -1;
	if (reply.counts != NULL)
		blocks_near(redis->blocks, offence->plan, &reply);
	return offence->blocks || is_one_too_many(offence, &reply)
	    ? block_offender(redis, ctx, offence)
	    : 0;
}

/* count_here - Redis is away: count an offence in this process, once; if it is one too many the
 * account is blocked here, and elsewhere when Redis is back */
static void
count_here(struct store_redis *redis, TALLOC_CTX *ctx, struct offence *offence)
{
	const struct quota_plan *plan = offence->plan;
	struct store_block block;
	struct quota_reply reply;
	const char *ignored;

	if (offence->here || !redis->holds ||
	    !away_offence(redis->away, ctx, plan, clock_ms(), &reply))
		return;
	offence->here = true;
	if (reply.counts != NULL)
		blocks_near(redis->blocks, plan, &reply);
	if (!is_one_too_many(offence, &reply) ||
	    !blocks_offender(redis->blocks, &redis->log, plan, &offence->rule, 1) ||
	    !blocks_find(redis->blocks, ctx, plan->account, clock_wall_ms(), &block))
		return;
	offence->blocks = true;
	(void)store_redis_block(redis, ctx, plan, &block, block.until - block.since,
	    clock_ms() + redis->deadline_ms, &ignored);
}

/* store_redis_count_offences - those that wait, if Redis can be asked; the others go on
 * waiting */
void
store_redis_count_offences(struct store_redis *redis)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct offence *next;

	for (struct offence *at = take_offences(redis); at != NULL; at = next) {
		bool waits = count_offence(redis, tmp, at) < 0;

		next = at->next;
		if (waits)
			count_here(redis, tmp, at);
		untake_offence(redis);
		if (waits)
			put_offence(redis, at, MANY_OFFENCES);
		else
			talloc_free(at);
	}
	talloc_free(tmp);
}

/* store_redis_chores - the regular work */
void
store_redis_chores(struct store_redis *redis)
{
	const struct away_place place = store_redis_place(redis, redis->index_slot);
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *ignored;

	(void)redis_pool_resolve(
	    redis->pool, tmp, &ignored); /* as long as the master answers, Sentinels may be away */
	if (away_may_ask(redis->away, &place, clock_ms()))
		renew_blocks(redis, tmp);
	talloc_free(tmp);
}

/* store_redis_look_for_changes - the same, only whether others changed something by hand */
void
store_redis_look_for_changes(struct store_redis *redis)
{
	const struct away_place place = store_redis_place(redis, redis->index_slot);
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));

	if (away_may_ask(redis->away, &place, clock_ms()))
		renew_blocks(redis, tmp);
	talloc_free(tmp);
}

/* store_redis_drop_offences - those that still wait are not counted */
void
store_redis_drop_offences(struct store_redis *redis)
{
	struct offence *next;

	for (struct offence *at = take_offences(redis); at != NULL; at = next) {
		next = at->next;
		untake_offence(redis);
		talloc_free(at);
	}
}

/* lift_offences - those of an account in a list; with the lock held */
static void
lift_offences(struct offence *list, const char *account)
{
	for (struct offence *at = list; at != NULL; at = at->next)
		if (strcmp(at->plan->account, account) == 0)
			atomic_store(&at->lifted, true);
}

/* store_redis_lift_offences - those of an account that still wait block it no more */
void
store_redis_lift_offences(struct store_redis *redis, const char *account)
{
	(void)pthread_mutex_lock(&redis->lock);
	lift_offences(redis->offences, account);
	lift_offences(redis->taken, account);
	(void)pthread_mutex_unlock(&redis->lock);
}

/* store_redis_offence - an offence is to be counted */
void
store_redis_offence(
    void *impl, const struct quota_plan *plan, const struct store_block_rule *rule)
{
	struct store_redis *redis = impl;
	struct offence *offence = mem_new(NULL, struct offence);

	offence->plan = quota_plan_copy(offence, plan);
	offence->rule = *rule;
	atomic_init(&offence->lifted, false);
	put_offence(redis, offence, 2 * (size_t)MANY_OFFENCES);
	store_redis_wake(redis);
}

/* store_redis_read_blocks_again - the list is read whole with the next look */
void
store_redis_read_blocks_again(struct store_redis *redis)
{
	over_changed(redis->over);
	talloc_free(redis->blocks_version);
	redis->blocks_version = NULL;
}
