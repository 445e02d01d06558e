/*
 * control_advice.c - what to do about the messages of the history
 *
 * The words are policy/verdict/advice.c's. A larger limit is computed from the one that stopped the
 * message, with its unit and window.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/control/control_asked.h"
#include "policy/base/mem.h"
#include "policy/quota/suggest.h"
#include "policy/verdict/advice.h"

/* advice_member - a text member of a decision, or NULL */
static const char *
advice_member(const json_t *decision, const char *name)
{
	return json_string_value(json_object_get(decision, name));
}

/* reason_of - that of a decision */
static enum reason
reason_of(const json_t *decision)
{
	const char *word = advice_member(decision, "reason");

	for (enum reason reason = REASON_NONE + 1; word != NULL && reason < REASON_COUNT; reason++)
		if (strcmp(word, reply_row(reason)->word) == 0)
			return reason;
	return REASON_NONE;
}

/* between - the part of a text between two characters; NULL: it has none */
static const char *
between(TALLOC_CTX *ctx, const char *text, char first, char last)
{
	const char *from = text != NULL ? strrchr(text, first) : NULL;
	const char *to = from != NULL ? strrchr(from, last) : NULL;

	return to == NULL ? NULL : mem_strndup(ctx, from + 1, (size_t)(to - from - 1));
}

/* cost_of_decision - what the message cost in a unit, at most */
static uint64_t
cost_of_decision(const json_t *decision, enum limit_unit unit)
{
	json_int_t recipients = json_integer_value(json_object_get(decision, "recipients"));
	json_int_t size = json_integer_value(json_object_get(decision, "size"));

	if (unit == LIMIT_BYTES)
		return size > 0 ? (uint64_t)size : 1;
	if (unit == LIMIT_RECIPIENTS || unit == LIMIT_EXTERNAL || unit == LIMIT_NEW)
		return recipients > 0 ? (uint64_t)recipients : 1;
	return 1;
}

/* needed - how large a limit in use must be for the message; what passed is in what is used */
static uint64_t
needed(const json_t *decision, enum limit_unit unit)
{
	const char *used = advice_member(decision, "quota");
	const char *action = advice_member(decision, "action");
	bool counted = action == NULL || (strcmp(action, "tempfail") != 0 &&
	    strcmp(action, "reject") != 0);

	return (used != NULL ? strtoull(used, NULL, 10) : 0) +
	    (counted ? 0 : cost_of_decision(decision, unit));
}

/* fill_limit - the larger limit, whose it is, and for how long */
static void
fill_limit(TALLOC_CTX *ctx, const json_t *decision, struct advice_facts *facts)
{
	const char *text = advice_member(decision, "limit"), *of = advice_member(decision, "limit_of");
	const char *name, *ignored;
	enum quota_subject_kind kind;
	struct limit limit;

	kind = quota_owner_read(of != NULL ? of : "", &name);
	facts->owner = of != NULL ? quota_owner_text(ctx, kind, name) : facts->account;
	if (text == NULL || limit_parse(ctx, text, &limit, &ignored) != 0)
		return;
	facts->zero = limit.max == 0 && !limit.unlimited;
	facts->limit = suggest_raised(ctx, &limit, needed(decision, limit.unit));
	facts->span = suggest_span(ctx, &limit);
}

/* advise - what to do about one decision, as a member of it */
static void
advise(TALLOC_CTX *ctx, json_t *decision)
{
	const char *from = advice_member(decision, "header_from"), *at;
	struct advice_facts facts = {
		.account = advice_member(decision, "account"),
		.address = advice_member(decision, "address"),
		.sender = between(ctx, advice_member(decision, "from"), '<', '>'),
		.client = between(ctx, advice_member(decision, "client"), '[', ']'),
		.helo = advice_member(decision, "helo"),
		.listener = advice_member(decision, "listener"),
	};
	struct advice advice;

	if (facts.sender != NULL && facts.sender[0] == '\0')
		facts.sender = "<>";
	at = from != NULL ? strrchr(from, '@') : NULL;
	facts.domain = at != NULL ? at + 1 : NULL;
	fill_limit(ctx, decision, &facts);
	advice_make(ctx, reason_of(decision), &facts, &advice);
	if (advice.text == NULL)
		return;
	json_object_set_new(decision, "advice", json_string(advice.text));
	if (advice.command != NULL)
		json_object_set_new(decision, "next", json_string(advice.command));
}

/* control_advise - what to do about each of some decisions, as members of them */
void
control_advise(const struct asked *asked, json_t *decisions)
{
	json_t *decision;
	size_t i;

	json_array_foreach(decisions, i, decision)
		advise(asked->ctx, decision);
}
