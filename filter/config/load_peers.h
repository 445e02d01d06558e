/*
 * load_peers.h - the group peers of the configuration: who may connect as an MTA
 * For load.c alone.
 */
#ifndef FILTER_CONFIG_LOAD_PEERS_H
#define FILTER_CONFIG_LOAD_PEERS_H

#include "filter/config/configuration.h"
#include "filter/config/options.h"

/* The options of the group. */
extern const struct option_group configuration_peers_group;

/* configuration_peers_read - peers = { ... }; target: a struct peers */
void configuration_peers_read(
    struct options_reader *reader, config_setting_t *setting, void *target);

/* configuration_peers_warn - what it means that an inet socket has no peers, or NULL; on
 * ctx */
const char *configuration_peers_warn(TALLOC_CTX *ctx, const struct config *config);

#endif
