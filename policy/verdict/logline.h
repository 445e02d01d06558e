/*
 * logline.h - the one line a message leaves in the log
 */
#ifndef POLICY_VERDICT_LOGLINE_H
#define POLICY_VERDICT_LOGLINE_H

#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/verdict/verdict.h"

#define LOGLINE_FIELDS_MAX	40
#define LOGLINE_VALUE_MAX	256

/* What the line says, before it is spelled. Owns all it points to, but the keys, which are
 * static. */
struct logline {
	const char *queue_id;	/* NULL: not known */
	struct {
		const char *key;
		const char *value; /* as it came; NULL: there is nothing to say */
	} fields[LOGLINE_FIELDS_MAX];
	size_t n;
};

/*
 * logline_make - what happened to a message and why, field by field, always in the same order
 * On ctx, and sharing nothing with facts. mode is the one the verdict was made in. Pure; any
 * thread.
 */
struct logline *logline_make(TALLOC_CTX *ctx, const struct facts *facts, enum mode mode,
    const struct verdict *verdict);

/*
 * logline_text - QUEUEID: key=value ..., "-" if there is nothing to say
 * Values with anything but printable ASCII, or with a space, quote or backslash, are
 * quoted and escaped as \xHH; each is cut at LOGLINE_VALUE_MAX octets. On ctx. Pure; any thread.
 */
char *logline_text(TALLOC_CTX *ctx, const struct logline *made);

/*
 * logline_json - the same as one JSON object of printable ASCII, without newline
 * Fields without a value are left out; recipients and size are numbers, all else strings, cut as
 * above; octets that are no UTF-8 become U+FFFD. On ctx. Pure; any thread.
 */
char *logline_json(TALLOC_CTX *ctx, const struct logline *made);

/* logline_value - the value of a field, or NULL. Pure; any thread. */
const char *logline_value(const struct logline *made, const char *key);

#endif
