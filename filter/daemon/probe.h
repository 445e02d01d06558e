/*
 * probe.h - does the daemon's own listening socket answer?
 */
#ifndef FILTER_DAEMON_PROBE_H
#define FILTER_DAEMON_PROBE_H

#include <sys/socket.h>

/* Where MTAs connect, as the daemon itself reaches it. */
struct probe_address {
	struct sockaddr_storage name;
	socklen_t len;		/* 0: not known */
};

/* probe_address_of - the address of a listening socket; a wildcard becomes loopback */
void probe_address_of(int listening, struct probe_address *address_r);

/*
 * probe_listener - connect, negotiate as an MTA does, and quit
 * Returns NULL if that went well within timeout_ms, or what did not; static text, or strerror's.
 * The session it makes has ended when this returns. Any thread.
 */
const char *probe_listener(const struct probe_address *address, int timeout_ms);

#endif
