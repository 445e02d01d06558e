/*
 * fold.h - header fields whose lines an MTA would break after they were signed
 *
 * RFC 5322 section 2.1.1 limits a line to 998 octets. Postfix breaks a longer one at that octet,
 * within a word (smtp_line_length_limit), Sendmail at 990 (L= of its mailers). A field that is
 * folded at white space before it is signed leaves as it was signed.
 *
 * Memory: results live in the given talloc context. Threads: no state; any thread.
 */
#ifndef POLICY_DKIM_FOLD_H
#define POLICY_DKIM_FOLD_H

#include <stddef.h>
#include <talloc.h>

#include "policy/sender/header.h"

#define SIGN_LINE_POSTFIX	998	/* smtp_line_length_limit, as Postfix ships it */
#define SIGN_LINE_SENDMAIL	990	/* L= of the SMTP mailers of sendmail.cf */

/* Octets of the longest line of a field, its name and colon counted with the first. */
size_t fold_longest(const struct header_field *field);

/*
 * fold_value - the value folded at white space so that no line has more than max octets
 * Only line feeds are added, each before white space that a word follows, so that unfolding gives
 * the same text. Returns NULL if a word is too long for a line.
 */
char *fold_value(TALLOC_CTX *ctx, const struct header_field *field, size_t max);

#endif
