/*
 * postfix_owners.c - who owns an address: smtpd_sender_login_maps, and the domain of logins
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"
#include "filter/table/open.h"
#include "policy/base/mem.h"

/* Types of tables that countersign has, in any build. */
static const char *const known_types[] = { "btree", "cdb", "cidr", "hash", "inline", "ldap", "lmdb",
	"mysql", "pcre", "pgsql", "pipemap", "regexp", "socketmap", "sqlite", "static", "texthash",
	"unionmap" };

/* Parameters in which Postfix may hold users to their addresses. */
static const char *const restrictions[] = { "smtpd_client_restrictions", "smtpd_helo_restrictions",
	"smtpd_sender_restrictions", "smtpd_relay_restrictions", "smtpd_recipient_restrictions",
	"smtpd_data_restrictions", "smtpd_end_of_data_restrictions" };

/* How strictly Postfix asks the tables. */
enum strictness { NEVER_ASKED, KNOWN_ONLY, ALWAYS_ASKED };

/* What is seen while the tables are read. */
struct look {
	struct adopt *adopt;
	bool bare;               /* a login has no domain */
	const char *bare_domain; /* of the addresses that such logins own; "" if several */
	const char *where;       /* of the first one */
};

/* --- tables ---------------------------------------------------------------- */

/* type_is_known - has countersign tables like this one? */
static bool
type_is_known(const char *spec)
{
	size_t len = strcspn(spec, ":");

	for (size_t i = 0; i < sizeof(known_types) / sizeof(known_types[0]); i++)
		if (strlen(known_types[i]) == len && memcmp(known_types[i], spec, len) == 0)
			return true;
	return false;
}

/* text_path - the text file of a table that has one, or NULL */
static const char *
text_path(const char *spec)
{
	static const char *const types[] = { "hash:", "texthash:", "btree:", "lmdb:" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strncmp(spec, types[i], strlen(types[i])) == 0)
			return spec + strlen(types[i]);
	return NULL;
}

/* maps_check_table - what keeps a table from being used as it is; false: it cannot be opened */
static bool
maps_check_table(struct adopt *adopt, const char *spec, const char *from)
{
	const char *path = text_path(spec), *error = NULL;
	TALLOC_CTX *tmp = mem_check(talloc_new(adopt));
	bool good = table_open(tmp, spec, &error) != NULL;

	if (!good) {
		adopt_missing(adopt,
		    "%s: %s cannot be opened, so it is not in owners: %s. Once it is there, add it to "
		    "owners, or run adopt again",
		    from, spec, error);
		if (path != NULL)
			adopt_note(adopt,
			    "%s: countersign reads the text file, not the index; if there is only "
			    "an index, run: postmap -s %s >FILE, and write \"texthash:FILE\"",
			    spec, adopt_shell(adopt, spec));
	} else if (path != NULL)
		adopt_text(adopt, &adopt->report->read, "%s", path);
	talloc_free(tmp);
	if (strncmp(spec, "mysql:", 6) == 0 || strncmp(spec, "pgsql:", 6) == 0 ||
	    strncmp(spec, "ldap:", 5) == 0 || strncmp(spec, "sqlite:", 7) == 0) {
		path = adopt_shell(adopt, strchr(spec, ':') + 1);
		adopt_command(adopt, "chgrp %s %s && chmod 0640 %s", adopt_group(), path, path);
	}
	return good;
}

/* add_table - a table of smtpd_sender_login_maps */
static void
add_table(struct adopt *adopt, const struct postfix *postfix, const char *spec, const char *from)
{
	const char *type = postfix_value(adopt, postfix, NULL, "default_database_type");

	while (strncmp(spec, "proxy:", 6) == 0)
		spec += 6;
	if (spec[0] == '/')
		spec = mem_printf(adopt, "%s:%s", type[0] != '\0' ? type : "hash", spec);
	if (adopt_has(&adopt->owners, spec))
		return;
	if (!type_is_known(spec)) {
		adopt_missing(adopt,
		    "%s: countersign has no tables like %s; write the entries to a text file and "
		    "name it in owners, or see countersign-tables(5)",
		    from, spec);
		adopt->owners_lost = true;
		return;
	}
	if (!maps_check_table(adopt, spec, from)) {
		adopt->owners_lost = true;
		return;
	}
	adopt_text(adopt, &adopt->owners, "%s", spec);
}

/* maps_add_maps - the tables of a service, or of main.cf */
static void
maps_add_maps(struct adopt *adopt, const struct postfix *postfix,
    const struct postfix_service *service, const char **from_r)
{
	static const char name[] = "smtpd_sender_login_maps";
	const char *list = postfix_value(adopt, postfix, service, name), *spec;
	const char *from =
	    mem_printf(adopt, "%s: %s", postfix_where(adopt, postfix, service, name), name);
	size_t before = adopt->owners.n;

	while ((spec = postfix_word(adopt, &list)) != NULL)
		add_table(adopt, postfix, spec, from);
	if (adopt->owners.n == before)
		return;
	if (service != NULL && *from_r != NULL)
		adopt_note(adopt,
		    "%s is of service %s only; owners is one list for all listeners, so its logins own "
		    "these addresses at every service. If they must not, give a listener owners of its "
		    "own",
		    from, service->name);
	*from_r = *from_r == NULL ? from : mem_printf(adopt, "%s; %s", *from_r, from);
}

/* --- restrictions ---------------------------------------------------------- */

/* service_strictness - does Postfix hold the logins of a service to the tables? */
static enum strictness
service_strictness(
    struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	enum strictness found = NEVER_ASKED;

	for (size_t i = 0; i < sizeof(restrictions) / sizeof(restrictions[0]); i++) {
		const char *list = postfix_value(adopt, postfix, service, restrictions[i]);

		if (postfix_has_word(adopt, list, "reject_sender_login_mismatch") ||
		    postfix_has_word(adopt, list, "reject_authenticated_sender_login_mismatch"))
			return ALWAYS_ASKED;
		if (postfix_has_word(adopt, list, "reject_known_sender_login_mismatch"))
			found = KNOWN_ONLY;
	}
	return found;
}

/* least_strict - of all services where users log in */
static enum strictness
least_strict(struct adopt *adopt, const char **where_r)
{
	enum strictness least = ALWAYS_ASKED;

	for (size_t i = 0; i < adopt->n_instances; i++) {
		const struct postfix *postfix = adopt->instances[i];

		for (size_t k = 0; k < postfix->n_services; k++) {
			const struct postfix_service *service = &postfix->services[k];
			enum strictness one;

			if (!postfix_has_auth(adopt, postfix, service))
				continue;
			one = service_strictness(adopt, postfix, service);
			if (one < least)
				*where_r = postfix_service_where(adopt, postfix, service);
			least = one < least ? one : least;
		}
	}
	return least;
}

/* --- what is in the tables ------------------------------------------------- */

/* look_at_login - one login of an address */
static void
look_at_login(struct look *look, const char *address, const char *login, const char *where)
{
	const char *domain = strrchr(address, '@');

	if (strchr(login, '@') == NULL) {
		if (!look->bare)
			look->where = where;
		look->bare = true;
		if (domain != NULL && look->bare_domain == NULL)
			look->bare_domain = domain + 1;
		else if (domain != NULL && strcasecmp(look->bare_domain, domain + 1) != 0)
			look->bare_domain = "";
	}
	if (domain == NULL || look->adopt->report->senders.n == ADOPT_SAMPLES_MAX)
		return;
	adopt_text(look->adopt, &look->adopt->report->senders, "%s %s%s", login,
	    domain == address ? "sample" : "", address);
}

/* look_at_table - the lines of a text file: address, logins */
static void
look_at_table(struct look *look, const char *path)
{
	struct adopt *adopt = look->adopt;
	char *text = adopt_file(adopt, path), *line;
	int number = 0;

	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
		size_t len = strcspn(line, " \t");
		const char *rest = line + len, *address, *login;

		if (len == 0 || line[0] == '#')
			continue;
		address = mem_strndup(adopt, line, len);
		while ((login = postfix_word(adopt, &rest)) != NULL)
			look_at_login(
			    look, address, login, mem_printf(adopt, "%s:%d", path, number));
	}
}

/* --- the realm ------------------------------------------------------------- */

/* set_realm - the domain of logins that have none */
static void
set_realm(struct adopt *adopt, const char *realm, const char *from)
{
	if (adopt->realm != NULL || realm == NULL || strchr(realm, '.') == NULL)
		return;
	adopt->realm = realm;
	adopt_add_domain(adopt, realm);
	adopt_set(adopt, PLACE_IDENTITY, from, "realm = %s", adopt_quoted(adopt, realm));
}

/* realm_of_postfix - smtpd_sasl_local_domain of a service where users log in */
static void
realm_of_postfix(struct adopt *adopt, const struct postfix *postfix)
{
	static const char name[] = "smtpd_sasl_local_domain";

	for (size_t i = 0; i < postfix->n_services; i++) {
		const struct postfix_service *service = &postfix->services[i];

		/* Dovecot is not told of it */
		if (postfix_has_auth(adopt, postfix, service) &&
		    strcasecmp(
			postfix_value(adopt, postfix, service, "smtpd_sasl_type"), "dovecot") != 0)
			set_realm(adopt, postfix_value(adopt, postfix, service, name),
			    mem_printf(adopt, "%s: %s",
				postfix_where(adopt, postfix, service, name), name));
	}
}

/* is_local_part - does a format of Dovecot leave only the local part of a login? */
static bool
is_local_part(const char *format)
{
	const char *percent = strchr(format, '%');

	if (percent == NULL || strchr(format, '@') != NULL || strstr(format, "domain") != NULL)
		return false;
	percent += 1 + strspn(percent + 1, "LUMHRXET0123456789.");
	return percent[0] == 'n' || strstr(format, "username") != NULL;
}

/* realm_of_dovecot - what Dovecot makes of logins; true: it takes their domain away */
static bool
realm_of_dovecot(struct adopt *adopt, const char *path, const char **where_r)
{
	char *text = adopt_file(adopt, path), *line;
	bool bare = false;
	int number = 0;

	if (text == NULL)
		return false;
	adopt_text(adopt, &adopt->report->read, "%s", path);
	while ((line = adopt_next_line(&text, &number)) != NULL) {
		char *name = line + strspn(line, " \t"), *value = strchr(name, '=');
		size_t len = strcspn(name, " \t=");

		if (value == NULL || name[0] == '#')
			continue;
		value += 1 + strspn(value + 1, " \t");
		value[strcspn(value, "#")] = '\0';
		for (size_t n = strlen(value); n > 0 && strchr(" \t", value[n - 1]) != NULL; n--)
			value[n - 1] = '\0';
		if (len == 18 && strncmp(name, "auth_default_realm", len) == 0)
			set_realm(adopt, mem_strdup(adopt, value),
			    mem_printf(adopt, "%s:%d: auth_default_realm", path, number));
		if (len == 20 && strncmp(name, "auth_username_format", len) == 0) {
			bare = is_local_part(value);
			*where_r = mem_printf(adopt, "%s:%d: auth_username_format", path, number);
		}
	}
	return bare;
}

/* find_realm - the domain that completes logins, if something says that they have none */
static void
find_realm(struct adopt *adopt, const struct look *look)
{
	static const char *const places[] = { "/etc/dovecot/dovecot.conf",
		"/etc/dovecot/conf.d/10-auth.conf", "/etc/dovecot/local.conf" };
	const struct postfix *postfix = adopt->instances[0];
	const char *where = NULL;
	bool bare = false;

	for (size_t i = 0; i < adopt->n_instances; i++)
		realm_of_postfix(adopt, adopt->instances[i]);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		bare = realm_of_dovecot(adopt, places[i], &where) || bare;
	if (look->bare)
		set_realm(adopt,
		    look->bare_domain != NULL && look->bare_domain[0] != '\0' ? look->bare_domain
									      : adopt->domain,
		    mem_printf(adopt, "%s: logins there have no domain", look->where));
	if (bare)
		set_realm(adopt, adopt->domain,
		    mem_printf(adopt, "%s takes the domain of logins away", where));
	if (adopt->owners.n == 0 &&
	    postfix_value(adopt, postfix, NULL, "virtual_mailbox_domains")[0] == '\0' &&
	    postfix_value(adopt, postfix, NULL, "virtual_mailbox_maps")[0] == '\0')
		set_realm(adopt, adopt->domain,
		    mem_printf(adopt,
			"%s: no virtual mailboxes, so logins may be UNIX users, without "
			"a domain",
			postfix->main_cf));
}

/* --- all ------------------------------------------------------------------- */

/* note_aliases - tables that could say who owns an alias */
static void
note_aliases(struct adopt *adopt)
{
	const char *list = postfix_value(adopt, adopt->instances[0], NULL, "virtual_alias_maps");
	struct adopt_texts tables = { NULL, 0 };
	const char *spec;

	adopt_text(adopt, &tables, "self");
	while ((spec = postfix_word(adopt, &list)) != NULL) {
		while (strncmp(spec, "proxy:", 6) == 0)
			spec += 6;
		if (strchr(spec, ':') != NULL && type_is_known(spec))
			adopt_text(adopt, &tables, "%s", spec);
	}
	if (tables.n > 1)
		adopt_note(adopt,
		    "%s: aliases are in virtual_alias_maps: if the logins of users are the addresses "
		    "there, owners = %s lets each user write as the aliases that lead to it",
		    postfix_where(adopt, adopt->instances[0], NULL, "virtual_alias_maps"),
		    adopt_list(adopt, &tables));
}

/* write_owners - the setting, and what changes for the users */
static void
write_owners(struct adopt *adopt, const char *from)
{
	const char *where = adopt->instances[0]->main_cf;
	enum strictness strictness = least_strict(adopt, &where);

	if (adopt->owners.n == 0 && adopt->owners_lost) {
		adopt_note(adopt,
		    "%s: no table of smtpd_sender_login_maps could be taken over. Now a login owns the "
		    "address equal to it, and nothing else; name tables in owners, or addresses in "
		    "accounts, before you set mode = \"enforce\"",
		    where);
		return;
	}
	if (adopt->owners.n == 0) {
		adopt_note(adopt,
		    "%s: there is no smtpd_sender_login_maps, so far a login could write as "
		    "anyone. Now a login owns the address equal to it, and nothing else; name tables "
		    "in owners, or addresses in accounts, before you set mode = \"enforce\"",
		    where);
		note_aliases(adopt);
		return;
	}
	if (strictness != ALWAYS_ASKED) {
		adopt_note(adopt,
		    "%s: Postfix does not hold users to smtpd_sender_login_maps%s; in mode enforce "
		    "countersign does. So that no one loses the address equal to the login, "
		    "\"self\" is added to owners",
		    where,
		    strictness == KNOWN_ONLY
			? " for addresses that are not in it (reject_known_sender_login_mismatch)"
			: "");
		adopt_text(adopt, &adopt->owners, "self");
	}
	adopt_set(adopt, PLACE_IDENTITY, from, "owners = %s", adopt_list(adopt, &adopt->owners));
}

void
adopt_postfix_owners(struct adopt *adopt)
{
	struct look look = { .adopt = adopt };
	const char *from = NULL;

	for (size_t i = 0; i < adopt->n_instances; i++) {
		const struct postfix *postfix = adopt->instances[i];

		maps_add_maps(adopt, postfix, NULL, &from);
		for (size_t k = 0; k < postfix->n_services; k++)
			if (postfix_has_auth(adopt, postfix, &postfix->services[k]))
				maps_add_maps(adopt, postfix, &postfix->services[k], &from);
	}
	for (size_t i = 0; i < adopt->owners.n; i++)
		if (text_path(adopt->owners.items[i]) != NULL)
			look_at_table(&look, text_path(adopt->owners.items[i]));
	find_realm(adopt, &look);
	write_owners(adopt, from != NULL ? from : "");
}
