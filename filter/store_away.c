/*
 * store_away.c - deciding while Redis is away, and telling it afterwards
 *
 * The ledger (store_embedded.h) holds, for the accounts used last, the totals that Redis
 * reported with its last answers. While Redis is away they count whole until they are a
 * window old, which can only be too strict, and what this process lets pass is counted on
 * top. So one process never lets pass more than limit - last seen; N processes that
 * cannot see each other, N times that.
 *
 * What passes is queued with its id and its time and handed over when Redis is back. A call that
 * got no answer may have been executed: its id, which the script remembers for ten minutes, keeps it
 * from being counted twice. After that time nobody can tell, so an ambiguous charge is then
 * given up rather than perhaps counted twice.
 *
 * Thread rule: lock guards the state's changes, the queue and the text of the problem, and is
 * held while a message is decided here, so that a decision and its place in the queue are one step
 * and the state cannot become UP in between. The ledger's locks are taken inside it. `state` is
 * also read without the lock. Queued charges are talloc roots of their own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "filter/store_away.h"
#include "filter/store_embedded.h"
#include "filter/store_redis.h"
#include "policy/mem.h"
#include "policy/window.h"

/* An ambiguous charge must be settled well before Redis forgets its id. */
#define AMBIGUOUS_MS	(QUOTA_ID_TTL_MS - 30000)

struct away {
	enum store_on_away on_away;
	size_t max_pending;
	char *server;
	store_log_fn *log;
	void *log_arg;
	struct embedded *ledger;

	pthread_mutex_t lock;
	atomic_int state;		/* enum away_state */
	char *why;			/* why it is not UP; a talloc root, or NULL */
	int64_t since;			/* when it left UP */
	struct away_pending *first;	/* oldest */
	struct away_pending *last;
	size_t n_pending;
	size_t n_taken;			/* of the first, those that the keeper is looking at */
	uint64_t local;
	uint64_t merged;
	uint64_t dropped;
	uint64_t merged_before;		/* merged and dropped when it left UP, for the log */
	uint64_t dropped_before;
};

/* --- construction and destruction --- */

/* away_free - talloc destructor */
static int
away_free(struct away *away)
{
	while (away->first != NULL) {
		struct away_pending *next = away->first->next;

		talloc_free(away->first);
		away->first = next;
	}
	talloc_free(away->why);
	pthread_mutex_destroy(&away->lock);
	return 0;
}

/* away_new - state UP, nothing queued */
struct away *
away_new(TALLOC_CTX *ctx, const struct store_options *options, const char *server)
{
	struct away *away = mem_new(ctx, struct away);

	away->on_away = options->on_away;
	away->max_pending = options->max_pending;
	away->server = mem_strdup(away, server);
	away->log = options->log;
	away->log_arg = options->log_arg;
	away->ledger = embedded_new(away, options->max_accounts, false);
	pthread_mutex_init(&away->lock, NULL);
	atomic_init(&away->state, AWAY_UP);
	talloc_set_destructor(away, away_free);
	return away;
}

/* away_state - the state now */
enum away_state
away_state(const struct away *away)
{
	return (enum away_state)atomic_load(&away->state);
}

/* --- changes of state --- */

/* set_why - note the problem; with the lock held */
static void
set_why(struct away *away, const char *why)
{
	talloc_free(away->why);
	away->why = why != NULL ? mem_strdup(NULL, why) : NULL;
}

/* doubt - leave UP; with the lock held */
static void
doubt(struct away *away, int64_t now)
{
	if (away_state(away) != AWAY_UP)
		return;
	atomic_store(&away->state, AWAY_DOUBTFUL);
	away->since = now;
	away->merged_before = away->merged;
	away->dropped_before = away->dropped;
}

/* away_failed - a call failed */
void
away_failed(struct away *away, const char *why, int64_t now)
{
	pthread_mutex_lock(&away->lock);
	doubt(away, now);
	set_why(away, why);
	pthread_mutex_unlock(&away->lock);
}

/* consequence - what on_away means, for the log */
static const char *
consequence(enum store_on_away on_away)
{
	switch (on_away) {
	case STORE_AWAY_LOCAL:
		return "limits are enforced from the totals last seen and what passes here";
	case STORE_AWAY_ACCEPT:
		return "no message is refused over a limit until it is back";
	case STORE_AWAY_TEMPFAIL:
		return "messages that a limit applies to are treated as failed look-ups until it is back";
	}
	return "";
}

/* log_text - hand a line to the log and free it; without the lock */
static void
log_text(const struct away *away, enum store_log_level level, char *text)
{
	if (away->log != NULL)
		away->log(away->log_arg, level, text);
	talloc_free(text);
}

/* away_is_gone - the keeper's attempt failed */
void
away_is_gone(struct away *away, const char *why, int64_t now)
{
	char *text = NULL;

	pthread_mutex_lock(&away->lock);
	doubt(away, now);
	if (why != NULL)
		set_why(away, why);
	if (away_state(away) == AWAY_DOUBTFUL)
		text = mem_printf(NULL, "Redis at %s is away: %s; %s", away->server,
		    away->why != NULL ? away->why : "it fails again and again",
		    consequence(away->on_away));
	atomic_store(&away->state, AWAY_GONE);
	away->n_taken = 0;
	pthread_mutex_unlock(&away->lock);
	if (text != NULL)
		log_text(away, STORE_LOG_WARNING, text);
}

/* back_text - what the log says when Redis is back; with the lock held */
static char *
back_text(const struct away *away, int64_t now)
{
	uint64_t dropped = away->dropped - away->dropped_before;
	char *text = mem_printf(NULL, "Redis at %s is back after %" PRId64 " s; %" PRIu64
	    " charges were handed over", away->server, (now - away->since) / 1000,
	    away->merged - away->merged_before);

	if (dropped > 0)
		text = mem_check(talloc_asprintf_append(text, ", %" PRIu64 " were given up", dropped));
	return text;
}

/* away_is_back - if nothing is queued, the state becomes UP */
bool
away_is_back(struct away *away, int64_t now)
{
	char *text = NULL;
	bool back;

	pthread_mutex_lock(&away->lock);
	back = away->first == NULL;
	if (back) {
		if (away_state(away) == AWAY_GONE)
			text = back_text(away, now);
		atomic_store(&away->state, AWAY_UP);
		set_why(away, NULL);
	}
	pthread_mutex_unlock(&away->lock);
	if (text != NULL)
		log_text(away, STORE_LOG_INFO, text);
	return back;
}

/* --- the queue --- */

/* drop_first - forget the oldest; with the lock held */
static void
drop_first(struct away *away)
{
	struct away_pending *first = away->first;

	away->first = first->next;
	if (away->first == NULL)
		away->last = NULL;
	away->n_pending--;
	talloc_free(first);
}

/* enqueue - Redis is to be told; with the lock held */
static void
enqueue(struct away *away, const struct quota_plan *plan, bool ambiguous, bool annul, int64_t now)
{
	struct away_pending *pending;

	if (away->n_pending >= away->max_pending) {
		away->dropped++;
		if (away->n_taken > 0 || away->first == NULL)
			return;		/* the keeper is at the other end: give up the new one */
		drop_first(away);
	}
	pending = mem_new(NULL, struct away_pending);
	pending->plan = quota_plan_copy(pending, plan);
	pending->at = now;
	pending->ambiguous = ambiguous;
	pending->annul = annul;
	if (away->last != NULL)
		away->last->next = pending;
	else
		away->first = pending;
	away->last = pending;
	away->n_pending++;
	doubt(away, now);
}

/* longest_ms - until when a charge of this plan counts anywhere */
static int64_t
longest_ms(const struct quota_plan *plan)
{
	int64_t longest = 0;

	for (size_t i = 0; i < plan->n_counters; i++)
		if (plan->counters[i].width_ms > longest)
			longest = plan->counters[i].width_ms;
	return longest * WINDOW_SLOTS;
}

/* is_outdated - whether handing it over would change nothing, or might count it twice */
static bool
is_outdated(const struct away_pending *pending, int64_t now)
{
	int64_t age = now - pending->at;

	if (pending->ambiguous && !pending->annul && age > AMBIGUOUS_MS)
		return true;
	return age > longest_ms(pending->plan) + QUOTA_ID_TTL_MS;
}

/* away_take - up to max queued charges, oldest first */
struct away_pending *
away_take(struct away *away, int64_t now, size_t max)
{
	struct away_pending *first;

	pthread_mutex_lock(&away->lock);
	while (away->first != NULL && is_outdated(away->first, now)) {
		drop_first(away);
		away->dropped++;
	}
	first = away->first;
	away->n_taken = away->n_pending < max ? away->n_pending : max;
	pthread_mutex_unlock(&away->lock);
	return first;
}

/* away_done - the first n of what was taken are settled */
void
away_done(struct away *away, size_t n, bool dropped)
{
	pthread_mutex_lock(&away->lock);
	for (size_t i = 0; i < n && away->first != NULL; i++)
		drop_first(away);
	away->n_taken = away->n_taken > n ? away->n_taken - n : 0;
	if (dropped)
		away->dropped += n;
	else
		away->merged += n;
	pthread_mutex_unlock(&away->lock);
}

/* --- deciding --- */

/* decide - one message, with the lock held */
static void
decide(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan, bool ambiguous,
    int64_t now, struct quota_reply *reply)
{
	if (away->on_away == STORE_AWAY_TEMPFAIL) {
		memset(reply, 0, sizeof(*reply));
		reply->state = QUOTA_UNKNOWN;
	} else {
		embedded_charge(away->ledger, ctx, plan, now,
		    away->on_away == STORE_AWAY_LOCAL, reply);
		away->local++;
	}
	if (reply->state == QUOTA_CHARGED)
		enqueue(away, plan, ambiguous, false, now);
	else if (ambiguous)
		enqueue(away, plan, ambiguous, true, now);
}

/* away_charge - decide one message without Redis */
void
away_charge(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan, bool ambiguous,
    int64_t now, struct quota_reply *reply_r)
{
	pthread_mutex_lock(&away->lock);
	decide(away, ctx, plan, ambiguous, now, reply_r);
	reply_r->store = "local";
	reply_r->problem = mem_printf(ctx, "Redis is away: %s",
	    away->why != NULL ? away->why : "it has just failed");
	pthread_mutex_unlock(&away->lock);
}

/* away_seen - Redis answered: note the totals */
void
away_seen(struct away *away, const struct quota_plan *plan, const struct quota_reply *reply,
    int64_t stamp, int64_t now)
{
	/* While something is queued, the totals do not contain what was charged here. */
	embedded_seen(away->ledger, plan, reply, stamp, now, away_state(away) == AWAY_UP);
}

/* away_reset - forget totals of plan's subjects */
void
away_reset(struct away *away, const struct quota_plan *plan)
{
	embedded_reset(away->ledger, plan);
}

/* away_status - how things stand */
void
away_status(struct away *away, TALLOC_CTX *ctx, int64_t now, struct store_status *status)
{
	pthread_mutex_lock(&away->lock);
	status->away = away_state(away) != AWAY_UP;
	status->problem = away->why != NULL ? mem_strdup(ctx, away->why) : NULL;
	status->away_ms = status->away ? now - away->since : 0;
	status->local = away->local;
	status->pending = away->n_pending;
	status->merged = away->merged;
	status->dropped = away->dropped;
	pthread_mutex_unlock(&away->lock);
	embedded_count(away->ledger, &status->accounts, &status->evicted);
}
