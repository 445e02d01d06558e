/*
 * sql.h - what sqlite:, mysql:, pgsql: and, but for queries, ldap: tables have in common
 */
#ifndef FILTER_TABLE_SQL_H
#define FILTER_TABLE_SQL_H

#include "filter/table/rules.h"
#include "filter/table/workers.h"

/*
 * sql_query - the query of a .cf file, or the one that its older names make: select_function
 * (pgsql), or select_field, table, where_field and additional_conditions. The query is on config;
 * its needs are noted in rules. False and *error_r, as load of struct sql_type.
 */
bool sql_query(TALLOC_CTX *config, struct rules *rules, const struct table_cf *cf,
    const char **query_r, const char **error_r);

/* One of "hosts". */
struct sql_host {
	const char *socket;	/* of a unix socket, or NULL */
	const char *name;	/* else the host, or a URI whole */
	const char *port;	/* or NULL: the type's own */
};

/*
 * sql_hosts - "hosts" of a .cf file on config, unix sockets first; "localhost" if there are none
 * Fills servers_r.
 */
struct sql_host *sql_hosts(
    TALLOC_CTX *config, const struct table_cf *cf, struct worker_servers *servers_r);

/* What a type with a server adds. config: a talloc chunk, the driver's argument; rules: within
 * it. */
struct sql_type {
	const struct worker_driver *driver;
	/*
	 * Fills config from the .cf file and *servers_r. False and *error_r, which is NULL before;
	 * it may lie on cf or config: sql_open() copies it and frees both.
	 */
	bool (*load)(void *config, const struct table_env *env, const struct table_cf *cf,
	    struct worker_servers *servers_r, const char **error_r);
};

/*
 * sql_open - what open of struct table_type does, with a fresh config and the rules within it. For
 * ldap:, too. config is the table's from here on, even if the result is NULL, with *error_r on
 * ctx.
 */
void *sql_open(TALLOC_CTX *ctx, const struct sql_type *type, void *config,
    const struct rules *rules, const struct table_env *env, const char *argument,
    const char **error_r);

/* sql_table_get - get of struct table_type: "domain" first, then the server. For ldap:, too. */
void sql_table_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r);

#endif
