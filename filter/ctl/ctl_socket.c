/*
 * ctl_socket.c - one question to the daemon, on its control socket
 *
 * Commands that ask the daemon must work with a broken configuration: then the operator needs
 * them most. So the file is not checked here; only "control" is looked for in it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "filter/base/unix_socket.h"
#include "filter/ctl/ctl.h"
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
	FILE *file = fopen(ctl->file, "re");
	const char *path = NULL;
	char line[LINE_SIZE];

	while (file != NULL && path == NULL && fgets(line, sizeof(line), file) != NULL)
		path = path_in_line(ctl->memory, line);
	if (file != NULL)
		(void)fclose(file);
	return path;
}

/* socket_path - where the daemon listens */
static const char *
socket_path(struct ctl *ctl)
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
		ctl_fail("%s: cannot be opened: %s; name the control socket with -s SOCKET",
		    ctl->file, strerror(errno));
	ctl_fail("%s names no control socket; add for example: control = \"" DEFAULT_SOCKET "\"",
	    ctl->file);
}

/* hear - read one line of answer */
static char *
hear(int fd, const char *path)
{
	char *answer = NULL;
	size_t len = 0;
	ssize_t got;

	do {
		answer = mem_grow(NULL, answer, char, len + CHUNK + 1);
		got = recv(fd, answer + len, CHUNK, 0);
		len += got > 0 ? (size_t)got : 0;
	} while (got > 0 && answer[len - 1] != '\n' && len < ANSWER_MAX);
	answer[len] = '\0';
	if (len == 0)
		ctl_fail("the daemon on %s gave no answer", path);
	return answer;
}

char *
ctl_talk(struct ctl *ctl, const char *request)
{
	const struct timeval wait = { .tv_sec = WAIT_S };
	const char *path = socket_path(ctl);
	int fd = unix_socket_connect(path);
	char *answer;

	if (fd < 0)
		ctl_fail("no daemon answers on %s: %s", path, strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	/* one that turns us away says why before it reads; its words are heard in any case */
	(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
	answer = hear(fd, path);
	(void)close(fd);
	return answer;
}
