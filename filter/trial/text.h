/*
 * text.h - a message as a file has it, taken apart as an MTA would
 *
 * Threads: no state.
 */
#ifndef FILTER_TRIAL_TEXT_H
#define FILTER_TRIAL_TEXT_H

#include <stddef.h>
#include <talloc.h>

#include "filter/message/session.h"

#define TRIAL_TEXT_MAX	(64 * 1024 * 1024) /* octets of a message */

/*
 * trial_text_read - bring len octets of text into LF line ends, in place
 * text has room for one octet more, a NUL. LF and CRLF are taken. A line "From " of an mbox before
 * the header is left out. Returns the text, or NULL and *error_r on ctx: what MTAs do not hand on
 * (NUL, a bare CR), with its line.
 */
char *trial_text_read(TALLOC_CTX *ctx, char *text, size_t len, const char **error_r);

/*
 * trial_text_body - where the body of a text begins
 * The header ends at an empty line, or where a line is no field, as Postfix sees it.
 */
const char *trial_text_body(const char *text);

/* trial_text_header - give each header field of a text to the session */
void trial_text_header(struct session *session, const char *text);

/* trial_text_give - give a body to the session, in pieces with CRLF line ends */
void trial_text_give(struct session *session, const char *body);

#endif
