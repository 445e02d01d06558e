/*
 * store_embedded.c - counts in this process: the rules
 *
 * The same rules as filter/quota.lua. "All limits or none" is one critical section: the plan's counters are
 * looked up once (seats), judged as of now without touching them, and only a message that is
 * charged changes anything: looking at a time that turns out wrong must forget nothing.
 *
 * Thread rule: the locks of the plan's shards are held throughout, one mostly, two where the client's
 * network has another home; they are taken in the order of their addresses. `dirty` is atomic.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/store_embedded_table.h"
#include "policy/mem.h"

#define FEW_SEATS	12	/* counters of one message that need no memory of their own */
#define MAX_SHARDS	4	/* of one message: parties that may have homes of their own */

/* One counter of the plan. */
struct seat {
	struct shard *shard;
	struct subject *subject; /* NULL: nothing was counted yet */
	struct counter *counter; /* likewise */
	uint64_t used;		/* as of now */
	uint64_t max;		/* in force */
	uint64_t cost;		/* of this message */
};

/* A plan as it is being judged. */
struct judging {
	struct embedded *table;
	const struct quota_plan *plan;
	int64_t now;
	struct shard *shards[MAX_SHARDS]; /* locked, in the order of addresses */
	size_t n_shards;
	struct shard *home;	/* the shard of the account: charge ids are there */
	struct seat *seats;
	struct seat few[FEW_SEATS];
};

/* --- locks --- */

/* add_shard - one more shard to be locked, in order */
static void
add_shard(struct judging *j, struct shard *shard)
{
	size_t at = 0;

	while (at < j->n_shards && j->shards[at] < shard)
		at++;
	if ((at < j->n_shards && j->shards[at] == shard) || j->n_shards == MAX_SHARDS)
		return;
	memmove(&j->shards[at + 1], &j->shards[at], (j->n_shards - at) * sizeof(j->shards[0]));
	j->shards[at] = shard;
	j->n_shards++;
}

/* begin - find and lock the plan's shards */
static void
begin(struct judging *j, struct embedded *table, const struct quota_plan *plan, int64_t now)
{
	j->table = table;
	j->plan = plan;
	j->now = now;
	j->n_shards = 0;
	j->home = table_shard(table, plan->subjects[0].key);
	add_shard(j, j->home);
	for (size_t i = 1; i < plan->n_subjects; i++)
		add_shard(j, plan->subjects[i].kind == QUOTA_NETWORK ?
		    table_shard(table, plan->subjects[i].key) : j->home);
	for (size_t i = 0; i < j->n_shards; i++)
		pthread_mutex_lock(&j->shards[i]->lock);
	j->seats = plan->n_counters <= FEW_SEATS ? j->few :
	    mem_array(NULL, struct seat, plan->n_counters);
}

/* end - unlock */
static void
end(struct judging *j)
{
	for (size_t i = j->n_shards; i-- > 0;)
		pthread_mutex_unlock(&j->shards[i]->lock);
	if (j->seats != j->few)
		talloc_free(j->seats);
}

/* home_of - the shard of a subject of the plan */
static struct shard *
home_of(const struct judging *j, const struct quota_subject *subject)
{
	return subject->kind == QUOTA_NETWORK ? table_shard(j->table, subject->key) : j->home;
}

/* --- looking --- */

/* embedded_touch - the next save has something to write */
void
embedded_touch(struct embedded *table)
{
	atomic_store_explicit(&table->dirty, true, memory_order_relaxed);
}

/* base_now - the part of a counter that was seen in Redis and still counts */
static uint64_t
base_now(const struct counter *counter, int64_t now)
{
	return now < counter->base_until ? counter->base : 0;
}

/* clients_now - a copy of a set of clients as of now, on ctx */
static struct recent
clients_now(TALLOC_CTX *ctx, const struct recent *set, int64_t width, int64_t now)
{
	struct recent copy = { 0 };

	if (set->n == 0)
		return copy;
	copy.marks = mem_memdup(ctx, set->marks, set->n * sizeof(set->marks[0]));
	copy.n = copy.room = set->n;
	(void)recent_turn(&copy, width, now);
	return copy;
}

/* look_clients - used and cost of a counter of clients */
static void
look_clients(struct seat *seat, const struct quota_plan *plan, int64_t now)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const struct counter *counter = seat->counter;
	struct recent own = clients_now(tmp, &counter->clients, counter->width_ms, now);
	struct recent included = clients_now(tmp, &counter->included, counter->width_ms, now);

	seat->used = own.n + base_now(counter, now);
	if (plan->has_client && (recent_find(&own, plan->client) >= 0 ||
	    recent_find(&included, plan->client) >= 0))
		seat->cost = 0;
	talloc_free(tmp);
}

/* count_new - how many of the message's recipients the subject has not written to */
static uint64_t
count_new(const struct subject *subject, const struct quota_plan *plan, int64_t now)
{
	uint64_t n = 0;

	for (size_t i = 0; i < plan->n_marks; i++)
		if (!recent_knows(&subject->known, plan->marks[i], RECENT_LIFE_MS, now))
			n++;
	return n;
}

/* look - one counter as of now */
static void
look(const struct judging *j, const struct quota_counter *asked, struct seat *seat)
{
	const struct counter *counter = seat->counter;

	seat->used = 0;
	seat->max = asked->max;
	seat->cost = asked->cost;
	if (asked->unit == LIMIT_NEW && seat->subject != NULL)
		seat->cost = count_new(seat->subject, j->plan, j->now);
	if (counter == NULL)
		return;
	if (counter->raised_until > j->now)
		seat->max = counter->raised_max;
	if (asked->unit == LIMIT_CLIENTS) {
		look_clients(seat, j->plan, j->now);
		return;
	}
	seat->used = window_used(&counter->window, counter->width_ms, j->now) + base_now(counter, j->now);
	if (seat->used > (uint64_t)LIMIT_MAX_COUNT)
		seat->used = (uint64_t)LIMIT_MAX_COUNT;
}

/* look_at_all - find the counters of the plan and look at them */
static void
look_at_all(struct judging *j)
{
	size_t subject = SIZE_MAX;
	struct seat last = { 0 };

	for (size_t i = 0; i < j->plan->n_counters; i++) {
		const struct quota_counter *asked = &j->plan->counters[i];
		struct seat *seat = &j->seats[i];

		if (asked->subject != subject) {
			subject = asked->subject;
			last.shard = home_of(j, &j->plan->subjects[subject]);
			last.subject = table_find(j->table, last.shard, j->plan->subjects[subject].key);
			if (last.subject != NULL)
				table_used(last.shard, last.subject);
		}
		seat->shard = last.shard;
		seat->subject = last.subject;
		seat->counter = table_find_counter(last.subject, asked->field);
		look(j, asked, seat);
	}
}

/* would_refuse - whether a binding limit would be exceeded */
static bool
would_refuse(const struct judging *j)
{
	for (size_t i = 0; i < j->plan->n_counters; i++) {
		const struct seat *seat = &j->seats[i];

		if (j->plan->counters[i].binding && seat->cost > 0 &&
		    (seat->cost > seat->max || seat->used > seat->max - seat->cost))
			return true;
	}
	return false;
}

/* --- waiting --- */

/* wait_sum - how long until cost would fit: a baseline leaves all at once, the rest by buckets */
static int64_t
wait_sum(const struct counter *counter, int64_t now, uint64_t max, uint64_t cost)
{
	struct window window = counter->window;
	uint64_t base = base_now(counter, now);
	int64_t with, without, base_left;

	window_turn(&window, counter->width_ms, now);
	without = window_wait(&window, counter->width_ms, now, max, cost);
	if (base == 0)
		return without;
	base_left = counter->base_until - now;
	with = max >= base ? window_wait(&window, counter->width_ms, now, max - base, cost) : -1;
	if (with >= 0 && with <= base_left)
		return with;
	return without > base_left ? without : base_left;
}

/* wait_clients - the same for clients, which leave one by one; those seen in Redis at once */
static int64_t
wait_clients(const struct counter *counter, int64_t now, uint64_t max, uint64_t cost)
{
	struct recent set = clients_now(NULL, &counter->clients, counter->width_ms, now);
	uint64_t used = set.n + base_now(counter, now);
	int64_t wait = 0;

	if (used + cost > max && base_now(counter, now) > 0)
		wait = counter->base_until - now;
	else if (used + cost > max)
		wait = recent_nth(&set, (uint32_t)(used + cost - max)) + counter->width_ms - now;
	talloc_free(set.marks);
	return wait;
}

/* wait_for - how long until cost would fit; 0 now, -1 never */
static int64_t
wait_for(const struct seat *seat, const struct quota_counter *asked, int64_t now, uint64_t cost)
{
	if (cost == 0)
		return 0;
	if (cost > seat->max)
		return -1;
	if (seat->counter == NULL)
		return 0;
	return asked->unit == LIMIT_CLIENTS ? wait_clients(seat->counter, now, seat->max, cost) :
	    wait_sum(seat->counter, now, seat->max, cost);
}

/* first_out - how long until some of what was charged here leaves */
static int64_t
first_out(const struct counter *counter, const struct quota_counter *asked, int64_t now)
{
	struct recent set;
	struct window window;
	int64_t next = 0;

	if (asked->unit != LIMIT_CLIENTS) {
		window = counter->window;
		window_turn(&window, counter->width_ms, now);
		return window_next(&window, counter->width_ms, now);
	}
	set = clients_now(NULL, &counter->clients, counter->width_ms, now);
	if (set.n > 0)
		next = recent_nth(&set, 1) + counter->width_ms - now;
	talloc_free(set.marks);
	return next;
}

/* next_out - how long until some of a counter leaves */
static int64_t
next_out(const struct counter *counter, const struct quota_counter *asked, int64_t now)
{
	int64_t next, base_left;

	if (counter == NULL)
		return 0;
	next = first_out(counter, asked, now);
	if (base_now(counter, now) == 0)
		return next;
	base_left = counter->base_until - now;
	return next > 0 && next < base_left ? next : base_left;
}

/* --- changing --- */

/* set_wanted - whether the plan's counters may be used again for other fields */
static void
set_wanted(struct judging *j, bool wanted)
{
	for (size_t i = 0; i < j->plan->n_counters; i++)
		if (j->seats[i].counter != NULL)
			j->seats[i].counter->wanted = wanted;
}

/* make_all - the counters of the plan, made where missing */
static void
make_all(struct judging *j)
{
	bool moved = false;

	for (size_t i = 0; i < j->plan->n_counters; i++)
		moved = moved || j->seats[i].counter == NULL;
	if (!moved)
		return;
	set_wanted(j, true);
	for (size_t i = 0; i < j->plan->n_counters; i++) {
		const struct quota_counter *asked = &j->plan->counters[i];
		struct seat *seat = &j->seats[i];

		if (seat->counter != NULL)
			continue;
		seat->subject = table_ensure(j->table, seat->shard, j->plan->subjects[asked->subject].key,
		    j->now);
		table_used(seat->shard, seat->subject);
		table_ensure_counter(seat->subject, asked->field, asked->width_ms, j->now)->wanted = true;
	}
	for (size_t i = 0; i < j->plan->n_counters; i++)
		j->seats[i].counter = table_find_counter(j->seats[i].subject, j->plan->counters[i].field);
	set_wanted(j, false);
}

/* remember_recipients - the subject wrote to them at that time */
static void
remember_recipients(const struct judging *j, struct subject *subject, int64_t when)
{
	struct recent *known = &subject->known;
	bool changed = false;

	for (size_t i = 0; i < j->plan->n_marks; i++) {
		uint64_t mark = j->plan->marks[i];
		long place = recent_find(known, mark);

		if (place >= 0 && j->now - known->marks[place].seen < RECENT_LIFE_MS &&
		    known->marks[place].seen >= when - RECENT_FRESH_MS)
			continue;
		recent_see(subject, known, mark, when, UINT32_MAX);
		changed = true;
	}
	if (!changed)
		return;
	recent_prune(known, RECENT_LIFE_MS, j->now);
	recent_trim(known, j->table->max_known);
}

/* add_client - the client of the message was seen age_ms ago */
static void
add_client(const struct judging *j, struct seat *seat, int64_t age_ms)
{
	struct counter *counter = seat->counter;
	int64_t time = recent_turn(&counter->clients, counter->width_ms, j->now);
	int64_t seen = age_ms == 0 ? time : j->now - age_ms;

	if (j->plan->has_client && time - seen < counter->width_ms)
		recent_see(seat->subject, &counter->clients, j->plan->client, seen,
		    (uint32_t)seat->max + 1);
}

/* add_sum - the message's cost, as of age_ms ago */
static void
add_sum(const struct judging *j, struct seat *seat, int64_t age_ms)
{
	struct counter *counter = seat->counter;

	window_turn(&counter->window, counter->width_ms, j->now);
	if (age_ms == 0)
		window_add(&counter->window, seat->cost);
	else
		window_add_at(&counter->window, counter->width_ms, j->now - age_ms, seat->cost);
}

/* add_all - count the plan's costs as of age_ms ago, and look again */
static void
add_all(struct judging *j, int64_t age_ms)
{
	make_all(j);
	for (size_t i = 0; i < j->plan->n_counters; i++) {
		struct seat *seat = &j->seats[i];
		uint64_t cost = seat->cost;

		if (j->plan->counters[i].unit == LIMIT_CLIENTS)
			add_client(j, seat, age_ms);
		else
			add_sum(j, seat, age_ms);
		if (j->plan->counters[i].unit == LIMIT_NEW)
			remember_recipients(j, seat->subject, j->now - age_ms);
		look(j, &j->plan->counters[i], seat);
		seat->cost = cost;
	}
	table_remember_id(j->home, j->plan->id, j->now);
	embedded_touch(j->table);
}

/* answer - the totals as they are now; the waits unless the message was charged */
static void
answer(const struct judging *j, TALLOC_CTX *ctx, enum quota_state state, struct quota_reply *reply)
{
	reply->state = state;
	reply->n_counts = j->plan->n_counters;
	reply->counts = mem_array(ctx, struct quota_count, j->plan->n_counters);
	for (size_t i = 0; i < j->plan->n_counters; i++) {
		const struct quota_counter *asked = &j->plan->counters[i];
		const struct seat *seat = &j->seats[i];
		struct quota_count *count = &reply->counts[i];

		count->used = seat->used;
		count->cost = seat->cost;
		count->max = seat->max;
		if (seat->counter != NULL && seat->counter->raised_until > j->now)
			count->raised_ms = seat->counter->raised_until - j->now;
		if (state == QUOTA_CHARGED)
			continue;
		count->wait_ms = wait_for(seat, asked, j->now, seat->cost);
		count->one_ms = wait_for(seat, asked, j->now, asked->one);
		count->next_ms = next_out(seat->counter, asked, j->now);
	}
}

/* clear - an empty reply; false when the plan asks for nothing */
static bool
clear(const struct quota_plan *plan, struct quota_reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	return plan->n_counters > 0;
}

/* embedded_charge - charge all counters of plan or none */
void
embedded_charge(struct embedded *table, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t now, bool refuse, struct quota_reply *reply_r)
{
	enum quota_state state = QUOTA_CHARGED;
	struct judging j;

	if (!clear(plan, reply_r))
		return;
	begin(&j, table, plan, now);
	look_at_all(&j);
	if (table_knows_id(j.home, plan->id, now))
		;
	else if (refuse && would_refuse(&j))
		state = QUOTA_REFUSED;
	else
		add_all(&j, 0);
	answer(&j, ctx, state, reply_r);
	end(&j);
}

/* embedded_merge - count plan's costs as of age_ms ago, over any limit */
void
embedded_merge(struct embedded *table, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t now, int64_t age_ms, struct quota_reply *reply_r)
{
	struct judging j;

	if (!clear(plan, reply_r))
		return;
	begin(&j, table, plan, now);
	look_at_all(&j);
	if (!table_knows_id(j.home, plan->id, now))
		add_all(&j, age_ms);
	answer(&j, ctx, QUOTA_CHARGED, reply_r);
	end(&j);
}

/* embedded_read - the counters without charging */
void
embedded_read(struct embedded *table, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t now, struct quota_reply *reply_r)
{
	struct judging j;

	clear(plan, reply_r);
	begin(&j, table, plan, now);
	look_at_all(&j);
	answer(&j, ctx, QUOTA_READ, reply_r);
	end(&j);
}

/* --- what operators do --- */

/* clear_counts - forget what a subject used; false when nothing else is left of it either */
static bool
clear_counts(struct subject *subject)
{
	bool kept = subject->known.n > 0;

	for (size_t i = 0; i < subject->n_counters; i++) {
		struct counter *counter = &subject->counters[i];

		memset(&counter->window, 0, sizeof(counter->window));
		recent_forget(&counter->clients);
		recent_forget(&counter->included);
		counter->base = 0;
		kept = kept || counter->raised_until > 0;
	}
	return kept;
}

/* embedded_reset - forget the counts of plan's subjects */
void
embedded_reset(struct embedded *table, const struct quota_plan *plan)
{
	struct judging j;

	begin(&j, table, plan, 0);
	for (size_t i = 0; i < plan->n_subjects; i++) {
		struct shard *shard = home_of(&j, &plan->subjects[i]);
		struct subject *subject = table_find(table, shard, plan->subjects[i].key);

		if (subject != NULL && !clear_counts(subject))
			table_forget(shard, subject);
	}
	embedded_touch(table);
	end(&j);
}

/* embedded_raise - until then, max stands in for the limit of a counter */
void
embedded_raise(struct embedded *table, const struct quota_plan *plan,
    const struct quota_counter *asked, uint64_t max, int64_t until, int64_t now)
{
	const char *key = plan->subjects[asked->subject].key;
	struct shard *shard = table_shard(table, key);
	struct subject *subject;
	struct counter *counter;

	pthread_mutex_lock(&shard->lock);
	subject = table_ensure(table, shard, key, now);
	for (size_t i = 0; i < subject->n_counters; i++)
		if (subject->counters[i].raised_until <= now)
			subject->counters[i].raised_until = 0;	/* over, even if time runs back */
	counter = table_ensure_counter(subject, asked->field, asked->width_ms, now);
	counter->raised_max = max;
	counter->raised_until = until;
	embedded_touch(table);
	pthread_mutex_unlock(&shard->lock);
}

/* embedded_unraise - the limits of plan's account hold again */
int
embedded_unraise(struct embedded *table, const struct quota_plan *plan, int64_t now)
{
	const char *key = plan->subjects[0].key;
	struct shard *shard = table_shard(table, key);
	struct subject *subject;
	int n = 0;

	pthread_mutex_lock(&shard->lock);
	subject = table_find(table, shard, key);
	for (size_t i = 0; subject != NULL && i < subject->n_counters; i++) {
		if (subject->counters[i].raised_until > now)
			n++;
		subject->counters[i].raised_until = 0;
	}
	embedded_touch(table);
	pthread_mutex_unlock(&shard->lock);
	return n;
}

/* --- local mode: what Redis said --- */

/* note - the total of one counter as Redis reported it */
static void
note(const struct judging *j, struct seat *seat, const struct quota_count *count, int64_t stamp,
    bool charged, bool forget_own)
{
	struct counter *counter = seat->counter;
	/* Answers overtake each other; but a clock that was set back must not deafen us. */
	bool outdated = stamp < counter->base_stamp ||
	    (stamp == counter->base_stamp && count->used < counter->base);

	if (outdated && j->now - counter->base_noted <= 1000)
		return;
	counter->base = count->used;
	counter->base_stamp = stamp;
	counter->base_noted = j->now;
	counter->base_until = j->now + (table_is_clients(counter) ? counter->width_ms :
	    counter->width_ms * WINDOW_SLOTS);
	counter->raised_until = count->raised_ms > 0 ? j->now + count->raised_ms : 0;
	counter->raised_max = count->max;
	if (forget_own) {
		memset(&counter->window, 0, sizeof(counter->window));
		for (uint32_t i = 0; i < counter->clients.n; i++)
			recent_see(seat->subject, &counter->included, counter->clients.marks[i].mark,
			    counter->clients.marks[i].seen, LIMIT_MAX_CLIENTS);
		recent_forget(&counter->clients);
	}
	if (charged && table_is_clients(counter) && j->plan->has_client) {
		(void)recent_turn(&counter->included, counter->width_ms, j->now);
		recent_see(seat->subject, &counter->included, j->plan->client, j->now, LIMIT_MAX_CLIENTS);
	}
}

/* embedded_seen - note the totals that Redis reported for plan's counters */
void
embedded_seen(struct embedded *table, const struct quota_plan *plan,
    const struct quota_reply *reply, int64_t stamp, int64_t now, bool forget_own)
{
	bool charged = reply->state == QUOTA_CHARGED;
	struct judging j;

	if (plan->n_counters == 0 || reply->n_counts != plan->n_counters)
		return;
	begin(&j, table, plan, now);
	look_at_all(&j);
	make_all(&j);
	for (size_t i = 0; i < plan->n_counters; i++) {
		note(&j, &j.seats[i], &reply->counts[i], stamp, charged, forget_own);
		if (charged && plan->counters[i].unit == LIMIT_NEW)
			remember_recipients(&j, j.seats[i].subject, now);
	}
	end(&j);
}

/* embedded_count - subjects in the table, and subjects with counts that were evicted */
void
embedded_count(struct embedded *table, uint64_t *subjects_r, uint64_t *evicted_r)
{
	*subjects_r = 0;
	*evicted_r = 0;
	for (size_t i = 0; i < table->n_shards; i++) {
		struct shard *shard = &table->shards[i];

		pthread_mutex_lock(&shard->lock);
		*subjects_r += shard->n_subjects;
		*evicted_r += shard->evicted;
		pthread_mutex_unlock(&shard->lock);
	}
}
