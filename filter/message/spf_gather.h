/*
 * spf_gather.h - the SPF facts of a message on role inbound
 *
 * Which client is judged, whether at all, and when: at MAIL, or at the end of the
 * header if a trusted relay brings the mail. Facts are written, nothing is decided.
 */
#ifndef FILTER_MESSAGE_SPF_GATHER_H
#define FILTER_MESSAGE_SPF_GATHER_H

#include "filter/message/message.h"

/* spf_gather_mail - at MAIL: check both identities of a client that is a stranger */
void spf_gather_mail(struct message *message);

/* spf_gather_header - at the end of header: the same for mail that a trusted relay brings */
void spf_gather_header(struct message *message);

#endif
