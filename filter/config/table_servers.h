/*
 * table_servers.h - what tables take from the configuration
 */
#ifndef FILTER_CONFIG_TABLE_SERVERS_H
#define FILTER_CONFIG_TABLE_SERVERS_H

#include "filter/config/configuration.h"
#include "filter/table/env.h"

/* table_config_env - servers and limits for table_open_with, on ctx; borrows config's strings */
const struct table_env *table_config_env(TALLOC_CTX *ctx, const struct config *config);

#endif
