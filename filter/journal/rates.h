/*
 * rates.h - how many messages got each action in a time, and why those that did not pass
 *
 * Threads: no state.
 */
#ifndef FILTER_JOURNAL_RATES_H
#define FILTER_JOURNAL_RATES_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/verdict/reply.h"

#define RATES_ACTIONS	(ACTION_REJECT + 1)

struct rates {
	uint32_t actions[RATES_ACTIONS];
	uint32_t reasons[REASON_COUNT];	/* refused, deferred or held */
	uint32_t would[REASON_COUNT];	/* the same that passed because of mode watch */
};

/* rates_count - one more message: what was done, what mode enforce would have done, and why */
void rates_count(struct rates *rates, enum action action, enum action would, enum reason reason);

/* rates_sum - add counts to others; a count stays at its most */
void rates_sum(struct rates *to, const struct rates *from);

/* rates_write - as text: "action:accept=5,action:reject=1,reason:over=1,would:..."; on ctx */
char *rates_write(TALLOC_CTX *ctx, const struct rates *rates);

/* rates_parse - add what a text of len octets has; unknown words are skipped */
void rates_parse(const char *text, size_t len, struct rates *rates);

#endif
