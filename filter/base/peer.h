/*
 * peer.h - who is at the other end of a connection
 *
 * Threads: any.
 */
#ifndef FILTER_BASE_PEER_H
#define FILTER_BASE_PEER_H

#include <stdbool.h>
#include <sys/types.h>

#define PEER_TEXT	80	/* room for either text, NUL included */

/* Who it is, for the log. */
struct peer {
	char who[PEER_TEXT];	/* "user 1000", "192.0.2.1": the same for all its connections */
	char text[PEER_TEXT];	/* "user 1000 (process 4711)", "192.0.2.1 port 40000" */
};

/* peer_of - the peer of a socket: address and port, or the UNIX user; "an unknown peer" if the
 * system does not say */
void peer_of(int fd, struct peer *peer_r);

/* The process at the other end of a unix socket, as it connected. */
struct peer_user {
	uid_t uid;
	gid_t gid;
	pid_t pid;		/* 0: the system does not say */
};

/* peer_user - who connected to a unix socket, or listens on it; false: the system does not say */
bool peer_user(int fd, struct peer_user *user_r);

/*
 * peer_in_group - is the peer of a unix socket in this group?
 * By the groups that its process had when it connected; if the system does not say, by those that
 * the user has in the system's tables now.
 */
bool peer_in_group(int fd, const struct peer_user *user, gid_t group);

#endif
