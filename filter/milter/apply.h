/*
 * apply.h - a verdict carried out through libmilter
 */
#ifndef FILTER_MILTER_APPLY_H
#define FILTER_MILTER_APPLY_H

#include <libmilter/mfapi.h>

#include "policy/verdict/edits.h"
#include "policy/verdict/verdict.h"

/*
 * apply_reply - set the SMTP reply of a verdict, and the status to return from the callback
 * Not for end of message, nor for callbacks negotiated without reply.
 */
sfsistat apply_reply(SMFICTX *ctx, const struct verdict *verdict);

/*
 * apply_end - the same at end of message: header edits or quarantine if it passes
 * If the MTA refuses an edit the message is tempfailed: better late than half done.
 */
sfsistat apply_end(SMFICTX *ctx, const struct verdict *verdict, const struct edits *edits);

#endif
