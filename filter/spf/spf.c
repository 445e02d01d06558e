/*
 * spf.c - the SPF check of one identity, with libspf2 in a cage
 *
 * libspf2 keeps what it does well: walking the mechanisms, the recursion of
 * include and redirect, comparing addresses with networks. All the rest is
 * taken from it, because alone it fails half of the RFC 7208 test suite and,
 * in the version of Debian 12, overruns its stack on a crafted record:
 *
 *  - It never sees an octet that a stranger chose. The domain under check is
 *    called "0.t" before it, the sender "x@0.t"; it asks for a record through
 *    get_record() below, and what it compiles is the rewritten text of
 *    policy/spf/rewrite.c: our own words, and tokens such as "3.t".
 *  - It never queries DNS. Its questions about tokens come to lookup() below,
 *    which answers for terms.c: that knows what each stands for, counts terms and
 *    void answers, expands the macros and asks the real question.
 *  - Its explanations and comments are not used. The domain's explanation is
 *    fetched and expanded here, once, after the result is known.
 *
 * A limit that is passed inside a callback cannot be returned to libspf2 as a
 * permerror. So the result is stored ("forced"), every later question of
 * libspf2 is refused as a temporary failure, it unwinds at once, and the
 * stored result is the one that counts.
 *
 * Threads: a check lives on one thread from its beginning to its end. Nothing
 * here is shared; the resolver behind struct spf_dns takes care of itself.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <sys/socket.h>
#include <sys/types.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <idn2.h>
#include <spf2/spf.h>

#include "filter/spf/check.h"
#include "filter/spf/questions.h"
#include "filter/spf/spf.h"
#include "filter/spf/terms.h"
#include "filter/spf/trace.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/spf/macro.h"
#include "policy/spf/record.h"
#include "policy/verdict/reply.h"

/* What libspf2 takes for its own limits: never reached, ours come first. */
#define NEVER		1000

/* Octets of local part and HELO that macros see. SMTP allows 64 and 255 (RFC
 * 5321 section 4.5.3.1); variable return paths are longer in practice. */
#define VALUE_MAX	512

/* get_record - libspf2 wants the record of a token (callback)
 * Every way to end other than with a record is a forced result, so which error
 * is returned does not matter, except that it has to be one. */
static SPF_errcode_t
get_record(SPF_server_t *server, SPF_request_t *request, SPF_response_t *response,
    SPF_record_t **record_r)
{
	struct check *check = request->spf_server->resolver->hook;
	const struct spf_rewritten *rewritten;
	size_t number;

	*record_r = NULL;
	if (check->forced != SPF_NOT_CHECKED ||
	    !spf_token_number(request->cur_dom, &number) || number >= check->n_bounds)
		return SPF_E_DNS_ERROR;
	rewritten = spf_fetch_record(check, number);
	if (rewritten == NULL || check->forced != SPF_NOT_CHECKED)
		return SPF_E_DNS_ERROR;
	TRACE(check, "  evaluated for this client as: %s", rewritten->text);
	return SPF_record_compile(server, response, record_r, rewritten->text);
}

/* new_reply - an empty reply of libspf2's kind, with a netdb.h status */
static SPF_dns_rr_t *
new_reply(SPF_dns_server_t *layer, const char *domain, ns_type type, int status)
{
	return mem_check(SPF_dns_rr_new_init(layer, domain, type, 0, status));
}

/* reply_octets - add a record to a reply */
static void
reply_octets(SPF_dns_rr_t *reply, const void *data, size_t len)
{
	if (SPF_dns_rr_buf_realloc(reply, reply->num_rr, len) != SPF_E_SUCCESS)
		abort();
	memcpy(reply->rr[reply->num_rr], data, len);
	reply->num_rr++;
}

/* reply_yes_or_no - the reply to an exists: one address, or none */
static SPF_dns_rr_t *
reply_yes_or_no(SPF_dns_server_t *layer, const char *domain, ns_type type, bool yes)
{
	struct in_addr any = { 0 };
	SPF_dns_rr_t *reply;

	reply = new_reply(layer, domain, type, yes ? NETDB_SUCCESS : NO_DATA);
	if (yes)
		reply_octets(reply, &any, sizeof(any));
	return reply;
}

/* lookup - libspf2 asks about a token (callback); must not return NULL */
static SPF_dns_rr_t *
lookup(SPF_dns_server_t *layer, const char *domain, ns_type type, int should_cache)
{
	struct check *check = layer->hook;
	struct bound *found = spf_bound_of(check, domain), bound;
	int yes = -1;

	(void)should_cache;
	if (found != NULL && check->forced == SPF_NOT_CHECKED && spf_count_term(check)) {
		found->asked = true;
		bound = *found;
		spf_trace_term(check, &bound);
		yes = spf_matches(check, &bound);
	}
	if (yes >= 0 && check->forced == SPF_NOT_CHECKED) {
		spf_bound_of(check, domain)->yes = yes > 0;
		TRACE(check, "    %s", yes > 0 ? "match" : "no match");
		return reply_yes_or_no(layer, domain, type, yes > 0);
	}
	spf_force(check, SPF_IS_TEMPERROR, "internal: unknown token");
	return new_reply(layer, domain, type, TRY_AGAIN);
}

/* result_of - libspf2's result in our words
 * Anything else than these four comes with a forced result. */
static enum spf_result
spf_result_of(struct check *check, SPF_result_t result)
{
	if (check->forced != SPF_NOT_CHECKED)
		return check->forced;
	switch (result) {
	case SPF_RESULT_PASS:
		return SPF_IS_PASS;
	case SPF_RESULT_FAIL:
		return SPF_IS_FAIL;
	case SPF_RESULT_SOFTFAIL:
		return SPF_IS_SOFTFAIL;
	case SPF_RESULT_NEUTRAL:
		return SPF_IS_NEUTRAL;
	default:
		check->problem = "internal: libspf2 gave no result";
		return SPF_IS_TEMPERROR;
	}
}

/* set_client - hand the client's address to a request of libspf2 */
static void
set_client(const struct check *check, SPF_request_t *request)
{
	struct in6_addr ipv6;
	struct in_addr ipv4;

	if (check->values.ipv6) {
		memcpy(&ipv6, check->values.address, sizeof(ipv6));
		SPF_request_set_ipv6(request, ipv6);
	} else {
		memcpy(&ipv4, check->values.address, sizeof(ipv4));
		SPF_request_set_ipv4(request, ipv4);
	}
}

/* interpret - let libspf2 evaluate the record of token 0
 * This is what SPF_request_query_mailfrom() does, minus its free pass for loopback. */
static enum spf_result
interpret(struct check *check, SPF_server_t *server)
{
	SPF_request_t *request = mem_check(SPF_request_new(server));
	SPF_response_t *response = mem_check(SPF_response_new(request));
	SPF_record_t *record = NULL;
	enum spf_result result;

	set_client(check, request);
	if (SPF_request_set_helo_dom(request, "0.t") != SPF_E_SUCCESS ||
	    SPF_request_set_env_from(request, "x@0.t") != 0)
		abort();
	request->cur_dom = "0.t";
	if (SPF_server_get_record(server, request, response, &record) == SPF_E_SUCCESS) {
		response->spf_record_exp = record;
		SPF_record_interpret(record, request, response, 0);
	}
	result = spf_result_of(check, SPF_response_result(response));
	if (record != NULL)
		SPF_record_free(record);
	SPF_response_free(response);
	SPF_request_free(request);
	return result;
}

/* evaluate - the result for the domain of token 0 */
static enum spf_result
evaluate(struct check *check)
{
	SPF_dns_server_t layer = { .lookup = lookup, .get_spf = get_record,
	    .name = "countersign", .hook = check };
	SPF_server_t *server = mem_check(SPF_server_new_dns(&layer, 0));
	enum spf_result result;

	SPF_server_set_max_dns_mech(server, NEVER);
	SPF_server_set_max_dns_mx(server, NEVER);
	result = interpret(check, server);
	SPF_server_free(server);
	return result;
}

/* explanation - the domain's own words for a fail, or NULL (RFC 7208 section 6.2)
 * Whatever goes wrong here means that there are none. */
static const char *
explanation(TALLOC_CTX *ctx, struct check *check)
{
	const struct dns_record *record;
	struct dns_answer *answer;
	struct spf_text text;
	size_t len;
	char *name, *line;

	if (!check->service->explain || check->exp.data == NULL)
		return NULL;
	spf_prepare_values(check, check->exp_domain, check->exp);
	name = spf_macro_expand_name(check, check->exp.data, check->exp.len, &check->values,
	    &len);
	answer = spf_ask_until(check, name, len, DNS_TXT, spf_half_time(check));
	if (answer->status != DNS_OK || answer->count != 1)
		return NULL;
	record = &answer->records[0];
	text.data = (const char *)record->data;
	text.len = record->len;
	spf_prepare_values(check, check->exp_domain, text);
	line = spf_macro_expand_explanation(ctx, text.data, text.len, &check->values);
	if (line == NULL || line[0] == '\0')
		return NULL;
	TRACE(check, "  explanation: %s", line);
	return line;
}

/* decider - the term that decided a record, absent if none matched; *qualifier_r: its own
 * An include matches if its record passes; a redirect gives what its record gives. The limit
 * of terms bounds the recursion. */
static struct spf_text
decider(const struct check *check, const struct bound *record, char *qualifier_r)
{
	for (size_t i = record->first; i < record->first + record->n; i++) {
		const struct bound *bound = &check->bounds[i];
		struct spf_text inner = { NULL, 0 };

		*qualifier_r = '?';
		if (bound->asked && bound->token.kind == SPF_TOKEN_RECORD)
			inner = decider(check, bound, qualifier_r);
		if (bound->token.redirect)
			return inner;
		if (bound->yes || *qualifier_r == '+') {
			*qualifier_r = bound->token.qualifier;
			return bound->token.text;
		}
	}
	*qualifier_r = record->end.data != NULL ? record->end_qualifier : '?';
	return record->end;
}

/* mechanism - the same for the check, as Received-SPF has it (RFC 7208 section 9.1) */
static const char *
mechanism(TALLOC_CTX *ctx, const struct check *check, enum spf_result result)
{
	struct spf_text text;
	char qualifier;

	if (result != SPF_IS_PASS && result != SPF_IS_FAIL && result != SPF_IS_SOFTFAIL &&
	    result != SPF_IS_NEUTRAL)
		return NULL;
	text = decider(check, &check->bounds[0], &qualifier);
	return text.data != NULL ? spf_shown(ctx, text.data, text.len) : "default";
}

/* run - the check of a domain that can be asked for */
static void
spf_run(TALLOC_CTX *ctx, struct check *check, struct spf_fact *fact)
{
	struct bound *root = spf_new_bound(check);
	const char *problem;

	root->token.kind = SPF_TOKEN_RECORD;
	root->domain = check->values.sender_domain;
	root->main = true;
	fact->result = evaluate(check);
	fact->local = check->local;
	fact->stale = check->stale;
	fact->mechanism = mechanism(ctx, check, fact->result);
	problem = check->problem;
	if (fact->result == SPF_IS_FAIL)
		fact->explanation = explanation(ctx, check);
	if (fact->result == SPF_IS_TEMPERROR || fact->result == SPF_IS_PERMERROR)
		fact->problem = mem_strdup(ctx, problem != NULL ? problem : "unknown");
}

/* set_address - read the client's address; an IPv4-mapped one is IPv4 (RFC 7208 section 5) */
static bool
set_address(struct spf_values *values, const char *address)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (address == NULL)
		return false;
	if (inet_pton(AF_INET, address, values->address) == 1)
		return true;
	if (inet_pton(AF_INET6, address, values->address) != 1)
		return false;
	values->ipv6 = memcmp(values->address, mapped, sizeof(mapped)) != 0;
	if (!values->ipv6)
		memmove(values->address, values->address + sizeof(mapped), 4);
	return true;
}

/* ascii_domain - a domain as A-labels without a dot at its end
 * What cannot be turned into A-labels stays as it is and will not be found valid. */
static const char *
ascii_domain(TALLOC_CTX *ctx, const char *domain)
{
	char *copy, *encoded = NULL;
	size_t i, len = strlen(domain);

	for (i = 0; i < len; i++)
		if ((unsigned char)domain[i] >= 0x80)
			break;
	if (i < len && len < 4 * DNS_NAME_MAX && idn2_to_ascii_8z(domain, &encoded,
	    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK) {
		copy = mem_strdup(ctx, encoded);
		idn2_free(encoded);
	} else {
		copy = mem_strdup(ctx, domain);
	}
	len = strlen(copy);
	if (len > 0 && copy[len - 1] == '.')
		copy[len - 1] = '\0';
	return copy;
}

/* domain_checkable - whether a domain is worth a query (RFC 7208 section 4.3)
 * Not: address literals, single labels, impossible names, text that is no A-labels. */
static bool
domain_checkable(const char *domain)
{
	const char *c;

	for (c = domain; *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80)
			return false;
	return domain[0] != '[' && strchr(domain, '.') != NULL &&
	    dns_name_ok(domain, strlen(domain));
}

/* set_sender - split the sender that macros see: l, o and (at first) d
 * A null sender stands for postmaster@HELO, an empty local part for postmaster
 * (RFC 7208 sections 2.4 and 4.3). A source route is not part of the sender
 * (RFC 5321 section 4.1.1.3). */
static void
set_sender(TALLOC_CTX *ctx, struct spf_values *values, const char *sender, const char *helo)
{
	const char *at, *colon;

	if (sender == NULL || sender[0] == '\0') {
		values->local = "postmaster";
		values->sender_domain = values->domain = ascii_domain(ctx, helo);
		return;
	}
	if (sender[0] == '@' && (colon = strchr(sender, ':')) != NULL)
		sender = colon + 1;
	at = strrchr(sender, '@');
	if (at == NULL || at == sender)
		values->local = "postmaster";
	else
		values->local = mem_strndup(ctx, sender, (size_t)(at - sender) < VALUE_MAX ?
		    (size_t)(at - sender) : VALUE_MAX);
	values->sender_domain = values->domain = ascii_domain(ctx,
	    at == NULL ? sender : at + 1);
}

void
spf_check(TALLOC_CTX *ctx, const struct spf_service *service, const struct spf_client *client,
    const char *sender, int64_t deadline_ms, struct spf_fact *fact_r,
    struct spf_counts *counts_r)
{
	struct check *check = mem_new(ctx, struct check);
	struct spf_values *values = &check->values;
	const char *helo = client->helo != NULL ? client->helo : "";

	memset(fact_r, 0, sizeof(*fact_r));
	check->service = service;
	check->deadline_ms = deadline_ms;
	check->max_terms = service->limits.terms < SPF_REWRITE_TERMS_MAX ?
	    service->limits.terms : SPF_REWRITE_TERMS_MAX - 1;
	values->time = (uint64_t)time(NULL);
	values->receiver = service->receiver;
	values->validated = "unknown";
	values->helo = mem_strndup(check, helo, VALUE_MAX);
	set_sender(check, values, sender, helo);
	fact_r->domain = mem_strdup(ctx, values->sender_domain);
	fact_r->sender = mem_printf(ctx, "%s@%s", values->local, values->sender_domain);

	/* Without an address there is nothing that could be authorised. */
	if (set_address(values, client->address)) {
		fact_r->result = SPF_IS_NONE;
		if (domain_checkable(values->sender_domain))
			spf_run(ctx, check, fact_r);
	}
	TRACE(check, "result: %s%s%s (%u term%s, %u void lookup%s, %u quer%s)%s%s",
	    fact_r->result == SPF_NOT_CHECKED ? "not checked" : spf_result_word(fact_r->result),
	    fact_r->mechanism != NULL ? " by " : "",
	    fact_r->mechanism != NULL ? fact_r->mechanism : "", check->counts.terms,
	    text_s(check->counts.terms), check->counts.voids, text_s(check->counts.voids),
	    check->counts.queries, check->counts.queries == 1 ? "y" : "ies",
	    fact_r->problem != NULL ? ": " : "", fact_r->problem != NULL ? fact_r->problem : "");
	if (counts_r != NULL)
		*counts_r = check->counts;
	talloc_free(check);
}

void
spf_begin_helo(const struct spf_service *service, const struct spf_client *client)
{
	TALLOC_CTX *ctx;
	const char *domain;

	if (client->helo == NULL || service->dns.prefetch == NULL)
		return;
	ctx = mem_check(talloc_new(NULL));
	domain = ascii_domain(ctx, client->helo);
	if (domain_checkable(domain) && spf_override_for(service, domain) == NULL)
		service->dns.prefetch(service->dns.state, domain, strlen(domain), DNS_TXT);
	talloc_free(ctx);
}

void
spf_check_helo(TALLOC_CTX *ctx, const struct spf_service *service,
    const struct spf_client *client, int64_t deadline_ms, struct spf_fact *fact_r)
{
	spf_check(ctx, service, client, NULL, deadline_ms, fact_r, NULL);
}

void
spf_check_mailfrom(TALLOC_CTX *ctx, const struct spf_service *service,
    const struct spf_client *client, const char *sender, int64_t deadline_ms,
    struct spf_fact *fact_r)
{
	spf_check(ctx, service, client, sender, deadline_ms, fact_r, NULL);
}

/* ask_resolver, prefetch_resolver - struct spf_dns over the real resolver */
static struct dns_answer *
ask_resolver(void *state, TALLOC_CTX *ctx, const char *name, size_t name_len,
    enum dns_type type, int64_t deadline_ms)
{
	return resolver_ask(state, ctx, name, name_len, type, deadline_ms);
}

static void
prefetch_resolver(void *state, const char *name, size_t name_len, enum dns_type type)
{
	resolver_prefetch(state, name, name_len, type);
}

void
spf_service_init(struct spf_service *service, struct resolver *resolver, const char *receiver)
{
	memset(service, 0, sizeof(*service));
	service->dns.ask = ask_resolver;
	service->dns.prefetch = prefetch_resolver;
	service->dns.state = resolver;
	service->limits.terms = SPF_LIMIT_TERMS;
	service->limits.voids = SPF_LIMIT_VOIDS;
	service->limits.queries = SPF_LIMIT_QUERIES;
	service->limits.bytes = SPF_LIMIT_BYTES;
	service->limits.prefetch = SPF_LIMIT_PREFETCH;
	service->receiver = receiver;
	service->explain = true;
}
