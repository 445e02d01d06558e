/*
 * open.c - a table by its specification, and the list of types
 *
 * A new type is one file and one row in types[].
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/table/open.h"
#include "filter/table/type.h"
#include "policy/base/mem.h"

struct type_row {
	const char *prefix;
	const struct table_type *type;	/* NULL: this program was built without it */
	const char *package;		/* what would have made the difference */
};

#ifdef HAVE_CDB
#define CDB	&table_cdb
#else
#define CDB	NULL
#endif
#ifdef HAVE_PCRE2
#define PCRE	&table_pcre
#else
#define PCRE	NULL
#endif
#ifdef HAVE_MAXMINDDB
#define MMDB	&table_mmdb
#else
#define MMDB	NULL
#endif
#ifdef HAVE_MYSQL
#define MYSQL_TABLE	&table_mysql
#else
#define MYSQL_TABLE	NULL
#endif
#ifdef HAVE_PGSQL
#define PGSQL	&table_pgsql
#else
#define PGSQL	NULL
#endif
#ifdef HAVE_LDAP
#define LDAP_TABLE	&table_ldap
#else
#define LDAP_TABLE	NULL
#endif

/* The indexed types of Postfix are made from a text file of the same name; that text is read. */
static const struct type_row types[] = {
	{ "texthash", &table_texthash, NULL },
	{ "hash", &table_texthash, NULL },
	{ "btree", &table_texthash, NULL },
	{ "lmdb", &table_texthash, NULL },
	{ "inline", &table_inline, NULL },
	{ "static", &table_static, NULL },
	{ "unionmap", &table_union, NULL },
	{ "pipemap", &table_pipe, NULL },
	{ "cdb", CDB, "libcdb-dev" },
	{ "cidr", &table_cidr, NULL },
	{ "mmdb", MMDB, "libmaxminddb-dev" },
	{ "regexp", &table_regexp, NULL },
	{ "pcre", PCRE, "libpcre2-dev" },
	{ "redis", &table_redis, NULL },
	{ "socketmap", &table_socketmap, NULL },
	{ "sqlite", &table_sqlite, NULL },
	{ "mysql", MYSQL_TABLE, "libmariadb-dev" },
	{ "pgsql", PGSQL, "libpq-dev" },
	{ "ldap", LDAP_TABLE, "libldap-dev" },
};

/* table_types_row_of - the row a specification names, and where its argument begins */
static const struct type_row *
table_types_row_of(const char *spec, const char **argument_r)
{
	const char *colon = strchr(spec, ':');

	if (colon == NULL)
		return NULL;
	*argument_r = colon + 1;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i].prefix) == (size_t)(colon - spec) &&
		    strncmp(types[i].prefix, spec, (size_t)(colon - spec)) == 0)
			return &types[i];
	return NULL;
}

/* table_types - the types this program was built with */
const char *
table_types(TALLOC_CTX *ctx)
{
	char *text = mem_strdup(ctx, "");

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type != NULL)
			text = mem_check(talloc_asprintf_append_buffer(
			    text, "%s%s", text[0] != '\0' ? " " : "", types[i].prefix));
	return text;
}

size_t
table_type_index(const struct table *table)
{
	size_t i = 0;

	while (types[i].type != table_type_of(table))
		i++;
	return i;
}

const char *
table_type_name(size_t index)
{
	return index < sizeof(types) / sizeof(types[0]) ? types[index].prefix : NULL;
}

/* find_type - the type of a specification, or NULL and what to do */
static const struct table_type *
find_type(TALLOC_CTX *ctx, const char *spec, const char **argument_r, const char **error_r)
{
	const struct type_row *row =
	    table_types_row_of(strncmp(spec, "proxy:", 6) == 0 ? spec + 6 : spec, argument_r);

	if (row == NULL)
		*error_r = mem_printf(
		    ctx, "\"%s\" is not a table known here; write texthash:/path/to/file", spec);
	else if (row->type == NULL)
		*error_r = mem_printf(ctx,
		    "\"%s\": this countersign was built without %s tables; install %s and build it "
		    "again",
		    spec, row->prefix, row->package);
	return row != NULL ? row->type : NULL;
}

/* table_open_with - open a table named as in Postfix */
struct table *
table_open_with(
    TALLOC_CTX *ctx, const struct table_env *env, const char *spec, const char **error_r)
{
	const struct table_env standard = { .limits = TABLE_LIMITS_STANDARD };
	struct table_env whole = env != NULL ? *env : standard;
	const char *argument = NULL;
	const struct table_type *type = find_type(ctx, spec, &argument, error_r);

	whole.open = table_open_with;
	return type == NULL ? NULL : table_make(ctx, &whole, type, spec, argument, error_r);
}

/* table_open - the same with nothing besides */
struct table *
table_open(TALLOC_CTX *ctx, const char *spec, const char **error_r)
{
	return table_open_with(ctx, NULL, spec, error_r);
}
