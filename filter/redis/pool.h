/*
 * pool.h - connections to Redis, and calls with a deadline
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

#include "filter/redis/types.h"

struct redis_pool;
struct redisReply;

/*
 * redis_pool_new - prepare up to so many connections to a server at once; connects to nothing yet
 * Returns NULL and *error_r (on ctx) when server or a file of TLS cannot be read. options are
 * copied. A talloc child of ctx; freeing it closes all; no call may be in progress then.
 */
struct redis_pool *redis_pool_new(TALLOC_CTX *ctx, const struct redis_options *options,
    unsigned int connections, const char **error_r);

/*
 * redis_pool_resolve - find the server: its address by DNS, the master by asking Sentinels, or a
 * Cluster's nodes; may wait For a single server with an address it does nothing. Sentinels and
 * Clusters are asked when something has failed, and every 10 seconds. Returns 0, or -1 and *error_r
 * (on ctx); what was found earlier is kept then.
 */
int redis_pool_resolve(struct redis_pool *pool, TALLOC_CTX *ctx, const char **error_r);

/*
 * redis_pool_call - one command, one answer
 * In a Cluster it goes to the node of its first key, which is argv[3] of EVAL and EVALSHA, else
 * argv[1]. argv are argc octet strings with lengths. On POOL_ANSWERED *reply_r belongs to the
 * caller (freeReplyObject); else it is NULL and *error_r (on ctx) says why. If an idle
 * connection turns out to have been closed by the server, resend says whether the command may be
 * sent a second time on a new one (it is idempotent).
 */
enum pool_outcome redis_pool_call(struct redis_pool *pool, TALLOC_CTX *ctx, int argc,
    const char **argv, const size_t *argv_len, bool resend, int64_t deadline_ms,
    struct redisReply **reply_r, const char **error_r);

/*
 * redis_pool_renew - read the files of TLS again, and use these passwords from now on
 * NULL: none. Connections are renewed if something changed. A password that the server refuses is
 * an error, as is a file of TLS that cannot be used. Waits for the server, wait_ms at most. Returns
 * 0, or -1 and *error_r (on ctx): what was there before is kept.
 */
int redis_pool_renew(struct redis_pool *pool, TALLOC_CTX *ctx,
    const struct redis_passwords *passwords, int64_t wait_ms, const char **error_r);

/*
 * redis_pool_hurry - from now on no call waits beyond until_ms (clock_ms())
 * A call that waits already is not affected. For the end of the process; any thread.
 */
void redis_pool_hurry(struct redis_pool *pool, int64_t until_ms);

/*
 * redis_pool_command - as redis_pool_call(), of one command, with the part that it went to
 */
enum pool_outcome redis_pool_command(struct redis_pool *pool, TALLOC_CTX *ctx,
    struct redis_pool_command *command, bool resend, int64_t deadline_ms);

/*
 * redis_pool_batch - many commands, which do not wait for each other's answers
 * Those of one node go over one connection. If an answer is a redirection, the command is sent
 * again by itself. Commands that share a node are executed in their order, but for those that were
 * redirected. What had no answer by the deadline, or when the connection broke, is POOL_LOST. Each
 * command must be one that may be executed twice.
 */
void redis_pool_batch(struct redis_pool *pool, TALLOC_CTX *ctx, struct redis_pool_command *commands,
    size_t n, int64_t deadline_ms);

/* redis_pool_slot - the slot of a key in a Cluster, below redis_pool_slots(); of a server that is
 * none always 0 */
unsigned int redis_pool_slot(const struct redis_pool *pool, const char *key);
unsigned int redis_pool_slots(const struct redis_pool *pool);

/* redis_pool_part - the part that has a slot now */
unsigned int redis_pool_part(struct redis_pool *pool, unsigned int slot);

/* redis_pool_parts - the same of all slots, in parts_r, which has room for redis_pool_slots() */
void redis_pool_parts(struct redis_pool *pool, uint8_t *parts_r);

/* redis_pool_part_name - how a part is called in log texts, e.g. "Redis at SERVER"; on ctx */
const char *redis_pool_part_name(struct redis_pool *pool, TALLOC_CTX *ctx, unsigned int part);

/*
 * redis_pool_drop_idle - close idle connections to a part, e.g. after a failure;
 * masters are looked for again
 */
void redis_pool_drop_idle(struct redis_pool *pool, unsigned int part);

/* redis_pool_server - the server as it was written, for log texts; lives as long as pool */
const char *redis_pool_server(const struct redis_pool *pool);

#endif
