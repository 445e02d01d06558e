/*
 * rules.h - what the types with templates have in common: templates, domains, results
 *
 * The rules of mysql_table(5), ldap_table(5) and their like: %s, %u, %d and the rest in queries and
 * results, "domain", "expansion_limit", and how several results become one value.
 */
#ifndef FILTER_TABLE_RULES_H
#define FILTER_TABLE_RULES_H

#include "filter/table/cf.h"
#include "filter/table/type.h"

#define RULES_VALUE_MAX	(256 * 1024)	/* octets of one value */

/* What the templates of a table want of key and result; a key that has it not is not found without
 * asking. */
struct rules {
	bool key_user;		/* a local part that is not empty, if there is an @ */
	bool key_domain;
	bool value_user;
	bool value_domain;
	size_t labels;		/* of the key's domain, at least */
	const char *result_format;
	long expansion_limit;	/* 0: none */
	struct rules_domain *domains; /* NULL: any */
	size_t n_domains;
};

/* A value quoted for the language of the query, on ctx; NULL if that is impossible. */
typedef char *rules_quote(void *arg, TALLOC_CTX *ctx, const char *value);

/*
 * rules_template - note what a template wants
 * result: it is for results, else for queries. False and *why_r (on ctx) if it holds an unknown
 * placeholder.
 */
bool rules_template(TALLOC_CTX *ctx, struct rules *rules, const char *template, bool result,
    const char **why_r);

/*
 * rules_load - result_format, domain and expansion_limit of a .cf file; strings on rules_ctx
 * False and *error_r, as load of struct sql_type.
 */
bool rules_load(TALLOC_CTX *rules_ctx, struct rules *rules, const struct table_env *env,
    const struct table_cf *cf, const char **error_r);

/*
 * rules_query - a query template filled in for a key
 * NULL if the key lacks what some template of the table wants (it is then not found), or if
 * quote gave NULL (*bad_r is then set). quote may be NULL.
 */
char *rules_query(TALLOC_CTX *ctx, const struct rules *rules, const char *template, const char *key,
    rules_quote *quote, void *arg, bool *bad_r);

/* rules_admit - may a key be asked for, as far as "domain" goes? TABLE_FOUND: yes; TABLE_TEMPERROR
 * with *error_r on ctx */
enum table_outcome rules_admit(TALLOC_CTX *ctx, const struct rules *rules, const char *key,
    int64_t deadline_ms, const char **error_r);

/* The results of one lookup. */
struct rules_result {
	char *value;		/* on the ctx of rules_add, or NULL */
	long n;			/* that count against expansion_limit */
};

/*
 * rules_add - add one result; at is len octets, NULL for none
 * False and *error_r on ctx if the results must not be used: more than expansion_limit, more
 * than RULES_VALUE_MAX octets, or a NUL, after which the rest would be lost.
 */
bool rules_add(TALLOC_CTX *ctx, const struct rules *rules, struct rules_result *result,
    const char *key, const char *at, size_t len, const char **error_r);

/* rules_value - what was added, or NULL: a key with nothing but empty results is not found */
const char *rules_value(const struct rules_result *result);

#endif
