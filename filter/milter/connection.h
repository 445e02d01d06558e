/*
 * connection.h - what is known of a connection from an MTA
 *
 * Threads: a connection belongs to one thread of libmilter at a time, which hands it to the next
 * behind locks. Atomic is what others see of all connections: `open`, `kept` and `due_ms`.
 */
#ifndef FILTER_MILTER_CONNECTION_H
#define FILTER_MILTER_CONNECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter/daemon/daemon.h"
#include "filter/milter/packet.h"

struct ahead;			/* reading.c */

struct connection {
	atomic_bool open;	/* a connection from an MTA */
	_Atomic(struct ahead *) kept; /* octets that were read and not asked for yet */
	atomic_int_least64_t due_ms; /* since when it waits for a thread; 0: it has one */
	int64_t begun_ms;	/* since when the rest of a packet is waited for; 0: it is not */
	struct packet_check check;
	bool tcp;		/* and not a unix socket */
	bool unacknowledged;	/* octets came since the last reply */
	bool ready;		/* poll() found something to read, and nothing was read since */
	unsigned char *edits;	/* packets that wait for the reply, or NULL */
	size_t edits_len;
};

#define CONNECTION_DESCRIPTORS	65536	/* no connection has a higher one */

/* connection_open - where to count refused ones; before libmilter serves. figures outlives it. */
void connection_open(struct edge_figures *figures);

/* connection_at - what is stored for a descriptor below CONNECTION_DESCRIPTORS, open or not */
struct connection *connection_at(int fd);

/* connection_of - an MTA's connection, or NULL for any other descriptor */
struct connection *connection_of(int fd);

/* connection_refuse - log who sent what is wrong (check.fault) and count it; reads as ended */
void connection_refuse(int fd, const struct connection *connection);

#define CONNECTION_PACKET_MS	60000

/* connection_packet_ms - for a packet from its first octet on, and for room for a reply */
int connection_packet_ms(void);

/* connection_set_packet_ms - another time than CONNECTION_PACKET_MS, for tests; before threads */
void connection_set_packet_ms(int ms);

#endif
