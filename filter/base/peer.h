/*
 * peer.h - who is at the other end of a connection
 *
 * Threads: any.
 */
#ifndef FILTER_BASE_PEER_H
#define FILTER_BASE_PEER_H

#define PEER_TEXT	80	/* room for either text, NUL included */

/* Who it is, for the log. */
struct peer {
	char who[PEER_TEXT];	/* "user 1000", "192.0.2.1": the same for all its connections */
	char text[PEER_TEXT];	/* "user 1000 (process 4711)", "192.0.2.1 port 40000" */
};

/* peer_of - the peer of a socket: address and port, or the UNIX user; "an unknown peer" if the
 * system does not say */
void peer_of(int fd, struct peer *peer_r);

#endif
