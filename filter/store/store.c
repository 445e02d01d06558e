/*
 * store.c - one door to both kinds of store
 *
 * A kind of store is a row of functions (ops.h). What is the same for both is here: plans without
 * limits ask no server, blocked accounts and those found to be over (over.h) cost neither a round
 * trip nor a body, and answers are counted for the status page.
 *
 * Thread rule: the numbers are atomic; everything else is fixed at open.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdatomic.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/store/blocks.h"
#include "filter/store/ops.h"
#include "filter/store/over.h"
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

struct store {
	const struct store_ops *ops;
	void *impl;
	struct store_options options;	/* with defaults filled in; strings are ours */
	struct over_table *over;
	struct blocks *blocks;
	atomic_uint_fast64_t charged;
	atomic_uint_fast64_t refused;
	atomic_uint_fast64_t unknown;
	struct histogram latency;	/* of charges that were asked of ops */
};

/* --- construction and destruction --- */

/* copy_options - with strings of our own and the defaults filled in */
static void
copy_options(struct store *store, const struct store_options *from)
{
	struct store_options *to = &store->options;

	*to = *from;
	to->file = mem_strdup_or_null(store, from->file);
	to->away_file = mem_strdup_or_null(store, from->away_file);
	to->redis = redis_options_copy(store, &from->redis);
	to->prefix = mem_strdup(store, from->prefix != NULL ? from->prefix : "countersign:");
	if (to->max_accounts == 0)
		to->max_accounts = 100000;
	if (to->max_pending == 0)
		to->max_pending = 100000;
	if (to->deadline_ms == 0)
		to->deadline_ms = 200;
	if (to->connections == 0)
		to->connections = 32;
}

/* store_free - talloc destructor; accepts a store that was not opened */
static int
store_free(struct store *store)
{
	if (store->impl != NULL)
		store->ops->close(store->impl);
	redis_options_wipe(&store->options.redis);
	return 0;
}

/* store_open - open a store */
struct store *
store_open(TALLOC_CTX *ctx, const struct store_options *options, const char **error_r)
{
	struct store *store = mem_new(ctx, struct store);

	copy_options(store, options);
	store->over = over_new(store);
	store->blocks = blocks_new(store);
	atomic_init(&store->charged, 0);
	atomic_init(&store->refused, 0);
	atomic_init(&store->unknown, 0);
	talloc_set_destructor(store, store_free);
	store->ops = options->kind == STORE_REDIS ? &store_redis_ops : &embedded_ops;
	if (options->kind == STORE_REDIS && options->redis.server == NULL &&
	    options->redis.sentinels == NULL)
		*error_r = mem_strdup(ctx,
		    "the Redis store has no server; write for example server = "
		    "\"unix:/run/redis/redis.sock\"");
	else
		store->impl = store->ops->open(
		    ctx, &store->options, store->blocks, store->over, error_r);
	if (store->impl == NULL) {
		talloc_free(store);
		return NULL;
	}
	return store;
}

/* store_close - end it */
void
store_close(struct store *store)
{
	talloc_free(store);
}

/* store_options_equal - whether a reload may keep the open store */
bool
store_options_equal(const struct store_options *a, const struct store_options *b)
{
	return a->kind == b->kind && a->max_accounts == b->max_accounts &&
	    text_same(a->file, b->file) && redis_options_equal(&a->redis, &b->redis) &&
	    text_same(a->prefix, b->prefix) && a->deadline_ms == b->deadline_ms &&
	    a->connections == b->connections && a->on_away == b->on_away &&
	    a->max_pending == b->max_pending && text_same(a->away_file, b->away_file);
}

/* --- the door --- */

/* store_known_over - whether account was just found to be over whatever it sends */
bool
store_known_over(struct store *store, TALLOC_CTX *ctx, const char *account,
    const struct quota_party *parties, size_t n, struct quota_fact *fact_r)
{
	return over_find(store->over, ctx, account, parties, n, fact_r);
}

/* count_answer - for the status page */
static void
count_answer(struct store *store, enum quota_state state)
{
	switch (state) {
	case QUOTA_CHARGED:
		atomic_fetch_add(&store->charged, 1);
		return;
	case QUOTA_REFUSED:
		atomic_fetch_add(&store->refused, 1);
		return;
	case QUOTA_UNKNOWN:
		atomic_fetch_add(&store->unknown, 1);
		return;
	case QUOTA_NONE:
	case QUOTA_READ:
		return;
	}
}

/* known_block - the block of plan's account, on ctx; NULL: there is none */
static const struct quota_block *
known_block(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan)
{
	struct quota_block *block;
	struct store_block known;
	int64_t now;

	if (!blocks_any(store->blocks))
		return NULL;
	now = clock_wall_ms();
	if (!blocks_find(store->blocks, ctx, plan->account, now, &known))
		return NULL;
	block = mem_new(ctx, struct quota_block);
	block->reason = known.reason;
	block->left_ms = known.until == 0 ? -1 : known.until - now;
	return block;
}

/* store_charge - charge one message to all counters of plan, or to none */
void
store_charge(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	const struct quota_block *block = known_block(store, ctx, plan);
	unsigned int mark = over_mark(store->over);

	memset(reply_r, 0, sizeof(*reply_r));
	if (block != NULL && plan->block_binds) {
		reply_r->state = QUOTA_REFUSED;
		reply_r->store = "cache";
	} else if (plan->n_counters > 0) {
		uint64_t since = histogram_now();

		store->ops->charge(store->impl, ctx, plan, deadline_ms, reply_r);
		histogram_since(&store->latency, since);
	}
	if (block != NULL)
		reply_r->block = block;
	count_answer(store, reply_r->state);
	if (reply_r->state == QUOTA_REFUSED && reply_r->block == NULL &&
	    over_remember(store->over, plan, reply_r, mark) && store->ops->look != NULL)
		store->ops->look(store->impl);
}

/* store_event - count what happened apart from messages */
void
store_event(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	memset(reply_r, 0, sizeof(*reply_r));
	if (plan->n_counters > 0)
		store->ops->charge(store->impl, ctx, plan, deadline_ms, reply_r);
}

/* store_read - the counters of plan without charging */
void
store_read(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	store->ops->read(store->impl, ctx, plan, deadline_ms, reply_r);
}

/* store_foretell - what store_charge() would answer */
void
store_foretell(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	const struct quota_block *block = known_block(store, ctx, plan);

	memset(reply_r, 0, sizeof(*reply_r));
	if (block != NULL && plan->block_binds) {
		reply_r->state = QUOTA_REFUSED;
		reply_r->store = "cache";
	} else if (plan->n_counters > 0) {
		store->ops->foretell(store->impl, ctx, plan, deadline_ms, reply_r);
		if (reply_r->state == QUOTA_READ)
			quota_foretold(plan, true, reply_r);
	}
	if (block != NULL)
		reply_r->block = block;
}

/* store_reset - forget all counts of plan's owner */
int
store_reset(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	int result = store->ops->reset(
	    store->impl, ctx, quota_plan_owner(ctx, plan), deadline_ms, error_r);

	if (result >= 0)
		over_changed(store->over);
	return result;
}

/* store_renew - files of TLS and passwords may be new */
int
store_renew(struct store *store, TALLOC_CTX *ctx, const struct redis_passwords *passwords,
    const char **error_r)
{
	return store->ops->renew != NULL
	    ? store->ops->renew(store->impl, ctx, passwords, error_r)
	    : 0;
}

/* store_tick - the regular work */
void
store_tick(struct store *store)
{
	if (store->ops->tick != NULL)
		store->ops->tick(store->impl);
}

/* store_latency - how long charges waited */
const struct histogram *
store_latency(const struct store *store)
{
	return &store->latency;
}

/* store_status - how the store is doing */
void
store_status(struct store *store, TALLOC_CTX *ctx, struct store_status *status_r)
{
	memset(status_r, 0, sizeof(*status_r));
	store->ops->status(store->impl, ctx, status_r);
	status_r->charged = atomic_load(&store->charged);
	status_r->refused = atomic_load(&store->refused);
	status_r->unknown = atomic_load(&store->unknown);
}

/* --- what operators set, and block_on --- */

/* store_offence - count an offence */
void
store_offence(struct store *store, const struct quota_plan *offence,
    const struct store_block_rule *rule)
{
	store->ops->offence(store->impl, offence, rule);
}

/* store_block - block an account */
int
store_block(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t for_ms,
    const char *reason, const char *by, int64_t deadline_ms, const char **error_r)
{
	int64_t now = clock_wall_ms();
	const struct store_block block = { .account = plan->account, .since = now,
	    .until = for_ms > 0 ? now + for_ms : 0, .reason = blocks_clean(ctx, reason),
	    .by = blocks_clean(ctx, by) };

	if (store->ops->block(store->impl, ctx, plan, &block, for_ms > 0 ? for_ms : 0, deadline_ms,
	    error_r) < 0)
		return -1;
	if (blocks_set(store->blocks, &block))
		return 0;
	*error_r = mem_printf(ctx, "%d accounts are blocked already", STORE_BLOCKS_MAX);
	return -1;
}

/* store_unblock - let an account send again */
int
store_unblock(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	int there = store->ops->unblock(store->impl, ctx, plan, deadline_ms, error_r);

	if (there < 0)
		return -1;
	return blocks_remove(store->blocks, plan->account, clock_wall_ms()) || there > 0;
}

/* store_blocked - all blocked accounts */
void
store_blocked(struct store *store, TALLOC_CTX *ctx, struct store_block **list_r, size_t *n_r)
{
	*list_r = blocks_list(store->blocks, ctx, clock_wall_ms(), n_r);
}

/* store_take_near - the accounts that came near a block by block_on */
struct store_near *
store_take_near(struct store *store, TALLOC_CTX *ctx, size_t *n_r)
{
	return blocks_take_near(store->blocks, ctx, n_r);
}

/* store_known_block - whether account is blocked */
bool
store_known_block(struct store *store, TALLOC_CTX *ctx, const char *account,
    struct store_block *block_r)
{
	return blocks_find(store->blocks, ctx, account, clock_wall_ms(), block_r);
}

/* limits_of - the limits of plan's account, for an error text */
static const char *
limits_of(TALLOC_CTX *ctx, const struct quota_plan *plan)
{
	char *text = NULL;

	for (size_t i = 0; i < plan->n_counters; i++) {
		const struct quota_counter *counter = &plan->counters[i];

		if (counter->subject != 0 || counter->text == NULL)
			continue;
		text = text == NULL ? mem_printf(ctx, "\"%s\"", counter->text) :
		    mem_check(talloc_asprintf_append(text, ", \"%s\"", counter->text));
	}
	return text != NULL ? text : "none";
}

/* store_raise - a limit that stands in for the plan's for a time */
int
store_raise(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct limit *limit, int64_t for_ms, int64_t deadline_ms, const char **error_r)
{
	const struct quota_counter *counter =
	    limit->unlimited ? NULL : quota_find_limit(plan, limit);
	int result;

	if (counter == NULL) {
		*error_r = mem_printf(ctx,
		    "\"%s\" replaces no limit of %s: unit and window must be those of one of its "
		    "limits (%s)",
		    limit->text,
		    quota_owner_text(ctx, plan->subjects[0].kind, plan->subjects[0].name),
		    limits_of(ctx, plan));
		return -1;
	}
	result = store->ops->raise(store->impl, ctx, plan, counter, limit->max, for_ms, deadline_ms,
	    error_r);
	if (result == 0)
		over_changed(store->over);
	return result;
}

/* store_unraise - the plan's own limits hold again */
int
store_unraise(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	int n = store->ops->unraise(store->impl, ctx, plan, deadline_ms, error_r);

	if (n >= 0)
		over_changed(store->over);
	return n;
}
