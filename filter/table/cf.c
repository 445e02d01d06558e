/*
 * cf.c - Postfix's own .cf files
 *
 * The file is Postfix's, perhaps of another version, so a name that is unknown here is no mistake;
 * a value that is wrong is one, with file:line. Passwords are in these files: the copies are wiped
 * when a table has taken what it needs.
 *
 * Threads: no shared state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/table/cf.h"
#include "filter/table/lines.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

struct setting {
	char *name;
	char *value;
	unsigned int line;
};

struct table_cf {
	const char *path;
	struct setting *settings;
	size_t n;
};

/* table_cf_take_line - one "name = value" */
static bool
table_cf_take_line(void *arg, char *text, unsigned int line, const char **why_r)
{
	struct table_cf *cf = arg;
	char *equals = strchr(text, '=');
	struct span name, value;

	name = text_trim(text_span_of(text, equals != NULL ? (size_t)(equals - text) : 0));
	if (name.len == 0 || memchr(name.at, ' ', name.len) != NULL) {
		*why_r = mem_printf(cf, "\"%.40s\" is not a setting; write: name = value", text);
		return false;
	}
	value = text_trim(text_span(equals + 1));
	cf->settings = mem_grow(cf, cf->settings, struct setting, cf->n + 1);
	cf->settings[cf->n++] = (struct setting){
		.name = mem_strndup(cf, name.at, name.len),
		.value = mem_strndup(cf, value.at, value.len),
		.line = line,
	};
	explicit_bzero(text, strlen(text));
	return true;
}

/* wipe - talloc destructor: there are passwords among the values */
static int
wipe(struct table_cf *cf)
{
	for (size_t i = 0; i < cf->n; i++)
		explicit_bzero(cf->settings[i].value, strlen(cf->settings[i].value));
	return 0;
}

/* table_cf_load - read a file */
struct table_cf *
table_cf_load(TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	struct table_cf *cf = mem_new(ctx, struct table_cf);

	cf->path = mem_strdup(cf, path);
	talloc_set_destructor(cf, wipe);
	if (path[0] != '/')
		*error_r = mem_printf(ctx,
		    "\"%s\" is not the path of a .cf file; write it whole: /etc/postfix/%s", path,
		    path);
	else if (table_lines_read(ctx, path, table_cf_take_line, cf, error_r))
		return cf;
	talloc_free(cf);
	return NULL;
}

/* table_cf_path - the file, for messages */
const char *
table_cf_path(const struct table_cf *cf)
{
	return cf->path;
}

/* table_cf_find - the last setting of a name, or NULL */
static const struct setting *
table_cf_find(const struct table_cf *cf, const char *name)
{
	for (size_t i = cf->n; i > 0; i--)
		if (strcmp(cf->settings[i - 1].name, name) == 0)
			return &cf->settings[i - 1];
	return NULL;
}

/* table_cf_text - the value of a name */
const char *
table_cf_text(const struct table_cf *cf, const char *name, const char *standard)
{
	const struct setting *setting = table_cf_find(cf, name);

	return setting != NULL ? setting->value : standard;
}

/* table_cf_need - the value of a name that must have one */
const char *
table_cf_need(
    const struct table_cf *cf, const char *name, const char *example, const char **error_r)
{
	const char *value = table_cf_text(cf, name, "");

	if (value[0] != '\0')
		return value;
	if (*error_r == NULL)
		*error_r = table_cf_error(
		    cf, name, "%s is not set; write for example: %s = %s", name, name, example);
	return NULL;
}

/* table_cf_number - a number within bounds */
long
table_cf_number(const struct table_cf *cf, const char *name, long standard, long min, long max,
    const char **error_r)
{
	const char *text = table_cf_text(cf, name, NULL);
	char *end;
	long value;

	if (text == NULL)
		return standard;
	errno = 0;
	value = strtol(text, &end, 10);
	if (text[0] != '\0' && *end == '\0' && errno == 0 && value >= min && value <= max)
		return value;
	if (*error_r == NULL)
		*error_r = table_cf_error(
		    cf, name, "%s = %s must be a number from %ld to %ld", name, text, min, max);
	return standard;
}

/* table_cf_bool - yes or no */
bool
table_cf_bool(const struct table_cf *cf, const char *name, bool standard, const char **error_r)
{
	const char *text = table_cf_text(cf, name, NULL);

	if (text == NULL)
		return standard;
	if (strcasecmp(text, "yes") == 0 || strcasecmp(text, "no") == 0)
		return strcasecmp(text, "yes") == 0;
	if (*error_r == NULL)
		*error_r = table_cf_error(cf, name, "%s = %s must be yes or no", name, text);
	return standard;
}

/* table_cf_error - a message with its place in front */
const char *
table_cf_error(const struct table_cf *cf, const char *name, const char *format, ...)
{
	const struct setting *setting = table_cf_find(cf, name);
	va_list args;
	char *text;

	text = setting != NULL ? mem_printf(cf, "%s:%u: ", cf->path, setting->line)
			       : mem_printf(cf, "%s: ", cf->path);
	va_start(args, format);
	text = mem_check(talloc_vasprintf_append_buffer(text, format, args));
	va_end(args);
	return text;
}
