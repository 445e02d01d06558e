/*
 * store_embedded.c - counts in this process
 *
 * A hash table of subjects, each with a few windows (policy/window.h), and a list
 * of them by last use, whose end is forgotten when the table is full. Everything that
 * one message touches has one home, and the home selects the shard, so that "all limits
 * or none" is one critical section of a few hundred nanoseconds and messages of
 * different accounts seldom meet.
 *
 * The file is text: a first line that names the format, one line for each window, raised limit,
 * blocked account and account's day, and a
 * last line with the number of lines and a checksum. Without a correct last line the file
 * is torn and is refused as a whole: half the counts would be a limit raised in silence.
 * A lock file beside it keeps two daemons from overwriting each other's counts (the file
 * itself cannot carry the lock, because saving replaces it).
 *
 * Thread rule: shard->lock guards everything in a shard, its talloc tree included: each
 * shard is a tree of its own, because talloc trees must not be shared by threads. save_lock
 * serialises savers and is never taken with a shard's lock held. `dirty` is atomic.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/store_embedded.h"
#include "policy/mem.h"
#include "policy/window.h"

#define MAX_FIELD	32	/* octets of a field's name, with NUL */
#define MAX_LINE	8192	/* octets of a line of the file */
#define MANY_SHARDS	16
#define MANY_COUNTERS	16	/* of one subject: from then on idle ones are used again */
#define DAY_MS		(INT64_C(24) * 3600 * 1000)
#define FILE_TITLE	"countersign-counters 2\n"

/* One window of a subject. */
struct counter {
	char field[MAX_FIELD];
	int64_t width_ms;
	struct window window;	/* what was charged here */
	uint64_t base;		/* local mode: total last seen in Redis, without what is ours */
	int64_t base_until;	/* ... which counts until then */
	int64_t base_noted;	/* ... noted then, */
	int64_t base_stamp;	/* ... when Redis's clock showed this */
	int64_t raised_until;	/* by hand: until then ... */
	uint64_t raised_max;	/* ... this stands in for the plan's limit */
};

/* One account. */
struct subject {
	struct subject *hash_next;
	struct subject *newer;	/* neighbours in order of use */
	struct subject *older;
	uint64_t hash;
	char *key;		/* as in struct quota_subject */
	struct counter *counters;
	size_t n_counters;
};

/* One remembered charge. */
struct known_id {
	uint8_t id[QUOTA_ID_LEN];
	int64_t until;
	uint32_t next;		/* index + 1 of the next in the same bucket; 0: none */
};

/* The last so many charge ids: a ring, and a hash into it. */
struct id_memory {
	struct known_id *ring;	/* NULL: ids are not remembered */
	uint32_t *buckets;	/* index + 1 of the first; 0: none */
	uint32_t size;		/* of both */
	uint32_t at;		/* the next to be overwritten */
};

struct shard {
	pthread_mutex_t lock;
	TALLOC_CTX *memory;	/* the root of all below */
	struct subject **buckets;
	size_t n_buckets;	/* a power of two */
	struct subject *newest;
	struct subject *oldest;
	size_t n_subjects;
	size_t max_subjects;
	uint64_t evicted;
	struct id_memory ids;
};

struct embedded {
	struct shard *shards;
	size_t n_shards;
	uint64_t seed;		/* of the hash, so that nobody can choose collisions */
	atomic_bool dirty;	/* counts have changed since the last save */
	pthread_mutex_t save_lock;
	char *file;		/* or NULL */
	struct blocks *blocks;	/* saved with the counts, or NULL */
	struct usage *usage;	/* likewise */
	int lock_fd;		/* of FILE.lock, or -1 */
};

/* --- hashing and finding --- */

#define FNV_BASIS	UINT64_C(14695981039346656037)
#define FNV_PRIME	UINT64_C(1099511628211)

/* fnv - the FNV-1a hash of octets, going on from hash */
static uint64_t
fnv(uint64_t hash, const char *octets, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)octets[i]) * FNV_PRIME;
	return hash;
}

/* shard_of - the shard of a key: the home between its braces selects it */
static struct shard *
shard_of(const struct embedded *table, const char *key)
{
	size_t len = strcspn(key, "}");

	/* The high bits: FNV's low ones depend on few bits of each octet. */
	return &table->shards[(fnv(table->seed, key, len) >> 32) % table->n_shards];
}

/* find_subject - the subject of a key, or NULL */
static struct subject *
find_subject(const struct embedded *table, const struct shard *shard, const char *key)
{
	struct subject *subject = shard->newest;
	uint64_t hash;

	/* A message looks several times, and mostly for the one that it used last. */
	if (subject != NULL && strcmp(subject->key, key) == 0)
		return subject;
	hash = fnv(table->seed, key, strlen(key));
	subject = shard->buckets[hash & (shard->n_buckets - 1)];
	while (subject != NULL && (subject->hash != hash || strcmp(subject->key, key) != 0))
		subject = subject->hash_next;
	return subject;
}

/* find_counter - the counter of a field, or NULL */
static struct counter *
find_counter(const struct subject *subject, const char *field)
{
	if (subject == NULL)
		return NULL;
	for (size_t i = 0; i < subject->n_counters; i++)
		if (strcmp(subject->counters[i].field, field) == 0)
			return &subject->counters[i];
	return NULL;
}

/* --- the list of use, and forgetting --- */

/* unlist - take a subject out of the order of use */
static void
unlist(struct shard *shard, struct subject *subject)
{
	if (subject->newer != NULL)
		subject->newer->older = subject->older;
	else
		shard->newest = subject->older;
	if (subject->older != NULL)
		subject->older->newer = subject->newer;
	else
		shard->oldest = subject->newer;
	subject->newer = NULL;
	subject->older = NULL;
}

/* enlist - put a subject at the newest end */
static void
enlist(struct shard *shard, struct subject *subject)
{
	subject->older = shard->newest;
	if (shard->newest != NULL)
		shard->newest->newer = subject;
	else
		shard->oldest = subject;
	shard->newest = subject;
}

/* touch - a subject was used */
static void
touch(struct shard *shard, struct subject *subject)
{
	if (shard->newest == subject)
		return;
	unlist(shard, subject);
	enlist(shard, subject);
}

/* forget - remove a subject from everything */
static void
forget(struct shard *shard, struct subject *subject)
{
	struct subject **at = &shard->buckets[subject->hash & (shard->n_buckets - 1)];

	while (*at != subject)
		at = &(*at)->hash_next;
	*at = subject->hash_next;
	unlist(shard, subject);
	shard->n_subjects--;
	talloc_free(subject);
}

/* is_idle - whether a counter holds nothing any more */
static bool
is_idle(const struct counter *counter, int64_t now)
{
	return window_idle(&counter->window, counter->width_ms, now) &&
	    (counter->base == 0 || counter->base_until <= now) && counter->raised_until <= now;
}

/* make_room - forget the subject that was used longest ago */
static void
make_room(struct shard *shard, int64_t now)
{
	struct subject *oldest = shard->oldest;

	for (size_t i = 0; i < oldest->n_counters; i++) {
		if (!is_idle(&oldest->counters[i], now)) {
			shard->evicted++;
			break;
		}
	}
	forget(shard, oldest);
}

/* --- making --- */

/* ensure_subject - the subject of a key, made where missing */
static struct subject *
ensure_subject(const struct embedded *table, struct shard *shard, const char *key, int64_t now)
{
	struct subject *subject = find_subject(table, shard, key);
	struct subject **bucket;

	if (subject != NULL)
		return subject;
	if (shard->n_subjects >= shard->max_subjects)
		make_room(shard, now);
	subject = mem_new(shard->memory, struct subject);
	subject->key = mem_strdup(subject, key);
	subject->hash = fnv(table->seed, key, strlen(key));
	bucket = &shard->buckets[subject->hash & (shard->n_buckets - 1)];
	subject->hash_next = *bucket;
	*bucket = subject;
	enlist(shard, subject);
	shard->n_subjects++;
	return subject;
}

/* reuse_counter - an idle counter where there are many, of plans that were changed; or NULL */
static struct counter *
reuse_counter(struct subject *subject, int64_t now)
{
	if (subject->n_counters < MANY_COUNTERS)
		return NULL;
	for (size_t i = 0; i < subject->n_counters; i++)
		if (is_idle(&subject->counters[i], now))
			return &subject->counters[i];
	return NULL;
}

/* ensure_counter - the counter of a field, made where missing; others may move in memory */
static struct counter *
ensure_counter(struct subject *subject, const char *field, int64_t width_ms, int64_t now)
{
	struct counter *counter = find_counter(subject, field);

	if (counter != NULL)
		return counter;
	counter = reuse_counter(subject, now);
	if (counter == NULL) {
		subject->counters = mem_grow(subject, subject->counters, struct counter,
		    subject->n_counters + 1);
		counter = &subject->counters[subject->n_counters++];
	}
	memset(counter, 0, sizeof(*counter));
	strncpy(counter->field, field, sizeof(counter->field) - 1);
	counter->width_ms = width_ms;
	return counter;
}

/* --- the charge ids --- */

/* id_bucket - the bucket of an id: ids are random, so some of their octets serve */
static uint32_t *
id_bucket(const struct id_memory *ids, const uint8_t *id)
{
	uint32_t some;

	memcpy(&some, id, sizeof(some));
	return &ids->buckets[some % ids->size];
}

/* id_known - whether a charge was made under this id not long ago */
static bool
id_known(const struct id_memory *ids, const uint8_t *id, int64_t now)
{
	if (ids->ring == NULL)
		return false;
	for (uint32_t at = *id_bucket(ids, id); at != 0; at = ids->ring[at - 1].next)
		if (memcmp(ids->ring[at - 1].id, id, QUOTA_ID_LEN) == 0)
			return ids->ring[at - 1].until > now;
	return false;
}

/* id_unlink - take the ring's entry at an index out of its bucket, if it is in one */
static void
id_unlink(struct id_memory *ids, uint32_t index)
{
	uint32_t *at = id_bucket(ids, ids->ring[index].id);

	while (*at != 0 && *at != index + 1)
		at = &ids->ring[*at - 1].next;
	if (*at != 0)
		*at = ids->ring[index].next;
}

/* id_remember - a charge was made under this id */
static void
id_remember(struct id_memory *ids, const uint8_t *id, int64_t now)
{
	struct known_id *entry;
	uint32_t *bucket;

	if (ids->ring == NULL)
		return;
	entry = &ids->ring[ids->at];
	id_unlink(ids, ids->at);
	memcpy(entry->id, id, QUOTA_ID_LEN);
	entry->until = now + EMBEDDED_ID_MS;
	bucket = id_bucket(ids, id);
	entry->next = *bucket;
	*bucket = ids->at + 1;
	ids->at = (ids->at + 1) % ids->size;
}

/* --- the rules --- */

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

/* max_now - the limit in force */
static uint64_t
max_now(const struct counter *counter, const struct quota_counter *asked, int64_t now)
{
	return counter != NULL && counter->raised_until > now ? counter->raised_max : asked->max;
}

/* used_now - all that a counter holds; it may not exist yet. Its window has been turned */
static uint64_t
used_now(const struct counter *counter, int64_t now)
{
	uint64_t used;

	if (counter == NULL)
		return 0;
	used = counter->window.total + base_now(counter, now);
	return used > (uint64_t)LIMIT_MAX_COUNT ? (uint64_t)LIMIT_MAX_COUNT : used;
}

/* wait_for - how long until cost would fit: a baseline leaves all at once, the rest by buckets */
static int64_t
wait_for(const struct counter *counter, int64_t now, uint64_t max, uint64_t cost)
{
	uint64_t base;
	int64_t with, without, base_left;

	if (cost > max)
		return -1;
	if (counter == NULL)
		return 0;
	without = window_wait(&counter->window, counter->width_ms, now, max, cost);
	base = base_now(counter, now);
	if (base == 0)
		return without;
	base_left = counter->base_until - now;
	with = max >= base ?
	    window_wait(&counter->window, counter->width_ms, now, max - base, cost) : -1;
	if (with >= 0 && with <= base_left)
		return with;
	return without > base_left ? without : base_left;
}

/* next_out - how long until some of a counter leaves */
static int64_t
next_out(const struct counter *counter, int64_t now)
{
	int64_t next, base_left;

	if (counter == NULL)
		return 0;
	next = window_next(&counter->window, counter->width_ms, now);
	if (base_now(counter, now) == 0)
		return next;
	base_left = counter->base_until - now;
	return next > 0 && next < base_left ? next : base_left;
}

/*
 * look - a counter of the plan as of now; NULL where nothing was counted yet
 * A copy, in room: looking at a time that turns out wrong must forget nothing.
 */
static const struct counter *
look(const struct embedded *table, struct shard *shard, const struct quota_plan *plan,
    const struct quota_counter *asked, int64_t now, struct counter *room)
{
	struct subject *subject = find_subject(table, shard, plan->subjects[asked->subject].key);
	const struct counter *counter = find_counter(subject, asked->field);

	if (counter == NULL)
		return NULL;
	touch(shard, subject);
	*room = *counter;
	window_turn(&room->window, room->width_ms, now);
	return room;
}

/* would_refuse - whether a binding limit of the plan would be exceeded */
static bool
would_refuse(const struct embedded *table, struct shard *shard, const struct quota_plan *plan,
    int64_t now)
{
	for (size_t i = 0; i < plan->n_counters; i++) {
		const struct quota_counter *asked = &plan->counters[i];
		const struct counter *counter;
		struct counter room;
		uint64_t max;

		if (!asked->binding)
			continue;
		counter = look(table, shard, plan, asked, now, &room);
		max = max_now(counter, asked, now);
		if (asked->cost > max || used_now(counter, now) > max - asked->cost)
			return true;
	}
	return false;
}

/* add_all - count the plan's costs as of age_ms ago */
static void
add_all(struct embedded *table, struct shard *shard, const struct quota_plan *plan, int64_t now,
    int64_t age_ms)
{
	for (size_t i = 0; i < plan->n_counters; i++) {
		const struct quota_counter *asked = &plan->counters[i];
		struct subject *subject;
		struct counter *counter;

		subject = ensure_subject(table, shard, plan->subjects[asked->subject].key, now);
		counter = ensure_counter(subject, asked->field, asked->width_ms, now);
		window_turn(&counter->window, counter->width_ms, now);
		if (age_ms == 0)
			window_add(&counter->window, asked->cost);
		else
			window_add_at(&counter->window, counter->width_ms, now - age_ms, asked->cost);
		touch(shard, subject);
	}
	id_remember(&shard->ids, plan->id, now);
	embedded_touch(table);
}

/* answer - the totals as they are now; the waits unless the message was charged */
static void
answer(const struct embedded *table, struct shard *shard, TALLOC_CTX *ctx,
    const struct quota_plan *plan, int64_t now, enum quota_state state, struct quota_reply *reply)
{
	reply->state = state;
	reply->n_counts = plan->n_counters;
	reply->counts = mem_array(ctx, struct quota_count, plan->n_counters);
	for (size_t i = 0; i < plan->n_counters; i++) {
		const struct quota_counter *asked = &plan->counters[i];
		struct counter room;
		const struct counter *counter = look(table, shard, plan, asked, now, &room);
		struct quota_count *count = &reply->counts[i];

		count->used = used_now(counter, now);
		count->max = max_now(counter, asked, now);
		if (counter != NULL && counter->raised_until > now)
			count->raised_ms = counter->raised_until - now;
		if (state == QUOTA_CHARGED)
			continue;
		count->wait_ms = wait_for(counter, now, count->max, asked->cost);
		count->one_ms = wait_for(counter, now, count->max, asked->one);
		count->next_ms = next_out(counter, now);
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
	struct shard *shard;

	if (!clear(plan, reply_r))
		return;
	shard = shard_of(table, plan->subjects[0].key);
	pthread_mutex_lock(&shard->lock);
	if (id_known(&shard->ids, plan->id, now))
		;
	else if (refuse && would_refuse(table, shard, plan, now))
		state = QUOTA_REFUSED;
	else
		add_all(table, shard, plan, now, 0);
	answer(table, shard, ctx, plan, now, state, reply_r);
	pthread_mutex_unlock(&shard->lock);
}

/* embedded_merge - count plan's costs as of age_ms ago, over any limit */
void
embedded_merge(struct embedded *table, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t now, int64_t age_ms, struct quota_reply *reply_r)
{
	struct shard *shard;

	if (!clear(plan, reply_r))
		return;
	shard = shard_of(table, plan->subjects[0].key);
	pthread_mutex_lock(&shard->lock);
	if (!id_known(&shard->ids, plan->id, now))
		add_all(table, shard, plan, now, age_ms);
	answer(table, shard, ctx, plan, now, QUOTA_CHARGED, reply_r);
	pthread_mutex_unlock(&shard->lock);
}

/* embedded_read - the counters without charging */
void
embedded_read(struct embedded *table, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t now, struct quota_reply *reply_r)
{
	struct shard *shard = shard_of(table, plan->subjects[0].key);

	clear(plan, reply_r);
	pthread_mutex_lock(&shard->lock);
	answer(table, shard, ctx, plan, now, QUOTA_READ, reply_r);
	pthread_mutex_unlock(&shard->lock);
}

/* clear_counts - forget what a subject used; false when nothing else is left of it either */
static bool
clear_counts(struct subject *subject)
{
	bool kept = false;

	for (size_t i = 0; i < subject->n_counters; i++) {
		struct counter *counter = &subject->counters[i];

		memset(&counter->window, 0, sizeof(counter->window));
		counter->base = 0;
		kept = kept || counter->raised_until > 0;
	}
	return kept;
}

/* embedded_reset - forget the counts of plan's subjects */
void
embedded_reset(struct embedded *table, const struct quota_plan *plan)
{
	struct shard *shard = shard_of(table, plan->subjects[0].key);

	pthread_mutex_lock(&shard->lock);
	for (size_t i = 0; i < plan->n_subjects; i++) {
		struct subject *subject = find_subject(table, shard, plan->subjects[i].key);

		if (subject != NULL && !clear_counts(subject))
			forget(shard, subject);
	}
	embedded_touch(table);
	pthread_mutex_unlock(&shard->lock);
}

/* embedded_raise - until then, max stands in for the limit of a counter */
void
embedded_raise(struct embedded *table, const struct quota_plan *plan,
    const struct quota_counter *asked, uint64_t max, int64_t until, int64_t now)
{
	const char *key = plan->subjects[asked->subject].key;
	struct shard *shard = shard_of(table, key);
	struct counter *counter;

	pthread_mutex_lock(&shard->lock);
	counter = ensure_counter(ensure_subject(table, shard, key, now), asked->field,
	    asked->width_ms, now);
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
	struct shard *shard = shard_of(table, key);
	struct subject *subject;
	int n = 0;

	pthread_mutex_lock(&shard->lock);
	subject = find_subject(table, shard, key);
	for (size_t i = 0; subject != NULL && i < subject->n_counters; i++) {
		if (subject->counters[i].raised_until > now)
			n++;
		subject->counters[i].raised_until = 0;
	}
	embedded_touch(table);
	pthread_mutex_unlock(&shard->lock);
	return n;
}

/* note - the total of one counter as Redis reported it */
static void
note(struct counter *counter, const struct quota_count *count, int64_t stamp, int64_t now,
    bool forget_own)
{
	uint64_t used = count->used;

	/* Answers overtake each other; but a clock that was set back must not deafen us. */
	bool outdated = stamp < counter->base_stamp ||
	    (stamp == counter->base_stamp && used < counter->base);

	if (outdated && now - counter->base_noted <= 1000)
		return;
	counter->base = used;
	counter->base_stamp = stamp;
	counter->base_noted = now;
	counter->base_until = now + counter->width_ms * WINDOW_SLOTS;
	counter->raised_until = count->raised_ms > 0 ? now + count->raised_ms : 0;
	counter->raised_max = count->max;
	if (forget_own)
		memset(&counter->window, 0, sizeof(counter->window));
}

/* embedded_seen - note the totals that Redis reported for plan's counters */
void
embedded_seen(struct embedded *table, const struct quota_plan *plan,
    const struct quota_reply *reply, int64_t stamp, int64_t now, bool forget_own)
{
	struct shard *shard;

	if (plan->n_counters == 0 || reply->n_counts != plan->n_counters)
		return;
	shard = shard_of(table, plan->subjects[0].key);
	pthread_mutex_lock(&shard->lock);
	for (size_t i = 0; i < plan->n_counters; i++) {
		const struct quota_counter *asked = &plan->counters[i];
		struct subject *subject;

		subject = ensure_subject(table, shard, plan->subjects[asked->subject].key, now);
		note(ensure_counter(subject, asked->field, asked->width_ms, now),
		    &reply->counts[i], stamp, now, forget_own);
		touch(shard, subject);
	}
	pthread_mutex_unlock(&shard->lock);
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

/* --- construction and destruction --- */

/* shard_init - an empty shard */
static void
shard_init(struct shard *shard, size_t max_subjects, uint32_t ids)
{
	pthread_mutex_init(&shard->lock, NULL);
	shard->memory = mem_check(talloc_named_const(NULL, 0, "shard"));
	shard->max_subjects = max_subjects;
	shard->n_buckets = 16;
	while (shard->n_buckets < max_subjects && shard->n_buckets < (size_t)1 << 24)
		shard->n_buckets *= 2;
	shard->buckets = mem_array(shard->memory, struct subject *, shard->n_buckets);
	shard->ids.size = ids;
	if (ids == 0)
		return;
	shard->ids.ring = mem_array(shard->memory, struct known_id, ids);
	shard->ids.buckets = mem_array(shard->memory, uint32_t, ids);
}

/* embedded_free - talloc destructor: the shards are trees of their own */
static int
embedded_free(struct embedded *table)
{
	for (size_t i = 0; i < table->n_shards; i++) {
		pthread_mutex_destroy(&table->shards[i].lock);
		talloc_free(table->shards[i].memory);
	}
	pthread_mutex_destroy(&table->save_lock);
	if (table->lock_fd >= 0)
		close(table->lock_fd);
	return 0;
}

/* random_seed - for the hash; a fixed one where the system has no random octets */
static uint64_t
random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return FNV_BASIS;
	return seed ^ FNV_BASIS;
}

/* embedded_new - an empty table */
struct embedded *
embedded_new(TALLOC_CTX *ctx, size_t max_accounts, bool remember_ids)
{
	struct embedded *table = mem_new(ctx, struct embedded);
	size_t share;

	table->n_shards = max_accounts >= 4096 ? MANY_SHARDS : 1;
	share = (max_accounts + table->n_shards - 1) / table->n_shards;
	table->shards = mem_array(table, struct shard, table->n_shards);
	table->seed = random_seed();
	table->lock_fd = -1;
	atomic_init(&table->dirty, false);
	pthread_mutex_init(&table->save_lock, NULL);
	for (size_t i = 0; i < table->n_shards; i++)
		shard_init(&table->shards[i], share > 0 ? share : 1,
		    remember_ids ? (uint32_t)(EMBEDDED_IDS / table->n_shards) : 0);
	talloc_set_destructor(table, embedded_free);
	return table;
}

/* --- loading --- */

/* What is being loaded. */
struct loading {
	TALLOC_CTX *ctx;
	struct embedded *table;
	const char *file;
	int64_t now;
	uint64_t lines;		/* read, without the first and the last */
	uint64_t sum;		/* checksum so far */
	bool ended;		/* the last line was seen */
	const char **error_r;
};

/* refuse_file - the error for a file that is not as we wrote it */
static int
refuse_file(const struct loading *l, const char *what)
{
	*l->error_r = mem_printf(l->ctx, "the counters in %s %s; move the file away to start with empty "
	    "counters", l->file, what);
	return -1;
}

/* next_number - a decimal number up to max at *at, which moves behind it; false for anything else */
static bool
next_number(const char **at, int64_t max, int64_t *value_r)
{
	const char *c = *at;
	int64_t value = 0;

	if (*c < '0' || *c > '9')
		return false;
	for (; *c >= '0' && *c <= '9'; c++) {
		value = value * 10 + (*c - '0');
		if (value > max)
			return false;
	}
	*at = c;
	*value_r = value;
	return true;
}

/* next_word - cut the word at *at, whose space becomes its end; NULL when there is none */
static char *
next_word(char **at)
{
	char *word = *at;
	size_t len = strcspn(word, " \n");

	if (len == 0 || word[len] != ' ')
		return NULL;
	word[len] = '\0';
	*at = word + len + 1;
	return word;
}

/* load_slots - the counts of a window, to the end of the line */
static bool
load_slots(const char *at, struct window *window)
{
	int64_t count;

	for (size_t i = 0; i < WINDOW_SLOTS; i++) {
		if (!next_number(&at, LIMIT_MAX_COUNT - (int64_t)window->total, &count))
			return false;
		window->slots[i] = (uint64_t)count;
		window->total += (uint64_t)count;
		if (*at == '\n')
			return true;
		if (*at++ != ' ')
			return false;
	}
	return false;
}

/* is_place - whether these are a key and a field of ours */
static bool
is_place(const char *key, const char *field)
{
	return key != NULL && field != NULL && strlen(field) < MAX_FIELD && key[0] == '{' &&
	    strchr(key, '}') != NULL;
}

/* load_window - one line: key, field, width, head, slots; false when it is not well-formed */
static bool
load_window(struct loading *l, char *line)
{
	char *rest = line;
	char *key = next_word(&rest);
	char *field = key != NULL ? next_word(&rest) : NULL;
	const char *at = rest;
	struct window window;
	int64_t width, head;
	struct shard *shard;

	memset(&window, 0, sizeof(window));
	if (!is_place(key, field))
		return false;
	if (!next_number(&at, LIMIT_MAX_WINDOW_MS, &width) || width == 0 || *at++ != ' ' ||
	    !next_number(&at, LIMIT_MAX_COUNT, &head) || *at++ != ' ' || !load_slots(at, &window))
		return false;
	window.head = head;
	if (window_idle(&window, width, l->now))
		return true;
	shard = shard_of(l->table, key);
	ensure_counter(ensure_subject(l->table, shard, key, l->now), field, width, l->now)->window =
	    window;
	return true;
}

/* load_raise - one line: key, field, width, limit, end; false when it is not well-formed */
static bool
load_raise(struct loading *l, char *line)
{
	char *rest = line;
	char *key = next_word(&rest);
	char *field = key != NULL ? next_word(&rest) : NULL;
	const char *at = rest;
	int64_t width, max, until;
	struct counter *counter;
	struct shard *shard;

	if (!is_place(key, field) || !next_number(&at, LIMIT_MAX_WINDOW_MS, &width) || width == 0 ||
	    *at++ != ' ' || !next_number(&at, LIMIT_MAX_COUNT, &max) || *at++ != ' ' ||
	    !next_number(&at, LIMIT_MAX_COUNT, &until) || *at != '\n')
		return false;
	if (until <= l->now)
		return true;
	shard = shard_of(l->table, key);
	counter = ensure_counter(ensure_subject(l->table, shard, key, l->now), field, width, l->now);
	counter->raised_max = (uint64_t)max;
	counter->raised_until = until;
	return true;
}

/* load_block - one line: account, since, until, by, reason; false when it is not well-formed */
static bool
load_block(struct loading *l, char *line)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct store_block block = { 0 };
	char *rest = line;
	const char *account = next_word(&rest), *since = account != NULL ? next_word(&rest) : NULL;
	const char *until = since != NULL ? next_word(&rest) : NULL;
	const char *by = until != NULL ? next_word(&rest) : NULL;
	bool sound = by != NULL && next_number(&since, LIMIT_MAX_COUNT, &block.since) &&
	    next_number(&until, LIMIT_MAX_COUNT, &block.until);

	rest[strcspn(rest, "\n")] = '\0';
	if (sound) {
		block.account = quota_decode(tmp, account);
		block.by = quota_decode(tmp, by);
		block.reason = quota_decode(tmp, rest);
		sound = block.account != NULL && block.by != NULL && block.reason != NULL;
	}
	if (sound && l->table->blocks != NULL)
		(void)blocks_set(l->table->blocks, &block);
	talloc_free(tmp);
	return sound;
}

/* load_usage - one line: account, day, messages, recipients, refused */
static bool
load_usage(struct loading *l, char *line)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct store_top_entry entry = { 0 };
	char *rest = line;
	const char *account = next_word(&rest), *at = rest;
	int64_t numbers[4] = { 0 };
	bool sound = account != NULL;

	for (size_t i = 0; i < 4 && sound; i++)
		sound = next_number(&at, LIMIT_MAX_COUNT, &numbers[i]) && *at++ == (i < 3 ? ' ' : '\n');
	if (sound)
		entry.account = quota_decode(tmp, account);
	entry.messages = (uint64_t)numbers[1];
	entry.recipients = (uint64_t)numbers[2];
	entry.refused = (uint64_t)numbers[3];
	sound = sound && entry.account != NULL;
	if (sound && l->table->usage != NULL)
		usage_note(l->table->usage, numbers[0], &entry);
	talloc_free(tmp);
	return sound;
}

/* load_entry - one line between the first and the last, by its first word */
static bool
load_entry(struct loading *l, char *line)
{
	l->lines++;
	if (line[0] == '{')
		return load_window(l, line);
	if (strncmp(line, "raise ", 6) == 0)
		return load_raise(l, line + 6);
	if (strncmp(line, "block ", 6) == 0)
		return load_block(l, line + 6);
	if (strncmp(line, "usage ", 6) == 0)
		return load_usage(l, line + 6);
	return false;
}

/* load_end - the last line: "end", the number of lines before, the checksum */
static bool
load_end(struct loading *l, const char *line)
{
	uint64_t lines, sum;
	int end = 0;

	if (sscanf(line, "end %" SCNu64 " %" SCNx64 "%n", &lines, &sum, &end) != 2 ||
	    strcmp(line + end, "\n") != 0)
		return false;
	l->ended = true;
	return lines == l->lines && sum == l->sum;
}

/* load_line - one line after the first; -1 with an error */
static int
load_line(struct loading *l, char *line, size_t len)
{
	if (l->ended)
		return refuse_file(l, "go on after their last line, so they were not written by countersign");
	if (strncmp(line, "end ", 4) == 0)
		return load_end(l, line) ? 0 :
		    refuse_file(l, "are damaged: the last line does not fit the others");
	if (len > MAX_LINE || strlen(line) != len || line[len - 1] != '\n')
		return refuse_file(l, "are damaged: a line is cut or too long");
	l->sum = fnv(l->sum, line, len);
	return load_entry(l, line) ? 0 : refuse_file(l, "are damaged: a line cannot be read");
}

/* load_lines - the whole file; -1 with an error */
static int
load_lines(struct loading *l, FILE *stream)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int result = 0;

	len = getline(&line, &room, stream);
	if (len < 0 || strcmp(line, FILE_TITLE) != 0)
		result = refuse_file(l, "were not written by countersign, or by a version with another format");
	while (result == 0 && (len = getline(&line, &room, stream)) > 0)
		result = load_line(l, line, (size_t)len);
	if (result == 0 && ferror(stream))
		result = refuse_file(l, "could not be read to the end");
	if (result == 0 && !l->ended)
		result = refuse_file(l, "are torn: the last line is missing");
	free(line);
	return result;
}

/* load - fill the table from its file, where there is one */
static int
load(TALLOC_CTX *ctx, struct embedded *table, int64_t now, const char **error_r)
{
	struct loading l = { .ctx = ctx, .table = table, .file = table->file, .now = now,
	    .sum = FNV_BASIS, .error_r = error_r };
	FILE *stream = fopen(table->file, "re");
	int result;

	if (stream == NULL && errno == ENOENT)
		return 0;
	if (stream == NULL) {
		*error_r = mem_printf(ctx, "cannot read the counters in %s: %s", table->file,
		    strerror(errno));
		return -1;
	}
	result = load_lines(&l, stream);
	fclose(stream);
	return result;
}

/* take_lock - be the only process that uses the file */
static int
take_lock(TALLOC_CTX *ctx, struct embedded *table, const char **error_r)
{
	char *name = mem_printf(table, "%s.lock", table->file);

	table->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (table->lock_fd < 0)
		*error_r = mem_printf(ctx, "cannot write %s: %s", name, strerror(errno));
	else if (flock(table->lock_fd, LOCK_EX | LOCK_NB) < 0)
		*error_r = mem_printf(ctx, "the counters in %s are in use by another countersign (%s is "
		    "locked)", table->file, name);
	else
		return 0;
	return -1;
}

/* embedded_open - a table that is kept in a file */
struct embedded *
embedded_open(TALLOC_CTX *ctx, size_t max_accounts, const char *file, struct blocks *blocks,
    struct usage *usage, int64_t now, const char **error_r)
{
	struct embedded *table = embedded_new(ctx, max_accounts, true);

	table->blocks = blocks;
	table->usage = usage;

	table->file = mem_strdup(table, file);
	if (take_lock(ctx, table, error_r) < 0 || load(ctx, table, now, error_r) < 0) {
		talloc_free(table);
		return NULL;
	}
	return table;
}

/* --- saving --- */

/* What is being saved. */
struct saving {
	FILE *stream;
	uint64_t lines;
	uint64_t sum;
};

/* print_window - one line of the file */
static void
print_window(FILE *stream, const struct subject *subject, const struct counter *counter)
{
	const struct window *window = &counter->window;
	size_t last = WINDOW_SLOTS;

	while (last > 1 && window->slots[last - 1] == 0)
		last--;
	fprintf(stream, "%s %s %" PRId64 " %" PRId64, subject->key, counter->field,
	    counter->width_ms, window->head);
	for (size_t i = 0; i < last; i++)
		fprintf(stream, " %" PRIu64, window->slots[i]);
	fputc('\n', stream);
}

/* print_raise - one line of the file */
static void
print_raise(FILE *stream, const struct subject *subject, const struct counter *counter)
{
	fprintf(stream, "raise %s %s %" PRId64 " %" PRIu64 " %" PRId64 "\n", subject->key,
	    counter->field, counter->width_ms, counter->raised_max, counter->raised_until);
}

/* print_shard - all windows of a shard, the longest unused subject first; returns the number of lines */
static uint64_t
print_shard(FILE *stream, struct shard *shard, int64_t now)
{
	uint64_t lines = 0;

	for (struct subject *subject = shard->oldest; subject != NULL; subject = subject->newer) {
		for (size_t i = 0; i < subject->n_counters; i++) {
			const struct counter *counter = &subject->counters[i];

			if (!window_idle(&counter->window, counter->width_ms, now)) {
				print_window(stream, subject, counter);
				lines++;
			}
			if (counter->raised_until > now) {
				print_raise(stream, subject, counter);
				lines++;
			}
		}
	}
	return lines;
}

/* save_text - write what was printed to memory */
static int
save_text(struct saving *s, FILE *memory, char **text, const size_t *len)
{
	int result = fclose(memory) == 0 && fwrite(*text, 1, *len, s->stream) == *len ? 0 : -1;

	s->sum = fnv(s->sum, *text, *len);
	free(*text);
	return result;
}

/* save_shard - write one shard; it is printed to memory first, because its lock stops mail */
static int
save_shard(struct saving *s, struct shard *shard, int64_t now)
{
	char *text = NULL;
	size_t len = 0;
	FILE *memory = mem_check(open_memstream(&text, &len));

	pthread_mutex_lock(&shard->lock);
	s->lines += print_shard(memory, shard, now);
	pthread_mutex_unlock(&shard->lock);
	return save_text(s, memory, &text, &len);
}

/* print_blocks - one line each; returns their number */
static uint64_t
print_blocks(FILE *stream, TALLOC_CTX *ctx, struct blocks *blocks, int64_t now)
{
	size_t n = 0;
	const struct store_block *list = blocks == NULL ? NULL : blocks_list(blocks, ctx, now, &n);

	for (size_t i = 0; i < n; i++)
		fprintf(stream, "block %s %" PRId64 " %" PRId64 " %s %s\n",
		    quota_encode(ctx, list[i].account), list[i].since, list[i].until,
		    quota_encode(ctx, list[i].by), quota_encode(ctx, list[i].reason));
	return n;
}

/* print_usage - a day, one line an account; returns their number */
static uint64_t
print_usage(FILE *stream, TALLOC_CTX *ctx, struct usage *usage, int64_t day)
{
	size_t n = 0;
	const struct store_top_entry *list = usage == NULL ? NULL :
	    usage_top(usage, ctx, day, STORE_TOP_RECIPIENTS, 0, &n);

	for (size_t i = 0; i < n; i++)
		fprintf(stream, "usage %s %" PRId64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
		    quota_encode(ctx, list[i].account), day, list[i].messages, list[i].recipients,
		    list[i].refused);
	return n;
}

/* save_lists - write blocks and usage */
static int
save_lists(struct saving *s, struct embedded *table, int64_t now)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	char *text = NULL;
	size_t len = 0;
	FILE *memory = mem_check(open_memstream(&text, &len));

	s->lines += print_blocks(memory, tmp, table->blocks, now);
	for (int64_t day = now / DAY_MS - 1; day <= now / DAY_MS; day++)
		s->lines += print_usage(memory, tmp, table->usage, day);
	talloc_free(tmp);
	return save_text(s, memory, &text, &len);
}

/* save_all - the whole file, down to the disk */
static int
save_all(struct embedded *table, int fd, int64_t now)
{
	struct saving s = { .stream = fdopen(fd, "w"), .sum = FNV_BASIS };
	int result = 0;

	if (s.stream == NULL) {
		close(fd);
		return -1;
	}
	if (fputs(FILE_TITLE, s.stream) == EOF)
		result = -1;
	for (size_t i = 0; i < table->n_shards && result == 0; i++)
		result = save_shard(&s, &table->shards[i], now);
	if (result == 0)
		result = save_lists(&s, table, now);
	if (result == 0 && (fprintf(s.stream, "end %" PRIu64 " %016" PRIx64 "\n", s.lines, s.sum) < 0 ||
	    fflush(s.stream) != 0 || fsync(fd) < 0))
		result = -1;
	if (fclose(s.stream) != 0)
		result = -1;
	return result;
}

/* sync_directory - so that the new name survives a crash; where it cannot, the old one does */
static void
sync_directory(TALLOC_CTX *ctx, const char *file)
{
	char *copy = mem_strdup(ctx, file);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	talloc_free(copy);
}

/* replace_file - write a new file and give it the old one's name */
static int
replace_file(struct embedded *table, TALLOC_CTX *ctx, int64_t now, const char **error_r)
{
	char *tmp = mem_printf(ctx, "%s.tmp", table->file);
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || save_all(table, fd, now) < 0 || rename(tmp, table->file) < 0) {
		*error_r = mem_printf(ctx, "cannot save the counters in %s: %s", table->file,
		    strerror(errno));
		if (fd >= 0)
			unlink(tmp);
		return -1;
	}
	sync_directory(ctx, table->file);
	talloc_free(tmp);
	return 0;
}

/* embedded_save - write the file if counts changed since the last time */
int
embedded_save(struct embedded *table, TALLOC_CTX *ctx, int64_t now, const char **error_r)
{
	int result = 1;

	if (table->file == NULL)
		return 0;
	pthread_mutex_lock(&table->save_lock);
	if (!atomic_exchange(&table->dirty, false))
		result = 0;
	else if (replace_file(table, ctx, now, error_r) < 0) {
		atomic_store(&table->dirty, true);
		result = -1;
	}
	pthread_mutex_unlock(&table->save_lock);
	return result;
}
