/*
 * reply.c - the table of reasons, and what the client is told
 *
 * Reply, log line, option name and default action of a reason stand in one
 * row, so that they cannot disagree and a new reason is one new line. The
 * class of the SMTP code follows the action (reject 5xx, tempfail 4xx):
 * libmilter refuses a reply whose class differs from the action returned.
 *
 * Pure, no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistr.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/sender/identity.h"
#include "policy/verdict/reply.h"

#define ACCEPT		ACTION_ACCEPT
#define WARN		ACTION_WARN
#define QUARANTINE	ACTION_QUARANTINE
#define TEMPFAIL	ACTION_TEMPFAIL
#define REJECT		ACTION_REJECT

/*
 * Local mail is never tempfailed for its content (it would stay in maildrop
 * and come back every minute), and foreign names in it are only watched
 * (cron, sieve, vacation, Mailman).
 */
static const struct reply_row rows[REASON_COUNT] = {
	/* word, option, submission, relay, local, inbound */
	[REASON_NONE] = { "-", NULL, ACCEPT, ACCEPT, ACCEPT, ACCEPT, "250", "2.0.0", "250", "2.0.0",
	    "ok" },
	[REASON_NO_LISTENER] = { "no-listener", "on_no_listener", TEMPFAIL, TEMPFAIL, TEMPFAIL,
	    TEMPFAIL, "550", "5.3.5", "451", "4.3.5",
	    "mail from here is not set up at this server (no listener matches the connection)" },
	[REASON_INBOUND_LOGIN] = { "inbound-login", "on_inbound_login", ACCEPT, ACCEPT, ACCEPT,
	    TEMPFAIL, "550", "5.7.0", "451", "4.3.5",
	    "this server is not set up to accept mail with a login from your connection" },
	[REASON_SHUTTING_DOWN] = { "shutting-down", NULL, TEMPFAIL, TEMPFAIL, TEMPFAIL, TEMPFAIL,
	    "521", "5.3.2", "421", "4.3.2", "the mail filter is restarting, please try again" },
	[REASON_NO_LOGIN] = { "no-login", "on_no_login", REJECT, REJECT, ACCEPT, ACCEPT, "530",
	    "5.7.0", "450", "4.7.0", "please log in first (authentication required)" },
	[REASON_NO_ACCOUNT] = { "no-account", "on_no_account", REJECT, REJECT, ACCEPT, ACCEPT,
	    "550", "5.7.1", "450", "4.7.1",
	    "%{client} has no account to send mail with at this server" },
	[REASON_NO_TLS] = { "no-tls", "on_no_tls", REJECT, ACCEPT, ACCEPT, ACCEPT, "530", "5.7.0",
	    "450", "4.7.0", "please use STARTTLS first (encryption required)" },
	[REASON_BAD_LOGIN] = { "bad-login", "on_bad_login", TEMPFAIL, TEMPFAIL, TEMPFAIL, TEMPFAIL,
	    "550", "5.7.8", "451", "4.7.0", "your login cannot be used as an account: %{problem}" },
	[REASON_MALFORMED_ENVELOPE] = { "malformed-envelope", "on_malformed_envelope", REJECT,
	    REJECT, WARN, ACCEPT, "553", "5.1.7", "451", "4.1.7",
	    "the envelope sender %{address} cannot be read: %{problem}" },
	[REASON_FOREIGN_NETWORK] = { "foreign-network", "on_foreign_network", REJECT, REJECT,
	    ACCEPT, ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the account %{account} may not send from %{client}" },
	[REASON_FOREIGN_ENVELOPE] = { "foreign-envelope", "on_foreign_envelope", REJECT, REJECT,
	    WARN, ACCEPT, "553", "5.7.1", "450", "4.7.1",
	    "the envelope sender <%{address}> does not belong to the login %{login}" },
	[REASON_NULL_SENDER] = { "null-sender", "on_null_sender", ACCEPT, ACCEPT, ACCEPT, ACCEPT,
	    "550", "5.7.1", "450", "4.7.1",
	    "the null envelope sender <> is not for the login %{login}; use an address of your own" },
	[REASON_RESTRICTED_RECIPIENT] = { "restricted-recipient", "on_restricted_recipient", REJECT,
	    REJECT, REJECT, REJECT, "550", "5.7.2", "450", "4.7.2",
	    "you may not send to <%{address}>; only its moderators may" },
	[REASON_TOO_MANY_RECIPIENTS] = { "too-many-recipients", "on_too_many_recipients", REJECT,
	    REJECT, REJECT, ACCEPT, "550", "5.5.3", "452", "4.5.3",
	    "a message may have %{problem} recipients at most" },
	[REASON_TOO_LARGE] = { "too-large", "on_too_large", REJECT, REJECT, REJECT, ACCEPT, "552",
	    "5.3.4", "452", "4.3.4", "a message may have %{problem} octets at most" },
	[REASON_OVERSIZED_HEADER] = { "oversized-header", "on_oversized_header", REJECT, REJECT,
	    REJECT, REJECT, "552", "5.3.4", "452", "4.3.4",
	    "the header section has too many or too large fields" },
	[REASON_NO_FROM] = { "no-from", "on_no_from", REJECT, REJECT, WARN, ACCEPT, "550", "5.7.1",
	    "450", "4.7.1", "the message has no From field" },
	[REASON_SEVERAL_FROM] = { "several-from", "on_several_from", REJECT, REJECT, REJECT, REJECT,
	    "550", "5.7.1", "450", "4.7.1", "the message has more than one From field" },
	[REASON_MALFORMED_FROM] = { "malformed-from", "on_malformed_from", REJECT, REJECT, WARN,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the %{field} field cannot be read in exactly one way: %{problem}" },
	[REASON_FOREIGN_FROM] = { "foreign-from", "on_foreign_from", REJECT, REJECT, WARN, ACCEPT,
	    "550", "5.7.1", "450", "4.7.1",
	    "the From address <%{address}> does not belong to the login %{login}" },
	[REASON_FOREIGN_DOMAIN] = { "foreign-domain", "on_foreign_domain", REJECT, REJECT, WARN,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the From address <%{address}> does not belong to the login %{login}" },
	[REASON_FOREIGN_SENDER] = { "foreign-sender", "on_foreign_sender", REJECT, REJECT, WARN,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the %{problem} address <%{address}> does not belong to the login %{login}" },
	[REASON_FOREIGN_RESENT] = { "foreign-resent", "on_foreign_resent", REJECT, REJECT, WARN,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the %{problem} address <%{address}> does not belong to the login %{login}" },
	[REASON_DISGUISED_FROM] = { "disguised-from", "on_disguised_from", REJECT, WARN, ACCEPT,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the %{problem} shows %{address} like a sender, which does not belong to the login %{login}" },
	[REASON_FOREIGN_DISPLAY] = { "foreign-display", "on_foreign_display", WARN, WARN, ACCEPT,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the %{problem} shows %{address}, which does not belong to the login %{login}" },
	[REASON_LOOKUP_FAILURE] = { "lookup-failure", "on_lookup_failure", TEMPFAIL, TEMPFAIL, WARN,
	    TEMPFAIL, "550", "5.4.3", "451", "4.4.3",
	    "it could not be found out now what belongs to <%{address}>, please try again" },
	/* RFC 7372 section 3.2: 5.7.23 is for a policy that was read and says no, 5.7.24 for one
	 * that could not be; that a policy says nothing is neither. */
	[REASON_SPF_FAIL] = { "spf-fail", "on_spf_fail", ACCEPT, ACCEPT, ACCEPT, WARN, "550",
	    "5.7.23", "451", "4.7.23",
	    "SPF: %{spf_client} may not send mail as %{address}%{explanation}" },
	[REASON_SPF_SOFTFAIL] = { "spf-softfail", "on_spf_softfail", ACCEPT, ACCEPT, ACCEPT, ACCEPT,
	    "550", "5.7.23", "451", "4.7.23",
	    "SPF: %{spf_client} probably may not send mail as %{address}" },
	[REASON_SPF_NEUTRAL] = { "spf-neutral", "on_spf_neutral", ACCEPT, ACCEPT, ACCEPT, ACCEPT,
	    "550", "5.7.1", "451", "4.7.1",
	    "SPF: the domain of %{address} does not say whether %{spf_client} may send its mail" },
	[REASON_SPF_NONE] = { "spf-none", "on_spf_none", ACCEPT, ACCEPT, ACCEPT, ACCEPT, "550",
	    "5.7.1", "451", "4.7.1", "SPF: the domain of %{address} has no SPF policy" },
	[REASON_SPF_TEMPERROR] = { "spf-temperror", "on_spf_temperror", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.24", "451", "4.7.24",
	    "SPF: the policy of %{address} cannot be read now (%{problem})" },
	[REASON_SPF_PERMERROR] = { "spf-permerror", "on_spf_permerror", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.24", "451", "4.7.24",
	    "SPF: the policy of %{address} is in error (%{problem})" },
	[REASON_SPF_HELO_FAIL] = { "spf-helo-fail", "on_spf_helo_fail", ACCEPT, ACCEPT, ACCEPT,
	    WARN, "550", "5.7.23", "451", "4.7.23",
	    "SPF: %{spf_client} may not use the name %{address} in HELO%{helo_explanation}" },
	[REASON_SPF_HELO_SOFTFAIL] = { "spf-helo-softfail", "on_spf_helo_softfail", ACCEPT, ACCEPT,
	    ACCEPT, ACCEPT, "550", "5.7.23", "451", "4.7.23",
	    "SPF: %{spf_client} probably may not use the name %{address} in HELO" },
	[REASON_SPF_HELO_NEUTRAL] = { "spf-helo-neutral", "on_spf_helo_neutral", ACCEPT, ACCEPT,
	    ACCEPT, ACCEPT, "550", "5.7.1", "451", "4.7.1",
	    "SPF: %{address} does not say whether %{spf_client} may use the name in HELO" },
	[REASON_SPF_HELO_NONE] = { "spf-helo-none", "on_spf_helo_none", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.1", "451", "4.7.1",
	    "SPF: the name %{address} in HELO has no SPF policy" },
	[REASON_SPF_HELO_TEMPERROR] = { "spf-helo-temperror", "on_spf_helo_temperror", ACCEPT,
	    ACCEPT, ACCEPT, ACCEPT, "550", "5.7.24", "451", "4.7.24",
	    "SPF: the policy of the HELO name %{address} cannot be read now (%{problem})" },
	[REASON_SPF_HELO_PERMERROR] = { "spf-helo-permerror", "on_spf_helo_permerror", ACCEPT,
	    ACCEPT, ACCEPT, ACCEPT, "550", "5.7.24", "451", "4.7.24",
	    "SPF: the policy of the HELO name %{address} is in error (%{problem})" },
	[REASON_DKIM_NONE] = { "dkim-none", "on_dkim_none", ACCEPT, ACCEPT, ACCEPT, ACCEPT, "550",
	    "5.7.20", "451", "4.7.20", "DKIM: the message bears no signature" },
	[REASON_DKIM_TEMPERROR] = { "dkim-temperror", "on_dkim_temperror", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.20", "451", "4.7.20",
	    "DKIM: the signature of %{address} cannot be checked now (%{problem})" },
	[REASON_DKIM_FAIL] = { "dkim-fail", "on_dkim_fail", ACCEPT, ACCEPT, ACCEPT, ACCEPT, "550",
	    "5.7.20", "451", "4.7.20",
	    "DKIM: the signature of %{address} does not pass (%{problem})" },
	[REASON_DKIM_PERMERROR] = { "dkim-permerror", "on_dkim_permerror", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.20", "451", "4.7.20",
	    "DKIM: the signature of %{address} is in error (%{problem})" },
	[REASON_DKIM_UNALIGNED] = { "dkim-unaligned", "on_dkim_unaligned", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.22", "451", "4.7.22",
	    "DKIM: no signature of the domain of the From address <%{address}> passes" },
	[REASON_DMARC_FAIL] = { "dmarc-fail", "on_dmarc_fail", ACCEPT, ACCEPT, ACCEPT, ACCEPT,
	    "550", "5.7.1", "450", "4.7.1",
	    "DMARC: the message is not authenticated as mail of %{address}%{dmarc_policy}" },
	[REASON_DMARC_QUARANTINE] = { "dmarc-quarantine", "on_dmarc_quarantine", ACCEPT, ACCEPT,
	    ACCEPT, QUARANTINE, "550", "5.7.1", "450", "4.7.1",
	    "DMARC: the message is not authenticated as mail of %{address}%{dmarc_policy}" },
	[REASON_DMARC_TEMPERROR] = { "dmarc-temperror", "on_dmarc_temperror", ACCEPT, ACCEPT,
	    ACCEPT, ACCEPT, "550", "5.7.1", "451", "4.7.1",
	    "DMARC: the policy of %{address} cannot be determined now" },
	[REASON_OWN_DOMAIN] = { "own-domain", "on_own_domain", ACCEPT, ACCEPT, ACCEPT, ACCEPT, "550",
	    "5.7.1", "450", "4.7.1",
	    "the message claims to come from %{address}, which is served here, and is not "
	    "authenticated; log in to send mail with this address" },
	[REASON_MISSING_KEY] = { "missing-key", "on_missing_key", ACCEPT, ACCEPT, ACCEPT, ACCEPT,
	    "550", "5.7.7", "451", "4.7.7", "there is no usable DKIM key for %{domain}" },
	[REASON_SIGNING_FAILURE] = { "signing-failure", "on_signing_failure", TEMPFAIL, TEMPFAIL,
	    WARN, ACCEPT, "550", "5.3.0", "451", "4.3.0",
	    "the message could not be signed, please try again" },
	[REASON_BLOCKED] = { "blocked", "on_blocked", REJECT, REJECT, REJECT, ACCEPT, "550",
	    "5.7.1", "450", "4.7.1", "sending is blocked for the account %{account}%{block_end}" },
	[REASON_OVER] = { "over", "on_over", TEMPFAIL, TEMPFAIL, REJECT, ACCEPT, "550", "5.7.28",
	    "450", "4.7.28",
	    "the sending limit of %{over_account} is used up: %{limit}, %{used} used%{retry}" },
	[REASON_NEVER_FITS] = { "never-fits", NULL, REJECT, REJECT, REJECT, ACCEPT, "550", "5.7.28",
	    "450", "4.7.28",
	    "this message alone exceeds a sending limit of %{over_account}: %{limit}" },
	[REASON_STORE_AWAY] = { "store-away", NULL, TEMPFAIL, TEMPFAIL, ACCEPT, ACCEPT, "550",
	    "5.3.0", "451", "4.3.0", "the sending limits cannot be checked now, please try again" },
};

static const char *const action_words[] = {
	[ACTION_ACCEPT] = "accept",
	[ACTION_WARN] = "warn",
	[ACTION_QUARANTINE] = "quarantine",
	[ACTION_TEMPFAIL] = "tempfail",
	[ACTION_REJECT] = "reject",
};
static const char *const role_words[] = {
	[ROLE_AUTO] = "auto",
	[ROLE_SUBMISSION] = "submission",
	[ROLE_RELAY] = "relay",
	[ROLE_LOCAL] = "local",
	[ROLE_INBOUND] = "inbound",
};
static const char *const spf_words[] = {
	[SPF_NOT_CHECKED] = "-",
	[SPF_IS_NONE] = "none",
	[SPF_IS_NEUTRAL] = "neutral",
	[SPF_IS_PASS] = "pass",
	[SPF_IS_FAIL] = "fail",
	[SPF_IS_SOFTFAIL] = "softfail",
	[SPF_IS_TEMPERROR] = "temperror",
	[SPF_IS_PERMERROR] = "permerror",
};
static const char *const dkim_words[] = {
	[DKIM_IS_NONE] = "none",
	[DKIM_IS_PASS] = "pass",
	[DKIM_IS_FAIL] = "fail",
	[DKIM_IS_POLICY] = "policy",
	[DKIM_IS_NEUTRAL] = "neutral",
	[DKIM_IS_TEMPERROR] = "temperror",
	[DKIM_IS_PERMERROR] = "permerror",
};
static const char *const outcome_words[] = {
	[OUTCOME_NONE] = "-",
	[OUTCOME_PASS] = "pass",
	[OUTCOME_FAIL] = "fail",
	[OUTCOME_TEMPERROR] = "temperror",
	[OUTCOME_PERMERROR] = "permerror",
};

const char *
action_word(enum action action)
{
	return action_words[action];
}

const char *
role_word(enum role role)
{
	return role_words[role];
}

const char *
mode_word(enum mode mode)
{
	return mode == MODE_ENFORCE ? "enforce" : "watch";
}

const char *
spf_result_word(enum spf_result result)
{
	return spf_words[result];
}

const char *
dkim_result_word(enum dkim_result result)
{
	return dkim_words[result];
}

const char *
outcome_word(enum outcome outcome)
{
	return outcome_words[outcome];
}

/* reply_row - the row of a reason */
const struct reply_row *
reply_row(enum reason reason)
{
	return &rows[reason < REASON_COUNT ? reason : REASON_NONE];
}

/* reply_reason_of_option - which reason an on_ word belongs to */
enum reason
reply_reason_of_option(const char *option)
{
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++)
		if (rows[reason].option != NULL && strcmp(rows[reason].option, option) == 0)
			return reason;
	return REASON_NONE;
}

/* reply_heir - the reason whose configured action a finer one takes over */
enum reason
reply_heir(enum reason reason)
{
	if (reason == REASON_INBOUND_LOGIN)
		return REASON_NO_LISTENER;
	if (reason == REASON_FOREIGN_DOMAIN)
		return REASON_FOREIGN_FROM;
	if (reason == REASON_FOREIGN_RESENT)
		return REASON_FOREIGN_SENDER;
	if (reason == REASON_DISGUISED_FROM)
		return REASON_FOREIGN_DISPLAY;
	/* the two groups have the same order */
	if (reason >= REASON_SPF_HELO_FAIL && reason <= REASON_SPF_HELO_PERMERROR)
		return (enum reason)(REASON_SPF_FAIL + (reason - REASON_SPF_HELO_FAIL));
	return REASON_NONE;
}

/* reply_is_offence - does a reason mean that the message claimed another sender's name? */
bool
reply_is_offence(enum reason reason)
{
	switch (reason) {
	case REASON_FOREIGN_ENVELOPE:
	case REASON_FOREIGN_FROM:
	case REASON_FOREIGN_DOMAIN:
	case REASON_FOREIGN_SENDER:
	case REASON_FOREIGN_RESENT:
	case REASON_FOREIGN_DISPLAY:
		return true;
	default:
		return false;
	}
}

/* reply_default_action - what a reason does where nothing is configured */
enum action
reply_default_action(enum reason reason, enum role role)
{
	const struct reply_row *row = reply_row(reason);

	switch (role) {
	case ROLE_RELAY:
		return row->relay;
	case ROLE_LOCAL:
		return row->local;
	case ROLE_INBOUND:
		return row->inbound;
	case ROLE_AUTO:
	case ROLE_SUBMISSION:
		break;
	}
	return row->submission;
}

/* duration_text - seconds as a person says them */
static char *
duration_text(TALLOC_CTX *ctx, uint32_t seconds)
{
	if (seconds < 120)
		return mem_printf(ctx, "%" PRIu32 " second%s", seconds, seconds == 1 ? "" : "s");
	if (seconds < 7200)
		return mem_printf(ctx, "%" PRIu32 " minutes", (seconds + 59) / 60);
	return mem_printf(ctx, "%" PRIu32 " hours", (seconds + 3599) / 3600);
}

/* reply_or_dash - a text that may be missing */
static const char *
reply_or_dash(const char *text)
{
	return text != NULL ? text : "-";
}

/* reply_address - an address, in a UTF-8 reply with its domain in U-labels */
static const char *
reply_address(TALLOC_CTX *ctx, const struct facts *facts, const char *address)
{
	const char *unicode = address != NULL && facts->smtputf8 ?
	    identity_key_unicode(ctx, address) : NULL;

	return reply_or_dash(unicode != NULL ? unicode : address);
}

/* dmarc_text - what a domain asks for, if it asks for anything */
static const char *
dmarc_text(TALLOC_CTX *ctx, const struct dmarc_fact *dmarc)
{
	return dmarc->policy == DMARC_POLICY_NONE ? "" :
	    mem_printf(ctx, ", whose policy is %s", dmarc_policy_word(dmarc->policy));
}

/* explanation_text - the words of a domain, marked as such (RFC 7208 section 6.2) */
static const char *
explanation_text(TALLOC_CTX *ctx, const struct spf_fact *spf)
{
	return spf->explanation == NULL ? "" :
	    mem_printf(ctx, "; that domain explains: %s", spf->explanation);
}

/* item_text - what one %{item} stands for; NULL: no such item */
static const char *
item_text(TALLOC_CTX *ctx, const char *item, size_t len, const struct facts *facts,
    const char *address, const char *problem)
{
	const struct {
		const char *name;
		const char *text;
	} items[] = {
		{ "address", reply_address(ctx, facts, address) },
		{ "problem", reply_or_dash(problem) },
		{ "login", reply_or_dash(facts->login != NULL ? facts->login : facts->account) },
		{ "account",
		    reply_or_dash(
			facts->quota.account != NULL ? facts->quota.account : facts->account) },
		{ "over_account",
		    reply_or_dash(facts->quota.subject != NULL ? facts->quota.subject
			    : facts->quota.account != NULL     ? facts->quota.account
							       : facts->account) },
		{ "client", reply_or_dash(facts->client_addr) },
		{ "field",
		    facts->header.malformed_field != NULL ? facts->header.malformed_field
							  : "From" },
		{ "domain", facts->sign.sdid != NULL ? facts->sign.sdid : "the sender" },
		{ "limit", reply_or_dash(facts->quota.limit) },
		{ "used", mem_printf(ctx, "%" PRIu64, facts->quota.used) },
		{ "max", mem_printf(ctx, "%" PRIu64, facts->quota.max) },
		{ "block_end",
		    facts->quota.retry_after == 0
			? ""
			: mem_printf(ctx, " for another %s",
			      duration_text(ctx, facts->quota.retry_after)) },
		/* a message that is held anyway waits for no room */
		{ "retry",
		    facts->quota.retry_after == 0
			? ""
			: mem_printf(ctx, "; room again in %s",
			      duration_text(ctx, facts->quota.retry_after)) },
		{ "spf_client",
		    reply_or_dash(
			facts->spf_client != NULL ? facts->spf_client : facts->client_addr) },
		{ "explanation", explanation_text(ctx, &facts->spf_mailfrom) },
		{ "dmarc_policy", dmarc_text(ctx, &facts->dmarc) },
		{ "helo_explanation", explanation_text(ctx, &facts->spf_helo) },
	};

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if (strlen(items[i].name) == len && memcmp(items[i].name, item, len) == 0)
			return items[i].text;
	return NULL;
}

/* item_max - octets of an item that are shown: of an explanation more, it is often an address to
 * read on */
static size_t
item_max(const char *item, size_t len)
{
	static const char word[] = "explanation";
	size_t n = sizeof(word) - 1;

	return len >= n && memcmp(item + len - n, word, n) == 0 ? REPLY_EXPLANATION_MAX
								: REPLY_ITEM_MAX;
}

/* A reply line under construction. */
struct reply_line {
	char *text;		/* REPLY_TEXT_MAX octets and a NUL */
	size_t len;
	bool utf8;		/* it may hold UTF-8 */
};

/*
 * reply_spell - one character of a stranger's text as a reply may hold it; octets consumed
 *
 * Nothing that could end the line; % is for the sender of the reply to escape. What is no
 * printable ASCII is escaped as in RFC 6533 section 3, \x{E4}, or stays as it is in a UTF-8 reply
 * if it can be seen; octets that are no UTF-8 become \xE4.
 */
static size_t
reply_spell(const char *text, size_t len, bool utf8, char spelled_r[16])
{
	unsigned char c = (unsigned char)text[0];
	bool ends_line;
	ucs4_t code;
	int n;

	if (c < 0x80) {
		(void)snprintf(spelled_r, 16, "%c", c < 0x20 || c == 0x7f ? '?' : c);
		return 1;
	}
	n = u8_mbtoucr(&code, (const uint8_t *)text, len);
	if (n <= 0)
		(void)snprintf(spelled_r, 16, "\\x%02X", c);
	else if (utf8 && code >= 0xa0 && text_invisible(text, len) == 0 &&
	    text_wide_space(text, len, &ends_line) == 0)
		(void)snprintf(spelled_r, 16, "%.*s", n, text);
	else
		(void)snprintf(spelled_r, 16, "\\x{%X}", (unsigned int)code);
	return n > 0 ? (size_t)n : 1;
}

/* append_clean - append text to a reply line, safe for SMTP; at most max octets */
static void
append_clean(struct reply_line *line, const char *text, size_t max)
{
	size_t left = strlen(text), end = line->len + max;

	if (end > REPLY_TEXT_MAX)
		end = REPLY_TEXT_MAX;
	while (left > 0) {
		char spelled[16];
		size_t n = reply_spell(text, left, line->utf8, spelled), len = strlen(spelled);

		if (line->len + len > end)
			break;
		memcpy(line->text + line->len, spelled, len);
		line->len += len;
		text += n;
		left -= n;
	}
	line->text[line->len] = '\0';
}

/* reply_text - the sentence for the client */
char *
reply_text(TALLOC_CTX *ctx, enum reason reason, const struct facts *facts,
    const char *address, const char *problem, const char *help_url)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(ctx));
	struct reply_line line = {
		.text = mem_array(ctx, char, REPLY_TEXT_MAX + 1),
		.utf8 = facts->smtputf8,
	};
	const char *p = reply_row(reason)->text;

	while (*p != '\0') {
		const char *end = strncmp(p, "%{", 2) == 0 ? strchr(p, '}') : NULL;
		const char *text = end == NULL ? NULL :
		    item_text(tmp, p + 2, (size_t)(end - p - 2), facts, address, problem);

		if (text == NULL) {
			append_clean(&line, (char[]){ *p, '\0' }, 1);
			p++;
			continue;
		}
		append_clean(&line, text, item_max(p + 2, (size_t)(end - p - 2)));
		p = end + 1;
	}
	if (help_url != NULL) {
		append_clean(&line, "; see ", REPLY_TEXT_MAX);
		append_clean(&line, help_url, REPLY_TEXT_MAX);
	}
	talloc_free(tmp);
	return line.text;
}

const char *
dmarc_policy_word(enum dmarc_policy policy)
{
	switch (policy) {
	case DMARC_POLICY_QUARANTINE:
		return "quarantine";
	case DMARC_POLICY_REJECT:
		return "reject";
	case DMARC_POLICY_NONE:
		break;
	}
	return "none";
}

const char *
dmarc_result_word(enum dmarc_result result)
{
	switch (result) {
	case DMARC_IS_PASS:
		return "pass";
	case DMARC_IS_FAIL:
		return "fail";
	case DMARC_IS_TEMPERROR:
		return "temperror";
	case DMARC_IS_PERMERROR:
		return "permerror";
	case DMARC_IS_NONE:
		return "none";
	case DMARC_NOT_CHECKED:
		break;
	}
	return "-";
}
