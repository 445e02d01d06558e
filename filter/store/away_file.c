/*
 * away_file.c - what must not be forgotten while Redis is away, in a file
 *
 * A message that is decided here waits for its transaction, as its charge must be kept before the
 * MTA learns that it passes. So transactions are not synced: writing to the kernel is enough to
 * survive a crash of ours, and a sync for each message would make mail as slow as the disk. Another
 * thread syncs, through a connection of its own (a checkpoint), while messages go on.
 *
 * Thread rule: `writer` and `failing` belong to the thread that away.c lets in; `syncer` to the
 * keeper; `dirty` is atomic.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "filter/base/database.h"
#include "filter/store/away_file.h"
#include "filter/store/plan_text.h"
#include "policy/base/mem.h"

struct away_file {
	struct database *writer;
	struct database *syncer;
	char *path;
	TALLOC_CTX *scratch;	/* of one error text at a time */
	int lock_fd;
	store_log_fn *log;
	void *log_arg;
	bool in_scope;		/* between away_file_begin() and its end, and nothing failed */
	bool in_transaction;	/* something was written since */
	bool failing;		/* the last transaction failed, which was logged */
	atomic_bool dirty;	/* something was written since the last sync */
};

static const char away_schema[] =
    "CREATE TABLE charges ("
    " number INTEGER PRIMARY KEY,"
    " at INTEGER NOT NULL,"
    " ambiguous_at INTEGER NOT NULL,"
    " annul INTEGER NOT NULL,"
    " plan TEXT NOT NULL);"
    "CREATE TABLE subjects ("
    " key TEXT PRIMARY KEY,"
    " lines TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE blocks ("
    " account BLOB PRIMARY KEY,"
    " since INTEGER NOT NULL,"
    " until INTEGER NOT NULL,"
    " by TEXT NOT NULL,"
    " reason TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE changes ("
    " number INTEGER PRIMARY KEY,"
    " op INTEGER NOT NULL,"
    " stamp INTEGER NOT NULL,"
    " until INTEGER NOT NULL,"
    " field TEXT,"
    " max INTEGER NOT NULL,"
    " by TEXT,"
    " reason TEXT,"
    " since INTEGER NOT NULL,"
    " plan TEXT NOT NULL);";

/* A checkpoint by the writer would sync while a message waits: the syncer makes them. */
static const struct database_kind away_kind = {
	.name = "the charges for Redis",
	.without = "without them (they then never reach Redis)",
	.id = 0x43534157,	/* "CSAW" */
	.version = 1,
	.schema = away_schema,
	.settings = "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;",
};

/* Statements of the writer that are kept prepared. */
enum away_statement {
	ADD_CHARGE,
	MARK_CHARGE,
	REMOVE_CHARGE,
	PUT_SUBJECT,
	REMOVE_SUBJECT,
	PUT_BLOCK,
	REMOVE_BLOCK,
	ADD_CHANGE,
	REMOVE_CHANGE,
};

static const char *const away_statements[] = {
	[ADD_CHARGE] = "INSERT INTO charges VALUES (?1, ?2, ?3, ?4, ?5)",
	[MARK_CHARGE] = "UPDATE charges SET ambiguous_at = ?2 WHERE number = ?1",
	[REMOVE_CHARGE] = "DELETE FROM charges WHERE number = ?1",
	[PUT_SUBJECT] = "INSERT OR REPLACE INTO subjects VALUES (?1, ?2)",
	[REMOVE_SUBJECT] = "DELETE FROM subjects WHERE key = ?1",
	[PUT_BLOCK] = "INSERT OR REPLACE INTO blocks VALUES (?1, ?2, ?3, ?4, ?5)",
	[REMOVE_BLOCK] = "DELETE FROM blocks WHERE account = ?1",
	[ADD_CHANGE] = "INSERT INTO changes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[REMOVE_CHANGE] = "DELETE FROM changes WHERE number = ?1",
};

/* --- opening --- */

/* away_file_close - talloc destructor; the database is a child */
static int
away_file_close(struct away_file *file)
{
	if (file->lock_fd >= 0)
		close(file->lock_fd);
	return 0;
}

/* away_file_lock - be the only process that uses the file */
static int
away_file_lock(TALLOC_CTX *ctx, struct away_file *file, const char **error_r)
{
	const char *name = mem_printf(file, "%s.lock", file->path);

	file->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file->lock_fd < 0)
		*error_r = mem_printf(ctx,
		    "cannot write %s: %s; its directory must be one in which the daemon may write",
		    name, strerror(errno));
	else if (flock(file->lock_fd, LOCK_EX | LOCK_NB) < 0)
		*error_r = mem_printf(ctx,
		    "%s in %s are in use by another countersign (%s is locked): give each an away_file "
		    "of its own", away_kind.name, file->path, name);
	else
		return 0;
	return -1;
}

/* open_databases - both connections; -1 with an error */
static int
open_databases(TALLOC_CTX *ctx, struct away_file *file, const char **error_r)
{
	bool is_new = false, full;

	file->writer = talloc_steal(
	    file, database_open(ctx, &away_kind, file->path, &is_new, &full, error_r));
	if (file->writer != NULL && is_new && database_commit(file->writer) != 0) {
		*error_r = database_error(file->writer, ctx);
		return -1;
	}
	if (file->writer != NULL)
		file->syncer = talloc_steal(
		    file, database_open(ctx, &away_kind, file->path, &is_new, &full, error_r));
	return file->syncer != NULL ? 0 : -1;
}

/* away_file_open - open or make the file */
struct away_file *
away_file_open(TALLOC_CTX *ctx, const char *path, store_log_fn *log, void *log_arg,
    const char **error_r)
{
	struct away_file *file = mem_new(ctx, struct away_file);

	file->path = mem_strdup(file, path);
	file->scratch = mem_check(talloc_new(file));
	file->lock_fd = -1;
	file->log = log;
	file->log_arg = log_arg;
	atomic_init(&file->dirty, false);
	talloc_set_destructor(file, away_file_close);
	if (away_file_lock(ctx, file, error_r) == 0 && open_databases(ctx, file, error_r) == 0)
		return file;
	talloc_free(file);
	return NULL;
}

/* --- reading --- */

static bool
read_subject_row(sqlite3_stmt *row, const struct away_file_reader *reader)
{
	char *lines = mem_strdup(NULL, database_column(row, 0));
	bool good = reader->subject(reader->arg, lines);

	talloc_free(lines);
	return good;
}

static bool
read_charge_row(sqlite3_stmt *row, const struct away_file_reader *reader)
{
	struct quota_plan *plan = plan_text_read(NULL, database_column(row, 4));
	const struct away_charge charge = { .number = sqlite3_column_int64(row, 0),
		.at = sqlite3_column_int64(row, 1),
		.ambiguous_at = sqlite3_column_int64(row, 2),
		.annul = sqlite3_column_int(row, 3) != 0,
		.plan = plan };
	bool good = plan != NULL && reader->charge(reader->arg, &charge);

	talloc_free(plan);
	return good;
}

static bool
read_block_row(sqlite3_stmt *row, const struct away_file_reader *reader)
{
	const struct store_block block = { .account = database_column(row, 0),
		.since = sqlite3_column_int64(row, 1),
		.until = sqlite3_column_int64(row, 2),
		.by = database_column(row, 3),
		.reason = database_column(row, 4) };

	return reader->block(reader->arg, &block);
}

static bool
read_change_row(sqlite3_stmt *row, const struct away_file_reader *reader)
{
	struct quota_plan *plan = plan_text_read(NULL, database_column(row, 9));
	int op = sqlite3_column_int(row, 1);
	const struct away_change change = { .number = sqlite3_column_int64(row, 0),
		.op = (enum quota_op)op,
		.stamp = sqlite3_column_int64(row, 2),
		.until = sqlite3_column_int64(row, 3),
		.field = database_column(row, 4),
		.max = (uint64_t)sqlite3_column_int64(row, 5),
		.by = database_column(row, 6),
		.reason = database_column(row, 7),
		.since = sqlite3_column_int64(row, 8),
		.plan = plan };
	bool good = plan != NULL && op >= QUOTA_OP_BLOCK && op <= QUOTA_OP_UNRAISE &&
	    reader->change(reader->arg, &change);

	talloc_free(plan);
	return good;
}

/* read_rows - each row of a query; false: one was not well-formed, or the file cannot be read */
static bool
read_rows(struct away_file *file, const char *sql, const struct away_file_reader *reader,
    bool (*read)(sqlite3_stmt *, const struct away_file_reader *))
{
	sqlite3_stmt *row = NULL;
	bool good = sqlite3_prepare_v2(file->writer->db, sql, -1, &row, NULL) == SQLITE_OK;
	int code = SQLITE_DONE;

	while (good && (code = sqlite3_step(row)) == SQLITE_ROW)
		good = read(row, reader);
	(void)sqlite3_finalize(row);
	return good && code == SQLITE_DONE;
}

/* away_file_read - all of it */
int
away_file_read(struct away_file *file, TALLOC_CTX *ctx, const struct away_file_reader *reader,
    const char **error_r)
{
	if (file == NULL ||
	    (read_rows(file, "SELECT lines FROM subjects", reader, read_subject_row) &&
		read_rows(file, "SELECT * FROM charges ORDER BY number", reader, read_charge_row) &&
		read_rows(file, "SELECT * FROM blocks", reader, read_block_row) &&
		read_rows(file, "SELECT * FROM changes ORDER BY number", reader, read_change_row)))
		return 0;
	*error_r = mem_printf(ctx, "%s in %s are damaged; move the file away to start %s",
	    away_kind.name, file->path, away_kind.without);
	return -1;
}

/* --- writing --- */

/* away_file_say - hand a line to the log and free it */
static void
away_file_say(const struct away_file *file, enum store_log_level level, char *text)
{
	if (file->log != NULL)
		file->log(file->log_arg, level, text);
	talloc_free(text);
}

/* away_file_give_up - the transaction failed */
static void
away_file_give_up(struct away_file *file)
{
	char *text = mem_printf(NULL,
	    "what passes while Redis is away cannot be kept on disk, a restart would forget it: %s",
	    database_error(file->writer, file->scratch));

	talloc_free_children(file->scratch);
	database_rollback(file->writer);
	file->in_scope = file->in_transaction = false;
	if (file->failing)
		talloc_free(text);
	else
		away_file_say(file, STORE_LOG_ERROR, text);
	file->failing = true;
}

/* away_file_begin - what is done until away_file_end() is one */
void
away_file_begin(struct away_file *file)
{
	if (file != NULL)
		file->in_scope = true;
}

/* away_file_end - it is kept */
void
away_file_end(struct away_file *file)
{
	if (file == NULL)
		return;
	if (file->in_transaction && database_commit(file->writer) != 0)
		away_file_give_up(file);
	file->in_scope = false;
	if (!file->in_transaction)
		return;
	file->in_transaction = false;
	atomic_store(&file->dirty, true);
	if (file->failing)
		away_file_say(file, STORE_LOG_INFO,
		    mem_printf(NULL, "what passes while Redis is away is kept in %s again",
			file->path));
	file->failing = false;
}

/* away_file_ready - whether something may be written: the transaction begins with the first */
static bool
away_file_ready(struct away_file *file)
{
	if (file == NULL || !file->in_scope)
		return false;
	if (!file->in_transaction && database_begin(file->writer) != 0)
		away_file_give_up(file);
	else
		file->in_transaction = true;
	return file->in_transaction;
}

/* away_file_prepare - a statement within a transaction; NULL: there is none that works */
static sqlite3_stmt *
away_file_prepare(struct away_file *file, enum away_statement which)
{
	sqlite3_stmt *statement;

	if (!away_file_ready(file))
		return NULL;
	statement = database_statement(file->writer, which, away_statements[which]);
	if (statement == NULL)
		away_file_give_up(file);
	return statement;
}

/* away_file_run - run it */
static void
away_file_run(struct away_file *file, sqlite3_stmt *statement)
{
	if (database_run(statement) != 0)
		away_file_give_up(file);
}

/* bind_plan - a plan as text, which the statement frees */
static void
bind_plan(sqlite3_stmt *statement, int i, const struct quota_plan *plan)
{
	char *text = plan_text_write(NULL, plan);

	(void)sqlite3_bind_text(statement, i, text, -1, SQLITE_TRANSIENT);
	talloc_free(text);
}

void
away_file_add_charge(struct away_file *file, const struct away_charge *charge)
{
	sqlite3_stmt *statement = away_file_prepare(file, ADD_CHARGE);

	if (statement == NULL)
		return;
	(void)sqlite3_bind_int64(statement, 1, charge->number);
	(void)sqlite3_bind_int64(statement, 2, charge->at);
	(void)sqlite3_bind_int64(statement, 3, charge->ambiguous_at);
	(void)sqlite3_bind_int(statement, 4, charge->annul);
	bind_plan(statement, 5, charge->plan);
	away_file_run(file, statement);
}

void
away_file_mark_charge(struct away_file *file, int64_t number, int64_t ambiguous_at)
{
	sqlite3_stmt *statement = away_file_prepare(file, MARK_CHARGE);

	if (statement == NULL)
		return;
	(void)sqlite3_bind_int64(statement, 1, number);
	(void)sqlite3_bind_int64(statement, 2, ambiguous_at);
	away_file_run(file, statement);
}

/* remove_number - run a deletion by number */
static void
remove_number(struct away_file *file, enum away_statement which, int64_t number)
{
	sqlite3_stmt *statement = away_file_prepare(file, which);

	if (statement == NULL)
		return;
	(void)sqlite3_bind_int64(statement, 1, number);
	away_file_run(file, statement);
}

void
away_file_remove_charge(struct away_file *file, int64_t number)
{
	remove_number(file, REMOVE_CHARGE, number);
}

void
away_file_put_subject(struct away_file *file, const char *key, const char *lines)
{
	sqlite3_stmt *statement =
	    away_file_prepare(file, lines != NULL ? PUT_SUBJECT : REMOVE_SUBJECT);

	if (statement == NULL)
		return;
	database_text(statement, 1, key);
	if (lines != NULL)
		database_text(statement, 2, lines);
	away_file_run(file, statement);
}

/* away_file_clear - forget all rows of a table */
static void
away_file_clear(struct away_file *file, const char *sql)
{
	if (away_file_ready(file) &&
	    sqlite3_exec(file->writer->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		away_file_give_up(file);
}

void
away_file_clear_subjects(struct away_file *file)
{
	away_file_clear(file, "DELETE FROM subjects");
}

void
away_file_clear_blocks(struct away_file *file)
{
	away_file_clear(file, "DELETE FROM blocks");
}

/* bind_name - a name, which may hold any octets */
static void
bind_name(sqlite3_stmt *statement, int i, const char *name)
{
	(void)sqlite3_bind_blob(statement, i, name, (int)strlen(name), SQLITE_STATIC);
}

void
away_file_put_block(struct away_file *file, const struct store_block *block)
{
	sqlite3_stmt *statement = away_file_prepare(file, PUT_BLOCK);

	if (statement == NULL)
		return;
	bind_name(statement, 1, block->account);
	(void)sqlite3_bind_int64(statement, 2, block->since);
	(void)sqlite3_bind_int64(statement, 3, block->until);
	database_text(statement, 4, block->by != NULL ? block->by : "");
	database_text(statement, 5, block->reason != NULL ? block->reason : "");
	away_file_run(file, statement);
}

void
away_file_remove_block(struct away_file *file, const char *account)
{
	sqlite3_stmt *statement = away_file_prepare(file, REMOVE_BLOCK);

	if (statement == NULL)
		return;
	bind_name(statement, 1, account);
	away_file_run(file, statement);
}

void
away_file_add_change(struct away_file *file, const struct away_change *change)
{
	sqlite3_stmt *statement = away_file_prepare(file, ADD_CHANGE);

	if (statement == NULL)
		return;
	(void)sqlite3_bind_int64(statement, 1, change->number);
	(void)sqlite3_bind_int(statement, 2, (int)change->op);
	(void)sqlite3_bind_int64(statement, 3, change->stamp);
	(void)sqlite3_bind_int64(statement, 4, change->until);
	database_text(statement, 5, change->field);
	(void)sqlite3_bind_int64(statement, 6, (sqlite3_int64)change->max);
	database_text(statement, 7, change->by);
	database_text(statement, 8, change->reason);
	(void)sqlite3_bind_int64(statement, 9, change->since);
	bind_plan(statement, 10, change->plan);
	away_file_run(file, statement);
}

void
away_file_remove_change(struct away_file *file, int64_t number)
{
	remove_number(file, REMOVE_CHANGE, number);
}

/* away_file_sync - bring it to the disk */
void
away_file_sync(struct away_file *file)
{
	if (file == NULL || !atomic_exchange(&file->dirty, false))
		return;
	/* busy or broken: what follows is synced with the next; the writer says what is wrong */
	if (sqlite3_exec(file->syncer->db, "PRAGMA wal_checkpoint(PASSIVE)", NULL, NULL, NULL) !=
	    SQLITE_OK)
		atomic_store(&file->dirty, true);
}
