/*
 * recent.h - a bounded set of marks, each with the time when it was last seen
 *
 * A mark is 64 bits of a keyed hash: of a client's address (how many different ones in a
 * window), or of a recipient (who is a new one). Whoever makes the marks chooses the key.
 *
 * Times are milliseconds of one clock, passed in. If times are equal, the smaller mark counts as
 * the older one. filter/store/quota.lua holds the same rules; tests/unit/test_store_redis.c
 * compares them. Pure. Threads: the caller's lock guards the struct.
 */
#ifndef POLICY_QUOTA_RECENT_H
#define POLICY_QUOTA_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

/* A recipient is new unless it was written to within so many milliseconds (30 days) ... */
#define RECENT_LIFE_MS		(INT64_C(30) * 24 * 3600 * 1000)
/* ... the time is noted again only when the old one is older than this (a day). */
#define RECENT_FRESH_MS		(INT64_C(24) * 3600 * 1000)
/* The most recipients that are remembered of one account; the oldest are forgotten. */
#define RECENT_MAX_KNOWN	10000

struct recent_mark {
	uint64_t mark;
	int64_t seen;
};

/* All zero is an empty set. */
struct recent {
	struct recent_mark *marks; /* by mark; a talloc child of the first adder's context */
	uint32_t n;
	uint32_t room;
};

/* recent_find - the place of a mark in marks, or -1 */
long recent_find(const struct recent *set, uint64_t mark);

/*
 * recent_turn - as of now, forget marks that were last seen life_ms ago or longer
 * When the newest mark lies ahead of now by no more than life_ms, time stands still at it; by more,
 * a clock was wrong, and all marks are moved so that the newest is now. Returns the time that
 * holds.
 */
int64_t recent_turn(struct recent *set, int64_t life_ms, int64_t now);

/* recent_prune - forget marks that were last seen life_ms before now or longer ago */
void recent_prune(struct recent *set, int64_t life_ms, int64_t now);

/*
 * recent_see - a mark was seen; its time only moves forward
 * At most max marks are kept (1 at least): the oldest is forgotten. Memory is on ctx, always the
 * same one.
 */
void recent_see(TALLOC_CTX *ctx, struct recent *set, uint64_t mark, int64_t seen, uint32_t max);

/* recent_trim - forget the oldest beyond max */
void recent_trim(struct recent *set, uint32_t max);

/* recent_nth - when the nth oldest was seen, n from 1 to set->n */
int64_t recent_nth(const struct recent *set, uint32_t n);

/* recent_forget - all of it */
void recent_forget(struct recent *set);

/* recent_knows - whether a mark was seen less than life_ms before now */
bool recent_knows(const struct recent *set, uint64_t mark, int64_t life_ms, int64_t now);

#endif
