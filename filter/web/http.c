/*
 * http.c - requests of HTTP, with libmicrohttpd
 *
 * Who asks is found out when the header has come, once for each request. The body is kept only of
 * one that may do what the request asks for.
 *
 * Threads: the lock guards the tokens in effect.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/web/api.h"
#include "filter/web/clients.h"
#include "filter/web/console.h"
#include "filter/web/http.h"
#include "policy/base/mem.h"

#define VALUES_MAX	16	/* in a query */

/* Tokens in effect; a request holds them while it runs. A talloc root. */
struct tokens_held {
	atomic_uint references;
	struct tokens *tokens;
};

struct http {
	struct MHD_Daemon *daemon;
	struct http_options options;
	pthread_mutex_t lock;
	struct tokens_held *held;
	struct clients *clients;
	struct api_page pages[API_KEPT];
	struct sessions *sessions;
	struct guesses *guesses;
	atomic_size_t bodies;	/* octets of all bodies that are coming or being answered */
};

/* A request while it comes; a talloc root. */
struct coming {
	struct http *http;
	struct tokens_held *held;
	struct api_request request; /* its body is set when it has come */
	const char *secret;	/* the field of the auth policy, or NULL */
	bool ambiguous;		/* it can be read in two ways */
	char *body;
	size_t len, room;
	size_t body_max;	/* octets of a body that are of use; 0: none */
	bool too_large;
};

/* http_fd - the descriptor of a connection, or -1 */
static int
http_fd(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info != NULL ? info->connect_fd : -1;
}

/* --- tokens --- */

static void
http_release(struct tokens_held *held)
{
	if (held != NULL && atomic_fetch_sub(&held->references, 1) == 1)
		talloc_free(held);
}

static struct tokens_held *
http_hold(struct http *http)
{
	struct tokens_held *held;

	(void)pthread_mutex_lock(&http->lock);
	held = http->held;
	(void)atomic_fetch_add(&held->references, 1);
	(void)pthread_mutex_unlock(&http->lock);
	return held;
}

void
http_renew(struct http *http, struct tokens *tokens)
{
	struct tokens_held *new = mem_new(NULL, struct tokens_held), *old;

	atomic_init(&new->references, 1);
	new->tokens = talloc_steal(new, tokens);
	(void)pthread_mutex_lock(&http->lock);
	old = http->held;
	if (old != NULL && tokens != NULL)
		tokens_inherit(tokens, old->tokens);
	http->held = new;
	(void)pthread_mutex_unlock(&http->lock);
	http_release(old);
}

/* --- connections --- */

/* http_on_connection - libmicrohttpd: a connection begins or ends */
static void
http_on_connection(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_ConnectionNotificationCode code)
{
	struct http *http = arg;

	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*context = clients_came(http->clients, http_fd(connection));
	else {
		clients_left(http->clients, *context);
		*context = NULL;
	}
}

/* http_client - the client of a connection, or NULL */
static struct client *
http_client(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info != NULL ? info->socket_context : NULL;
}

bool
http_tend(struct http *http)
{
	return http != NULL && clients_tend(http->clients);
}

/* --- one request --- */

/* http_on_value - libmicrohttpd: a value of the query */
static enum MHD_Result
http_on_value(void *arg, enum MHD_ValueKind kind, const char *name, const char *text)
{
	json_t *query = arg;
	json_t *value = text != NULL ? json_string(text) : json_string("");

	(void)kind;
	if (json_object_get(query, name) != NULL || value == NULL) {
		json_decref(value);
		value = json_null();
	}
	/* a name that is not UTF-8 is as good as unknown */
	if (json_object_set_new(query, name, value) != 0)
		(void)json_object_set_new(query, "?", json_null());
	return json_object_size(query) < VALUES_MAX ? MHD_YES : MHD_NO;
}

/*
 * http_unescape - libmicrohttpd: decode %XX
 * %00 would end the text there, and what follows it would be seen by a proxy alone. It becomes an
 * octet that is never UTF-8, which no path and no value may have.
 */
static size_t
http_unescape(void *arg, struct MHD_Connection *connection, char *text)
{
	(void)arg;
	(void)connection;
	for (char *at = strstr(text, "%00"); at != NULL; at = strstr(at, "%00"))
		memcpy(at, "%FF", 3);
	return MHD_http_unescape(text);
}

/* field_of_request - a header field, or NULL */
static const char *
field_of_request(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Fields that a proxy and we could read in two ways if they came twice. */
static const char *const http_single[] = { "Authorization", "Content-Length", "Host",
	"Transfer-Encoding", "X-CSRF-Token", "X-Forwarded-User" };
#define HTTP_SINGLE	(sizeof(http_single) / sizeof(http_single[0]))

/* http_on_field - libmicrohttpd: a field of the header */
static enum MHD_Result
http_on_field(void *arg, enum MHD_ValueKind kind, const char *name, const char *text)
{
	unsigned int *counts = arg;

	(void)kind;
	(void)text;
	for (size_t i = 0; i < HTTP_SINGLE; i++)
		if (strcasecmp(name, http_single[i]) == 0)
			counts[i]++;
	return MHD_YES;
}

/* http_is_ambiguous - RFC 9112 6.3: where the body ends must be said once; so must who asks */
static bool
http_is_ambiguous(struct MHD_Connection *connection)
{
	unsigned int counts[HTTP_SINGLE] = { 0 };
	bool twice = field_of_request(connection, "Content-Length") != NULL &&
	    field_of_request(connection, "Transfer-Encoding") != NULL;

	(void)MHD_get_connection_values(connection, MHD_HEADER_KIND, http_on_field, counts);
	for (size_t i = 0; i < HTTP_SINGLE; i++)
		twice = twice || counts[i] > 1;
	return twice;
}

/* http_is_loopback - did the browser come to a name of this host that never leaves it? */
static bool
http_is_loopback(const char *host)
{
	size_t len = strcspn(host, ":");

	if (strncmp(host, "[::1]", 5) == 0)
		return host[5] == '\0' || host[5] == ':';
	return (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len) ||
	    (len == 9 && strncasecmp(host, "localhost", len) == 0);
}

/* http_is_secure - did it come by TLS? A tunnel to loopback has none, a proxy has. */
static bool
http_is_secure(struct MHD_Connection *connection)
{
	const char *host = field_of_request(connection, "Host");
	const char *protocol = field_of_request(connection, "X-Forwarded-Proto");

	return (protocol != NULL && strcasecmp(protocol, "https") == 0) || host == NULL ||
	    !http_is_loopback(host);
}

/* http_on_forwarded - libmicrohttpd: a field of the header; the last line is the last proxy's */
static enum MHD_Result
http_on_forwarded(void *arg, enum MHD_ValueKind kind, const char *name, const char *text)
{
	const char **last = arg;

	(void)kind;
	if (strcasecmp(name, "X-Forwarded-For") == 0 && text != NULL)
		*last = text;
	return MHD_YES;
}

/* http_place - where a request comes from */
static const char *
http_place(TALLOC_CTX *ctx, struct MHD_Connection *connection)
{
	const char *forwarded = NULL;

	(void)MHD_get_connection_values(
	    connection, MHD_HEADER_KIND, http_on_forwarded, (void *)&forwarded);
	return guesses_place(ctx, http_fd(connection), forwarded);
}

/* http_identify_session - by the cookie of the console */
static void
http_identify_session(
    struct http *http, struct MHD_Connection *connection, struct api_request *request)
{
	const char *id = MHD_lookup_connection_value(
	    connection, MHD_COOKIE_KIND, console_cookie(request->secure));

	if (id == NULL)
		return;
	request->token = sessions_find(http->sessions, request->tokens, id, clock_ms());
	request->session = request->token != NULL ? id : NULL;
}

/* http_identify - who asks? */
static void
http_identify(struct http *http, struct MHD_Connection *connection, struct tokens *tokens,
    struct api_request *request)
{
	const char *field = field_of_request(connection, "Authorization");
	const char *proxied = field_of_request(connection, "X-Forwarded-User");

	request->place = http_place(request->ctx, connection);
	request->secure = http_is_secure(connection);
	request->proof = field_of_request(connection, "X-CSRF-Token");
	request->own_header = field_of_request(connection, "X-Requested-With") != NULL;
	if (field != NULL && strncasecmp(field, "Bearer ", 7) == 0)
		request->too_many = tokens_check(tokens, field + 7,
		    &(struct tokens_asked){ request->guesses, request->place, clock_ms() },
		    &request->token) == TOKENS_TOO_MANY;
	else if (proxied != NULL && proxied[0] != '\0' && http->options.is_unix) {
		request->token = tokens_proxied(tokens, proxied);
		request->proxied = request->token != NULL;
	} else
		http_identify_session(http, connection, request);
}

/* http_add_fields - what every reply has */
static void
http_add_fields(struct MHD_Response *response, const struct api_reply *reply)
{
	static const char only_data[] = "default-src 'none'; base-uri 'none'; "
	    "form-action 'none'; frame-ancestors 'none'";
	static const char only_own[] = "default-src 'self'; object-src 'none'; base-uri 'none'; "
	    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
	static const char *const fields[][2] = {
		{ "Cache-Control", "no-store" },
		{ "Cross-Origin-Opener-Policy", "same-origin" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Referrer-Policy", "no-referrer" },
		{ "X-Content-Type-Options", "nosniff" },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		(void)MHD_add_response_header(response, fields[i][0], fields[i][1]);
	(void)MHD_add_response_header(
	    response, "Content-Security-Policy", reply->page ? only_own : only_data);
	(void)MHD_add_response_header(response, "Content-Type", reply->content_type);
	if (reply->cookie != NULL)
		(void)MHD_add_response_header(response, "Set-Cookie", reply->cookie);
	if (reply->allow != NULL)
		(void)MHD_add_response_header(response, "Allow", reply->allow);
	if (reply->last)
		(void)MHD_add_response_header(response, "Connection", "close");
	if (reply->status == 401)
		(void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
	if (reply->status == 429)
		(void)MHD_add_response_header(response, "Retry-After", "60");
}

/* http_reply - send a reply */
static enum MHD_Result
http_reply(struct MHD_Connection *connection, const struct api_reply *reply)
{
	/* libmicrohttpd copies the body, for it takes a pointer that is not const */
	struct MHD_Response *response = MHD_create_response_from_buffer(
	    strlen(reply->body), (void *)(uintptr_t)reply->body, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	http_add_fields(response, reply);
	result = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

/* --- what comes of it --- */

/* http_ask - who asks, and how much of a body is of use? */
static void
http_ask(struct coming *coming, struct MHD_Connection *connection)
{
	const struct http_options *options = &coming->http->options;
	struct api_request *request = &coming->request;

	coming->secret = options->policy != NULL
	    ? field_of_request(connection, auth_policy_field(options->policy)) : NULL;
	if (coming->ambiguous)
		return;
	if (options->policy != NULL) {
		coming->body_max = auth_policy_body_max(options->policy, coming->secret);
		return;
	}
	request->token = NULL;
	request->session = NULL;
	request->proxied = request->too_many = false;
	http_identify(coming->http, connection, request->tokens, request);
	coming->body_max = console_body_max(request);
	if (coming->body_max == 0)
		coming->body_max = api_body_max(request);
}

/* http_begin - the header of a request has come */
static void
http_begin(struct coming *coming, struct MHD_Connection *connection, const char *path,
    const char *method)
{
	struct http *http = coming->http;
	const char *type = field_of_request(connection, "Content-Type");
	const char *accept = field_of_request(connection, "Accept");

	coming->held = http_hold(http);
	coming->ambiguous = http_is_ambiguous(connection);
	coming->request = (struct api_request){ .ctx = coming, .control = http->options.control,
		.pages = http->pages, .files = http->options.files, .sessions = http->sessions,
		.tokens = coming->held->tokens, .guesses = http->guesses,
		.method = strcmp(method, "HEAD") == 0 ? "GET" : mem_strdup(coming, method),
		.path = mem_strdup(coming, path), .query = json_object(),
		.body_is_json = type != NULL && strncasecmp(type, "application/json", 16) == 0 &&
		    (type[16] == '\0' || type[16] == ';' || type[16] == ' '),
		.openmetrics = accept != NULL &&
		    strstr(accept, "application/openmetrics-text") != NULL };
	(void)MHD_get_connection_values(
	    connection, MHD_GET_ARGUMENT_KIND, http_on_value, coming->request.query);
	http_ask(coming, connection);
}

/* http_ask_again - if other tokens are in effect than when the header came */
static void
http_ask_again(struct coming *coming, struct MHD_Connection *connection)
{
	struct tokens_held *held = http_hold(coming->http), *before = coming->held;

	coming->held = held;
	if (held != before) {
		coming->request.tokens = held->tokens;
		http_ask(coming, connection);
	}
	http_release(before);
}

/* http_answer - a request has come as far as it is of use: answer it */
static enum MHD_Result
http_answer(struct coming *coming, struct MHD_Connection *connection)
{
	struct http *http = coming->http;
	struct api_request *request = &coming->request;
	struct api_reply reply = { 0 };
	enum MHD_Result result;

	clients_note(http->clients, http_client(connection), true);
	http_ask_again(coming, connection);
	request->body = coming->body;
	request->body_len = coming->len;
	if (coming->ambiguous) {
		api_problem(coming, 400, "a field of the header came twice", &reply);
		reply.last = true;
	} else if (coming->too_large)
		api_problem(coming, 413, "the body is too large", &reply);
	else if (http->options.policy != NULL)
		auth_policy_answer(http->options.policy, request, coming->secret, &reply);
	else if (!console_answer(request, &reply))
		api_answer(request, &reply);
	result = http_reply(connection, &reply);
	clients_note(http->clients, http_client(connection), false);
	return result;
}

/*
 * http_may_answer - is the answer clear before the body comes?
 * It is if the body is of no use, as that of one that is not known, or if it is too large by what
 * the header says. Then no octet of it is kept.
 */
static bool
http_may_answer(struct coming *coming, struct MHD_Connection *connection)
{
	const char *length = field_of_request(connection, "Content-Length");
	const char *coded = field_of_request(connection, "Transfer-Encoding");
	bool of_no_use = coded != NULL && coming->body_max == 0;
	bool large = length != NULL && strtoull(length, NULL, 10) > coming->body_max;

	if ((!of_no_use && !large) ||
	    !clients_may_drain(coming->http->clients, http_client(connection)))
		return false;
	coming->too_large = coming->body_max > 0;
	return true;
}

/* http_take_body - a piece of the body; one of no use, or the rest of a large one, is not kept */
static void
http_take_body(struct coming *coming, const char *bytes, size_t len)
{
	size_t room = 2 * (coming->len + len + 1);

	if (coming->body_max == 0 || coming->too_large)
		return;
	if (len > coming->body_max - coming->len) {
		coming->too_large = true;
		return;
	}
	if (coming->len + len + 1 > coming->room) {
		size_t all = atomic_fetch_add(&coming->http->bodies, room - coming->room) + room;

		coming->body = mem_grow(coming, coming->body, char, room);
		coming->room = room;
		coming->too_large = all > HTTP_BODIES;
	}
	memcpy(coming->body + coming->len, bytes, len);
	coming->len += len;
	coming->body[coming->len] = '\0';
}

/* http_on_request - libmicrohttpd: a request begins, goes on, or has come whole */
static enum MHD_Result
http_on_request(void *arg, struct MHD_Connection *connection, const char *path, const char *method,
    const char *version, const char *bytes, size_t *n_bytes, void **context)
{
	struct coming *coming = *context;

	(void)version;
	if (coming == NULL) {
		coming = *context = mem_new(NULL, struct coming);
		coming->http = arg;
		http_begin(coming, connection, path, method);
		return http_may_answer(coming, connection) ? http_answer(coming, connection)
		    : MHD_YES;
	}
	if (*n_bytes > 0) {
		http_take_body(coming, bytes, *n_bytes);
		*n_bytes = 0;
		return MHD_YES;
	}
	return http_answer(coming, connection);
}

/* http_on_end - libmicrohttpd: a request is over */
static void
http_on_end(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode code)
{
	struct coming *coming = *context;

	(void)connection;
	(void)code;
	if (coming != NULL) {
		(void)atomic_fetch_sub(&((struct http *)arg)->bodies, coming->room);
		json_decref(coming->request.query);
		http_release(coming->held);
	}
	talloc_free(coming);
	*context = NULL;
}

/* http_on_error - libmicrohttpd: it has to say something */
static void
http_on_error(void *arg, const char *format, va_list values)
{
	(void)arg;
	(void)format;
	(void)values;	/* of clients that went away, and the like */
}

/* --- all of it --- */

/* http_start - its threads, or NULL */
static struct MHD_Daemon *
http_start(struct http *http)
{
	return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0,
	    NULL, NULL, http_on_request, http,
	    MHD_OPTION_EXTERNAL_LOGGER, http_on_error, NULL,
	    MHD_OPTION_UNESCAPE_CALLBACK, http_unescape, NULL,
	    MHD_OPTION_LISTEN_SOCKET, http->options.fd,
	    MHD_OPTION_THREAD_POOL_SIZE, http->options.threads,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned int)HTTP_CLIENTS,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)HTTP_IDLE_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY,
	    MHD_OPTION_NOTIFY_COMPLETED, http_on_end, http,
	    MHD_OPTION_NOTIFY_CONNECTION, http_on_connection, http,
	    MHD_OPTION_END);
}

struct http *
http_open(TALLOC_CTX *ctx, const struct http_options *options, struct tokens *tokens,
    const char **error_r)
{
	struct http *http = mem_new(NULL, struct http);

	http->options = *options;
	http->options.control = mem_strdup(http, options->control);
	http->clients = clients_new(http);
	http->sessions = sessions_new(http);
	http->guesses = guesses_new(http);
	(void)pthread_mutex_init(&http->lock, NULL);
	for (int i = 0; i < API_KEPT; i++)
		(void)pthread_mutex_init(&http->pages[i].lock, NULL);
	http_renew(http, tokens);
	if (http->sessions != NULL && http->guesses != NULL)
		http->daemon = http_start(http);
	if (http->daemon != NULL)
		return http;
	(void)close(options->fd);
	http_close(http);
	*error_r = mem_strdup(ctx, "libmicrohttpd does not start");
	return NULL;
}

void
http_close(struct http *http)
{
	if (http == NULL)
		return;
	if (http->daemon != NULL)
		MHD_stop_daemon(http->daemon);
	http_release(http->held);
	for (int i = 0; i < API_KEPT; i++) {
		talloc_free(http->pages[i].content_type);
		talloc_free(http->pages[i].body);
		(void)pthread_mutex_destroy(&http->pages[i].lock);
	}
	(void)pthread_mutex_destroy(&http->lock);
	talloc_free(http);
}
