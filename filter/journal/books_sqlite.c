/*
 * books_sqlite.c - the books of a host without Redis: a SQLite database
 *
 * The journal's thread writes batches through one connection, operators' questions are answered
 * through another, so that neither waits for the other. A database in memory has one connection for
 * both. Bounds are kept by deleting what is oldest with each batch.
 *
 * A full disk must not keep the daemon from starting: then there is no connection, and each batch
 * tries to open the file again.
 *
 * Thread rule: write_lock is held while the writer is used, and guards all members that change;
 * *read_lock is held while the reader is used, and is taken after write_lock to set it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/database.h"
#include "filter/base/log.h"
#include "filter/journal/books_import.h"
#include "filter/journal/books_kind.h"
#include "filter/journal/books_sqlite.h"
#include "policy/base/mem.h"

#define SOME	"1000"	/* old decisions deleted with a batch at most */

/* countersign(8) documents them */
static const char schema[] =
    "CREATE TABLE decisions ("
    " id INTEGER PRIMARY KEY,"
    " at INTEGER NOT NULL,"		/* UNIX time in ms */
    " account TEXT,"
    " queue_id TEXT,"
    " passed INTEGER NOT NULL,"
    " text TEXT NOT NULL);"		/* JSON */
    "CREATE INDEX decisions_account ON decisions (account) WHERE account IS NOT NULL;"
    "CREATE INDEX decisions_queue_id ON decisions (queue_id) WHERE queue_id IS NOT NULL;"
    "CREATE TABLE sums ("
    " day INTEGER NOT NULL,"		/* 20261122, UTC */
    " account TEXT NOT NULL,"
    " messages INTEGER NOT NULL,"
    " recipients INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL,"
    " connections INTEGER NOT NULL,"
    " peak_messages INTEGER NOT NULL,"	/* of the fullest hour, each for itself */
    " peak_recipients INTEGER NOT NULL,"
    " peak_bytes INTEGER NOT NULL,"	/* from here on unused since version 3 */
    " hour INTEGER NOT NULL,"
    " hour_messages INTEGER NOT NULL,"
    " hour_recipients INTEGER NOT NULL,"
    " hour_bytes INTEGER NOT NULL,"
    " PRIMARY KEY (day, account)) WITHOUT ROWID;"
    "CREATE TABLE refusals ("
    " day INTEGER NOT NULL,"
    " account TEXT NOT NULL,"
    " reason TEXT NOT NULL,"		/* "over"; "would-over": mode watch let it pass */
    " n INTEGER NOT NULL,"
    " PRIMARY KEY (day, account, reason)) WITHOUT ROWID;"
    "CREATE TABLE events ("
    " id INTEGER PRIMARY KEY,"
    " at INTEGER NOT NULL,"
    " kind TEXT NOT NULL,"
    " key TEXT NOT NULL,"		/* what it is about, to raise it once */
    " text TEXT NOT NULL);"		/* JSON */
    "CREATE INDEX events_key ON events (kind, key, at);"
    BOOKS_SQLITE_DMARC_SCHEMA
    BOOKS_SQLITE_HOURS_SCHEMA
    BOOKS_SQLITE_SIGNED_SCHEMA;

static const char *const steps[] = { BOOKS_SQLITE_DMARC_SCHEMA, BOOKS_SQLITE_HOURS_SCHEMA,
	BOOKS_SQLITE_SIGNED_SCHEMA };

/* Every transaction is synced: that is one sync a second, off the message's path. */
static const struct database_kind books_file = {
	.name = "the books",
	.without = "with empty books",
	.id = 0x4353424b,	/* "CSBK" */
	.version = 4,
	.schema = schema,
	.steps = steps,
	.settings = "PRAGMA synchronous = FULL;",
};

static const char *const statements[] = {
	[ADD_DECISION] = "INSERT INTO decisions (at, account, queue_id, passed, text)"
			 " VALUES (?1, ?2, ?3, ?4, ?5)",
	[DELETE_MANY] = "DELETE FROM decisions WHERE id <= (SELECT max(id) FROM decisions) - ?1",
	[DELETE_OLD] = "DELETE FROM decisions WHERE at < ?1 AND id IN"
		       " (SELECT id FROM decisions ORDER BY id LIMIT " SOME ")",
	[PUT_SUM] = "INSERT OR REPLACE INTO sums VALUES"
		    " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, 0, 0)",
	[ADD_REFUSAL] = "INSERT INTO refusals VALUES (?1, ?2, ?3, ?4)"
			" ON CONFLICT (day, account, reason) DO UPDATE SET n = n + ?4",
	[ADD_EVENT] = "INSERT INTO events (at, kind, key, text) VALUES (?1, ?2, ?3, ?4)",
	[DELETE_EVENTS] = "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?1",
	[FIND_EVENT] = "SELECT 1 FROM events WHERE kind = ?1 AND key = ?2 AND at > ?3 LIMIT 1",
};

/* prepared - a statement of the writer; NULL on error */
static sqlite3_stmt *
prepared(struct sqlite_books *books, enum statement which)
{
	return database_statement(books->writer, which, statements[which]);
}

static int open_files(struct sqlite_books *);

int
sqlite_books_begin(struct sqlite_books *books)
{
	(void)pthread_mutex_lock(&books->write_lock);
	if (books->writer == NULL && open_files(books) != 0)
		return -1;
	return database_begin(books->writer);
}

int
sqlite_books_end(struct sqlite_books *books, TALLOC_CTX *ctx, int result, const char **error_r)
{
	if (result == 0)
		result = database_commit(books->writer);
	if (result != 0) {
		*error_r = books->writer != NULL ? database_error(books->writer, ctx) :
						   mem_strdup(ctx, books->problem);
		if (books->writer != NULL)
			database_rollback(books->writer);
		books->day = 0;
		books->dmarc_day = 0;
	}
	(void)pthread_mutex_unlock(&books->write_lock);
	return result;
}

struct database *
sqlite_books_reader(struct sqlite_books *books, TALLOC_CTX *ctx, const char **error_r)
{
	(void)pthread_mutex_lock(books->read_lock);
	if (books->reader != NULL)
		return books->reader;
	(void)pthread_mutex_unlock(books->read_lock);
	*error_r = mem_printf(ctx, "%s is not open; see the log for the cause", books->path);
	return NULL;
}

/* --- decisions --- */

/* add_decision - one row */
static int
add_decision(struct sqlite_books *books, const struct books_decision *item)
{
	sqlite3_stmt *statement = prepared(books, ADD_DECISION);

	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int64(statement, 1, item->at_ms);
	database_text(statement, 2, item->account);
	database_text(statement, 3, item->queue_id);
	(void)sqlite3_bind_int(statement, 4, item->passed);
	database_text(statement, 5, item->text);
	return database_run(statement);
}

/* delete_bound - as sqlite_books_delete() */
static int
delete_bound(struct sqlite_books *books, enum statement which, int64_t number)
{
	sqlite3_stmt *statement = prepared(books, which);

	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int64(statement, 1, number);
	return database_run(statement);
}

/* oldest_of - decisions before it are not shown any more */
static int64_t
oldest_of(const struct sqlite_books *books)
{
	return clock_wall_ms() - books->days * CLOCK_DAY_MS;
}

static int
sqlite_books_add_decisions(void *impl, TALLOC_CTX *ctx, const struct books_decision *items,
    size_t n, const char **error_r)
{
	struct sqlite_books *books = impl;
	int result = sqlite_books_begin(books);

	for (size_t i = 0; i < n && result == 0; i++)
		result = add_decision(books, &items[i]);
	if (result == 0)
		result = delete_bound(books, DELETE_MANY, (int64_t)books->decisions);
	if (result == 0)
		result = delete_bound(books, DELETE_OLD, oldest_of(books));
	return sqlite_books_end(books, ctx, result, error_r);
}

/* rows_of - the first column of each row, read as JSON; NULL and *error_r; statement is used up */
static json_t *
rows_of(struct database *db, TALLOC_CTX *ctx, sqlite3_stmt *statement, const char **error_r)
{
	json_t *answer = json_array();
	int code = SQLITE_ERROR;

	while (statement != NULL && (code = sqlite3_step(statement)) == SQLITE_ROW)
		json_array_append_new(answer,
		    json_loads(database_column(statement, 0), 0, NULL));
	if (code != SQLITE_DONE) {
		*error_r = database_error(db, ctx);
		json_decref(answer);
		answer = NULL;
	}
	(void)sqlite3_finalize(statement);
	return answer;
}

static json_t *
sqlite_books_find(
    void *impl, TALLOC_CTX *ctx, const struct books_query *query, const char **error_r)
{
	struct sqlite_books *books = impl;
	struct database *db = sqlite_books_reader(books, ctx, error_r);
	const char *sql = mem_printf(ctx,
	    "SELECT text FROM decisions WHERE at >= ?1%s%s%s ORDER BY id DESC LIMIT ?2",
	    query->account != NULL ? " AND account = ?3" : "",
	    query->queue_id != NULL ? " AND queue_id = ?4" : "", query->passed ? " AND passed" : "");
	sqlite3_stmt *statement = NULL;
	json_t *answer;

	if (db == NULL)
		return NULL;
	if (sqlite3_prepare_v2(db->db, sql, -1, &statement, NULL) == SQLITE_OK) {
		(void)sqlite3_bind_int64(statement, 1, oldest_of(books));
		(void)sqlite3_bind_int64(statement, 2, (int64_t)query->n);
		/* the numbers of those that are not in it are no error of anybody's */
		if (query->account != NULL)
			database_text(statement, 3, query->account);
		if (query->queue_id != NULL)
			database_text(statement, 4, query->queue_id);
	}
	answer = rows_of(db, ctx, statement, error_r);
	(void)pthread_mutex_unlock(books->read_lock);
	return answer;
}

int
sqlite_books_add_refusal(
    struct sqlite_books *books, int day, const char *account, const char *word, uint32_t n)
{
	sqlite3_stmt *statement;

	if (n == 0)
		return 0;
	statement = prepared(books, ADD_REFUSAL);
	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int(statement, 1, day);
	database_text(statement, 2, account);
	database_text(statement, 3, word);
	(void)sqlite3_bind_int64(statement, 4, n);
	return database_run(statement);
}

int
sqlite_books_add_refusals(struct sqlite_books *books, int day, const char *account,
    const uint32_t *counts, bool would)
{
	for (int reason = 0; reason < REASON_COUNT; reason++) {
		char word[DAYBOOK_WORD_MAX];

		if (counts[reason] > 0 &&
		    sqlite_books_add_refusal(books, day, account,
			daybook_word(word, (enum reason)reason, would), counts[reason]) != 0)
			return -1;
	}
	return 0;
}

/* --- events --- */

static bool
sqlite_books_event_is_news(
    void *impl, TALLOC_CTX *ctx, const struct books_event *event, int64_t quiet_ms)
{
	struct sqlite_books *books = impl;
	sqlite3_stmt *statement;
	bool told = false;

	(void)ctx;
	(void)pthread_mutex_lock(&books->write_lock);
	statement = books->writer != NULL ? prepared(books, FIND_EVENT) : NULL;
	if (statement != NULL) {
		database_text(statement, 1, event->kind);
		database_text(statement, 2, event->key);
		(void)sqlite3_bind_int64(statement, 3, event->at_ms - quiet_ms);
		told = sqlite3_step(statement) == SQLITE_ROW;
		(void)database_run(statement);
	}
	(void)pthread_mutex_unlock(&books->write_lock);
	return !told;
}

/* sqlite_books_add_event - one row */
static int
sqlite_books_add_event(struct sqlite_books *books, const struct books_event *event)
{
	sqlite3_stmt *statement = prepared(books, ADD_EVENT);

	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int64(statement, 1, event->at_ms);
	database_text(statement, 2, event->kind);
	database_text(statement, 3, event->key);
	database_text(statement, 4, event->text);
	return database_run(statement);
}

static size_t
sqlite_books_add_events(void *impl, TALLOC_CTX *ctx, const struct books_event *events, size_t n,
    const char **error_r)
{
	struct sqlite_books *books = impl;
	int result = sqlite_books_begin(books);

	for (size_t i = 0; i < n && result == 0; i++)
		result = sqlite_books_add_event(books, &events[i]);
	if (result == 0)
		result = delete_bound(books, DELETE_EVENTS, BOOKS_EVENTS);
	return sqlite_books_end(books, ctx, result, error_r) == 0 ? n : 0;
}

static json_t *
sqlite_books_last_events(void *impl, TALLOC_CTX *ctx, size_t n, const char **error_r)
{
	struct sqlite_books *books = impl;
	struct database *db = sqlite_books_reader(books, ctx, error_r);
	sqlite3_stmt *statement = NULL;
	json_t *answer;

	if (db == NULL)
		return NULL;
	if (sqlite3_prepare_v2(db->db, "SELECT text FROM events ORDER BY id DESC LIMIT ?1", -1,
		&statement, NULL) == SQLITE_OK)
		(void)sqlite3_bind_int64(statement, 1, (int64_t)n);
	answer = rows_of(db, ctx, statement, error_r);
	(void)pthread_mutex_unlock(books->read_lock);
	return answer;
}

/* --- opening --- */

/* import_decision - of a file of an earlier version */
static int
import_decision(void *arg, const struct books_decision *item)
{
	return add_decision(arg, item);
}

/* import_sums - import the sums of the old daybook */
static int
import_sums(void *arg, int day, const char *account, const struct daybook_row *row)
{
	struct sqlite_books *books = arg;
	sqlite3_stmt *statement = prepared(books, PUT_SUM);

	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int(statement, 1, day);
	database_text(statement, 2, account);
	(void)sqlite3_bind_int64(statement, 3, (int64_t)row->day.messages);
	(void)sqlite3_bind_int64(statement, 4, (int64_t)row->day.recipients);
	(void)sqlite3_bind_int64(statement, 5, (int64_t)row->day.bytes);
	(void)sqlite3_bind_int64(statement, 6, (int64_t)row->connections);
	(void)sqlite3_bind_int64(statement, 7, (int64_t)row->peak_messages);
	(void)sqlite3_bind_int64(statement, 8, (int64_t)row->peak_recipients);
	if (database_run(statement) != 0 ||
	    sqlite_books_add_refusals(books, day, account, row->refused, false) != 0)
		return -1;
	return sqlite_books_add_refusals(books, day, account, row->would, true);
}

/* sqlite_books_fill - new tables are filled with what an earlier version kept; 0 or -1 */
static int
sqlite_books_fill(
    struct sqlite_books *books, TALLOC_CTX *ctx, const char *file, const char **error_r)
{
	const struct books_import import = { books, import_decision, import_sums };

	if (file != NULL && books_import(ctx, file, &import, error_r) != 0) {
		if (*error_r == NULL)
			*error_r = database_error(books->writer, ctx);
		return -1;
	}
	if (database_commit(books->writer) != 0) {
		*error_r = database_error(books->writer, ctx);
		return -1;
	}
	if (file != NULL)
		books_import_done(file);
	return 0;
}

/* open_writer - the file, with what an earlier version kept; NULL, and *full_r, *error_r on ctx */
static struct database *
open_writer(struct sqlite_books *books, TALLOC_CTX *ctx, bool *full_r, const char **error_r)
{
	bool is_new = false;
	struct database *db =
	    database_open(ctx, &books_file, books->path, &is_new, full_r, error_r);

	books->writer = talloc_steal(books, db);
	if (db == NULL || !is_new || sqlite_books_fill(books, ctx, books->file, error_r) == 0)
		return db;
	*full_r = database_is_full(db);
	books->writer = NULL;
	talloc_free(db);
	return NULL;
}

/* try_open - both connections; 0, or -1 and *full_r, *error_r on ctx. With write_lock, or before
 * others know the books. */
static int
try_open(struct sqlite_books *books, TALLOC_CTX *ctx, bool *full_r, const char **error_r)
{
	struct database *reader = NULL;

	if (open_writer(books, ctx, full_r, error_r) == NULL)
		return -1;
	if (books->path == NULL) {
		books->reader = books->writer;
		return 0;
	}
	reader = database_open_reader(ctx, books->writer, error_r);
	if (reader == NULL) {
		talloc_free(books->writer);
		books->writer = NULL;
		return -1;
	}
	(void)pthread_mutex_lock(books->read_lock);
	books->reader = talloc_steal(books, reader);
	(void)pthread_mutex_unlock(books->read_lock);
	return 0;
}

/* open_files - again, if the disk was full at the start; 0, or -1 and books->problem */
static int
open_files(struct sqlite_books *books)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *error = NULL;
	bool full;
	int result = try_open(books, tmp, &full, &error);

	if (result != 0) {
		talloc_free(books->problem);
		books->problem = mem_strdup(books, error);
	}
	talloc_free(tmp);
	return result;
}

static int
sqlite_books_destroy(struct sqlite_books *books)
{
	(void)pthread_mutex_destroy(&books->write_lock);
	(void)pthread_mutex_destroy(&books->reader_lock);
	return 0;
}

static void *
sqlite_books_open(TALLOC_CTX *ctx, const struct books_options *options, const char **error_r)
{
	struct sqlite_books *books = mem_new(ctx, struct sqlite_books);
	const char *file = options->store->file;
	bool full = false;

	(void)pthread_mutex_init(&books->write_lock, NULL);
	(void)pthread_mutex_init(&books->reader_lock, NULL);
	books->read_lock = file != NULL ? &books->reader_lock : &books->write_lock;
	talloc_set_destructor(books, sqlite_books_destroy);
	books->file = file != NULL ? mem_strdup(books, file) : NULL;
	books->path = file != NULL ? mem_printf(books, "%s.books", file) : NULL;
	books->decisions = options->decisions;
	books->days = options->days;
	books->accounts = options->accounts;
	if (try_open(books, ctx, &full, error_r) == 0)
		return books;
	if (full) {
		books->problem = mem_strdup(books, *error_r);
		log_error("books: %s", *error_r);
		return books;
	}
	talloc_free(books);
	return NULL;
}

static const char *
sqlite_books_place(const void *impl)
{
	const struct sqlite_books *books = impl;

	return books->path != NULL ? books->path : "memory";
}

const struct books_kind books_sqlite = {
	.open = sqlite_books_open,
	.place = sqlite_books_place,
	.batch = BOOKS_BATCH_MAX,
	.add_decisions = sqlite_books_add_decisions,
	.find = sqlite_books_find,
	.event_is_news = sqlite_books_event_is_news,
	.add_events = sqlite_books_add_events,
	.last_events = sqlite_books_last_events,
};
