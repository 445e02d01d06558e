/*
 * talk.h - a line to a daemon on a stream socket, and its line of answer
 *
 * deadline_ms: of clock_ms(). Threads: any; no state.
 */
#ifndef FILTER_BASE_TALK_H
#define FILTER_BASE_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

/* talk_send - send all of it; false at the deadline, or if the other side takes no more */
bool talk_send(int fd, const char *bytes, size_t len, int64_t deadline_ms);

/*
 * talk_read_line - one line, on ctx, with its newline if it has one
 * NULL: nothing came until the deadline, or more than max octets without a newline. A line that the
 * other side did not end is as good as one that it did.
 */
char *talk_read_line(TALLOC_CTX *ctx, int fd, size_t max, int64_t deadline_ms);

#endif
