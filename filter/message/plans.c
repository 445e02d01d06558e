/*
 * plans.c - to whom a message is charged, and by which plans
 *
 * A table that cannot answer, or that names a plan nobody wrote, must not make an account
 * unlimited: it is a failed look-up, and on_lookup_failure says what becomes of the message.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/log.h"
#include "filter/message/lookup.h"
#include "filter/message/plans.h"
#include "policy/base/address.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"
#include "policy/base/text.h"

/* What is being asked for. */
struct asking {
	const struct lookup *lookup;
	struct plans *plans;
};

/* plans_ask - one key in a list of tables, an address by its partial keys too; NULL: not found, or
 * failed */
static const char *
plans_ask(const struct asking *a, const struct table_list *list, const char *key, bool by_parts)
{
	const char *value = NULL;
	enum table_outcome outcome;

	if (list->n == 0)
		return NULL;
	if (by_parts && strchr(key, '@') != NULL)
		outcome = lookup_address(a->lookup, list, key, LOOKUP_ALL, &value);
	else
		outcome = lookup_key(a->lookup, list, key, false, &value);
	if (outcome == TABLE_TEMPERROR)
		a->plans->failed = key;
	if (outcome != TABLE_FOUND)
		return NULL;
	struct span trimmed = text_trim(text_span(value));

	return mem_strndup(a->lookup->ctx, trimmed.at, trimmed.len);
}

/* plan_for - the plan of a name of one kind: by its tables, else that of all; *from_r: where it is
 * said */
static const struct plan *
plan_for(const struct asking *a, const struct party_config *party, const char *name, bool by_parts,
    const char **from_r)
{
	const char *value = plans_ask(a, &party->plan_tables, name, by_parts);
	const struct plan *plan;

	if (value == NULL) {
		*from_r = party->plan != NULL ? party->plan_option : "";
		return party->plan;
	}
	*from_r = party->table_option;
	plan = config_find_plan(a->lookup->snapshot->config, value);
	if (plan == NULL) {
		witness_found(a->lookup->witness, "the plans have one of that name", false);
		if (a->lookup->witness == NULL)
			log_warning("%s: the plan \"%.100s\" of %s is not among the plans",
			    party->table_option, value, name);
		a->plans->failed = name;
	}
	return plan;
}

/* is_left_out - is the account no part of such a party's limits? */
static bool
is_left_out(const struct plans *plans, enum quota_subject_kind kind)
{
	return plans->parties[0].kind == QUOTA_ACCOUNT &&
	    quota_left_out(plans->parties[0].plan, kind);
}

/* plans_add - one more party, if it has a plan */
static void
plans_add(const struct asking *a, enum quota_subject_kind kind, const char *name,
    const struct plan *plan, const char *from)
{
	struct plans *plans = a->plans;

	if (plans->n > 0 && (plan == NULL || is_left_out(plans, kind)))
		return;
	plans->parties[plans->n] = (struct quota_party){ .kind = kind,
		.name = name,
		.plan = plan,
		.on_over = plan != NULL ? plan->on_over : ACTION_ACCEPT };
	plans->from[plans->n++] = from;
}

/* add_account - the account itself */
static void
add_account(const struct asking *a, const char *name)
{
	const struct config *config = a->lookup->snapshot->config;
	const struct account *account = config_account(config, name);
	const struct plan *plan;
	const char *from;

	if (account != NULL && account->plan != NULL) {
		plan = account->plan;
		from = account->plan_from;
	} else
		plan = plan_for(a, &config->assign.account, name, true, &from);
	plans_add(a, QUOTA_ACCOUNT, name, plan, from);
}

/* add_group - the pool of an account, the network of a client */
static void
add_group(const struct asking *a, enum quota_subject_kind kind, const struct party_config *party,
    const char *member)
{
	const char *name = plans_ask(a, &party->of_tables, member, kind == QUOTA_POOL);
	const struct plan *plan;
	const char *from;

	if (name == NULL || name[0] == '\0')
		return;
	if (kind == QUOTA_POOL)
		a->plans->pool = name;
	else
		a->plans->network = name;
	plan = plan_for(a, party, name, false, &from);
	plans_add(a, kind, name, plan, from);
}

/* plans_assign - find the parties of an account and a client */
void
plans_assign(const struct lookup *lookup, const char *account, const char *client,
    struct plans *plans_r)
{
	const struct plans_config *assign = &lookup->snapshot->config->assign;
	const struct asking a = { .lookup = lookup, .plans = plans_r };
	const char *domain = strrchr(account, '@'), *from;
	const struct plan *plan;

	memset(plans_r, 0, sizeof(*plans_r));
	add_account(&a, account);
	if (domain != NULL && domain[1] != '\0') {
		plan = plan_for(&a, &assign->domain, domain + 1, false, &from);
		plans_add(&a, QUOTA_DOMAIN, domain + 1, plan, from);
	}
	add_group(&a, QUOTA_POOL, &assign->pool, account);
	if (client != NULL)
		add_group(&a, QUOTA_NETWORK, &assign->network, client);
}

/* plans_network - the name of the network that an operator means: by a client's address, perhaps in
 * brackets, by a block of addresses, or as it is; NULL, and why, if no network has the address */
static const char *
plans_network(const struct asking *a, const char *name, const char **error_r)
{
	size_t len = strlen(name);
	bool bracketed = len > 2 && name[0] == '[' && name[len - 1] == ']';
	const char *written = bracketed ? mem_strndup(a->lookup->ctx, name + 1, len - 2) : name;
	const char *client, *found, *ignored;
	struct netblock block;
	struct ip_address ip;

	if (!ip_address_parse(written, &ip)) {
		if (!netblock_parse(a->lookup->ctx, written, &block, &ignored))
			return name;
		ip = block.network;
	}
	client = ip_address_text(a->lookup->ctx, &ip);
	found = plans_ask(a, &a->lookup->snapshot->config->assign.network.of_tables, client, false);
	if (found == NULL || found[0] == '\0')
		*error_r = mem_printf(a->lookup->ctx, "network_of has no network for %s", client);
	return found == NULL || found[0] == '\0' ? NULL : found;
}

/* plans_domain - the parties of a domain: itself, and the pool that its counters are kept with */
static int
plans_domain(const struct asking *a, const char *text, const char **error_r)
{
	const struct plans_config *assign = &a->lookup->snapshot->config->assign;
	const char *from, *pool, *why = NULL;
	const char *name = domain_normalise(a->lookup->ctx, text, strlen(text), &why);
	const struct plan *plan;

	if (name == NULL) {
		*error_r = mem_printf(a->lookup->ctx, "\"%.100s\" is not a domain: %s", text, why);
		return -1;
	}
	plan = plan_for(a, &assign->domain, name, false, &from);
	plans_add(a, QUOTA_DOMAIN, name, plan, from);
	pool = plans_ask(a, &assign->pool.of_tables, mem_printf(a->lookup->ctx, "@%s", name), false);
	if (pool == NULL || pool[0] == '\0')
		return 0;
	a->plans->pool = pool;
	plan = plan_for(a, &assign->pool, pool, false, &from);
	plans_add(a, QUOTA_POOL, pool, plan, from);
	return 0;
}

/* plans_of_owner - the parties of whose limits an operator means */
static int
plans_of_owner(const struct asking *a, enum quota_subject_kind kind, const char *name,
    const char **error_r)
{
	const struct plans_config *assign = &a->lookup->snapshot->config->assign;
	const struct plan *plan;
	const char *from;

	memset(a->plans, 0, sizeof(*a->plans));
	if (kind == QUOTA_ACCOUNT) {
		plans_assign(a->lookup, name, NULL, a->plans);
		return 0;
	}
	if (name[0] == '\0') {
		*error_r = mem_printf(
		    a->lookup->ctx, "the name of the %s is missing", quota_kind_word(kind));
		return -1;
	}
	if (kind == QUOTA_DOMAIN)
		return plans_domain(a, name, error_r);
	if (kind == QUOTA_NETWORK)
		name = plans_network(a, name, error_r);
	if (name == NULL)
		return -1;
	plan = plan_for(
	    a, kind == QUOTA_POOL ? &assign->pool : &assign->network, name, false, &from);
	plans_add(a, kind, name, plan, from);
	return 0;
}

/* plans_counters - what a message would ask of the store */
struct quota_plan *
plans_counters(TALLOC_CTX *ctx, const struct snapshot *snapshot, enum quota_subject_kind kind,
    const char *name, int64_t deadline_ms, struct plans *plans_r, const char **error_r)
{
	static const struct quota_cost one = { .messages = 1, .recipients = 1, .bytes = 1 };
	struct plans own, *plans = plans_r != NULL ? plans_r : &own;
	const struct lookup lookup = { ctx, snapshot, deadline_ms, NULL, NULL };
	const struct asking a = { .lookup = &lookup, .plans = plans };

	if (plans_of_owner(&a, kind, name, error_r) != 0)
		return NULL;
	if (plans->failed != NULL) {
		*error_r = mem_printf(
		    ctx, "the plan of %s cannot be determined; see the log for the cause",
		    plans->failed);
		return NULL;
	}
	return quota_plan_of(ctx, plans->parties, plans->n, &one, false, NULL);
}

/* plans_is_named - does the configuration name the first party? */
bool
plans_is_named(const struct snapshot *snapshot, const struct plans *plans)
{
	const struct plans_config *assign = &snapshot->config->assign;
	const struct quota_party *party = &plans->parties[0];
	const struct party_config *by = party->kind == QUOTA_ACCOUNT ? &assign->account
	    : party->kind == QUOTA_DOMAIN ? &assign->domain
	    : party->kind == QUOTA_POOL	  ? &assign->pool
					  : &assign->network;

	if (party->kind == QUOTA_ACCOUNT && config_account(snapshot->config, party->name) != NULL)
		return true;
	return party->plan != NULL && plans->from[0] == by->table_option;
}

/* plans_is_known - does the configuration name the first party, or its domain? */
bool
plans_is_known(const struct snapshot *snapshot, const struct plans *plans)
{
	const struct config *config = snapshot->config;
	const struct quota_party *party = &plans->parties[0];
	const char *at = party->kind == QUOTA_ACCOUNT ? strrchr(party->name, '@') : NULL;

	return plans_is_named(snapshot, plans) ||
	    (at != NULL && (config_has_domain(config, at + 1) ||
	    (config->realm != NULL && strcmp(config->realm, at + 1) == 0)));
}

/* plans_base - an account without its sub-address */
const char *
plans_base(TALLOC_CTX *ctx, const struct snapshot *snapshot, const char *account)
{
	return address_base(ctx, account, snapshot->config->delimiter);
}
