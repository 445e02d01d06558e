/*
 * table.c - a table by its specification, and the list of types
 *
 * A new type is one file and one row in types[]. Tables are read-only after
 * open, so lookups need no lock; types with connections keep their own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/table.h"
#include "policy/mem.h"

struct table {
	const struct table_type *type;
	void *state;
	const char *spec;
};

struct type_row {
	const char *prefix;
	const struct table_type *type;
};

/* The indexed types of Postfix are made from a text file of the same name; that text is read. */
static const struct type_row types[] = {
	{ "texthash", &table_texthash },
	{ "hash", &table_texthash },
	{ "btree", &table_texthash },
	{ "lmdb", &table_texthash },
	{ "inline", &table_inline },
	{ "cidr", &table_cidr },
};

/* type_of - the type a specification names, and where its argument begins */
static const struct table_type *
type_of(const char *spec, const char **argument_r)
{
	const char *colon = strchr(spec, ':');

	if (colon == NULL)
		return NULL;
	*argument_r = colon + 1;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i].prefix) == (size_t)(colon - spec) &&
		    strncmp(types[i].prefix, spec, (size_t)(colon - spec)) == 0)
			return types[i].type;
	return NULL;
}

/* table_open - open a table named as in Postfix */
struct table *
table_open(TALLOC_CTX *ctx, const char *spec, const char **error_r)
{
	struct table *table = mem_new(ctx, struct table);
	const char *bare = strncmp(spec, "proxy:", 6) == 0 ? spec + 6 : spec;
	const char *argument = NULL;

	table->spec = mem_strdup(table, spec);
	table->type = type_of(bare, &argument);
	if (table->type == NULL) {
		*error_r = mem_printf(ctx, "\"%s\" is no table known here; write texthash:/path/to/file",
		    spec);
		talloc_free(table);
		return NULL;
	}
	table->state = table->type->open(table, argument, error_r);
	if (table->state == NULL) {
		talloc_steal(ctx, *error_r);
		talloc_free(table);
		return NULL;
	}
	return table;
}

/* table_spec - the specification it was opened with */
const char *
table_spec(const struct table *table)
{
	return table->spec;
}

/* table_get - look up one key */
enum table_outcome
table_get(const struct table *table, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    const char **value_r, const char **error_r)
{
	return table->type->get(table->state, ctx, key, deadline_ms, value_r, error_r);
}
