/*
 * embedded_table.h - inside the embedded store: subjects, counters, shards
 *
 * For embedded*.c alone. All functions want the
 * lock of the shard that they are given, or work on a table that no other thread knows yet.
 */
#ifndef FILTER_STORE_EMBEDDED_TABLE_H
#define FILTER_STORE_EMBEDDED_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/store/blocks.h"
#include "policy/quota/quota.h"
#include "policy/quota/recent.h"
#include "policy/quota/window_packed.h"

/* How many charge ids are remembered at most, and how long. */
#define EMBEDDED_IDS		65535
#define EMBEDDED_ID_MS		INT64_C(600000)

#define TABLE_MIN_SHARE	8	/* subjects that a shard may always have: no message touches more */
#define TABLE_FILE_TITLE "countersign-counters 2\n" /* the first line of the file */
#define TABLE_MAX_FIELD \
	16 /* octets of a field's name, with NUL: "r31622400000.48" is the longest */

/* One window of a subject. */
struct counter {
	char field[TABLE_MAX_FIELD];
	struct window_packed
	    window; /* what was charged here; its older buckets are with the subject's */
	int64_t width_ms;
	bool wanted; /* by the message that has the lock: not to be used again for another field */
};

/* What few counters have: in local mode, by hand, and those of clients. */
struct counter_more {
	uint64_t base;		/* local mode: total last seen in Redis, without what is ours */
	int64_t base_until;	/* ... which counts until then */
	int64_t base_noted;	/* ... noted then, */
	int64_t base_stamp;	/* ... when Redis's clock showed this */
	struct recent clients;	/* limit_is_distinct() instead of window; memory is the subject's */
	struct recent included;	/* local mode: clients that are in base already */
	int64_t raised_until;	/* by hand: until then ... */
	uint64_t raised_max;	/* ... this stands in for the plan's limit */
};

/*
 * One account, in one piece of memory with its key and its counters: what a message looks at lies
 * together. Older buckets and what few counters have are two more pieces, made when they are
 * needed.
 */
struct subject {
	struct subject *hash_next;
	struct subject *newer;	/* neighbours in order of use */
	struct subject *older;
	uint64_t used;		/* when: the number of the use, of all in its shard */
	uint64_t hash;
	char *buckets;		/* older buckets of each counter in turn, or NULL: all are zero */
	struct counter_more *more; /* of each counter, or NULL: all are zero */
	struct recent known;	/* recipients that were written to; memory is the subject's */
	uint32_t n_counters;
	uint32_t room;		/* counters that there is memory for */
	uint32_t counters_at;	/* where they begin, in octets from here */
	uint32_t bucket_width;	/* octets of an older bucket: 0, 2, 4 or 8 */
	char key[];		/* as in struct quota_subject */
};

/* One remembered charge. */
struct known_id {
	uint8_t id[QUOTA_ID_LEN];
	int64_t until;
	uint16_t next;		/* index + 1 of the next in the same bucket; 0: none */
};

/* The last so many charge ids: a ring, and a hash into it. */
struct id_memory {
	struct known_id *ring;	/* NULL: ids are not remembered */
	uint16_t *buckets; /* index + 1 of the first; 0: none. Narrow, so that they stay near the
			      processor */
	uint16_t size;		/* of the ring */
	uint32_t n_buckets;	/* a power of two; many, so that most hold one or none */
	uint16_t at;		/* the next to be overwritten */
};

struct shard {
	pthread_mutex_t lock;
	TALLOC_CTX *memory;	/* the root of all below */
	struct subject **buckets;
	size_t n_buckets;	/* a power of two */
	struct subject *newest;
	struct subject *oldest;
	size_t n_subjects;
	uint64_t uses;		/* of all subjects so far */
	uint64_t evicted;
	struct id_memory ids;
	char apart[64];		/* so that no two shards share a line of the processor's cache */
};

struct embedded {
	struct shard *shards;
	size_t n_shards;	/* a power of two */
	size_t max_subjects;	/* of all shards */
	uint32_t max_known;	/* recipients remembered of one subject */
	uint64_t seed;		/* of the hash, so that strangers cannot choose collisions */
	char apart[64];		/* what is above never changes, what is below does */
	atomic_size_t n_subjects; /* of all shards */
	atomic_bool dirty;	/* counts have changed since the last save */
	pthread_mutex_t save_lock;
	char *file;		/* or NULL */
	struct blocks *blocks;	/* saved with the counts, or NULL */
	int lock_fd;		/* of FILE.lock, or -1 */
};

/* Where a key belongs. */
struct place {
	struct shard *shard;	/* that of the home between the key's braces */
	uint64_t hash;		/* of the key */
};

/* table_place - where a key belongs. Needs no lock. */
struct place table_place(const struct embedded *table, const char *key);

/*
 * table_expect - a key and a charge id will be looked for soon: let the processor fetch where
 * they would be. Needs no lock.
 */
void table_expect(const struct place *place, const uint8_t *id);

/* table_find - the subject of a key, or NULL */
struct subject *table_find(const struct place *place, const char *key);

/* table_counters - the counters of a subject, n_counters of them */
static inline struct counter *
table_counters(struct subject *subject)
{
	return (struct counter *)(void *)((char *)subject + subject->counters_at);
}

/* table_find_counter - the counter of a field of a subject (or NULL), or NULL */
struct counter *table_find_counter(struct subject *subject, const char *field);

/*
 * table_ensure - the subject of a key, made if missing: another may be forgotten for it
 * With room for so many more counters than it has; for that it may move in memory, with its
 * counters.
 */
struct subject *table_ensure(struct embedded *table, const struct place *place, const char *key,
    uint32_t more_counters, int64_t now);

/* table_ensure_counter - the counter of a field, made if missing; there is room for it, or an
 * idle one is used again */
struct counter *table_ensure_counter(struct subject *subject, const char *field, int64_t width_ms,
    int64_t now);

/* table_window - the window of a counter */
void table_window(struct subject *subject, struct counter *counter, struct window *window_r);

/* table_set_window - the window of a counter becomes this one */
void table_set_window(
    struct subject *subject, struct counter *counter, const struct window *window);

/* table_more - what few counters have; NULL: all zero */
static inline struct counter_more *
table_more(struct subject *subject, const struct counter *counter)
{
	return subject->more == NULL ? NULL : &subject->more[counter - table_counters(subject)];
}

/* table_make_more - the same, made if missing, for all counters of the subject */
struct counter_more *table_make_more(struct subject *subject, const struct counter *counter);

/* table_used - a subject was used: it is forgotten last */
void table_used(struct shard *shard, struct subject *subject);

/* table_forget - remove a subject from everything */
void table_forget(struct embedded *table, struct shard *shard, struct subject *subject);

/* table_is_distinct - whether the counter of a field keeps different things instead of a sum */
bool table_is_distinct(const char *field);

/* table_is_clients - whether a counter keeps clients instead of a sum */
bool table_is_clients(const struct counter *counter);

/* table_is_counting - whether what was charged here still counts in a counter; more as of
 * table_more() */
bool table_is_counting(const struct counter *counter, const struct counter_more *more, int64_t now);

/* table_init_shard - an empty shard for so many subjects and charge ids */
void table_init_shard(struct shard *shard, size_t subjects, size_t ids);

/* table_knows_id, table_remember_id - charges are recognised when asked twice */
bool table_knows_id(const struct shard *shard, const uint8_t *id, int64_t now);
void table_remember_id(struct shard *shard, const uint8_t *id, int64_t now);

#endif
