/*
 * route.h - which node of a Redis Cluster has a key, and what redirections say
 *
 * Threads: no state.
 */
#ifndef FILTER_REDIS_ROUTE_H
#define FILTER_REDIS_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#define REDIS_SLOTS	16384

struct redisReply;

/* redis_slot - the slot of a key: of what stands between its first { and the next }, if that is
 * something */
unsigned int redis_slot(const char *key, size_t len);

/* redis_slot_of_command - the slot of a command's first key: argv[3] of EVAL and EVALSHA, else
 * argv[1] */
unsigned int redis_slot_of_command(int argc, const char **argv, const size_t *argv_len);

enum redis_redirect_kind {
	REDIS_REDIRECT_NONE,
	REDIS_REDIRECT_MOVED,	/* for good */
	REDIS_REDIRECT_ASK,	/* this time, after ASKING */
	REDIS_REDIRECT_TRYAGAIN	/* keys of the command lie on both sides of a move */
};

/* redis_redirect_kind - what kind of redirection an error (or NULL) is */
enum redis_redirect_kind redis_redirect_kind(const char *error);

struct redis_redirect {
	enum redis_redirect_kind kind;
	unsigned int slot;
	const char *host;
	const char *port;
};

/* redis_redirect_read - "MOVED 3999 127.0.0.1:6381"; strings on ctx. False: not of this form, or
 * without host */
bool redis_redirect_read(TALLOC_CTX *ctx, const char *error, struct redis_redirect *redirect_r);

/* Slots that one master has. */
struct redis_range {
	unsigned int first, last;
	const char *host;
	const char *port;
};

/*
 * redis_ranges_read - the answer to CLUSTER SLOTS, on ctx; what is not of the expected shape is
 * left out A node that names no host of its own is at asked, the host that answered.
 */
struct redis_range *redis_ranges_read(TALLOC_CTX *ctx, const struct redisReply *reply,
    const char *asked, size_t *n_r);

#endif
