/*
 * spf.h - the SPF check of one identity (RFC 7208)
 *
 * libspf2 evaluates, inside a cage (spf.c). A check never fails in any other
 * way than by its result: what goes wrong is temperror or permerror with a
 * problem for the log.
 *
 * Threads: a struct spf_service is read only and may be shared by all threads;
 * its ask function must allow that. A check belongs to the calling thread and
 * waits for DNS there, at most until its deadline.
 */
#ifndef FILTER_SPF_SPF_H
#define FILTER_SPF_SPF_H

#include "filter/spf/service.h"
#include "policy/base/facts.h"

/*
 * spf_service_init - a service over the resolver, with the limits of RFC 7208
 * receiver must outlive the service. explain is on, trace off.
 */
void spf_service_init(struct spf_service *service, struct resolver *resolver,
    const char *receiver);

/*
 * spf_begin_helo - ask ahead for what spf_check_helo() will ask first
 * Does not wait; nothing happens if the HELO identity is not checked.
 */
void spf_begin_helo(const struct spf_service *service, const struct spf_client *client);

/*
 * spf_check_helo - check the HELO identity (RFC 7208 section 2.3)
 * *fact_r is filled whole, its strings are on ctx. deadline_ms is
 * CLOCK_MONOTONIC in milliseconds; past it the result is temperror.
 * A missing HELO, an address literal or a single label gives none.
 */
void spf_check_helo(TALLOC_CTX *ctx, const struct spf_service *service,
    const struct spf_client *client, int64_t deadline_ms, struct spf_fact *fact_r);

/*
 * spf_check_mailfrom - check the MAIL FROM identity (RFC 7208 section 2.4)
 * sender is as sent, without <>; "" or NULL is the null sender, which stands
 * for postmaster@HELO. Else as spf_check_helo().
 */
void spf_check_mailfrom(TALLOC_CTX *ctx, const struct spf_service *service,
    const struct spf_client *client, const char *sender, int64_t deadline_ms,
    struct spf_fact *fact_r);

/*
 * spf_check - as spf_check_mailfrom(), and return what it cost
 * counts_r may be NULL.
 */
void spf_check(TALLOC_CTX *ctx, const struct spf_service *service,
    const struct spf_client *client, const char *sender, int64_t deadline_ms,
    struct spf_fact *fact_r, struct spf_counts *counts_r);

#endif
