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

/* socket_wait - until fd is ready for events, as of poll(); false at the deadline, or if fd is
 * none */
bool socket_wait(int fd, short events, int64_t deadline_ms);

/* socket_connect - a connected, non-blocking stream socket, or -1 with errno; ETIMEDOUT at the
 * deadline */
int socket_connect(const struct sockaddr *name, socklen_t len, int64_t deadline_ms);

/*
 * socket_acknowledge - let the peer's kernel know at once that its octets have come
 * Postfix writes what needs no reply in pieces of 4 KB, and sets no TCP_NODELAY: over TCP its last,
 * smaller piece waits for the acknowledgement of those before, which our kernel delays by 40 ms in
 * the hope of a reply to send with it. A caller that waits for more octets has no reply to send.
 * Nothing if the system has no such request. errno stays as it was.
 */
void socket_acknowledge(int fd);

#endif
