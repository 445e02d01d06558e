/*
 * verdict.h - facts in, decision out
 *
 * verdict_decide() is asked after each stage with all facts known so far. It
 * looks at every rule that the stage allows, and the most severe finding wins;
 * among equals the one listed first. Nothing else in countersign decides.
 */
#ifndef POLICY_VERDICT_VERDICT_H
#define POLICY_VERDICT_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/verdict/reply.h"

/* How far a message has come. Later stages include the rules of the earlier ones. */
enum stage {
	STAGE_MAIL,		/* login and envelope sender are known; SPF was checked */
	STAGE_RCPT,		/* one more recipient is known */
	STAGE_HEADER,		/* the whole header section is known */
	STAGE_CONTENT,		/* the whole message is known; not signed, not charged */
	STAGE_SIGNED,		/* the signature was tried */
	STAGE_CHARGED		/* the quota was charged: the final verdict */
};

/* The configured rules that apply to one message. */
struct rules {
	enum mode mode;
	enum action actions[REASON_COUNT]; /* what each reason does */
	bool dmarc_by_policy; /* inbound: a DMARC failure gets what the domain's policy asks for */
	bool require_tls;	/* submission: refuse without TLS, unless from loopback */
	bool draining;		/* the daemon is being stopped */
	size_t max_recipients;	/* of the message's plans; 0: no bound */
	uint64_t max_size;	/* octets, of the message's plans; 0: no bound */
	const char *help_url;	/* appended to refusals, or NULL */
	const struct reply_texts *texts; /* of refusals; NULL: English */
};

struct verdict {
	enum action action;	/* what is done */
	enum action would;	/* what enforce mode would do; equals action there */
	enum reason reason;	/* of would; REASON_NONE if nothing was found */
	const char *address;	/* the address the reason is about, or NULL */
	const char *problem;	/* detail, or NULL */
	const char *field;	/* the header field it is about, if its text says more, or NULL */
	const char *text;	/* ... and its value as sent; a stranger's octets */
	const char *reply_code;	/* for tempfail and reject, else NULL */
	const char *reply_status; /* RFC 3463 enhanced status */
	const char *reply_text;	/* one line; see reply_text() */
	const char *hold_text;	/* the same for quarantine, in ASCII, else NULL */
};

/*
 * verdict_decide - decide on what is known
 * Texts are allocated on ctx. Pure; any thread.
 */
void verdict_decide(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts,
    enum stage stage, struct verdict *verdict_r);

/* What one rule said. */
struct verdict_step {
	enum stage stage;	/* it is asked from this stage on */
	enum reason reason;
	bool asked;		/* the message had come so far */
	bool found;
	enum action action;	/* what the reason does here */
	bool decides;		/* of all that were found, it gives the verdict */
	const char *address;	/* as in struct verdict */
	const char *problem;
};

/* verdict_rules - how many rules there are. Pure; any thread. */
size_t verdict_rules(void);

/*
 * verdict_trace - as verdict_decide, and report what every rule said
 * steps_r: verdict_rules() of them, in the order of the rules; or NULL.
 */
void verdict_trace(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts,
    enum stage stage, struct verdict *verdict_r, struct verdict_step *steps_r);

/* verdict_passes - the message goes on (accepted, marked or held) */
bool verdict_passes(const struct verdict *verdict);

/*
 * verdict_may_sign - may this message be signed?
 * Only when nothing at all was found against its sender and every claim was asked for and is
 * owned: a message that passes only because of watch mode or of an "accept" for a
 * foreign name is not signed.
 */
bool verdict_may_sign(const struct facts *facts, const struct verdict *verdict);

#endif
