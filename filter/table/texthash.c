/*
 * texthash.c - texthash: and inline: tables
 *
 * The format of postmap(1) sources: "key white-space value", logical lines
 * that go on if the next line begins with white space, # comments, empty
 * lines. White space within quotation marks belongs to the key, as in "odd name"@example.org.
 * Entries stand one after the other in one piece of memory, and a hash
 * table leads to them: a lookup touches two or three places of memory, and
 * neither locks nor allocates. The second of two equal keys is an error: Postfix
 * warns and ignores it, but who owns an address is not a thing to guess.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/plain_file.h"
#include "filter/table/type.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define MAX_LINE	(64 * 1024)	/* octets of one logical line */

/* Where an entry is, in a hash table with open addressing that is at most half full. */
struct slot {
	uint32_t hash;		/* of the key in lower case */
	uint32_t at;		/* of the record in text, plus 1; 0: a free slot */
};

struct entries {
	char *text;		/* records: the line (4 octets), key, NUL, value, NUL */
	size_t used, room;	/* octets of text */
	struct slot *slots;
	size_t n_slots;		/* a power of two, or 0 */
	size_t n;
	const char *path;	/* for messages */
};

#define MAX_TEXT	UINT32_MAX

/* is_space - white space within a line, whatever the locale */
static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* texthash_hash_of - of the key in lower case */
static uint32_t
texthash_hash_of(const char *key, size_t len)
{
	uint64_t hash = hash_lower(HASH_START, key, len);

	return (uint32_t)(hash ^ hash >> 32);
}

/* record_key - the key of a record; its value follows */
static const char *
record_key(const struct entries *entries, const struct slot *slot)
{
	return entries->text + slot->at - 1 + sizeof(uint32_t);
}

/* record_line - where a record stood in the file */
static unsigned int
record_line(const struct entries *entries, const struct slot *slot)
{
	uint32_t line;

	memcpy(&line, entries->text + slot->at - 1, sizeof(line));
	return line;
}

/* same_key - len octets and a string, without regard to ASCII case */
static bool
same_key(const char *key, size_t len, const char *other)
{
	for (size_t i = 0; i < len; i++)
		if (text_lower(key[i]) != text_lower(other[i]))
			return false;	/* at the latest at the end of other */
	return other[len] == '\0';
}

/* find_slot - the slot of a key, or the free one where it would go */
static struct slot *
find_slot(const struct entries *entries, const char *key, size_t len, uint32_t hash)
{
	size_t i = hash & (entries->n_slots - 1);

	for (;; i = (i + 1) & (entries->n_slots - 1)) {
		struct slot *slot = &entries->slots[i];

		if (slot->at == 0 ||
		    (slot->hash == hash && same_key(key, len, record_key(entries, slot))))
			return slot;
	}
}

/* grow_slots - twice as many */
static void
grow_slots(struct entries *entries)
{
	size_t n = entries->n_slots == 0 ? 64 : entries->n_slots * 2;
	struct slot *slots = mem_array(entries, struct slot, n);

	for (size_t i = 0; i < entries->n_slots; i++) {
		size_t k = entries->slots[i].hash & (n - 1);

		if (entries->slots[i].at == 0)
			continue;
		while (slots[k].at != 0)
			k = (k + 1) & (n - 1);
		slots[k] = entries->slots[i];
	}
	talloc_free(entries->slots);
	entries->slots = slots;
	entries->n_slots = n;
}

/* texthash_append - octets to the text */
static void
texthash_append(struct entries *entries, const void *octets, size_t len)
{
	if (entries->used + len > entries->room) {
		entries->room = (entries->used + len) * 2;
		entries->text = mem_grow(entries, entries->text, char, entries->room);
	}
	memcpy(entries->text + entries->used, octets, len);
	entries->used += len;
}

/* keep_entry - keep one pair; the same key twice is an error */
static bool
keep_entry(TALLOC_CTX *ctx, struct entries *entries, const char *key, size_t key_len,
    const char *value, unsigned int line, const char **error_r)
{
	uint32_t hash = texthash_hash_of(key, key_len), stamp = line;
	struct slot *slot;

	if (entries->n * 2 >= entries->n_slots)
		grow_slots(entries);
	slot = find_slot(entries, key, key_len, hash);
	if (slot->at != 0) {
		*error_r = mem_printf(ctx,
		    "%s:%u: the key \"%.*s\" is in line %u already; join the two lines",
		    entries->path, line, (int)key_len, key, record_line(entries, slot));
		return false;
	}
	if (entries->used + key_len + strlen(value) + 16 > MAX_TEXT / 2) {
		*error_r =
		    mem_printf(ctx, "%s:%u: the table is larger than 2 GB", entries->path, line);
		return false;
	}
	*slot = (struct slot){ hash, (uint32_t)entries->used + 1 };
	texthash_append(entries, &stamp, sizeof(stamp));
	texthash_append(entries, key, key_len);
	texthash_append(entries, "", 1);
	texthash_append(entries, value, strlen(value) + 1);
	entries->n++;
	return true;
}

/* texthash_folded - a key as it is compared, if that is more than ASCII case; else NULL */
static char *
texthash_folded(const char *key, size_t len)
{
	return text_is_ascii(key, len) ? NULL : text_fold_utf8(NULL, key, len, true);
}

/* texthash_add_entry - fold the key and keep the pair */
static bool
texthash_add_entry(TALLOC_CTX *ctx, struct entries *entries, const char *key, size_t key_len,
    const char *value, unsigned int line, const char **error_r)
{
	char *lower = texthash_folded(key, key_len);
	bool good = lower == NULL ?
	    keep_entry(ctx, entries, key, key_len, value, line, error_r) :
	    keep_entry(ctx, entries, lower, strlen(lower), value, line, error_r);

	talloc_free(lower);
	return good;
}

/* key_length - octets of the key that a line begins with; *open_r: a quotation mark has no end */
static size_t
key_length(const char *text, bool *open_r)
{
	size_t n = 0;

	*open_r = false;
	for (; text[n] != '\0' && (*open_r || !is_space(text[n])); n++) {
		if (text[n] == '\\' && text[n + 1] != '\0')
			n++;
		else if (text[n] == '"')
			*open_r = !*open_r;
	}
	return n;
}

/* add_line - one logical line: key, white space, value */
static bool
add_line(TALLOC_CTX *ctx, struct entries *entries, char *text, unsigned int line,
    const char **error_r)
{
	size_t len = strlen(text);
	size_t key_len;
	bool open;

	while (len > 0 && is_space(text[len - 1]))
		text[--len] = '\0';
	if (len == 0)
		return true;
	key_len = key_length(text, &open);
	if (open) {
		*error_r = mem_printf(ctx,
		    "%s:%u: \"%.60s\" has a quotation mark without end; write \"odd name\"@example.org, white space, value",
		    entries->path, line, text);
		return false;
	}
	if (text[key_len] == '\0') {
		*error_r =
		    mem_printf(ctx, "%s:%u: \"%.60s\" has no value; write: key, white space, value",
			entries->path, line, text);
		return false;
	}
	char *value = text + key_len;

	while (is_space(*value))
		value++;
	return texthash_add_entry(ctx, entries, text, key_len, value, line, error_r);
}

/* The logical line that is being put together. */
struct pending {
	char *text;		/* NULL: none */
	unsigned int line;	/* where it began */
};

/* texthash_take_line - one physical line: begins, continues or ends a logical one */
static bool
texthash_take_line(TALLOC_CTX *ctx, struct entries *entries, struct pending *pending, char *text,
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
			*error_r =
			    mem_printf(ctx, "%s:%u: begins with white space but continues nothing",
				entries->path, line);
			return false;
		}
		pending->text =
		    mem_check(talloc_asprintf_append_buffer(pending->text, " %s", first));
		if (strlen(pending->text) <= MAX_LINE)
			return true;
		*error_r = mem_printf(ctx, "%s:%u: the entry is longer than %d bytes",
		    entries->path, pending->line, MAX_LINE);
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
			*error_r =
			    mem_printf(ctx, "%s:%u: too long or not text", entries->path, line);
			good = false;
			break;
		}
		good = texthash_take_line(ctx, entries, &pending, buffer, line, error_r);
	}
	free(buffer);
	if (good && ferror(file)) {
		*error_r =
		    mem_printf(ctx, "%s: cannot be read: %s", entries->path, strerror(errno));
		good = false;
	}
	if (good && pending.text != NULL)
		good = add_line(ctx, entries, pending.text, pending.line, error_r);
	talloc_free(pending.text);
	return good;
}

static void *
texthash_open(
    TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct entries *entries = mem_new(ctx, struct entries);
	FILE *file;
	bool good;

	(void)env;
	entries->path = mem_strdup(entries, argument);
	file = plain_file(argument);
	if (file == NULL) {
		*error_r = mem_printf(ctx, "%s: cannot be opened: %s", argument, plain_file_error(errno));
		talloc_free(entries);
		return NULL;
	}
	good = read_lines(ctx, entries, file, error_r);
	(void)fclose(file);
	if (!good) {
		talloc_free(entries);
		return NULL;
	}
	return entries;
}

/* inline_pair - the next "key=value" or "{ key = value }"; moves *p after it */
static bool
inline_pair(TALLOC_CTX *ctx, struct entries *entries, char **p, const char **error_r)
{
	bool braced = **p == '{';
	char *text = braced ? *p + 1 : *p;
	size_t len = braced ? strcspn(text, "}") : strcspn(text, " \t\r\n,");
	char *equals = memchr(text, '=', len);

	if (equals == NULL || (braced && text[len] != '}')) {
		*error_r = mem_printf(ctx,
		    "inline: \"%.40s\" is not a pair; write inline:{ key=value, { key = two values "
		    "} }",
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
	return texthash_add_entry(ctx, entries, text, (size_t)(key_end - text), value, 1, error_r);
}

static void *
inline_open(
    TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
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
	return entries;
}

static void
text_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	const struct entries *entries = state;
	size_t len = strlen(key);
	const struct slot *slot;
	char *lower;

	(void)deadline_ms;
	answer_r->outcome = TABLE_NOT_FOUND;
	if (entries->n == 0)
		return;
	lower = texthash_folded(key, len);
	if (lower != NULL) {
		key = talloc_steal(ctx, lower);
		len = strlen(key);
	}
	slot = find_slot(entries, key, len, texthash_hash_of(key, len));
	if (slot->at == 0)
		return;
	answer_r->outcome = TABLE_FOUND;
	answer_r->value = record_key(entries, slot) + len + 1;
}

const struct table_type table_texthash = {
	"texthash", TABLE_FILE, texthash_open, text_get, NULL, NULL
};
const struct table_type table_inline = { "inline", 0, inline_open, text_get, NULL, NULL };
