/*
 * fresh.h - what the name servers of a zone say now
 *
 * Threads: no state; any thread.
 */
#ifndef FILTER_DNS_FRESH_H
#define FILTER_DNS_FRESH_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/dns/answer.h"

struct fresh_options {
	const char **servers;	/* our resolver, as upstream_servers() gives it */
	const char *trust_anchor; /* or NULL */
	unsigned int port;	/* where name servers listen */
};

/* fresh_ask - see resolver_ask_authority() */
struct dns_answer **fresh_ask(TALLOC_CTX *ctx, const struct fresh_options *options,
    const char *const *names, size_t n, enum dns_type type, int64_t deadline_ms);

#endif
