/*
 * owners.h - gatherer: does the account own the addresses the message claims?
 */
#ifndef FILTER_MESSAGE_OWNERS_H
#define FILTER_MESSAGE_OWNERS_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/message/lookup.h"
#include "policy/base/facts.h"

/*
 * owners_check - fill `owned` of n claims
 *
 * An address is owned if one of these says so, in this order: the account's owns list; if the
 * listener has no tables, or its mail has no login, the account's own name; with "self" in
 * owners, the account's or the login's own name; the owners tables of the listener (Postfix's
 * search order, first hit decides); the mailbox tables, if they have the address and it is the
 * account's or the login's own name. A table that cannot answer makes the claim TEMPERROR.
 * facts->account must be set. Any thread.
 */
void owners_check(const struct lookup *lookup, const struct listener *listener,
    const struct facts *facts, struct claim *claims, size_t n);

/*
 * owners_has_domain - whether a domain (normal form) is one of ours
 * The realm, a domain we sign for, or one that the accounts or the listener's owners tables name. A
 * table that cannot answer does not. Any thread.
 */
bool owners_has_domain(
    const struct lookup *lookup, const struct listener *listener, const char *domain);

#endif
