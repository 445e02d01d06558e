/*
 * replies.h - how libmilter writes to MTAs: see replies.c
 *
 * Threads: the thread that has the connection.
 */
#ifndef FILTER_MILTER_REPLIES_H
#define FILTER_MILTER_REPLIES_H

#include <sys/types.h>
#include <sys/uio.h>

#include "filter/milter/connection.h"

/*
 * replies_write - writev(2) of one packet
 * An edit of the message is kept until the reply follows, which is written with it. Returns the
 * length of the packet, or -1 with errno: ETIMEDOUT if the MTA does not read for
 * connection_packet_ms(), and the connection is refused.
 */
ssize_t replies_write(int fd, struct connection *connection, const struct iovec *parts, int n);

/* replies_forget - free what was kept of a connection that is being closed */
void replies_forget(struct connection *connection);

#endif
