/*
 * alike.h - bodies that an account sends again, for limits and block_on with duplicates
 *
 * Threads: a message belongs to one thread at a time.
 */
#ifndef FILTER_MESSAGE_ALIKE_H
#define FILTER_MESSAGE_ALIKE_H

#include "filter/message/message.h"

/* alike_begin - at the end of the header: read the body, if a plan counts it */
void alike_begin(struct message *message);

/*
 * alike_count - a message was decided: count its recipients as duplicates, if it passes with a body
 * that the account sent before
 */
void alike_count(struct message *message);

#endif
