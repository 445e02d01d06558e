/*
 * from_postfix.c - reading Postfix: its instances, its name and domains
 *
 * What follows from them is in postfix_owners.c, postfix_listeners.c and postfix_milters.c.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "filter/adopt/inside.h"
#include "filter/base/clock.h"
#include "filter/mta/command.h"
#include "policy/base/mem.h"

#define USUAL_PLACE "/etc/postfix"
#define POSTCONF_MS 10000 /* for all that postconf prints of an instance */

/* --- reading --------------------------------------------------------------- */

/* read_instance - one directory with main.cf; NULL and *error_r */
static const struct postfix *
read_instance(struct adopt *adopt, const char *directory, const char **error_r)
{
	const struct postfix *postfix = NULL;
	const char *why = "postconf was not found in PATH";

	if (command_find(adopt, "postconf") != NULL)
		postfix = postfix_read(adopt, directory, clock_ms() + POSTCONF_MS, &why);
	if (postfix == NULL) {
		postfix = postfix_read_files(adopt, directory, error_r);
		if (postfix == NULL)
			return NULL;
		adopt_note(adopt,
		    "%s: main.cf and master.cf were read without postconf (%s); defaults of "
		    "Postfix that they do not mention may be missed",
		    directory, why);
	}
	adopt_text(adopt, &adopt->report->read, "%s", postfix->main_cf);
	adopt_text(adopt, &adopt->report->read, "%s", postfix->master_cf);
	return postfix;
}

/* read_others - the other instances that the first one names */
static void
read_others(struct adopt *adopt)
{
	const char *list =
	    postfix_value(adopt, adopt->instances[0], NULL, "multi_instance_directories");
	const char *directory, *error = NULL;

	while ((directory = postfix_word(adopt, &list)) != NULL) {
		const struct postfix *postfix;

		if (adopt->n_instances == ADOPT_INSTANCES_MAX) {
			adopt_missing(adopt,
			    "multi_instance_directories: more than %d instances; "
			    "%s and the others are left out",
			    ADOPT_INSTANCES_MAX, directory);
			return;
		}
		postfix = read_instance(adopt, directory, &error);
		if (postfix != NULL)
			adopt->instances[adopt->n_instances++] = postfix;
		else
			adopt_missing(adopt, "the instance %s: %s", directory, error);
	}
}

bool
adopt_postfix_read(struct adopt *adopt, const char **error_r)
{
	const char *directory = adopt->options->postfix_config;
	const struct postfix *postfix;

	if (directory == NULL)
		directory = getenv("MAIL_CONFIG");
	if (directory == NULL)
		directory = USUAL_PLACE;
	if (adopt->options->postfix_config == NULL &&
	    access(mem_printf(adopt, "%s/main.cf", directory), F_OK) != 0)
		return false;
	postfix = read_instance(adopt, directory, error_r);
	if (postfix == NULL)
		return false;
	adopt->instances[adopt->n_instances++] = postfix;
	read_others(adopt);
	return true;
}

/* --- domains --------------------------------------------------------------- */

/* instance_is_name - is a word of mydestination and the like a domain, no table and no file? */
static bool
instance_is_name(const char *word)
{
	return strpbrk(word, ":/$!") == NULL && strncasecmp(word, "localhost", 9) != 0;
}

/* instance_add_domains - the domains that a parameter lists; tables are noted */
static void
instance_add_domains(struct adopt *adopt, const struct postfix *postfix, const char *name)
{
	const char *list = postfix_value(adopt, postfix, NULL, name), *word;
	const char *host = postfix_value(adopt, postfix, NULL, "myhostname");

	while ((word = postfix_word(adopt, &list)) != NULL)
		if (instance_is_name(word) && strcasecmp(word, host) != 0)
			adopt_add_domain(adopt, word);
}

/* origin - myorigin, which may name a file (Debian: /etc/mailname) */
static const char *
origin(struct adopt *adopt, const struct postfix *postfix)
{
	const char *value = postfix_value(adopt, postfix, NULL, "myorigin");
	char *text;

	if (value[0] != '/')
		return value;
	text = adopt_file(adopt, value);
	if (text == NULL)
		return "";
	text[strcspn(text, " \t\r\n")] = '\0';
	return text;
}

/* find_domains - the own domains, the host's own first */
static void
find_domains(struct adopt *adopt, const struct postfix *postfix)
{
	static const char *const names[] = { "mydestination", "virtual_mailbox_domains",
		"virtual_alias_domains" };
	const char *domain = postfix_value(adopt, postfix, NULL, "mydomain");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		instance_add_domains(adopt, postfix, names[i]);
	for (size_t i = 0; i < adopt->domains.n; i++)
		if (strcasecmp(adopt->domains.items[i], domain) == 0)
			adopt->domain = adopt->domains.items[i];
	if (adopt->domains.n == 0) {
		adopt_add_domain(adopt, origin(adopt, postfix));
		adopt_add_domain(adopt, domain);
		for (size_t i = 0; i < adopt->domains.n; i++)
			if (strcasecmp(adopt->domains.items[i], domain) == 0)
				adopt->domain = adopt->domains.items[i];
	}
}

/* delimiter - what begins a sub-address */
static void
delimiter(struct adopt *adopt, const struct postfix *postfix)
{
	const char *value = postfix_value(adopt, postfix, NULL, "recipient_delimiter");

	adopt_set(adopt, PLACE_IDENTITY,
	    mem_printf(adopt, "%s: recipient_delimiter%s",
		postfix_where(adopt, postfix, NULL, "recipient_delimiter"),
		value[0] == '\0' ? ", not set: sub-addresses are addresses of their own" : ""),
	    "recipient_delimiter = %s", adopt_quoted(adopt, value));
}

void
adopt_postfix(struct adopt *adopt)
{
	for (size_t i = 0; i < adopt->n_instances; i++)
		find_domains(adopt, adopt->instances[i]);
	adopt_postfix_owners(adopt);
	delimiter(adopt, adopt->instances[0]);
	for (size_t i = 0; i < adopt->n_instances; i++)
		adopt_postfix_milters(adopt, adopt->instances[i]);
	adopt_postfix_listeners(adopt);
}
