/*
 * listen.c - the socket that MTAs connect to
 *
 * libmilter makes the socket and keeps its descriptor to itself. It writes each
 * header edit and the final reply on their own and does not set TCP_NODELAY, so
 * over TCP every signed message would wait 40 ms for a delayed acknowledgement. On
 * Linux an accepted socket inherits the option from the listening one, which
 * is found among our descriptors by SO_ACCEPTCONN.
 *
 * A socket that the service manager made is put in place of libmilter's (edge.h). It outlives this
 * process, so it is never shut down or removed.
 *
 * Called at start, in one thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/supervisor.h"
#include "filter/base/unix_socket.h"
#include "filter/milter/edge.h"
#include "filter/milter/listen.h"
#include "filter/milter/packet.h"
#include "policy/base/mem.h"

#define FD_SEARCH_MAX	256	/* descriptors looked at; at start there are few */
#define BACKLOG		512
#define MTA_TIMEOUT_S	7200	/* as long as an MTA may be silent within a connection */

/* listen_socket_path - the path of a unix socket, or NULL */
static const char *
listen_socket_path(const struct config *config)
{
	const char *colon = strchr(config->listen_spec, ':');

	return colon != NULL && colon[1] == '/' ? colon + 1 : NULL;
}

/* is_listening_inet - a TCP socket that accepts connections? */
static int
is_listening_inet(int fd)
{
	int accepting = 0;
	int domain = 0;
	socklen_t len = sizeof(accepting);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len) != 0 || !accepting)
		return 0;
	len = sizeof(domain);
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	    (domain == AF_INET || domain == AF_INET6);
}

/* set_nodelay - on the listening socket; returns how many were found */
static int
set_nodelay(void)
{
	int found = 0;
	int on = 1;

	for (int fd = 0; fd < FD_SEARCH_MAX; fd++)
		if (is_listening_inet(fd) &&
		    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0)
			found++;
	return found;
}

/* own_path - make the user that root will become the owner: it must reach its own socket */
static void
own_path(const struct config *config, const char *path)
{
	const struct passwd *user =
	    config->user != NULL && geteuid() == 0 ? getpwnam(config->user) : NULL;

	/* if this fails, only `countersignctl status` is worse off */
	if (user != NULL && chown(path, user->pw_uid, (gid_t)-1) != 0)
		log_warning("%s cannot be given to user %s: %s", path, config->user,
		    strerror(errno));
}

/* check_path - refuse a path that another process serves, before libmilter removes it */
static int
check_path(TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	int fd = unix_socket_connect(path);

	if (fd < 0)
		return 0;
	(void)close(fd);
	*error_r = mem_printf(ctx, "listen: %s is in use by another process", path);
	return -1;
}

/* set_limits - set what libmilter needs before it listens */
static void
set_limits(void)
{
	(void)smfi_setmaxdatasize(PACKET_DATA_MAX);
	(void)smfi_setbacklog(BACKLOG);
	(void)smfi_settimeout(MTA_TIMEOUT_S);
}

/* open_inherited - make libmilter listen on the service manager's socket */
static int
open_inherited(TALLOC_CTX *ctx, const struct config *config, int fd, const char **error_r)
{
	static char any[] = "inet:8891@127.0.0.1"; /* its form is looked at, nothing else */
	int on = 1;

	if (edge_inherit(fd) != 0) {
		*error_r = mem_printf(ctx, "%s: listen = \"%s\": %s", config->file, config->listen,
		    strerror(errno));
		return -1;
	}
	set_limits();
	if (smfi_setconn(any) != MI_SUCCESS || smfi_opensocket(false) != MI_SUCCESS) {
		*error_r = mem_printf(ctx, "%s: listen = \"%s\": libmilter refuses this socket",
		    config->file, config->listen);
		return -1;
	}
	if (!is_listening_inet(fd))
		return 0;
	if (!config->peers.given)
		log_warning("%s: listen = \"%s\" is an inet socket, without peers: any program "
		    "that "
		    "can connect can claim any login; write for example peers = { users = "
		    "[\"postfix\"] }", config->file, config->listen);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return 0;
}

/* take_passed - the service manager's socket for this configuration, or -1 with *problem_r on ctx:
 * why there is none, NULL if none was passed */
static int
take_passed(TALLOC_CTX *ctx, const struct config *config, const char **problem_r)
{
	if (config_listen_inherited(config))
		return supervisor_socket(ctx, strchr(config->listen_spec, ':') + 1, problem_r);
	return supervisor_socket(ctx, listen_socket_path(config), problem_r);
}

/* milter_socket_open - make libmilter listen */
int
milter_socket_open(TALLOC_CTX *ctx, const struct config *config, const char **error_r)
{
	const char *path = listen_socket_path(config);
	const char *problem = NULL;
	int fd = take_passed(ctx, config, &problem);

	if (fd >= 0)
		return open_inherited(ctx, config, fd, error_r);
	if (config_listen_inherited(config)) {
		*error_r = mem_printf(
		    ctx, "%s: listen = \"%s\": %s", config->file, config->listen, problem);
		return -1;
	}
	if (problem != NULL)
		log_warning("%s: listen = \"%s\": %s", config->file, config->listen, problem);
	if (path != NULL && check_path(ctx, path, error_r) != 0)
		return -1;
	set_limits();
	errno = 0;
	if (smfi_setconn((char *)(uintptr_t)config->listen_spec) != MI_SUCCESS ||
	    smfi_opensocket(path != NULL) != MI_SUCCESS) {
		*error_r = mem_printf(ctx,
		    "%s: listen = \"%s\" cannot be listened on%s%s; is the address one of this machine, "
		    "the port free, the directory there and writable?",
		    config->file, config->listen, errno != 0 ? ": " : "",
		    errno != 0 ? strerror(errno) : "");
		return -1;
	}
	if (path != NULL)
		own_path(config, path);
	if (path != NULL)
		return unix_socket_grant(
		    ctx, path, (mode_t)config->listen_mode, config->listen_group, error_r);
	if (set_nodelay() > 0)
		return 0;
	*error_r = mem_printf(
	    ctx, "%s: the listening socket was not found among the descriptors", config->listen);
	return -1;
}

/* milter_socket_descriptors - the listening sockets of this process */
size_t
milter_socket_descriptors(int *fds_r, size_t max)
{
	size_t n = 0;

	for (int fd = 0; fd < FD_SEARCH_MAX && n < max; fd++) {
		int accepting = 0;
		socklen_t len = sizeof(accepting);

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len) == 0 && accepting)
			fds_r[n++] = fd;
	}
	return n;
}

void
milter_socket_address(struct probe_address *address_r)
{
	int fd = edge_inherited();

	address_r->len = 0;
	if (fd >= 0 || milter_socket_descriptors(&fd, 1) == 1)
		probe_address_of(fd, address_r);
}

/* listening_copies - descriptors of our own for all listening sockets; returns how many */
static size_t
listening_copies(int *copies, size_t max)
{
	size_t n = milter_socket_descriptors(copies, max);

	/* copied only now, or the search would find the copies, too */
	for (size_t i = 0; i < n; i++)
		copies[i] = dup(copies[i]);
	return n;
}

/* stop_milter - smfi_stop() in a thread: it says stop, then waits for the listener's lock */
static void *
stop_milter(void *arg)
{
	(void)arg;
	(void)smfi_stop();
	return NULL;
}

/* milter_socket_stop - make libmilter stop */
void
milter_socket_stop(void)
{
	int copies[4];
	size_t n = edge_inherited() >= 0 ? 0 :
	    listening_copies(copies, sizeof(copies) / sizeof(copies[0]));
	pthread_t thread;
	bool threaded;

	edge_stopping();
	threaded = pthread_create(&thread, NULL, stop_milter, NULL) == 0;

	if (!threaded)
		(void)smfi_stop();
	/* the listener holds that lock while it polls; a socket that is shut down wakes it. Should
	 * it wake before it was told to stop, it complains once and finds out at its next look.
	 * edge_rest() has woken it from its poll of an inherited socket. */
	clock_pause(50);
	for (size_t i = 0; i < n; i++) {
		if (copies[i] < 0)
			continue;
		(void)shutdown(copies[i], SHUT_RDWR);
		(void)close(copies[i]);
	}
	if (threaded)
		(void)pthread_join(thread, NULL);
}

/* milter_socket_remove - remove a unix socket's file */
void
milter_socket_remove(const struct config *config)
{
	if (edge_inherited() < 0 && listen_socket_path(config) != NULL)
		(void)unlink(listen_socket_path(config));
}
