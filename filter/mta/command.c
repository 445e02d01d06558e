/*
 * command.c - run a program of the MTA: one that prints its settings, or takes mail
 *
 * posix_spawn() and two pipes; no shell sees a word of it.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/memory_file.h"
#include "filter/base/process.h"
#include "filter/mta/command.h"
#include "policy/base/mem.h"

extern char **environ;

#define USUAL	"/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin:/usr/libexec/sendmail"
#define CHUNK	65536

/* One stream of the child. */
struct stream {
	int fd;
	char *text;
	size_t len;
};

/* find_in - in a list of directories with colons between; relative ones are skipped */
static const char *
find_in(TALLOC_CTX *ctx, const char *list, const char *name)
{
	while (list != NULL && *list != '\0') {
		size_t len = strcspn(list, ":");
		char *path = mem_printf(ctx, "%.*s/%s", (int)len, list, name);

		if (*list == '/' && access(path, X_OK) == 0)
			return path;
		talloc_free(path);
		list += len + (list[len] == ':');
	}
	return NULL;
}

const char *
command_find(TALLOC_CTX *ctx, const char *name)
{
	const char *found = find_in(ctx, getenv("PATH"), name);

	return found != NULL ? found : find_in(ctx, USUAL, name);
}

/* stream_read - what is there; false at the end or if it is too much */
static bool
stream_read(TALLOC_CTX *ctx, struct stream *stream)
{
	ssize_t got;

	stream->text = mem_grow(ctx, stream->text, char, stream->len + CHUNK + 1);
	got = read(stream->fd, stream->text + stream->len, CHUNK);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	stream->len += got > 0 ? (size_t)got : 0;
	stream->text[stream->len] = '\0';
	return got > 0 && stream->len < COMMAND_OUTPUT_MAX;
}

/* command_collect - both streams to their ends; false: the deadline came first */
static bool
command_collect(TALLOC_CTX *ctx, struct stream streams[2], int64_t deadline_ms)
{
	struct pollfd polled[2] = { { .fd = streams[0].fd, .events = POLLIN },
		{ .fd = streams[1].fd, .events = POLLIN } };

	while (polled[0].fd >= 0 || polled[1].fd >= 0) {
		int64_t left = deadline_ms - clock_ms();

		if (left <= 0)
			return false;
		if (poll(polled, 2, (int)left) < 0 && errno != EINTR)
			return false;
		for (int i = 0; i < 2; i++)
			if (polled[i].fd >= 0 && polled[i].revents != 0 &&
			    !stream_read(ctx, &streams[i]))
				polled[i].fd = -1;
	}
	return true;
}

/* command_spawn - start it with the streams as its input (-1: none) and output; 0 or an error
 * number */
static int
command_spawn(const char *const *argv, int in, int out, int error, pid_t *pid_r)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int code;

	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	(void)sigemptyset(&none);
	if (in >= 0)
		(void)posix_spawn_file_actions_adddup2(&actions, in, 0);
	else
		(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, out, 1);
	(void)posix_spawn_file_actions_adddup2(&actions, error, 2);
	(void)process_close_rest(&actions);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setpgroup(&attributes, 0);
	(void)posix_spawnattr_setflags(
	    &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	code = posix_spawn(
	    pid_r, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv, environ);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return code;
}

/* command_end - wait for it; whole: it closed its output by itself. Its exit status */
static int
command_end(pid_t pid, bool whole)
{
	int status = 0;

	if (!whole)
		(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* command_do - run it with a descriptor as its input, or none (-1) */
static int
command_do(TALLOC_CTX *ctx, const char *const *argv, int in, int64_t deadline_ms,
    struct command_output *output_r, const char **error_r)
{
	struct stream streams[2] = { { .text = mem_strdup(ctx, "") },
		{ .text = mem_strdup(ctx, "") } };
	int out[2], error[2], code;
	bool whole;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) != 0 || pipe2(error, O_CLOEXEC) != 0) {
		*error_r = mem_printf(ctx, "no pipe: %s", strerror(errno));
		return -1;
	}
	code = command_spawn(argv, in, out[1], error[1], &pid);
	(void)close(out[1]);
	(void)close(error[1]);
	streams[0].fd = out[0];
	streams[1].fd = error[0];
	whole = code == 0 && command_collect(ctx, streams, deadline_ms);
	(void)close(out[0]);
	(void)close(error[0]);
	if (code != 0) {
		*error_r = mem_printf(ctx, "%s cannot be run: %s", argv[0], strerror(code));
		return -1;
	}
	*output_r = (struct command_output){ streams[0].text, streams[1].text,
		command_end(pid, whole) };
	if (whole)
		return 0;
	*error_r = mem_printf(ctx, "%s did not end in time", argv[0]);
	return -1;
}

int
command_run(TALLOC_CTX *ctx, const char *const *argv, int64_t deadline_ms,
    struct command_output *output_r, const char **error_r)
{
	return command_do(ctx, argv, -1, deadline_ms, output_r, error_r);
}

int
command_feed(TALLOC_CTX *ctx, const char *const *argv, const void *input, size_t len,
    int64_t deadline_ms, struct command_output *output_r, const char **error_r)
{
	int fd = memory_file();
	int result = -1;

	if (fd >= 0 && memory_file_write(fd, input, len) == 0 && lseek(fd, 0, SEEK_SET) == 0)
		result = command_do(ctx, argv, fd, deadline_ms, output_r, error_r);
	else
		*error_r = mem_printf(ctx, "the input of %s: %s", argv[0], strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return result;
}

/* take_lines - the whole lines of a stream, or all of it at its end; the rest stays */
static void
take_lines(struct stream *stream, bool ended, command_line_fn *line, void *arg)
{
	char *at = stream->text, *end;

	while ((end = memchr(at, '\n', stream->len - (size_t)(at - stream->text))) != NULL) {
		*end = '\0';
		line(arg, at);
		at = end + 1;
	}
	stream->len -= (size_t)(at - stream->text);
	if (ended && stream->len > 0)
		line(arg, at);
	memmove(stream->text, at, stream->len + 1);
}

/* command_follow - a stream to its end; false: the deadline came first, or a line is too long */
static bool
command_follow(TALLOC_CTX *ctx, int fd, int64_t deadline_ms, command_line_fn *line, void *arg)
{
	struct stream stream = { .fd = fd, .text = mem_strdup(ctx, "") };
	struct pollfd polled = { .fd = fd, .events = POLLIN };
	int64_t left;
	bool more = true;

	while (more && (left = deadline_ms - clock_ms()) > 0) {
		int ready = poll(&polled, 1, (int)left);

		if (ready < 0 && errno != EINTR)
			return false;
		if (ready <= 0)
			continue;
		more = stream_read(ctx, &stream);
		take_lines(&stream, !more, line, arg);
	}
	talloc_free(stream.text);
	return !more && stream.len < COMMAND_OUTPUT_MAX;
}

int
command_lines(TALLOC_CTX *ctx, const char *const *argv, int64_t deadline_ms, command_line_fn *line,
    void *arg, const char **error_r)
{
	int out[2], nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC), code, status;
	bool whole;
	pid_t pid;

	if (nowhere < 0 || pipe2(out, O_CLOEXEC) != 0) {
		*error_r = mem_printf(ctx, "no pipe: %s", strerror(errno));
		if (nowhere >= 0)
			(void)close(nowhere);
		return -1;
	}
	code = command_spawn(argv, -1, out[1], nowhere, &pid);
	(void)close(out[1]);
	(void)close(nowhere);
	whole = code == 0 && command_follow(ctx, out[0], deadline_ms, line, arg);
	(void)close(out[0]);
	if (code != 0) {
		*error_r = mem_printf(ctx, "%s cannot be run: %s", argv[0], strerror(code));
		return -1;
	}
	status = command_end(pid, whole);
	if (!whole)
		*error_r = mem_printf(ctx, "%s did not end in time", argv[0]);
	return whole ? status : -1;
}
