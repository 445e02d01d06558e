/*
 * edge.c - the functions that libmilter calls in place of the system's
 *
 * libmilter accepts, waits, reads, starts threads and waits for signals by functions of the C
 * library. In the copy of it that the program is linked with (filter/milter/private-copy) their
 * names are those of the functions here, so nothing of the program or of other libraries is
 * affected. Seven things are done with that:
 *
 * Packets are checked (packet.h) before libmilter sees the last octet of one; a connection whose
 * peer sends anything else is at its end from libmilter's view. So is one whose peer does not
 * finish a packet that it began, or does not read the replies: a thread waits for that.
 *
 * Descriptors: while few are left, new connections are closed at once. Otherwise libmilter tries
 * accept() again and again while its peers wait, and the daemon cannot reach its store or its name
 * servers.
 *
 * Threads: when the system refuses a new one, libmilter marks the session as running, and it hangs
 * for ever. Here such a session is left to the threads that exist. libmilter does that if its new
 * thread cannot detach itself, so this is what it sees. A session that has to wait too long is
 * closed, see edge_tick().
 *
 * The listening socket: one that the service manager keeps open across a restart is put in place of
 * libmilter's own. Once the daemon is being stopped it accepts nothing more there, see edge_rest();
 * who connects then waits for the next process. One that is shut down ends the daemon.
 *
 * Signals: libmilter has a thread that stops it at HUP. Here that thread never sees a signal.
 *
 * Mutexes: libmilter destroys that of its listener while smfi_stop() may take it. Here it stays.
 *
 * Reading ahead (a configure switch, because only speed depends on it). libmilter asks poll(2) and
 * read(2) for the five octets of a packet's head, both again for its data, and poll(2) once more
 * whether another packet follows. Postfix sends two packets for each header field (macros, then the
 * field), so an ordinary message costs some 240 system calls, for octets that came in one or two
 * segments and are in the kernel together. That is half of all CPU time that a filter spends on a
 * message without its signature (contrib/doc/performance). So read() takes what the kernel has
 * beyond the octets asked for and keeps it; later calls are answered from there, and poll()
 * reports that such a connection is ready. The caller sees the same octets in the same
 * order; an end or an error of the connection is seen after the octets before it. poll() is also
 * where a delayed acknowledgement is sent (see acknowledge), and where the pool learns which
 * sessions have a command: gate.c shows it only so many at once.
 *
 * Thread rule: a connection belongs to one thread of libmilter at a time, which hands it to the
 * next behind locks. Atomic is what poll() of the pool's controller and edge_tick() see of all
 * connections. `closing` keeps edge_tick() from a number that is another descriptor's by now.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/peer.h"
#include "filter/base/seldom.h"
#include "filter/milter/doors.h"
#include "filter/milter/edge.h"
#include "filter/milter/gate.h"
#include "filter/milter/packet.h"
#include "policy/base/mem.h"

#define DESCRIPTORS	65536	/* no connection has a higher one */
#define SPARE_MOST	64	/* descriptors for the rest of the daemon, or an eighth of all */
#define AHEAD_OCTETS	16384	/* read beyond what was asked for, at most */
#define PAUSE_MS	50	/* when accept() failed and would at once again */
#define START_MS	5000	/* for libmilter to begin to listen, if it is stopped at once */
#define STARVED_MS	60000	/* how long after a refused thread sessions may be waiting */

/* Octets that were read and not asked for yet. */
struct ahead {
	size_t at;
	size_t len;
	unsigned char octets[];
};

/* What is known of a descriptor. */
struct connection {
	atomic_bool open;	/* a connection from an MTA */
	_Atomic(struct ahead *) kept;
	atomic_int_least64_t due_ms; /* since when it waits for a thread; 0: it has one */
	int64_t begun_ms;	/* since when the rest of a packet is waited for; 0: it is not */
	struct packet_check check;
};

static struct connection table[DESCRIPTORS];
static pthread_mutex_t closing = PTHREAD_MUTEX_INITIALIZER;

static int inherited = -1;		/* the service manager's socket; set before threads */
static int rest_event = -1;		/* readable once resting, to end a poll() of it */
static pthread_mutex_t accepting = PTHREAD_MUTEX_INITIALIZER;
static bool resting;			/* under accepting */
static atomic_ulong connections;

static struct edge_figures unused;
static struct edge_figures *figures = &unused;
static atomic_bool polling;		/* libmilter has begun to poll the listening socket */
static atomic_bool stopping;
static atomic_bool deaf;		/* the listening socket is not one any more */
static atomic_bool serving;		/* a connection was accepted */
static atomic_int_least64_t refused_ms;	/* when a thread was refused last; 0: never */
static int packet_ms = EDGE_PACKET_MS;	/* set by tests, before threads */
static int spare = -1;			/* a descriptor to give up, of the accepting thread */
static _Thread_local bool refusing;	/* in pretend_start() */

static struct seldom bad_packets = { .lock = PTHREAD_MUTEX_INITIALIZER };
static struct seldom complaints = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* connection_of - an MTA's connection, or NULL for any other descriptor */
static struct connection *
connection_of(int fd)
{
	if (fd < 0 || fd >= DESCRIPTORS ||
	    !atomic_load_explicit(&table[fd].open, memory_order_acquire))
		return NULL;
	return &table[fd];
}

void
edge_open(struct edge_figures *to)
{
	figures = to;
	if (spare < 0)
		spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void
edge_set_packet_ms(int ms)
{
	packet_ms = ms;
}

void
edge_stopping(void)
{
	const struct timespec moment = { .tv_nsec = 10 * 1000 * 1000 };

	/* before it polls, libmilter may not have made the mutex that smfi_stop() takes */
	for (int i = 0; i < START_MS / 10 && !atomic_load(&polling); i++)
		(void)nanosleep(&moment, NULL);
	atomic_store(&stopping, true);
}

/* --- the listening socket --- */

int
edge_inherit(int fd)
{
	rest_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rest_event < 0)
		return -1;
	inherited = fd;
	return 0;
}

int
edge_inherited(void)
{
	return inherited;
}

int
edge_socket(int domain, int type, int protocol)
{
	return inherited >= 0 ? inherited : socket(domain, type, protocol);
}

int
edge_bind(int fd, const struct sockaddr *address, socklen_t len)
{
	return fd == inherited ? 0 : bind(fd, address, len);
}

void
edge_rest(void)
{
	(void)pthread_mutex_lock(&accepting);
	resting = true;
	(void)pthread_mutex_unlock(&accepting);
	(void)eventfd_write(rest_event, 1);
}

unsigned long
edge_connections(void)
{
	return atomic_load(&connections);
}

/* --- accept and close --- */

/* pause_briefly - leave the processor to those who can get on */
static void
pause_briefly(void)
{
	const struct timespec moment = { .tv_nsec = PAUSE_MS * 1000 * 1000 };

	(void)nanosleep(&moment, NULL);
}

/* edge_turn_away - with no descriptor left, give one up to accept the connection and to close it */
static void
edge_turn_away(int listening)
{
	int fd;

	atomic_fetch_add(&figures->no_descriptors, 1);
	if (spare >= 0)
		(void)close(spare);
	fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		(void)close(fd);
	else
		pause_briefly();
	spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* accept_failed - libmilter ends the daemon after some errors; none of these is worth it */
static int
accept_failed(int listening)
{
	switch (errno) {
	case EMFILE:
	case ENFILE:
		edge_turn_away(listening);
		break;
	case ENOBUFS:
	case ENOMEM:
		atomic_fetch_add(&figures->no_descriptors, 1);
		pause_briefly();
		break;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
		atomic_store(&deaf, true);
		return -1;
	default:
		/* the connection was lost before it was accepted: see accept(2) */
		break;
	}
	errno = EAGAIN;
	return -1;
}

/* is_room - is this descriptor not one of the last ones? */
static bool
is_room(int fd)
{
	struct rlimit limit;
	rlim_t left;

	if (fd >= DESCRIPTORS)
		return false;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return true;
	left = limit.rlim_cur / 8 < SPARE_MOST ? limit.rlim_cur / 8 : SPARE_MOST;
	return (rlim_t)fd + left < limit.rlim_cur;
}

/* accept_counted - accept4(2), unless resting; what it accepts is counted at once */
static int
accept_counted(int listening, struct sockaddr *address, socklen_t *len)
{
	int fd = -1;

	(void)pthread_mutex_lock(&accepting);
	if (resting)
		errno = EAGAIN;
	else
		fd = accept4(listening, address, len, SOCK_CLOEXEC);
	if (fd >= 0)
		atomic_fetch_add(&connections, 1);
	(void)pthread_mutex_unlock(&accepting);
	return fd;
}

/* edge_refuse - close what was accepted; libmilter sees that there was nothing */
static int
edge_refuse(int fd)
{
	(void)close(fd);
	atomic_fetch_sub(&connections, 1);
	errno = EAGAIN;
	return -1;
}

int
edge_accept(int listening, struct sockaddr *address, socklen_t *len)
{
	const struct timeval patience = { .tv_sec = packet_ms / 1000,
		.tv_usec = packet_ms % 1000 * 1000 };
	int fd = accept_counted(listening, address, len);

	atomic_store_explicit(&serving, true, memory_order_relaxed);
	if (fd < 0)
		return accept_failed(listening);
	if (!is_room(fd)) {
		atomic_fetch_add(&figures->no_descriptors, 1);
		return edge_refuse(fd);
	}
	if (!doors_admit(fd))
		return edge_refuse(fd);
	/* libmilter refuses a peer of another family than it expects */
	if (listening == inherited)
		address->sa_family = AF_INET;
	/* after all that was done with the number before: see edge_close() */
	(void)atomic_load_explicit(&table[fd].open, memory_order_acquire);
	table[fd].check = (struct packet_check){ 0 };
	table[fd].begun_ms = 0;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	atomic_store_explicit(&table[fd].due_ms, clock_ms(), memory_order_relaxed);
	atomic_store_explicit(&table[fd].open, true, memory_order_release);
#ifdef READ_AHEAD
	milter_gate_count(1);
#endif
	return fd;
}

/* edge_sleep - libmilter's pause after an error, which helps only if another try can succeed */
unsigned int
edge_sleep(unsigned int seconds)
{
	return atomic_load(&stopping) || atomic_load(&deaf) ? 0 : sleep(seconds);
}

int
edge_close(int fd)
{
	struct connection *connection = connection_of(fd);

	if (connection != NULL) {
		/* first, because the number may be another's right after */
		free(atomic_exchange(&connection->kept, NULL));
		(void)pthread_mutex_lock(&closing);
		atomic_store_explicit(&connection->open, false, memory_order_release);
		(void)pthread_mutex_unlock(&closing);
#ifdef READ_AHEAD
		milter_gate_count(-1);
#endif
		atomic_fetch_sub(&connections, 1);
	}
	return close(fd);
}

/* --- threads --- */

/*
 * pretend_start - run what a new thread would run, in this one
 * Its first step is to detach the thread, and edge_pthread_detach() refuses that: libmilter then
 * leaves the session to another thread (or, without a pool, closes it) and returns.
 */
static void
pretend_start(void *(*start)(void *), void *arg)
{
	refusing = true;
	(void)start(arg);
	refusing = false;
}

int
edge_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
    void *arg)
{
	int result = pthread_create(thread, attributes, start, arg);

	/* before the first connection these are threads that libmilter cannot do without */
	if (result == 0 || arg == NULL || !atomic_load_explicit(&serving, memory_order_relaxed))
		return result;
	atomic_fetch_add(&figures->no_threads, 1);
	atomic_store(&refused_ms, clock_ms());
	pretend_start(start, arg);
	return 0;
}

int
edge_pthread_detach(pthread_t thread)
{
	return refusing ? EAGAIN : pthread_detach(thread);
}

/*
 * edge_pthread_mutex_destroy - leave libmilter's mutexes as they are
 * Its listener destroys its own once it sees that it shall stop, which smfi_stop() says before it
 * takes that mutex, in another thread. They are few, static, and own no memory.
 */
int
edge_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	(void)mutex;
	return 0;
}

void
edge_tick(int64_t now_ms)
{
	int64_t since = atomic_load(&refused_ms);

	if (since == 0 || now_ms - since > STARVED_MS)
		return;
	for (int fd = 0; fd < DESCRIPTORS; fd++) {
		int64_t due = atomic_load_explicit(&table[fd].due_ms, memory_order_relaxed);

		if (due == 0 || now_ms - due < EDGE_WAIT_MS)
			continue;
		(void)pthread_mutex_lock(&closing);
		if (atomic_load(&table[fd].open) &&
		    atomic_compare_exchange_strong(&table[fd].due_ms, &due, 0)) {
			(void)shutdown(fd, SHUT_RDWR);
			atomic_fetch_add(&figures->closed, 1);
		}
		(void)pthread_mutex_unlock(&closing);
	}
}

/* edge_sigwait - signals are the first thread's (signals.c): there is nothing to wait for here */
int
edge_sigwait(const sigset_t *set, int *signal_r)
{
	(void)set, (void)signal_r;
	for (;;)
		(void)pause();
}

/* --- what libmilter complains about --- */

/* edge_complain - one line of libmilter's, unless it was logged within the last minute */
static void __attribute__((format(printf, 2, 0)))
edge_complain(int priority, const char *format, va_list arguments)
{
	unsigned long skipped;
	char text[512];

	if (refusing || atomic_load(&stopping) || LOG_PRI(priority) > LOG_WARNING ||
	    !seldom_may(&complaints, format, clock_ms(), &skipped))
		return;
	(void)vsnprintf(text, sizeof(text), format, arguments);
	if (LOG_PRI(priority) == LOG_WARNING)
		log_warning("libmilter: %s", text);
	else
		log_error("libmilter: %s", text);
}

void
edge_syslog(int priority, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	edge_complain(priority, format, arguments);
	va_end(arguments);
}

void
edge_syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list arguments;

	(void)flag;
	va_start(arguments, format);
	edge_complain(priority, format, arguments);
	va_end(arguments);
}

/* --- poll --- */

/* note_due - these sessions have a command, and libmilter is about to find them a thread */
static void
note_due(const struct pollfd *fds, nfds_t n)
{
	int64_t now = clock_ms();

	for (nfds_t i = 1; i < n; i++) {
		struct connection *connection = connection_of(fds[i].fd);

		if (fds[i].revents != 0 && connection != NULL)
			atomic_store_explicit(&connection->due_ms, now, memory_order_relaxed);
	}
}

#ifdef READ_AHEAD
static atomic_uint_fast64_t count_pieces;
static atomic_uint_fast64_t count_octets;

/* has_kept - are there octets that were read and not asked for? */
static bool
has_kept(int fd)
{
	const struct connection *connection = connection_of(fd);

	return connection != NULL &&
	    atomic_load_explicit(&connection->kept, memory_order_acquire) != NULL;
}

/* poll_kept - poll(2) of several descriptors of which some have kept octets: those are ready now */
static int
poll_kept(struct pollfd *fds, nfds_t n)
{
	int ready = poll(fds, n, 0);

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
	return poll(fds, n, timeout);
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
		ready = poll(fds, 1, MILTER_GATE_PATIENCE_MS);
		if (ready != 0)
			return ready;
		room = milter_gate_relief();
	}
	ready = poll_all(fds, n, timeout);
	return ready > 0 ? milter_gate_leave(fds, n, ready, room) : ready;
}

/*
 * acknowledge - let the MTA's kernel know at once that its octets have come
 * Postfix writes what needs no reply in pieces of 4 KB, and sets no TCP_NODELAY: over TCP its last,
 * smaller piece waits for the acknowledgement of those before, which our kernel delays by 40 ms in
 * the hope of a reply to send with it. A caller that waits for more octets has no reply to send. On
 * a socket that is not TCP's this fails, and does nothing; an even number asks for this one
 * acknowledgement, not for a habit.
 */
static void
acknowledge(int fd)
{
	int now = 2, saved = errno;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &now, sizeof(now));
	errno = saved;
}

/* poll_one - poll(2) of an MTA's connection, by the thread that has it */
static int
poll_one(struct pollfd *fd, int timeout)
{
	if ((fd->events & POLLIN) != 0) {
		if (has_kept(fd->fd)) {
			fd->revents = POLLIN;
			return 1;
		}
		acknowledge(fd->fd);
	}
	return poll(fd, 1, timeout);
}

/* edge_keep - store what was read beyond what was asked for */
static void
edge_keep(struct connection *connection, const unsigned char *octets, size_t len)
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

	if (got <= 0 || (size_t)got <= len)
		return got;
	edge_keep(connection, more, (size_t)got - len);
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
edge_ahead(struct edge_ahead *ahead_r)
{
	ahead_r->pieces = atomic_load(&count_pieces);
	ahead_r->octets = atomic_load(&count_octets);
}
#else
static int
poll_pool(struct pollfd *fds, nfds_t n, int timeout)
{
	return poll(fds, n, timeout);
}

static int
poll_one(struct pollfd *fd, int timeout)
{
	return poll(fd, 1, timeout);
}

static ssize_t
read_one(int fd, struct connection *connection, void *buffer, size_t len)
{
	(void)connection;
	return read(fd, buffer, len);
}

void
edge_ahead(struct edge_ahead *ahead_r)
{
	*ahead_r = (struct edge_ahead){ 0 };
}
#endif

/* poll_inherited - poll(2) of the inherited socket; while resting there is nothing on it */
static int
poll_inherited(struct pollfd *fd, int timeout)
{
	struct pollfd both[2] = { *fd, { .fd = rest_event, .events = POLLIN } };

	if (poll(both, 2, timeout) < 0)
		return -1;
	if (both[1].revents != 0) {
		fd->revents = 0;
		pause_briefly();
		return 0;
	}
	fd->revents = both[0].revents;
	return fd->revents != 0;
}

/* is_socket - and not a pipe? */
static bool
is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/*
 * poll_listening - poll(2) of the listening socket, or of the pool's pipe if there are no sessions
 * One that was shut down is ready for ever, and on a unix socket accept() says that nobody is
 * there: libmilter would try again and again. If there is nothing to read it ends with an error.
 */
static int
poll_listening(struct pollfd *fd, int timeout)
{
	int ready;

	if (!atomic_load(&polling) && is_socket(fd->fd))
		atomic_store(&polling, true);
	ready = fd->fd == inherited ? poll_inherited(fd, timeout) : poll(fd, 1, timeout);
	if (ready <= 0 || (fd->revents & POLLHUP) == 0 || atomic_load(&stopping) ||
	    !is_socket(fd->fd))
		return ready;
	if (!atomic_exchange(&deaf, true))
		log_error("the listening socket was shut down by another process%s",
		    fd->fd == inherited ? "; restart what passed it, too, such as "
					  "countersign.socket" : "");
	fd->revents = POLLHUP;
	return ready;
}

/* refuse_packet - log who sent it and what is wrong with it */
static void
refuse_packet(int fd, const struct packet_check *check)
{
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

/*
 * poll_connection - poll(2) of an MTA's connection
 * A thread waits here, so a packet that has begun must be there soon, and so must room for a reply.
 * Between packets an MTA may be silent for long, which holds no thread.
 */
static int
poll_connection(struct connection *connection, struct pollfd *fd, int timeout)
{
	bool writing = (fd->events & POLLOUT) != 0;
	int64_t left = packet_ms;
	int ready = 0;

	if (!writing && connection->begun_ms == 0)
		return poll_one(fd, timeout);
	if (!writing)
		left -= clock_ms() - connection->begun_ms;
	if (timeout >= 0 && timeout < left)
		return poll_one(fd, timeout);
	if (left > 0)
		ready = poll_one(fd, (int)left);
	if (ready != 0)
		return ready;
	connection->check.fault = writing ? "its peer does not read the replies" :
					    "the rest of the packet does not come";
	refuse_packet(fd->fd, &connection->check);
	return 0;
}

int
edge_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct connection *connection = n == 1 ? connection_of(fds->fd) : NULL;
	int ready;

	if (connection != NULL) {
		atomic_store_explicit(&connection->due_ms, 0, memory_order_relaxed);
		return poll_connection(connection, fds, timeout);
	}
	if (n == 1)
		return poll_listening(fds, timeout);
	/* only the pool's controller polls several */
	ready = poll_pool(fds, n, timeout);
	if (ready > 0)
		note_due(fds, n);
	return ready;
}

/* --- read --- */

ssize_t
edge_read(int fd, void *buffer, size_t len)
{
	struct connection *connection = connection_of(fd);
	ssize_t got;

	if (connection == NULL || len == 0)
		return read(fd, buffer, len);
	if (connection->check.fault != NULL)
		return 0;
	got = read_one(fd, connection, buffer, len);
	if (got <= 0)
		return got;
	if (packet_check(&connection->check, buffer, (size_t)got) != NULL) {
		refuse_packet(fd, &connection->check);
		return 0;
	}
	if (!packet_is_begun(&connection->check))
		connection->begun_ms = 0;
	else if (connection->begun_ms == 0)
		connection->begun_ms = clock_ms();
	return got;
}
