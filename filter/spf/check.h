/*
 * check.h - one SPF check while it runs: what the files of this room share
 *
 * Threads: a check belongs to one thread.
 */
#ifndef FILTER_SPF_CHECK_H
#define FILTER_SPF_CHECK_H

#include "filter/spf/service.h"
#include "policy/base/facts.h"
#include "policy/spf/macro.h"
#include "policy/spf/record.h"
#include "policy/spf/rewrite.h"

/* A token of a rewritten record while the check runs. */
struct bound {
	struct spf_token token;
	bool asked;		/* the check came to it */
	bool yes;		/* and it matches; not for SPF_TOKEN_RECORD */
	const char *domain;	/* current domain where the term stands */
	bool main;		/* its record was reached by redirects only */
	char *name;		/* expanded; NULL until it is asked for */
	size_t name_len;

	/* SPF_TOKEN_RECORD, once asked: the tokens of the record, and how it ends */
	size_t first;
	size_t n;
	struct spf_text end;
	char end_qualifier;
};

/* One check. */
struct check {
	const struct spf_service *service;
	int64_t deadline_ms;
	unsigned int max_terms;
	struct spf_values values; /* domain changes from term to term */
	struct spf_counts counts;
	unsigned int prefetched;

	struct bound *bounds;	/* by token number; 0 is the domain under check */
	size_t n_bounds;

	enum spf_result forced;	/* SPF_NOT_CHECKED while libspf2 is to decide */
	const char *problem;	/* why, for temperror and permerror */
	bool stale;		/* DNS failed, and what it said before stood in */
	bool local;		/* the record of the domain under check is this site's own */

	struct spf_text exp;	/* exp= of the record that decides */
	const char *exp_domain;	/* and the domain it stands in */

	bool names_known;	/* names below were found out */
	bool names_void;	/* the client has no PTR record */
	const char *names[SPF_LIMIT_PTR]; /* validated names of the client */
	size_t n_names;
};

#endif
