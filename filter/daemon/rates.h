/*
 * rates.h - decisions of this filter by minute for an hour, and by ten minutes for a day
 *
 * The figures since the start are read once a second, and what was added is put into the place of
 * its time: a message pays nothing for it. Bounded: RATES_PLACES places of some hundred counts.
 * It begins again with each start, and is of this filter alone.
 *
 * Threads: any number at once.
 */
#ifndef FILTER_DAEMON_RATES_H
#define FILTER_DAEMON_RATES_H

#include <jansson.h>
#include <pthread.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/daemon/figures.h"

#define RATES_MINUTES	60
#define RATES_TENS	144
#define RATES_PLACES	(RATES_MINUTES + RATES_TENS)

struct rates;

/* rates_new - nothing counted yet; a talloc child of ctx */
struct rates *rates_new(TALLOC_CTX *ctx);

/* rates_note - put what was added since the last call into its place. now_ms: UNIX time. */
void rates_note(struct rates *rates, const struct figures *figures, int64_t now_ms);

/*
 * rates_json - what was decided: an array of {"at": UNIX time in ms, "actions": {...}, "reasons":
 * {...}, "would": {...}}, oldest first, without places in which nothing was
 * reasons: what was refused, deferred or held, by reason; would: what mode watch let pass of these.
 * day: ten minutes each, of 24 hours; else a minute each, of an hour.
 */
json_t *rates_json(struct rates *rates, bool day, int64_t now_ms);

#endif
