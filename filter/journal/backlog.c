/*
 * backlog.c - what waits for the books, in a file
 *
 * A transaction begins with the first change and ends with backlog_commit(). If one fails, nothing
 * is known of what the file holds: the next one begins with empty tables, and everything has to be
 * put again. The generation says so: a row is good only if it was put in the present one.
 *
 * Thread rule: that of backlog.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <jansson.h>
#include <string.h>

#include "filter/base/database.h"
#include "filter/base/log.h"
#include "filter/journal/backlog.h"
#include "policy/base/mem.h"

#define GENERATION_STEP	32	/* the five bits below say what of an entry was written */

struct backlog {
	struct database *db;
	char *path;
	TALLOC_CTX *scratch;	/* of one error text at a time */
	int64_t next_number;
	unsigned int generation; /* a multiple of GENERATION_STEP */
	bool in_transaction;
	bool failed;		/* in this transaction */
	bool stale;		/* the last one failed */
};

static const char backlog_schema[] =
    "CREATE TABLE decisions ("
    " number INTEGER PRIMARY KEY,"
    " at INTEGER NOT NULL,"
    " account TEXT,"
    " queue_id TEXT,"
    " passed INTEGER NOT NULL,"		/* backlog_passed() */
    " refused INTEGER NOT NULL,"	/* backlog_refused() */
    " reason TEXT NOT NULL,"
    " recipients INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL,"
    " connection INTEGER NOT NULL,"
    " text TEXT,"			/* NULL: it is in the history */
    " sums INTEGER NOT NULL,"		/* 1: it is in the sums; 2: in those of minutes;
					 * 4: in those of signatures */
    " domain TEXT,"			/* and these for reports of DMARC; NULL: none */
    " record TEXT,"
    " row TEXT,"
    " n INTEGER NOT NULL);"
    "CREATE TABLE events ("
    " number INTEGER PRIMARY KEY,"
    " at INTEGER NOT NULL,"
    " kind TEXT NOT NULL,"
    " key TEXT NOT NULL,"
    " text TEXT NOT NULL,"
    " run INTEGER NOT NULL,"
    " told INTEGER NOT NULL);";

static const struct database_kind backlog_kind = {
	.name = "the decisions that wait for the books",
	.without = "without them",
	.id = 0x4353424c,	/* "CSBL" */
	.version = 1,
	.schema = backlog_schema,
	.settings = "PRAGMA synchronous = NORMAL;",
};

enum backlog_statement { PUT_ENTRY, REMOVE_ENTRY, PUT_EVENT, REMOVE_EVENT };

static const char *const backlog_statements[] = {
	[PUT_ENTRY] = ("INSERT OR REPLACE INTO decisions"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"),
	[REMOVE_ENTRY] = "DELETE FROM decisions WHERE number = ?1",
	[PUT_EVENT] = "INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[REMOVE_EVENT] = "DELETE FROM events WHERE number = ?1",
};

/* --- opening and reading --- */

/* backlog_open - open or make the file */
struct backlog *
backlog_open(TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	struct backlog *backlog = mem_new(ctx, struct backlog);
	bool is_new = false, full = false;

	backlog->path = mem_strdup(backlog, path);
	backlog->scratch = mem_check(talloc_new(backlog));
	backlog->next_number = 1;
	backlog->generation = GENERATION_STEP;
	backlog->db = talloc_steal(
	    backlog, database_open(ctx, &backlog_kind, path, &is_new, &full, error_r));
	if (backlog->db == NULL) {
		talloc_free(backlog);
		return NULL;
	}
	if (is_new && database_commit(backlog->db) != 0) {
		*error_r = database_error(backlog->db, ctx);
		talloc_free(backlog);
		return NULL;
	}
	return backlog;
}

/* backlog_column - a column as text on ctx, or NULL */
static const char *
backlog_column(TALLOC_CTX *ctx, sqlite3_stmt *row, int column)
{
	return mem_strdup_or_null(ctx, (const char *)sqlite3_column_text(row, column));
}

/* backlog_reason - a reason by its word; one of another version is counted as none */
static enum reason
backlog_reason(const char *word)
{
	for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++)
		if (strcmp(word, reply_row(reason)->word) == 0)
			return reason;
	return REASON_NONE;
}

/* backlog_parts - what of an entry is in the books, as five bits */
static unsigned int
backlog_parts(const struct entry *entry)
{
	return (entry->in_history ? 1U : 0) | (entry->in_usage ? 2U : 0) |
	    (entry->in_dmarc ? 4U : 0) | (entry->in_rates ? 8U : 0) |
	    (entry->in_signed ? 16U : 0);
}

/* backlog_passed - 0 if it did not pass, else 1 and its action, and 3 more if it would be held */
static int
backlog_passed(const struct entry *entry)
{
	if (entry->action >= ACTION_TEMPFAIL)
		return 0;
	return 1 + (int)entry->action +
	    (entry->action < ACTION_QUARANTINE && entry->would == ACTION_QUARANTINE ? 3 : 0);
}

/* backlog_refused - 1 if it was or would be rejected, 2 if deferred, else 0 */
static int
backlog_refused(const struct entry *entry)
{
	return entry->would == ACTION_REJECT ? 1 : entry->would == ACTION_TEMPFAIL ? 2 : 0;
}

/* backlog_read_actions - both numbers read; an earlier version knew 0 and 1 */
static void
backlog_read_actions(struct entry *entry, int passed, int refused)
{
	enum action would = refused == 2 ? ACTION_TEMPFAIL : ACTION_REJECT;

	switch (passed) {
	case 0:
		entry->action = would;
		break;
	case 2:
	case 5:
		entry->action = ACTION_WARN;
		break;
	case 3:
		entry->action = ACTION_QUARANTINE;
		break;
	default:
		entry->action = ACTION_ACCEPT;
		break;
	}
	entry->would = refused != 0 ? would : passed > 3 ? ACTION_QUARANTINE : entry->action;
}

/* backlog_read_signature - for which domain a message was signed, by its text in the history */
static void
backlog_read_signature(struct entry *entry)
{
	json_t *decision = entry->text != NULL ? json_loads(entry->text, 0, NULL) : NULL;
	const char *sign = json_string_value(json_object_get(decision, "sign"));
	const char *slash = sign != NULL ? strchr(sign, '/') : NULL;

	if (slash != NULL) {
		entry->sign = OUTCOME_PASS;
		entry->sign_domain = mem_strndup(entry, sign, (size_t)(slash - sign));
	}
	json_decref(decision);
}

/* backlog_entry_of - an entry of a row */
static struct entry *
backlog_entry_of(const struct backlog *backlog, sqlite3_stmt *row)
{
	struct entry *entry = mem_new(NULL, struct entry);
	const char *domain = backlog_column(entry, row, 12);
	struct dmarc_sum *sum;

	entry->number = sqlite3_column_int64(row, 0);
	entry->at_ms = sqlite3_column_int64(row, 1);
	entry->account = backlog_column(entry, row, 2);
	entry->queue_id = backlog_column(entry, row, 3);
	backlog_read_actions(entry, sqlite3_column_int(row, 4), sqlite3_column_int(row, 5));
	entry->reason = backlog_reason(database_column(row, 6));
	entry->recipients = (size_t)sqlite3_column_int64(row, 7);
	entry->bytes = (uint64_t)sqlite3_column_int64(row, 8);
	entry->connection = sqlite3_column_int(row, 9) != 0;
	entry->text = backlog_column(entry, row, 10);
	entry->in_history = entry->text == NULL;
	entry->in_usage = entry->account == NULL || (sqlite3_column_int(row, 11) & 1) != 0;
	entry->in_rates = (sqlite3_column_int(row, 11) & 2) != 0;
	entry->in_signed = (sqlite3_column_int(row, 11) & 4) != 0;
	if (!entry->in_signed)
		backlog_read_signature(entry);
	entry->in_dmarc = domain == NULL;
	if (domain != NULL) {
		sum = mem_new(entry, struct dmarc_sum);
		*sum = (struct dmarc_sum){ domain, backlog_column(entry, row, 13),
			backlog_column(entry, row, 14), (uint64_t)sqlite3_column_int64(row, 15) };
		entry->dmarc = sum;
		entry->in_dmarc = sum->record == NULL || sum->row == NULL;
	}
	entry->kept = backlog->generation | backlog_parts(entry);
	return entry;
}

/* backlog_read_entries - each row */
static int
backlog_read_entries(struct backlog *backlog, sqlite3_stmt *row,
    const struct backlog_reader *reader)
{
	int code;

	while ((code = sqlite3_step(row)) == SQLITE_ROW) {
		struct entry *entry = backlog_entry_of(backlog, row);

		if (entry->number >= backlog->next_number)
			backlog->next_number = entry->number + 1;
		reader->entry(reader->arg, entry);
	}
	return code;
}

/* backlog_read_events - the same of events */
static int
backlog_read_events(struct backlog *backlog, sqlite3_stmt *row, const struct backlog_reader *reader)
{
	int code;

	while ((code = sqlite3_step(row)) == SQLITE_ROW) {
		TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
		const struct backlog_event event = { .number = sqlite3_column_int64(row, 0),
			.at_ms = sqlite3_column_int64(row, 1),
			.kind = mem_strdup(tmp, database_column(row, 2)),
			.key = mem_strdup(tmp, database_column(row, 3)),
			.text = mem_strdup(tmp, database_column(row, 4)),
			.run = sqlite3_column_int(row, 5) != 0,
			.told = sqlite3_column_int(row, 6) != 0,
			.kept = backlog->generation | (sqlite3_column_int(row, 5) != 0) };

		if (event.number >= backlog->next_number)
			backlog->next_number = event.number + 1;
		reader->event(reader->arg, &event);
		talloc_free(tmp);
	}
	return code;
}

/* backlog_read - all of it */
int
backlog_read(struct backlog *backlog, TALLOC_CTX *ctx, const struct backlog_reader *reader,
    const char **error_r)
{
	sqlite3_stmt *entries = NULL, *events = NULL;
	bool good;

	if (backlog == NULL)
		return 0;
	good = sqlite3_prepare_v2(backlog->db->db, "SELECT * FROM decisions ORDER BY number", -1,
		   &entries, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(backlog->db->db, "SELECT * FROM events ORDER BY number", -1, &events,
		NULL) == SQLITE_OK &&
	    backlog_read_entries(backlog, entries, reader) == SQLITE_DONE &&
	    backlog_read_events(backlog, events, reader) == SQLITE_DONE;
	(void)sqlite3_finalize(entries);
	(void)sqlite3_finalize(events);
	if (good)
		return 0;
	*error_r = mem_printf(ctx, "%s in %s are damaged; move the file away to start %s",
	    backlog_kind.name, backlog->path, backlog_kind.without);
	return -1;
}

/* --- writing --- */

/* backlog_fail - the transaction is lost */
static void
backlog_fail(struct backlog *backlog)
{
	if (!backlog->failed && !backlog->stale)
		log_error("journal: what waits for the books cannot be kept on disk, a restart would "
			  "forget it: %s", database_error(backlog->db, backlog->scratch));
	talloc_free_children(backlog->scratch);
	database_rollback(backlog->db);
	backlog->failed = true;
}

/* backlog_prepare - a statement within a transaction; NULL: there is none that works */
static sqlite3_stmt *
backlog_prepare(struct backlog *backlog, enum backlog_statement which)
{
	sqlite3_stmt *statement = NULL;

	if (backlog->failed)
		return NULL;
	if (!backlog->in_transaction) {
		backlog->in_transaction = true;
		if (database_begin(backlog->db) != 0 ||
		    (backlog->stale && sqlite3_exec(backlog->db->db,
			"DELETE FROM decisions; DELETE FROM events", NULL, NULL, NULL) != SQLITE_OK)) {
			backlog_fail(backlog);
			return NULL;
		}
	}
	statement = database_statement(backlog->db, which, backlog_statements[which]);
	if (statement == NULL)
		backlog_fail(backlog);
	return statement;
}

/* backlog_run - run it */
static void
backlog_run(struct backlog *backlog, sqlite3_stmt *statement)
{
	if (database_run(statement) != 0)
		backlog_fail(backlog);
}

/* backlog_bind_dmarc - what reports say of an entry, if that is not written yet */
static void
backlog_bind_dmarc(sqlite3_stmt *statement, const struct entry *entry)
{
	const struct dmarc_sum *sum = entry->in_dmarc ? NULL : entry->dmarc;

	database_text(statement, 13, sum != NULL ? sum->domain : NULL);
	database_text(statement, 14, sum != NULL ? sum->record : NULL);
	database_text(statement, 15, sum != NULL ? sum->row : NULL);
	(void)sqlite3_bind_int64(statement, 16, sum != NULL ? (int64_t)sum->n : 0);
}

/* backlog_put_entry - keep one */
void
backlog_put_entry(struct backlog *backlog, struct entry *entry)
{
	unsigned int kept;
	sqlite3_stmt *statement;

	if (backlog == NULL)
		return;
	kept = backlog->generation | backlog_parts(entry);
	if (entry->kept == kept || (statement = backlog_prepare(backlog, PUT_ENTRY)) == NULL)
		return;
	if (entry->number == 0)
		entry->number = backlog->next_number++;
	(void)sqlite3_bind_int64(statement, 1, entry->number);
	(void)sqlite3_bind_int64(statement, 2, entry->at_ms);
	database_text(statement, 3, entry->account);
	database_text(statement, 4, entry->queue_id);
	(void)sqlite3_bind_int(statement, 5, backlog_passed(entry));
	(void)sqlite3_bind_int(statement, 6, backlog_refused(entry));
	database_text(statement, 7,
	    entry->reason != REASON_NONE ? reply_row(entry->reason)->word : "");
	(void)sqlite3_bind_int64(statement, 8, (int64_t)entry->recipients);
	(void)sqlite3_bind_int64(statement, 9, (int64_t)entry->bytes);
	(void)sqlite3_bind_int(statement, 10, entry->connection);
	database_text(statement, 11, entry->in_history ? NULL : entry->text);
	(void)sqlite3_bind_int(statement, 12,
	    entry->in_usage + 2 * entry->in_rates + 4 * entry->in_signed);
	backlog_bind_dmarc(statement, entry);
	backlog_run(backlog, statement);
	if (!backlog->failed)
		entry->kept = kept;
}

/* backlog_put_event - keep one */
void
backlog_put_event(struct backlog *backlog, struct backlog_event *event)
{
	unsigned int kept;
	sqlite3_stmt *statement;

	if (backlog == NULL)
		return;
	kept = backlog->generation | event->run;
	if (event->kept == kept || (statement = backlog_prepare(backlog, PUT_EVENT)) == NULL)
		return;
	if (event->number == 0)
		event->number = backlog->next_number++;
	(void)sqlite3_bind_int64(statement, 1, event->number);
	(void)sqlite3_bind_int64(statement, 2, event->at_ms);
	database_text(statement, 3, event->kind);
	database_text(statement, 4, event->key);
	database_text(statement, 5, event->text);
	(void)sqlite3_bind_int(statement, 6, event->run);
	(void)sqlite3_bind_int(statement, 7, event->told);
	backlog_run(backlog, statement);
	if (!backlog->failed)
		event->kept = kept;
}

/* backlog_remove - a row by its number; nothing if it is not in the file */
static void
backlog_remove(struct backlog *backlog, enum backlog_statement which, int64_t number,
    unsigned int kept)
{
	sqlite3_stmt *statement;

	if (backlog == NULL || kept < backlog->generation ||
	    (statement = backlog_prepare(backlog, which)) == NULL)
		return;
	(void)sqlite3_bind_int64(statement, 1, number);
	backlog_run(backlog, statement);
}

void
backlog_remove_entry(struct backlog *backlog, const struct entry *entry)
{
	backlog_remove(backlog, REMOVE_ENTRY, entry->number, entry->kept);
}

void
backlog_remove_event(struct backlog *backlog, const struct backlog_event *event)
{
	backlog_remove(backlog, REMOVE_EVENT, event->number, event->kept);
}

/* backlog_commit - bring it to the disk */
void
backlog_commit(struct backlog *backlog)
{
	if (backlog == NULL)
		return;
	if (backlog->stale && !backlog->in_transaction)
		(void)backlog_prepare(backlog, REMOVE_ENTRY);	/* nothing waits: only empty it */
	if (!backlog->in_transaction)
		return;
	if (!backlog->failed && database_commit(backlog->db) != 0)
		backlog_fail(backlog);
	if (backlog->failed)
		backlog->generation += GENERATION_STEP;
	else if (backlog->stale)
		log_info("journal: what waits for the books is kept in %s again", backlog->path);
	backlog->stale = backlog->failed;
	backlog->in_transaction = backlog->failed = false;
}

bool
backlog_has_entry(const struct backlog *backlog, const struct entry *entry)
{
	return backlog != NULL && entry->kept >= backlog->generation;
}

bool
backlog_has_event(const struct backlog *backlog, const struct backlog_event *event)
{
	return backlog != NULL && event->kept >= backlog->generation;
}
