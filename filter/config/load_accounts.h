/*
 * load_accounts.h - the list accounts of the configuration
 * For load.c alone.
 */
#ifndef FILTER_CONFIG_LOAD_ACCOUNTS_H
#define FILTER_CONFIG_LOAD_ACCOUNTS_H

#include "filter/config/configuration.h"
#include "filter/config/options.h"

/* The options of an account. */
extern const struct option_group config_account_group;

/* config_accounts_read - accounts = ( { login = ... }, ... ); target is the struct config */
void config_accounts_read(struct options_reader *reader, config_setting_t *setting, void *target);

/* config_accounts_finish - names in normal form, plans found, sorted for the search */
void config_accounts_finish(struct options_reader *reader, struct config *config);

#endif
