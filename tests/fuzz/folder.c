/*
 * folder.c - a private folder for the files of a fuzz target
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policy/base/mem.h"
#include "tests/fuzz/folder.h"

static char folder[512];	/* "": not made yet */

void
folder_empty(void)
{
	DIR *directory = folder[0] != '\0' ? opendir(folder) : NULL;
	const struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory != NULL)
		(void)closedir(directory);
}

/* remove_folder - at the end of the process */
static void
remove_folder(void)
{
	folder_empty();
	(void)rmdir(folder);
}

const char *
folder_path(TALLOC_CTX *ctx, const char *name)
{
	const char *base = getenv("TMPDIR");

	/* in memory, because much is synced */
	if (base == NULL)
		base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	if (folder[0] == '\0') {
		(void)snprintf(folder, sizeof(folder), "%s/countersign-fuzz-XXXXXX", base);
		if (mkdtemp(folder) == NULL || atexit(remove_folder) != 0)
			abort();
	}
	return mem_printf(ctx, "%s/%s", folder, name);
}

void
folder_write(const char *path, const void *octets, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, octets, size) != (ssize_t)size || close(fd) != 0)
		abort();
}
