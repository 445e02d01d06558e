/*
 * embedded_ops.c - the embedded store as a kind of store
 *
 * Thread rule: lock guards what the last save said; the table has locks of its own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>

#include "filter/base/clock.h"
#include "filter/store/embedded.h"
#include "filter/store/ops.h"
#include "policy/base/mem.h"

/* The embedded store and whether its last save failed. */
struct embedded_impl {
	struct embedded *table;
	struct blocks *blocks;
	const struct store_options *options;
	pthread_mutex_t lock;		/* of the next member */
	char *problem;			/* a talloc root, or NULL */
};

static void *
embedded_ops_open(TALLOC_CTX *ctx, const struct store_options *options, struct blocks *blocks,
    struct over_table *over, const char **error_r)
{
	struct embedded_impl *impl = mem_new(NULL, struct embedded_impl);

	(void)over;	/* no other filter changes anything */
	if (options->file != NULL)
		impl->table = talloc_steal(impl, (options->look_only ? embedded_peek :
		    embedded_open)(ctx, options->max_accounts, options->file, blocks,
		    clock_wall_ms(), error_r));
	else
		impl->table = embedded_new(impl, options->max_accounts, true);
	if (impl->table == NULL) {
		talloc_free(impl);
		return NULL;
	}
	impl->blocks = blocks;
	impl->options = options;
	(void)pthread_mutex_init(&impl->lock, NULL);
	return impl;
}

/* note_save - remember how the last save went; true when that is news */
static bool
note_save(struct embedded_impl *impl, const char *problem)
{
	bool news;

	(void)pthread_mutex_lock(&impl->lock);
	news = (problem == NULL) != (impl->problem == NULL);
	talloc_free(impl->problem);
	impl->problem = problem != NULL ? mem_strdup(NULL, problem) : NULL;
	(void)pthread_mutex_unlock(&impl->lock);
	return news;
}

/* embedded_ops_tick - write the file; a failure is logged when it begins and when it ends */
static void
embedded_ops_tick(void *arg)
{
	struct embedded_impl *impl = arg;
	const struct store_options *options = impl->options;
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *problem = NULL;
	int saved = embedded_save(impl->table, tmp, clock_wall_ms(), &problem);

	if (saved != 0 && note_save(impl, problem) && options->log != NULL)
		options->log(options->log_arg, problem != NULL ? STORE_LOG_ERROR : STORE_LOG_INFO,
		    problem != NULL ? problem : "the counters are saved again");
	talloc_free(tmp);
}

static void
embedded_ops_close(void *arg)
{
	struct embedded_impl *impl = arg;

	embedded_ops_tick(impl);
	talloc_free(impl->problem);
	(void)pthread_mutex_destroy(&impl->lock);
	talloc_free(impl);
}

/* embedded_ops_kind - the word of the option store */
static const char *
embedded_ops_kind(const struct embedded_impl *impl)
{
	return impl->options->file != NULL ? "file" : "embedded";
}

static void
embedded_ops_charge(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	struct embedded_impl *impl = arg;

	(void)deadline_ms;	/* nothing here waits */
	embedded_charge(impl->table, ctx, plan, clock_wall_ms(), true, reply_r);
	reply_r->store = embedded_ops_kind(impl);
}

static void
embedded_ops_read(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r)
{
	struct embedded_impl *impl = arg;

	(void)deadline_ms;
	embedded_read(impl->table, ctx, plan, clock_wall_ms(), reply_r);
	reply_r->store = embedded_ops_kind(impl);
}

static int
embedded_ops_reset(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct embedded_impl *impl = arg;

	(void)ctx;
	(void)deadline_ms;
	(void)error_r;
	return embedded_reset(impl->table, plan);
}

static int
embedded_ops_block(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct store_block *block, int64_t for_ms, int64_t deadline_ms, const char **error_r)
{
	struct embedded_impl *impl = arg;

	(void)ctx, (void)plan, (void)block, (void)for_ms, (void)deadline_ms, (void)error_r;
	embedded_touch(impl->table);	/* the list that the door keeps is the record */
	return 0;
}

static int
embedded_ops_unblock(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct embedded_impl *impl = arg;

	(void)ctx, (void)plan, (void)deadline_ms, (void)error_r;
	embedded_touch(impl->table);
	return 0;
}

static void
embedded_ops_offence(
    void *arg, const struct quota_plan *offence, const struct store_block_rule *rule)
{
	struct embedded_impl *impl = arg;
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct quota_reply reply;
	int64_t now = clock_wall_ms();
	uint64_t nth = 1;

	embedded_charge(impl->table, tmp, offence, now, false, &reply);
	blocks_near(impl->blocks, offence, &reply);
	/* the same thing again is no news: a block that has ended must not begin again with it */
	if (rule->for_ms > 0 && reply.counts[0].cost > 0 &&
	    reply.counts[0].used > reply.counts[0].max &&
	    !blocks_find(impl->blocks, tmp, offence->account, now, NULL)) {
		if (rule->grows > 1) {
			embedded_charge(impl->table, tmp, quota_plan_blocks(tmp, offence, now),
			    now, false, &reply);
			nth = reply.counts[0].used;
		}
		blocks_offender(impl->blocks, impl->options, offence, rule, nth);
	}
	talloc_free(tmp);
}

static int
embedded_ops_raise(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
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
embedded_ops_unraise(void *arg, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r)
{
	struct embedded_impl *impl = arg;

	(void)ctx, (void)deadline_ms, (void)error_r;
	return embedded_unraise(impl->table, plan, clock_wall_ms());
}

static void
embedded_ops_status(void *arg, TALLOC_CTX *ctx, struct store_status *status)
{
	struct embedded_impl *impl = arg;

	status->kind = embedded_ops_kind(impl);
	(void)pthread_mutex_lock(&impl->lock);
	if (impl->problem != NULL)
		status->problem = mem_strdup(ctx, impl->problem);
	(void)pthread_mutex_unlock(&impl->lock);
	embedded_count(impl->table, &status->accounts, &status->evicted);
}

const struct store_ops embedded_ops = {
	.open = embedded_ops_open,
	.close = embedded_ops_close,
	.charge = embedded_ops_charge,
	.read = embedded_ops_read,
	.foretell = embedded_ops_read,
	.reset = embedded_ops_reset,
	.block = embedded_ops_block,
	.unblock = embedded_ops_unblock,
	.offence = embedded_ops_offence,
	.raise = embedded_ops_raise,
	.unraise = embedded_ops_unraise,
	.tick = embedded_ops_tick,
	.status = embedded_ops_status,
};
