/*
 * signing_table.c - OpenDKIM's SigningTable and KeyTable, as they stand
 *
 * The files are used unchanged, so what counts is what opendkim does with
 * them, its manual being short on detail: a # begins a comment wherever it stands; the first
 * word is the key and the rest of the line its value; values are divided by colons;
 * letters are folded; of two lines with one key the first counts, but in a
 * "refile:", where every line is a pattern of its own.
 *
 * A hundred thousand domains are a hundred thousand lines, so nothing is copied (the rows
 * point into the text, which is cut by NULs) and nothing is searched line by line:
 * rows are found by hash. For patterns that works because nearly all of them end in
 * @ and a plain domain, and such a pattern can only match addresses of
 * that domain. The others are few and tried one after the other; both
 * kinds are merged by line number, since the first match wins.
 *
 * Domains are compared as A-labels, since that is how senders come here; a
 * table may write them either way.
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "policy/base/domain.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/dkim/signing_table.h"

#define ANY_DOMAIN	"%"	/* a value that stands for the domain of the From field */

/* Rows by the hash of a key; rows of one bucket are chained in the order of the file. */
struct table_index {
	unsigned int *slots;	/* index + 1 of the first row; 0: none */
	size_t n_slots;		/* a power of two */
	unsigned int *others;	/* rows without such a key, in order: patterns */
	size_t n_others;
};

struct signing_row {
	const char *pattern;	/* the first word, its domain in A-labels */
	const char *key;	/* name in the KeyTable, or "%" */
	const char *identity;	/* i=, or NULL */
	unsigned int line;
	unsigned int next;	/* index + 1 of the next row with the same hash key; 0: none */
};

struct signing_table {
	enum dataset_kind kind;
	struct signing_row *rows;
	size_t n;
	struct table_index *index;
};

/* --- messages ---------------------------------------------------------- */

/* signing_table_append_line - one more line to a report's text */
static void
signing_table_append_line(TALLOC_CTX *ctx, char **text, size_t *n, char *line)
{
	if (++*n <= TABLE_REPORT_LINES)
		*text = *text == NULL ? mem_strdup(ctx, line) :
		    mem_check(talloc_asprintf_append_buffer(*text, "\n%s", line));
	talloc_free(line);
}

/* mistake - a line that cannot be used; takes over text */
static void
mistake(struct table_report *report, const char *file, unsigned int line, char *text)
{
	signing_table_append_line(report->ctx, &report->errors, &report->n_errors,
	    mem_printf(report->ctx, "%s:%u: %s", file, line, text));
	talloc_free(text);
}

/* missing_key - a key that cannot be used; takes over text */
static void
missing_key(struct table_report *report, const char *file, unsigned int line, char *text)
{
	signing_table_append_line(report->ctx, &report->missing, &report->n_missing,
	    mem_printf(report->ctx, "%s:%u: %s", file, line, text));
	talloc_free(text);
}

/* signing_table_advice - a line that is used, though perhaps not as meant; takes over text */
static void
signing_table_advice(struct table_report *report, const char *file, unsigned int line, char *text)
{
	signing_table_append_line(report->ctx, &report->warnings, &report->n_warnings,
	    mem_printf(report->ctx, "%s:%u: %s", file, line, text));
	talloc_free(text);
}

/* --- lines ------------------------------------------------------------- */

/* A text that is being read line by line. */
struct reader {
	char *at;
	char *end;		/* of the text, where a NUL is */
	unsigned int line;	/* number of the last line */
};

/* is_blank - the white space inside a line; C's isspace, without a locale */
static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* trim_in_place - cut white space off both ends; returns the start */
static char *
trim_in_place(char *start, char *end)
{
	while (start < end && is_blank(*start))
		start++;
	while (end > start && is_blank(end[-1]))
		end--;
	*end = '\0';
	return start;
}

/* next_line - the next line that holds anything: its first word and the rest; false at the end */
static bool
next_line(struct reader *reader, char **key_r, char **value_r)
{
	while (reader->at < reader->end) {
		char *start = reader->at, *end = memchr(start, '\n', (size_t)(reader->end - start)),
		     *p;

		if (end == NULL)
			end = reader->end;
		reader->at = end < reader->end ? end + 1 : end;
		reader->line++;
		*end = '\0';
		if ((p = strchr(start, '#')) != NULL)
			end = p;
		start = trim_in_place(start, end);
		if (*start == '\0')
			continue;
		for (p = start; *p != '\0' && !is_blank(*p); p++)
			;
		*key_r = start;
		*value_r = p;
		if (*p != '\0') {
			*p++ = '\0';
			*value_r = trim_in_place(p, p + strlen(p));
		}
		return true;
	}
	return false;
}

/* count_lines - an upper bound for the rows of a text */
static size_t
count_lines(const char *text, size_t len)
{
	size_t n = 1;

	for (size_t i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

/* cut_value - take the part before the next colon off a value; the last part if there is none */
static char *
cut_value(char **rest)
{
	char *start = *rest, *colon = strchr(start, ':');

	if (colon == NULL) {
		*rest = start + strlen(start);
		return start;
	}
	*rest = colon + 1;
	return trim_in_place(start, colon);
}

int
dataset_read_spec(TALLOC_CTX *ctx, const char *spec, enum dataset_kind *kind_r,
    const char **path_r, const char **error_r)
{
	*kind_r = strncmp(spec, "refile:", 7) == 0 ? DATASET_REFILE : DATASET_FILE;
	*path_r = *kind_r == DATASET_REFILE  ? spec + 7
	    : strncmp(spec, "file:", 5) == 0 ? spec + 5
					     : spec;
	if (**path_r == '/')
		return 0;
	*error_r = mem_printf(ctx,
	    "\"%s\" must be a file: \"/path\", \"file:/path\" or \"refile:/path\" "
	    "(opendkim's other kinds of data sets are not read here; write their content to a file)",
	    spec);
	return -1;
}

/* --- the index --------------------------------------------------------- */

/* hash_key - letters folded; the keys are the administrator's, so no seed */
static size_t
hash_key(const char *key)
{
	uint64_t hash = hash_lower(HASH_START, key, strlen(key));

	return (size_t)(hash ^ (hash >> 32));
}

/* signing_table_slot_of - where the rows of a key begin */
static unsigned int *
signing_table_slot_of(const struct table_index *index, const char *key)
{
	return &index->slots[hash_key(key) & (index->n_slots - 1)];
}

/* new_index - room for n rows, of which n_others have no key */
static struct table_index *
new_index(TALLOC_CTX *ctx, size_t n, size_t n_others)
{
	struct table_index *index = mem_new(ctx, struct table_index);

	index->n_slots = 8;
	while (index->n_slots < n)
		index->n_slots *= 2;
	index->slots = mem_array(index, unsigned int, index->n_slots);
	index->others = mem_array(index, unsigned int, n_others + 1);
	return index;
}

/* put_row - add a row to the index; called from the last row to the first, so that chains are in
 * order */
static void
put_row(struct table_index *index, const char *key, size_t row, unsigned int *next_r)
{
	unsigned int *slot = signing_table_slot_of(index, key);

	*next_r = *slot;
	*slot = (unsigned int)row + 1;
}

/* matches - does a pattern, in which * stands for any text, match? Letters are folded. */
static bool
matches(const char *pattern, const char *text)
{
	const char *star = NULL, *again = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			again = text;
		} else if (text_lower(*pattern) == text_lower(*text)) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star;
			text = ++again;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

/* --- the KeyTable ------------------------------------------------------ */

/* normalise_in_place - a domain in normal form: in its place if it fits; NULL with *error_r */
static const char *
normalise_in_place(TALLOC_CTX *ctx, char *text, const char **error_r)
{
	char *domain = domain_normalise(ctx, text, strlen(text), error_r);

	if (domain == NULL || strlen(domain) > strlen(text))
		return domain;
	memcpy(text, domain, strlen(domain) + 1);
	talloc_free(domain);
	return text;
}

bool
key_row_is_file(const struct key_row *row)
{
	return row->key[0] == '/' || strncmp(row->key, "./", 2) == 0 ||
	    strncmp(row->key, "../", 3) == 0;
}

bool
key_row_is_fixed(const struct key_row *row)
{
	return strcmp(row->domain, ANY_DOMAIN) != 0 && strcmp(row->selector, ANY_DOMAIN) != 0 &&
	    (!key_row_is_file(row) || strchr(row->key, '%') == NULL);
}

/* read_key_row - the three values of a line; a text for a mistake, or NULL */
static char *
read_key_row(TALLOC_CTX *ctx, struct key_row *row, char *name, char *value)
{
	const char *problem = NULL;
	char *domain = cut_value(&value), *selector = cut_value(&value);

	row->name = name;
	row->domain = domain;
	row->selector = selector;
	row->key = trim_in_place(value, value + strlen(value));
	if (*domain == '\0' || *selector == '\0' || *row->key == '\0')
		return mem_printf(ctx,
		    "%s needs three values, domain:selector:key, where key is the path of a file",
		    name);
	if (strcmp(domain, ANY_DOMAIN) != 0) {
		row->domain = normalise_in_place(ctx, domain, &problem);
		if (row->domain == NULL || domain_is_literal(row->domain))
			return mem_printf(ctx, "%s: %s is not a domain (%s)", name, domain,
			    problem != NULL ? problem : "it is an address literal");
	}
	if (strcmp(selector, ANY_DOMAIN) != 0 && !domain_is_labels(selector))
		return mem_printf(ctx,
		    "%s: %s is not a selector; use letters, digits, hyphens and single dots", name,
		    selector);
	if (!key_row_is_file(row) && strncmp(row->key, "MI", 2) != 0 &&
	    strncmp(row->key, "-----BEGIN", 10) != 0)
		return mem_printf(ctx,
		    "%s: the third value is neither a path (it would begin with /) nor a key "
		    "in base64 (it would begin with MI)",
		    name);
	return NULL;
}

/* index_keys - rows by their names; patterns apart */
static void
index_keys(struct key_table *table, enum dataset_kind kind)
{
	size_t n_others = 0;

	for (size_t i = 0; i < table->n; i++)
		n_others += kind == DATASET_REFILE && strchr(table->rows[i].name, '*') != NULL;
	table->index = new_index(table, table->n, n_others);
	for (size_t i = table->n; i-- > 0;) {
		struct key_row *row = &table->rows[i];

		if (kind == DATASET_REFILE && strchr(row->name, '*') != NULL)
			table->index->others[--n_others] = (unsigned int)i,
			table->index->n_others++;
		else
			put_row(table->index, row->name, i, &row->next);
	}
}

struct key_table *
key_table_read(TALLOC_CTX *ctx, enum dataset_kind kind, const char *file, char *text, size_t len,
    struct table_report *report)
{
	struct key_table *table = mem_new(ctx, struct key_table);
	struct reader reader = { .at = text, .end = text + len };
	char *name, *value;

	table->rows = mem_array(table, struct key_row, count_lines(text, len));
	while (next_line(&reader, &name, &value)) {
		struct key_row *row = &table->rows[table->n];
		char *problem = read_key_row(table, row, name, value);

		row->line = reader.line;
		if (problem == NULL)
			table->n++;
		else
			missing_key(report, file, reader.line, problem);
	}
	index_keys(table, kind);
	for (size_t i = 0; i < table->n; i++)
		if (strchr(table->rows[i].name, '*') == NULL &&
		    key_table_find(table, table->rows[i].name) != &table->rows[i])
			signing_table_advice(report, file, table->rows[i].line,
			    mem_printf(table,
				"%s was named before; "
				"this line is not used",
				table->rows[i].name));
	return table;
}

const struct key_row *
key_table_find(const struct key_table *table, const char *name)
{
	const struct key_row *found = NULL;

	for (unsigned int i = *signing_table_slot_of(table->index, name); i != 0 && found == NULL;
	     i = table->rows[i - 1].next)
		if (strcasecmp(table->rows[i - 1].name, name) == 0)
			found = &table->rows[i - 1];
	for (size_t i = 0; i < table->index->n_others; i++) {
		const struct key_row *row = &table->rows[table->index->others[i]];

		if (found != NULL && found < row)
			break;
		if (matches(row->name, name))
			return row;
	}
	return found;
}

char *
table_substitute(TALLOC_CTX *ctx, const char *text, const char *domain)
{
	size_t len = strlen(text), insert = strlen(domain), n = 0;

	for (const char *p = text; *p != '\0'; p++)
		n += *p == '%';

	char *result = mem_array(ctx, char, len + n * insert + 1), *out = result;

	for (; *text != '\0'; text++) {
		if (*text != '%') {
			*out++ = *text;
			continue;
		}
		memcpy(out, domain, insert);
		out += insert;
	}
	*out = '\0';
	return result;
}

/* --- the SigningTable -------------------------------------------------- */

/* signing_table_pattern_domain - what follows the last @ of a pattern, or the whole */
static const char *
signing_table_pattern_domain(const char *pattern)
{
	const char *at = strrchr(pattern, '@');

	return at == NULL ? pattern : at + 1;
}

/* to_a_labels - a pattern whose domain may be written in UTF-8; label by label, because of * */
static const char *
to_a_labels(TALLOC_CTX *ctx, const char *pattern)
{
	const char *domain = signing_table_pattern_domain(pattern);
	char *result = mem_strndup(ctx, pattern, (size_t)(domain - pattern));

	if (text_is_ascii(domain, strlen(domain)))
		return pattern;
	for (;;) {
		size_t len = strcspn(domain, ".");
		char *label = len == 0 || memchr(domain, '*', len) != NULL ? NULL :
		    domain_normalise(ctx, domain, len, NULL);

		result = mem_check(talloc_asprintf_append_buffer(result, "%.*s%s",
		    label == NULL ? (int)len : (int)strlen(label), label == NULL ? domain : label,
		    domain[len] == '.' ? "." : ""));
		talloc_free(label);
		if (domain[len] == '\0')
			return result;
		domain += len + 1;
	}
}

/* read_signing_row - the values of a line; a text for a mistake, or NULL */
static char *
read_signing_row(TALLOC_CTX *ctx, struct signing_row *row, char *pattern, char *value)
{
	row->pattern = to_a_labels(ctx, pattern);
	row->key = cut_value(&value);
	value = trim_in_place(value, value + strlen(value));
	row->identity = *value == '\0' ? NULL : value;
	if (*row->key == '\0')
		return mem_printf(
		    ctx, "%s needs a value: the name of a key in the KeyTable", pattern);
	if (row->identity != NULL && strchr(row->identity, '@') == NULL)
		return mem_printf(ctx, "%s: \"%s\" cannot be used in i=; write an address or "
		    "@domain",
		    pattern, row->identity);
	return NULL;
}

/* has_plain_domain - does a pattern end in @ and a domain without *? Then the index holds it. */
static bool
has_plain_domain(const char *pattern)
{
	return strchr(pattern, '@') != NULL &&
	    strchr(signing_table_pattern_domain(pattern), '*') == NULL;
}

/* index_signers - in a refile rows by their domain, else by the whole key */
static void
index_signers(struct signing_table *table)
{
	size_t n_others = 0;

	for (size_t i = 0; i < table->n; i++)
		n_others +=
		    table->kind == DATASET_REFILE && !has_plain_domain(table->rows[i].pattern);
	table->index = new_index(table, table->n, n_others);
	for (size_t i = table->n; i-- > 0;) {
		struct signing_row *row = &table->rows[i];

		if (table->kind == DATASET_FILE)
			put_row(table->index, row->pattern, i, &row->next);
		else if (has_plain_domain(row->pattern))
			put_row(table->index, signing_table_pattern_domain(row->pattern), i,
			    &row->next);
		else
			table->index->others[--n_others] = (unsigned int)i,
			table->index->n_others++;
	}
}

/* advise_pattern - a line that most likely was meant otherwise */
static void
advise_pattern(const struct signing_table *table, const struct signing_row *row, const char *file,
    struct table_report *report)
{
	const char *domain = signing_table_pattern_domain(row->pattern);

	if (table->kind != DATASET_FILE || strchr(row->pattern, '*') == NULL ||
	    strcmp(domain, "*") == 0)
		return;
	signing_table_advice(report, file, row->line,
	    mem_printf(report->ctx,
		"%s matches nothing, because patterns are for "
		"refile: tables; write \"refile:%s\" in the configuration, or %s here",
		row->pattern, file, strncmp(row->pattern, "*@", 2) == 0 ? domain : "a domain"));
}

struct signing_table *
signing_table_read(TALLOC_CTX *ctx, enum dataset_kind kind, const char *file, char *text,
    size_t len, const struct key_table *keys, struct table_report *report)
{
	struct signing_table *table = mem_new(ctx, struct signing_table);
	struct reader reader = { .at = text, .end = text + len };
	char *pattern, *value;

	table->kind = kind;
	table->rows = mem_array(table, struct signing_row, count_lines(text, len));
	while (next_line(&reader, &pattern, &value)) {
		struct signing_row *row = &table->rows[table->n];
		char *problem = read_signing_row(table, row, pattern, value);

		row->line = reader.line;
		if (problem != NULL) {
			mistake(report, file, reader.line, problem);
			continue;
		}
		if (strcmp(row->key, ANY_DOMAIN) != 0 && key_table_find(keys, row->key) == NULL)
			missing_key(report, file, reader.line, mem_printf(table,
			    "%s: the KeyTable has no key named %s", pattern, row->key));
		advise_pattern(table, row, file, report);
		table->n++;
	}
	index_signers(table);
	return table;
}

size_t
signing_table_rows(const struct signing_table *table)
{
	return table->n;
}

bool
signing_table_has_domain(const struct signing_table *table, const char *domain)
{
	for (unsigned int i = *signing_table_slot_of(table->index, domain); i != 0;
	     i = table->rows[i - 1].next)
		if (strcasecmp(signing_table_pattern_domain(table->rows[i - 1].pattern), domain) ==
		    0)
			return true;
	return false;
}

/* What one search has found so far. */
struct search {
	TALLOC_CTX *ctx;
	const char *domain;	/* of the address */
	bool multiple;
	struct signing_match *matches;
	size_t n;
	bool more;
};

/* signing_table_take - a row that matches; returns true if the search is over */
static bool
signing_table_take(struct search *search, const struct signing_row *row)
{
	const char *key = strcmp(row->key, ANY_DOMAIN) == 0 ? search->domain : row->key;

	for (size_t i = 0; i < search->n; i++)
		if (strcasecmp(search->matches[i].key, key) == 0)
			return false;
	if (search->n == SIGNING_MATCHES_MAX) {
		search->more = true;
		return true;
	}
	search->matches[search->n++] = (struct signing_match){ .key = key, .line = row->line,
	    .identity = row->identity == NULL ? NULL :
	    table_substitute(search->ctx, row->identity, search->domain) };
	return !search->multiple;
}

/* signing_table_look_up - a key in a table without patterns */
static bool
signing_table_look_up(const struct signing_table *table, struct search *search, const char *key)
{
	for (unsigned int i = *signing_table_slot_of(table->index, key); i != 0;
	     i = table->rows[i - 1].next)
		if (strcasecmp(table->rows[i - 1].pattern, key) == 0)
			return signing_table_take(search, &table->rows[i - 1]);
	return false;
}

/* look_up_all - the lookups of a table without patterns; local: with the local part's length */
static void
look_up_all(const struct signing_table *table, struct search *search, const char *address)
{
	size_t local = (size_t)(search->domain - address);	/* with the @ */
	TALLOC_CTX *tmp = mem_new(search->ctx, char);
	bool over = signing_table_look_up(table, search, address) ||
	    signing_table_look_up(table, search, search->domain);

	for (const char *p = strchr(search->domain, '.'); !over && p != NULL;
	     p = strchr(p + 1, '.'))
		over = signing_table_look_up(
		    table, search, mem_printf(tmp, "%.*s%s", (int)local, address, p));
	for (const char *p = strchr(search->domain, '.'); !over && p != NULL;
	     p = strchr(p + 1, '.'))
		over = signing_table_look_up(table, search, p);
	if (!over)
		over = signing_table_look_up(
		    table, search, mem_printf(tmp, "%.*s*", (int)local, address));
	if (!over)
		(void)signing_table_look_up(table, search, "*");
	talloc_free(tmp);
}

/* try_patterns - all patterns that may match, in the order of the file */
static void
try_patterns(const struct signing_table *table, struct search *search, const char *address)
{
	const struct table_index *index = table->index;
	unsigned int own = *signing_table_slot_of(index, search->domain);
	size_t other = 0;

	while (own != 0 || other < index->n_others) {
		const struct signing_row *row;

		if (other == index->n_others || (own != 0 && own - 1 < index->others[other])) {
			row = &table->rows[own - 1];
			own = row->next;
		} else {
			row = &table->rows[index->others[other++]];
		}
		if (matches(row->pattern, address) && signing_table_take(search, row))
			return;
	}
}

void
signing_table_find(TALLOC_CTX *ctx, const struct signing_table *table, const char *address,
    bool multiple, struct signing_match *matches_r, size_t *n_r, bool *more_r)
{
	struct search search = { .ctx = ctx,
		.domain = signing_table_pattern_domain(address),
		.multiple = multiple,
		.matches = matches_r };

	if (table->kind == DATASET_FILE)
		look_up_all(table, &search, address);
	else
		try_patterns(table, &search, address);
	*n_r = search.n;
	*more_r = search.more;
}
