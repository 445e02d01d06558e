/*
 * pgsql.c - pgsql: tables
 *
 * Reads pgsql_table(5)'s files. libpq can be asked without blocking, so connecting and asking keep
 * to the deadline by themselves. Text goes to and fro in UTF-8 ("encoding" may say otherwise), and
 * the key is quoted by the library for the very connection. The query is sent in the form that
 * allows one statement only.
 *
 * Threads: a connection belongs to one worker (workers.h).
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <libpq-fe.h>
#include <poll.h>
#include <string.h>

#include "filter/base/socket.h"
#include "filter/table/sql.h"
#include "policy/base/mem.h"

struct config {
	struct rules rules;
	const char *query;
	struct sql_host *hosts;
	const char *dbname;
	const char *user;
	char *password;
	const char *encoding;
};

struct connection {
	PGconn *pg;
	bool spoiled;		/* an answer was not read to its end */
};

static int
pgsql_table_config_free(struct config *config)
{
	if (config->password != NULL)
		explicit_bzero(config->password, strlen(config->password));
	return 0;
}

/* last_error - the library's message on one line */
static const char *
last_error(TALLOC_CTX *ctx, const PGconn *pg)
{
	char *text = mem_strdup(ctx, PQerrorMessage(pg));

	for (char *p = text; *p != '\0'; p++)
		if (*p == '\n')
			*p = p[1] == '\0' ? '\0' : ' ';
	return text[0] != '\0' ? text : "no reason given";
}

/* finish_connecting - let the library connect until the deadline */
static bool
finish_connecting(TALLOC_CTX *ctx, PGconn *pg, int64_t deadline_ms, const char **error_r)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
		if (!socket_wait(PQsocket(pg), status == PGRES_POLLING_READING ? POLLIN : POLLOUT,
			deadline_ms)) {
			*error_r = PQsocket(pg) < 0 ? last_error(ctx, pg)
						    : "no connection within the time allowed";
			return false;
		}
		status = PQconnectPoll(pg);
	}
	if (status == PGRES_POLLING_OK)
		return true;
	*error_r = last_error(ctx, pg);
	return false;
}

/* start_connecting - by the parameters of a host; a URI has all of them itself */
static PGconn *
start_connecting(const struct config *config, const struct sql_host *host)
{
	const char *names[] = { "host", "port", "dbname", "user", "password", "client_encoding",
	    "fallback_application_name", NULL };
	const char *values[] = { host->socket != NULL ? host->socket : host->name, host->port,
		config->dbname, config->user, config->password, config->encoding, "countersign",
		NULL };
	const char *uri_names[] = { "dbname", "client_encoding", "fallback_application_name",
		NULL };
	const char *uri_values[] = { host->name, config->encoding, "countersign", NULL };

	if (host->name != NULL && strstr(host->name, "://") != NULL)
		return PQconnectStartParams(uri_names, uri_values, 1);
	return PQconnectStartParams(names, values, 0);
}

static void
pgsql_disconnect(void *arg)
{
	struct connection *connection = arg;

	PQfinish(connection->pg);
}

static void *
pgsql_connect(
    TALLOC_CTX *ctx, const void *arg, size_t server, int64_t deadline_ms, const char **error_r)
{
	const struct config *config = arg;
	struct connection *connection = mem_new(ctx, struct connection);

	connection->pg = mem_check(start_connecting(config, &config->hosts[server]));
	if (PQstatus(connection->pg) == CONNECTION_BAD)
		*error_r = last_error(ctx, connection->pg);
	else if (finish_connecting(ctx, connection->pg, deadline_ms, error_r) &&
	    PQsetnonblocking(connection->pg, 1) == 0)
		return connection;
	PQfinish(connection->pg);
	return NULL;
}

/* pgsql_table_quote - text within quotation marks of SQL, as this connection reads them */
static char *
pgsql_table_quote(void *arg, TALLOC_CTX *ctx, const char *value)
{
	size_t len = strlen(value);
	char *quoted = mem_array(ctx, char, 2 * len + 1);
	int error = 0;

	(void)PQescapeStringConn(arg, quoted, value, len, &error);
	return error == 0 ? quoted : NULL;
}

/* flush - the whole query out */
static bool
flush(PGconn *pg, int64_t deadline_ms)
{
	int left;

	while ((left = PQflush(pg)) > 0)
		if (!socket_wait(PQsocket(pg), POLLIN | POLLOUT, deadline_ms) ||
		    !PQconsumeInput(pg))
			return false;
	return left == 0;
}

/* next_result - the next result, or NULL at the end; *late_r when it did not come */
static PGresult *
next_result(PGconn *pg, int64_t deadline_ms, bool *late_r)
{
	while (PQisBusy(pg)) {
		if (socket_wait(PQsocket(pg), POLLIN, deadline_ms) && PQconsumeInput(pg))
			continue;
		*late_r = true;
		return NULL;
	}
	return PQgetResult(pg);
}

/* pgsql_table_read_rows - every column of every row is a result */
static bool
pgsql_table_read_rows(TALLOC_CTX *ctx, const struct config *config, const PGresult *rows,
    const char *key, struct rules_result *result, const char **error_r)
{
	for (int row = 0; row < PQntuples(rows); row++)
		for (int column = 0; column < PQnfields(rows); column++)
			if (!rules_add(ctx, &config->rules, result, key,
			    PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column),
			    (size_t)PQgetlength(rows, row, column), error_r))
				return false;
	return true;
}

/* pgsql_table_read_results - the answer to its end; the connection is good for more unless it
 * says WORKER_LOST or is spoiled */
static enum worker_result
pgsql_table_read_results(const struct config *config, struct connection *connection,
    TALLOC_CTX *ctx, const char *key, int64_t deadline_ms, struct rules_result *result,
    const char **error_r)
{
	PGresult *rows;
	bool late = false;

	while ((rows = next_result(connection->pg, deadline_ms, &late)) != NULL) {
		ExecStatusType status = PQresultStatus(rows);

		if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK && *error_r == NULL)
			*error_r = status == PGRES_FATAL_ERROR ? last_error(ctx, connection->pg)
							       : "the query returns no rows";
		else if (*error_r == NULL &&
		    !pgsql_table_read_rows(ctx, config, rows, key, result, error_r))
			connection->spoiled = true;
		PQclear(rows);
		if (connection->spoiled)
			break;
	}
	if (late || PQstatus(connection->pg) == CONNECTION_BAD) {
		*error_r = PQstatus(connection->pg) == CONNECTION_BAD
		    ? last_error(ctx, connection->pg)
		    : "no answer within the time allowed";
		return WORKER_LOST;
	}
	return *error_r != NULL ? WORKER_ERROR : WORKER_ANSWER;
}

static enum worker_result
pgsql_ask(const void *arg, void *handle, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    const char **value_r, const char **error_r)
{
	const struct config *config = arg;
	struct connection *connection = handle;
	struct rules_result result = { NULL, 0 };
	enum worker_result outcome;
	char *query;
	bool bad;

	if (connection->spoiled)
		return WORKER_LOST;
	query = rules_query(
	    ctx, &config->rules, config->query, key, pgsql_table_quote, connection->pg, &bad);
	if (query == NULL) {
		*error_r = bad ? "the key cannot be quoted" : NULL;
		return bad ? WORKER_ERROR : WORKER_ANSWER;
	}
	if (!PQsendQueryParams(connection->pg, query, 0, NULL, NULL, NULL, NULL, 0) ||
	    !PQsetSingleRowMode(connection->pg) || !flush(connection->pg, deadline_ms)) {
		*error_r = last_error(ctx, connection->pg);
		return WORKER_LOST;
	}
	outcome =
	    pgsql_table_read_results(config, connection, ctx, key, deadline_ms, &result, error_r);
	if (outcome == WORKER_ANSWER)
		*value_r = rules_value(&result);
	return outcome;
}

static const struct worker_driver driver = { pgsql_connect, pgsql_ask, pgsql_disconnect, NULL };

/* pgsql_table_load - what the .cf file says */
static bool
pgsql_table_load(void *arg, const struct table_env *env, const struct table_cf *cf,
    struct worker_servers *servers_r, const char **error_r)
{
	struct config *config = arg;
	config->hosts = sql_hosts(config, cf, servers_r);
	config->dbname = mem_strdup(config, table_cf_text(cf, "dbname", ""));
	config->user = mem_strdup(config, table_cf_text(cf, "user", ""));
	config->password = mem_strdup(config, table_cf_text(cf, "password", ""));
	config->encoding = mem_strdup(config, table_cf_text(cf, "encoding", "UTF8"));
	talloc_set_destructor(config, pgsql_table_config_free);
	return sql_query(config, &config->rules, cf, &config->query, error_r) &&
	    rules_load(config, &config->rules, env, cf, error_r);
}

static const struct sql_type type = { &driver, pgsql_table_load };

static void *
pgsql_open(TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct config *config = mem_new(NULL, struct config);

	return sql_open(ctx, &type, config, &config->rules, env, argument, error_r);
}

const struct table_type table_pgsql = { "pgsql", TABLE_FOLD | TABLE_REMOTE, pgsql_open,
	sql_table_get, NULL, NULL };
