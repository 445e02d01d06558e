/*
 * fold.c - header fields whose lines an MTA would break after they were signed
 *
 * Threads: see fold.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/dkim/fold.h"

size_t
fold_longest(const struct header_field *field)
{
	size_t line = field->name_len + 1, longest = 0;

	for (size_t i = 0; i < field->value_len; i++) {
		line = field->value[i] == '\n' ? 0 : line + 1;
		if (line > longest)
			longest = line;
	}
	return line > longest ? line : longest;
}

/* fold_may_break - may a line begin at this white space? A word follows it, and one stands before
 */
static bool
fold_may_break(const struct header_field *field, size_t at, bool word)
{
	return word && (field->value[at] == ' ' || field->value[at] == '\t') &&
	    at + 1 < field->value_len && !text_is_space(field->value[at + 1]);
}

char *
fold_value(TALLOC_CTX *ctx, const struct header_field *field, size_t max)
{
	char *folded = mem_array(ctx, char, 2 * field->value_len + 1);
	size_t n = 0, line = field->name_len + 1, last = 0;
	bool word = false, can_break = false;

	/* last: where in folded the line may be broken */
	for (size_t i = 0; i < field->value_len; i++) {
		char c = field->value[i];

		if (fold_may_break(field, i, word)) {
			can_break = true;
			last = n;
		}
		word = c != '\n' && (word || !text_is_space(c));
		folded[n++] = c;
		line = c == '\n' ? 0 : line + 1;
		can_break = can_break && c != '\n';
		if (line <= max)
			continue;
		if (!can_break) {
			talloc_free(folded);
			return NULL;
		}
		for (size_t j = n; j > last; j--)
			folded[j] = folded[j - 1];
		folded[last] = '\n';
		line = n++ - last;
		can_break = false;
	}
	folded[n] = '\0';
	return folded;
}
