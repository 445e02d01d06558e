/*
 * postfix_files.h - main.cf and master.cf read without postconf(1)
 *
 * For a host where Postfix's programs are not installed, such as one that holds a copy of its
 * configuration. The defaults of a few parameters are known here; all others are empty.
 *
 * Threads: no state; any thread.
 */
#ifndef FILTER_MTA_POSTFIX_FILES_H
#define FILTER_MTA_POSTFIX_FILES_H

#include <talloc.h>

/* The files as postconf would print them, lines that the caller may cut up. */
struct postfix_files {
	char *raw;		/* "name = value" */
	char *expanded;		/* the same, with $name replaced */
	char *services;		/* one line for each service */
};

/* postfix_files_read - read the files of a directory; NULL and *error_r, both on ctx */
struct postfix_files *postfix_files_read(
    TALLOC_CTX *ctx, const char *directory, const char **error_r);

/* postfix_files_value - the value of a parameter in files->raw, expanded; "" if it has none. On
 * ctx. */
const char *postfix_files_value(
    TALLOC_CTX *ctx, const struct postfix_files *files, const char *name);

/* postfix_files_expand - a text with $name, ${name}, ${name?text} and ${name:text} replaced from
 * files->raw; on ctx */
char *postfix_files_expand(TALLOC_CTX *ctx, const struct postfix_files *files, const char *text);

#endif
