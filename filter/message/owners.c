/*
 * owners.c - gatherer: does the account own the addresses the message claims?
 *
 * The rules (which keys, what a value means) are policy/sender/identity.c's; this
 * asks the tables. It reads the snapshot only, so any thread may run it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/message/lookup.h"
#include "filter/message/owners.h"
#include "policy/base/address.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/sender/identity.h"

/* saw - report to a witness what was looked at; returns it */
static bool
saw(const struct lookup *lookup, const char *what, bool found)
{
	witness_found(lookup->witness, what, found);
	return found;
}

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

/* by_tables - what the owners tables say of an address */
static enum ownership
by_tables(const struct lookup *lookup, const struct listener *listener, const struct facts *facts,
    const char *address)
{
	const char *value = NULL;

	switch (lookup_address(lookup, &listener->owner_tables, address,
	    address_is_plain(address) ? LOOKUP_ALL : LOOKUP_WHOLE, &value)) {
	case TABLE_FOUND:
		return identity_list_has(
			   value, facts->account, facts->login, lookup->snapshot->config->realm)
		    ? OWNED_YES
		    : OWNED_NO;
	case TABLE_TEMPERROR:
		return OWNED_TEMPERROR;
	case TABLE_NOT_FOUND:
		break;
	}
	return OWNED_NO;
}

/* owners_has_domain - the realm, a domain we sign for, or one that the configuration or a table
 * names */
bool
owners_has_domain(
    const struct lookup *lookup, const struct listener *listener, const char *domain)
{
	const struct snapshot *snapshot = lookup->snapshot;
	const struct config *config = snapshot->config;
	const char *value = NULL;

	if ((config->realm != NULL && domain_equal(domain, config->realm)) ||
	    (snapshot->signers != NULL && signers_know(snapshot->signers, domain)))
		return true;
	if (config_has_domain(config, domain))
		return true;
	/* a table that cannot answer has made the claim TEMPERROR before it gets here */
	return lookup_key(lookup, &listener->owner_tables, mem_printf(lookup->ctx, "@%s", domain),
	    true, &value) == TABLE_FOUND;
}

/* is_own_name - is the address the account's name, or that of its login? */
static bool
is_own_name(TALLOC_CTX *ctx, const struct config *config, const struct facts *facts,
    const char *address)
{
	const char *login = facts->login == NULL ? NULL :
	    identity_account(ctx, facts->login, config->realm, NULL);

	return identity_owns_itself(facts->account, address, config->delimiter) ||
	    (login != NULL && identity_owns_itself(login, address, config->delimiter));
}

/* by_mailboxes - is it the login's own name, and a mailbox? */
static enum ownership
by_mailboxes(const struct lookup *lookup, const struct listener *listener,
    const struct facts *facts, const char *address)
{
	const char *value = NULL;

	if (!saw(lookup, "the address is the login's own name",
		is_own_name(lookup->ctx, lookup->snapshot->config, facts, address)))
		return OWNED_NO;
	switch (lookup_address(
	    lookup, &listener->mailbox_tables, address, LOOKUP_MAILBOX, &value)) {
	case TABLE_FOUND:
		return OWNED_YES;
	case TABLE_TEMPERROR:
		return OWNED_TEMPERROR;
	case TABLE_NOT_FOUND:
		break;
	}
	return OWNED_NO;
}

/* own_of - whose is this address? */
static enum ownership
own_of(const struct lookup *lookup, const struct listener *listener, const struct facts *facts,
    const char *address)
{
	const struct config *config = lookup->snapshot->config;
	bool tables = listener->owner_tables.n > 0 || listener->mailbox_tables.n > 0;
	enum ownership owned, mailbox;

	if (saw(lookup, "the owns list of the account", listed(config, facts, address)))
		return OWNED_YES;
	/* With tables, what a login owns is theirs to say, as in Postfix. Mail without
	 * login has an address for its account, and that is its own. */
	if ((!tables || facts->role != ROLE_SUBMISSION) &&
	    saw(lookup, "the address is the account's own name",
		identity_owns_itself(facts->account, address, config->delimiter)))
		return OWNED_YES;
	if (listener->own_self &&
	    saw(lookup, "\"self\" in owners: the address is the login's own name",
		is_own_name(lookup->ctx, config, facts, address)))
		return OWNED_YES;
	owned = by_tables(lookup, listener, facts, address);
	if (owned == OWNED_YES || listener->mailbox_tables.n == 0)
		return owned;
	mailbox = by_mailboxes(lookup, listener, facts, address);
	return mailbox == OWNED_NO ? owned : mailbox;
}

/* owners_check - fill `owned` of the claims */
void
owners_check(const struct lookup *lookup, const struct listener *listener,
    const struct facts *facts, struct claim *claims, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		witness_topic(
		    lookup->witness, witness_place(claims[i].place), claims[i].address);
		claims[i].owned = own_of(lookup, listener, facts, claims[i].address);
		if (claims[i].owned == OWNED_NO && claims[i].place == CLAIM_FROM &&
		    !owners_has_domain(lookup, listener, claims[i].domain))
			claims[i].owned = OWNED_NO_DOMAIN;
	}
}
