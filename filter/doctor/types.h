/*
 * types.h - findings, and what an examination is asked for
 */
#ifndef FILTER_DOCTOR_TYPES_H
#define FILTER_DOCTOR_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/config/configuration.h"
#include "filter/dkim/keyring.h"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_UNKNOWN,		/* could not be looked at */
	DOCTOR_WARNING,		/* works, and hurts some day */
	DOCTOR_ERROR,		/* mail is lost, unsigned, forged or refused, or limits fail */
	DOCTOR_LEVELS
};

struct doctor_finding {
	enum doctor_level level;
	const char *id;		/* of the table, e.g. "postfix.milter-missing" */
	const char *where;	/* file:line, service, DNS name or address; or "" */
	const char *what;	/* one sentence */
	const char *cure;	/* a line to paste, or what to do; or "" */
};

/* What to look at. NULL and 0 mean: as it is found on this host. */
struct doctor_options {
	const char *file;	/* configuration of countersign */
	const char *postfix_config; /* directory of main.cf */
	const char *sendmail_cf;
	const char **addresses; /* under which others see this host */
	size_t n_addresses;
	const char **only;	/* ids; none: all */
	size_t n_only;
	const char **skip;	/* ids */
	size_t n_skip;
	bool by_daemon;		/* only the checks that the daemon makes by itself */

	/* As whom the daemon reads its keys: 0, or -1 and *error_r on ctx. */
	int (*reader)(void *state, TALLOC_CTX *ctx, const struct config *config,
	    struct keyring_options *options_r, const char **error_r);
	void *reader_state;
};

struct doctor_report {
	struct doctor_finding *findings; /* errors first; in each level by id and place */
	size_t n;
	size_t counts[DOCTOR_LEVELS];
	bool no_dns;		/* no server answers: what depends on DNS was not looked at */
};

#endif
