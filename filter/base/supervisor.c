/*
 * supervisor.c - the messages of a service manager and a daemon
 *
 * The environment is changed at start, in one thread, and only read afterwards.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "filter/base/supervisor.h"
#include "policy/base/mem.h"

#define FIRST_FD	3	/* SD_LISTEN_FDS_START */
#define PASSED_MOST	64	/* sockets that are looked at */

/* number_in - an environment variable as a number from 0 to most, or -1 */
static long
number_in(const char *variable, long most)
{
	const char *text = getenv(variable);
	char *end;
	long number;

	if (text == NULL || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	number = strtol(text, &end, 10);
	return errno == 0 && *end == '\0' && number <= most ? number : -1;
}

/* supervisor_passed - how many sockets were passed to this process */
static int
supervisor_passed(void)
{
	long n = number_in("LISTEN_FDS", PASSED_MOST);

	return n > 0 && number_in("LISTEN_PID", 0x7fffffff) == getpid() ? (int)n : 0;
}

/* name_of - the name of socket i in a list with colons between; "unknown" as sd_listen_fds(3) */
static char *
name_of(TALLOC_CTX *ctx, const char *names, int i)
{
	for (; names != NULL && i > 0; i--) {
		names = strchr(names, ':');
		names = names == NULL ? NULL : names + 1;
	}
	return names == NULL ? mem_strdup(ctx, "unknown")
			     : mem_strndup(ctx, names, strcspn(names, ":"));
}

/* is_listening_stream - is it a socket on which connections can be accepted? */
static bool
is_listening_stream(int fd)
{
	int accepting = 0, type = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len) != 0 || !accepting)
		return false;
	len = sizeof(int);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* is_bound_to - is it a unix socket with this path? */
static bool
is_bound_to(int fd, const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNSPEC };
	socklen_t len = sizeof(at);

	return getsockname(fd, (struct sockaddr *)&at, &len) == 0 && at.sun_family == AF_UNIX &&
	    strncmp(at.sun_path, path, sizeof(at.sun_path)) == 0;
}

/* is_wanted - is passed socket i, of this name, the one that is asked for? */
static bool
is_wanted(int i, const char *its, const char *name)
{
	return name != NULL &&
	    (*name == '/' ? is_bound_to(FIRST_FD + i, name) : strcmp(its, name) == 0);
}

/* prepare - flags that the service manager may have set otherwise */
static bool
prepare(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* judge - what is wrong with what was found, or NULL */
static const char *
judge(TALLOC_CTX *ctx, const char *name, int n, int matches, int fd, const char *all)
{
	if (n == 0)
		return mem_printf(ctx, "the service manager passed no socket (LISTEN_FDS); start "
		    "the daemon by a socket unit, see countersign.socket");
	if (matches == 0)
		return mem_printf(ctx, "the service manager passed no socket of this name, only %s; "
		    "write FileDescriptorName=%s in the socket unit", all, name);
	if (matches > 1)
		return mem_printf(ctx, "the service manager passed %d sockets of this %s; keep one "
		    "ListenStream in the socket unit", matches, *name == '/' ? "path" : "name");
	if (!is_listening_stream(fd))
		return mem_printf(ctx, "the socket that the service manager passed does not accept "
		    "stream connections; write ListenStream and Accept=no in the socket unit");
	return prepare(fd) ? NULL : mem_strdup(ctx, strerror(errno));
}

int
supervisor_socket(TALLOC_CTX *ctx, const char *name, const char **error_r)
{
	const char *names = getenv("LISTEN_FDNAMES");
	char *all = NULL;
	int n = supervisor_passed(), matches = 0, found = -1;

	for (int i = 0; i < n; i++) {
		char *its = name_of(ctx, names, i);

		all = mem_printf(ctx, "%s%s\"%s\"", all == NULL ? "" : all, all == NULL ? "" : ", ",
		    its);
		if (is_wanted(i, its, name) && matches++ == 0)
			found = FIRST_FD + i;
		else
			(void)close(FIRST_FD + i);
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	if (name == NULL || (*name == '/' && matches == 0)) {
		if (all != NULL)
			*error_r = mem_printf(ctx, "the service manager passed %s, which is not used; "
			    "write listen = \"systemd:NAME\", or disable the socket unit", all);
		return -1;
	}
	*error_r = judge(ctx, name, n, matches, found, all);
	if (*error_r == NULL)
		return found;
	if (found >= 0)
		(void)close(found);
	return -1;
}

void
supervisor_notify(const char *state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path == NULL ? 0 : strlen(path);
	int fd;

	if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, len);
	/* an abstract socket */
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	(void)close(fd);
}

long
supervisor_watchdog_ms(void)
{
	long us = number_in("WATCHDOG_USEC", 24L * 3600 * 1000000);

	if (us < 1000 || (getenv("WATCHDOG_PID") != NULL &&
	    number_in("WATCHDOG_PID", 0x7fffffff) != getpid()))
		return 0;
	return us / 1000;
}
