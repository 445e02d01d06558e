/*
 * reasons.c - the table of reasons
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

#include <string.h>

#include "policy/verdict/reasons.h"

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
	    "this server is not set up to accept mail from your connection" },
	[REASON_INBOUND_LOGIN] = { "inbound-login", "on_inbound_login", ACCEPT, ACCEPT, ACCEPT,
	    TEMPFAIL, "550", "5.7.0", "451", "4.3.5",
	    "this server is not set up to accept mail with a login from your connection" },
	[REASON_SHUTTING_DOWN] = { "shutting-down", NULL, TEMPFAIL, TEMPFAIL, TEMPFAIL, TEMPFAIL,
	    "521", "5.3.2", "421", "4.3.2",
	    "the service is restarting" },
	[REASON_NO_LOGIN] = { "no-login", "on_no_login", REJECT, REJECT, ACCEPT, ACCEPT, "530",
	    "5.7.0", "450", "4.7.0",
	    "authentication required: please log in before sending mail" },
	[REASON_NO_ACCOUNT] = { "no-account", "on_no_account", REJECT, REJECT, ACCEPT, ACCEPT,
	    "550", "5.7.1", "450", "4.7.1",
	    "the client %{client} is not authorized to send mail through this server" },
	[REASON_NO_TLS] = { "no-tls", "on_no_tls", REJECT, ACCEPT, ACCEPT, ACCEPT, "530", "5.7.0",
	    "450", "4.7.0",
	    "encryption required: turn on TLS (STARTTLS) in your mail program" },
	[REASON_BAD_LOGIN] = { "bad-login", "on_bad_login", TEMPFAIL, TEMPFAIL, TEMPFAIL, TEMPFAIL,
	    "550", "5.7.8", "451", "4.7.0",
	    "your login name cannot be used to send mail: %{problem}" },
	[REASON_MALFORMED_ENVELOPE] = { "malformed-envelope", "on_malformed_envelope", REJECT,
	    REJECT, WARN, ACCEPT, "553", "5.1.7", "451", "4.1.7",
	    "the envelope sender <%{address}> is invalid: %{problem}" },
	[REASON_FOREIGN_NETWORK] = { "foreign-network", "on_foreign_network", REJECT, REJECT,
	    ACCEPT, ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the account %{account} is not allowed to send mail from %{client}" },
	[REASON_FOREIGN_ENVELOPE] = { "foreign-envelope", "on_foreign_envelope", REJECT, REJECT,
	    WARN, ACCEPT, "553", "5.7.1", "450", "4.7.1",
	    "the envelope sender <%{address}> is not allowed for the %{who}" },
	[REASON_NULL_SENDER] = { "null-sender", "on_null_sender", ACCEPT, ACCEPT, ACCEPT, ACCEPT,
	    "550", "5.7.1", "450", "4.7.1",
	    "the null sender <> is not allowed for the %{who}; use one of your own "
	    "addresses" },
	[REASON_RESTRICTED_RECIPIENT] = { "restricted-recipient", "on_restricted_recipient", REJECT,
	    REJECT, REJECT, REJECT, "550", "5.7.2", "450", "4.7.2",
	    "you are not allowed to send to <%{address}>" },
	[REASON_TOO_MANY_RECIPIENTS] = { "too-many-recipients", "on_too_many_recipients", REJECT,
	    REJECT, REJECT, ACCEPT, "550", "5.5.3", "452", "4.5.3",
	    "too many recipients: a message may have at most %{problem}" },
	[REASON_TOO_LARGE] = { "too-large", "on_too_large", REJECT, REJECT, REJECT, ACCEPT, "552",
	    "5.3.4", "452", "4.3.4",
	    "the message is too large: the limit is %{problem} bytes" },
	[REASON_OVERSIZED_HEADER] = { "oversized-header", "on_oversized_header", REJECT, REJECT,
	    REJECT, REJECT, "552", "5.3.4", "452", "4.3.4",
	    "the message header has too many fields or is too large" },
	[REASON_NO_FROM] = { "no-from", "on_no_from", REJECT, REJECT, WARN, ACCEPT, "550", "5.7.1",
	    "450", "4.7.1",
	    "the message has no From field" },
	[REASON_SEVERAL_FROM] = { "several-from", "on_several_from", REJECT, REJECT, REJECT, REJECT,
	    "550", "5.7.1", "450", "4.7.1",
	    "the message has more than one From field" },
	[REASON_MALFORMED_FROM] = { "malformed-from", "on_malformed_from", REJECT, REJECT, WARN,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the %{field} field is malformed or ambiguous: %{problem}" },
	[REASON_FOREIGN_FROM] = { "foreign-from", "on_foreign_from", REJECT, REJECT, WARN, ACCEPT,
	    "550", "5.7.1", "450", "4.7.1",
	    "the From address <%{address}> is not allowed for the %{who}" },
	[REASON_FOREIGN_DOMAIN] = { "foreign-domain", "on_foreign_domain", REJECT, REJECT, WARN,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the From address <%{address}> is not allowed for the %{who}" },
	[REASON_FOREIGN_SENDER] = { "foreign-sender", "on_foreign_sender", REJECT, REJECT, WARN,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the %{problem} address <%{address}> is not allowed for the %{who}" },
	[REASON_FOREIGN_RESENT] = { "foreign-resent", "on_foreign_resent", REJECT, REJECT, WARN,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the %{problem} address <%{address}> is not allowed for the %{who}" },
	[REASON_DISGUISED_FROM] = { "disguised-from", "on_disguised_from", REJECT, WARN, ACCEPT,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the display name in the %{display} field imitates the address %{address}, "
	    "which is not allowed for the %{who}" },
	[REASON_FOREIGN_DISPLAY] = { "foreign-display", "on_foreign_display", WARN, WARN, ACCEPT,
	    ACCEPT, "550", "5.7.1", "450", "4.7.1",
	    "the display name in the %{display} field contains the address %{address}, "
	    "which is not allowed for the %{who}" },
	[REASON_LOOKUP_FAILURE] = { "lookup-failure", "on_lookup_failure", TEMPFAIL, TEMPFAIL, WARN,
	    TEMPFAIL, "550", "5.4.3", "451", "4.4.3",
	    "a lookup that this message needs failed" },
	/* RFC 7372 section 3.2: 5.7.23 is for a policy that was read and says no, 5.7.24 for one
	 * that could not be; that a policy says nothing is neither. */
	[REASON_SPF_FAIL] = { "spf-fail", "on_spf_fail", ACCEPT, ACCEPT, ACCEPT, WARN, "550",
	    "5.7.23", "451", "4.7.23",
	    "SPF: %{spf_client} is not authorized to send mail as %{address}%{explanation}" },
	[REASON_SPF_SOFTFAIL] = { "spf-softfail", "on_spf_softfail", ACCEPT, ACCEPT, ACCEPT, ACCEPT,
	    "550", "5.7.23", "451", "4.7.23",
	    "SPF: %{spf_client} is probably not authorized to send mail as %{address}" },
	[REASON_SPF_NEUTRAL] = { "spf-neutral", "on_spf_neutral", ACCEPT, ACCEPT, ACCEPT, ACCEPT,
	    "550", "5.7.1", "451", "4.7.1",
	    "SPF: the record for %{address} does not say whether %{spf_client} is "
	    "authorized" },
	[REASON_SPF_NONE] = { "spf-none", "on_spf_none", ACCEPT, ACCEPT, ACCEPT, ACCEPT, "550",
	    "5.7.1", "451", "4.7.1",
	    "SPF: there is no SPF record for %{address}; this server requires one" },
	[REASON_SPF_TEMPERROR] = { "spf-temperror", "on_spf_temperror", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.24", "451", "4.7.24",
	    "SPF: the record for %{address} cannot be retrieved now" },
	[REASON_SPF_PERMERROR] = { "spf-permerror", "on_spf_permerror", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.24", "451", "4.7.24",
	    "SPF: the record for %{address} is invalid: %{problem}" },
	[REASON_SPF_HELO_FAIL] = { "spf-helo-fail", "on_spf_helo_fail", ACCEPT, ACCEPT, ACCEPT,
	    WARN, "550", "5.7.23", "451", "4.7.23",
	    "SPF: %{spf_client} is not authorized to use the HELO name "
	    "%{address}%{helo_explanation}" },
	[REASON_SPF_HELO_SOFTFAIL] = { "spf-helo-softfail", "on_spf_helo_softfail", ACCEPT, ACCEPT,
	    ACCEPT, ACCEPT, "550", "5.7.23", "451", "4.7.23",
	    "SPF: %{spf_client} is probably not authorized to use the HELO name %{address}" },
	[REASON_SPF_HELO_NEUTRAL] = { "spf-helo-neutral", "on_spf_helo_neutral", ACCEPT, ACCEPT,
	    ACCEPT, ACCEPT, "550", "5.7.1", "451", "4.7.1",
	    "SPF: the record for the HELO name %{address} does not say whether "
	    "%{spf_client} is authorized" },
	[REASON_SPF_HELO_NONE] = { "spf-helo-none", "on_spf_helo_none", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.1", "451", "4.7.1",
	    "SPF: there is no SPF record for the HELO name %{address}; this server "
	    "requires one" },
	[REASON_SPF_HELO_TEMPERROR] = { "spf-helo-temperror", "on_spf_helo_temperror", ACCEPT,
	    ACCEPT, ACCEPT, ACCEPT, "550", "5.7.24", "451", "4.7.24",
	    "SPF: the record for the HELO name %{address} cannot be retrieved now" },
	[REASON_SPF_HELO_PERMERROR] = { "spf-helo-permerror", "on_spf_helo_permerror", ACCEPT,
	    ACCEPT, ACCEPT, ACCEPT, "550", "5.7.24", "451", "4.7.24",
	    "SPF: the record for the HELO name %{address} is invalid: %{problem}" },
	[REASON_DKIM_NONE] = { "dkim-none", "on_dkim_none", ACCEPT, ACCEPT, ACCEPT, ACCEPT, "550",
	    "5.7.20", "451", "4.7.20",
	    "DKIM: the message has no signature; this server requires one" },
	[REASON_DKIM_TEMPERROR] = { "dkim-temperror", "on_dkim_temperror", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.20", "451", "4.7.20",
	    "DKIM: the signature of %{address} cannot be verified now" },
	[REASON_DKIM_FAIL] = { "dkim-fail", "on_dkim_fail", ACCEPT, ACCEPT, ACCEPT, ACCEPT, "550",
	    "5.7.20", "451", "4.7.20",
	    "DKIM: the signature of %{address} was not accepted: %{problem}" },
	[REASON_DKIM_PERMERROR] = { "dkim-permerror", "on_dkim_permerror", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.20", "451", "4.7.20",
	    "DKIM: the signature of %{address} is invalid: %{problem}" },
	[REASON_DKIM_UNALIGNED] = { "dkim-unaligned", "on_dkim_unaligned", ACCEPT, ACCEPT, ACCEPT,
	    ACCEPT, "550", "5.7.22", "451", "4.7.22",
	    "DKIM: there is no valid signature from the domain of the From address "
	    "<%{address}>" },
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
	    "550", "5.7.7", "451", "4.7.7",
	    "mail from %{domain} cannot be signed: no usable DKIM key; please tell your "
	    "postmaster" },
	[REASON_SIGNING_FAILURE] = { "signing-failure", "on_signing_failure", TEMPFAIL, TEMPFAIL,
	    WARN, ACCEPT, "550", "5.3.0", "451", "4.3.0",
	    "the message could not be signed" },
	[REASON_BLOCKED] = { "blocked", "on_blocked", REJECT, REJECT, REJECT, ACCEPT, "550",
	    "5.7.1", "450", "4.7.1",
	    "sending is blocked for the account %{account}" },
	[REASON_OVER] = { "over", "on_over", TEMPFAIL, TEMPFAIL, REJECT, ACCEPT, "550", "5.7.28",
	    "450", "4.7.28",
	    "this message would exceed the sending limit of %{party} (%{limit}, %{used} "
	    "used)%{retry}" },
	[REASON_NEVER_FITS] = { "never-fits", NULL, REJECT, REJECT, REJECT, ACCEPT, "550", "5.7.28",
	    "450", "4.7.28",
	    "this message alone exceeds the sending limit of %{party} (%{limit})" },
	[REASON_STORE_AWAY] = { "store-away", NULL, TEMPFAIL, TEMPFAIL, ACCEPT, ACCEPT, "550",
	    "5.3.0", "451", "4.3.0",
	    "sending limits cannot be checked now" },
};

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

/* reply_default_action - what a reason does if nothing is configured */
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
