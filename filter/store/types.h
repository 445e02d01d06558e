/*
 * types.h - the words and bounds that the door (store.h) shares with what is behind it
 */
#ifndef FILTER_STORE_TYPES_H
#define FILTER_STORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter/redis/types.h"

enum store_kind {
	STORE_EMBEDDED,
	STORE_REDIS
};

/* What is done with messages while Redis is unavailable. */
enum store_on_away {
	STORE_AWAY_LOCAL,	/* enforce from what was last seen plus what passes here */
	STORE_AWAY_ACCEPT,	/* refuse nothing; count here, hand over later */
	STORE_AWAY_TEMPFAIL	/* answer QUOTA_UNKNOWN */
};

enum store_log_level {
	STORE_LOG_INFO,
	STORE_LOG_WARNING,
	STORE_LOG_ERROR
};

/*
 * The log callback: one line of text without newline. Called from any thread, once
 * for each change of state, never with a lock held that store.h functions need.
 */
typedef void store_log_fn(void *arg, enum store_log_level level, const char *text);

/* How to open a store. Zeros are sensible defaults throughout. */
struct store_options {
	enum store_kind kind;
	size_t max_accounts; /* accounts kept in this process (embedded; local mode); 0: 100000 */

	/* embedded */
	const char *file;	/* where counts are saved; NULL: nowhere */
	bool look_only;		/* the file is read, neither locked nor written */

	/* redis */
	struct redis_options redis;
	const char *prefix;	/* before every key; NULL: "countersign:" */
	unsigned int deadline_ms; /* longest wait for one call; 0: 200 */
	unsigned int connections; /* most connections at once; 0: 32 */
	enum store_on_away on_away;
	size_t max_pending;	/* charges kept for Redis's return; 0: 100000 */
	bool holds;		/* changes by operators hold here while Redis is away: a daemon */
	const char *away_file;	/* where they survive a restart (away_file.h); NULL: nowhere */

	store_log_fn *log;	/* or NULL */
	void *log_arg;
};

/* For status pages and metrics. Counts are since store_open. */
struct store_status {
	const char *kind;	/* "embedded", "file", "redis" */
	bool away;		/* Redis is unavailable */
	const char *problem;	/* why it is away, or why the last save failed, or NULL; on ctx */
	int64_t away_ms;	/* for how long it has been away; 0 when it is not */
	uint64_t charged;	/* messages charged */
	uint64_t refused;	/* messages refused over a limit */
	uint64_t unknown;	/* messages that got QUOTA_UNKNOWN */
	uint64_t local;		/* of those charged or refused: decided without Redis */
	uint64_t failed;	/* calls to Redis that failed or timed out */
	uint64_t pending;	/* charges waiting for Redis's return, now */
	uint64_t changes;	/* changes by operators that wait for it, now */
	uint64_t merged;	/* charges handed over at its return */
	uint64_t dropped;	/* charges given up: more than max_pending, or too old */
	uint64_t emptied;	/* how often Redis was seen to have lost what it held */
	uint64_t accounts;	/* accounts kept in this process, now */
	uint64_t evicted;	/* accounts forgotten for want of room while they had counts */
};

/* --- blocked accounts --- */

#define STORE_TEXT_MAX	200	/* octets of a reason or of a name in a block; the rest is cut */
#define STORE_BLOCKS_MAX 10000	/* blocked accounts at once */

#define STORE_BY_SIGNS	"block_on"	/* who blocked it, if a plan's signs did */

/* For how long block_on blocks; 0: it only counts, and blocks nobody. */
struct store_block_rule {
	int64_t for_ms;
	long grows;		/* times longer each further time (quota_block_length); 0, 1: not */
};

/* One blocked account. Times are UNIX time in milliseconds. */
struct store_block {
	const char *account;	/* normal form */
	const char *reason; /* printable, for the log and the operator; never for the client */
	const char *by;		/* who blocked it: an operator's name, "block_on" */
	int64_t since;
	int64_t until;		/* 0: until it is unblocked */
};

/* An account that a sign took to warn_at of block_on. */
struct store_near {
	const char *account;
	const char *limit;	/* of block_on */
	unsigned int percent;	/* warn_at */
};

#endif
