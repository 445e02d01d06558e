/*
 * address.h - report addresses: the URIs of rua=, and the mailboxes that they mean
 *
 * RFC 9989 section 4.7 (tag rua), RFC 6068 (mailto). What a stranger writes there becomes a word of
 * a command line and of a header field, so only plain addresses count.
 *
 * Memory: strings live in the given talloc context. Threads: no state; any thread.
 */
#ifndef POLICY_DMARC_ADDRESS_H
#define POLICY_DMARC_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/base/text.h"

#define DMARC_ADDRESSES_MAX	10	/* report addresses of a record that are looked at */

/* One URI. The spans point into the record. */
struct dmarc_uri {
	struct span text;	/* without the size limit */
	struct span mailto;	/* the address of a mailto: URI, percent-encoded; else empty */
	uint64_t max;		/* octets of a mail that it takes ("!10m", of RFC 7489); 0: any */
};

/*
 * dmarc_uri_next - take the next well-formed URI off the value of rua
 * Returns false at the end.
 */
bool dmarc_uri_next(struct span *rest, struct dmarc_uri *uri_r);

/*
 * dmarc_mailbox - from the address of a mailto: URI to one that mail can be sent to
 * local@domain; the domain in normal form is *domain_r, which points into it. NULL and *error_r
 * (static) if it is not a plain address: a local part of other characters than those of an atom and
 * dots, a domain that is none, a literal. What follows a question mark is ignored.
 */
const char *dmarc_mailbox(TALLOC_CTX *ctx, struct span mailto, const char **domain_r,
    const char **error_r);

#endif
