/*
 * away.h - deciding while Redis is away, and telling it afterwards
 *
 * Redis fails and comes back in parts (pool.h): all of a single server, each node of a Cluster.
 * Three states of a part. UP: Redis decides; its totals are noted. DOUBTFUL: one call has just
 * failed; the keeper thread (keeper.c) tries at once whether that was all. GONE: it was not. In the
 * last two every message of that part is decided here, and what passes is queued; the state goes
 * back to UP only when the queue has been handed over, so that Redis never decides without knowing
 * all that this process let pass.
 *
 * The queue is kept by slot, for slots wander between nodes. A slot of which something is queued
 * is decided here as well, though its part be UP; so is one whose call has just failed
 * because it is on the move, for AWAY_SLOT_REST_MS.
 *
 * Threads: any number at once; away_take to away_sort_out by the keeper alone. now is
 * CLOCK_MONOTONIC milliseconds.
 */
#ifndef FILTER_STORE_AWAY_H
#define FILTER_STORE_AWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/redis/pool.h"
#include "filter/store/away_file.h"
#include "filter/store/blocks.h"
#include "filter/store/types.h"
#include "policy/quota/quota.h"

#define AWAY_SLOT_REST_MS	500

struct away;

enum away_state {
	AWAY_UP,
	AWAY_DOUBTFUL,
	AWAY_GONE
};

/* Where a message's counts are. */
struct away_place {
	unsigned int slot;	/* redis_pool_slot() */
	unsigned int part;	/* redis_pool_part() */
};

/* What came of the attempt to hand a charge over. */
enum away_result {
	AWAY_KEPT,      /* not executed */
	AWAY_AMBIGUOUS, /* perhaps executed: it is to be repeated while Redis remembers its id */
	AWAY_MERGED,    /* Redis has it */
	AWAY_DROPPED    /* Redis will never take it */
};

/* A charge that waits for Redis. */
struct away_pending {
	struct away_pending *next;	/* of the same slot; and before it */
	struct away_pending *previous;
	struct quota_plan *plan;	/* costs and id */
	unsigned int slot;
	int64_t at;			/* when it was accepted here */
	int64_t ambiguous_at; /* since when Redis may have executed it, or may yet; 0: it has not */
	bool annul;			/* it was not accepted: Redis is to undo or ignore it */
	bool taken;			/* the keeper is looking at it */
	int64_t number;			/* in the file */
};

/*
 * away_new - all UP, nothing queued
 * server is named in log texts. n_slots is redis_pool_slots(). options give max_accounts,
 * max_pending, on_away, log; they are copied. blocks live longer. A talloc child of ctx.
 */
struct away *away_new(TALLOC_CTX *ctx, const struct store_options *options, struct blocks *blocks,
    const char *server, unsigned int n_slots);

/* the slot of a home, as of store_redis_slot() */
typedef unsigned int away_slot_fn(void *arg, const char *home);

/*
 * away_restore - keep what passes in a file from now on, and go on from what it holds
 * Before anybody else knows away. -1 and *error_r on ctx: the file must not be used (away_file.h).
 */
int away_restore(struct away *away, TALLOC_CTX *ctx, const char *path, away_slot_fn *slot_of,
    void *arg, const char **error_r);

/* away_keep - the regular work on the file, for the keeper: about every two seconds, and when a
 * part is gone */
void away_keep(struct away *away);

/* away_keep_blocks - the list of blocked accounts has changed */
void away_keep_blocks(struct away *away);

/* away_keep_last - the same at the end, when no other thread uses away */
void away_keep_last(struct away *away);

/* away_may_ask - whether a message with counts at place may ask Redis; cheap */
bool away_may_ask(const struct away *away, const struct away_place *place, int64_t now);

/* away_state - the state of a part now; cheap */
enum away_state away_state(const struct away *away, unsigned int part);

/* away_seen - Redis answered: note the totals; stamp is Redis's time */
void away_seen(struct away *away, const struct quota_plan *plan, const struct away_place *place,
    const struct quota_reply *reply, int64_t stamp, int64_t now);

/*
 * away_failed - a call failed; its part goes from UP to DOUBTFUL. why is copied
 * place->part is the part that is to blame; REDIS_PART_SLOT: the slot alone, which then rests.
 */
void away_failed(struct away *away, const struct away_place *place, const char *why, int64_t now);

/*
 * away_charge - decide one message without Redis, as on_away says
 * ambiguous: its charge was sent to Redis and no answer came. If the message passes it is
 * queued; if not, and it is ambiguous, its annulment is.
 */
void away_charge(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan,
    unsigned int slot, bool ambiguous, int64_t now, struct quota_reply *reply_r);

/*
 * away_offence - count a sign without Redis; false, and nothing is done: on_away is not local
 * Only what happened here while Redis was away is counted: Redis's totals are not known to be of
 * other things. The sign stays with the caller, until Redis counts it, too.
 */
bool away_offence(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t now,
    struct quota_reply *reply_r);

/* away_foretell - what away_charge() would answer; nothing is counted or queued. why: what has just
 * failed, or NULL */
void away_foretell(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const char *why, int64_t now, struct quota_reply *reply_r);

/* away_reset - forget the totals of plan's subjects; what is queued stays queued */
void away_reset(struct away *away, const struct quota_plan *plan);

/*
 * away_take - up to max queued charges in taken_r, of each slot the oldest first; they stay queued
 * parts (redis_pool_parts()) says which part has a slot. Those of one part; or, if it is
 * REDIS_PART_SLOT, of all slots whose part is UP. Slots that rest are left out. Charges that are
 * too old to matter are dropped on the way. What was taken before and not settled is no longer
 * taken. Returns how many.
 */
size_t away_take(struct away *away, const uint8_t *parts, unsigned int part, int64_t now,
    size_t max, struct away_pending **taken_r);

/*
 * away_settle - what came of n that were taken; AWAY_MERGED and AWAY_DROPPED ones are gone then
 * part: for which they are counted in the log, that of away_take().
 */
void away_settle(struct away *away, unsigned int part, struct away_pending *const *taken,
    const enum away_result *results, size_t n, int64_t now);

/*
 * away_has_work - whether something is queued for a part, but for slots that rest
 * REDIS_PART_SLOT: whether a slot rests, or one whose part is UP has something queued.
 */
bool away_has_work(struct away *away, const uint8_t *parts, unsigned int part, int64_t now);

/*
 * away_is_back - if a part has no work (away_has_work()), it becomes UP; returns whether it is
 * name is for the log.
 */
bool away_is_back(
    struct away *away, const uint8_t *parts, unsigned int part, const char *name, int64_t now);

/* away_is_gone - the keeper's attempt failed: DOUBTFUL becomes GONE, logged once. why is copied;
 * NULL leaves the reason that away_failed() gave */
void away_is_gone(
    struct away *away, unsigned int part, const char *name, const char *why, int64_t now);

/* away_is_deserted - a part that is not UP has no slots any more: it becomes UP, which is logged if
 * it was GONE */
void away_is_deserted(struct away *away, unsigned int part, const char *name);

/* away_read - the counters of plan as they are known here; state QUOTA_READ, or QUOTA_UNKNOWN if
 * on_away is tempfail */
void away_read(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t now,
    struct quota_reply *reply_r);

/* --- changes by operators that Redis does not have yet --- */

/* away_stamp - the time of a change that is made now, by Redis's clock as far as it is known; each
 * is later than the one before */
int64_t away_stamp(struct away *away, int64_t now);

/*
 * away_hold - a change holds in this process from now on and is queued for Redis
 * Returns how many things it changed here, or -1: too many accounts are blocked.
 */
int away_hold(struct away *away, const struct away_change *change);

/* away_held - the first change that waits after the one of a number (0: of all), on ctx; NULL:
 * there is none */
const struct away_change *away_held(struct away *away, TALLOC_CTX *ctx, int64_t after);

/* away_release - Redis has the change of a number, or needs it no more */
void away_release(struct away *away, int64_t number);

/* away_hold_again - blocks were read from Redis: those that wait still hold */
void away_hold_again(struct away *away);

/* away_status - fills away, problem, away_ms, local, pending, changes, merged,
 * dropped, accounts, evicted */
void away_status(struct away *away, TALLOC_CTX *ctx, int64_t now, struct store_status *status);

#endif
