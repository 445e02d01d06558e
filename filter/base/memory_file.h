/*
 * memory_file.h - a file without a name
 *
 * Threads: any.
 */
#ifndef FILTER_BASE_MEMORY_FILE_H
#define FILTER_BASE_MEMORY_FILE_H

#include <stddef.h>

/*
 * memory_file - an empty file, open to read and write, that nobody else can open
 * In memory if the system has that, otherwise in TMPDIR or /tmp, without a name. The descriptor,
 * close-on-exec, or -1 with errno.
 */
int memory_file(void);

/* memory_file_write - all of it, at the present place; 0, or -1 with errno */
int memory_file_write(int fd, const void *octets, size_t len);

#endif
