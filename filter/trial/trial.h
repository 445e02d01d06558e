/*
 * trial.h - a message that is only tried: the whole chain, and what each step of it found
 *
 * The session and stages of filter/message run as they do for mail, on an MTA made of a request,
 * before a witness (filter/message/witness.h). Nothing is charged, logged or kept. The daemon
 * answers countersignctl so; with --direct it does the same itself.
 *
 * Threads: any, one for each trial. A trial waits for DNS, tables and the store as a message does.
 */
#ifndef FILTER_TRIAL_TRIAL_H
#define FILTER_TRIAL_TRIAL_H

#include <jansson.h>
#include <talloc.h>

#include "filter/daemon/daemon.h"
#include "filter/trial/text.h"

#define TRIAL_REQUEST_MAX	(1024 * 1024) /* octets of a request */

/*
 * trial_answer - try a message
 * request: an object with
 *	listener	its name; left out: the first that fits verify and login
 *	verify		true: as a message from outside, to a listener of role inbound
 *	login, client, helo, tls	of the connection
 *	from, rcpts	the envelope; rcpts is a list
 *	daemon		the daemon name of the connection; left out: what the listener asks for.
 *			Without listener and verify, whichever listener takes it is tried
 *	mta		"postfix", "pickup" (sendmail(1) with Postfix) or "sendmail"; left out: by
 *			the listener and the daemon names
 *	print		true: with the header as it would go on
 * text: trial_text_read() has seen it. Returns an object that the caller owns, as countersignctl(8)
 * has it under try; or {"ok": false, "error": ...}.
 */
json_t *trial_answer(struct daemon *daemon, TALLOC_CTX *ctx, const json_t *request,
    const char *text);

#endif
