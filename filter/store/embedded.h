/*
 * embedded.h - counts in this process
 *
 * A bounded table of subjects with the windows of their counters. It serves as the
 * embedded store, with a file, and as the memory of local mode (away.h), with
 * baselines: totals last seen in Redis, which count whole until they are a window old.
 *
 * Threads: any number at once; the table is split into shards, each under its lock. A
 * plan's subjects share a home, so one message needs one shard and is atomic.
 * now is milliseconds of one clock: CLOCK_REALTIME for a table with a file,
 * for local mode what away.c makes of CLOCK_MONOTONIC.
 */
#ifndef FILTER_STORE_EMBEDDED_H
#define FILTER_STORE_EMBEDDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/store/blocks.h"
#include "policy/quota/quota.h"

struct embedded;

/*
 * embedded_new - an empty table of at most max_accounts subjects (1 at least)
 * remember_ids: whether charges are recognised when asked twice. A talloc child of ctx.
 */
struct embedded *embedded_new(TALLOC_CTX *ctx, size_t max_accounts, bool remember_ids);

/*
 * embedded_open - a table that is kept in a file, together with blocks (may be NULL)
 * Loads what is there; a missing file is an empty table. Returns NULL and *error_r (on ctx)
 * when the file is torn, is none of ours, cannot be read, or is in use by another process; nothing
 * is half-read. now is CLOCK_REALTIME milliseconds: what has left its window is not loaded.
 */
struct embedded *embedded_open(TALLOC_CTX *ctx, size_t max_accounts, const char *file,
    struct blocks *blocks, int64_t now, const char **error_r);

/* embedded_peek - as embedded_open(), of a file that may be in use; the table is saved nowhere */
struct embedded *embedded_peek(TALLOC_CTX *ctx, size_t max_accounts, const char *file,
    struct blocks *blocks, int64_t now, const char **error_r);

/* embedded_touch - blocks have changed: the next embedded_save() has something to write */
void embedded_touch(struct embedded *table);

/*
 * embedded_save - write the file if counts changed since the last time
 * Whole or not at all: a temporary file next to it, fsync, rename. Returns 1 when it was written, 0
 * when there was nothing to write (or no file is named), -1 and *error_r (on ctx).
 */
int embedded_save(struct embedded *table, TALLOC_CTX *ctx, int64_t now, const char **error_r);

/*
 * embedded_text - what counts of the subject of a key, as lines for embedded_load(); a talloc root,
 * or NULL: nothing does
 */
char *embedded_text(struct embedded *table, const char *key, int64_t now);

/* Where embedded_walk() goes on; zeros at first. */
struct embedded_cursor {
	size_t shard;
	size_t bucket;
};

/* text as that of embedded_text(); both live until it returns */
typedef void embedded_each_fn(void *arg, const char *key, const char *text);

/* embedded_walk - embedded_text() of the next few dozen subjects; false when these were the last */
bool embedded_walk(struct embedded *table, struct embedded_cursor *cursor, int64_t now,
    embedded_each_fn *each, void *arg);

/*
 * embedded_load - count again what embedded_text() gave; text is changed
 * Before anybody else knows the table. False: these are no such lines.
 */
bool embedded_load(struct embedded *table, char *text, int64_t now);

/*
 * embedded_charge - charge all counters of plan or none
 * refuse: false lets binding limits be exceeded as if they were observed. reply_r->store and
 * problem are left to the caller.
 */
void embedded_charge(struct embedded *table, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t now, bool refuse, struct quota_reply *reply_r);

/* embedded_read - the counters without charging */
void embedded_read(struct embedded *table, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t now, struct quota_reply *reply_r);

/* embedded_reset - forget the counts of plan's subjects, not what operators set; were there any? */
bool embedded_reset(struct embedded *table, const struct quota_plan *plan);

/*
 * embedded_raise - until then, max stands in for the limit of a counter of plan
 */
void embedded_raise(struct embedded *table, const struct quota_plan *plan,
    const struct quota_counter *counter, uint64_t max, int64_t until, int64_t now);

/* embedded_unraise - the limits of plan's account hold again; how many were raised */
int embedded_unraise(struct embedded *table, const struct quota_plan *plan, int64_t now);

/*
 * embedded_merge - count plan's costs as of age_ms ago, over any limit
 * For tables that stand in for the script in tests.
 */
void embedded_merge(struct embedded *table, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t now, int64_t age_ms, struct quota_reply *reply_r);

/*
 * embedded_seen - note the totals that Redis reported for plan's counters
 * stamp is Redis's time of the report: one that is older than the last noted is ignored,
 * unless that was noted more than a second ago. forget_own: what was charged here is
 * contained in the totals.
 */
void embedded_seen(struct embedded *table, const struct quota_plan *plan,
    const struct quota_reply *reply, int64_t stamp, int64_t now, bool forget_own);

/* embedded_count - subjects in the table, and subjects with counts that were evicted */
void embedded_count(struct embedded *table, uint64_t *subjects_r, uint64_t *evicted_r);

#endif
