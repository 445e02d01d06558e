/*
 * upstream.h - contexts of libunbound, and whom they ask
 *
 * Threads: a context belongs to the thread that uses it; libunbound keeps a worker of its own.
 */
#ifndef FILTER_DNS_UPSTREAM_H
#define FILTER_DNS_UPSTREAM_H

#include <stddef.h>
#include <talloc.h>

#include <unbound.h>

/* Questions under way in one context. */
#define UPSTREAM_UNDER_WAY	1024

/* What a context is for. */
enum upstream_kind {
	UPSTREAM_QUICK,		/* asks again if a packet may be lost, and another server */
	UPSTREAM_PATIENT	/* asks once and waits: some names take their resolver seconds */
};

/*
 * upstream_servers - the servers to ask, as "ADDRESS" or "ADDRESS@PORT", NULL-terminated
 * wanted, or if that is NULL or empty those of /etc/resolv.conf, or 127.0.0.1 as resolv.conf(5)
 * has it. On ctx.
 */
const char **upstream_servers(TALLOC_CTX *ctx, const char *const *wanted);

/* Who is asked about a zone, in place of the servers. */
struct upstream_stub {
	const char *zone;	/* as dns_name_text() writes it; NULL ends a list */
	const char *address;	/* "ADDRESS@PORT" of one of its name servers */
};

/*
 * upstream_open - a context that asks these servers
 * stubs: exceptions, or NULL.
 * trust_anchor: as in struct resolver_options. Nothing was asked for before, so nothing is in its
 * cache. Returns NULL and *error_r on ctx if libunbound does not take the servers, the
 * anchor or an option, or if there is no thread for it. To be freed with ub_ctx_delete().
 */
struct ub_ctx *upstream_open(TALLOC_CTX *ctx, enum upstream_kind kind, const char **servers,
    const struct upstream_stub *stubs, const char *trust_anchor, const char **error_r);

#endif
