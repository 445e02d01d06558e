/*
 * embedded_file.c - the embedded store's file: what it holds, and loading it
 *
 * Text: a first line that names the format, one line for each window, raised limit, blocked account
 * and account's day, one or more for the clients and the known recipients of a subject, and a last
 * line with the number of lines and a checksum. Without a correct last line the file is torn and is
 * refused as a whole: half the counts would be a limit raised in silence. A lock file next to it
 * keeps two daemons from overwriting each other's counts (the file itself cannot carry the lock,
 * because saving replaces it). Writing it is in embedded_save.c.
 *
 * Thread rule: loading is before anybody else knows the table.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "filter/base/plain_file.h"
#include "filter/store/embedded.h"
#include "filter/store/embedded_table.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define MAX_LINE	8192	/* octets of a line of the file */

/* --- loading --- */

/* What is being loaded. */
struct loading {
	TALLOC_CTX *ctx;
	struct embedded *table;
	const char *file;
	int64_t now;
	uint64_t lines;		/* read, without the first and the last */
	uint64_t sum;		/* checksum so far */
	bool ended;		/* the last line was seen */
	const char **error_r;
};

/* refuse_file - the error for a file that is not as we wrote it */
static int
refuse_file(const struct loading *l, const char *what)
{
	*l->error_r = mem_printf(l->ctx,
	    "the counters in %s %s; move the file away to start with empty "
	    "counters",
	    l->file, what);
	return -1;
}

/* next_number - a decimal number up to max at *at, which moves after it; false for anything
 * else */
static bool
next_number(const char **at, int64_t max, int64_t *value_r)
{
	const char *c = *at;
	int64_t value = 0;

	if (*c < '0' || *c > '9')
		return false;
	for (; *c >= '0' && *c <= '9'; c++) {
		value = value * 10 + (*c - '0');
		if (value > max)
			return false;
	}
	*at = c;
	*value_r = value;
	return true;
}

/* next_word - cut the word at *at, whose space becomes its end; NULL when there is none */
static char *
next_word(char **at)
{
	char *word = *at;
	size_t len = strcspn(word, " \n");

	if (len == 0 || word[len] != ' ')
		return NULL;
	word[len] = '\0';
	*at = word + len + 1;
	return word;
}

/* load_slots - the counts of a window, to the end of the line */
static bool
load_slots(const char *at, struct window *window)
{
	int64_t count;

	for (size_t i = 0; i < WINDOW_SLOTS; i++) {
		if (!next_number(&at, LIMIT_MAX_COUNT - (int64_t)window->total, &count))
			return false;
		window->slots[i] = (uint64_t)count;
		window->total += (uint64_t)count;
		if (*at == '\n')
			return true;
		if (*at++ != ' ')
			return false;
	}
	return false;
}

/* is_place - whether these are a key and a field of ours */
static bool
is_place(const char *key, const char *field)
{
	return key != NULL && field != NULL && strlen(field) < TABLE_MAX_FIELD && key[0] == '{' &&
	    strchr(key, '}') != NULL;
}

/* load_subject - the subject of a key that is in the file, with room for one more counter */
static struct subject *
load_subject(struct loading *l, const char *key)
{
	struct place place = table_place(l->table, key);

	return table_ensure(l->table, &place, key, 1, l->now);
}

/* load_window - one line: key, field, width, head, slots; false when it is not well-formed */
static bool
load_window(struct loading *l, char *line)
{
	char *rest = line;
	char *key = next_word(&rest);
	char *field = key != NULL ? next_word(&rest) : NULL;
	const char *at = rest;
	struct window window;
	struct subject *subject;
	int64_t width, head;

	memset(&window, 0, sizeof(window));
	if (!is_place(key, field))
		return false;
	if (!next_number(&at, LIMIT_MAX_WINDOW_MS, &width) || width == 0 || *at++ != ' ' ||
	    !next_number(&at, LIMIT_MAX_COUNT, &head) || *at++ != ' ' || !load_slots(at, &window))
		return false;
	window.head = head;
	if (window_idle(&window, width, l->now))
		return true;
	subject = load_subject(l, key);
	table_set_window(subject, table_ensure_counter(subject, field, width, l->now), &window);
	return true;
}

/* A line of the file: a number that holds for a counter until then. */
struct held {
	int64_t width, number, until;
	struct counter_more *more; /* of the counter; NULL: it does not hold any more */
};

/* load_held - key, field, width, number, end; false when it is not well-formed */
static bool
load_held(struct loading *l, char *line, struct held *held)
{
	char *rest = line;
	char *key = next_word(&rest);
	char *field = key != NULL ? next_word(&rest) : NULL;
	const char *at = rest;
	struct subject *subject;

	held->more = NULL;
	if (!is_place(key, field) || !next_number(&at, LIMIT_MAX_WINDOW_MS, &held->width) ||
	    held->width == 0 || *at++ != ' ' ||
	    !next_number(&at, LIMIT_MAX_COUNT, &held->number) || *at++ != ' ' ||
	    !next_number(&at, LIMIT_MAX_COUNT, &held->until) || *at != '\n')
		return false;
	if (held->until <= l->now)
		return true;
	subject = load_subject(l, key);
	held->more = table_make_more(
	    subject, table_ensure_counter(subject, field, held->width, l->now));
	return true;
}

/* load_raise - one line: a limit raised by hand */
static bool
load_raise(struct loading *l, char *line)
{
	struct held held;

	if (!load_held(l, line, &held))
		return false;
	if (held.more != NULL) {
		held.more->raised_max = (uint64_t)held.number;
		held.more->raised_until = held.until;
	}
	return true;
}

/* load_base - one line: a total last seen in Redis */
static bool
load_base(struct loading *l, char *line)
{
	struct held held;
	int64_t most;

	if (!load_held(l, line, &held))
		return false;
	if (held.more == NULL)
		return true;
	held.more->base = (uint64_t)held.number;
	/* a clock that was set back must not make it count for longer than it can */
	most = l->now + held.width * WINDOW_SLOTS;
	held.more->base_until = held.until > most ? most : held.until;
	return true;
}

/* load_marks - mark and time, again and again to the end of the line */
static bool
load_marks(const struct loading *l, struct subject *subject, struct recent *set, const char *at,
    int64_t life_ms)
{
	unsigned long long mark;
	int64_t seen;
	int len;

	for (;;) {
		if (sscanf(at, "%16llx%n", &mark, &len) != 1 || len != 16 || at[len] != ' ')
			return false;
		at += len + 1;
		if (!next_number(&at, LIMIT_MAX_COUNT, &seen))
			return false;
		if (l->now - seen < life_ms)
			recent_see(subject, set, mark, seen, RECENT_MAX_KNOWN);
		if (*at == '\n')
			return true;
		if (*at++ != ' ')
			return false;
	}
}

/* load_clients - one line: key, field, width, marks; included: of those that Redis has counted */
static bool
load_clients(struct loading *l, char *line, bool included)
{
	char *rest = line;
	char *key = next_word(&rest);
	char *field = key != NULL ? next_word(&rest) : NULL;
	const char *at = rest;
	struct counter_more *more;
	struct subject *subject;
	int64_t width;

	if (!is_place(key, field) || !table_is_distinct(field) ||
	    !next_number(&at, LIMIT_MAX_WINDOW_MS, &width) || width == 0 || *at++ != ' ')
		return false;
	subject = load_subject(l, key);
	more = table_make_more(subject, table_ensure_counter(subject, field, width, l->now));
	return load_marks(l, subject, included ? &more->included : &more->clients, at, width);
}

/* load_known - one line: key, marks */
static bool
load_known(struct loading *l, char *line)
{
	char *rest = line;
	char *key = next_word(&rest);
	struct subject *subject;

	if (!is_place(key, ""))
		return false;
	subject = load_subject(l, key);
	return load_marks(l, subject, &subject->known, rest, RECENT_LIFE_MS);
}

/* load_block - one line: account, since, until, by, reason; false when it is not well-formed */
static bool
load_block(struct loading *l, char *line)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct store_block block = { 0 };
	char *rest = line;
	const char *account = next_word(&rest), *since = account != NULL ? next_word(&rest) : NULL;
	const char *until = since != NULL ? next_word(&rest) : NULL;
	const char *by = until != NULL ? next_word(&rest) : NULL;
	bool sound = by != NULL && next_number(&since, LIMIT_MAX_COUNT, &block.since) &&
	    next_number(&until, LIMIT_MAX_COUNT, &block.until);

	rest[strcspn(rest, "\n")] = '\0';
	if (sound) {
		block.account = quota_decode(tmp, account);
		block.by = quota_decode(tmp, by);
		block.reason = quota_decode(tmp, rest);
		sound = block.account != NULL && block.by != NULL && block.reason != NULL;
	}
	if (sound && l->table->blocks != NULL)
		(void)blocks_set(l->table->blocks, &block);
	talloc_free(tmp);
	return sound;
}

/* embedded_file_load_entry - one line between the first and the last, by its first word */
static bool
embedded_file_load_entry(struct loading *l, char *line)
{
	l->lines++;
	if (line[0] == '{')
		return load_window(l, line);
	if (strncmp(line, "clients ", 8) == 0)
		return load_clients(l, line + 8, false);
	if (strncmp(line, "included ", 9) == 0)
		return load_clients(l, line + 9, true);
	if (strncmp(line, "base ", 5) == 0)
		return load_base(l, line + 5);
	if (strncmp(line, "known ", 6) == 0)
		return load_known(l, line + 6);
	if (strncmp(line, "raise ", 6) == 0)
		return load_raise(l, line + 6);
	if (strncmp(line, "block ", 6) == 0)
		return load_block(l, line + 6);
	/* a day's sums, which earlier versions kept here and the books have as well */
	return strncmp(line, "usage ", 6) == 0;
}

/* load_end - the last line: "end", the number of lines before, the checksum */
static bool
load_end(struct loading *l, const char *line)
{
	uint64_t lines, sum;
	int end = 0;

	if (sscanf(line, "end %" SCNu64 " %" SCNx64 "%n", &lines, &sum, &end) != 2 ||
	    strcmp(line + end, "\n") != 0)
		return false;
	l->ended = true;
	return lines == l->lines && sum == l->sum;
}

/* load_line - one line after the first; -1 with an error */
static int
load_line(struct loading *l, char *line, size_t len)
{
	if (l->ended)
		return refuse_file(
		    l, "go on after their last line, so they were not written by countersign");
	if (strncmp(line, "end ", 4) == 0)
		return load_end(l, line) ? 0 :
		    refuse_file(l, "are damaged: the last line does not fit the others");
	if (len > MAX_LINE || strlen(line) != len || line[len - 1] != '\n')
		return refuse_file(l, "are damaged: a line is cut or too long");
	l->sum = hash_octets(l->sum, line, len);
	return embedded_file_load_entry(l, line) ? 0 : refuse_file(l, "are damaged: a line cannot be read");
}

/* load_lines - the whole file; -1 with an error */
static int
load_lines(struct loading *l, FILE *stream)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int result = 0;

	len = getline(&line, &room, stream);
	if (len < 0 || strcmp(line, TABLE_FILE_TITLE) != 0)
		result = refuse_file(
		    l, "were not written by countersign, or by a version with another format");
	while (result == 0 && (len = getline(&line, &room, stream)) > 0)
		result = load_line(l, line, (size_t)len);
	if (result == 0 && ferror(stream))
		result = refuse_file(l, "could not be read to the end");
	if (result == 0 && !l->ended)
		result = refuse_file(l, "are torn: the last line is missing");
	free(line);
	return result;
}

/* embedded_file_load - fill the table from its file, if there is one */
static int
embedded_file_load(TALLOC_CTX *ctx, struct embedded *table, int64_t now, const char **error_r)
{
	struct loading l = { .ctx = ctx, .table = table, .file = table->file, .now = now,
	    .sum = HASH_START, .error_r = error_r };
	FILE *stream = plain_file(table->file);
	int result;

	if (stream == NULL && errno == ENOENT)
		return 0;
	if (stream == NULL) {
		*error_r = mem_printf(ctx, "cannot read the counters in %s: %s", table->file,
		    plain_file_error(errno));
		return -1;
	}
	result = load_lines(&l, stream);
	fclose(stream);
	return result;
}

/* embedded_load - lines of embedded_text() */
bool
embedded_load(struct embedded *table, char *text, int64_t now)
{
	struct loading l = { .table = table, .now = now };
	char *end;

	for (char *line = text; *line != '\0'; line = end) {
		char first;

		end = line + strcspn(line, "\n");
		if (*end != '\n')
			return false;
		/* each line by itself: what follows is not for its reader */
		first = *++end;
		*end = '\0';
		if (!embedded_file_load_entry(&l, line))
			return false;
		*end = first;
	}
	return true;
}

/* take_lock - be the only process that uses the file */
static int
take_lock(TALLOC_CTX *ctx, struct embedded *table, const char **error_r)
{
	char *name = mem_printf(table, "%s.lock", table->file);

	table->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (table->lock_fd < 0)
		*error_r = mem_printf(ctx, "cannot write %s: %s", name, strerror(errno));
	else if (flock(table->lock_fd, LOCK_EX | LOCK_NB) < 0)
		*error_r = mem_printf(ctx,
		    "the counters in %s are in use by another countersign (%s is "
		    "locked)",
		    table->file, name);
	else
		return 0;
	return -1;
}

/* embedded_open - a table that is kept in a file */
struct embedded *
embedded_open(TALLOC_CTX *ctx, size_t max_accounts, const char *file, struct blocks *blocks,
    int64_t now, const char **error_r)
{
	struct embedded *table = embedded_new(ctx, max_accounts, true);

	table->blocks = blocks;

	table->file = mem_strdup(table, file);
	if (take_lock(ctx, table, error_r) < 0 ||
	    embedded_file_load(ctx, table, now, error_r) < 0) {
		talloc_free(table);
		return NULL;
	}
	return table;
}

/* embedded_peek - the same, of a file that may be in use */
struct embedded *
embedded_peek(TALLOC_CTX *ctx, size_t max_accounts, const char *file, struct blocks *blocks,
    int64_t now, const char **error_r)
{
	struct embedded *table = embedded_new(ctx, max_accounts, true);

	table->blocks = blocks;
	table->file = mem_strdup(table, file);
	if (embedded_file_load(ctx, table, now, error_r) < 0) {
		talloc_free(table);
		return NULL;
	}
	table->file = NULL;
	return table;
}
