/*
 * effect.h - options that have no effect where they stand
 * For load.c and tests.
 */
#ifndef FILTER_CONFIG_EFFECT_H
#define FILTER_CONFIG_EFFECT_H

#include <stdbool.h>

#include "filter/config/configuration.h"
#include "filter/config/options.h"

/*
 * effect_check - note an error for each option that was given and has no effect
 * The error says what would have one. reader->given: of both files; config: whole and without
 * errors.
 */
void effect_check(struct options_reader *reader, const struct config *config);

/* effect_roles - the roles on which something is done about a reason, one bit (1 << enum role) for
 * each; 0: nobody has said so. Any thread. */
unsigned int effect_roles(enum reason reason);

#endif
