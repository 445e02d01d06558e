/*
 * supervisor.h - the messages of a service manager and a daemon
 *
 * The protocol of sd_listen_fds(3) and sd_notify(3), which others than systemd speak as well.
 * It is three environment variables and a datagram, so no library is needed.
 */
#ifndef FILTER_BASE_SUPERVISOR_H
#define FILTER_BASE_SUPERVISOR_H

#include <talloc.h>

/*
 * supervisor_socket - take a listening stream socket from the service manager
 * name is the socket's or, if it begins with a slash, the path that the socket is bound to. Other
 * sockets that were passed are closed, and the variables are removed, so that programs that this
 * process starts do not see them. With name NULL all sockets are closed.
 * Returns the descriptor, which is the caller's, non-blocking and closed by exec; or -1 and
 * *error_r on ctx: what is wrong and how to correct it. With name NULL, or a path that none is
 * bound to, *error_r is set only if there were sockets. At start, in one thread.
 */
int supervisor_socket(TALLOC_CTX *ctx, const char *name, const char **error_r);

/*
 * supervisor_notify - send a state, such as "READY=1", to the service manager
 * Without one ($NOTIFY_SOCKET), nothing. Any thread.
 */
void supervisor_notify(const char *state);

/* supervisor_watchdog_ms - within what time it expects each "WATCHDOG=1"; 0: it does not */
long supervisor_watchdog_ms(void);

#endif
