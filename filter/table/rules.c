/*
 * rules.c - what the types with templates have in common
 *
 * An admin's .cf files must mean here what they mean to Postfix, so this follows its manual and, in
 * the corners, what its programs do: the tests compare. Keys that lack a part that some template of
 * the table uses are not asked for at all. Empty results are passed over. Several become one list
 * with commas.
 *
 * Two things are stricter. A value with a NUL is an error instead of being cut there, and a value
 * has a greatest length.
 *
 * Threads: rules are read-only once loaded.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/table/lines.h"
#include "filter/table/rules.h"
#include "filter/table/table.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

/* One entry of "domain". */
struct rules_domain {
	const char *name;	/* or NULL: the table */
	struct table *table;
	bool negated;
};

/* --- templates --- */

/* rules_template - note what a template wants */
bool
rules_template(
    TALLOC_CTX *ctx, struct rules *rules, const char *template, bool result, const char **why_r)
{
	for (const char *p = template; *p != '\0'; p++) {
		if (*p != '%')
			continue;
		switch (*++p) {
		case '%':
		case 's':
		case 'S':
			break;
		case 'u':
			*(result ? &rules->value_user : &rules->key_user) = true;
			break;
		case 'd':
			*(result ? &rules->value_domain : &rules->key_domain) = true;
			break;
		case 'U':
			rules->key_user = true;
			break;
		case '1':
		case '2':
		case '3':
		case '4':
		case '5':
		case '6':
		case '7':
		case '8':
		case '9':
			if (rules->labels < (size_t)(*p - '0'))
				rules->labels = (size_t)(*p - '0');
			rules->key_domain = true;
			break;
		case 'D':
			rules->key_domain = true;
			break;
		default:
			*why_r = mem_printf(ctx,
			    "\"%.10s\" is not a placeholder; known are %%s %%u %%d %%S %%U %%D %%1 "
			    "to %%9, and %%%% for a percent sign",
			    p - 1);
			return false;
		}
	}
	return true;
}

/* An address cut at its last @. */
struct cut {
	const char *whole;
	struct span user;	/* all of it if there is no @ */
	const char *domain;	/* NULL if there is no @ */
};

static struct cut
cut_address(const char *address)
{
	const char *at = strrchr(address, '@');

	if (at == NULL)
		return (struct cut){ address, text_span(address), NULL };
	return (struct cut){ address, text_span_of(address, (size_t)(at - address)), at + 1 };
}

/* has_parts - does an address have what templates want of it? */
static bool
has_parts(const struct cut *cut, bool user, bool domain)
{
	if (domain && (cut->domain == NULL || cut->domain[0] == '\0'))
		return false;
	return !user || cut->domain == NULL || cut->user.len > 0;
}

/* label - the nth label of a domain from its end, n from 1; empty ones do not count */
static struct span
label(const char *domain, size_t n)
{
	const char *end = domain + strlen(domain);

	for (;;) {
		const char *start;

		while (end > domain && end[-1] == '.')
			end--;
		start = end;
		while (start > domain && start[-1] != '.')
			start--;
		if (start == end || --n == 0)
			return text_span_of(start, (size_t)(end - start));
		end = start;
	}
}

/* A template being filled in. */
struct filling {
	const struct cut *value;
	const struct cut *key;
	rules_quote *quote;
	void *arg;
	bool bad;
};

/* part - the text that a placeholder stands for */
static struct span
part(const struct filling *filling, char letter)
{
	switch (letter) {
	case '%':
		return text_span("%");
	case 's':
		return text_span(filling->value->whole);
	case 'u':
		return filling->value->user;
	case 'd':
		return text_span(filling->value->domain);
	case 'S':
		return text_span(filling->key->whole);
	case 'U':
		return filling->key->user;
	case 'D':
		return text_span(filling->key->domain);
	default:
		return label(filling->key->domain, (size_t)(letter - '0'));
	}
}

/* rules_append - add a part to out, quoted */
static char *
rules_append(struct filling *filling, char *out, struct span text, bool literal)
{
	char *copy, *quoted;

	if (literal || filling->quote == NULL)
		return mem_check(talloc_strndup_append_buffer(out, text.at, text.len));
	copy = mem_strndup(out, text.at, text.len);
	quoted = filling->quote(filling->arg, out, copy);
	filling->bad |= quoted == NULL;
	if (quoted != NULL)
		out = mem_check(talloc_strdup_append_buffer(out, quoted));
	talloc_free(quoted);
	talloc_free(copy);
	return out;
}

/* rules_fill - a template with its parts, after what out holds */
static char *
rules_fill(struct filling *filling, char *out, const char *template)
{
	for (const char *p = template; *p != '\0'; p++) {
		size_t len = strcspn(p, "%");

		out = rules_append(filling, out, text_span_of(p, len), true);
		p += len;
		if (*p == '\0')
			break;
		p++;
		out = rules_append(filling, out, part(filling, *p), *p == '%');
	}
	return out;
}

/* key_fits - does a key have what all templates of the table want? */
static bool
key_fits(const struct rules *rules, const struct cut *key)
{
	return key->whole[0] != '\0' && has_parts(key, rules->key_user, rules->key_domain) &&
	    (rules->labels == 0 || label(key->domain, rules->labels).len > 0);
}

/* rules_query - a query template filled in for a key */
char *
rules_query(TALLOC_CTX *ctx, const struct rules *rules, const char *template, const char *key,
    rules_quote *quote, void *arg, bool *bad_r)
{
	struct cut cut = cut_address(key);
	struct filling filling = { &cut, &cut, quote, arg, false };
	char *query;

	*bad_r = false;
	if (!key_fits(rules, &cut))
		return NULL;
	query = rules_fill(&filling, mem_strdup(ctx, ""), template);
	*bad_r = filling.bad;
	return filling.bad ? NULL : query;
}

/* --- results --- */

/* rules_add - add one result */
bool
rules_add(TALLOC_CTX *ctx, const struct rules *rules, struct rules_result *result, const char *key,
    const char *at, size_t len, const char **error_r)
{
	struct cut value, key_cut = cut_address(key);
	struct filling filling = { &value, &key_cut, NULL, NULL, false };

	if (at == NULL || len == 0)
		return true;
	if (memchr(at, '\0', len) != NULL) {
		*error_r = "a result holds a NUL";
		return false;
	}
	value = cut_address(mem_strndup(ctx, at, len));
	if (!has_parts(&value, rules->value_user, rules->value_domain) ||
	    !key_fits(rules, &key_cut))
		return true;
	if (rules->expansion_limit > 0 && ++result->n > rules->expansion_limit) {
		*error_r = mem_printf(ctx, "there are more results than expansion_limit = %ld",
		    rules->expansion_limit);
		return false;
	}
	result->value = result->value == NULL ? mem_strdup(ctx, "")
	    : result->value[0] == '\0'        ? result->value
				       : mem_check(talloc_strdup_append_buffer(result->value, ","));
	result->value = rules_fill(&filling, result->value, rules->result_format);
	if (talloc_get_size(result->value) <= RULES_VALUE_MAX)
		return true;
	*error_r = mem_printf(ctx, "the results are longer than %d bytes", RULES_VALUE_MAX);
	return false;
}

/* --- domain --- */

/* What reading "domain" needs. */
struct domain_list {
	TALLOC_CTX *ctx;	/* of the rules */
	struct rules *rules;
	const struct table_env *env;
	unsigned int depth;	/* files within files */
};

static bool add_domains(
    struct domain_list *list, const char *text, bool negated, const char **why_r);

/* take_domains - a line of a file of domains */
static bool
take_domains(void *arg, char *text, unsigned int line, const char **why_r)
{
	(void)line;
	return add_domains(arg, text, false, why_r);
}

/* is_sql - tables whose .cf files could name one another in a circle */
static bool
is_sql(const char *spec)
{
	static const char *const types[] = { "sqlite:", "mysql:", "pgsql:", "ldap:" };

	spec += strncmp(spec, "proxy:", 6) == 0 ? 6 : 0;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strncmp(spec, types[i], strlen(types[i])) == 0)
			return true;
	return false;
}

/* rules_add_domain - a name, a file of names, or a table */
static bool
rules_add_domain(struct domain_list *list, char *word, bool negated, const char **why_r)
{
	struct rules *rules = list->rules;
	struct rules_domain entry = { NULL, NULL, negated };

	if (word[0] == '!') {
		return rules_add_domain(list, word + 1, !negated, why_r);
	} else if (word[0] == '/') {
		bool good;

		if (list->depth == 4) {
			*why_r = "domain names files within files within files";
			return false;
		}
		list->depth++;
		good = table_lines_read(list->ctx, word, take_domains, list, why_r);
		list->depth--;
		return good;
	} else if (strchr(word, ':') != NULL) {
		if (is_sql(word)) {
			*why_r = mem_printf(list->ctx,
			    "domain = %s: the domains must not be in a database themselves; name them, or a file",
			    word);
			return false;
		}
		entry.table = list->env->open(list->ctx, list->env, word, why_r);
		if (entry.table == NULL)
			return false;
	} else {
		entry.name = mem_strdup(list->ctx, word);
	}
	rules->domains =
	    mem_grow(list->ctx, rules->domains, struct rules_domain, rules->n_domains + 1);
	rules->domains[rules->n_domains++] = entry;
	return true;
}

/* add_domains - a list of them */
static bool
add_domains(struct domain_list *list, const char *text, bool negated, const char **why_r)
{
	struct span rest = text_span(text), item;

	while (text_list_next(&rest, &item))
		if (!rules_add_domain(
			list, mem_strndup(list->ctx, item.at, item.len), negated, why_r))
			return false;
	return true;
}

/* rules_admit - may a key be asked for, as far as "domain" goes? */
enum table_outcome
rules_admit(TALLOC_CTX *ctx, const struct rules *rules, const char *key, int64_t deadline_ms,
    const char **error_r)
{
	struct cut cut = cut_address(key);
	const char *value;

	if (rules->n_domains == 0)
		return TABLE_FOUND;
	if (cut.domain == NULL || cut.user.len == 0)
		return TABLE_NOT_FOUND;
	for (size_t i = 0; i < rules->n_domains; i++) {
		const struct rules_domain *entry = &rules->domains[i];
		enum table_outcome outcome = TABLE_NOT_FOUND;

		if (entry->table != NULL)
			outcome =
			    table_get(entry->table, ctx, cut.domain, deadline_ms, &value, error_r);
		else if (strcasecmp(entry->name, cut.domain) == 0)
			outcome = TABLE_FOUND;
		if (outcome == TABLE_TEMPERROR)
			return outcome;
		if (outcome == TABLE_FOUND)
			return entry->negated ? TABLE_NOT_FOUND : TABLE_FOUND;
	}
	return TABLE_NOT_FOUND;
}

/* rules_load - what all .cf files have in common */
bool
rules_load(TALLOC_CTX *rules_ctx, struct rules *rules, const struct table_env *env,
    const struct table_cf *cf, const char **error_r)
{
	struct domain_list list = { rules_ctx, rules, env, 0 };
	const char *format =
	    table_cf_text(cf, "result_format", table_cf_text(cf, "result_filter", "%s"));

	rules->result_format = mem_strdup(rules_ctx, format);
	rules->expansion_limit = table_cf_number(cf, "expansion_limit", 0, 0, 1000000, error_r);
	if (*error_r == NULL && !rules_template(rules_ctx, rules, format, true, error_r))
		*error_r = table_cf_error(cf, "result_format", "result_format: %s", *error_r);
	if (*error_r == NULL &&
	    !add_domains(&list, table_cf_text(cf, "domain", ""), false, error_r))
		*error_r = table_cf_error(cf, "domain", "%s", *error_r);
	return *error_r == NULL;
}

/* rules_value - NULL if nothing is in it */
const char *
rules_value(const struct rules_result *result)
{
	return result->value != NULL && result->value[0] != '\0' ? result->value : NULL;
}
