/*
 * trace.h - an SPF check, reported step by step
 *
 * Threads: as the check.
 */
#ifndef FILTER_SPF_TRACE_H
#define FILTER_SPF_TRACE_H

#include "filter/spf/check.h"
#include "policy/base/mem.h"

/* TRACE - report a step to the service's listener, if there is one
 * A macro, so that nothing is formatted without a listener. */
#define TRACE(check, ...) do {							\
	if ((check)->service->trace != NULL) {					\
		char *trace_line = mem_printf((check), __VA_ARGS__);		\
		(check)->service->trace((check)->service->trace_state, trace_line); \
		talloc_free(trace_line);					\
	}									\
} while (0)

/* spf_shown - strangers' text as printable ASCII of bounded length, on ctx */
const char *spf_shown(TALLOC_CTX *ctx, const char *text, size_t len);

/* spf_trace_answer - a question and its answer */
void spf_trace_answer(struct check *check, const char *name, size_t len, enum dns_type type,
    const struct dns_answer *answer);

/* spf_trace_term - which term comes */
void spf_trace_term(struct check *check, const struct bound *bound);

/* spf_trace_record - a record, term by term; record: NULL if it is in error */
void spf_trace_record(struct check *check, const struct bound *bound, struct spf_text text,
    const struct spf_record *record);

#endif
