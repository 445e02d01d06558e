/*
 * logline.h - the one line a message leaves in the log
 */
#ifndef POLICY_LOGLINE_H
#define POLICY_LOGLINE_H

#include <talloc.h>

#include "policy/facts.h"
#include "policy/verdict.h"

/*
 * logline_message - what happened to a message and why, as one line
 * QUEUEID: key=value ..., keys always in the same order, "-" where there is nothing to say.
 * Values with anything but printable ASCII, or with a space, quote or backslash, are
 * quoted and escaped as \xHH; each is cut at LOGLINE_VALUE_MAX octets. The text is
 * allocated on ctx. mode is the one the verdict was made in. Pure; any thread.
 */
#define LOGLINE_VALUE_MAX 256
char *logline_message(TALLOC_CTX *ctx, const struct facts *facts, enum mode mode,
    const struct verdict *verdict);

#endif
