/*
 * session.h - a connection from the MTA, and the message on it
 *
 * Two lifetimes. A session lives from negotiation to close and carries any number of messages; a
 * message lives from MAIL until its end of message, abort, the next MAIL, or
 * close, whichever comes first: MTAs differ in which of them they send.
 *
 * Threads: one at a time, though not always the same one; no lock is needed
 * and nothing may be kept in thread-local memory.
 */
#ifndef FILTER_MESSAGE_SESSION_H
#define FILTER_MESSAGE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter/daemon/daemon.h"
#include "filter/message/message.h"
#include "filter/message/witness.h"
#include "policy/verdict/verdict.h"

/* The macros that come with MAIL; NULL if not sent. */
struct mail_macros {
	const char *auth_authen;
	const char *auth_type;
	const char *tls_version;
	const char *queue_id;
	uint64_t size;		/* SIZE= of the command, 0: not given */
	bool smtputf8;		/* SMTPUTF8 of the command */
};

/* session_new - a session on the snapshot in force; never NULL */
struct session *session_new(struct daemon *daemon);

/*
 * session_try - messages of this session are only tried; returns its witness
 * Call before the first message. The sessions of a daemon that is dry are so from the beginning.
 */
struct witness *session_try(struct session *session);

/* session_free - end the message if there is one, then the session. NULL is fine. */
void session_free(struct session *session);

/* session_needs_helo - does some listener of the snapshot look at HELO? */
bool session_needs_helo(const struct session *session);

/* session_wants_refused_rcpt - does some plan of the snapshot count recipients that the MTA
 * refuses? */
bool session_wants_refused_rcpt(const struct session *session);

/*
 * session_connect - note the values of CONNECT; texts are copied and bounded, each may be NULL
 * mta: the macro v, name and version of the MTA.
 */
void session_connect(struct session *session, const char *client_name, const char *client_addr,
    unsigned int client_port, const char *daemon_name, const char *daemon_port, const char *mta);

/* session_resolved - what the MTA found of the client's name: OK, FAIL, FORGED or TEMP; NULL: it
 * does not say */
void session_resolved(struct session *session, const char *word);

/* session_helo - HELO, EHLO or LHLO; may come again at any time outside a message */
void session_helo(struct session *session, const char *helo, const char *tls_version);

/*
 * message_mail - MAIL FROM: begins a message (and ends the one before)
 * path: as the MTA gives it. The verdict is in session->message->verdict, which lives until
 * message_finish().
 */
const struct verdict *message_mail(struct session *session, const char *path,
    const struct mail_macros *macros);

/*
 * message_rcpt - RCPT TO: a recipient; a refusal concerns this recipient alone
 * resolved: {rcpt_addr}, the MTA's own reading of path, or NULL
 */
const struct verdict *message_rcpt(struct session *session, const char *path, const char *resolved,
    const char *queue_id);

/*
 * message_rcpt_refused - RCPT TO: a recipient that the MTA itself refused
 * It is no part of the message.
 * path: as the client wrote it; code: the enhanced status code of the reply (RFC 3463), or NULL;
 * text: the reply's, or NULL
 */
void message_rcpt_refused(struct session *session, const char *path, const char *code,
    const char *text);

/* message_header - one header field, value with its leading space */
void message_header(struct session *session, const char *name, const char *value);

/* message_header_end - end of header */
const struct verdict *message_header_end(struct session *session, const char *queue_id);

/* message_body - a piece of the body */
void message_body(struct session *session, const unsigned char *bytes, size_t len);

/*
 * message_end - end of message: sign, charge, decide, log
 * When it passes, session->message->edits are to be carried out.
 */
const struct verdict *message_end(struct session *session, const char *queue_id);

/* message_finish - the message is over, whatever became of it. Without a message nothing
 * happens. */
void message_finish(struct session *session);

#endif
