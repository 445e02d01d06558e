/*
 * memory_file.c - a file without a name
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "filter/base/memory_file.h"

int
memory_file(void)
{
#ifdef HAVE_MEMFD_CREATE
	return memfd_create("countersign", MFD_CLOEXEC);
#else
	const char *directory = getenv("TMPDIR");
	char path[PATH_MAX];
	int fd = -1;

	if (directory == NULL || directory[0] == '\0')
		directory = "/tmp";
	if (snprintf(path, sizeof(path), "%s/countersign.XXXXXX", directory) >= (int)sizeof(path))
		errno = ENAMETOOLONG;
	else
		fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	return fd;
#endif
}

int
memory_file_write(int fd, const void *octets, size_t len)
{
	const char *at = octets;

	while (len > 0) {
		ssize_t written = write(fd, at, len);

		if (written < 0 && errno != EINTR)
			return -1;
		at += written > 0 ? written : 0;
		len -= written > 0 ? (size_t)written : 0;
	}
	return 0;
}
