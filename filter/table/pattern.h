/*
 * pattern.h - what regexp: and pcre: tables have in common
 *
 * The rules of a table are the same for both; how a pattern is compiled and matched is the
 * engine's.
 */
#ifndef FILTER_TABLE_PATTERN_H
#define FILTER_TABLE_PATTERN_H

#include "filter/table/type.h"

#define PATTERN_GROUPS_MAX	100	/* $1 to $99, and the whole match */

/* A group of a match: octets from start to end of the key; equal if it took no part. */
struct pattern_group {
	size_t start;
	size_t end;
};

enum pattern_match {
	PATTERN_YES,
	PATTERN_NO,
	PATTERN_ERROR		/* it could not be found out, e.g. for want of stack */
};

struct pattern_engine {
	/* compile: the pattern (its delimiters cut off) with its flags (letters); code on ctx, the
	 * number of groups in *groups_r; or NULL and *why_r on ctx or static */
	void *(*compile)(TALLOC_CTX *ctx, const char *pattern, const char *flags, size_t *groups_r,
	    const char **why_r);
	/* match: groups_r has room for n and is filled on PATTERN_YES; from any thread */
	enum pattern_match (*match)(void *code, const char *key,
	    struct pattern_group *groups_r, size_t n, const char **why_r);
};

struct pattern_table;

/* pattern_open - read and compile a whole table; as open of struct table_type */
struct pattern_table *pattern_open(
    TALLOC_CTX *ctx, const struct pattern_engine *engine, const char *source, const char **error_r);

/* pattern_get - the value of the first rule that matches; as get of struct table_type */
void pattern_get(const struct pattern_table *table, TALLOC_CTX *ctx, const char *key,
    struct table_answer *answer_r);

#endif
