/*
 * control.h - the control socket: answers for countersignctl
 *
 * A unix stream socket; a request is one line of JSON, an object with "command"; so is the
 * answer, with "ok" and, if that is false, "error". countersignctl(8) lists them.
 */
#ifndef FILTER_CONTROL_CONTROL_H
#define FILTER_CONTROL_CONTROL_H

#include <talloc.h>

#include "filter/daemon/daemon.h"

#define CONTROL_REQUEST_MAX	4096	/* octets of a request */
#define CONTROL_CLIENTS_MAX	24	/* at once */
#define CONTROL_CLIENTS_OWN	8	/* of these, for root and the daemon's account alone */
#define CONTROL_CLIENTS_USER	4	/* of any other user */
#define CONTROL_IDLE_MS		30000	/* a client that makes no request is dropped */

struct control;

/*
 * control_open - bind the socket
 * Root, the daemon's user and members of group (NULL: the process's own) may do everything; members
 * of read_group, if given, may only ask. Mode 0660, or 0666 with a read_group. A socket that
 * another process listens on is an error; a stale one is removed. Returns NULL and *error_r on ctx.
 * Call before rights are dropped.
 */
struct control *control_open(TALLOC_CTX *ctx, const char *path, const char *group,
    const char *read_group, const char **error_r);

/* control_serve - start the thread that answers. Returns 0 or -1. */
int control_serve(struct control *control, struct daemon *daemon);

/* control_close - stop the thread, remove the socket. NULL is fine. */
void control_close(struct control *control);

#endif
