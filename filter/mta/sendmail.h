/*
 * sendmail.h - what a sendmail.cf says of milters, listeners and AUTH
 *
 * Threads: read once, then read only.
 */
#ifndef FILTER_MTA_SENDMAIL_H
#define FILTER_MTA_SENDMAIL_H

#include <stddef.h>
#include <talloc.h>

/* A line of interest: an option, a macro, a map or a filter. */
struct sendmail_line {
	char kind;		/* 'O', 'D', 'K', 'X', 'S', 'R' */
	const char *name;	/* option, macro, map, filter or ruleset; "" for a rule */
	const char *value;	/* the rest */
	int line;
};

struct sendmail {
	const char *path;
	struct sendmail_line *lines;
	size_t n;
};

/* sendmail_read - read a sendmail.cf; NULL and *error_r, both on ctx */
struct sendmail *sendmail_read(TALLOC_CTX *ctx, const char *path, const char **error_r);

/* sendmail_find - the last line of a kind and name, or NULL */
const struct sendmail_line *sendmail_find(
    const struct sendmail *sendmail, char kind, const char *name);

/* sendmail_where - "file:line"; on ctx */
const char *sendmail_where(
    TALLOC_CTX *ctx, const struct sendmail *sendmail, const struct sendmail_line *line);

/* sendmail_key - the value of "KEY=value" in a list with commas between, or NULL; on ctx */
const char *sendmail_key(TALLOC_CTX *ctx, const char *list, const char *key);

/* sendmail_port - the number of a Port=; NULL means smtp. 0: unknown */
int sendmail_port(const char *port);

#endif
