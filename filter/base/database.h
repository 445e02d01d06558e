/*
 * database.h - a SQLite database of our own, opened and of the right shape
 *
 * Threads: a connection is for one thread at a time.
 */
#ifndef FILTER_BASE_DATABASE_H
#define FILTER_BASE_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#define DATABASE_STATEMENTS	32	/* that one connection may keep prepared */

/* What a database is for. Static. */
struct database_kind {
	const char *name;	/* "the books", for errors */
	const char *without;	/* how the daemon starts without the file: "with empty books" */
	int id;			/* PRAGMA application_id */
	int version;		/* of the tables: PRAGMA user_version */
	const char *schema;	/* that makes them */
	const char *const *steps; /* from version i + 1 to the next, version - 1 of them; or NULL */
	const char *settings;	/* PRAGMA synchronous, and others of this kind */
};

struct database {
	const struct database_kind *kind;
	sqlite3 *db;
	char *path;		/* NULL: in memory */
	bool moved;		/* the file is not there any more */
	sqlite3_stmt *prepared[DATABASE_STATEMENTS];
};

/*
 * database_open - open the database of a file, and make its tables if it is new
 * path: NULL for one in memory. *new_r: its tables were made just now, in a transaction that is
 * still open: fill them and call database_commit(). NULL and *error_r on ctx, a full sentence, if
 * the file cannot be used: it is not ours, damaged, or of a newer version; *full_r: only because
 * the disk is full. A talloc child of ctx, closed with it.
 */
struct database *database_open(TALLOC_CTX *ctx, const struct database_kind *kind, const char *path,
    bool *new_r, bool *full_r, const char **error_r);

/* database_open_reader - a second connection to an open file, for reading; as database_open() */
struct database *database_open_reader(
    TALLOC_CTX *ctx, const struct database *first, const char **error_r);

/*
 * database_statement - a statement, prepared at its first use; NULL on error (database_error())
 * which: below DATABASE_STATEMENTS, always with the same sql.
 */
sqlite3_stmt *database_statement(struct database *db, size_t which, const char *sql);

/* database_run - run a statement that has no rows, and make it ready for the next time; 0 or -1 */
int database_run(sqlite3_stmt *statement);

/* database_text - bind a text, which must live until the statement was run; NULL for NULL */
void database_text(sqlite3_stmt *statement, int i, const char *text);

/* database_column - a column of a row as text, until the next row; "" for NULL, which may stand in
 * any column of a damaged file */
const char *database_column(sqlite3_stmt *row, int column);

/* database_begin, database_commit, database_rollback - a transaction; 0 or -1. None begins after
 * the file was moved or removed: what would be written is nowhere. */
int database_begin(struct database *db);
int database_commit(struct database *db);
void database_rollback(struct database *db);

/* database_is_full - did it go wrong because the disk is full? */
bool database_is_full(struct database *db);

/* database_error - what went wrong last, with the path, on ctx */
const char *database_error(struct database *db, TALLOC_CTX *ctx);

#endif
