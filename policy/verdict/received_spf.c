/*
 * received_spf.c - Received-SPF (RFC 7208 section 9.1): ours, and forged ones
 *
 *	Received-SPF: fail (mx.example.org: the domain of a@example.com does not
 *		permit 192.0.2.7 to send its mail)
 *		receiver=mx.example.org; identity=mailfrom; client-ip=192.0.2.7;
 *		envelope-from="a@example.com"; helo=mail.example.com
 *
 * Nearly every value is a stranger's. In the comment parentheses and backslashes are
 * escaped, in the pairs what is no dot-atom stands in quotes, and each is cut, so
 * that no line reaches the 998 octets of RFC 5322 section 2.1.1.
 *
 * The message may arrive with such fields already in it. Readers take the uppermost, or those
 * whose receiver they trust; so a field with our name is deleted, as forged
 * Authentication-Results are.
 *
 * Pure, no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/verdict/received_spf.h"
#include "policy/verdict/reply.h"

#define FIELD_NAME	"Received-SPF"
#define VALUE_MAX	320	/* octets of a value that are shown */
#define COLUMNS		78	/* of a line, unless one pair is longer */

/* is_dot_atom - may a value stand without quotes (RFC 5322 section 3.2.3)? */
static bool
is_dot_atom(const char *value)
{
	char before = '.';

	for (; *value != '\0'; before = *value++)
		if (*value == '.' ? before == '.' :
		    !text_is_alnum(*value) && strchr("!#$%&'*+-/=?^_`{|}~", *value) == NULL)
			return false;
	return before != '.';
}

/* received_spf_escaped - a cut copy in printable ASCII, the characters of special after a
 * backslash */
static char *
received_spf_escaped(TALLOC_CTX *ctx, const char *value, const char *special)
{
	char *copy = mem_array(ctx, char, 2 * VALUE_MAX + 1);
	size_t n = 0;

	for (size_t i = 0; i < VALUE_MAX && value[i] != '\0'; i++) {
		if (strchr(special, value[i]) != NULL)
			copy[n++] = '\\';
		copy[n++] = value[i] >= ' ' && value[i] <= '~' ? value[i] : '?';
	}
	copy[n] = '\0';
	return copy;
}

/* comment_text - the result as a sentence (RFC 7208 section 9.1 shows such) */
static char *
comment_text(TALLOC_CTX *ctx, const struct facts *facts, const struct spf_fact *spf,
    enum spf_identity identity)
{
	static const char *const sentences[] = {
		[SPF_IS_NONE] = "%s has no SPF record for %s",
		[SPF_IS_NEUTRAL] = "%s neither permits nor denies %s",
		[SPF_IS_PASS] = "%s permits %s",
		[SPF_IS_FAIL] = "%s does not permit %s",
		[SPF_IS_SOFTFAIL] = "%s probably does not permit %s",
		[SPF_IS_TEMPERROR] = "the record of %s cannot be read now, client %s",
		[SPF_IS_PERMERROR] = "the record of %s is in error, client %s",
	};
	const char *of = identity == SPF_IDENTITY_HELO ? spf->domain : spf->sender;
	const char *who = mem_printf(ctx, "%s %s",
	    identity == SPF_IDENTITY_HELO ? "the HELO name" : "the domain of",
	    of != NULL && of[0] != '\0' ? of : "(empty)");
	const char *client = facts->spf_client != NULL ? facts->spf_client : "an unknown client";
	const char *sentence = sentences[spf->result];
	const char *mark = strstr(sentence, "%s");

	/* the sentence has two marks: who, and the client */
	return mem_printf(ctx, "%.*s%s%.*s%s%s", (int)(mark - sentence), sentence, who,
	    (int)(strstr(mark + 2, "%s") - mark - 2), mark + 2, client,
	    spf->local ? ", by a record of this site" :
	    spf->stale ? ", by what DNS had before it failed" : "");
}

/* append_pair - one "key=value", on a new line if it does not fit */
static void
append_pair(TALLOC_CTX *ctx, char **out, size_t *column, const char *key, const char *value)
{
	const char *shown, *pair;

	if (value == NULL)
		return;
	shown = received_spf_escaped(ctx, value, "");
	if (!is_dot_atom(shown))
		shown = mem_printf(ctx, "\"%s\"", received_spf_escaped(ctx, value, "\"\\"));
	pair = mem_printf(ctx, "%s=%s", key, shown);
	if (*column == 0 || *column + strlen(pair) + 3 > COLUMNS) {
		*out = mem_check(
		    talloc_asprintf_append_buffer(*out, "%s\n\t%s", *column == 0 ? "" : ";", pair));
		*column = 8 + strlen(pair);
	} else {
		*out = mem_check(talloc_asprintf_append_buffer(*out, "; %s", pair));
		*column += 2 + strlen(pair);
	}
}

/* received_spf_write - the value of the field for one identity */
char *
received_spf_write(TALLOC_CTX *ctx, const char *receiver, const struct facts *facts,
    enum spf_identity identity)
{
	const struct spf_fact *spf =
	    identity == SPF_IDENTITY_HELO ? &facts->spf_helo : &facts->spf_mailfrom;
	TALLOC_CTX *tmp;
	size_t column = 0;
	char *out;

	if (spf->result == SPF_NOT_CHECKED ||
	    (identity == SPF_IDENTITY_HELO && (spf->domain == NULL || spf->domain[0] == '\0')))
		return NULL;
	tmp = mem_check(talloc_new(NULL));
	out = mem_printf(ctx, " %s (%s:\n\t%s)", spf_result_word(spf->result),
	    received_spf_escaped(tmp, receiver, "()\\"),
	    received_spf_escaped(tmp, comment_text(tmp, facts, spf, identity), "()\\"));
	append_pair(tmp, &out, &column, "receiver", receiver);
	append_pair(
	    tmp, &out, &column, "identity", identity == SPF_IDENTITY_HELO ? "helo" : "mailfrom");
	append_pair(tmp, &out, &column, "client-ip", facts->spf_client);
	append_pair(tmp, &out, &column, "envelope-from",
	    facts->sender != NULL && facts->sender[0] != '\0' ? facts->sender : "<>");
	append_pair(tmp, &out, &column, "helo", facts->spf_client_helo);
	append_pair(tmp, &out, &column, "mechanism", spf->mechanism);
	append_pair(tmp, &out, &column, "problem", spf->problem);
	talloc_free(tmp);
	return out;
}

/* is_name_char - an octet of a host name */
static bool
is_name_char(char c)
{
	return text_is_alnum(c) || c == '-' || c == '_';
}

/* ends_name - is what lies after a name no more of it? A dot at the end of a name is none. */
static bool
ends_name(const char *at, const char *end)
{
	if (at < end && *at == '.')
		at++;
	return at >= end || !is_name_char(*at);
}

/* received_spf_is_ours - could a reader take this field for one that receiver wrote? */
bool
received_spf_is_ours(const char *value, size_t len, const char *receiver)
{
	size_t name = strlen(receiver), n = 0;
	char *plain = mem_array(NULL, char, len + 1);
	bool ours = false;

	/* quotes, escapes and folds are no part of the text for a reader */
	for (size_t i = 0; i < len; i++)
		if (strchr("\"\\\r\n", value[i]) == NULL || value[i] == '\0')
			plain[n++] = value[i];
	for (size_t i = 0; name > 0 && !ours && i + name <= n; i++)
		ours = strncasecmp(plain + i, receiver, name) == 0 &&
		    (i == 0 || (!is_name_char(plain[i - 1]) && plain[i - 1] != '.')) &&
		    ends_name(plain + i + name, plain + n);
	talloc_free(plain);
	return ours;
}

/* add_deletes - forged fields, last one first */
static void
add_deletes(
    TALLOC_CTX *ctx, const struct header_list *list, const char *receiver, struct edits *edits)
{
	size_t index = header_count(list, FIELD_NAME);

	edits->deletes =
	    mem_grow(ctx, edits->deletes, struct edit_delete, edits->n_deletes + index + 1);
	for (size_t i = list->n; i-- > 0;) {
		const struct header_field *field = &list->fields[i];

		if (!header_is(field, FIELD_NAME))
			continue;
		if (received_spf_is_ours(field->value, field->value_len, receiver))
			edits->deletes[edits->n_deletes++] =
			    (struct edit_delete){ FIELD_NAME, index };
		index--;
	}
}

/* add_first - an insertion below all others */
static void
add_first(struct edits *edits, const char *value)
{
	if (value == NULL)
		return;
	memmove(edits->inserts + 1, edits->inserts, edits->n_inserts * sizeof(edits->inserts[0]));
	edits->inserts[0] = (struct edit_insert){ FIELD_NAME, value };
	edits->n_inserts++;
}

/* received_spf_plan - add the fields to the edits of a message that passes */
void
received_spf_plan(TALLOC_CTX *ctx, const struct header_list *list, const struct facts *facts,
    const char *receiver, bool write, struct edits *edits)
{
	bool null_sender = facts->sender == NULL || facts->sender[0] == '\0';

	add_deletes(ctx, list, receiver, edits);
	if (!write)
		return;
	edits->inserts = mem_grow(ctx, edits->inserts, struct edit_insert, edits->n_inserts + 2);
	if (!null_sender)
		add_first(edits, received_spf_write(ctx, receiver, facts, SPF_IDENTITY_MAILFROM));
	add_first(edits, received_spf_write(ctx, receiver, facts, SPF_IDENTITY_HELO));
}
