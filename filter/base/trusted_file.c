/*
 * trusted_file.c - files that decide something: may others change them?
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "filter/base/trusted_file.h"
#include "policy/base/mem.h"

/* stat_problem - who else may change this one */
static const char *
stat_problem(TALLOC_CTX *ctx, const char *path, const struct stat *st, const struct trusted_by *by)
{
	bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;
	const char *what = S_ISDIR(st->st_mode) ? "the directory " : "";

	if (st->st_uid != 0 && st->st_uid != by->uid)
		return mem_printf(ctx,
		    "%s%s belongs to user id %lu, who could change what the daemon does; run: chown root %s",
		    what, path, (unsigned long)st->st_uid, path);
	if ((st->st_mode & S_IWOTH) != 0 && !sticky)
		return mem_printf(ctx,
		    "%s%s can be written by every user, who could change what the daemon does; "
		    "run: chmod o-w %s",
		    what, path, path);
	if ((st->st_mode & S_IWGRP) != 0 && !sticky && st->st_gid != 0 && st->st_gid != by->gid)
		return mem_printf(ctx,
		    "%s%s can be written by group id %lu, who could change what the daemon does; "
		    "run: chmod g-w %s",
		    what, path, (unsigned long)st->st_gid, path);
	return NULL;
}

/* path_problem - who else may change a path without symbolic links, or a part of it */
static const char *
path_problem(TALLOC_CTX *ctx, const char *path, const struct trusted_by *by)
{
	char *part = mem_strdup(ctx, path);
	const char *problem = NULL;
	struct stat st;

	for (;;) {
		char *slash = strrchr(part, '/');

		if (stat(part[0] != '\0' ? part : "/", &st) == 0)
			problem = stat_problem(ctx, part[0] != '\0' ? part : "/", &st, by);
		if (problem != NULL || slash == NULL || part[0] == '\0')
			return problem;
		*slash = '\0';
	}
}

const char *
trusted_file_problem(TALLOC_CTX *ctx, const char *path, const struct trusted_by *by)
{
	char *real = realpath(path, NULL), *folder;
	const char *problem;
	char *slash;

	if (real == NULL)
		return NULL;
	problem = path_problem(ctx, real, by);
	free(real);
	/* and where the links themselves are */
	folder = mem_strdup(ctx, path);
	slash = strrchr(folder, '/');
	if (problem != NULL || slash == NULL || slash == folder)
		return problem;
	*slash = '\0';
	real = realpath(folder, NULL);
	if (real != NULL)
		problem = path_problem(ctx, real, by);
	free(real);
	return problem;
}

bool
trusted_file_is_readable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0;
}
