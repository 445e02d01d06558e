/*
 * repeats.c - what this process remembers of accounts that exceed their limits or are blocked
 *
 * Thread rule: lock guards the maps, which are below `memory`, a talloc root.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "filter/daemon/repeats.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"
#include "policy/quota/merge.h"

#define MESSAGES_MAX	20000
#define SUBJECTS_MAX	4000
#define TURNS_MAX	10000
#define BODIES_MAX	20000
#define KEY_SIZE	(16 + 1)	/* a mark in hexadecimal */

struct repeats {
	pthread_mutex_t lock;
	TALLOC_CTX *memory;
	struct map *messages;	/* mark => int64_t, when it was refused last */
	struct map *subjects;	/* mark => struct merge */
	struct map *turns;	/* account => int64_t, when it had its last turn */
	struct map *bodies;	/* mark => struct sent_body */
};

/* A body, as it was sent last. */
struct sent_body {
	int64_t at_ms;
	uint64_t recipients;
};

/* repeats_free - talloc destructor */
static int
repeats_free(struct repeats *repeats)
{
	(void)pthread_mutex_destroy(&repeats->lock);
	talloc_free(repeats->memory);
	return 0;
}

/* repeats_new - nothing is remembered */
struct repeats *
repeats_new(TALLOC_CTX *ctx)
{
	struct repeats *repeats = mem_new(ctx, struct repeats);

	(void)pthread_mutex_init(&repeats->lock, NULL);
	repeats->memory = mem_check(talloc_named_const(NULL, 0, "repeats"));
	repeats->messages = map_new(repeats->memory,
	    &(struct map_options){ .value_size = sizeof(int64_t), .max = MESSAGES_MAX });
	repeats->subjects = map_new(repeats->memory,
	    &(struct map_options){ .value_size = sizeof(struct merge), .max = SUBJECTS_MAX });
	repeats->turns = map_new(repeats->memory,
	    &(struct map_options){ .value_size = sizeof(int64_t), .max = TURNS_MAX });
	repeats->bodies = map_new(repeats->memory,
	    &(struct map_options){ .value_size = sizeof(struct sent_body), .max = BODIES_MAX });
	talloc_set_destructor(repeats, repeats_free);
	return repeats;
}

/* repeats_is_due - whether the time of a key lies span_ms back, or it has none; now becomes its
 * time */
static bool
repeats_is_due(struct map *map, const char *key, int64_t now, int64_t span_ms, bool renew)
{
	bool first;
	int64_t *last = map_put(map, key, &first), before = *last;
	bool due = first || now - before >= span_ms || now < before - span_ms;

	if (due || renew)
		*last = now;
	map_used(map, last);
	return due;
}

/* repeats_refused - whether a refused message counts */
bool
repeats_refused(struct repeats *repeats, uint64_t message, uint64_t subject, int64_t now,
    int64_t window_ms)
{
	char of_message[KEY_SIZE], of_subject[KEY_SIZE];
	struct merge *merge;
	bool counts;

	(void)snprintf(of_message, sizeof(of_message), "%016" PRIx64, message);
	(void)snprintf(of_subject, sizeof(of_subject), "%016" PRIx64, subject);
	(void)pthread_mutex_lock(&repeats->lock);
	counts = repeats_is_due(repeats->messages, of_message, now, window_ms, true);
	if (counts) {
		merge = map_put(repeats->subjects, of_subject, NULL);
		map_used(repeats->subjects, merge);
		counts = merge_counts(merge, now, window_ms);
	}
	(void)pthread_mutex_unlock(&repeats->lock);
	return counts;
}

/* repeats_body - whether a body is sent again */
bool
repeats_body(struct repeats *repeats, uint64_t body, uint64_t recipients, int64_t now,
    int64_t window_ms)
{
	char key[KEY_SIZE];
	struct sent_body *sent;
	bool first, again;

	(void)snprintf(key, sizeof(key), "%016" PRIx64, body);
	(void)pthread_mutex_lock(&repeats->lock);
	sent = map_put(repeats->bodies, key, &first);
	again = !first && now - sent->at_ms < window_ms && now - sent->at_ms > -window_ms &&
	    sent->recipients != recipients;
	*sent = (struct sent_body){ now, recipients };
	map_used(repeats->bodies, sent);
	(void)pthread_mutex_unlock(&repeats->lock);
	return again;
}

/* repeats_turn - whether account may send now */
bool
repeats_turn(struct repeats *repeats, const char *account, int64_t now, int64_t every_ms)
{
	bool due;

	(void)pthread_mutex_lock(&repeats->lock);
	due = repeats_is_due(repeats->turns, account, now, every_ms, false);
	(void)pthread_mutex_unlock(&repeats->lock);
	return due;
}
