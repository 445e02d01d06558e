/*
 * reply.c - what the client is told
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
#include "policy/verdict/reply_texts.h"

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

/* What a reply is made of. */
struct reply_source {
	TALLOC_CTX *ctx;	/* for what is made on the way */
	const struct facts *facts;
	const char *address;
	const char *problem;
	const struct reply_style *style;
};

/* piece_text - a text with one item of its own, %{...}, in place of which value stands */
static const char *
piece_text(const struct reply_source *source, size_t index, const char *value)
{
	const char *text = reply_texts_get(source->style->texts, index);
	const char *item = strstr(text, "%{"), *end = item != NULL ? strchr(item, '}') : NULL;

	if (end == NULL)
		return text;
	return mem_printf(source->ctx, "%.*s%s%s", (int)(item - text), text, value, end + 1);
}

/* reply_account - who is charged */
static const char *
reply_account(const struct facts *facts)
{
	return reply_or_dash(facts->quota.account != NULL ? facts->quota.account : facts->account);
}

/* reply_login - who logged in */
static const char *
reply_login(const struct facts *facts)
{
	return reply_or_dash(facts->login != NULL ? facts->login : facts->account);
}

/* who_text - who may not use an address: users know logins, other hosts accounts */
static const char *
who_text(const struct reply_source *source)
{
	const struct facts *facts = source->facts;

	if (facts->role == ROLE_SUBMISSION && facts->login != NULL)
		return piece_text(source, REPLY_WHO_LOGIN, facts->login);
	return piece_text(source, REPLY_WHO_ACCOUNT,
	    reply_or_dash(facts->account != NULL ? facts->account : facts->login));
}

/* party_text - whose limit it is; the name of a limit that accounts share is not for users */
static const char *
party_text(const struct reply_source *source)
{
	const char *subject = source->facts->quota.subject;

	if (subject == NULL)
		return reply_account(source->facts);
	if (strncmp(subject, "domain ", 7) == 0)
		return piece_text(source, REPLY_YOUR_DOMAIN, "");
	return piece_text(
	    source, strncmp(subject, "pool ", 5) == 0 ? REPLY_YOUR_POOL : REPLY_YOUR_NETWORK, "");
}

/* limit_in_words - a limit in the words of the language */
static const char *
limit_in_words(const struct reply_source *source)
{
	const struct reply_texts *texts = source->style->texts;
	const char *limit = source->facts->quota.limit;
	char *said;

	if (limit == NULL || texts == NULL || texts->limit_words == NULL)
		return reply_or_dash(limit);
	said = mem_strdup(source->ctx, "");
	while (*limit != '\0') {
		size_t len = strcspn(limit, " "), blanks = strspn(limit + len, " ");
		const char *const (*word)[2] = texts->limit_words;

		while ((*word)[0] != NULL && (strlen((*word)[0]) != len ||
		    strncmp((*word)[0], limit, len) != 0))
			word++;
		said = (*word)[0] != NULL ? mem_check(talloc_strdup_append(said, (*word)[1]))
					  : mem_check(talloc_strndup_append(said, limit, len));
		said = mem_check(talloc_strndup_append(said, limit + len, blanks));
		limit += len + blanks;
	}
	return said;
}

/* retry_text - when to try again; "" if no waiting is asked for or nobody knows for how long */
static const char *
retry_text(const struct reply_source *source)
{
	uint32_t seconds = source->facts->quota.retry_after;
	enum reply_piece piece = REPLY_HOURS;
	uint32_t n = (seconds + 3599) / 3600;

	if (source->style->action != ACTION_TEMPFAIL || seconds == 0)
		return "";
	if (seconds < 120) {
		piece = seconds == 1 ? REPLY_SECOND : REPLY_SECONDS;
		n = seconds;
	} else if (seconds < 7200) {
		piece = REPLY_MINUTES;
		n = (seconds + 59) / 60;
	}
	return piece_text(source, REPLY_RETRY,
	    piece_text(source, piece, mem_printf(source->ctx, "%" PRIu32, n)));
}

/* display_text - the field of the display name that was found */
static const char *
display_text(const struct reply_source *source)
{
	const char *end = source->problem != NULL ? strstr(source->problem, " display name") : NULL;

	return end == NULL ? "From" :
	    mem_strndup(source->ctx, source->problem, (size_t)(end - source->problem));
}

/* dmarc_text - what a domain asks for, if it asks for anything */
static const char *
dmarc_text(const struct reply_source *source)
{
	enum dmarc_policy policy = source->facts->dmarc.policy;

	return policy == DMARC_POLICY_NONE ? "" :
	    piece_text(source, REPLY_DMARC_POLICY, dmarc_policy_word(policy));
}

/* explanation_text - the words of a domain, marked as such (RFC 7208 section 6.2) */
static const char *
explanation_text(const struct reply_source *source, const struct spf_fact *spf)
{
	return spf->explanation == NULL ? "" : mem_printf(source->ctx, "%s%s",
	    reply_texts_get(source->style->texts, REPLY_EXPLAINS), spf->explanation);
}

/* item_text - what one %{item} stands for; NULL: no such item */
static const char *
item_text(const struct reply_source *source, const char *item, size_t len)
{
	const struct facts *facts = source->facts;
	const struct {
		const char *name;
		const char *text;
	} items[] = {
		{ "address", reply_address(source->ctx, facts, source->address) },
		{ "problem", reply_or_dash(source->problem) },
		{ "who", who_text(source) },
		{ "login", reply_login(facts) },
		{ "account", reply_account(facts) },
		{ "party", party_text(source) },
		{ "client", reply_or_dash(facts->client_addr) },
		{ "field",
		    facts->header.malformed_field != NULL ? facts->header.malformed_field
							  : "From" },
		{ "display", display_text(source) },
		{ "domain", facts->sign.sdid != NULL ? facts->sign.sdid : "the sender" },
		{ "limit", limit_in_words(source) },
		{ "used", mem_printf(source->ctx, "%" PRIu64, facts->quota.used) },
		{ "max", mem_printf(source->ctx, "%" PRIu64, facts->quota.max) },
		{ "retry", retry_text(source) },
		{ "spf_client",
		    reply_or_dash(
			facts->spf_client != NULL ? facts->spf_client : facts->client_addr) },
		{ "explanation", explanation_text(source, &facts->spf_mailfrom) },
		{ "dmarc_policy", dmarc_text(source) },
		{ "helo_explanation", explanation_text(source, &facts->spf_helo) },
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
	size_t room;		/* octets it may have for now */
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

	if (end > line->room)
		end = line->room;
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

/* append_words - append our own words: without accents if the line is ASCII */
static void
append_words(struct reply_line *line, TALLOC_CTX *ctx, const char *words)
{
	const char *plain = line->utf8 ? NULL : reply_texts_ascii(ctx, words);

	append_clean(line, plain != NULL ? plain : words, REPLY_TEXT_MAX);
}

/* reply_is_ours - is the value of an item made of our words alone, with no name of anybody? */
static bool
reply_is_ours(const struct reply_source *source, const char *item)
{
	return strncmp(item, "retry}", 6) == 0 || strncmp(item, "dmarc_policy}", 13) == 0 ||
	    strncmp(item, "limit}", 6) == 0 ||
	    (strncmp(item, "party}", 6) == 0 && source->facts->quota.subject != NULL);
}

/* append_template - append a text with its items; does it end with when to try again? */
static bool
append_template(struct reply_line *line, const struct reply_source *source, const char *text)
{
	bool retry = false;

	while (*text != '\0') {
		size_t plain = strcspn(text, "%");
		const char *item = text + plain + 2, *value = NULL, *end = NULL;

		if (strncmp(text + plain, "%{", 2) == 0)
			end = strchr(item, '}');
		if (end != NULL)
			value = item_text(source, item, (size_t)(end - item));
		if (value == NULL && text[plain] != '\0')
			plain++;	/* a percent sign alone */
		append_words(line, source->ctx, mem_strndup(source->ctx, text, plain));
		text += plain;
		if (value == NULL)
			continue;
		if (reply_is_ours(source, item))
			append_words(line, source->ctx, value);
		else
			append_clean(line, value, item_max(item, (size_t)(end - item)));
		retry = retry || (strncmp(item, "retry}", 6) == 0 && value[0] != '\0');
		text = end + 1;
	}
	return retry;
}

/* reply_index - which text a reason has here */
static size_t
reply_index(const struct reply_source *source, enum reason reason)
{
	const struct facts *facts = source->facts;

	if (reason == REASON_OVER && facts->quota.level)
		return facts->quota.subject != NULL ? REPLY_OVER_LEVEL_SHARED : REPLY_OVER_LEVEL;
	if (reason == REASON_OVER && source->style->action == ACTION_QUARANTINE)
		return REPLY_OVER_HELD;
	if (reason == REASON_OVER && facts->quota.subject != NULL)
		return REPLY_OVER_SHARED;
	if (reason == REASON_NEVER_FITS && facts->quota.limit != NULL && facts->quota.max == 0)
		return REPLY_NEVER_FITS_ZERO;
	if (reason == REASON_BAD_LOGIN && facts->auth_without_login)
		return REPLY_BAD_LOGIN_UNKNOWN;
	if (reason == REASON_DISGUISED_FROM && facts->header.override &&
	    (source->address == NULL || strchr(source->address, '@') == NULL))
		return REPLY_DISGUISED_OVERRIDE;
	return reason < REASON_COUNT ? reason : REASON_NONE;
}

/* ending_text - what stands behind a text: "try again later", and where to read on */
static const char *
ending_text(const struct reply_source *source, const char *later)
{
	const struct reply_style *style = source->style;
	bool help = style->help_url != NULL && strlen(style->help_url) <= REPLY_HELP_MAX;

	return mem_printf(source->ctx, "%s%s%s", later,
	    help ? reply_texts_get(style->texts, REPLY_HELP) : "", help ? style->help_url : "");
}

/* reply_text - the sentence for the client */
char *
reply_text(TALLOC_CTX *ctx, enum reason reason, const struct facts *facts,
    const char *address, const char *problem, const struct reply_style *style)
{
	static const struct reply_style plain = { .action = ACTION_REJECT };
	TALLOC_CTX *tmp = mem_check(talloc_new(ctx));
	const struct reply_source source = { tmp, facts, address, problem,
		style != NULL ? style : &plain };
	const char *later = source.style->action == ACTION_TEMPFAIL && reason != REASON_NONE
	    ? reply_texts_get(source.style->texts, REPLY_LATER) : "";
	struct reply_line line = {
		.text = mem_array(ctx, char, REPLY_TEXT_MAX + 1),
		.room = REPLY_TEXT_MAX - strlen(ending_text(&source, later)),
		.utf8 = facts->smtputf8,
	};

	if (append_template(&line, &source,
		reply_texts_get(source.style->texts, reply_index(&source, reason))))
		later = "";
	line.room = REPLY_TEXT_MAX;
	append_words(&line, tmp, ending_text(&source, later));
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
