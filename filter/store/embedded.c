/*
 * embedded.c - counts in this process: the rules
 *
 * The same rules as filter/store/quota.lua. "All limits or none" is one critical section: the
 * plan's counters are looked up once (seats), judged as of now without touching them, and only a
 * message that is charged changes anything: looking at a time that turns out wrong must forget
 * nothing.
 *
 * Thread rule: the locks of the plan's shards are held throughout, one mostly, two if the
 * client's network has another home; they are taken in the order of their addresses. `dirty` is
 * atomic.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "filter/store/embedded.h"
#include "filter/store/embedded_table.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define MANY_SHARDS	16	/* a power of two */
#define LOCAL_KNOWN	200	/* recipients remembered of one subject for local mode */
#define FEW_SEATS	12	/* counters of one message that need no memory of their own */
#define MAX_SHARDS	4	/* of one message: parties that may have homes of their own */

/* One counter of the plan. */
struct seat {
	struct subject *subject; /* NULL: nothing was counted yet */
	struct counter *counter; /* likewise */
	struct counter_more *more; /* likewise, or it has none of this */
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
	struct place home;	/* of the account: charge ids are in its shard */
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

/* embedded_begin - find and lock the plan's shards */
static void
embedded_begin(
    struct judging *j, struct embedded *table, const struct quota_plan *plan, int64_t now)
{
	j->table = table;
	j->plan = plan;
	j->now = now;
	j->n_shards = 0;
	j->home = table_place(table, plan->subjects[0].key);
	table_expect(&j->home, plan->id);
	add_shard(j, j->home.shard);
	for (size_t i = 1; i < plan->n_subjects; i++)
		if (plan->subjects[i].kind == QUOTA_NETWORK)
			add_shard(j, table_place(table, plan->subjects[i].key).shard);
	for (size_t i = 0; i < j->n_shards; i++)
		(void)pthread_mutex_lock(&j->shards[i]->lock);
	j->seats = plan->n_counters <= FEW_SEATS ? j->few :
	    mem_array(NULL, struct seat, plan->n_counters);
}

/* embedded_end - unlock */
static void
embedded_end(struct judging *j)
{
	for (size_t i = j->n_shards; i-- > 0;)
		(void)pthread_mutex_unlock(&j->shards[i]->lock);
	if (j->seats != j->few)
		talloc_free(j->seats);
}

/* embedded_place_of - where a subject of the plan belongs */
static struct place
embedded_place_of(const struct judging *j, size_t subject)
{
	return subject == 0 ? j->home : table_place(j->table, j->plan->subjects[subject].key);
}

/* --- looking --- */

/* embedded_free - talloc destructor: the shards are trees of their own */
static int
embedded_free(struct embedded *table)
{
	for (size_t i = 0; i < table->n_shards; i++) {
		(void)pthread_mutex_destroy(&table->shards[i].lock);
		talloc_free(table->shards[i].memory);
	}
	(void)pthread_mutex_destroy(&table->save_lock);
	if (table->lock_fd >= 0)
		close(table->lock_fd);
	return 0;
}

/* random_seed - for the hash; a fixed one if the system has no random octets */
static uint64_t
random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return HASH_START;
	return seed ^ HASH_START;
}

/* embedded_new - an empty table */
struct embedded *
embedded_new(TALLOC_CTX *ctx, size_t max_accounts, bool remember_ids)
{
	struct embedded *table = mem_new(ctx, struct embedded);

	table->n_shards = max_accounts >= 4096 ? MANY_SHARDS : 1;
	table->max_subjects = max_accounts > TABLE_MIN_SHARE ? max_accounts : TABLE_MIN_SHARE;
	table->shards = mem_array(table, struct shard, table->n_shards);
	table->seed = random_seed();
	table->max_known = remember_ids ? RECENT_MAX_KNOWN : LOCAL_KNOWN;
	table->lock_fd = -1;
	atomic_init(&table->dirty, false);
	atomic_init(&table->n_subjects, 0);
	(void)pthread_mutex_init(&table->save_lock, NULL);
	for (size_t i = 0; i < table->n_shards; i++)
		table_init_shard(&table->shards[i], table->max_subjects / table->n_shards,
		    remember_ids ? EMBEDDED_IDS / table->n_shards : 0);
	talloc_set_destructor(table, embedded_free);
	return table;
}

/* embedded_touch - the next save has something to write */
void
embedded_touch(struct embedded *table)
{
	atomic_store_explicit(&table->dirty, true, memory_order_relaxed);
}

/* touched - the same with a shard's lock held: most charges find that it was said already */
static void
touched(struct embedded *table)
{
	if (!atomic_load_explicit(&table->dirty, memory_order_relaxed))
		embedded_touch(table);
}

/* base_now - the part of a counter that was seen in Redis and still counts */
static uint64_t
base_now(const struct seat *seat, int64_t now)
{
	return seat->more != NULL && now < seat->more->base_until ? seat->more->base : 0;
}

/* embedded_max_of - what a message must fit under: a level, until it is exceeded */
static uint64_t
embedded_max_of(const struct quota_counter *asked, const struct seat *seat)
{
	return seat->max + asked->level;
}

/* embedded_cost_of - what counts of a message that would cost so much */
static uint64_t
embedded_cost_of(const struct quota_counter *asked, uint64_t cost)
{
	return asked->level ? 1 : cost;
}

/* clients_now - a copy of a set of clients as of now, on ctx */
static struct recent
clients_now(TALLOC_CTX *ctx, const struct recent *set, int64_t width, int64_t now)
{
	struct recent copy = { 0 };

	if (set == NULL || set->n == 0)
		return copy;
	copy.marks = mem_memdup(ctx, set->marks, set->n * sizeof(set->marks[0]));
	copy.n = copy.room = set->n;
	(void)recent_turn(&copy, width, now);
	return copy;
}

/* look_clients - used and cost of a counter of clients */
static void
look_clients(struct seat *seat, const struct quota_counter *asked, int64_t now)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const struct counter *counter = seat->counter;
	const struct counter_more *more = seat->more;
	struct recent own =
	    clients_now(tmp, more != NULL ? &more->clients : NULL, counter->width_ms, now);
	struct recent included =
	    clients_now(tmp, more != NULL ? &more->included : NULL, counter->width_ms, now);

	seat->used = own.n + base_now(seat, now);
	if (asked->cost > 0 && (recent_find(&own, asked->mark) >= 0 ||
	    recent_find(&included, asked->mark) >= 0))
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

/* used_now - what is in the window of a counter as of now */
static uint64_t
used_now(const struct seat *seat, int64_t now)
{
	struct counter *counter = seat->counter;
	struct window window;

	if (counter->window.total == 0 ||
	    window_packed_is_filling(&counter->window, now / counter->width_ms))
		return counter->window.total;
	table_window(seat->subject, counter, &window);
	return window_used(&window, counter->width_ms, now);
}

/* embedded_look - one counter as of now */
static void
embedded_look(const struct judging *j, const struct quota_counter *asked, struct seat *seat)
{
	seat->used = 0;
	seat->max = asked->max;
	seat->cost = asked->cost;
	if (asked->unit == LIMIT_NEW && seat->subject != NULL)
		seat->cost = count_new(seat->subject, j->plan, j->now);
	if (seat->counter == NULL)
		return;
	if (seat->more != NULL && seat->more->raised_until > j->now)
		seat->max = seat->more->raised_max;
	if (limit_is_distinct(asked->unit)) {
		look_clients(seat, asked, j->now);
		return;
	}
	seat->used = used_now(seat, j->now) + base_now(seat, j->now);
	if (seat->used > (uint64_t)LIMIT_MAX_COUNT)
		seat->used = (uint64_t)LIMIT_MAX_COUNT;
}

/* sit - the counter of a subject (or NULL) takes its seat */
static void
sit(struct seat *seat, struct subject *subject, const char *field)
{
	seat->subject = subject;
	seat->counter = table_find_counter(subject, field);
	seat->more = seat->counter != NULL ? table_more(subject, seat->counter) : NULL;
}

/* look_at_all - find the counters of the plan and look at them */
static void
look_at_all(struct judging *j)
{
	size_t last = SIZE_MAX;
	struct subject *subject = NULL;

	for (size_t i = 0; i < j->plan->n_counters; i++) {
		const struct quota_counter *asked = &j->plan->counters[i];
		struct seat *seat = &j->seats[i];

		if (asked->subject != last) {
			struct place place = embedded_place_of(j, asked->subject);

			last = asked->subject;
			subject = table_find(&place, j->plan->subjects[last].key);
			if (subject != NULL)
				table_used(place.shard, subject);
		}
		sit(seat, subject, asked->field);
		embedded_look(j, asked, seat);
	}
}

/* would_refuse - whether a binding limit would be exceeded */
static bool
would_refuse(const struct judging *j)
{
	for (size_t i = 0; i < j->plan->n_counters; i++) {
		const struct quota_counter *asked = &j->plan->counters[i];
		uint64_t max = embedded_max_of(asked, &j->seats[i]);
		uint64_t cost = embedded_cost_of(asked, j->seats[i].cost);

		if (asked->binding && cost > 0 &&
		    (cost > max || j->seats[i].used > max - cost))
			return true;
	}
	return false;
}

/* --- waiting --- */

/* wait_sum - how long until cost would fit: a baseline leaves all at once, the rest by buckets */
static int64_t
wait_sum(const struct seat *seat, int64_t now, uint64_t max, uint64_t cost)
{
	int64_t width = seat->counter->width_ms, with, without, base_left;
	uint64_t base = base_now(seat, now);
	struct window window;

	table_window(seat->subject, seat->counter, &window);
	window_turn(&window, width, now);
	without = window_wait(&window, width, now, max, cost);
	if (base == 0)
		return without;
	base_left = seat->more->base_until - now;
	with = max >= base ? window_wait(&window, width, now, max - base, cost) : -1;
	if (with >= 0 && with <= base_left)
		return with;
	return without > base_left ? without : base_left;
}

/* wait_clients - the same for clients, which leave one by one; those seen in Redis at once */
static int64_t
wait_clients(const struct seat *seat, int64_t now, uint64_t max, uint64_t cost)
{
	int64_t width = seat->counter->width_ms, wait = 0;
	struct recent set =
	    clients_now(NULL, seat->more != NULL ? &seat->more->clients : NULL, width, now);
	uint64_t used = set.n + base_now(seat, now);

	if (used + cost > max && base_now(seat, now) > 0)
		wait = seat->more->base_until - now;
	else if (used + cost > max)
		wait = recent_nth(&set, (uint32_t)(used + cost - max)) + width - now;
	talloc_free(set.marks);
	return wait;
}

/* embedded_wait_for - how long until cost would fit; 0 now, -1 never */
static int64_t
embedded_wait_for(
    const struct seat *seat, const struct quota_counter *asked, int64_t now, uint64_t cost)
{
	uint64_t max = embedded_max_of(asked, seat);

	cost = embedded_cost_of(asked, cost);
	if (cost == 0)
		return 0;
	if (cost > max)
		return -1;
	if (seat->counter == NULL)
		return 0;
	return limit_is_distinct(asked->unit) ? wait_clients(seat, now, max, cost) :
	    wait_sum(seat, now, max, cost);
}

/* first_out - how long until some of what was charged here leaves */
static int64_t
first_out(const struct seat *seat, const struct quota_counter *asked, int64_t now)
{
	int64_t width = seat->counter->width_ms, next = 0;
	struct window window;
	struct recent set;

	if (!limit_is_distinct(asked->unit)) {
		table_window(seat->subject, seat->counter, &window);
		window_turn(&window, width, now);
		return window_next(&window, width, now);
	}
	set = clients_now(NULL, seat->more != NULL ? &seat->more->clients : NULL, width, now);
	if (set.n > 0)
		next = recent_nth(&set, 1) + width - now;
	talloc_free(set.marks);
	return next;
}

/* next_out - how long until some of a counter leaves */
static int64_t
next_out(const struct seat *seat, const struct quota_counter *asked, int64_t now)
{
	int64_t next, base_left;

	if (seat->counter == NULL)
		return 0;
	next = first_out(seat, asked, now);
	if (base_now(seat, now) == 0)
		return next;
	base_left = seat->more->base_until - now;
	return next > 0 && next < base_left ? next : base_left;
}

/* --- changing --- */

/* make_some - the counters of one subject of the plan, seats first to n, made if missing */
static void
make_some(struct judging *j, size_t first, size_t n)
{
	const struct quota_counter *asked = j->plan->counters;
	struct place place = embedded_place_of(j, asked[first].subject);
	struct subject *subject;
	uint32_t missing = 0;

	for (size_t i = first; i < n; i++)
		missing += j->seats[i].counter == NULL;
	subject = table_ensure(
	    j->table, &place, j->plan->subjects[asked[first].subject].key, missing, j->now);
	table_used(place.shard, subject);
	for (size_t i = first; i < n; i++) {
		sit(&j->seats[i], subject, asked[i].field);
		if (j->seats[i].counter != NULL)
			j->seats[i].counter->wanted = true;
	}
	for (size_t i = first; i < n; i++)
		table_ensure_counter(subject, asked[i].field, asked[i].width_ms, j->now)->wanted =
		    true;
	for (size_t i = first; i < n; i++) {
		sit(&j->seats[i], subject, asked[i].field);
		if (limit_is_distinct(asked[i].unit))
			j->seats[i].more = table_make_more(subject, j->seats[i].counter);
	}
	for (size_t i = first; i < n; i++) {
		j->seats[i].more = table_more(subject, j->seats[i].counter);
		j->seats[i].counter->wanted = false;
	}
}

/* embedded_make_all - the counters of the plan, made if missing */
static void
embedded_make_all(struct judging *j)
{
	const struct quota_counter *asked = j->plan->counters;
	bool missing = false;

	for (size_t i = 0; i < j->plan->n_counters; i++)
		missing = missing || j->seats[i].counter == NULL ||
		    (limit_is_distinct(asked[i].unit) && j->seats[i].more == NULL);
	for (size_t first = 0, n; missing && first < j->plan->n_counters; first = n) {
		for (n = first + 1;
		     n < j->plan->n_counters && asked[n].subject == asked[first].subject;)
			n++;
		make_some(j, first, n);
	}
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

/* add_client - the client of the message, or another thing, was seen age_ms ago */
static void
add_client(const struct judging *j, const struct quota_counter *asked, struct seat *seat,
    int64_t age_ms)
{
	int64_t width = seat->counter->width_ms,
		time = recent_turn(&seat->more->clients, width, j->now);
	int64_t seen = age_ms == 0 ? time : j->now - age_ms;

	if (asked->cost > 0 && time - seen < width)
		recent_see(seat->subject, &seat->more->clients, asked->mark, seen,
		    (uint32_t)seat->max + 1);
}

/* embedded_add_sum - the message's cost, as of age_ms ago */
static void
embedded_add_sum(const struct judging *j, struct seat *seat, int64_t age_ms)
{
	struct counter *counter = seat->counter;
	int64_t width = counter->width_ms;
	struct window window;

	if (age_ms == 0 && counter->window.total == 0)
		counter->window.head = j->now / width;	/* as window_turn() does */
	if (age_ms == 0 && window_packed_is_filling(&counter->window, j->now / width)) {
		window_packed_add(&counter->window, seat->cost);
		return;
	}
	table_window(seat->subject, counter, &window);
	window_turn(&window, width, j->now);
	if (age_ms == 0)
		window_add(&window, seat->cost);
	else
		window_add_at(&window, width, j->now - age_ms, seat->cost);
	table_set_window(seat->subject, counter, &window);
}

/* add_all - count the plan's costs as of age_ms ago, and look again */
static void
add_all(struct judging *j, int64_t age_ms)
{
	embedded_make_all(j);
	for (size_t i = 0; i < j->plan->n_counters; i++) {
		struct seat *seat = &j->seats[i];
		uint64_t cost = seat->cost;

		if (limit_is_distinct(j->plan->counters[i].unit))
			add_client(j, &j->plan->counters[i], seat, age_ms);
		else
			embedded_add_sum(j, seat, age_ms);
		if (j->plan->counters[i].unit == LIMIT_NEW)
			remember_recipients(j, seat->subject, j->now - age_ms);
		embedded_look(j, &j->plan->counters[i], seat);
		seat->cost = cost;
	}
	table_remember_id(j->home.shard, j->plan->id, j->now);
	touched(j->table);
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
		if (seat->more != NULL && seat->more->raised_until > j->now)
			count->raised_ms = seat->more->raised_until - j->now;
		if (state == QUOTA_CHARGED)
			continue;
		count->wait_ms = embedded_wait_for(seat, asked, j->now, seat->cost);
		count->one_ms = embedded_wait_for(seat, asked, j->now, asked->one);
		count->next_ms = next_out(seat, asked, j->now);
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
	embedded_begin(&j, table, plan, now);
	look_at_all(&j);
	if (table_knows_id(j.home.shard, plan->id, now))
		;
	else if (refuse && would_refuse(&j))
		state = QUOTA_REFUSED;
	else
		add_all(&j, 0);
	answer(&j, ctx, state, reply_r);
	embedded_end(&j);
}

/* embedded_merge - count plan's costs as of age_ms ago, over any limit */
void
embedded_merge(struct embedded *table, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t now, int64_t age_ms, struct quota_reply *reply_r)
{
	struct judging j;

	if (!clear(plan, reply_r))
		return;
	embedded_begin(&j, table, plan, now);
	look_at_all(&j);
	if (!table_knows_id(j.home.shard, plan->id, now))
		add_all(&j, age_ms);
	answer(&j, ctx, QUOTA_CHARGED, reply_r);
	embedded_end(&j);
}

/* embedded_read - the counters without charging */
void
embedded_read(struct embedded *table, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t now, struct quota_reply *reply_r)
{
	struct judging j;

	clear(plan, reply_r);
	embedded_begin(&j, table, plan, now);
	look_at_all(&j);
	answer(&j, ctx, QUOTA_READ, reply_r);
	embedded_end(&j);
}

/* --- what operators do --- */

/* forget_window - nothing is counted in a counter any more */
static void
forget_window(struct subject *subject, struct counter *counter)
{
	static const struct window empty;

	table_set_window(subject, counter, &empty);
}

/* clear_counts - forget what a subject used; false when nothing else is left of it either;
 * *any_r is set if something was counted */
static bool
clear_counts(struct subject *subject, bool *any_r)
{
	bool kept = subject->known.n > 0;
	struct window window;

	for (uint32_t i = 0; i < subject->n_counters; i++) {
		struct counter *counter = &table_counters(subject)[i];
		struct counter_more *more = table_more(subject, counter);

		table_window(subject, counter, &window);
		*any_r |= window.total > 0 || (more != NULL && more->clients.n > 0);
		forget_window(subject, counter);
		if (more == NULL)
			continue;
		recent_forget(&more->clients);
		recent_forget(&more->included);
		more->base = 0;
		kept = kept || more->raised_until > 0;
	}
	return kept;
}

/* embedded_reset - forget the counts of plan's subjects */
bool
embedded_reset(struct embedded *table, const struct quota_plan *plan)
{
	struct judging j;
	bool any = false;

	embedded_begin(&j, table, plan, 0);
	for (size_t i = 0; i < plan->n_subjects; i++) {
		struct place place = embedded_place_of(&j, i);
		struct subject *subject = table_find(&place, plan->subjects[i].key);

		if (subject != NULL && !clear_counts(subject, &any))
			table_forget(table, place.shard, subject);
	}
	touched(table);
	embedded_end(&j);
	return any;
}

/* embedded_raise - until then, max stands in for the limit of a counter */
void
embedded_raise(struct embedded *table, const struct quota_plan *plan,
    const struct quota_counter *asked, uint64_t max, int64_t until, int64_t now)
{
	const char *key = plan->subjects[asked->subject].key;
	struct place place = table_place(table, key);
	struct counter_more *more;
	struct subject *subject;

	(void)pthread_mutex_lock(&place.shard->lock);
	subject = table_ensure(table, &place, key, 1, now);
	for (uint32_t i = 0; subject->more != NULL && i < subject->n_counters; i++)
		if (subject->more[i].raised_until <= now)
			subject->more[i].raised_until = 0;	/* over, even if time runs back */
	more = table_make_more(
	    subject, table_ensure_counter(subject, asked->field, asked->width_ms, now));
	more->raised_max = max;
	more->raised_until = until;
	touched(table);
	(void)pthread_mutex_unlock(&place.shard->lock);
}

/* embedded_unraise - the limits of plan's account hold again */
int
embedded_unraise(struct embedded *table, const struct quota_plan *plan, int64_t now)
{
	const char *key = plan->subjects[0].key;
	struct place place = table_place(table, key);
	struct subject *subject;
	int n = 0;

	(void)pthread_mutex_lock(&place.shard->lock);
	subject = table_find(&place, key);
	for (uint32_t i = 0; subject != NULL && subject->more != NULL && i < subject->n_counters;
	     i++) {
		if (subject->more[i].raised_until > now)
			n++;
		subject->more[i].raised_until = 0;
	}
	touched(table);
	(void)pthread_mutex_unlock(&place.shard->lock);
	return n;
}

/* --- local mode: what Redis said --- */

/* embedded_note - the total of one counter as Redis reported it */
static void
embedded_note(const struct judging *j, const struct quota_counter *asked, struct seat *seat,
    const struct quota_count *count, int64_t stamp, bool charged, bool forget_own)
{
	struct counter *counter = seat->counter;
	struct counter_more *more = seat->more;
	/* Answers overtake each other; but a clock that was set back must not deafen us. */
	bool outdated =
	    stamp < more->base_stamp || (stamp == more->base_stamp && count->used < more->base);

	if (outdated && j->now - more->base_noted <= 1000)
		return;
	more->base = count->used;
	more->base_stamp = stamp;
	more->base_noted = j->now;
	more->base_until = j->now + (table_is_clients(counter) ? counter->width_ms :
	    counter->width_ms * WINDOW_SLOTS);
	more->raised_until = count->raised_ms > 0 ? j->now + count->raised_ms : 0;
	more->raised_max = count->max;
	if (forget_own) {
		forget_window(seat->subject, counter);
		for (uint32_t i = 0; i < more->clients.n; i++)
			recent_see(seat->subject, &more->included, more->clients.marks[i].mark,
			    more->clients.marks[i].seen, LIMIT_MAX_CLIENTS);
		recent_forget(&more->clients);
	}
	if (charged && table_is_clients(counter) && asked->cost > 0) {
		(void)recent_turn(&more->included, counter->width_ms, j->now);
		recent_see(
		    seat->subject, &more->included, asked->mark, j->now, LIMIT_MAX_CLIENTS);
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
	embedded_begin(&j, table, plan, now);
	look_at_all(&j);
	embedded_make_all(&j);
	for (size_t i = 0; i < plan->n_counters; i++) {
		j.seats[i].more = table_make_more(j.seats[i].subject, j.seats[i].counter);
		embedded_note(&j, &plan->counters[i], &j.seats[i], &reply->counts[i], stamp,
		    charged, forget_own);
		if (charged && plan->counters[i].unit == LIMIT_NEW)
			remember_recipients(&j, j.seats[i].subject, now);
	}
	embedded_end(&j);
}

/* embedded_count - subjects in the table, and subjects with counts that were evicted */
void
embedded_count(struct embedded *table, uint64_t *subjects_r, uint64_t *evicted_r)
{
	*subjects_r = 0;
	*evicted_r = 0;
	for (size_t i = 0; i < table->n_shards; i++) {
		struct shard *shard = &table->shards[i];

		(void)pthread_mutex_lock(&shard->lock);
		*subjects_r += shard->n_subjects;
		*evicted_r += shard->evicted;
		(void)pthread_mutex_unlock(&shard->lock);
	}
}
