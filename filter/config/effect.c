/*
 * effect.c - options that have no effect where they stand
 *
 * An option that is read and does nothing is worse than none, because its author relies on it. So
 * each row of the tables of options (options.h) names a row of `companions` below, each reason
 * that has an option a row of `reasons`, and what is given is compared with the whole file. A
 * value that every listener overrides is no error: it is for the next listener.
 *
 * Threads: no state; runs at start and at reload, in one thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/config/effect.h"
#include "filter/config/reach.h"
#include "policy/base/mem.h"

#define BIT(role)	(1u << (role))
#define SUBMISSION	BIT(ROLE_SUBMISSION)
#define RELAY		BIT(ROLE_RELAY)
#define LOCAL		BIT(ROLE_LOCAL)
#define INBOUND		BIT(ROLE_INBOUND)
#define SENDING		(SUBMISSION | RELAY | LOCAL)
#define ALL		(SENDING | INBOUND)

/* What a companion's function looks at: one listener at a time, and the option's own group. */
struct place {
	const struct config *config;
	const struct listener *listener;
	const void *target;
	const bool *of_accounts; /* by index of a plan: an account may have it */
};

/* has_keys - are there keys, in whatever form? */
static bool
has_keys(const struct place *place)
{
	return config_signs(place->config);
}

static bool
has_keys_directory(const struct place *place)
{
	return place->config->keys != NULL;
}

static bool
has_signing_table(const struct place *place)
{
	return place->config->dkim.signing_table != NULL;
}

static bool
has_unix_socket(const struct place *place)
{
	return strchr(place->config->listen_spec, ':')[1] == '/';
}

static bool
has_open_socket(const struct place *place)
{
	return config_listens_beyond(place->config);
}

static bool
has_control(const struct place *place)
{
	return place->config->control != NULL;
}

static bool
has_event_command(const struct place *place)
{
	return place->config->event_command.n > 0;
}

/* uses_resolver - is DNS asked for mail of this listener? */
static bool
uses_resolver(const struct place *place)
{
	return place->listener->role == ROLE_INBOUND ||
	    (config_signs(place->config) && place->config->dkim.check_dns != 0);
}

static bool
has_tables(const struct place *place)
{
	return place->config->tables.n > 0;
}

static bool
waits(const struct place *place)
{
	return uses_resolver(place) || has_tables(place);
}

static bool
has_history(const struct place *place)
{
	return place->config->history_messages > 0;
}

/* names_table - does a specification, or one within it, begin with this text? */
static bool
names_table(const char *spec, const char *text)
{
	const char *at = strstr(spec, text);

	while (at != NULL && at > spec && strchr(" ,:{\t", at[-1]) == NULL)
		at = strstr(at + 1, text);
	return at != NULL;
}

static bool
has_server_table(const struct place *place)
{
	static const char *const types[] = {
		"sqlite:", "mysql:", "pgsql:", "ldap:", "redis:", "socketmap:",
	};
	const struct words *tables = &place->config->tables;

	for (size_t i = 0; i < tables->n; i++)
		for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++)
			if (names_table(tables->items[i], types[k]))
				return true;
	return false;
}

static bool
has_table_cache(const struct place *place)
{
	return has_server_table(place) && place->config->table_limits.cache > 0;
}

/* is_store - is this Redis the store? */
static bool
is_store(const struct place *place)
{
	const struct redis_server *redis = place->target;
	const char *store = place->config->store;

	return strncmp(store, "redis:", 6) == 0 && strcmp(store + 6, redis->name) == 0;
}

static bool
is_redis_used(const struct place *place)
{
	const struct redis_server *redis = place->target;
	const struct words *tables = &place->config->tables;
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *text = mem_printf(tmp, "redis:%s:", redis->name);
	bool used = is_store(place);

	for (size_t i = 0; i < tables->n && !used; i++)
		used = names_table(tables->items[i], text);
	talloc_free(tmp);
	return used;
}

static bool
has_redis_password(const struct place *place)
{
	return ((const struct redis_server *)place->target)->password_file != NULL;
}

static bool
has_redis_tls(const struct place *place)
{
	return ((const struct redis_server *)place->target)->options.redis.tls.on;
}

static bool
has_sentinels(const struct place *place)
{
	return ((const struct redis_server *)place->target)->options.redis.sentinels != NULL;
}

static bool
sets_something(const struct place *place)
{
	const struct dkim_domain *domain = place->target;

	return domain->canonicalization != NULL || domain->expire_ms >= 0 ||
	    domain->identity >= 0 || domain->subdomains >= 0 || domain->on_missing_key >= 0;
}

/* effect_counts - does a plan limit anything? */
static bool
effect_counts(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_limits; i++)
		if (!plan->limits[i].unlimited)
			return true;
	return false;
}

/* is_like - is a plan another one, or made from it? */
static bool
is_like(const struct config *config, const struct plan *plan, const struct plan *base)
{
	while (plan != NULL && plan != base)
		plan = plan->like == NULL ? NULL : config_find_plan(config, plan->like);
	return plan == base;
}

/* has_plan_limits - does this plan, or one that is like it, limit anything? */
static bool
has_plan_limits(const struct place *place)
{
	const struct config *config = place->config;

	for (size_t i = 0; i < config->n_plans; i++)
		if (effect_counts(&config->plans[i]) &&
		    is_like(config, &config->plans[i], place->target))
			return true;
	return false;
}

/* is_given - may a party of this kind have the plan? */
static bool
is_given(const struct party_config *party, const struct plan *plan)
{
	return party->plan == plan || party->plan_of.n > 0;
}

/* plans_of_accounts - which plans an account may have; by index, on ctx */
static bool *
plans_of_accounts(TALLOC_CTX *ctx, const struct config *config)
{
	bool *of_accounts = mem_array(ctx, bool, config->n_plans + 1);

	for (size_t i = 0; i < config->n_plans; i++)
		of_accounts[i] = is_given(&config->assign.account, &config->plans[i]);
	for (size_t i = 0; i < config->n_accounts; i++)
		if (config->accounts[i].plan != NULL)
			of_accounts[config->accounts[i].plan - config->plans] = true;
	return of_accounts;
}

/* is_of_others - may a domain, a pool or a network have the plan? */
static bool
is_of_others(const struct config *config, const struct plan *plan)
{
	return is_given(&config->assign.domain, plan) || is_given(&config->assign.pool, plan) ||
	    is_given(&config->assign.network, plan);
}

/* is_for_accounts - is there an account to block by this plan? */
static bool
is_for_accounts(const struct place *place)
{
	const struct config *config = place->config;
	bool spare = true;

	for (size_t i = 0; i < config->n_plans; i++) {
		if (!is_like(config, &config->plans[i], place->target))
			continue;
		if (place->of_accounts[i])
			return true;
		spare = spare && !is_of_others(config, &config->plans[i]);
	}
	/* one that no account has yet is ready for some */
	return spare;
}

/* has_parties - has anybody one of the plans? */
static bool
has_parties(const struct place *place)
{
	const struct config *config = place->config;

	for (size_t i = 0; i < config->n_plans; i++)
		if (place->of_accounts[i] || is_of_others(config, &config->plans[i]))
			return true;
	return config->n_plans == 0;
}

static bool
has_block_on(const struct place *place)
{
	const struct config *config = place->config;

	for (size_t i = 0; i < config->n_plans; i++)
		if (is_like(config, &config->plans[i], place->target) &&
		    config->plans[i].block_on != NULL)
			return true;
	return false;
}

/* leaves_some - is there a connection without a listener, or a login that is treated like that? */
static bool
leaves_some(const struct place *place)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	bool leaves = !place->config->auto_roles &&
	    (place->listener->role == ROLE_INBOUND || reach_leaves_room(tmp, place->config));

	talloc_free(tmp);
	return leaves;
}

static bool
has_listeners(const struct place *place)
{
	return !place->config->auto_roles;
}

static bool
obeys_dmarc(const struct place *place)
{
	return place->listener->dmarc_by_policy;
}

static bool
requires_tls(const struct place *place)
{
	return place->listener->require_tls;
}

static bool
has_client_accounts(const struct place *place)
{
	return place->listener->client_accounts.n > 0;
}

static bool
has_allowed_networks(const struct place *place)
{
	for (size_t i = 0; i < place->config->n_accounts; i++)
		if (place->config->accounts[i].n_networks > 0)
			return true;
	return place->config->allowed_networks.n > 0;
}

static bool
has_restricted(const struct place *place)
{
	return place->config->restricted_recipients.n > 0;
}

static bool
has_max_recipients(const struct place *place)
{
	for (size_t i = 0; i < place->config->n_plans; i++)
		if (place->config->plans[i].max_recipients > 0)
			return true;
	return false;
}

static bool
has_max_size(const struct place *place)
{
	for (size_t i = 0; i < place->config->n_plans; i++)
		if (place->config->plans[i].max_size > 0)
			return true;
	return false;
}

static bool
has_countries(const struct place *place)
{
	/* log-ins that are reported raise new-country */
	return config_counts(place->config, LIMIT_COUNTRIES) ||
	    config_counts(place->config, LIMIT_LOGINS);
}

static bool
has_networks(const struct place *place)
{
	/* log-ins that are reported raise new-network */
	return config_counts(place->config, LIMIT_NETWORKS) ||
	    config_counts(place->config, LIMIT_LOGINS);
}

static bool
has_limits(const struct place *place)
{
	for (size_t i = 0; i < place->config->n_plans; i++)
		if (effect_counts(&place->config->plans[i]))
			return true;
	return false;
}

/* has_lookups - is a table asked for mail of this listener? For strangers' one thing only. */
static bool
has_lookups(const struct place *place)
{
	return place->listener->role == ROLE_INBOUND ? has_restricted(place) : has_tables(place);
}

/* Where an option works: on listeners of these roles, if there is what the function looks for. */
static const struct {
	unsigned int roles;
	bool (*found)(const struct place *place);
	const char *cure;
} companions[WORKS_COUNT] = {
	[WORKS_ALWAYS] = { ALL, NULL, NULL },
	[WORKS_SUBMISSION] = { SUBMISSION, NULL, NULL },
	[WORKS_RELAY] = { RELAY, NULL, NULL },
	[WORKS_INBOUND] = { INBOUND, NULL, NULL },
	[WORKS_SENDING] = { SENDING, NULL, NULL },
	[WORKS_UNIX_SOCKET] = { ALL, has_unix_socket,
	    "it is for a socket in the file system: listen = \"unix:/path\" (a socket unit has "
	    "SocketMode, SocketUser and SocketGroup)" },
	[WORKS_OPEN_SOCKET] = { ALL, has_open_socket,
	    "other hosts cannot connect to this socket; peers of this host are named in users" },
	[WORKS_CONTROL] = { ALL, has_control,
	    "there is no control socket; write control = \"/run/countersign/control\"" },
	[WORKS_EVENT_COMMAND] = { ALL, has_event_command, "there is no event_command" },
	[WORKS_RESOLVER] = { ALL, uses_resolver,
	    "DNS is queried on role inbound, and for keys with check_dns" },
	[WORKS_WAITING] = { ALL, waits,
	    "nothing is waited for: DNS is queried on role inbound and for keys with check_dns, "
	    "and "
	    "no option names a table" },
	[WORKS_HISTORY] = { ALL, has_history, "messages = 0 keeps no decisions" },
	[WORKS_SERVER_TABLE] = { ALL, has_server_table,
	    "it is for tables of the types sqlite, mysql, pgsql, ldap, redis and socketmap, and "
	    "no option names one" },
	[WORKS_TABLE_CACHE] = { ALL, has_table_cache,
	    "it is for the cache of tables of the types sqlite, mysql, pgsql, ldap, redis and "
	    "socketmap; there is none of these, or cache = 0" },
	[WORKS_KEYS] = { SENDING, has_keys,
	    "there are no keys to sign with; write keys = \"/etc/countersign/keys\", or key_table "
	    "and signing_table in dkim" },
	[WORKS_KEYS_DIRECTORY] = { SENDING, has_keys_directory,
	    "it is for keys = \"/path\"; a signing table has patterns for that" },
	[WORKS_SIGNING_TABLE] = { SENDING, has_signing_table,
	    "it is for key_table and signing_table; with keys, every key of a domain signs" },
	[WORKS_DOMAIN_SETTING] = { SENDING, sets_something,
	    "the section sets nothing for this domain; add canonicalization, expire_after, "
	    "identity, subdomains or on_missing_key, or remove the section" },
	[WORKS_REDIS_USED] = { ALL, is_redis_used,
	    "nothing uses this Redis; write store = \"redis:NAME\", or name it in a table, "
	    "\"redis:NAME:PATTERN\", or remove it" },
	[WORKS_REDIS_STORE] = { ALL, is_store,
	    "it is for the store, and this Redis is not the store; write store = \"redis:NAME\"" },
	[WORKS_REDIS_PASSWORD] = { ALL, has_redis_password,
	    "a user logs in with a password; write password_file = \"/path\"" },
	[WORKS_REDIS_TLS] = { ALL, has_redis_tls, "it needs tls = true" },
	[WORKS_SENTINELS] = { ALL, has_sentinels,
	    "it is for sentinels; a server's are user and password_file" },
	[WORKS_PLANS] = { SENDING, has_parties,
	    "none of these plans is used; write default_plan = \"NAME\", or plan_of, or name one "
	    "in accounts, domain_plan, pool_plan or network_plan" },
	[WORKS_PLAN_LIMITS] = { SENDING, has_plan_limits,
	    "it is about limits, and neither this plan nor one that is like it has any; write "
	    "limits = [\"100 recipients per hour\"]" },
	[WORKS_PLAN_ACCOUNTS] = { SENDING, is_for_accounts,
	    "accounts are blocked, and no account has this plan; name it in default_plan, plan_of "
	    "or accounts" },
	[WORKS_PLAN_LEFT_OUT] = { SENDING, is_for_accounts,
	    "it is for accounts, and no account has this plan; name it in default_plan, plan_of "
	    "or accounts" },
	[WORKS_PLAN_BLOCK_ON] = { SENDING, has_block_on,
	    "it needs a reason: block_on = \"20 foreign-senders per hour\"" },
	[WORKS_UNMATCHED] = { ALL, leaves_some,
	    "every connection has a listener here; it is for those that match none" },
	[WORKS_LISTENERS] = { INBOUND, has_listeners,
	    "without listeners, mail with a login has role submission" },
	[WORKS_DMARC_POLICY] = { INBOUND, obeys_dmarc,
	    "no policy is obeyed; write on_dmarc_fail = \"policy\"" },
	[WORKS_REQUIRE_TLS] = { SUBMISSION, requires_tls, "TLS is not required: require_tls = false" },
	[WORKS_CLIENT_ACCOUNTS] = { RELAY, has_client_accounts,
	    "account answers for every client; it is for client_accounts" },
	[WORKS_ALLOWED_NETWORKS] = { SUBMISSION, has_allowed_networks,
	    "nothing restricts an account to networks; write allowed_networks" },
	[WORKS_RESTRICTED] = { ALL, has_restricted,
	    "no recipient is restricted; write restricted_recipients" },
	[WORKS_MAX_RECIPIENTS] = { SENDING, has_max_recipients, "no plan has max_recipients" },
	[WORKS_MAX_SIZE] = { SENDING, has_max_size, "no plan has max_size" },
	[WORKS_COUNTRIES] = { SENDING, has_countries,
	    "no plan counts countries or failed-logins; write block_on = \"3 countries per day\" in one" },
	[WORKS_NETWORKS] = { SENDING, has_networks,
	    "no plan counts networks or failed-logins; write block_on = \"5 networks per day\" in one" },
	[WORKS_TABLES] = { ALL, has_lookups, "no option names a table that could fail" },
	[WORKS_LIMITS] = { SENDING, has_limits, "no plan has limits" },
};

/* On which roles a reason is found, and what it needs. */
static const struct {
	unsigned int roles;
	enum option_works works;
} reasons[REASON_COUNT] = {
	[REASON_NO_LISTENER] = { ALL, WORKS_UNMATCHED },
	[REASON_INBOUND_LOGIN] = { INBOUND, WORKS_LISTENERS },
	[REASON_NO_LOGIN] = { SUBMISSION, WORKS_ALWAYS },
	[REASON_NO_ACCOUNT] = { RELAY, WORKS_CLIENT_ACCOUNTS },
	[REASON_NO_TLS] = { SUBMISSION, WORKS_REQUIRE_TLS },
	[REASON_BAD_LOGIN] = { SUBMISSION, WORKS_ALWAYS },
	[REASON_MALFORMED_ENVELOPE] = { ALL, WORKS_ALWAYS },
	[REASON_FOREIGN_NETWORK] = { SUBMISSION, WORKS_ALLOWED_NETWORKS },
	[REASON_FOREIGN_ENVELOPE] = { SENDING, WORKS_ALWAYS },
	[REASON_NULL_SENDER] = { SENDING, WORKS_ALWAYS },
	[REASON_RESTRICTED_RECIPIENT] = { ALL, WORKS_RESTRICTED },
	[REASON_TOO_MANY_RECIPIENTS] = { SENDING, WORKS_MAX_RECIPIENTS },
	[REASON_TOO_LARGE] = { SENDING, WORKS_MAX_SIZE },
	[REASON_OVERSIZED_HEADER] = { ALL, WORKS_ALWAYS },
	[REASON_NO_FROM] = { ALL, WORKS_ALWAYS },
	[REASON_SEVERAL_FROM] = { ALL, WORKS_ALWAYS },
	[REASON_MALFORMED_FROM] = { ALL, WORKS_ALWAYS },
	[REASON_FOREIGN_FROM] = { SENDING, WORKS_ALWAYS },
	[REASON_FOREIGN_DOMAIN] = { SENDING, WORKS_ALWAYS },
	[REASON_FOREIGN_SENDER] = { SENDING, WORKS_ALWAYS },
	[REASON_FOREIGN_RESENT] = { SENDING, WORKS_ALWAYS },
	[REASON_DISGUISED_FROM] = { SENDING, WORKS_ALWAYS },
	[REASON_FOREIGN_DISPLAY] = { SENDING, WORKS_ALWAYS },
	[REASON_LOOKUP_FAILURE] = { ALL, WORKS_TABLES },
	[REASON_SPF_FAIL] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_SOFTFAIL] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_NEUTRAL] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_NONE] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_TEMPERROR] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_PERMERROR] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_HELO_FAIL] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_HELO_SOFTFAIL] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_HELO_NEUTRAL] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_HELO_NONE] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_HELO_TEMPERROR] = { INBOUND, WORKS_ALWAYS },
	[REASON_SPF_HELO_PERMERROR] = { INBOUND, WORKS_ALWAYS },
	[REASON_DKIM_NONE] = { INBOUND, WORKS_ALWAYS },
	[REASON_DKIM_TEMPERROR] = { INBOUND, WORKS_ALWAYS },
	[REASON_DKIM_FAIL] = { INBOUND, WORKS_ALWAYS },
	[REASON_DKIM_PERMERROR] = { INBOUND, WORKS_ALWAYS },
	[REASON_DKIM_UNALIGNED] = { INBOUND, WORKS_ALWAYS },
	[REASON_DMARC_FAIL] = { INBOUND, WORKS_ALWAYS },
	[REASON_DMARC_QUARANTINE] = { INBOUND, WORKS_DMARC_POLICY },
	[REASON_DMARC_TEMPERROR] = { INBOUND, WORKS_ALWAYS },
	[REASON_OWN_DOMAIN] = { INBOUND, WORKS_ALWAYS },
	[REASON_MISSING_KEY] = { SENDING, WORKS_KEYS },
	[REASON_SIGNING_FAILURE] = { SENDING, WORKS_KEYS },
	[REASON_BLOCKED] = { SENDING, WORKS_ALWAYS },
	[REASON_OVER] = { SENDING, WORKS_LIMITS },
};

unsigned int
effect_roles(enum reason reason)
{
	return reasons[reason].roles;
}

/* works_of - the row of companions for what was given */
static enum option_works
works_of(const struct option_given *given)
{
	return given->option != NULL ? given->option->works : reasons[given->reason].works;
}

/* roles_of - the roles on which it works */
static unsigned int
roles_of(const struct option_given *given)
{
	unsigned int roles = companions[works_of(given)].roles;

	return given->option != NULL ? roles : roles & reasons[given->reason].roles;
}

/* role_counts - does it work on this listener, as far as its role goes? */
static bool
role_counts(const struct option_given *given, const struct listener *listener)
{
	if ((roles_of(given) & BIT(listener->role)) == 0)
		return false;
	/* mail of role local would stay in maildrop; a tempfail of the whole file is not for it */
	return !(given->option == NULL && listener->role == ROLE_LOCAL &&
	    given->scope == OPTION_SCOPE_FILE && given->action == ACTION_TEMPFAIL &&
	    given->reason != REASON_NO_LISTENER);
}

/* is_about - is it given for this listener? */
static bool
is_about(const struct option_given *given, const struct listener *listener)
{
	return given->scope != OPTION_SCOPE_LISTENER || given->target == listener;
}

/* roles_text - "role inbound", "the roles submission and local" */
static const char *
roles_text(TALLOC_CTX *ctx, unsigned int roles)
{
	char *text = NULL;
	size_t n = 0;

	for (int role = ROLE_SUBMISSION; role <= ROLE_INBOUND; role++) {
		unsigned int later = roles & ~(BIT(role) | (BIT(role) - 1));

		if ((roles & BIT(role)) == 0)
			continue;
		text = n++ == 0 ? mem_strdup(ctx, role_word((enum role)role))
				: mem_check(talloc_asprintf_append(text, "%s%s",
				      later == 0 ? " and " : ", ", role_word((enum role)role)));
	}
	return mem_printf(ctx, "%s %s", n == 1 ? "role" : "the roles", text != NULL ? text : "-");
}

/* note_role - it works on other roles only */
static void
note_role(struct options_reader *reader, const struct option_given *given)
{
	const struct listener *listener = given->target;
	const char *roles = roles_text(reader->ctx, roles_of(given));

	if (given->scope == OPTION_SCOPE_LISTENER)
		options_error_at(reader, given->where,
		    "%s has no effect in listener %s of role %s: it works on %s", given->name,
		    listener->name, role_word(listener->role), roles);
	else if (given->option == NULL && given->action == ACTION_TEMPFAIL &&
	    (roles_of(given) & LOCAL) != 0)
		options_error_at(reader, given->where,
		    "%s = \"tempfail\" has no effect here: it works on %s, and not for mail of role "
		    "local, which would stay in maildrop; write reject or quarantine",
		    given->name, roles);
	else
		options_error_at(reader, given->where,
		    "%s has no effect here: it works on %s, and no listener has such a role",
		    given->name, roles);
}

/* check_given - one option that stands in a file */
static void
check_given(struct options_reader *reader, const struct config *config, const bool *of_accounts,
    const struct option_given *given)
{
	enum option_works works = works_of(given);
	bool has_role = false;

	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener *listener = &config->listeners[i];
		const struct place place = { config, listener, given->target, of_accounts };

		if (!is_about(given, listener) || !role_counts(given, listener))
			continue;
		has_role = true;
		if (companions[works].found == NULL || companions[works].found(&place))
			return;
	}
	if (!has_role)
		note_role(reader, given);
	else
		options_error_at(reader, given->where, "%s has no effect here: %s", given->name,
		    companions[works].cure);
}

void
effect_check(struct options_reader *reader, const struct config *config)
{
	bool *of_accounts = plans_of_accounts(reader->ctx, config);

	for (size_t i = 0; i < reader->n_given; i++)
		check_given(reader, config, of_accounts, &reader->given[i]);
	talloc_free(of_accounts);
}
