/*
 * compose.c - static:, unionmap: and pipemap: tables
 *
 * A union asks each of its tables and joins the answers with commas; a pipe asks the first, then
 * the next for its answer, and so on. As in Postfix, one table that cannot answer fails the whole.
 * Unlike there, a pattern in a union is never asked for a partial key, wherever it stands.
 *
 * Read-only after open; the tables within have locks of their own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/table/table.h"
#include "filter/table/type.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

struct members {
	struct table **tables;
	size_t n;
};

/* braced - what stands within the braces that begin and end a text, or false */
static bool
braced(struct span text, struct span *inner_r)
{
	size_t depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '{')
			depth++;
		else if (text.at[i] == '}' && depth > 0)
			depth--;
		if (depth == 0) {
			*inner_r = text_span_of(text.at + 1, text.len > 2 ? text.len - 2 : 0);
			return i > 0 && i + 1 == text.len;
		}
	}
	return false;
}

/* next_member - the next specification; dividers within braces belong to it */
static bool
next_member(struct span *rest, struct span *member_r)
{
	size_t depth = 0, n = 0;

	while (rest->len > 0 && (rest->at[0] == ',' || text_is_space(rest->at[0]))) {
		rest->at++;
		rest->len--;
	}
	for (; n < rest->len; n++) {
		char c = rest->at[n];

		if (depth == 0 && (c == ',' || text_is_space(c)))
			break;
		if (c == '{')
			depth++;
		else if (c == '}' && depth > 0)
			depth--;
	}
	*member_r = text_span_of(rest->at, n);
	rest->at += n;
	rest->len -= n;
	return n > 0;
}

/* members_open - open the tables of a union or a pipe */
static void *
members_open(
    TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct members *members = mem_new(ctx, struct members);
	struct span rest, spec;
	bool good = braced(text_span(argument), &rest);

	while (good && next_member(&rest, &spec)) {
		struct table *table = talloc_steal(members,
		    env->open(ctx, env, mem_strndup(members, spec.at, spec.len), error_r));

		if (table == NULL) {
			talloc_free(members);
			return NULL;
		}
		members->tables =
		    mem_grow(members, members->tables, struct table *, members->n + 1);
		members->tables[members->n++] = table;
	}
	if (good && members->n > 0)
		return members;
	*error_r = mem_printf(ctx,
	    "\"%s\" is not a list of tables; write {type:name, type:name}", argument);
	talloc_free(members);
	return NULL;
}

/* members_tend - what is to be done for each table */
static void
members_tend(void *state)
{
	const struct members *members = state;

	for (size_t i = 0; i < members->n; i++)
		table_tend(members->tables[i]);
}

/* ask - ask one of the tables */
static enum table_outcome
ask(struct table *table, TALLOC_CTX *ctx, const char *key, bool partial, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	answer_r->outcome = (partial ? table_get_partial : table_get)(
	    table, ctx, key, deadline_ms, &answer_r->value, &answer_r->error);
	if (answer_r->outcome == TABLE_TEMPERROR)
		answer_r->error =
		    mem_printf(ctx, "%s: %s", table_spec(table), answer_r->error);
	return answer_r->outcome;
}

/* ask_union - all answers, with commas between them */
static void
ask_union(const struct members *members, TALLOC_CTX *ctx, const char *key, bool partial,
    int64_t deadline_ms, struct table_answer *answer_r)
{
	const char *all = NULL;

	for (size_t i = 0; i < members->n; i++) {
		enum table_outcome outcome =
		    ask(members->tables[i], ctx, key, partial, deadline_ms, answer_r);

		if (outcome == TABLE_TEMPERROR)
			return;
		if (outcome == TABLE_FOUND)
			all = all == NULL ? answer_r->value :
			    mem_printf(ctx, "%s,%s", all, answer_r->value);
	}
	answer_r->outcome = all != NULL ? TABLE_FOUND : TABLE_NOT_FOUND;
	answer_r->value = all;
}

static void
union_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	ask_union(state, ctx, key, false, deadline_ms, answer_r);
}

static void
union_get_partial(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	ask_union(state, ctx, key, true, deadline_ms, answer_r);
}

/* ask_pipe - the answer of each is the key of the next, and no partial one */
static void
ask_pipe(const struct members *members, TALLOC_CTX *ctx, const char *key, bool partial,
    int64_t deadline_ms, struct table_answer *answer_r)
{
	for (size_t i = 0; i < members->n; i++) {
		if (ask(members->tables[i], ctx, key, partial && i == 0, deadline_ms, answer_r) !=
		    TABLE_FOUND)
			return;
		key = answer_r->value;
	}
}

static void
pipe_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	ask_pipe(state, ctx, key, false, deadline_ms, answer_r);
}

static void
pipe_get_partial(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	ask_pipe(state, ctx, key, true, deadline_ms, answer_r);
}

/* static_open - the value itself; braces around it go, and the blanks at their insides */
static void *
static_open(
    TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct span value = text_span(argument);

	(void)env;
	if (argument[0] == '{' && !braced(value, &value)) {
		*error_r = mem_printf(ctx,
		    "static:%s has braces that do not match; write static:{value}", argument);
		return NULL;
	}
	if (argument[0] == '{')
		value = text_trim(value);
	if (value.len > 0)
		return mem_strndup(ctx, value.at, value.len);
	*error_r = mem_printf(ctx, "static:%s has no value; write static:alice", argument);
	return NULL;
}

static void
static_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	(void)ctx, (void)key, (void)deadline_ms;
	answer_r->outcome = TABLE_FOUND;
	answer_r->value = state;
}

const struct table_type table_static = { "static", 0, static_open, static_get, NULL, NULL };
const struct table_type table_union = {
	"unionmap", 0, members_open, union_get, union_get_partial, members_tend
};
const struct table_type table_pipe = {
	"pipemap", 0, members_open, pipe_get, pipe_get_partial, members_tend
};
