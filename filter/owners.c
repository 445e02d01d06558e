/*
 * owners.c - gatherer: does the account own the addresses the message claims?
 *
 * The rules (which keys, what a value means) are policy/identity.c's; this
 * asks the tables. It reads the snapshot only, so any thread may run it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/log.h"
#include "filter/owners.h"
#include "policy/identity.h"

/* listed - does the account's owns list cover the address? */
static bool
listed(const struct config *config, const struct facts *facts, const char *address)
{
	const struct account *account = config_account(config, facts->account);

	for (size_t i = 0; account != NULL && i < account->owns.n; i++)
		if (identity_pattern_matches(&account->patterns[i], address, config->delimiter))
			return true;
	return false;
}

/* ask_tables - one key in every table of the listener; falls through on "not found" only */
static enum table_outcome
ask_tables(TALLOC_CTX *ctx, const struct snapshot *snapshot, const struct listener *listener,
    const char *key, int64_t deadline_ms, const char **value_r)
{
	for (size_t i = 0; i < listener->n_owner_tables; i++) {
		const struct table *table = snapshot->tables[listener->owner_tables[i]];
		const char *error = NULL;
		enum table_outcome outcome = table_get(table, ctx, key, deadline_ms, value_r, &error);

		if (outcome == TABLE_TEMPERROR)
			log_warning("table %s cannot be read: %s", table_spec(table),
			    error != NULL ? error : "no reason given");
		if (outcome != TABLE_NOT_FOUND)
			return outcome;
	}
	return TABLE_NOT_FOUND;
}

/* by_tables - what the owners tables say of an address */
static enum ownership
by_tables(TALLOC_CTX *ctx, const struct snapshot *snapshot, const struct listener *listener,
    const struct facts *facts, const char *address, int64_t deadline_ms)
{
	const struct config *config = snapshot->config;
	const char *keys[IDENTITY_KEYS_MAX];
	size_t n = identity_owner_keys(ctx, address, config->delimiter, config->realm, keys);

	for (size_t i = 0; i < n; i++) {
		const char *value = NULL;

		switch (ask_tables(ctx, snapshot, listener, keys[i], deadline_ms, &value)) {
		case TABLE_FOUND:
			return identity_list_has(value, facts->account, facts->login, config->realm) ?
			    OWNED_YES : OWNED_NO;
		case TABLE_TEMPERROR:
			return OWNED_TEMPERROR;
		case TABLE_NOT_FOUND:
			break;
		}
	}
	return OWNED_NO;
}

/* own_of - whose is this address? */
static enum ownership
own_of(TALLOC_CTX *ctx, const struct snapshot *snapshot, const struct listener *listener,
    const struct facts *facts, const char *address, int64_t deadline_ms)
{
	const struct config *config = snapshot->config;

	if (listed(config, facts, address))
		return OWNED_YES;
	/* With tables, what a login owns is theirs to say, as in Postfix. Mail without
	 * login has an address for its account, and that is its own. */
	if ((listener->n_owner_tables == 0 || facts->role != ROLE_SUBMISSION) &&
	    identity_owns_itself(facts->account, address, config->delimiter))
		return OWNED_YES;
	if (listener->n_owner_tables == 0)
		return OWNED_NO;
	return by_tables(ctx, snapshot, listener, facts, address, deadline_ms);
}

/* owners_check - fill `owned` of the claims */
void
owners_check(TALLOC_CTX *ctx, const struct snapshot *snapshot, const struct listener *listener,
    const struct facts *facts, struct claim *claims, size_t n, int64_t deadline_ms)
{
	for (size_t i = 0; i < n; i++)
		claims[i].owned = own_of(ctx, snapshot, listener, facts, claims[i].address, deadline_ms);
}
