/*
 * alike.c - bodies that an account sends again
 *
 * What was sent is remembered in this process (repeats.h), each recipient that counts in the store.
 * The first message with a body costs nothing, however many recipients it has: a letter to all
 * members is one message. Nor does one that is tried again with the same envelope.
 *
 * Thread rule: a message belongs to one thread at a time.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/keyed_mark.h"
#include "filter/message/alike.h"
#include "filter/message/charge.h"
#include "policy/base/hash.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"

/* Whether a body was sent before within a window, which may be asked once. */
struct alike_answer {
	int64_t window_ms;
	bool again;
};

/* What is counted for a message. */
struct alike {
	struct message *message;
	uint64_t print;		/* of the body */
	uint64_t envelope;
	struct alike_answer *answers;
	size_t n;
};

/* alike_mark_of - of an account */
static uint64_t
alike_mark_of(const char *account)
{
	return keyed_mark("", 1, account);
}

/* alike_begin - read the body, if a plan counts it */
void
alike_begin(struct message *message)
{
	if (message->facts.account == NULL || message->rules.mode != MODE_ENFORCE ||
	    message->session->witness != NULL ||
	    !quota_watches(message->plans.parties, message->plans.n, LIMIT_DUPLICATES))
		return;
	message->print = mem_new(message, struct body_print);
	body_print_begin(message->print, alike_mark_of(message->facts.account));
}

/* envelope_mark - of all recipients, in whatever order */
static uint64_t
envelope_mark(const struct message *message)
{
	const void *entry = NULL;
	uint64_t sum = 0;

	while ((entry = map_next(message->recipients, entry)) != NULL)
		sum += hash_mix(hash_text(HASH_START, map_key(message->recipients, entry)));
	return sum;
}

/* alike_is_again - was the body sent before within the window of a limit? Each remembers for
 * itself. */
static bool
alike_is_again(struct alike *alike, int64_t window_ms)
{
	struct alike_answer *answer = alike->answers;

	while (answer < alike->answers + alike->n && answer->window_ms != window_ms)
		answer++;
	if (answer == alike->answers + alike->n) {
		alike->answers = mem_grow(
		    alike->message, alike->answers, struct alike_answer, alike->n + 1);
		answer = &alike->answers[alike->n++];
		answer->window_ms = window_ms;
		answer->again = repeats_body(alike->message->session->daemon->repeats,
		    alike->print + (uint64_t)window_ms, alike->envelope, clock_wall_ms(),
		    window_ms);
	}
	return answer->again;
}

/* alike_sign - count the recipients towards number i of block_on */
static void
alike_sign(struct alike *alike, const struct limit *limit, size_t i)
{
	const struct map *recipients = alike->message->recipients;
	const void *entry = NULL;
	uint64_t n = 0;

	if (limit->unit != LIMIT_DUPLICATES || !alike_is_again(alike, limit->window_ms))
		return;
	/* one more than the limit is enough */
	while ((entry = map_next(recipients, entry)) != NULL && n++ <= limit->max)
		charge_thing_to(alike->message, i, map_key(recipients, entry));
}

/* alike_level - count the recipients towards all limits with the window of this one */
static void
alike_level(struct alike *alike, const struct limit *limit)
{
	struct message *message = alike->message;
	const void *entry = NULL;

	if (limit->unlimited || limit->unit != LIMIT_DUPLICATES ||
	    !alike_is_again(alike, limit->window_ms))
		return;
	while ((entry = map_next(message->recipients, entry)) != NULL)
		charge_event(message, &message->plans, LIMIT_DUPLICATES, limit->window_ms,
		    map_key(message->recipients, entry));
}

/* alike_count - count the recipients as duplicates, if the body was sent before */
void
alike_count(struct message *message)
{
	const struct plans *plans = &message->plans;
	struct alike alike = { .message = message };

	if (message->print == NULL || !verdict_passes(&message->verdict) ||
	    !body_print_end(message->print, &alike.print))
		return;
	alike.envelope = envelope_mark(message);
	for (size_t i = 0; i < plans->n; i++) {
		const struct plan *plan = plans->parties[i].plan;

		for (size_t k = 0; i == 0 && plan != NULL && k < plan->n_block_on; k++)
			alike_sign(&alike, &plan->block_on[k], k);
		for (size_t k = 0; plan != NULL && k < plan->n_limits; k++)
			alike_level(&alike, &plan->limits[k]);
	}
}
