/*
 * text.c - a message as a file has it, taken apart as an MTA would
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/trial/text.h"
#include "policy/base/mem.h"

#define PIECE		65535	/* octets of body that an MTA hands over at once */

/* skip_mbox - what follows the line that begins a message in an mbox */
static char *
skip_mbox(char *text)
{
	if (strncmp(text, "From ", 5) != 0)
		return text;
	text += strcspn(text, "\n");
	return text + (*text == '\n');
}

char *
trial_text_read(TALLOC_CTX *ctx, char *text, size_t len, const char **error_r)
{
	size_t n = 0, line = 1;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0') {
			*error_r = mem_printf(ctx, "the message has a NUL in line %zu, which MTAs "
			    "do not pass on; remove it", line);
			return NULL;
		}
		if (text[i] == '\r' && (i + 1 == len || text[i + 1] != '\n')) {
			*error_r = mem_printf(ctx, "the message has a bare CR in line %zu, which "
			    "MTAs do not pass on alike; end lines with LF or CRLF", line);
			return NULL;
		}
		line += text[i] == '\n';
		if (text[i] != '\r')
			text[n++] = text[i];
	}
	text[n] = '\0';
	return skip_mbox(text);
}

/* field_colon - the colon of a header line as Postfix sees it, or NULL: the body begins here */
static const char *
field_colon(const char *line)
{
	const char *p = line;

	while (*p > ' ' && *p < 0x7f && *p != ':')
		p++;
	if (p == line)
		return NULL;
	p += strspn(p, " \t");
	return *p == ':' ? p : NULL;
}

/* field_end - the line end of a field, past its folds */
static const char *
field_end(const char *colon)
{
	const char *end = colon;

	do
		end += 1 + strcspn(end + 1, "\n");
	while (*end == '\n' && (end[1] == ' ' || end[1] == '\t'));
	return end;
}

/* header_end - where the fields end; each is given to the session, if there is one */
static const char *
header_end(struct session *session, const char *text)
{
	const char *colon, *end;
	char *name, *value;

	for (; (colon = field_colon(text)) != NULL; text = end + (*end == '\n')) {
		end = field_end(colon);
		if (session == NULL)
			continue;
		name = mem_strndup(NULL, text, (size_t)(colon - text));
		value = mem_strndup(NULL, colon + 1, (size_t)(end - colon - 1));
		message_header(session, name, value);
		talloc_free(name);
		talloc_free(value);
	}
	return text;
}

const char *
trial_text_body(const char *text)
{
	text = header_end(NULL, text);
	return text + (*text == '\n');
}

void
trial_text_header(struct session *session, const char *text)
{
	(void)header_end(session, text);
}

void
trial_text_give(struct session *session, const char *body)
{
	unsigned char *piece = mem_array(NULL, unsigned char, PIECE + 2);
	size_t n = 0;

	for (; *body != '\0'; body++) {
		/* the last line gets its end, as from any MTA */
		bool ends = *body == '\n', last = body[1] == '\0' && !ends;

		if (!ends)
			piece[n++] = (unsigned char)*body;
		if (n >= PIECE) {
			message_body(session, piece, n);
			n = 0;
		}
		if (!ends && !last)
			continue;
		piece[n++] = '\r';
		piece[n++] = '\n';
		if (n >= PIECE) {
			message_body(session, piece, n);
			n = 0;
		}
	}
	if (n > 0)
		message_body(session, piece, n);
	talloc_free(piece);
}
