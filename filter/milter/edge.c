/*
 * edge.c - the functions that libmilter calls in place of the system's
 *
 * libmilter accepts, waits, reads, starts threads and waits for signals by functions of the C
 * library. In the copy of it that the program is linked with (filter/milter/private-copy) their
 * names are those of the functions here, so nothing of the program or of other libraries is
 * affected. Eight things are done with that:
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
 * closed, see edge_tick(). Threads are used again, and no session waits for the session of another
 * thread (crew.c).
 *
 * The listening socket: one that the service manager keeps open across a restart is put in place of
 * libmilter's own. Once the daemon is being stopped it accepts nothing more there, see edge_rest();
 * who connects then waits for the next process. One that is shut down ends the daemon.
 *
 * Signals: libmilter has a thread that stops it at HUP. Here that thread never sees a signal.
 *
 * Mutexes: libmilter destroys that of its listener while smfi_stop() may take it. Here it stays.
 *
 * Reading and writing: with fewer system calls than libmilter asks for (reading.c, replies.c).
 *
 * Thread rule: see connection.h. `closing` keeps edge_tick() from a number that is another
 * descriptor's by now.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/seldom.h"
#include "filter/base/wakeup.h"
#include "filter/milter/connection.h"
#include "filter/milter/crew.h"
#include "filter/milter/doors.h"
#include "filter/milter/edge.h"
#include "filter/milter/gate.h"
#include "filter/milter/reading.h"
#include "filter/milter/replies.h"

#define SPARE_MOST	64	/* descriptors for the rest of the daemon, or an eighth of all */
#define PAUSE_MS	50	/* when accept() failed and would at once again */
#define START_MS	5000	/* for libmilter to begin to listen, if it is stopped at once */
#define STARVED_MS	60000	/* how long after a refused thread sessions may be waiting */

static pthread_mutex_t closing = PTHREAD_MUTEX_INITIALIZER;

static int inherited = -1;		/* the service manager's socket; set before threads */
static struct wakeup rest = WAKEUP_NONE; /* readable once resting, to end a poll() of it */
static pthread_mutex_t accepting = PTHREAD_MUTEX_INITIALIZER;
static bool resting;			/* under accepting */
static atomic_ulong connections;

static struct edge_figures unused;
static struct edge_figures *figures = &unused;
static atomic_bool polling;		/* libmilter has begun to poll the listening socket */
static atomic_bool stopping;
static atomic_bool deaf;		/* the listening socket is not one any more */
static atomic_bool serving;		/* a connection was accepted */
static int spare = -1;			/* a descriptor to give up, of the accepting thread */
static _Thread_local bool refusing;	/* in pretend_start() */

static struct seldom complaints = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
edge_open(struct edge_figures *to)
{
	figures = to;
	connection_open(to);
	if (spare < 0)
		spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void
edge_stopping(void)
{
	/* before it polls, libmilter may not have made the mutex that smfi_stop() takes */
	for (int i = 0; i < START_MS / 10 && !atomic_load(&polling); i++)
		clock_pause(10);
	atomic_store(&stopping, true);
}

/* --- the listening socket --- */

int
edge_inherit(int fd)
{
	if (wakeup_open(&rest) != 0)
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
	wakeup_ring(&rest);
}

unsigned long
edge_connections(void)
{
	return atomic_load(&connections);
}

/* --- accept and close --- */

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
		clock_pause(PAUSE_MS);
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
		clock_pause(PAUSE_MS);
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

	if (fd >= CONNECTION_DESCRIPTORS)
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
	const int patience_ms = connection_packet_ms();
	const struct timeval patience = { .tv_sec = patience_ms / 1000,
		.tv_usec = patience_ms % 1000 * 1000 };
	struct connection *connection;
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
	/* after all that was done with the number before: see edge_close() */
	connection = connection_at(fd);
	(void)atomic_load_explicit(&connection->open, memory_order_acquire);
	connection->check = (struct packet_check){ 0 };
	connection->begun_ms = 0;
	connection->ready = connection->unacknowledged = false;
	connection->tcp = address != NULL && address->sa_family != AF_UNIX;
	/* libmilter refuses a peer of another family than it expects */
	if (listening == inherited)
		address->sa_family = AF_INET;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	atomic_store_explicit(&connection->due_ms, clock_ms(), memory_order_relaxed);
	atomic_store_explicit(&connection->open, true, memory_order_release);
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
		reading_forget(connection);
		replies_forget(connection);
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

/* note_refusal - the system refused a thread */
static void
note_refusal(void)
{
	atomic_fetch_add(&figures->no_threads, 1);
	milter_gate_refuse(clock_ms());
}

int
edge_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
    void *arg)
{
	int result = milter_crew_start(thread, attributes, start, arg);

	/* before the first connection these are threads that libmilter cannot do without */
	if (result == 0 || arg == NULL || !atomic_load_explicit(&serving, memory_order_relaxed))
		return result;
	note_refusal();
	pretend_start(start, arg);
	return 0;
}

int
edge_pthread_cond_timedwait(
    pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
	return milter_crew_await(cond, mutex, until);
}

/* edge_pthread_cond_signal - if it is to be a new thread and there is none, another will take it */
int
edge_pthread_cond_signal(pthread_cond_t *cond)
{
	if (milter_crew_call(cond) != 0)
		note_refusal();
	return 0;
}

int
edge_pthread_detach(pthread_t thread)
{
	return refusing ? EAGAIN : milter_crew_detach(thread);
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
	if (!milter_gate_is_refused(now_ms, STARVED_MS))
		return;
	for (int fd = 0; fd < CONNECTION_DESCRIPTORS; fd++) {
		struct connection *connection = connection_at(fd);
		int64_t due = atomic_load_explicit(&connection->due_ms, memory_order_relaxed);

		if (due == 0 || now_ms - due < EDGE_WAIT_MS)
			continue;
		(void)pthread_mutex_lock(&closing);
		if (atomic_load(&connection->open) &&
		    atomic_compare_exchange_strong(&connection->due_ms, &due, 0)) {
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

		if (fds[i].revents == 0 || connection == NULL)
			continue;
		connection->ready = fds[i].revents == POLLIN;
		atomic_store_explicit(&connection->due_ms, now, memory_order_relaxed);
	}
}

/* poll_inherited - poll(2) of the inherited socket; while resting there is nothing on it */
static int
poll_inherited(struct pollfd *fd, int timeout)
{
	struct pollfd both[2] = { *fd, { .fd = rest.fd, .events = POLLIN } };

	if (poll(both, 2, timeout) < 0)
		return -1;
	if (both[1].revents != 0) {
		fd->revents = 0;
		clock_pause(PAUSE_MS);
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

/* poll_connection - poll(2) of one connection; replies_write() waits for room by itself */
static int
poll_connection(struct connection *connection, struct pollfd *fd, int timeout)
{
	atomic_store_explicit(&connection->due_ms, 0, memory_order_relaxed);
	if ((fd->events & POLLOUT) == 0)
		return reading_poll(connection, fd, timeout);
	fd->revents = POLLOUT;
	return 1;
}

int
edge_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct connection *connection = n == 1 ? connection_of(fds->fd) : NULL;
	int ready;

	if (connection != NULL)
		return poll_connection(connection, fds, timeout);
	if (n == 1)
		return poll_listening(fds, timeout);
	/* only the pool's controller polls several */
	ready = reading_poll_pool(fds, n, timeout);
	if (ready > 0)
		note_due(fds, n);
	if (ready >= 0 || errno == EINTR)
		return ready;
	/* more than RLIMIT_NOFILE, which was lowered, or no memory: libmilter would try at once
	 * again, and then end the daemon */
	clock_pause(PAUSE_MS);
	return 0;
}

ssize_t
edge_read(int fd, void *buffer, size_t len)
{
	struct connection *connection = connection_of(fd);

	return connection == NULL || len == 0 ? read(fd, buffer, len) :
						reading_read(fd, connection, buffer, len);
}

ssize_t
edge_writev(int fd, const struct iovec *parts, int n)
{
	struct connection *connection = connection_of(fd);

	return connection == NULL ? writev(fd, parts, n) :
				    replies_write(fd, connection, parts, n);
}
