/*
 * opendkim_read.c - opendkim.conf as settings, and its data sets as lists
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/adopt/opendkim.h"
#include "policy/base/mem.h"

#define INCLUDE_DEPTH 5
#define SETTINGS_MAX 1000
#define ELEMENTS_MAX 2000

/* opendkim_add - a setting; the last of a name counts */
static void
opendkim_add(struct opendkim *opendkim, const char *name, const char *value, const char *where)
{
	struct opendkim_setting *setting = opendkim_find(opendkim, name);

	if (setting == NULL) {
		if (opendkim->n == SETTINGS_MAX)
			return;
		opendkim->settings = mem_grow(
		    opendkim->adopt, opendkim->settings, struct opendkim_setting, opendkim->n + 1);
		setting = &opendkim->settings[opendkim->n++];
	}
	*setting = (struct opendkim_setting){ name, value, where, false };
}

/* opendkim_read_at - a file at a depth of Include */
static bool
opendkim_read_at(struct opendkim *opendkim, const char *path, int depth)
{
	struct adopt *adopt = opendkim->adopt;
	char *text, *line;
	int number = 0;

	if (depth > INCLUDE_DEPTH) {
		adopt_missing(adopt, "%s: Include goes too deep", path);
		return false;
	}
	text = adopt_read_file(adopt, path);
	if (text == NULL)
		return false;
	while ((line = adopt_next_line(&text, &number)) != NULL) {
		char *name, *value;
		size_t len;

		line[strcspn(line, "#")] = '\0';
		name = line + strspn(line, " \t");
		len = strcspn(name, " \t");
		if (len == 0)
			continue;
		value = name + len + strspn(name + len, " \t");
		name[len] = '\0';
		for (size_t n = strlen(value); n > 0 && strchr(" \t", value[n - 1]) != NULL; n--)
			value[n - 1] = '\0';
		if (strcasecmp(name, "Include") == 0)
			opendkim->unreadable = opendkim_read_at(opendkim, value, depth + 1)
			    ? opendkim->unreadable
			    : value;
		else
			opendkim_add(
			    opendkim, name, value, mem_printf(adopt, "%s:%d", path, number));
	}
	return true;
}

bool
opendkim_read(struct opendkim *opendkim, const char *path)
{
	const struct opendkim_setting *base;

	opendkim->path = path;
	if (!opendkim_read_at(opendkim, path, 0))
		return false;
	base = opendkim_find(opendkim, "BaseDirectory");
	opendkim->base = base != NULL ? base->value : NULL;
	return true;
}

struct opendkim_setting *
opendkim_find(struct opendkim *opendkim, const char *name)
{
	for (size_t i = 0; i < opendkim->n; i++)
		if (!opendkim->settings[i].used &&
		    strcasecmp(opendkim->settings[i].name, name) == 0)
			return &opendkim->settings[i];
	return NULL;
}

struct opendkim_setting *
opendkim_take(struct opendkim *opendkim, const char *name)
{
	struct opendkim_setting *setting = opendkim_find(opendkim, name);

	if (setting != NULL)
		setting->used = true;
	return setting;
}

bool
opendkim_true(const struct opendkim_setting *setting)
{
	return setting->value[0] != '\0' && strchr("tTyY1", setting->value[0]) != NULL;
}

bool
opendkim_false(const struct opendkim_setting *setting)
{
	static const char *const words[] = { "", "0", "f", "n", "no", "none", "false", "off" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(setting->value, words[i]) == 0)
			return true;
	return false;
}

const char *
opendkim_path(const struct opendkim *opendkim, const char *path)
{
	if (path[0] == '/')
		return path;
	if (strncmp(path, "./", 2) == 0)
		path += 2;
	return mem_printf(
	    opendkim->adopt, "%s/%s", opendkim->base != NULL ? opendkim->base : ".", path);
}

/* elements_of_file - the first word of each line */
static bool
elements_of_file(struct adopt *adopt, const char *path, struct adopt_texts *elements)
{
	char *text = adopt_file(adopt, path), *line;
	int number = 0;

	if (text == NULL)
		return false;
	adopt_text(adopt, &adopt->report->read, "%s", path);
	while ((line = adopt_next_line(&text, &number)) != NULL && elements->n < ELEMENTS_MAX) {
		line[strcspn(line, "# \t")] = '\0';
		if (line[0] != '\0')
			adopt_text(adopt, elements, "%s", line);
	}
	return true;
}

bool
opendkim_elements(struct opendkim *opendkim, const char *spec, struct adopt_texts *elements_r)
{
	static const char *const databases[] = { "db:", "dsn:", "ldap",
		"lua:", "memcache:", "erlang:", "mdb:", "socket:" };
	struct adopt *adopt = opendkim->adopt;
	size_t len = strlen(spec);
	const char *word;

	*elements_r = (struct adopt_texts){ NULL, 0 };
	for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]); i++)
		if (strncmp(spec, databases[i], strlen(databases[i])) == 0)
			return false;
	if (len > 3 && strcmp(spec + len - 3, ".db") == 0)
		return false;
	if (strncmp(spec, "refile:", 7) == 0)
		return elements_of_file(adopt, opendkim_path(opendkim, spec + 7), elements_r);
	if (strncmp(spec, "file:", 5) == 0)
		return elements_of_file(adopt, opendkim_path(opendkim, spec + 5), elements_r);
	if (spec[0] == '/')
		return elements_of_file(adopt, spec, elements_r);
	if (strncmp(spec, "csl:", 4) == 0)
		spec += 4;
	while ((word = postfix_word(adopt, &spec)) != NULL && elements_r->n < ELEMENTS_MAX)
		adopt_text(adopt, elements_r, "%s", word);
	return true;
}
