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

/* lookup_key - ask the tables of a list in turn */
enum table_outcome
lookup_key(TALLOC_CTX *ctx, const struct snapshot *snapshot, const struct table_list *list,
    const char *key, int64_t deadline_ms, const char **value_r)
{
	for (size_t i = 0; i < list->n; i++) {
		struct table *table = snapshot->tables[list->indexes[i]];
		const char *error = NULL;
		enum table_outcome outcome =
		    table_get(table, ctx, key, deadline_ms, value_r, &error);

		if (outcome == TABLE_TEMPERROR)
			table_log_failure(table, error);
		if (outcome != TABLE_NOT_FOUND)
			return outcome;
	}
	return TABLE_NOT_FOUND;
}

/* lookup_address - the same for an address and its partial keys */
enum table_outcome
lookup_address(TALLOC_CTX *ctx, const struct snapshot *snapshot, const struct table_list *list,
    const char *address, int64_t deadline_ms, const char **value_r)
{
	const struct config *config = snapshot->config;
	const char *keys[IDENTITY_KEYS_MAX];
	size_t n = identity_owner_keys(ctx, address, config->delimiter, config->realm, keys);

	for (size_t i = 0; i < n; i++) {
		enum table_outcome outcome =
		    lookup_key(ctx, snapshot, list, keys[i], deadline_ms, value_r);

		if (outcome != TABLE_NOT_FOUND)
			return outcome;
	}
	return TABLE_NOT_FOUND;
}
