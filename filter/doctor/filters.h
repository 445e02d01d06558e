/*
 * filters.h - which other filters an MTA uses, by their own configuration
 */
#ifndef FILTER_DOCTOR_FILTERS_H
#define FILTER_DOCTOR_FILTERS_H

#include <stdbool.h>

#include "filter/doctor/inside.h"

/* Another filter. */
struct mail_filter {
	const char *name;	/* "OpenDKIM" */
	const char *conf;	/* its file, or NULL: not found */
	const char *signs;	/* a domain of ours that it signs for, or NULL */
	const char *authserv_id; /* under which it writes Authentication-Results, or NULL */
	bool changes;		/* it may change fields or the body of mail from here */
};

/*
 * filters_milter - what stands behind a milter's endpoint
 * Returns false if nothing is known of it. Strings are on the exam's context. Any thread.
 */
bool filters_milter(struct exam *exam, const struct postfix_service *service, const char *endpoint,
    struct mail_filter *filter_r);

/* filters_content - the same of a content_filter, "TRANSPORT:NEXTHOP" */
bool filters_content(struct exam *exam, const char *content_filter, struct mail_filter *filter_r);

#endif
