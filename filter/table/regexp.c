/*
 * regexp.c - regexp: tables, POSIX regular expressions by the C library
 *
 * The library's own regcomp(3), because that is what Postfix uses on this machine: the same file
 * gives the same answers, odd corners included. The format is regexp_table(5)'s, see pattern.c.
 *
 * regexec(3) keeps each state that it comes by, for ever, and who sends mail chooses the keys: some
 * KB for each octet of a key, if the pattern has enough states. So a pattern is compiled again
 * after some octets (see FRESH_OCTETS).
 *
 * Threads: regexec(3) lets one thread at a time match a pattern; code->lock does so here.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <regex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filter/table/pattern.h"
#include "policy/base/mem.h"

#define PIECES_MAX	1000	/* of a pattern, as regcomp() copies them */
#define GROUPS_DEEP	100
#define COPIES_MAX	32	/* by {n,m} in a pattern that may begin anywhere in the key */
#define KEY_MAX		320	/* octets of a key for a costly pattern: the longest address */
#define CHEAP_PIECES	32	/* of a pattern; one of more is costly */
#define REPEATS_DEEP	6	/* quantifiers around one piece; glibc takes far longer with each */

/*
 * Octets of keys that a pattern of one piece is matched with before it is compiled again. A state
 * costs 3 KB and some 8 octets for each piece, measured with glibc 2.36; so those of a pattern
 * cost some 5 MB at most.
 */
#define FRESH_OCTETS	200000
#define FRESH_LEAST	500	/* the same for the largest pattern */

struct code {
	pthread_mutex_t lock;
	regex_t regex;		/* under lock, as the rest */
	char *pattern;
	int options;
	bool compiled;
	bool costly;		/* each octet of a key costs more than the one before */
	size_t octets;		/* of keys, since it was compiled */
	size_t octets_max;
};

static int
regexp_code_free(struct code *code)
{
	if (code->compiled)
		regfree(&code->regex);
	(void)pthread_mutex_destroy(&code->lock);
	return 0;
}

/* code_fresh - compiled, and not matched with too much; the result of regcomp() */
static int
code_fresh(struct code *code, size_t len)
{
	int result;

	if (code->compiled && code->octets + len <= code->octets_max)
		return 0;
	if (code->compiled)
		regfree(&code->regex);
	result = regcomp(&code->regex, code->pattern, code->options);
	code->compiled = result == 0;
	code->octets = 0;
	return result;
}

/* regexp_read_flags - the letters after a pattern, as regcomp's; -1 if one is unknown */
static int
regexp_read_flags(const char *flags)
{
	int options = REG_EXTENDED | REG_ICASE;

	for (; *flags != '\0'; flags++) {
		if (*flags == 'i')
			options ^= REG_ICASE;
		else if (*flags == 'm')
			options ^= REG_NEWLINE;
		else if (*flags == 'x')
			options ^= REG_EXTENDED;
		else
			return -1;
	}
	return options;
}

/*
 * What glibc makes of a pattern. Each + is a copy of what it repeats, and {n,m} makes m copies, so
 * that 80 of them would take all memory. Here they are counted before regcomp() sees the pattern.
 */
struct size {
	uint64_t done;		/* of the alternatives and pieces before */
	uint64_t piece;		/* of the last piece */
	unsigned int repeats;	/* quantifiers of the last piece, one around the other */
	unsigned int deepest;	/* the most of any piece before */
};

/* set_end - the end of a bracket expression that begins at p */
static const char *
set_end(const char *p)
{
	p += p[1] == '^' ? 2 : 1;
	if (*p == ']')
		p++;
	while (*p != '\0' && *p != ']') {
		if (*p == '[' && p[1] != '\0' && strchr(".:=", p[1]) != NULL) {
			const char end[] = { p[1], ']', '\0' };
			const char *close = strstr(p + 2, end);

			p = close != NULL ? close + 2 : p + 1;
		} else
			p++;
	}
	return *p == ']' ? p : p - 1;
}

/* times_of - how many copies a {n,m} at p makes; *end_r: its last octet. 0: it is no such thing */
static uint64_t
times_of(const char *p, bool extended, const char **end_r)
{
	char *end;
	unsigned long least = strtoul(p + 1, &end, 10), most = least;

	if (*end == ',') {
		most = strtoul(end + 1, &end, 10);
		if (most < least)
			most = least + 1;
	}
	if (!extended && *end == '\\')
		end++;
	if (*end != '}' || most > PIECES_MAX)
		return *end == '}' ? PIECES_MAX + 1 : 0;
	*end_r = end;
	return most > 0 ? most : 1;
}

/* regexp_deepest - the most quantifiers around a piece of a group */
static unsigned int
regexp_deepest(const struct size *size)
{
	return size->repeats > size->deepest ? size->repeats : size->deepest;
}

/* regexp_next - another piece follows, with so many quantifiers in it already */
static void
regexp_next(struct size *size, unsigned int repeats)
{
	size->deepest = regexp_deepest(size);
	size->repeats = repeats;
}

/* is_anchored - does a match begin at the start of the key only? */
static bool
is_anchored(const char *pattern)
{
	return pattern[0] == '^' && strchr(pattern, '|') == NULL;
}

/* regexp_problem - why a pattern is not for regcomp(), or NULL and its number of pieces */
static const char *
regexp_problem(const char *pattern, bool extended, uint64_t *pieces_r)
{
	struct size open[GROUPS_DEEP + 1] = { { 0 } };
	uint64_t copies = 0;
	bool endless = false;
	size_t depth = 0;

	for (const char *p = pattern; *p != '\0'; p++) {
		struct size *size = &open[depth];
		bool escaped = *p == '\\' && p[1] != '\0';
		uint64_t times = 1;
		char c;

		p += escaped;
		c = *p;
		if (escaped && c >= '1' && c <= '9')
			return "a back-reference can take for ever; write pcre: in place of regexp:";
		if (c == '[' && !escaped) {
			p = set_end(p);
			c = 'x';
		} else if (escaped == extended && strchr("(){}+?|", c) != NULL)
			c = 'x';	/* an ordinary character */
		else if (escaped && strchr("(){}+?|", c) == NULL)
			c = 'x';
		switch (c) {
		case '(':
			if (++depth > GROUPS_DEEP)
				return "its groups are too deep";
			open[depth] = (struct size){ 0 };
			continue;
		case ')':
			if (depth > 0)
				depth--;
			open[depth].done += open[depth].piece;
			open[depth].piece = size->done + size->piece + 1;
			regexp_next(&open[depth], regexp_deepest(size));
			break;
		case '+':
			times = 2;
			endless = true;
			size->repeats++;
			break;
		case '{':
			times = times_of(p, extended, &p);
			copies += times > 1 ? (times - 1) * size->piece : 0;
			endless = endless || (*p == '}' && p[extended ? -1 : -2] == ',');
			size->repeats++;
			break;
		case '*':
			endless = true;
			size->repeats++;
			break;
		case '?':
			size->repeats++;
			break;
		default:
			size->done += size->piece;
			size->piece = 1;
			regexp_next(size, 0);
			break;
		}
		size = &open[depth];
		if (size->repeats > REPEATS_DEEP)
			return "more than 6 of + * ? {} apply to one piece; simplify it";
		size->piece *= times > 0 ? times : 1;
		if (size->done + size->piece > PIECES_MAX)
			return "it is too large: + doubles what it repeats, and {n,m} makes m "
			       "copies of it; simplify it, or write pcre: in place of regexp:";
	}
	if (copies > COPIES_MAX && endless && !is_anchored(pattern))
		return "{n,m} makes more than 32 copies, and with the * or + in it each key may "
		       "take seconds; begin it with ^, or write pcre: in place of regexp:";
	*pieces_r = 1;
	for (size_t i = 0; i <= depth; i++)
		*pieces_r += open[i].done + open[i].piece;
	return NULL;
}

/* regexp_octets_max - how many octets of keys a pattern of so many pieces is matched with */
static size_t
regexp_octets_max(uint64_t pieces)
{
	uint64_t octets = FRESH_OCTETS / pieces;

	return octets > FRESH_LEAST ? (size_t)octets : FRESH_LEAST;
}

static void *
regexp_compile(
    TALLOC_CTX *ctx, const char *pattern, const char *flags, size_t *groups_r, const char **why_r)
{
	int options = regexp_read_flags(flags);
	struct code *code;
	uint64_t pieces = 1;
	char text[256];
	int result;

	if (options < 0) {
		*why_r = mem_printf(ctx,
		    "\"%.20s\" are not flags; known are i, m and x, and white space ends them",
		    flags);
		return NULL;
	}
	*why_r = regexp_problem(pattern, (options & REG_EXTENDED) != 0, &pieces);
	if (*why_r != NULL) {
		*why_r = mem_printf(ctx, "the pattern cannot be used: %s", *why_r);
		return NULL;
	}
	code = mem_new(ctx, struct code);
	(void)pthread_mutex_init(&code->lock, NULL);
	talloc_set_destructor(code, regexp_code_free);
	code->pattern = mem_strdup(code, pattern);
	code->options = options;
	code->octets_max = regexp_octets_max(pieces);
	code->costly = pieces > CHEAP_PIECES;
	result = code_fresh(code, 0);
	if (result != 0) {
		(void)regerror(result, &code->regex, text, sizeof(text));
		*why_r = mem_printf(ctx, "the pattern cannot be read: %s", text);
		talloc_free(code);
		return NULL;
	}
	*groups_r = code->regex.re_nsub;
	return code;
}

/* code_match - as regexec(3) */
static int
code_match(struct code *code, const char *key, regmatch_t *spans, size_t n)
{
	size_t len = strlen(key);
	int result;

	(void)pthread_mutex_lock(&code->lock);
	result = code_fresh(code, len) != 0 ? REG_ESPACE :
	    regexec(&code->regex, key, n, spans, 0);
	code->octets += len;
	(void)pthread_mutex_unlock(&code->lock);
	return result;
}

static enum pattern_match
regexp_match(
    void *arg, const char *key, struct pattern_group *groups_r, size_t n, const char **why_r)
{
	const struct code *code = arg;
	regmatch_t spans[PATTERN_GROUPS_MAX];
	int result;

	if (code->costly && strlen(key) > KEY_MAX) {
		*why_r = "the key is longer than 320 bytes, which may take too long with this pattern";
		return PATTERN_ERROR;
	}
	result = code_match(arg, key, spans, n);
	if (result == REG_NOMATCH)
		return PATTERN_NO;
	if (result != 0) {
		*why_r = "the pattern could not be matched for lack of memory";
		return PATTERN_ERROR;
	}
	for (size_t i = 0; i < n; i++) {
		bool took_part = spans[i].rm_so >= 0;

		groups_r[i].start = took_part ? (size_t)spans[i].rm_so : 0;
		groups_r[i].end = took_part ? (size_t)spans[i].rm_eo : 0;
	}
	return PATTERN_YES;
}

static const struct pattern_engine engine = { regexp_compile, regexp_match };

static void *
regexp_open(
    TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	(void)env;
	return pattern_open(ctx, &engine, argument, error_r);
}

static void
regexp_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	(void)deadline_ms;
	pattern_get(state, ctx, key, answer_r);
}

const struct table_type table_regexp = {
	"regexp", TABLE_FILE | TABLE_PATTERN, regexp_open, regexp_get, NULL, NULL
};
