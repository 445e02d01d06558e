/*
 * types.h - which Redis, and what comes of a command: for all who use Redis
 */
#ifndef FILTER_REDIS_TYPES_H
#define FILTER_REDIS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/redis/tls.h"

struct redisReply;

/* Which Redis, and as whom. All zero, but for server or sentinels, are the defaults. */
struct redis_options {
	const char *server;	/* "unix:/path", "inet:HOST:PORT", "inet6:HOST:PORT", "HOST:PORT";
				 * an IPv6 address in brackets */
	bool cluster;		/* server names nodes of a Redis Cluster, separated by spaces */
	const char *sentinels;	/* instead of server: Sentinels, separated by spaces; else NULL */
	const char *master;	/* the name under which Sentinels know the master */
	const char *user;	/* ACL user, or NULL */
	const char *password;	/* or NULL */
	const char *sentinel_user; /* what Sentinels ask for; or NULL, and the next */
	const char *sentinel_password;
	struct redis_tls_options tls; /* of servers and Sentinels alike */
	unsigned int database;
};

/* What their files hold now; NULL: no password. */
struct redis_passwords {
	const char *password;
	const char *sentinel_password;
};

/* redis_options_copy - a copy whose strings are on ctx */
struct redis_options redis_options_copy(TALLOC_CTX *ctx, const struct redis_options *options);

/* redis_options_wipe - overwrite the passwords of a copy */
void redis_options_wipe(struct redis_options *copy);

/* redis_options_equal - do both mean the same? */
bool redis_options_equal(const struct redis_options *a, const struct redis_options *b);

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
 * Parts: what fails and comes back as one. A single server, or the master that Sentinels name, is
 * part 0; of a Cluster each node is one, by an index below REDIS_PART_UNKNOWN, which stands for
 * slots whose node is not known. REDIS_PART_SLOT is to blame for calls that failed because their
 * slot is on the move, while nodes do well.
 */
#define REDIS_PART_UNKNOWN	128
#define REDIS_PART_SLOT		129
#define REDIS_PARTS		130

/* One command of a batch; and what came of it. */
struct redis_pool_command {
	int argc;
	const char **argv;
	const size_t *argv_len;
	enum pool_outcome outcome;
	struct redisReply *reply;	/* as for redis_pool_call() */
	const char *error;		/* as *error_r of redis_pool_call() */
	unsigned int part;		/* that was asked last, or is to blame */
};

#endif
