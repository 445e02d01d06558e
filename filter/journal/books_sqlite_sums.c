/*
 * books_sqlite_sums.c - what accounts and the filter did, in the database of a host without Redis
 *
 * Thread rule: that of books_sqlite.c.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/journal/books_kind.h"
#include "filter/journal/books_sqlite.h"
#include "policy/base/mem.h"

enum statement_sums {
	ADD_SUM = SQLITE_SUMS_STATEMENTS,
	MAKE_SUM,
	SET_PEAK,
	ADD_HOUR,
	COUNT_DAY,
	DELETE_SUMS,
	DELETE_HOURS,
	DELETE_REFUSALS,
	ADD_RATE,
	DELETE_RATES,
	ADD_SIGNED,
	DELETE_SIGNED,
};

/* What an hour has by now. */
#define OF_HOUR(what) \
	"(SELECT " what " FROM hours WHERE day = ?1 AND account = ?2 AND hour = ?3)"

/* The oldest days when there are more than ?1; each day is found in the key, not by its rows. */
#define OLD_DAYS \
	"(WITH RECURSIVE d(day) AS (SELECT min(day) FROM sums UNION ALL" \
	" SELECT (SELECT min(day) FROM sums WHERE day > d.day) FROM d WHERE d.day IS NOT NULL)" \
	" SELECT day FROM d WHERE day IS NOT NULL ORDER BY day DESC LIMIT -1 OFFSET ?1)"

static const char *const sums_statements[] = {
	[ADD_SUM] = "UPDATE sums SET messages = messages + ?4, recipients = recipients + ?5,"
		    " bytes = bytes + ?6, connections = connections + ?7"
		    " WHERE day = ?1 AND account = ?2",
	[MAKE_SUM] = "INSERT INTO sums VALUES (?1, ?2, ?4, ?5, ?6, ?7, 0, 0, 0, ?3, 0, 0, 0)",
	[SET_PEAK] = "UPDATE sums SET peak_messages = max(peak_messages, " OF_HOUR("messages") "),"
		     " peak_recipients = max(peak_recipients, " OF_HOUR("recipients") ")"
		     " WHERE day = ?1 AND account = ?2",
	[ADD_HOUR] = "INSERT INTO hours VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
		     " ON CONFLICT (day, account, hour) DO UPDATE SET messages = messages + ?4,"
		     " recipients = recipients + ?5, refused = refused + ?6",
	[COUNT_DAY] = "SELECT count(*) FROM sums WHERE day = ?1",
	[DELETE_REFUSALS] = "DELETE FROM refusals WHERE day IN " OLD_DAYS,
	[DELETE_SUMS] = "DELETE FROM sums WHERE day IN " OLD_DAYS,
	[DELETE_HOURS] = "DELETE FROM hours WHERE day < ?1",
	[ADD_RATE] = "INSERT INTO rates VALUES (?1, ?2, ?3, ?4, ?5)"
		     " ON CONFLICT (seconds, at, host, word) DO UPDATE SET n = n + ?5",
	[DELETE_RATES] = "DELETE FROM rates WHERE seconds = ?1 AND at < ?2",
	[ADD_SIGNED] = "INSERT INTO signed VALUES (?1, ?2, ?3, ?4, ?5)"
		       " ON CONFLICT (day, domain) DO UPDATE SET messages = messages + ?3,"
		       " recipients = recipients + ?4, bytes = bytes + ?5",
	[DELETE_SIGNED] = "DELETE FROM signed WHERE day < ?1",
};

/* sums_prepared - a statement of the writer; NULL on error */
static sqlite3_stmt *
sums_prepared(struct sqlite_books *books, enum statement_sums which)
{
	return database_statement(books->writer, which, sums_statements[which]);
}

/* sums_of_hour - the same, ?1 to ?3 bound to the day, account and hour of the day */
static sqlite3_stmt *
sums_of_hour(
    struct sqlite_books *books, enum statement_sums which, int64_t at_ms, const char *account)
{
	sqlite3_stmt *statement = sums_prepared(books, which);

	if (statement == NULL)
		return NULL;
	(void)sqlite3_bind_int(statement, 1, daybook_day(at_ms));
	database_text(statement, 2, account);
	(void)sqlite3_bind_int(statement, 3, (int)daybook_hour(at_ms));
	return statement;
}

/* sums_delete - run a deletion that has one number; 0 or -1 */
static int
sums_delete(struct sqlite_books *books, enum statement_sums which, int64_t number)
{
	sqlite3_stmt *statement = sums_prepared(books, which);

	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int64(statement, 1, number);
	return database_run(statement);
}

/* --- sums of accounts --- */

/* sqlite_sums_change - to a row, or by making it; how many rows that changed, or -1 */
static int
sqlite_sums_change(struct sqlite_books *books, enum statement_sums which, int64_t at_ms,
    const char *account, const struct daybook_delta *delta)
{
	sqlite3_stmt *statement = sums_of_hour(books, which, at_ms, account);

	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int64(statement, 4, (int64_t)delta->sums.messages);
	(void)sqlite3_bind_int64(statement, 5, (int64_t)delta->sums.recipients);
	(void)sqlite3_bind_int64(statement, 6, (int64_t)delta->sums.bytes);
	(void)sqlite3_bind_int64(statement, 7, (int64_t)delta->connections);
	return database_run(statement) == 0 ? sqlite3_changes(books->writer->db) : -1;
}

/* set_peak - the fullest hour of an account may be that to which was added now; 0 or -1 */
static int
set_peak(struct sqlite_books *books, int64_t at_ms, const char *account)
{
	sqlite3_stmt *statement = sums_of_hour(books, SET_PEAK, at_ms, account);

	if (statement == NULL)
		return -1;
	return database_run(statement);
}

/* add_hour - what an account did in an hour; 0 or -1 */
static int
add_hour(struct sqlite_books *books, int64_t at_ms, const char *account,
    const struct daybook_delta *delta)
{
	sqlite3_stmt *statement = sums_of_hour(books, ADD_HOUR, at_ms, account);

	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int64(statement, 4, (int64_t)delta->sums.messages);
	(void)sqlite3_bind_int64(statement, 5, (int64_t)delta->sums.recipients);
	(void)sqlite3_bind_int64(statement, 6, daybook_refused(delta));
	return database_run(statement) == 0 ? set_peak(books, at_ms, account) : -1;
}

/* begin_day - what day is added to: its accounts are counted, and the oldest day may go */
static int
begin_day(struct sqlite_books *books, int day)
{
	sqlite3_stmt *statement = sums_prepared(books, COUNT_DAY);

	if (day == books->day)
		return 0;
	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int(statement, 1, day);
	if (sqlite3_step(statement) == SQLITE_ROW)
		books->n_day = (size_t)sqlite3_column_int64(statement, 0);
	if (database_run(statement) != 0)
		return -1;
	books->day = day;
	return 0;
}

/* add_delta - what one account did; 1: as "*", because there are too many; 0, or -1 */
static int
add_delta(struct sqlite_books *books, int64_t at_ms, const struct daybook_delta *delta)
{
	const char *account = delta->account;
	int day = daybook_day(at_ms);
	int changed = sqlite_sums_change(books, ADD_SUM, at_ms, account, delta);

	if (changed == 0 && books->n_day >= books->accounts && strcmp(account, "*") != 0) {
		account = "*";
		changed = sqlite_sums_change(books, ADD_SUM, at_ms, account, delta);
	}
	if (changed == 0) {
		changed = sqlite_sums_change(books, MAKE_SUM, at_ms, account, delta);
		books->n_day++;
	}
	if (changed < 0 || add_hour(books, at_ms, account, delta) != 0 ||
	    sqlite_books_add_refusals(books, day, account, delta->refused, false) != 0 ||
	    sqlite_books_add_refusals(books, day, account, delta->would, true) != 0 ||
	    sqlite_books_add_refusal(books, day, account, DAYBOOK_BLOCK, delta->blocks) != 0)
		return -1;
	return account != delta->account;
}

/* end_day - if a day is new, the oldest goes */
static int
end_day(struct sqlite_books *books, int64_t at_ms)
{
	int64_t last_ms = at_ms - BOOKS_HOURS_DAYS * CLOCK_DAY_MS;

	if (sums_delete(books, DELETE_REFUSALS, DAYBOOK_DAYS) != 0 ||
	    sums_delete(books, DELETE_HOURS, daybook_day(last_ms)) != 0)
		return -1;
	return sums_delete(books, DELETE_SUMS, DAYBOOK_DAYS);
}

static int
sqlite_sums_add(void *impl, TALLOC_CTX *ctx, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, size_t *done_r, const char **error_r)
{
	struct sqlite_books *books = impl;
	int beyond = 0, added = 0;
	bool is_new;
	int result = sqlite_books_begin(books);

	is_new = books->day != daybook_day(at_ms);
	if (result == 0)
		result = begin_day(books, daybook_day(at_ms));
	for (size_t i = 0; i < n && result == 0; i++) {
		added = add_delta(books, at_ms, &deltas[i]);
		beyond += added > 0;
		result = added < 0 ? -1 : 0;
	}
	if (result == 0 && is_new)
		result = end_day(books, at_ms);
	if (sqlite_books_end(books, ctx, result, error_r) != 0)
		return -1;
	*done_r = n;
	return beyond;
}

static const char read_sums_sql[] =
    "SELECT s.account, messages, recipients, bytes, connections, peak_messages, peak_recipients,"
    " r.reason, r.n"
    " FROM sums AS s LEFT JOIN refusals AS r ON r.day = s.day AND r.account = s.account"
    " WHERE s.day = ?1 ORDER BY s.account";

/* sqlite_sums_row_of - the sums of a row of that query, without hours and refusals */
static void
sqlite_sums_row_of(sqlite3_stmt *statement, struct daybook_row *row)
{
	uint64_t n[7];

	for (int i = 1; i < 7; i++)
		n[i] = (uint64_t)sqlite3_column_int64(statement, i);
	*row = (struct daybook_row){ .day = { n[1], n[2], n[3] }, .connections = n[4],
		.peak_messages = n[5], .peak_recipients = n[6] };
}

/* each_sum - call each for every account: a row of the query for each of its reasons, at least
 * one */
static int
each_sum(sqlite3_stmt *statement, books_sums_each *each, void *arg)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct daybook_row row = { 0 };
	char *account = NULL;
	int code;

	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *name = database_column(statement, 0);
		const char *reason;

		if (account == NULL || strcmp(account, name) != 0) {
			if (account != NULL)
				each(arg, account, &row);
			talloc_free(account);
			account = mem_strdup(tmp, name);
			sqlite_sums_row_of(statement, &row);
		}
		reason = (const char *)sqlite3_column_text(statement, 7);
		if (reason != NULL)
			daybook_set_reason(&row, reason, strlen(reason),
			    (uint32_t)sqlite3_column_int64(statement, 8));
	}
	if (account != NULL)
		each(arg, account, &row);
	talloc_free(tmp);
	return code == SQLITE_DONE ? 0 : -1;
}

static int
sqlite_sums_read(void *impl, TALLOC_CTX *ctx, int day, books_sums_each *each, void *arg,
    const char **error_r)
{
	struct sqlite_books *books = impl;
	struct database *db = sqlite_books_reader(books, ctx, error_r);
	sqlite3_stmt *statement = NULL;
	int result = -1;

	if (db == NULL)
		return -1;
	if (sqlite3_prepare_v2(db->db, read_sums_sql, -1, &statement, NULL) == SQLITE_OK) {
		(void)sqlite3_bind_int(statement, 1, day);
		result = each_sum(statement, each, arg);
	}
	if (result != 0)
		*error_r = database_error(db, ctx);
	(void)sqlite3_finalize(statement);
	(void)pthread_mutex_unlock(books->read_lock);
	return result;
}

static int
sqlite_sums_read_hours(void *impl, TALLOC_CTX *ctx, const char *account, int day,
    struct daybook_hour hours[DAYBOOK_HOURS], const char **error_r)
{
	struct sqlite_books *books = impl;
	struct database *db = sqlite_books_reader(books, ctx, error_r);
	sqlite3_stmt *statement = NULL;
	int code = SQLITE_ERROR;

	if (db == NULL)
		return -1;
	if (sqlite3_prepare_v2(db->db, "SELECT hour, messages, recipients, refused, EXISTS (SELECT 1"
		" FROM refusals WHERE day = ?1 AND account = ?2 AND reason IN ('"
		DAYBOOK_BLOCK "', 'blocked'))"
		" FROM hours WHERE day = ?1 AND account = ?2", -1, &statement, NULL) == SQLITE_OK) {
		(void)sqlite3_bind_int(statement, 1, day);
		database_text(statement, 2, account);
		while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
			int hour = sqlite3_column_int(statement, 0);

			if (hour >= 0 && hour < DAYBOOK_HOURS)
				hours[hour] = (struct daybook_hour){
					(uint32_t)sqlite3_column_int64(statement, 1),
					(uint32_t)sqlite3_column_int64(statement, 2),
					(uint32_t)sqlite3_column_int64(statement, 3),
					sqlite3_column_int(statement, 4) != 0 };
		}
	}
	if (code != SQLITE_DONE)
		*error_r = database_error(db, ctx);
	(void)sqlite3_finalize(statement);
	(void)pthread_mutex_unlock(books->read_lock);
	return code == SQLITE_DONE ? 0 : -1;
}

/* --- sums of domains that were signed for --- */

/* sqlite_sums_sign - add to a domain's; 0 or -1 */
static int
sqlite_sums_sign(struct sqlite_books *books, int day, const struct daybook_delta *delta)
{
	sqlite3_stmt *statement = sums_prepared(books, ADD_SIGNED);

	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int(statement, 1, day);
	database_text(statement, 2, delta->account);
	(void)sqlite3_bind_int64(statement, 3, (int64_t)delta->sums.messages);
	(void)sqlite3_bind_int64(statement, 4, (int64_t)delta->sums.recipients);
	(void)sqlite3_bind_int64(statement, 5, (int64_t)delta->sums.bytes);
	return database_run(statement);
}

static int
sqlite_sums_add_signed(void *impl, TALLOC_CTX *ctx, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, size_t *done_r, const char **error_r)
{
	struct sqlite_books *books = impl;
	int result = sqlite_books_begin(books);

	for (size_t i = 0; i < n && result == 0; i++)
		result = sqlite_sums_sign(books, daybook_day(at_ms), &deltas[i]);
	if (result == 0)
		result = sums_delete(
		    books, DELETE_SIGNED, daybook_day(at_ms - DAYBOOK_DAYS * CLOCK_DAY_MS));
	if (sqlite_books_end(books, ctx, result, error_r) != 0)
		return -1;
	*done_r = n;
	return 0;
}

static int
sqlite_sums_read_signed(void *impl, TALLOC_CTX *ctx, int day, books_sums_each *each, void *arg,
    const char **error_r)
{
	struct sqlite_books *books = impl;
	struct database *db = sqlite_books_reader(books, ctx, error_r);
	sqlite3_stmt *statement = NULL;
	int code = SQLITE_ERROR;

	if (db == NULL)
		return -1;
	if (sqlite3_prepare_v2(db->db, "SELECT domain, messages, recipients, bytes FROM signed"
		" WHERE day = ?1", -1, &statement, NULL) == SQLITE_OK) {
		(void)sqlite3_bind_int(statement, 1, day);
		while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
			struct daybook_row row = { .day = {
				(uint64_t)sqlite3_column_int64(statement, 1),
				(uint64_t)sqlite3_column_int64(statement, 2),
				(uint64_t)sqlite3_column_int64(statement, 3) } };

			each(arg, database_column(statement, 0), &row);
		}
	}
	if (code != SQLITE_DONE)
		*error_r = database_error(db, ctx);
	(void)sqlite3_finalize(statement);
	(void)pthread_mutex_unlock(books->read_lock);
	return code == SQLITE_DONE ? 0 : -1;
}

/* --- what the filter did --- */

/* add_rate - to one count of a minute or hour; 0 or -1 */
static int
add_rate(struct sqlite_books *books, int64_t at_ms, int64_t span_ms, const char *host,
    const char *word, long long n)
{
	sqlite3_stmt *statement = sums_prepared(books, ADD_RATE);

	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int64(statement, 1, span_ms / 1000);
	(void)sqlite3_bind_int64(statement, 2, at_ms - at_ms % span_ms);
	database_text(statement, 3, host);
	database_text(statement, 4, word);
	(void)sqlite3_bind_int64(statement, 5, n);
	return database_run(statement);
}

/* sqlite_sums_add_words - counts as text, each as a row of the minute and of the hour; 0 or -1 */
static int
sqlite_sums_add_words(struct sqlite_books *books, int64_t at_ms, const char *host, char *text)
{
	char *rest = NULL;

	for (char *word = strtok_r(text, ",", &rest); word != NULL;
	     word = strtok_r(NULL, ",", &rest)) {
		char *equals = strchr(word, '=');
		long long n;

		if (equals == NULL)
			continue;
		*equals = '\0';
		n = strtoll(equals + 1, NULL, 10);
		if (add_rate(books, at_ms, CLOCK_MINUTE_MS, host, word, n) != 0 ||
		    add_rate(books, at_ms, CLOCK_HOUR_MS, host, word, n) != 0)
			return -1;
	}
	return 0;
}

/* delete_rates - what is older than that; 0 or -1 */
static int
delete_rates(struct sqlite_books *books, int64_t span_ms, int64_t before_ms)
{
	sqlite3_stmt *statement = sums_prepared(books, DELETE_RATES);

	if (statement == NULL)
		return -1;
	(void)sqlite3_bind_int64(statement, 1, span_ms / 1000);
	(void)sqlite3_bind_int64(statement, 2, before_ms);
	return database_run(statement);
}

static int
sqlite_sums_add_rates(void *impl, TALLOC_CTX *ctx, int64_t at_ms, const char *host,
    const struct rates *rates, const char **error_r)
{
	struct sqlite_books *books = impl;
	int result = sqlite_books_begin(books);

	if (result == 0)
		result = sqlite_sums_add_words(books, at_ms, host, rates_write(ctx, rates));
	if (result == 0)
		result = delete_rates(books, CLOCK_MINUTE_MS,
		    at_ms - BOOKS_MINUTES_DAYS * CLOCK_DAY_MS - CLOCK_HOUR_MS);
	if (result == 0)
		result = delete_rates(books, CLOCK_HOUR_MS,
		    at_ms - BOOKS_HOURS_DAYS * CLOCK_DAY_MS - CLOCK_HOUR_MS);
	return sqlite_books_end(books, ctx, result, error_r);
}

/* each_rate - call each for every time and host; a row of the statement for each count */
static int
each_rate(sqlite3_stmt *statement, TALLOC_CTX *ctx, books_rates_each *each, void *arg)
{
	struct rates rates = { .actions = { 0 } };
	char *host = NULL;
	int64_t at_ms = 0;
	int code;

	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		int64_t at = sqlite3_column_int64(statement, 0);
		const char *name = database_column(statement, 1);
		char *text;

		if (host == NULL || at != at_ms || strcmp(host, name) != 0) {
			if (host != NULL)
				each(arg, at_ms, host, &rates);
			talloc_free(host);
			host = mem_strdup(ctx, name);
			at_ms = at;
			rates = (struct rates){ .actions = { 0 } };
		}
		text = mem_printf(ctx, "%s=%lld", database_column(statement, 2),
		    (long long)sqlite3_column_int64(statement, 3));
		rates_parse(text, strlen(text), &rates);
		talloc_free(text);
	}
	if (host != NULL)
		each(arg, at_ms, host, &rates);
	talloc_free(host);
	return code == SQLITE_DONE ? 0 : -1;
}

static int
sqlite_sums_read_rates(void *impl, TALLOC_CTX *ctx, bool by_hour, int64_t from_ms, int64_t to_ms,
    books_rates_each *each, void *arg, const char **error_r)
{
	struct sqlite_books *books = impl;
	struct database *db = sqlite_books_reader(books, ctx, error_r);
	sqlite3_stmt *statement = NULL;
	int result = -1;

	if (db == NULL)
		return -1;
	if (sqlite3_prepare_v2(db->db, "SELECT at, host, word, n FROM rates WHERE seconds = ?1 AND"
		" at BETWEEN ?2 AND ?3 ORDER BY at, host", -1, &statement, NULL) == SQLITE_OK) {
		(void)sqlite3_bind_int(statement, 1, by_hour ? 3600 : 60);
		(void)sqlite3_bind_int64(statement, 2, from_ms);
		(void)sqlite3_bind_int64(statement, 3, to_ms);
		result = each_rate(statement, ctx, each, arg);
	}
	if (result != 0)
		*error_r = database_error(db, ctx);
	(void)sqlite3_finalize(statement);
	(void)pthread_mutex_unlock(books->read_lock);
	return result;
}

const struct books_sums_kind books_sqlite_sums = {
	.add = sqlite_sums_add,
	.read = sqlite_sums_read,
	.read_hours = sqlite_sums_read_hours,
	.add_signed = sqlite_sums_add_signed,
	.read_signed = sqlite_sums_read_signed,
	.add_rates = sqlite_sums_add_rates,
	.read_rates = sqlite_sums_read_rates,
};
