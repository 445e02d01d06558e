/*
 * books_db.h - the database of the books, opened and of the right shape; for books_*.c alone
 *
 * Threads: a connection is for one thread at a time.
 */
#ifndef FILTER_JOURNAL_BOOKS_DB_H
#define FILTER_JOURNAL_BOOKS_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#define BOOKS_DB_VERSION	1	/* of the tables, in PRAGMA user_version */
#define BOOKS_DB_STATEMENTS	16	/* that one connection may keep prepared */

struct books_db {
	sqlite3 *db;
	char *path;		/* NULL: in memory */
	bool moved;		/* the file is not there any more */
	sqlite3_stmt *prepared[BOOKS_DB_STATEMENTS];
};

/*
 * books_db_open - open the database of a file, and make its tables if it is new
 * path: NULL for one in memory. *new_r: its tables were made just now, in a transaction that is
 * still open: fill them and call books_db_commit(). NULL and *error_r on ctx, a full sentence, if
 * the file cannot be used (books.h); *full_r: only because the disk is full. A talloc child of ctx,
 * closed with it.
 */
struct books_db *books_db_open(TALLOC_CTX *ctx, const char *path, bool *new_r, bool *full_r,
    const char **error_r);

/* books_db_open_reader - a second connection to an open file, for reading; as books_db_open() */
struct books_db *books_db_open_reader(
    TALLOC_CTX *ctx, const struct books_db *first, const char **error_r);

/*
 * books_db_statement - a statement, prepared at its first use; NULL on error (books_db_error())
 * which: below BOOKS_DB_STATEMENTS, always with the same sql.
 */
sqlite3_stmt *books_db_statement(struct books_db *db, size_t which, const char *sql);

/* books_db_run - run a statement that has no rows, and make it ready for the next time; 0 or -1 */
int books_db_run(sqlite3_stmt *statement);

/* books_db_text - bind a text, which must live until the statement was run; NULL for NULL */
void books_db_text(sqlite3_stmt *statement, int i, const char *text);

/* books_db_begin, books_db_commit, books_db_rollback - a transaction; 0 or -1. None begins after
 * the file was moved or removed: what would be written is nowhere. */
int books_db_begin(struct books_db *db);
int books_db_commit(struct books_db *db);
void books_db_rollback(struct books_db *db);

/* books_db_is_full - did it go wrong because the disk is full? */
bool books_db_is_full(struct books_db *db);

/* books_db_error - what went wrong last, with the path, on ctx */
const char *books_db_error(struct books_db *db, TALLOC_CTX *ctx);

#endif
