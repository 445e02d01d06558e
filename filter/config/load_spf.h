/*
 * load_spf.h - the group spf of the configuration: how incoming mail is checked
 */
#ifndef FILTER_CONFIG_LOAD_SPF_H
#define FILTER_CONFIG_LOAD_SPF_H

#include "filter/config/configuration.h"
#include "filter/config/options.h"

/* config_spf_defaults - what holds unless the file says otherwise; memory on ctx */
void config_spf_defaults(TALLOC_CTX *ctx, struct spf_config *spf);

/* The options of the group, and of an override. */
extern const struct option_group config_spf_group, config_spf_override_group;

/* config_spf_read - spf = { ... }; target is a struct spf_config */
void config_spf_read(struct options_reader *reader, config_setting_t *setting, void *target);

#endif
