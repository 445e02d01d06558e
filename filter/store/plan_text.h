/*
 * plan_text.h - what a message is charged, as a line of text that outlives the process
 *
 * Threads: no state.
 */
#ifndef FILTER_STORE_PLAN_TEXT_H
#define FILTER_STORE_PLAN_TEXT_H

#include <talloc.h>

#include "policy/quota/quota.h"

/* plan_text_write - all that the store needs of a plan; on ctx */
char *plan_text_write(TALLOC_CTX *ctx, const struct quota_plan *plan);

/*
 * plan_text_read - the plan that plan_text_write() made text of, as quota_plan_copy() would give it
 * Texts of limits, names of subjects and what is done with a message that is over are left out.
 * On ctx; NULL: this is no such text.
 */
struct quota_plan *plan_text_read(TALLOC_CTX *ctx, const char *text);

#endif
