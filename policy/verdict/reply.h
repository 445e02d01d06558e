/*
 * reply.h - what the client is told, and the words for actions, roles and results
 */
#ifndef POLICY_VERDICT_REPLY_H
#define POLICY_VERDICT_REPLY_H

#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/verdict/reasons.h"

struct reply_texts;

/* What a reply depends on besides the facts. */
struct reply_style {
	enum action action;	/* tempfail: the client is asked to try again */
	const char *help_url;	/* appended, whole or not at all; or NULL */
	const struct reply_texts *texts; /* reply_texts.h; NULL: English */
};

/*
 * reply_text - the sentence for the client
 * Items: %{address} the address it is about, %{who} "login X" or "account X", %{login},
 * %{account}, %{party} whose limit it is: the account, or "your domain" without its name,
 * %{problem} what the parser or a check said, %{field} the malformed one, %{display} the field of a
 * display name, %{domain}, %{limit}, %{used}, %{max}, %{retry} when to try again (only for
 * tempfail), %{client}, %{spf_client}, %{dmarc_policy}, %{explanation}, %{helo_explanation}; each
 * is cut at REPLY_ITEM_MAX octets, an explanation at REPLY_EXPLANATION_MAX with the words before
 * it. address, problem and style may be NULL. The result is one line of printable ASCII, or of
 * visible UTF-8 if facts->smtputf8 is set, at most REPLY_TEXT_MAX octets, allocated on ctx. "Try
 * again later" and help_url have their room before items are cut; letters of texts with accents
 * lose them in ASCII.
 */
#define REPLY_TEXT_MAX 480
#define REPLY_ITEM_MAX 160
#define REPLY_EXPLANATION_MAX 240
char *reply_text(TALLOC_CTX *ctx, enum reason reason, const struct facts *facts,
    const char *address, const char *problem, const struct reply_style *style);

/* Words for the log and the configuration; never NULL. */
const char *action_word(enum action action);
const char *role_word(enum role role);
const char *mode_word(enum mode mode);
const char *spf_result_word(enum spf_result result);
const char *dkim_result_word(enum dkim_result result);
const char *dmarc_result_word(enum dmarc_result result);
const char *dmarc_policy_word(enum dmarc_policy policy);
const char *outcome_word(enum outcome outcome);

#endif
