/*
 * samples.h - does what adopt wrote do what the host did? The check, and sample messages
 */
#ifndef FILTER_ADOPT_SAMPLES_H
#define FILTER_ADOPT_SAMPLES_H

#include <talloc.h>

#include "filter/adopt/types.h"

/* A sample message that would not pass. */
struct adopt_refusal {
	const char *sample; /* "LOGIN ADDRESS" */
	const char *reply;  /* as the client would read it in mode enforce, or its reason */
};

struct adopt_trial {
	const char *errors;     /* lines, as of countersign -t; NULL: it is good */
	const char *warnings;   /* likewise, or NULL */
	size_t tried, accepted; /* sample messages; accepted in mode enforce, too */
	size_t with_signature;
	struct adopt_refusal *refusals;
	size_t n_refusals;
};

/*
 * adopt_try - check the configuration and run the samples of a report through the daemon's own
 * decision
 * Nothing is charged, logged or kept. On ctx. Threads of the resolver and the store stay until the
 * process ends. Once in a process.
 */
const struct adopt_trial *adopt_try(TALLOC_CTX *ctx, const struct adopt_report *report);

#endif
