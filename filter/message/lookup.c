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
#include "policy/sender/identity.h"

/* lookup_ask - ask one table for one spelling of a key */
static enum table_outcome
lookup_ask(TALLOC_CTX *ctx, struct table *table, const char *key, bool partial, int64_t deadline_ms,
    const char **value_r)
{
	const char *error = NULL;
	enum table_outcome outcome = (partial ? table_get_partial : table_get)(
	    table, ctx, key, deadline_ms, value_r, &error);

	if (outcome == TABLE_TEMPERROR)
		table_log_failure(table, error);
	return outcome;
}

/* lookup_key - ask the tables of a list in turn */
enum table_outcome
lookup_key(TALLOC_CTX *ctx, const struct snapshot *snapshot, const struct table_list *list,
    const char *key, bool partial, int64_t deadline_ms, const char **value_r)
{
	const char *unicode = list->n > 0 ? identity_key_unicode(ctx, key) : NULL;
	enum table_outcome outcome = TABLE_NOT_FOUND;

	for (size_t i = 0; i < list->n && outcome == TABLE_NOT_FOUND; i++) {
		struct table *table = snapshot->tables[list->indexes[i]];

		outcome = lookup_ask(ctx, table, key, partial, deadline_ms, value_r);
		if (outcome == TABLE_NOT_FOUND && unicode != NULL)
			outcome = lookup_ask(ctx, table, unicode, partial, deadline_ms, value_r);
	}
	return outcome;
}

/* lookup_address - the same for an address and its partial keys */
enum table_outcome
lookup_address(TALLOC_CTX *ctx, const struct snapshot *snapshot, const struct table_list *list,
    const char *address, enum lookup_keys which, int64_t deadline_ms, const char **value_r)
{
	const struct config *config = snapshot->config;
	struct identity_key keys[IDENTITY_KEYS_MAX];
	size_t n = identity_owner_keys(ctx, address, config->delimiter, config->realm, keys);
	enum table_outcome outcome = TABLE_NOT_FOUND;

	for (size_t i = 0; i < n && outcome == TABLE_NOT_FOUND; i++)
		if (keys[i].whole || which == LOOKUP_ALL ||
		    (which == LOOKUP_MAILBOX && keys[i].text[0] != '@'))
			outcome = lookup_key(ctx, snapshot, list, keys[i].text, !keys[i].whole,
			    deadline_ms, value_r);
	return outcome;
}
