/*
 * socket.h - sockets of our own clients: waiting and connecting until an absolute deadline
 *
 * deadline_ms: of clock_ms(). Threads: any; no state.
 */
#ifndef FILTER_BASE_SOCKET_H
#define FILTER_BASE_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* socket_wait - until fd is ready for events, as of poll(); false at the deadline, or where fd is
 * none */
bool socket_wait(int fd, short events, int64_t deadline_ms);

/* socket_connect - a connected, non-blocking stream socket, or -1 with errno; ETIMEDOUT at the
 * deadline */
int socket_connect(const struct sockaddr *name, socklen_t len, int64_t deadline_ms);

#endif
