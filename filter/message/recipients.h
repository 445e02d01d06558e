/*
 * recipients.h - the distinct recipients of a message
 */
#ifndef FILTER_MESSAGE_RECIPIENTS_H
#define FILTER_MESSAGE_RECIPIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

struct recipients;

/* recipients_new - an empty set on ctx */
struct recipients *recipients_new(TALLOC_CTX *ctx);

/* recipients_add - add a name in its normal form; false when it is there already. The name is
 * copied. */
bool recipients_add(struct recipients *set, const char *name);

/* recipients_remove_last - take back the name that recipients_add() just added */
void recipients_remove_last(struct recipients *set);

/* recipients_list - all names, in no order; as long as the set and no longer than until it
 * changes */
const char **recipients_list(const struct recipients *set, TALLOC_CTX *ctx);

/* recipients_count - how many there are */
size_t recipients_count(const struct recipients *set);

#endif
