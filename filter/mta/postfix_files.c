/*
 * postfix_files.c - main.cf and master.cf read without postconf(1)
 *
 * The files are strangers' text: their size, the size of what $name makes of them, and the depth
 * of names within names are bounded.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/plain_file.h"
#include "filter/mta/postfix_files.h"
#include "policy/base/mem.h"

#define FILE_LINES_MAX 100000
#define FILE_TEXT_MAX (4u * 1024 * 1024) /* of both files */
#define EXPANDED_MAX (256u * 1024)       /* of one value */
#define EXPAND_DEPTH 20
#define EXPAND_STEPS 2000 /* names in one value */
#define SPACES " \t\r\n"

/* What Postfix has if main.cf does not say it. */
static const char *const defaults[][2] = {
	{ "compatibility_level", "3.6" },
	{ "inet_interfaces", "all" },
	{ "inet_protocols", "all" },
	{ "milter_command_timeout", "30s" },
	{ "milter_content_timeout", "300s" },
	{ "milter_default_action", "tempfail" },
	{ "milter_macro_daemon_name", "$myhostname" },
	{ "milter_protocol", "6" },
	{ "mydestination", "$myhostname, localhost.$mydomain, localhost" },
	{ "myorigin", "$myhostname" },
	{ "queue_directory", "/var/spool/postfix" },
	{ "smtpd_relay_restrictions",
	    "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination" },
	{ "smtpd_sasl_auth_enable", "no" },
	{ "smtpd_sasl_type", "cyrus" },
};

/* --- lines ----------------------------------------------------------------- */

/* append - a piece of text at the end of another; false: it becomes too long */
static bool
append(char **text, const char *piece, size_t len, size_t max)
{
	if (talloc_get_size(*text) + len > max)
		return false;
	*text = mem_check(talloc_strndup_append_buffer(*text, piece, len));
	return true;
}

/* join_lines - the logical lines of a file, without comments; NULL and *error_r */
static char *
join_lines(TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	FILE *file = plain_file(path);
	char *whole = mem_strdup(ctx, ""), *line = NULL;
	bool fits = true;
	size_t size = 0;
	ssize_t len;

	if (file == NULL) {
		*error_r = mem_printf(ctx, "%s: %s", path, plain_file_error(errno));
		return NULL;
	}
	for (int n = 0; fits && n < FILE_LINES_MAX && (len = getline(&line, &size, file)) > 0;
	     n++) {
		size_t blanks = strspn(line, SPACES);

		if (line[blanks] == '\0' || line[blanks] == '#')
			continue;
		while (len > 0 && strchr(SPACES, line[len - 1]) != NULL)
			line[--len] = '\0';
		if (whole[0] != '\0')
			fits = append(&whole, blanks > 0 ? " " : "\n", 1, FILE_TEXT_MAX);
		fits = fits && append(&whole, line + blanks, strlen(line + blanks), FILE_TEXT_MAX);
	}
	free(line);
	(void)fclose(file);
	if (fits)
		return whole;
	*error_r = mem_printf(ctx, "%s: larger than %u bytes", path, FILE_TEXT_MAX);
	return NULL;
}

/* raw_value - the last value that lines "name = value" give a name, as a length in *len_r; NULL:
 * none */
static const char *
raw_value(const char *lines, const char *name, size_t name_len, size_t *len_r)
{
	const char *found = NULL;

	for (const char *line = lines; *line != '\0';) {
		size_t len = strcspn(line, "\n"), key = strcspn(line, " \t=\n");
		const char *equals = line + key + strspn(line + key, " \t");

		if (key == name_len && memcmp(line, name, key) == 0 && *equals == '=') {
			found = equals + 1 + strspn(equals + 1, " \t");
			*len_r = (size_t)(line + len - found);
		}
		line += len + (line[len] == '\n');
	}
	return found;
}

/* --- $name ----------------------------------------------------------------- */

/* An expansion that goes on. */
struct expansion {
	const struct postfix_files *files;
	char *text; /* so far */
	int depth;
	int steps;
};

/* closing - the brace that ends a name in braces or parentheses; NULL: none does */
static const char *
closing(const char *at)
{
	char open = *at, close = open == '{' ? '}' : ')';
	int depth = 0;

	for (; *at != '\0'; at++) {
		depth += *at == open ? 1 : *at == close ? -1 : 0;
		if (depth == 0)
			return at;
	}
	return NULL;
}

static void expand_text(struct expansion *expansion, const char *text, size_t len);

/* expand_name - the value of a name, or the text that depends on it */
static void
expand_name(struct expansion *expansion, const char *inside, size_t len)
{
	size_t name = 0, n = 0;
	const char *value;
	char word;

	while (name < len && (isalnum((unsigned char)inside[name]) || inside[name] == '_'))
		name++;
	value = raw_value(expansion->files->raw, inside, name, &n);
	word = name < len ? inside[name] : '\0';
	if (word == '\0' && value != NULL)
		expand_text(expansion, value, n);
	else if ((word == '?' && n > 0) || (word == ':' && n == 0)) {
		inside += name + 1;
		len -= name + 1;
		if (len > 1 && inside[0] == '{' && closing(inside) == inside + len - 1) {
			inside++;
			len -= 2;
		}
		expand_text(expansion, inside, len);
	}
}

/* expand_text - a text with its names */
static void
expand_text(struct expansion *expansion, const char *text, size_t len)
{
	const char *end = text + len;

	if (expansion->depth == EXPAND_DEPTH || ++expansion->steps > EXPAND_STEPS)
		return;
	expansion->depth++;
	while (text < end) {
		const char *dollar = memchr(text, '$', (size_t)(end - text));
		const char *name, *close;
		size_t n = 0;

		(void)append(&expansion->text, text,
		    (size_t)((dollar != NULL ? dollar : end) - text), EXPANDED_MAX);
		if (dollar == NULL)
			break;
		text = name = dollar + 1;
		if (text < end && (*text == '{' || *text == '(') &&
		    (close = closing(text)) != NULL && close < end) {
			expand_name(expansion, text + 1, (size_t)(close - text - 1));
			text = close + 1;
			continue;
		}
		while (text < end && (isalnum((unsigned char)*text) || *text == '_'))
			text++;
		n = (size_t)(text - name);
		if (n > 0)
			expand_name(expansion, name, n);
		else if (text < end && *text == '$') /* $$ */
			text++;
	}
	expansion->depth--;
}

char *
postfix_files_expand(TALLOC_CTX *ctx, const struct postfix_files *files, const char *text)
{
	struct expansion expansion = { .files = files, .text = mem_strdup(ctx, "") };

	expand_text(&expansion, text, strlen(text));
	return expansion.text;
}

const char *
postfix_files_value(TALLOC_CTX *ctx, const struct postfix_files *files, const char *name)
{
	size_t len = 0;
	const char *value = raw_value(files->raw, name, strlen(name), &len);

	return value == NULL ? "" : postfix_files_expand(ctx, files, mem_strndup(ctx, value, len));
}

/* --- reading --------------------------------------------------------------- */

/* add_default - a parameter that main.cf does not set */
static void
add_default(struct postfix_files *files, const char *name, const char *value)
{
	size_t len;

	if (raw_value(files->raw, name, strlen(name), &len) == NULL)
		files->raw =
		    mem_check(talloc_asprintf_append_buffer(files->raw, "\n%s = %s", name, value));
}

/* add_defaults - what Postfix itself would add */
static void
add_defaults(struct postfix_files *files, const char *directory)
{
	char host[256] = "localhost";
	const char *name, *dot;

	(void)gethostname(host, sizeof(host) - 1);
	add_default(files, "config_directory", directory);
	add_default(files, "myhostname",
	    strchr(host, '.') != NULL ? host : mem_printf(files, "%s.localdomain", host));
	name = postfix_files_value(files, files, "myhostname");
	dot = strchr(name, '.');
	add_default(files, "mydomain", dot != NULL ? dot + 1 : "localdomain");
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		add_default(files, defaults[i][0], defaults[i][1]);
}

/* expand_all - each value of raw, expanded */
static void
expand_all(struct postfix_files *files)
{
	files->expanded = mem_strdup(files, "");
	for (const char *line = files->raw; *line != '\0';) {
		size_t len = strcspn(line, "\n"), key = strcspn(line, " \t=\n");
		const char *name = mem_strndup(files, line, key);

		files->expanded = mem_check(talloc_asprintf_append_buffer(
		    files->expanded, "%s = %s\n", name, postfix_files_value(files, files, name)));
		line += len + (line[len] == '\n');
	}
}

struct postfix_files *
postfix_files_read(TALLOC_CTX *ctx, const char *directory, const char **error_r)
{
	struct postfix_files *files = mem_new(ctx, struct postfix_files);

	files->raw = join_lines(files, mem_printf(files, "%s/main.cf", directory), error_r);
	if (files->raw == NULL)
		return NULL;
	files->services = join_lines(files, mem_printf(files, "%s/master.cf", directory), error_r);
	if (files->services == NULL)
		return NULL;
	add_defaults(files, directory);
	expand_all(files);
	return files;
}
