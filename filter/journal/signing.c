/*
 * signing.c - for which domains messages were signed, from entries into the sums of a day
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/journal/signing.h"
#include "policy/base/mem.h"

const char *
signing_sdid(const struct entry *entry)
{
	return entry->sign == OUTCOME_PASS && entry->action < ACTION_TEMPFAIL ? entry->sign_domain :
										NULL;
}

/* signing_compare - by day and domain */
static int
signing_compare(const void *a, const void *b)
{
	const struct entry *first = *(struct entry *const *)a;
	const struct entry *second = *(struct entry *const *)b;
	int days = daybook_day(first->at_ms) - daybook_day(second->at_ms);

	return days != 0 ? days : strcmp(first->sign_domain, second->sign_domain);
}

/* signing_write_day - n entries of one day, sorted; 0, or -1 and *error_r */
static int
signing_write_day(struct books *books, TALLOC_CTX *ctx, struct entry **sorted, size_t n,
    const char **error_r)
{
	struct daybook_delta *deltas = mem_array(ctx, struct daybook_delta, n);
	size_t *delta_of = mem_array(ctx, size_t, n);
	size_t n_deltas = 0, done = 0;
	int beyond;

	for (size_t i = 0; i < n; i++) {
		struct daybook_delta *delta;

		if (i > 0 && strcmp(sorted[i - 1]->sign_domain, sorted[i]->sign_domain) != 0)
			n_deltas++;
		delta = &deltas[n_deltas];
		delta->account = sorted[i]->sign_domain;
		delta->sums.messages++;
		delta->sums.recipients += sorted[i]->recipients;
		delta->sums.bytes += sorted[i]->bytes;
		delta_of[i] = n_deltas;
	}
	beyond = books_add_signed(
	    books, ctx, sorted[0]->at_ms, deltas, n_deltas + 1, &done, error_r);
	for (size_t i = 0; i < n; i++)
		sorted[i]->in_signed = delta_of[i] < done;
	talloc_free(deltas);
	talloc_free(delta_of);
	return beyond < 0 ? -1 : 0;
}

int
signing_write(struct books *books, TALLOC_CTX *ctx, struct entry **entries, size_t n,
    const char **error_r)
{
	struct entry **sorted = mem_array(ctx, struct entry *, n + 1);
	size_t n_sorted = 0, next;

	for (size_t i = 0; i < n; i++) {
		if (signing_sdid(entries[i]) == NULL)
			entries[i]->in_signed = true;
		else if (!entries[i]->in_signed)
			sorted[n_sorted++] = entries[i];
	}
	qsort(sorted, n_sorted, sizeof(sorted[0]), signing_compare);
	for (size_t i = 0; i < n_sorted; i = next) {
		for (next = i + 1; next < n_sorted && daybook_day(sorted[next]->at_ms) ==
			 daybook_day(sorted[i]->at_ms); next++)
			;
		if (signing_write_day(books, ctx, &sorted[i], next - i, error_r) != 0)
			return -1;
	}
	return 0;
}
