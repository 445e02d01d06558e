/*
 * store.c - one door to both kinds of store, and the accounts just found to be over
 *
 * A kind of store is a row of functions. What is the same for both is here: plans without
 * limits ask nobody, answers are counted for the status page, and an account whose smallest
 * message would not fit is remembered for at most three seconds, so that a client that
 * hammers on costs neither a round trip nor a body.
 *
 * Thread rule: over->lock guards the remembered accounts, their talloc tree included; the numbers
 * are atomic; everything else is fixed at open.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "filter/base/clock.h"
#include "filter/store/blocks.h"
#include "filter/store/embedded.h"
#include "filter/store/lists.h"
#include "filter/store/store.h"
#include "filter/store/store_redis.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define OVER_SLOTS	1024	/* accounts remembered as over; a newer one may displace an older */
#define OVER_MS		3000	/* for how long at most */

/* What a kind of store can do; impl is its object. */
struct store_ops {
	const char *name;
	void *(*open)(
	    TALLOC_CTX *, const struct store_options *, struct blocks *, const char **);
	void (*close)(void *impl, const struct store_options *);
	void (*charge)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t,
	    struct quota_reply *);
	void (*read)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t,
	    struct quota_reply *);
	int (*reset)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t, const char **);
	int (*block)(void *impl, TALLOC_CTX *, const struct quota_plan *,
	    const struct store_block *, int64_t for_ms, int64_t, const char **);
	int (*unblock)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t, const char **);
	void (*offence)(struct store *, const struct quota_plan *, int64_t for_ms);
	int (*raise)(void *impl, TALLOC_CTX *, const struct quota_plan *,
	    const struct quota_counter *, uint64_t max, int64_t for_ms, int64_t, const char **);
	int (*unraise)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t, const char **);
	int (*renew)(void *impl, TALLOC_CTX *,
	    const char **error_r); /* or NULL: reads no files but its own */
	void (*tick)(void *impl, const struct store_options *);
	void (*status)(void *impl, TALLOC_CTX *, struct store_status *);
};

/* One account that is over whatever it sends. */
struct over {
	char *account;		/* NULL: an empty slot */
	char *limit;
	char *subject;		/* as in struct quota_fact, or NULL */
	uint64_t used;
	uint64_t max;
	int64_t until;		/* remembered until then */
	int64_t room_at;	/* when the smallest message fits; -1 never */
};

struct over_table {
	pthread_mutex_t lock;
	TALLOC_CTX *memory;	/* a root of its own, because threads share it */
	struct over *slots;
};

struct store {
	const struct store_ops *ops;
	void *impl;
	struct store_options options;	/* with defaults filled in; strings are ours */
	struct over_table over;
	struct blocks *blocks;
	atomic_uint_fast64_t charged;
	atomic_uint_fast64_t refused;
	atomic_uint_fast64_t unknown;
};

/* --- the embedded kind --- */

/* The embedded store and whether its last save failed. */
struct embedded_impl {
	struct embedded *table;
	pthread_mutex_t lock;		/* of the next member */
	char *problem;			/* a talloc root, or NULL */
};

static void *
kind_embedded_open(TALLOC_CTX *ctx, const struct store_options *options,
    struct blocks *blocks, const char **error_r)
{
	struct embedded_impl *impl = mem_new(NULL, struct embedded_impl);

	if (options->file != NULL)
		impl->table = embedded_open(impl, options->max_accounts, options->file,
		    blocks, clock_wall_ms(), error_r);
	else
		impl->table = embedded_new(impl, options->max_accounts, true);
	if (impl->table == NULL) {
		*error_r = mem_strdup(ctx, *error_r);
		talloc_free(impl);
		return NULL;
	}
	pthread_mutex_init(&impl->lock, NULL);
	return impl;
}

/* note_save - remember how the last save went; true when that is news */
static bool
note_save(struct embedded_impl *impl, const char *problem)
{
	bool news;

	pthread_mutex_lock(&impl->lock);
	news = (problem == NULL) != (impl->problem == NULL);
	talloc_free(impl->problem);
	impl->problem = problem != NULL ? mem_strdup(NULL, problem) : NULL;
	pthread_mutex_unlock(&impl->lock);
	return news;
}

/* kind_embedded_tick - write the file; a failure is logged when it begins and when it ends */
static void
kind_embedded_tick(void *arg, const struct store_options *options)
{
	struct embedded_impl *impl = arg;
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *problem = NULL;
	int saved = embedded_save(impl->table, tmp, clock_wall_ms(), &problem);

	if (saved != 0 && note_save(impl, problem) && options->log != NULL)
		options->log(options->log_arg, problem != NULL ? STORE_LOG_ERROR : STORE_LOG_INFO,
		    problem != NULL ? problem : "the counters are saved again");
	talloc_free(tmp);
}

static void
kind_embedded_close(void *arg, const struct store_options *options)
{
	struct embedded_impl *impl = arg;

	kind_embedded_tick(impl, options);
	talloc_free(impl->problem);
	pthread_mutex_destroy(&impl->lock);
	talloc_free(impl);
}

static void
kind_embedded_charge(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	struct embedded_impl *impl = arg;

	(void)deadline_ms;	/* nothing here waits */
	embedded_charge(impl->table, ctx, plan, clock_wall_ms(), true, reply_r);
	reply_r->store = "embedded";
}

static void
kind_embedded_read(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	struct embedded_impl *impl = arg;

	(void)deadline_ms;
	embedded_read(impl->table, ctx, plan, clock_wall_ms(), reply_r);
	reply_r->store = "embedded";
}

static int
kind_embedded_reset(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct embedded_impl *impl = arg;

	(void)ctx;
	(void)deadline_ms;
	(void)error_r;
	embedded_reset(impl->table, plan);
	return 0;
}

static int
kind_embedded_block(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct store_block *block, int64_t for_ms, int64_t deadline_ms, const char **error_r)
{
	struct embedded_impl *impl = arg;

	(void)ctx, (void)plan, (void)block, (void)for_ms, (void)deadline_ms, (void)error_r;
	embedded_touch(impl->table);	/* the list that the door keeps is the record */
	return 0;
}

static int
kind_embedded_unblock(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct embedded_impl *impl = arg;

	(void)ctx, (void)plan, (void)deadline_ms, (void)error_r;
	embedded_touch(impl->table);
	return 0;
}

static void
kind_embedded_offence(struct store *store, const struct quota_plan *offence, int64_t for_ms)
{
	struct embedded_impl *impl = store->impl;
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct quota_reply reply;

	embedded_charge(impl->table, tmp, offence, clock_wall_ms(), false, &reply);
	if (reply.counts[0].used > reply.counts[0].max)
		blocks_offender(store->blocks, &store->options, offence, for_ms);
	talloc_free(tmp);
}

static int
kind_embedded_raise(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct quota_counter *counter, uint64_t max, int64_t for_ms, int64_t deadline_ms,
    const char **error_r)
{
	struct embedded_impl *impl = arg;
	int64_t now = clock_wall_ms();

	(void)ctx, (void)deadline_ms, (void)error_r;
	embedded_raise(impl->table, plan, counter, max, now + for_ms, now);
	return 0;
}

static int
kind_embedded_unraise(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct embedded_impl *impl = arg;

	(void)ctx, (void)deadline_ms, (void)error_r;
	return embedded_unraise(impl->table, plan, clock_wall_ms());
}

static void
kind_embedded_status(void *arg, TALLOC_CTX *ctx, struct store_status *status)
{
	struct embedded_impl *impl = arg;

	status->kind = "embedded";
	pthread_mutex_lock(&impl->lock);
	if (impl->problem != NULL)
		status->problem = mem_strdup(ctx, impl->problem);
	pthread_mutex_unlock(&impl->lock);
	embedded_count(impl->table, &status->accounts, &status->evicted);
}

static const struct store_ops embedded_ops = {
	.name = "embedded",
	.open = kind_embedded_open,
	.close = kind_embedded_close,
	.charge = kind_embedded_charge,
	.read = kind_embedded_read,
	.reset = kind_embedded_reset,
	.block = kind_embedded_block,
	.unblock = kind_embedded_unblock,
	.offence = kind_embedded_offence,
	.raise = kind_embedded_raise,
	.unraise = kind_embedded_unraise,
	.tick = kind_embedded_tick,
	.status = kind_embedded_status,
};

/* --- the Redis kind: only types are translated --- */

static void *
kind_redis_open(TALLOC_CTX *ctx, const struct store_options *options,
    struct blocks *blocks, const char **error_r)
{
	struct store_redis *redis = store_redis_open(NULL, options, blocks,
	    error_r);

	if (redis == NULL)
		*error_r = talloc_steal(ctx, *error_r);
	return redis;
}

static void
kind_redis_close(void *arg, const struct store_options *options)
{
	(void)options;
	store_redis_close(arg);
}

static void
kind_redis_charge(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t deadline_ms,
    struct quota_reply *reply_r)
{
	store_redis_charge(arg, ctx, plan, deadline_ms, reply_r);
}

static void
kind_redis_read(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t deadline_ms,
    struct quota_reply *reply_r)
{
	store_redis_read(arg, ctx, plan, deadline_ms, reply_r);
}

static int
kind_redis_reset(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t deadline_ms,
    const char **error_r)
{
	return store_redis_reset(arg, ctx, plan, deadline_ms, error_r);
}

static int
kind_redis_block(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct store_block *block, int64_t for_ms, int64_t deadline_ms, const char **error_r)
{
	return store_redis_block(
	    arg, ctx, plan, for_ms, block->reason, block->by, deadline_ms, error_r);
}

static int
kind_redis_unblock(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t deadline_ms,
    const char **error_r)
{
	return store_redis_unblock(arg, ctx, plan, deadline_ms, error_r);
}

static void
kind_redis_offence(struct store *store, const struct quota_plan *offence, int64_t for_ms)
{
	store_redis_offence(store->impl, offence, for_ms);
}

static int
kind_redis_raise(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct quota_counter *counter, uint64_t max, int64_t for_ms, int64_t deadline_ms,
    const char **error_r)
{
	return store_redis_raise(arg, ctx, plan, counter, max, for_ms, deadline_ms, error_r);
}

static int
kind_redis_unraise(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t deadline_ms,
    const char **error_r)
{
	return store_redis_unraise(arg, ctx, plan, deadline_ms, error_r);
}

static int
kind_redis_renew(void *arg, TALLOC_CTX *ctx, const char **error_r)
{
	return store_redis_renew(arg, ctx, error_r);
}

static void
kind_redis_tick(void *arg, const struct store_options *options)
{
	(void)arg;		/* the keeper thread does what is regular */
	(void)options;
}

static void
kind_redis_status(void *arg, TALLOC_CTX *ctx, struct store_status *status)
{
	store_redis_status(arg, ctx, status);
}

static const struct store_ops redis_ops = {
	.name = "redis",
	.open = kind_redis_open,
	.close = kind_redis_close,
	.charge = kind_redis_charge,
	.read = kind_redis_read,
	.reset = kind_redis_reset,
	.block = kind_redis_block,
	.unblock = kind_redis_unblock,
	.offence = kind_redis_offence,
	.raise = kind_redis_raise,
	.unraise = kind_redis_unraise,
	.renew = kind_redis_renew,
	.tick = kind_redis_tick,
	.status = kind_redis_status,
};

/* --- construction and destruction --- */

/* copy_options - with strings of our own and the defaults filled in */
static void
copy_options(struct store *store, const struct store_options *from)
{
	struct store_options *to = &store->options;

	*to = *from;
	to->file = mem_strdup_or_null(store, from->file);
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

/* over_init - nobody is remembered */
static void
over_init(struct over_table *over)
{
	pthread_mutex_init(&over->lock, NULL);
	over->memory = mem_check(talloc_named_const(NULL, 0, "over"));
	over->slots = mem_array(over->memory, struct over, OVER_SLOTS);
}

/* store_free - talloc destructor; accepts a store that was not opened */
static int
store_free(struct store *store)
{
	if (store->impl != NULL)
		store->ops->close(store->impl, &store->options);
	redis_options_wipe(&store->options.redis);
	pthread_mutex_destroy(&store->over.lock);
	talloc_free(store->over.memory);
	return 0;
}

/* store_open - open a store */
struct store *
store_open(TALLOC_CTX *ctx, const struct store_options *options, const char **error_r)
{
	struct store *store = mem_new(ctx, struct store);

	copy_options(store, options);
	over_init(&store->over);
	store->blocks = blocks_new(store);
	atomic_init(&store->charged, 0);
	atomic_init(&store->refused, 0);
	atomic_init(&store->unknown, 0);
	talloc_set_destructor(store, store_free);
	store->ops = options->kind == STORE_REDIS ? &redis_ops : &embedded_ops;
	if (options->kind == STORE_REDIS && options->redis.server == NULL &&
	    options->redis.sentinels == NULL)
		*error_r = mem_strdup(ctx,
		    "the Redis store has no server; write for example server = "
		    "\"unix:/run/redis/redis.sock\"");
	else
		store->impl = store->ops->open(ctx, &store->options, store->blocks, error_r);
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
	    a->max_pending == b->max_pending;
}

/* --- accounts just found to be over --- */

/* over_slot - the slot of an account; with the lock held */
static struct over *
over_slot(struct over_table *over, const char *account)
{
	uint32_t hash = 2166136261u;

	for (const char *c = account; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	return &over->slots[hash % OVER_SLOTS];
}

/* over_clear - empty a slot; with the lock held */
static void
over_clear(struct over *slot)
{
	talloc_free(slot->account);
	talloc_free(slot->limit);
	talloc_free(slot->subject);
	memset(slot, 0, sizeof(*slot));
}

/* over_remember - the account is over whatever it sends */
static void
over_remember(struct over_table *over, const struct quota_plan *plan,
    const struct quota_reply *reply)
{
	size_t fullest;
	int64_t wait = quota_one_wait(plan, reply, &fullest), now = clock_ms();
	struct quota_fact fact;
	TALLOC_CTX *tmp;
	struct over *slot;

	if (wait == 0)
		return;		/* a smaller message would fit */
	tmp = mem_check(talloc_new(NULL));
	quota_name_limit(tmp, plan, reply, fullest, &fact);
	pthread_mutex_lock(&over->lock);
	slot = over_slot(over, plan->account);
	over_clear(slot);
	slot->account = mem_strdup(over->memory, plan->account);
	slot->limit = mem_strdup(over->memory, fact.limit);
	slot->subject = mem_strdup_or_null(over->memory, fact.subject);
	slot->used = fact.used;
	slot->max = fact.max;
	slot->until = now + (wait < 0 || wait > OVER_MS ? OVER_MS : wait);
	slot->room_at = wait < 0 ? -1 : now + wait;
	pthread_mutex_unlock(&over->lock);
	talloc_free(tmp);
}

/* over_forget - the account may have room again */
static void
over_forget(struct over_table *over, const char *account)
{
	struct over *slot;

	pthread_mutex_lock(&over->lock);
	slot = over_slot(over, account);
	if (slot->account != NULL && strcmp(slot->account, account) == 0)
		over_clear(slot);
	pthread_mutex_unlock(&over->lock);
}

/* over_fact - the fact of a remembered account; with the lock held */
static void
over_fact(TALLOC_CTX *ctx, const struct over *slot, int64_t now, struct quota_fact *fact)
{
	memset(fact, 0, sizeof(*fact));
	fact->outcome = OUTCOME_FAIL;
	fact->account = mem_strdup(ctx, slot->account);
	fact->limit = mem_strdup_or_null(ctx, slot->limit);
	fact->subject = mem_strdup_or_null(ctx, slot->subject);
	fact->used = slot->used;
	fact->max = slot->max;
	fact->store = "cache";
	if (slot->room_at >= 0)
		fact->retry_after = (uint32_t)((slot->room_at - now + 999) / 1000);
	else
		fact->problem = mem_strdup(ctx, "the limit lets nothing pass");
}

/* store_known_over - whether account was just found to be over whatever it sends */
bool
store_known_over(struct store *store, TALLOC_CTX *ctx, const char *account,
    struct quota_fact *fact_r)
{
	int64_t now = clock_ms();
	struct over *slot;
	bool known;

	pthread_mutex_lock(&store->over.lock);
	slot = over_slot(&store->over, account);
	known = slot->account != NULL && slot->until > now && strcmp(slot->account, account) == 0;
	if (known)
		over_fact(ctx, slot, now, fact_r);
	pthread_mutex_unlock(&store->over.lock);
	return known;
}

/* --- the door --- */

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

	memset(reply_r, 0, sizeof(*reply_r));
	if (block != NULL && plan->block_binds) {
		reply_r->state = QUOTA_REFUSED;
		reply_r->store = "cache";
	} else if (plan->n_counters > 0)
		store->ops->charge(store->impl, ctx, plan, deadline_ms, reply_r);
	if (block != NULL)
		reply_r->block = block;
	count_answer(store, reply_r->state);
	if (reply_r->state == QUOTA_REFUSED && reply_r->block == NULL)
		over_remember(&store->over, plan, reply_r);
}

/* store_read - the counters of plan without charging */
void
store_read(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	store->ops->read(store->impl, ctx, plan, deadline_ms, reply_r);
}

/* store_reset - forget all counts of plan's account */
int
store_reset(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct quota_plan own = *plan;
	int result;

	own.n_subjects = 1;	/* the first is the account */
	own.n_counters = 0;
	result = store->ops->reset(store->impl, ctx, &own, deadline_ms, error_r);
	if (result == 0)
		over_forget(&store->over, plan->account);
	return result;
}

/* store_renew - read the files of TLS again */
int
store_renew(struct store *store, TALLOC_CTX *ctx, const char **error_r)
{
	return store->ops->renew != NULL ? store->ops->renew(store->impl, ctx, error_r) : 0;
}

/* store_tick - the regular work */
void
store_tick(struct store *store)
{
	store->ops->tick(store->impl, &store->options);
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
store_offence(struct store *store, const struct quota_plan *offence, int64_t for_ms)
{
	store->ops->offence(store, offence, for_ms);
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
		    "\"%s\" stands in for no limit of %s: the unit and the time must be "
		    "those of one of its limits (%s)",
		    limit->text, plan->account, limits_of(ctx, plan));
		return -1;
	}
	result = store->ops->raise(store->impl, ctx, plan, counter, limit->max, for_ms, deadline_ms,
	    error_r);
	if (result == 0)
		over_forget(&store->over, plan->account);
	return result;
}

/* store_unraise - the plan's own limits hold again */
int
store_unraise(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	return store->ops->unraise(store->impl, ctx, plan, deadline_ms, error_r);
}
