/*
 * books_redis.h - the books in Redis, as their files share them
 *
 * Threads: nothing changes after opening.
 */
#ifndef FILTER_JOURNAL_BOOKS_REDIS_H
#define FILTER_JOURNAL_BOOKS_REDIS_H

#include <stddef.h>

#include "filter/journal/journal_redis.h"

/* Decisions or accounts in a call: Redis does nothing else meanwhile. */
#define REDIS_BOOKS_BATCH	25

struct redis_books {
	struct journal_redis *redis;
	size_t decisions;
	int days;
	size_t accounts;
	struct redis_script history;	/* history.lua, and so on */
	struct redis_script daybook;
	struct redis_script rates;
	struct redis_script dmarc;
};

#endif
