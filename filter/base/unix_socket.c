/*
 * unix_socket.c - sockets in the file system
 *
 * Used at start, in one thread, and by countersignctl.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "filter/base/unix_socket.h"
#include "policy/base/mem.h"

/* address_of - a path as a socket address; -1 with errno if it is too long */
static int
address_of(const char *path, struct sockaddr_un *address_r)
{
	size_t len = strlen(path);

	memset(address_r, 0, sizeof(*address_r));
	address_r->sun_family = AF_UNIX;
	if (len >= sizeof(address_r->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address_r->sun_path, path, len);
	return 0;
}

/* unix_socket_connect - connect to a path */
int
unix_socket_connect(const char *path)
{
	struct sockaddr_un address;
	int fd;
	int saved;

	if (address_of(path, &address) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

/* remove_stale - remove a socket without a listener */
static int
remove_stale(TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) != 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		*error_r = mem_printf(ctx, "%s exists and is not a socket; remove it", path);
		return -1;
	}
	fd = unix_socket_connect(path);
	if (fd >= 0) {
		(void)close(fd);
		*error_r = mem_printf(ctx, "%s is in use by another process", path);
		return -1;
	}
	(void)unlink(path);
	return 0;
}

/* unix_socket_grant - permissions and group */
int
unix_socket_grant(TALLOC_CTX *ctx, const char *path, mode_t mode, const char *group,
    const char **error_r)
{
	const struct group *entry;

	if (group != NULL) {
		entry = getgrnam(group);
		if (entry == NULL || chown(path, (uid_t)-1, entry->gr_gid) != 0) {
			*error_r = mem_printf(ctx, "%s cannot be given to group %s: %s", path,
			    group, entry == NULL ? "there is no such group" : strerror(errno));
			return -1;
		}
	}
	if (chmod(path, mode) == 0)
		return 0;
	*error_r = mem_printf(ctx, "%s: chmod: %s", path, strerror(errno));
	return -1;
}

/* unix_socket_listen - bind and listen */
int
unix_socket_listen(TALLOC_CTX *ctx, const char *path, mode_t mode, const char *group,
    const char **error_r)
{
	struct sockaddr_un address;
	mode_t mask;
	int fd;
	int bound;

	if (remove_stale(ctx, path, error_r) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* no other user may connect before the permissions are right */
	mask = umask(0177);
	bound = fd < 0 || address_of(path, &address) != 0 ? -1 :
	    bind(fd, (const struct sockaddr *)&address, sizeof(address));
	(void)umask(mask);
	if (bound != 0 || listen(fd, 64) != 0) {
		*error_r = mem_printf(ctx, "%s cannot be listened on: %s", path, strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return -1;
	}
	if (unix_socket_grant(ctx, path, mode, group, error_r) == 0)
		return fd;
	(void)close(fd);
	(void)unlink(path);
	return -1;
}
