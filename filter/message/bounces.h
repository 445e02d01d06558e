/*
 * bounces.h - delivery reports that come in for mail of our accounts, for limits and block_on with
 * bounces
 *
 * Threads: a message belongs to one thread at a time.
 */
#ifndef FILTER_MESSAGE_BOUNCES_H
#define FILTER_MESSAGE_BOUNCES_H

#include "filter/message/message.h"

/* bounces_begin - at the end of the header: read the body of a report, if a plan counts it */
void bounces_begin(struct message *message);

/*
 * bounces_count - a message was decided and passes: remember its Message-ID, if a plan that it is
 * charged to counts bounces; if it is a report, count it to the account that sent what is returned
 */
void bounces_count(struct message *message);

#endif
