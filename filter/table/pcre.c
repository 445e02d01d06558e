/*
 * pcre.c - pcre: tables, Perl's regular expressions by PCRE2
 *
 * The format is pcre_table(5)'s, see pattern.c. Keys come from strangers, and a pattern with nested
 * repetition can be made to try for years; the library's work on one match is bounded, and reaching
 * the bound is a failure of the lookup, neither a match nor none.
 *
 * Threads: compiled patterns are shared; the room for a match is the caller's own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "filter/table/pattern.h"
#include "policy/base/mem.h"

#define MATCH_LIMIT	200000		/* steps of one match: some milliseconds */
#define HEAP_LIMIT	(4 * 1024)	/* KiB of one match */

struct code {
	pcre2_code *code;
	pcre2_match_context *limits;
};

static int
pcre_table_code_free(struct code *code)
{
	pcre2_match_context_free(code->limits);
	pcre2_code_free(code->code);
	return 0;
}

/* pcre_table_read_flags - the letters after a pattern as PCRE2's options; false if one is
 * unknown */
static bool
pcre_table_read_flags(const char *flags, uint32_t *options_r)
{
	static const struct { char letter; uint32_t option;
	} letters[] = {
		{ 'i', PCRE2_CASELESS },
		{ 'm', PCRE2_MULTILINE },
		{ 's', PCRE2_DOTALL },
		{ 'x', PCRE2_EXTENDED },
		{ 'A', PCRE2_ANCHORED },
		{ 'E', PCRE2_DOLLAR_ENDONLY },
		{ 'U', PCRE2_UNGREEDY },
		{ 'X', 0 },
	};

	*options_r = PCRE2_CASELESS | PCRE2_DOTALL;
	for (; *flags != '\0'; flags++) {
		size_t i = 0;

		while (i < sizeof(letters) / sizeof(letters[0]) && letters[i].letter != *flags)
			i++;
		if (i == sizeof(letters) / sizeof(letters[0]))
			return false;
		*options_r ^= letters[i].option;
	}
	return true;
}

static void *
pcre_table_compile(
    TALLOC_CTX *ctx, const char *pattern, const char *flags, size_t *groups_r, const char **why_r)
{
	struct code *code;
	uint32_t options, groups = 0;
	PCRE2_UCHAR text[256];
	PCRE2_SIZE offset;
	int error;

	if (!pcre_table_read_flags(flags, &options)) {
		*why_r = mem_printf(ctx,
		    "\"%.20s\" are not flags; known are i, m, s, x, A, E, U and X, and white space "
		    "ends them",
		    flags);
		return NULL;
	}
	code = mem_new(ctx, struct code);
	code->code = pcre2_compile(
	    (PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &error, &offset, NULL);
	if (code->code == NULL) {
		(void)pcre2_get_error_message(error, text, sizeof(text));
		*why_r = mem_printf(ctx, "the pattern cannot be read at its byte %zu: %s",
		    (size_t)offset, (const char *)text);
		talloc_free(code);
		return NULL;
	}
	code->limits = mem_check(pcre2_match_context_create(NULL));
	talloc_set_destructor(code, pcre_table_code_free);
	(void)pcre2_set_match_limit(code->limits, MATCH_LIMIT);
	(void)pcre2_set_heap_limit(code->limits, HEAP_LIMIT);
	(void)pcre2_pattern_info(code->code, PCRE2_INFO_CAPTURECOUNT, &groups);
	*groups_r = groups;
	return code;
}

/* copy_groups - offsets of a match; a group that took no part is empty */
static void
copy_groups(const pcre2_match_data *data, size_t count, struct pattern_group *groups_r, size_t n)
{
	const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer((pcre2_match_data *)(uintptr_t)data);

	for (size_t i = 0; i < n; i++) {
		bool took_part = i < count && offsets[2 * i] != PCRE2_UNSET &&
		    offsets[2 * i + 1] >= offsets[2 * i];

		groups_r[i].start = took_part ? offsets[2 * i] : 0;
		groups_r[i].end = took_part ? offsets[2 * i + 1] : 0;
	}
}

static enum pattern_match
pcre_table_match(
    void *arg, const char *key, struct pattern_group *groups_r, size_t n, const char **why_r)
{
	const struct code *code = arg;
	pcre2_match_data *data = mem_check(pcre2_match_data_create((uint32_t)n, NULL));
	int count = pcre2_match(code->code, (PCRE2_SPTR)key, strlen(key), 0, 0, data, code->limits);
	enum pattern_match result = PATTERN_YES;

	if (count == PCRE2_ERROR_NOMATCH) {
		result = PATTERN_NO;
	} else if (count < 0) {
		*why_r = "the key makes the pattern try too much; simplify nested repetition in it";
		result = PATTERN_ERROR;
	} else {
		/* 0: there were more groups than we want to know */
		copy_groups(data, count == 0 ? n : (size_t)count, groups_r, n);
	}
	pcre2_match_data_free(data);
	return result;
}

static const struct pattern_engine engine = { pcre_table_compile, pcre_table_match };

static void *
pcre_open(TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	(void)env;
	return pattern_open(ctx, &engine, argument, error_r);
}

static void
pcre_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	(void)deadline_ms;
	pattern_get(state, ctx, key, answer_r);
}

const struct table_type table_pcre = {
	"pcre", TABLE_FILE | TABLE_PATTERN, pcre_open, pcre_get, NULL, NULL
};
