/*
 * mysql.c - mysql: tables, for MySQL and MariaDB
 *
 * Reads mysql_table(5)'s files. The client library blocks, with time-outs in whole seconds; who
 * asks does not wait for it longer than the deadline (workers.h). Text goes to and fro in UTF-8
 * ("charset" may say otherwise), and the key is quoted by the library for the very connection.
 *
 * If the file names certificates or a verification, there is TLS or no connection.
 *
 * Threads: a connection belongs to one worker.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <mysql.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/table/sql.h"
#include "policy/base/mem.h"

#define CLIENT_ERRORS	2000	/* the library's own errors are from here to */
#define CLIENT_LAST	2999
#define CLIENT_MORE	5000	/* and from here on; those between are the server's */
#define ER_SHUTDOWN	1053
#define ER_KILLED	1927
#define ER_TOO_MANY	1040

struct config {
	struct rules rules;
	const char *query;
	struct sql_host *hosts;
	const char *dbname;
	const char *user;
	char *password;
	const char *charset;
	const char *option_file;	/* or NULL, as the next */
	const char *option_group;
	const char *tls_key_file, *tls_cert_file, *tls_ca_file, *tls_ca_path, *tls_ciphers;
	bool tls_verify;
	bool require_result_set;
};

struct connection {
	MYSQL *mysql;
	bool spoiled;		/* an answer was not read to its end */
};

static pthread_once_t library = PTHREAD_ONCE_INIT;

static void
init_library(void)
{
	(void)mysql_library_init(0, NULL, NULL);
}

static int
mysql_table_config_free(struct config *config)
{
	if (config->password != NULL)
		explicit_bzero(config->password, strlen(config->password));
	return 0;
}

/* seconds_to - what is left until the deadline, as the library wants it */
static unsigned int
seconds_to(int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_ms();

	return left <= 1000 ? 1 : (unsigned int)((left + 999) / 1000);
}

/* mysql_table_set_tls - as the file says */
static void
mysql_table_set_tls(const struct config *config, MYSQL *mysql)
{
	my_bool yes = 1, verify = config->tls_verify;

	(void)mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
	if (config->tls_key_file == NULL && config->tls_cert_file == NULL &&
	    config->tls_ca_file == NULL && config->tls_ca_path == NULL &&
	    config->tls_ciphers == NULL && !config->tls_verify)
		return;
	(void)mysql_ssl_set(mysql, config->tls_key_file, config->tls_cert_file, config->tls_ca_file,
	    config->tls_ca_path, config->tls_ciphers);
	(void)mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
}

/* mysql_table_set_options - everything before connecting */
static void
mysql_table_set_options(const struct config *config, MYSQL *mysql, int64_t deadline_ms)
{
	unsigned int seconds = seconds_to(deadline_ms);
	my_bool no = 0;

	(void)mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
	(void)mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &seconds);
	(void)mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
	(void)mysql_options(mysql, MYSQL_OPT_RECONNECT, &no);
	(void)mysql_options(mysql, MYSQL_SET_CHARSET_NAME, config->charset);
	if (config->option_file != NULL)
		(void)mysql_options(mysql, MYSQL_READ_DEFAULT_FILE, config->option_file);
	if (config->option_group != NULL)
		(void)mysql_options(mysql, MYSQL_READ_DEFAULT_GROUP, config->option_group);
	mysql_table_set_tls(config, mysql);
}

static void
mysql_disconnect(void *arg)
{
	struct connection *connection = arg;

	mysql_close(connection->mysql);
}

static void *
mysql_connect_to(
    TALLOC_CTX *ctx, const void *arg, size_t server, int64_t deadline_ms, const char **error_r)
{
	const struct config *config = arg;
	const struct sql_host *host = &config->hosts[server];
	struct connection *connection = mem_new(ctx, struct connection);
	unsigned int port = host->port != NULL ? (unsigned int)strtoul(host->port, NULL, 10) : 0;

	(void)pthread_once(&library, init_library);
	connection->mysql = mem_check(mysql_init(NULL));
	mysql_table_set_options(config, connection->mysql, deadline_ms);
	if (mysql_real_connect(connection->mysql, host->name, config->user, config->password,
		config->dbname, port, host->socket, CLIENT_MULTI_RESULTS) != NULL)
		return connection;
	*error_r = mem_printf(ctx, "cannot connect: %s", mysql_error(connection->mysql));
	mysql_close(connection->mysql);
	return NULL;
}

/* mysql_table_quote - text within quotation marks of SQL, as this connection reads them */
static char *
mysql_table_quote(void *arg, TALLOC_CTX *ctx, const char *value)
{
	unsigned long len = strlen(value);
	char *quoted = mem_array(ctx, char, 2 * len + 1);

	return mysql_real_escape_string(arg, quoted, value, len) != (unsigned long)-1 ? quoted
										      : NULL;
}

/* mysql_table_is_lost - is the error one of the connection, or of the server's state, rather
 * than of the query? */
static bool
mysql_table_is_lost(unsigned int code)
{
	return (code >= CLIENT_ERRORS && code <= CLIENT_LAST) || code >= CLIENT_MORE ||
	    code == ER_SHUTDOWN || code == ER_KILLED || code == ER_TOO_MANY;
}

/* failed - the library's error */
static enum worker_result
failed(TALLOC_CTX *ctx, MYSQL *mysql, const char **error_r)
{
	*error_r = mem_strdup(ctx, mysql_error(mysql));
	return mysql_table_is_lost(mysql_errno(mysql)) ? WORKER_LOST : WORKER_ERROR;
}

/* mysql_table_read_rows - every column of every row is a result */
static enum worker_result
mysql_table_read_rows(const struct config *config, struct connection *connection, TALLOC_CTX *ctx,
    MYSQL_RES *rows, const char *key, struct rules_result *result, const char **error_r)
{
	unsigned int columns = mysql_num_fields(rows);
	MYSQL_ROW row;

	while ((row = mysql_fetch_row(rows)) != NULL) {
		const unsigned long *lengths = mysql_fetch_lengths(rows);

		for (unsigned int i = 0; i < columns; i++) {
			if (!rules_add(
				ctx, &config->rules, result, key, row[i], lengths[i], error_r))
				return WORKER_ERROR;
		}
	}
	return mysql_errno(connection->mysql) != 0 ? failed(ctx, connection->mysql, error_r)
						   : WORKER_ANSWER;
}

/* read_rest - what a procedure returns besides; a second set of rows is a mistake */
static enum worker_result
read_rest(struct connection *connection, TALLOC_CTX *ctx, const char **error_r)
{
	int more;

	while ((more = mysql_next_result(connection->mysql)) == 0) {
		if (mysql_field_count(connection->mysql) == 0)
			continue;
		connection->spoiled = true;
		*error_r = "the query returns more than one set of rows";
		return WORKER_ERROR;
	}
	return more > 0 ? failed(ctx, connection->mysql, error_r) : WORKER_ANSWER;
}

/* mysql_table_read_results - the answer to its end */
static enum worker_result
mysql_table_read_results(const struct config *config, struct connection *connection,
    TALLOC_CTX *ctx, const char *key, struct rules_result *result, const char **error_r)
{
	MYSQL_RES *rows = mysql_use_result(connection->mysql);
	enum worker_result outcome = WORKER_ANSWER;

	if (rows == NULL && mysql_errno(connection->mysql) != 0)
		return failed(ctx, connection->mysql, error_r);
	if (rows != NULL) {
		outcome =
		    mysql_table_read_rows(config, connection, ctx, rows, key, result, error_r);
		mysql_free_result(rows);	/* reads the rest */
	} else if (config->require_result_set) {
		*error_r =
		    "the query returns no rows; require_result_set = no would take that for \"not found\"";
		outcome = WORKER_ERROR;
	}
	if (outcome == WORKER_ANSWER)
		return read_rest(connection, ctx, error_r);
	connection->spoiled = mysql_more_results(connection->mysql);
	return outcome;
}

static enum worker_result
mysql_ask(const void *arg, void *handle, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    const char **value_r, const char **error_r)
{
	const struct config *config = arg;
	struct connection *connection = handle;
	struct rules_result result = { NULL, 0 };
	enum worker_result outcome;
	char *query;
	bool bad;

	(void)deadline_ms;	/* the library's own time-outs hold */
	if (connection->spoiled)
		return WORKER_LOST;
	query = rules_query(
	    ctx, &config->rules, config->query, key, mysql_table_quote, connection->mysql, &bad);
	if (query == NULL) {
		*error_r = bad ? "the key cannot be quoted" : NULL;
		return bad ? WORKER_ERROR : WORKER_ANSWER;
	}
	if (mysql_real_query(connection->mysql, query, strlen(query)) != 0)
		return failed(ctx, connection->mysql, error_r);
	outcome = mysql_table_read_results(config, connection, ctx, key, &result, error_r);
	if (outcome == WORKER_ANSWER)
		*value_r = rules_value(&result);
	return outcome;
}

static const struct worker_driver driver = { mysql_connect_to, mysql_ask, mysql_disconnect,
	mysql_thread_end };

/* mysql_table_optional - a value on config, or NULL if it is not set or empty */
static char *
mysql_table_optional(struct config *config, const struct table_cf *cf, const char *name)
{
	const char *value = table_cf_text(cf, name, "");

	return value[0] != '\0' ? mem_strdup(config, value) : NULL;
}

/* mysql_table_load - what the .cf file says */
static bool
mysql_table_load(void *arg, const struct table_env *env, const struct table_cf *cf,
    struct worker_servers *servers_r, const char **error_r)
{
	struct config *config = arg;

	talloc_set_destructor(config, mysql_table_config_free);
	config->hosts = sql_hosts(config, cf, servers_r);
	config->dbname = mysql_table_optional(config, cf, "dbname");
	config->user = mysql_table_optional(config, cf, "user");
	config->password = mysql_table_optional(config, cf, "password");
	config->charset = mem_strdup(config, table_cf_text(cf, "charset", "utf8mb4"));
	config->option_file = mysql_table_optional(config, cf, "option_file");
	config->option_group = table_cf_text(cf, "option_group", NULL) == NULL ? "client" :
	    mysql_table_optional(config, cf, "option_group");
	config->tls_key_file = mysql_table_optional(config, cf, "tls_key_file");
	config->tls_cert_file = mysql_table_optional(config, cf, "tls_cert_file");
	config->tls_ca_file = mysql_table_optional(config, cf, "tls_CAfile");
	config->tls_ca_path = mysql_table_optional(config, cf, "tls_CApath");
	config->tls_ciphers = mysql_table_optional(config, cf, "tls_ciphers");
	config->tls_verify = table_cf_bool(cf, "tls_verify_cert", false, error_r);
	config->require_result_set = table_cf_bool(cf, "require_result_set", true, error_r);
	return *error_r == NULL &&
	    sql_query(config, &config->rules, cf, &config->query, error_r) &&
	    rules_load(config, &config->rules, env, cf, error_r);
}

static const struct sql_type type = { &driver, mysql_table_load };

static void *
mysql_open(TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct config *config = mem_new(NULL, struct config);

	return sql_open(ctx, &type, config, &config->rules, env, argument, error_r);
}

const struct table_type table_mysql = { "mysql", TABLE_FOLD | TABLE_REMOTE, mysql_open,
	sql_table_get, NULL, NULL };
