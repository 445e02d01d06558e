/*
 * terms.h - the records of a check, and whether their terms match
 * For the files of this room. Threads: a check belongs to one thread.
 */
#ifndef FILTER_SPF_TERMS_H
#define FILTER_SPF_TERMS_H

#include "filter/spf/check.h"

/* spf_new_bound - a new place in the list of tokens */
struct bound *spf_new_bound(struct check *check);

/* spf_bound_of - what a token stands for, or NULL if it is none of ours */
struct bound *spf_bound_of(struct check *check, const char *token);

/* spf_override_for - the record of this site's own for a domain, or NULL */
const char *spf_override_for(const struct spf_service *service, const char *domain);

/* spf_fetch_record - the record of a domain, rewritten; NULL if the result is forced */
const struct spf_rewritten *spf_fetch_record(struct check *check, size_t number);

/* spf_matches - whether a token matches: 1, 0, -1 if the check ends
 * bound is the caller's copy: the list of tokens may move. */
int spf_matches(struct check *check, struct bound *bound);

#endif
