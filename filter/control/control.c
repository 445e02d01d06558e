/*
 * control.c - the control socket: who may speak, lines in and lines out
 *
 * One thread serves all clients with poll(2); a slow one holds up no other, and
 * the mail path shares nothing with it but the store, the journal and the snapshot's
 * reference. Requests are answered one at a time (control_answer.c); those that take long are
 * answered by other threads meanwhile (control_long.c), each client's in their order.
 *
 * The kernel reports who may do what: user and groups of the peer as it connected. A socket file
 * belongs to one group only, so if a second one may read, the file is open to all and
 * strangers are turned away here, before they can say a word.
 *
 * Thread rule: opened and closed by the first thread; in between everything
 * here belongs to the control thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/peer.h"
#include "filter/base/unix_socket.h"
#include "filter/control/control.h"
#include "filter/control/control_answer.h"
#include "filter/control/control_long.h"
#include "filter/control/control_try.h"
#include "policy/base/mem.h"

#define NAME_MAX_OCTETS	64
#define NO_GROUP	((gid_t)-1)
#define CONTROL_PAUSE_MS	50	/* when poll() or accept() failed and would at once again */

struct client {
	int fd;			/* -1: free place */
	uid_t uid;
	bool own;		/* root, or the daemon's account */
	bool may_write;
	char name[NAME_MAX_OCTETS];
	char *out;		/* an answer that was not taken yet (malloc), or NULL */
	size_t out_len, out_sent;
	struct control_job *job; /* a request that takes long, or NULL */
	int64_t since_ms;	/* when it connected, or its last request was answered */
	size_t len;		/* octets in request */
	char request[CONTROL_REQUEST_MAX];
};

struct control {
	const char *path;
	gid_t write_group;	/* NO_GROUP: none */
	gid_t read_group;
	int fd;
	int wake[2];		/* a pipe: closing time */
	struct wakeup done;	/* a job is */
	struct control_long *jobs; /* or NULL: there is no thread for them */
	pthread_t thread;
	bool running;
	struct daemon *daemon;
	struct client clients[CONTROL_CLIENTS_MAX];
};

/* drop - end a client */
static void
drop(struct control *control, struct client *client)
{
	if (client->job != NULL)
		control_long_leave(control->jobs, client->job);
	client->job = NULL;
	(void)close(client->fd);
	client->fd = -1;
	free(client->out);
	client->out = NULL;
}

/* send_more - send what the client takes now */
static void
send_more(struct control *control, struct client *client)
{
	ssize_t sent = send(client->fd, client->out + client->out_sent,
	    client->out_len - client->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			drop(control, client);
		return;
	}
	client->since_ms = clock_ms();
	client->out_sent += (size_t)sent;
	if (client->out_sent < client->out_len)
		return;
	free(client->out);
	client->out = NULL;
}

/* reply - begin to send an answer, which is used up */
static void
reply(struct control *control, struct client *client, char *answer)
{
	client->out = answer;
	client->out_len = strlen(client->out);
	client->out[client->out_len++] = '\n';	/* in place of the NUL */
	client->out_sent = 0;
	send_more(control, client);
}

/* reply_to - answer one request, or hand it over */
static void
reply_to(struct control *control, struct client *client, size_t line_len)
{
	const struct asker asker = { client->may_write, client->name };

	if (control->jobs != NULL && control_answer_is_long(client->request, line_len)) {
		client->job =
		    control_long_ask(control->jobs, client->request, line_len, &asker);
		return;
	}
	reply(control, client,
	    control_answer_text(control->daemon, client->request, line_len, &asker));
}

/* hand_over - the connection of a message that is to be tried goes to a thread of its own */
static void
hand_over(struct control *control, struct client *client, size_t line_len)
{
	const struct asker asker = { client->may_write, client->name };
	json_t *problem = control_try_start(control->daemon, client->fd, &asker,
	    client->request, line_len, client->request + line_len + 1,
	    client->len - line_len - 1);

	if (problem == NULL) {
		client->fd = -1;
		return;
	}
	reply(control, client, mem_check(json_dumps(problem, JSON_COMPACT | JSON_ENSURE_ASCII)));
	json_decref(problem);
	/* the message that follows is no request */
	if (client->fd >= 0)
		drop(control, client);
}

/* answer_lines - answer whole lines, until one answer takes long or is not taken at once */
static void
answer_lines(struct control *control, struct client *client)
{
	char *end;

	while (client->fd >= 0 && client->out == NULL && client->job == NULL &&
	    (end = memchr(client->request, '\n', client->len)) != NULL) {
		size_t line_len = (size_t)(end - client->request);

		client->since_ms = clock_ms();
		if (control_try_wanted(client->request, line_len)) {
			hand_over(control, client, line_len);
			return;
		}
		reply_to(control, client, line_len);
		client->len -= line_len + 1;
		memmove(client->request, end + 1, client->len);
	}
}

/* read_client - take what a client sent and answer it */
static void
read_client(struct control *control, struct client *client)
{
	ssize_t got = recv(client->fd, client->request + client->len,
	    sizeof(client->request) - client->len, MSG_DONTWAIT);

	if (got <= 0) {
		if (got == 0 || (errno != EAGAIN && errno != EINTR))
			drop(control, client);
		return;
	}
	client->len += (size_t)got;
	answer_lines(control, client);
	if (client->fd >= 0 && client->out == NULL && client->len == sizeof(client->request))
		drop(control, client);
}

/* take_answer - the answer that a client waits for, if it is there; then to its next requests */
static void
take_answer(struct control *control, struct client *client)
{
	char *answer = control_long_take(control->jobs, client->job);

	if (answer == NULL)
		return;
	client->job = NULL;
	client->since_ms = clock_ms();
	reply(control, client, answer);
	answer_lines(control, client);
}

/* serve_client - what poll(2) says can be done */
static void
serve_client(struct control *control, struct client *client)
{
	if (client->job != NULL) {
		drop(control, client);	/* poll() looks for nothing but its end */
		return;
	}
	if (client->out == NULL) {
		read_client(control, client);
		return;
	}
	send_more(control, client);
	if (client->fd >= 0 && client->out == NULL)
		answer_lines(control, client);
}

/* in_group - was the peer in this group when it connected? */
static bool
in_group(int fd, const struct peer_user *user, gid_t group)
{
	return group != NO_GROUP && peer_in_group(fd, user, group);
}

/* name_peer - the peer's user, for the log */
static void
name_peer(uid_t uid, char *name, size_t size)
{
	char buffer[4096];
	struct passwd entry;
	struct passwd *found = NULL;

	if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found != NULL)
		(void)snprintf(name, size, "%s", found->pw_name);
	else
		(void)snprintf(name, size, "uid %lu", (unsigned long)uid);
}

/* admit - may this peer speak, and what may it do? */
static bool
admit(const struct control *control, int fd, struct client *client)
{
	struct peer_user peer;

	if (!peer_user(fd, &peer))
		return false;
	client->uid = peer.uid;
	client->own = peer.uid == 0 || peer.uid == geteuid();
	client->may_write = client->own || in_group(fd, &peer, control->write_group);
	name_peer(peer.uid, client->name, sizeof(client->name));
	return client->may_write || in_group(fd, &peer, control->read_group);
}

/* control_turn_away - say why, and end */
static void
control_turn_away(int fd, const char *why)
{
	char text[256];
	int len = snprintf(text, sizeof(text), "{\"ok\":false,\"error\":\"%s\"}\n", why);

	(void)send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)close(fd);
}

/* idlest - the client that has made no request for the longest time, or NULL */
static struct client *
idlest(struct control *control)
{
	struct client *found = NULL;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->fd >= 0 && (found == NULL || client->since_ms < found->since_ms))
			found = client;
	}
	return found;
}

/*
 * place_for - a place for a client who may ask, or NULL
 * Nobody can lock out the operator: root and the daemon's account have places of their own, and if
 * these are taken, the idlest client makes room.
 */
static struct client *
place_for(struct control *control, const struct client *wanted)
{
	size_t n_others = 0, n_user = 0;
	struct client *place = NULL;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->fd < 0)
			place = client;
		n_others += client->fd >= 0 && !client->own;
		n_user += client->fd >= 0 && client->uid == wanted->uid;
	}
	if (wanted->own && place == NULL) {
		place = idlest(control);
		drop(control, place);
	}
	if (!wanted->own && (n_user >= CONTROL_CLIENTS_USER ||
	    n_others >= CONTROL_CLIENTS_MAX - CONTROL_CLIENTS_OWN))
		return NULL;
	return place;
}

/* accept_client - one more client, if it may ask and there is a place */
static void
accept_client(struct control *control)
{
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client wanted = { .fd = fd };
	struct client *place;

	if (fd < 0) {
		/* with no descriptor left it would be ready at once again */
		clock_pause(CONTROL_PAUSE_MS);
		return;
	}
	if (!admit(control, fd, &wanted)) {
		control_turn_away(fd, "you are not in a group that may use this socket; see "
		    "control_group and "
		    "control_read_group");
		return;
	}
	place = place_for(control, &wanted);
	if (place == NULL) {
		control_turn_away(fd, "too many clients are connected; end some, or try again in half a "
		    "minute");
		return;
	}
	wanted.since_ms = clock_ms();
	*place = wanted;
}

/* drop_idle - clients that say nothing make room for others */
static void
drop_idle(struct control *control)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0 && control->clients[i].job == NULL &&
		    now - control->clients[i].since_ms > CONTROL_IDLE_MS)
			drop(control, &control->clients[i]);
}

/* take_answers - those that are done */
static void
take_answers(struct control *control)
{
	wakeup_quiet(&control->done);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0 && control->clients[i].job != NULL)
			take_answer(control, &control->clients[i]);
}

/* control_do_serve - the control thread */
static void *
control_do_serve(void *arg)
{
	struct control *control = arg;

	for (;;) {
		struct client *clients[CONTROL_CLIENTS_MAX + 3];
		struct pollfd fds[CONTROL_CLIENTS_MAX + 3] = {
			{ .fd = control->wake[0], .events = POLLIN },
			{ .fd = control->fd, .events = POLLIN },
			{ .fd = control->done.fd, .events = POLLIN },
		};
		nfds_t n = 3;

		/* only those that are there: poll() refuses more than RLIMIT_NOFILE */
		for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
			struct client *client = &control->clients[i];

			if (client->fd < 0)
				continue;
			fds[n] = (struct pollfd){ .fd = client->fd,
			    .events = client->job != NULL ? 0
				: client->out == NULL	  ? POLLIN
							  : POLLOUT };
			clients[n++] = client;
		}
		if (poll(fds, n, CONTROL_IDLE_MS) < 0 && errno != EINTR)
			clock_pause(CONTROL_PAUSE_MS);
		if (fds[0].revents != 0)
			return NULL;
		for (nfds_t i = 3; i < n; i++)
			if (clients[i]->fd == fds[i].fd && fds[i].revents != 0)
				serve_client(control, clients[i]);
		if (fds[2].revents != 0)
			take_answers(control);
		drop_idle(control);
		if (fds[1].revents != 0)
			accept_client(control);
	}
}

/* find_group - the number of a group that may be NULL; -1 and an error if there is no such
 * group */
static int
find_group(TALLOC_CTX *ctx, const char *name, gid_t *gid_r, const char **error_r)
{
	const struct group *entry;

	*gid_r = NO_GROUP;
	if (name == NULL)
		return 0;
	entry = getgrnam(name);	/* before there are threads */
	if (entry == NULL) {
		*error_r = mem_printf(
		    ctx, "the control socket cannot be for group %s: there is no such group", name);
		return -1;
	}
	*gid_r = entry->gr_gid;
	return 0;
}

/* control_open - bind the socket */
struct control *
control_open(TALLOC_CTX *ctx, const char *path, const char *group, const char *read_group,
    const char **error_r)
{
	struct control *control = mem_new(NULL, struct control);

	control->path = mem_strdup(control, path);
	control->fd = -1;
	control->done = (struct wakeup)WAKEUP_NONE;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control->clients[i].fd = -1;
	if (find_group(ctx, group, &control->write_group, error_r) == 0 &&
	    find_group(ctx, read_group, &control->read_group, error_r) == 0)
		control->fd =
		    unix_socket_listen(ctx, path, read_group != NULL ? 0666 : 0660, group, error_r);
	/* a service that is no member cannot give it to the group: all may connect, and each is
	 * looked at */
	if (control->fd < 0 && control->write_group != NO_GROUP)
		control->fd = unix_socket_listen(ctx, path, 0666, NULL, error_r);
	/* the file's own group may speak in any case: it could connect */
	if (group == NULL)
		control->write_group = getegid();
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
	if (wakeup_open(&control->done) == 0)
		control->jobs = control_long_start(daemon, &control->done);
	control->running = pthread_create(&control->thread, NULL, control_do_serve, control) == 0;
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
			drop(control, &control->clients[i]);
	control_long_stop(control->jobs);
	wakeup_close(&control->done);
	(void)close(control->wake[0]);
	(void)close(control->fd);
	(void)unlink(control->path);
	talloc_free(control);
}
