/*
 * verdict.c - the rules, in one table
 *
 * Each rule looks at the facts and says whether it found something, about
 * which address, and why. The table gives the stage from which on the rule's
 * facts are complete. Rules know nothing of actions, modes or replies: the
 * action comes from the configuration (struct rules), the words from reply.c,
 * and watch mode is one transformation of the result.
 *
 * Pure, no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <string.h>

#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/verdict/verdict.h"

/* What a rule found. */
struct finding {
	const char *address;
	const char *problem;
	const char *field;	/* a header field whose text says more, or NULL */
	const char *text;
};

struct rule {
	enum stage stage;	/* asked from this stage on */
	enum reason reason;
	bool (*found)(TALLOC_CTX *, const struct rules *, const struct facts *, struct finding *);
};

/* claim_with - the first claim at a place (or later places) with the given ownership */
static const struct claim *
claim_with(const struct facts *facts, enum claim_place first, enum claim_place last,
    enum ownership owned)
{
	for (size_t i = 0; i < facts->n_claims; i++) {
		const struct claim *claim = &facts->claims[i];

		if (claim->place >= first && claim->place <= last && claim->owned == owned)
			return claim;
	}
	return NULL;
}

/* found_claim - a claim as a finding */
static bool
found_claim(const struct claim *claim, struct finding *finding)
{
	static const char *const places[] = {
		[CLAIM_ENVELOPE] = "MAIL FROM",
		[CLAIM_FROM] = "From",
		[CLAIM_SENDER] = "Sender",
		[CLAIM_RESENT_FROM] = "Resent-From",
		[CLAIM_RESENT_SENDER] = "Resent-Sender",
	};

	if (claim == NULL)
		return false;
	finding->address = claim->address;
	finding->problem = places[claim->place];
	return true;
}

/* found_display - what a display name shows as a finding */
static bool
found_display(TALLOC_CTX *ctx, const char *address, const char *field, const char *text,
    struct finding *finding)
{
	finding->field = field != NULL ? field : "From";
	finding->text = text;
	finding->address = address;
	finding->problem = mem_printf(ctx, "%s display name", finding->field);
	return true;
}

/* found_shown - the same for the first claim at a place that is not owned */
static bool
found_shown(TALLOC_CTX *ctx, const struct facts *facts, enum claim_place place,
    struct finding *finding)
{
	const struct claim *claim = claim_with(facts, place, place, OWNED_NO);

	return claim != NULL &&
	    found_display(ctx, claim->address, claim->field, claim->text, finding);
}

static bool
is_draining(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)facts, (void)f;
	return rules->draining;
}

static bool
has_no_listener(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules, (void)f;
	return facts->listener == NULL;
}

/* has_inbound_login - a user whose sender would not be checked: the listener is for strangers */
static bool
has_inbound_login(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules, (void)f;
	return facts->listener != NULL && facts->role == ROLE_INBOUND &&
	    (facts->login != NULL || facts->auth_without_login);
}

static bool
has_no_login(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules, (void)f;
	return facts->role == ROLE_SUBMISSION && facts->login == NULL && !facts->auth_without_login;
}

/* has_no_account - a relay's client has its account by its network, or none; no login would help
 * it */
static bool
has_no_account(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules, (void)f;
	return facts->role == ROLE_RELAY && facts->account == NULL && facts->lookup_failed == NULL;
}

static bool
has_no_tls(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)f;
	return facts->role == ROLE_SUBMISSION && rules->require_tls && !facts->tls &&
	    !facts->loopback;
}

static bool
has_bad_login(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	/* elsewhere a login is only a fact for the log */
	if (facts->role != ROLE_SUBMISSION)
		return false;
	if (facts->auth_without_login) {
		f->problem = "the MTA does not send the auth_authen macro";
		return true;
	}
	if (facts->login == NULL || facts->account != NULL)
		return false;
	f->problem =
	    facts->login_malformed != NULL ? facts->login_malformed : "it is not an account name";
	return true;
}

static bool
has_malformed_envelope(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	f->address = facts->sender;
	f->problem = facts->sender_malformed;
	return facts->sender_malformed != NULL;
}

static bool
has_foreign_envelope(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	return found_claim(claim_with(facts, CLAIM_ENVELOPE, CLAIM_ENVELOPE, OWNED_NO), f);
}

static bool
has_null_sender(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules, (void)f;
	return facts->role != ROLE_INBOUND && facts->sender != NULL && facts->sender[0] == '\0';
}

static bool
has_too_many_recipients(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	if (rules->max_recipients == 0 || facts->recipients <= rules->max_recipients)
		return false;
	f->problem = mem_printf(ctx, "%zu", rules->max_recipients);
	return true;
}

static bool
is_too_large(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	if (rules->max_size == 0 ||
	    (facts->size <= rules->max_size && facts->declared_size <= rules->max_size))
		return false;
	f->problem = mem_printf(ctx, "%" PRIu64, rules->max_size);
	return true;
}

static bool
has_oversized_header(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules, (void)f;
	return facts->header.too_many;
}

static bool
has_no_from(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules, (void)f;
	return facts->header.from_fields == 0;
}

static bool
has_several_from(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	f->field = "From";
	f->text = facts->header.from_text;
	return facts->header.from_fields > 1;
}

static bool
has_malformed_from(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	f->problem = facts->header.malformed;
	f->field = facts->header.malformed_field;
	f->text = facts->header.malformed_text;
	return facts->header.malformed != NULL;
}

static bool
has_foreign_from(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	return found_claim(claim_with(facts, CLAIM_FROM, CLAIM_FROM, OWNED_NO), f);
}

static bool
has_foreign_domain(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	return found_claim(claim_with(facts, CLAIM_FROM, CLAIM_FROM, OWNED_NO_DOMAIN), f);
}

static bool
has_foreign_sender(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	return found_claim(claim_with(facts, CLAIM_SENDER, CLAIM_SENDER, OWNED_NO), f);
}

static bool
has_foreign_resent(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	return found_claim(claim_with(facts, CLAIM_RESENT_FROM, CLAIM_RESENT_SENDER, OWNED_NO), f);
}

static bool
has_foreign_display(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)rules;
	return found_shown(ctx, facts, CLAIM_DISPLAY, f);
}

static bool
has_disguised_from(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)rules;
	if (found_shown(ctx, facts, CLAIM_DISGUISE, f))
		return true;
	return facts->header.override && facts->role != ROLE_INBOUND &&
	    found_display(ctx, "text written backwards", facts->header.override_field,
		facts->header.override_text, f);
}

static bool
has_foreign_network(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules, (void)f;
	return facts->network_refused;
}

static bool
has_restricted_recipient(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	f->address = facts->restricted;
	return facts->restricted != NULL;
}

static bool
has_lookup_failure(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	f->address = facts->lookup_failed;
	return facts->lookup_failed != NULL ||
	    found_claim(claim_with(facts, CLAIM_ENVELOPE, CLAIM_RESENT_SENDER, OWNED_TEMPERROR), f);
}

/*
 * spf_found - whether the check of an identity ended with result
 * That a domain says nothing is found only if something is done about it: it is the
 * usual case for HELO, and no finding to name in every line of the log.
 */
static bool
spf_found(const struct spf_fact *spf, enum spf_result result, enum action action,
    const char *address, struct finding *f)
{
	if (spf->result != result || (action == ACTION_ACCEPT &&
	    (result == SPF_IS_NONE || result == SPF_IS_NEUTRAL)))
		return false;
	f->address = address;
	f->problem = spf->problem;
	return true;
}

/* SPF_RULE - a rule for one result of one identity, which address names */
#define SPF_RULE(name, reason, wanted, identity, address)				\
static bool										\
name(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f) \
{											\
	(void)ctx;									\
	return spf_found(&facts->identity, wanted, rules->actions[reason],		\
	    facts->identity.address, f);						\
}

SPF_RULE(has_spf_fail, REASON_SPF_FAIL, SPF_IS_FAIL, spf_mailfrom, sender)
SPF_RULE(has_spf_softfail, REASON_SPF_SOFTFAIL, SPF_IS_SOFTFAIL, spf_mailfrom, sender)
SPF_RULE(has_spf_neutral, REASON_SPF_NEUTRAL, SPF_IS_NEUTRAL, spf_mailfrom, sender)
SPF_RULE(has_spf_none, REASON_SPF_NONE, SPF_IS_NONE, spf_mailfrom, sender)
SPF_RULE(has_spf_temperror, REASON_SPF_TEMPERROR, SPF_IS_TEMPERROR, spf_mailfrom, sender)
SPF_RULE(has_spf_permerror, REASON_SPF_PERMERROR, SPF_IS_PERMERROR, spf_mailfrom, sender)
SPF_RULE(has_spf_helo_fail, REASON_SPF_HELO_FAIL, SPF_IS_FAIL, spf_helo, domain)
SPF_RULE(has_spf_helo_softfail, REASON_SPF_HELO_SOFTFAIL, SPF_IS_SOFTFAIL, spf_helo, domain)
SPF_RULE(has_spf_helo_neutral, REASON_SPF_HELO_NEUTRAL, SPF_IS_NEUTRAL, spf_helo, domain)
SPF_RULE(has_spf_helo_none, REASON_SPF_HELO_NONE, SPF_IS_NONE, spf_helo, domain)
SPF_RULE(has_spf_helo_temperror, REASON_SPF_HELO_TEMPERROR, SPF_IS_TEMPERROR, spf_helo, domain)
SPF_RULE(has_spf_helo_permerror, REASON_SPF_HELO_PERMERROR, SPF_IS_PERMERROR, spf_helo, domain)

/* verdict_counts - may a signature that does not pass be held against the message? Not while its
 * key is being tried out. */
static bool
verdict_counts(const struct dkim_fact *dkim)
{
	return dkim->result != DKIM_IS_NONE && !(dkim->testing && dkim->result != DKIM_IS_PASS);
}

/* dkim_with - the first signature with a result from first to last, or NULL */
static const struct dkim_fact *
dkim_with(const struct facts *facts, enum dkim_result first, enum dkim_result last)
{
	for (size_t i = 0; i < facts->n_dkim; i++)
		if (verdict_counts(&facts->dkim[i]) && facts->dkim[i].result >= first &&
		    facts->dkim[i].result <= last)
			return &facts->dkim[i];
	return NULL;
}

/*
 * found_dkim - a signature as a finding, unless another one passes
 * Only if something is done about it: the results are in the log line anyway.
 */
static bool
found_dkim(const struct facts *facts, const struct dkim_fact *dkim, enum action action,
    struct finding *f)
{
	if (action == ACTION_ACCEPT || !facts->dkim_checked || dkim == NULL ||
	    dkim_with(facts, DKIM_IS_PASS, DKIM_IS_PASS) != NULL)
		return false;
	f->address = dkim->sdid;
	f->problem = dkim->problem;
	return true;
}

static bool
has_no_dkim(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)f;
	return rules->actions[REASON_DKIM_NONE] != ACTION_ACCEPT && facts->dkim_checked &&
	    dkim_with(facts, DKIM_IS_PASS, DKIM_IS_PERMERROR) == NULL;
}

static bool
has_dkim_temperror(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx;
	return found_dkim(facts, dkim_with(facts, DKIM_IS_TEMPERROR, DKIM_IS_TEMPERROR),
	    rules->actions[REASON_DKIM_TEMPERROR], f);
}

static bool
has_dkim_fail(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx;
	/* what may pass the next time is not said to have failed */
	return dkim_with(facts, DKIM_IS_TEMPERROR, DKIM_IS_TEMPERROR) == NULL &&
	    found_dkim(facts, dkim_with(facts, DKIM_IS_FAIL, DKIM_IS_NEUTRAL),
	    rules->actions[REASON_DKIM_FAIL], f);
}

static bool
has_dkim_permerror(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx;
	return dkim_with(facts, DKIM_IS_PASS, DKIM_IS_TEMPERROR) == NULL &&
	    found_dkim(facts, dkim_with(facts, DKIM_IS_PERMERROR, DKIM_IS_PERMERROR),
	    rules->actions[REASON_DKIM_PERMERROR], f);
}

/* verdict_is_aligned - is a signature of the author's organisation? Without a DMARC record: of the
 * author's domain, or of one above it that is no top-level domain. */
static bool
verdict_is_aligned(const struct dkim_fact *dkim, const struct claim *author)
{
	if (dkim->alignment != DKIM_ALIGNMENT_UNKNOWN)
		return dkim->alignment == DKIM_ALIGNED;
	return dkim->sdid != NULL && strchr(dkim->sdid, '.') != NULL &&
	    domain_is_or_below(author->domain, dkim->sdid);
}

/* author_of - the first From mailbox, or NULL */
static const struct claim *
author_of(const struct facts *facts)
{
	for (size_t i = 0; i < facts->n_claims; i++)
		if (facts->claims[i].place == CLAIM_FROM)
			return &facts->claims[i];
	return NULL;
}

static bool
has_unaligned_dkim(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	const struct claim *author = author_of(facts);

	(void)ctx;
	if (!facts->dkim_checked || rules->actions[REASON_DKIM_UNALIGNED] == ACTION_ACCEPT)
		return false;
	/* one that may pass the next time is on_dkim_temperror's affair */
	for (size_t i = 0; author != NULL && i < facts->n_dkim; i++)
		if ((facts->dkim[i].result == DKIM_IS_PASS ||
			facts->dkim[i].result == DKIM_IS_TEMPERROR) &&
		    verdict_is_aligned(&facts->dkim[i], author))
			return false;
	f->address = author != NULL ? author->address : NULL;
	return true;
}

/* dmarc_is_held - does the domain ask for quarantine, and is it obeyed? */
static bool
dmarc_is_held(const struct rules *rules, const struct facts *facts)
{
	return rules->dmarc_by_policy && facts->dmarc.disposition == DMARC_POLICY_QUARANTINE;
}

/* found_dmarc - DMARC as a finding */
static bool
found_dmarc(const struct facts *facts, enum dmarc_result result, struct finding *f)
{
	if (facts->dmarc.result != result)
		return false;
	f->address = facts->dmarc.domain;
	f->problem = facts->dmarc.problem;
	return true;
}

static bool
has_dmarc_fail(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx;
	/* a local exception is one from any action */
	if ((rules->dmarc_by_policy || facts->dmarc.exception != NULL) &&
	    facts->dmarc.disposition == DMARC_POLICY_NONE)
		return false;
	return !dmarc_is_held(rules, facts) &&
	    found_dmarc(facts, DMARC_IS_FAIL, f);
}

static bool
has_dmarc_quarantine(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx;
	return dmarc_is_held(rules, facts) && found_dmarc(facts, DMARC_IS_FAIL, f);
}

static bool
has_dmarc_temperror(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	return found_dmarc(facts, DMARC_IS_TEMPERROR, f);
}

static bool
has_own_domain(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	f->address = facts->own_domain;
	return facts->own_domain != NULL;
}

static bool
has_missing_key(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	f->problem = facts->sign.problem;
	return facts->sign.outcome == OUTCOME_FAIL || facts->sign.outcome == OUTCOME_PERMERROR;
}

static bool
has_signing_failure(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	f->problem = facts->sign.problem;
	return facts->sign.outcome == OUTCOME_TEMPERROR;
}

static bool
is_blocked(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	f->problem = facts->quota.block_reason;
	return facts->quota.blocked;
}

/* Refused though no waiting would help: larger than a limit by itself. */
static bool
never_fits(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules, (void)f;
	return facts->quota.outcome == OUTCOME_FAIL && !facts->quota.charged &&
	    !facts->quota.blocked && facts->quota.retry_after == 0;
}

static bool
is_over(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	if (never_fits(ctx, rules, facts, f) || (facts->quota.blocked && !facts->quota.charged))
		return false;
	return facts->quota.outcome == OUTCOME_FAIL || facts->quota.observed_over;
}

static bool
is_store_away(
    TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts, struct finding *f)
{
	(void)ctx, (void)rules;
	f->problem = facts->quota.problem;
	return facts->quota.outcome == OUTCOME_TEMPERROR;
}

/* In the order in which a postmaster would want to hear of them. */
static const struct rule rules_in_order[] = {
	{ STAGE_MAIL, REASON_SHUTTING_DOWN, is_draining },
	{ STAGE_MAIL, REASON_NO_LISTENER, has_no_listener },
	{ STAGE_MAIL, REASON_INBOUND_LOGIN, has_inbound_login },
	{ STAGE_MAIL, REASON_BAD_LOGIN, has_bad_login },
	{ STAGE_MAIL, REASON_NO_LOGIN, has_no_login },
	{ STAGE_MAIL, REASON_NO_ACCOUNT, has_no_account },
	{ STAGE_MAIL, REASON_NO_TLS, has_no_tls },
	{ STAGE_MAIL, REASON_BLOCKED, is_blocked },
	{ STAGE_MAIL, REASON_FOREIGN_NETWORK, has_foreign_network },
	{ STAGE_MAIL, REASON_MALFORMED_ENVELOPE, has_malformed_envelope },
	{ STAGE_MAIL, REASON_FOREIGN_ENVELOPE, has_foreign_envelope },
	{ STAGE_MAIL, REASON_NULL_SENDER, has_null_sender },
	{ STAGE_MAIL, REASON_LOOKUP_FAILURE, has_lookup_failure },
	/* of mail that came by a trusted relay, from STAGE_HEADER on */
	{ STAGE_MAIL, REASON_SPF_FAIL, has_spf_fail },
	{ STAGE_MAIL, REASON_SPF_HELO_FAIL, has_spf_helo_fail },
	{ STAGE_MAIL, REASON_SPF_PERMERROR, has_spf_permerror },
	{ STAGE_MAIL, REASON_SPF_HELO_PERMERROR, has_spf_helo_permerror },
	{ STAGE_MAIL, REASON_SPF_TEMPERROR, has_spf_temperror },
	{ STAGE_MAIL, REASON_SPF_HELO_TEMPERROR, has_spf_helo_temperror },
	{ STAGE_MAIL, REASON_SPF_SOFTFAIL, has_spf_softfail },
	{ STAGE_MAIL, REASON_SPF_HELO_SOFTFAIL, has_spf_helo_softfail },
	{ STAGE_MAIL, REASON_SPF_NEUTRAL, has_spf_neutral },
	{ STAGE_MAIL, REASON_SPF_HELO_NEUTRAL, has_spf_helo_neutral },
	{ STAGE_MAIL, REASON_SPF_NONE, has_spf_none },
	{ STAGE_MAIL, REASON_SPF_HELO_NONE, has_spf_helo_none },
	/* at MAIL only for an account that is remembered as over */
	{ STAGE_MAIL, REASON_OVER, is_over },
	{ STAGE_MAIL, REASON_NEVER_FITS, never_fits },
	{ STAGE_RCPT, REASON_RESTRICTED_RECIPIENT, has_restricted_recipient },
	{ STAGE_RCPT, REASON_TOO_MANY_RECIPIENTS, has_too_many_recipients },
	/* at MAIL by what the client declares; the octets seen count later */
	{ STAGE_MAIL, REASON_TOO_LARGE, is_too_large },
	{ STAGE_HEADER, REASON_OVERSIZED_HEADER, has_oversized_header },
	{ STAGE_HEADER, REASON_SEVERAL_FROM, has_several_from },
	{ STAGE_HEADER, REASON_NO_FROM, has_no_from },
	{ STAGE_HEADER, REASON_MALFORMED_FROM, has_malformed_from },
	{ STAGE_HEADER, REASON_FOREIGN_FROM, has_foreign_from },
	{ STAGE_HEADER, REASON_FOREIGN_DOMAIN, has_foreign_domain },
	{ STAGE_HEADER, REASON_FOREIGN_SENDER, has_foreign_sender },
	{ STAGE_HEADER, REASON_FOREIGN_RESENT, has_foreign_resent },
	{ STAGE_HEADER, REASON_DISGUISED_FROM, has_disguised_from },
	{ STAGE_HEADER, REASON_FOREIGN_DISPLAY, has_foreign_display },
	{ STAGE_CONTENT, REASON_DKIM_NONE, has_no_dkim },
	{ STAGE_CONTENT, REASON_DKIM_TEMPERROR, has_dkim_temperror },
	{ STAGE_CONTENT, REASON_DKIM_FAIL, has_dkim_fail },
	{ STAGE_CONTENT, REASON_DKIM_PERMERROR, has_dkim_permerror },
	{ STAGE_CONTENT, REASON_DKIM_UNALIGNED, has_unaligned_dkim },
	{ STAGE_CONTENT, REASON_OWN_DOMAIN, has_own_domain },
	{ STAGE_CONTENT, REASON_DMARC_FAIL, has_dmarc_fail },
	{ STAGE_CONTENT, REASON_DMARC_QUARANTINE, has_dmarc_quarantine },
	{ STAGE_CONTENT, REASON_DMARC_TEMPERROR, has_dmarc_temperror },
	{ STAGE_SIGNED, REASON_MISSING_KEY, has_missing_key },
	{ STAGE_SIGNED, REASON_SIGNING_FAILURE, has_signing_failure },
	{ STAGE_CHARGED, REASON_STORE_AWAY, is_store_away },
};

/* more_severe - does a finding replace the one held so far? */
static bool
more_severe(const struct verdict *held, enum action action)
{
	/* a daemon that goes down takes no mail, whatever else there is to say of it */
	if (held->reason == REASON_SHUTTING_DOWN)
		return false;
	return held->reason == REASON_NONE || action > held->would;
}

/* carry_out - mode: what is really done, and what the client reads */
static void
carry_out(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts,
    struct verdict *verdict)
{
	const struct reply_row *row = reply_row(verdict->reason);
	struct reply_style style = { .help_url = rules->help_url, .texts = rules->texts };

	verdict->action = verdict->would;
	/* watch refuses nothing, except that a daemon which is going down cannot take mail */
	if (rules->mode == MODE_WATCH && verdict->would > ACTION_WARN &&
	    verdict->reason != REASON_SHUTTING_DOWN)
		verdict->action = ACTION_WARN;
	style.action = verdict->action;
	/* of what is held, the queue shows the reason */
	if (verdict->action == ACTION_QUARANTINE) {
		struct facts ascii = *facts;

		ascii.smtputf8 = false;	/* it goes into the queue, not to the client */
		style.help_url = NULL;
		verdict->hold_text = reply_text(ctx, verdict->reason, &ascii, verdict->address,
		    verdict->problem, &style);
		return;
	}
	if (verdict->action < ACTION_TEMPFAIL)
		return;
	verdict->reply_code =
	    verdict->action == ACTION_REJECT ? row->reject_code : row->tempfail_code;
	verdict->reply_status = verdict->action == ACTION_REJECT ?
	    row->reject_status : row->tempfail_status;
	verdict->reply_text = reply_text(ctx, verdict->reason, facts, verdict->address,
	    verdict->problem, &style);
}

#define N_RULES	(sizeof(rules_in_order) / sizeof(rules_in_order[0]))

size_t
verdict_rules(void)
{
	return N_RULES;
}

/* note_step - what a rule said, for those who want to know */
static void
note_step(struct verdict_step *steps, size_t index, bool asked, bool found, enum action action,
    const struct finding *finding)
{
	const struct rule *rule = &rules_in_order[index];

	if (steps == NULL)
		return;
	steps[index] = (struct verdict_step){ .stage = rule->stage, .reason = rule->reason,
		.asked = asked, .found = found, .action = action };
	if (!found)
		return;
	steps[index].address = finding->address;
	steps[index].problem = finding->problem;
}

/* weigh_all - ask each rule; the most severe finding is the verdict */
static void
weigh_all(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts,
    enum stage stage, struct verdict *verdict, struct verdict_step *steps)
{
	size_t decides = N_RULES;

	for (size_t i = 0; i < N_RULES; i++) {
		const struct rule *rule = &rules_in_order[i];
		struct finding finding = { 0 };
		enum action action = rules->actions[rule->reason];
		bool asked = rule->stage <= stage;
		bool found = asked && rule->found(ctx, rules, facts, &finding);

		note_step(steps, i, asked, found, action, &finding);
		if (!found || !more_severe(verdict, action))
			continue;
		decides = i;
		verdict->reason = rule->reason;
		verdict->would = action;
		verdict->address = finding.address;
		verdict->problem = finding.problem;
		verdict->field = finding.text != NULL ? finding.field : NULL;
		verdict->text = finding.text;
	}
	if (steps != NULL && decides < N_RULES)
		steps[decides].decides = true;
}

/* verdict_trace - decide, and report what every rule said */
void
verdict_trace(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts,
    enum stage stage, struct verdict *verdict_r, struct verdict_step *steps_r)
{
	memset(verdict_r, 0, sizeof(*verdict_r));
	weigh_all(ctx, rules, facts, stage, verdict_r, steps_r);
	carry_out(ctx, rules, facts, verdict_r);
}

/* verdict_decide - decide on what is known */
void
verdict_decide(TALLOC_CTX *ctx, const struct rules *rules, const struct facts *facts,
    enum stage stage, struct verdict *verdict_r)
{
	verdict_trace(ctx, rules, facts, stage, verdict_r, NULL);
}

/* verdict_passes - the message goes on */
bool
verdict_passes(const struct verdict *verdict)
{
	return verdict->action < ACTION_TEMPFAIL;
}

/* verdict_may_sign - may this message be signed? */
bool
verdict_may_sign(const struct facts *facts, const struct verdict *verdict)
{
	bool from_seen = false;

	if (facts->role == ROLE_INBOUND || facts->account == NULL ||
	    verdict->would > verdict->action || facts->sender_malformed != NULL ||
	    facts->header.malformed != NULL || facts->header.too_many ||
	    facts->header.from_fields != 1)
		return false;
	for (size_t i = 0; i < facts->n_claims; i++) {
		/* what a name shows is for on_foreign_display; the signature is for addresses */
		if (facts->claims[i].place >= CLAIM_DISPLAY)
			continue;
		if (facts->claims[i].owned != OWNED_YES)
			return false;
		if (facts->claims[i].place == CLAIM_FROM)
			from_seen = true;
	}
	return from_seen;
}
