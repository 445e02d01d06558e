/*
 * socket_owner.h - the UNIX user at the other end of a connection from this host
 *
 * Threads: any.
 */
#ifndef FILTER_BASE_SOCKET_OWNER_H
#define FILTER_BASE_SOCKET_OWNER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

enum socket_owner {
	SOCKET_OWNER_LOCAL,	/* a process of this host: its user is known */
	SOCKET_OWNER_REMOTE,	/* not a socket of this host: only the address is known */
	SOCKET_OWNER_UNKNOWN	/* it should be one of this host, and the system does not say */
};

/*
 * socket_owner - who connected
 * fd: an accepted socket. A unix socket: the user as it connected (SO_PEERCRED). TCP: the user of
 * the socket at the other end (sock_diag), if that is a socket of this host and network namespace,
 * connected and open; by the user who made it. *uid_r is set for SOCKET_OWNER_LOCAL. Another end
 * that this process has itself is reported with *own_r.
 */
enum socket_owner socket_owner(int fd, uid_t *uid_r, bool *own_r);

#endif
