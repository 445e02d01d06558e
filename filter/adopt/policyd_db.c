/*
 * policyd_db.c - policyd's database, SQLite or MySQL, for reading
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifdef HAVE_MYSQL
#include <mysql.h>
#endif
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "filter/adopt/policyd_db.h"
#include "policy/base/mem.h"

#define ROWS_MAX 50000
#define WAIT_S 5

struct policyd_db {
	sqlite3 *sqlite;
#ifdef HAVE_MYSQL
	MYSQL *mysql;
#endif
};

/* Rows as they come. */
struct rows {
	struct policyd_row *list;
	size_t n;
};

/* next_row - room for one more, or NULL */
static struct policyd_row *
next_row(TALLOC_CTX *ctx, struct rows *rows)
{
	if (rows->n == ROWS_MAX)
		return NULL;
	if (rows->n % 256 == 0)
		rows->list = mem_grow(ctx, rows->list, struct policyd_row, rows->n + 256);
	memset(&rows->list[rows->n], 0, sizeof(rows->list[0]));
	return &rows->list[rows->n++];
}

static int
policyd_db_free(struct policyd_db *db)
{
	if (db->sqlite != NULL)
		(void)sqlite3_close(db->sqlite);
#ifdef HAVE_MYSQL
	if (db->mysql != NULL)
		mysql_close(db->mysql);
#endif
	return 0;
}

/* --- SQLite ---------------------------------------------------------------- */

/* open_sqlite - read only */
static bool
open_sqlite(TALLOC_CTX *ctx, struct policyd_db *db, const char *file, const char **error_r)
{
	if (sqlite3_open_v2(file, &db->sqlite, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
		(void)sqlite3_busy_timeout(db->sqlite, WAIT_S * 1000);
		return true;
	}
	*error_r = mem_printf(
	    ctx, "%s: %s", file, db->sqlite != NULL ? sqlite3_errmsg(db->sqlite) : "out of memory");
	return false;
}

/* ask_sqlite - the rows of a query */
static bool
ask_sqlite(
    TALLOC_CTX *ctx, sqlite3 *sqlite, const char *query, struct rows *rows, const char **error_r)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(sqlite, query, -1, &statement, NULL);

	while (code == SQLITE_OK || code == SQLITE_ROW) {
		struct policyd_row *row;
		int columns;

		code = sqlite3_step(statement);
		if (code != SQLITE_ROW || (row = next_row(ctx, rows)) == NULL)
			break;
		columns = sqlite3_column_count(statement);
		for (int i = 0; i < columns && i < POLICYD_COLUMNS_MAX; i++) {
			const unsigned char *text = sqlite3_column_text(statement, i);

			row->columns[i] = mem_strdup(ctx, text != NULL ? (const char *)text : "");
		}
	}
	if (code != SQLITE_DONE && code != SQLITE_ROW)
		*error_r = mem_strdup(ctx, sqlite3_errmsg(sqlite));
	(void)sqlite3_finalize(statement);
	return code == SQLITE_DONE || code == SQLITE_ROW;
}

/* --- MySQL ----------------------------------------------------------------- */

#ifdef HAVE_MYSQL
/* open_mysql - with time limits */
static bool
open_mysql(
    TALLOC_CTX *ctx, struct policyd_db *db, const struct policyd_place *place, const char **error_r)
{
	const unsigned int wait = WAIT_S;
	unsigned int port = place->port != NULL ? (unsigned int)strtoul(place->port, NULL, 10) : 0;

	db->mysql = mem_check(mysql_init(NULL));
	(void)mysql_options(db->mysql, MYSQL_OPT_CONNECT_TIMEOUT, &wait);
	(void)mysql_options(db->mysql, MYSQL_OPT_READ_TIMEOUT, &wait);
	(void)mysql_options(db->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	if (mysql_real_connect(db->mysql, place->host, place->user, place->password,
		place->database, port, place->socket, 0) != NULL)
		return true;
	*error_r = mem_strdup(ctx, mysql_error(db->mysql));
	return false;
}

/* ask_mysql - the rows of a query */
static bool
ask_mysql(TALLOC_CTX *ctx, MYSQL *mysql, const char *query, struct rows *rows, const char **error_r)
{
	MYSQL_RES *result;
	MYSQL_ROW values;

	if (mysql_query(mysql, query) != 0 || (result = mysql_store_result(mysql)) == NULL) {
		*error_r = mem_strdup(ctx, mysql_error(mysql));
		return false;
	}
	while ((values = mysql_fetch_row(result)) != NULL) {
		unsigned int columns = mysql_num_fields(result);
		struct policyd_row *row = next_row(ctx, rows);

		for (unsigned int i = 0; row != NULL && i < columns && i < POLICYD_COLUMNS_MAX; i++)
			row->columns[i] = mem_strdup(ctx, values[i] != NULL ? values[i] : "");
	}
	mysql_free_result(result);
	return true;
}
#endif

/* --- both ------------------------------------------------------------------ */

struct policyd_db *
policyd_db_open(TALLOC_CTX *ctx, const struct policyd_place *place, const char **error_r)
{
	struct policyd_db *db = mem_new(ctx, struct policyd_db);

	talloc_set_destructor(db, policyd_db_free);
	if (place->file != NULL) {
		if (open_sqlite(ctx, db, place->file, error_r))
			return db;
	} else {
#ifdef HAVE_MYSQL
		if (open_mysql(ctx, db, place, error_r))
			return db;
#else
		*error_r = "this program was built without MySQL";
#endif
	}
	talloc_free(db);
	return NULL;
}

struct policyd_row *
policyd_db_ask(
    TALLOC_CTX *ctx, struct policyd_db *db, const char *query, size_t *n_r, const char **error_r)
{
	struct rows rows = { mem_array(ctx, struct policyd_row, 256), 0 };
	bool good;

	*n_r = 0;
#ifdef HAVE_MYSQL
	if (db->sqlite == NULL)
		good = ask_mysql(ctx, db->mysql, query, &rows, error_r);
	else
#endif
		good = ask_sqlite(ctx, db->sqlite, query, &rows, error_r);
	*n_r = rows.n;
	return good ? rows.list : NULL;
}
