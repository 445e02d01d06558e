/*
 * test_system.c - what not every system has: Linux's way and the other one do the same
 *
 * Built twice: with what configure found, and with PORTABLE_ONLY and those files of filter/base
 * once more. The assertions are the same.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/base/memory_file.h"
#include "filter/base/peer.h"
#include "filter/base/process.h"
#include "filter/base/socket.h"
#include "filter/base/socket_owner.h"
#include "filter/base/system.h"
#include "filter/base/wakeup.h"

#define RINGS	20000		/* more than a pipe holds */

/* is_rung - is there something to read? */
static int
is_rung(const struct wakeup *wakeup, int timeout_ms)
{
	struct pollfd fd = { .fd = wakeup->fd, .events = POLLIN };

	return poll(&fd, 1, timeout_ms);
}

static void *
ring_often(void *wakeup)
{
	for (int i = 0; i < RINGS; i++)
		wakeup_ring(wakeup);
	return NULL;
}

/* rung once or very often, it is readable until it was quieted, and no ring blocks */
static void
test_wakeup(void **state)
{
	struct wakeup wakeup;
	pthread_t ringer;

	(void)state;
	assert_int_equal(wakeup_open(&wakeup), 0);
	assert_true(fcntl(wakeup.fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(wakeup.ringing, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(is_rung(&wakeup, 0), 0);
	wakeup_quiet(&wakeup);
	assert_int_equal(is_rung(&wakeup, 0), 0);
	wakeup_ring(&wakeup);
	assert_int_equal(is_rung(&wakeup, 0), 1);
	assert_int_equal(is_rung(&wakeup, 0), 1);
	wakeup_quiet(&wakeup);
	assert_int_equal(is_rung(&wakeup, 0), 0);
	assert_int_equal(pthread_create(&ringer, NULL, ring_often, &wakeup), 0);
	assert_int_equal(is_rung(&wakeup, -1), 1);
	assert_int_equal(pthread_join(ringer, NULL), 0);
	assert_int_equal(is_rung(&wakeup, 0), 1);
	wakeup_quiet(&wakeup);
	assert_int_equal(is_rung(&wakeup, 0), 0);
	wakeup_close(&wakeup);
	assert_int_equal(wakeup.fd, -1);
	wakeup_close(&wakeup);
}

/* both ends of a unix socket are ours: user, group, and the process if the system says so */
static void
test_peer_user(void **state)
{
	struct peer_user user = { .pid = 0 };
	struct peer peer;
	char who[PEER_TEXT];
	gid_t groups[1024], none = 1;
	int n = getgroups(1024, groups), ends[2];
	uid_t uid = 0;
	bool own = false;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_true(peer_user(ends[0], &user));
	assert_int_equal(user.uid, geteuid());
	assert_int_equal(user.gid, getegid());
	assert_true(user.pid == getpid() || user.pid == 0);
	assert_true(peer_in_group(ends[0], &user, getegid()));
	while (none == getegid() || (getgrgid(none) != NULL))
		none++;
	for (int i = 0; i < n; i++)
		if (groups[i] == none)
			none = 4294000000u;
	assert_false(peer_in_group(ends[0], &user, none));
	peer_of(ends[0], &peer);
	(void)snprintf(who, sizeof(who), "user %lu", (unsigned long)geteuid());
	assert_string_equal(peer.who, who);
	assert_memory_equal(peer.text, who, strlen(who));
	assert_int_equal(socket_owner(ends[0], &uid, &own), SOCKET_OWNER_LOCAL);
	assert_int_equal(uid, geteuid());
	assert_true(own);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
	assert_false(peer_user(open("/dev/null", O_RDONLY | O_CLOEXEC), &user));
}

/* a connection over loopback whose both ends are ours is ours, IPv4 and IPv6 */
static void
check_tcp(int family)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} at = { .any.sa_family = (sa_family_t)family };
	socklen_t len = family == AF_INET ? sizeof(at.in) : sizeof(at.in6);
	int listening = socket(family, SOCK_STREAM, 0), client, accepted;
	uid_t uid = 0;
	bool own = false;

	if (family == AF_INET)
		at.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		at.in6.sin6_addr = in6addr_loopback;
	if (listening < 0 || bind(listening, &at.any, len) != 0) {
		assert_int_equal(family, AF_INET6);	/* a host without IPv6 */
		(void)close(listening);
		return;
	}
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(getsockname(listening, &at.any, &len), 0);
	client = socket(family, SOCK_STREAM, 0);
	assert_int_equal(connect(client, &at.any, len), 0);
	accepted = accept(listening, NULL, NULL);
	assert_true(accepted >= 0);
	errno = 77;
	socket_acknowledge(accepted);
	assert_int_equal(errno, 77);
	assert_int_equal(socket_owner(accepted, &uid, &own), SOCKET_OWNER_LOCAL);
	assert_int_equal(uid, geteuid());
	assert_true(own);
	/* whose end is closed is not ours, nor another host's */
	assert_int_equal(close(client), 0);
	assert_int_equal(socket_owner(accepted, &uid, &own), SOCKET_OWNER_UNKNOWN);
	assert_false(own);
	(void)close(accepted);
	(void)close(listening);
}

static void
test_tcp(void **state)
{
	(void)state;
	check_tcp(AF_INET);
	check_tcp(AF_INET6);
}

/* a file without a name, empty, that can be written and read again */
static void
test_memory_file(void **state)
{
	char text[16] = "";
	struct stat st;
	int fd = memory_file();

	(void)state;
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(memory_file_write(fd, "a line\n", 7), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(read(fd, text, sizeof(text)), 7);
	assert_string_equal(text, "a line\n");
	(void)close(fd);
	assert_int_equal(memory_file_write(fd, "more", 4), -1);
}

/* a child sees 0, 1 and 2 and nothing else */
static void
test_close_rest(void **state)
{
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" },
	    (char[]){ "(: <&7) 2>/dev/null && exit 1; (: <&2) || exit 2; exit 0" }, NULL };
	char *environment[] = { NULL };
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t pid = 0;

	(void)state;
	assert_int_equal(dup2(2, 7), 7);
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	assert_int_equal(process_close_rest(&actions), 0);
	assert_int_equal(posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environment), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(7);
}

/* what --version says is what was tested here */
static void
test_ways(void **state)
{
	(void)state;
#ifdef PORTABLE_ONLY
	assert_non_null(strstr(system_ways(), "wakeups pipe, users of unix sockets getpeereid, "));
	assert_non_null(strstr(system_ways(), "copies in unnamed files"));
#elif defined(HAVE_SYS_EVENTFD_H)
	assert_non_null(strstr(system_ways(), "wakeups eventfd"));
#endif
	process_hide();
	(void)printf("# %s\n", system_ways());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wakeup),
		cmocka_unit_test(test_peer_user),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_memory_file),
		cmocka_unit_test(test_close_rest),
		cmocka_unit_test(test_ways),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
