/*
 * control_try.h - messages that are only tried, for countersignctl try
 *
 * Such a request is larger than others and may wait for DNS. So its connection leaves the control
 * thread and gets a thread of its own, CONTROL_TRIALS of them at most; it ends with the answer.
 *
 *	{"command": "try", "request": N, "message": M} and a newline
 *	N octets of JSON (filter/trial/trial.h), M octets of message
 */
#ifndef FILTER_CONTROL_CONTROL_TRY_H
#define FILTER_CONTROL_CONTROL_TRY_H

#include <stdbool.h>
#include <stddef.h>

#include "filter/control/control_asked.h"

#define CONTROL_TRIALS		4	/* at once */
#define CONTROL_TRY_WAIT_MS	10000	/* for the request, and for the answer to be taken */

/* control_try_wanted - is this line, of len octets, the begin of such a request? Any thread. */
bool control_try_wanted(const char *line, size_t len);

/*
 * control_try_start - answer it in a thread
 * fd: the connection; the thread closes it. ahead: n_ahead octets that came after the line.
 * Returns NULL, or an answer that says why not: fd is then the caller's as before. If
 * CONTROL_TRIALS run, its code is CONTROL_BUSY. Call in the control thread.
 */
json_t *control_try_start(struct daemon *daemon, int fd, const struct asker *asker,
    const char *line, size_t len, const char *ahead, size_t n_ahead);

#endif
