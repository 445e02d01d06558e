/*
 * answer.h - what a question to DNS comes back with
 *
 * Threads: no state; an answer belongs to whom its context belongs to.
 */
#ifndef FILTER_DNS_ANSWER_H
#define FILTER_DNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/base/dns.h"

struct ub_result;

enum dns_status {
	DNS_OK,			/* at least one record of the type */
	DNS_NODATA,		/* the name exists, not with this type */
	DNS_NXDOMAIN,
	DNS_TIMEOUT,		/* no answer before the deadline */
	DNS_FAILURE		/* SERVFAIL, REFUSED, bogus, loop, oversized, unqueryable name */
};

struct dns_answer {
	enum dns_status status;
	bool secure;		/* validated by DNSSEC */
	bool alias;		/* the name has a CNAME; status is about where that leads */
	bool stale;		/* DNS fails now; this is what it said last (RFC 8767) */
	uint32_t ttl;		/* seconds; 0 if stale */
	size_t count;		/* > 0 only with DNS_OK */
	struct dns_record *records; /* MX by preference, MX and PTR then by name */
	const char *problem;	/* for the log: DNS_TIMEOUT, DNS_FAILURE, or stale */
};

/* dns_answer_new - an answer without records; problem is copied, and may be NULL */
struct dns_answer *dns_answer_new(TALLOC_CTX *ctx, enum dns_status status, const char *problem);

/*
 * dns_answer_read - libunbound's result as an answer
 * The order of MX and PTR records does not depend on the order they came in, which servers and
 * caches change from question to question.
 */
struct dns_answer *dns_answer_read(
    TALLOC_CTX *ctx, enum dns_type type, const struct ub_result *result);

/* dns_answer_copy - a copy that belongs to ctx, records and all */
struct dns_answer *dns_answer_copy(TALLOC_CTX *ctx, const struct dns_answer *from);

/* dns_answer_bytes - octets of memory that an answer takes */
size_t dns_answer_bytes(const struct dns_answer *answer);

/* dns_answer_failed - does it say that DNS did not work? */
bool dns_answer_failed(const struct dns_answer *answer);

/*
 * dns_name_text - a name as libunbound reads it: absolute, with all but the plainest octets
 * as \DDD, so that none has a meaning of its own. name: raw octets for which dns_name_ok() is true.
 */
char *dns_name_text(TALLOC_CTX *ctx, const char *name, size_t len);

#endif
