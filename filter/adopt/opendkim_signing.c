/*
 * opendkim_signing.c - which key signs for whom: KeyTable and SigningTable, or Domain and KeyFile
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/adopt/opendkim.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

/* --- tables that are there ------------------------------------------------- */

const char *
opendkim_table_path(
    struct opendkim *opendkim, const struct opendkim_setting *setting, const char **spec_r)
{
	const char *path = setting->value, *kind = "";
	size_t len = strlen(path);

	if (strncmp(path, "refile:", 7) == 0) {
		kind = "refile:";
		path += 7;
	} else if (strncmp(path, "file:", 5) == 0)
		path += 5;
	else if (strpbrk(path, ":,") != NULL || (len > 3 && strcmp(path + len - 3, ".db") == 0))
		return NULL;
	path = opendkim_path(opendkim, path);
	*spec_r = mem_printf(opendkim->adopt, "%s%s", kind, path);
	return path;
}

/* signing_add_key - the key of a line of a KeyTable: after the second colon */
static bool
signing_add_key(struct opendkim *opendkim, const char *table, char *line, struct adopt_texts *keys)
{
	char *rest = line + strcspn(line, " \t"), *domain, *key;
	size_t len;

	domain = rest + strspn(rest, " \t");
	key = strchr(domain, ':');
	key = key != NULL ? strchr(key + 1, ':') : NULL;
	if (key == NULL)
		return false;
	key += 1 + strspn(key + 1, " \t");
	for (len = strlen(key); len > 0 && strchr(" \t", key[len - 1]) != NULL; len--)
		key[len - 1] = '\0';
	domain[strcspn(domain, ":")] = '\0';
	if (strchr(domain, '%') == NULL)
		adopt_add_domain(opendkim->adopt, domain);
	if (strchr(key, '%') != NULL)
		adopt_note(opendkim->adopt,
		    "%s names %s: the value of %% depends on the sender, so look at these files "
		    "yourself",
		    table, key);
	else if (key[0] == '/')
		adopt_text(opendkim->adopt, keys, "%s", key);
	else if (strncmp(key, "./", 2) == 0 || strncmp(key, "../", 3) == 0)
		adopt_text(opendkim->adopt, keys, "%s", opendkim_path(opendkim, key));
	else {
		const char *shell = adopt_shell(opendkim->adopt, table);

		adopt_note(opendkim->adopt, "%s contains a key itself", table);
		adopt_command(
		    opendkim->adopt, "chown root:countersign %s && chmod 0640 %s", shell, shell);
	}
	return key[0] == '.';
}

/* read_key_table - the key files that it names; true: paths that BaseDirectory completes */
static bool
read_key_table(struct opendkim *opendkim, const char *path, struct adopt_texts *keys)
{
	struct adopt *adopt = opendkim->adopt;
	char *text = adopt_read_file(adopt, path), *line;
	bool relative = false;
	int number = 0;

	if (text == NULL)
		adopt_missing(adopt, "%s: no key file was looked at", path);
	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
		line[strcspn(line, "#")] = '\0';
		relative = signing_add_key(opendkim, path, line, keys) || relative;
	}
	return relative;
}

/* drop_single - the options that tables replace */
static void
drop_single(struct opendkim *opendkim, const char *why)
{
	static const char *const names[] = { "Domain", "KeyFile", "Selector", "SubDomains" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct opendkim_setting *setting = opendkim_take(opendkim, names[i]);

		if (setting != NULL)
			adopt_note(opendkim->adopt, "%s: %s has no effect here: %s", setting->where,
			    setting->name, why);
	}
}

/* note_tables - a table that is no text file, which only verifying can do without */
static void
note_tables(struct opendkim *opendkim, const struct opendkim_setting *table)
{
	adopt_missing(opendkim->adopt, "%s: %s %s is not a text file, and was not read",
	    table->where, table->name, table->value);
}

/* signing_set_tables - the two tables, used as they are */
static void
signing_set_tables(struct opendkim *opendkim, const struct opendkim_setting *key_table,
    const struct opendkim_setting *signing_table, const struct opendkim_setting *multiple)
{
	struct adopt *adopt = opendkim->adopt;
	const char *key_spec, *signing_spec, *key_path, *signing_path;
	struct adopt_texts keys = { NULL, 0 };
	bool relative;

	key_path = opendkim_table_path(opendkim, key_table, &key_spec);
	signing_path = opendkim_table_path(opendkim, signing_table, &signing_spec);
	if (key_path == NULL || signing_path == NULL) {
		note_tables(opendkim, key_path == NULL ? key_table : signing_table);
		return;
	}
	adopt->signs_here = true;
	relative = read_key_table(opendkim, key_path, &keys);
	adopt_own_table(adopt, key_path);
	adopt_own_table(adopt, signing_path);
	adopt_own_keys(adopt, &keys, key_path);
	adopt_set(adopt, PLACE_DKIM, mem_printf(adopt, "%s: KeyTable", key_table->where),
	    "key_table = %s", adopt_quoted(adopt, key_spec));
	adopt_set(adopt, PLACE_DKIM, mem_printf(adopt, "%s: SigningTable", signing_table->where),
	    "signing_table = %s", adopt_quoted(adopt, signing_spec));
	if (multiple != NULL && opendkim_true(multiple))
		adopt_set(adopt, PLACE_DKIM,
		    mem_printf(adopt, "%s: MultipleSignatures", multiple->where),
		    "multiple_signatures = true");
	if (opendkim->base != NULL && relative)
		adopt_set(adopt, PLACE_DKIM, "BaseDirectory, for paths in the KeyTable",
		    "base_directory = %s", adopt_quoted(adopt, opendkim->base));
}

/* --- one key --------------------------------------------------------------- */

/* add_domain_key - the lines of the two tables for a domain */
static void
add_domain_key(struct opendkim *opendkim, const char *domain, const char *selector, const char *key,
    bool subdomains)
{
	struct adopt *adopt = opendkim->adopt;
	const char *name = mem_printf(adopt, "%s._domainkey.%s", selector, domain);

	adopt->key_table = mem_check(
	    talloc_asprintf_append(adopt->key_table, "%s %s:%s:%s\n", name, domain, selector, key));
	adopt->signing_table =
	    mem_check(talloc_asprintf_append(adopt->signing_table, "*@%s %s\n", domain, name));
	if (subdomains)
		adopt->signing_table = mem_check(
		    talloc_asprintf_append(adopt->signing_table, "*@*.%s %s\n", domain, name));
	adopt_add_domain(adopt, domain);
}

/* set_single_key - Domain, Selector and KeyFile: one key for all domains, as tables */
static void
set_single_key(struct opendkim *opendkim)
{
	const struct opendkim_setting *domain = opendkim_take(opendkim, "Domain");
	const struct opendkim_setting *key_file = opendkim_take(opendkim, "KeyFile");
	const struct opendkim_setting *selector = opendkim_take(opendkim, "Selector");
	const struct opendkim_setting *below = opendkim_take(opendkim, "SubDomains");
	struct adopt *adopt = opendkim->adopt;
	struct adopt_texts domains, keys = { NULL, 0 };
	const char *key = opendkim_path(opendkim, key_file->value);

	if (!opendkim_elements(opendkim, domain->value, &domains)) {
		adopt_missing(adopt,
		    "%s: Domain %s cannot be read; write a line for each domain into the two tables",
		    domain->where, domain->value);
		return;
	}
	adopt->signs_here = true;
	if (adopt->key_table == NULL) {
		adopt->key_table = mem_strdup(adopt, "");
		adopt->signing_table = mem_strdup(adopt, "");
	}
	for (size_t i = 0; i < domains.n; i++) {
		const char *name =
		    text_lower_copy(adopt, domains.items[i], strlen(domains.items[i]));

		if (!domain_is_labels(selector->value) || strpbrk(key, " \t%") != NULL)
			adopt_missing(adopt,
			    "%s: the selector %s or the path of the key cannot be in a KeyTable",
			    selector->where, selector->value);
		else if (!domain_is_labels(name))
			adopt_missing(adopt,
			    "%s: the pattern %s has no counterpart; write a line for each domain",
			    domain->where, name);
		else
			add_domain_key(opendkim, name, selector->value, key,
			    below != NULL && opendkim_true(below));
	}
	adopt_text(adopt, &keys, "%s", key);
	adopt_own_keys(adopt, &keys, NULL);
	adopt_note(adopt,
	    "%s: Domain, Selector and KeyFile are not in tables, so a KeyTable and a SigningTable "
	    "were written; the key itself stays where it is: %s",
	    key_file->where, key);
	adopt_set(adopt, PLACE_DKIM,
	    mem_printf(adopt, "%s: Domain; %s: Selector; %s: KeyFile", domain->where,
		selector->where, key_file->where),
	    "key_table = \"KeyTable\"\n  signing_table = \"refile:SigningTable\"");
}

/* single_key - the same, if all three are there */
static void
single_key(struct opendkim *opendkim, bool verifies_only)
{
	const struct opendkim_setting *multiple = opendkim_take(opendkim, "MultipleSignatures");

	if (multiple != NULL)
		adopt_note(opendkim->adopt, "%s: %s has no effect here: it is for a SigningTable",
		    multiple->where, multiple->name);
	if (opendkim_find(opendkim, "KeyFile") != NULL &&
	    opendkim_find(opendkim, "Domain") != NULL &&
	    opendkim_find(opendkim, "Selector") != NULL) {
		set_single_key(opendkim);
		return;
	}
	if (!verifies_only)
		adopt_note(opendkim->adopt,
		    "%s: no KeyTable, and not all of Domain, Selector and KeyFile: nothing was signed",
		    opendkim->path);
	drop_single(opendkim, "without all of Domain, Selector and KeyFile nothing is signed");
}

/* leave_signing - opendkim goes on signing, by its own settings */
static void
leave_signing(struct opendkim *opendkim)
{
	static const char *const names[] = { "KeyTable", "SigningTable", "MultipleSignatures",
		"Domain", "KeyFile", "Selector", "SubDomains", "Canonicalization", "SignHeaders",
		"OversignHeaders", "OmitHeaders", "SignatureTTL", "SignatureAlgorithm" };
	char *list = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct opendkim_setting *setting = opendkim_take(opendkim, names[i]);

		if (setting != NULL)
			list = list == NULL
			    ? mem_strdup(opendkim->adopt, setting->name)
			    : mem_printf(opendkim->adopt, "%s %s", list, setting->name);
	}
	if (list != NULL)
		adopt_note(
		    opendkim->adopt, "%s: opendkim stays, and with it: %s", opendkim->path, list);
}

void
opendkim_signing(struct opendkim *opendkim, bool verifies_only)
{
	const struct opendkim_setting *keys, *signing;

	if (opendkim->adopt->opendkim_stays != NULL) {
		leave_signing(opendkim);
		return;
	}
	keys = opendkim_take(opendkim, "KeyTable");
	signing = opendkim_take(opendkim, "SigningTable");
	if (keys == NULL && signing == NULL)
		single_key(opendkim, verifies_only);
	else if (keys == NULL || signing == NULL)
		adopt_missing(opendkim->adopt,
		    "%s: KeyTable and SigningTable belong together; one of them is missing",
		    (keys != NULL ? keys : signing)->where);
	else {
		signing_set_tables(
		    opendkim, keys, signing, opendkim_take(opendkim, "MultipleSignatures"));
		drop_single(opendkim,
		    "KeyTable and SigningTable select the key that signs, as for opendkim");
	}
	if (opendkim->adopt->signs_here)
		adopt_set(opendkim->adopt, PLACE_DKIM,
		    "mail passes without a signature if its key cannot be read, or is not in DNS; opendkim "
		    "defers it in the former case, as \"tempfail\" does in both",
		    "on_missing_key = \"unsigned\"");
}
