/*
 * redis_pool.c - connections to Redis, and calls with a deadline
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
 * A single server and the master that Sentinels name are one node; a Cluster is as many as it has masters. A
 * command goes to the node that has the slot of its key; MOVED and ASK are followed. Where masters are is found
 * out by redis_pool_resolve(), which may wait, on a thread of its own; the message's path only follows.
 *
 * Thread rule: pool->lock guards the nodes (their idle connections, numbers, places), the slots and discovered. A
 * borrowed connection belongs to its borrower. Nodes are added, never removed. Nothing waits with the lock held.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "filter/redis_place.h"
#include "filter/redis_pool.h"
#include "filter/redis_route.h"
#include "filter/store.h"
#include "policy/mem.h"

#define MAX_NODES	128	/* masters of a Cluster that are known at once */
#define MAX_SEEDS	16	/* places as written */
#define REDISCOVER_MS	10000	/* Sentinels and Clusters are asked that often, though nothing failed */
#define MANY_HOPS	5	/* redirections of one call */
#define DISCOVER_MS	1000	/* for one Sentinel or node to say where masters are */
#define TRYAGAIN_MS	10	/* pause while a slot is on the move */

/* One connection. A talloc root of its own, because it wanders between threads. */
struct connection {
	struct connection *next;	/* among the idle */
	redisContext *context;
	unsigned int generation;	/* of the node when it was made */
	bool used;			/* it has answered a command before */
};

/* One server. A talloc root of its own. */
struct node {
	struct redis_place place;
	pthread_cond_t returned;	/* a connection was returned or closed */
	struct connection *idle;	/* the last returned first */
	unsigned int n_open;		/* idle and borrowed ones */
	unsigned int generation;	/* connections of an earlier one are closed on return */
};

struct redis_pool {
	char *server;			/* as written */
	const char *master;		/* its name where seeds are Sentinels, or NULL */
	bool cluster;
	char *user;			/* or NULL */
	char *password;			/* or NULL */
	unsigned int database;
	unsigned int max_connections;	/* to each node */
	struct redis_place seeds[MAX_SEEDS]; /* the server, Sentinels, or nodes of a Cluster; resolved by
					 * redis_pool_resolve() alone */
	size_t n_seeds;
	pthread_mutex_t resolving;	/* one redis_pool_resolve() at a time; guards seeds */

	pthread_mutex_t lock;
	struct node *nodes[MAX_NODES];	/* the first alone, unless it is a Cluster */
	size_t n_nodes;
	uint8_t slots[REDIS_SLOTS];	/* of a Cluster: index of a node + 1; 0: not known */
	int64_t discovered;		/* when masters were found out last; 0: never */
	bool stale;			/* something failed since */
};

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

/* close_list - close connections that are in no list any more */
static void
close_list(struct connection *list)
{
	while (list != NULL) {
		struct connection *next = list->next;

		close_connection(list);
		list = next;
	}
}

/* pool_free - talloc destructor */
static int
pool_free(struct redis_pool *pool)
{
	redis_pool_drop_idle(pool);
	for (size_t i = 0; i < pool->n_nodes; i++) {
		pthread_cond_destroy(&pool->nodes[i]->returned);
		talloc_free(pool->nodes[i]);
	}
	if (pool->password != NULL)
		explicit_bzero(pool->password, strlen(pool->password));
	pthread_mutex_destroy(&pool->resolving);
	pthread_mutex_destroy(&pool->lock);
	return 0;
}

/* add_node - one more node, with the lock held or before anybody knows the pool; NULL when there are too many */
static struct node *
add_node(struct redis_pool *pool)
{
	pthread_condattr_t attributes;
	struct node *node;

	if (pool->n_nodes == MAX_NODES)
		return NULL;
	node = mem_new(NULL, struct node);
	/* the condition waits by the clock that deadlines use */
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&node->returned, &attributes);
	pthread_condattr_destroy(&attributes);
	pool->nodes[pool->n_nodes++] = node;
	return node;
}

/* copy_or_null - a copy of an optional string */
static char *
copy_or_null(TALLOC_CTX *ctx, const char *text)
{
	return text != NULL ? mem_strdup(ctx, text) : NULL;
}

/* read_seeds - the places as written, separated by spaces */
static int
read_seeds(TALLOC_CTX *ctx, struct redis_pool *pool, const char **error_r)
{
	char *copy = mem_strdup(pool, pool->server), *save = NULL;

	for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		if (pool->n_seeds == MAX_SEEDS) {
			*error_r = mem_printf(ctx, "more than %d Redis servers", MAX_SEEDS);
			return -1;
		}
		if (redis_place_read(pool, word, &pool->seeds[pool->n_seeds], error_r) < 0) {
			*error_r = mem_strdup(ctx, *error_r);
			return -1;
		}
		pool->n_seeds++;
	}
	if (pool->n_seeds == 1 || (pool->n_seeds > 1 && (pool->cluster || pool->master != NULL)))
		return 0;
	*error_r = mem_printf(ctx, pool->n_seeds == 0 ? "no Redis server is named" : "several Redis servers \"%s\" are "
	    "for a Cluster (cluster = true); for Sentinels write sentinels = [...] with master", pool->server);
	return -1;
}

/* redis_pool_new - prepare connections */
struct redis_pool *
redis_pool_new(TALLOC_CTX *ctx, const struct redis_pool_options *options, const char **error_r)
{
	struct redis_pool *pool = mem_new(ctx, struct redis_pool);

	pool->server = mem_strdup(pool, options->sentinels != NULL ? options->sentinels : options->server);
	pool->master = options->sentinels != NULL ? copy_or_null(pool, options->master) : NULL;
	pool->cluster = options->cluster;
	pool->user = copy_or_null(pool, options->user);
	pool->password = copy_or_null(pool, options->password);
	pool->database = options->database;
	pool->max_connections = options->connections > 0 ? options->connections : 1;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_mutex_init(&pool->resolving, NULL);
	talloc_set_destructor(pool, pool_free);
	if (read_seeds(ctx, pool, error_r) < 0) {
		talloc_free(pool);
		return NULL;
	}
	if (!pool->cluster)
		(void)add_node(pool);
	if (!pool->cluster && pool->master == NULL)
		pool->nodes[0]->place = pool->seeds[0];
	return pool;
}

/* redis_pool_server - the server as it was written */
const char *
redis_pool_server(const struct redis_pool *pool)
{
	return pool->server;
}

/* take_all_idle - a node's idle connections, which are then in no list, and none made before goes back; with the lock held */
static struct connection *
take_all_idle(struct node *node)
{
	struct connection *list = node->idle;

	node->idle = NULL;
	node->generation++;
	for (struct connection *at = list; at != NULL; at = at->next)
		node->n_open--;
	pthread_cond_broadcast(&node->returned);
	return list;
}

/* drop_idle - of one node */
static void
drop_idle(struct redis_pool *pool, struct node *node)
{
	struct connection *list;

	pthread_mutex_lock(&pool->lock);
	list = take_all_idle(node);
	pthread_mutex_unlock(&pool->lock);
	close_list(list);
}

/* redis_pool_drop_idle - close connections that nobody uses */
void
redis_pool_drop_idle(struct redis_pool *pool)
{
	size_t n;

	pthread_mutex_lock(&pool->lock);
	n = pool->n_nodes;
	pool->stale = true;
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < n; i++)
		drop_idle(pool, pool->nodes[i]);
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
	if (pool->database == 0 || pool->cluster)
		return 0;
	snprintf(database, sizeof(database), "%u", pool->database);
	select[1] = database;
	return greet(connection, ctx, 2, select, deadline_ms, error_r);
}

/* open_connection - a new connection to a place; as whom: pool's user, or nobody (introduced false); NULL with an error */
static struct connection *
open_connection(struct redis_pool *pool, const struct redis_place *place, bool introduced,
    TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r)
{
	struct connection *connection;
	int fd = connect_any(place, deadline_ms);

	if (fd < 0) {
		*error_r = mem_printf(ctx, "cannot connect: %s", strerror(errno));
		return NULL;
	}
	connection = mem_new(NULL, struct connection);
	connection->context = mem_check(redisConnectFd(fd));
	/* redisConnectFd() takes the descriptor for a blocking one; ours is not. */
	connection->context->flags &= ~REDIS_BLOCK;
	if (introduced && introduce(pool, connection, ctx, deadline_ms, error_r) < 0) {
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
wait_returned(struct redis_pool *pool, struct node *node, int64_t deadline_ms)
{
	struct timespec until = { .tv_sec = deadline_ms / 1000,
	    .tv_nsec = deadline_ms % 1000 * 1000000 };

	return pthread_cond_timedwait(&node->returned, &pool->lock, &until) == 0;
}

/* take_idle - an idle connection, or NULL with the right to open one to *place_r; false at the deadline */
static bool
take_idle(struct redis_pool *pool, struct node *node, int64_t deadline_ms,
    struct connection **connection_r, struct redis_place *place_r, unsigned int *generation_r)
{
	bool may = true;

	pthread_mutex_lock(&pool->lock);
	while (node->idle == NULL && node->n_open >= pool->max_connections && may)
		may = wait_returned(pool, node, deadline_ms);
	*connection_r = node->idle;
	*generation_r = node->generation;
	*place_r = node->place;
	if (node->idle != NULL) {
		node->idle = node->idle->next;
		may = true;
	} else if (node->n_open < pool->max_connections) {
		node->n_open++;
		may = true;
	} else {
		may = false;
	}
	pthread_mutex_unlock(&pool->lock);
	return may;
}

/* give_back - return a connection, or with NULL or a broken one the right to have it */
static void
give_back(struct redis_pool *pool, struct node *node, struct connection *connection, bool broken)
{
	pthread_mutex_lock(&pool->lock);
	if (connection != NULL && !broken && connection->generation == node->generation) {
		connection->next = node->idle;
		node->idle = connection;
		connection = NULL;
	} else {
		node->n_open--;
	}
	pthread_cond_signal(&node->returned);
	pthread_mutex_unlock(&pool->lock);
	close_connection(connection);
}

/* borrow - a connection for one call; NULL with an error */
static struct connection *
borrow(struct redis_pool *pool, struct node *node, TALLOC_CTX *ctx, int64_t deadline_ms,
    const char **error_r)
{
	struct connection *connection;
	struct redis_place place;
	unsigned int generation;

	for (;;) {
		if (!take_idle(pool, node, deadline_ms, &connection, &place, &generation)) {
			*error_r = mem_printf(ctx, "all %u connections are busy", pool->max_connections);
			return NULL;
		}
		if (connection == NULL || is_sound(connection))
			break;
		give_back(pool, node, connection, true);
	}
	if (connection != NULL)
		return connection;
	connection = open_connection(pool, &place, true, ctx, deadline_ms, error_r);
	if (connection == NULL)
		give_back(pool, node, NULL, true);
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

/* ask_first - ASKING before a command that a node is only about to own; false with an error */
static bool
ask_first(struct connection *connection, TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r)
{
	const char *asking[1] = { "ASKING" };

	return greet(connection, ctx, 1, asking, deadline_ms, error_r) == 0;
}

/* A call as its parts see it. */
struct call {
	struct redis_pool *pool;
	TALLOC_CTX *ctx;
	int argc;
	const char **argv;
	const size_t *argv_len;
	bool resend;
	int64_t deadline_ms;
};

/* call_once - one call on a connection that is borrowed and returned; *again_r: see resend */
static enum pool_outcome
call_once(const struct call *call, struct node *node, bool asking, redisReply **reply_r,
    bool *again_r, const char **error_r)
{
	struct connection *connection = borrow(call->pool, node, call->ctx, call->deadline_ms, error_r);
	enum pool_outcome outcome;
	enum exchange how;
	const char *why;

	*again_r = false;
	if (connection == NULL)
		return POOL_NOT_SENT;
	if (asking && !ask_first(connection, call->ctx, call->deadline_ms, error_r)) {
		give_back(call->pool, node, connection, true);
		return POOL_NOT_SENT;
	}
	how = exchange(connection->context, call->argc, call->argv, call->argv_len, call->deadline_ms,
	    reply_r, &why);
	if (how == EXCHANGE_DONE) {
		outcome = sort_answer(call->ctx, reply_r, error_r);
		connection->used = true;
		give_back(call->pool, node, connection, outcome == POOL_REFUSED &&
		    redis_redirect_kind(*error_r) == REDIS_REDIRECT_NONE);
		return outcome;
	}
	*error_r = mem_strdup(call->ctx, why);
	*again_r = connection->used && how != EXCHANGE_TIMEOUT;
	give_back(call->pool, node, connection, true);
	return how == EXCHANGE_UNSENT ? POOL_NOT_SENT : POOL_LOST;
}

/* call_node - one command to one node, sent a second time where an idle connection was closed under us */
static enum pool_outcome
call_node(const struct call *call, struct node *node, bool asking, redisReply **reply_r,
    const char **error_r)
{
	enum pool_outcome first, second;
	const char *ignored = NULL;
	bool again;

	first = call_once(call, node, asking, reply_r, &again, error_r);
	if (!again || (first == POOL_LOST && !call->resend))
		return first;
	/* The server was restarted, most likely. */
	drop_idle(call->pool, node);
	second = call_once(call, node, asking, reply_r, &again, &ignored);
	*error_r = second == POOL_ANSWERED ? NULL : ignored;
	if (second == POOL_ANSWERED || second == POOL_NOSCRIPT)
		return second;
	return first == POOL_LOST ? POOL_LOST : second;
}

/* --- which node --- */

/* same_place - whether a node is at a host and port */
static bool
same_place(const struct node *node, const struct redis_place *place)
{
	return strcmp(node->place.host, place->host) == 0 && strcmp(node->place.port, place->port) == 0;
}

/* node_at - the index of the Cluster's node at a host and port, added where new; -1: too many, or a name; with the lock held */
static int
node_at(struct redis_pool *pool, const char *host, const char *port)
{
	struct redis_place wanted = { .host = host, .port = port };
	struct node *node;

	for (size_t i = 0; i < pool->n_nodes; i++)
		if (same_place(pool->nodes[i], &wanted))
			return (int)i;
	node = add_node(pool);
	if (node == NULL)
		return -1;
	redis_place_set(node, host, port, &node->place);
	return (int)pool->n_nodes - 1;
}

/* node_for - the node that a command goes to; NULL: not known */
static struct node *
node_for(const struct call *call)
{
	struct redis_pool *pool = call->pool;
	struct node *node = NULL;
	unsigned int slot;

	if (!pool->cluster)
		return pool->nodes[0];
	slot = redis_slot_of_command(call->argc, call->argv, call->argv_len);
	pthread_mutex_lock(&pool->lock);
	if (pool->slots[slot] > 0)
		node = pool->nodes[pool->slots[slot] - 1];
	pthread_mutex_unlock(&pool->lock);
	return node;
}

/* follow - the node that a redirection names; a slot that has moved for good is noted. NULL: not known */
static struct node *
follow(struct redis_pool *pool, const struct redis_redirect *redirect)
{
	struct node *node = NULL;
	int index;

	pthread_mutex_lock(&pool->lock);
	pool->stale = true;
	index = node_at(pool, redirect->host, redirect->port);
	if (index >= 0 && pool->nodes[index]->place.n > 0) {
		node = pool->nodes[index];
		if (redirect->kind == REDIS_REDIRECT_MOVED)
			pool->slots[redirect->slot] = (uint8_t)(index + 1);
	}
	pthread_mutex_unlock(&pool->lock);
	return node;
}

/* call_cluster - one command, following redirections */
static enum pool_outcome
call_cluster(const struct call *call, redisReply **reply_r, const char **error_r)
{
	struct node *node = node_for(call);
	enum pool_outcome outcome = POOL_NOT_SENT;
	bool asking = false;

	*error_r = "the Cluster's nodes are not known yet";
	for (int hops = 0; node != NULL && hops < MANY_HOPS; ) {
		struct redis_redirect redirect;

		outcome = call_node(call, node, asking, reply_r, error_r);
		if (outcome != POOL_REFUSED || redis_redirect_kind(*error_r) == REDIS_REDIRECT_NONE)
			return outcome;
		if (!redis_redirect_read(call->ctx, *error_r, &redirect)) {
			/* TRYAGAIN: keys of ours lie on both sides of a slot that moves. */
			if (store_clock_ms() + TRYAGAIN_MS >= call->deadline_ms)
				return outcome;
			(void)poll(NULL, 0, TRYAGAIN_MS);
			continue;
		}
		asking = redirect.kind == REDIS_REDIRECT_ASK;
		node = follow(call->pool, &redirect);
		hops++;
	}
	return outcome;
}

/* redis_pool_call - one command, one answer */
enum pool_outcome
redis_pool_call(struct redis_pool *pool, TALLOC_CTX *ctx, int argc, const char **argv,
    const size_t *argv_len, bool resend, int64_t deadline_ms, struct redisReply **reply_r,
    const char **error_r)
{
	const struct call call = { pool, ctx, argc, argv, argv_len, resend, deadline_ms };
	enum pool_outcome outcome;

	*reply_r = NULL;
	*error_r = NULL;
	outcome = pool->cluster ? call_cluster(&call, reply_r, error_r) :
	    call_node(&call, pool->nodes[0], false, reply_r, error_r);
	if (outcome == POOL_REFUSED && !pool->cluster && redis_redirect_kind(*error_r) != REDIS_REDIRECT_NONE)
		*error_r = mem_printf(ctx, "the server is a node of a Cluster, which needs cluster = true (%s)", *error_r);
	if (outcome != POOL_ANSWERED && outcome != POOL_NOSCRIPT && outcome != POOL_BROKEN) {
		pthread_mutex_lock(&pool->lock);
		pool->stale = true;
		pthread_mutex_unlock(&pool->lock);
	}
	return outcome;
}

/* --- finding masters --- */

/* ask_place - one command to a place, on a connection of its own; NULL with an error */
static redisReply *
ask_place(struct redis_pool *pool, const struct redis_place *place, TALLOC_CTX *ctx, int argc,
    const char **argv, int64_t deadline_ms, const char **error_r)
{
	struct connection *connection = open_connection(pool, place, pool->cluster, ctx, deadline_ms,
	    error_r);
	size_t argv_len[4];
	redisReply *reply = NULL;
	const char *why;

	if (connection == NULL)
		return NULL;
	for (int i = 0; i < argc; i++)
		argv_len[i] = strlen(argv[i]);
	if (exchange(connection->context, argc, argv, argv_len, deadline_ms, &reply, &why) !=
	    EXCHANGE_DONE)
		*error_r = mem_strdup(ctx, why);
	else if (reply->type == REDIS_REPLY_ERROR)
		*error_r = mem_strdup(ctx, reply->str);
	else
		*error_r = NULL;
	close_connection(connection);
	if (*error_r == NULL)
		return reply;
	freeReplyObject(reply);
	return NULL;
}

/* take_master - where a Sentinel says that the master is; -1 with an error */
static int
take_master(struct redis_pool *pool, TALLOC_CTX *ctx, const redisReply *reply, const char **error_r)
{
	struct node *node = pool->nodes[0];
	struct connection *list = NULL;
	struct redis_place place;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING || reply->element[1]->type != REDIS_REPLY_STRING) {
		*error_r = mem_printf(ctx, "no Sentinel knows a master named \"%s\"", pool->master);
		return -1;
	}
	redis_place_set(ctx, reply->element[0]->str, reply->element[1]->str, &place);
	if (redis_place_resolve(&place, ctx, error_r) < 0)
		return -1;
	pthread_mutex_lock(&pool->lock);
	if (node->place.host == NULL || !same_place(node, &place)) {
		list = take_all_idle(node);
		node->place = place;
		node->place.text = mem_strdup(node, place.text);
		node->place.host = mem_strdup(node, place.host);
		node->place.port = mem_strdup(node, place.port);
	}
	pthread_mutex_unlock(&pool->lock);
	close_list(list);
	return 0;
}

/* ask_sentinels - one after the other, until one knows; -1 with an error */
static int
ask_sentinels(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r)
{
	const char *argv[3] = { "SENTINEL", "get-master-addr-by-name", pool->master };

	for (size_t i = 0; i < pool->n_seeds; i++) {
		redisReply *reply;
		int result;

		if (redis_place_resolve(&pool->seeds[i], pool, error_r) < 0)
			continue;
		reply = ask_place(pool, &pool->seeds[i], ctx, 3, argv, store_clock_ms() + DISCOVER_MS, error_r);
		if (reply == NULL)
			continue;
		result = take_master(pool, ctx, reply, error_r);
		freeReplyObject(reply);
		if (result == 0)
			return 0;
	}
	*error_r = mem_printf(ctx, "no Sentinel helps: %s", *error_r);
	return -1;
}

/* take_slots - the answer to CLUSTER SLOTS; host names are resolved first, without the lock. -1 with an error */
static int
take_slots(struct redis_pool *pool, TALLOC_CTX *ctx, const redisReply *reply, const char *asked,
    const char **error_r)
{
	size_t n = 0;
	struct redis_range *ranges = redis_ranges_read(ctx, reply, asked, &n);
	struct redis_place *places = mem_array(ctx, struct redis_place, n + 1);
	uint8_t *slots = mem_array(ctx, uint8_t, REDIS_SLOTS);

	if (n == 0) {
		*error_r = "the Cluster has no slots assigned, or is no Cluster";
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		redis_place_set(ctx, ranges[i].host, ranges[i].port, &places[i]);
		(void)redis_place_resolve(&places[i], ctx, error_r);
	}
	pthread_mutex_lock(&pool->lock);
	for (size_t i = 0; i < n; i++) {
		int index = node_at(pool, ranges[i].host, ranges[i].port);

		for (unsigned int slot = ranges[i].first; index >= 0 && slot <= ranges[i].last; slot++)
			slots[slot] = (uint8_t)(index + 1);
		if (index >= 0 && places[i].n > 0) {
			memcpy(pool->nodes[index]->place.addresses, places[i].addresses, sizeof(places[i].addresses));
			pool->nodes[index]->place.n = places[i].n;
		}
	}
	memcpy(pool->slots, slots, REDIS_SLOTS);
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

/* ask_cluster - nodes that are known, then those that were written, until one answers; -1 with an error */
static int
ask_cluster(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r)
{
	const char *argv[2] = { "CLUSTER", "SLOTS" };
	size_t n_nodes;

	pthread_mutex_lock(&pool->lock);
	n_nodes = pool->n_nodes;
	pthread_mutex_unlock(&pool->lock);
	*error_r = "no node has an address";
	for (size_t i = 0; i < n_nodes + pool->n_seeds; i++) {
		struct redis_place place;
		redisReply *reply;
		int result;

		if (i >= n_nodes)
			(void)redis_place_resolve(&pool->seeds[i - n_nodes], pool, error_r);
		pthread_mutex_lock(&pool->lock);
		place = i < n_nodes ? pool->nodes[i]->place : pool->seeds[i - n_nodes];
		pthread_mutex_unlock(&pool->lock);
		if (place.n == 0)
			continue;
		reply = ask_place(pool, &place, ctx, 2, argv, store_clock_ms() + DISCOVER_MS, error_r);
		if (reply == NULL)
			continue;
		result = take_slots(pool, ctx, reply, place.host, error_r);
		freeReplyObject(reply);
		if (result == 0)
			return 0;
	}
	*error_r = mem_printf(ctx, "no node of the Cluster helps: %s", *error_r);
	return -1;
}

/* resolve_server - of a single server the name; -1 with an error */
static int
resolve_server(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r)
{
	struct redis_place place = pool->seeds[0];

	if (redis_place_resolve(&place, ctx, error_r) < 0)
		return -1;
	pthread_mutex_lock(&pool->lock);
	pool->nodes[0]->place = place;
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

/* is_due - whether masters are to be found out (again) */
static bool
is_due(struct redis_pool *pool)
{
	bool due;

	pthread_mutex_lock(&pool->lock);
	due = pool->stale || pool->discovered == 0 ||
	    store_clock_ms() - pool->discovered > REDISCOVER_MS;
	pthread_mutex_unlock(&pool->lock);
	return due;
}

/* discover - find out masters; -1 with an error */
static int
discover(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r)
{
	int result;

	if (!is_due(pool))
		return 0;
	result = pool->cluster ? ask_cluster(pool, ctx, error_r) : ask_sentinels(pool, ctx, error_r);
	pthread_mutex_lock(&pool->lock);
	pool->stale = result < 0;
	pool->discovered = store_clock_ms();
	pthread_mutex_unlock(&pool->lock);
	return result;
}

/* redis_pool_resolve - find the server */
int
redis_pool_resolve(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r)
{
	int result;

	pthread_mutex_lock(&pool->resolving);
	result = pool->cluster || pool->master != NULL ? discover(pool, ctx, error_r) :
	    resolve_server(pool, ctx, error_r);
	pthread_mutex_unlock(&pool->resolving);
	return result;
}
