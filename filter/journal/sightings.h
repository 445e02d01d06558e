/*
 * sightings.h - what this filter saw of each account within the last hour, for events in words
 *
 * Bounded: of more accounts than it has room for, the one that was quiet for longest is forgotten.
 *
 * Threads: one, the journal's. Times are UNIX time in milliseconds.
 */
#ifndef FILTER_JOURNAL_SIGHTINGS_H
#define FILTER_JOURNAL_SIGHTINGS_H

#include <jansson.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/journal/entry.h"

struct sightings;

/* sightings_new - nothing was seen. A talloc child of ctx. */
struct sightings *sightings_new(TALLOC_CTX *ctx);

/* sightings_note - a decision about a message of an account */
void sightings_note(struct sightings *sightings, const struct entry *entry);

/*
 * sightings_text - what was seen of account in the hour before now, on ctx
 * "43 messages to 80 recipients, 72 of them new, passed in 9 minutes, 12 were refused; from 14
 * addresses in 3 countries (DE, NG, VN) and 5 networks"; NULL if nothing was seen. details gets the
 * numbers.
 */
const char *sightings_text(const struct sightings *sightings, TALLOC_CTX *ctx, const char *account,
    int64_t now, json_t *details);

#endif
