/*
 * redis_call.c - one command to Redis, and what its answer means
 *
 * In a Cluster a command goes to the node that has the slot of its key; MOVED and ASK are followed. Nothing here
 * looks for masters: that may wait, and has a thread of its own (redis_discover.c).
 *
 * Thread rule: that of redis_inside.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "filter/redis_inside.h"
#include "filter/redis_route.h"
#include "filter/redis_wire.h"
#include "filter/store.h"
#include "policy/mem.h"

#define MANY_HOPS	5	/* redirections of one call */
#define TRYAGAIN_MS	10	/* pause while a slot is on the move */

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
ask_first(struct redis_connection *connection, TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r)
{
	const char *asking[1] = { "ASKING" };

	return redis_greet(connection, ctx, 1, asking, deadline_ms, error_r) == 0;
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
call_once(const struct call *call, struct redis_node *node, bool asking, redisReply **reply_r,
    bool *again_r, const char **error_r)
{
	struct redis_connection *connection = redis_borrow(call->pool, node, call->ctx, call->deadline_ms, error_r);
	enum pool_outcome outcome;
	enum wire_outcome how;
	const char *why;

	*again_r = false;
	if (connection == NULL)
		return POOL_NOT_SENT;
	if (asking && !ask_first(connection, call->ctx, call->deadline_ms, error_r)) {
		redis_give_back(call->pool, node, connection, true);
		return POOL_NOT_SENT;
	}
	how = redis_wire_exchange(connection->wire, call->argc, call->argv, call->argv_len, call->deadline_ms,
	    reply_r, &why);
	if (how == WIRE_DONE) {
		outcome = sort_answer(call->ctx, reply_r, error_r);
		connection->used = true;
		redis_give_back(call->pool, node, connection, outcome == POOL_REFUSED &&
		    redis_redirect_kind(*error_r) == REDIS_REDIRECT_NONE);
		return outcome;
	}
	*error_r = mem_strdup(call->ctx, why);
	*again_r = connection->used && how != WIRE_TIMEOUT;
	redis_give_back(call->pool, node, connection, true);
	return how == WIRE_UNSENT ? POOL_NOT_SENT : POOL_LOST;
}

/* call_node - one command to one node, sent a second time where an idle connection was closed under us */
static enum pool_outcome
call_node(const struct call *call, struct redis_node *node, bool asking, redisReply **reply_r,
    const char **error_r)
{
	enum pool_outcome first, second;
	const char *ignored = NULL;
	bool again;

	first = call_once(call, node, asking, reply_r, &again, error_r);
	if (!again || (first == POOL_LOST && !call->resend))
		return first;
	/* The server was restarted, most likely. */
	redis_node_drop_idle(call->pool, node);
	second = call_once(call, node, asking, reply_r, &again, &ignored);
	*error_r = second == POOL_ANSWERED ? NULL : ignored;
	if (second == POOL_ANSWERED || second == POOL_NOSCRIPT)
		return second;
	return first == POOL_LOST ? POOL_LOST : second;
}

/* --- which node --- */

/* node_for - the node that a command goes to; NULL: not known */
static struct redis_node *
node_for(const struct call *call)
{
	struct redis_pool *pool = call->pool;
	struct redis_node *node = NULL;
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
static struct redis_node *
follow(struct redis_pool *pool, const struct redis_redirect *redirect)
{
	struct redis_node *node = NULL;
	int index;

	pthread_mutex_lock(&pool->lock);
	pool->stale = true;
	index = redis_node_at(pool, redirect->host, redirect->port);
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
	struct redis_node *node = node_for(call);
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
