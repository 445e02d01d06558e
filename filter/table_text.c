/*
 * table_text.c - texthash: and inline: tables
 *
 * The format of postmap(1) sources: "key white-space value", logical lines
 * that go on where the next line begins with white space, # comments, empty
 * lines. Entries are sorted once; a lookup is a binary search without locks
 * or memory. The first of two equal keys is an error: Postfix warns and
 * ignores the second, but who owns an address is not a thing to guess.
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
#include <strings.h>

#include "filter/table_type.h"
#include "policy/mem.h"

#define MAX_LINE	(64 * 1024)	/* octets of one logical line */

struct entry {
	const char *key;
	const char *value;
	unsigned int line;
};

struct entries {
	struct entry *rows;
	size_t n;
	const char *path;	/* for messages */
};

static int
compare_entries(const void *a, const void *b)
{
	return strcasecmp(((const struct entry *)a)->key, ((const struct entry *)b)->key);
}

/* is_space - white space within a line, whatever the locale */
static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* add_entry - keep one pair */
static void
add_entry(struct entries *entries, const char *key, size_t key_len, const char *value,
    unsigned int line)
{
	if (entries->n % 256 == 0)
		entries->rows = mem_grow(entries, entries->rows, struct entry, entries->n + 256);
	entries->rows[entries->n++] = (struct entry){
		.key = mem_strndup(entries->rows, key, key_len),
		.value = mem_strdup(entries->rows, value),
		.line = line,
	};
}

/* add_line - one logical line: key, white space, value */
static bool
add_line(TALLOC_CTX *ctx, struct entries *entries, char *text, unsigned int line,
    const char **error_r)
{
	size_t len = strlen(text);
	size_t key_len = 0;

	while (len > 0 && is_space(text[len - 1]))
		text[--len] = '\0';
	if (len == 0)
		return true;
	while (text[key_len] != '\0' && !is_space(text[key_len]))
		key_len++;
	if (text[key_len] == '\0') {
		*error_r = mem_printf(ctx, "%s:%u: \"%.60s\" has no value; write: key, white space, value",
		    entries->path, line, text);
		return false;
	}
	char *value = text + key_len;

	while (is_space(*value))
		value++;
	add_entry(entries, text, key_len, value, line);
	return true;
}

/* sort_entries - make them searchable; the same key twice is an error */
static bool
sort_entries(TALLOC_CTX *ctx, struct entries *entries, const char **error_r)
{
	if (entries->n == 0)
		return true;
	qsort(entries->rows, entries->n, sizeof(entries->rows[0]), compare_entries);
	for (size_t i = 1; i < entries->n; i++) {
		const struct entry *one = &entries->rows[i - 1];
		const struct entry *two = &entries->rows[i];

		if (strcasecmp(one->key, two->key) != 0)
			continue;
		*error_r = mem_printf(ctx, "%s:%u: the key \"%s\" stands in line %u already; join the two lines",
		    entries->path, one->line > two->line ? one->line : two->line, one->key,
		    one->line > two->line ? two->line : one->line);
		return false;
	}
	return true;
}

/* The logical line that is being put together. */
struct pending {
	char *text;		/* NULL: none */
	unsigned int line;	/* where it began */
};

/* take_line - one physical line: begins, continues or ends a logical one */
static bool
take_line(TALLOC_CTX *ctx, struct entries *entries, struct pending *pending, char *text,
    unsigned int line, const char **error_r)
{
	const char *first = text;

	size_t len = strcspn(text, "\n");

	while (len > 0 && is_space(text[len - 1]))
		len--;
	text[len] = '\0';
	while (is_space(*first))
		first++;
	if (*first == '\0' || *first == '#')
		return true;
	if (first != text) {
		if (pending->text == NULL) {
			*error_r = mem_printf(ctx, "%s:%u: begins with white space but continues nothing",
			    entries->path, line);
			return false;
		}
		pending->text = mem_check(talloc_asprintf_append_buffer(pending->text, " %s", first));
		if (strlen(pending->text) <= MAX_LINE)
			return true;
		*error_r = mem_printf(ctx, "%s:%u: the entry is longer than %d octets", entries->path,
		    pending->line, MAX_LINE);
		return false;
	}
	if (pending->text != NULL && !add_line(ctx, entries, pending->text, pending->line, error_r))
		return false;
	talloc_free(pending->text);
	pending->text = mem_strdup(entries, text);
	pending->line = line;
	return true;
}

/* read_lines - a whole file */
static bool
read_lines(TALLOC_CTX *ctx, struct entries *entries, FILE *file, const char **error_r)
{
	struct pending pending = { NULL, 0 };
	char *buffer = NULL;
	size_t size = 0;
	unsigned int line = 0;
	bool good = true;
	ssize_t len;

	while (good && (len = getline(&buffer, &size, file)) >= 0) {
		line++;
		if (len > MAX_LINE || memchr(buffer, '\0', (size_t)len) != NULL) {
			*error_r = mem_printf(ctx, "%s:%u: too long or not text", entries->path, line);
			good = false;
			break;
		}
		good = take_line(ctx, entries, &pending, buffer, line, error_r);
	}
	free(buffer);
	if (good && ferror(file)) {
		*error_r = mem_printf(ctx, "%s: cannot be read: %s", entries->path, strerror(errno));
		good = false;
	}
	if (good && pending.text != NULL)
		good = add_line(ctx, entries, pending.text, pending.line, error_r);
	talloc_free(pending.text);
	return good;
}

static void *
texthash_open(TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct entries *entries = mem_new(ctx, struct entries);
	FILE *file;
	bool good;

	(void)env;
	entries->path = mem_strdup(entries, argument);
	file = fopen(argument, "re");
	if (file == NULL) {
		*error_r = mem_printf(ctx, "%s: cannot be opened: %s", argument, strerror(errno));
		talloc_free(entries);
		return NULL;
	}
	good = read_lines(ctx, entries, file, error_r) && sort_entries(ctx, entries, error_r);
	(void)fclose(file);
	if (!good) {
		talloc_free(entries);
		return NULL;
	}
	return entries;
}

/* inline_pair - the next "key=value" or "{ key = value }"; moves *p behind it */
static bool
inline_pair(TALLOC_CTX *ctx, struct entries *entries, char **p, const char **error_r)
{
	bool braced = **p == '{';
	char *text = braced ? *p + 1 : *p;
	size_t len = braced ? strcspn(text, "}") : strcspn(text, " \t\r\n,");
	char *equals = memchr(text, '=', len);

	if (equals == NULL || (braced && text[len] != '}')) {
		*error_r = mem_printf(ctx, "inline: \"%.40s\" is no pair; write inline:{ key=value, { key = two values } }",
		    text);
		return false;
	}
	char *end = text + len;
	char *key_end = equals;
	char *value = equals + 1;

	*p = braced ? end + 1 : end;
	while (is_space(*text))
		text++;
	while (key_end > text && is_space(key_end[-1]))
		key_end--;
	while (value < end && is_space(*value))
		value++;
	while (end > value && is_space(end[-1]))
		end--;
	value = mem_strndup(entries, value, (size_t)(end - value));
	add_entry(entries, text, (size_t)(key_end - text), value, 1);
	return true;
}

static void *
inline_open(TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct entries *entries = mem_new(ctx, struct entries);
	char *text = mem_strdup(entries, argument);
	char *p = text + strspn(text, " \t");
	size_t len = strlen(p);

	(void)env;
	entries->path = "inline";
	while (len > 0 && is_space(p[len - 1]))
		len--;
	if (len < 2 || p[0] != '{' || p[len - 1] != '}') {
		*error_r = mem_printf(ctx, "inline:%s is not within { and }", argument);
		talloc_free(entries);
		return NULL;
	}
	p[len - 1] = '\0';
	p++;
	for (;;) {
		p += strspn(p, " \t\r\n,");
		if (*p == '\0')
			break;
		if (!inline_pair(ctx, entries, &p, error_r)) {
			talloc_free(entries);
			return NULL;
		}
	}
	if (!sort_entries(ctx, entries, error_r)) {
		talloc_free(entries);
		return NULL;
	}
	return entries;
}

static void
text_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms, struct table_answer *answer_r)
{
	const struct entries *entries = state;
	const struct entry wanted = { .key = key };
	const struct entry *found;

	(void)ctx, (void)deadline_ms;
	answer_r->outcome = TABLE_NOT_FOUND;
	if (entries->n == 0)
		return;
	found = bsearch(&wanted, entries->rows, entries->n, sizeof(entries->rows[0]), compare_entries);
	if (found == NULL)
		return;
	answer_r->outcome = TABLE_FOUND;
	answer_r->value = found->value;
}

const struct table_type table_texthash = { "texthash", TABLE_FILE, texthash_open, text_get, NULL };
const struct table_type table_inline = { "inline", 0, inline_open, text_get, NULL };
