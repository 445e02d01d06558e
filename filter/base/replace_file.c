/*
 * replace_file.c - a file is written whole or not at all
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/replace_file.h"
#include "policy/base/mem.h"

/* write_whole - a new file, down to the disk; 0, or -1 with errno, and what was made is removed */
static int
write_whole(const char *path, replace_file_fn *write, void *arg)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *stream = fd >= 0 ? fdopen(fd, "w") : NULL;
	int error = 0;

	if (stream == NULL) {
		error = errno;
		if (fd >= 0) {
			(void)close(fd);
			(void)unlink(path);
		}
		errno = error;
		return -1;
	}
	errno = 0;
	if (write(stream, arg) != 0 || fflush(stream) != 0 || fsync(fd) != 0)
		error = errno != 0 ? errno : EIO;
	if (fclose(stream) != 0 && error == 0)
		error = errno;
	if (error != 0)
		(void)unlink(path);
	errno = error;
	return error == 0 ? 0 : -1;
}

/* sync_folder - so that the new name survives a crash; if it cannot, the old one does */
static void
sync_folder(TALLOC_CTX *ctx, const char *path)
{
	char *copy = mem_strdup(ctx, path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	talloc_free(copy);
}

/* replace_file - replace the contents of path */
int
replace_file(
    TALLOC_CTX *ctx, const char *path, replace_file_fn *write, void *arg, const char **error_r)
{
	char *tmp = mem_printf(ctx, "%s.tmp", path);
	int result = write_whole(tmp, write, arg);

	if (result == 0 && rename(tmp, path) != 0) {
		result = -1;
		*error_r = mem_strdup(ctx, strerror(errno));
		(void)unlink(tmp);
	} else if (result != 0) {
		*error_r = mem_strdup(ctx, strerror(errno));
	} else {
		sync_folder(ctx, path);
	}
	talloc_free(tmp);
	return result;
}
