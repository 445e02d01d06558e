/*
 * socketmap.c - socketmap: tables, a program that answers over a socket
 *
 * socketmap:inet:HOST:PORT:NAME or socketmap:unix:PATH:NAME, as in socketmap_table(5): "NAME KEY"
 * goes as one netstring, "OK value", "NOTFOUND " or a failure comes back as one. A reply may be as
 * long as Postfix lets it be; one that is no netstring ends the connection, because what follows
 * could be anything.
 *
 * Threads: a connection belongs to one worker (workers.h).
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "filter/base/socket.h"
#include "filter/table/workers.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define REPLY_MAX	100000	/* octets, as in Postfix */
#define PREFIX_MAX	8	/* digits of a reply's length, and the colon */

struct config {
	const char *host;	/* NULL: a unix socket */
	const char *port;
	const char *path;
	const char *name;
};

struct connection {
	int fd;
};

/* connect_host - to the first address of a host that works */
static int
connect_host(const struct config *config, int64_t deadline_ms, const char **why_r)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	int fd = -1, code;

	code = getaddrinfo(config->host, config->port, &hints, &list);
	if (code != 0) {
		*why_r = gai_strerror(code);
		return -1;
	}
	for (struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next)
		fd = socket_connect(at->ai_addr, at->ai_addrlen, deadline_ms);
	*why_r = fd < 0 ? strerror(errno) : NULL;
	freeaddrinfo(list);
	return fd;
}

static void *
socketmap_connect(
    TALLOC_CTX *ctx, const void *arg, size_t server, int64_t deadline_ms, const char **error_r)
{
	const struct config *config = arg;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct connection *connection;
	const char *why = NULL;
	int fd;

	(void)server;
	if (config->host != NULL) {
		fd = connect_host(config, deadline_ms, &why);
	} else {
		memcpy(name.sun_path, config->path, strlen(config->path) + 1);
		fd = socket_connect((const struct sockaddr *)&name, sizeof(name), deadline_ms);
		why = strerror(errno);
	}
	if (fd < 0) {
		*error_r = mem_printf(ctx, "cannot connect: %s", why);
		return NULL;
	}
	connection = mem_new(ctx, struct connection);
	connection->fd = fd;
	return connection;
}

static void
socketmap_disconnect(void *arg)
{
	const struct connection *connection = arg;

	(void)close(connection->fd);
}

/* socketmap_send_all - the whole request; false with errno */
static bool
socketmap_send_all(int fd, const char *at, size_t len, int64_t deadline_ms)
{
	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n > 0) {
			at += n;
			len -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			return false;
		} else if (!socket_wait(fd, POLLOUT, deadline_ms)) {
			errno = ETIMEDOUT;
			return false;
		}
	}
	return true;
}

/* socketmap_receive - exactly len octets; false with errno */
static bool
socketmap_receive(int fd, char *at, size_t len, int64_t deadline_ms)
{
	while (len > 0) {
		ssize_t n = recv(fd, at, len, 0);

		if (n > 0) {
			at += n;
			len -= (size_t)n;
		} else if (n == 0) {
			errno = ECONNRESET;
			return false;
		} else if (errno != EAGAIN && errno != EINTR) {
			return false;
		} else if (!socket_wait(fd, POLLIN, deadline_ms)) {
			errno = ETIMEDOUT;
			return false;
		}
	}
	return true;
}

/* read_length - the length before a netstring's colon; -1 if there is none */
static long
read_length(int fd, int64_t deadline_ms, const char **why_r)
{
	char digits[PREFIX_MAX + 1] = "";
	size_t n = 0;

	for (;;) {
		if (!socketmap_receive(fd, &digits[n], 1, deadline_ms)) {
			*why_r = strerror(errno);
			return -1;
		}
		if (digits[n] == ':' && n > 0)
			break;
		if (!text_is_digit(digits[n]) || ++n == PREFIX_MAX) {
			*why_r = "the reply is not a netstring";
			return -1;
		}
	}
	digits[n] = '\0';
	return strtol(digits, NULL, 10);
}

/* socketmap_read_reply - one netstring, NUL-terminated; NULL with *why_r */
static char *
socketmap_read_reply(TALLOC_CTX *ctx, int fd, int64_t deadline_ms, const char **why_r)
{
	long len = read_length(fd, deadline_ms, why_r);
	char *reply;

	if (len < 0)
		return NULL;
	if (len > REPLY_MAX) {
		*why_r = "the reply is longer than 100000 bytes";
		return NULL;
	}
	reply = mem_array(ctx, char, (size_t)len + 1);
	if (!socketmap_receive(fd, reply, (size_t)len + 1, deadline_ms)) {
		*why_r = strerror(errno);
		return NULL;
	}
	if (reply[len] != ',' || memchr(reply, '\0', (size_t)len) != NULL) {
		*why_r = "the reply is not a netstring, or holds a NUL";
		return NULL;
	}
	reply[len] = '\0';
	return reply;
}

/* sort_reply - what a reply means */
static enum worker_result
sort_reply(TALLOC_CTX *ctx, const char *reply, const char **value_r, const char **error_r)
{
	if (strncmp(reply, "OK ", 3) == 0) {
		*value_r = reply + 3;
		return WORKER_ANSWER;
	}
	if (strcmp(reply, "NOTFOUND ") == 0)
		return WORKER_ANSWER;
	*error_r = mem_printf(ctx, "the server answered: %.200s", reply);
	return WORKER_ERROR;
}

static enum worker_result
socketmap_ask(const void *arg, void *handle, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    const char **value_r, const char **error_r)
{
	const struct config *config = arg;
	const struct connection *connection = handle;
	char *request = mem_printf(
	    ctx, "%zu:%s %s,", strlen(config->name) + 1 + strlen(key), config->name, key);
	const char *why = NULL;
	char *reply = NULL;

	if (!socketmap_send_all(connection->fd, request, strlen(request), deadline_ms))
		why = strerror(errno);
	else
		reply = socketmap_read_reply(ctx, connection->fd, deadline_ms, &why);
	if (reply != NULL)
		return sort_reply(ctx, reply, value_r, error_r);
	*error_r = why;
	return WORKER_LOST;
}

static const struct worker_driver driver = { socketmap_connect, socketmap_ask, socketmap_disconnect,
	NULL };

/* cut_off - what stands before the first (or last) colon, on config; moves *text after it. NULL:
 * there is none */
static const char *
cut_off(struct config *config, const char **text, bool last)
{
	const char *colon = last ? strrchr(*text, ':') : strchr(*text, ':');
	const char *part;

	if (colon == NULL || colon == *text)
		return NULL;
	part = mem_strndup(config, *text, (size_t)(colon - *text));
	*text = colon + 1;
	return part;
}

/* read_endpoint - inet:host:port:name or unix:path:name */
static bool
read_endpoint(struct config *config, const char *argument)
{
	const struct sockaddr_un limit = { 0 };
	const char *text = argument + 5;

	if (strncmp(argument, "unix:", 5) == 0) {
		config->path = cut_off(config, &text, true);
		if (config->path == NULL || config->path[0] != '/' ||
		    strlen(config->path) >= sizeof(limit.sun_path))
			return false;
	} else if (strncmp(argument, "inet:", 5) == 0 && text[0] == '[') {
		const char *close = strchr(text, ']');

		if (close == NULL || close[1] != ':')
			return false;
		config->host = mem_strndup(config, text + 1, (size_t)(close - text - 1));
		text = close + 2;
		config->port = cut_off(config, &text, false);
	} else if (strncmp(argument, "inet:", 5) == 0) {
		config->host = cut_off(config, &text, false);
		config->port = cut_off(config, &text, false);
	} else {
		return false;
	}
	config->name = mem_strdup(config, text);
	return text[0] != '\0' && strpbrk(text, " :") == NULL &&
	    (config->host == NULL || config->port != NULL);
}

static void *
socketmap_open(
    TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct config *config = mem_new(NULL, struct config);
	const struct worker_servers servers = { 1, 0, false };
	struct table_limits limits = env->limits;

	if (read_endpoint(config, argument))
		return workers_new(ctx, &driver, config, &servers, &limits);
	*error_r = mem_printf(ctx,
	    "\"socketmap:%s\" cannot be read; write socketmap:inet:HOST:PORT:NAME or socketmap:unix:/PATH:NAME",
	    argument);
	talloc_free(config);
	return NULL;
}

static void
socketmap_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	workers_ask(state, ctx, key, deadline_ms, answer_r);
}

const struct table_type table_socketmap = { "socketmap", TABLE_FOLD | TABLE_REMOTE,
	socketmap_open, socketmap_get, NULL, NULL };
