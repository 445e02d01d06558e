/*
 * redis_pool.h - connections to Redis, and calls with a deadline
 *
 * Threads: any number at once; each borrows a connection for the length of a call.
 * Deadlines are CLOCK_MONOTONIC milliseconds, absolute. The process must ignore SIGPIPE.
 *
 * A call never resolves names: redis_pool_resolve() does, on a thread that may wait.
 */
#ifndef FILTER_REDIS_POOL_H
#define FILTER_REDIS_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/redis_tls.h"

struct redis_pool;
struct redisReply;

struct redis_pool_options {
	const char *server;	/* as in struct store_options, and the next three */
	const char *sentinels;
	const char *master;
	bool cluster;
	const char *user;	/* or NULL */
	const char *password;	/* or NULL */
	const char *sentinel_user; /* what Sentinels ask for; or NULL, and the next */
	const char *sentinel_password;
	struct redis_tls_options tls; /* of servers and Sentinels alike */
	unsigned int database;
	unsigned int connections; /* most at once, >= 1 */
};

/* What came of a call. */
enum pool_outcome {
	POOL_ANSWERED,		/* the server answered; the reply is no error */
	POOL_NOSCRIPT,		/* the server does not know the script: not executed */
	POOL_REFUSED,		/* the server answered that it cannot serve now, or not us
				 * (LOADING, READONLY, OOM, NOAUTH, MOVED, ...): not executed */
	POOL_BROKEN,		/* the server answered that the command itself is wrong */
	POOL_NOT_SENT,		/* no connection, or none free: not executed */
	POOL_LOST		/* sent, but no answer: it may be executed, now or later */
};

/*
 * redis_pool_new - prepare connections to a server; connects to nothing yet
 * Returns NULL and *error_r (on ctx) when server or a file of TLS cannot be read. options are copied.
 * A talloc child of ctx; freeing it closes all; no call may be in progress then.
 */
struct redis_pool *redis_pool_new(TALLOC_CTX *ctx, const struct redis_pool_options *options,
    const char **error_r);

/*
 * redis_pool_resolve - find the server: its address by DNS, the master by asking Sentinels, or a Cluster's nodes; may wait
 * For a single server with an address it does nothing. Sentinels and Clusters are asked when something has
 * failed, and every 10 seconds. Returns 0, or -1 and *error_r (on ctx); what was found earlier is kept then.
 */
int redis_pool_resolve(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r);

/*
 * redis_pool_call - one command, one answer
 * In a Cluster it goes to the node of its first key, which is argv[3] of EVAL and EVALSHA, else argv[1].
 * argv are argc octet strings with lengths. On POOL_ANSWERED *reply_r belongs to the caller
 * (freeReplyObject); else it is NULL and *error_r (on ctx) says why. Where an idle connection
 * turns out to have been closed by the server, resend says whether the command may be sent a second
 * time on a new one (it is idempotent).
 */
enum pool_outcome redis_pool_call(struct redis_pool *pool, TALLOC_CTX *ctx, int argc,
    const char **argv, const size_t *argv_len, bool resend, int64_t deadline_ms,
    struct redisReply **reply_r, const char **error_r);

/*
 * redis_pool_renew - read the files of TLS again; connections are made anew with what is in them
 * Returns 0, also without TLS, or -1 and *error_r (on ctx): what was read before is kept.
 */
int redis_pool_renew(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r);

/*
 * redis_pool_drop_idle - close connections that nobody uses, e.g. after a failure
 */
void redis_pool_drop_idle(struct redis_pool *pool);

/* redis_pool_server - the server as it was written, for log texts; lives as long as pool */
const char *redis_pool_server(const struct redis_pool *pool);

#endif
