/*
 * lookup.c - one key in a list of tables
 *
 * Which keys an address has is policy/sender/identity.c's to know. Reads the snapshot
 * only, so any thread may run it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/message/lookup.h"
#include "filter/table/open.h"
#include "policy/sender/identity.h"

/* lookup_ask - ask one table for one spelling of a key */
static enum table_outcome
lookup_ask(const struct lookup *lookup, struct table *table, const char *key, bool partial,
    const char **value_r)
{
	const char *error = NULL;
	enum table_outcome outcome = (partial ? table_get_partial : table_get)(
	    table, lookup->ctx, key, lookup->deadline_ms, value_r, &error);

	if (lookup->witness != NULL)
		witness_lookup(lookup->witness, table_spec(table), key, outcome,
		    outcome == TABLE_FOUND ? *value_r : error);
	else if (outcome == TABLE_TEMPERROR)
		table_log_failure(table, error);
	if (lookup->figures != NULL)
		figures_count(&lookup->figures->tables[table_type_index(table)][outcome]);
	return outcome;
}

/* lookup_key - ask the tables of a list in turn */
enum table_outcome
lookup_key(const struct lookup *lookup, const struct table_list *list, const char *key,
    bool partial, const char **value_r)
{
	const char *unicode = list->n > 0 ? identity_key_unicode(lookup->ctx, key) : NULL;
	enum table_outcome outcome = TABLE_NOT_FOUND;

	for (size_t i = 0; i < list->n && outcome == TABLE_NOT_FOUND; i++) {
		struct table *table = lookup->snapshot->tables[list->indexes[i]];

		outcome = lookup_ask(lookup, table, key, partial, value_r);
		if (outcome == TABLE_NOT_FOUND && unicode != NULL)
			outcome = lookup_ask(lookup, table, unicode, partial, value_r);
	}
	return outcome;
}

/* lookup_address - the same for an address and its partial keys */
enum table_outcome
lookup_address(const struct lookup *lookup, const struct table_list *list, const char *address,
    enum lookup_keys which, const char **value_r)
{
	const struct config *config = lookup->snapshot->config;
	struct identity_key keys[IDENTITY_KEYS_MAX];
	size_t n = identity_owner_keys(
	    lookup->ctx, address, config->delimiter, config->realm, keys);
	enum table_outcome outcome = TABLE_NOT_FOUND;

	for (size_t i = 0; i < n && outcome == TABLE_NOT_FOUND; i++)
		if (keys[i].whole || which == LOOKUP_ALL ||
		    (which == LOOKUP_MAILBOX && keys[i].text[0] != '@'))
			outcome = lookup_key(lookup, list, keys[i].text, !keys[i].whole, value_r);
	return outcome;
}
