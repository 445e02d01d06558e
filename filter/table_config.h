/*
 * table_config.h - what tables take from the configuration
 */
#ifndef FILTER_TABLE_CONFIG_H
#define FILTER_TABLE_CONFIG_H

#include "filter/configuration.h"
#include "filter/table.h"

/* table_config_env - servers and limits for table_open_with, on ctx; borrows config's strings */
const struct table_env *table_config_env(TALLOC_CTX *ctx, const struct config *config);

#endif
