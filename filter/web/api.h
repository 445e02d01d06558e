/*
 * api.h - requests to countersign-web, and what they are answered with
 *
 * Threads: any number of requests at once; each belongs to one.
 */
#ifndef FILTER_WEB_API_H
#define FILTER_WEB_API_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/web/pages.h"
#include "filter/web/sessions.h"
#include "filter/web/tokens.h"

#define API_BODY_MAX	(64 * 1024)	/* octets of a body */
#define API_TRY_MAX	(4 * 1024 * 1024) /* the same of a message to be tried */
#define API_WAIT_MS	10000		/* for an answer of the daemon */
#define API_TRY_WAIT_MS	60000		/* the same of a message to be tried */

#define API_TOO_MANY	"too many wrong tokens; wait a minute"

/*
 * A page without a token is kept for API_FRESH_MS, so that clients who may be anyone ask the daemon
 * once in that time, however many they are.
 */
#define API_FRESH_MS	1000
enum api_kept { API_HEALTH, API_METRICS, API_OPENMETRICS, API_KEPT };
struct api_page {
	pthread_mutex_t lock;	/* held while the daemon is asked */
	int64_t at_ms;		/* clock_ms(); 0: there is none yet */
	unsigned int status;
	char *content_type, *body; /* talloc roots */
};

/* One request. */
struct api_request {
	TALLOC_CTX *ctx;	/* owns the reply, too */
	const char *control;	/* path of the control socket */
	struct api_page *pages;	/* API_KEPT of them, of all requests */
	const struct pages *files; /* of the console, or NULL */
	struct sessions *sessions;
	struct tokens *tokens;	/* in effect */
	struct guesses *guesses;
	const char *place;	/* where it comes from: guesses_place() */
	const char *method;
	const char *path;	/* decoded, without the query */
	json_t *query;		/* an object of texts; a name that came twice has null */
	const char *body;	/* or NULL */
	size_t body_len;
	bool body_is_json;	/* by its Content-Type */
	bool openmetrics;	/* is asked for by Accept */
	const struct token *token; /* who asks; NULL: no one that is known */
	bool proxied;		/* a proxy vouches for the name */
	bool too_many;		/* the token was not looked at */
	const char *session;	/* the cookie that the token is by, or NULL */
	const char *proof;	/* X-CSRF-Token, or NULL */
	bool secure;		/* the browser came by TLS, as far as can be known */
	bool own_header;	/* X-Requested-With came, which no form of a browser can send */
};

/* Its reply. */
struct api_reply {
	unsigned int status;
	const char *content_type;
	const char *body;	/* on ctx, or of a page */
	bool page;		/* of the console */
	const char *cookie;	/* the field Set-Cookie, or NULL */
	const char *allow;	/* the field Allow, or NULL */
	bool last;		/* the connection ends after it */
};

/* api_body_max - how large its body may be, by its header; 0: the answer does not depend on it, for
 * example because the request is of one that is not known, or that may not do this */
size_t api_body_max(const struct api_request *request);

/* api_json - a reply in JSON; json is used up */
void api_json(TALLOC_CTX *ctx, unsigned int status, const char *content_type, json_t *json,
    struct api_reply *reply_r);

/* api_changes - may this request, by its fields, change something? If not, the reply says why. */
bool api_changes(const struct api_request *request, struct api_reply *reply_r);

/* api_unknown - a reply to no one that is known */
void api_unknown(const struct api_request *request, struct api_reply *reply_r);

/* api_answer - answer a request; waits for the daemon */
void api_answer(const struct api_request *request, struct api_reply *reply_r);

/* api_problem - a reply that says what is wrong (RFC 9457) */
void api_problem(TALLOC_CTX *ctx, unsigned int status, const char *detail,
    struct api_reply *reply_r);

#endif
