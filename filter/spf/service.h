/*
 * service.h - what an SPF check is made with: where answers come from, bounds, records of one's own
 *
 * Threads: read only while checks run.
 */
#ifndef FILTER_SPF_SERVICE_H
#define FILTER_SPF_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/dns/resolver.h"

/* Limits of RFC 7208 section 4.6.4, and bounds of our own after them. */
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
	unsigned int terms;	/* terms that query DNS; more is a permerror */
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

	/* If set, gets one line of plain text per step: terms, queries, results.
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

#endif
