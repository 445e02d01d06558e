/*
 * load_dmarc.h - the dmarc group and own_domains of the configuration file
 */
#ifndef FILTER_CONFIG_LOAD_DMARC_H
#define FILTER_CONFIG_LOAD_DMARC_H

#include "filter/config/options.h"

/* All options of the dmarc group, of one of its overrides, and of its report. */
extern const struct option_group config_dmarc_group, config_dmarc_override_group,
    config_dmarc_report_group;

/* config_dmarc_read - dmarc = { ... }; target: the struct config's dmarc */
void config_dmarc_read(struct options_reader *reader, config_setting_t *setting, void *target);

/* config_own_read - own_domains = [...]; target: the struct config */
void config_own_read(struct options_reader *reader, config_setting_t *setting, void *target);

#endif
