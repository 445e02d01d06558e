/*
 * rewrite.h - address fields that Sendmail rewrites after they were signed
 *
 * Sendmail parses the addresses of a header and writes them in its own form: one space after each
 * comma, none before it, no empty members, no white space inside an address, comments after it, a
 * domain if there is none, "localhost" by its name. A field that has this form already leaves
 * as it came (recorded with Sendmail 8.17; tests/mta/sendmail.test), unless it is long: an address
 * with its name that does not fit Sendmail's buffer (MAXNAME, 256 octets) is cut or folded, and so
 * is a long parameter of a MIME field (MaxMimeHeaderLength).
 */
#ifndef POLICY_DKIM_REWRITE_H
#define POLICY_DKIM_REWRITE_H

#include <stdbool.h>

#include "policy/base/text.h"

/* rewrite_keeps - does Sendmail send this value of an address field as it is? Pure; any thread. */
bool rewrite_keeps(struct span value);

/* rewrite_keeps_mime - the same of Content-Type and Content-Disposition. Pure; any thread. */
bool rewrite_keeps_mime(struct span value);

#endif
