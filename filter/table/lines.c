/*
 * lines.c - the logical lines of a table's source
 *
 * Postfix reads its pattern tables, network tables and .cf files by one rule, so they share one
 * reader here. A file is read through once, in pieces of bounded length; what is no text is
 * refused, because it is a database or a disk's garbage rather than a table.
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/plain_file.h"
#include "filter/table/lines.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define MAX_LINE	(64 * 1024)	/* octets of one logical line */

struct reader {
	TALLOC_CTX *ctx;	/* for messages */
	const char *source;
	bool (*take)(void *, char *, unsigned int, const char **);
	void *arg;
	char *pending;		/* the logical line being put together, or NULL */
	size_t len;
	unsigned int line;	/* where it began */
	const char **error_r;
};

/* table_lines_complain - the message with its place in front; false */
static bool
table_lines_complain(struct reader *reader, unsigned int line, const char *why)
{
	*reader->error_r = mem_printf(reader->ctx, "%s:%u: %s", reader->source, line, why);
	return false;
}

/* table_lines_hand_over - a logical line is whole */
static bool
table_lines_hand_over(struct reader *reader)
{
	char *text = reader->pending;
	const char *why = NULL;
	bool good;

	if (text == NULL)
		return true;
	while (reader->len > 0 && text_is_space(text[reader->len - 1]))
		text[--reader->len] = '\0';
	reader->pending = NULL;
	good = reader->take(reader->arg, text, reader->line, &why) ||
	    table_lines_complain(reader, reader->line, why);
	talloc_free(text);
	return good;
}

/* take_physical - one line of the file, without its end */
static bool
take_physical(struct reader *reader, const char *text, size_t len, unsigned int line)
{
	struct span rest = text_trim(text_span_of(text, len));

	if (rest.len == 0 || rest.at[0] == '#')
		return true;
	if (!text_is_space(text[0])) {
		if (!table_lines_hand_over(reader))
			return false;
		reader->pending = mem_strndup(NULL, text, len);
		reader->len = len;
		reader->line = line;
		return true;
	}
	if (reader->pending == NULL)
		return table_lines_complain(reader, line, "begins with white space but continues nothing");
	if (reader->len + len > MAX_LINE)
		return table_lines_complain(reader, reader->line, "the entry is longer than 65536 "
		    "bytes");
	reader->pending = mem_check(talloc_strndup_append_buffer(reader->pending, text, len));
	reader->len += len;
	return true;
}

/* read_file - all lines of a file */
static bool
read_file(struct reader *reader, FILE *file)
{
	char *buffer = NULL;
	size_t size = 0;
	unsigned int line = 0;
	bool good = true;
	ssize_t len;

	while (good && (len = getline(&buffer, &size, file)) >= 0) {
		size_t n = (size_t)len;

		line++;
		if (n > MAX_LINE || memchr(buffer, '\0', n) != NULL) {
			good = table_lines_complain(reader, line, "too long or not text");
			break;
		}
		while (n > 0 && (buffer[n - 1] == '\n' || buffer[n - 1] == '\r'))
			n--;
		good = take_physical(reader, buffer, n, line);
	}
	free(buffer);
	if (good && ferror(file)) {
		*reader->error_r = mem_printf(
		    reader->ctx, "%s: cannot be read: %s", reader->source, strerror(errno));
		good = false;
	}
	return good && table_lines_hand_over(reader);
}

/* brace_end - where the brace that opens at text closes, or NULL */
static const char *
brace_end(const char *text)
{
	unsigned int depth = 0;

	for (; *text != '\0'; text++) {
		if (*text == '{')
			depth++;
		else if (*text == '}' && --depth == 0)
			return text;
	}
	return NULL;
}

/* read_rules - the rules within braces; each is a line */
static bool
read_rules(struct reader *reader, const char *source)
{
	const char *end = brace_end(source);
	const char *p = source + 1;

	reader->source = "inline";
	if (end == NULL || end[1] != '\0')
		return table_lines_complain(reader, 1, "the braces do not match; write { { rule }, { rule } }");
	for (unsigned int line = 1;; line++) {
		const char *close;
		struct span rule;

		while (*p == ',' || text_is_space(*p))
			p++;
		if (p == end)
			return table_lines_hand_over(reader);
		close = *p == '{' ? brace_end(p) : NULL;
		if (close == NULL)
			return table_lines_complain(reader, line,
			    "write each rule in braces of its own: { { rule }, { rule } }");
		rule = text_trim(text_span_of(p + 1, (size_t)(close - p - 1)));
		if (rule.len > 0 && !take_physical(reader, rule.at, rule.len, line))
			return false;
		p = close + 1;
	}
}

/* table_lines_read - call take for each logical line, in order */
bool
table_lines_read(TALLOC_CTX *ctx, const char *source,
    bool (*take)(void *arg, char *text, unsigned int line, const char **why_r), void *arg,
    const char **error_r)
{
	struct reader reader = {
		.ctx = ctx, .source = source, .take = take, .arg = arg, .error_r = error_r
	};
	FILE *file;
	bool good;

	if (source[0] == '{') {
		good = read_rules(&reader, source);
	} else {
		file = plain_file(source);
		if (file == NULL) {
			*error_r =
			    mem_printf(ctx, "%s: cannot be opened: %s", source, plain_file_error(errno));
			return false;
		}
		good = read_file(&reader, file);
		(void)fclose(file);
	}
	talloc_free(reader.pending);
	return good;
}
