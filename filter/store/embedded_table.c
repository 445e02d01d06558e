/*
 * embedded_table.c - inside the embedded store: subjects, counters, shards
 *
 * A hash table of subjects, each with a few counters, and a list of them by last use, whose end is
 * forgotten when the table is full. Everything that one message touches has one home (a client
 * network apart), and the home selects the shard, so that messages of different accounts seldom
 * meet.
 *
 * The table is not a map (policy/base/map.h), and it prefetches, because a charge is mostly waiting
 * for memory. A subject lies in one piece with its key and counters, and the processor fetches all
 * of it, its slot and that of the charge id at once, before the lock is taken. Without the
 * prefetches a charge costs 15 to 40 % more, more with more accounts (tests/bench).
 *
 * Thread rule: shard->lock guards everything in a shard, its talloc tree included: each
 * shard is a tree of its own, because talloc trees must not be shared by threads.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/store/embedded_table.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define MANY_COUNTERS	16	/* of one subject: from then on idle ones are used again */
#define LINE		64	/* octets that a processor fetches at once */
#define SUBJECT_LINES	6	/* a subject with a usual key and three counters */

/* --- hashing and finding --- */

/* table_place - where a key belongs */
struct place
table_place(const struct embedded *table, const char *key)
{
	const char *end = strchr(key, '}');
	size_t len = end != NULL ? (size_t)(end - key) : strlen(key);
	uint64_t home = hash_quick(table->seed, key, len);

	return (struct place){
		.shard = &table->shards[home & (table->n_shards - 1)],
		.hash = hash_quick(home, key + len, strlen(key + len)),
	};
}

/* subjects_bucket_of - where the chain of a hash begins */
static struct subject **
subjects_bucket_of(const struct shard *shard, uint64_t hash)
{
	return &shard->buckets[hash & (shard->n_buckets - 1)];
}

/* fetch - let the processor fetch what a message looks at in a subject, all of it at once */
static void
fetch(const struct subject *subject)
{
	for (size_t i = 0; i < SUBJECT_LINES; i++)
		__builtin_prefetch((const char *)subject + i * LINE, 1);
}

/* table_find - the subject of a key, or NULL */
struct subject *
table_find(const struct place *place, const char *key)
{
	struct subject *subject = *subjects_bucket_of(place->shard, place->hash);

	while (subject != NULL) {
		fetch(subject);
		if (subject->hash == place->hash && strcmp(subject->key, key) == 0)
			break;
		subject = subject->hash_next;
	}
	return subject;
}

/* table_find_counter - the counter of a field, or NULL */
struct counter *
table_find_counter(struct subject *subject, const char *field)
{
	struct counter *counters;

	if (subject == NULL)
		return NULL;
	counters = table_counters(subject);
	for (uint32_t i = 0; i < subject->n_counters; i++)
		if (strcmp(counters[i].field, field) == 0)
			return &counters[i];
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
	subject->used = ++shard->uses;
	subject->older = shard->newest;
	if (shard->newest != NULL)
		shard->newest->newer = subject;
	else
		shard->oldest = subject;
	shard->newest = subject;
}

/* table_used - a subject was used */
void
table_used(struct shard *shard, struct subject *subject)
{
	if (shard->newest == subject)
		return;
	unlist(shard, subject);
	enlist(shard, subject);
}

/* table_forget - remove a subject from everything */
void
table_forget(struct embedded *table, struct shard *shard, struct subject *subject)
{
	struct subject **at = subjects_bucket_of(shard, subject->hash);

	while (*at != subject)
		at = &(*at)->hash_next;
	*at = subject->hash_next;
	unlist(shard, subject);
	shard->n_subjects--;
	atomic_fetch_sub_explicit(&table->n_subjects, 1, memory_order_relaxed);
	talloc_free(subject);
}

/* table_is_distinct - whether the counter in a field keeps different things */
bool
table_is_distinct(const char *field)
{
	for (enum limit_unit unit = 0; unit <= LIMIT_LAST; unit++)
		if (field[0] == limit_unit_letter(unit))
			return limit_is_distinct(unit);
	return false;
}

/* table_is_clients - whether a counter keeps clients instead of a sum */
bool
table_is_clients(const struct counter *counter)
{
	return table_is_distinct(counter->field);
}

/* table_is_counting - whether what was charged here still counts */
bool
table_is_counting(const struct counter *counter, const struct counter_more *more, int64_t now)
{
	const struct window_packed *window = &counter->window;

	if (!table_is_clients(counter))
		return window->total > 0 &&
		    now / counter->width_ms - window->head <= WINDOW_BUCKETS;
	for (uint32_t i = 0; more != NULL && i < more->clients.n; i++)
		if (now - more->clients.marks[i].seen < counter->width_ms)
			return true;
	return false;
}

/* is_idle - whether a counter of a subject holds nothing any more */
static bool
is_idle(struct subject *subject, const struct counter *counter, int64_t now)
{
	const struct counter_more *more = table_more(subject, counter);

	if (table_is_counting(counter, more, now))
		return false;
	return more == NULL ||
	    ((more->base == 0 || more->base_until <= now) && more->raised_until <= now);
}

/* subjects_make_room - forget the subject that was used longest ago */
static void
subjects_make_room(struct embedded *table, struct shard *shard, int64_t now)
{
	struct subject *oldest = shard->oldest;

	for (uint32_t i = 0; i < oldest->n_counters; i++) {
		if (!is_idle(oldest, &table_counters(oldest)[i], now)) {
			shard->evicted++;
			break;
		}
	}
	table_forget(table, shard, oldest);
}

/* --- making --- */

/* enter - put a new subject into everything */
static void
enter(struct embedded *table, struct shard *shard, struct subject *subject)
{
	struct subject **bucket = subjects_bucket_of(shard, subject->hash);

	subject->hash_next = *bucket;
	*bucket = subject;
	enlist(shard, subject);
	shard->n_subjects++;
	atomic_fetch_add_explicit(&table->n_subjects, 1, memory_order_relaxed);
}

/* make_subject - a new one with room for so many counters */
static struct subject *
make_subject(struct shard *shard, const char *key, uint64_t hash, uint32_t room)
{
	size_t len = strlen(key) + 1, unit = sizeof(int64_t);
	size_t at = (offsetof(struct subject, key) + len + unit - 1) / unit * unit;
	struct subject *subject = mem_check(talloc_zero_size(shard->memory,
	    at + room * sizeof(struct counter)));

	memcpy(subject->key, key, len);
	subject->hash = hash;
	subject->counters_at = mem_count(at);
	subject->room = room;
	return subject;
}

/* subjects_enlarge - give an array that belongs to a subject room for more, zeroed; NULL stays
 * NULL */
static void *
subjects_enlarge(struct subject *subject, void *array, size_t old_size, size_t size)
{
	if (array == NULL)
		return NULL;
	array = mem_check(talloc_realloc_size(subject, array, size));
	memset((char *)array + old_size, 0, size - old_size);
	return array;
}

/* subjects_grow - room for more counters; the subject may move */
static struct subject *
subjects_grow(struct shard *shard, struct subject *subject, uint32_t room)
{
	struct subject **at = subjects_bucket_of(shard, subject->hash);
	uint32_t old = subject->room;
	size_t older = window_older_size(subject->bucket_width);

	while (*at != subject)
		at = &(*at)->hash_next;
	unlist(shard, subject);
	subject = mem_check(talloc_realloc_size(shard->memory, subject,
	    subject->counters_at + room * sizeof(struct counter)));
	*at = subject;
	enlist(shard, subject);
	memset(&table_counters(subject)[old], 0, (room - old) * sizeof(struct counter));
	subject->buckets = subjects_enlarge(subject, subject->buckets, old * older, room * older);
	subject->more = subjects_enlarge(subject, subject->more, old * sizeof(subject->more[0]),
	    room * sizeof(subject->more[0]));
	subject->room = room;
	return subject;
}

/* table_ensure - the subject of a key, made if missing */
struct subject *
table_ensure(struct embedded *table, const struct place *place, const char *key,
    uint32_t more_counters, int64_t now)
{
	struct shard *shard = place->shard;
	struct subject *subject = table_find(place, key);
	uint32_t room = more_counters;

	if (subject != NULL) {
		room += subject->n_counters;
		return room <= subject->room ? subject : subjects_grow(shard, subject, room);
	}
	if (atomic_load_explicit(&table->n_subjects, memory_order_relaxed) >= table->max_subjects &&
	    shard->n_subjects >= TABLE_MIN_SHARE)
		subjects_make_room(table, shard, now);
	subject = make_subject(shard, key, place->hash, room);
	enter(table, shard, subject);
	return subject;
}

/* reuse_counter - an idle counter if there are many, of plans that were changed; or NULL */
static struct counter *
reuse_counter(struct subject *subject, int64_t now)
{
	struct counter *counters = table_counters(subject);

	if (subject->n_counters < MANY_COUNTERS)
		return NULL;
	for (uint32_t i = 0; i < subject->n_counters; i++)
		if (!counters[i].wanted && is_idle(subject, &counters[i], now))
			return &counters[i];
	return NULL;
}

/* clear_counter - all zero, and so is what else there is of it */
static void
clear_counter(struct subject *subject, struct counter *counter)
{
	struct counter_more *more = table_more(subject, counter);
	const struct window empty = { 0 };

	table_set_window(subject, counter, &empty);
	if (more != NULL) {
		recent_forget(&more->clients);
		recent_forget(&more->included);
		memset(more, 0, sizeof(*more));
	}
	memset(counter, 0, sizeof(*counter));
}

/* table_ensure_counter - the counter of a field, made if missing */
struct counter *
table_ensure_counter(struct subject *subject, const char *field, int64_t width_ms, int64_t now)
{
	struct counter *counter = table_find_counter(subject, field);

	if (counter != NULL)
		return counter;
	counter = reuse_counter(subject, now);
	if (counter == NULL)
		counter = &table_counters(subject)[subject->n_counters++];
	else
		clear_counter(subject, counter);
	strncpy(counter->field, field, sizeof(counter->field) - 1);
	counter->width_ms = width_ms;
	return counter;
}

/* table_make_more - what few counters have, made if missing */
struct counter_more *
table_make_more(struct subject *subject, const struct counter *counter)
{
	if (subject->more == NULL)
		subject->more = mem_array(subject, struct counter_more, subject->room);
	return table_more(subject, counter);
}

/* --- windows --- */

/* older_of - the older buckets of the counter at an index, or NULL */
static void *
older_of(struct subject *subject, size_t index)
{
	return subject->buckets == NULL ? NULL :
	    subject->buckets + index * window_older_size(subject->bucket_width);
}

/* table_window - the window of a counter */
void
table_window(struct subject *subject, struct counter *counter, struct window *window_r)
{
	window_unpack(&counter->window,
	    older_of(subject, (size_t)(counter - table_counters(subject))), subject->bucket_width,
	    window_r);
}

/* widen - older buckets of a width; those of all counters, because mostly they need the same */
static void
widen(struct subject *subject, unsigned int width)
{
	char *old = subject->buckets;
	char *buckets =
	    mem_check(talloc_zero_size(subject, subject->room * window_older_size(width)));
	struct window window;

	for (uint32_t i = 0; i < subject->n_counters; i++) {
		struct counter *counter = &table_counters(subject)[i];

		table_window(subject, counter, &window);
		window_pack(
		    &window, &counter->window, buckets + i * window_older_size(width), width);
	}
	talloc_free(old);
	subject->buckets = buckets;
	subject->bucket_width = width;
}

/* table_set_window - the window of a counter becomes this one */
void
table_set_window(struct subject *subject, struct counter *counter, const struct window *window)
{
	unsigned int width = window_older_width(window);

	if (width > subject->bucket_width)
		widen(subject, width);
	window_pack(window, &counter->window,
	    older_of(subject, (size_t)(counter - table_counters(subject))), subject->bucket_width);
}

/* --- the charge ids --- */

/* id_bucket - the bucket of an id: ids are random, so some of their octets serve */
static uint16_t *
id_bucket(const struct id_memory *ids, const uint8_t *id)
{
	uint32_t some;

	memcpy(&some, id, sizeof(some));
	return &ids->buckets[some & (ids->n_buckets - 1)];
}

/* table_expect - a key and a charge id will be looked for soon */
void
table_expect(const struct place *place, const uint8_t *id)
{
	const struct id_memory *ids = &place->shard->ids;

	__builtin_prefetch(subjects_bucket_of(place->shard, place->hash));
	if (ids->ring != NULL)
		__builtin_prefetch(id_bucket(ids, id), 1);
}

/* table_knows_id - whether a charge was made under this id not long ago */
bool
table_knows_id(const struct shard *shard, const uint8_t *id, int64_t now)
{
	const struct id_memory *ids = &shard->ids;

	if (ids->ring == NULL)
		return false;
	for (uint16_t at = *id_bucket(ids, id); at != 0; at = ids->ring[at - 1].next)
		if (memcmp(ids->ring[at - 1].id, id, QUOTA_ID_LEN) == 0)
			return ids->ring[at - 1].until > now;
	return false;
}

/* id_unlink - take the ring's entry at an index out of its bucket, if it is in one */
static void
id_unlink(struct id_memory *ids, uint16_t index)
{
	uint16_t *at = id_bucket(ids, ids->ring[index].id);

	while (*at != 0 && *at != index + 1)
		at = &ids->ring[*at - 1].next;
	if (*at != 0)
		*at = ids->ring[index].next;
}

/* after - the index after another in the ring */
static uint16_t
after(const struct id_memory *ids, uint16_t index)
{
	return (uint16_t)(index + 1 == ids->size ? 0 : index + 1);
}

/* table_remember_id - a charge was made under this id */
void
table_remember_id(struct shard *shard, const uint8_t *id, int64_t now)
{
	struct id_memory *ids = &shard->ids;
	struct known_id *entry;
	uint16_t *bucket;

	if (ids->ring == NULL)
		return;
	entry = &ids->ring[ids->at];
	id_unlink(ids, ids->at);
	memcpy(entry->id, id, QUOTA_ID_LEN);
	entry->until = now + EMBEDDED_ID_MS;
	bucket = id_bucket(ids, id);
	entry->next = *bucket;
	*bucket = (uint16_t)(ids->at + 1);
	ids->at = after(ids, ids->at);
	/* The next charge takes the oldest out of its bucket, which lies anywhere; and the one
	 * after that ... */
	__builtin_prefetch(id_bucket(ids, ids->ring[ids->at].id), 1);
	__builtin_prefetch(&ids->ring[after(ids, ids->at)], 1);
}

/* --- construction and destruction --- */

/* lock_init - a lock that is held for less than a thread takes to go to sleep: who waits spins a
 * little first */
static void
lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t how;

	(void)pthread_mutexattr_init(&how);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
	(void)pthread_mutexattr_settype(&how, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
	(void)pthread_mutex_init(lock, &how);
	(void)pthread_mutexattr_destroy(&how);
}

/* table_init_shard - an empty shard for about so many subjects */
void
table_init_shard(struct shard *shard, size_t subjects, size_t ids)
{
	lock_init(&shard->lock);
	shard->memory = mem_check(talloc_named_const(NULL, 0, "shard"));
	shard->n_buckets = 16;
	while (shard->n_buckets < subjects && shard->n_buckets < (size_t)1 << 24)
		shard->n_buckets *= 2;
	shard->buckets = mem_array(shard->memory, struct subject *, shard->n_buckets);
	if (ids == 0)
		return;
	shard->ids.size = (uint16_t)(ids < UINT16_MAX ? ids : UINT16_MAX);
	shard->ids.n_buckets = 4;
	while (shard->ids.n_buckets < 4 * ids)
		shard->ids.n_buckets *= 2;
	shard->ids.ring = mem_array(shard->memory, struct known_id, shard->ids.size);
	shard->ids.buckets = mem_array(shard->memory, uint16_t, shard->ids.n_buckets);
}
