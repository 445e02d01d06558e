/*
 * resolver.h - DNS answers with a deadline, the one door to DNS
 *
 * SPF and DKIM ask here. One resolver serves the whole process; it owns a
 * dispatcher thread (resolver.c) and a small bounded answer cache.
 */
#ifndef FILTER_DNS_RESOLVER_H
#define FILTER_DNS_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/base/dns.h"

struct resolver;

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
	uint32_t ttl;		/* seconds */
	size_t count;		/* > 0 only with DNS_OK */
	struct dns_record *records;
	const char *problem;	/* for the log when status is DNS_TIMEOUT or DNS_FAILURE */
};

/* How to reach DNS. */
struct resolver_options {
	const char **servers;   /* NULL-terminated, "ADDRESS" or "ADDRESS@PORT"; NULL or empty: as
				   /etc/resolv.conf says */
	size_t cache_entries;	/* bound of the answer cache; 0: none */
	const char *trust_anchor; /* file with the root's DNSSEC keys; NULL: nothing is validated */
};

/*
 * resolver_new - start the resolver and its thread
 * Returns NULL and sets *error_r (allocated on ctx) when it cannot. Servers that do not
 * answer are no error here. The result is a talloc child of ctx; talloc_free
 * stops the thread; no call may be in progress then. Call it after the last
 * fork(): threads do not survive one.
 */
struct resolver *resolver_new(TALLOC_CTX *ctx, const struct resolver_options *options,
    const char **error_r);

/*
 * resolver_ask - one question, waiting until the answer or the deadline
 * name is raw octets (no backslash escapes), labels separated by dots; deadline_ms is
 * CLOCK_MONOTONIC in milliseconds. Never returns NULL: failures are in status.
 * The answer is allocated on ctx and belongs to the caller. Any thread.
 */
struct dns_answer *resolver_ask(struct resolver *resolver, TALLOC_CTX *ctx,
    const char *name, size_t name_len, enum dns_type type, int64_t deadline_ms);

/*
 * resolver_prefetch - start a question whose answer will soon be asked for
 * Does not wait; the answer lands in the cache. Any thread.
 */
void resolver_prefetch(struct resolver *resolver, const char *name, size_t name_len,
    enum dns_type type);

#endif
