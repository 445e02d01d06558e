/*
 * control.c - the control socket: answers for countersignctl
 *
 * One thread serves all clients with poll(2); a slow one holds up nobody, and
 * the mail path shares nothing with it but the store and the snapshot's
 * reference. Requests that need work (commands[]) are answered one at a time.
 *
 * Thread rule: opened and closed by the first thread; in between everything
 * here belongs to the control thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/clock.h"
#include "filter/control.h"
#include "filter/log.h"
#include "filter/unix_socket.h"
#include "policy/identity.h"
#include "policy/mem.h"

#define STORE_WAIT_MS	5000	/* an operator is patient, but not for ever */

struct client {
	int fd;			/* -1: free place */
	int64_t since_ms;	/* of the last request */
	size_t len;		/* octets in request */
	char request[CONTROL_REQUEST_MAX];
};

struct control {
	const char *path;
	int fd;
	int wake[2];		/* a pipe: closing time */
	pthread_t thread;
	bool running;
	struct daemon *daemon;
	struct client clients[CONTROL_CLIENTS_MAX];
};

/* failed - an answer that says what is wrong */
static json_t *
failed(const char *error)
{
	return json_pack("{s:b, s:s}", "ok", 0, "error", error);
}

/* text_of - a text member of a request, or NULL */
static const char *
text_of(const json_t *request, const char *name)
{
	return json_string_value(json_object_get(request, name));
}

/* answer_status - how the daemon is doing */
static json_t *
answer_status(struct daemon *daemon, TALLOC_CTX *ctx, const json_t *request)
{
	struct store_status store;

	(void)request;
	store_status(daemon->store, ctx, &store);
	return json_pack("{s:b, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:s, s:b, s:s, s:I, s:I, s:I}}",
	    "ok", 1, "version", PACKAGE_VERSION,
	    "uptime_s", (json_int_t)((clock_ms() - daemon->started_ms) / 1000),
	    "draining", (int)atomic_load(&daemon->draining),
	    "sessions", (json_int_t)atomic_load(&daemon->sessions),
	    "in_flight", (json_int_t)atomic_load(&daemon->in_flight),
	    "accepted", (json_int_t)atomic_load(&daemon->accepted),
	    "held", (json_int_t)atomic_load(&daemon->held),
	    "deferred", (json_int_t)atomic_load(&daemon->deferred),
	    "refused", (json_int_t)atomic_load(&daemon->refused),
	    "reloads", (json_int_t)atomic_load(&daemon->reloads),
	    "store", "kind", store.kind, "away", (int)store.away,
	    "problem", store.problem != NULL ? store.problem : "",
	    "charged", (json_int_t)store.charged, "refused", (json_int_t)store.refused,
	    "pending", (json_int_t)store.pending);
}

/* answer_reload - read the configuration anew */
static json_t *
answer_reload(struct daemon *daemon, TALLOC_CTX *ctx, const json_t *request)
{
	const char *error = NULL;

	(void)request;
	if (daemon_reload(daemon, ctx, &error))
		return json_pack("{s:b}", "ok", 1);
	return failed(error);
}

/* What a request about an account is about. */
struct subject {
	struct snapshot *snapshot; /* reference held */
	const char *account;	/* normal form */
	const struct plan *plan; /* or NULL */
	const char *plan_from;	/* where that is said */
	struct quota_plan *counters;
};

/* find_subject - the account of a request; NULL and an answer where there is none */
static json_t *
find_subject(struct daemon *daemon, TALLOC_CTX *ctx, const json_t *request, struct subject *subject_r)
{
	static const struct quota_cost one = { 1, 1, 1 };
	const char *name = text_of(request, "account");
	const char *error = NULL;

	if (name == NULL)
		return failed("the request names no account");
	subject_r->snapshot = daemon_snapshot(daemon);
	subject_r->account = identity_account(ctx, name, subject_r->snapshot->config->realm, &error);
	if (subject_r->account == NULL) {
		snapshot_release(subject_r->snapshot);
		return failed(mem_printf(ctx, "\"%.100s\" is no account: %s", name, error));
	}
	subject_r->plan = config_plan(subject_r->snapshot->config, subject_r->account,
	    &subject_r->plan_from);
	subject_r->counters = quota_plan_make(ctx, subject_r->plan, subject_r->account, &one, false, NULL);
	return NULL;
}

/* limits_json - each limit of an account with its use */
static json_t *
limits_json(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct quota_reply *reply)
{
	json_t *limits = json_array();

	for (size_t i = 0; i < plan->n_counters && i < reply->n_counts; i++) {
		const struct quota_counter *counter = &plan->counters[i];
		const struct quota_count *count = &reply->counts[i];
		double percent = count->max == 0 ? 100.0 :
		    100.0 * (double)count->used / (double)count->max;

		json_array_append_new(limits, json_pack("{s:s, s:I, s:I, s:I, s:f, s:I, s:I}",
		    "limit", quota_limit_text(ctx, counter, count), "used", (json_int_t)count->used,
		    "max", (json_int_t)count->max, "raised_ms", (json_int_t)count->raised_ms,
		    "percent", percent, "wait_ms", (json_int_t)count->one_ms,
		    "next_ms", (json_int_t)count->next_ms));
	}
	return limits;
}

/* answer_quota_show - what an account has used */
static json_t *
answer_quota_show(struct daemon *daemon, TALLOC_CTX *ctx, const json_t *request)
{
	struct subject subject = { 0 };
	struct quota_reply reply = { 0 };
	json_t *answer = find_subject(daemon, ctx, request, &subject);

	if (answer != NULL)
		return answer;
	store_read(daemon->store, ctx, subject.counters, clock_ms() + STORE_WAIT_MS, &reply);
	if (reply.state == QUOTA_UNKNOWN)
		answer = failed(mem_printf(ctx, "the store cannot be asked: %s",
		    reply.problem != NULL ? reply.problem : "no reason given"));
	else
		answer = json_pack("{s:b, s:s, s:s, s:s, s:s, s:o}", "ok", 1, "account", subject.account,
		    "plan", subject.plan != NULL ? subject.plan->name : "", "plan_from", subject.plan_from,
		    "store", reply.store != NULL ? reply.store : "", "limits",
		    limits_json(ctx, subject.counters, &reply));
	snapshot_release(subject.snapshot);
	return answer;
}

/* answer_quota_reset - forget what an account has used */
static json_t *
answer_quota_reset(struct daemon *daemon, TALLOC_CTX *ctx, const json_t *request)
{
	struct subject subject = { 0 };
	const char *error = NULL;
	json_t *answer = find_subject(daemon, ctx, request, &subject);

	if (answer != NULL)
		return answer;
	if (store_reset(daemon->store, ctx, subject.counters, clock_ms() + STORE_WAIT_MS, &error) != 0) {
		answer = failed(mem_printf(ctx, "the counters were not reset: %s", error));
	} else {
		answer = json_pack("{s:b, s:s}", "ok", 1, "account", subject.account);
		log_info("control: quota reset for %s", subject.account);
	}
	snapshot_release(subject.snapshot);
	return answer;
}

static const struct {
	const char *name;
	json_t *(*answer)(struct daemon *, TALLOC_CTX *, const json_t *);
} commands[] = {
	{ "status", answer_status },
	{ "reload", answer_reload },
	{ "quota show", answer_quota_show },
	{ "quota reset", answer_quota_reset },
};

/* answer_line - the answer to one request */
static json_t *
answer_line(struct daemon *daemon, TALLOC_CTX *ctx, const char *line, size_t len)
{
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	const char *command = request == NULL ? NULL : text_of(request, "command");
	json_t *answer = NULL;

	if (command == NULL)
		answer = failed("a request is one line: {\"command\": \"status\"}");
	for (size_t i = 0; answer == NULL && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(command, commands[i].name) == 0)
			answer = commands[i].answer(daemon, ctx, request);
	if (answer == NULL)
		answer = failed("this command is unknown here");
	json_decref(request);
	return answer;
}

/* drop - end a client */
static void
drop(struct client *client)
{
	(void)close(client->fd);
	client->fd = -1;
}

/* reply_to - answer one request; the client is dropped where it does not take the answer at once */
static void
reply_to(struct control *control, struct client *client, size_t line_len)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	json_t *answer = answer_line(control->daemon, ctx, client->request, line_len);
	char *text = mem_check(json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII));
	size_t len = strlen(text);

	/* the answer and its newline fit a socket buffer many times over */
	text[len] = '\n';
	if (send(client->fd, text, len + 1, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)(len + 1))
		drop(client);
	free(text);
	json_decref(answer);
	talloc_free(ctx);
}

/* read_client - take what a client sent and answer whole lines */
static void
read_client(struct control *control, struct client *client)
{
	ssize_t got = recv(client->fd, client->request + client->len,
	    sizeof(client->request) - client->len, MSG_DONTWAIT);
	char *end;

	if (got <= 0) {
		if (got == 0 || (errno != EAGAIN && errno != EINTR))
			drop(client);
		return;
	}
	client->len += (size_t)got;
	client->since_ms = clock_ms();
	while (client->fd >= 0 && (end = memchr(client->request, '\n', client->len)) != NULL) {
		size_t line_len = (size_t)(end - client->request);

		reply_to(control, client, line_len);
		client->len -= line_len + 1;
		memmove(client->request, end + 1, client->len);
	}
	if (client->fd >= 0 && client->len == sizeof(client->request))
		drop(client);
}

/* accept_client - one more client, if there is a place */
static void
accept_client(struct control *control)
{
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (size_t i = 0; fd >= 0 && i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->fd >= 0)
			continue;
		client->fd = fd;
		client->len = 0;
		client->since_ms = clock_ms();
		return;
	}
	if (fd >= 0)
		(void)close(fd);
}

/* drop_idle - clients that say nothing make room for others */
static void
drop_idle(struct control *control)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0 && now - control->clients[i].since_ms > CONTROL_IDLE_MS)
			drop(&control->clients[i]);
}

/* serve - the control thread */
static void *
serve(void *arg)
{
	struct control *control = arg;

	for (;;) {
		struct pollfd fds[CONTROL_CLIENTS_MAX + 2] = {
			{ .fd = control->wake[0], .events = POLLIN },
			{ .fd = control->fd, .events = POLLIN },
		};

		for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
			fds[i + 2] = (struct pollfd){ .fd = control->clients[i].fd, .events = POLLIN };
		(void)poll(fds, CONTROL_CLIENTS_MAX + 2, CONTROL_IDLE_MS);
		if (fds[0].revents != 0)
			return NULL;
		for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
			if (control->clients[i].fd >= 0 && control->clients[i].fd == fds[i + 2].fd &&
			    fds[i + 2].revents != 0)
				read_client(control, &control->clients[i]);
		drop_idle(control);
		if (fds[1].revents != 0)
			accept_client(control);
	}
}

/* control_open - bind the socket */
struct control *
control_open(TALLOC_CTX *ctx, const char *path, const char *group, const char **error_r)
{
	struct control *control = mem_new(NULL, struct control);

	control->path = mem_strdup(control, path);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control->clients[i].fd = -1;
	control->fd = unix_socket_listen(ctx, path, 0660, group, error_r);
	if (control->fd >= 0 && pipe2(control->wake, O_CLOEXEC) == 0)
		return control;
	if (control->fd >= 0) {
		*error_r = mem_printf(ctx, "%s: no pipe: %s", path, strerror(errno));
		(void)close(control->fd);
	}
	talloc_free(control);
	return NULL;
}

/* control_serve - start the thread */
int
control_serve(struct control *control, struct daemon *daemon)
{
	control->daemon = daemon;
	control->running = pthread_create(&control->thread, NULL, serve, control) == 0;
	return control->running ? 0 : -1;
}

/* control_close - stop the thread, remove the socket */
void
control_close(struct control *control)
{
	if (control == NULL)
		return;
	(void)close(control->wake[1]);
	if (control->running)
		(void)pthread_join(control->thread, NULL);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0)
			drop(&control->clients[i]);
	(void)close(control->wake[0]);
	(void)close(control->fd);
	(void)unlink(control->path);
	talloc_free(control);
}
