/*
 * load_redis.h - the group redis of the configuration
 * For load.c alone.
 */
#ifndef FILTER_CONFIG_LOAD_REDIS_H
#define FILTER_CONFIG_LOAD_REDIS_H

#include "filter/config/configuration.h"
#include "filter/config/options.h"

/* The options of a server. */
extern const struct option_group config_redis_group;

/* config_redis_read - redis = { main = { server = ... } }; target is the struct config */
void config_redis_read(struct options_reader *reader, config_setting_t *setting, void *target);

#endif
