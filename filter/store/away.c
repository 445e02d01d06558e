/*
 * away.c - deciding while Redis is away, and telling it afterwards
 *
 * The ledger (embedded.h) holds, for the accounts used last, the totals that Redis
 * reported with its last answers. While Redis is away they count whole until they are a
 * window old, which can only be too strict, and what this process lets pass is counted on
 * top. So one process never lets pass more than limit - last seen; N processes that
 * cannot see each other, N times that.
 *
 * What passes is queued with its id and its time and handed over when Redis is back. A call that
 * got no answer may have been executed: its id, which the script remembers for ten minutes, keeps
 * it from being counted twice. After that time this cannot be known, so an ambiguous charge is then
 * given up rather than perhaps counted twice. That goes for attempts to hand it over as well.
 *
 * A restart must not raise a limit: what passes is also kept in a file (away_file.h) before the
 * message is answered, with what the ledger knows of its parties; the whole ledger when a part is
 * gone, and at the end. At start the file fills ledger and queue. As long as Redis works nothing is
 * written but who is blocked. The ledger's clock is therefore the wall clock as it was at start,
 * which runs on like CLOCK_MONOTONIC.
 *
 * Thread rule: lock guards the parts' changes of state, the queue and the texts of the problems,
 * and is held while a message is decided here, so that a decision and its place in the queue are
 * one step and the state cannot become UP in between. The ledger's locks are taken inside it. A
 * part's state and what is atomic of a slot are also read without the lock. Queued charges are
 * talloc roots of their own; one that is taken is changed by the keeper's functions alone.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/store/away.h"
#include "filter/store/embedded.h"
#include "filter/store/quota_command.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/quota/window.h"

/* An ambiguous charge must be settled well before Redis forgets its id. */
#define AMBIGUOUS_MS	(QUOTA_ID_TTL_MS - 30000)

/* One part of Redis. */
struct part {
	atomic_int state;		/* enum away_state */
	char *why;			/* why it is not UP; a talloc root, or NULL */
	int64_t since;			/* when it left UP */
	uint64_t merged;		/* charges handed over since, for the log */
	uint64_t dropped_before;	/* of all parts, when it left UP: likewise */
};

/* One slot. */
struct slot {
	struct away_pending *first;	/* oldest */
	struct away_pending *last;
	atomic_bool busy;		/* something is queued */
	atomic_int_fast64_t rest_until;	/* it is not asked for before */
};

/* A change by an operator that Redis does not have. A talloc root. */
struct held {
	struct held *next;
	struct away_change change;
};

struct away {
	enum store_on_away on_away;
	size_t max_pending;
	char *server;
	store_log_fn *log;
	void *log_arg;
	struct embedded *ledger;
	struct blocks *blocks;	/* kept with the ledger */
	struct away_file *file;	/* or NULL: a restart forgets */
	int64_t offset;		/* of the ledger's clock to CLOCK_MONOTONIC */
	atomic_int_fast64_t redis_offset; /* of Redis's clock, or ours until it answers */
	unsigned int n_slots;

	pthread_mutex_t lock;
	bool kept;		/* all of the ledger is in the file */
	int64_t next_number;	/* of a row in the file */
	struct held *changes;	/* by operators, the oldest first */
	uint64_t n_changes;
	int64_t last_stamp;	/* of one of them */
	struct part parts[REDIS_PARTS];	/* that of REDIS_PART_SLOT stands for slots on the move */
	struct slot *slots;
	size_t n_pending;
	uint64_t local;
	uint64_t merged;
	uint64_t dropped;
};

/* --- construction and destruction --- */

/* away_free - talloc destructor */
static int
away_free(struct away *away)
{
	for (unsigned int i = 0; i < away->n_slots; i++)
		while (away->slots[i].first != NULL) {
			struct away_pending *next = away->slots[i].first->next;

			talloc_free(away->slots[i].first);
			away->slots[i].first = next;
		}
	while (away->changes != NULL) {
		struct held *next = away->changes->next;

		talloc_free(away->changes);
		away->changes = next;
	}
	for (size_t i = 0; i < REDIS_PARTS; i++)
		talloc_free(away->parts[i].why);
	(void)pthread_mutex_destroy(&away->lock);
	return 0;
}

/* away_new - all UP, nothing queued */
struct away *
away_new(TALLOC_CTX *ctx, const struct store_options *options, struct blocks *blocks,
    const char *server, unsigned int n_slots)
{
	struct away *away = mem_new(ctx, struct away);

	away->on_away = options->on_away;
	away->max_pending = options->max_pending;
	away->server = mem_strdup(away, server);
	away->log = options->log;
	away->log_arg = options->log_arg;
	away->ledger = embedded_new(away, options->max_accounts, false);
	away->blocks = blocks;
	away->offset = clock_wall_ms() - clock_ms();
	atomic_init(&away->redis_offset, away->offset);
	away->next_number = 1;
	away->n_slots = n_slots;
	away->slots = mem_array(away, struct slot, n_slots);
	for (unsigned int i = 0; i < n_slots; i++) {
		atomic_init(&away->slots[i].busy, false);
		atomic_init(&away->slots[i].rest_until, 0);
	}
	for (size_t i = 0; i < REDIS_PARTS; i++)
		atomic_init(&away->parts[i].state, AWAY_UP);
	(void)pthread_mutex_init(&away->lock, NULL);
	talloc_set_destructor(away, away_free);
	return away;
}

/* away_state - the state of a part now */
enum away_state
away_state(const struct away *away, unsigned int part)
{
	return (enum away_state)atomic_load(&away->parts[part].state);
}

/* is_resting - whether a slot is not asked for */
static bool
is_resting(const struct slot *slot, int64_t now)
{
	return atomic_load(&slot->rest_until) > now;
}

/* away_may_ask - whether a message with counts at place may ask Redis */
bool
away_may_ask(const struct away *away, const struct away_place *place, int64_t now)
{
	const struct slot *slot = &away->slots[place->slot];

	return away_state(away, place->part) == AWAY_UP && !atomic_load(&slot->busy) &&
	    !is_resting(slot, now);
}

/* --- changes of state --- */

/* set_why - note the problem; with the lock held */
static void
set_why(struct part *part, const char *why)
{
	talloc_free(part->why);
	part->why = why != NULL ? mem_strdup(NULL, why) : NULL;
}

/* doubt - leave UP; with the lock held */
static void
doubt(const struct away *away, struct part *part, int64_t now)
{
	if (atomic_load(&part->state) != AWAY_UP)
		return;
	atomic_store(&part->state, AWAY_DOUBTFUL);
	part->since = now;
	part->merged = 0;
	part->dropped_before = away->dropped;
}

/* become_up - with the lock held */
static void
become_up(struct away *away, struct part *part)
{
	atomic_store(&part->state, AWAY_UP);
	set_why(part, NULL);
	away->kept = false;
}

/* away_failed - a call failed */
void
away_failed(struct away *away, const struct away_place *place, const char *why, int64_t now)
{
	struct part *part = &away->parts[place->part];

	(void)pthread_mutex_lock(&away->lock);
	doubt(away, part, now);
	set_why(part, why);
	if (place->part == REDIS_PART_SLOT)
		atomic_store(&away->slots[place->slot].rest_until, now + AWAY_SLOT_REST_MS);
	(void)pthread_mutex_unlock(&away->lock);
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
		return "messages that a limit applies to are treated as failed lookups until it is "
		    "back";
	}
	return "";
}

/* away_log_text - hand a line to the log and free it; without the lock */
static void
away_log_text(const struct away *away, enum store_log_level level, char *text)
{
	if (text != NULL && away->log != NULL)
		away->log(away->log_arg, level, text);
	talloc_free(text);
}

/* away_is_gone - the keeper's attempt failed */
void
away_is_gone(struct away *away, unsigned int index, const char *name, const char *why, int64_t now)
{
	struct part *part = &away->parts[index];
	char *text = NULL;

	(void)pthread_mutex_lock(&away->lock);
	doubt(away, part, now);
	if (why != NULL)
		set_why(part, why);
	if (atomic_load(&part->state) == AWAY_DOUBTFUL)
		text = mem_printf(NULL, "%s %s: %s; %s%s", name,
		    index == REDIS_PART_SLOT ? "has slots on the move" : "is away",
		    part->why != NULL ? part->why : "it fails again and again",
		    index == REDIS_PART_SLOT ? "for their accounts " : "",
		    consequence(away->on_away));
	atomic_store(&part->state, AWAY_GONE);
	(void)pthread_mutex_unlock(&away->lock);
	away_log_text(away, STORE_LOG_WARNING, text);
}

/* back_text - what the log says when a part is back; with the lock held */
static char *
back_text(const struct away *away, const struct part *part, const char *name, const char *what,
    int64_t now)
{
	uint64_t dropped = away->dropped - part->dropped_before;
	char *text =
	    mem_printf(NULL, "%s %s after %" PRId64 " s; %" PRIu64 " charge%s handed over",
		name, what, (now - part->since) / 1000, part->merged, text_s(part->merged));

	if (dropped > 0)
		text =
		    mem_check(talloc_asprintf_append(text, ", %" PRIu64 " given up", dropped));
	return text;
}

/* restored_text - the same of a part that was away before the start alone; NULL: nothing was handed
 * over; with the lock held */
static char *
restored_text(const struct part *part, const char *name)
{
	if (part->since != 0 || part->merged == 0)
		return NULL;
	return mem_printf(NULL,
	    "%s is back; %" PRIu64 " charge%s from before the start handed over", name,
	    part->merged, text_s(part->merged));
}

/* is_of - whether a slot is one of a part's, as away_take() says */
static bool
is_of(const struct away *away, const uint8_t *parts, unsigned int slot, unsigned int part)
{
	return part == REDIS_PART_SLOT ? away_state(away, parts[slot]) == AWAY_UP
				       : parts[slot] == part;
}

/* has_work - whether a part has something queued that keeps it from being UP; with the lock held */
static bool
has_work(const struct away *away, const uint8_t *parts, unsigned int part, int64_t now)
{
	for (unsigned int i = 0; i < away->n_slots; i++) {
		const struct slot *slot = &away->slots[i];
		bool rests = is_resting(slot, now);

		if (is_of(away, parts, i, part) &&
		    (part == REDIS_PART_SLOT ? rests || slot->first != NULL
					     : !rests && slot->first != NULL))
			return true;
	}
	return false;
}

/* away_has_work - whether something is queued for a part */
bool
away_has_work(struct away *away, const uint8_t *parts, unsigned int part, int64_t now)
{
	bool work;

	(void)pthread_mutex_lock(&away->lock);
	work = has_work(away, parts, part, now);
	(void)pthread_mutex_unlock(&away->lock);
	return work;
}

/* away_is_back - if nothing is queued for a part, it becomes UP */
bool
away_is_back(
    struct away *away, const uint8_t *parts, unsigned int index, const char *name, int64_t now)
{
	struct part *part = &away->parts[index];
	char *text = NULL;
	bool back;

	(void)pthread_mutex_lock(&away->lock);
	back = !has_work(away, parts, index, now);
	if (back) {
		if (atomic_load(&part->state) == AWAY_GONE)
			text = back_text(away, part, name,
			    index == REDIS_PART_SLOT ? "has moved its slots" : "is back", now);
		else
			text = restored_text(part, name);
		part->merged = 0;
		become_up(away, part);
	}
	(void)pthread_mutex_unlock(&away->lock);
	away_log_text(away, STORE_LOG_INFO, text);
	return back;
}

/* away_is_deserted - a part has no slots any more */
void
away_is_deserted(struct away *away, unsigned int index, const char *name)
{
	struct part *part = &away->parts[index];
	char *text = NULL;

	(void)pthread_mutex_lock(&away->lock);
	if (atomic_load(&part->state) == AWAY_GONE)
		text = mem_printf(
		    NULL, "%s has no slots any more: other nodes have its accounts", name);
	become_up(away, part);
	(void)pthread_mutex_unlock(&away->lock);
	away_log_text(away, STORE_LOG_INFO, text);
}

/* --- the queue --- */

/* away_forget - take a charge out of its slot; with the lock held */
static void
away_forget(struct away *away, struct away_pending *pending)
{
	struct slot *slot = &away->slots[pending->slot];

	if (pending->previous != NULL)
		pending->previous->next = pending->next;
	else
		slot->first = pending->next;
	if (pending->next != NULL)
		pending->next->previous = pending->previous;
	else
		slot->last = pending->previous;
	if (slot->first == NULL)
		atomic_store(&slot->busy, false);
	away->n_pending--;
	away_file_remove_charge(away->file, pending->number);
	talloc_free(pending);
}

/* away_make_room - for one more charge of a slot; false: it is given up; with the lock held */
static bool
away_make_room(struct away *away, const struct slot *slot)
{
	if (away->n_pending < away->max_pending)
		return true;
	away->dropped++;
	if (slot->first == NULL || slot->first->taken)
		return false; /* the keeper is at the other end, or all of the queue is other
			       * slots' */
	away_forget(away, slot->first);
	return true;
}

/* away_append - the last of its slot; with the lock held */
static void
away_append(struct away *away, struct away_pending *pending)
{
	struct slot *slot = &away->slots[pending->slot];

	pending->previous = slot->last;
	if (slot->last != NULL)
		slot->last->next = pending;
	else
		slot->first = pending;
	slot->last = pending;
	away->n_pending++;
	atomic_store(&slot->busy, true);
}

/* wall_of - a time of CLOCK_MONOTONIC in the file */
static int64_t
wall_of(const struct away *away, int64_t at)
{
	return at + away->offset;
}

/* away_enqueue - queue a charge for Redis; with the lock held */
static void
away_enqueue(struct away *away, const struct quota_plan *plan, unsigned int at, bool ambiguous,
    bool annul, int64_t now)
{
	struct away_pending *pending;

	if (!away_make_room(away, &away->slots[at]))
		return;
	pending = mem_new(NULL, struct away_pending);
	pending->plan = quota_plan_copy(pending, plan);
	pending->slot = at;
	pending->at = now;
	pending->ambiguous_at = ambiguous ? now : 0;
	pending->annul = annul;
	pending->number = away->next_number++;
	away_append(away, pending);
	away_file_add_charge(away->file,
	    &(struct away_charge){ .number = pending->number,
		.at = wall_of(away, now),
		.ambiguous_at = ambiguous ? wall_of(away, now) : 0,
		.annul = annul,
		.plan = plan });
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
	if (pending->ambiguous_at != 0 && !pending->annul &&
	    now - pending->ambiguous_at > AMBIGUOUS_MS)
		return true;
	return now - pending->at > longest_ms(pending->plan) + QUOTA_ID_TTL_MS;
}

/* drop_outdated - of one slot, from the oldest on; with the lock held */
static void
drop_outdated(struct away *away, struct slot *slot, int64_t now)
{
	while (slot->first != NULL && is_outdated(slot->first, now)) {
		away_forget(away, slot->first);
		away->dropped++;
	}
}

/* away_take - up to max queued charges of a part */
size_t
away_take(struct away *away, const uint8_t *parts, unsigned int part, int64_t now, size_t max,
    struct away_pending **taken)
{
	size_t n = 0;

	(void)pthread_mutex_lock(&away->lock);
	away_file_begin(away->file);
	for (unsigned int i = 0; i < away->n_slots && away->n_pending > 0; i++) {
		struct slot *slot = &away->slots[i];

		drop_outdated(away, slot, now);
		if (!is_of(away, parts, i, part) || is_resting(slot, now))
			continue;
		for (struct away_pending *at = slot->first; at != NULL && n < max; at = at->next) {
			at->taken = true;
			taken[n++] = at;
			/* from now on Redis may have it, and we may end before we know */
			if (at->ambiguous_at == 0)
				away_file_mark_charge(away->file, at->number, wall_of(away, now));
		}
	}
	away_file_end(away->file);
	(void)pthread_mutex_unlock(&away->lock);
	return n;
}

/* away_do_settle - what came of one; with the lock held */
static void
away_do_settle(struct away *away, struct part *part, struct away_pending *pending,
    enum away_result result, int64_t now)
{
	switch (result) {
	case AWAY_KEPT:
		pending->taken = false;
		if (pending->ambiguous_at == 0)
			away_file_mark_charge(away->file, pending->number, 0);
		return;
	case AWAY_AMBIGUOUS:
		pending->taken = false;
		if (pending->ambiguous_at == 0)
			pending->ambiguous_at = now;
		return;
	case AWAY_MERGED:
		away->merged++;
		part->merged++;
		break;
	case AWAY_DROPPED:
		away->dropped++;
		break;
	}
	away_forget(away, pending);
}

/* away_settle - what came of n that were taken */
void
away_settle(struct away *away, unsigned int part, struct away_pending *const *taken,
    const enum away_result *results, size_t n, int64_t now)
{
	(void)pthread_mutex_lock(&away->lock);
	away_file_begin(away->file);
	for (size_t i = 0; i < n; i++)
		away_do_settle(away, &away->parts[part], taken[i], results[i], now);
	away_file_end(away->file);
	(void)pthread_mutex_unlock(&away->lock);
}

/* --- deciding --- */

/* keep_subjects - what the ledger has of a plan's subjects; with the lock held */
static void
keep_subjects(struct away *away, const struct quota_plan *plan, int64_t now)
{
	for (size_t i = 0; away->file != NULL && i < plan->n_subjects; i++) {
		const char *key = plan->subjects[i].key;
		char *lines = embedded_text(away->ledger, key, wall_of(away, now));

		away_file_put_subject(away->file, key, lines);
		talloc_free(lines);
	}
}

/* away_decide - one message, with the lock held */
static void
away_decide(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan, unsigned int slot,
    bool ambiguous, int64_t now, struct quota_reply *reply)
{
	if (away->on_away == STORE_AWAY_TEMPFAIL) {
		memset(reply, 0, sizeof(*reply));
		reply->state = QUOTA_UNKNOWN;
	} else {
		embedded_charge(away->ledger, ctx, plan, wall_of(away, now),
		    away->on_away == STORE_AWAY_LOCAL, reply);
		away->local++;
	}
	away_file_begin(away->file);
	if (reply->state == QUOTA_CHARGED) {
		away_enqueue(away, plan, slot, ambiguous, false, now);
		keep_subjects(away, plan, now);
	} else if (ambiguous)
		away_enqueue(away, plan, slot, ambiguous, true, now);
	away_file_end(away->file);
}

/* why_away - why some part is not UP, or NULL; with the lock held */
static const char *
why_away(const struct away *away)
{
	for (unsigned int i = 0; i < REDIS_PARTS; i++)
		if (away_state(away, i) != AWAY_UP && away->parts[i].why != NULL)
			return away->parts[i].why;
	return NULL;
}

/* away_charge - decide one message without Redis */
void
away_charge(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan, unsigned int slot,
    bool ambiguous, int64_t now, struct quota_reply *reply_r)
{
	const char *why;

	(void)pthread_mutex_lock(&away->lock);
	away_decide(away, ctx, plan, slot, ambiguous, now, reply_r);
	why = why_away(away);
	reply_r->store = "local";
	reply_r->problem =
	    mem_printf(ctx, "Redis is away: %s", why != NULL ? why : "it has just failed");
	(void)pthread_mutex_unlock(&away->lock);
}

/* away_offence - count a sign without Redis */
bool
away_offence(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t now,
    struct quota_reply *reply_r)
{
	if (away->on_away != STORE_AWAY_LOCAL)
		return false;
	(void)pthread_mutex_lock(&away->lock);
	embedded_charge(away->ledger, ctx, plan, wall_of(away, now), false, reply_r);
	(void)pthread_mutex_unlock(&away->lock);
	return true;
}

/* away_foretell - what away_charge() would answer */
void
away_foretell(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan, const char *why,
    int64_t now, struct quota_reply *reply_r)
{
	const char *known;

	memset(reply_r, 0, sizeof(*reply_r));
	(void)pthread_mutex_lock(&away->lock);
	if (away->on_away == STORE_AWAY_TEMPFAIL)
		reply_r->state = QUOTA_UNKNOWN;
	else {
		embedded_read(away->ledger, ctx, plan, now, reply_r);
		quota_foretold(plan, away->on_away == STORE_AWAY_LOCAL, reply_r);
	}
	known = why_away(away);
	if (known == NULL)
		known = why != NULL ? why : "it has just failed";
	reply_r->store = "local";
	reply_r->problem = mem_printf(ctx, "Redis is away: %s", known);
	(void)pthread_mutex_unlock(&away->lock);
}

/* away_seen - Redis answered: note the totals */
void
away_seen(struct away *away, const struct quota_plan *plan, const struct away_place *place,
    const struct quota_reply *reply, int64_t stamp, int64_t now)
{
	atomic_store_explicit(&away->redis_offset, stamp - now, memory_order_relaxed);
	/* While something is queued, the totals do not contain what was charged here. */
	embedded_seen(away->ledger, plan, reply, stamp, wall_of(away, now),
	    away_may_ask(away, place, now));
}

/* away_reset - forget totals of plan's subjects */
void
away_reset(struct away *away, const struct quota_plan *plan)
{
	(void)pthread_mutex_lock(&away->lock);
	(void)embedded_reset(away->ledger, plan);
	away_file_begin(away->file);
	keep_subjects(away, plan, clock_ms());
	away_file_end(away->file);
	(void)pthread_mutex_unlock(&away->lock);
}

/* away_read - the counters as they are known here */
void
away_read(struct away *away, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t now,
    struct quota_reply *reply_r)
{
	const char *why;

	memset(reply_r, 0, sizeof(*reply_r));
	reply_r->state = QUOTA_UNKNOWN;
	if (away->on_away != STORE_AWAY_TEMPFAIL)
		embedded_read(away->ledger, ctx, plan, wall_of(away, now), reply_r);
	(void)pthread_mutex_lock(&away->lock);
	why = why_away(away);
	reply_r->store = "local";
	reply_r->problem =
	    mem_printf(ctx, "Redis is away: %s", why != NULL ? why : "it has just failed");
	(void)pthread_mutex_unlock(&away->lock);
}

/* --- changes by operators --- */

/* away_stamp - the time of a change that is made now */
int64_t
away_stamp(struct away *away, int64_t now)
{
	int64_t stamp = now + atomic_load(&away->redis_offset);

	(void)pthread_mutex_lock(&away->lock);
	if (stamp <= away->last_stamp)
		stamp = away->last_stamp + 1;
	away->last_stamp = stamp;
	(void)pthread_mutex_unlock(&away->lock);
	return stamp;
}

/* copy_change - with strings and a plan of its own, on ctx */
static struct away_change
copy_change(TALLOC_CTX *ctx, const struct away_change *from)
{
	struct away_change to = *from;

	to.field = mem_strdup_or_null(ctx, from->field);
	to.reason = mem_strdup_or_null(ctx, from->reason);
	to.by = mem_strdup_or_null(ctx, from->by);
	to.plan = quota_plan_copy(ctx, from->plan);
	return to;
}

/* append_change - after all others; with the lock held */
static void
append_change(struct away *away, const struct away_change *change)
{
	struct held **at = &away->changes, *held = mem_new(NULL, struct held);

	held->change = copy_change(held, change);
	while (*at != NULL)
		at = &(*at)->next;
	*at = held;
	away->n_changes++;
}

/* held_block - the block that a change makes */
static struct store_block
held_block(const struct away_change *change)
{
	return (struct store_block){ .account = change->plan->account,
		.reason = change->reason,
		.by = change->by,
		.since = change->since,
		.until = change->until };
}

/* hold_block - block or unblock here; as away_hold(); with the lock held */
static int
hold_block(struct away *away, const struct away_change *change)
{
	const struct store_block block = held_block(change);

	if (change->op == QUOTA_OP_UNBLOCK) {
		away_file_remove_block(away->file, block.account);
		return blocks_remove(away->blocks, block.account, clock_wall_ms());
	}
	if (!blocks_set(away->blocks, &block))
		return -1;
	away_file_put_block(away->file, &block);
	return 1;
}

/* hold_limit - raise or unraise here; as away_hold(); with the lock held */
static int
hold_limit(struct away *away, const struct away_change *change)
{
	const struct quota_plan *plan = change->plan;
	int64_t now = clock_ms(), wall = wall_of(away, now);
	int done = 0;

	if (change->op == QUOTA_OP_UNRAISE)
		done = embedded_unraise(away->ledger, plan, wall);
	for (size_t i = 0; change->op == QUOTA_OP_RAISE && i < plan->n_counters; i++) {
		const struct quota_counter *counter = &plan->counters[i];

		if (counter->subject != 0 || strcmp(counter->field, change->field) != 0)
			continue;
		embedded_raise(away->ledger, plan, counter, change->max,
		    wall + change->until - clock_wall_ms(), wall);
		done = 1;
	}
	keep_subjects(away, plan, now);
	return done;
}

/* away_hold - a change holds here and is queued for Redis */
int
away_hold(struct away *away, const struct away_change *change)
{
	struct away_change numbered = *change;
	int done;

	(void)pthread_mutex_lock(&away->lock);
	away_file_begin(away->file);
	done = change->op == QUOTA_OP_BLOCK || change->op == QUOTA_OP_UNBLOCK
	    ? hold_block(away, change)
	    : hold_limit(away, change);
	if (done >= 0) {
		numbered.number = away->next_number++;
		append_change(away, &numbered);
		away_file_add_change(away->file, &numbered);
	}
	away_file_end(away->file);
	(void)pthread_mutex_unlock(&away->lock);
	return done;
}

/* away_held - the first change that waits after the one of a number */
const struct away_change *
away_held(struct away *away, TALLOC_CTX *ctx, int64_t after)
{
	struct away_change *copy = NULL;

	(void)pthread_mutex_lock(&away->lock);
	for (const struct held *at = away->changes; at != NULL && copy == NULL; at = at->next)
		if (at->change.number > after) {
			copy = mem_new(ctx, struct away_change);
			*copy = copy_change(copy, &at->change);
		}
	(void)pthread_mutex_unlock(&away->lock);
	return copy;
}

/* away_release - it needs not be handed over any more */
void
away_release(struct away *away, int64_t number)
{
	struct held **at = &away->changes, *held;

	(void)pthread_mutex_lock(&away->lock);
	while (*at != NULL && (*at)->change.number != number)
		at = &(*at)->next;
	held = *at;
	if (held != NULL) {
		*at = held->next;
		away->n_changes--;
	}
	away_file_begin(away->file);
	away_file_remove_change(away->file, number);
	away_file_end(away->file);
	(void)pthread_mutex_unlock(&away->lock);
	talloc_free(held);
}

/* away_hold_again - blocks that wait still hold */
void
away_hold_again(struct away *away)
{
	(void)pthread_mutex_lock(&away->lock);
	away_file_begin(away->file);
	for (const struct held *at = away->changes; at != NULL; at = at->next)
		if (at->change.op == QUOTA_OP_BLOCK || at->change.op == QUOTA_OP_UNBLOCK)
			(void)hold_block(away, &at->change);
	away_file_end(away->file);
	(void)pthread_mutex_unlock(&away->lock);
}

/* away_status - how things stand */
void
away_status(struct away *away, TALLOC_CTX *ctx, int64_t now, struct store_status *status)
{
	const char *why;

	(void)pthread_mutex_lock(&away->lock);
	status->away = away->n_pending > 0;
	for (size_t i = 0; i < REDIS_PARTS; i++) {
		const struct part *part = &away->parts[i];

		if (atomic_load(&part->state) == AWAY_UP)
			continue;
		status->away = true;
		if (now - part->since > status->away_ms)
			status->away_ms = now - part->since;
	}
	why = why_away(away);
	status->problem = why != NULL ? mem_strdup(ctx, why) : NULL;
	status->local = away->local;
	status->pending = away->n_pending;
	status->changes = away->n_changes;
	status->merged = away->merged;
	status->dropped = away->dropped;
	(void)pthread_mutex_unlock(&away->lock);
	embedded_count(away->ledger, &status->accounts, &status->evicted);
}

/* --- the file --- */

/* What is being restored. */
struct restoring {
	struct away *away;
	away_slot_fn *slot_of;
	void *arg;
	int64_t wall;
	uint64_t expired;
};

/* mono_of - a time in the file on CLOCK_MONOTONIC; never later than now */
static int64_t
mono_of(const struct away *away, int64_t wall)
{
	int64_t now = clock_ms(), at = wall - away->offset;

	return at < now ? at : now;
}

/* restore_subject - lines of the ledger */
static bool
restore_subject(void *arg, char *lines)
{
	struct restoring *r = arg;

	return embedded_load(r->away->ledger, lines, r->wall);
}

/* restore_charge - one that Redis does not have */
static bool
restore_charge(void *arg, const struct away_charge *charge)
{
	struct restoring *r = arg;
	struct away *away = r->away;
	struct away_pending *pending = mem_new(NULL, struct away_pending);

	pending->plan = quota_plan_copy(pending, charge->plan);
	pending->slot = r->slot_of(r->arg, charge->plan->home);
	pending->at = mono_of(away, charge->at);
	pending->annul = charge->annul;
	pending->number = charge->number;
	if (charge->ambiguous_at != 0)
		pending->ambiguous_at = mono_of(away, charge->ambiguous_at);
	if (charge->ambiguous_at != 0 && pending->ambiguous_at == 0)
		pending->ambiguous_at = -1;	/* the machine has just started; 0 means never */
	if (charge->number >= away->next_number)
		away->next_number = charge->number + 1;
	away_append(away, pending);
	if (!is_outdated(pending, clock_ms()))
		return true;
	away_forget(away, pending);
	r->expired++;
	return true;
}

/* restore_block - one that was known */
static bool
restore_block(void *arg, const struct store_block *block)
{
	struct restoring *r = arg;

	if (block->until == 0 || block->until > r->wall)
		(void)blocks_set(r->away->blocks, block);
	return true;
}

/* restore_change - one by an operator */
static bool
restore_change(void *arg, const struct away_change *change)
{
	struct restoring *r = arg;
	struct away *away = r->away;

	/* what it does here is in the blocks and in the ledger */
	append_change(away, change);
	if (change->number >= away->next_number)
		away->next_number = change->number + 1;
	if (change->stamp > away->last_stamp)
		away->last_stamp = change->stamp;
	return true;
}

/* say_restored - what was found, if it was something */
static void
say_restored(const struct restoring *r)
{
	const struct away *away = r->away;

	if (away->n_pending > 0)
		away_log_text(away, STORE_LOG_INFO,
		    mem_printf(NULL,
			"%zu charge%s passed while Redis was away before the start: counted here, and "
			"handed over when Redis is back", away->n_pending,
			text_s(away->n_pending)));
	if (r->expired > 0)
		away_log_text(away, STORE_LOG_WARNING,
		    mem_printf(NULL,
			"%" PRIu64 " charge%s from before the start, when Redis was away, given "
			"up: too "
			"old to be handed over", r->expired, text_s(r->expired)));
}

/* away_restore - open the file, and go on from what it holds */
int
away_restore(struct away *away, TALLOC_CTX *ctx, const char *path, away_slot_fn *slot_of, void *arg,
    const char **error_r)
{
	struct restoring r = { .away = away,
		.slot_of = slot_of,
		.arg = arg,
		.wall = wall_of(away, clock_ms()) };
	const struct away_file_reader reader = { .arg = &r,
		.subject = restore_subject,
		.charge = restore_charge,
		.block = restore_block,
		.change = restore_change };

	away->file = talloc_steal(
	    away, away_file_open(ctx, path, away->log, away->log_arg, error_r));
	if (away->file == NULL)
		return -1;
	away_file_begin(away->file);
	if (away_file_read(away->file, ctx, &reader, error_r) < 0)
		return -1;
	away->dropped += r.expired;
	away_file_end(away->file);
	say_restored(&r);
	return 0;
}

/* keep_lines - embedded_each_fn */
static void
keep_lines(void *arg, const char *key, const char *lines)
{
	away_file_put_subject(arg, key, lines);
}

/* keep_blocks - who is blocked; in a transaction */
static void
keep_blocks(struct away *away)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	size_t n = 0;
	const struct store_block *list = blocks_list(away->blocks, tmp, clock_wall_ms(), &n);

	away_file_clear_blocks(away->file);
	for (size_t i = 0; i < n; i++)
		away_file_put_block(away->file, &list[i]);
	talloc_free(tmp);
}

/* away_keep_blocks - the list of blocked accounts has changed */
void
away_keep_blocks(struct away *away)
{
	(void)pthread_mutex_lock(&away->lock);
	away_file_begin(away->file);
	if (away->file != NULL)
		keep_blocks(away);
	away_file_end(away->file);
	(void)pthread_mutex_unlock(&away->lock);
}

/* keep_ledger - some dozen subjects at a time, so that no message waits for all */
static void
keep_ledger(struct away *away)
{
	struct embedded_cursor cursor = { 0 };
	bool more = true;

	while (more) {
		(void)pthread_mutex_lock(&away->lock);
		away_file_begin(away->file);
		if (cursor.shard == 0 && cursor.bucket == 0)
			keep_blocks(away);
		more = embedded_walk(away->ledger, &cursor, wall_of(away, clock_ms()), keep_lines,
		    away->file);
		away->kept = !more;
		away_file_end(away->file);
		(void)pthread_mutex_unlock(&away->lock);
	}
}

/* away_keep - the regular work on the file */
void
away_keep(struct away *away)
{
	bool gone = false, kept;

	if (away->file == NULL)
		return;
	for (unsigned int i = 0; i < REDIS_PARTS; i++)
		gone = gone || away_state(away, i) == AWAY_GONE;
	(void)pthread_mutex_lock(&away->lock);
	kept = away->kept;
	(void)pthread_mutex_unlock(&away->lock);
	if (gone && !kept)
		keep_ledger(away);
	away_file_sync(away->file);
}

/* away_keep_last - the whole ledger, at the end */
void
away_keep_last(struct away *away)
{
	struct embedded_cursor cursor = { 0 };

	if (away->file == NULL || away->kept)
		return;
	away_file_begin(away->file);
	away_file_clear_subjects(away->file);
	keep_blocks(away);
	while (embedded_walk(away->ledger, &cursor, wall_of(away, clock_ms()), keep_lines,
	    away->file))
		;
	away_file_end(away->file);
}
