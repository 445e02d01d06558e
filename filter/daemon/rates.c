/*
 * rates.c - decisions of this filter by minute for an hour, and by ten minutes for a day
 *
 * Thread rule: the lock guards all of it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/daemon/rates.h"
#include "policy/base/mem.h"
#include "policy/verdict/reply.h"

#define MINUTE_MS	INT64_C(60000)

/* Counts of a time, or since the start. */
struct rates_counts {
	uint32_t actions[FIGURES_ACTIONS];
	uint32_t reasons[REASON_COUNT];	/* refused, deferred or held */
	uint32_t would[REASON_COUNT];
};

struct rates_place {
	int64_t at;		/* number of its minute or ten minutes since 1970 */
	struct rates_counts counts;
};

struct rates {
	pthread_mutex_t lock;
	struct rates_counts seen;	/* of the figures, at the last call */
	struct rates_place minutes[RATES_MINUTES], tens[RATES_TENS];
};

static int
rates_free(struct rates *rates)
{
	(void)pthread_mutex_destroy(&rates->lock);
	return 0;
}

struct rates *
rates_new(TALLOC_CTX *ctx)
{
	struct rates *rates = mem_new(ctx, struct rates);

	(void)pthread_mutex_init(&rates->lock, NULL);
	talloc_set_destructor(rates, rates_free);
	return rates;
}

/* rates_refuses - does an action keep a message from going on now? */
static bool
rates_refuses(int action)
{
	return action == ACTION_QUARANTINE || action == ACTION_TEMPFAIL || action == ACTION_REJECT;
}

/* rates_add_listener - the decisions of a listener */
static void
rates_add_listener(struct rates_counts *counts, const struct figures_listener *listener)
{
	for (int action = 0; action < FIGURES_ACTIONS; action++)
		for (int reason = 0; reason < REASON_COUNT; reason++) {
			uint32_t n = (uint32_t)figures_read(&listener->done[action][reason]);

			counts->actions[action] += n;
			if (!rates_refuses(action))
				continue;
			counts->reasons[reason] += n;
			counts->would[reason] +=
			    (uint32_t)figures_read(&listener->would[action][reason]);
		}
}

/* rates_place - the place of a time, emptied if it was that of another */
static struct rates_counts *
rates_place(struct rates_place *places, size_t n, int64_t at)
{
	struct rates_place *place = &places[at % (int64_t)n];

	if (place->at != at) {
		memset(&place->counts, 0, sizeof(place->counts));
		place->at = at;
	}
	return &place->counts;
}

/* rates_add - what was added between two looks; counts may wrap, differences do not */
static void
rates_add(struct rates_counts *to, const struct rates_counts *before,
    const struct rates_counts *now)
{
	for (int i = 0; i < FIGURES_ACTIONS; i++)
		to->actions[i] += now->actions[i] - before->actions[i];
	for (int i = 0; i < REASON_COUNT; i++) {
		to->reasons[i] += now->reasons[i] - before->reasons[i];
		to->would[i] += now->would[i] - before->would[i];
	}
}

void
rates_note(struct rates *rates, const struct figures *figures, int64_t now_ms)
{
	struct rates_counts now = { 0 };
	const struct figures_listener *listener;
	int64_t minute = now_ms / MINUTE_MS;

	if (now_ms < 0)
		return;
	(void)pthread_mutex_lock(&rates->lock);
	for (size_t i = 0; i < FIGURES_LISTENERS; i++)
		if ((listener = atomic_load(&figures->listeners[i])) != NULL)
			rates_add_listener(&now, listener);
	rates_add(rates_place(rates->minutes, RATES_MINUTES, minute), &rates->seen, &now);
	rates_add(rates_place(rates->tens, RATES_TENS, minute / 10), &rates->seen, &now);
	rates->seen = now;
	(void)pthread_mutex_unlock(&rates->lock);
}

/* rates_reasons - counts by reason */
static json_t *
rates_reasons(const uint32_t *counts)
{
	json_t *object = json_object();

	for (int reason = 0; reason < REASON_COUNT; reason++)
		if (counts[reason] > 0)
			json_object_set_new(object, reply_row((enum reason)reason)->word,
			    json_integer(counts[reason]));
	return object;
}

/* rates_place_json - what was in a time, or NULL */
static json_t *
rates_place_json(const struct rates_counts *counts, int64_t at_ms)
{
	json_t *actions = json_object(), *would = rates_reasons(counts->would);

	for (int action = 0; action < FIGURES_ACTIONS; action++)
		if (counts->actions[action] > 0)
			json_object_set_new(actions, action_word((enum action)action),
			    json_integer(counts->actions[action]));
	if (json_object_size(actions) > 0 || json_object_size(would) > 0)
		return json_pack("{s:I, s:o, s:o, s:o}", "at", (json_int_t)at_ms, "actions",
		    actions, "reasons", rates_reasons(counts->reasons), "would", would);
	json_decref(actions);
	json_decref(would);
	return NULL;
}

json_t *
rates_json(struct rates *rates, bool day, int64_t now_ms)
{
	const struct rates_place *places = day ? rates->tens : rates->minutes;
	int64_t n = day ? RATES_TENS : RATES_MINUTES, step = day ? 10 * MINUTE_MS : MINUTE_MS;
	int64_t last = now_ms / step;
	json_t *array = json_array(), *one;

	(void)pthread_mutex_lock(&rates->lock);
	for (int64_t at = last - n + 1; now_ms >= 0 && at <= last; at++)
		if (at > 0 && places[at % n].at == at &&
		    (one = rates_place_json(&places[at % n].counts, at * step)) != NULL)
			json_array_append_new(array, one);
	(void)pthread_mutex_unlock(&rates->lock);
	return array;
}
