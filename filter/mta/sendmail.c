/*
 * sendmail.c - what a sendmail.cf says of milters, listeners and AUTH
 *
 * The lines of that file are what Sendmail runs with; sendmail.mc may be older or gone.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/base/plain_file.h"
#include "filter/mta/sendmail.h"
#include "policy/base/mem.h"

#define LINES_MAX	100000

/* sendmail_add_line - one logical line */
static void
sendmail_add_line(struct sendmail *sendmail, char *text, int number)
{
	struct sendmail_line line = { .kind = text[0], .line = number };
	const char *from = text + 1, *end;

	if (text[0] == '\0' || strchr("ODKXSR", text[0]) == NULL)
		return;
	if (text[0] == 'R') { /* a rule is kept whole */
		line.name = "";
		line.value = mem_strdup(sendmail, from);
		sendmail->lines = mem_grow(
		    sendmail, sendmail->lines, struct sendmail_line, sendmail->n + 1);
		sendmail->lines[sendmail->n++] = line;
		return;
	}
	from += strspn(from, " \t");
	end = from + strcspn(from, text[0] == 'O' ? "= \t" : ", \t=");
	if (text[0] == 'D') /* a letter, or a name in braces */
		end = *from == '{' ? from + strcspn(from, "}") + 1 : from + (*from != '\0');
	line.name = mem_strndup(sendmail, from, (size_t)(end - from));
	end += strspn(end, text[0] == 'D' ? "" : ",= \t");
	line.value = mem_strdup(sendmail, end);
	sendmail->lines =
	    mem_grow(sendmail, sendmail->lines, struct sendmail_line, sendmail->n + 1);
	sendmail->lines[sendmail->n++] = line;
}

struct sendmail *
sendmail_read(TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	struct sendmail *sendmail = mem_new(ctx, struct sendmail);
	FILE *file = plain_file(path);
	char *text = NULL, *whole = NULL;
	int number = 0, first = 0;
	size_t size = 0;

	if (file == NULL) {
		*error_r = mem_printf(ctx, "%s: %s", path, plain_file_error(errno));
		return NULL;
	}
	sendmail->path = mem_strdup(sendmail, path);
	while (number++ < LINES_MAX && getline(&text, &size, file) > 0) {
		text[strcspn(text, "\r\n")] = '\0';
		if ((text[0] == ' ' || text[0] == '\t') && whole != NULL) {
			whole = mem_check(talloc_asprintf_append_buffer(whole, " %s",
			    text + strspn(text, " \t")));
			continue;
		}
		if (whole != NULL)
			sendmail_add_line(sendmail, whole, first);
		talloc_free(whole);
		whole = mem_strdup(sendmail, text);
		first = number;
	}
	if (whole != NULL)
		sendmail_add_line(sendmail, whole, first);
	free(text);
	(void)fclose(file);
	return sendmail;
}

const struct sendmail_line *
sendmail_find(const struct sendmail *sendmail, char kind, const char *name)
{
	const struct sendmail_line *found = NULL;

	for (size_t i = 0; i < sendmail->n; i++)
		if (sendmail->lines[i].kind == kind &&
		    (kind == 'O' ? strcasecmp(sendmail->lines[i].name, name)
				 : strcmp(sendmail->lines[i].name, name)) == 0)
			found = &sendmail->lines[i];
	return found;
}

const char *
sendmail_where(TALLOC_CTX *ctx, const struct sendmail *sendmail, const struct sendmail_line *line)
{
	return line == NULL ? sendmail->path
			    : mem_printf(ctx, "%s:%d", sendmail->path, line->line);
}

const char *
sendmail_key(TALLOC_CTX *ctx, const char *list, const char *key)
{
	size_t len = strlen(key);

	while (list != NULL && *list != '\0') {
		size_t item;

		list += strspn(list, ", \t");
		item = strcspn(list, ",");
		if (strncasecmp(list, key, len) == 0) {
			const char *behind = list + len + strspn(list + len, " \t");

			if (*behind == '=' && behind < list + item) {
				size_t n;

				behind += 1 + strspn(behind + 1, " \t");
				n = strcspn(behind, ",");
				while (n > 0 && isspace((unsigned char)behind[n - 1]))
					n--;
				return mem_strndup(ctx, behind, n);
			}
		}
		list += item;
	}
	return NULL;
}

int
sendmail_port(const char *port)
{
	static const struct { const char *name; int number; } names[] = {
		{ "smtp", 25 }, { "submission", 587 }, { "smtps", 465 }, { "submissions", 465 },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (port == NULL || strcasecmp(port, names[i].name) == 0)
			return names[i].number;
	return atoi(port);
}
