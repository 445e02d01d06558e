/*
 * blocks.c - the blocked accounts, as this process knows them
 *
 * An array in the order of names: blocked accounts are few, found by every message and changed
 * by hand or by the occasional rule. As long as there are none a message pays for
 * one atomic read.
 *
 * Thread rule: lock guards the array and the talloc tree `memory` below it; n is written
 * with the lock held and read by anybody.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/store/blocks.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define NEAR_MAX	1000	/* accounts near a block, between two looks of the journal */

struct blocks {
	pthread_mutex_t lock;
	TALLOC_CTX *memory;		/* a root of its own, because threads share it */
	struct store_block **sorted;	/* each with its strings below it */
	atomic_size_t n;
	unsigned long changes;
	struct store_near *near;	/* below memory; or NULL */
	size_t n_near;
};

/* blocks_free - talloc destructor */
static int
blocks_free(struct blocks *blocks)
{
	(void)pthread_mutex_destroy(&blocks->lock);
	talloc_free(blocks->memory);
	return 0;
}

/* blocks_new - no account is blocked */
struct blocks *
blocks_new(TALLOC_CTX *ctx)
{
	struct blocks *blocks = mem_new(ctx, struct blocks);

	(void)pthread_mutex_init(&blocks->lock, NULL);
	blocks->memory = mem_check(talloc_named_const(NULL, 0, "blocks"));
	atomic_init(&blocks->n, 0);
	talloc_set_destructor(blocks, blocks_free);
	return blocks;
}

/* blocks_offence_text - why block_on blocks */
char *
blocks_offence_text(TALLOC_CTX *ctx, const struct quota_counter *counter)
{
	const char *limit = limit_text(ctx, counter->unit, counter->max, counter->window_ms);

	switch (counter->unit) {
	case LIMIT_OVER:	/* "over 3 times per day" */
		return mem_printf(ctx, "more than %s a new message was over its limits",
		    limit + strlen("over "));
	case LIMIT_CLIENTS:
	case LIMIT_COUNTRIES:
	case LIMIT_NETWORKS:
		return mem_printf(ctx, "its mail came from more than %s", limit);
	case LIMIT_LOGINS:
		return mem_printf(ctx, "somebody guesses its password: more than %s", limit);
	case LIMIT_DUPLICATES:
		return mem_printf(ctx, "it sent one body again and again: more than %s", limit);
	case LIMIT_NEW:
		return mem_printf(ctx, "it wrote to more than %s", limit);
	case LIMIT_BOUNCES:
		return mem_printf(ctx, "its mail comes back: more than %s", limit);
	case LIMIT_USUAL:
		return mem_printf(ctx, "it sent more than %s in an hour", limit);
	case LIMIT_REFUSED:
		return mem_printf(ctx, "the MTA refused its recipients: more than %s", limit);
	default:
		return mem_printf(ctx, "more than %s %s refused", limit,
		    counter->max == 1 ? "was" : "were");
	}
}

/* blocks_clean - what an operator wrote, fit for a line */
char *
blocks_clean(TALLOC_CTX *ctx, const char *text)
{
	char *clean = mem_strndup(ctx, text, strnlen(text, STORE_TEXT_MAX));

	for (char *c = clean; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return clean;
}

/* blocks_place_of - where the account is, or would be; with the lock held */
static size_t
blocks_place_of(const struct blocks *blocks, const char *account, bool *found_r)
{
	size_t low = 0, high = atomic_load(&blocks->n);

	*found_r = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(blocks->sorted[middle]->account, account);

		if (order == 0) {
			*found_r = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* copy_block - with strings of its own */
static void
copy_block(TALLOC_CTX *ctx, const struct store_block *from, struct store_block *to)
{
	*to = *from;
	to->account = mem_strdup(ctx, from->account);
	to->reason = blocks_clean(ctx, from->reason);
	to->by = blocks_clean(ctx, from->by);
}

/* blocks_remove_at - with the lock held */
static void
blocks_remove_at(struct blocks *blocks, size_t place)
{
	size_t n = atomic_load(&blocks->n);

	talloc_free(blocks->sorted[place]);
	memmove(&blocks->sorted[place], &blocks->sorted[place + 1],
	    (n - place - 1) * sizeof(blocks->sorted[0]));
	atomic_store(&blocks->n, n - 1);
}

/* has_ended - whether a block is over */
static bool
has_ended(const struct store_block *block, int64_t now)
{
	return block->until != 0 && block->until <= now;
}

/* drop_ended - forget the blocks that are over; with the lock held */
static void
drop_ended(struct blocks *blocks, int64_t now)
{
	for (size_t i = atomic_load(&blocks->n); i-- > 0;)
		if (has_ended(blocks->sorted[i], now))
			blocks_remove_at(blocks, i);
}

/* set - with the lock held */
static bool
set(struct blocks *blocks, const struct store_block *block)
{
	struct store_block *copy;
	bool found;
	size_t place, n;

	if (atomic_load(&blocks->n) >= STORE_BLOCKS_MAX)
		drop_ended(blocks, block->since);
	place = blocks_place_of(blocks, block->account, &found);
	n = atomic_load(&blocks->n);
	if (found)
		blocks_remove_at(blocks, place);
	else if (n >= STORE_BLOCKS_MAX)
		return false;
	n = atomic_load(&blocks->n);
	if (n % 64 == 0)
		blocks->sorted =
		    mem_grow(blocks->memory, blocks->sorted, struct store_block *, n + 64);
	memmove(&blocks->sorted[place + 1], &blocks->sorted[place],
	    (n - place) * sizeof(blocks->sorted[0]));
	copy = mem_new(blocks->memory, struct store_block);
	copy_block(copy, block, copy);
	blocks->sorted[place] = copy;
	atomic_store(&blocks->n, n + 1);
	return true;
}

/* blocks_set - block, or change a block */
bool
blocks_set(struct blocks *blocks, const struct store_block *block)
{
	bool done;

	(void)pthread_mutex_lock(&blocks->lock);
	done = set(blocks, block);
	blocks->changes++;
	(void)pthread_mutex_unlock(&blocks->lock);
	return done;
}

/* blocks_remove - whether it was blocked */
bool
blocks_remove(struct blocks *blocks, const char *account, int64_t now)
{
	bool found, was;
	size_t place;

	(void)pthread_mutex_lock(&blocks->lock);
	place = blocks_place_of(blocks, account, &found);
	was = found && !has_ended(blocks->sorted[place], now);
	if (found)
		blocks_remove_at(blocks, place);
	blocks->changes++;
	(void)pthread_mutex_unlock(&blocks->lock);
	return was;
}

/* blocks_any - whether anybody is blocked */
bool
blocks_any(const struct blocks *blocks)
{
	return atomic_load(&blocks->n) > 0;
}

/* blocks_find - whether account is blocked */
bool
blocks_find(struct blocks *blocks, TALLOC_CTX *ctx, const char *account, int64_t now,
    struct store_block *block_r)
{
	bool found;
	size_t place;

	if (atomic_load(&blocks->n) == 0)
		return false;
	(void)pthread_mutex_lock(&blocks->lock);
	place = blocks_place_of(blocks, account, &found);
	found = found && !has_ended(blocks->sorted[place], now);
	if (found && block_r != NULL)
		copy_block(ctx, blocks->sorted[place], block_r);
	(void)pthread_mutex_unlock(&blocks->lock);
	return found;
}

/* blocks_list - all that are blocked */
struct store_block *
blocks_list(struct blocks *blocks, TALLOC_CTX *ctx, int64_t now, size_t *n_r)
{
	struct store_block *list;
	size_t n;

	(void)pthread_mutex_lock(&blocks->lock);
	drop_ended(blocks, now);
	n = atomic_load(&blocks->n);
	list = mem_array(ctx, struct store_block, n + 1);
	for (size_t i = 0; i < n; i++)
		copy_block(list, blocks->sorted[i], &list[i]);
	(void)pthread_mutex_unlock(&blocks->lock);
	*n_r = n;
	return list;
}

/* blocks_changes - how often a block was set or removed */
unsigned long
blocks_changes(struct blocks *blocks)
{
	unsigned long changes;

	(void)pthread_mutex_lock(&blocks->lock);
	changes = blocks->changes;
	(void)pthread_mutex_unlock(&blocks->lock);
	return changes;
}

/* blocks_replace - these instead of all before */
bool
blocks_replace(
    struct blocks *blocks, const struct store_block *list, size_t n, unsigned long changes)
{
	bool good;

	(void)pthread_mutex_lock(&blocks->lock);
	good = blocks->changes == changes;
	while (good && atomic_load(&blocks->n) > 0)
		blocks_remove_at(blocks, atomic_load(&blocks->n) - 1);
	for (size_t i = 0; i < n && good; i++)
		(void)set(blocks, &list[i]);
	(void)pthread_mutex_unlock(&blocks->lock);
	return good;
}

/* blocks_offender - an account is blocked by block_on */
bool
blocks_offender(struct blocks *blocks, const struct store_options *options,
    const struct quota_plan *offence, const struct store_block_rule *rule, uint64_t nth)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	int64_t now = clock_wall_ms(), for_ms = quota_block_length(rule->for_ms, rule->grows, nth);
	const char *why = blocks_offence_text(tmp, &offence->counters[0]);
	const struct store_block block = { .account = offence->account,
		.by = STORE_BY_SIGNS,
		.since = now,
		.until = now + for_ms,
		.reason = nth <= 1 ? why :
		    mem_printf(tmp, "%s; block %" PRIu64 " within 30 days", why, nth) };
	bool news =
	    !blocks_find(blocks, tmp, offence->account, now, NULL) && blocks_set(blocks, &block);

	if (news && options->log != NULL)
		options->log(options->log_arg, STORE_LOG_WARNING,
		    mem_printf(tmp, "%s is blocked for %" PRId64 " minute%s: %s", offence->account,
			for_ms / 60000, text_s((uint64_t)for_ms / 60000), block.reason));
	talloc_free(tmp);
	return news;
}

/* blocks_near - note that a sign reached warn_at */
void
blocks_near(struct blocks *blocks, const struct quota_plan *offence,
    const struct quota_reply *reply)
{
	TALLOC_CTX *tmp;
	struct quota_mark *marks;
	struct store_near *near;

	if (reply->counts[0].used > reply->counts[0].max)
		return;		/* the block says more */
	tmp = mem_check(talloc_new(NULL));
	if (quota_marks(tmp, offence, reply, &marks) == 1) {
		(void)pthread_mutex_lock(&blocks->lock);
		if (blocks->near == NULL)
			blocks->near = mem_array(blocks->memory, struct store_near, NEAR_MAX);
		if (blocks->n_near < NEAR_MAX) {
			near = &blocks->near[blocks->n_near++];
			near->account = mem_strdup(blocks->near, offence->account);
			near->limit = mem_strdup(blocks->near, marks[0].limit);
			near->percent = marks[0].percent;
		}
		(void)pthread_mutex_unlock(&blocks->lock);
	}
	talloc_free(tmp);
}

/* blocks_take_near - what was noted since the last call */
struct store_near *
blocks_take_near(struct blocks *blocks, TALLOC_CTX *ctx, size_t *n_r)
{
	struct store_near *near;

	(void)pthread_mutex_lock(&blocks->lock);
	near = talloc_steal(ctx, blocks->near);
	*n_r = blocks->n_near;
	blocks->near = NULL;
	blocks->n_near = 0;
	(void)pthread_mutex_unlock(&blocks->lock);
	return near;
}
