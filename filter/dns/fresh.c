/*
 * fresh.c - what the name servers of a zone say now
 *
 * A resolver keeps "there is no such name" for as long as the zone says, an hour often, and
 * nothing in a question makes it look again. So the zone's own servers are asked:
 *
 *	1. the names, by our resolver, which also says whether one is an alias;
 *	2. by it, too: the zones of names and aliases (NS), and the addresses of their servers;
 *	3. the names once more, in a context of libunbound in which those zones are
 *	   stubs with these addresses.
 *
 * If the third step fails - port 53 may be closed to the outside - the first answer stands.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <sys/socket.h>

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>

#include <unbound.h>

#include "filter/base/clock.h"
#include "filter/dns/fresh.h"
#include "filter/dns/upstream.h"
#include "policy/base/mem.h"

#define CLASS_IN	1
#define TYPE_NS		2
#define LABELS_MAX	8	/* parents of a name that are looked at */
#define STUBS_MAX	1024	/* addresses of name servers in all */
#define HOSTS_MAX	4	/* name servers of one zone */

/* A question under way in a context. */
struct wanted {
	struct ub_result *result; /* NULL: none yet, or none at all */
	int id;
	bool done;
};

/* All that is asked together. */
struct fresh {
	TALLOC_CTX *memory;
	const struct fresh_options *options;
	int64_t deadline_ms;
	struct ub_ctx *resolver; /* asks our resolver */
	struct upstream_stub *stubs;
	size_t n_stubs;
};

/* fresh_on_result - libunbound has an answer (called by ub_process) */
static void
fresh_on_result(void *data, int error, struct ub_result *result)
{
	struct wanted *wanted = data;

	wanted->done = true;
	if (error == 0)
		wanted->result = result;
	else
		ub_resolve_free(result);
}

/* all_done - is nothing under way? */
static bool
all_done(const struct wanted *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!wanted[i].done)
			return false;
	return true;
}

/* ask_all - ask n names, in the form of dns_name_text(), and wait until the deadline */
static struct wanted *
ask_all(const struct fresh *fresh, struct ub_ctx *unbound, char **names, size_t n, int type)
{
	struct wanted *wanted = mem_array(fresh->memory, struct wanted, n + 1);
	int64_t now_ms;

	memset(wanted, 0, (n + 1) * sizeof(*wanted));
	for (size_t i = 0; i < n; i++)
		wanted[i].done = names[i] == NULL || ub_resolve_async(unbound, names[i], type,
		    CLASS_IN, &wanted[i], fresh_on_result, &wanted[i].id) != 0;
	while (!all_done(wanted, n) && (now_ms = clock_ms()) < fresh->deadline_ms) {
		struct pollfd fd = { .fd = ub_fd(unbound), .events = POLLIN };

		if (poll(&fd, 1, (int)(fresh->deadline_ms - now_ms)) > 0)
			ub_process(unbound);
	}
	for (size_t i = 0; i < n; i++)
		if (!wanted[i].done)
			ub_cancel(unbound, wanted[i].id);
	return wanted;
}

/* ask_one - one question to our resolver; to be freed with ub_resolve_free(), NULL: no data */
static struct ub_result *
ask_one(const struct fresh *fresh, char *name, int type)
{
	struct wanted *wanted = ask_all(fresh, fresh->resolver, &name, 1, type);
	struct ub_result *result = wanted->result;

	talloc_free(wanted);
	if (result != NULL && result->havedata && !result->bogus)
		return result;
	ub_resolve_free(result);
	return NULL;
}

/* free_results - of questions asked together */
static void
free_results(struct wanted *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ub_resolve_free(wanted[i].result);
	talloc_free(wanted);
}

/* wire_text - a name as it stands in an answer, for the next question; NULL: malformed */
static char *
wire_text(TALLOC_CTX *ctx, const char *data, int len)
{
	struct dns_record record;
	char *text = NULL;

	if (len > 0 && dns_record_read(ctx, DNS_PTR, (const unsigned char *)data, (size_t)len,
	    &record) && dns_name_ok((const char *)record.data, record.len))
		text = dns_name_text(ctx, (const char *)record.data, record.len);
	return text;
}

/* add_addresses - the addresses of a name server as stubs of a zone */
static void
add_addresses(struct fresh *fresh, const char *zone, char *host, int family)
{
	struct ub_result *result =
	    ask_one(fresh, host, family == AF_INET ? (int)DNS_A : (int)DNS_AAAA);
	char address[INET6_ADDRSTRLEN];

	for (size_t i = 0; result != NULL && result->data[i] != NULL && i < HOSTS_MAX; i++)
		if (result->len[i] == (family == AF_INET ? 4 : 16) && fresh->n_stubs < STUBS_MAX &&
		    inet_ntop(family, result->data[i], address, sizeof(address)) != NULL)
			fresh->stubs[fresh->n_stubs++] = (struct upstream_stub){ zone,
			    mem_printf(fresh->memory, "%s@%u", address, fresh->options->port) };
	ub_resolve_free(result);
}

/* add_servers - the name servers of a zone; false if the name is no zone */
static bool
add_servers(struct fresh *fresh, char *zone)
{
	struct ub_result *result = ask_one(fresh, zone, TYPE_NS);
	bool found = result != NULL;
	char *host;

	for (size_t i = 0; found && result->data[i] != NULL && i < HOSTS_MAX; i++) {
		host = wire_text(fresh->memory, result->data[i], result->len[i]);
		if (host == NULL)
			continue;
		add_addresses(fresh, zone, host, AF_INET);
		add_addresses(fresh, zone, host, AF_INET6);
	}
	ub_resolve_free(result);
	return found;
}

/* add_zone - the zone of a name, if it is not there yet: its nearest parent with name servers */
static void
add_zone(struct fresh *fresh, const char *name)
{
	const char *parent = strchr(name, '.');

	/* escaped octets are digits after a backslash, so every dot is one between labels */
	for (int i = 0; i < LABELS_MAX && parent != NULL && strchr(parent + 1, '.') != NULL &&
	    parent[1] != '\0' && clock_ms() < fresh->deadline_ms;
	     i++, parent = strchr(parent + 1, '.')) {
		char *zone = mem_strdup(fresh->memory, parent + 1);

		for (size_t k = 0; k < fresh->n_stubs; k++)
			if (strcmp(fresh->stubs[k].zone, zone) == 0)
				return;
		if (add_servers(fresh, zone))
			return;
	}
}

/* alias_of - what a name is an alias of, absolute; NULL: of nothing */
static char *
alias_of(TALLOC_CTX *ctx, const struct ub_result *result)
{
	size_t len;

	if (result == NULL || result->canonname == NULL)
		return NULL;
	len = strlen(result->canonname);
	return mem_printf(
	    ctx, "%s%s", result->canonname, len > 0 && result->canonname[len - 1] == '.' ? "" : ".");
}

/* best - the answer to give: of the zone's servers, if they answered, else of our resolver */
static struct dns_answer *
best(TALLOC_CTX *ctx, enum dns_type type, const struct ub_result *authority,
    const struct ub_result *resolver)
{
	struct dns_answer *answer = NULL;

	if (authority != NULL)
		answer = dns_answer_read(ctx, type, authority);
	if (answer != NULL && !dns_answer_failed(answer))
		return answer;
	talloc_free(answer);
	if (resolver != NULL)
		return dns_answer_read(ctx, type, resolver);
	return dns_answer_new(ctx, DNS_TIMEOUT, "no answer in time");
}

/* ask_authority - the third step; NULL if there is no server to ask */
static struct wanted *
ask_authority(struct fresh *fresh, char **names, size_t n, int type)
{
	struct wanted *wanted;
	struct ub_ctx *unbound;
	const char *error;

	if (fresh->n_stubs == 0)
		return NULL;
	fresh->stubs[fresh->n_stubs].zone = NULL;
	unbound = upstream_open(fresh->memory, UPSTREAM_QUICK, fresh->options->servers,
	    fresh->stubs, fresh->options->trust_anchor, &error);
	if (unbound == NULL)
		return NULL;
	wanted = ask_all(fresh, unbound, names, n, type);
	ub_ctx_delete(unbound);
	return wanted;
}

/* ask_both - all three steps; fresh->resolver is there */
static void
ask_both(struct fresh *fresh, char **names, size_t n, enum dns_type type, TALLOC_CTX *ctx,
    struct dns_answer **answers)
{
	struct wanted *first = ask_all(fresh, fresh->resolver, names, n, (int)type), *second;

	for (size_t i = 0; i < n; i++) {
		char *alias = alias_of(fresh->memory, first[i].result);

		if (names[i] != NULL)
			add_zone(fresh, names[i]);
		if (alias != NULL)
			add_zone(fresh, alias);
	}
	second = ask_authority(fresh, names, n, (int)type);
	for (size_t i = 0; i < n; i++)
		answers[i] = best(ctx, type, second != NULL ? second[i].result : NULL,
		    first[i].result);
	free_results(first, n);
	if (second != NULL)
		free_results(second, n);
}

struct dns_answer **
fresh_ask(TALLOC_CTX *ctx, const struct fresh_options *options, const char *const *names,
    size_t n, enum dns_type type, int64_t deadline_ms)
{
	struct dns_answer **answers = mem_array(ctx, struct dns_answer *, n + 1);
	struct fresh fresh = { .memory = mem_check(talloc_new(NULL)), .options = options,
		.deadline_ms = deadline_ms };
	char **texts = mem_array(fresh.memory, char *, n + 1);
	const char *error = NULL;

	for (size_t i = 0; i < n; i++)
		texts[i] = dns_name_ok(names[i], strlen(names[i]))
		    ? dns_name_text(fresh.memory, names[i], strlen(names[i])) : NULL;
	fresh.stubs = mem_array(fresh.memory, struct upstream_stub, STUBS_MAX + 1);
	fresh.resolver = upstream_open(fresh.memory, UPSTREAM_QUICK, options->servers, NULL,
	    options->trust_anchor, &error);
	if (fresh.resolver != NULL) {
		ask_both(&fresh, texts, n, type, answers, answers);
		ub_ctx_delete(fresh.resolver);
	}
	for (size_t i = 0; fresh.resolver == NULL && i < n; i++)
		answers[i] = dns_answer_new(answers, DNS_FAILURE, error);
	talloc_free(fresh.memory);
	return answers;
}
