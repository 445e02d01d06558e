/*
 * ctl_table.c - countersignctl table ...: what tables answer
 *
 * Opens the table here, with the daemon's configuration and the daemon's code, and asks it. So it
 * works before the daemon is started, and for tables that the configuration does not name yet.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/config/configuration.h"
#include "filter/config/table_servers.h"
#include "filter/ctl/ctl.h"
#include "filter/table/workers.h"
#include "filter/table/open.h"
#include "policy/base/address.h"
#include "policy/base/mem.h"
#include "policy/sender/identity.h"

/* Exit statuses of table get: as of postmap -q, and a third for what could not be found out. */
#define STATUS_FOUND		0
#define STATUS_NOT_FOUND	1
#define STATUS_TEMPERROR	2

#define SETTLE_MS	500	/* for connections to be closed, at the end */

/* What the configuration says, or stands for it if there is none. */
struct settings {
	const struct table_env *env;	/* or NULL */
	const char *delimiter;
	const char *realm;
	bool fold_local;
};

/* ctl_table_settings_of - of the configuration file; without one, the defaults */
static struct settings
ctl_table_settings_of(struct ctl *ctl)
{
	const struct config *config = ctl_config_if_any(ctl, "using the default settings");

	if (config == NULL)
		return (struct settings){ NULL, "+", NULL, true };
	return (struct settings){ table_config_env(ctl->memory, config), config->delimiter,
		config->realm, config->fold_local };
}

/* open_table - the table, or the end of the program with the reason */
static struct table *
open_table(struct ctl *ctl, const struct settings *settings, const char *spec)
{
	const char *error = NULL;
	struct table *table;

	(void)signal(SIGPIPE, SIG_IGN);
	table = table_open_with(ctl->memory, settings->env, spec, &error);
	if (table == NULL)
		ctl_fail("table %s: %s", spec, error);
	return table;
}

/* close_table - and let its connections end before the program does */
static void
close_table(struct table *table)
{
	talloc_free(table);
	workers_settle(SETTLE_MS);
}

/* word_of - for people and for JSON */
static const char *
word_of(enum table_outcome outcome)
{
	switch (outcome) {
	case TABLE_FOUND:
		return "found";
	case TABLE_NOT_FOUND:
		return "not found";
	case TABLE_TEMPERROR:
		break;
	}
	return "temperror";
}

/* status_of - the exit status */
static int
status_of(enum table_outcome outcome)
{
	return outcome == TABLE_FOUND ? STATUS_FOUND :
	    outcome == TABLE_NOT_FOUND ? STATUS_NOT_FOUND : STATUS_TEMPERROR;
}

/* keys_of - the keys the daemon tries for one, in order: those of an address, or the key itself */
static size_t
keys_of(struct ctl *ctl, const struct settings *settings, const char *key,
    struct identity_key keys_r[IDENTITY_KEYS_MAX])
{
	const struct address_rules rules = { .fold_local = settings->fold_local };
	const char *at = strrchr(key, '@');
	struct address address;

	keys_r[0] = (struct identity_key){ key, true };
	if (at == NULL || at == key || at[1] == '\0' ||
	    address_parse_path(ctl->memory, key, strlen(key), &rules, &address, NULL) !=
		ADDRESS_PATH_MAILBOX)
		return 1;
	return identity_owner_keys(
	    ctl->memory, address.full, settings->delimiter, settings->realm, keys_r);
}

/* One key tried. */
struct trial {
	const char *key;
	enum table_outcome outcome;
	const char *value;
	const char *error;
};

/* print_value - what a table answered, which others may have written */
static void
print_value(const char *value)
{
	(void)printf("value      ");
	ctl_safe(value);
	(void)printf("\n");
}

/* print_trials - for people */
static void
print_trials(const struct trial *trials, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)printf("%-9s  %s%s%s\n", word_of(trials[i].outcome), trials[i].key,
		    trials[i].error != NULL ? ": " : "",
		    trials[i].error != NULL ? trials[i].error : "");
	if (trials[n - 1].outcome == TABLE_FOUND)
		print_value(trials[n - 1].value);
}

/* text_or_note - a JSON string; octets that are no UTF-8 are shown as such */
static json_t *
text_or_note(const char *text)
{
	json_t *string = json_string(text);

	return string != NULL ? string : json_string("(no UTF-8)");
}

/* print_json - the same as one object */
static void
print_json(const char *spec, const struct trial *trials, size_t n)
{
	json_t *tried = json_array();
	json_t *answer =
	    json_pack("{s:b s:o s:s s:o}", "ok", trials[n - 1].outcome != TABLE_TEMPERROR, "table",
		text_or_note(spec), "outcome", word_of(trials[n - 1].outcome), "tried", tried);

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(tried,
		    json_pack("{s:o s:s}", "key", text_or_note(trials[i].key), "outcome",
			word_of(trials[i].outcome)));
	if (trials[n - 1].outcome == TABLE_FOUND)
		(void)json_object_set_new(answer, "value", text_or_note(trials[n - 1].value));
	if (trials[n - 1].error != NULL)
		(void)json_object_set_new(answer, "error", text_or_note(trials[n - 1].error));
	(void)json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	(void)printf("\n");
	json_decref(answer);
}

/* whole_keys - how many of the keys, which begin with the whole ones, are whole */
static size_t
whole_keys(const struct identity_key *keys, size_t n)
{
	size_t whole = 0;

	while (whole < n && keys[whole].whole)
		whole++;
	return whole;
}

/* try_key - ask for one key */
static void
try_key(struct ctl *ctl, struct table *table, const char *key, bool partial, struct trial *trial_r)
{
	*trial_r = (struct trial){ .key = key };
	trial_r->outcome = (partial ? table_get_partial : table_get)(
	    table, ctl->memory, key, 0, &trial_r->value, &trial_r->error);
}

/* decided - has one of the keys tried so far ended the search? */
static bool
decided(const struct trial *trials, size_t tried)
{
	return tried > 0 && trials[tried - 1].outcome != TABLE_NOT_FOUND;
}

/* get_one - try the keys of one, as the daemon does */
static int
get_one(struct ctl *ctl, const struct settings *settings, struct table *table, const char *key)
{
	struct trial trials[2 * IDENTITY_KEYS_MAX];
	struct identity_key keys[IDENTITY_KEYS_MAX];
	size_t n = keys_of(ctl, settings, key, keys), tried = 0;

	if (table_is_pattern(table))
		n = whole_keys(keys, n);
	for (size_t i = 0; i < n; i++) {
		const char *spellings[] = { keys[i].text,
			identity_key_unicode(ctl->memory, keys[i].text) };

		for (size_t j = 0; j < 2 && spellings[j] != NULL && !decided(trials, tried); j++)
			try_key(ctl, table, spellings[j], !keys[i].whole, &trials[tried++]);
	}
	if (ctl->json)
		print_json(table_spec(table), trials, tried);
	else
		print_trials(trials, tried);
	return status_of(trials[tried - 1].outcome);
}

/*
 * get_lines - the keys of standard input, each as it is, for comparing with postmap -q -
 * One line "key<tab>value" for each that is found; the worst status of all.
 */
static int
get_lines(struct ctl *ctl, struct table *table)
{
	char *line = NULL;
	size_t size = 0;
	int status = STATUS_NOT_FOUND;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0) {
		const char *value = NULL, *error = NULL;
		enum table_outcome outcome;

		line[strcspn(line, "\n")] = '\0';
		outcome = table_get(table, ctl->memory, line, 0, &value, &error);
		if (outcome == TABLE_FOUND)
			(void)printf("%s\t%s\n", line, value);
		else if (outcome == TABLE_TEMPERROR)
			(void)fprintf(stderr, "countersignctl: table %s: %s: %s\n",
			    table_spec(table), line, error);
		(void)fflush(stdout);	/* a program may wait for each answer */
		if (outcome == TABLE_TEMPERROR ||
		    (outcome == TABLE_FOUND && status == STATUS_NOT_FOUND))
			status = status_of(outcome);
	}
	free(line);
	return status;
}

/* ctl_table_get - what a table answers for a key, with every partial key tried */
int
ctl_table_get(struct ctl *ctl, char **operands)
{
	struct settings settings;
	struct table *table;
	int status;

	settings = ctl_table_settings_of(ctl);
	table = open_table(ctl, &settings, operands[0]);
	status = strcmp(operands[1], "-") == 0 ? get_lines(ctl, table)
					   : get_one(ctl, &settings, table, operands[1]);
	close_table(table);
	return status;
}

/* ctl_table_check - can a table be opened, and does its server answer? */
int
ctl_table_check(struct ctl *ctl, char **operands)
{
	const char *value = NULL, *error = NULL;
	struct settings settings;
	struct table *table;

	settings = ctl_table_settings_of(ctl);
	table = open_table(ctl, &settings, operands[0]);
	/* any key will do: what is wanted is an answer */
	if (table_get(table, ctl->memory, "countersign@check.invalid", 0, &value, &error) ==
	    TABLE_TEMPERROR)
		ctl_fail("table %s can be opened, but not queried: %s", operands[0], error);
	if (ctl->json)
		(void)printf("{\"ok\":true}\n");
	else
		(void)printf("table %s is good and answers\n", operands[0]);
	close_table(table);
	return EXIT_SUCCESS;
}
