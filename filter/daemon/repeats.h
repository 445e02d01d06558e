/*
 * repeats.h - what this process remembers of accounts that exceed their limits or are blocked
 *
 * Bounded: of more than it has room for, the oldest is forgotten, which counts a message twice or
 * lets one more pass. Only plans with "over N times", duplicates or block_action = "slow" use it.
 *
 * Threads: any number at once. Times are UNIX time in milliseconds.
 */
#ifndef FILTER_DAEMON_REPEATS_H
#define FILTER_DAEMON_REPEATS_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

struct repeats;

/* repeats_new - nothing is remembered. A talloc child of ctx. */
struct repeats *repeats_new(TALLOC_CTX *ctx);

/*
 * repeats_refused - whether a message that was refused over a limit counts for "over N times"
 * message, subject: marks of the message and of what it shares with a mail merge, both with their
 * account. A message that was refused within window_ms before does not count.
 */
bool repeats_refused(struct repeats *repeats, uint64_t message, uint64_t subject, int64_t now,
    int64_t window_ms);

/*
 * repeats_body - whether a body is sent again, and the message is not merely tried again
 * body: a mark of body and account, recipients: one of those of the envelope. It was sent within
 * window_ms before, and not last to the same recipients.
 */
bool repeats_body(struct repeats *repeats, uint64_t body, uint64_t recipients, int64_t now,
    int64_t window_ms);

/* repeats_turn - whether account may send now, once in every_ms; if so, that was it */
bool repeats_turn(struct repeats *repeats, const char *account, int64_t now, int64_t every_ms);

#endif
