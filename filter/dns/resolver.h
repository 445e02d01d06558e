/*
 * resolver.h - DNS answers with a deadline, the one door to DNS
 *
 * SPF and DKIM ask here. One resolver serves the whole process; it owns a
 * dispatcher thread (resolver.c) and a small bounded answer cache.
 */
#ifndef FILTER_DNS_RESOLVER_H
#define FILTER_DNS_RESOLVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/base/histogram.h"
#include "filter/dns/answer.h"

struct resolver;

/* How to reach DNS. */
struct resolver_options {
	const char **servers;   /* NULL-terminated, "ADDRESS" or "ADDRESS@PORT"; NULL or empty: as
				   /etc/resolv.conf says */
	size_t cache_entries;	/* bound of the answer cache; 0: none */
	unsigned int authority_port; /* where name servers of zones listen; 0: 53 */
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

/* Whom it asks, and whether they answer. */
struct resolver_status {
	bool away;		/* none of the servers answers, whatever it is asked */
	int64_t since_ms;	/* CLOCK_MONOTONIC; since the start if that never changed */
	const char *servers;	/* lives as long as the resolver */
};

/* resolver_status - how it stands; any thread */
void resolver_status(struct resolver *resolver, struct resolver_status *status_r);

/* What was asked and answered since the start. */
struct resolver_figures {
	atomic_uint_fast64_t answers[DNS_FAILURE + 1]; /* to askers, by status */
	atomic_uint_fast64_t stale;	/* of those, what DNS said before */
	atomic_uint_fast64_t cached;	/* of those, without waiting */
	atomic_uint_fast64_t questions;	/* sent, by askers or ahead of them */
	struct histogram waits;		/* of answers that were not cached */
};

/* resolver_figures - live as long as the resolver; any thread */
const struct resolver_figures *resolver_figures(const struct resolver *resolver);

/*
 * resolver_ask - one question, waiting until the answer or the deadline
 * name is raw octets (no backslash escapes), labels separated by dots; deadline_ms is
 * CLOCK_MONOTONIC in milliseconds. Never returns NULL: failures are in status, and problem says
 * whether our resolver is silent or the domain's servers. If they fail and DNS knew better some
 * hours ago, the answer is that one, with stale set.
 * The answer is allocated on ctx and belongs to the caller. Any thread.
 */
struct dns_answer *resolver_ask(struct resolver *resolver, TALLOC_CTX *ctx,
    const char *name, size_t name_len, enum dns_type type, int64_t deadline_ms);

/*
 * resolver_ask_authority - some questions past every cache, ours and that of our resolver
 * The name servers of the zones are asked themselves; if they cannot be, our resolver is. Takes
 * a context of libunbound of its own, so it is not for messages. names: n of them, as for
 * resolver_ask(). Returns n answers, each as resolver_ask() gives it, never stale. Waits until
 * the deadline at most. Any thread.
 */
struct dns_answer **resolver_ask_authority(struct resolver *resolver, TALLOC_CTX *ctx,
    const char *const *names, size_t n, enum dns_type type, int64_t deadline_ms);

/*
 * resolver_prefetch - start a question whose answer will soon be asked for
 * Does not wait; the answer lands in the cache. Any thread.
 */
void resolver_prefetch(struct resolver *resolver, const char *name, size_t name_len,
    enum dns_type type);

#endif
