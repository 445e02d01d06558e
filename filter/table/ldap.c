/*
 * ldap.c - ldap: tables
 *
 * Reads ldap_table(5)'s files. The key is quoted for a filter by RFC 4515 and for a DN by RFC 4514,
 * so it can be nothing but a value there. Attributes may lead on to other entries by DN or URL, as
 * in Postfix; how deep is bounded by recursion_limit, how long by the deadline, and how many by a
 * number.
 *
 * The library blocks, with time-outs; who asks does not wait for it longer than the deadline
 * (workers.h). Binding with SASL is refused at load: the library sets no time for it.
 *
 * Threads: a connection belongs to one worker.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ldap.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>

#include "filter/base/clock.h"
#include "filter/table/sql.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define SEARCHES_MAX	1000	/* of one lookup */

/* What a result attribute is for; see ldap_table(5). */
enum attribute_kind {
	ATTRIBUTE_TERMINAL,
	ATTRIBUTE_LEAF,
	ATTRIBUTE_PLAIN,
	ATTRIBUTE_SPECIAL
};

struct config {
	struct rules rules;
	const char **urls;		/* of the servers */
	const char *base;
	const char *filter;
	bool base_varies;		/* the base depends on the key */
	char **attributes;		/* NULL-terminated; kinds alongside */
	enum attribute_kind *kinds;
	size_t n_attributes;
	bool has_leaf;
	int scope;
	int version;
	int dereference;
	bool chase_referrals;
	long timeout_s;
	long size_limit;
	long recursion_limit;
	bool bind;
	const char *bind_dn;
	char *bind_pw;
	bool start_tls;
	bool tls_require_cert;
	const char *tls_ca_cert_dir, *tls_ca_cert_file, *tls_cert, *tls_key, *tls_cipher_suite;
};

struct connection {
	LDAP *ld;
};

/* One lookup under way. */
struct lookup {
	const struct config *config;
	LDAP *ld;
	TALLOC_CTX *ctx;
	const char *key;
	int64_t deadline_ms;
	struct rules_result result;
	unsigned int searches;
	const char *error;
	enum worker_result outcome;	/* with error */
};

static int
ldap_table_config_free(struct config *config)
{
	if (config->bind_pw != NULL)
		explicit_bzero(config->bind_pw, strlen(config->bind_pw));
	return 0;
}

/* --- connecting --- */

/* time_left - what is left until the deadline and within the file's timeout, a millisecond at
 * least */
static struct timeval
time_left(const struct config *config, int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_ms();

	if (left > config->timeout_s * 1000)
		left = config->timeout_s * 1000;
	if (left < 1)
		left = 1;
	return (struct timeval){ .tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 };
}

/* set_text - a TLS option, if it is set */
static int
set_text(LDAP *ld, int option, const char *value)
{
	return value == NULL ? LDAP_OPT_SUCCESS : ldap_set_option(ld, option, value);
}

/* ldap_table_set_tls - as the file says; LDAP_OPT_SUCCESS if the library takes it */
static int
ldap_table_set_tls(const struct config *config, LDAP *ld)
{
	const int require = config->tls_require_cert ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER;
	const int client = 0;
	int code = ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &require);

	if (code == LDAP_OPT_SUCCESS)
		code = set_text(ld, LDAP_OPT_X_TLS_CACERTFILE, config->tls_ca_cert_file);
	if (code == LDAP_OPT_SUCCESS)
		code = set_text(ld, LDAP_OPT_X_TLS_CACERTDIR, config->tls_ca_cert_dir);
	if (code == LDAP_OPT_SUCCESS)
		code = set_text(ld, LDAP_OPT_X_TLS_CERTFILE, config->tls_cert);
	if (code == LDAP_OPT_SUCCESS)
		code = set_text(ld, LDAP_OPT_X_TLS_KEYFILE, config->tls_key);
	if (code == LDAP_OPT_SUCCESS)
		code = set_text(ld, LDAP_OPT_X_TLS_CIPHER_SUITE, config->tls_cipher_suite);
	if (code == LDAP_OPT_SUCCESS)
		code = ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &client);
	return code;
}

/* uses_tls - does the connection to this URL speak TLS? */
static bool
uses_tls(const struct config *config, const char *url)
{
	return config->start_tls || strncasecmp(url, "ldaps:", 6) == 0;
}

/* ldap_table_set_options - everything before connecting */
static int
ldap_table_set_options(const struct config *config, LDAP *ld, const char *url, int64_t deadline_ms)
{
	const struct timeval left = time_left(config, deadline_ms);
	int code = ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &config->version);

	if (code == LDAP_OPT_SUCCESS)
		code = ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &left);
	if (code == LDAP_OPT_SUCCESS)
		code = ldap_set_option(ld, LDAP_OPT_TIMEOUT, &left);
	if (code == LDAP_OPT_SUCCESS)
		code = ldap_set_option(ld, LDAP_OPT_DEREF, &config->dereference);
	if (code == LDAP_OPT_SUCCESS)
		code = ldap_set_option(
		    ld, LDAP_OPT_REFERRALS, config->chase_referrals ? LDAP_OPT_ON : LDAP_OPT_OFF);
	if (code == LDAP_OPT_SUCCESS && uses_tls(config, url))
		code = ldap_table_set_tls(config, ld);
	return code;
}

/* ldap_table_introduce - STARTTLS and a simple bind; an LDAP result code */
static int
ldap_table_introduce(const struct config *config, LDAP *ld)
{
	struct berval password = { .bv_val = config->bind_pw, .bv_len = strlen(config->bind_pw) };
	int code = LDAP_SUCCESS;

	if (config->start_tls)
		code = ldap_start_tls_s(ld, NULL, NULL);
	if (code == LDAP_SUCCESS && config->bind)
		code = ldap_sasl_bind_s(
		    ld, config->bind_dn, LDAP_SASL_SIMPLE, &password, NULL, NULL, NULL);
	return code;
}

static void
ldap_disconnect(void *arg)
{
	struct connection *connection = arg;

	(void)ldap_unbind_ext_s(connection->ld, NULL, NULL);
}

static void *
ldap_connect_to(
    TALLOC_CTX *ctx, const void *arg, size_t server, int64_t deadline_ms, const char **error_r)
{
	const struct config *config = arg;
	struct connection *connection = mem_new(ctx, struct connection);
	int code = ldap_initialize(&connection->ld, config->urls[server]);

	if (code != LDAP_SUCCESS) {
		*error_r = mem_printf(ctx, "%s: %s", config->urls[server], ldap_err2string(code));
		return NULL;
	}
	if (ldap_table_set_options(config, connection->ld, config->urls[server], deadline_ms) !=
	    LDAP_OPT_SUCCESS) {
		*error_r = mem_printf(ctx,
		    "%s: the library takes none of the file's options, those of TLS most likely",
		    config->urls[server]);
	} else {
		code = ldap_table_introduce(config, connection->ld);
		if (code == LDAP_SUCCESS)
			return connection;
		*error_r = mem_printf(ctx, "%s: cannot connect or bind: %s", config->urls[server],
		    ldap_err2string(code));
	}
	ldap_disconnect(connection);
	return NULL;
}

/* --- quoting --- */

/* ldap_table_quote - octets of a set, and control characters, as a backslash and two digits */
static char *
ldap_table_quote(TALLOC_CTX *ctx, const char *value, const char *special)
{
	char *quoted = mem_array(ctx, char, 3 * strlen(value) + 1);
	char *out = quoted;

	for (; *value != '\0'; value++) {
		unsigned char octet = (unsigned char)*value;

		if (octet >= 0x20 && octet != 0x7f && strchr(special, *value) == NULL) {
			*out++ = *value;
			continue;
		}
		*out++ = '\\';
		*out++ = "0123456789abcdef"[octet >> 4];
		*out++ = "0123456789abcdef"[octet & 15];
	}
	return quoted;
}

/* quote_filter - an assertion value (RFC 4515, section 3) */
static char *
quote_filter(void *arg, TALLOC_CTX *ctx, const char *value)
{
	(void)arg;
	return ldap_table_quote(ctx, value, "*()\\");
}

/* quote_dn - an attribute value in a DN (RFC 4514, section 2.4) */
static char *
quote_dn(void *arg, TALLOC_CTX *ctx, const char *value)
{
	(void)arg;
	return ldap_table_quote(ctx, value, " \"#+,;<>=\\");
}

/* --- searching --- */

static void read_entries(struct lookup *lookup, LDAPMessage *found, long depth);

/* fail - note why a lookup came to nothing */
static void
fail(struct lookup *lookup, enum worker_result outcome, const char *error)
{
	if (lookup->error != NULL)
		return;
	lookup->outcome = outcome;
	lookup->error = error;
}

/* ldap_table_is_lost - is the code one of the connection or the server's state? */
static bool
ldap_table_is_lost(int code)
{
	return LDAP_API_ERROR(code) || code == LDAP_UNAVAILABLE || code == LDAP_BUSY;
}

/* search - one search; may_lack says whether the base need not exist */
static void
search(struct lookup *lookup, const char *base, int scope, const char *filter, char **attributes,
    bool may_lack, long depth)
{
	struct timeval left = time_left(lookup->config, lookup->deadline_ms);
	LDAPMessage *found = NULL;
	int code;

	if (++lookup->searches > SEARCHES_MAX) {
		fail(lookup, WORKER_ERROR, "the entries lead on to more than 1000 others");
		return;
	}
	if (clock_ms() >= lookup->deadline_ms) {
		fail(lookup, WORKER_LOST, "no answer within the time allowed");
		return;
	}
	code = ldap_search_ext_s(lookup->ld, base, scope, filter, attributes, 0, NULL, NULL, &left,
	    (int)lookup->config->size_limit, &found);
	if (code == LDAP_SUCCESS)
		read_entries(lookup, found, depth);
	else if (code != LDAP_NO_SUCH_OBJECT || !may_lack)
		fail(lookup, ldap_table_is_lost(code) ? WORKER_LOST : WORKER_ERROR,
		    mem_printf(lookup->ctx, "the search failed: %s", ldap_err2string(code)));
	(void)ldap_msgfree(found);
}

/* attribute_covers - is name (as a server gives it) attribute a, or a subtype of it
 * ("a;option")? */
static bool
attribute_covers(const char *a, const char *name)
{
	size_t len = strlen(a);

	return strncasecmp(a, name, len) == 0 && (name[len] == '\0' || name[len] == ';');
}

/* url_attributes - those of our attributes that a URL wants, too; NULL: none */
static char **
url_attributes(const struct lookup *lookup, char **wanted)
{
	const struct config *config = lookup->config;
	char **list;
	size_t n = 0, max = 0;

	if (wanted == NULL || wanted[0] == NULL)
		return config->attributes;
	while (wanted[max] != NULL)
		max++;
	list = mem_array(lookup->ctx, char *, max * config->n_attributes + 1);
	for (size_t i = 0; i < max; i++) {
		for (size_t k = 0; k < config->n_attributes; k++) {
			if (attribute_covers(wanted[i], config->attributes[k]))
				list[n++] = config->attributes[k];
			else if (attribute_covers(config->attributes[k], wanted[i]))
				list[n++] = wanted[i];
		}
	}
	return n > 0 ? list : NULL;
}

/* ldap_table_follow - read the entries that a value leads to */
static void
ldap_table_follow(struct lookup *lookup, const char *value, long depth)
{
	LDAPURLDesc *url;
	char **attributes;

	if (!ldap_is_ldap_url(value)) {
		search(lookup, value, LDAP_SCOPE_BASE, "(objectclass=*)",
		    lookup->config->attributes, true, depth + 1);
		return;
	}
	if (ldap_url_parse(value, &url) != LDAP_URL_SUCCESS) {
		fail(lookup, WORKER_ERROR, mem_printf(lookup->ctx, "\"%.100s\" is not a URL", value));
		return;
	}
	attributes = url_attributes(lookup, url->lud_attrs);
	if (attributes != NULL)
		search(lookup, url->lud_dn,
		    url->lud_scope == LDAP_SCOPE_DEFAULT ? LDAP_SCOPE_BASE : url->lud_scope,
		    url->lud_filter != NULL ? url->lud_filter : "(objectclass=*)", attributes, true,
		    depth + 1);
	ldap_free_urldesc(url);
}

/* has_kind - has an entry a value of an attribute of that kind? */
static bool
has_kind(const struct lookup *lookup, LDAPMessage *entry, enum attribute_kind kind)
{
	const struct config *config = lookup->config;
	bool has = false;

	for (size_t i = 0; i < config->n_attributes && !has; i++) {
		struct berval **values;

		if (config->kinds[i] != kind)
			continue;
		values = ldap_get_values_len(lookup->ld, entry, config->attributes[i]);
		has = values != NULL && values[0] != NULL;
		ldap_value_free_len(values);
	}
	return has;
}

/* What of an entry counts. */
struct entry_facts {
	bool terminal;		/* it has terminal attributes: only these */
	bool leaf;		/* it leads to no others: leaf attributes, too */
};

/* read_values - the values of one attribute of an entry */
static void
read_values(struct lookup *lookup, struct berval **values, enum attribute_kind kind,
    const struct entry_facts *facts, long depth)
{
	if (facts->terminal ? kind != ATTRIBUTE_TERMINAL : kind == ATTRIBUTE_LEAF && !facts->leaf)
		return;
	for (size_t i = 0; values[i] != NULL && lookup->error == NULL; i++) {
		const char *error = NULL;

		if (kind != ATTRIBUTE_SPECIAL) {
			if (!rules_add(lookup->ctx, &lookup->config->rules, &lookup->result,
				lookup->key, values[i]->bv_val, values[i]->bv_len, &error))
				fail(lookup, WORKER_ERROR, error);
		} else if (depth < lookup->config->recursion_limit) {
			ldap_table_follow(lookup,
			    mem_strndup(lookup->ctx, values[i]->bv_val, values[i]->bv_len), depth);
		} else {
			fail(lookup, WORKER_ERROR,
			    mem_printf(lookup->ctx,
				"the entries lead on deeper than recursion_limit = %ld",
				lookup->config->recursion_limit));
		}
	}
}

/* read_attribute - one attribute of an entry, if it is one of ours */
static void
read_attribute(struct lookup *lookup, LDAPMessage *entry, const char *name,
    const struct entry_facts *facts, long depth)
{
	const struct config *config = lookup->config;
	struct berval **values;
	size_t i = 0;

	while (i < config->n_attributes && !attribute_covers(config->attributes[i], name))
		i++;
	if (i == config->n_attributes)
		return;
	values = ldap_get_values_len(lookup->ld, entry, name);
	if (values != NULL)
		read_values(lookup, values, config->kinds[i], facts, depth);
	ldap_value_free_len(values);
}

/* read_entries - all that a search found */
static void
read_entries(struct lookup *lookup, LDAPMessage *found, long depth)
{
	for (LDAPMessage *entry = ldap_first_entry(lookup->ld, found);
	     entry != NULL && lookup->error == NULL; entry = ldap_next_entry(lookup->ld, entry)) {
		struct entry_facts facts = { has_kind(lookup, entry, ATTRIBUTE_TERMINAL), true };
		BerElement *ber = NULL;
		char *name;

		if (!facts.terminal && lookup->config->has_leaf)
			facts.leaf = !has_kind(lookup, entry, ATTRIBUTE_SPECIAL);
		for (name = ldap_first_attribute(lookup->ld, entry, &ber); name != NULL;
		    name = ldap_next_attribute(lookup->ld, entry, ber)) {
			if (lookup->error == NULL)
				read_attribute(lookup, entry, name, &facts, depth);
			ldap_memfree(name);
		}
		ber_free(ber, 0);
	}
}

static enum worker_result
ldap_ask(const void *arg, void *handle, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    const char **value_r, const char **error_r)
{
	const struct config *config = arg;
	struct connection *connection = handle;
	struct lookup lookup = { .config = config, .ld = connection->ld, .ctx = ctx, .key = key,
	    .deadline_ms = deadline_ms };
	const struct timeval left = time_left(config, deadline_ms);
	char *base, *filter;
	bool bad;

	base = rules_query(ctx, &config->rules, config->base, key, quote_dn, NULL, &bad);
	filter = rules_query(ctx, &config->rules, config->filter, key, quote_filter, NULL, &bad);
	if (base == NULL || filter == NULL)
		return WORKER_ANSWER;
	(void)ldap_set_option(connection->ld, LDAP_OPT_NETWORK_TIMEOUT, &left);
	(void)ldap_set_option(connection->ld, LDAP_OPT_TIMEOUT, &left);
	search(&lookup, base, config->scope, filter, config->attributes, config->base_varies, 1);
	if (lookup.error != NULL) {
		*error_r = lookup.error;
		return lookup.outcome;
	}
	*value_r = lookup.result.value != NULL && lookup.result.value[0] != '\0'
	    ? lookup.result.value
	    : NULL;
	return WORKER_ANSWER;
}

static const struct worker_driver driver = { ldap_connect_to, ldap_ask, ldap_disconnect, NULL };

/* --- the file --- */

/* ldap_table_optional - a value on config, or NULL if it is not set or empty */
static char *
ldap_table_optional(struct config *config, const struct table_cf *cf, const char *name)
{
	const char *value = table_cf_text(cf, name, "");

	return value[0] != '\0' ? mem_strdup(config, value) : NULL;
}

/* read_servers - server_host: URLs, or hosts with the port after a colon or in server_port */
static size_t
read_servers(struct config *config, const struct table_cf *cf, const char **error_r)
{
	long port = table_cf_number(cf, "server_port", 389, 1, 65535, error_r);
	struct span rest = text_span(table_cf_text(cf, "server_host", "localhost")), item;
	size_t n = 0;

	while (text_list_next(&rest, &item)) {
		const char *word = mem_strndup(config, item.at, item.len);

		config->urls = mem_grow(config, config->urls, const char *, n + 1);
		if (strstr(word, "://") != NULL)
			config->urls[n++] = word;
		else if (strchr(word, ':') != NULL)
			config->urls[n++] = mem_printf(config, "ldap://%s", word);
		else
			config->urls[n++] = mem_printf(config, "ldap://%s:%ld", word, port);
	}
	if (n == 0 && *error_r == NULL)
		*error_r = table_cf_error(cf, "server_host", "server_host names no server");
	return n;
}

/* ldap_table_add_attributes - a list of attributes of one kind */
static void
ldap_table_add_attributes(struct config *config, const struct table_cf *cf, const char *name,
    const char *standard, enum attribute_kind kind)
{
	struct span rest = text_span(table_cf_text(cf, name, standard)), item;

	while (text_list_next(&rest, &item)) {
		size_t n = config->n_attributes++;

		config->attributes = mem_grow(config, config->attributes, char *, n + 2);
		config->kinds = mem_grow(config, config->kinds, enum attribute_kind, n + 1);
		config->attributes[n] = mem_strndup(config, item.at, item.len);
		config->attributes[n + 1] = NULL;
		config->kinds[n] = kind;
		config->has_leaf |= kind == ATTRIBUTE_LEAF;
	}
}

/* read_scope - sub, base or one */
static int
read_scope(const struct table_cf *cf, const char **error_r)
{
	const char *word = table_cf_text(cf, "scope", "sub");

	if (strcasecmp(word, "sub") == 0)
		return LDAP_SCOPE_SUBTREE;
	if (strcasecmp(word, "base") == 0)
		return LDAP_SCOPE_BASE;
	if (strcasecmp(word, "one") != 0 && *error_r == NULL)
		*error_r = table_cf_error(cf, "scope", "scope = %s must be sub, base or one", word);
	return LDAP_SCOPE_ONELEVEL;
}

/* read_bind - whether and how to bind to the server */
static void
read_bind(struct config *config, const struct table_cf *cf, const char **error_r)
{
	const char *word = table_cf_text(cf, "bind", "yes");

	config->bind = strcasecmp(word, "yes") == 0 || strcasecmp(word, "simple") == 0;
	config->bind_dn = mem_strdup(config, table_cf_text(cf, "bind_dn", ""));
	config->bind_pw = mem_strdup(config, table_cf_text(cf, "bind_pw", ""));
	if (!config->bind && strcasecmp(word, "no") != 0 && strcasecmp(word, "none") != 0 &&
	    *error_r == NULL)
		*error_r = table_cf_error(cf, "bind",
		    "bind = %s is not known here; write yes (a simple bind) or no", word);
}

/* read_tls - how the connection is protected */
static void
read_tls(struct config *config, const struct table_cf *cf, const char **error_r)
{
	config->start_tls = table_cf_bool(cf, "start_tls", false, error_r);
	config->tls_require_cert = table_cf_bool(cf, "tls_require_cert", false, error_r);
	config->tls_ca_cert_dir = ldap_table_optional(config, cf, "tls_ca_cert_dir");
	config->tls_ca_cert_file = ldap_table_optional(config, cf, "tls_ca_cert_file");
	config->tls_cert = ldap_table_optional(config, cf, "tls_cert");
	config->tls_key = ldap_table_optional(config, cf, "tls_key");
	config->tls_cipher_suite = ldap_table_optional(config, cf, "tls_cipher_suite");
}

/* read_templates - where and what to search */
static void
read_templates(struct config *config, const struct table_cf *cf, const char **error_r)
{
	const char *why;

	config->base = mem_strdup(config, table_cf_text(cf, "search_base", ""));
	config->base_varies = strchr(config->base, '%') != NULL;
	config->filter =
	    mem_strdup(config, table_cf_text(cf, "query_filter", "(mailacceptinggeneralid=%s)"));
	if (*error_r == NULL && !rules_template(config, &config->rules, config->base, false, &why))
		*error_r = table_cf_error(cf, "search_base", "search_base: %s", why);
	if (*error_r == NULL &&
	    !rules_template(config, &config->rules, config->filter, false, &why))
		*error_r = table_cf_error(cf, "query_filter", "query_filter: %s", why);
}

/* ldap_table_load - what the .cf file says */
static bool
ldap_table_load(void *arg, const struct table_env *env, const struct table_cf *cf,
    struct worker_servers *servers_r, const char **error_r)
{
	struct config *config = arg;

	talloc_set_destructor(config, ldap_table_config_free);
	*servers_r =
	    (struct worker_servers){ .n = read_servers(config, cf, error_r), .in_order = true };
	read_templates(config, cf, error_r);
	ldap_table_add_attributes(config, cf, "terminal_result_attribute", "", ATTRIBUTE_TERMINAL);
	ldap_table_add_attributes(config, cf, "leaf_result_attribute", "", ATTRIBUTE_LEAF);
	ldap_table_add_attributes(config, cf, "result_attribute", "maildrop", ATTRIBUTE_PLAIN);
	ldap_table_add_attributes(config, cf, "special_result_attribute", "", ATTRIBUTE_SPECIAL);
	config->scope = read_scope(cf, error_r);
	config->version = (int)table_cf_number(cf, "version", 3, 2, 3, error_r);
	config->dereference = (int)table_cf_number(cf, "dereference", 0, 0, 3, error_r);
	config->chase_referrals = table_cf_text(cf, "chase_referrals", "0")[0] == '1' ||
	    strcasecmp(table_cf_text(cf, "chase_referrals", "0"), "yes") == 0;
	config->timeout_s = table_cf_number(cf, "timeout", 10, 1, 3600, error_r);
	config->recursion_limit = table_cf_number(cf, "recursion_limit", 1000, 1, 1000000, error_r);
	read_bind(config, cf, error_r);
	read_tls(config, cf, error_r);
	if (*error_r != NULL || !rules_load(config, &config->rules, env, cf, error_r))
		return false;
	config->size_limit =
	    table_cf_number(cf, "size_limit", config->rules.expansion_limit, 0, 1000000, error_r);
	return *error_r == NULL;
}

static const struct sql_type type = { &driver, ldap_table_load };

static void *
ldap_open_table(
    TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct config *config = mem_new(NULL, struct config);

	return sql_open(ctx, &type, config, &config->rules, env, argument, error_r);
}

const struct table_type table_ldap = { "ldap", TABLE_FOLD | TABLE_REMOTE, ldap_open_table,
	sql_table_get, NULL, NULL };
