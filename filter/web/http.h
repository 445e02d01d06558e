/*
 * http.h - requests of HTTP, with libmicrohttpd
 *
 * A few threads serve all clients. Sizes, the number of clients and every time are bounded, so slow
 * or many clients cost this program, and nobody else.
 *
 * Threads: opened, renewed, tended and closed by the first thread.
 */
#ifndef FILTER_WEB_HTTP_H
#define FILTER_WEB_HTTP_H

#include <stdbool.h>
#include <talloc.h>

#include "filter/web/auth_policy.h"
#include "filter/web/pages.h"
#include "filter/web/tokens.h"

#define HTTP_THREADS		3	/* and as many questions to the daemon at once */
#define HTTP_POLICY_THREADS	1	/* a user may have 4 connections to the daemon */
#define HTTP_CLIENTS		96	/* connections at once; one process may have many */
#define HTTP_IDLE_S		10	/* without a byte */
#define HTTP_BODIES		(32 * 1024 * 1024) /* octets of all bodies together */
#define HTTP_MEMORY		(32 * 1024) /* octets of a request without its body */

struct http;

/* Where it listens, and whom it asks. */
struct http_options {
	int fd;			/* a listening socket; used up, also if opening fails */
	bool is_unix;		/* a proxy there may vouch for names */
	const char *control;	/* path of the control socket */
	const struct pages *files; /* of the console, or NULL; must outlive it */
	struct auth_policy *policy; /* it speaks this protocol, and nothing else; or NULL */
	unsigned int threads;
};

/* http_open - start the threads. tokens is used up; NULL with a policy. NULL and *error_r on ctx.
 */
struct http *http_open(TALLOC_CTX *ctx, const struct http_options *options, struct tokens *tokens,
    const char **error_r);

/* http_renew - other tokens from now on; used up */
void http_renew(struct http *http, struct tokens *tokens);

/* http_tend - end connections that take too long; to be called about every second, and soon again
 * if it returns true. NULL is fine. */
bool http_tend(struct http *http);

/* http_close - end the threads. NULL is fine. */
void http_close(struct http *http);

#endif
