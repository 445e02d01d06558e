/*
 * ask.h - the daemon's answers, by its control socket
 *
 * Each question has a connection of its own and a deadline.
 *
 * Threads: no state.
 */
#ifndef FILTER_WEB_ASK_H
#define FILTER_WEB_ASK_H

#include <jansson.h>
#include <stdint.h>
#include <talloc.h>

#define ASK_REQUEST_MAX	4094		/* octets of a request */
#define ASK_TRY_MAX	(1024 * 1024)	/* the same of one to try, without the message */
#define ASK_ANSWER_MAX	(8 * 1024 * 1024) /* octets of an answer */

/*
 * ask_daemon - the answer to a request, a new reference
 * message: what follows a request "try", or NULL. NULL, and *error_r on ctx, if no daemon answers
 * within wait_ms. An answer with "ok": false is one.
 */
json_t *ask_daemon(TALLOC_CTX *ctx, const char *socket, const json_t *request, const char *message,
    int64_t wait_ms, const char **error_r);

#endif
