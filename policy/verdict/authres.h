/*
 * authres.h - Authentication-Results (RFC 8601): whose a field is, and ours
 *
 * Reading: readers trust a field by its authserv-id, so a stranger who writes
 * ours forges our word. authres_is_ours() finds those fields, however they are
 * quoted, folded or commented. Writing: all results of this hop in one field,
 * because many readers look at the uppermost only.
 *
 * Memory: results live in the given talloc context. Threads: no state.
 */
#ifndef POLICY_VERDICT_AUTHRES_H
#define POLICY_VERDICT_AUTHRES_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/facts.h"

#define AUTHRES_MAX		6000	/* octets of a value that is written, about */
#define AUTHRES_COLUMNS		77	/* of a line, unless one word is longer */

/*
 * authres_read_id - the authserv-id of a field
 *
 * value: what follows the colon, len octets, folds as LF or CRLF. The whole
 * field must be made of tokens, quoted strings and comments that end, and must
 * begin with an authserv-id that a version may follow and then a semicolon or
 * the end. Returns the id without quotes and escapes; NULL if the field
 * cannot be read. Linear in len, whatever the nesting.
 */
char *authres_read_id(TALLOC_CTX *ctx, const char *value, size_t len);

/*
 * authres_is_ours - does this field have our authserv-id?
 *
 * Compared without regard to case, a dot at the end, or the spelling of
 * international labels. A field that cannot be read is ours if it holds our
 * id anywhere: as written, or with quotes, escapes, comments and spaces removed.
 */
bool authres_is_ours(const char *value, size_t len, const char *authserv_id);

/* What is written. */
struct authres_options {
	const char *authserv_id; /* ours; what is no token is quoted */
	bool show_login;	/* show the SASL login (smtp.auth): off by default */
};

/*
 * authres_write - the value of our field for this message
 *
 * Begins with its leading space, folds are LF and tab, no line end at the end.
 * Written are auth (only with show_login), spf for HELO and MAIL FROM if
 * checked, dkim for each signature if verification ran; "none" if
 * nothing was checked. Strangers' text is quoted and cut; octets that are not
 * printable ASCII become '?'. DKIM results that would exceed AUTHRES_MAX are
 * left out, those that pass last.
 */
char *authres_write(TALLOC_CTX *ctx, const struct authres_options *options,
    const struct facts *facts);

#endif
