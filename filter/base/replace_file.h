/*
 * replace_file.h - a file is written whole or not at all
 */
#ifndef FILTER_BASE_REPLACE_FILE_H
#define FILTER_BASE_REPLACE_FILE_H

#include <stdio.h>
#include <talloc.h>

/* What writes the content; 0, or -1 with errno. */
typedef int replace_file_fn(FILE *stream, void *arg);

/*
 * replace_file - replace the contents of path, readable by its owner alone
 * Writes path.tmp, brings it to the disk, gives it the name path, and brings the folder to the
 * disk: after a crash there is the old content or the new one. Returns 0, or -1 and *error_r on
 * ctx (the reason alone); path is then untouched, and path.tmp is removed if it was made. May wait
 * for the disk. One thread at a time for a path.
 */
int replace_file(
    TALLOC_CTX *ctx, const char *path, replace_file_fn *write, void *arg, const char **error_r);

#endif
