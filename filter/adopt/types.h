/*
 * types.h - what adopt is asked for, and what came of it
 */
#ifndef FILTER_ADOPT_TYPES_H
#define FILTER_ADOPT_TYPES_H

#include <stdbool.h>
#include <stddef.h>

/* A source of limits or keys: --from. */
struct adopt_source {
	const char *kind; /* "policyd", "postfwd", "policyd-rate-limit", "rspamd" */
	const char *path; /* NULL: the usual place */
};

/* What to read and where to write. NULL: what is found on this host. */
struct adopt_options {
	const char *postfix_config; /* directory of main.cf */
	const char *sendmail_cf;    /* sendmail.cf, or sendmail.mc */
	const char *opendkim;       /* opendkim.conf */
	const struct adopt_source *from;
	size_t n_from;
	const char *output; /* directory */
	bool force;         /* overwrite files that adopt did not write */
};

struct adopt_texts {
	const char **items;
	size_t n;
};

/* Lines to write in a file of the MTA. */
struct adopt_edit {
	const char *file;    /* "/etc/postfix/main.cf" */
	const char *service; /* of master.cf, or NULL */
	const char *line;    /* as it is to be written */
	const char *why;     /* a remark, or "" */
};

/* What came of it. */
struct adopt_report {
	struct adopt_texts read;    /* files that were read */
	struct adopt_texts written; /* files that were written */
	struct adopt_texts missing; /* what could not be taken over, and why */
	struct adopt_texts notes;   /* what else is to be known */
	struct adopt_edit *edits;
	size_t n_edits;
	struct adopt_texts commands;      /* to run as root */
	struct adopt_texts start;         /* commands that start countersign, before the MTA does */
	struct adopt_texts then;          /* what follows, once the lines are written */
	struct adopt_texts back;          /* commands that undo the changes of the MTA */
	struct adopt_texts senders;       /* samples: "LOGIN ADDRESS"; of role submission */
	struct adopt_texts relay_senders; /* likewise "CLIENT ADDRESS", of role relay */
	const char *conf;                 /* path of countersign.conf */
};

#endif
