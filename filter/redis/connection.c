/*
 * connection.c - one connection to a Redis server or a Sentinel: making it, and who we are there
 *
 * wire.c moves the octets; connecting, TLS, AUTH and SELECT are all within the caller's deadline.
 *
 * Thread rule: no state; a connection belongs to the thread that holds it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "filter/base/password_file.h"
#include "filter/redis/inside.h"
#include "filter/redis/wire.h"
#include "policy/base/mem.h"

/* redis_greet - one command of the greeting; -1 with an error that holds no secret */
int
redis_greet(struct redis_connection *connection, TALLOC_CTX *ctx, int argc, const char **argv,
    int64_t deadline_ms, const char **error_r)
{
	size_t argv_len[3];
	redisReply *reply;
	const char *why;
	int result = 0;

	for (int i = 0; i < argc; i++)
		argv_len[i] = strlen(argv[i]);
	if (redis_wire_exchange(
		connection->wire, argc, argv, argv_len, deadline_ms, &reply, &why) != WIRE_DONE) {
		*error_r = mem_printf(ctx, "%s failed: %s", argv[0], why);
		return -1;
	}
	if (reply->type == REDIS_REPLY_ERROR) {
		*error_r = mem_printf(ctx, "%s was refused: %s", argv[0], reply->str);
		result = -1;
	}
	freeReplyObject(reply);
	return result;
}

/* connection_password - that of servers, or of Sentinels; a copy on ctx; NULL: none */
static char *
connection_password(struct redis_pool *pool, TALLOC_CTX *ctx, bool sentinel)
{
	char *copy;

	(void)pthread_mutex_lock(&pool->lock);
	copy = mem_strdup_or_null(
	    ctx, sentinel ? pool->options.sentinel_password : pool->options.password);
	(void)pthread_mutex_unlock(&pool->lock);
	return copy;
}

/* authenticate - AUTH, if there is a password; -1 with an error */
static int
authenticate(struct redis_pool *pool, struct redis_connection *connection, bool sentinel,
    TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r)
{
	const char *user = sentinel ? pool->options.sentinel_user : pool->options.user;
	char *password = connection_password(pool, ctx, sentinel);
	const char *auth[3] = { "AUTH" };
	int n = 1, result;

	if (password == NULL)
		return 0;
	if (user != NULL)
		auth[n++] = user;
	auth[n++] = password;
	result = redis_greet(connection, ctx, n, auth, deadline_ms, error_r);
	password_wipe(password);
	talloc_free(password);
	return result;
}

/*
 * is_let_in - whether a server that speaks TLS likes our certificate, or that there is none
 * Since TLS 1.3 it says so after the handshake, in place of the first answer: a command that was
 * sent then would be one that may have been executed. Any answer to PING will do, a refusal as
 * well.
 */
static bool
is_let_in(const struct redis_pool *pool, struct redis_connection *connection, TALLOC_CTX *ctx,
    int64_t deadline_ms, const char **error_r)
{
	const char *argv[1] = { "PING" };
	const size_t argv_len[1] = { 4 };
	redisReply *reply;
	const char *why;

	if (redis_wire_exchange(connection->wire, 1, argv, argv_len, deadline_ms, &reply, &why) ==
	    WIRE_DONE) {
		freeReplyObject(reply);
		return true;
	}
	*error_r = mem_printf(ctx, "no answer after the TLS handshake: %s (%s)", why,
	    redis_tls_has_own(pool->tls) ? "it may not accept tls_cert_file"
					 : "it may want a tls_cert_file");
	return false;
}

/* redis_connection_introduce - AUTH and SELECT, if configured */
static int
redis_connection_introduce(struct redis_pool *pool, struct redis_connection *connection,
    TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r)
{
	const char *select[2] = { "SELECT" };
	char database[16];

	if (authenticate(pool, connection, false, ctx, deadline_ms, error_r) < 0)
		return -1;
	if (pool->options.database == 0 || pool->options.cluster)
		return 0;
	snprintf(database, sizeof(database), "%u", pool->options.database);
	select[1] = database;
	return redis_greet(connection, ctx, 2, select, deadline_ms, error_r);
}

/* redis_connection_open - a new connection to a server or, with sentinel, to a Sentinel; NULL with
 * an error */
struct redis_connection *
redis_connection_open(struct redis_pool *pool, const struct redis_place *place, bool sentinel,
    TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r)
{
	struct redis_wire *wire = redis_wire_open(place, pool->tls, ctx, deadline_ms, error_r);
	struct redis_connection *connection;

	if (wire == NULL)
		return NULL;
	connection = mem_new(NULL, struct redis_connection);
	connection->wire = wire;
	if ((pool->tls == NULL || is_let_in(pool, connection, ctx, deadline_ms, error_r)) &&
	    (sentinel
		    ? authenticate(pool, connection, true, ctx, deadline_ms, error_r)
		    : redis_connection_introduce(pool, connection, ctx, deadline_ms, error_r)) == 0)
		return connection;
	redis_connection_close(connection);
	return NULL;
}

/* redis_connection_close - accepts NULL */
void
redis_connection_close(struct redis_connection *connection)
{
	if (connection == NULL)
		return;
	redis_wire_close(connection->wire);
	talloc_free(connection);
}
