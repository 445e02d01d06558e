/*
 * postfix.c - a Postfix configuration as values, as postconf(1) reports it
 *
 * Postfix alone knows its defaults, its $name and its braces, so postconf is asked for them:
 * everything, everything expanded, what nothing uses, and the services with their -o. The files
 * are read only to say in which line a thing stands, or if there is no postconf (postfix_files.c).
 *
 * Threads: postfix_read() belongs to one; the rest reads only.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/base/plain_file.h"
#include "filter/mta/command.h"
#include "filter/mta/postfix.h"
#include "filter/mta/postfix_files.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"

#define LINES_MAX	100000	/* of a file that is looked through */
#define BLANKS		" \t\r\n"

/* --- text ------------------------------------------------------------------ */

/* postfix_line - cut a line off a text; NULL at the end */
static char *
postfix_line(char **text)
{
	char *line = *text;

	if (line == NULL || *line == '\0')
		return NULL;
	*text = line + strcspn(line, "\n");
	if (**text != '\0')
		*(*text)++ = '\0';
	return line;
}

const char *
postfix_word(TALLOC_CTX *ctx, const char **list)
{
	const char *at = *list + strspn(*list, BLANKS ","), *from = at;
	int depth = 0;

	if (*at == '\0')
		return NULL;
	for (; *at != '\0' && (depth > 0 || strchr(BLANKS ",", *at) == NULL); at++)
		depth += *at == '{' ? 1 : *at == '}' && depth > 0 ? -1 : 0;
	*list = at;
	return mem_strndup(ctx, from, (size_t)(at - from));
}

bool
postfix_has_word(TALLOC_CTX *ctx, const char *list, const char *word)
{
	const char *found;

	while ((found = postfix_word(ctx, &list)) != NULL)
		if (strcasecmp(found, word) == 0)
			return true;
	return false;
}

/* --- parameters ------------------------------------------------------------ */

static int
compare_parameters(const void *a, const void *b)
{
	const struct postfix_parameter *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static const struct postfix_parameter *
find_parameter(const struct postfix_parameter *list, size_t n, const char *name)
{
	const struct postfix_parameter key = { .name = name };

	return n == 0 ? NULL : bsearch(&key, list, n, sizeof(key), compare_parameters);
}

/* split_assignment - "name = value" in two; false: it is none */
static bool
split_assignment(char *line, const char **name_r, const char **value_r)
{
	char *equals = strchr(line, '='), *end;

	if (equals == NULL || equals == line)
		return false;
	*value_r = equals + 1 + strspn(equals + 1, BLANKS);
	for (end = equals; end > line && strchr(BLANKS, end[-1]) != NULL; end--)
		;
	*end = '\0';
	for (end = equals + 1 + strlen(equals + 1);
	     end > *value_r && strchr(BLANKS, end[-1]) != NULL; end--)
		end[-1] = '\0';
	*name_r = line + strspn(line, BLANKS);
	return true;
}

/* read_parameters - the lines of postconf, sorted */
static struct postfix_parameter *
read_parameters(TALLOC_CTX *ctx, char *text, size_t *n_r)
{
	struct postfix_parameter *list = NULL;
	char *line;

	*n_r = 0;
	while ((line = postfix_line(&text)) != NULL) {
		struct postfix_parameter parameter = { .line = 0 };

		if (!split_assignment(line, &parameter.name, &parameter.value))
			continue;
		list = mem_grow(ctx, list, struct postfix_parameter, *n_r + 1);
		list[(*n_r)++] = parameter;
	}
	if (*n_r > 1)
		qsort(list, *n_r, sizeof(list[0]), compare_parameters);
	return list;
}

/* read_unused - the warnings of postconf about parameters that nothing uses */
static void
read_unused(struct postfix *postfix, char *text)
{
	static const char mark[] = ": unused parameter: ", before[] = ": warning: ";
	char *line;

	while ((line = postfix_line(&text)) != NULL) {
		char *at = strstr(line, mark), *from = strstr(line, before);
		struct postfix_unused unused;
		bool known = false;

		if (at == NULL || from == NULL || from >= at)
			continue;
		*at = '\0';
		unused.file = from + sizeof(before) - 1;
		if (!split_assignment(at + sizeof(mark) - 1, &unused.name, &unused.value))
			continue;
		for (size_t i = 0; i < postfix->n_unused; i++)
			known = known || (strcmp(postfix->unused[i].name, unused.name) == 0 &&
			    strcmp(postfix->unused[i].file, unused.file) == 0);
		if (known)
			continue;
		postfix->unused = mem_grow(
		    postfix, postfix->unused, struct postfix_unused, postfix->n_unused + 1);
		postfix->unused[postfix->n_unused++] = unused;
	}
}

/* --- services -------------------------------------------------------------- */

/* port_of - the number of a service's port; 0: unknown */
static int
port_of(const char *name)
{
	static const struct { const char *name; int port; } usual[] = {
		{ "smtp", 25 }, { "submission", 587 }, { "smtps", 465 }, { "submissions", 465 },
	};
	struct servent entry, *found = NULL;
	char buffer[1024], *end;
	long number = strtol(name, &end, 10);

	if (end != name && *end == '\0')
		return number > 0 && number < 65536 ? (int)number : 0;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (strcmp(usual[i].name, name) == 0)
			return usual[i].port;
	if (getservbyname_r(name, "tcp", &entry, buffer, sizeof(buffer), &found) == 0 &&
	    found != NULL)
		return (int)(((unsigned int)entry.s_port & 0xff) << 8 |
		    ((unsigned int)entry.s_port >> 8 & 0xff));
	return 0;
}

/* read_place - host and port of an inet service */
static void
read_place(TALLOC_CTX *ctx, struct postfix_service *service)
{
	const char *colon = strrchr(service->name, ':');

	if (strcmp(service->type, "inet") != 0)
		return;
	service->port = port_of(colon != NULL ? colon + 1 : service->name);
	if (colon == NULL || colon == service->name)
		return;
	if (service->name[0] == '[' && colon[-1] == ']')
		service->host = mem_strndup(
		    ctx, service->name + 1, (size_t)(colon - service->name) - 2);
	else
		service->host = mem_strndup(ctx, service->name, (size_t)(colon - service->name));
}

/* add_broken - a word that smtpd will stumble over; the parameter it belongs to is the last one */
static void
add_broken(TALLOC_CTX *ctx, struct postfix_service *service, const char *word)
{
	if (service->n_broken == 0 && service->n_overrides > 0)
		word = service->overrides[service->n_overrides - 1].name;
	service->broken = mem_grow(ctx, service->broken, const char *, service->n_broken + 1);
	service->broken[service->n_broken++] = mem_strdup(ctx, word);
}

/* add_override - one -o; word is what stands after it */
static void
add_override(TALLOC_CTX *ctx, struct postfix_service *service, const char *word)
{
	struct postfix_parameter parameter = { .line = 0 };
	size_t len = strlen(word);
	char *text = word[0] == '{' && len > 1 && word[len - 1] == '}'
	    ? mem_strndup(ctx, word + 1, len - 2)
	    : mem_strdup(ctx, word);

	if (split_assignment(text, &parameter.name, &parameter.value)) {
		parameter.written = parameter.value;
		service->overrides = mem_grow(ctx, service->overrides, struct postfix_parameter,
		    service->n_overrides + 1);
		service->overrides[service->n_overrides++] = parameter;
	} else {
		service->broken =
		    mem_grow(ctx, service->broken, const char *, service->n_broken + 1);
		service->broken[service->n_broken++] = mem_strdup(ctx, word);
	}
}

/* argument - the next word of a command; commas are part of it */
static const char *
argument(TALLOC_CTX *ctx, const char **list)
{
	const char *at = *list + strspn(*list, BLANKS), *from = at;
	int depth = 0;

	if (*at == '\0')
		return NULL;
	for (; *at != '\0' && (depth > 0 || strchr(BLANKS, *at) == NULL); at++)
		depth += *at == '{' ? 1 : *at == '}' && depth > 0 ? -1 : 0;
	*list = at;
	return mem_strndup(ctx, from, (size_t)(at - from));
}

/* read_service - a line of postconf -M; false: it is none */
static bool
read_service(
    TALLOC_CTX *ctx, const char *line, bool chroot_default, struct postfix_service *service)
{
	const char *fields[8] = { NULL }, *word, *text = line;
	size_t n = 0;

	while (n < 8 && (fields[n] = argument(ctx, &line)) != NULL)
		n++;
	if (n < 8)
		return false;
	*service = (struct postfix_service){ .name = fields[0], .type = fields[1],
		.text = mem_strdup(ctx, text) };
	service->program =
	    strrchr(fields[7], '/') != NULL ? strrchr(fields[7], '/') + 1 : fields[7];
	service->arguments = mem_strdup(ctx, line);
	service->process_limit = fields[6][0] == '-' ? -1 : (int)strtol(fields[6], NULL, 10);
	service->chroot = fields[4][0] == '-' ? chroot_default : fields[4][0] == 'y';
	read_place(ctx, service);
	while ((word = argument(ctx, &line)) != NULL) {
		if (strcmp(word, "-o") == 0 && (word = argument(ctx, &line)) != NULL)
			add_override(ctx, service, word);
		else if (word != NULL && strncmp(word, "-o", 2) == 0 && word[2] != '\0')
			add_override(ctx, service, word + 2);
		else if (word != NULL && word[0] != '-' && strcmp(service->program, "smtpd") == 0)
			add_broken(ctx, service, word);	/* smtpd takes no such words */
	}
	return true;
}

/* expand_overrides - the values of -o as postconf -P -x has them: "name/type/parameter = value" */
static void
expand_overrides(struct postfix *postfix, char *text)
{
	char *line;

	while ((line = postfix_line(&text)) != NULL) {
		const char *key = NULL, *value = NULL;

		if (!split_assignment(line, &key, &value))
			continue;
		for (size_t i = 0; i < postfix->n_services; i++) {
			struct postfix_service *service = &postfix->services[i];
			char *prefix = mem_printf(NULL, "%s/%s/", service->name, service->type);
			size_t len = strlen(prefix);
			bool mine = strncmp(key, prefix, len) == 0;

			talloc_free(prefix);
			for (size_t k = 0; mine && k < service->n_overrides; k++)
				if (strcmp(service->overrides[k].name, key + len) == 0)
					service->overrides[k].value = value;
		}
	}
}

/* --- lines ----------------------------------------------------------------- */

/* A file, line by line. */
struct lines {
	FILE *file;
	char *text;
	size_t size;
	int number;		/* of text */
};

static bool
lines_next(struct lines *lines)
{
	lines->number++;
	return lines->file != NULL && lines->number < LINES_MAX &&
	    getline(&lines->text, &lines->size, lines->file) > 0;
}

static void
lines_end(struct lines *lines)
{
	free(lines->text);
	if (lines->file != NULL)
		(void)fclose(lines->file);
}

/* find_main_lines - the last line that sets each parameter of main.cf */
static void
find_main_lines(struct postfix *postfix)
{
	struct lines lines = { .file = plain_file(postfix->main_cf) };

	while (lines_next(&lines)) {
		const struct postfix_parameter *found;
		size_t len = strcspn(lines.text, " \t=\r\n");
		char *name;

		if (len == 0 || lines.text[0] == '#')
			continue;
		name = mem_strndup(NULL, lines.text, len);
		found = find_parameter(postfix->raw, postfix->n_raw, name);
		if (found != NULL)
			postfix->raw[found - postfix->raw].line = lines.number;
		talloc_free(name);
	}
	lines_end(&lines);
}

/* names_override - does a line of master.cf set this parameter? */
static bool
names_override(const char *line, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = line; (at = strstr(at, name)) != NULL; at += len) {
		const char *behind = at + len + strspn(at + len, " \t");

		if (*behind == '=' && at > line && strchr(" \t{o", at[-1]) != NULL)
			return true;
	}
	return false;
}

/* find_master_lines - the services are in the order of the file */
static void
find_master_lines(struct postfix *postfix)
{
	struct lines lines = { .file = plain_file(postfix->master_cf) };
	struct postfix_service *service = NULL;
	size_t n = 0;

	while (lines_next(&lines)) {
		size_t blanks = strspn(lines.text, BLANKS);

		if (lines.text[blanks] == '#' || lines.text[blanks] == '\0')
			continue;
		if (blanks == 0 && n >= postfix->n_services)
			break;
		if (blanks == 0) {
			service = &postfix->services[n++];
			service->line = lines.number;
		}
		for (size_t i = 0; service != NULL && i < service->n_overrides; i++)
			if (names_override(lines.text, service->overrides[i].name))
				service->overrides[i].line = lines.number;
	}
	lines_end(&lines);
}

/* --- reading --------------------------------------------------------------- */

/* postconf_ask - run postconf with some options */
static int
postconf_ask(TALLOC_CTX *ctx, const char *program, const char *directory, const char *one,
    const char *two, int64_t deadline_ms, struct command_output *output, const char **error_r)
{
	const char *argv[6] = { program }, *error;
	size_t n = 1;

	if (directory != NULL) {
		argv[n++] = "-c";
		argv[n++] = directory;
	}
	if (one != NULL)
		argv[n++] = one;
	if (two != NULL)
		argv[n++] = two;
	argv[n] = NULL;
	if (command_run(ctx, argv, deadline_ms, output, error_r) != 0)
		return -1;
	if (output->status == 0)
		return 0;
	/* warnings may come before the error */
	if ((error = strstr(output->error, "fatal: ")) == NULL)
		error = output->error;
	*error_r = mem_printf(ctx, "%s: %.*s", program, (int)strcspn(error, "\n"), error);
	return -1;
}

/* read_services - postconf -M */
static void
read_services(struct postfix *postfix, char *text)
{
	const char *level = postfix_value(postfix, postfix, NULL, "compatibility_level");
	bool chroot_default = strtol(level, NULL, 10) < 1;
	char *line;

	while ((line = postfix_line(&text)) != NULL) {
		struct postfix_service service;

		if (!read_service(postfix, line, chroot_default, &service))
			continue;
		postfix->services = mem_grow(
		    postfix, postfix->services, struct postfix_service, postfix->n_services + 1);
		postfix->services[postfix->n_services++] = service;
	}
}

/* postfix_name_files - where the two files are */
static void
postfix_name_files(struct postfix *postfix)
{
	postfix->directory = postfix_value(postfix, postfix, NULL, "config_directory");
	postfix->main_cf = mem_printf(postfix, "%s/main.cf", postfix->directory);
	postfix->master_cf = mem_printf(postfix, "%s/master.cf", postfix->directory);
}

struct postfix *
postfix_read_files(TALLOC_CTX *ctx, const char *directory, const char **error_r)
{
	struct postfix *postfix = mem_new(ctx, struct postfix);
	const struct postfix_files *files = postfix_files_read(postfix, directory, error_r);

	if (files == NULL)
		return NULL;
	postfix->raw =
	    read_parameters(postfix, mem_strdup(postfix, files->raw), &postfix->n_raw);
	postfix->expanded = read_parameters(
	    postfix, mem_strdup(postfix, files->expanded), &postfix->n_expanded);
	postfix_name_files(postfix);
	read_services(postfix, mem_strdup(postfix, files->services));
	for (size_t i = 0; i < postfix->n_services; i++)
		for (size_t k = 0; k < postfix->services[i].n_overrides; k++)
			postfix->services[i].overrides[k].value = postfix_files_expand(
			    postfix, files, postfix->services[i].overrides[k].value);
	find_main_lines(postfix);
	find_master_lines(postfix);
	return postfix;
}

struct postfix *
postfix_read(TALLOC_CTX *ctx, const char *directory, int64_t deadline_ms, const char **error_r)
{
	struct postfix *postfix = mem_new(ctx, struct postfix);
	struct command_output raw, expanded, set, services, overrides;
	const char *program = command_find(postfix, "postconf");

	if (program == NULL) {
		*error_r = "postconf was not found in PATH";
		return NULL;
	}
	if (postconf_ask(
		postfix, program, directory, NULL, NULL, deadline_ms, &raw, error_r) != 0 ||
	    postconf_ask(
		postfix, program, directory, "-x", NULL, deadline_ms, &expanded, error_r) != 0 ||
	    postconf_ask(
		postfix, program, directory, "-n", NULL, deadline_ms, &set, error_r) != 0 ||
	    postconf_ask(
		postfix, program, directory, "-M", NULL, deadline_ms, &services, error_r) != 0 ||
	    postconf_ask(
		postfix, program, directory, "-P", "-x", deadline_ms, &overrides, error_r) != 0)
		return NULL;
	postfix->raw = read_parameters(postfix, raw.out, &postfix->n_raw);
	postfix->expanded = read_parameters(postfix, expanded.out, &postfix->n_expanded);
	read_unused(postfix, set.error);
	read_unused(postfix, services.error);
	postfix_name_files(postfix);
	read_services(postfix, services.out);
	expand_overrides(postfix, overrides.out);
	find_main_lines(postfix);
	find_master_lines(postfix);
	return postfix;
}

/* --- asking ---------------------------------------------------------------- */

const struct postfix_parameter *
postfix_override(const struct postfix_service *service, const char *name)
{
	const struct postfix_parameter *found = NULL;

	for (size_t i = 0; service != NULL && i < service->n_overrides; i++)
		if (strcmp(service->overrides[i].name, name) == 0)
			found = &service->overrides[i];
	return found;
}

/* main_value - of main.cf or Postfix's default, expanded */
static const char *
main_value(const struct postfix *postfix, const char *name)
{
	const struct postfix_parameter *found =
	    find_parameter(postfix->expanded, postfix->n_expanded, name);

	return found != NULL ? found->value : "";
}

/* reference - the name after a dollar sign; its end in *end_r; NULL: none, or more than a name */
static char *
reference(TALLOC_CTX *ctx, const char *at, const char **end_r)
{
	char close = at[1] == '{' ? '}' : at[1] == '(' ? ')' : '\0';
	const char *from = at + 1 + (close != '\0'), *end = from;

	while (isalnum((unsigned char)*end) || *end == '_')
		end++;
	if (end == from || (close != '\0' && *end != close))
		return NULL;
	*end_r = end + (close != '\0');
	return mem_strndup(ctx, from, (size_t)(end - from));
}

/*
 * with_overrides - a value of main.cf that may refer to what a service overrides
 * NULL if it does not, so that the value that postconf expanded is the right one.
 */
static const char *
with_overrides(TALLOC_CTX *ctx, const struct postfix *postfix,
    const struct postfix_service *service, const char *name)
{
	const struct postfix_parameter *raw = find_parameter(postfix->raw, postfix->n_raw, name);
	char *text = mem_strdup(ctx, "");
	bool touched = false;

	for (const char *at = raw != NULL ? raw->value : ""; *at != '\0';) {
		const char *end = at + 1;
		char *referred = *at == '$' ? reference(ctx, at, &end) : NULL;
		const struct postfix_parameter *own = NULL;

		if (*at == '$' && referred == NULL)
			return NULL;
		if (referred != NULL)
			own = postfix_override(service, referred);
		touched = touched || own != NULL;
		text = mem_check(own != NULL ? talloc_strdup_append_buffer(text, own->value)
			: referred != NULL
			? talloc_strdup_append_buffer(text, main_value(postfix, referred))
			: talloc_strndup_append_buffer(text, at, 1));
		at = end;
	}
	return touched ? text : NULL;
}

const char *
postfix_value(TALLOC_CTX *ctx, const struct postfix *postfix, const struct postfix_service *service,
    const char *name)
{
	const struct postfix_parameter *own = postfix_override(service, name);
	const char *value;

	if (own != NULL)
		return own->value;
	if (service == NULL || service->n_overrides == 0)
		return main_value(postfix, name);
	value = with_overrides(ctx, postfix, service, name);
	return value != NULL ? value : main_value(postfix, name);
}

bool
postfix_yes(TALLOC_CTX *ctx, const struct postfix *postfix, const struct postfix_service *service,
    const char *name)
{
	return strcasecmp(postfix_value(ctx, postfix, service, name), "yes") == 0;
}

int64_t
postfix_time(const char *value)
{
	static const struct { char unit; int64_t ms; } units[] = {
		{ '\0', 1000 }, { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 },
		{ 'w', 604800000 },
	};
	char *end;
	long number = strtol(value, &end, 10);

	for (size_t i = 0; end != value && number >= 0 && number < 100000000 &&
	     i < sizeof(units) / sizeof(units[0]); i++)
		if (*end == units[i].unit)
			return number * units[i].ms;
	return -1;
}

int64_t
postfix_ms(TALLOC_CTX *ctx, const struct postfix *postfix, const struct postfix_service *service,
    const char *name)
{
	return postfix_time(postfix_value(ctx, postfix, service, name));
}

bool
postfix_set(const struct postfix *postfix, const char *name)
{
	const struct postfix_parameter *raw = find_parameter(postfix->raw, postfix->n_raw, name);

	return raw != NULL && raw->line > 0;
}

const char *
postfix_raw(const struct postfix *postfix, const char *name)
{
	const struct postfix_parameter *raw = find_parameter(postfix->raw, postfix->n_raw, name);

	return raw != NULL ? raw->value : "";
}

const char *
postfix_service_where(
    TALLOC_CTX *ctx, const struct postfix *postfix, const struct postfix_service *service)
{
	return mem_printf(ctx, "%s:%d", postfix->master_cf, service->line);
}

const char *
postfix_where(TALLOC_CTX *ctx, const struct postfix *postfix, const struct postfix_service *service,
    const char *name)
{
	const struct postfix_parameter *own = postfix_override(service, name);
	const struct postfix_parameter *raw = find_parameter(postfix->raw, postfix->n_raw, name);

	if (own != NULL && own->line > 0)
		return mem_printf(ctx, "%s:%d", postfix->master_cf, own->line);
	if (raw != NULL && raw->line > 0)
		return mem_printf(ctx, "%s:%d", postfix->main_cf, raw->line);
	return service != NULL ? postfix_service_where(ctx, postfix, service) : postfix->main_cf;
}

bool
postfix_is_smtpd(const struct postfix_service *service)
{
	return strcmp(service->program, "smtpd") == 0 &&
	    (strcmp(service->type, "inet") == 0 || strcmp(service->type, "pass") == 0);
}

bool
postfix_has_auth(
    TALLOC_CTX *ctx, const struct postfix *postfix, const struct postfix_service *service)
{
	return postfix_is_smtpd(service) &&
	    postfix_yes(ctx, postfix, service, "smtpd_sasl_auth_enable");
}

bool
postfix_is_loopback(const struct postfix_service *service)
{
	struct ip_address ip;

	if (service->host == NULL)
		return false;
	return strcasecmp(service->host, "localhost") == 0 ||
	    (ip_address_parse(service->host, &ip) && ip_address_is_loopback(&ip));
}

/* --- milters --------------------------------------------------------------- */

struct postfix_milter *
postfix_milters(TALLOC_CTX *ctx, const char *value, size_t *n_r)
{
	struct postfix_milter *milters = NULL;
	const char *word;

	*n_r = 0;
	while ((word = postfix_word(ctx, &value)) != NULL) {
		struct postfix_milter milter = { word, "" };
		size_t len = strlen(word);

		if (word[0] == '{' && len > 1 && word[len - 1] == '}') {
			const char *inside = mem_strndup(ctx, word + 1, len - 2);

			milter.endpoint = postfix_word(ctx, &inside);
			milter.options = inside;
		}
		if (milter.endpoint == NULL)
			continue;
		milters = mem_grow(ctx, milters, struct postfix_milter, *n_r + 1);
		milters[(*n_r)++] = milter;
	}
	return milters;
}

const char *
postfix_milter_option(TALLOC_CTX *ctx, const struct postfix_milter *milter, const char *name)
{
	const char *rest = milter->options, *word, *found = NULL;

	while ((word = postfix_word(ctx, &rest)) != NULL) {
		size_t len = strlen(word);
		char *text = word[0] == '{' && len > 1 ? mem_strndup(ctx, word + 1, len - 2)
						       : mem_strdup(ctx, word);
		const char *key = NULL, *value = NULL;

		if (split_assignment(text, &key, &value) && strcmp(key, name) == 0)
			found = value;
	}
	return found;
}
