/*
 * bounce.h - reading a delivery report: did delivery fail, and of which message?
 *
 * RFC 3464 (message/delivery-status) and RFC 6522 (multipart/report), with their international
 * forms of RFC 6533. The report is read as it comes, a line at a time; of long lines the first
 * BOUNCE_LINE_MAX octets, of a report the first BOUNCE_OCTETS_MAX.
 *
 * Pure. Threads: no state; a struct belongs to one thread at a time.
 */
#ifndef POLICY_SENDER_BOUNCE_H
#define POLICY_SENDER_BOUNCE_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/base/text.h"

#define BOUNCE_LINE_MAX		1000
#define BOUNCE_OCTETS_MAX	(1024 * 1024)

/* Where in the report the reader is. */
enum bounce_place {
	BOUNCE_ELSEWHERE,
	BOUNCE_STATUS,		/* in the part for programs */
	BOUNCE_PART,		/* in the header of the part that returns the message */
	BOUNCE_HEADER,		/* in the header of the message itself */
	BOUNCE_OVER		/* behind it: nothing more matters */
};

/* A report as far as it was read. Zeros: nothing was. */
struct bounce {
	char line[BOUNCE_LINE_MAX + 1];	/* with the lines that continue it */
	size_t len;
	bool fresh;		/* at the start of a line that follows one */
	bool blank;		/* nothing but its end was seen of this line */
	enum bounce_place place;
	bool failed;		/* for one recipient at least, for good */
	size_t octets;
	char id[BOUNCE_LINE_MAX + 1];	/* of the message, or "" */
};

/* bounce_is_report - may this be the Content-Type (its value) of a delivery report? One that
 * is signed shows it in its parts only. */
bool bounce_is_report(const char *content_type);

/* bounce_add - the next octets of the body */
void bounce_add(struct bounce *bounce, const char *octets, size_t len);

/*
 * bounce_end - all was read: the Message-ID of a message that was not delivered; NULL: it says none
 * Lives as long as bounce. In the form of bounce_message_id().
 */
const char *bounce_end(struct bounce *bounce);

/*
 * bounce_message_id - what is compared of a Message-ID: the part of a field's value between its
 * white space, at most BOUNCE_LINE_MAX octets; empty: there is none
 */
struct span bounce_message_id(const char *value);

/*
 * bounce_queue_id - the queue id in a Message-ID that an MTA made; empty: it is none
 * TIME.QUEUEID@HOST, as Postfix and Sendmail write it.
 */
struct span bounce_queue_id(const char *message_id);

#endif
