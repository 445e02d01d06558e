/*
 * clients.h - connections of countersign-web, and how long they may last
 *
 * libmicrohttpd ends a connection that is silent, but not one that sends an octet now and then. So
 * connections are in a list, and the first thread shuts those down whose request does not come to
 * an end. A request whose answer is awaited is left alone: the daemon has a deadline.
 *
 * One that is answered before its body came is drained after libmicrohttpd has closed it: closing a
 * socket with unread octets would reset it, and its client might not see the answer.
 *
 * Threads: clients_tend() and clients_close() are the first thread's; the rest are any.
 */
#ifndef FILTER_WEB_CLIENTS_H
#define FILTER_WEB_CLIENTS_H

#include <stdbool.h>
#include <talloc.h>

#define CLIENTS_REQUEST_S	30	/* for a whole request to come */
#define CLIENTS_DRAINED		32	/* at once */
#define CLIENTS_DRAIN_S		5	/* for the rest of a body */

struct clients;
struct client;

/* clients_new - none yet */
struct clients *clients_new(TALLOC_CTX *ctx);

/* clients_came - a connection begins; it is in the list until clients_left() */
struct client *clients_came(struct clients *clients, int fd);

/* clients_left - it ends; its descriptor is still open. NULL is fine. */
void clients_left(struct clients *clients, struct client *client);

/* clients_note - its request is complete, or answered. NULL is fine. */
void clients_note(struct clients *clients, struct client *client, bool answering);

/* clients_may_drain - may it be answered now, and be drained when it is closed? False: there are
 * too many; its body must be read first. */
bool clients_may_drain(struct clients *clients, struct client *client);

/*
 * clients_tend - end connections whose request takes too long, read from those that are drained
 * To be called about every second; true: some are drained, so come again soon.
 */
bool clients_tend(struct clients *clients);

#endif
