/*
 * options.c - settings into struct members, by table
 *
 * The file's own mistakes (syntax, an unclosed comment) end the reading; mistakes
 * in settings are collected. Runs at start and at reload, in one thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/config/options.h"
#include "policy/base/duration.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define INCLUDE_DEPTH	10	/* as libconfig */
#define INCLUDE_FILES	1000	/* a file may include others many times */
#define FILE_MAX	(16L * 1024 * 1024)	/* octets of a configuration file */

/* add_error - one more line of mistakes */
static void __attribute__((format(printf, 3, 0)))
add_error(struct options_reader *reader, const char *where, const char *format, va_list args)
{
	char *text = mem_check(talloc_vasprintf(reader->ctx, format, args));

	/* a value may have line breaks, and errors are separated by them */
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';

	if (reader->n_errors++ >= OPTIONS_ERRORS_MAX)
		return;
	if (reader->errors == NULL)
		reader->errors = mem_printf(reader->ctx, "%s: %s", where, text);
	else
		reader->errors = mem_check(talloc_asprintf_append_buffer(reader->errors, "\n%s: %s",
		    where, text));
}

/* options_where - "file:line" of a setting */
const char *
options_where(struct options_reader *reader, const config_setting_t *setting)
{
	const char *file;

	if (setting == NULL)
		return reader->file;
	file = config_setting_source_file(setting);
	return mem_printf(reader->ctx, "%s:%u", file != NULL ? file : reader->file,
	    (unsigned int)config_setting_source_line(setting));
}

/* options_error - note a mistake at a setting */
void
options_error(
    struct options_reader *reader, const config_setting_t *setting, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_error(reader, options_where(reader, setting), format, args);
	va_end(args);
}

/* options_error_at - note a mistake at "file:line" */
void
options_error_at(struct options_reader *reader, const char *where, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_error(reader, where, format, args);
	va_end(args);
}

/* options_string - a setting that must be a string */
const char *
options_string(struct options_reader *reader, const config_setting_t *setting)
{
	if (config_setting_type(setting) == CONFIG_TYPE_STRING)
		return mem_strdup(reader->ctx, config_setting_get_string(setting));
	options_error(reader, setting, "%s must be a text in quotation marks",
	    config_setting_name(setting) != NULL ? config_setting_name(setting) : "each element");
	return NULL;
}

/* options_words - a string or a list of strings */
void
options_words(struct options_reader *reader, config_setting_t *setting, struct words *words_r)
{
	int type = config_setting_type(setting);
	int n = type == CONFIG_TYPE_STRING ? 1 : config_setting_length(setting);

	if (type != CONFIG_TYPE_STRING && type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST) {
		options_error(reader, setting,
		    "%s must be a text or a list of texts: [\"one\", \"two\"]",
		    config_setting_name(setting));
		return;
	}
	words_r->items = mem_array(reader->ctx, const char *, (size_t)n + 1);
	words_r->n = 0;
	words_r->where = options_where(reader, setting);
	for (int i = 0; i < n; i++) {
		const char *word = options_string(reader, type == CONFIG_TYPE_STRING ? setting :
		    config_setting_get_elem(setting, (unsigned int)i));

		if (word != NULL)
			words_r->items[words_r->n++] = word;
	}
}

/* read_duration - "200 ms", "4 hours" */
static void
read_duration(struct options_reader *reader, config_setting_t *setting, const struct option *option,
    long *target)
{
	const char *text = options_string(reader, setting);
	double value;

	if (text == NULL)
		return;
	if (!duration_parse(text, &value) || value < 0) {	/* < 0: a unit that is none */
		options_error(reader, setting,
		    "%s = \"%s\" is not a duration; write a number with its unit, ms, s, minutes, "
		    "hours, days or weeks: for example \"200 ms\", \"5 s\", \"2h\" or \"4 hours\"",
		    option->name, text);
		return;
	}
	if (value < (double)option->min || value > (double)option->max) {
		options_error(reader, setting,
		    "%s = \"%s\" must be a duration from %ld ms to %ld s, with its unit: ms, s, minutes, "
		    "hours, days or weeks", option->name, text, option->min, option->max / 1000);
		return;
	}
	*target = (long)value;
}

/* options_read_count - a whole number within bounds */
static void
options_read_count(struct options_reader *reader, config_setting_t *setting,
    const struct option *option, long *target)
{
	long long value;

	if (config_setting_type(setting) != CONFIG_TYPE_INT &&
	    config_setting_type(setting) != CONFIG_TYPE_INT64) {
		options_error(reader, setting, "%s must be a whole number, without quotation marks",
		    option->name);
		return;
	}
	value = config_setting_get_int64(setting);
	if (value < option->min || value > option->max) {
		options_error(reader, setting, "%s = %lld must be from %ld to %ld", option->name,
		    value, option->min, option->max);
		return;
	}
	*target = (long)value;
}

/* read_choice - one of a few words */
static void
read_choice(struct options_reader *reader, config_setting_t *setting, const struct option *option,
    int *target)
{
	const char *text = options_string(reader, setting);
	char *known = NULL;

	if (text == NULL)
		return;
	for (const struct option_choice *choice = option->choices; choice->word != NULL; choice++) {
		if (strcmp(choice->word, text) == 0) {
			*target = choice->value;
			return;
		}
		known = known == NULL ? mem_strdup(reader->ctx, choice->word) :
		    mem_check(talloc_asprintf_append_buffer(known, ", %s", choice->word));
	}
	options_error(
	    reader, setting, "%s = \"%s\" is unknown; known are: %s", option->name, text, known);
}

/* read_octal - permissions */
static void
read_octal(struct options_reader *reader, config_setting_t *setting, const struct option *option,
    long *target)
{
	const char *text = options_string(reader, setting);
	char *end;
	long value;

	if (text == NULL)
		return;
	value = strtol(text, &end, 8);
	if (end == text || *end != '\0' || value < 0 || value > 0777)
		options_error(reader, setting,
		    "%s = \"%s\" must be permissions in octal, for example \"0660\"", option->name,
		    text);
	else
		*target = value;
}

/* read_bool - true or false */
static void
read_bool(struct options_reader *reader, config_setting_t *setting, const struct option *option,
    int *target)
{
	if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
		options_error(reader, setting, "%s must be true or false, without quotation marks",
		    option->name);
	else
		*target = config_setting_get_bool(setting);
}

/*
 * note_given - keep what was given, until the whole file is known
 * What does not depend on the target is kept once: a file may have 100 000 accounts.
 */
static void
note_given(struct options_reader *reader, const config_setting_t *setting,
    const struct option_group *group, const void *target, const struct option_given *given)
{
	struct option_given *kept;

	for (size_t i = 0; group->scope == OPTION_SCOPE_FILE && i < reader->n_given; i++)
		if (reader->given[i].option == given->option &&
		    reader->given[i].reason == given->reason && reader->given[i].target == NULL)
			return;
	if (reader->n_given % 64 == 0)
		reader->given = mem_grow(reader->ctx, reader->given, struct option_given,
		    reader->n_given + 64);
	kept = &reader->given[reader->n_given++];
	*kept = *given;
	kept->name = mem_strdup(reader->ctx, config_setting_name(setting));
	kept->where = options_where(reader, setting);
	kept->scope = group->scope;
	kept->target = group->scope == OPTION_SCOPE_FILE ? NULL : target;
}

/* read_option - one setting by its row */
static void
read_option(struct options_reader *reader, config_setting_t *setting, const struct option *option,
    void *target)
{
	void *member = (char *)target + option->offset;

	switch (option->type) {
	case OPTION_STRING:
		*(const char **)member = options_string(reader, setting);
		break;
	case OPTION_WORDS:
		options_words(reader, setting, member);
		break;
	case OPTION_BOOL:
		read_bool(reader, setting, option, member);
		break;
	case OPTION_COUNT:
		options_read_count(reader, setting, option, member);
		break;
	case OPTION_DURATION:
		read_duration(reader, setting, option, member);
		break;
	case OPTION_CHOICE:
		read_choice(reader, setting, option, member);
		break;
	case OPTION_OCTAL:
		read_octal(reader, setting, option, member);
		break;
	case OPTION_CUSTOM:
		option->read(reader, setting, member);
		break;
	}
}

/* options_networks - a list of networks */
struct netblock *
options_networks(struct options_reader *reader, config_setting_t *setting, size_t *n_r)
{
	struct words words = { 0 };
	struct netblock *blocks;

	options_words(reader, setting, &words);
	blocks = mem_array(reader->ctx, struct netblock, words.n + 1);
	*n_r = 0;
	for (size_t i = 0; i < words.n; i++) {
		const char *error = NULL;

		if (netblock_parse(reader->ctx, words.items[i], &blocks[*n_r], &error))
			(*n_r)++;
		else
			options_error(
			    reader, setting, "%s: %s", config_setting_name(setting), error);
	}
	return blocks;
}

/* options_action - the action a word names */
int
options_action(const char *word)
{
	for (int action = ACTION_ACCEPT; action <= ACTION_REJECT; action++)
		if (strcmp(word, action_word((enum action)action)) == 0)
			return action;
	return -1;
}

/* read_action - an on_ word; false: there is no such option */
static bool
read_action(struct options_reader *reader, config_setting_t *setting,
    const struct option_group *group, void *target)
{
	struct action_set *set =
	    (struct action_set *)(void *)((char *)target + group->actions_offset);
	enum reason reason = reply_reason_of_option(config_setting_name(setting));
	const char *text;
	int action;

	if (reason == REASON_NONE)
		return false;
	text = options_string(reader, setting);
	if (text == NULL)
		return true;
	action = options_action(text);
	/* how one says "accept" of a missing key */
	if (reason == REASON_MISSING_KEY && strcmp(text, "unsigned") == 0)
		action = ACTION_ACCEPT;
	if (reason == REASON_DMARC_FAIL && strcmp(text, "policy") == 0)
		action = ACTION_BY_POLICY;
	if (action < 0)
		options_error(reader, setting,
		    "%s = \"%s\" is unknown; known are: accept, warn, quarantine, tempfail, reject%s",
		    config_setting_name(setting), text,
		    reason == REASON_DMARC_FAIL ? ", policy" : "");
	else
		set->of[reason] = (signed char)action;
	note_given(reader, setting, group, target,
	    &(const struct option_given){ .reason = reason, .action = (enum action)action });
	return true;
}

/* options_nearest - the known option most like an unknown one, or NULL */
static const char *
options_nearest(const struct option_group *group, const char *name)
{
	const char *best = NULL;
	unsigned int least = 4;

	for (const struct option *option = group->rows; option->name != NULL; option++) {
		if (text_distance(name, option->name) < least) {
			least = text_distance(name, option->name);
			best = option->name;
		}
	}
	for (int reason = 1; group->actions_offset >= 0 && reason < REASON_COUNT; reason++) {
		const char *option = reply_row((enum reason)reason)->option;

		if (option != NULL && text_distance(name, option) < least) {
			least = text_distance(name, option);
			best = option;
		}
	}
	return best;
}

const char *
options_beside(TALLOC_CTX *ctx, const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');
	char here[PATH_MAX];

	if (path == NULL || path[0] == '/')
		return path;
	if (file[0] == '/')
		return mem_printf(ctx, "%.*s/%s", (int)(slash - file), file, path);
	if (getcwd(here, sizeof(here)) == NULL)
		return path;
	return mem_printf(ctx, "%s/%.*s%s", here, slash != NULL ? (int)(slash - file) + 1 : 0, file,
	    path);
}

/* refuse_password - where a file with a password is named, the password itself is an error */
static bool
refuse_password(struct options_reader *reader, config_setting_t *setting,
    const struct option_group *group)
{
	static const char *const words[] = { "password", "pass", "passwd", "requirepass", "auth",
		"masterauth" };
	const char *name = config_setting_name(setting);
	bool sentinel = strncmp(name, "sentinel_", 9) == 0;
	const char *option = sentinel ? "sentinel_password_file" : "password_file";
	const char *word = NULL;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(name + (sentinel ? 9 : 0), words[i]) == 0)
			word = words[i];
	for (const struct option *row = group->rows; word != NULL && row->name != NULL; row++) {
		if (strcmp(row->name, option) != 0)
			continue;
		options_error(reader, setting,
		    "%s: a password must not be in this file, which is copied and shown to others; "
		    "write it into a file of mode 600 and name that: %s = \"/etc/countersign/"
		    "redis.password\"", name, option);
		return true;
	}
	return false;
}

/* options_has - is it an option of a group? */
static bool
options_has(const struct option_group *group, const char *name)
{
	const struct option *row = group->rows;

	while (row->name != NULL && strcmp(row->name, name) != 0)
		row++;
	return row->name != NULL;
}

/* options_group - read every setting of a group */
void
options_group(struct options_reader *reader, config_setting_t *setting,
    const struct option_group *group, void *target)
{
	if (!config_setting_is_group(setting)) {
		options_error(reader, setting, "%s must be a group in braces: { option = value }",
		    group->what);
		return;
	}
	for (int i = 0; i < config_setting_length(setting); i++) {
		config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);
		const char *name = config_setting_name(member);
		const struct option *option = group->rows;
		const char *near;

		while (option->name != NULL && strcmp(option->name, name) != 0)
			option++;
		if (option->name != NULL) {
			read_option(reader, member, option, target);
			/* an empty group sets nothing: it may stand anywhere */
			if (option->works != WORKS_ALWAYS && (!config_setting_is_group(member) ||
			    config_setting_length(member) > 0))
				note_given(reader, member, group, target,
				    &(const struct option_given){ .option = option });
			continue;
		}
		if (refuse_password(reader, member, group))
			continue;
		if (group->actions_offset >= 0 && read_action(reader, member, group, target))
			continue;
		if (reader->top != NULL && options_has(reader->top, name)) {
			options_error(reader, member,
			    "unknown option \"%s\" in %s; it is an option of %s",
			    name, group->what, reader->top->what);
			continue;
		}
		near = options_nearest(group, name);
		options_error(reader, member, "unknown option \"%s\" in %s%s%s%s", name,
		    group->what, near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
		    near != NULL ? "\"?" : "");
	}
}

/* comment_is_open - the line where a comment begins that never ends; 0: none
 * libconfig takes the rest of the file as a comment and says nothing. */
static unsigned int
comment_is_open(const char *text)
{
	unsigned int line = 1;

	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\n') {
			line++;
		} else if (*p == '"') {
			for (p++; *p != '\0' && *p != '"'; p++) {
				line += *p == '\n';
				if (*p == '\\' && p[1] != '\0')
					p++;
			}
			if (*p == '\0')
				return 0;
		} else if (*p == '#' || (*p == '/' && p[1] == '/')) {
			p += strcspn(p, "\n");
			if (*p == '\0')
				return 0;
			line++;
		} else if (*p == '/' && p[1] == '*') {
			const char *end = strstr(p + 2, "*/");

			if (end == NULL)
				return line;
			for (; p < end; p++)
				line += *p == '\n';
			p++;
		}
	}
	return 0;
}

/* read_whole - a file as text, or NULL and a mistake */
static char *
read_whole(struct options_reader *reader)
{
	FILE *file = fopen(reader->file, "re");
	struct stat st;
	char *text;
	size_t len;

	if (file == NULL) {
		options_error(reader, NULL, "cannot be opened: %s", strerror(errno));
		return NULL;
	}
	if (fstat(fileno(file), &st) != 0 || st.st_size > FILE_MAX)
		st.st_size = FILE_MAX;
	text = mem_array(reader->ctx, char, (size_t)st.st_size + 2);
	len = fread(text, 1, (size_t)st.st_size + 1, file);
	if (ferror(file)) {
		options_error(reader, NULL, "cannot be read: %s", strerror(errno));
		talloc_free(text);
		text = NULL;
	} else if (len >= (size_t)FILE_MAX || memchr(text, '\0', len) != NULL) {
		options_error(reader, NULL, "is too large or not a text file");
		talloc_free(text);
		text = NULL;
	}
	(void)fclose(file);
	return text;
}

/*
 * check_comments - note a comment without end in a file or in what it includes
 * The names of included files are as libconfig finds them: relative to our directory.
 */
static bool
options_check_comments(
    struct options_reader *reader, const char *file, unsigned int depth, unsigned int *files)
{
	struct options_reader inner = { .ctx = reader->ctx, .file = file };
	char *text = depth > INCLUDE_DEPTH || ++*files > INCLUDE_FILES ? NULL : read_whole(&inner);
	unsigned int line;
	bool good = true;

	/* what cannot be read is libconfig's to report, but for the first file */
	if (text == NULL) {
		if (depth == 0)
			reader->errors = inner.errors;
		reader->n_errors += depth == 0;
		return depth > 0;
	}
	reader->files.items =
	    mem_grow(reader->ctx, reader->files.items, const char *, reader->files.n + 1);
	reader->files.items[reader->files.n++] = mem_strdup(reader->ctx, file);
	line = comment_is_open(text);
	if (line > 0)
		options_error_at(reader, mem_printf(reader->ctx, "%s:%u", file, line),
		    "this comment has no end; close it with */");
	for (char *p = text; line == 0 && good && (p = strstr(p, "@include")) != NULL;) {
		char *name = p + strcspn(p, "\"\n");
		size_t len = *name == '"' ? strcspn(name + 1, "\"\n") : 0;

		p = name + (*name == '"' ? len + 1 : 0);
		if (len > 0)
			good = options_check_comments(
			    reader, mem_strndup(reader->ctx, name + 1, len), depth + 1, files);
	}
	talloc_free(text);
	return good && line == 0;
}

/* options_parse_file - parse a file with libconfig */
bool
options_parse_file(struct options_reader *reader, config_t *tree)
{
	unsigned int files = 0;
	bool good;

	if (!options_check_comments(reader, reader->file, 0, &files))
		return false;
	/* by name, so that @include and the name in messages work */
	good = config_read_file(tree, reader->file) == CONFIG_TRUE;
	if (!good)
		options_error_at(reader,
		    mem_printf(reader->ctx, "%s:%d",
			config_error_file(tree) != NULL ? config_error_file(tree) : reader->file,
			config_error_line(tree)),
		    "%s (check quotation marks, brackets and repeated names around here)",
		    config_error_text(tree) != NULL ? config_error_text(tree) : "cannot be read");
	return good;
}
