/*
 * letter.c - the message that is sent over and over
 *
 * The fields are those of ordinary mail, some of them folded, so that
 * canonicalisation has the work it has in life. The body is lines of text of
 * 72 octets.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/base/mem.h"
#include "tests/bench/letter.h"

#define FILE_MAX	(64 * 1024 * 1024)

static const struct letter_field ordinary[] = {
	{ "From", NULL },
	{ "To", " Bob <bob@elsewhere.example>" },
	{ "Subject", " Minutes of the meeting on Thursday, with the figures of the third quarter" },
	{ "Date", " Mon, 02 Nov 2026 10:00:00 +0000" },
	{ "Message-ID", " <20261102100000.4711.1@client.example>" },
	{ "MIME-Version", " 1.0" },
	{ "Content-Type", " text/plain; charset=utf-8;\n\tformat=flowed; delsp=yes" },
	{ "Content-Transfer-Encoding", " 7bit" },
	{ "User-Agent", " Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 Thunderbird/102.15.1" },
	{ "Reply-To", " Alice <alice@example.org>" },
	{ "Cc", " Carol <carol@elsewhere.example>,\n Dave <dave@elsewhere.example>" },
	{ "In-Reply-To", " <20261101090000.0815.2@elsewhere.example>" },
	{ "References", " <20261030080000.0815.1@elsewhere.example>\n <20261101090000.0815.2@elsewhere.example>" },
	{ "Organization", " An organization of the laboratory" },
	{ "Content-Language", " en-US" },
	{ "X-Priority", " 3 (Normal)" },
	{ "X-Mailer", " the load generator of the bench" },
	{ "List-Unsubscribe", " <mailto:leave@lists.example.org?subject=leave>,\n <https://lists.example.org/leave/4711>" },
};

/* make_body - lines of text */
static char *
make_body(TALLOC_CTX *ctx, size_t len)
{
	static const char line[] =
	    "The quick brown fox jumps over the lazy dog and  runs into the woods.\r\n";
	char *body = mem_array(ctx, char, len + 1);

	for (size_t i = 0; i < len; i++)
		body[i] = line[i % (sizeof(line) - 1)];
	/* a whole line at the end, whatever its length */
	if (len >= 2)
		memcpy(body + len - 2, "\r\n", 2);
	if (len >= 3 && body[len - 3] == '\r')
		body[len - 3] = '.';
	return body;
}

struct letter *
letter_make(TALLOC_CTX *ctx, size_t n_fields, size_t body_len)
{
	struct letter *letter = mem_new(ctx, struct letter);
	size_t n_ordinary = sizeof(ordinary) / sizeof(ordinary[0]);

	letter->n_fields = n_fields > 0 ? n_fields : 1;
	letter->fields = mem_array(letter, struct letter_field, letter->n_fields);
	for (size_t i = 0; i < letter->n_fields; i++) {
		if (i < n_ordinary)
			letter->fields[i] = ordinary[i];
		else
			letter->fields[i] =
			    (struct letter_field){ mem_printf(letter, "X-Field-%zu", i),
				    " a field that nobody asked for, of ordinary length" };
	}
	letter->body = make_body(letter, body_len);
	letter->body_len = body_len;
	return letter;
}

/* read_file - a whole file, CR dropped; NULL and *error_r */
static char *
read_file(TALLOC_CTX *ctx, const char *name, const char **error_r)
{
	FILE *file = fopen(name, "re");
	size_t room = 65536, len = 0;
	char *text;
	int c;

	if (file == NULL) {
		*error_r = mem_printf(ctx, "%s: %s", name, strerror(errno));
		return NULL;
	}
	text = mem_array(ctx, char, room);
	while ((c = getc(file)) != EOF && len < FILE_MAX) {
		if (c == '\r')
			continue;
		if (len + 2 > room)
			text = mem_grow(ctx, text, char, room *= 2);
		text[len++] = (char)c;
	}
	fclose(file);
	text[len] = '\0';
	return text;
}

/* add_field - the field at text, cut there; returns what follows, or NULL if it is none */
static char *
add_field(struct letter *letter, char *text)
{
	char *colon = strchr(text, ':');
	char *end = strchr(text, '\n');

	while (end != NULL && (end[1] == ' ' || end[1] == '\t'))
		end = strchr(end + 1, '\n');
	if (colon == NULL || end == NULL || colon > end)
		return NULL;
	*colon = '\0';
	*end = '\0';
	letter->fields =
	    mem_grow(letter, letter->fields, struct letter_field, letter->n_fields + 1);
	letter->fields[letter->n_fields++] = (struct letter_field){ text, colon + 1 };
	return end + 1;
}

/* with_crlf - text with CRLF for LF */
static char *
with_crlf(TALLOC_CTX *ctx, const char *text, size_t *len_r)
{
	char *out = mem_array(ctx, char, 2 * strlen(text) + 1);
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text == '\n')
			out[n++] = '\r';
		out[n++] = *text;
	}
	*len_r = n;
	return out;
}

struct letter *
letter_read(TALLOC_CTX *ctx, const char *file, const char **error_r)
{
	struct letter *letter = mem_new(ctx, struct letter);
	char *text = read_file(letter, file, error_r);

	while (text != NULL && *text != '\n' && *text != '\0') {
		text = add_field(letter, text);
		if (text == NULL)
			*error_r = mem_printf(ctx, "%s: a line of the header is no field", file);
	}
	if (text == NULL) {
		talloc_free(letter);
		return NULL;
	}
	letter->body = with_crlf(letter, text + (*text == '\n'), &letter->body_len);
	return letter;
}

void
letter_print(const struct letter *letter, const char *from, FILE *file)
{
	for (size_t i = 0; i < letter->n_fields; i++)
		fprintf(file, "%s:%s\n", letter->fields[i].name,
		    letter->fields[i].value != NULL ? letter->fields[i].value : from);
	fputc('\n', file);
	for (size_t i = 0; i < letter->body_len; i++)
		if (letter->body[i] != '\r')
			fputc(letter->body[i], file);
}
