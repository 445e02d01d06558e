/*
 * received_spf.h - Received-SPF (RFC 7208 section 9.1): ours, and forged ones
 *
 * One field for each identity that was checked, with what is needed to repeat
 * the check. Pure; any thread.
 */
#ifndef POLICY_VERDICT_RECEIVED_SPF_H
#define POLICY_VERDICT_RECEIVED_SPF_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/sender/header.h"
#include "policy/verdict/edits.h"

/* Which of the two checks. */
enum spf_identity {
	SPF_IDENTITY_HELO,
	SPF_IDENTITY_MAILFROM
};

/*
 * received_spf_write - the value of the field for one identity; NULL if it was not checked
 *
 * receiver: our host name. Begins with its leading space, folds are LF and tab, no line end at the
 * end. Strangers' text is quoted and cut; octets that are not printable ASCII become '?'. On ctx.
 */
char *received_spf_write(TALLOC_CTX *ctx, const char *receiver, const struct facts *facts,
    enum spf_identity identity);

/*
 * received_spf_is_ours - could a reader take this field for one that receiver wrote?
 *
 * value: what follows the colon, len octets. True if the field holds the name
 * receiver anywhere as a whole name, case ignored, whatever is quoted or commented.
 */
bool received_spf_is_ours(const char *value, size_t len, const char *receiver);

/*
 * received_spf_plan - add the fields to the edits of a message that passes
 *
 * edits: as edits_plan() made them, on ctx. Every field with our name is deleted as well;
 * inserted, below all other insertions, if write is set, one field for MAIL
 * FROM and one for HELO, MAIL FROM above. For a null sender they are one check, reported as HELO's.
 */
void received_spf_plan(TALLOC_CTX *ctx, const struct header_list *list, const struct facts *facts,
    const char *receiver, bool write, struct edits *edits);

#endif
