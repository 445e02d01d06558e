/*
 * pool.c - the nodes of a Redis, and the connections to them
 *
 * A single server and the master that Sentinels name are one node; a Cluster is as many as it has
 * masters. Calls borrow a connection (call.c); where masters are is found out elsewhere
 * (discover.c).
 *
 * A connection on which anything was out of order is closed, never pooled again: a late answer
 * must not be taken for that of the next command.
 *
 * Thread rule: that of inside.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "filter/redis/inside.h"
#include "filter/redis/pool.h"
#include "filter/redis/wire.h"
#include "policy/base/mem.h"

/* --- construction and destruction --- */

/* redis_close_list - close connections that are in no list any more */
void
redis_close_list(struct redis_connection *list)
{
	while (list != NULL) {
		struct redis_connection *next = list->next;

		redis_connection_close(list);
		list = next;
	}
}

/* pool_free - talloc destructor */
static int
pool_free(struct redis_pool *pool)
{
	for (size_t i = 0; i < pool->n_nodes; i++) {
		redis_node_drop_idle(pool, pool->nodes[i]);
		(void)pthread_cond_destroy(&pool->nodes[i]->returned);
		talloc_free(pool->nodes[i]);
	}
	redis_options_wipe(&pool->options);
	talloc_free(pool->passwords);
	(void)pthread_mutex_destroy(&pool->resolving);
	(void)pthread_mutex_destroy(&pool->lock);
	return 0;
}

/* redis_add_node - one more node, with the lock held or before anybody knows the pool; NULL when
 * there are too many */
struct redis_node *
redis_add_node(struct redis_pool *pool)
{
	pthread_condattr_t attributes;
	struct redis_node *node;

	if (pool->n_nodes == REDIS_NODES)
		return NULL;
	node = mem_new(NULL, struct redis_node);
	/* the condition waits by the clock that deadlines use */
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&node->returned, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	pool->nodes[pool->n_nodes++] = node;
	return node;
}

/* read_seeds - the places as written, separated by spaces */
static int
read_seeds(TALLOC_CTX *ctx, struct redis_pool *pool, const char **error_r)
{
	char *copy = mem_strdup(pool, pool->server), *save = NULL;

	for (char *word = strtok_r(copy, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save)) {
		if (pool->n_seeds == REDIS_SEEDS) {
			*error_r = mem_printf(ctx, "more than %d Redis servers", REDIS_SEEDS);
			return -1;
		}
		if (redis_place_read(pool, word, &pool->seeds[pool->n_seeds], error_r) < 0) {
			*error_r = mem_strdup(ctx, *error_r);
			return -1;
		}
		pool->n_seeds++;
	}
	if (pool->n_seeds == 1 ||
	    (pool->n_seeds > 1 && (pool->options.cluster || pool->master != NULL)))
		return 0;
	*error_r = mem_printf(ctx,
	    pool->n_seeds == 0
		? "no Redis server is named"
		: "several Redis servers \"%s\" are "
		  "for a Cluster (cluster = true); for Sentinels write sentinels = [...] with master",
	    pool->server);
	return -1;
}

/* use_tls - read the files of TLS, if it is wanted */
static int
use_tls(TALLOC_CTX *ctx, struct redis_pool *pool, const struct redis_tls_options *options,
    const char **error_r)
{
	if (!options->on)
		return 0;
	pool->tls = talloc_steal(pool, redis_tls_new(ctx, options, error_r));
	return pool->tls != NULL ? 0 : -1;
}

/* redis_pool_new - prepare connections */
struct redis_pool *
redis_pool_new(TALLOC_CTX *ctx, const struct redis_options *options, unsigned int connections,
    const char **error_r)
{
	struct redis_pool *pool = mem_new(ctx, struct redis_pool);

	pool->options = redis_options_copy(pool, options);
	pool->passwords = mem_check(talloc_new(NULL));
	pool->server = options->sentinels != NULL ? pool->options.sentinels : pool->options.server;
	pool->master = options->sentinels != NULL ? pool->options.master : NULL;
	pool->max_connections = connections > 0 ? connections : 1;
	(void)pthread_mutex_init(&pool->lock, NULL);
	(void)pthread_mutex_init(&pool->resolving, NULL);
	atomic_init(&pool->latest_ms, INT64_MAX);
	talloc_set_destructor(pool, pool_free);
	if (read_seeds(ctx, pool, error_r) < 0 || use_tls(ctx, pool, &options->tls, error_r) < 0) {
		talloc_free(pool);
		return NULL;
	}
	if (!pool->options.cluster)
		(void)redis_add_node(pool);
	if (!pool->options.cluster && pool->master == NULL)
		pool->nodes[0]->place = pool->seeds[0];
	return pool;
}

void
redis_pool_hurry(struct redis_pool *pool, int64_t until_ms)
{
	atomic_store(&pool->latest_ms, until_ms);
}

int64_t
redis_sooner(const struct redis_pool *pool, int64_t deadline_ms)
{
	int64_t latest_ms = atomic_load(&pool->latest_ms);

	return deadline_ms < latest_ms ? deadline_ms : latest_ms;
}

/* redis_pool_server - the server as it was written */
const char *
redis_pool_server(const struct redis_pool *pool)
{
	return pool->server;
}

/* redis_drop_all_idle - of all nodes */
void
redis_drop_all_idle(struct redis_pool *pool)
{
	size_t n;

	(void)pthread_mutex_lock(&pool->lock);
	n = pool->n_nodes;
	pool->stale = true;
	(void)pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < n; i++)
		redis_node_drop_idle(pool, pool->nodes[i]);
}

/* redis_take_all_idle - a node's idle connections, which are then in no list, and none made before
 * goes back; with the lock held */
struct redis_connection *
redis_take_all_idle(struct redis_node *node)
{
	struct redis_connection *list = node->idle;

	node->idle = NULL;
	node->generation++;
	for (struct redis_connection *at = list; at != NULL; at = at->next)
		node->n_open--;
	(void)pthread_cond_broadcast(&node->returned);
	return list;
}

/* redis_node_drop_idle - of one node */
void
redis_node_drop_idle(struct redis_pool *pool, struct redis_node *node)
{
	struct redis_connection *list;

	(void)pthread_mutex_lock(&pool->lock);
	list = redis_take_all_idle(node);
	(void)pthread_mutex_unlock(&pool->lock);
	redis_close_list(list);
}

/* redis_pool_drop_idle - close idle connections to a part */
void
redis_pool_drop_idle(struct redis_pool *pool, unsigned int part)
{
	bool known;

	(void)pthread_mutex_lock(&pool->lock);
	known = part < pool->n_nodes;
	pool->stale = true;
	(void)pthread_mutex_unlock(&pool->lock);
	if (known)
		redis_node_drop_idle(pool, pool->nodes[part]);
}

/* --- parts --- */

/* redis_pool_slots - how many slots there are */
unsigned int
redis_pool_slots(const struct redis_pool *pool)
{
	return pool->options.cluster ? REDIS_SLOTS : 1;
}

/* redis_pool_slot - the slot of a key */
unsigned int
redis_pool_slot(const struct redis_pool *pool, const char *key)
{
	return pool->options.cluster ? redis_slot(key, strlen(key)) : 0;
}

/* part_of - the part that has a slot; with the lock held */
static unsigned int
part_of(const struct redis_pool *pool, unsigned int slot)
{
	if (!pool->options.cluster)
		return 0;
	return pool->slots[slot] > 0 ? pool->slots[slot] - 1u : REDIS_PART_UNKNOWN;
}

/* redis_pool_part - the part that has a slot now */
unsigned int
redis_pool_part(struct redis_pool *pool, unsigned int slot)
{
	unsigned int part;

	if (!pool->options.cluster)
		return 0;
	(void)pthread_mutex_lock(&pool->lock);
	part = part_of(pool, slot);
	(void)pthread_mutex_unlock(&pool->lock);
	return part;
}

/* redis_pool_parts - the same of all slots */
void
redis_pool_parts(struct redis_pool *pool, uint8_t *parts)
{
	(void)pthread_mutex_lock(&pool->lock);
	for (unsigned int slot = 0; slot < redis_pool_slots(pool); slot++)
		parts[slot] = (uint8_t)part_of(pool, slot);
	(void)pthread_mutex_unlock(&pool->lock);
}

/* redis_pool_part_name - how a part is called in log texts */
const char *
redis_pool_part_name(struct redis_pool *pool, TALLOC_CTX *ctx, unsigned int part)
{
	const char *name = NULL;

	(void)pthread_mutex_lock(&pool->lock);
	if (pool->options.cluster && part < pool->n_nodes)
		name = mem_printf(ctx, "Redis node %s", pool->nodes[part]->place.text);
	(void)pthread_mutex_unlock(&pool->lock);
	return name != NULL ? name : mem_printf(ctx, "Redis at %s", pool->server);
}

/* --- nodes of a Cluster --- */

/* redis_same_place - whether a node is at a host and port */
bool
redis_same_place(const struct redis_node *node, const struct redis_place *place)
{
	return strcmp(node->place.host, place->host) == 0 &&
	    strcmp(node->place.port, place->port) == 0;
}

/* n_idle - the number of idle connections of a node; with the lock held */
static unsigned int
n_idle(const struct redis_node *node)
{
	unsigned int n = 0;

	for (const struct redis_connection *at = node->idle; at != NULL; at = at->next)
		n++;
	return n;
}

/*
 * reuse_node - the index of a node that has no slots and no call in progress, for another one; -1:
 * none. With the lock held. If nodes get a new address at each start, there would be too many of
 * them one day. A caller that has just found the old node's index is redirected by the new node.
 * The old strings stay allocated because other threads may still read them.
 */
static int
reuse_node(struct redis_pool *pool)
{
	bool used[REDIS_NODES] = { false };

	for (unsigned int slot = 0; slot < REDIS_SLOTS; slot++)
		if (pool->slots[slot] > 0)
			used[pool->slots[slot] - 1] = true;
	for (size_t i = 0; i < pool->n_nodes; i++) {
		struct redis_node *node = pool->nodes[i];

		if (used[i] || n_idle(node) != node->n_open)
			continue;
		redis_close_list(redis_take_all_idle(node));
		return (int)i;
	}
	return -1;
}

/* redis_node_at - the index of the Cluster's node at a host and port, added if new; -1: too
 * many; with the lock held */
int
redis_node_at(struct redis_pool *pool, const char *host, const char *port)
{
	struct redis_place wanted = { .host = host, .port = port };
	int index;

	for (size_t i = 0; i < pool->n_nodes; i++)
		if (redis_same_place(pool->nodes[i], &wanted))
			return (int)i;
	index = redis_add_node(pool) != NULL ? (int)pool->n_nodes - 1 : reuse_node(pool);
	if (index >= 0)
		redis_place_set(pool->nodes[index], host, port, &pool->nodes[index]->place);
	return index;
}

/* --- borrowing and returning --- */

/* wait_returned - until somebody returns a connection; false at the deadline */
static bool
wait_returned(struct redis_pool *pool, struct redis_node *node, int64_t deadline_ms)
{
	struct timespec until = { .tv_sec = deadline_ms / 1000,
	    .tv_nsec = deadline_ms % 1000 * 1000000 };

	return pthread_cond_timedwait(&node->returned, &pool->lock, &until) == 0;
}

/* take_idle - an idle connection, or NULL with the right to open one to *place_r; false at the
 * deadline */
static bool
take_idle(struct redis_pool *pool, struct redis_node *node, int64_t deadline_ms,
    struct redis_connection **connection_r, struct redis_place *place_r, unsigned int *generation_r)
{
	bool may = true;

	(void)pthread_mutex_lock(&pool->lock);
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
	(void)pthread_mutex_unlock(&pool->lock);
	return may;
}

/* redis_give_back - return a connection, or with NULL or a broken one the right to have it */
void
redis_give_back(struct redis_pool *pool, struct redis_node *node,
    struct redis_connection *connection, bool broken)
{
	(void)pthread_mutex_lock(&pool->lock);
	if (connection != NULL && !broken && connection->generation == node->generation) {
		connection->next = node->idle;
		node->idle = connection;
		connection = NULL;
	} else {
		node->n_open--;
	}
	(void)pthread_cond_signal(&node->returned);
	(void)pthread_mutex_unlock(&pool->lock);
	redis_connection_close(connection);
}

/* redis_borrow - a connection for one call; NULL with an error */
struct redis_connection *
redis_borrow(struct redis_pool *pool, struct redis_node *node, TALLOC_CTX *ctx, int64_t deadline_ms,
    const char **error_r)
{
	struct redis_connection *connection;
	struct redis_place place;
	unsigned int generation;

	for (;;) {
		if (!take_idle(pool, node, deadline_ms, &connection, &place, &generation)) {
			*error_r =
			    mem_printf(ctx, "connections in use: %u of %u", pool->max_connections,
				pool->max_connections);
			return NULL;
		}
		if (connection == NULL || redis_wire_is_sound(connection->wire))
			break;
		redis_give_back(pool, node, connection, true);
	}
	if (connection != NULL)
		return connection;
	connection = redis_connection_open(pool, &place, false, ctx, deadline_ms, error_r);
	if (connection == NULL)
		redis_give_back(pool, node, NULL, true);
	else
		connection->generation = generation;
	return connection;
}
