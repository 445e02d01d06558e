/*
 * private_copy.c - a file's contents in memory, for libraries that map a file
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <unistd.h>

#include "filter/base/memory_file.h"
#include "filter/base/plain_file.h"
#include "filter/table/private_copy.h"

#define PIECE_OCTETS	65536		/* copied at once */

/* private_copy_fill - copy all of a file; -1 with errno */
static int
private_copy_fill(int copy, int file)
{
	char octets[PIECE_OCTETS];
	ssize_t n;

	while ((n = read(file, octets, sizeof(octets))) != 0)
		if (n < 0 ? errno != EINTR : memory_file_write(copy, octets, (size_t)n) != 0)
			return -1;
	return 0;
}

int
private_copy(const char *path)
{
	int file = plain_file_open(path);
	int copy = file >= 0 ? memory_file() : -1;
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
