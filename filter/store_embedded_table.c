/*
 * store_embedded_table.c - inside the embedded store: subjects, counters, shards
 *
 * A hash table of subjects, each with a few counters, and a list of them by last use, whose end is
 * forgotten when the table is full. Everything that one message touches has one home (a client
 * network apart), and the home selects the shard, so that messages of different accounts seldom meet.
 *
 * Thread rule: shard->lock guards everything in a shard, its talloc tree included: each
 * shard is a tree of its own, because talloc trees must not be shared by threads.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "filter/store_embedded_table.h"
#include "policy/hash.h"
#include "policy/mem.h"

#define MANY_SHARDS	16
#define MANY_COUNTERS	16	/* of one subject: from then on idle ones are used again */
#define MIN_SHARE	8	/* subjects of a shard: no message touches more */
#define LOCAL_KNOWN	200	/* recipients remembered of one subject for local mode */

/* --- hashing and finding --- */

/* mix - spread the bits of a number over all of it */
static uint64_t
mix(uint64_t number)
{
	number = (number ^ number >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return number ^ number >> 32;
}

/* key_hash - a hash of a key from a secret seed, eight octets at a time; nothing that is kept depends on it */
static uint64_t
key_hash(uint64_t seed, const char *key, size_t len)
{
	uint64_t hash = seed ^ len, some;

	for (; len >= sizeof(some); key += sizeof(some), len -= sizeof(some)) {
		memcpy(&some, key, sizeof(some));
		hash = mix(hash ^ some);
	}
	some = 0;
	memcpy(&some, key, len);
	return mix(hash ^ some);
}

/* table_shard - the shard of a key: the home between its braces selects it */
struct shard *
table_shard(const struct embedded *table, const char *key)
{
	const char *end = strchr(key, '}');
	size_t len = end != NULL ? (size_t)(end - key) : strlen(key);

	return &table->shards[key_hash(table->seed, key, len) % table->n_shards];
}

/* table_find - the subject of a key, or NULL */
struct subject *
table_find(const struct embedded *table, struct shard *shard, const char *key)
{
	struct subject *subject = shard->newest;
	uint64_t hash;

	/* A message looks several times, and mostly for the one that it used last. */
	if (subject != NULL && strcmp(subject->key, key) == 0)
		return subject;
	hash = key_hash(table->seed, key, strlen(key));
	subject = shard->buckets[hash & (shard->n_buckets - 1)];
	while (subject != NULL && (subject->hash != hash || strcmp(subject->key, key) != 0))
		subject = subject->hash_next;
	return subject;
}

/* table_find_counter - the counter of a field, or NULL */
struct counter *
table_find_counter(const struct subject *subject, const char *field)
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
table_forget(struct shard *shard, struct subject *subject)
{
	struct subject **at = &shard->buckets[subject->hash & (shard->n_buckets - 1)];

	while (*at != subject)
		at = &(*at)->hash_next;
	*at = subject->hash_next;
	unlist(shard, subject);
	shard->n_subjects--;
	talloc_free(subject);
}

/* table_is_clients - whether a counter keeps clients instead of a sum */
bool
table_is_clients(const struct counter *counter)
{
	return counter->field[0] == limit_unit_letter(LIMIT_CLIENTS);
}

/* table_is_counting - whether what was charged here still counts */
bool
table_is_counting(const struct counter *counter, int64_t now)
{
	if (!table_is_clients(counter))
		return !window_idle(&counter->window, counter->width_ms, now);
	for (uint32_t i = 0; i < counter->clients.n; i++)
		if (now - counter->clients.marks[i].seen < counter->width_ms)
			return true;
	return false;
}

/* is_idle - whether a counter holds nothing any more */
static bool
is_idle(const struct counter *counter, int64_t now)
{
	return !table_is_counting(counter, now) &&
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
	table_forget(shard, oldest);
}

/* --- making --- */

/* table_ensure - the subject of a key, made where missing */
struct subject *
table_ensure(const struct embedded *table, struct shard *shard, const char *key, int64_t now)
{
	struct subject *subject = table_find(table, shard, key);
	struct subject **bucket;

	if (subject != NULL)
		return subject;
	if (shard->n_subjects >= shard->max_subjects)
		make_room(shard, now);
	subject = mem_new(shard->memory, struct subject);
	subject->key = mem_strdup(subject, key);
	subject->hash = key_hash(table->seed, key, strlen(key));
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
		if (!subject->counters[i].wanted && is_idle(&subject->counters[i], now))
			return &subject->counters[i];
	return NULL;
}

/* table_ensure_counter - the counter of a field, made where missing; others may move in memory */
struct counter *
table_ensure_counter(struct subject *subject, const char *field, int64_t width_ms, int64_t now)
{
	struct counter *counter = table_find_counter(subject, field);

	if (counter != NULL)
		return counter;
	counter = reuse_counter(subject, now);
	if (counter == NULL) {
		subject->counters = mem_grow(subject, subject->counters, struct counter,
		    subject->n_counters + 1);
		counter = &subject->counters[subject->n_counters++];
		memset(counter, 0, sizeof(*counter));
	}
	recent_forget(&counter->clients);
	recent_forget(&counter->included);
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

/* table_knows_id - whether a charge was made under this id not long ago */
bool
table_knows_id(const struct shard *shard, const uint8_t *id, int64_t now)
{
	const struct id_memory *ids = &shard->ids;

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

/* table_remember_id - a charge was made under this id */
void
table_remember_id(struct shard *shard, const uint8_t *id, int64_t now)
{
	struct id_memory *ids = &shard->ids;
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
		return HASH_START;
	return seed ^ HASH_START;
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
	table->max_known = remember_ids ? RECENT_MAX_KNOWN : LOCAL_KNOWN;
	table->lock_fd = -1;
	atomic_init(&table->dirty, false);
	pthread_mutex_init(&table->save_lock, NULL);
	for (size_t i = 0; i < table->n_shards; i++)
		shard_init(&table->shards[i], share > MIN_SHARE ? share : MIN_SHARE,
		    remember_ids ? (uint32_t)(EMBEDDED_IDS / table->n_shards) : 0);
	talloc_set_destructor(table, embedded_free);
	return table;
}
