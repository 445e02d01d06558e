/*
 * call.c - one command to Redis, and what its answer means
 *
 * In a Cluster a command goes to the node that has the slot of its key; MOVED and ASK are followed.
 * Nothing here looks for masters: that may wait, and has a thread of its own (discover.c).
 *
 * Thread rule: that of inside.h.
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

#define MANY_HOPS	5	/* redirections of one call */
#define TRYAGAIN_MS	10	/* pause while a slot is on the move */
#define TRYAGAIN_LEAST_MS 50	/* without so much time there is no other try */

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

	/* Before version 7 an error within a script is wrapped: "ERR Error running script ...: -OOM
	 * ..." */
	inner = strstr(error, ": -");
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (starts_with_word(error, refusals[i]) ||
		    (inner != NULL && starts_with_word(inner + 3, refusals[i])))
			return true;
	return strstr(error, "max number of clients") != NULL ||
	    strstr(error, "can't run this command") != NULL ||
	    strstr(error, "ACL failure in script") != NULL;
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
ask_first(
    struct redis_connection *connection, TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r)
{
	const char *asking[1] = { "ASKING" };

	return redis_greet(connection, ctx, 1, asking, deadline_ms, error_r) == 0;
}

/* A call as its parts see it. */
struct call {
	struct redis_pool *pool;
	TALLOC_CTX *ctx;
	struct redis_pool_command *command;
	bool resend;
	bool patient; /* wait for a slot on the move, as long as the deadline allows */
	int64_t deadline_ms;
};

/* call_once - one call on a connection that is borrowed and returned; *again_r: see resend */
static enum pool_outcome
call_once(const struct call *call, struct redis_node *node, bool asking, bool *again_r)
{
	struct redis_pool_command *command = call->command;
	struct redis_connection *connection =
	    redis_borrow(call->pool, node, call->ctx, call->deadline_ms, &command->error);
	enum pool_outcome outcome;
	enum wire_outcome how;
	const char *why;

	*again_r = false;
	if (connection == NULL)
		return POOL_NOT_SENT;
	if (asking && !ask_first(connection, call->ctx, call->deadline_ms, &command->error)) {
		redis_give_back(call->pool, node, connection, true);
		return POOL_NOT_SENT;
	}
	how = redis_wire_exchange(connection->wire, command->argc, command->argv, command->argv_len,
	    call->deadline_ms, &command->reply, &why);
	if (how == WIRE_DONE) {
		outcome = sort_answer(call->ctx, &command->reply, &command->error);
		connection->used = true;
		redis_give_back(call->pool, node, connection, outcome == POOL_REFUSED &&
		    redis_redirect_kind(command->error) == REDIS_REDIRECT_NONE);
		return outcome;
	}
	command->error = mem_strdup(call->ctx, why);
	*again_r = connection->used && how != WIRE_TIMEOUT;
	redis_give_back(call->pool, node, connection, true);
	return how == WIRE_UNSENT ? POOL_NOT_SENT : POOL_LOST;
}

/* call_node - one command to one node, sent a second time if an idle connection was closed under
 * us */
static enum pool_outcome
call_node(const struct call *call, struct redis_node *node, bool asking)
{
	enum pool_outcome first, second;
	bool again;

	first = call_once(call, node, asking, &again);
	if (!again || (first == POOL_LOST && !call->resend))
		return first;
	/* The server was restarted, most likely. */
	redis_node_drop_idle(call->pool, node);
	call->command->error = NULL;
	second = call_once(call, node, asking, &again);
	if (second == POOL_ANSWERED || second == POOL_NOSCRIPT)
		return second;
	return first == POOL_LOST ? POOL_LOST : second;
}

/* --- which node --- */

/* part_for - the part that a command goes to */
static unsigned int
part_for(struct redis_pool *pool, const struct redis_pool_command *command)
{
	return pool->options.cluster ? redis_pool_part(pool,
	    redis_slot_of_command(command->argc, command->argv, command->argv_len)) : 0;
}

/* redis_call_follow - the part that a redirection names; a slot that has moved for good is noted */
static unsigned int
redis_call_follow(struct redis_pool *pool, const struct redis_redirect *redirect)
{
	unsigned int part = REDIS_PART_UNKNOWN;
	int index;

	(void)pthread_mutex_lock(&pool->lock);
	pool->stale = true;
	index = redis_node_at(pool, redirect->host, redirect->port);
	if (index >= 0 && pool->nodes[index]->place.n > 0) {
		part = (unsigned int)index;
		if (redirect->kind == REDIS_REDIRECT_MOVED)
			pool->slots[redirect->slot] = (uint8_t)(index + 1);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return part;
}

/* is_about_slot - whether a refusal is about one slot, of a Cluster's node that does well
 * otherwise */
static bool
is_about_slot(const char *error)
{
	return redis_redirect_kind(error) != REDIS_REDIRECT_NONE ||
	    strcmp(error, "CLUSTERDOWN Hash slot not served") == 0;
}

/* call_cluster - one command, following redirections */
static enum pool_outcome
call_cluster(const struct call *call)
{
	struct redis_pool_command *command = call->command;
	unsigned int part = part_for(call->pool, command);
	enum pool_outcome outcome = POOL_NOT_SENT;
	bool asking = false, moving = false;

	command->error = "the Cluster's nodes are not known yet";
	command->part = part;
	for (int hops = 0; part != REDIS_PART_UNKNOWN && hops < MANY_HOPS; ) {
		struct redis_redirect redirect;

		command->part = part;
		outcome = call_node(call, call->pool->nodes[part], asking);
		if (outcome != POOL_REFUSED || !is_about_slot(command->error)) {
			/* time was over before a slot had moved: the node is well */
			if (moving && outcome == POOL_NOT_SENT)
				command->part = REDIS_PART_SLOT;
			return outcome;
		}
		command->part = REDIS_PART_SLOT;
		if (redis_redirect_read(call->ctx, command->error, &redirect)) {
			asking = redirect.kind == REDIS_REDIRECT_ASK;
			part = redis_call_follow(call->pool, &redirect);
			hops++;
			continue;
		}
		/* TRYAGAIN: keys of ours lie on both sides of a slot that moves. */
		if (!call->patient || clock_ms() + TRYAGAIN_LEAST_MS >= call->deadline_ms)
			break;
		moving = true;
		clock_pause(TRYAGAIN_MS);
	}
	return outcome;
}

/* note_failure - masters are to be looked for again */
static void
note_failure(struct redis_pool *pool)
{
	(void)pthread_mutex_lock(&pool->lock);
	pool->stale = true;
	(void)pthread_mutex_unlock(&pool->lock);
}

/* make_call - what is the same for all calls */
static enum pool_outcome
make_call(const struct call *call)
{
	struct redis_pool_command *command = call->command;
	struct redis_pool *pool = call->pool;

	command->reply = NULL;
	command->error = NULL;
	command->part = 0;
	command->outcome =
	    pool->options.cluster ? call_cluster(call) : call_node(call, pool->nodes[0], false);
	if (command->outcome == POOL_REFUSED && !pool->options.cluster &&
	    redis_redirect_kind(command->error) != REDIS_REDIRECT_NONE)
		command->error = mem_printf(call->ctx,
		    "the server is a node of a Cluster, which needs cluster = true (%s)",
		    command->error);
	if (command->outcome != POOL_ANSWERED && command->outcome != POOL_NOSCRIPT &&
	    command->outcome != POOL_BROKEN)
		note_failure(pool);
	return command->outcome;
}

/* redis_pool_command - one command, with the part that it went to */
enum pool_outcome
redis_pool_command(struct redis_pool *pool, TALLOC_CTX *ctx, struct redis_pool_command *command,
    bool resend, int64_t deadline_ms)
{
	const struct call call = { .pool = pool,
		.ctx = ctx,
		.command = command,
		.resend = resend,
		.patient = true,
		.deadline_ms = redis_sooner(pool, deadline_ms) };

	return make_call(&call);
}

/* redis_pool_call - one command, one answer */
enum pool_outcome
redis_pool_call(struct redis_pool *pool, TALLOC_CTX *ctx, int argc, const char **argv,
    const size_t *argv_len, bool resend, int64_t deadline_ms, struct redisReply **reply_r,
    const char **error_r)
{
	struct redis_pool_command command = { .argc = argc, .argv = argv, .argv_len = argv_len };

	(void)redis_pool_command(pool, ctx, &command, resend, deadline_ms);
	*reply_r = command.reply;
	*error_r = command.error;
	return command.outcome;
}

/* --- many at once --- */

/* fail_all - none of n commands was answered */
static void
fail_all(TALLOC_CTX *ctx, struct redis_pool_command *const *commands, size_t n,
    enum pool_outcome outcome, const char *why)
{
	const char *error = n > 0 ? mem_strdup(ctx, why) : NULL;

	for (size_t i = 0; i < n; i++) {
		commands[i]->outcome = outcome;
		commands[i]->error = error;
	}
}

/* format_all - n commands as they travel; *len_r octets on ctx */
static char *
format_all(TALLOC_CTX *ctx, struct redis_pool_command *const *commands, size_t n, size_t *len_r)
{
	size_t room = 0;
	char *all = NULL;

	*len_r = 0;
	for (size_t i = 0; i < n; i++) {
		char *one = NULL;
		long long len = redisFormatCommandArgv(&one, commands[i]->argc, commands[i]->argv,
		    commands[i]->argv_len);

		mem_check(len < 0 ? NULL : one);
		if (*len_r + (size_t)len > room) {
			room = 2 * (*len_r + (size_t)len);
			all = mem_check(talloc_realloc_size(ctx, all, room));
		}
		memcpy(all + *len_r, one, (size_t)len);
		*len_r += (size_t)len;
		redisFreeCommand(one);
	}
	return all;
}

/* batch_node - n commands to one node, over one connection */
static void
batch_node(struct redis_pool *pool, TALLOC_CTX *ctx, struct redis_node *node,
    struct redis_pool_command *const *commands, size_t n, int64_t deadline_ms)
{
	const char *why = "the Cluster's nodes are not known yet";
	struct redis_connection *connection =
	    node == NULL ? NULL : redis_borrow(pool, node, ctx, deadline_ms, &why);
	redisReply **replies = mem_array(ctx, redisReply *, n);
	bool broken = false;
	size_t answered, len;
	char *octets;

	if (connection == NULL) {
		fail_all(ctx, commands, n, POOL_NOT_SENT, why);
		return;
	}
	octets = format_all(ctx, commands, n, &len);
	answered =
	    redis_wire_exchange_many(connection->wire, octets, len, n, deadline_ms, replies, &why);
	for (size_t i = 0; i < answered; i++) {
		commands[i]->reply = replies[i];
		commands[i]->outcome = sort_answer(ctx, &commands[i]->reply, &commands[i]->error);
		broken |=
		    commands[i]->outcome == POOL_REFUSED && !is_about_slot(commands[i]->error);
	}
	fail_all(ctx, commands + answered, n - answered, POOL_LOST, why);
	connection->used = true;
	redis_give_back(pool, node, connection, broken || answered < n);
	if (answered < n)
		note_failure(pool);
}

/* batch_follow - a command whose slot is elsewhere, by itself, while there is time */
static void
batch_follow(struct redis_pool *pool, TALLOC_CTX *ctx, struct redis_pool_command *command,
    int64_t deadline_ms)
{
	const struct call call = { .pool = pool, .ctx = ctx, .command = command, .resend = true,
	    .deadline_ms = deadline_ms };

	if (command->outcome != POOL_REFUSED || !is_about_slot(command->error))
		return;
	command->part = REDIS_PART_SLOT;
	if (redis_redirect_kind(command->error) != REDIS_REDIRECT_TRYAGAIN &&
	    clock_ms() < deadline_ms)
		(void)make_call(&call);
}

/* redis_pool_batch - many commands, which do not wait for each other's answers */
void
redis_pool_batch(struct redis_pool *pool, TALLOC_CTX *ctx, struct redis_pool_command *commands,
    size_t n, int64_t deadline_ms)
{
	struct redis_pool_command **some = mem_array(ctx, struct redis_pool_command *, n + 1);
	bool *done = mem_array(some, bool, n + 1);

	deadline_ms = redis_sooner(pool, deadline_ms);
	for (size_t i = 0; i < n; i++) {
		commands[i].part = part_for(pool, &commands[i]);
		commands[i].reply = NULL;
		commands[i].error = NULL;
	}
	for (size_t first = 0; first < n; first++) {
		unsigned int part = commands[first].part;
		size_t count = 0;

		for (size_t i = first; i < n && !done[first]; i++)
			if (!done[i] && commands[i].part == part)
				some[count++] = &commands[i];
		for (size_t i = 0; i < count; i++)
			done[some[i] - commands] = true;
		if (count > 0)
			batch_node(pool, ctx, part == REDIS_PART_UNKNOWN ? NULL : pool->nodes[part],
			    some, count, deadline_ms);
	}
	for (size_t i = 0; i < n && pool->options.cluster; i++)
		batch_follow(pool, ctx, &commands[i], deadline_ms);
	talloc_free(some);
}
