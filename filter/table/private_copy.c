/*
 * private_copy.c - a file's contents in memory, for libraries that map a file
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "filter/table/private_copy.h"

#define PIECE_OCTETS	(1 << 30)	/* copied by one call at most */

/* private_copy_fill - copy all of a file; -1 with errno */
static int
private_copy_fill(int copy, int file)
{
	ssize_t n;

	while ((n = sendfile(copy, file, NULL, PIECE_OCTETS)) > 0)
		;
	return n < 0 ? -1 : 0;
}

int
private_copy(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	int copy = file >= 0 ? memfd_create("table", MFD_CLOEXEC) : -1;
	int error;

	if (copy >= 0 && private_copy_fill(copy, file) != 0) {
		error = errno;
		(void)close(copy);
		copy = -1;
		errno = error;
	}
	error = errno;
	if (file >= 0)
		(void)close(file);
	errno = error;
	return copy;
}
