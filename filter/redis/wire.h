/*
 * wire.h - one connection to a Redis server: octets there and replies back, until a deadline
 *
 * Threads: one at a time for a connection. Deadlines are CLOCK_MONOTONIC milliseconds, absolute.
 * The process must ignore SIGPIPE.
 */
#ifndef FILTER_REDIS_WIRE_H
#define FILTER_REDIS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/redis/place.h"
#include "filter/redis/tls.h"

struct redis_wire;
struct redisReply;

/* How far an exchange came. */
enum wire_outcome {
	WIRE_DONE,
	WIRE_UNSENT, /* the command has not left as a whole */
	WIRE_CLOSED, /* sent; then the server closed the connection, or what it said is no answer */
	WIRE_TIMEOUT /* sent; no answer before the deadline */
};

struct redisReader;

/* redis_wire_reader - a reader that refuses replies with huge arrays; NULL: no memory */
struct redisReader *redis_wire_reader(void);
void redis_wire_reader_free(struct redisReader *reader);

/*
 * redis_wire_open - connect to the first address of place that can be reached; with tls, shake
 * hands tls may be NULL. Returns NULL and *error_r on ctx. The result is a talloc root, since it
 * wanders between threads.
 */
struct redis_wire *redis_wire_open(const struct redis_place *place, struct redis_tls *tls,
    TALLOC_CTX *ctx, int64_t deadline_ms, const char **error_r);

/* redis_wire_close - accepts NULL */
void redis_wire_close(struct redis_wire *wire);

/* redis_wire_is_sound - whether a connection that is not in use may be used: the server has said
 * nothing, and not hung up */
bool redis_wire_is_sound(struct redis_wire *wire);

/*
 * redis_wire_exchange - one command and its answer
 * argv are argc octet strings with lengths. On WIRE_DONE *reply_r belongs to the caller
 * (freeReplyObject), else it is NULL and *why_r says why; it lives as long as wire, which is good
 * for nothing any more.
 */
enum wire_outcome redis_wire_exchange(struct redis_wire *wire, int argc, const char **argv,
    const size_t *argv_len, int64_t deadline_ms, struct redisReply **reply_r, const char **why_r);

/*
 * redis_wire_exchange_many - n commands, written before any answer is read, and the answers
 * octets are the commands, formatted. replies_r has room for n; those of the first, as many as are
 * returned, are the caller's. If that is less than n, *why_r and wire are as above, and nobody
 * knows what became of the others. The answers must be small: they wait in the server meanwhile.
 */
size_t redis_wire_exchange_many(struct redis_wire *wire, const char *octets, size_t len, size_t n,
    int64_t deadline_ms, struct redisReply **replies_r, const char **why_r);

#endif
