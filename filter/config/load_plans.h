/*
 * load_plans.h - plans and who has them, in the configuration file and in the plans file
 * For load.c alone.
 */
#ifndef FILTER_CONFIG_LOAD_PLANS_H
#define FILTER_CONFIG_LOAD_PLANS_H

#include "filter/config/configuration.h"
#include "filter/config/options.h"

/* The options that both files may have; each is given once, in either. */
#define PLANS_ROW(option, member, reader) \
	{ .name = option, .works = WORKS_SENDING, .type = OPTION_CUSTOM, \
	    .offset = offsetof(struct config, assign.member), .read = reader },
#define CONFIGURATION_PLANS_ROWS \
	PLANS_ROW("default_plan", account, configuration_plans_read_plan) \
	PLANS_ROW("plan_of", account, configuration_plans_read_tables) \
	PLANS_ROW("domain_plan", domain, configuration_plans_read_plan) \
	PLANS_ROW("domain_plan_of", domain, configuration_plans_read_tables) \
	PLANS_ROW("pool_of", pool, configuration_plans_read_of) \
	PLANS_ROW("pool_plan", pool, configuration_plans_read_plan) \
	PLANS_ROW("pool_plan_of", pool, configuration_plans_read_tables) \
	PLANS_ROW("network_of", network, configuration_plans_read_of) \
	PLANS_ROW("network_plan", network, configuration_plans_read_plan) \
	PLANS_ROW("network_plan_of", network, configuration_plans_read_tables) \
	{ .name = "plans", .works = WORKS_PLANS, .type = OPTION_CUSTOM, \
	    .read = configuration_plans_read },

/* The options of a plan. */
extern const struct option_group configuration_plan_group;

/* Each reads one option; target: a struct party_config, for the last one the struct config. */
void configuration_plans_read_plan(
    struct options_reader *reader, config_setting_t *setting, void *target);
void configuration_plans_read_tables(
    struct options_reader *reader, config_setting_t *setting, void *target);
void configuration_plans_read_of(
    struct options_reader *reader, config_setting_t *setting, void *target);
void configuration_plans_read(
    struct options_reader *reader, config_setting_t *setting, void *target);

/* configuration_plans_finish - inherit, resolve, check, once both files are read and the store is
 * known */
void configuration_plans_finish(struct options_reader *reader, struct config *config);

#endif
