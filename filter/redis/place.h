/*
 * place.h - where a Redis server, a Sentinel or a node of a Cluster listens
 *
 * Threads: a place belongs to its owner; redis_place_resolve() alone may wait.
 */
#ifndef FILTER_REDIS_PLACE_H
#define FILTER_REDIS_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <talloc.h>

#define REDIS_ADDRESSES	8	/* of one place */

/* Where a server may be reached. */
struct redis_address {
	struct sockaddr_storage name;
	socklen_t len;
};

struct redis_place {
	const char *text;	/* as written, for messages */
	const char *host;	/* NULL for a unix socket */
	const char *port;
	int family;		/* AF_UNSPEC, AF_INET, AF_INET6 */
	struct redis_address addresses[REDIS_ADDRESSES];
	size_t n;		/* 0: a name that is still to be resolved */
};

/*
 * redis_place_read - "unix:/path", "inet:HOST:PORT", "inet6:HOST:PORT", "HOST:PORT"; an IPv6
 * address in brackets Strings of place_r are on ctx. Returns 0, or -1 and *error_r on ctx.
 */
int redis_place_read(TALLOC_CTX *ctx, const char *text, struct redis_place *place_r,
    const char **error_r);

/*
 * redis_place_set - the place of a host and a port, as a server named it; resolves nothing
 */
void redis_place_set(
    TALLOC_CTX *ctx, const char *host, const char *port, struct redis_place *place_r);

/*
 * redis_place_resolve - find the addresses of a name; may wait for DNS
 * For addresses and unix sockets it does nothing. Returns 0, or -1 and *error_r on ctx; addresses
 * found earlier are kept then.
 */
int redis_place_resolve(struct redis_place *place, TALLOC_CTX *ctx, const char **error_r);

#endif
