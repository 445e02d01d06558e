/*
 * books_sqlite_dmarc.c - what aggregate reports of DMARC say, in the books in SQLite
 *
 * Thread rule: as in books_sqlite.c.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/journal/books_kind.h"
#include "filter/journal/books_sqlite.h"
#include "policy/base/mem.h"

/* Statements of the writer that are kept prepared. */
enum statement_dmarc {
	COUNT_DMARC = SQLITE_STATEMENTS,
	DELETE_DMARC_ROWS,
	DELETE_DMARC_DOMAINS,
	ADD_DMARC_ROW,
	MAKE_DMARC_ROW,
	ADD_DMARC_DOMAIN,
	MAKE_DMARC_DOMAIN,
	COUNT_DMARC_DOMAIN,
	SET_DMARC,
};

/* The days before the newest ?1 ones. */
#define DMARC_OLD \
	"(SELECT DISTINCT day FROM dmarc_domains ORDER BY day DESC LIMIT -1 OFFSET ?1)"

static const char *const dmarc_statements[] = {
	[COUNT_DMARC] = "SELECT count(*), total(rows) FROM dmarc_domains WHERE day = ?1",
	[DELETE_DMARC_ROWS] = "DELETE FROM dmarc_rows WHERE day IN " DMARC_OLD,
	[DELETE_DMARC_DOMAINS] = "DELETE FROM dmarc_domains WHERE day IN " DMARC_OLD,
	[ADD_DMARC_ROW] = "UPDATE dmarc_rows SET n = n + ?4"
			  " WHERE day = ?1 AND domain = ?2 AND row = ?3",
	[MAKE_DMARC_ROW] = "INSERT INTO dmarc_rows (day, domain, row, n) VALUES (?1, ?2, ?3, ?4)",
	[ADD_DMARC_DOMAIN] = "UPDATE dmarc_domains SET record = ?3, messages = messages + ?4,"
			     " beyond = beyond + ?5, rows = rows + ?6"
			     " WHERE day = ?1 AND domain = ?2",
	[MAKE_DMARC_DOMAIN] = "INSERT INTO dmarc_domains (day, domain, record, messages, beyond, rows)"
			      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[COUNT_DMARC_DOMAIN] = "SELECT rows FROM dmarc_domains WHERE day = ?1 AND domain = ?2",
	[SET_DMARC] = "UPDATE dmarc_domains SET state = ?3 WHERE day = ?1 AND domain = ?2",
};

/* dmarc_statement - a statement of the writer; NULL on error */
static sqlite3_stmt *
dmarc_statement(struct sqlite_books *books, enum statement_dmarc which, int day, const char *domain)
{
	sqlite3_stmt *statement =
	    database_statement(books->writer, which, dmarc_statements[which]);

	if (statement == NULL)
		return NULL;
	(void)sqlite3_bind_int(statement, 1, day);
	if (domain != NULL)
		database_text(statement, 2, domain);
	return statement;
}

/* dmarc_changed - run a statement; how many rows it changed, or -1 */
static int
dmarc_changed(struct sqlite_books *books, sqlite3_stmt *statement)
{
	return database_run(statement) == 0 ? sqlite3_changes(books->writer->db) : -1;
}

/* dmarc_add_row - to a row, or by making it; how many rows that changed, or -1 */
static int
dmarc_add_row(struct sqlite_books *books, enum statement_dmarc which, int day,
    const struct dmarc_sum *sum)
{
	sqlite3_stmt *statement = dmarc_statement(books, which, day, sum->domain);

	if (statement == NULL)
		return -1;
	database_text(statement, 3, sum->row);
	(void)sqlite3_bind_int64(statement, 4, (int64_t)sum->n);
	return dmarc_changed(books, statement);
}

/* dmarc_add_domain - to a domain, or by making it; as dmarc_add_row() */
static int
dmarc_add_domain(struct sqlite_books *books, enum statement_dmarc which, int day,
    const struct dmarc_sum *sum, bool beyond, bool new_row)
{
	sqlite3_stmt *statement = dmarc_statement(books, which, day, sum->domain);

	if (statement == NULL)
		return -1;
	database_text(statement, 3, sum->record);
	(void)sqlite3_bind_int64(statement, 4, (int64_t)sum->n);
	(void)sqlite3_bind_int64(statement, 5, beyond ? (int64_t)sum->n : 0);
	(void)sqlite3_bind_int(statement, 6, new_row);
	return dmarc_changed(books, statement);
}

/* rows_of_domain - how many it has; 0: it has none yet */
static int64_t
rows_of_domain(struct sqlite_books *books, int day, const char *domain)
{
	sqlite3_stmt *statement = dmarc_statement(books, COUNT_DMARC_DOMAIN, day, domain);
	int64_t n = 0;

	if (statement != NULL && sqlite3_step(statement) == SQLITE_ROW)
		n = sqlite3_column_int64(statement, 0);
	if (statement != NULL)
		(void)database_run(statement);
	return n;
}

/* add_sum - some messages; *beyond_r: they are only counted; 0 or -1 */
static int
add_sum(struct sqlite_books *books, int day, const struct dmarc_sum *sum, bool *beyond_r)
{
	int changed = dmarc_add_row(books, ADD_DMARC_ROW, day, sum);
	bool new_row = false;

	if (changed == 0) {
		int64_t rows = rows_of_domain(books, day, sum->domain);

		*beyond_r = books->dmarc_rows >= BOOKS_DMARC_ROWS ||
		    rows >= BOOKS_DMARC_ROWS_DOMAIN ||
		    (rows == 0 && books->dmarc_domains >= BOOKS_DMARC_DOMAINS);
		new_row = !*beyond_r;
	}
	if (new_row) {
		changed = dmarc_add_row(books, MAKE_DMARC_ROW, day, sum);
		books->dmarc_rows++;
	}
	if (changed >= 0)
		changed = dmarc_add_domain(books, ADD_DMARC_DOMAIN, day, sum, *beyond_r, new_row);
	if (changed == 0 && books->dmarc_domains < BOOKS_DMARC_DOMAINS) {
		changed = dmarc_add_domain(books, MAKE_DMARC_DOMAIN, day, sum, *beyond_r, new_row);
		books->dmarc_domains++;
	}
	return changed < 0 ? -1 : 0;
}

/* dmarc_begin_day - what day is added to: what it has is counted, and old days may go */
static int
dmarc_begin_day(struct sqlite_books *books, int day)
{
	static const enum statement_dmarc deletions[] = { DELETE_DMARC_ROWS, DELETE_DMARC_DOMAINS };
	sqlite3_stmt *statement;

	if (day == books->dmarc_day)
		return 0;
	for (size_t i = 0; i < sizeof(deletions) / sizeof(deletions[0]); i++) {
		statement = dmarc_statement(books, deletions[i], BOOKS_DMARC_DAYS, NULL);
		if (statement == NULL || database_run(statement) != 0)
			return -1;
	}
	statement = dmarc_statement(books, COUNT_DMARC, day, NULL);
	if (statement == NULL)
		return -1;
	if (sqlite3_step(statement) == SQLITE_ROW) {
		books->dmarc_domains = (size_t)sqlite3_column_int64(statement, 0);
		books->dmarc_rows = (size_t)sqlite3_column_int64(statement, 1);
	}
	if (database_run(statement) != 0)
		return -1;
	books->dmarc_day = day;
	return 0;
}

static int
sqlite_books_add_dmarc(void *impl, TALLOC_CTX *ctx, int day, const struct dmarc_sum *sums,
    size_t n, size_t *done_r, const char **error_r)
{
	struct sqlite_books *books = impl;
	int result = sqlite_books_begin(books);
	uint64_t n_beyond = 0;

	if (result == 0)
		result = dmarc_begin_day(books, day);
	for (size_t i = 0; i < n && result == 0; i++) {
		bool beyond = false;

		result = add_sum(books, day, &sums[i], &beyond);
		n_beyond += beyond ? sums[i].n : 0;
	}
	if (sqlite_books_end(books, ctx, result, error_r) != 0)
		return -1;
	*done_r = n;
	return (int)n_beyond;
}

/* column_text - of a row of a query, on ctx; NULL for NULL */
static const char *
column_text(TALLOC_CTX *ctx, sqlite3_stmt *statement, int i)
{
	const char *text = (const char *)sqlite3_column_text(statement, i);

	return text != NULL ? mem_strdup(ctx, text) : NULL;
}

/* dmarc_query - what is called for each row of a query */
typedef void dmarc_each(TALLOC_CTX *ctx, sqlite3_stmt *statement, void *arg);

/* dmarc_select - run a query about a day, and a domain if it has one */
static int
dmarc_select(struct sqlite_books *books, TALLOC_CTX *ctx, const char *sql, int day,
    const char *domain, dmarc_each *each, void *arg, const char **error_r)
{
	struct database *db = sqlite_books_reader(books, ctx, error_r);
	sqlite3_stmt *statement = NULL;
	int code;

	if (db == NULL)
		return -1;
	code = sqlite3_prepare_v2(db->db, sql, -1, &statement, NULL);
	if (code == SQLITE_OK) {
		(void)sqlite3_bind_int(statement, 1, day);
		if (domain != NULL)
			database_text(statement, 2, domain);
		while ((code = sqlite3_step(statement)) == SQLITE_ROW)
			each(ctx, statement, arg);
	}
	if (code != SQLITE_DONE)
		*error_r = database_error(db, ctx);
	(void)sqlite3_finalize(statement);
	(void)pthread_mutex_unlock(books->read_lock);
	return code == SQLITE_DONE ? 0 : -1;
}

/* Domains as they are collected. */
struct domains {
	struct books_dmarc_domain *items;
	size_t n;
};

/* take_domain - dmarc_each: one of a day */
static void
take_domain(TALLOC_CTX *ctx, sqlite3_stmt *statement, void *arg)
{
	struct domains *domains = arg;

	if (domains->n % 256 == 0)
		domains->items = mem_grow(
		    ctx, domains->items, struct books_dmarc_domain, domains->n + 256);
	domains->items[domains->n++] = (struct books_dmarc_domain){
		.domain = column_text(ctx, statement, 0),
		.record = column_text(ctx, statement, 1),
		.messages = (uint64_t)sqlite3_column_int64(statement, 2),
		.beyond = (uint64_t)sqlite3_column_int64(statement, 3),
		.state = column_text(ctx, statement, 4),
	};
}

static int
sqlite_books_dmarc_domains(void *impl, TALLOC_CTX *ctx, int day,
    struct books_dmarc_domain **domains_r, size_t *n_r, const char **error_r)
{
	struct domains domains = { NULL, 0 };
	int result = dmarc_select(impl, ctx,
	    "SELECT domain, record, messages, beyond, state FROM dmarc_domains WHERE day = ?1", day,
	    NULL, take_domain, &domains, error_r);

	*domains_r = domains.items;
	*n_r = domains.n;
	return result;
}

/* Rows as they are collected. */
struct rows {
	struct books_dmarc_row *items;
	size_t n;
};

/* dmarc_take_row - dmarc_each: one of a domain */
static void
dmarc_take_row(TALLOC_CTX *ctx, sqlite3_stmt *statement, void *arg)
{
	struct rows *rows = arg;

	if (rows->n % 256 == 0)
		rows->items = mem_grow(ctx, rows->items, struct books_dmarc_row, rows->n + 256);
	rows->items[rows->n++] = (struct books_dmarc_row){ column_text(ctx, statement, 0),
		(uint64_t)sqlite3_column_int64(statement, 1) };
}

static int
sqlite_books_dmarc_rows(void *impl, TALLOC_CTX *ctx, int day, const char *domain,
    struct books_dmarc_row **rows_r, size_t *n_r, const char **error_r)
{
	struct rows rows = { NULL, 0 };
	int result = dmarc_select(impl, ctx,
	    "SELECT row, n FROM dmarc_rows WHERE day = ?1 AND domain = ?2", day, domain,
	    dmarc_take_row, &rows, error_r);

	*rows_r = rows.items;
	*n_r = rows.n;
	return result;
}

static int
sqlite_books_set_dmarc(void *impl, TALLOC_CTX *ctx, int day, const char *domain,
    const char *state, const char **error_r)
{
	struct sqlite_books *books = impl;
	int result = sqlite_books_begin(books);

	if (result == 0) {
		sqlite3_stmt *statement = dmarc_statement(books, SET_DMARC, day, domain);

		if (statement != NULL)
			database_text(statement, 3, state);
		result = statement != NULL ? database_run(statement) : -1;
	}
	return sqlite_books_end(books, ctx, result, error_r);
}

const struct books_dmarc_kind books_sqlite_dmarc = {
	.add = sqlite_books_add_dmarc,
	.domains = sqlite_books_dmarc_domains,
	.rows = sqlite_books_dmarc_rows,
	.set = sqlite_books_set_dmarc,
};
