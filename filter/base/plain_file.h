/*
 * plain_file.h - open a file that somebody named, without waiting for a pipe
 *
 * open(2) of a named pipe waits for a writer, for ever: a reload, a start or a check would hang.
 *
 * Threads: any.
 */
#ifndef FILTER_BASE_PLAIN_FILE_H
#define FILTER_BASE_PLAIN_FILE_H

#include <stdio.h>

/*
 * plain_file_open - open a file for reading, closed on exec; a device such as /dev/null is fine
 * Returns its descriptor, or -1 with errno; a directory, a pipe and a socket are refused.
 */
int plain_file_open(const char *path);

/* plain_file - the same as a stream, for fclose(); NULL with errno. path may be NULL. */
FILE *plain_file(const char *path);

/* plain_file_error - the errno of these two in words; static, or strerror()'s */
const char *plain_file_error(int code);

#endif
