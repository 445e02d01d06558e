/*
 * dmarc_gather.h - DMARC of a message from outside
 */
#ifndef FILTER_MESSAGE_DMARC_GATHER_H
#define FILTER_MESSAGE_DMARC_GATHER_H

#include "filter/message/message.h"

/*
 * dmarc_gather_header - at the end of header: which author domains there are
 * The questions that will be needed are started, so that they are answered while the body comes.
 * Call it after SPF was checked and the signatures were read.
 */
void dmarc_gather_header(struct message *message);

/*
 * dmarc_gather_end - at the end, after DKIM: the result, and whether a name of ours is misused
 * deadline_ms: CLOCK_MONOTONIC, that of the DKIM keys, so that both share one time.
 */
void dmarc_gather_end(struct message *message, int64_t deadline_ms);

#endif
