/*
 * load_dkim.h - the dkim group of the configuration file
 * For load.c alone.
 */
#ifndef FILTER_CONFIG_LOAD_DKIM_H
#define FILTER_CONFIG_LOAD_DKIM_H

#include "filter/config/configuration.h"
#include "filter/config/options.h"

/* The options of the group, and of a section of its domains. */
extern const struct option_group configuration_dkim_group, configuration_dkim_domain_group;

/* configuration_dkim_defaults - what is in force if nothing is written */
void configuration_dkim_defaults(struct config *config);

/* configuration_dkim_read - dkim = { ... }; target: the struct config */
void configuration_dkim_read(
    struct options_reader *reader, config_setting_t *setting, void *target);

/* configuration_dkim_finish - inherit, resolve, check, once the whole file is read and before the
 * listeners are finished */
void configuration_dkim_finish(struct options_reader *reader, struct config *config,
    const config_t *tree);

#endif
