/*
 * folder.h - a private folder for the files of a fuzz target
 *
 * Made at the first use below $TMPDIR (/dev/shm, /tmp), and removed when the process ends.
 *
 * Threads: the first.
 */
#ifndef TESTS_FUZZ_FOLDER_H
#define TESTS_FUZZ_FOLDER_H

#include <stddef.h>
#include <talloc.h>

/* folder_path - the path of a file in the folder, on ctx */
const char *folder_path(TALLOC_CTX *ctx, const char *name);

/* folder_write - make the file at path; ends the process if that fails */
void folder_write(const char *path, const void *octets, size_t size);

/* folder_empty - remove all files in the folder */
void folder_empty(void);

#endif
