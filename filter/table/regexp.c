/*
 * regexp.c - regexp: tables, POSIX regular expressions by the C library
 *
 * The library's own regcomp(3), because that is what Postfix uses on this machine: the same file
 * gives the same answers, odd corners included. The format is regexp_table(5)'s, see pattern.c.
 *
 * Threads: regexec(3) locks what it must.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <regex.h>
#include <string.h>

#include "filter/table/pattern.h"
#include "policy/base/mem.h"

struct code {
	regex_t regex;
};

static int
regexp_code_free(struct code *code)
{
	regfree(&code->regex);
	return 0;
}

/* regexp_read_flags - the letters behind a pattern, as regcomp's; -1 where one is unknown */
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

static void *
regexp_compile(
    TALLOC_CTX *ctx, const char *pattern, const char *flags, size_t *groups_r, const char **why_r)
{
	int options = regexp_read_flags(flags);
	struct code *code;
	char text[256];
	int result;

	if (options < 0) {
		*why_r = mem_printf(ctx,
		    "\"%.20s\" are no flags; known are i, m and x, and white space ends them",
		    flags);
		return NULL;
	}
	code = mem_new(ctx, struct code);
	result = regcomp(&code->regex, pattern, options);
	if (result != 0) {
		(void)regerror(result, &code->regex, text, sizeof(text));
		*why_r = mem_printf(ctx, "the pattern cannot be read: %s", text);
		talloc_free(code);
		return NULL;
	}
	talloc_set_destructor(code, regexp_code_free);
	*groups_r = code->regex.re_nsub;
	return code;
}

static enum pattern_match
regexp_match(
    const void *arg, const char *key, struct pattern_group *groups_r, size_t n, const char **why_r)
{
	const struct code *code = arg;
	regmatch_t spans[PATTERN_GROUPS_MAX];
	int result = regexec(&code->regex, key, n, spans, 0);

	if (result == REG_NOMATCH)
		return PATTERN_NO;
	if (result != 0) {
		*why_r = "the pattern could not be matched for want of memory";
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
