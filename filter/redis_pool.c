/*
 * redis_pool.c - connections to one Redis server, and calls with a deadline
 *
 * hiredis formats commands and reads answers; waiting is done here. Its own time-out bounds
 * one read or write, and a server that sends an octet now and then would hold a mail
 * thread for ever. So every context is non-blocking, and one poll loop sends and receives
 * until an absolute deadline that the caller chose; connecting, AUTH and SELECT are within it.
 *
 * What a caller must know after a failure is whether the command may have been executed. It cannot
 * have been as long as its last octet has not left us; afterwards only an answer tells.
 * A connection on which anything was out of order is closed, never pooled again: a late answer
 * must not be taken for that of the next command.
 *
 * Thread rule: pool->lock guards the list of idle connections, their number and the addresses. A
 * borrowed connection belongs to its borrower. Nothing waits with the lock held.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "filter/redis_pool.h"
#include "filter/store.h"
#include "policy/mem.h"

#define MAX_ADDRESSES	8

/* Where a server may be reached. */
struct address {
	struct sockaddr_storage name;
	socklen_t len;
};

/* One connection. A talloc root of its own, because it wanders between threads. */
struct connection {
	struct connection *next;	/* among the idle */
	redisContext *context;
	unsigned int generation;	/* of the pool when it was made */
	bool used;			/* it has answered a command before */
};

struct redis_pool {
	char *server;			/* as written */
	char *host;			/* NULL for a unix socket */
	char *port;
	int family;			/* AF_UNSPEC, AF_INET, AF_INET6 */
	char *user;			/* or NULL */
	char *password;			/* or NULL */
	unsigned int database;
	unsigned int max_connections;

	pthread_mutex_t lock;
	pthread_cond_t returned;	/* a connection was returned or closed */
	struct connection *idle;	/* the last returned first */
	unsigned int n_open;		/* idle and borrowed ones */
	unsigned int generation;	/* connections of an earlier one are closed on return */
	struct address addresses[MAX_ADDRESSES];
	size_t n_addresses;
};

/* --- the server's name --- */

/* look_up - addresses of host and port; flags as of getaddrinfo. Returns their number, or -1 */
static int
look_up(const struct redis_pool *pool, int flags, struct address *addresses, const char **why_r)
{
	struct addrinfo hints = { .ai_family = pool->family, .ai_socktype = SOCK_STREAM,
	    .ai_flags = flags };
	struct addrinfo *list;
	int n = 0, code;

	code = getaddrinfo(pool->host, pool->port, &hints, &list);
	if (code != 0) {
		*why_r = gai_strerror(code);
		return -1;
	}
	for (struct addrinfo *at = list; at != NULL && n < MAX_ADDRESSES; at = at->ai_next) {
		if (at->ai_addrlen > sizeof(addresses[n].name))
			continue;
		memcpy(&addresses[n].name, at->ai_addr, at->ai_addrlen);
		addresses[n++].len = at->ai_addrlen;
	}
	freeaddrinfo(list);
	return n;
}

/* set_unix - the address of a unix socket */
static int
set_unix(TALLOC_CTX *ctx, struct redis_pool *pool, const char *path, const char **error_r)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	if (path[0] != '/' || strlen(path) >= sizeof(name.sun_path)) {
		*error_r = mem_printf(ctx, "the Redis server \"%s\" is no usable socket path; write "
		    "\"unix:/run/redis/redis.sock\" (at most %zu octets after \"unix:\")", pool->server,
		    sizeof(name.sun_path) - 1);
		return -1;
	}
	memcpy(name.sun_path, path, strlen(path) + 1);
	memcpy(&pool->addresses[0].name, &name, sizeof(name));
	pool->addresses[0].len = sizeof(name);
	pool->n_addresses = 1;
	return 0;
}

/* split_port - cut "host:port" or "[address]:port"; false when it is neither */
static bool
split_port(struct redis_pool *pool, const char *text)
{
	const char *colon = strrchr(text, ':');
	const char *end = colon;
	char *rest;
	long port;

	if (colon == NULL || colon == text)
		return false;
	if (text[0] == '[') {
		text++;
		end = colon - 1;
		if (end <= text || *end != ']')
			return false;
	} else if (memchr(text, ':', (size_t)(colon - text)) != NULL)
		return false;
	errno = 0;
	port = strtol(colon + 1, &rest, 10);
	if (colon[1] < '0' || colon[1] > '9' || *rest != '\0' || errno != 0 || port < 1 || port > 65535)
		return false;
	pool->host = mem_strndup(pool, text, (size_t)(end - text));
	pool->port = mem_strdup(pool, colon + 1);
	return true;
}

/* read_server - understand the server as written */
static int
read_server(TALLOC_CTX *ctx, struct redis_pool *pool, const char **error_r)
{
	const char *text = pool->server, *why;
	int n;

	if (strncmp(text, "unix:", 5) == 0)
		return set_unix(ctx, pool, text + 5, error_r);
	pool->family = AF_UNSPEC;
	if (strncmp(text, "inet:", 5) == 0) {
		text += 5;
	} else if (strncmp(text, "inet6:", 6) == 0) {
		pool->family = AF_INET6;
		text += 6;
	}
	if (!split_port(pool, text)) {
		*error_r = mem_printf(ctx, "the Redis server \"%s\" cannot be read; write "
		    "\"unix:/run/redis/redis.sock\", \"inet:127.0.0.1:6379\" or \"inet6:[::1]:6379\"",
		    pool->server);
		return -1;
	}
	/* An address is known at once; a name is for redis_pool_resolve(). */
	n = look_up(pool, AI_NUMERICHOST | AI_NUMERICSERV, pool->addresses, &why);
	pool->n_addresses = n > 0 ? (size_t)n : 0;
	return 0;
}

/* is_name - whether the server has to be looked up */
static bool
is_name(const struct redis_pool *pool)
{
	struct address ignored[MAX_ADDRESSES];
	const char *why;

	return pool->host != NULL &&
	    look_up(pool, AI_NUMERICHOST | AI_NUMERICSERV, ignored, &why) < 0;
}

/* redis_pool_resolve - find the server's addresses */
int
redis_pool_resolve(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r)
{
	struct address found[MAX_ADDRESSES];
	const char *why = "it has no address";
	int n;

	if (!is_name(pool))
		return 0;
	n = look_up(pool, AI_NUMERICSERV | AI_ADDRCONFIG, found, &why);
	if (n <= 0) {
		*error_r = mem_printf(ctx, "the host %s cannot be found: %s", pool->host, why);
		return -1;
	}
	pthread_mutex_lock(&pool->lock);
	memcpy(pool->addresses, found, sizeof(found[0]) * (size_t)n);
	pool->n_addresses = (size_t)n;
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

/* redis_pool_server - the server as it was written */
const char *
redis_pool_server(const struct redis_pool *pool)
{
	return pool->server;
}

/* --- construction and destruction --- */

/* close_connection - accepts NULL */
static void
close_connection(struct connection *connection)
{
	if (connection == NULL)
		return;
	if (connection->context != NULL)
		redisFree(connection->context);
	talloc_free(connection);
}

/* pool_free - talloc destructor */
static int
pool_free(struct redis_pool *pool)
{
	redis_pool_drop_idle(pool);
	if (pool->password != NULL)
		explicit_bzero(pool->password, strlen(pool->password));
	pthread_cond_destroy(&pool->returned);
	pthread_mutex_destroy(&pool->lock);
	return 0;
}

/* init_locks - the condition waits by the clock that deadlines use */
static void
init_locks(struct redis_pool *pool)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->returned, &attributes);
	pthread_condattr_destroy(&attributes);
}

/* copy_or_null - a copy of an optional string */
static char *
copy_or_null(TALLOC_CTX *ctx, const char *text)
{
	return text != NULL ? mem_strdup(ctx, text) : NULL;
}

/* redis_pool_new - prepare connections to a server */
struct redis_pool *
redis_pool_new(TALLOC_CTX *ctx, const struct redis_pool_options *options, const char **error_r)
{
	struct redis_pool *pool = mem_new(ctx, struct redis_pool);

	pool->server = mem_strdup(pool, options->server);
	pool->user = copy_or_null(pool, options->user);
	pool->password = copy_or_null(pool, options->password);
	pool->database = options->database;
	pool->max_connections = options->connections > 0 ? options->connections : 1;
	init_locks(pool);
	talloc_set_destructor(pool, pool_free);
	if (read_server(ctx, pool, error_r) < 0) {
		talloc_free(pool);
		return NULL;
	}
	return pool;
}

/* redis_pool_drop_idle - close connections that nobody uses */
void
redis_pool_drop_idle(struct redis_pool *pool)
{
	struct connection *list;

	pthread_mutex_lock(&pool->lock);
	list = pool->idle;
	pool->idle = NULL;
	pool->generation++;
	for (struct connection *at = list; at != NULL; at = at->next)
		pool->n_open--;
	pthread_cond_broadcast(&pool->returned);
	pthread_mutex_unlock(&pool->lock);
	while (list != NULL) {
		struct connection *next = list->next;

		close_connection(list);
		list = next;
	}
}

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

/* How far an exchange came. */
enum exchange {
	EXCHANGE_DONE,
	EXCHANGE_UNSENT,	/* the command has not left as a whole */
	EXCHANGE_CLOSED,	/* sent; then the server closed the connection */
	EXCHANGE_TIMEOUT	/* sent; no answer before the deadline */
};

/* send_all - write what the context holds */
static enum exchange
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
static enum exchange
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

/* exchange - one command and its answer; *why_r lives as long as the context */
static enum exchange
exchange(redisContext *context, int argc, const char **argv, const size_t *argv_len,
    int64_t deadline_ms, redisReply **reply_r, const char **why_r)
{
	enum exchange sent;

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
connect_to(const struct address *address, int64_t deadline_ms)
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
connect_any(struct redis_pool *pool, int64_t deadline_ms)
{
	struct address addresses[MAX_ADDRESSES];
	size_t n;
	int fd = -1;

	pthread_mutex_lock(&pool->lock);
	n = pool->n_addresses;
	memcpy(addresses, pool->addresses, sizeof(addresses));
	pthread_mutex_unlock(&pool->lock);
	errno = EHOSTUNREACH;
	for (size_t i = 0; i < n && fd < 0; i++) {
		/* Each gets its share of the time, so that a silent one does not eat it all. */
		int64_t now = store_clock_ms();

		fd = connect_to(&addresses[i], now + (deadline_ms - now) / (int64_t)(n - i));
	}
	return fd;
}

/* greet - one command of the greeting; -1 with an error that holds no secret */
static int
greet(struct connection *connection, TALLOC_CTX *ctx, int argc, const char **argv,
    int64_t deadline_ms, const char **error_r)
{
	size_t argv_len[3];
	redisReply *reply;
	const char *why;
	int result = 0;

	for (int i = 0; i < argc; i++)
		argv_len[i] = strlen(argv[i]);
	if (exchange(connection->context, argc, argv, argv_len, deadline_ms, &reply, &why) !=
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
introduce(const struct redis_pool *pool, struct connection *connection, TALLOC_CTX *ctx,
    int64_t deadline_ms, const char **error_r)
{
	const char *auth[3] = { "AUTH" }, *select[2] = { "SELECT" };
	char database[16];
	int n = 1;

	if (pool->password != NULL) {
		if (pool->user != NULL)
			auth[n++] = pool->user;
		auth[n++] = pool->password;
		if (greet(connection, ctx, n, auth, deadline_ms, error_r) < 0)
			return -1;
	}
	if (pool->database == 0)
		return 0;
	snprintf(database, sizeof(database), "%u", pool->database);
	select[1] = database;
	return greet(connection, ctx, 2, select, deadline_ms, error_r);
}

/* open_connection - a new connection, ready for commands; NULL with an error */
static struct connection *
open_connection(struct redis_pool *pool, TALLOC_CTX *ctx, int64_t deadline_ms,
    const char **error_r)
{
	struct connection *connection;
	int fd = connect_any(pool, deadline_ms);

	if (fd < 0) {
		*error_r = mem_printf(ctx, "cannot connect: %s", strerror(errno));
		return NULL;
	}
	connection = mem_new(NULL, struct connection);
	connection->context = mem_check(redisConnectFd(fd));
	/* redisConnectFd() takes the descriptor for a blocking one; ours is not. */
	connection->context->flags &= ~REDIS_BLOCK;
	if (introduce(pool, connection, ctx, deadline_ms, error_r) < 0) {
		close_connection(connection);
		return NULL;
	}
	return connection;
}

/* --- borrowing and returning --- */

/* is_sound - an idle connection has nothing to say; if it has, it is an end or an error */
static bool
is_sound(const struct connection *connection)
{
	struct pollfd entry = { .fd = connection->context->fd, .events = POLLIN };

	return poll(&entry, 1, 0) == 0;
}

/* wait_returned - until somebody returns a connection; false at the deadline */
static bool
wait_returned(struct redis_pool *pool, int64_t deadline_ms)
{
	struct timespec until = { .tv_sec = deadline_ms / 1000,
	    .tv_nsec = deadline_ms % 1000 * 1000000 };

	return pthread_cond_timedwait(&pool->returned, &pool->lock, &until) == 0;
}

/* take_idle - an idle connection, or NULL with the right to open one; false at the deadline */
static bool
take_idle(struct redis_pool *pool, int64_t deadline_ms, struct connection **connection_r,
    unsigned int *generation_r)
{
	bool may = true;

	pthread_mutex_lock(&pool->lock);
	while (pool->idle == NULL && pool->n_open >= pool->max_connections && may)
		may = wait_returned(pool, deadline_ms);
	*connection_r = pool->idle;
	*generation_r = pool->generation;
	if (pool->idle != NULL) {
		pool->idle = pool->idle->next;
		may = true;
	} else if (pool->n_open < pool->max_connections) {
		pool->n_open++;
		may = true;
	} else {
		may = false;
	}
	pthread_mutex_unlock(&pool->lock);
	return may;
}

/* give_back - return a connection, or with NULL or a broken one the right to have it */
static void
give_back(struct redis_pool *pool, struct connection *connection, bool broken)
{
	pthread_mutex_lock(&pool->lock);
	if (connection != NULL && !broken && connection->generation == pool->generation) {
		connection->next = pool->idle;
		pool->idle = connection;
		connection = NULL;
	} else {
		pool->n_open--;
	}
	pthread_cond_signal(&pool->returned);
	pthread_mutex_unlock(&pool->lock);
	close_connection(connection);
}

/* borrow - a connection for one call; NULL with an error */
static struct connection *
borrow(struct redis_pool *pool, TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r)
{
	struct connection *connection;
	unsigned int generation;

	for (;;) {
		if (!take_idle(pool, deadline_ms, &connection, &generation)) {
			*error_r = mem_printf(ctx, "all %u connections are busy", pool->max_connections);
			return NULL;
		}
		if (connection == NULL || is_sound(connection))
			break;
		give_back(pool, connection, true);
	}
	if (connection != NULL)
		return connection;
	connection = open_connection(pool, ctx, deadline_ms, error_r);
	if (connection == NULL)
		give_back(pool, NULL, true);
	else
		connection->generation = generation;
	return connection;
}

/* --- calls --- */

/* Errors that say "not now" or "not you", in any of the forms that versions give them. */
static const char *const refusals[] = {
	"LOADING", "READONLY", "OOM", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "MISCONF",
	"TRYAGAIN", "MOVED", "ASK", "NOAUTH", "WRONGPASS", "NOPERM", "CROSSSLOT", "UNKILLABLE",
};

/* starts_with_word - whether text begins with word and an end of word */
static bool
starts_with_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	return strncmp(text, word, len) == 0 && (text[len] == ' ' || text[len] == '\0');
}

/* is_refusal - whether an error is about the server's state instead of the command */
static bool
is_refusal(const char *error)
{
	const char *inner;

	/* Before version 7 an error within a script is wrapped: "ERR Error running script ...: -OOM ..." */
	inner = strstr(error, ": -");
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (starts_with_word(error, refusals[i]) ||
		    (inner != NULL && starts_with_word(inner + 3, refusals[i])))
			return true;
	return strstr(error, "max number of clients") != NULL ||
	    strstr(error, "can't run this command") != NULL;
}

/* plain_error - an error as its reader understands it */
static const char *
plain_error(const char *error)
{
	/* What a server that wants a password says of a command with more than ten words. */
	if (strstr(error, "Protocol error: unauthenticated") != NULL)
		return "NOAUTH Authentication required.";
	return error;
}

/* sort_answer - what an answer means */
static enum pool_outcome
sort_answer(TALLOC_CTX *ctx, redisReply **reply, const char **error_r)
{
	enum pool_outcome outcome;
	const char *error;

	if ((*reply)->type != REDIS_REPLY_ERROR)
		return POOL_ANSWERED;
	error = plain_error((*reply)->str);
	if (starts_with_word(error, "NOSCRIPT"))
		outcome = POOL_NOSCRIPT;
	else
		outcome = is_refusal(error) ? POOL_REFUSED : POOL_BROKEN;
	*error_r = mem_strdup(ctx, error);
	freeReplyObject(*reply);
	*reply = NULL;
	return outcome;
}

/* call_once - one call on a connection that is borrowed and returned; *again_r: see resend */
static enum pool_outcome
call_once(struct redis_pool *pool, TALLOC_CTX *ctx, int argc, const char **argv,
    const size_t *argv_len, int64_t deadline_ms, redisReply **reply_r, bool *again_r,
    const char **error_r)
{
	struct connection *connection = borrow(pool, ctx, deadline_ms, error_r);
	enum pool_outcome outcome;
	enum exchange how;
	const char *why;

	*again_r = false;
	if (connection == NULL)
		return POOL_NOT_SENT;
	how = exchange(connection->context, argc, argv, argv_len, deadline_ms, reply_r, &why);
	if (how == EXCHANGE_DONE) {
		outcome = sort_answer(ctx, reply_r, error_r);
		connection->used = true;
		give_back(pool, connection, outcome == POOL_REFUSED);
		return outcome;
	}
	*error_r = mem_strdup(ctx, why);
	*again_r = connection->used && how != EXCHANGE_TIMEOUT;
	give_back(pool, connection, true);
	return how == EXCHANGE_UNSENT ? POOL_NOT_SENT : POOL_LOST;
}

/* redis_pool_call - one command, one answer */
enum pool_outcome
redis_pool_call(struct redis_pool *pool, TALLOC_CTX *ctx, int argc, const char **argv,
    const size_t *argv_len, bool resend, int64_t deadline_ms, struct redisReply **reply_r,
    const char **error_r)
{
	enum pool_outcome first, second;
	const char *ignored;
	bool again;

	*reply_r = NULL;
	*error_r = NULL;
	first = call_once(pool, ctx, argc, argv, argv_len, deadline_ms, reply_r, &again, error_r);
	if (!again || (first == POOL_LOST && !resend))
		return first;
	/* An idle connection was closed under us: the server was restarted, most likely. */
	redis_pool_drop_idle(pool);
	second = call_once(pool, ctx, argc, argv, argv_len, deadline_ms, reply_r, &again, &ignored);
	if (second == POOL_ANSWERED || second == POOL_NOSCRIPT) {
		*error_r = second == POOL_ANSWERED ? NULL : ignored;
		return second;
	}
	*error_r = ignored;
	return first == POOL_LOST ? POOL_LOST : second;
}
