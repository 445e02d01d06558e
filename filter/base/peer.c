/*
 * peer.c - who is at the other end of a connection
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "filter/base/peer.h"

/* peer_user - the UNIX user that connected to a unix socket */
static void
peer_user(int fd, struct peer *peer)
{
	struct ucred user;
	socklen_t len = sizeof(user);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &len) != 0)
		return;
	(void)snprintf(peer->who, sizeof(peer->who), "user %lu", (unsigned long)user.uid);
	(void)snprintf(peer->text, sizeof(peer->text), "user %lu (process %ld)",
	    (unsigned long)user.uid, (long)user.pid);
}

void
peer_of(int fd, struct peer *peer_r)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage room;
	} address;
	socklen_t len = sizeof(address);
	unsigned int port = 0;

	(void)snprintf(peer_r->who, sizeof(peer_r->who), "an unknown peer");
	(void)snprintf(peer_r->text, sizeof(peer_r->text), "an unknown peer");
	if (getpeername(fd, &address.any, &len) != 0)
		return;
	if (address.any.sa_family == AF_UNIX) {
		peer_user(fd, peer_r);
		return;
	}
	if (address.any.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &address.in.sin_addr, peer_r->who, sizeof(peer_r->who));
		port = ntohs(address.in.sin_port);
	} else if (address.any.sa_family == AF_INET6) {
		(void)inet_ntop(
		    AF_INET6, &address.in6.sin6_addr, peer_r->who, sizeof(peer_r->who));
		port = ntohs(address.in6.sin6_port);
	}
	(void)snprintf(peer_r->text, sizeof(peer_r->text), "%.60s port %u", peer_r->who, port);
}
