/*
 * load_listeners.h - the group listeners of the configuration
 * For load.c alone.
 */
#ifndef FILTER_CONFIG_LOAD_LISTENERS_H
#define FILTER_CONFIG_LOAD_LISTENERS_H

#include "filter/config/configuration.h"
#include "filter/config/options.h"

/* The values of mode. */
extern const struct option_choice config_modes[];

/* The options of a listener. */
extern const struct option_group config_listener_group;

/* config_listeners_read - listeners = { name = { role = ... } ... }; target is the struct config */
void config_listeners_read(struct options_reader *reader, config_setting_t *setting, void *target);

/*
 * config_listeners_finish - inherit, resolve, check; without listeners, one for each role
 * where: file and line of on_inbound_login for all listeners.
 */
void config_listeners_finish(
    struct options_reader *reader, struct config *config, const char *where);

#endif
