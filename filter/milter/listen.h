/*
 * listen.h - the socket that MTAs connect to
 */
#ifndef FILTER_MILTER_LISTEN_H
#define FILTER_MILTER_LISTEN_H

#include <stddef.h>
#include <talloc.h>

#include "filter/config/configuration.h"
#include "filter/daemon/probe.h"

/*
 * milter_socket_open - make libmilter listen, and set up the socket
 * After callbacks_register(). TCP_NODELAY is set on inet sockets, permissions and group on unix
 * ones. Returns 0, or -1 and *error_r on ctx: what is wrong with `listen` and how to fix it.
 */
int milter_socket_open(TALLOC_CTX *ctx, const struct config *config, const char **error_r);

/* milter_socket_address - where libmilter listens, as this process reaches it */
void milter_socket_address(struct probe_address *address_r);

/*
 * milter_socket_descriptors - the listening sockets of this process, at most max of them
 * libmilter keeps its own to itself; right after milter_socket_open() there is no other.
 * Returns how many fds_r holds.
 */
size_t milter_socket_descriptors(int *fds_r, size_t max);

/*
 * milter_socket_stop - make libmilter stop
 * smfi_stop(), without the up to 5 seconds until libmilter's listener looks up from its poll.
 */
void milter_socket_stop(void);

/* milter_socket_remove - remove a unix socket's file */
void milter_socket_remove(const struct config *config);

#endif
