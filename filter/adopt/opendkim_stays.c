/*
 * opendkim_stays.c - what keeps opendkim in the MTA's lines: something that it does for the mail
 * and that countersign cannot take over
 *
 * If it stays, it goes on signing with all its settings, and countersign signs nothing: two that
 * sign by different rules would be hard to follow.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "filter/adopt/opendkim.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

/* of_option - an option without a counterpart, on which mail depends */
static const char *
of_option(struct opendkim *opendkim)
{
	for (size_t i = 0; i < opendkim->n; i++) {
		const struct opendkim_setting *setting = &opendkim->settings[i];
		const struct opendkim_option *row = opendkim_option(setting->name);

		if (row != NULL && row->fate == OPENDKIM_KEPT && !opendkim_false(setting))
			return mem_printf(opendkim->adopt, "%s: %s has no counterpart",
			    setting->where, setting->name);
	}
	return NULL;
}

/* of_table - a table that is not a text file, or cannot be read */
static const char *
of_table(struct opendkim *opendkim, const struct opendkim_setting *table)
{
	struct adopt *adopt = opendkim->adopt;
	const char *spec, *path = opendkim_table_path(opendkim, table, &spec);
	const char *text = table->value;
	const char *secret = strstr(text, "//");

	if (path != NULL)
		return access(path, R_OK) == 0
		    ? NULL
		    : mem_printf(adopt, "%s: %s %s cannot be read: %s", table->where, table->name,
			  path, strerror(errno));
	/* a password may follow */
	return mem_printf(adopt,
	    "%s: %s %.*s is not a text file. countersign reads text: write its content to a file "
	    "(see opendkim's manual for the form of lines), keep that up to date, and run adopt again",
	    table->where, table->name,
	    (int)(secret != NULL ? (size_t)(secret - text) : strlen(text)), text);
}

/* of_single_key - Domain, Selector or KeyFile that no table can hold */
static const char *
of_single_key(struct opendkim *opendkim)
{
	const struct opendkim_setting *domain = opendkim_find(opendkim, "Domain");
	const struct opendkim_setting *key = opendkim_find(opendkim, "KeyFile");
	const struct opendkim_setting *selector = opendkim_find(opendkim, "Selector");
	struct adopt *adopt = opendkim->adopt;
	struct adopt_texts domains;

	if (domain == NULL || key == NULL || selector == NULL)
		return NULL;
	if (!opendkim_elements(opendkim, domain->value, &domains))
		return mem_printf(adopt,
		    "%s: Domain %s cannot be read; write a line for each domain into a KeyTable and "
		    "a SigningTable, and run adopt again",
		    domain->where, domain->value);
	if (!domain_is_labels(selector->value) || key->value[strcspn(key->value, " \t%")] != '\0')
		return mem_printf(adopt,
		    "%s: the selector %s or the path of the key cannot be in a KeyTable",
		    selector->where, selector->value);
	for (size_t i = 0; i < domains.n; i++)
		if (!domain_is_labels(
			text_lower_copy(adopt, domains.items[i], strlen(domains.items[i]))))
			return mem_printf(adopt,
			    "%s: the pattern %s has no counterpart; write a line for each domain into "
			    "a KeyTable and a SigningTable, and run adopt again",
			    domain->where, domains.items[i]);
	return NULL;
}

const char *
opendkim_stays(struct opendkim *opendkim, bool verifies_only)
{
	const struct opendkim_setting *keys = opendkim_find(opendkim, "KeyTable");
	const struct opendkim_setting *signing = opendkim_find(opendkim, "SigningTable");
	const char *why = of_option(opendkim);

	if (opendkim->unreadable != NULL)
		return mem_printf(opendkim->adopt, "%s: Include %s cannot be read", opendkim->path,
		    opendkim->unreadable);
	if (why != NULL || verifies_only)
		return why;
	if (keys == NULL && signing == NULL)
		return of_single_key(opendkim);
	if (keys == NULL || signing == NULL)
		return mem_printf(opendkim->adopt,
		    "%s: KeyTable and SigningTable belong together; one of them is missing",
		    (keys != NULL ? keys : signing)->where);
	why = of_table(opendkim, keys);
	return why != NULL ? why : of_table(opendkim, signing);
}
