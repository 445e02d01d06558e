/*
 * plain_file.c - open a file that somebody named, without waiting for a pipe
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/base/plain_file.h"

/* plain_file_kind - 0, or why a descriptor is none to read: an error number */
static int
plain_file_kind(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return S_ISREG(st.st_mode) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) ? 0 : ESPIPE;
}

int
plain_file_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int code;

	if (fd < 0) {
		/* that of a socket */
		if (errno == ENXIO)
			errno = ESPIPE;
		return -1;
	}
	code = plain_file_kind(fd);
	if (code == 0)
		return fd;
	(void)close(fd);
	errno = code;
	return -1;
}

FILE *
plain_file(const char *path)
{
	int fd = path != NULL ? plain_file_open(path) : -1;
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
	int code = errno;

	if (file == NULL && fd >= 0)
		(void)close(fd);
	errno = code;
	return file;
}

const char *
plain_file_error(int code)
{
	return code == ESPIPE ? "it is a pipe or a socket, not a file" : strerror(code);
}
