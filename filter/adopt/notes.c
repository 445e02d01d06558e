/*
 * notes.c - noting what is found: settings, lines for the report, quoting
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/adopt/inside.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/sender/identity.h"

/* one_line - strangers' text without what would end a line or obey a terminal */
static char *
one_line(char *text)
{
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	return text;
}

bool
adopt_has(const struct adopt_texts *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i], text) == 0)
			return true;
	return false;
}

void
adopt_text(struct adopt *adopt, struct adopt_texts *list, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = one_line(mem_check(talloc_vasprintf(adopt, format, arguments)));
	va_end(arguments);
	if (list->n == ADOPT_TEXTS_MAX || adopt_has(list, text))
		return;
	list->items = mem_grow(adopt, list->items, const char *, list->n + 1);
	list->items[list->n++] = text;
}

void
adopt_edit(struct adopt *adopt, const char *file, const char *service, const char *why,
    const char *format, ...)
{
	struct adopt_report *report = adopt->report;
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = one_line(mem_check(talloc_vasprintf(adopt, format, arguments)));
	va_end(arguments);
	if (report->n_edits == ADOPT_TEXTS_MAX)
		return;
	report->edits = mem_grow(adopt, report->edits, struct adopt_edit, report->n_edits + 1);
	report->edits[report->n_edits++] = (struct adopt_edit){ file, service, text, why };
}

void
adopt_set(struct adopt *adopt, enum adopt_place place, const char *from, const char *format, ...)
{
	struct adopt_setting setting = { .place = place };
	va_list arguments;

	va_start(arguments, format);
	setting.text = mem_check(talloc_vasprintf(adopt, format, arguments));
	va_end(arguments);
	setting.from = one_line(mem_strdup(adopt, from));
	adopt->settings =
	    mem_grow(adopt, adopt->settings, struct adopt_setting, adopt->n_settings + 1);
	adopt->settings[adopt->n_settings++] = setting;
}

void
adopt_service(struct adopt *adopt, const char *stays, const char *format, ...)
{
	va_list arguments;

	adopt->services =
	    mem_grow(adopt, adopt->services, struct adopt_service, adopt->n_services + 1);
	va_start(arguments, format);
	adopt->services[adopt->n_services++] =
	    (struct adopt_service){ one_line(mem_check(talloc_vasprintf(adopt, format, arguments))),
		    stays };
	va_end(arguments);
}

/* is_subject - can an account or "@domain" have limits of its own? */
static bool
is_subject(struct adopt *adopt, const struct adopt_limit *limit)
{
	const char *subject = limit->subject, *error = "the login is empty";

	if (subject == NULL)
		return true;
	if (subject[0] == '@') {
		const char *normal =
		    domain_normalise(adopt, subject + 1, strlen(subject + 1), &error);

		if (normal != NULL && domain_is_labels(subject + 1))
			return true;
	} else if (subject[0] != '\0' && identity_account(adopt, subject, NULL, &error) != NULL)
		return true;
	adopt_missing(adopt, "%s: %s cannot have limits of its own: %s", limit->from, subject,
	    error != NULL ? error : "it is not a domain");
	return false;
}

bool
adopt_limit(struct adopt *adopt, const struct adopt_limit *limit)
{
	if (!is_subject(adopt, limit))
		return false;
	if (adopt->n_limits == ADOPT_LIMITS_MAX) {
		adopt_missing(adopt, "%s: more than %d limits; the others are left out",
		    limit->from, ADOPT_LIMITS_MAX);
		return false;
	}
	adopt->limits = mem_grow(adopt, adopt->limits, struct adopt_limit, adopt->n_limits + 1);
	adopt->limits[adopt->n_limits] = *limit;
	adopt->limits[adopt->n_limits++].from = one_line(mem_strdup(adopt, limit->from));
	return true;
}

const char *
adopt_quoted(struct adopt *adopt, const char *text)
{
	char *out = mem_array(adopt, char, 4 * strlen(text) + 3), *to = out;

	*to++ = '"';
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f)
			to += snprintf(to, 5, "\\x%02x", c);
		else {
			if (c == '"' || c == '\\')
				*to++ = '\\';
			*to++ = (char)c;
		}
	}
	*to = '"';
	return out;
}

const char *
adopt_list(struct adopt *adopt, const struct adopt_texts *texts)
{
	char *out = mem_strdup(adopt, "[");

	for (size_t i = 0; i < texts->n; i++)
		out = mem_check(talloc_asprintf_append_buffer(
		    out, "%s%s", i > 0 ? ", " : "", adopt_quoted(adopt, texts->items[i])));
	return mem_check(talloc_strdup_append_buffer(out, "]"));
}

const char *
adopt_shell(struct adopt *adopt, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "/._-+,:@=";
	char *out;

	if (text[0] != '\0' && text[strspn(text, plain)] == '\0')
		return text;
	out = mem_strdup(adopt, "'");
	for (; *text != '\0'; text++)
		out = mem_check(*text == '\'' ? talloc_strdup_append_buffer(out, "'\\''")
					      : talloc_strndup_append_buffer(out, text, 1));
	return mem_check(talloc_strdup_append_buffer(out, "'"));
}

char *
adopt_file(struct adopt *adopt, const char *path)
{
	/* a pipe or a device would hold us up */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *text = NULL;
	size_t len = 0;
	ssize_t got = 1;
	int code;

	if (fd < 0)
		return NULL;
	code = fstat(fd, &st) != 0               ? errno
	    : S_ISDIR(st.st_mode)                ? EISDIR
	    : !S_ISREG(st.st_mode)               ? EINVAL
	    : st.st_size > (off_t)ADOPT_FILE_MAX ? EFBIG
						 : 0;
	if (code != 0) {
		(void)close(fd);
		errno = code;
		return NULL;
	}
	text = mem_array(adopt, char, (size_t)st.st_size + 1);
	while (
	    len < (size_t)st.st_size && (got = read(fd, text + len, (size_t)st.st_size - len)) > 0)
		len += (size_t)got;
	code = errno;
	(void)close(fd);
	errno = code;
	/* a NUL would hide the rest of a line */
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	return got < 0 ? NULL : text;
}

char *
adopt_read_file(struct adopt *adopt, const char *path)
{
	char *text = adopt_file(adopt, path);

	if (text != NULL)
		adopt_text(adopt, &adopt->report->read, "%s", path);
	else
		adopt_missing(adopt, "%s cannot be read: %s", path,
		    errno == EFBIG ? "it is too large" : strerror(errno));
	return text;
}

char *
adopt_next_line(char **text, int *number)
{
	char *line = *text;
	size_t len;

	if (line == NULL || *line == '\0')
		return NULL;
	len = strcspn(line, "\n");
	*text = line + len + (line[len] == '\n');
	line[len] = '\0';
	if (len > 0 && line[len - 1] == '\r')
		line[len - 1] = '\0';
	++*number;
	return line;
}

void
adopt_add_domain(struct adopt *adopt, const char *domain)
{
	const char *error = NULL;
	char *normal = domain_normalise(adopt, domain, strlen(domain), &error);

	if (normal == NULL || domain_is_literal(normal) || strchr(normal, '.') == NULL)
		return;
	if (adopt->domain == NULL)
		adopt->domain = normal;
	if (adopt->domains.n < 100)
		adopt_text(adopt, &adopt->domains, "%s", normal);
}

const char *
adopt_first(const char *const *paths)
{
	for (; *paths != NULL; paths++)
		if (access(*paths, F_OK) == 0)
			return *paths;
	return NULL;
}
