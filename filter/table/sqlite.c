/*
 * sqlite.c - sqlite: tables
 *
 * Reads sqlite_table(5)'s files. The key is quoted as SQL by the rule of the language: a quotation
 * mark is written twice, nothing else is special within quotation marks. Only the first statement
 * of the query runs, and the database is opened for reading.
 *
 * A lock held by a writer is waited for, and a query that searches for long is broken off, both at
 * the deadline. A database that was replaced by another file is opened again.
 *
 * Threads: a connection belongs to one worker (workers.h).
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#include "filter/base/clock.h"
#include "filter/table/rules.h"
#include "filter/table/sql.h"
#include "filter/table/workers.h"
#include "policy/base/mem.h"

#define STEPS	1000	/* of SQLite's machine between two looks at the clock */
#define NAP_MS	5	/* between two tries for a lock */

struct config {
	struct rules rules;
	const char *query;
	const char *path;
};

struct connection {
	sqlite3 *db;
	struct stat file;	/* what was opened */
	int64_t deadline_ms;	/* of the lookup under way */
};

/* sqlite_table_is_late - SQLite asks now and then; non-zero breaks the query off */
static int
sqlite_table_is_late(void *arg)
{
	const struct connection *connection = arg;

	return clock_ms() >= connection->deadline_ms;
}

/* nap - SQLite found a lock; zero gives up */
static int
nap(void *arg, int tries)
{
	(void)tries;
	if (sqlite_table_is_late(arg))
		return 0;
	(void)sqlite3_sleep(NAP_MS);
	return 1;
}

static void *
sqlite_connect(
    TALLOC_CTX *ctx, const void *arg, size_t server, int64_t deadline_ms, const char **error_r)
{
	const struct config *config = arg;
	struct connection *connection = mem_new(ctx, struct connection);

	(void)server;
	connection->deadline_ms = deadline_ms;
	if (stat(config->path, &connection->file) != 0 ||
	    sqlite3_open_v2(config->path, &connection->db,
		SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		*error_r = mem_printf(ctx, "%s cannot be opened: %s", config->path,
		    connection->db != NULL ? sqlite3_errmsg(connection->db) : "no such file");
		(void)sqlite3_close(connection->db);
		return NULL;
	}
	(void)sqlite3_busy_handler(connection->db, nap, connection);
	sqlite3_progress_handler(connection->db, STEPS, sqlite_table_is_late, connection);
	return connection;
}

static void
sqlite_disconnect(void *arg)
{
	struct connection *connection = arg;

	(void)sqlite3_close(connection->db);
}

/* was_replaced - is the path another file than the one that is open? */
static bool
was_replaced(const struct config *config, const struct connection *connection)
{
	struct stat now;

	return stat(config->path, &now) != 0 || now.st_ino != connection->file.st_ino ||
	    now.st_dev != connection->file.st_dev;
}

/* sqlite_table_quote - text within quotation marks of SQL */
static char *
sqlite_table_quote(void *arg, TALLOC_CTX *ctx, const char *value)
{
	char *quoted = sqlite3_mprintf("%q", value);
	char *copy = mem_strdup(ctx, mem_check(quoted));

	(void)arg;
	sqlite3_free(quoted);
	return copy;
}

/* read_row - the first column is a result; the others are not looked at, as in Postfix */
static bool
read_row(TALLOC_CTX *ctx, const struct config *config, sqlite3_stmt *statement, const char *key,
    struct rules_result *result, const char **error_r)
{
	const char *text = (const char *)sqlite3_column_text(statement, 0);

	return rules_add(ctx, &config->rules, result, key, text,
	    (size_t)sqlite3_column_bytes(statement, 0), error_r);
}

static enum worker_result
sqlite_ask(const void *arg, void *handle, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    const char **value_r, const char **error_r)
{
	const struct config *config = arg;
	struct connection *connection = handle;
	struct rules_result result = { NULL, 0 };
	sqlite3_stmt *statement = NULL;
	bool good = true, bad;
	char *query;
	int code;

	if (was_replaced(config, connection)) {
		*error_r = mem_printf(ctx, "%s was replaced", config->path);
		return WORKER_LOST;
	}
	query =
	    rules_query(ctx, &config->rules, config->query, key, sqlite_table_quote, NULL, &bad);
	if (query == NULL)
		return WORKER_ANSWER;
	connection->deadline_ms = deadline_ms;
	code = sqlite3_prepare_v2(connection->db, query, -1, &statement, NULL);
	while (code == SQLITE_OK && statement != NULL && good &&
	    (code = sqlite3_step(statement)) == SQLITE_ROW) {
		good = read_row(ctx, config, statement, key, &result, error_r);
		code = SQLITE_OK;
	}
	if (good && code != SQLITE_DONE && code != SQLITE_OK)
		*error_r = mem_printf(ctx, "%s: %s", config->path, code == SQLITE_INTERRUPT ?
		    "the query did not end in time" : sqlite3_errmsg(connection->db));
	(void)sqlite3_finalize(statement);
	if (*error_r != NULL)
		return WORKER_ERROR;
	*value_r = rules_value(&result);
	return WORKER_ANSWER;
}

static const struct worker_driver driver = { sqlite_connect, sqlite_ask, sqlite_disconnect, NULL };

/* sqlite_table_load - what the .cf file says */
static bool
sqlite_table_load(void *arg, const struct table_env *env, const struct table_cf *cf,
    struct worker_servers *servers_r, const char **error_r)
{
	struct config *config = arg;
	const char *path = table_cf_need(cf, "dbpath", "/var/lib/mail/users.sqlite", error_r);

	if (path == NULL)
		return false;
	*servers_r = (struct worker_servers){ .n = 1 };
	config->path = mem_strdup(config, path);
	return sql_query(config, &config->rules, cf, &config->query, error_r) &&
	    rules_load(config, &config->rules, env, cf, error_r);
}

static const struct sql_type type = { &driver, sqlite_table_load };

static void *
sqlite_open(
    TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct config *config = mem_new(NULL, struct config);

	return sql_open(ctx, &type, config, &config->rules, env, argument, error_r);
}

const struct table_type table_sqlite = { "sqlite", TABLE_FOLD | TABLE_REMOTE, sqlite_open,
	sql_table_get, NULL, NULL };
