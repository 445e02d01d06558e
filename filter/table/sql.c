/*
 * sql.c - what sqlite:, mysql: and pgsql: tables have in common
 *
 * Threads: see workers.h; nothing here is written to after open.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/table/sql.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

struct sql_table {
	const struct rules *rules;
	struct workers *workers;
};

/* old_query - the query that the names of Postfix before 2.2 make, or NULL */
static char *
old_query(TALLOC_CTX *ctx, const struct table_cf *cf, const char **error_r)
{
	const char *function = table_cf_text(cf, "select_function", NULL);
	const char *table, *field, *where;

	if (function != NULL)
		return mem_printf(ctx, "SELECT %s('%%s')", function);
	if (table_cf_text(cf, "select_field", NULL) == NULL) {
		(void)table_cf_need(
		    cf, "query", "SELECT login FROM senders WHERE address = '%s'", error_r);
		return NULL;
	}
	table = table_cf_need(cf, "table", "aliases", error_r);
	field = table_cf_need(cf, "select_field", "login", error_r);
	where = table_cf_need(cf, "where_field", "address", error_r);
	if (*error_r != NULL)
		return NULL;
	return mem_printf(ctx, "SELECT %s FROM %s WHERE %s = '%%s' %s", field, table, where,
	    table_cf_text(cf, "additional_conditions", ""));
}

/* sql_query - the query of a .cf file */
bool
sql_query(TALLOC_CTX *config, struct rules *rules, const struct table_cf *cf,
    const char **query_r, const char **error_r)
{
	const char *query = table_cf_text(cf, "query", "");

	*query_r = query[0] != '\0' ? mem_strdup(config, query) : old_query(config, cf, error_r);
	if (*query_r == NULL)
		return false;
	if (rules_template(config, rules, *query_r, false, error_r))
		return true;
	*error_r = table_cf_error(cf, "query", "query: %s", *error_r);
	return false;
}

/* read_host - unix:/path, inet:host:port, host, host:port, [address]:port, or a URI */
static struct sql_host
read_host(TALLOC_CTX *config, const char *text)
{
	struct sql_host host = { NULL, NULL, NULL };
	char *name, *colon;

	if (strncmp(text, "unix:", 5) == 0) {
		host.socket = mem_strdup(config, text + 5);
		return host;
	}
	if (strncmp(text, "inet:", 5) == 0)
		text += 5;
	host.name = name = mem_strdup(config, text);
	if (strstr(text, "://") != NULL)
		return host;
	colon = strrchr(name, ':');
	if (name[0] == '[' && strchr(name, ']') != NULL) {
		colon = strchr(name, ']')[1] == ':' ? strchr(name, ']') + 1 : NULL;
		*strchr(name, ']') = '\0';
		host.name = name + 1;
	} else if (colon != NULL && strchr(name, ':') != colon) {
		colon = NULL;	/* an IPv6 address without a port */
	}
	if (colon != NULL) {
		*colon = '\0';
		host.port = colon + 1;
	}
	return host;
}

/* sql_hosts - "hosts" of a .cf file */
struct sql_host *
sql_hosts(TALLOC_CTX *config, const struct table_cf *cf, struct worker_servers *servers_r)
{
	const char *text = table_cf_text(cf, "hosts", "");
	struct span rest = text_span(text), item;
	struct sql_host *hosts = NULL, *sorted;
	size_t n = 0, at = 0;

	if (text_trim(rest).len == 0)
		rest = text_span("localhost");
	while (text_list_next(&rest, &item)) {
		hosts = mem_grow(config, hosts, struct sql_host, n + 1);
		hosts[n++] = read_host(config, mem_strndup(config, item.at, item.len));
	}
	*servers_r = (struct worker_servers){ .n = n };
	sorted = mem_array(config, struct sql_host, n);
	for (int local = 1; local >= 0; local--) {
		for (size_t i = 0; i < n; i++)
			if ((hosts[i].socket != NULL) == (local == 1))
				sorted[at++] = hosts[i];
		if (local == 1)
			servers_r->n_local = at;
	}
	return sorted;
}

/* sql_open - the workers of a table whose .cf file is in order */
void *
sql_open(TALLOC_CTX *ctx, const struct sql_type *type, void *config, const struct rules *rules,
    const struct table_env *env, const char *argument, const char **error_r)
{
	struct table_cf *cf = table_cf_load(ctx, argument, error_r);
	struct table_limits limits = env->limits;
	struct worker_servers servers;
	struct sql_table *table = NULL;

	if (cf == NULL) {
		talloc_free(config);
		return NULL;
	}
	*error_r = NULL;
	if (!type->load(config, env, cf, &servers, error_r)) {
		*error_r = mem_strdup(ctx, *error_r);
		talloc_free(config);
	} else {
		table = mem_new(ctx, struct sql_table);
		table->rules = rules;
		table->workers =
		    talloc_steal(table, workers_new(ctx, type->driver, config, &servers, &limits));
	}
	talloc_free(cf);
	return table;
}

/* sql_table_get - "domain" first, then the server */
void
sql_table_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	struct sql_table *table = state;

	answer_r->outcome = rules_admit(ctx, table->rules, key, deadline_ms, &answer_r->error);
	if (answer_r->outcome == TABLE_FOUND)
		workers_ask(table->workers, ctx, key, deadline_ms, answer_r);
}
