/*
 * ucl.h - the configuration language of rspamd, as far as its modules' settings need it
 *
 * Objects, arrays, texts, comments. Macros such as .include are skipped: each file of local.d and
 * override.d is read by itself. Bounded in depth and in the number of nodes.
 *
 * Threads: no state.
 */
#ifndef FILTER_ADOPT_UCL_H
#define FILTER_ADOPT_UCL_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

/* A value: a text, or a list of named or nameless nodes. */
struct ucl_node {
	const char *name;         /* "" in arrays */
	const char *text;         /* NULL: it has members */
	struct ucl_node *members; /* the first one */
	struct ucl_node *next;    /* of the list it is in */
	int line;
	const char *path; /* of its file, for the caller; NULL after ucl_parse() */
};

/* ucl_parse - a whole file; its members are those of the result. NULL and *error_r ("LINE: why"),
 * both on ctx. */
struct ucl_node *ucl_parse(TALLOC_CTX *ctx, const char *text, const char **error_r);

/* ucl_find - the last member of a name, or NULL; node may be NULL */
const struct ucl_node *ucl_find(const struct ucl_node *node, const char *name);

/* ucl_text - the text of that member, or NULL */
const char *ucl_text(const struct ucl_node *node, const char *name);

/* ucl_bool - the same as true or false */
bool ucl_bool(const struct ucl_node *node, const char *name, bool standard);

#endif
