/*
 * advice.c - what an operator may do about a reason, in one table
 *
 * Pure, no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/verdict/advice.h"

#define OWNED_TEXT	"if %{account} may use %{address}, add it to owners, or to owns in accounts; " \
			"if the user does not know the address, the password may be stolen"
#define BLOCK		"countersignctl block %{account} --reason 'foreign senders'"
#define MAIL_PROGRAM	"the mail program must be corrected"
#define SENDER_SPF	"the owner of the domain must correct its SPF record; until then, overrides in " \
			"spf = { } holds another one"
#define SPF_CHECK	"countersignctl spf check --ip %{client} --from %{sender}"
#define HELO_CHECK	"countersignctl spf check --ip %{client} --from '<>' --helo %{helo}"
#define DNS_TEXT	"a domain's DNS did not answer; if that lasts, see dns = { }"

static const struct advice_row advice_rows[REASON_COUNT] = {
	[REASON_NO_LISTENER] = { "no entry of listeners matches the connection; add one for its "
	    "daemon, port or client", "countersignctl doctor" },
	[REASON_INBOUND_LOGIN] = { "users log in on listener %{listener}, which is for strangers; add a "
	    "listener of role submission for their port", "countersignctl doctor" },
	[REASON_SHUTTING_DOWN] = { "the daemon was stopping; the client tries again",
	    "countersignctl status" },
	[REASON_NO_LOGIN] = { "the client must log in; if it may send without, add a listener of role "
	    "relay for it", NULL },
	[REASON_NO_ACCOUNT] = { "if %{client} may send, add it to client_accounts of listener %{listener}",
	    NULL },
	[REASON_NO_TLS] = { "turn on TLS in the mail program; require_tls = false accepts mail without it",
	    NULL },
	[REASON_BAD_LOGIN] = { "the login is not the name of an account, or the MTA does not send the "
	    "macro auth_authen", "countersignctl doctor" },
	[REASON_MALFORMED_ENVELOPE] = { MAIL_PROGRAM ", or on_malformed_envelope set", NULL },
	[REASON_FOREIGN_NETWORK] = { "if %{client} is the user, add it to allowed_networks; if not, the "
	    "password may be stolen",
	    "countersignctl block %{account} --reason 'foreign network'" },
	[REASON_FOREIGN_ENVELOPE] = { OWNED_TEXT, BLOCK },
	[REASON_NULL_SENDER] = { "reports and automatic replies have a null sender; on_null_sender of "
	    "listener %{listener} decides about them", NULL },
	[REASON_RESTRICTED_RECIPIENT] = { "restricted_recipients names who may send to %{address}",
	    NULL },
	[REASON_TOO_MANY_RECIPIENTS] = { "max_recipients of the plan is the bound",
	    "countersignctl plan of %{account}" },
	[REASON_TOO_LARGE] = { "max_size of the plan is the bound",
	    "countersignctl plan of %{account}" },
	[REASON_OVERSIZED_HEADER] = { "the message may be in a loop: look at its Received fields", NULL },
	[REASON_NO_FROM] = { MAIL_PROGRAM ", or on_no_from set", NULL },
	[REASON_SEVERAL_FROM] = { MAIL_PROGRAM "; readers cannot know which From field is true",
	    NULL },
	[REASON_MALFORMED_FROM] = { MAIL_PROGRAM ", or on_malformed_from set", NULL },
	[REASON_FOREIGN_FROM] = { OWNED_TEXT, BLOCK },
	[REASON_FOREIGN_DOMAIN] = { OWNED_TEXT, BLOCK },
	[REASON_FOREIGN_SENDER] = { OWNED_TEXT, BLOCK },
	[REASON_FOREIGN_RESENT] = { OWNED_TEXT, BLOCK },
	[REASON_DISGUISED_FROM] = { "a display name hides who sends; if the user did not write it, the "
	    "password may be stolen", BLOCK },
	[REASON_FOREIGN_DISPLAY] = { OWNED_TEXT, BLOCK },
	[REASON_LOOKUP_FAILURE] = { "a table could not be read; the log has its name and the cause",
	    "countersignctl doctor" },
	[REASON_SPF_FAIL] = { SENDER_SPF, SPF_CHECK },
	[REASON_SPF_SOFTFAIL] = { SENDER_SPF, SPF_CHECK },
	[REASON_SPF_NEUTRAL] = { SENDER_SPF, SPF_CHECK },
	[REASON_SPF_NONE] = { "the domain has no SPF record; on_spf_none decides what happens",
	    SPF_CHECK },
	[REASON_SPF_TEMPERROR] = { DNS_TEXT, SPF_CHECK },
	[REASON_SPF_PERMERROR] = { SENDER_SPF, SPF_CHECK },
	[REASON_SPF_HELO_FAIL] = { SENDER_SPF, HELO_CHECK },
	[REASON_SPF_HELO_SOFTFAIL] = { SENDER_SPF, HELO_CHECK },
	[REASON_SPF_HELO_NEUTRAL] = { SENDER_SPF, HELO_CHECK },
	[REASON_SPF_HELO_NONE] = { "the name has no SPF record; on_spf_helo_none decides what "
	    "happens",
	    HELO_CHECK },
	[REASON_SPF_HELO_TEMPERROR] = { DNS_TEXT, HELO_CHECK },
	[REASON_SPF_HELO_PERMERROR] = { SENDER_SPF, HELO_CHECK },
	[REASON_DKIM_NONE] = { "the sender does not sign; on_dkim_none decides what happens",
	    NULL },
	[REASON_DKIM_TEMPERROR] = { DNS_TEXT, "countersignctl status" },
	[REASON_DKIM_FAIL] = { "the message was changed on its way, or the sender's key is wrong; "
	    "on_dkim_fail decides what happens", NULL },
	[REASON_DKIM_PERMERROR] = { "the sender must correct its signature or key record; "
	    "on_dkim_permerror decides what happens", NULL },
	[REASON_DKIM_UNALIGNED] = { "no valid signature is of the From domain; on_dkim_unaligned "
	    "decides "
	    "what happens", NULL },
	[REASON_DMARC_FAIL] = { "if it is forged, all is well; if a list or a forwarder sent it, except "
	    "that one in dmarc = { }", NULL },
	[REASON_DMARC_QUARANTINE] = { "the message is held in the queue: look at it, then release or "
	    "delete it", NULL },
	[REASON_DMARC_TEMPERROR] = { DNS_TEXT, "countersignctl status" },
	[REASON_OWN_DOMAIN] = { "if it is forged, all is well; if it is yours, send it with a login, or "
	    "sign it", NULL },
	[REASON_MISSING_KEY] = { "make a key for the domain, or correct the one it has",
	    "countersignctl dkim check %{domain}" },
	[REASON_SIGNING_FAILURE] = { "see the log for the reason why the key cannot be used",
	    "countersignctl dkim check %{domain}" },
	[REASON_BLOCKED] = { "quota show lists by whom and why it is blocked; when the cause is "
	    "gone",
	    "countersignctl unblock %{account}" },
	[REASON_OVER] = { "if this is honest mail, raise the limit for a while, or give another plan",
	    "countersignctl quota set %{owner} %{limit} --for %{span}" },
	[REASON_NEVER_FITS] = { "the message alone is larger than the limit; if it is honest, raise it "
	    "for a while", "countersignctl quota set %{owner} %{limit} --for %{span}" },
	[REASON_STORE_AWAY] = { "the store of the counters is unavailable", "countersignctl "
	    "status" },
};

/* What is true of a limit of 0 instead: nothing fits it, and it is no matter of a while. */
static const struct advice_row zero_row = {
	"%{owner} has a limit of 0, which lets nothing pass; if it may send, give it another plan",
	"countersignctl plan of %{owner}"
};

/* advice_row - the row of a reason */
const struct advice_row *
advice_row(enum reason reason)
{
	return reason == REASON_NONE || reason >= REASON_COUNT ? NULL : &advice_rows[reason];
}

/* advice_item - the value of an item, or NULL */
static const char *
advice_item(const struct advice_facts *facts, const char *name, size_t len)
{
	const struct { const char *name, *text; } items[] = {
		{ "account", facts->account }, { "address", facts->address },
		{ "sender", facts->sender }, { "domain", facts->domain },
		{ "client", facts->client }, { "helo", facts->helo },
		{ "listener", facts->listener }, { "owner", facts->owner },
		{ "limit", facts->limit }, { "span", facts->span },
	};

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if (strlen(items[i].name) == len && memcmp(items[i].name, name, len) == 0)
			return items[i].text;
	return NULL;
}

/* advice_fill - a template with its items; NULL: one of a command's has no value */
static const char *
advice_fill(TALLOC_CTX *ctx, const char *template, const struct advice_facts *facts, bool command)
{
	char *filled = mem_strdup(ctx, "");

	while (*template != '\0') {
		size_t plain = strcspn(template, "%");
		const char *end = strchr(template + plain, '}'), *value;

		filled = mem_check(talloc_strndup_append(filled, template, plain));
		template += plain;
		if (*template == '\0' || end == NULL)
			break;
		value = advice_item(facts, template + 2, (size_t)(end - template - 2));
		if (command && value != NULL)
			value = text_shell_word(ctx, value);
		if (command && value == NULL)
			return NULL;
		filled = mem_check(talloc_strdup_append(filled, value != NULL ? value : "it"));
		template = end + 1;
	}
	return filled;
}

/* advice_make - what to do about a reason */
void
advice_make(TALLOC_CTX *ctx, enum reason reason, const struct advice_facts *facts,
    struct advice *advice_r)
{
	const struct advice_row *row = advice_row(reason);

	memset(advice_r, 0, sizeof(*advice_r));
	if (row == NULL)
		return;
	if (facts->zero && (reason == REASON_NEVER_FITS || reason == REASON_OVER))
		row = &zero_row;
	advice_r->text = advice_fill(ctx, row->text, facts, false);
	if (row->command != NULL)
		advice_r->command = advice_fill(ctx, row->command, facts, true);
}
