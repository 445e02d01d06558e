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

/* alike_plan - the plan of the account, if it has one */
static const struct plan *
alike_plan(const struct message *message)
{
	return message->facts.account != NULL ? message->plans.parties[0].plan : NULL;
}

/* alike_mark_of - of an account */
static uint64_t
alike_mark_of(const char *account)
{
	return keyed_mark("", 1, account);
}

/* alike_begin - read the body, if the plan of the account counts it */
void
alike_begin(struct message *message)
{
	const struct plan *plan = alike_plan(message);

	if (plan == NULL || message->rules.mode != MODE_ENFORCE ||
	    message->session->witness != NULL)
		return;
	for (size_t i = 0; i < plan->n_block_on && message->print == NULL; i++) {
		if (plan->block_on[i].unit != LIMIT_DUPLICATES)
			continue;
		message->print = mem_new(message, struct body_print);
		body_print_begin(message->print, alike_mark_of(message->facts.account));
	}
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
alike_is_again(struct message *message, uint64_t print, uint64_t envelope, int64_t window_ms)
{
	return repeats_body(message->session->daemon->repeats, print + (uint64_t)window_ms,
	    envelope, clock_wall_ms(), window_ms);
}

/* alike_count - count the recipients as duplicates, if the body was sent before */
void
alike_count(struct message *message)
{
	const struct plan *plan = alike_plan(message);
	uint64_t print, envelope;

	if (message->print == NULL || !verdict_passes(&message->verdict) ||
	    !body_print_end(message->print, &print))
		return;
	envelope = envelope_mark(message);
	for (size_t i = 0; i < plan->n_block_on; i++) {
		const struct limit *limit = &plan->block_on[i];
		const void *entry = NULL;
		uint64_t n = 0;

		if (limit->unit != LIMIT_DUPLICATES ||
		    !alike_is_again(message, print, envelope, limit->window_ms))
			continue;
		/* one more than the limit is enough */
		while ((entry = map_next(message->recipients, entry)) != NULL && n++ <= limit->max)
			charge_thing_to(message, i, map_key(message->recipients, entry));
	}
}
