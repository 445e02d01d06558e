/*
 * redis_server.c - a private Redis for tests
 *
 * The server is a child of the test program and dies with it (PR_SET_PDEATHSIG), so
 * that an aborted test leaves nothing behind but its directory.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/redis_server.h"

#define START_TRIES	3000	/* of 20 ms */

/* give_up - the test cannot go on */
static void
give_up(const char *what)
{
	perror(what);
	exit(1);
}

/* redis_server_program - the server's program */
const char *
redis_server_program(void)
{
	const char *program = getenv("COUNTERSIGN_REDIS_SERVER");

	return program != NULL && program[0] != '\0' ? program : "redis-server";
}

/* redis_server_before - whether the server is of an earlier version than that */
bool
redis_server_before(int major, int minor, const char *what)
{
	int its_major = 0, its_minor = 0;
	char command[512], line[256] = "";
	const char *at;
	FILE *out;

	(void)snprintf(command, sizeof(command), "'%s' --version", redis_server_program());
	out = popen(command, "r");
	if (out == NULL || fgets(line, sizeof(line), out) == NULL ||
	    (at = strstr(line, "v=")) == NULL || sscanf(at, "v=%d.%d", &its_major, &its_minor) != 2)
		give_up(command);
	(void)pclose(out);
	if (its_major > major || (its_major == major && its_minor >= minor))
		return false;
	printf("# not tried with version %d.%d: %s\n", its_major, its_minor, what);
	return true;
}

/* redis_server_exists - whether there is one */
bool
redis_server_exists(void)
{
	char command[512];

	(void)snprintf(
	    command, sizeof(command), "command -v '%s' >/dev/null 2>&1", redis_server_program());
	return system(command) == 0;
}

/* redis_server_make - the directory */
bool
redis_server_make(struct redis_server *server)
{
	const char *tmp = getenv("TMPDIR");

	memset(server, 0, sizeof(*server));
	if (!redis_server_exists())
		return false;
	snprintf(server->directory, sizeof(server->directory), "%s/countersign-redis-XXXXXX",
	    tmp != NULL && strlen(tmp) < 60 ? tmp : "/tmp");
	if (mkdtemp(server->directory) == NULL)
		give_up("mkdtemp");
	snprintf(server->socket, sizeof(server->socket), "%s/sock", server->directory);
	snprintf(server->address, sizeof(server->address), "unix:%s", server->socket);
	return true;
}

/* answers - whether the server takes connections and, unless loading is good enough, is not loading */
static bool
answers(const struct redis_server *server, bool loading)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	char reply[64] = "";
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = false;

	if (fd < 0)
		give_up("socket");
	memcpy(name.sun_path, server->socket, strlen(server->socket) + 1);
	if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0 &&
	    write(fd, "PING\r\n", 6) == 6 && read(fd, reply, sizeof(reply) - 1) > 0)
		good = strncmp(reply, "+PONG", 5) == 0 || strncmp(reply, "-NO", 3) == 0 ||
		    (loading && strncmp(reply, "-LOADING", 8) == 0);
	close(fd);
	return good;
}

/* run - become the server */
static void
run(const struct redis_server *server, const char *line)
{
	char config[2048];
	int in[2], null = open("/dev/null", O_WRONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(config, sizeof(config), "port 0\nunixsocket %s\ndir %s\nsave \"\"\n%s\n",
	    server->socket, server->directory, line != NULL ? line : "");
	if (pipe(in) < 0 || write(in[1], config, strlen(config)) < 0)
		_exit(127);
	close(in[1]);
	dup2(in[0], STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	execlp(redis_server_program(), "redis-server", "-", (char *)NULL);
	_exit(127);
}

/* run_sentinel - become a Sentinel, with a file that it may write */
static void
run_sentinel(const char *file)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (freopen("/dev/null", "w", stdout) == NULL)
		_exit(127);
	execlp(redis_server_program(), "redis-server", file, "--sentinel", (char *)NULL);
	_exit(127);
}

/* wait_start - until it answers */
static void
wait_start(struct redis_server *server, bool loading)
{
	for (int i = 0; i < START_TRIES; i++) {
		if (answers(server, loading))
			return;
		if (waitpid(server->pid, NULL, WNOHANG) != 0)
			break;
		usleep(20000);
	}
	fprintf(stderr, "redis-server does not start\n");
	exit(1);
}

/* begin - run it; waits until it answers, or loads */
static void
begin(struct redis_server *server, const char *line, bool loading)
{
	fflush(NULL);
	server->pid = fork();
	if (server->pid < 0)
		give_up("fork");
	if (server->pid == 0)
		run(server, line);
	wait_start(server, loading);
}

/* redis_server_start - run it; waits until it answers */
void
redis_server_start(struct redis_server *server, const char *line)
{
	begin(server, line, false);
}

/* redis_server_start_loading - the same; waits until it answers that it loads what it kept */
void
redis_server_start_loading(struct redis_server *server, const char *line)
{
	begin(server, line, true);
}

/* redis_server_start_sentinel - run it as a Sentinel; waits until it answers */
void
redis_server_start_sentinel(struct redis_server *server, const char *lines)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/sentinel.conf", server->directory);
	file = fopen(path, "w");
	if (file == NULL ||
	    fprintf(file, "unixsocket %s\ndir %s\n%s\n", server->socket, server->directory, lines) <
		0 ||
	    fclose(file) != 0)
		give_up(path);
	fflush(NULL);
	server->pid = fork();
	if (server->pid < 0)
		give_up("fork");
	if (server->pid == 0)
		run_sentinel(path);
	wait_start(server, false);
}

/* redis_server_kill - end it with a signal, and wait */
void
redis_server_kill(struct redis_server *server, int number)
{
	if (server->pid == 0)
		return;
	kill(server->pid, number);
	while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
		;
	server->pid = 0;
}

/* redis_server_signal - SIGSTOP, SIGCONT */
void
redis_server_signal(struct redis_server *server, int number)
{
	kill(server->pid, number);
	if (number == SIGSTOP)
		waitpid(server->pid, NULL, WUNTRACED);
}

/* remove_one - for nftw() */
static int
remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return remove(path);
}

/* redis_server_remove - end it and remove its directory, with what the server kept there */
void
redis_server_remove(struct redis_server *server)
{
	redis_server_kill(server, SIGKILL);
	nftw(server->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
