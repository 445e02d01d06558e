/*
 * restricted.c - gatherer: may the sender post to this recipient?
 *
 * The tables are asked with addresses, but one recipient can be written in many
 * ways, and some of them only the MTA understands: Postfix takes
 * <announce(x)@example.org>, and both MTAs deliver announce%example.org@example.org
 * to announce. So the MTA's own reading is asked for too ({rcpt_addr}), and what a
 * local part may hold is looked at. Looking up an address too many does no harm:
 * only listed ones are restricted.
 *
 * It reads the snapshot only, so any thread may run it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/message/lookup.h"
#include "filter/message/restricted.h"
#include "policy/base/address.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/sender/identity.h"

#define SPELLINGS_MAX	32	/* addresses looked up for one recipient */
#define PATH_MAX_OCTETS	2048	/* of a path that is looked at */

/* What one recipient may mean. */
struct spellings {
	const char *of[SPELLINGS_MAX];
	size_t n;
};

/* spellings_add - one more address, not twice */
static void
spellings_add(struct spellings *spellings, const char *full)
{
	for (size_t i = 0; i < spellings->n; i++)
		if (strcmp(spellings->of[i], full) == 0)
			return;
	if (spellings->n < SPELLINGS_MAX)
		spellings->of[spellings->n++] = full;
}

/* restricted_add - one more address without its sub-address; one that may be a route also whole, so
 * that what is inside is found */
static void
restricted_add(
    TALLOC_CTX *ctx, const struct config *config, struct spellings *spellings, const char *full)
{
	const char *base = address_base(ctx, full, config->delimiter);

	if (base == NULL || address_may_route(full))
		spellings_add(spellings, full);
	if (base != NULL)
		spellings_add(spellings, base);
}

/* add_path - what a path says; false if it cannot be read */
static bool
add_path(
    TALLOC_CTX *ctx, const struct config *config, struct spellings *spellings, const char *path)
{
	const struct address_rules rules = {
		.fold_local = true,
		.default_domain = config->realm,
	};
	struct address address;

	if (address_parse_path(ctx, path, strnlen(path, PATH_MAX_OCTETS), &rules, &address, NULL) !=
	    ADDRESS_PATH_MAILBOX)
		return false;
	restricted_add(ctx, config, spellings, address.full);
	return true;
}

/* add_inner - what the addresses found so far hold in their local parts, and literals as our own
 * domain */
static void
add_inner(TALLOC_CTX *ctx, const struct config *config, struct spellings *spellings)
{
	for (size_t i = 0; i < spellings->n; i++) {
		const char *inner[ADDRESS_INNER_MAX];
		size_t n = address_inner(ctx, spellings->of[i], inner);
		struct address address;

		for (size_t j = 0; j < n; j++)
			restricted_add(ctx, config, spellings, inner[j]);
		address_split(ctx, spellings->of[i], &address);
		if (domain_is_literal(address.domain) && config->realm != NULL)
			restricted_add(ctx, config, spellings, mem_printf(ctx, "%.*s@%s",
			    (int)(address.domain - address.full - 1), address.full, config->realm));
	}
}

/* restricted_ask - look up one address; false if the account may not post there, or that
 * cannot be told */
static bool
restricted_ask(const struct lookup *lookup, struct facts *facts, const char *address)
{
	const struct config *config = lookup->snapshot->config;
	const char *value = NULL;

	switch (lookup_address(lookup, &config->restricted_tables, address, LOOKUP_ALL, &value)) {
	case TABLE_FOUND:
		if (facts->account != NULL &&
		    identity_list_has(value, facts->account, facts->login, config->realm))
			return true;
		facts->restricted = address;
		return false;
	case TABLE_TEMPERROR:
		facts->lookup_failed = address;
		return false;
	case TABLE_NOT_FOUND:
		break;
	}
	return true;
}

/* restricted_check - ask the tables of restricted_recipients */
void
restricted_check(const struct lookup *lookup, struct facts *facts, const char *path,
    const char *resolved)
{
	const struct config *config = lookup->snapshot->config;
	TALLOC_CTX *ctx = lookup->ctx;
	struct spellings spellings = { .n = 0 };
	bool readable;

	if (config->restricted_tables.n == 0)
		return;
	readable = add_path(ctx, config, &spellings, path);
	if (resolved != NULL && resolved[0] != '\0')
		readable = add_path(ctx, config, &spellings, resolved) || readable;
	if (!readable) {
		facts->restricted = mem_strndup(ctx, path, strnlen(path, PATH_MAX_OCTETS));
		return;
	}
	add_inner(ctx, config, &spellings);
	for (size_t i = 0; i < spellings.n; i++)
		if (!restricted_ask(lookup, facts, spellings.of[i]))
			return;
}
