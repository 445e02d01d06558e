/*
 * load_plans.c - plans and who has them, in the configuration file and in the plans file
 *
 * Reading a plan's options is one function each; what needs all of both files (inheritance, names
 * of plans, options that belong together) is checked at the end. Every error has its line
 * and with what was probably meant.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/config/load_plans.h"
#include "policy/base/mem.h"

#define MOST_LIMITS	12		/* of one plan */
#define BLOCK_ON_MAX	8
#define BLOCK_MIN_MS	60000L		/* block_for: a minute */
#define BLOCK_MAX_MS	(30L * 24 * 3600 * 1000) /* 30 days */
#define BLOCK_GROWS_MAX	100

/* check_beside - report a limit that has no effect beside one of the same plan */
static void
check_beside(struct options_reader *reader, config_setting_t *setting, const struct plan *plan,
    const struct limit *limit)
{
	for (size_t i = 0; i < plan->n_limits; i++) {
		const struct limit *other = &plan->limits[i];

		if (limit->unlimited || other->unlimited)
			options_error(reader, setting,
			    "\"unlimited\" must be the only limit, but this plan also has \"%s\"; "
			    "remove one of the two",
			    limit->unlimited ? other->text : limit->text);
		else if (strcmp(limit->field, other->field) == 0)
			options_error(reader, setting,
			    "\"%s\" and \"%s\" limit the same unit in the same window; keep one of "
			    "the two",
			    other->text, limit->text);
		else if (strcmp(limit->text, "0") == 0 || strcmp(other->text, "0") == 0)
			options_error(reader, setting,
			    "\"0\" lets nothing pass, so \"%s\" has no effect; remove one of the two",
			    strcmp(limit->text, "0") == 0 ? other->text : limit->text);
		else
			continue;
		return;
	}
}

/* add_limit - one limit of a plan, as written at setting */
static void
add_limit(struct options_reader *reader, config_setting_t *setting, struct plan *plan)
{
	const char *text = options_string(reader, setting), *error = NULL;
	struct limit *limit = &plan->limits[plan->n_limits];

	if (text == NULL)
		return;
	if (limit_parse(reader->ctx, text, limit, &error) < 0)
		options_error(reader, setting, "%s", error);
	else {
		check_beside(reader, setting, plan, limit);
		plan->n_limits++;
	}
}

/* read_limits - the limits of a plan; an error has the line of its limit */
static void
read_limits(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct plan *plan = target;
	int n = config_setting_is_aggregate(setting) ? config_setting_length(setting) : 1;

	plan->has_limits = true;
	plan->limits = mem_array(reader->ctx, struct limit, (size_t)n + 1);
	if (n > MOST_LIMITS) {
		options_error(reader, setting, "a plan has at most %d limits", MOST_LIMITS);
		return;
	}
	if (config_setting_type(setting) == CONFIG_TYPE_STRING) {
		add_limit(reader, setting, plan);
		return;
	}
	if (!config_setting_is_array(setting) && !config_setting_is_list(setting)) {
		options_error(reader, setting, "limits must be a text or a list of texts");
		return;
	}
	for (int i = 0; i < n; i++)
		add_limit(reader, config_setting_get_elem(setting, (unsigned int)i), plan);
}

/* read_max_recipients - of one message */
static void
read_max_recipients(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct plan *plan = target;

	if (config_setting_type(setting) != CONFIG_TYPE_INT ||
	    config_setting_get_int(setting) < 1) {
		options_error(reader, setting,
		    "max_recipients must be a number from 1 on, without quotation marks");
		return;
	}
	plan->max_recipients = (size_t)config_setting_get_int(setting);
	plan->has_max_recipients = true;
}

/* read_max_size - of one message */
static void
read_max_size(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct plan *plan = target;
	const char *text = options_string(reader, setting), *error = NULL;

	if (text == NULL)
		return;
	if (limit_parse_size(reader->ctx, text, &plan->max_size, &error) < 0)
		options_error(reader, setting, "max_size: %s", error);
	plan->has_max_size = true;
}

/* twin_sign - a sign of the same unit and window that a plan has before, or NULL: they would share
 * a counter, and count each thing twice */
static const struct limit *
twin_sign(const struct plan *plan, const struct limit *limit)
{
	for (size_t i = 0; i < plan->n_block_on; i++)
		if (strcmp(plan->block_on[i].field, limit->field) == 0)
			return &plan->block_on[i];
	return NULL;
}

/* add_block_on - one sign of a stolen account, as written at setting */
static void
add_block_on(struct options_reader *reader, config_setting_t *setting, struct plan *plan)
{
	const char *text = options_string(reader, setting), *error = NULL;
	struct limit *limit = &plan->block_on[plan->n_block_on];
	const struct limit *twin;

	if (text == NULL)
		return;
	if (limit_parse_sign(reader->ctx, text, limit, &error) < 0)
		options_error(reader, setting, "block_on: %s", error);
	else if (limit->unlimited || !limit_is_sign(limit->unit))
		options_error(reader, setting,
		    "block_on = \"%s\" must count a sign of a stolen password, for example "
		    "\"50 refused-recipients per hour\"; signs are %s",
		    text, limit_signs(reader->ctx));
	else if ((twin = twin_sign(plan, limit)) != NULL)
		options_error(reader, setting,
		    "block_on: \"%s\" and \"%s\" count the same in the same window; keep one of the two",
		    twin->text, limit->text);
	else
		plan->n_block_on++;
}

/* read_block_on - the signs that block an account, one or a list */
static void
read_block_on(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct plan *plan = target;
	bool many = config_setting_is_list(setting) || config_setting_is_array(setting);
	size_t n = many ? (size_t)config_setting_length(setting) : 1;

	if (n == 0 || n > BLOCK_ON_MAX) {
		options_error(reader, setting,
		    "block_on must have 1 to %d texts, for example "
		    "[\"20 foreign-senders per hour\", \"over 20 times per hour\"]",
		    BLOCK_ON_MAX);
		return;
	}
	plan->has_block_on = true;
	plan->block_on = mem_array(reader->ctx, struct limit, n);
	for (size_t i = 0; i < n; i++)
		add_block_on(reader,
		    many ? config_setting_get_elem(setting, (unsigned int)i) : setting, plan);
}

/* read_block_action - block_action = "refuse", "hold" or "slow" */
static void
read_block_action(struct options_reader *reader, config_setting_t *setting, void *target)
{
	static const char *const words[] = {
		[PLAN_BLOCK_REFUSE] = "refuse",
		[PLAN_BLOCK_HOLD] = "hold",
		[PLAN_BLOCK_SLOW] = "slow",
	};
	struct plan *plan = target;
	const char *text = options_string(reader, setting);

	if (text == NULL)
		return;
	plan->has_block_action = true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i]) == 0) {
			plan->block_action = (enum plan_block)i;
			return;
		}
	options_error(reader, setting,
	    "block_action = \"%s\" is unknown; known are: refuse, hold, slow", text);
}

/* read_left_out - not_counted_in = ["domain", "pool"] */
static void
read_left_out(struct options_reader *reader, config_setting_t *setting, void *target)
{
	static const struct { const char *word; unsigned int bit; } known[] = {
		{ "domain", PLAN_LEFT_OUT_DOMAIN },
		{ "pool", PLAN_LEFT_OUT_POOL },
		{ "network", PLAN_LEFT_OUT_NETWORK },
	};
	struct plan *plan = target;
	struct words words = { 0 };

	plan->has_left_out = true;
	options_words(reader, setting, &words);
	for (size_t i = 0; i < words.n; i++) {
		unsigned int bit = 0;

		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			if (strcmp(words.items[i], known[k].word) == 0)
				bit = known[k].bit;
		if (bit == 0)
			options_error(reader, setting,
			    "not_counted_in = \"%s\" is unknown; known are: domain, pool, network",
			    words.items[i]);
		plan->left_out |= bit;
	}
}

/* read_percent - warn_at = "80%" */
static void
read_percent(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct plan *plan = target;
	const char *text = options_string(reader, setting);
	char *end;
	long value;

	if (text == NULL)
		return;
	value = strtol(text, &end, 10);
	if (end == text || strcmp(end, "%") != 0 || value < 1 || value > 100) {
		options_error(reader, setting,
		    "warn_at = \"%s\" must be a percentage such as \"80%%\"", text);
		return;
	}
	plan->warn_at = (unsigned int)value;
	plan->has_warn_at = true;
}

/* read_plan_action - on_over of a plan */
static void
read_plan_action(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct plan *plan = target;
	const char *text = options_string(reader, setting);
	int action = text == NULL ? -1 : options_action(text);

	if (action >= 0) {
		plan->on_over = (enum action)action;
		plan->has_on_over = true;
	} else if (text != NULL) {
		options_error(reader, setting,
		    "on_over = \"%s\" is unknown; known are: accept, warn, quarantine, tempfail, reject",
		    text);
	}
}

static const struct option plan_rows[] = {
	{ .name = "like",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_STRING,
	    .offset = offsetof(struct plan, like) },
	{ .name = "limits", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = read_limits },
	{ .name = "max_recipients",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CUSTOM,
	    .read = read_max_recipients },
	{ .name = "max_size", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = read_max_size },
	{ .name = "warn_at",
	    .works = WORKS_PLAN_LIMITS,
	    .type = OPTION_CUSTOM,
	    .read = read_percent },
	{ .name = "on_over",
	    .works = WORKS_PLAN_LIMITS,
	    .type = OPTION_CUSTOM,
	    .read = read_plan_action },
	{ .name = "block_on",
	    .works = WORKS_PLAN_ACCOUNTS,
	    .type = OPTION_CUSTOM,
	    .read = read_block_on },
	{ .name = "block_for",
	    .works = WORKS_PLAN_BLOCK_ON,
	    .type = OPTION_DURATION,
	    .offset = offsetof(struct plan, block_for_ms),
	    .min = BLOCK_MIN_MS,
	    .max = BLOCK_MAX_MS },
	{ .name = "block_grows",
	    .works = WORKS_PLAN_BLOCK_ON,
	    .type = OPTION_COUNT,
	    .offset = offsetof(struct plan, block_grows),
	    .min = 1,
	    .max = BLOCK_GROWS_MAX },
	{ .name = "block_action",
	    .works = WORKS_PLAN_BLOCK_ON,
	    .type = OPTION_CUSTOM,
	    .read = read_block_action },
	{ .name = "not_counted_in",
	    .works = WORKS_PLAN_LEFT_OUT,
	    .type = OPTION_CUSTOM,
	    .read = read_left_out },
	{ .name = NULL },
};
const struct option_group configuration_plan_group = {
	"a plan", plan_rows, -1, OPTION_SCOPE_TARGET,
};

/* configuration_plans_read - plans = { person = { ... } ... } */
void
configuration_plans_read(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct config *config = target;
	size_t n;

	if (!config_setting_is_group(setting)) {
		options_error(reader, setting,
		    "plans must be a group in braces: { name = { limits = [...] } }");
		return;
	}
	if (config->plans != NULL) {
		options_error(reader, setting,
		    "plans are given in the configuration file already; keep one of the two");
		return;
	}
	n = (size_t)config_setting_length(setting);
	config->plans = mem_array(reader->ctx, struct plan, n + 1);
	for (size_t i = 0; i < n; i++) {
		config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);
		struct plan *plan = &config->plans[config->n_plans++];

		plan->name = mem_strdup(reader->ctx, config_setting_name(member));
		plan->where = options_where(reader, member);
		plan->on_over = ACTION_TEMPFAIL;
		options_group(reader, member, &configuration_plan_group, plan);
	}
}

/* given_before - note a mistake if an option stands in the other file already */
static bool
given_before(struct options_reader *reader, const config_setting_t *setting, const char *where)
{
	if (where != NULL)
		options_error(reader, setting, "%s is given already (%s); keep one of the two",
		    config_setting_name(setting), where);
	return where != NULL;
}

/* configuration_plans_read_plan - default_plan, pool_plan ... */
void
configuration_plans_read_plan(
    struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct party_config *party = target;

	if (given_before(reader, setting, party->plan_where))
		return;
	party->plan_option = mem_strdup(reader->ctx, config_setting_name(setting));
	party->plan_name = options_string(reader, setting);
	if (party->plan_name != NULL)
		party->plan_name = mem_strdup(reader->ctx, party->plan_name);
	party->plan_where = options_where(reader, setting);
}

/* configuration_plans_read_tables - plan_of, pool_plan_of ... */
void
configuration_plans_read_tables(
    struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct party_config *party = target;

	if (given_before(reader, setting, party->table_where))
		return;
	party->table_option = mem_strdup(reader->ctx, config_setting_name(setting));
	options_words(reader, setting, &party->plan_of);
	party->table_where = options_where(reader, setting);
}

/* configuration_plans_read_of - pool_of, network_of */
void
configuration_plans_read_of(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct party_config *party = target;

	if (given_before(reader, setting, party->of_where))
		return;
	party->of_option = mem_strdup(reader->ctx, config_setting_name(setting));
	options_words(reader, setting, &party->of);
	party->of_where = options_where(reader, setting);
}

/* finish_party - the plan that is named, and the tables */
static void
finish_party(struct options_reader *reader, struct config *config, struct party_config *party)
{
	config_tables(config, &party->of, &party->of_tables);
	config_tables(config, &party->plan_of, &party->plan_tables);
	if (party->plan_name == NULL)
		return;
	party->plan = config_find_plan(config, party->plan_name);
	if (party->plan == NULL)
		options_error_at(reader, party->plan_where, "%s = \"%s\" is not among the plans",
		    party->plan_option, party->plan_name);
}

/* finish_group - pools and networks: who is in which, and with which plan, belong together */
static void
finish_group(struct options_reader *reader, struct config *config, struct party_config *party,
    const char *kind)
{
	bool has_plan = party->plan_where != NULL || party->table_where != NULL;

	finish_party(reader, config, party);
	if (has_plan && party->of_where == NULL)
		options_error_at(reader,
		    party->plan_where != NULL ? party->plan_where : party->table_where,
		    "%s_of is missing: the tables that map %s to its %s", kind,
		    strcmp(kind, "pool") == 0 ? "an account" : "a client", kind);
	if (!has_plan && party->of_where != NULL)
		options_error_at(reader, party->of_where,
		    "%s_plan is missing: the plan of each %s, as in "
		    "%s_plan = \"customer\"",
		    kind, kind, kind);
}

/* check_places - can the places that limits and block_on count be found out? */
static void
check_places(
    struct options_reader *reader, const struct config *config, const struct plan *plan)
{
	if (quota_plan_counts(plan, LIMIT_COUNTRIES) && config->country_of.n == 0)
		options_error_at(reader, plan->where,
		    "plan \"%s\" counts countries, and nothing knows them; write "
		    "country_of = \"mmdb:/var/lib/GeoIP/GeoLite2-Country.mmdb\"",
		    plan->name);
	if (quota_plan_counts(plan, LIMIT_NETWORKS) && config->asn_of.n == 0)
		options_error_at(reader, plan->where,
		    "plan \"%s\" counts networks, and nothing knows them; write "
		    "asn_of = \"mmdb:/var/lib/GeoIP/GeoLite2-ASN.mmdb\"",
		    plan->name);
}

/* check_plan - what must stand together in a plan */
static void
check_plan(struct options_reader *reader, const struct config *config, const struct plan *plan)
{
	check_places(reader, config, plan);
	if (plan->block_on != NULL && plan->block_for_ms == 0)
		options_error_at(reader, plan->where,
		    "block_on of plan \"%s\" needs a length: block_for = \"4 hours\"", plan->name);
}

/* configuration_plans_finish - inherit, resolve, check */
void
configuration_plans_finish(struct options_reader *reader, struct config *config)
{
	const char *error = NULL;
	size_t culprit;

	if (config->n_plans > 0 &&
	    quota_plans_resolve(reader->ctx, config->plans, config->n_plans, &culprit, &error) != 0)
		options_error_at(reader, config->plans[culprit].where, "%s", error);
	for (size_t i = 0; i < config->n_plans; i++)
		check_plan(reader, config, &config->plans[i]);
	finish_party(reader, config, &config->assign.account);
	finish_party(reader, config, &config->assign.domain);
	finish_group(reader, config, &config->assign.pool, "pool");
	finish_group(reader, config, &config->assign.network, "network");
	if (config->store_options.redis.cluster && config->assign.network.of_where != NULL)
		options_error_at(reader, config->assign.network.of_where,
		    "network_of: limits of client networks cannot "
		    "be kept in a Redis Cluster, whose slots hold one account's counters each; remove network_of, or use "
		    "a Redis without Cluster (Sentinel is fine)");
}
