/*
 * rates.c - how many messages got each action in a time, and as text
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "filter/journal/daybook.h"
#include "filter/journal/rates.h"
#include "policy/base/mem.h"

/* rates_withholds - does an action keep a message from going on now? */
static bool
rates_withholds(enum action action)
{
	return action >= ACTION_QUARANTINE;
}

void
rates_count(struct rates *rates, enum action action, enum action would, enum reason reason)
{
	rates->actions[action]++;
	if (rates_withholds(action))
		rates->reasons[reason]++;
	else if (rates_withholds(would))
		rates->would[reason]++;
}

/* rates_add - to a count that stays at its most */
static void
rates_add(uint32_t *count, uint64_t more)
{
	*count = more > UINT32_MAX - *count ? UINT32_MAX : *count + (uint32_t)more;
}

void
rates_sum(struct rates *to, const struct rates *from)
{
	for (int i = 0; i < RATES_ACTIONS; i++)
		rates_add(&to->actions[i], from->actions[i]);
	for (int i = 0; i < REASON_COUNT; i++) {
		rates_add(&to->reasons[i], from->reasons[i]);
		rates_add(&to->would[i], from->would[i]);
	}
}

/* A kind of words. */
struct rates_words {
	const char *front;
	const char *(*word)(int i);
	int n;
	size_t at;		/* of its counts in struct rates */
};

static const char *
rates_action(int i)
{
	return action_word((enum action)i);
}

static const char *
rates_reason(int i)
{
	return reply_row((enum reason)i)->word;
}

static const struct rates_words rates_kinds[] = {
	{ "action:", rates_action, RATES_ACTIONS, offsetof(struct rates, actions) },
	{ "reason:", rates_reason, REASON_COUNT, offsetof(struct rates, reasons) },
	{ "would:", rates_reason, REASON_COUNT, offsetof(struct rates, would) },
};
#define RATES_KINDS	(sizeof(rates_kinds) / sizeof(rates_kinds[0]))

char *
rates_write(TALLOC_CTX *ctx, const struct rates *rates)
{
	char *text = mem_strdup(ctx, "");

	for (size_t k = 0; k < RATES_KINDS; k++) {
		const struct rates_words *kind = &rates_kinds[k];
		const uint32_t *counts =
		    (const void *)((const char *)rates + kind->at);

		for (int i = 0; i < kind->n; i++)
			if (counts[i] > 0)
				text = mem_check(talloc_asprintf_append_buffer(text,
				    "%s%s%s=%" PRIu32, text[0] != '\0' ? "," : "", kind->front,
				    kind->word(i), counts[i]));
	}
	return text;
}

/* rates_take - daybook_word_fn: "reason:over", 1 */
static void
rates_take(void *rates, const char *text, size_t n_word, uint64_t n)
{
	for (size_t k = 0; k < RATES_KINDS; k++) {
		const struct rates_words *kind = &rates_kinds[k];
		size_t front = strlen(kind->front);
		uint32_t *counts = (void *)((char *)rates + kind->at);

		if (n_word <= front || memcmp(text, kind->front, front) != 0)
			continue;
		for (int i = 0; i < kind->n; i++) {
			const char *word = kind->word(i);

			if (strlen(word) == n_word - front &&
			    memcmp(word, text + front, n_word - front) == 0)
				rates_add(&counts[i], n);
		}
	}
}

void
rates_parse(const char *text, size_t len, struct rates *rates)
{
	daybook_words(text, len, rates_take, rates);
}
