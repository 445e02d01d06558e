/*
 * restricted.h - gatherer: may the sender post to this recipient?
 */
#ifndef FILTER_MESSAGE_RESTRICTED_H
#define FILTER_MESSAGE_RESTRICTED_H

#include <stdint.h>

#include "filter/message/lookup.h"
#include "policy/base/facts.h"

/*
 * restricted_check - ask the tables of restricted_recipients
 *
 * path: RCPT TO as the client wrote it. resolved: {rcpt_addr}, what the MTA made of
 * it, or NULL. Both are looked up, each without its sub-address, and so is what they
 * hold by percent hack, bang path, quoted at sign or address literal. A path that
 * cannot be read, and of which the MTA does not send its reading, counts as
 * restricted: who may post there cannot be known. Sets facts->restricted or
 * facts->lookup_failed, on lookup->ctx; leaves them if the account may post. Any thread.
 */
void restricted_check(const struct lookup *lookup, struct facts *facts, const char *path,
    const char *resolved);

#endif
