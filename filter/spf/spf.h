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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/dns/resolver.h"
#include "policy/base/facts.h"

/* Limits of RFC 7208 section 4.6.4, and bounds of our own behind them. */
#define SPF_LIMIT_TERMS		10	/* include, a, mx, ptr, exists, redirect in all */
#define SPF_LIMIT_VOIDS		2	/* answers without records */
#define SPF_LIMIT_MX		10	/* hosts of one mx; more is a permerror */
#define SPF_LIMIT_PTR		10	/* names of the client; more are not looked at */
#define SPF_LIMIT_QUERIES	150	/* ours: the worst legal check needs about 122 */
#define SPF_LIMIT_BYTES		(512 * 1024) /* ours: octets of all answers of a check */
#define SPF_MESSAGE_QUERIES 250 /* ours: of both checks of a message, as 122 twice may be legal */
#define SPF_MESSAGE_BYTES	(768 * 1024)
#define SPF_LIMIT_PREFETCH	20	/* ours: questions asked ahead in a check */
#define SPF_TIMEOUT_MS		20000	/* a check should have that long */

/* Where answers come from: the resolver, or zone data in a test. */
struct spf_dns {
	/* As resolver_ask(): never NULL; the answer belongs to ctx. */
	struct dns_answer *(*ask)(void *state, TALLOC_CTX *ctx, const char *name,
	    size_t name_len, enum dns_type type, int64_t deadline_ms);
	/* As resolver_prefetch(); NULL: nothing is asked ahead. */
	void (*prefetch)(void *state, const char *name, size_t name_len, enum dns_type type);
	void *state;		/* first argument of both */
};

/* Bounds of one check. */
struct spf_limits {
	unsigned int terms;	/* terms that ask DNS; more is a permerror */
	unsigned int voids;	/* terms answered without records; more is a permerror */
	bool strict_voids;	/* count void answers for hosts of mx and for names of ptr, too */
	unsigned int queries;	/* questions in all; more is a temperror */
	size_t bytes;		/* octets of answers in all; more is a temperror */
	unsigned int prefetch;	/* questions asked ahead in all */
};

/* A record of this site's own, in place of the one that a domain publishes. */
struct spf_override {
	const char *domain;	/* normal form */
	bool below;		/* for every name below domain, not for itself */
	const char *record;	/* one that spf_record_parse() takes */
};

/* What all checks have in common. */
struct spf_service {
	struct spf_dns dns;
	struct spf_limits limits;
	const char *receiver;	/* our host name, for %{r}; not NULL */
	bool explain;		/* fetch the domain's explanation on fail */

	/* Taken for the domain under check only, not for the targets of include and
	 * redirect: so an override may include what the domain itself publishes. */
	const struct spf_override *overrides;
	size_t n_overrides;

	/* Where set, gets one line of plain text per step: terms, queries, results.
	 * text is printable ASCII and valid during the call only. */
	void (*trace)(void *trace_state, const char *text);
	void *trace_state;
};

/* Who connects. */
struct spf_client {
	const char *address;	/* textual IPv4 or IPv6 address; IPv4-mapped counts as IPv4 */
	const char *helo;	/* HELO or EHLO argument as sent, or NULL */
};

/* What a check cost, for traces, metrics and "how near the limits". */
struct spf_counts {
	unsigned int terms;	/* terms that asked DNS */
	unsigned int voids;	/* void lookups */
	unsigned int queries;	/* questions in all */
	size_t bytes;		/* octets of all answers */
};

/*
 * spf_service_init - a service over the resolver, with the limits of RFC 7208
 * receiver must outlive the service. explain is on, trace off.
 */
void spf_service_init(struct spf_service *service, struct resolver *resolver,
    const char *receiver);

/*
 * spf_begin_helo - ask ahead for what spf_check_helo() will ask first
 * Does not wait; nothing happens where the HELO identity is not checked.
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
 * spf_check - as spf_check_mailfrom(), and tell what it cost
 * counts_r may be NULL.
 */
void spf_check(TALLOC_CTX *ctx, const struct spf_service *service,
    const struct spf_client *client, const char *sender, int64_t deadline_ms,
    struct spf_fact *fact_r, struct spf_counts *counts_r);

#endif
