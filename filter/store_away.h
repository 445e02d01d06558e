/*
 * store_away.h - deciding while Redis is away, and telling it afterwards
 *
 * Three states. UP: Redis decides; its totals are noted. DOUBTFUL: one call has just failed;
 * the keeper thread (store_redis.c) tries at once whether that was all. AWAY: it was not.
 * In the last two every message is decided here, and what passes is queued; the state
 * goes back to UP only when the queue has been handed over, so that Redis never decides
 * without knowing all that this process let pass.
 *
 * Threads: any number at once; away_take and away_done by the keeper alone. now is
 * CLOCK_MONOTONIC milliseconds.
 */
#ifndef FILTER_STORE_AWAY_H
#define FILTER_STORE_AWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/store.h"
#include "policy/quota.h"

struct away;

enum away_state {
	AWAY_UP,
	AWAY_DOUBTFUL,
	AWAY_GONE
};

/* A charge that Redis is to be told of. */
struct away_pending {
	struct away_pending *next;
	struct quota_plan *plan;	/* costs and id */
	int64_t at;			/* when it was accepted here */
	bool ambiguous;			/* Redis may have executed it already, or may yet */
	bool annul;			/* it was not accepted: Redis is to undo or ignore it */
};

/*
 * away_new - state UP, nothing queued
 * server is named in log texts. options give max_accounts, max_pending, on_away, log; they
 * are copied. A talloc child of ctx.
 */
struct away *away_new(TALLOC_CTX *ctx, const struct store_options *options, const char *server);

/* away_state - the state now; cheap */
enum away_state away_state(const struct away *away);

/* away_seen - Redis answered: note the totals; stamp is Redis's time */
void away_seen(struct away *away, const struct quota_plan *plan,
    const struct quota_reply *reply, int64_t stamp, int64_t now);

/* away_failed - a call failed; UP becomes DOUBTFUL. why is copied */
void away_failed(struct away *away, const char *why, int64_t now);

/*
 * away_charge - decide one message without Redis, as on_away says
 * ambiguous: its charge was sent to Redis and no answer came. Where the message passes it is
 * queued; where not, and it is ambiguous, its annulment is.
 */
void away_charge(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan,
    bool ambiguous, int64_t now, struct quota_reply *reply_r);

/* away_reset - forget the totals of plan's subjects; what is queued stays queued */
void away_reset(struct away *away, const struct quota_plan *plan);

/*
 * away_take - up to max queued charges, oldest first, as a list; they stay queued
 * Charges that are too old to matter are dropped on the way. NULL when nothing is queued.
 */
struct away_pending *away_take(struct away *away, int64_t now, size_t max);

/* away_done - the first n of what was taken are settled: forget them. dropped: they were given up */
void away_done(struct away *away, size_t n, bool dropped);

/* away_is_back - if nothing is queued, the state becomes UP; returns whether it is */
bool away_is_back(struct away *away, int64_t now);

/* away_is_gone - the keeper's attempt failed: DOUBTFUL becomes AWAY, logged once. why is copied; NULL
 * leaves the reason that away_failed() gave */
void away_is_gone(struct away *away, const char *why, int64_t now);

/* away_status - fills away, problem, away_ms, local, pending, merged, dropped, accounts, evicted */
void away_status(struct away *away, TALLOC_CTX *ctx, int64_t now, struct store_status *status);

#endif
