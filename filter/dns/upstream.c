/*
 * upstream.c - contexts of libunbound, and whom they ask
 *
 * libunbound measures how long a server takes, asks again after a little more than that, and
 * doubles the time when nothing comes. What is measured is the server, not the
 * domain, and behind a resolver this is not the same: a domain whose servers are dead or slow
 * makes our resolver look so. Hence
 *
 *  - there is no bound (infra-cache-max-rtt) from which on the server counts as dead and
 *    is not queried any more: a sender of mail from a dead domain would make all of DNS fail.
 *    Who notices that the resolver itself is silent is health.c;
 *  - what was measured is forgotten within seconds;
 *  - beside the quick context, whose questions are often repeated and after some
 *    repetitions fail, there is a patient one, in which an answer may take as long as it takes.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/dns/upstream.h"
#include "policy/base/mem.h"

#define RESOLV_CONF	"/etc/resolv.conf"
#define START_NAME	"started.countersign.invalid."	/* answered without a server */
#define START_MS	5000	/* in which libunbound's thread has to answer */
#define TYPE_TXT	16
#define CLASS_IN	1
#define SERVERS_MAX	8	/* of resolv.conf; the C library takes 3 */

/* One option of libunbound. */
struct upstream_option {
	const char *name;
	const char *value;
	bool needed;		/* an older libunbound that does not know it is no use */
};

static const struct upstream_option common_options[] = {
	/* A resolver on this host is the usual case, not a mistake. */
	{ "do-not-query-localhost:", "no", true },

	/* It would answer for private networks by itself; they are real networks
	 * to a mail server, and their names come from the servers configured. */
	{ "unblock-lan-zones:", "yes", true },
	{ "insecure-lan-zones:", "yes", false },

	/* A library's defaults are 16 sockets: 16 silent servers would block all. */
	{ "outgoing-range:", "1024", true },
	{ "outgoing-num-tcp:", "32", true },
	{ "num-queries-per-thread:", "1024", true },

	/* What was measured of a server holds for seconds, not for 15 minutes. */
	{ "infra-host-ttl:", "5", false },

	/* The order of records is the order in which SPF tries them. */
	{ "rrset-roundrobin:", "no", false },
};

/* Longer than a check may take: late answers count, whatever the measured time. */
static const struct upstream_option patient_options[] = {
	{ "infra-cache-min-rtt:", "25000", false },
	{ "unknown-server-time-limit:", "25000", false },
	{ "outbound-msg-retry:", "1", false },
};

/* The same if another server can be asked: it must have its turn. */
static const struct upstream_option turns_options[] = {
	{ "infra-cache-min-rtt:", "6000", false },
	{ "unknown-server-time-limit:", "6000", false },
	{ "outbound-msg-retry:", "2", false },
};

/* Zones that it would answer for by itself, too, and which the option for private
 * networks leaves out: homes and laboratories do send mail (RFC 8375, RFC 6761). */
static const char *const unbound_zones[] = { "home.arpa.", "test." };

/* upstream_set_options - give libunbound the options of a table above; an error or NULL */
static const char *
upstream_set_options(TALLOC_CTX *ctx, struct ub_ctx *unbound, const struct upstream_option *options,
    size_t n)
{
	size_t i;
	int error;

	for (i = 0; i < n; i++) {
		error = ub_ctx_set_option(unbound, options[i].name, options[i].value);
		if (error != 0 && options[i].needed)
			return mem_printf(ctx, "libunbound does not take \"%s %s\": %s",
			    options[i].name, options[i].value, ub_strerror(error));
	}
	return NULL;
}

/* set_servers - set the servers that libunbound asks; returns an error or NULL */
static const char *
set_servers(TALLOC_CTX *ctx, struct ub_ctx *unbound, const char **servers)
{
	size_t i;

	for (i = 0; servers[i] != NULL; i++)
		if (ub_ctx_set_fwd(unbound, servers[i]) != 0)
			return mem_printf(ctx,
			    "\"%s\" is not an address of a DNS server (ADDRESS or ADDRESS@PORT)",
			    servers[i]);
	return NULL;
}

/* set_kind - the options of a kind of context */
static const char *
set_kind(TALLOC_CTX *ctx, struct ub_ctx *unbound, enum upstream_kind kind, const char **servers)
{
	const char *error = upstream_set_options(ctx, unbound, common_options,
	    sizeof(common_options) / sizeof(common_options[0]));

	if (error != NULL || kind == UPSTREAM_QUICK)
		return error;
	if (servers[0] != NULL && servers[1] != NULL)
		return upstream_set_options(ctx, unbound, turns_options,
		    sizeof(turns_options) / sizeof(turns_options[0]));
	return upstream_set_options(ctx, unbound, patient_options,
	    sizeof(patient_options) / sizeof(patient_options[0]));
}

const char **
upstream_servers(TALLOC_CTX *ctx, const char *const *wanted)
{
	const char **servers = mem_array(ctx, const char *, SERVERS_MAX + 1);
	char line[512], address[128];
	size_t n = 0;
	FILE *file;

	if (wanted != NULL && wanted[0] != NULL) {
		while (wanted[n] != NULL)
			n++;
		servers = mem_grow(ctx, servers, const char *, n + 1);
		memcpy(servers, wanted, (n + 1) * sizeof(*servers));
		return servers;
	}
	file = fopen(RESOLV_CONF, "re");
	while (file != NULL && n < SERVERS_MAX && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "nameserver %127s", address) == 1)
			servers[n++] = mem_strdup(servers, address);
	if (file != NULL)
		(void)fclose(file);
	if (n == 0)
		servers[n++] = "127.0.0.1";
	servers[n] = NULL;
	return servers;
}

/* on_started - libunbound's thread has answered */
static void
on_started(void *data, int error, struct ub_result *result)
{
	bool *started = data;

	(void)error;
	ub_resolve_free(result);
	*started = true;
}

/*
 * start_thread - have libunbound start its thread now, and see that it works
 * libunbound starts it with the first question, and takes no notice if the system refuses it: no
 * question is ever answered then. So the first question is one that it answers itself. The thread
 * inherits blocked signals, which are for the first thread of the daemon.
 */
static bool
start_thread(struct ub_ctx *unbound)
{
	struct pollfd answer = { .fd = ub_fd(unbound), .events = POLLIN };
	int64_t deadline_ms = clock_ms() + START_MS;
	bool started = false;
	sigset_t all, before;
	int error;

	if (ub_ctx_data_add(unbound, START_NAME " 1 IN TXT \"started\"") != 0)
		return false;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = ub_resolve_async(unbound, START_NAME, TYPE_TXT, CLASS_IN, &started,
	    on_started, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	while (error == 0 && !started && clock_ms() < deadline_ms) {
		(void)poll(&answer, 1, 100);
		error = ub_process(unbound);
	}
	return started;
}

struct ub_ctx *
upstream_open(TALLOC_CTX *ctx, enum upstream_kind kind, const char **servers,
    const struct upstream_stub *stubs, const char *trust_anchor, const char **error_r)
{
	struct ub_ctx *unbound = ub_ctx_create();
	size_t i;
	int error;

	if (unbound == NULL) {
		*error_r = mem_strdup(ctx, "libunbound cannot start");
		return NULL;
	}
	/* What it would write to standard error also comes as answers. */
	ub_ctx_debugout(unbound, NULL);
	*error_r = set_kind(ctx, unbound, kind, servers);
	if (*error_r == NULL)
		*error_r = set_servers(ctx, unbound, servers);
	/* an address that libunbound does not take is one server less */
	for (; *error_r == NULL && stubs != NULL && stubs->zone != NULL; stubs++)
		(void)ub_ctx_set_stub(unbound, stubs->zone, stubs->address, 0);
	if (*error_r == NULL && trust_anchor != NULL) {
		error = ub_ctx_add_ta_file(unbound, trust_anchor);
		if (error != 0)
			*error_r = mem_printf(ctx, "cannot use the trust anchor %s: %s",
			    trust_anchor, ub_strerror(error));
	}
	if (*error_r == NULL && (error = ub_ctx_async(unbound, 1)) != 0)
		*error_r = mem_printf(ctx, "libunbound: %s", ub_strerror(error));
	/* Last, because this makes the options final: what a file of keys holds is read now. */
	for (i = 0; *error_r == NULL && i < sizeof(unbound_zones) / sizeof(unbound_zones[0]); i++)
		if ((error = ub_ctx_zone_remove(unbound, unbound_zones[i])) != 0)
			*error_r = trust_anchor != NULL
			    ? mem_printf(ctx,
				  "the trust anchor %s cannot be read, or holds no DNSSEC keys",
				  trust_anchor)
			    : mem_printf(ctx, "libunbound: %s", ub_strerror(error));
	if (*error_r == NULL && start_thread(unbound))
		return unbound;
	if (*error_r != NULL)
		ub_ctx_delete(unbound);
	else
		/* not deleted: libunbound would join a thread that never was, and crash */
		*error_r = mem_strdup(ctx, "libunbound cannot start its thread");
	return NULL;
}
