/*
 * store_embedded_table.h - inside the embedded store: subjects, counters, shards
 *
 * For store_embedded*.c alone. All functions want the
 * lock of the shard that they are given, or work on a table that nobody else knows yet.
 */
#ifndef FILTER_STORE_EMBEDDED_TABLE_H
#define FILTER_STORE_EMBEDDED_TABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "filter/store_embedded.h"
#include "policy/recent.h"
#include "policy/window.h"

#define TABLE_MAX_FIELD	32	/* octets of a field's name, with NUL */

/* One window of a subject. */
struct counter {
	char field[TABLE_MAX_FIELD];
	bool wanted;		/* by the message that has the lock: not to be used again for another field */
	int64_t width_ms;
	struct window window;	/* what was charged here */
	uint64_t base;		/* local mode: total last seen in Redis, without what is ours */
	int64_t base_until;	/* ... which counts until then */
	int64_t base_noted;	/* ... noted then, */
	int64_t base_stamp;	/* ... when Redis's clock showed this */
	struct recent clients;	/* LIMIT_CLIENTS instead of window; memory is the subject's */
	struct recent included;	/* local mode: clients that are in base already */
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
	struct recent known;	/* recipients that were written to; memory is the subject's */
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
	uint32_t max_known;	/* recipients remembered of one subject */
	uint64_t seed;		/* of the hash, so that nobody can choose collisions */
	atomic_bool dirty;	/* counts have changed since the last save */
	pthread_mutex_t save_lock;
	char *file;		/* or NULL */
	struct blocks *blocks;	/* saved with the counts, or NULL */
	struct usage *usage;	/* likewise */
	int lock_fd;		/* of FILE.lock, or -1 */
};

/* table_shard - the shard of a key: the home between its braces selects it. Needs no lock. */
struct shard *table_shard(const struct embedded *table, const char *key);

/* table_find - the subject of a key, or NULL */
struct subject *table_find(const struct embedded *table, struct shard *shard, const char *key);

/* table_find_counter - the counter of a field of a subject (or NULL), or NULL */
struct counter *table_find_counter(const struct subject *subject, const char *field);

/* table_ensure - the subject of a key, made where missing: another may be forgotten for it */
struct subject *table_ensure(const struct embedded *table, struct shard *shard, const char *key,
    int64_t now);

/* table_ensure_counter - the counter of a field, made where missing; others may move in memory */
struct counter *table_ensure_counter(struct subject *subject, const char *field, int64_t width_ms,
    int64_t now);

/* table_used - a subject was used: it is forgotten last */
void table_used(struct shard *shard, struct subject *subject);

/* table_forget - remove a subject from everything */
void table_forget(struct shard *shard, struct subject *subject);

/* table_is_clients - whether a counter keeps clients instead of a sum */
bool table_is_clients(const struct counter *counter);

/* table_is_counting - whether what was charged here still counts in a counter */
bool table_is_counting(const struct counter *counter, int64_t now);

/* table_knows_id, table_remember_id - charges are recognised when asked twice */
bool table_knows_id(const struct shard *shard, const uint8_t *id, int64_t now);
void table_remember_id(struct shard *shard, const uint8_t *id, int64_t now);

#endif
