/*
 * reading.h - how libmilter waits for octets of MTAs and reads them: see reading.c
 *
 * Threads: the thread that has the connection; reading_poll_pool() the pool's controller.
 */
#ifndef FILTER_MILTER_READING_H
#define FILTER_MILTER_READING_H

#include <poll.h>
#include <sys/types.h>

#include "filter/milter/connection.h"

/*
 * reading_poll - poll(2) of one connection
 * Between packets it waits as long as the caller says. A packet that has begun must be there within
 * connection_packet_ms(): otherwise the result is 0, and the connection is refused.
 */
int reading_poll(struct connection *connection, struct pollfd *fd, int timeout);

/* reading_poll_pool - poll(2) of the pool's pipe, then of those that wait for a command */
int reading_poll_pool(struct pollfd *fds, nfds_t n, int timeout);

/* reading_read - read(2); 0, as at the end, after a packet that libmilter must not see */
ssize_t reading_read(int fd, struct connection *connection, void *buffer, size_t len);

/* reading_forget - free what was kept of a connection that is being closed */
void reading_forget(struct connection *connection);

/* What reading ahead has saved since the start, for tests; zero if it is not built in. */
struct reading_ahead {
	uint64_t pieces;	/* reads that brought more than was asked for */
	uint64_t octets;	/* how much more, in all */
};

void reading_ahead(struct reading_ahead *ahead_r);

#endif
