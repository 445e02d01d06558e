/*
 * books_redis.h - the books in Redis, as their two files share them
 *
 * Threads: nothing changes after opening.
 */
#ifndef FILTER_JOURNAL_BOOKS_REDIS_H
#define FILTER_JOURNAL_BOOKS_REDIS_H

#include <stddef.h>

#include "filter/journal/journal_redis.h"

struct redis_books {
	struct journal_redis *redis;
	size_t decisions;
	int days;
	size_t accounts;
};

#endif
