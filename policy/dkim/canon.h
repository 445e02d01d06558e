/*
 * canon.h - header fields in the form that a DKIM signature covers
 *
 * RFC 6376 section 3.4.1 and 3.4.2, and the choice of fields by h= (section 5.4.2). For the few
 * signatures that libopendkim cannot hash; it hashes all others.
 *
 * Memory: results live in the given talloc context. Threads: no state; any thread.
 */
#ifndef POLICY_DKIM_CANON_H
#define POLICY_DKIM_CANON_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/text.h"
#include "policy/sender/header.h"

/*
 * canon_header - the octets whose hash is signed (RFC 6376 section 3.7, "data-hash")
 *
 * names: the value of h=. signature: index in list of the DKIM-Signature field; it is never one of
 * those that h= selects. b: the value of its b= tag with all white space around it, a piece of that
 * field's value, which is left out. *len_r: octets of the result. Cost: names times fields.
 */
char *canon_header(TALLOC_CTX *ctx, const struct header_list *list, struct span names,
    size_t signature, struct span b, bool relaxed, size_t *len_r);

/*
 * canon_next_name - take the next name off a list such as h=; false at its end
 * White space around the name is removed. rest: what is left; its `at` is NULL after the last.
 */
bool canon_next_name(struct span *rest, struct span *name_r);

#endif
