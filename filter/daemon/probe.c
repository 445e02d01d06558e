/*
 * probe.c - does the daemon's own listening socket answer?
 *
 * That the process lives says little: libmilter's threads may have ended. So this does what an
 * MTA does first.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/socket.h"
#include "filter/daemon/probe.h"

/* OPTNEG: version 6, the actions and protocol steps of today's MTAs */
static const unsigned char negotiation[] = { 0, 0, 0, 13, 'O', 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f,
	0xff, 0xff };
static const unsigned char quit[] = { 0, 0, 0, 1, 'Q' };

void
probe_address_of(int listening, struct probe_address *address_r)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&address_r->name;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&address_r->name;

	memset(address_r, 0, sizeof(*address_r));
	address_r->len = sizeof(address_r->name);
	if (getsockname(listening, (struct sockaddr *)&address_r->name, &address_r->len) != 0)
		address_r->len = 0;
	if (address_r->name.ss_family == AF_INET && in->sin_addr.s_addr == htonl(INADDR_ANY))
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (address_r->name.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
		in6->sin6_addr = in6addr_loopback;
}

/* read_some - len octets of the answer, or the end of the connection; false at the deadline */
static bool
read_some(int fd, unsigned char *octets, size_t len, int64_t deadline_ms, size_t *got_r)
{
	*got_r = 0;
	while (*got_r < len) {
		ssize_t n = recv(fd, octets + *got_r, len - *got_r, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return true;
		if (n > 0)
			*got_r += (size_t)n;
		else if (!socket_wait(fd, POLLIN, deadline_ms))
			return false;
	}
	return true;
}

/* converse - negotiate and quit; what did not go well, or NULL */
static const char *
converse(int fd, int64_t deadline_ms)
{
	unsigned char octets[512];
	size_t got;

	if (send(fd, negotiation, sizeof(negotiation), MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(negotiation))
		return strerror(errno);
	if (!read_some(fd, octets, 5, deadline_ms, &got))
		return "no answer to a negotiation";
	if (got < 5 || octets[4] != 'O')
		return "the connection was closed";
	if (send(fd, quit, sizeof(quit), MSG_NOSIGNAL) != (ssize_t)sizeof(quit))
		return strerror(errno);
	/* the rest of the answer, then the end: the session is gone */
	while (read_some(fd, octets, sizeof(octets), deadline_ms, &got))
		if (got < sizeof(octets))
			return NULL;
	return "no end after QUIT";
}

const char *
probe_listener(const struct probe_address *address, int timeout_ms)
{
	int64_t deadline_ms = clock_ms() + timeout_ms;
	const char *problem;
	int fd;

	if (address->len == 0)
		return "the address is not known";
	fd = socket_connect((const struct sockaddr *)&address->name, address->len, deadline_ms);
	if (fd < 0)
		return strerror(errno);
	problem = converse(fd, deadline_ms);
	(void)close(fd);
	return problem;
}
