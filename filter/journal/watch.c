/*
 * watch.c - changes of the store that make events
 *
 * Every filter sees every block; which of them raises the event is settled in Redis (event.c), by
 * account and time of the block. A filter that saw no mail of the account leaves the event to one
 * that did, for some seconds. Blocks that are older than this process were reported by another.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/journal/unusual.h"
#include "filter/journal/watch.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define CLOCKS_DIFFER_MS	10000	/* by so much hosts may disagree on the time */
#define WITNESS_MS		5000	/* one that saw the mail raises the event by then */

struct journal_watch {
	bool away;		/* the store was, when last looked */
	bool shared;		/* by several filters, perhaps */
	uint64_t emptied;	/* how often Redis had lost what it held by then */
	int64_t started_ms;	/* UNIX time */
	TALLOC_CTX *list;	/* owns the next; its own, so that it goes with the watch */
	struct store_block *blocks; /* as of the last look, by name */
	size_t n_blocks;
};

/* journal_watch_new - nothing was seen yet */
struct journal_watch *
journal_watch_new(TALLOC_CTX *ctx)
{
	struct journal_watch *watch = mem_new(ctx, struct journal_watch);

	watch->started_ms = clock_wall_ms();
	return watch;
}

/* look_at_store - is it away, is it back? */
static void
look_at_store(
    struct journal_watch *watch, TALLOC_CTX *ctx, struct store *store, struct events *events)
{
	struct store_status status = { 0 };

	store_status(store, ctx, &status);
	if (status.away && !watch->away)
		event_raise(events, EVENT_STORE_AWAY, NULL, NULL, NULL,
		    mem_printf(ctx, "the store is unavailable: %s",
			status.problem != NULL ? status.problem : "-"),
		    NULL);
	else if (!status.away && watch->away)
		event_raise(
		    events, EVENT_STORE_BACK, NULL, NULL, NULL, "the store answers again", NULL);
	watch->away = status.away;
	watch->shared = strcmp(status.kind, "redis") == 0;
	if (status.emptied > watch->emptied)
		event_raise(events, EVENT_STORE_EMPTIED, NULL, NULL, NULL,
		    "Redis has lost what it held (FLUSHALL, eviction, or a restart without "
		    "persistence): counters, blocks and raised limits begin empty", NULL);
	watch->emptied = status.emptied;
}

/* usual_text - what is usual for a blocked account, for its event: "; usual: 6 recipients an hour",
 * or "" */
static const char *
usual_text(TALLOC_CTX *ctx, struct books *books, const char *account, json_t *details)
{
	uint64_t recipients, usual = unusual_read(books, account, clock_wall_ms(), &recipients);

	if (usual == 0)
		return "";
	json_object_set_new(details, "usual_per_hour", json_integer((json_int_t)usual));
	return mem_printf(ctx, "; usual: %" PRIu64 " recipient%s an hour", usual,
	    text_s(usual));
}

/* watch_note_block - that the account was blocked today: what it sent must not become usual */
static void
watch_note_block(TALLOC_CTX *ctx, struct books *books, const struct store_block *block)
{
	const struct daybook_delta delta = { .account = block->account, .blocks = 1 };
	const char *error = NULL;

	(void)books_add_sums(books, ctx, block->since, &delta, 1, NULL, &error);
}

/* tell_blocked - a block that was not there */
static void
tell_blocked(const struct journal_watch *watch, TALLOC_CTX *ctx,
    const struct sightings *sightings, struct books *books, struct events *events,
    const struct store_block *block)
{
	const char *reason = block->reason != NULL ? block->reason : "";
	const char *by = block->by != NULL ? block->by : "-", *seen, *usual;
	const char *word = text_shell_word(ctx, block->account);
	json_t *details;

	if (block->since < watch->started_ms - CLOCKS_DIFFER_MS)
		return;
	details = json_pack("{s:s, s:s, s:I}", "by", by, "reason", reason, "for_ms",
	    (json_int_t)(block->until > 0 ? block->until - block->since : 0));
	seen = sightings_text(sightings, ctx, block->account, clock_wall_ms(), details);
	usual = usual_text(ctx, books, block->account, details);
	watch_note_block(ctx, books, block);
	event_raise(events, EVENT_BLOCKED, "account", block->account,
	    mem_printf(ctx, "%" PRId64, block->since),
	    mem_printf(ctx,
		"%s was blocked by %s%s%s%s%s%s%s; look: countersignctl stolen %s; allow again: "
		"countersignctl unblock %s",
		block->account, by, reason[0] != '\0' ? ": " : "", reason,
		seen != NULL ? " (" : "", seen != NULL ? seen : "", seen != NULL ? ")" : "", usual,
		word != NULL ? word : "ACCOUNT", word != NULL ? word : "ACCOUNT"),
	    details);
}

/* tell_near - signs that reached warn_at of block_on */
static void
tell_near(TALLOC_CTX *ctx, struct store *store, struct events *events)
{
	size_t n;
	const struct store_near *near = store_take_near(store, ctx, &n);

	for (size_t i = 0; i < n; i++)
		event_raise(events, EVENT_SOFT_LEVEL, "account", near[i].account,
		    mem_printf(ctx, "block_on %s", near[i].limit),
		    mem_printf(ctx, "%s has reached %u%% of its block_on of %s", near[i].account,
			near[i].percent, near[i].limit),
		    json_pack("{s:i, s:s}", "percent", (int)near[i].percent, "block_on",
			near[i].limit));
}

/* tell_unblocked - a block that is no more there */
static void
tell_unblocked(TALLOC_CTX *ctx, struct events *events, const struct store_block *block)
{
	bool over = block->until > 0 && block->until <= clock_wall_ms() + CLOCKS_DIFFER_MS;

	event_raise(events, EVENT_UNBLOCKED, "account", block->account,
	    mem_printf(ctx, "%" PRId64, block->since),
	    mem_printf(ctx, over ? "the block of %s is over" : "%s was unblocked", block->account),
	    NULL);
}

/* watch_waits - is an event left to a filter that saw what the account sent? */
static bool
watch_waits(const struct journal_watch *watch, TALLOC_CTX *ctx,
    const struct sightings *sightings, const struct store_block *block)
{
	int64_t now = clock_wall_ms();
	json_t *ignored;
	bool saw;

	if (!watch->shared || now - block->since >= WITNESS_MS || block->by == NULL ||
	    strcmp(block->by, STORE_BY_SIGNS) != 0)
		return false;
	ignored = json_object();
	saw = sightings_text(sightings, ctx, block->account, now, ignored) != NULL;
	json_decref(ignored);
	return !saw;
}

/* look_at_blocks - compare two lists that are in order of names; those whose event waits are left
 * out of the new one, which is how many */
static size_t
look_at_blocks(const struct journal_watch *watch, TALLOC_CTX *ctx,
    const struct sightings *sightings, struct books *books, struct events *events,
    struct store_block *now, size_t n_now)
{
	size_t i = 0, k = 0, kept = 0;

	while (i < n_now || k < watch->n_blocks) {
		int order = i == n_now     ? 1
		    : k == watch->n_blocks ? -1
					   : strcmp(now[i].account, watch->blocks[k].account);
		bool waits = order < 0 && watch_waits(watch, ctx, sightings, &now[i]);

		if (!waits && (order < 0 ||
		    (order == 0 && now[i].since != watch->blocks[k].since)))
			tell_blocked(watch, ctx, sightings, books, events, &now[i]);
		if (order > 0)
			tell_unblocked(ctx, events, &watch->blocks[k]);
		if (order <= 0 && !waits)
			now[kept++] = now[i];
		i += order <= 0;
		k += order >= 0;
	}
	return kept;
}

/* journal_watch_look - raise what has changed since the last look */
void
journal_watch_look(struct journal_watch *watch, struct store *store,
    const struct sightings *sightings, struct books *books, struct events *events)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	TALLOC_CTX *list = mem_check(talloc_new(watch));
	struct store_block *blocks = NULL;
	size_t n = 0;

	look_at_store(watch, tmp, store, events);
	tell_near(tmp, store, events);
	store_blocked(store, list, &blocks, &n);
	n = look_at_blocks(watch, tmp, sightings, books, events, blocks, n);
	watch->blocks = blocks;
	watch->n_blocks = n;
	talloc_free(watch->list);
	watch->list = list;
	talloc_free(tmp);
}

/* journal_watch_away - was the store away at the last look? */
bool
journal_watch_away(const struct journal_watch *watch)
{
	return watch->away;
}
