/*
 * configuration.c - the configuration as values: what is looked up in it
 *
 * load.c fills it. Threads: no state; a configuration in force never changes.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/config/configuration.h"
#include "filter/spf/spf.h"
#include "filter/store/store.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

static int
config_compare_accounts(const void *a, const void *b)
{
	return strcmp(((const struct account *)a)->name, ((const struct account *)b)->name);
}

/* config_sort_accounts - as config_account() searches them */
void
config_sort_accounts(struct config *config)
{
	if (config->n_accounts > 1)
		qsort(config->accounts, config->n_accounts, sizeof(config->accounts[0]),
		    config_compare_accounts);
}

/* config_account - the account of that normal form, or NULL */
const struct account *
config_account(const struct config *config, const char *name)
{
	const struct account wanted = { .name = name };

	if (config->n_accounts == 0)
		return NULL;
	return bsearch(&wanted, config->accounts, config->n_accounts, sizeof(config->accounts[0]),
	    config_compare_accounts);
}

/* has_role - may a listener take mail of that role? ROLE_AUTO: of any but inbound */
static bool
has_role(const struct listener *listener, enum role role)
{
	if (role == ROLE_AUTO)
		return listener->role != ROLE_INBOUND;
	return listener->role == role || listener->role == ROLE_AUTO;
}

/* config_account_mode - the mode that mail of an account meets */
enum mode
config_account_mode(const struct config *config, const char *name, enum role role)
{
	const struct account *account = config_account(config, name);
	enum mode mode = config->mode;
	bool any = false;

	if (account != NULL && account->mode_set >= 0)
		return (enum mode)account->mode_set;
	for (size_t i = 0; i < config->n_listeners; i++)
		if (has_role(&config->listeners[i], role)) {
			mode = any && mode == MODE_ENFORCE ? mode : config->listeners[i].mode;
			any = true;
		}
	return mode;
}

bool
config_listen_inherited(const struct config *config)
{
	return strncmp(config->listen_spec, "systemd:", 8) == 0;
}

/* config_listens_beyond - is it an inet socket on more than loopback? A name may be any address. */
bool
config_listens_beyond(const struct config *config)
{
	const char *host = strchr(config->listen_spec, '@');
	struct ip_address address;

	if (strchr(config->listen_spec, ':')[1] == '/')
		return false;
	/* the socket unit has the address */
	if (config_listen_inherited(config))
		return true;
	return host == NULL || !(strcmp(host + 1, "localhost") == 0 ||
	    (ip_address_parse(host + 1, &address) && ip_address_is_loopback(&address)));
}

/* config_find_plan - a plan by its name */
const struct plan *
config_find_plan(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_plans; i++)
		if (strcmp(config->plans[i].name, name) == 0)
			return &config->plans[i];
	return NULL;
}

/* config_counts - does some plan count this unit? */
bool
config_counts(const struct config *config, enum limit_unit unit)
{
	for (size_t i = 0; i < config->n_plans; i++)
		if (quota_plan_counts(&config->plans[i], unit))
			return true;
	return false;
}

static int
config_compare_words(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* config_sort_domains - as config_has_domain() searches them */
void
config_sort_domains(struct config *config)
{
	if (config->domains.n > 1)
		qsort(config->domains.items, config->domains.n, sizeof(config->domains.items[0]),
		    config_compare_words);
}

/* config_names_domain - is this word among the domains? */
static bool
config_names_domain(const struct config *config, const char *word)
{
	return config->domains.n > 0 && bsearch(&word, config->domains.items, config->domains.n,
	    sizeof(config->domains.items[0]), config_compare_words) != NULL;
}

/* config_has_domain - does some account have or own addresses of this domain? */
bool
config_has_domain(const struct config *config, const char *domain)
{
	char dotted[DOMAIN_MAX + 2];

	if (config_names_domain(config, domain))
		return true;
	if (strlen(domain) > DOMAIN_MAX)
		return false;
	dotted[0] = '.';
	memcpy(dotted + 1, domain, strlen(domain) + 1);
	for (const char *p = dotted; p != NULL; p = strchr(p + 1, '.'))
		if (config_names_domain(config, p))
			return true;
	return false;
}

static int
config_compare_names(const void *a, const void *b)
{
	return strcmp(((const struct dkim_name *)a)->name, ((const struct dkim_name *)b)->name);
}

/* config_sort_dkim_names - as config_dkim_domain() searches them */
void
config_sort_dkim_names(struct config *config)
{
	if (config->dkim.n_names > 1)
		qsort(config->dkim.names, config->dkim.n_names, sizeof(config->dkim.names[0]),
		    config_compare_names);
}

/* config_dkim_domain - the settings of a domain, or those of all */
const struct dkim_domain *
config_dkim_domain(const struct config *config, const char *domain)
{
	const struct dkim_name wanted = { .name = domain };
	const struct dkim_name *found = config->dkim.n_names == 0
	    ? NULL
	    : bsearch(&wanted, config->dkim.names, config->dkim.n_names,
		  sizeof(config->dkim.names[0]), config_compare_names);

	return found != NULL ? found->domain : &config->dkim.all;
}

/* config_signs - is anything to be signed? */
bool
config_signs(const struct config *config)
{
	return config->keys != NULL || config->dkim.key_table != NULL;
}

const char *
config_where(const struct config *config, const struct words *words)
{
	return words->where != NULL ? words->where : config->file;
}

/* config_table_index - the place of a table in the configuration's list; added if it is new */
static size_t
config_table_index(struct config *config, const char *spec, const struct words *named)
{
	for (size_t i = 0; i < config->tables.n; i++)
		if (strcmp(config->tables.items[i], spec) == 0)
			return i;
	config->tables.items =
	    mem_grow(config, config->tables.items, const char *, config->tables.n + 1);
	config->tables_where =
	    mem_grow(config, config->tables_where, const char *, config->tables.n + 1);
	config->tables_where[config->tables.n] = config_where(config, named);
	config->tables.items[config->tables.n] = spec;
	return config->tables.n++;
}

/* config_tables - a list of specifications as indexes */
void
config_tables(struct config *config, const struct words *specs, struct table_list *list_r)
{
	list_r->indexes = mem_array(config, size_t, specs->n + 1);
	for (size_t i = 0; i < specs->n; i++)
		list_r->indexes[list_r->n++] = config_table_index(config, specs->items[i], specs);
}

/* config_spf_service - what the checks of this configuration have in common */
void
config_spf_service(const struct spf_config *spf, struct resolver *resolver, const char *receiver,
    struct spf_service *service_r)
{
	spf_service_init(service_r, resolver, receiver);
	service_r->limits.voids = (unsigned int)spf->void_limit;
	service_r->limits.strict_voids = spf->strict_voids != 0;
	service_r->explain = spf->explain != 0;
	service_r->overrides = spf->overrides;
	service_r->n_overrides = spf->n_overrides;
}

/* config_words_differ - two lists of words */
static bool
config_words_differ(const struct words *a, const struct words *b)
{
	if (a->n != b->n)
		return true;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return true;
	return false;
}

/* config_fixed_difference - what only a restart can change */
const char *
config_fixed_difference(const struct config *old, const struct config *new)
{
	if (!text_same(old->listen, new->listen) || old->listen_mode != new->listen_mode ||
	    !text_same(old->listen_group, new->listen_group))
		return "listen";
	if (!text_same(old->control, new->control) ||
	    !text_same(old->control_group, new->control_group) ||
	    !text_same(old->control_read_group, new->control_read_group))
		return "control";
	if (!text_same(old->user, new->user))
		return "user";
	if (!text_same(old->log, new->log))
		return "log";
	if (!store_options_equal(&old->store_options, &new->store_options) ||
	    !text_same(old->store_password_file, new->store_password_file) ||
	    !text_same(
		old->store_sentinel_password_file, new->store_sentinel_password_file))
		return "store";
	if (old->history_messages != new->history_messages ||
	    old->history_days != new->history_days ||
	    old->history_accounts != new->history_accounts)
		return "history";
	if (config_words_differ(&old->dns_servers, &new->dns_servers) ||
	    old->dns_cache != new->dns_cache ||
	    !text_same(old->resolver.trust_anchor, new->resolver.trust_anchor))
		return "dns";
	return NULL;
}
