/*
 * control_answer.h - what a request of countersignctl is answered
 *
 * The commands, apart from the socket they come through: countersignctl calls them itself if it
 * works on the store without a daemon. Each is a row in control_answer.c and a
 * function in a file about its subject. A request and an answer are JSON objects.
 *
 * Threads: any; an answer may wait for the store. Not for the message's path.
 */
#ifndef FILTER_CONTROL_CONTROL_ANSWER_H
#define FILTER_CONTROL_CONTROL_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/control/control_asked.h"

/*
 * control_answer - the answer to one request, a line of len octets
 * Never NULL; the caller owns it. remote as in struct asked.
 */
json_t *control_answer(struct daemon *daemon, TALLOC_CTX *ctx, const char *line, size_t len,
    const struct asker *asker, bool remote);

/* control_answer_text - the same of a daemon, as one line without its end (malloc) */
char *control_answer_text(struct daemon *daemon, const char *line, size_t len,
    const struct asker *asker);

/* control_answer_is_long - may the answer to such a request take seconds? It may be made in any
 * thread then. */
bool control_answer_is_long(const char *line, size_t len);

#endif
