/*
 * stages.h - what is gathered and decided at each stage of a message
 *
 * Each function gathers the facts of its stage, asks policy, leaves the answer
 * in message->verdict and logs a refusal. Threads: as for session.h.
 */
#ifndef FILTER_MESSAGE_STAGES_H
#define FILTER_MESSAGE_STAGES_H

#include <stddef.h>

#include "filter/message/message.h"

void stage_mail(struct message *message, const char *path);
void stage_rcpt(struct message *message, const char *path, const char *resolved);

/* stage_rcpt_refused - RCPT TO: the MTA refused this recipient itself */
void stage_rcpt_refused(struct message *message, const char *path);
void stage_header(struct message *message);
void stage_body(struct message *message, const char *bytes, size_t len);
void stage_end(struct message *message);

#endif
