/*
 * ctl_socket.c - one question to the daemon on its control socket, or answered here (--direct)
 *
 * Commands that ask the daemon must work with a broken configuration: then the operator needs
 * them most. So the file is not checked here; only "control" is looked for in it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <jansson.h>
#include <libconfig.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/plain_file.h"
#include "filter/base/talk.h"
#include "filter/base/unix_socket.h"
#include "filter/control/control_answer.h"
#include "filter/ctl/ctl.h"
#include "filter/daemon/daemon.h"
#include "policy/base/mem.h"

#define DEFAULT_SOCKET	RUNSTATEDIR "/countersign/control"
#define ANSWER_MAX	(64 * 1024 * 1024) /* octets of an answer */
#define CHUNK		65536
#define WAIT_S		30		/* for the daemon's answer */
#define LINE_SIZE	1024

/* path_in_line - the path of a line 'control = "path"', or NULL */
static const char *
path_in_line(TALLOC_CTX *ctx, const char *line)
{
	line += strspn(line, " \t");
	if (strncmp(line, "control", 7) != 0)
		return NULL;
	line += 7 + strspn(line + 7, " \t");
	if (*line != '=' && *line != ':')
		return NULL;
	line += 1 + strspn(line + 1, " \t");
	return *line == '"' && line[1] != '"' && strchr(line + 1, '"') != NULL
	    ? mem_strndup(ctx, line + 1, strcspn(line + 1, "\""))
	    : NULL;
}

/* path_in_text - the control socket that the lines of a broken file name, or NULL */
static const char *
path_in_text(struct ctl *ctl)
{
	FILE *file = plain_file(ctl->file);
	const char *path = NULL;
	char line[LINE_SIZE];

	while (file != NULL && path == NULL && fgets(line, sizeof(line), file) != NULL)
		path = path_in_line(ctl->memory, line);
	if (file != NULL)
		(void)fclose(file);
	return path;
}

/* ctl_socket_path - where the daemon listens; NULL and *why_r: the file does not say */
static const char *
ctl_socket_path(struct ctl *ctl, const char **why_r)
{
	const char *path = NULL, *found = NULL;
	config_t tree;
	bool good;

	if (ctl->socket != NULL)
		return ctl->socket;
	config_init(&tree);
	good = config_read_file(&tree, ctl->file) == CONFIG_TRUE;
	if (good && config_lookup_string(&tree, "control", &found) == CONFIG_TRUE)
		path = mem_strdup(ctl->memory, found);
	config_destroy(&tree);
	if (!good)
		path = path_in_text(ctl);
	if (path != NULL)
		return path;
	if (access(DEFAULT_SOCKET, F_OK) == 0)
		return DEFAULT_SOCKET;
	if (access(ctl->file, R_OK) != 0)
		*why_r = mem_printf(ctl->memory,
		    "%s: cannot be opened: %s; name the control socket with -s SOCKET",
		    ctl->file, strerror(errno));
	else
		*why_r = mem_printf(ctl->memory, "%s names no control socket; add for example: "
		    "control = \"" DEFAULT_SOCKET "\"", ctl->file);
	return NULL;
}

int
ctl_connect(struct ctl *ctl, const char **path_r, const char **why_r)
{
	int fd;

	*path_r = ctl_socket_path(ctl, why_r);
	if (*path_r == NULL)
		return -1;
	fd = unix_socket_connect(*path_r);
	if (fd < 0)
		*why_r = mem_printf(ctl->memory, "no daemon answers on %s: %s", *path_r,
		    strerror(errno));
	return fd;
}

char *
ctl_hear(int fd, const char *path, long wait_s)
{
	char *answer = talk_read_line(NULL, fd, ANSWER_MAX, clock_ms() + wait_s * INT64_C(1000));

	if (answer == NULL)
		ctl_fail("the daemon on %s gave no answer", path);
	return answer;
}

char *
ctl_talk(struct ctl *ctl, const char *request)
{
	const char *path, *why = NULL;
	int fd = ctl_connect(ctl, &path, &why);
	char *answer;

	if (fd < 0)
		ctl_fail("%s", why);
	/* one that turns us away says why before it reads; its words are heard in any case */
	(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
	answer = ctl_hear(fd, path, WAIT_S);
	(void)close(fd);
	return answer;
}

void
ctl_tell(struct ctl *ctl, const char *request)
{
	const struct timeval wait = { .tv_sec = WAIT_S };
	const char *path = ctl->socket != NULL ? ctl->socket : path_in_text(ctl);
	int fd = unix_socket_connect(path != NULL ? path : DEFAULT_SOCKET);
	char answer[CHUNK];

	if (fd < 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
		(void)!recv(fd, answer, sizeof(answer), 0);
	(void)close(fd);
}

/* user_name - who asks, for the log and for blocks */
static const char *
user_name(struct ctl *ctl)
{
	const struct passwd *entry = getpwuid(getuid());

	return entry != NULL ? mem_strdup(ctl->memory, entry->pw_name) :
	    mem_printf(ctl->memory, "uid %lu", (unsigned long)getuid());
}

/* direct - answer the request here, on the store that the configuration names */
static char *
direct(struct ctl *ctl, const char *request)
{
	static struct daemon daemon;
	const struct asker asker = { true, user_name(ctl) };
	const char *error = NULL;
	struct snapshot *snapshot = snapshot_build_tables(ctl->memory, ctl->file, &error);
	json_t *answer;
	char *dumped;
	char *line;

	if (snapshot == NULL)
		ctl_fail("%s", error);
	if (snapshot->config->store_options.kind != STORE_REDIS)
		ctl_fail(
		    "%s keeps the counters in the daemon; --direct is for store = \"redis:NAME\"",
		    ctl->file);
	(void)signal(SIGPIPE, SIG_IGN);
	/* changes are logged where the daemon would have logged them */
	log_open(true);
	if (daemon_open_store(ctl->memory, &daemon, snapshot, &error) != 0)
		ctl_fail("%s", error);
	answer = control_answer(&daemon, ctl->memory, request, strlen(request), &asker, true);
	dumped = mem_check(json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII));
	line = mem_printf(NULL, "%s\n", dumped);
	free(dumped);
	json_decref(answer);
	daemon_close(&daemon);
	return line;
}

/* exchange - the line of an answer (talloc, no parent); request is used up */
static char *
exchange(struct ctl *ctl, json_t *request)
{
	char *dumped = mem_check(json_dumps(request, JSON_COMPACT));
	char *answer = ctl->direct ? direct(ctl, dumped) :
	    ctl_talk(ctl, mem_printf(ctl->memory, "%s\n", dumped));

	free(dumped);
	json_decref(request);
	return answer;
}

/* show - the answer for the reader; the exit status; list: what must not be empty, or NULL */
static int
show(const struct ctl *ctl, const char *line, void (*print)(const json_t *), const char *list)
{
	json_error_t error;
	json_t *answer = json_loads(line, 0, &error);
	bool good = json_is_true(json_object_get(answer, "ok"));

	if (answer == NULL)
		ctl_fail("the answer is not JSON: %s", error.text);
	ctl_clean(answer);
	if (ctl->json)
		(void)printf("%s", line);
	else if (good)
		print(answer);
	else
		(void)fprintf(stderr, "countersignctl: %s\n", ctl_text(answer, "error"));
	if (list != NULL && json_array_size(json_object_get(answer, list)) == 0)
		good = false;
	json_decref(answer);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
ctl_ask(struct ctl *ctl, json_t *request, void (*print)(const json_t *answer))
{
	return ctl_ask_for(ctl, request, print, NULL);
}

int
ctl_ask_for(struct ctl *ctl, json_t *request, void (*print)(const json_t *answer),
    const char *list)
{
	char *answer = exchange(ctl, request);
	int status = show(ctl, answer, print, list);

	talloc_free(answer);
	return status;
}

json_t *
ctl_answer(struct ctl *ctl, json_t *request)
{
	char *line = exchange(ctl, request);
	json_t *answer = json_loads(line, 0, NULL);

	if (answer == NULL)
		ctl_fail("the answer is not JSON");
	ctl_clean(answer);
	if (!json_is_true(json_object_get(answer, "ok")))
		ctl_fail("%s", ctl_text(answer, "error"));
	talloc_free(line);
	return answer;
}
