/*
 * discover.c - where the masters of a Redis are
 *
 * By DNS for a single server, by asking Sentinels, or by asking the nodes of a Cluster. It may
 * wait, so it is for a thread of its own; messages only follow what was found.
 *
 * Thread rule: that of inside.h; pool->resolving lets one in at a time and guards the seeds.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/redis/inside.h"
#include "filter/redis/pool.h"
#include "filter/redis/route.h"
#include "filter/redis/wire.h"
#include "policy/base/mem.h"

#define REDISCOVER_MS 10000 /* Sentinels and Clusters are asked that often, though nothing failed
			     * \ */
#define DISCOVER_MS	1000	/* for one Sentinel or node to say where masters are */

/* ask_place - one command to a place, on a connection of its own; NULL with an error */
static redisReply *
ask_place(struct redis_pool *pool, const struct redis_place *place, TALLOC_CTX *ctx, int argc,
    const char **argv, int64_t deadline_ms, const char **error_r)
{
	struct redis_connection *connection =
	    redis_connection_open(pool, place, !pool->options.cluster, ctx, deadline_ms, error_r);
	size_t argv_len[4];
	redisReply *reply = NULL;
	const char *why;

	if (connection == NULL)
		return NULL;
	for (int i = 0; i < argc; i++)
		argv_len[i] = strlen(argv[i]);
	if (redis_wire_exchange(
		connection->wire, argc, argv, argv_len, deadline_ms, &reply, &why) != WIRE_DONE)
		*error_r = mem_strdup(ctx, why);
	else if (reply->type == REDIS_REPLY_ERROR)
		*error_r = mem_strdup(ctx, reply->str);
	else
		*error_r = NULL;
	redis_connection_close(connection);
	if (*error_r == NULL)
		return reply;
	freeReplyObject(reply);
	return NULL;
}

/* take_master - where a Sentinel says that the master is; -1 with an error */
static int
take_master(struct redis_pool *pool, TALLOC_CTX *ctx, const redisReply *reply, const char **error_r)
{
	struct redis_node *node = pool->nodes[0];
	struct redis_connection *list = NULL;
	struct redis_place place;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_STRING) {
		*error_r = mem_printf(ctx, "no Sentinel has a master named \"%s\"", pool->master);
		return -1;
	}
	redis_place_set(ctx, reply->element[0]->str, reply->element[1]->str, &place);
	if (redis_place_resolve(&place, ctx, error_r) < 0)
		return -1;
	(void)pthread_mutex_lock(&pool->lock);
	if (node->place.host == NULL || !redis_same_place(node, &place)) {
		list = redis_take_all_idle(node);
		node->place = place;
		node->place.text = mem_strdup(node, place.text);
		node->place.host = mem_strdup(node, place.host);
		node->place.port = mem_strdup(node, place.port);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	redis_close_list(list);
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
		reply = ask_place(
		    pool, &pool->seeds[i], ctx, 3, argv,
		    redis_sooner(pool, clock_ms() + DISCOVER_MS), error_r);
		if (reply == NULL)
			continue;
		result = take_master(pool, ctx, reply, error_r);
		freeReplyObject(reply);
		if (result == 0)
			return 0;
	}
	*error_r = mem_printf(ctx, "no Sentinel can be used: %s", *error_r);
	return -1;
}

/* take_slots - the answer to CLUSTER SLOTS; host names are resolved first, without the lock. -1
 * with an error */
static int
take_slots(struct redis_pool *pool, TALLOC_CTX *ctx, const redisReply *reply, const char *asked,
    const char **error_r)
{
	size_t n = 0;
	struct redis_range *ranges = redis_ranges_read(ctx, reply, asked, &n);
	struct redis_place *places = mem_array(ctx, struct redis_place, n + 1);
	uint8_t *slots = mem_array(ctx, uint8_t, REDIS_SLOTS);

	if (n == 0) {
		*error_r = "the Cluster has no slots assigned, or is not a Cluster";
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		redis_place_set(ctx, ranges[i].host, ranges[i].port, &places[i]);
		(void)redis_place_resolve(&places[i], ctx, error_r);
	}
	(void)pthread_mutex_lock(&pool->lock);
	for (size_t i = 0; i < n; i++) {
		int index = redis_node_at(pool, ranges[i].host, ranges[i].port);

		/* pool->slots at once: what it names is not taken for another node */
		for (unsigned int slot = ranges[i].first; index >= 0 && slot <= ranges[i].last;
		     slot++)
			slots[slot] = pool->slots[slot] = (uint8_t)(index + 1);
		if (index >= 0 && places[i].n > 0) {
			memcpy(pool->nodes[index]->place.addresses, places[i].addresses,
			    sizeof(places[i].addresses));
			pool->nodes[index]->place.n = places[i].n;
		}
	}
	memcpy(pool->slots, slots, REDIS_SLOTS);
	(void)pthread_mutex_unlock(&pool->lock);
	return 0;
}

/* ask_cluster - nodes that are known, in turn, then those that were written, until one answers; -1
 * with an error */
static int
ask_cluster(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r)
{
	const char *argv[2] = { "CLUSTER", "SLOTS" };
	size_t n_nodes, first = pool->next_asked;

	(void)pthread_mutex_lock(&pool->lock);
	n_nodes = pool->n_nodes;
	(void)pthread_mutex_unlock(&pool->lock);
	*error_r = "no node has an address";
	for (size_t k = 0; k < n_nodes + pool->n_seeds; k++) {
		size_t i = k < n_nodes ? (first + k) % n_nodes : k;
		struct redis_place place;
		redisReply *reply;
		int result;

		if (i >= n_nodes)
			(void)redis_place_resolve(&pool->seeds[i - n_nodes], pool, error_r);
		(void)pthread_mutex_lock(&pool->lock);
		place = i < n_nodes ? pool->nodes[i]->place : pool->seeds[i - n_nodes];
		(void)pthread_mutex_unlock(&pool->lock);
		if (place.n == 0)
			continue;
		reply =
		    ask_place(pool, &place, ctx, 2, argv,
			redis_sooner(pool, clock_ms() + DISCOVER_MS), error_r);
		if (reply == NULL)
			continue;
		result = take_slots(pool, ctx, reply, place.host, error_r);
		freeReplyObject(reply);
		if (result < 0)
			continue;
		/* One that is cut off from the others does not know what they have decided: ask
		 * another one next time. */
		pool->next_asked = i < n_nodes ? i + 1 : 0;
		return 0;
	}
	*error_r = mem_printf(ctx, "no node of the Cluster can be used: %s", *error_r);
	return -1;
}

/* resolve_server - of a single server the name; -1 with an error */
static int
resolve_server(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r)
{
	struct redis_place place = pool->seeds[0];

	if (redis_place_resolve(&place, ctx, error_r) < 0)
		return -1;
	(void)pthread_mutex_lock(&pool->lock);
	pool->nodes[0]->place = place;
	(void)pthread_mutex_unlock(&pool->lock);
	return 0;
}

/* redis_discover_is_due - whether masters are to be found out (again) */
static bool
redis_discover_is_due(struct redis_pool *pool)
{
	bool due;

	(void)pthread_mutex_lock(&pool->lock);
	due = pool->stale || pool->discovered == 0 ||
	    clock_ms() - pool->discovered > REDISCOVER_MS;
	(void)pthread_mutex_unlock(&pool->lock);
	return due;
}

/* discover - find out masters; -1 with an error */
static int
discover(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r)
{
	int result;

	if (!redis_discover_is_due(pool))
		return 0;
	result =
	    pool->options.cluster ? ask_cluster(pool, ctx, error_r)
				  : ask_sentinels(pool, ctx, error_r);
	(void)pthread_mutex_lock(&pool->lock);
	pool->stale = result < 0;
	pool->discovered = clock_ms();
	(void)pthread_mutex_unlock(&pool->lock);
	return result;
}

/* redis_pool_resolve - find the server */
int
redis_pool_resolve(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r)
{
	int result;

	(void)pthread_mutex_lock(&pool->resolving);
	result = pool->options.cluster || pool->master != NULL ? discover(pool, ctx, error_r) :
	    resolve_server(pool, ctx, error_r);
	(void)pthread_mutex_unlock(&pool->resolving);
	return result;
}
