/*
 * unix_socket.h - sockets in the file system
 */
#ifndef FILTER_BASE_UNIX_SOCKET_H
#define FILTER_BASE_UNIX_SOCKET_H

#include <sys/types.h>
#include <talloc.h>

/* unix_socket_connect - connect to a path; the descriptor, or -1 with errno */
int unix_socket_connect(const char *path);

/*
 * unix_socket_listen - bind and listen with these permissions and group (NULL: ours)
 * A stale socket is removed; one that answers, or a file that is no socket, is an error: -1
 * and *error_r on ctx.
 */
int unix_socket_listen(TALLOC_CTX *ctx, const char *path, mode_t mode, const char *group,
    const char **error_r);

/* unix_socket_grant - give an existing socket these permissions and group; 0, or -1 and *error_r on
 * ctx */
int unix_socket_grant(TALLOC_CTX *ctx, const char *path, mode_t mode, const char *group,
    const char **error_r);

#endif
