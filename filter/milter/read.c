/*
 * read.c - connections of libmilter read in large pieces
 *
 * Why this exists. libmilter asks poll(2) and read(2) for the five octets of a
 * packet's head, both again for its data, and poll(2) once more whether another packet
 * follows. Postfix sends two packets for each header field (macros, then the field), so an
 * ordinary message costs some 240 system calls, for octets that came in one or two
 * segments and lie in the kernel together. That is half of all CPU time that a
 * filter spends on a message without its signature (contrib/doc/performance). The
 * library has no option for it.
 *
 * What is done. This file defines accept, poll, read and close under their own
 * names. The dynamic linker looks for a function in the program before the C library, so
 * libmilter calls these. On connections from the listening socket that was named,
 * read() takes what the kernel has beyond the octets asked for and keeps it; later calls are
 * answered from there, and poll() says that such a connection is ready. Everything else
 * is handed on, unchanged, after one look into a table.
 *
 * Why that is safe. Who asks poll() and read() sees the same octets in the same order,
 * never more, never fewer; an end or an error of the connection is seen after the octets before
 * it. A descriptor is forgotten by close() before its number can be used anew. Nothing is
 * read ahead on a connection before poll() was asked for it alone: a libmilter that waits in
 * another way (built for select(2), say) would not learn of kept octets, and there
 * nothing is kept.
 *
 * poll() is also where a delayed acknowledgement is sent (see acknowledge), and where the
 * pool learns which sessions have a command: gate.c lets it hear of only so many at once.
 *
 * Threads: a connection belongs to one thread of libmilter at a time, which hands it
 * to the next behind locks; the tables are atomic because poll() of the pool's controller looks
 * at all connections. Kept octets are changed by the connection's thread alone.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "filter/milter/gate.h"
#include "filter/milter/read.h"
#include "policy/base/mem.h"

#define DESCRIPTORS	65536	/* higher ones are read as they always were */
#define LISTENING_MAX	4
#define AHEAD_OCTETS	16384	/* read beyond what was asked for, at most */

/* What is known of a descriptor. */
enum state {
	STATE_OTHER,		/* not ours */
	STATE_ACCEPTED,		/* a connection of libmilter */
	STATE_POLLED		/* and poll() is how it is waited for */
};

/* Octets that were read and not asked for yet. */
struct ahead {
	size_t at;
	size_t len;
	unsigned char octets[];
};

typedef int (*accept_fn)(int, struct sockaddr *, socklen_t *);
typedef int (*poll_fn)(struct pollfd *, nfds_t, int);
typedef ssize_t (*read_fn)(int, void *, size_t);
typedef int (*close_fn)(int);

/* The four are defined under names of our own and an assembler name each, because the C library's
 * headers may define inline functions and attributes for its own. */
int ahead_accept(int fd, struct sockaddr *address, socklen_t *len) __asm__("accept");
int ahead_poll(struct pollfd *fds, nfds_t n, int timeout) __asm__("poll");
ssize_t ahead_read(int fd, void *buffer, size_t len) __asm__("read");
int ahead_close(int fd) __asm__("close");

static atomic_int listening[LISTENING_MAX];	/* descriptor + 1; 0: none */
static atomic_uchar states[DESCRIPTORS];
static _Atomic(struct ahead *) kept[DESCRIPTORS];
static atomic_uint_fast64_t count_pieces;
static atomic_uint_fast64_t count_octets;

/* find_next - the C library's function of that name; one address at each call, so no lock is
 * needed */
static void *
find_next(_Atomic(void *) *cache, const char *name)
{
	void *found = atomic_load_explicit(cache, memory_order_acquire);

	if (found == NULL) {
		found = mem_check(dlsym(RTLD_NEXT, name));
		atomic_store_explicit(cache, found, memory_order_release);
	}
	return found;
}

/* next_accept, next_poll, next_read, next_close - the C library's. ISO C knows no conversion
 * from dlsym's pointer to a function's; POSIX promises that their representations agree. */
#define NEXT(type, name)						\
static type								\
next_##name(void)							\
{									\
	static _Atomic(void *) cache;					\
	void *found = find_next(&cache, #name);				\
	type function;							\
									\
	memcpy(&function, &found, sizeof(function));			\
	return function;						\
}
NEXT(accept_fn, accept)
NEXT(poll_fn, poll)
NEXT(read_fn, read)
NEXT(close_fn, close)

/* state_of - what is known of a descriptor */
static enum state
state_of(int fd)
{
	if (fd < 0 || fd >= DESCRIPTORS)
		return STATE_OTHER;
	return (enum state)atomic_load_explicit(&states[fd], memory_order_acquire);
}

/* has_kept - are there octets that were read and not asked for? */
static bool
has_kept(int fd)
{
	return state_of(fd) == STATE_POLLED &&
	    atomic_load_explicit(&kept[fd], memory_order_acquire) != NULL;
}

void
milter_read_follow(int fd)
{
	for (int i = 0; i < LISTENING_MAX; i++) {
		int none = 0;

		if (atomic_compare_exchange_strong(&listening[i], &none, fd + 1))
			return;
	}
}

void
milter_read_counts(struct milter_read_counts *counts_r)
{
	counts_r->pieces = atomic_load(&count_pieces);
	counts_r->octets = atomic_load(&count_octets);
}

/* is_followed - was that listening socket named? */
static bool
is_followed(int fd)
{
	for (int i = 0; i < LISTENING_MAX; i++)
		if (atomic_load_explicit(&listening[i], memory_order_relaxed) == fd + 1)
			return true;
	return false;
}

/* ahead_accept - as accept(2); a connection of libmilter is noted */
int
ahead_accept(int fd, struct sockaddr *address, socklen_t *len)
{
	int connection = next_accept()(fd, address, len);

	if (connection >= 0 && connection < DESCRIPTORS && is_followed(fd)) {
		atomic_store_explicit(&states[connection], STATE_ACCEPTED, memory_order_release);
		milter_gate_count(1);
	}
	return connection;
}

/* forget_listening - that number is about to be another's */
static void
forget_listening(int fd)
{
	for (int i = 0; i < LISTENING_MAX; i++) {
		int named = fd + 1;

		(void)atomic_compare_exchange_strong(&listening[i], &named, 0);
	}
}

/* ahead_close - as close(2); forgets the descriptor first, because its number may be another's
 * right after */
int
ahead_close(int fd)
{
	if (fd >= 0 && is_followed(fd))
		forget_listening(fd);
	if (state_of(fd) != STATE_OTHER) {
		free(atomic_exchange(&kept[fd], NULL));
		milter_gate_count(-1);
		atomic_store_explicit(&states[fd], STATE_OTHER, memory_order_release);
	}
	return next_close()(fd);
}

/* poll_kept - poll(2) of several descriptors of which some have kept octets: those are ready now */
static int
poll_kept(struct pollfd *fds, nfds_t n)
{
	int ready = next_poll()(fds, n, 0);

	for (nfds_t i = 0; i < n && ready >= 0; i++) {
		if ((fds[i].events & POLLIN) == 0 || !has_kept(fds[i].fd))
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
		if ((fds[i].events & POLLIN) != 0 && has_kept(fds[i].fd))
			return poll_kept(fds, n);
	return next_poll()(fds, n, timeout);
}

/* poll_pool - what the pool's controller asks: its pipe, then the sessions that wait for a
 * command */
static int
poll_pool(struct pollfd *fds, nfds_t n, int timeout)
{
	int room = milter_gate_room(n - 1);
	int ready;

	if (room == 0) {
		for (nfds_t i = 1; i < n; i++)
			fds[i].revents = 0;
		ready = next_poll()(fds, 1, MILTER_GATE_PATIENCE_MS);
		if (ready != 0)
			return ready;
		room = milter_gate_relief();
	}
	ready = poll_all(fds, n, timeout);
	return ready > 0 ? milter_gate_leave(fds, n, ready, room) : ready;
}

/*
 * acknowledge - tell the MTA's kernel at once that its octets have come
 * Postfix writes what needs no reply in pieces of 4 KB, and sets no TCP_NODELAY: over TCP its last,
 * smaller piece waits for the acknowledgement of those before, which our kernel delays by 40 ms in
 * the hope of a reply to send with it. Who asks for more octets has no reply to send. On a socket
 * that is not TCP's this fails, and does nothing; an even number asks for this one acknowledgement,
 * not for a habit.
 */
static void
acknowledge(int fd)
{
	int now = 2, saved = errno;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &now, sizeof(now));
	errno = saved;
}

/* ahead_poll - as poll(2), which also sees kept octets */
int
ahead_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (n == 1 && (fds->events & POLLIN) != 0) {
		if (has_kept(fds->fd)) {
			fds->revents = POLLIN;
			return 1;
		}
		if (state_of(fds->fd) == STATE_ACCEPTED)
			atomic_store_explicit(&states[fds->fd], STATE_POLLED, memory_order_release);
		if (state_of(fds->fd) == STATE_POLLED)
			acknowledge(fds->fd);
	}
	/* no other thread polls a connection of libmilter together with something else */
	if (n > 1 && state_of(fds[0].fd) == STATE_OTHER && state_of(fds[1].fd) != STATE_OTHER)
		return poll_pool(fds, n, timeout);
	return n > 1 ? poll_all(fds, n, timeout) : next_poll()(fds, n, timeout);
}

/* keep - store what was read beyond what was asked for */
static void
keep(int fd, const unsigned char *octets, size_t len)
{
	struct ahead *ahead = mem_check(malloc(sizeof(*ahead) + len));

	ahead->at = 0;
	ahead->len = len;
	memcpy(ahead->octets, octets, len);
	atomic_store_explicit(&kept[fd], ahead, memory_order_release);
	atomic_fetch_add_explicit(&count_pieces, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&count_octets, len, memory_order_relaxed);
}

/* read_more - read what was asked for, and what else is there */
static ssize_t
read_more(int fd, void *buffer, size_t len)
{
	unsigned char more[AHEAD_OCTETS];
	const struct iovec parts[] = { { buffer, len }, { more, sizeof(more) } };
	ssize_t got = readv(fd, parts, 2);

	if (got <= 0 || (size_t)got <= len)
		return got;
	keep(fd, more, (size_t)got - len);
	return (ssize_t)len;
}

/* ahead_read - as read(2), from kept octets first */
ssize_t
ahead_read(int fd, void *buffer, size_t len)
{
	struct ahead *ahead;
	size_t n;

	if (state_of(fd) != STATE_POLLED || len == 0)
		return next_read()(fd, buffer, len);
	ahead = atomic_load_explicit(&kept[fd], memory_order_acquire);
	if (ahead == NULL)
		return read_more(fd, buffer, len);
	n = ahead->len - ahead->at < len ? ahead->len - ahead->at : len;
	memcpy(buffer, ahead->octets + ahead->at, n);
	ahead->at += n;
	if (ahead->at == ahead->len) {
		atomic_store_explicit(&kept[fd], NULL, memory_order_release);
		free(ahead);
	}
	return (ssize_t)n;
}
