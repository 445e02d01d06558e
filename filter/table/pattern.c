/*
 * pattern.c - what regexp: and pcre: tables have in common
 *
 * The rules of regexp_table(5) and pcre_table(5): /pattern/flags value, !/pattern/, if and endif,
 * $1 in values. The first rule that matches decides, so the order of the file counts.
 *
 * Postfix passes over a rule it cannot read, with a warning. Here that is a mistake: which rule is
 * missing would decide who may send as whom. For the same reason a pattern that cannot be matched
 * to its end is no "not found" but a failure.
 *
 * Threads: read-only after open.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/table/lines.h"
#include "filter/table/pattern.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define MAX_DEPTH	64	/* if within if */

enum rule_kind {
	RULE_VALUE,
	RULE_IF,
	RULE_ENDIF
};

struct rule {
	enum rule_kind kind;
	unsigned int line;
	bool negated;		/* ! in front */
	void *code;
	const char *value;
	size_t groups;		/* those the value names: the highest number, 0 for none */
	size_t endif;		/* RULE_IF: index of its endif */
};

struct pattern_table {
	const struct pattern_engine *engine;
	const char *source;
	struct rule *rules;
	size_t n;
	size_t open[MAX_DEPTH];	/* while reading: the ifs without their endif yet */
	size_t depth;
};

/* A piece of a value: text, or the number of a group. */
struct piece {
	struct span text;
	size_t group;		/* 0: it is text */
};

/* read_group - the number after a dollar sign; moves *p after it; 0 if there is none */
static size_t
read_group(const char **p)
{
	char close = **p == '{' ? '}' : **p == '(' ? ')' : '\0';
	const char *at = close != '\0' ? *p + 1 : *p;
	size_t number = 0;

	while (text_is_digit(*at) && number < PATTERN_GROUPS_MAX)
		number = number * 10 + (size_t)(*at++ - '0');
	if (number >= PATTERN_GROUPS_MAX ||
	    (close != '\0' ? *at != close : text_is_alnum(*at) || *at == '_'))
		return 0;
	*p = close != '\0' ? at + 1 : at;
	return number;
}

/* next_piece - the next piece of a value; false at its end, or if it is malformed (*p is not at
 * the end) */
static bool
next_piece(const char **p, struct piece *piece_r)
{
	size_t len = strcspn(*p, "$");

	piece_r->group = 0;
	piece_r->text = text_span_of(*p, len);
	if (len > 0) {
		*p += len;
		return true;
	}
	if (**p == '\0')
		return false;
	if ((*p)[1] == '$') {
		piece_r->text = text_span_of(*p + 1, 1);
		*p += 2;
		return true;
	}
	const char *behind = *p + 1;

	piece_r->group = read_group(&behind);
	if (piece_r->group == 0)
		return false;
	*p = behind;
	return true;
}

/* pattern_check_value - the groups a value names, or what is wrong with it */
static bool
pattern_check_value(TALLOC_CTX *ctx, struct rule *rule, size_t groups, const char **why_r)
{
	const char *p = rule->value;
	struct piece piece;

	while (next_piece(&p, &piece))
		if (piece.group > rule->groups)
			rule->groups = piece.group;
	if (*p != '\0')
		*why_r = mem_printf(ctx,
		    "\"%.20s\" in the value is not a group; write $1 to $99, ${1}, or $$ for a "
		    "dollar sign",
		    p);
	else if (rule->groups > 0 && rule->negated)
		*why_r = "a pattern that must not match has no groups, so the value cannot hold $1";
	else if (rule->groups > groups)
		*why_r = mem_printf(ctx,
		    "the value names $%zu, but the pattern has %zu groups in parentheses",
		    rule->groups, groups);
	else
		return true;
	return false;
}

/* cut_pattern - "/pattern/flags" at *text, NULs put in; moves *text after the flags */
static const char *
cut_pattern(char **text, bool *negated_r, char **flags_r, const char **why_r)
{
	char *p = *text;
	char *pattern;
	char delimiter;

	*negated_r = false;
	for (; *p == '!' || text_is_space(*p); p++)
		if (*p == '!')
			*negated_r = !*negated_r;
	delimiter = *p;
	if (delimiter == '\0' || text_is_alnum(delimiter)) {
		*why_r = "there is no pattern; write /pattern/ value";
		return NULL;
	}
	pattern = ++p;
	while (*p != '\0' && *p != delimiter)
		p += p[0] == '\\' && p[1] != '\0' ? 2 : 1;
	if (*p == '\0') {
		*why_r = "the pattern has no end; write its first character again after it";
		return NULL;
	}
	*p++ = '\0';
	*flags_r = p;
	while (*p != '\0' && !text_is_space(*p))
		p++;
	if (*p != '\0')
		*p++ = '\0';
	while (text_is_space(*p))
		p++;
	*text = p;
	return pattern;
}

/* add_pattern - compile the pattern at *text into the rule */
static bool
add_pattern(struct pattern_table *table, struct rule *rule, char **text, size_t *groups_r,
    const char **why_r)
{
	char *flags;
	const char *pattern = cut_pattern(text, &rule->negated, &flags, why_r);

	if (pattern == NULL)
		return false;
	if (strchr(flags, '!') != NULL) {
		*why_r =
		    "a second pattern on one line is not read here; write: if !/second/, the rule, endif";
		return false;
	}
	rule->code = table->engine->compile(table, pattern, flags, groups_r, why_r);
	return rule->code != NULL;
}

/* pattern_add_if - if /pattern/ */
static bool
pattern_add_if(struct pattern_table *table, struct rule *rule, char *text, const char **why_r)
{
	size_t groups;

	rule->kind = RULE_IF;
	if (!add_pattern(table, rule, &text, &groups, why_r))
		return false;
	if (*text != '\0')
		*why_r =
		    "nothing may follow the pattern of an if; the rules come on separate lines";
	else if (table->depth == MAX_DEPTH)
		*why_r = "too many ifs within one another";
	else
		table->open[table->depth++] = table->n;
	return *text == '\0' && *why_r == NULL;
}

/* pattern_add_endif - endif */
static bool
pattern_add_endif(
    struct pattern_table *table, struct rule *rule, const char *text, const char **why_r)
{
	rule->kind = RULE_ENDIF;
	if (table->depth == 0)
		*why_r = "endif without if";
	else if (text[strspn(text, " \t")] != '\0')
		*why_r = "nothing may follow endif";
	else {
		table->rules[table->open[--table->depth]].endif = table->n;
		return true;
	}
	return false;
}

/* starts_with - does a line begin with this word? */
static bool
starts_with(const char *text, const char *word)
{
	size_t len = strlen(word);

	return strncasecmp(text, word, len) == 0 && !text_is_alnum(text[len]);
}

/* pattern_take_line - one rule */
static bool
pattern_take_line(void *arg, char *text, unsigned int line, const char **why_r)
{
	struct pattern_table *table = arg;
	struct rule *rule;
	size_t groups;
	bool good;

	if (table->n % 64 == 0)
		table->rules = mem_grow(table, table->rules, struct rule, table->n + 64);
	rule = &table->rules[table->n];
	*rule = (struct rule){ .line = line };
	if (starts_with(text, "endif")) {
		good = pattern_add_endif(table, rule, text + 5, why_r);
	} else if (starts_with(text, "if")) {
		good = pattern_add_if(table, rule, text + 2, why_r);
	} else {
		good = add_pattern(table, rule, &text, &groups, why_r);
		if (good && *text == '\0') {
			*why_r = "the pattern has no value; write /pattern/ value";
			good = false;
		}
		if (good)
			rule->value = mem_strdup(table, text);
		good = good && pattern_check_value(table, rule, groups, why_r);
	}
	table->n++;
	return good;
}

/* pattern_open - read and compile a whole table */
struct pattern_table *
pattern_open(
    TALLOC_CTX *ctx, const struct pattern_engine *engine, const char *source, const char **error_r)
{
	struct pattern_table *table = mem_new(ctx, struct pattern_table);
	bool good;

	table->engine = engine;
	table->source = source[0] == '{' ? "inline" : mem_strdup(table, source);
	good = table_lines_read(ctx, source, pattern_take_line, table, error_r);
	if (good && table->depth > 0) {
		*error_r = mem_printf(ctx, "%s:%u: if without endif", table->source,
		    table->rules[table->open[table->depth - 1]].line);
		good = false;
	}
	if (good)
		return table;
	talloc_free(table);
	return NULL;
}

/* pattern_expand - the value with what the groups took */
static const char *
pattern_expand(
    TALLOC_CTX *ctx, const struct rule *rule, const char *key, const struct pattern_group *groups)
{
	const char *p = rule->value;
	char *out = mem_strdup(ctx, "");
	struct piece piece;

	while (next_piece(&p, &piece)) {
		if (piece.group > 0)
			piece.text = text_span_of(key + groups[piece.group].start,
			    groups[piece.group].end - groups[piece.group].start);
		out = mem_check(talloc_strndup_append_buffer(out, piece.text.at, piece.text.len));
	}
	return out;
}

/* pattern_get - the value of the first rule that matches */
void
pattern_get(const struct pattern_table *table, TALLOC_CTX *ctx, const char *key,
    struct table_answer *answer_r)
{
	struct pattern_group groups[PATTERN_GROUPS_MAX];

	answer_r->outcome = TABLE_NOT_FOUND;
	for (size_t i = 0; i < table->n; i++) {
		const struct rule *rule = &table->rules[i];
		const char *why = NULL;
		enum pattern_match match;

		if (rule->kind == RULE_ENDIF)
			continue;
		match = table->engine->match(rule->code, key, groups, rule->groups + 1, &why);
		if (match == PATTERN_ERROR) {
			answer_r->outcome = TABLE_TEMPERROR;
			answer_r->error =
			    mem_printf(ctx, "%s:%u: %s", table->source, rule->line, why);
			return;
		}
		if ((match == PATTERN_YES) == rule->negated) {
			if (rule->kind == RULE_IF)
				i = rule->endif;
			continue;
		}
		if (rule->kind == RULE_IF)
			continue;
		answer_r->outcome = TABLE_FOUND;
		answer_r->value = pattern_expand(ctx, rule, key, groups);
		return;
	}
}
