/*
 * inside.h - what the files that make up the pool of connections to Redis share
 *
 * pool.c: nodes, borrowing; connection.c: connecting; call.c: commands; discover.c:
 * finding masters; renew.c: other passwords. Nobody else includes this; pool.h is the door.
 *
 * Threads: pool->lock guards the nodes (their idle connections, numbers, places), the slots,
 * discovered, and the passwords of options. A borrowed connection belongs to its borrower. Nodes
 * are added, never removed, but one without slots may become another. Nothing waits with the lock
 * held.
 */
#ifndef FILTER_REDIS_INSIDE_H
#define FILTER_REDIS_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/redis/place.h"
#include "filter/redis/route.h"
#include "filter/redis/types.h"

struct redis_wire;

#define REDIS_NODES	REDIS_PART_UNKNOWN /* masters of a Cluster that are known at once */
#define REDIS_SEEDS	16	/* places as written */

/* One connection. A talloc root of its own, because it wanders between threads. */
struct redis_connection {
	struct redis_connection *next;	/* among the idle */
	struct redis_wire *wire;
	unsigned int generation;	/* of the node when it was made */
	bool used;			/* it has answered a command before */
};

/* One server. A talloc root of its own. */
struct redis_node {
	struct redis_place place;
	pthread_cond_t returned;	/* a connection was returned or closed */
	struct redis_connection *idle;	/* the last returned first */
	unsigned int n_open;		/* idle and borrowed ones */
	unsigned int generation;	/* connections of an earlier one are closed on return */
};

struct redis_pool {
	struct redis_options options;
	TALLOC_CTX *passwords;		/* of those that were renewed; a root of its own */
	const char *server;		/* the server or the Sentinels, as written */
	const char *master;		/* its name if seeds are Sentinels, or NULL */
	struct redis_tls *tls;		/* or NULL */
	atomic_int_least64_t latest_ms;	/* no deadline is later */
	unsigned int max_connections;	/* to each node */
	struct redis_place seeds[REDIS_SEEDS]; /* the server, Sentinels, or nodes of a Cluster;
						* resolved by redis_pool_resolve() alone */
	size_t n_seeds;
	size_t next_asked;		/* the node that is asked first where masters are */
	pthread_mutex_t
	    resolving; /* one redis_pool_resolve() at a time; guards seeds and next_asked */

	pthread_mutex_t lock;
	struct redis_node *nodes[REDIS_NODES];	/* the first alone, unless it is a Cluster */
	size_t n_nodes;
	uint8_t slots[REDIS_SLOTS];	/* of a Cluster: index of a node + 1; 0: not known */
	int64_t discovered;		/* when masters were found out last; 0: never */
	bool stale;			/* something failed since */
};

/* --- connection.c --- */

/*
 * redis_connection_open - a new connection to a place, by the deadline
 * As the pool's user, with its database; sentinel: the place is a Sentinel, as the user for those.
 * NULL with *error_r on ctx, which holds no secret.
 */
struct redis_connection *redis_connection_open(struct redis_pool *pool,
    const struct redis_place *place, bool sentinel, TALLOC_CTX *ctx, int64_t deadline_ms,
    const char **error_r);

/* redis_connection_close - accepts NULL */
void redis_connection_close(struct redis_connection *connection);

/*
 * redis_greet - one command of at most three words whose answer matters only if it is an error
 * Returns 0, or -1 and *error_r on ctx, which holds no secret.
 */
int redis_greet(struct redis_connection *connection, TALLOC_CTX *ctx, int argc, const char **argv,
    int64_t deadline_ms, const char **error_r);

/* --- pool.c --- */

/* redis_add_node - one more node, with the lock held or before anybody knows the pool; NULL when
 * there are too many */
struct redis_node *redis_add_node(struct redis_pool *pool);

/* redis_sooner - a deadline, or that of redis_pool_hurry() if that is earlier */
int64_t redis_sooner(const struct redis_pool *pool, int64_t deadline_ms);

/* redis_same_place - whether a node is at the host and port of a place */
bool redis_same_place(const struct redis_node *node, const struct redis_place *place);

/*
 * redis_node_at - the index of the Cluster's node at a host and port, added if new; with the
 * lock held A node that no slot has may become it. -1: there are too many. A node named by a host
 * name has no address until redis_pool_resolve().
 */
int redis_node_at(struct redis_pool *pool, const char *host, const char *port);

/* redis_take_all_idle - a node's idle connections, then in no list, and none made before goes back;
 * with the lock held */
struct redis_connection *redis_take_all_idle(struct redis_node *node);

/* redis_close_list - close connections that are in no list any more */
void redis_close_list(struct redis_connection *list);

/* redis_drop_all_idle - the same of all nodes; masters are looked for again */
void redis_drop_all_idle(struct redis_pool *pool);

/* redis_node_drop_idle - close the idle ones of one node */
void redis_node_drop_idle(struct redis_pool *pool, struct redis_node *node);

/*
 * redis_borrow - a connection to a node, to be returned with redis_give_back(); NULL with *error_r
 * on ctx
 */
struct redis_connection *redis_borrow(struct redis_pool *pool, struct redis_node *node,
    TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r);

/* redis_give_back - return a connection, or with NULL or a broken one the right to have it */
void redis_give_back(struct redis_pool *pool, struct redis_node *node,
    struct redis_connection *connection, bool broken);

#endif
