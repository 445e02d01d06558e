/*
 * canon.c - header fields in the form that a DKIM signature covers
 *
 * Threads: see canon.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/mem.h"
#include "policy/dkim/canon.h"

/* A text that grows. */
struct canon {
	char *text;
	size_t len;
	size_t room;
};

/* canon_put - append octets */
static void
canon_put(struct canon *canon, const char *octets, size_t len)
{
	if (canon->room - canon->len < len) {
		canon->room = 2 * canon->room + len;
		canon->text = mem_grow(NULL, canon->text, char, canon->room);
	}
	if (len > 0)
		memcpy(canon->text + canon->len, octets, len);
	canon->len += len;
}

/* canon_put_simple - a value as sent, folds as CRLF */
static void
canon_put_simple(struct canon *canon, struct span value)
{
	char last = '\0';

	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] == '\n' && last != '\r')
			canon_put(canon, "\r", 1);
		last = value.at[i];
		canon_put(canon, &last, 1);
	}
}

/* canon_put_relaxed - a value unfolded, each run of white space one space, none at the ends */
static void
canon_put_relaxed(struct canon *canon, struct span value, bool *white)
{
	for (size_t i = 0; i < value.len; i++) {
		if (text_is_space(value.at[i])) {
			*white = true;
			continue;
		}
		if (*white)
			canon_put(canon, " ", 1);
		*white = false;
		canon_put(canon, &value.at[i], 1);
	}
}

/* canon_put_name - a field's name and its colon */
static void
canon_put_name(struct canon *canon, const struct header_field *field, bool relaxed)
{
	struct span name = text_span_of(field->name, field->name_len);

	if (relaxed)
		name = text_trim(name);
	for (size_t i = 0; i < name.len; i++) {
		char c = relaxed ? text_lower(name.at[i]) : name.at[i];

		canon_put(canon, &c, 1);
	}
	canon_put(canon, ":", 1);
}

/* canon_put_field - one field without its final CRLF, and without a piece of its value */
static void
canon_put_field(struct canon *canon, const struct header_field *field, struct span without,
    bool relaxed)
{
	struct span before = text_span_of(field->value, field->value_len), after = { NULL, 0 };
	bool white = false;

	if (without.at != NULL) {
		size_t start = (size_t)(without.at - field->value);

		before.len = start;
		after = text_span_of(
		    without.at + without.len, field->value_len - start - without.len);
	}
	canon_put_name(canon, field, relaxed);
	if (!relaxed) {
		canon_put_simple(canon, before);
		canon_put_simple(canon, after);
		return;
	}
	while (before.len > 0 && text_is_space(before.at[0]))
		before = text_span_of(before.at + 1, before.len - 1);
	canon_put_relaxed(canon, before, &white);
	canon_put_relaxed(canon, after, &white);
}

bool
canon_next_name(struct span *rest, struct span *name_r)
{
	if (rest->at == NULL)
		return false;

	const char *colon = memchr(rest->at, ':', rest->len);
	size_t len = colon == NULL ? rest->len : (size_t)(colon - rest->at);

	*name_r = text_trim(text_span_of(rest->at, len));
	*rest = colon == NULL ? text_span_of(NULL, 0) :
	    text_span_of(colon + 1, rest->len - len - 1);
	return true;
}

/* canon_find - the last field of this name that is not used yet, marked as used; or NULL */
static const struct header_field *
canon_find(const struct header_list *list, struct span name, bool *used)
{
	for (size_t i = list->n; i > 0; i--) {
		const struct header_field *field = &list->fields[i - 1];

		if (used[i - 1] ||
		    !text_equal_fold(text_trim(text_span_of(field->name, field->name_len)), name))
			continue;
		used[i - 1] = true;
		return field;
	}
	return NULL;
}

char *
canon_header(TALLOC_CTX *ctx, const struct header_list *list, struct span names, size_t signature,
    struct span b, bool relaxed, size_t *len_r)
{
	bool *used = mem_array(ctx, bool, list->n + 1);
	struct canon canon = { NULL, 0, 0 };
	struct span name;

	used[signature] = true;
	while (canon_next_name(&names, &name)) {
		const struct header_field *field = canon_find(list, name, used);

		if (field == NULL)
			continue;
		canon_put_field(&canon, field, text_span_of(NULL, 0), relaxed);
		canon_put(&canon, "\r\n", 2);
	}
	canon_put_field(&canon, &list->fields[signature], b, relaxed);
	talloc_free(used);
	*len_r = canon.len;
	return talloc_steal(ctx, canon.text);
}
