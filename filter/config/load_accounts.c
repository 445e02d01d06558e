/*
 * load_accounts.c - the list accounts of the configuration: logins and what they own
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/config/configuration.h"
#include "filter/config/load_accounts.h"
#include "filter/config/load_listeners.h"
#include "filter/config/options.h"
#include "policy/base/mem.h"

#define AT(type, member)	offsetof(struct type, member)

static const struct option account_rows[] = {
	{ .name = "login",
	    .works = WORKS_SENDING,
	    .type = OPTION_STRING,
	    .offset = AT(account, login) },
	{ .name = "owns",
	    .works = WORKS_SENDING,
	    .type = OPTION_WORDS,
	    .offset = AT(account, owns) },
	{ .name = "plan",
	    .works = WORKS_SENDING,
	    .type = OPTION_STRING,
	    .offset = AT(account, plan_name) },
	{ .name = "allowed_networks",
	    .works = WORKS_SUBMISSION,
	    .type = OPTION_WORDS,
	    .offset = AT(account, networks_as_written) },
	{ .name = "mode",
	    .works = WORKS_SENDING,
	    .type = OPTION_CHOICE,
	    .offset = AT(account, mode_set),
	    .choices = config_modes },
	{ .name = NULL },
};
const struct option_group config_account_group = {
	"an account", account_rows, -1, OPTION_SCOPE_FILE,
};

/* read_account_patterns - the owns list, normalised */
static void
read_account_patterns(struct options_reader *reader, const config_setting_t *setting,
    const struct config *config, struct account *account)
{
	account->patterns = mem_array(reader->ctx, struct identity_pattern, account->owns.n + 1);
	for (size_t i = 0; i < account->owns.n; i++) {
		const char *error = NULL;

		if (identity_pattern_read(reader->ctx, account->owns.items[i], config->fold_local,
		    &account->patterns[i], &error) != 0)
			options_error(
			    reader, setting, "owns \"%s\": %s", account->owns.items[i], error);
	}
}

/* read_account_networks - the allowed_networks list of an account */
static void
read_account_networks(struct options_reader *reader, const config_setting_t *setting,
    struct account *account)
{
	account->networks =
	    mem_array(reader->ctx, struct netblock, account->networks_as_written.n + 1);
	for (size_t i = 0; i < account->networks_as_written.n; i++) {
		const char *error = NULL;

		if (netblock_parse(reader->ctx, account->networks_as_written.items[i],
		    &account->networks[account->n_networks], &error))
			account->n_networks++;
		else
			options_error(reader, setting, "allowed_networks: %s", error);
	}
}

/* config_accounts_read - accounts = ( { login = ... }, ... ) */
void
config_accounts_read(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct config *config = target;
	size_t n;

	if (!config_setting_is_list(setting)) {
		options_error(reader, setting,
		    "accounts must be a list in parentheses: ( { login = \"alice\" }, ... )");
		return;
	}
	n = (size_t)config_setting_length(setting);
	config->accounts = mem_array(reader->ctx, struct account, n + 1);
	for (size_t i = 0; i < n; i++) {
		config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);
		struct account *account = &config->accounts[config->n_accounts];

		account->where = options_where(reader, member);
		account->mode_set = -1;
		options_group(reader, member, &config_account_group, account);
		read_account_patterns(reader, member, config, account);
		read_account_networks(reader, member, account);
		if (account->login == NULL)
			options_error(
			    reader, member, "an account needs a login: { login = \"alice\" }");
		else
			config->n_accounts++;
	}
}

/* config_accounts_finish - names in normal form, plans found, sorted for the search */
void
config_accounts_finish(struct options_reader *reader, struct config *config)
{
	for (size_t i = 0; i < config->n_accounts; i++) {
		struct account *account = &config->accounts[i];
		const char *error = NULL;

		account->name =
		    identity_account(reader->ctx, account->login, config->realm, &error);
		if (account->name == NULL) {
			options_error_at(
			    reader, account->where, "login \"%s\": %s", account->login, error);
			account->name = account->login;
		}
		if (account->plan_name == NULL)
			continue;
		account->plan = config_find_plan(config, account->plan_name);
		account->plan_from = mem_printf(reader->ctx, "accounts (%s)", account->where);
		if (account->plan == NULL)
			options_error_at(reader, account->where,
			    "plan \"%s\" is not among the plans", account->plan_name);
	}
	config_sort_accounts(config);
	for (size_t i = 1; i < config->n_accounts; i++)
		if (strcmp(config->accounts[i - 1].name, config->accounts[i].name) == 0)
			options_error_at(reader, config->accounts[i].where,
			    "the account %s is given twice (%s)", config->accounts[i].name,
			    config->accounts[i - 1].where);
}
