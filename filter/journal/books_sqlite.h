/*
 * books_sqlite.h - the books in SQLite, as their files share them
 *
 * Threads: as in books_sqlite.c.
 */
#ifndef FILTER_JOURNAL_BOOKS_SQLITE_H
#define FILTER_JOURNAL_BOOKS_SQLITE_H

#include <pthread.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/base/database.h"
#include "filter/journal/books_types.h"

struct sqlite_books {
	pthread_mutex_t write_lock;
	pthread_mutex_t reader_lock;
	pthread_mutex_t *read_lock;	/* of the reader: in memory write_lock */
	struct database *writer;	/* or NULL: not open yet */
	struct database *reader;	/* in memory the same */
	char *file;		/* of the counters, or NULL: in memory */
	char *path;
	char *problem;		/* why it is not open */
	size_t decisions;
	int days;
	size_t accounts;
	int day;		/* the last one that was added to, or 0 */
	size_t n_day;		/* its accounts */
	int dmarc_day;		/* the same for rows of DMARC */
	size_t dmarc_domains, dmarc_rows; /* of that day */
};

/* Statements of the writer that are kept prepared. */
enum statement {
	ADD_DECISION,
	DELETE_MANY,
	DELETE_OLD,
	PUT_SUM,
	ADD_REFUSAL,
	ADD_EVENT,
	DELETE_EVENTS,
	FIND_EVENT,
	SQLITE_STATEMENTS,	/* books_sqlite_dmarc.c goes on from here */
	SQLITE_SUMS_STATEMENTS = 20, /* and books_sqlite_sums.c from here */
};

/* What version 2 added. */
#define BOOKS_SQLITE_DMARC_SCHEMA \
	"CREATE TABLE dmarc_domains (" \
	" day INTEGER NOT NULL,"	/* 20261122, UTC */ \
	" domain TEXT NOT NULL,"	/* whose record applied */ \
	" record TEXT NOT NULL,"	/* the last one seen */ \
	" messages INTEGER NOT NULL," \
	" beyond INTEGER NOT NULL,"	/* of these, not in the rows */ \
	" rows INTEGER NOT NULL," \
	" state TEXT,"			/* of its report: JSON */ \
	" PRIMARY KEY (day, domain)) WITHOUT ROWID;" \
	"CREATE TABLE dmarc_rows (" \
	" day INTEGER NOT NULL," \
	" domain TEXT NOT NULL," \
	" row TEXT NOT NULL,"		/* JSON: what a report says of these messages */ \
	" n INTEGER NOT NULL," \
	" PRIMARY KEY (day, domain, row)) WITHOUT ROWID;"

/* What version 3 added. */
#define BOOKS_SQLITE_HOURS_SCHEMA \
	"CREATE TABLE hours (" \
	" day INTEGER NOT NULL,"	/* 20261122, UTC */ \
	" account TEXT NOT NULL," \
	" hour INTEGER NOT NULL,"	/* 0 to 23 */ \
	" messages INTEGER NOT NULL," \
	" recipients INTEGER NOT NULL," \
	" refused INTEGER NOT NULL," \
	" PRIMARY KEY (day, account, hour)) WITHOUT ROWID;" \
	"CREATE TABLE rates (" \
	" seconds INTEGER NOT NULL,"	/* 60: of a minute; 3600: of an hour */ \
	" at INTEGER NOT NULL,"		/* its begin, UNIX time in ms */ \
	" host TEXT NOT NULL," \
	" word TEXT NOT NULL,"		/* "action:accept", "reason:over", "would:over" */ \
	" n INTEGER NOT NULL," \
	" PRIMARY KEY (seconds, at, host, word)) WITHOUT ROWID;" \
	"INSERT INTO hours SELECT day, account, hour, hour_messages, hour_recipients, 0 FROM sums" \
	" WHERE day = (SELECT max(day) FROM sums);"	/* the hour of the upgrade goes on */

/* What version 4 added. */
#define BOOKS_SQLITE_SIGNED_SCHEMA \
	"CREATE TABLE signed (" \
	" day INTEGER NOT NULL,"	/* 20261122, UTC */ \
	" domain TEXT NOT NULL,"	/* d= */ \
	" messages INTEGER NOT NULL," \
	" recipients INTEGER NOT NULL," \
	" bytes INTEGER NOT NULL," \
	" PRIMARY KEY (day, domain)) WITHOUT ROWID;"

/* sqlite_books_add_refusals - what an account was refused on a day, or would have been; 0 or -1.
 * With the writer. */
int sqlite_books_add_refusals(struct sqlite_books *books, int day, const char *account,
    const uint32_t *counts, bool would);

/* sqlite_books_add_refusal - the same of one word, n times */
int sqlite_books_add_refusal(
    struct sqlite_books *books, int day, const char *account, const char *word, uint32_t n);

/* sqlite_books_begin - take the writer, and begin a transaction; 0 or -1. Then always
 * sqlite_books_end(). */
int sqlite_books_begin(struct sqlite_books *books);

/* sqlite_books_end - the transaction, and let go of the writer; result: how it went so far */
int sqlite_books_end(struct sqlite_books *books, TALLOC_CTX *ctx, int result, const char **error_r);

/* sqlite_books_reader - the connection for reading, with read_lock; NULL and *error_r: there is
 * none, and no lock */
struct database *sqlite_books_reader(
    struct sqlite_books *books, TALLOC_CTX *ctx, const char **error_r);

#endif
