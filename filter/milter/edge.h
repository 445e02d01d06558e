/*
 * edge.h - the functions that libmilter calls in place of the system's
 *
 * The program is linked with a copy of libmilter in which the names of these functions replace
 * those of the C library (filter/milter/private-copy makes it), so every byte of an MTA passes
 * here first. edge.c says what is done with it.
 *
 * Threads: any, unless said otherwise.
 */
#ifndef FILTER_MILTER_EDGE_H
#define FILTER_MILTER_EDGE_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "filter/daemon/daemon.h"

/* edge_open - where to count what happens here; before libmilter serves. figures outlives it. */
void edge_open(struct edge_figures *figures);

/*
 * edge_inherit - make libmilter use this listening socket in place of one of its own
 * Before smfi_opensocket(), whose address then means nothing; it must be an inet one. The
 * descriptor becomes libmilter's. Returns 0, or -1 with errno.
 */
int edge_inherit(int fd);

/* edge_inherited - the descriptor of the inherited socket, or -1 */
int edge_inherited(void);

/*
 * edge_rest - accept nothing more from the inherited socket: it is the next process's
 * Once this returns, edge_connections() does not grow.
 */
void edge_rest(void);

/* edge_connections - how many connections from MTAs are open */
unsigned long edge_connections(void);

/* edge_stopping - libmilter is being stopped: what it complains about from now on is not logged.
 * Waits until it has begun to listen. */
void edge_stopping(void);

/*
 * edge_tick - close sessions that have waited EDGE_WAIT_MS for a thread while the system refuses
 * new ones; about once a second, by one thread
 */
void edge_tick(int64_t now_ms);

#define EDGE_WAIT_MS	5000

/* For libmilter, as the system's functions of the same names without "edge_"; syslog_chk is
 * what syslog is called by in a library that was built with _FORTIFY_SOURCE. */
int edge_socket(int domain, int type, int protocol);
int edge_bind(int fd, const struct sockaddr *address, socklen_t len);
int edge_accept(int listening, struct sockaddr *address, socklen_t *len);
int edge_poll(struct pollfd *fds, nfds_t n, int timeout);
ssize_t edge_read(int fd, void *buffer, size_t len);
ssize_t edge_writev(int fd, const struct iovec *parts, int n);
int edge_close(int fd);
int edge_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
    void *(*start)(void *), void *arg);
int edge_pthread_detach(pthread_t thread);
int edge_pthread_cond_timedwait(
    pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);
int edge_pthread_cond_signal(pthread_cond_t *cond);
int edge_pthread_mutex_destroy(pthread_mutex_t *mutex);
unsigned int edge_sleep(unsigned int seconds);
int edge_sigwait(const sigset_t *set, int *signal_r);
void edge_syslog(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void edge_syslog_chk(int priority, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
