/*
 * opendkim.h - an opendkim.conf as settings, and what becomes of each option
 */
#ifndef FILTER_ADOPT_OPENDKIM_H
#define FILTER_ADOPT_OPENDKIM_H

#include "filter/adopt/inside.h"

/* What becomes of an option. */
enum opendkim_fate {
	OPENDKIM_KEPT,      /* has no counterpart, and mail depends on it: opendkim stays */
	OPENDKIM_LOST,      /* has no counterpart; signing or judging changes without it */
	OPENDKIM_TAKEN,     /* becomes an option of countersign, or is spoken of */
	OPENDKIM_ELSEWHERE, /* listeners and their roles decide it */
	OPENDKIM_BESIDE,    /* has no counterpart; mail is signed and judged the same */
	OPENDKIM_NOTHING    /* countersign has no need of it */
};

struct opendkim_option {
	const char *name; /* in lower case */
	enum opendkim_fate fate;
};

/* opendkim_option - the row of an option, in any case; NULL: opendkim.conf(5) has none like it */
const struct opendkim_option *opendkim_option(const char *name);

/* An option that is set. */
struct opendkim_setting {
	const char *name; /* as written */
	const char *value;
	const char *where; /* file:line */
	bool used;
};

struct opendkim {
	struct adopt *adopt;
	const char *path;
	struct opendkim_setting *settings;
	size_t n;
	const char *base;       /* BaseDirectory, or NULL */
	const char *unreadable; /* a file that Include names and that cannot be read, or NULL */
};

/* opendkim_read - read a file and what it includes; false: it cannot be read */
bool opendkim_read(struct opendkim *opendkim, const char *path);

/* opendkim_find - the setting of an option that was not taken yet; NULL: none */
struct opendkim_setting *opendkim_find(struct opendkim *opendkim, const char *name);

/* opendkim_take - the same, and take it */
struct opendkim_setting *opendkim_take(struct opendkim *opendkim, const char *name);

/* opendkim_true - a Boolean as opendkim reads it */
bool opendkim_true(const struct opendkim_setting *setting);

/* opendkim_false - a value by which an option does nothing */
bool opendkim_false(const struct opendkim_setting *setting);

/* opendkim_path - a path made absolute by BaseDirectory */
const char *opendkim_path(const struct opendkim *opendkim, const char *path);

/* opendkim_elements - the members of a data set; false for a kind that is not read here */
bool opendkim_elements(struct opendkim *opendkim, const char *spec, struct adopt_texts *elements_r);

/* opendkim_stays.c: what keeps opendkim in the MTA's lines, or NULL */
const char *opendkim_stays(struct opendkim *opendkim, bool verifies_only);
/* opendkim_signing.c: tables and keys; opendkim_others.c: everything else */
const char *opendkim_table_path(
    struct opendkim *opendkim, const struct opendkim_setting *setting, const char **spec_r);
void opendkim_signing(struct opendkim *opendkim, bool verifies_only);
void opendkim_others(struct opendkim *opendkim);

#endif
