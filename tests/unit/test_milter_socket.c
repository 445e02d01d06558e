/*
 * test_milter_socket.c - the socket that MTAs connect to, made by the real libmilter
 *
 * libmilter keeps one socket a process, so each case runs in a child.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/base/unix_socket.h"
#include "filter/milter/callbacks.h"
#include "filter/milter/listen.h"
#include "policy/base/mem.h"

static struct daemon nobody;

/* in_child - run a case in a process of its own; its exit status */
static int
in_child(int (*test)(const char *directory), const char *directory)
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(test(directory));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

/* open_at - listen as configured; 0 or -1 */
static int
open_at(const char *listen, long mode, const char **error_r)
{
	struct config config = {
		.file = "conf", .listen = listen, .listen_spec = listen, .listen_mode = mode
	};

	return callbacks_register(&nobody) == 0 ? milter_socket_open(NULL, &config, error_r) : -2;
}

/* accepted_nodelay - TCP_NODELAY of a connection accepted from the only listening socket; -1: none
 * found */
static int
accepted_nodelay(void)
{
	for (int fd = 3; fd < 64; fd++) {
		struct sockaddr_in address;
		socklen_t len = sizeof(address);
		int accepting = 0;
		socklen_t size = sizeof(accepting);
		int client;
		int server;
		int nodelay = 0;

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &size) != 0 ||
		    !accepting || getsockname(fd, (struct sockaddr *)&address, &len) != 0)
			continue;
		client = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(client, (const struct sockaddr *)&address, sizeof(address)) != 0)
			return -1;
		server = accept(fd, NULL, NULL);
		size = sizeof(nodelay);
		return getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size) == 0
		    ? nodelay != 0
		    : -1;
	}
	return -1;
}

static int
child_nodelay(const char *directory)
{
	const char *error = NULL;

	(void)directory;
	/* port 0: any free one */
	if (open_at("inet:0@127.0.0.1", 0660, &error) != 0)
		return 2;
	return accepted_nodelay() == 1 ? 0 : 1;
}

static void
test_nodelay(void **state)
{
	assert_int_equal(in_child(child_nodelay, *state), 0);
}

static int
child_mode(const char *directory)
{
	char *path = mem_printf(NULL, "%s/milter", directory);
	const char *error = NULL;
	struct stat st;

	if (open_at(mem_printf(NULL, "unix:%s", path), 0640, &error) != 0)
		return 2;
	if (stat(path, &st) != 0 || (st.st_mode & 07777) != 0640)
		return 3;
	return unix_socket_connect(path) >= 0 ? 0 : 4;
}

static void
test_mode(void **state)
{
	assert_int_equal(in_child(child_mode, *state), 0);
}

static int
child_in_use(const char *directory)
{
	char *path = mem_printf(NULL, "%s/taken", directory);
	const char *error = NULL;

	if (unix_socket_listen(NULL, path, 0600, NULL, &error) < 0)
		return 2;
	if (open_at(mem_printf(NULL, "unix:%s", path), 0660, &error) != -1)
		return 3;
	return strstr(error, "in use") != NULL ? 0 : 4;
}

static void
test_in_use(void **state)
{
	assert_int_equal(in_child(child_in_use, *state), 0);
}

static int
child_unusable(const char *directory)
{
	const char *error = NULL;

	(void)directory;
	if (open_at("inet:8891@192.0.2.1", 0660, &error) != -1)
		return 3;
	return strstr(error, "cannot be listened on") != NULL && strncmp(error, "conf: ", 6) == 0
	    ? 0
	    : 4;
}

static void
test_unusable(void **state)
{
	assert_int_equal(in_child(child_unusable, *state), 0);
}

static int
make_directory(void **state)
{
	static char directory[] = "/tmp/milter-socket.XXXXXX";

	*state = mkdtemp(directory);
	return *state == NULL ? -1 : 0;
}

static int
remove_directory(void **state)
{
	static const char *const names[] = { "milter", "taken" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = mem_printf(NULL, "%s/%s", (const char *)*state, names[i]);

		(void)unlink(path);
		talloc_free(path);
	}
	return rmdir(*state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodelay),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_unusable),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
