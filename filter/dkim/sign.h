/*
 * sign.h - sign one message, body streamed
 *
 * Call at end of header with a plan (policy/dkim/signing.h), feed the body as it
 * comes, finish at end of message if the message may still be signed. Nothing
 * fails before dkim_sign_finish(), which reports; to give up, talloc_free().
 *
 * Signatures are rsa-sha256, and ed25519-sha256 as well; how they are
 * canonicalised and when they expire says each domain's profile.
 *
 * Threads: a signing belongs to one message, so to one thread at a time.
 */
#ifndef FILTER_DKIM_SIGN_H
#define FILTER_DKIM_SIGN_H

#include <stddef.h>
#include <talloc.h>

#include "filter/dkim/dkim.h"
#include "filter/dkim/signers.h"
#include "policy/base/facts.h"
#include "policy/dkim/signing.h"

struct dkim_signing;

/*
 * dkim_sign_start - begin, with the header as the MTA gave it
 *
 * choice: which signatures; ctx, service, the keys and the profiles of the choice, and the plan's
 * strings must outlive the signing; list is not looked at again. Never returns NULL. A talloc child
 * of ctx.
 */
struct dkim_signing *dkim_sign_start(TALLOC_CTX *ctx, struct dkim_service *service,
    const struct sign_choice *choice, const struct sign_plan *plan, const struct header_list *list);

/* The next octets of the body, with CRLF line ends. */
void dkim_sign_body(struct dkim_signing *signing, const char *bytes, size_t len);

/*
 * dkim_sign_finish - make the signatures, once
 *
 * fact_r: PASS with the domain, the selector and the value of the first signature; FAIL if
 * there is no usable key; PERMERROR if this message cannot be signed; TEMPERROR if
 * signing went wrong. problem may be set with PASS, too: a second key did not work.
 * values_r: with PASS, the value of each DKIM-Signature field to insert, a
 * NULL-terminated array: leading space, LF folds; else NULL. All on ctx.
 */
void dkim_sign_finish(struct dkim_signing *signing, TALLOC_CTX *ctx, struct sign_fact *fact_r,
    const char ***values_r);

#endif
