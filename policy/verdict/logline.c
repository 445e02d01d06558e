/*
 * logline.c - facts and verdict as one line, key=value or JSON
 *
 * First the fields, in a fixed order, then either spelling of them. In key=value every key is
 * always there, so that a line can be read by eye, cut by awk and compared with the next;
 * in JSON those without a value are left out. Strangers wrote half of the values: each
 * goes through one function of its spelling that escapes and bounds.
 *
 * Pure, no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistr.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/verdict/logline.h"

#define LINE_ROOM	1024	/* for most lines */
#define MAX_LISTED 10	/* From mailboxes and signatures named in a line */

/* A line being spelled; it has room to grow, because it is made of a hundred small pieces. */
struct spelled {
	char *text;		/* talloc's, always terminated */
	size_t len;
	size_t room;
};

/* spelled_new - an empty line */
static struct spelled
spelled_new(TALLOC_CTX *ctx)
{
	return (struct spelled){ mem_array(ctx, char, LINE_ROOM), 0, LINE_ROOM };
}

/* put_octets - octets at the end of a line */
static void
put_octets(struct spelled *line, const char *octets, size_t len)
{
	if (line->len + len >= line->room) {
		line->room = (line->len + len + 1) * 2;
		line->text = mem_grow(NULL, line->text, char, line->room);
	}
	memcpy(line->text + line->len, octets, len);
	line->len += len;
	line->text[line->len] = '\0';
}

/* logline_put - a text at the end of a line */
static void
logline_put(struct spelled *line, const char *text)
{
	put_octets(line, text, strlen(text));
}

/* is_plain - may this value stand unquoted? */
static bool
is_plain(const char *value)
{
	size_t len = 0;

	for (; *value != '\0'; value++, len++) {
		unsigned char c = (unsigned char)*value;

		if (c <= 0x20 || c > 0x7e || c == '"' || c == '\\')
			return false;
	}
	return len > 0 && len <= LOGLINE_VALUE_MAX;
}

/* append_value - one value, quoted if it must be */
static void
append_value(struct spelled *line, const char *value)
{
	size_t n = 0;
	char escaped[8];

	if (is_plain(value)) {
		logline_put(line, value);
		return;
	}
	logline_put(line, "\"");
	for (; *value != '\0' && n < LOGLINE_VALUE_MAX; value++, n++) {
		unsigned char c = (unsigned char)*value;

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			put_octets(line, escaped,
			    (size_t)snprintf(escaped, sizeof(escaped), "\\x%02x", c));
		else
			put_octets(line, value, 1);
	}
	logline_put(line, *value != '\0' ? "...\"" : "\"");
}

/* append_field - " key=value", or " key=-" */
static void
append_field(struct spelled *line, const char *key, const char *value)
{
	logline_put(line, " ");
	logline_put(line, key);
	logline_put(line, "=");
	append_value(line, value != NULL ? value : "-");
}

/* append_code - one code point inside a JSON string */
static void
append_code(struct spelled *line, ucs4_t code)
{
	char text[24] = { (char)code };

	if (code < 0x20 || code > 0x7e || code == '"' || code == '\\') {
		if (code < 0x10000)
			snprintf(text, sizeof(text), "\\u%04x", (unsigned int)code);
		else
			snprintf(text, sizeof(text), "\\u%04x\\u%04x",
			    0xd800 + (unsigned int)((code - 0x10000) >> 10),
			    0xdc00 + (unsigned int)((code - 0x10000) & 0x3ff));
	}
	logline_put(line, text);
}

/* append_string - a JSON string; octets that are no UTF-8 become U+FFFD */
static void
append_string(struct spelled *line, const char *value)
{
	const uint8_t *at = (const uint8_t *)value;
	size_t len = strlen(value);
	size_t left = len > LOGLINE_VALUE_MAX ? LOGLINE_VALUE_MAX : len;

	logline_put(line, "\"");
	while (left > 0) {
		ucs4_t code;
		int n = u8_mbtoucr(&code, at, left);

		append_code(line, n > 0 ? code : 0xfffd);
		at += n > 0 ? n : 1;
		left -= n > 0 ? (size_t)n : 1;
	}
	logline_put(line, len > LOGLINE_VALUE_MAX ? "...\"" : "\"");
}

/* append_member - ,"key":value; what is a number by its nature is one */
static void
append_member(struct spelled *line, const char *key, const char *value)
{
	if (value == NULL)
		return;
	logline_put(line, ",\"");
	logline_put(line, key);
	logline_put(line, "\":");
	if (strcmp(key, "recipients") == 0 || strcmp(key, "size") == 0)
		logline_put(line, value);
	else
		append_string(line, value);
}

/* A line being made. */
struct builder {
	struct logline *made;
};

/* logline_append - one more field; an empty value, or a dash, is none */
static void
logline_append(struct builder *line, const char *key, const char *value)
{
	struct logline *made = line->made;

	if (made->n == LOGLINE_FIELDS_MAX)
		return;
	made->fields[made->n].key = key;
	made->fields[made->n++].value = value != NULL && value[0] != '\0' && strcmp(value, "-") != 0
	    ? mem_strdup(made, value)
	    : NULL;
}

/* append_some - the same, and no field at all if there is nothing to say */
static void
append_some(struct builder *line, const char *key, const char *value)
{
	if (value != NULL)
		logline_append(line, key, value);
}

/* logline_client_text - ADDRESS[NAME]:PORT as far as known */
static const char *
logline_client_text(TALLOC_CTX *ctx, const struct facts *facts)
{
	if (facts->client_addr == NULL)
		return NULL;
	return mem_printf(ctx, "%s[%s]",
	    facts->client_name != NULL ? facts->client_name : "unknown", facts->client_addr);
}

/* claims_text - the addresses claimed at one place, comma-separated */
static const char *
claims_text(TALLOC_CTX *ctx, const struct facts *facts, enum claim_place place)
{
	char *text = NULL;
	size_t n = 0;

	for (size_t i = 0; i < facts->n_claims && n < MAX_LISTED; i++) {
		if (facts->claims[i].place != place)
			continue;
		text = text == NULL ? mem_strdup(ctx, facts->claims[i].address) :
		    mem_check(talloc_asprintf_append_buffer(text, ",%s", facts->claims[i].address));
		n++;
	}
	return text;
}

/* sender_word - the outcome of the sender matching in one word */
static const char *
sender_word(const struct facts *facts)
{
	bool asked = false;
	bool failed = false;

	for (size_t i = 0; i < facts->n_claims; i++) {
		if (facts->claims[i].place >= CLAIM_DISPLAY)
			continue;
		if (facts->claims[i].owned == OWNED_NO || facts->claims[i].owned == OWNED_NO_DOMAIN)
			return "foreign";
		failed = failed || facts->claims[i].owned == OWNED_TEMPERROR;
		asked = asked || facts->claims[i].owned != OWNED_NOT_ASKED;
	}
	if (failed)
		return "temperror";
	if (facts->header.malformed != NULL)
		return "malformed";
	return asked ? "owned" : NULL;
}

/* spf_text - both identities: mailfrom/helo; with the client if a trusted relay named it */
static const char *
spf_text(TALLOC_CTX *ctx, const struct facts *facts)
{
	bool relayed = facts->spf_client != NULL && facts->client_addr != NULL &&
	    strcmp(facts->spf_client, facts->client_addr) != 0;

	if (facts->spf_mailfrom.result == SPF_NOT_CHECKED &&
	    facts->spf_helo.result == SPF_NOT_CHECKED)
		return NULL;
	return mem_printf(ctx, "%s/%s%s%s%s", spf_result_word(facts->spf_mailfrom.result),
	    spf_result_word(facts->spf_helo.result), relayed ? "(" : "",
	    relayed ? facts->spf_client : "", relayed ? ")" : "");
}

/* stale_text - which checks went by what DNS had before it failed; NULL: none */
static const char *
stale_text(TALLOC_CTX *ctx, const struct facts *facts)
{
	bool mailfrom = facts->spf_mailfrom.stale, helo = facts->spf_helo.stale, dkim = false;

	for (size_t i = 0; i < facts->n_dkim; i++)
		dkim |= facts->dkim[i].stale;
	if (!mailfrom && !helo && !dkim)
		return NULL;
	return mem_printf(ctx, "%s%s%s%s%s", mailfrom ? "mailfrom" : "",
	    mailfrom && helo ? "," : "", helo ? "helo" : "",
	    (mailfrom || helo) && dkim ? "," : "", dkim ? "dkim" : "");
}

/* dkim_text - result:d=, comma-separated */
static const char *
dkim_text(TALLOC_CTX *ctx, const struct facts *facts)
{
	char *text = NULL;

	if (!facts->dkim_checked)
		return NULL;
	for (size_t i = 0; i < facts->n_dkim && i < MAX_LISTED; i++) {
		const struct dkim_fact *dkim = &facts->dkim[i];
		const char *sdid = dkim->sdid != NULL ? dkim->sdid : "?";

		text = text == NULL ?
		    mem_printf(ctx, "%s:%s", dkim_result_word(dkim->result), sdid) :
		    mem_check(talloc_asprintf_append_buffer(text, ",%s:%s",
			dkim_result_word(dkim->result), sdid));
	}
	return text != NULL ? text : "none";
}

/* quota_text - used/limit(percent) of the limit nearest to full */
static const char *
quota_text(TALLOC_CTX *ctx, const struct quota_fact *quota)
{
	if (quota->outcome == OUTCOME_TEMPERROR)
		return "temperror";
	if (quota->outcome == OUTCOME_NONE)
		return NULL;
	/* rounded down: 100% is said of a full limit only */
	return mem_printf(ctx, "%" PRIu64 "/%" PRIu64 "(%.0f%%)", quota->used, quota->max,
	    quota->max == 0 ? 100.0 : floor(100.0 * (double)quota->used / (double)quota->max));
}

/* logline_dmarc_text - "fail:bank.example(reject)", and what was made of it */
static const char *
logline_dmarc_text(TALLOC_CTX *ctx, const struct dmarc_fact *dmarc)
{
	char *text = mem_strdup(ctx, dmarc_result_word(dmarc->result));

	if (dmarc->domain != NULL)
		text = mem_printf(ctx, "%s:%s", text, dmarc->domain);
	if (dmarc->policy_domain != NULL)
		text = mem_printf(ctx, "%s(%s)", text, dmarc_policy_word(dmarc->policy));
	return dmarc->exception == NULL ? text : mem_printf(ctx, "%s,%s", text, dmarc->exception);
}

/* sign_text - domain/selector of the signature, or why there is none */
static const char *
sign_text(TALLOC_CTX *ctx, const struct sign_fact *sign)
{
	switch (sign->outcome) {
	case OUTCOME_PASS:
		return mem_printf(ctx, "%s/%s", sign->sdid, sign->selector);
	case OUTCOME_FAIL:
	case OUTCOME_PERMERROR:
		return "no-key";
	case OUTCOME_TEMPERROR:
		return "temperror";
	case OUTCOME_NONE:
		break;
	}
	return NULL;
}

/* why_text - the detail after the reason, with the field it is about */
static const char *
why_text(TALLOC_CTX *ctx, const struct facts *facts, const struct verdict *verdict)
{
	if (verdict->field != NULL) {
		struct span text = text_trim(text_span(verdict->text));

		return mem_printf(ctx, "%s%s%s: %.*s", verdict->problem != NULL ? verdict->problem : "",
		    verdict->problem != NULL ? "; " : "", verdict->field,
		    (int)(text.len < LOGLINE_VALUE_MAX ? text.len : LOGLINE_VALUE_MAX), text.at);
	}
	if (verdict->problem != NULL)
		return verdict->problem;
	if (facts->sign.problem != NULL)
		return facts->sign.problem;
	return facts->quota.problem;
}

/* logline_make - what happened to a message and why, field by field */
struct logline *
logline_make(TALLOC_CTX *ctx, const struct facts *facts, enum mode mode,
    const struct verdict *verdict)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(ctx));
	struct builder line = { mem_new(ctx, struct logline) };
	bool null_sender = facts->sender == NULL || facts->sender[0] == '\0';

	if (facts->queue_id != NULL)
		line.made->queue_id = mem_strdup(line.made, facts->queue_id);
	logline_append(&line, "listener", facts->listener);
	logline_append(&line, "role", role_word(facts->role));
	logline_append(&line, "mode", mode_word(mode));
	logline_append(&line, "account", facts->account != NULL ? facts->account : facts->login);
	logline_append(&line, "client", logline_client_text(tmp, facts));
	logline_append(&line, "helo", facts->helo);
	logline_append(&line, "tls", facts->tls ? "yes" : "no");
	logline_append(
	    &line, "from", facts->sender == NULL ? NULL : mem_printf(tmp, "<%s>", facts->sender));
	logline_append(&line, "header_from", claims_text(tmp, facts, CLAIM_FROM));
	logline_append(&line, "recipients", mem_printf(tmp, "%zu", facts->recipients));
	logline_append(&line, "size", mem_printf(tmp, "%" PRIu64, facts->size));
	logline_append(&line, "sender", sender_word(facts));
	logline_append(&line, "spf", spf_text(tmp, facts));
	logline_append(&line, "dkim", dkim_text(tmp, facts));
	logline_append(&line, "quota", quota_text(tmp, &facts->quota));
	logline_append(&line, "limit", facts->quota.limit);
	logline_append(&line, "limit_of", facts->quota.subject);
	logline_append(&line, "store", facts->quota.store);
	logline_append(&line, "sign", sign_text(tmp, &facts->sign));
	logline_append(&line, "action", action_word(verdict->action));
	logline_append(&line, "would", action_word(verdict->would));
	logline_append(&line, "reason", reply_row(verdict->reason)->word);
	logline_append(&line, "address", verdict->address);
	logline_append(&line, "why", why_text(tmp, facts, verdict));
	if (facts->dmarc.result != DMARC_NOT_CHECKED)
		logline_append(&line, "dmarc", logline_dmarc_text(tmp, &facts->dmarc));
	append_some(&line, "mechanism", facts->spf_mailfrom.mechanism);
	append_some(&line, "helo_mechanism", null_sender ? NULL : facts->spf_helo.mechanism);
	append_some(&line, "stale", stale_text(tmp, facts));
	append_some(&line, "sign_risk", facts->sign.risk);
	talloc_free(tmp);
	return line.made;
}

/* logline_text - as key=value */
char *
logline_text(TALLOC_CTX *ctx, const struct logline *made)
{
	struct spelled line = spelled_new(ctx);

	append_value(&line, made->queue_id != NULL ? made->queue_id : "NOQUEUE");
	logline_put(&line, ":");
	for (size_t i = 0; i < made->n; i++)
		append_field(&line, made->fields[i].key, made->fields[i].value);
	return line.text;
}

/* logline_json - as a JSON object */
char *
logline_json(TALLOC_CTX *ctx, const struct logline *made)
{
	struct spelled line = spelled_new(ctx);

	logline_put(&line, "{\"queue_id\":");
	append_string(&line, made->queue_id != NULL ? made->queue_id : "NOQUEUE");
	for (size_t i = 0; i < made->n; i++)
		append_member(&line, made->fields[i].key, made->fields[i].value);
	logline_put(&line, "}");
	return line.text;
}

/* logline_value - the value of a field, or NULL */
const char *
logline_value(const struct logline *made, const char *key)
{
	for (size_t i = 0; i < made->n; i++)
		if (strcmp(made->fields[i].key, key) == 0)
			return made->fields[i].value;
	return NULL;
}
