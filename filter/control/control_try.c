/*
 * control_try.c - messages that are only tried, for countersignctl try
 *
 * The answer may hold valid signatures, so only those who may change things may ask.
 *
 * Threads: one for each trial; it holds a session, for the daemon is not taken apart while one is
 * open.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/control/control_try.h"
#include "filter/message/session.h"
#include "filter/trial/trial.h"
#include "policy/base/mem.h"

/* One trial. */
struct trying {
	struct daemon *daemon;
	struct session *guard;	/* keeps the daemon whole */
	int fd;
	char *octets;		/* request and message, and room for a NUL */
	size_t n_request, n_message, got;
};

bool
control_try_wanted(const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, 0, NULL);
	const char *name = json_string_value(json_object_get(request, "command"));
	bool wanted = name != NULL && strcmp(name, "try") == 0;

	json_decref(request);
	return wanted;
}

/* control_try_free - end the connection, and let another come */
static void
control_try_free(struct trying *trying)
{
	struct daemon *daemon = trying->daemon;
	int fd = trying->fd;

	session_free(trying->guard);
	talloc_free(trying);
	atomic_fetch_sub(&daemon->trials, 1);
	/* who sees the end may come again at once */
	(void)close(fd);
}

/* control_try_wait - until the connection can go on, or the deadline */
static bool
control_try_wait(int fd, short events, int64_t deadline_ms)
{
	struct pollfd wanted = { .fd = fd, .events = events };
	int64_t left = deadline_ms - clock_ms();

	return left > 0 && poll(&wanted, 1, (int)left) > 0;
}

/* control_try_read - what has not come yet */
static bool
control_try_read(struct trying *trying)
{
	int64_t deadline = clock_ms() + CONTROL_TRY_WAIT_MS;
	size_t all = trying->n_request + trying->n_message;

	while (trying->got < all) {
		ssize_t got;

		if (!control_try_wait(trying->fd, POLLIN, deadline))
			return false;
		got = recv(trying->fd, trying->octets + trying->got, all - trying->got,
		    MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		trying->got += got > 0 ? (size_t)got : 0;
	}
	return true;
}

/* send_answer - all of it, as fast as it is taken */
static void
send_answer(const struct trying *trying, json_t *answer)
{
	int64_t deadline = clock_ms() + CONTROL_TRY_WAIT_MS;
	char *text = mem_check(json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII));
	size_t len = strlen(text), done = 0;

	text[len++] = '\n';	/* in place of the NUL */
	while (done < len && control_try_wait(trying->fd, POLLOUT, deadline)) {
		ssize_t sent =
		    send(trying->fd, text + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			break;
		done += sent > 0 ? (size_t)sent : 0;
	}
	free(text);
}

/* answer_trial - read the request, try the message */
static json_t *
answer_trial(struct trying *trying)
{
	json_t *request, *answer;
	const char *text, *error = NULL;

	if (!control_try_read(trying))
		return control_failed("the message did not come in time");
	request = json_loadb(trying->octets, trying->n_request, JSON_REJECT_DUPLICATES, NULL);
	text = trial_text_read(
	    trying, trying->octets + trying->n_request, trying->n_message, &error);
	if (!json_is_object(request))
		answer = control_failed("the request is not an object of JSON");
	else if (text == NULL)
		answer = control_failed(error);
	else
		answer = trial_answer(trying->daemon, trying, request, text);
	json_decref(request);
	return answer;
}

/* control_try_run - the thread */
static void *
control_try_run(void *arg)
{
	struct trying *trying = arg;
	json_t *answer = answer_trial(trying);

	send_answer(trying, answer);
	json_decref(answer);
	control_try_free(trying);
	return NULL;
}

/* sizes_of - how large request and message are; what is wrong with that, or NULL */
static const char *
sizes_of(const char *line, size_t len, struct trying *trying)
{
	json_t *head = json_loadb(line, len, 0, NULL);
	json_int_t request = json_integer_value(json_object_get(head, "request"));
	json_int_t message = json_integer_value(json_object_get(head, "message"));

	json_decref(head);
	if (request < 1 || request > TRIAL_REQUEST_MAX)
		return "the request is too large, or its size is missing";
	if (message < 0 || message > TRIAL_TEXT_MAX)
		return "the message is too large to be tried";
	trying->n_request = (size_t)request;
	trying->n_message = (size_t)message;
	return NULL;
}

/* control_try_spawn - the thread, which is not joined */
static bool
control_try_spawn(struct trying *trying)
{
	pthread_attr_t attributes;
	pthread_t thread;
	bool started;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	started = pthread_create(&thread, &attributes, control_try_run, trying) == 0;
	(void)pthread_attr_destroy(&attributes);
	return started;
}

/* control_try_new - a trial with what came already */
static struct trying *
control_try_new(struct daemon *daemon, const struct trying *sizes, const char *ahead,
    size_t n_ahead)
{
	struct trying *trying = mem_new(NULL, struct trying);

	*trying = *sizes;
	trying->daemon = daemon;
	trying->octets = mem_array(trying, char, trying->n_request + trying->n_message + 1);
	trying->got = n_ahead < trying->n_request + trying->n_message
	    ? n_ahead : trying->n_request + trying->n_message;
	memcpy(trying->octets, ahead, trying->got);
	trying->guard = session_new(daemon);
	return trying;
}

json_t *
control_try_start(struct daemon *daemon, int fd, const struct asker *asker, const char *line,
    size_t len, const char *ahead, size_t n_ahead)
{
	struct trying sizes = { .fd = fd };
	struct trying *trying;
	const char *error;

	if (!asker->may_write)
		return control_failed_as(CONTROL_NOT_PERMITTED, "you may read, but not try "
		    "messages: the answer holds signatures; see control_group");
	error = sizes_of(line, len, &sizes);
	if (error != NULL)
		return control_failed_as(CONTROL_REQUEST, error);
	if (atomic_fetch_add(&daemon->trials, 1) >= CONTROL_TRIALS) {
		atomic_fetch_sub(&daemon->trials, 1);
		return control_failed_as(CONTROL_BUSY,
		    "other messages are being tried; try again, or use --direct");
	}
	trying = control_try_new(daemon, &sizes, ahead, n_ahead);
	log_info("control: try by %s", asker->name);
	if (control_try_spawn(trying))
		return NULL;
	session_free(trying->guard);
	talloc_free(trying);
	atomic_fetch_sub(&daemon->trials, 1);
	return control_failed_as(CONTROL_BUSY,
	    "there is no thread for a trial; try again, or use --direct");
}
