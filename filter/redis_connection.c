/*
 * redis_connection.c - one connection to a Redis server: making it, and one exchange on it
 *
 * hiredis formats commands and reads answers; waiting is done here. Its own time-out bounds
 * one read or write, and a server that sends an octet now and then would hold a mail
 * thread for ever. So every context is non-blocking, and one poll loop sends and receives
 * until an absolute deadline that the caller chose; connecting, AUTH and SELECT are within it.
 *
 * What a caller must know after a failure is whether the command may have been executed. It cannot
 * have been as long as its last octet has not left us; afterwards only an answer tells.
 *
 * Thread rule: no state; a connection belongs to whoever holds it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/redis_inside.h"
#include "filter/store.h"
#include "policy/mem.h"

/* --- waiting --- */

/* wait_fd - until the descriptor is ready for events; false at the deadline */
static bool
wait_fd(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd entry = { .fd = fd, .events = events };
		int64_t left = deadline_ms - store_clock_ms();
		int n;

		if (left <= 0)
			return false;
		n = poll(&entry, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

/* --- one exchange on one connection --- */

/* send_all - write what the context holds */
static enum redis_exchange
send_all(redisContext *context, int64_t deadline_ms, const char **why_r)
{
	int done = 0;

	for (;;) {
		if (redisBufferWrite(context, &done) != REDIS_OK) {
			*why_r = context->errstr;
			return EXCHANGE_UNSENT;
		}
		if (done)
			return EXCHANGE_DONE;
		if (!wait_fd(context->fd, POLLOUT, deadline_ms)) {
			*why_r = "it took no command before the deadline";
			return EXCHANGE_UNSENT;
		}
	}
}

/* receive - read one answer */
static enum redis_exchange
receive(redisContext *context, int64_t deadline_ms, redisReply **reply_r, const char **why_r)
{
	void *reply = NULL;

	for (;;) {
		if (redisGetReplyFromReader(context, &reply) != REDIS_OK)
			break;
		if (reply != NULL) {
			*reply_r = reply;
			return EXCHANGE_DONE;
		}
		if (!wait_fd(context->fd, POLLIN, deadline_ms)) {
			*why_r = "no answer before the deadline";
			return EXCHANGE_TIMEOUT;
		}
		if (redisBufferRead(context) != REDIS_OK)
			break;
	}
	*why_r = context->errstr;
	return EXCHANGE_CLOSED;
}

/* redis_exchange - one command and its answer; *why_r lives as long as the context */
enum redis_exchange
redis_exchange(redisContext *context, int argc, const char **argv, const size_t *argv_len,
    int64_t deadline_ms, redisReply **reply_r, const char **why_r)
{
	enum redis_exchange sent;

	*reply_r = NULL;
	if (redisAppendCommandArgv(context, argc, argv, argv_len) != REDIS_OK) {
		*why_r = context->errstr;
		return EXCHANGE_UNSENT;
	}
	sent = send_all(context, deadline_ms, why_r);
	return sent == EXCHANGE_DONE ? receive(context, deadline_ms, reply_r, why_r) : sent;
}

/* --- making a connection --- */

/* connect_to - a connected, non-blocking socket, or -1 with errno */
static int
connect_to(const struct redis_address *address, int64_t deadline_ms)
{
	int fd = socket(address->name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, code = 0;
	socklen_t len = sizeof(code);

	if (fd < 0)
		return -1;
	if (address->name.ss_family != AF_UNIX) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	if (connect(fd, (const struct sockaddr *)&address->name, address->len) == 0)
		return fd;
	if (errno != EINPROGRESS)
		code = errno;
	else if (!wait_fd(fd, POLLOUT, deadline_ms))
		code = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		code = errno;
	if (code == 0)
		return fd;
	close(fd);
	errno = code;
	return -1;
}

/* connect_any - a socket to the first address that works, or -1 with errno */
static int
connect_any(const struct redis_place *place, int64_t deadline_ms)
{
	int fd = -1;

	errno = EHOSTUNREACH;
	for (size_t i = 0; i < place->n && fd < 0; i++) {
		/* Each gets its share of the time, so that a silent one does not eat it all. */
		int64_t now = store_clock_ms();

		fd = connect_to(&place->addresses[i], now + (deadline_ms - now) / (int64_t)(place->n - i));
	}
	return fd;
}

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
	if (redis_exchange(connection->context, argc, argv, argv_len, deadline_ms, &reply, &why) !=
	    EXCHANGE_DONE) {
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

/* introduce - AUTH and SELECT, where configured */
static int
introduce(const struct redis_pool *pool, struct redis_connection *connection, TALLOC_CTX *ctx,
    int64_t deadline_ms, const char **error_r)
{
	const char *auth[3] = { "AUTH" }, *select[2] = { "SELECT" };
	char database[16];
	int n = 1;

	if (pool->password != NULL) {
		if (pool->user != NULL)
			auth[n++] = pool->user;
		auth[n++] = pool->password;
		if (redis_greet(connection, ctx, n, auth, deadline_ms, error_r) < 0)
			return -1;
	}
	if (pool->database == 0 || pool->cluster)
		return 0;
	snprintf(database, sizeof(database), "%u", pool->database);
	select[1] = database;
	return redis_greet(connection, ctx, 2, select, deadline_ms, error_r);
}

/* redis_connection_open - a new connection to a place; as whom: pool's user, or nobody (introduced false); NULL with an error */
struct redis_connection *
redis_connection_open(struct redis_pool *pool, const struct redis_place *place, bool introduced,
    TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r)
{
	struct redis_connection *connection;
	int fd = connect_any(place, deadline_ms);

	if (fd < 0) {
		*error_r = mem_printf(ctx, "cannot connect: %s", strerror(errno));
		return NULL;
	}
	connection = mem_new(NULL, struct redis_connection);
	connection->context = mem_check(redisConnectFd(fd));
	/* redisConnectFd() takes the descriptor for a blocking one; ours is not. */
	connection->context->flags &= ~REDIS_BLOCK;
	if (introduced && introduce(pool, connection, ctx, deadline_ms, error_r) < 0) {
		redis_connection_close(connection);
		return NULL;
	}
	return connection;
}

/* redis_connection_close - accepts NULL */
void
redis_connection_close(struct redis_connection *connection)
{
	if (connection == NULL)
		return;
	if (connection->context != NULL)
		redisFree(connection->context);
	talloc_free(connection);
}
