/*
 * reach.h - listeners that no connection can reach
 * For load.c alone.
 */
#ifndef FILTER_CONFIG_REACH_H
#define FILTER_CONFIG_REACH_H

#include <stdbool.h>

#include "filter/config/configuration.h"
#include "filter/config/options.h"

/*
 * reach_check - note an error for each listener that can never have a message
 * Either its conditions exclude each other, or earlier listeners take every connection that meets
 * them. config: with listener sections, all read.
 */
void reach_check(struct options_reader *reader, const struct config *config);

/* reach_leaves_room - can a connection match no listener at all? */
bool reach_leaves_room(TALLOC_CTX *ctx, const struct config *config);

#endif
