/*
 * place.c - where a Redis server, a Sentinel or a node of a Cluster listens
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "filter/redis/place.h"
#include "policy/base/mem.h"

/* redis_place_look_up - addresses of host and port; flags as of getaddrinfo. Returns their
 * number, or -1 */
static int
redis_place_look_up(
    const struct redis_place *place, int flags, struct redis_address *addresses, const char **why_r)
{
	struct addrinfo hints = { .ai_family = place->family, .ai_socktype = SOCK_STREAM,
	    .ai_flags = flags };
	struct addrinfo *list;
	int n = 0, code;

	code = getaddrinfo(place->host, place->port, &hints, &list);
	if (code != 0) {
		*why_r = gai_strerror(code);
		return -1;
	}
	for (struct addrinfo *at = list; at != NULL && n < REDIS_ADDRESSES; at = at->ai_next) {
		if (at->ai_addrlen > sizeof(addresses[n].name))
			continue;
		memcpy(&addresses[n].name, at->ai_addr, at->ai_addrlen);
		addresses[n++].len = at->ai_addrlen;
	}
	freeaddrinfo(list);
	return n;
}

/* set_unix - the address of a unix socket */
static int
set_unix(TALLOC_CTX *ctx, struct redis_place *place, const char *path, const char **error_r)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	if (path[0] != '/' || strlen(path) >= sizeof(name.sun_path)) {
		*error_r = mem_printf(ctx,
		    "the Redis server \"%s\" is not a usable socket path; write "
		    "\"unix:/run/redis/redis.sock\" (at most %zu bytes after \"unix:\")",
		    place->text, sizeof(name.sun_path) - 1);
		return -1;
	}
	memcpy(name.sun_path, path, strlen(path) + 1);
	memcpy(&place->addresses[0].name, &name, sizeof(name));
	place->addresses[0].len = sizeof(name);
	place->n = 1;
	return 0;
}

/* split_port - cut "host:port" or "[address]:port"; false when it is neither */
static bool
split_port(TALLOC_CTX *ctx, struct redis_place *place, const char *text)
{
	const char *colon = strrchr(text, ':');
	const char *end = colon;
	char *rest;
	long port;

	if (colon == NULL || colon == text)
		return false;
	if (text[0] == '[') {
		text++;
		end = colon - 1;
		if (end <= text || *end != ']')
			return false;
	} else if (memchr(text, ':', (size_t)(colon - text)) != NULL)
		return false;
	errno = 0;
	port = strtol(colon + 1, &rest, 10);
	if (colon[1] < '0' || colon[1] > '9' || *rest != '\0' || errno != 0 || port < 1 ||
	    port > 65535)
		return false;
	place->host = mem_strndup(ctx, text, (size_t)(end - text));
	place->port = mem_strdup(ctx, colon + 1);
	return true;
}

/* redis_place_read - understand a place as written */
int
redis_place_read(TALLOC_CTX *ctx, const char *text, struct redis_place *place, const char **error_r)
{
	const char *why;
	int n;

	memset(place, 0, sizeof(*place));
	place->text = mem_strdup(ctx, text);
	if (strncmp(text, "unix:", 5) == 0)
		return set_unix(ctx, place, text + 5, error_r);
	place->family = AF_UNSPEC;
	if (strncmp(text, "inet:", 5) == 0) {
		text += 5;
	} else if (strncmp(text, "inet6:", 6) == 0) {
		place->family = AF_INET6;
		text += 6;
	}
	if (!split_port(ctx, place, text)) {
		*error_r = mem_printf(ctx,
		    "the Redis server \"%s\" cannot be read; write "
		    "\"unix:/run/redis/redis.sock\", \"inet:127.0.0.1:6379\" or \"inet6:[::1]:6379\"",
		    place->text);
		return -1;
	}
	/* An address is known at once; a name is for redis_place_resolve(). */
	n = redis_place_look_up(place, AI_NUMERICHOST | AI_NUMERICSERV, place->addresses, &why);
	place->n = n > 0 ? (size_t)n : 0;
	return 0;
}

/* is_name - whether the server has to be looked up */
static bool
is_name(const struct redis_place *place)
{
	struct redis_address ignored[REDIS_ADDRESSES];
	const char *why;

	return place->host != NULL &&
	    redis_place_look_up(place, AI_NUMERICHOST | AI_NUMERICSERV, ignored, &why) < 0;
}

/* redis_place_set - the place of a host and a port */
void
redis_place_set(TALLOC_CTX *ctx, const char *host, const char *port, struct redis_place *place)
{
	const char *why;
	int n;

	memset(place, 0, sizeof(*place));
	place->text = mem_printf(ctx, "%s:%s", host, port);
	place->host = mem_strdup(ctx, host);
	place->port = mem_strdup(ctx, port);
	place->family = AF_UNSPEC;
	n = redis_place_look_up(place, AI_NUMERICHOST | AI_NUMERICSERV, place->addresses, &why);
	place->n = n > 0 ? (size_t)n : 0;
}

/* redis_place_resolve - find the addresses of a name */
int
redis_place_resolve(struct redis_place *place, TALLOC_CTX *ctx, const char **error_r)
{
	struct redis_address found[REDIS_ADDRESSES];
	const char *why = "it has no address";
	int n;

	if (!is_name(place))
		return 0;
	n = redis_place_look_up(place, AI_NUMERICSERV | AI_ADDRCONFIG, found, &why);
	if (n <= 0) {
		*error_r = mem_printf(ctx, "the host %s cannot be found: %s", place->host, why);
		return -1;
	}
	memcpy(place->addresses, found, sizeof(found[0]) * (size_t)n);
	place->n = (size_t)n;
	return 0;
}
