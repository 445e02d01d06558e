/*
 * socket.c - sockets of our own clients: waiting and connecting until an absolute deadline
 *
 * A time-out of one read or write would hold a mail thread as long as a server sends an
 * octet now and then; a deadline does not.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/socket.h"

/* socket_wait - until fd is ready; false at the deadline */
bool
socket_wait(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd entry = { .fd = fd, .events = events };
		int64_t left = deadline_ms - clock_ms();
		int n;

		if (left <= 0 || fd < 0)
			return false;
		n = poll(&entry, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

/* socket_connect - a connected, non-blocking socket, or -1 with errno */
int
socket_connect(const struct sockaddr *name, socklen_t len, int64_t deadline_ms)
{
	int fd = socket(name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int code = 0;
	socklen_t code_len = sizeof(code);

	if (fd < 0 || connect(fd, name, len) == 0)
		return fd;
	if (errno != EINPROGRESS)
		code = errno;
	else if (!socket_wait(fd, POLLOUT, deadline_ms))
		code = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &code_len) < 0)
		code = errno;
	if (code == 0)
		return fd;
	(void)close(fd);
	errno = code;
	return -1;
}

void
socket_acknowledge(int fd)
{
#if HAVE_DECL_TCP_QUICKACK
	/* an even number asks for this one acknowledgement, not for a habit */
	int now = 2, saved = errno;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &now, sizeof(now));
	errno = saved;
#else
	(void)fd;
#endif
}
