/*
 * connection.c - the connections from MTAs, by their descriptors
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/peer.h"
#include "filter/base/seldom.h"
#include "filter/milter/connection.h"

static struct connection table[CONNECTION_DESCRIPTORS];
static struct edge_figures unused;
static struct edge_figures *figures = &unused;
static int packet_ms = CONNECTION_PACKET_MS;	/* set by tests, before threads */
static struct seldom bad_packets = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
connection_open(struct edge_figures *to)
{
	figures = to;
}

struct connection *
connection_at(int fd)
{
	return &table[fd];
}

struct connection *
connection_of(int fd)
{
	if (fd < 0 || fd >= CONNECTION_DESCRIPTORS ||
	    !atomic_load_explicit(&table[fd].open, memory_order_acquire))
		return NULL;
	return &table[fd];
}

void
connection_refuse(int fd, const struct connection *connection)
{
	const struct packet_check *check = &connection->check;
	unsigned long skipped;
	struct peer peer;

	atomic_fetch_add(&figures->bad_packets, 1);
	peer_of(fd, &peer);
	if (!seldom_may(&bad_packets, peer.who, clock_ms(), &skipped))
		return;
	if (skipped == 0)
		log_warning("milter: connection of %s closed: %s: %s", peer.text,
		    packet_command(check), check->fault);
	else
		log_warning("milter: connection of %s closed: %s: %s; %lu more were closed for bad "
		    "packets since the last such line", peer.text, packet_command(check),
		    check->fault, skipped);
}

int
connection_packet_ms(void)
{
	return packet_ms;
}

void
connection_set_packet_ms(int ms)
{
	packet_ms = ms;
}
