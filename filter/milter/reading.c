/*
 * reading.c - how libmilter waits for octets of MTAs and reads them, with few system calls
 *
 * libmilter asks poll(2) and read(2) for the five octets of a packet's head, both again for its
 * data, and poll(2) once more whether another packet follows. Postfix sends two packets for each
 * header field (macros, then the field), so an ordinary message costs some 240 system calls, for
 * octets that came in one or two segments and are in the kernel together.
 *
 * Reading ahead (a configure switch, because only speed depends on it): read() takes what the
 * kernel has beyond the octets asked for and keeps it; later calls are answered from there, and
 * poll() reports that such a connection is ready. The caller sees the same octets in the same
 * order; an end or an error of the connection is seen after the octets before it. What poll() has
 * found ready it need not be asked about again before a read.
 *
 * poll() is also where a delayed acknowledgement is sent (see base/socket.h), where a thread waits
 * for the next command of its session (poll_look() below), and where the pool learns which
 * sessions have a command: gate.c shows it only so many at once.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/socket.h"
#include "filter/milter/gate.h"
#include "filter/milter/reading.h"
#include "policy/base/mem.h"

#define AHEAD_OCTETS	16384	/* read beyond what was asked for, at most */
#define POOL_LOOK_MS	1	/* how long libmilter looks for the next command (engine.c there) */
#define LINGER_MS	50	/* how long a thread does instead, while few do */

/* Octets that were read and not asked for yet. */
struct ahead {
	size_t at;
	size_t len;
	unsigned char octets[];
};

#ifdef READ_AHEAD
static atomic_uint_fast64_t count_pieces;
static atomic_uint_fast64_t count_octets;

/* has_kept - are there octets that were read and not asked for? NULL: no */
static bool
has_kept(const struct connection *connection)
{
	return connection != NULL &&
	    atomic_load_explicit(&connection->kept, memory_order_acquire) != NULL;
}

/* poll_kept - poll(2) of several descriptors of which some have kept octets: those are ready now */
static int
poll_kept(struct pollfd *fds, nfds_t n)
{
	int ready = poll(fds, n, 0);

	for (nfds_t i = 0; i < n && ready >= 0; i++) {
		if ((fds[i].events & POLLIN) == 0 || !has_kept(connection_of(fds[i].fd)))
			continue;
		ready += fds[i].revents == 0;
		fds[i].revents |= POLLIN;
	}
	return ready;
}

/* poll_all - poll(2) of several descriptors, which also sees kept octets */
static int
poll_all(struct pollfd *fds, nfds_t n, int timeout)
{
	for (nfds_t i = 0; i < n; i++)
		if ((fds[i].events & POLLIN) != 0 && has_kept(connection_of(fds[i].fd)))
			return poll_kept(fds, n);
	return poll(fds, n, timeout);
}

int
reading_poll_pool(struct pollfd *fds, nfds_t n, int timeout)
{
	int room = milter_gate_room(n - 1);
	int ready;

	if (room == 0) {
		for (nfds_t i = 1; i < n; i++)
			fds[i].revents = 0;
		ready = poll(fds, 1, MILTER_GATE_PATIENCE_MS);
		if (ready != 0)
			return ready;
		room = milter_gate_relief();
	}
	ready = poll_all(fds, n, timeout);
	return ready > 0 ? milter_gate_leave(fds, n, ready, room) : ready;
}

/* is_there - is there something to read, as is known without a system call? */
static bool
is_there(const struct connection *connection)
{
	return connection->ready || has_kept(connection);
}

/* poll_one - poll(2) of an MTA's connection for something to read, by the thread that has it */
static int
poll_one(struct connection *connection, struct pollfd *fd, int timeout)
{
	int ready;

	if (connection->tcp && connection->unacknowledged) {
		socket_acknowledge(fd->fd);
		connection->unacknowledged = false;
	}
	ready = poll(fd, 1, timeout);
	connection->ready = ready == 1 && fd->revents == POLLIN;
	return ready;
}

/*
 * poll_look - the pool's look whether the next command is there, before the session goes back to it
 * That is dear: the pool wakes up, adds the session to those it waits for, and finds a thread for
 * its next command. So the thread at hand waits a little longer, if not too many do.
 */
static int
poll_look(struct connection *connection, struct pollfd *fd)
{
	bool lingers = milter_gate_linger();
	int ready = poll_one(connection, fd, lingers ? LINGER_MS : POOL_LOOK_MS);

	if (lingers)
		milter_gate_lingered();
	return ready;
}

/* reading_keep - store what was read beyond what was asked for */
static void
reading_keep(struct connection *connection, const unsigned char *octets, size_t len)
{
	struct ahead *ahead = mem_check(malloc(sizeof(*ahead) + len));

	ahead->at = 0;
	ahead->len = len;
	memcpy(ahead->octets, octets, len);
	atomic_store_explicit(&connection->kept, ahead, memory_order_release);
	atomic_fetch_add_explicit(&count_pieces, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&count_octets, len, memory_order_relaxed);
}

/* read_more - read what was asked for, and what else is there */
static ssize_t
read_more(int fd, struct connection *connection, void *buffer, size_t len)
{
	unsigned char more[AHEAD_OCTETS];
	const struct iovec parts[] = { { buffer, len }, { more, sizeof(more) } };
	ssize_t got = readv(fd, parts, 2);

	connection->ready = false;
	connection->unacknowledged = got > 0;
	if (got <= 0 || (size_t)got <= len)
		return got;
	reading_keep(connection, more, (size_t)got - len);
	return (ssize_t)len;
}

/* read_one - as read(2), from kept octets first */
static ssize_t
read_one(int fd, struct connection *connection, void *buffer, size_t len)
{
	struct ahead *ahead = atomic_load_explicit(&connection->kept, memory_order_acquire);
	size_t n;

	if (ahead == NULL)
		return read_more(fd, connection, buffer, len);
	n = ahead->len - ahead->at < len ? ahead->len - ahead->at : len;
	memcpy(buffer, ahead->octets + ahead->at, n);
	ahead->at += n;
	if (ahead->at == ahead->len) {
		atomic_store_explicit(&connection->kept, NULL, memory_order_release);
		free(ahead);
	}
	return (ssize_t)n;
}

void
reading_ahead(struct reading_ahead *ahead_r)
{
	ahead_r->pieces = atomic_load(&count_pieces);
	ahead_r->octets = atomic_load(&count_octets);
}
#else
int
reading_poll_pool(struct pollfd *fds, nfds_t n, int timeout)
{
	return poll(fds, n, timeout);
}

static bool
is_there(const struct connection *connection)
{
	(void)connection;
	return false;
}

static int
poll_one(struct connection *connection, struct pollfd *fd, int timeout)
{
	(void)connection;
	return poll(fd, 1, timeout);
}

static int
poll_look(struct connection *connection, struct pollfd *fd)
{
	return poll_one(connection, fd, POOL_LOOK_MS);
}

static ssize_t
read_one(int fd, struct connection *connection, void *buffer, size_t len)
{
	(void)connection;
	return read(fd, buffer, len);
}

void
reading_ahead(struct reading_ahead *ahead_r)
{
	*ahead_r = (struct reading_ahead){ 0 };
}
#endif

int
reading_poll(struct connection *connection, struct pollfd *fd, int timeout)
{
	int64_t left;
	int ready = 0;

	if (is_there(connection)) {
		fd->revents = POLLIN;
		return 1;
	}
	if (connection->begun_ms == 0 && timeout == POOL_LOOK_MS)
		return poll_look(connection, fd);
	if (connection->begun_ms == 0)
		return poll_one(connection, fd, timeout);
	left = connection_packet_ms() - (clock_ms() - connection->begun_ms);
	if (timeout >= 0 && timeout < left)
		return poll_one(connection, fd, timeout);
	if (left > 0)
		ready = poll_one(connection, fd, (int)left);
	if (ready != 0)
		return ready;
	connection->check.fault = "the rest of the packet did not arrive in time";
	connection_refuse(fd->fd, connection);
	return 0;
}

ssize_t
reading_read(int fd, struct connection *connection, void *buffer, size_t len)
{
	ssize_t got;

	if (connection->check.fault != NULL)
		return 0;
	got = read_one(fd, connection, buffer, len);
	if (got <= 0)
		return got;
	if (packet_check(&connection->check, buffer, (size_t)got) != NULL) {
		connection_refuse(fd, connection);
		return 0;
	}
	if (!packet_is_begun(&connection->check))
		connection->begun_ms = 0;
	else if (connection->begun_ms == 0 && !is_there(connection))
		connection->begun_ms = clock_ms();
	return got;
}

void
reading_forget(struct connection *connection)
{
	free(atomic_exchange(&connection->kept, NULL));
}
