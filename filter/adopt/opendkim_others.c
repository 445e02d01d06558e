/*
 * opendkim_others.c - what opendkim.conf says besides keys: forms, verifying, hosts, DNS
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/adopt/opendkim.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"
#include "policy/base/text.h"

/* note_setting - a remark on a setting, which is then taken */
static void
note_setting(struct opendkim *opendkim, const char *name, const char *text)
{
	const struct opendkim_setting *setting = opendkim_take(opendkim, name);

	if (setting != NULL)
		adopt_note(opendkim->adopt, "%s: %s %s: %s", setting->where, setting->name,
		    setting->value, text);
}

/* from_setting - where a setting comes from */
static const char *
from_setting(struct opendkim *opendkim, const struct opendkim_setting *setting)
{
	return mem_printf(opendkim->adopt, "%s: %s", setting->where, setting->name);
}

/* --- how mail is signed ---------------------------------------------------- */

/* is_form - a form of the header or the body */
static bool
is_form(const char *word)
{
	return strcasecmp(word, "simple") == 0 || strcasecmp(word, "relaxed") == 0;
}

/* canonicalization - opendkim's own default is the simple form */
static void
canonicalization(struct opendkim *opendkim)
{
	const struct opendkim_setting *setting = opendkim_take(opendkim, "Canonicalization");
	const char *value = setting != NULL ? setting->value : "simple/simple";
	const char *slash = strchr(value, '/');
	struct adopt *adopt = opendkim->adopt;
	const char *header =
	    text_lower_copy(adopt, value, slash != NULL ? (size_t)(slash - value) : strlen(value));

	if (!adopt->signs_here) {
		if (setting != NULL)
			adopt_note(adopt,
			    "%s: Canonicalization is for signing, and there are no keys",
			    setting->where);
		return;
	}
	if (!is_form(header) || (slash != NULL && !is_form(slash + 1))) {
		adopt_missing(adopt, "%s: Canonicalization %s is not known", setting->where, value);
		return;
	}
	value = mem_printf(adopt, "%s/%s", header,
	    slash != NULL ? text_lower_copy(adopt, slash + 1, strlen(slash + 1)) : "simple");
	adopt_set(adopt, PLACE_DKIM,
	    setting != NULL ? from_setting(opendkim, setting) : "opendkim's default",
	    "canonicalization = %s", adopt_quoted(adopt, value));
	if (strcmp(header, "relaxed") != 0)
		adopt_note(adopt,
		    "the header is signed in its simple form, which breaks if a relay folds it "
		    "again; better: canonicalization = \"relaxed/relaxed\"");
}

/* never_signed - fields that change or vanish on the way; countersign refuses to sign them */
static bool
never_signed(const char *name)
{
	static const char *const names[] = { "arc-authentication-results", "arc-message-signature",
		"arc-seal", "authentication-results", "bcc", "dkim-signature", "delivered-to",
		"received", "received-spf", "resent-bcc", "return-path", "status", "x-status" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

/* is_sealed - does countersign's own list have the field? */
static bool
is_sealed(const char *name)
{
	static const char *const names[] = { "from", "reply-to", "subject", "to", "cc", "sender",
		"date", "message-id", "in-reply-to", "references", "mime-version" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return strncasecmp(name, "content-", 8) == 0;
}

/* has_field - is a field in a list, in any case? */
static bool
has_field(const struct adopt_texts *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcasecmp(list->items[i], name) == 0)
			return true;
	return false;
}

/* own_header_list - SignHeaders */
static void
own_header_list(struct opendkim *opendkim, const struct opendkim_setting *setting,
    const struct adopt_texts *over)
{
	struct adopt *adopt = opendkim->adopt;
	struct adopt_texts names, words = { NULL, 0 };

	if (strchr(setting->value, '*') != NULL ||
	    !opendkim_elements(opendkim, setting->value, &names)) {
		adopt_missing(adopt,
		    "%s: SignHeaders %s is a change to opendkim's own list; see sign_headers in "
		    "countersign-dkim(5)",
		    setting->where, setting->value);
		return;
	}
	for (size_t i = 0; i < names.n; i++) {
		const char *name = names.items[i];

		if (!never_signed(name))
			adopt_text(adopt, &words, "%s%s",
			    has_field(over, name) || strcasecmp(name, "from") == 0 ? "(o)" : "",
			    name);
	}
	if (adopt->signs_here)
		adopt_set(adopt, PLACE_DKIM, from_setting(opendkim, setting), "sign_headers = %s",
		    adopt_list(adopt, &words));
	else
		adopt_note(
		    adopt, "%s: SignHeaders is for signing, and there are no keys", setting->where);
}

/* header_list - SignHeaders, OversignHeaders and OmitHeaders */
static void
header_list(struct opendkim *opendkim)
{
	const struct opendkim_setting *over = opendkim_take(opendkim, "OversignHeaders");
	const struct opendkim_setting *sign;
	struct adopt_texts names = { NULL, 0 };

	if (over != NULL && !opendkim_elements(opendkim, over->value, &names))
		adopt_missing(opendkim->adopt,
		    "%s: OversignHeaders %s cannot be read; see sign_headers in countersign-dkim(5)",
		    over->where, over->value);
	note_setting(opendkim, "OmitHeaders",
	    "no effect here: countersign signs a list of its own, and no trace fields; see "
	    "sign_headers in countersign-dkim(5)");
	sign = opendkim_take(opendkim, "SignHeaders");
	if (sign != NULL) {
		own_header_list(opendkim, sign, &names);
		return;
	}
	for (size_t i = 0; i < names.n; i++)
		if (!is_sealed(names.items[i]))
			adopt_note(opendkim->adopt,
			    "%s: OversignHeaders names %s, which countersign's own list does not: see "
			    "sign_headers in countersign-dkim(5)",
			    over->where, names.items[i]);
	if (over != NULL && names.n > 0)
		adopt_note(opendkim->adopt,
		    "%s: OversignHeaders: countersign seals From, Reply-To, Subject, To and Cc by "
		    "itself",
		    over->where);
}

/* others_is_number - digits only */
static bool
others_is_number(const char *text)
{
	return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0' && strlen(text) < 10;
}

/* set_number - a number, to the dkim group; unit: after it, or "" */
static void
set_number(struct opendkim *opendkim, const char *name, const char *option, const char *unit,
    long min, long max)
{
	const struct opendkim_setting *setting = opendkim_take(opendkim, name);
	struct adopt *adopt = opendkim->adopt;
	long number;

	if (setting == NULL)
		return;
	number = others_is_number(setting->value) ? strtol(setting->value, NULL, 10) : -1;
	if (number < 0)
		adopt_missing(adopt, "%s: %s %s is not a number", setting->where, setting->name,
		    setting->value);
	else if (number < min || number > max)
		adopt_note(adopt,
		    "%s: %s %s is out of the range of %s (%ld to %ld), so the default stays",
		    setting->where, setting->name, setting->value, option, min, max);
	else if (unit[0] != '\0')
		adopt_set(adopt, PLACE_DKIM, from_setting(opendkim, setting), "%s = \"%ld %s\"",
		    option, number, unit);
	else
		adopt_set(
		    adopt, PLACE_DKIM, from_setting(opendkim, setting), "%s = %ld", option, number);
}

/* numbers - SignatureTTL and bounds of verifying */
static void
numbers(struct opendkim *opendkim)
{
	const struct opendkim_setting *ttl = opendkim_find(opendkim, "SignatureTTL");

	if (ttl != NULL && strcmp(ttl->value, "0") == 0)
		note_setting(opendkim, "SignatureTTL", "signatures do not expire, as by default");
	else if (ttl != NULL && !opendkim->adopt->signs_here)
		note_setting(opendkim, "SignatureTTL", "it is for signing, and there are no keys");
	else
		set_number(opendkim, "SignatureTTL", "expire_after", "s", 3600, 315360000);
	set_number(opendkim, "MinimumKeyBits", "min_key_bits", "", 512, 4096);
	set_number(opendkim, "MaximumSignaturesToVerify", "max_signatures", "", 1, 50);
	set_number(opendkim, "ClockDrift", "clock_drift", "s", 1, 86400);
}

/* --- how mail is judged ---------------------------------------------------- */

/* The On- options, and what they are here. */
static const struct {
	const char *name, *option;
} outcomes[] = {
	{ "On-BadSignature", "on_dkim_fail" },
	{ "On-SignatureError", "on_dkim_permerror" },
	{ "On-DNSError", "on_dkim_temperror" },
	{ "On-NoSignature", "on_dkim_none" },
	{ "On-KeyNotFound", "on_dkim_permerror" },
};

/* others_action_of - the action of an On- option; NULL: it is accept, or not known */
static const char *
others_action_of(struct adopt *adopt, const struct opendkim_setting *setting, const char *name)
{
	static const char *const actions[] = { "reject", "tempfail", "quarantine" };

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcasecmp(setting->value, actions[i]) == 0)
			return actions[i];
	if (strcasecmp(setting->value, "discard") == 0) {
		adopt_note(adopt, "%s: mail is never discarded here: %s became reject",
		    setting->where, name);
		return "reject";
	}
	if (strcasecmp(setting->value, "accept") != 0)
		adopt_missing(
		    adopt, "%s: %s %s is not known", setting->where, name, setting->value);
	return NULL;
}

/* others_judge - the On- options */
static void
others_judge(struct opendkim *opendkim)
{
	const struct opendkim_setting *general = opendkim_take(opendkim, "On-Default");
	struct adopt *adopt = opendkim->adopt;
	struct adopt_texts set = { NULL, 0 };

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		const struct opendkim_setting *setting = opendkim_take(opendkim, outcomes[i].name);
		const char *action;

		if (setting == NULL)
			setting = general;
		if (setting == NULL)
			continue;
		action = others_action_of(adopt, setting, outcomes[i].name);
		if (action == NULL && setting != general)
			adopt_note(adopt, "%s: %s: accept is the default here", setting->where,
			    setting->name);
		if (action == NULL || adopt_has(&set, outcomes[i].option))
			continue;
		adopt_text(adopt, &set, "%s", outcomes[i].option);
		adopt_set(adopt, PLACE_RESULTS, from_setting(opendkim, setting), "%s = \"%s\"",
		    outcomes[i].option, action);
	}
	if (general != NULL)
		adopt_note(adopt, "%s: On-Default was applied to each On- option that is not set",
		    general->where);
}

/* --- DNS, hosts, the socket ------------------------------------------------ */

/* servers - Nameservers and DNSTimeout */
static void
servers(struct opendkim *opendkim)
{
	const struct opendkim_setting *names = opendkim_take(opendkim, "Nameservers");
	const struct opendkim_setting *timeout = opendkim_take(opendkim, "DNSTimeout");
	struct adopt *adopt = opendkim->adopt;
	struct adopt_texts list = { NULL, 0 };
	const char *text = "", *from = "";
	long seconds;

	if (names != NULL && opendkim_elements(opendkim, names->value, &list) && list.n > 0) {
		struct adopt_texts good = { NULL, 0 };
		struct ip_address ip;

		for (size_t i = 0; i < list.n; i++)
			if (ip_address_parse(list.items[i], &ip))
				adopt_text(adopt, &good, "%s", list.items[i]);
			else
				adopt_missing(adopt, "%s: Nameservers: %s is not an address",
				    names->where, list.items[i]);
		text =
		    good.n > 0 ? mem_printf(adopt, "servers = %s", adopt_list(adopt, &good)) : "";
		from = from_setting(opendkim, names);
	} else if (names != NULL)
		adopt_missing(
		    adopt, "%s: Nameservers %s cannot be read", names->where, names->value);
	seconds = timeout != NULL && others_is_number(timeout->value)
	    ? strtol(timeout->value, NULL, 10)
	    : 0;
	if (timeout != NULL && (seconds < 1 || seconds > 20))
		adopt_note(adopt,
		    "%s: DNSTimeout %s: the default of countersign, 10 s, applies; see dns in "
		    "countersign.conf(5)",
		    timeout->where, timeout->value);
	else if (timeout != NULL) {
		text = mem_printf(
		    adopt, "%s%stimeout = \"%ld s\"", text, text[0] != '\0' ? "  " : "", seconds);
		from = from[0] != '\0'
		    ? mem_printf(adopt, "%s; %s", from, from_setting(opendkim, timeout))
		    : from_setting(opendkim, timeout);
	}
	if (text[0] != '\0')
		adopt_set(adopt, PLACE_RESULTS, from, "dns = { %s }", text);
}

/* listened - where the MTA found opendkim */
static void
listened(struct opendkim *opendkim)
{
	const struct opendkim_setting *setting = opendkim_take(opendkim, "Socket");

	if (setting == NULL)
		return;
	adopt_text(opendkim->adopt, &opendkim->adopt->opendkim_sockets, "%s", setting->value);
	adopt_note(opendkim->adopt, "%s: Socket %s: opendkim listens there; %s", setting->where,
	    setting->value,
	    opendkim->adopt->opendkim_stays != NULL
		? "it stays in the MTA's milter lines"
		: "the MTA's milter line changes to that of countersign (listen)");
}

/* hosts - who was signed for without a login */
static void
hosts(struct opendkim *opendkim)
{
	const struct opendkim_setting *setting = opendkim_take(opendkim, "InternalHosts");
	struct adopt *adopt = opendkim->adopt;
	struct adopt_texts list;
	bool others = false, here = false;

	if (setting == NULL)
		return;
	if (!opendkim_elements(opendkim, setting->value, &list)) {
		adopt_missing(adopt,
		    "%s: InternalHosts %s cannot be read. Mail of these hosts was signed without a "
		    "login; name them in a listener of role relay (client = [...]), or their mail "
		    "goes out unsigned",
		    setting->where, setting->value);
		return;
	}
	for (size_t i = 0; i < list.n; i++) {
		const char *word = list.items[i];

		/* OpenDKIM looks for an exception first, wherever it stands */
		if (word[0] == '!') {
			adopt_except(adopt, word + 1, from_setting(opendkim, setting));
			continue;
		}
		if (strncmp(word, "127.", 4) == 0 || strncasecmp(word, "localhost", 9) == 0 ||
		    strcmp(word, "::1") == 0 || strncmp(word, "::1/", 4) == 0 ||
		    strncmp(word, "[::1]", 5) == 0) {
			here = true;
			continue;
		}
		others = true;
		adopt_networks(adopt, word, from_setting(opendkim, setting));
	}
	if (here || !others)
		adopt_note(adopt,
		    "%s: InternalHosts names this host%s: mail of sendmail(1) has role local, and "
		    "that is signed",
		    setting->where, others ? ", too" : " only");
}

/* names_and_keys - authserv_id, and what is decided in another way here */
static void
names_and_keys(struct opendkim *opendkim)
{
	const struct opendkim_setting *name = opendkim_take(opendkim, "AuthservID");
	const struct opendkim_setting *setting;
	struct adopt *adopt = opendkim->adopt;

	if (name != NULL && (!domain_is_labels(name->value) || strchr(name->value, '.') == NULL) &&
	    strcasecmp(name->value, "hostname") != 0)
		adopt_missing(
		    adopt, "%s: AuthservID %s is not a host name", name->where, name->value);
	else if (name != NULL && strcasecmp(name->value, "hostname") != 0)
		adopt_set(adopt, PLACE_RESULTS, from_setting(opendkim, name), "authserv_id = %s",
		    adopt_quoted(adopt, name->value));
	else if (name != NULL)
		adopt_note(adopt, "%s: AuthservID HOSTNAME: as by default", name->where);
	note_setting(opendkim, "RemoveARAll",
	    "only fields with our own authserv_id are removed; those of other hosts are kept");
	note_setting(opendkim, "RemoveARFrom", "only fields with our own authserv_id are removed");
	setting = opendkim_take(opendkim, "RequireSafeKeys");
	if (setting != NULL)
		adopt_note(adopt,
		    "%s: RequireSafeKeys %s: countersign always insists on the owner and mode of its "
		    "keys",
		    setting->where, setting->value);
	setting = opendkim_take(opendkim, "SignatureAlgorithm");
	if (setting != NULL && strcasecmp(setting->value, "rsa-sha1") == 0)
		adopt_note(adopt,
		    "%s: SignatureAlgorithm rsa-sha1 must not be used any more (RFC 8301): signatures "
		    "are rsa-sha256",
		    setting->where);
	else if (setting != NULL)
		adopt_note(adopt, "%s: SignatureAlgorithm %s: the type of each key decides",
		    setting->where, setting->value);
}

/* --- the rest -------------------------------------------------------------- */

/* leftovers - what nothing took */
static void
leftovers(struct opendkim *opendkim)
{
	struct adopt *adopt = opendkim->adopt;
	char *idle = NULL;

	for (size_t i = 0; i < opendkim->n; i++) {
		const struct opendkim_setting *setting = &opendkim->settings[i];
		const struct opendkim_option *row = opendkim_option(setting->name);

		if (setting->used)
			continue;
		/* off, as by default */
		if (row != NULL && row->fate <= OPENDKIM_LOST && opendkim_false(setting)) {
			idle = idle == NULL ? mem_strdup(adopt, setting->name)
					    : mem_printf(adopt, "%s %s", idle, setting->name);
			continue;
		}
		switch (row != NULL ? row->fate : OPENDKIM_LOST) {
		case OPENDKIM_NOTHING:
		case OPENDKIM_TAKEN:
			idle = idle == NULL ? mem_strdup(adopt, setting->name)
					    : mem_printf(adopt, "%s %s", idle, setting->name);
			break;
		case OPENDKIM_ELSEWHERE:
			adopt_note(adopt,
			    "%s: %s: listeners and their roles decide that here; see LISTENERS in "
			    "countersign.conf(5)",
			    setting->where, setting->name);
			break;
		case OPENDKIM_BESIDE:
			adopt_note(adopt,
			    "%s: %s has no counterpart; mail is signed and judged the same without it",
			    setting->where, setting->name);
			break;
		case OPENDKIM_KEPT:
		case OPENDKIM_LOST:
			adopt_missing(
			    adopt, "%s: %s has no counterpart", setting->where, setting->name);
			break;
		}
	}
	if (idle != NULL)
		adopt_note(adopt, "%s: nothing to do for: %s", opendkim->path, idle);
}

void
opendkim_others(struct opendkim *opendkim)
{
	canonicalization(opendkim);
	header_list(opendkim);
	numbers(opendkim);
	others_judge(opendkim);
	names_and_keys(opendkim);
	servers(opendkim);
	listened(opendkim);
	hosts(opendkim);
	leftovers(opendkim);
}
