/*
 * database.c - a SQLite database of our own: opened, checked, of the right shape
 *
 * A file that is not ours must not be written to, and one that is must not be replaced because
 * it cannot be read: either refuses the start. The file is marked as ours by PRAGMA application_id;
 * PRAGMA user_version is the version of the tables.
 *
 * A write-ahead log lets others read while one writes. A transaction survives a crash of the
 * process; whether it survives one of the machine at once, its kind says (database.h).
 *
 * Thread rule: as database.h says.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/database.h"
#include "policy/base/mem.h"

#define BUSY_MS		3000	/* how long an operator's sqlite3 may hold the lock */
#define CHECK_MS	2000	/* how long a large file is checked at start */
#define CHECK_STEPS	10000	/* of SQLite's machine between two looks at the clock */

static const char title[16] = "SQLite format 3";

static const char settings[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA cache_size = -2000;"
    "PRAGMA journal_size_limit = 16777216;"
    "PRAGMA trusted_schema = OFF;"
    "PRAGMA cell_size_check = ON;";

/* --- use --- */

/* database_error - what went wrong last */
const char *
database_error(struct database *db, TALLOC_CTX *ctx)
{
	int code = sqlite3_errcode(db->db);
	bool of_system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN;
	int number = sqlite3_system_errno(db->db);

	if (db->moved)
		return mem_printf(
		    ctx, "%s: the file was moved or removed; restart the daemon", db->path);
	return mem_printf(ctx, "%s: %s%s%s", db->path != NULL ? db->path : db->kind->name,
	    sqlite3_errmsg(db->db), of_system ? ": " : "", of_system ? strerror(number) : "");
}

/* database_is_full - did it go wrong because the disk is full? */
bool
database_is_full(struct database *db)
{
	int number = sqlite3_system_errno(db->db);

	return sqlite3_errcode(db->db) == SQLITE_FULL ||
	    (sqlite3_errcode(db->db) == SQLITE_IOERR && (number == ENOSPC || number == EDQUOT));
}

/* database_statement - a statement, prepared at its first use */
sqlite3_stmt *
database_statement(struct database *db, size_t which, const char *sql)
{
	if (db->prepared[which] == NULL &&
	    sqlite3_prepare_v3(db->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &db->prepared[which],
		NULL) != SQLITE_OK)
		return NULL;
	return db->prepared[which];
}

/* database_run - run a statement that has no rows */
int
database_run(sqlite3_stmt *statement)
{
	int code;

	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		;
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return code == SQLITE_DONE ? 0 : -1;
}

/* database_text - bind a text */
void
database_text(sqlite3_stmt *statement, int i, const char *text)
{
	(void)sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC);
}

const char *
database_column(sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	return text != NULL ? text : "";
}

/* database_begin - begin to write */
int
database_begin(struct database *db)
{
	int moved = 0;

	(void)sqlite3_file_control(db->db, NULL, SQLITE_FCNTL_HAS_MOVED, &moved);
	db->moved = moved != 0 && db->path != NULL;
	if (db->moved)
		return -1;
	return sqlite3_exec(db->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

/* database_commit - what was written counts from now on */
int
database_commit(struct database *db)
{
	return sqlite3_exec(db->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

/* database_rollback - what was written is forgotten; SQLite may have done so by itself */
void
database_rollback(struct database *db)
{
	if (sqlite3_get_autocommit(db->db) == 0)
		(void)sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
}

/* --- opening --- */

static int
database_destroy(struct database *db)
{
	for (size_t i = 0; i < DATABASE_STATEMENTS; i++)
		(void)sqlite3_finalize(db->prepared[i]);
	(void)sqlite3_close(db->db);
	return 0;
}

/* refuse - the error for a file that must not be used */
static int
refuse(TALLOC_CTX *ctx, const struct database_kind *kind, const char *path, const char *what,
    const char **error_r)
{
	*error_r = mem_printf(ctx, "%s in %s %s; move the file away to start %s", kind->name, path, what,
	    kind->without);
	return -1;
}

/* database_check_owner - is this open file one that we alone may write? */
static int
database_check_owner(TALLOC_CTX *ctx, const struct database_kind *kind, const char *path,
    const struct stat *st, const char **error_r)
{
	if (!S_ISREG(st->st_mode))
		return refuse(ctx, kind, path, "are not a regular file", error_r);
	if (st->st_uid != geteuid()) {
		*error_r = mem_printf(ctx,
		    "%s in %s belong to uid %lu, but the daemon runs as uid %lu: change the owner of the file",
		    kind->name, path, (unsigned long)st->st_uid, (unsigned long)geteuid());
		return -1;
	}
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		*error_r = mem_printf(ctx,
		    "%s in %s can be written by other users: chmod go-w %s", kind->name,
		    path, path);
		return -1;
	}
	return 0;
}

/* check_title - is this open file empty, or a database? */
static int
check_title(TALLOC_CTX *ctx, const struct database_kind *kind, const char *path, int fd, off_t size,
    const char **error_r)
{
	char found[sizeof(title)] = "";

	if (size == 0 || (pread(fd, found, sizeof(found), 0) == (ssize_t)sizeof(found) &&
	    memcmp(found, title, sizeof(title)) == 0))
		return 0;
	return refuse(ctx, kind, path, "were not written by countersign", error_r);
}

/* check_file - is this file ours to use? It is made if it is not there. */
static int
check_file(TALLOC_CTX *ctx, const struct database_kind *kind, const char *path,
    const char **error_r)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
	    S_IRUSR | S_IWUSR);
	struct stat st;
	int result = -1;

	if (fd < 0 && errno == ELOOP)
		return refuse(ctx, kind, path, "are a symbolic link", error_r);
	if (fd < 0 || fstat(fd, &st) != 0)
		*error_r = mem_printf(ctx, "cannot open %s in %s: %s", kind->name, path, strerror(errno));
	else if (database_check_owner(ctx, kind, path, &st, error_r) == 0)
		result = check_title(ctx, kind, path, fd, st.st_size, error_r);
	if (fd >= 0)
		(void)close(fd);
	return result;
}

/* database_number_of - the one number that a query answers; -1: an error */
static int64_t
database_number_of(struct database *db, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int64_t number = -1;

	if (sqlite3_prepare_v2(db->db, sql, -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return number;
}

/* database_is_late - SQLite asks now and then; non-zero breaks the check off */
static int
database_is_late(void *arg)
{
	return clock_ms() >= *(const int64_t *)arg;
}

/* is_damaged - as far as that can be determined in CHECK_MS */
static bool
is_damaged(struct database *db)
{
	int64_t until = clock_ms() + CHECK_MS;
	sqlite3_stmt *statement = NULL;
	bool damaged;
	int code;

	sqlite3_progress_handler(db->db, CHECK_STEPS, database_is_late, &until);
	code = sqlite3_prepare_v2(db->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	damaged = code == SQLITE_ROW ?
	    strcmp(database_column(statement, 0), "ok") != 0 :
	    code != SQLITE_INTERRUPT;
	(void)sqlite3_finalize(statement);
	sqlite3_progress_handler(db->db, 0, NULL, NULL);
	return damaged;
}

/* make_tables - in a transaction that stays open */
static int
make_tables(TALLOC_CTX *ctx, const struct database_kind *kind, struct database *db,
    const char **error_r)
{
	char *marks = mem_printf(ctx, "PRAGMA application_id = %d; PRAGMA user_version = %d",
	    kind->id, kind->version);

	if (database_begin(db) == 0 &&
	    sqlite3_exec(db->db, kind->schema, NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db->db, marks, NULL, NULL, NULL) == SQLITE_OK) {
		talloc_free(marks);
		return 0;
	}
	*error_r = mem_printf(ctx, "cannot make %s: %s", kind->name, database_error(db, ctx));
	return -1;
}

/* bring_up_to_date - tables of an earlier version get what they lack; all of it or nothing */
static int
bring_up_to_date(TALLOC_CTX *ctx, const struct database_kind *kind, struct database *db,
    int64_t version, const char **error_r)
{
	char *mark = mem_printf(NULL, "PRAGMA user_version = %d", kind->version);
	int code = database_begin(db) == 0 ? SQLITE_OK : SQLITE_ERROR;

	for (; code == SQLITE_OK && version < kind->version; version++)
		code = sqlite3_exec(db->db, kind->steps[version - 1], NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db->db, mark, NULL, NULL, NULL);
	talloc_free(mark);
	if (code == SQLITE_OK && database_commit(db) == 0)
		return 0;
	*error_r = mem_printf(ctx, "cannot bring %s up to date: %s", kind->name,
	    database_error(db, ctx));
	database_rollback(db);
	return -1;
}

/* check_tables - are the tables ours? They are made if there are none. */
static int
check_tables(TALLOC_CTX *ctx, const struct database_kind *kind, struct database *db, bool *new_r,
    const char **error_r)
{
	int64_t tables = database_number_of(db, "SELECT count(*) FROM sqlite_master");
	int64_t id = database_number_of(db, "PRAGMA application_id");
	int64_t version = database_number_of(db, "PRAGMA user_version");
	int code = sqlite3_errcode(db->db);

	if (tables < 0 || id < 0 || version < 0) {
		if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
			return refuse(ctx, kind, db->path, "are damaged", error_r);
		*error_r = mem_printf(ctx, "cannot read %s: %s", kind->name, database_error(db, ctx));
		return -1;
	}
	*new_r = tables == 0 && id == 0 && version == 0;
	if (*new_r)
		return make_tables(ctx, kind, db, error_r);
	if (id != kind->id)
		return refuse(ctx, kind, db->path, "were not written by countersign", error_r);
	if (version > kind->version || version < 1)
		return refuse(ctx, kind, db->path, "were written by a newer version of countersign",
		    error_r);
	if (is_damaged(db))
		return refuse(ctx, kind, db->path, "are damaged", error_r);
	return version == kind->version ? 0 :
	    bring_up_to_date(ctx, kind, db, version, error_r);
}

/* connect - open one connection; never NULL */
static struct database *
database_connect_to(TALLOC_CTX *ctx, const struct database_kind *kind, const char *path, int flags,
    const char **error_r)
{
	struct database *db = mem_new(ctx, struct database);

	db->kind = kind;
	db->path = path != NULL ? mem_strdup(db, path) : NULL;
	talloc_set_destructor(db, database_destroy);
	if (sqlite3_open_v2(path != NULL ? path : ":memory:", &db->db,
		flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		*error_r = mem_printf(ctx, "cannot open %s: %s", kind->name, database_error(db, ctx));
	(void)sqlite3_extended_result_codes(db->db, 0);
	(void)sqlite3_busy_timeout(db->db, BUSY_MS);
	return db;
}

/* database_open - open the database of a file */
struct database *
database_open(TALLOC_CTX *ctx, const struct database_kind *kind, const char *path, bool *new_r,
    bool *full_r, const char **error_r)
{
	struct database *db;

	*error_r = NULL;
	*full_r = false;
	if (path != NULL && check_file(ctx, kind, path, error_r) != 0)
		return NULL;
	db = database_connect_to(ctx, kind, path, SQLITE_OPEN_READWRITE, error_r);
	if (*error_r == NULL && path != NULL &&
	    (sqlite3_exec(db->db, settings, NULL, NULL, NULL) != SQLITE_OK ||
		sqlite3_exec(db->db, kind->settings, NULL, NULL, NULL) != SQLITE_OK)) {
		if (sqlite3_errcode(db->db) == SQLITE_CORRUPT ||
		    sqlite3_errcode(db->db) == SQLITE_NOTADB)
			(void)refuse(ctx, kind, path, "are damaged", error_r);
		else
			*error_r = mem_printf(
			    ctx, "cannot open %s: %s", kind->name, database_error(db, ctx));
	}
	if (*error_r == NULL && check_tables(ctx, kind, db, new_r, error_r) == 0)
		return db;
	*full_r = database_is_full(db);
	talloc_free(db);
	return NULL;
}

/* database_open_reader - a second connection, for reading */
struct database *
database_open_reader(TALLOC_CTX *ctx, const struct database *first, const char **error_r)
{
	struct database *db;

	*error_r = NULL;
	db = database_connect_to(ctx, first->kind, first->path, SQLITE_OPEN_READONLY, error_r);
	if (*error_r == NULL)
		return db;
	talloc_free(db);
	return NULL;
}
