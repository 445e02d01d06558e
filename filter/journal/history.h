/*
 * history.h - the verdicts of the last days, for "last ACCOUNT" and "why QUEUEID"
 *
 * Where the store is Redis all filters share one history there; else it is in this process. It
 * holds the last `max` verdicts, at most `days` old; in Redis besides these the last
 * HISTORY_PER_ACCOUNT of each of the max / HISTORY_PER_ACCOUNT accounts that sent last, so that
 * a quiet account's verdicts outlive the traffic of busy ones. So memory is bounded by 2 * max
 * verdicts of some 500 octets.
 *
 * A verdict is a JSON object, one line of printable ASCII: "at" (UNIX time in milliseconds),
 * "filter" (host name), "reply" where the client was refused, and the fields of the log
 * line (logline.h).
 *
 * Threads: any. Adding may wait for Redis: not for the message's path.
 */
#ifndef FILTER_JOURNAL_HISTORY_H
#define FILTER_JOURNAL_HISTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/journal/journal_redis.h"

#define HISTORY_PER_ACCOUNT	20	/* verdicts in an account's own list in Redis */
#define HISTORY_ANSWER_MAX	100	/* verdicts in one answer */

struct history;

/* One verdict to be kept. */
struct history_item {
	int64_t at_ms;		/* UNIX time */
	const char *account;	/* or NULL */
	const char *text;	/* JSON */
};

/*
 * history_new - an empty history, or the shared one
 * redis may be NULL: in this process, and, where file is given, appended to that file and read from
 * it (a file that cannot be used is no history, and told in the log). max: verdicts kept.
 */
struct history *history_new(TALLOC_CTX *ctx, struct journal_redis *redis, const char *file,
    size_t max, int days);

/* history_add - keep verdicts. Returns 0, or -1 and *error_r on ctx: then none was kept. */
int history_add(struct history *history, TALLOC_CTX *ctx, const struct history_item *items,
    size_t n, const char **error_r);

/*
 * history_last - the last n verdicts of an account, newest first, as an array of objects
 * NULL and *error_r (on ctx) where Redis cannot be asked. account in normal form.
 */
json_t *history_last(struct history *history, TALLOC_CTX *ctx, const char *account, size_t n,
    const char **error_r);

/* history_why - the verdicts on messages of that queue id, as history_last() */
json_t *history_why(struct history *history, TALLOC_CTX *ctx, const char *queue_id,
    const char **error_r);

/*
 * history_accepted - the messages of an account that passed, newest first, at most n
 * As history_last(), but from the whole history.
 */
json_t *history_accepted(struct history *history, TALLOC_CTX *ctx, const char *account, size_t n,
    const char **error_r);

#endif
