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
 *  - It never asks DNS. Its questions about tokens come to lookup() below,
 *    which knows what each stands for, counts terms and void answers, expands
 *    the macros, asks the real question, and answers in its terms.
 *  - Its explanations and comments are not used. The domain's explanation is
 *    fetched and expanded here, once, after the result is known.
 *
 * A limit that is passed inside a callback cannot be told to libspf2 as a
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

#include "filter/base/clock.h"
#include "filter/spf/check.h"
#include "filter/spf/spf.h"
#include "filter/spf/trace.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"
#include "policy/spf/macro.h"
#include "policy/spf/record.h"
#include "policy/spf/rewrite.h"
#include "policy/verdict/reply.h"

/* What libspf2 takes for its own limits: never reached, ours come first. */
#define NEVER		1000

/* Octets of local part and HELO that macros see. SMTP allows 64 and 255 (RFC
 * 5321 section 4.5.3.1); variable return paths are longer in practice. */
#define VALUE_MAX	512

/* force - fix the result; the first one stands */
static void
force(struct check *check, enum spf_result result, const char *problem)
{
	if (check->forced != SPF_NOT_CHECKED)
		return;
	check->forced = result;
	check->problem = problem;
}

/* address_type - the record type that holds addresses of the client's family */
static enum dns_type
address_type(const struct check *check)
{
	return check->values.ipv6 ? DNS_AAAA : DNS_A;
}

/* made_answer - an answer that no server gave */
static struct dns_answer *
made_answer(struct check *check, enum dns_status status, const char *problem)
{
	struct dns_answer *answer = mem_new(check, struct dns_answer);

	answer->status = status;
	answer->problem = problem;
	return answer;
}

/* ask_until - one question, within the budget of the check
 * A name that cannot be asked for does not exist (RFC 7208 section 4.3), and is no void
 * lookup, because it is no lookup. Returns an answer that belongs to check. */
static struct dns_answer *
ask_until(struct check *check, const char *name, size_t len, enum dns_type type,
    int64_t deadline_ms)
{
	struct dns_answer *answer;
	size_t i;

	if (!dns_name_ok(name, len))
		return made_answer(check, DNS_NXDOMAIN, NULL);
	if (check->counts.queries >= check->service->limits.queries) {
		force(check, SPF_IS_TEMPERROR, "too many DNS queries");
		return made_answer(check, DNS_FAILURE, check->problem);
	}
	check->counts.queries++;
	answer = check->service->dns.ask(check->service->dns.state, check, name, len, type,
	    deadline_ms);
	for (i = 0; i < answer->count; i++)
		check->counts.bytes += answer->records[i].len;
	check->stale |= answer->stale;
	spf_trace_answer(check, name, len, type, answer);

	if (check->counts.bytes > check->service->limits.bytes) {
		force(check, SPF_IS_TEMPERROR, "too much DNS data");
		return made_answer(check, DNS_FAILURE, check->problem);
	}
	/* One silent server is an error of its own; the end of our time is one of
	 * the whole check, also where RFC 7208 forgives errors (sections 4.6.4, 5.5). */
	if (answer->status == DNS_TIMEOUT && clock_ms() >= check->deadline_ms)
		force(check, SPF_IS_TEMPERROR, "time limit");
	return answer;
}

/* ask - one question that may take all the time that is left */
static struct dns_answer *
spf_ask(struct check *check, const char *name, size_t len, enum dns_type type)
{
	return ask_until(check, name, len, type, check->deadline_ms);
}

/* half_time - the middle between now and the deadline
 * Questions whose failure is forgiven get no more than that, so that a dead
 * reverse zone cannot use up the time of what decides. */
static int64_t
half_time(const struct check *check)
{
	int64_t now = clock_ms();

	return now < check->deadline_ms ? now + (check->deadline_ms - now) / 2 : now;
}

/* ask_ahead - start a question that will probably be asked */
static void
spf_ask_ahead(struct check *check, const char *name, size_t len, enum dns_type type)
{
	const struct spf_dns *dns = &check->service->dns;

	if (dns->prefetch == NULL || !dns_name_ok(name, len) ||
	    check->prefetched >= check->service->limits.prefetch)
		return;
	check->prefetched++;
	dns->prefetch(dns->state, name, len, type);
}

/* count_term - count a term that asks DNS (RFC 7208 section 4.6.4); false past the limit */
static bool
count_term(struct check *check)
{
	if (check->counts.terms >= check->max_terms) {
		force(check, SPF_IS_PERMERROR, "too many terms that ask DNS");
		return false;
	}
	check->counts.terms++;
	return true;
}

/* count_void - count an answer without records; false past the limit */
static bool
count_void(struct check *check, bool is_void)
{
	if (!is_void)
		return true;
	if (check->counts.voids >= check->service->limits.voids) {
		force(check, SPF_IS_PERMERROR, "too many DNS answers without records");
		return false;
	}
	check->counts.voids++;
	return true;
}

/* answer_is_void - whether a question was asked and answered without records
 * A name that exists, only without an address of the kind that this client has, is no sign of a
 * record that makes others ask in vain; it counts where the letter of RFC 7208 is wanted. */
static bool
answer_is_void(const struct check *check, const struct dns_answer *answer, const char *name,
    size_t len, enum dns_type type)
{
	bool address = type == DNS_A || type == DNS_AAAA;

	if (!dns_name_ok(name, len))
		return false;
	return answer->status == DNS_NXDOMAIN || (answer->status == DNS_NODATA &&
	    (!address || check->service->limits.strict_voids));
}

/* has_client - whether one of the addresses agrees with the client's in so many bits */
static bool
has_client(const struct check *check, const struct dns_answer *answer, unsigned int prefix)
{
	size_t i;

	for (i = 0; i < answer->count; i++)
		if (answer->records[i].len == (check->values.ipv6 ? 16 : 4) &&
		    netblock_prefix_equal(answer->records[i].data, check->values.address, prefix))
			return true;
	return false;
}

/* validate_name - keep a name of the client if it has the client's address
 * Errors mean that the name does not count (RFC 7208 section 5.5). */
static void
validate_name(struct check *check, const struct dns_record *record, int64_t deadline_ms)
{
	const char *name = (const char *)record->data;
	struct dns_answer *answer;

	answer = ask_until(check, name, record->len, address_type(check), deadline_ms);
	if (check->service->limits.strict_voids && !count_void(check,
	    answer_is_void(check, answer, name, record->len, address_type(check))))
		return;
	if (answer->status == DNS_OK && has_client(check, answer, check->values.ipv6 ? 128 : 32))
		check->names[check->n_names++] = mem_strndup(check, name, record->len);
	talloc_free(answer);
}

/* find_names - find the validated names of the client, once per check */
static void
find_names(struct check *check)
{
	int64_t deadline_ms = half_time(check);
	struct dns_answer *answer;
	size_t i, n;
	char *reverse;

	if (check->names_known)
		return;
	check->names_known = true;
	reverse = spf_reverse_name(check, check->values.address, check->values.ipv6);
	answer = ask_until(check, reverse, strlen(reverse), DNS_PTR, deadline_ms);
	check->names_void = answer_is_void(check, answer, reverse, strlen(reverse), DNS_PTR);
	n = answer->count < SPF_LIMIT_PTR ? answer->count : SPF_LIMIT_PTR;
	for (i = 1; i < n; i++)
		spf_ask_ahead(check, (const char *)answer->records[i].data, answer->records[i].len,
		    address_type(check));
	for (i = 0; i < n && check->forced == SPF_NOT_CHECKED; i++)
		validate_name(check, &answer->records[i], deadline_ms);
	talloc_free(answer);
}

/* validated_name - what %{p} expands to below a domain (RFC 7208 section 7.3)
 * The domain itself, else a name below it, else any. */
static const char *
validated_name(struct check *check, const char *domain)
{
	const char *best = NULL;
	size_t i;

	find_names(check);
	for (i = 0; i < check->n_names; i++) {
		if (!spf_name_within(check->names[i], domain))
			continue;
		if (strlen(check->names[i]) == strlen(domain))
			return check->names[i];
		if (best == NULL)
			best = check->names[i];
	}
	if (best == NULL && check->n_names > 0)
		best = check->names[0];
	return best == NULL ? "unknown" : best;
}

/* prepare_values - set what depends on the domain whose text is expanded */
static void
prepare_values(struct check *check, const char *domain, struct spf_text text)
{
	check->values.domain = domain;
	if (spf_macro_uses(text.data, text.len, 'p'))
		check->values.validated = validated_name(check, domain);
}

/* expand_bound - find the name that a token stands for, once */
static void
expand_bound(struct check *check, struct bound *bound)
{
	if (bound->name != NULL)
		return;
	if (bound->token.spec.data == NULL) {
		bound->name = mem_strdup(check, bound->domain);
		bound->name_len = strlen(bound->name);
		return;
	}
	prepare_values(check, bound->domain, bound->token.spec);
	bound->name = spf_macro_expand_name(check, bound->token.spec.data,
	    bound->token.spec.len, &check->values, &bound->name_len);
}

/* new_bound - a new place in the list of tokens */
static struct bound *
new_bound(struct check *check)
{
	unsigned int room = (unsigned int)talloc_array_length(check->bounds);
	struct bound *bound;

	/* At most 12 records of 11 tokens: the limits bound this. */
	if (check->n_bounds == room)
		check->bounds = mem_grow(check, check->bounds, struct bound,
		    room == 0 ? 32 : room * 2);
	bound = &check->bounds[check->n_bounds++];
	memset(bound, 0, sizeof(*bound));
	return bound;
}

/* bound_of - what a token stands for, or NULL where it is none of ours */
static struct bound *
bound_of(struct check *check, const char *token)
{
	size_t number;

	if (!spf_token_number(token, &number) || number >= check->n_bounds)
		return NULL;
	return &check->bounds[number];
}

/* ask_bound_ahead - start the first question of a token */
static void
ask_bound_ahead(struct check *check, struct bound *bound)
{
	enum dns_type type = DNS_A;
	char *reverse;

	if (bound->token.kind == SPF_TOKEN_PTR) {
		reverse = spf_reverse_name(check, check->values.address, check->values.ipv6);
		spf_ask_ahead(check, reverse, strlen(reverse), DNS_PTR);
		return;
	}
	/* A validated name would need DNS now, for a term that may not be reached. */
	if (spf_macro_uses(bound->token.spec.data, bound->token.spec.len, 'p'))
		return;
	if (bound->token.kind == SPF_TOKEN_RECORD)
		type = DNS_TXT;
	else if (bound->token.kind == SPF_TOKEN_MX)
		type = DNS_MX;
	else if (bound->token.kind != SPF_TOKEN_EXISTS)
		type = address_type(check);
	expand_bound(check, bound);
	spf_ask_ahead(check, bound->name, bound->name_len, type);
}

/* bind_tokens - take over the tokens of a rewritten record, that of a token number */
static void
bind_tokens(struct check *check, const struct spf_rewritten *rewritten, size_t number)
{
	const char *domain = check->bounds[number].name;
	bool main = check->bounds[number].main;
	size_t i, first = check->n_bounds;
	struct bound *bound = &check->bounds[number];

	bound->asked = true;
	bound->first = first;
	bound->n = rewritten->n_tokens;
	bound->end = rewritten->end;
	bound->end_qualifier = rewritten->end_qualifier;

	for (i = 0; i < rewritten->n_tokens; i++) {
		bound = new_bound(check);
		bound->token = rewritten->tokens[i];
		bound->domain = domain;
		bound->main = main && bound->token.redirect;
	}
	/* The first one is asked for in a moment anyway. */
	if (check->service->dns.prefetch == NULL)
		return;
	for (i = first + 1; i < check->n_bounds; i++)
		ask_bound_ahead(check, &check->bounds[i]);
}

/* select_record - find the SPF record among TXT records; NULL after telling why not */
static const struct dns_record *
select_record(struct check *check, const struct dns_answer *answer, bool root)
{
	struct spf_text *texts = mem_array(check, struct spf_text, (unsigned int)answer->count);
	enum spf_selection selection;
	size_t i, index = 0;

	for (i = 0; i < answer->count; i++) {
		texts[i].data = (const char *)answer->records[i].data;
		texts[i].len = answer->records[i].len;
	}
	selection = spf_record_select(texts, answer->count, &index);
	talloc_free(texts);
	if (selection == SPF_SELECT_ONE)
		return &answer->records[index];
	if (selection == SPF_SELECT_SEVERAL)
		force(check, SPF_IS_PERMERROR, "several SPF records");
	else if (root)
		force(check, SPF_IS_NONE, NULL);
	else
		force(
		    check, SPF_IS_PERMERROR, "no SPF record at the target of include or redirect");
	return NULL;
}

/* note_main - remember the explanation of a record reached by redirects only
 * One without exp= makes an earlier one void (RFC 7208 section 6.2). */
static void
note_main(struct check *check, const struct bound *bound, const struct spf_record *record)
{
	if (!bound->main)
		return;
	check->exp = record->exp;
	check->exp_domain = bound->name;
}

/* override_for - the record of this site's own for a domain, or NULL */
static const char *
override_for(const struct spf_service *service, const char *domain)
{
	size_t i;

	for (i = 0; i < service->n_overrides; i++) {
		const struct spf_override *override = &service->overrides[i];

		if (spf_name_within(domain, override->domain) &&
		    override->below == (strlen(domain) > strlen(override->domain)))
			return override->record;
	}
	return NULL;
}

/* record_text - the SPF record of a token's domain; absent where the result is forced */
static struct spf_text
record_text(struct check *check, const struct bound *bound, bool root)
{
	const char *own = root ? override_for(check->service, bound->name) : NULL;
	struct spf_text text = { own, own == NULL ? 0 : strlen(own) };
	const struct dns_record *record;
	struct dns_answer *answer;

	if (own != NULL) {
		check->local = true;
		TRACE(check, "%s: by a record of this site",
		    spf_shown(check, bound->name, bound->name_len));
		return text;
	}
	answer = spf_ask(check, bound->name, bound->name_len, DNS_TXT);
	if (dns_answer_failed(answer)) {
		force(check, SPF_IS_TEMPERROR, mem_printf(check, "TXT of %s: %s",
		    spf_shown(check, bound->name, bound->name_len),
		    answer->problem != NULL ? answer->problem : "no answer"));
		return text;
	}
	record = select_record(check, answer, root);
	if (record != NULL)
		text = (struct spf_text){ (const char *)record->data, record->len };
	return text;
}

/* fetch_record - the record of a domain, rewritten; NULL where the result is forced */
static const struct spf_rewritten *
fetch_record(struct check *check, size_t number)
{
	const struct spf_rewritten *rewritten;
	const struct spf_record *parsed;
	struct bound bound;
	struct spf_text text;

	if (number > 0 && !count_term(check))
		return NULL;
	expand_bound(check, &check->bounds[number]);
	bound = check->bounds[number];	/* the list may move below */
	if (number > 0)
		spf_trace_term(check, &bound);
	text = record_text(check, &bound, number == 0);
	if (text.data == NULL)
		return NULL;
	parsed = spf_record_parse(check, text.data, text.len, &check->problem);
	spf_trace_record(check, &bound, text, parsed);
	if (parsed == NULL) {
		force(check, SPF_IS_PERMERROR, check->problem);
		return NULL;
	}
	note_main(check, &bound, parsed);
	rewritten = spf_rewrite(check, parsed, check->values.address, check->values.ipv6,
	    check->n_bounds, check->max_terms - check->counts.terms + 1);
	bind_tokens(check, rewritten, number);
	return rewritten;
}

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
	rewritten = fetch_record(check, number);
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

/* fail_term - end the check because DNS failed */
static void
fail_term(struct check *check, const char *name, size_t len, enum dns_type type,
    const struct dns_answer *answer)
{
	force(check, SPF_IS_TEMPERROR, mem_printf(check, "%s of %s: %s", dns_type_name(type),
	    spf_shown(check, name, len),
	    answer->problem != NULL ? answer->problem : "no answer"));
}

/* term_answer - ask the own question of a term; NULL where it ends the check */
static struct dns_answer *
term_answer(struct check *check, struct bound *bound, enum dns_type type)
{
	struct dns_answer *answer;

	expand_bound(check, bound);
	answer = spf_ask(check, bound->name, bound->name_len, type);
	if (dns_answer_failed(answer)) {
		fail_term(check, bound->name, bound->name_len, type, answer);
		return NULL;
	}
	return count_void(check, answer_is_void(check, answer, bound->name, bound->name_len, type))
	    ? answer : NULL;
}

/* mx_hosts - the hosts of an mx, at most SPF_LIMIT_MX of them; NULL as above */
static struct dns_answer *
mx_hosts(struct check *check, struct bound *bound)
{
	struct dns_answer *answer = term_answer(check, bound, DNS_MX);
	size_t i;

	if (answer == NULL)
		return NULL;
	if (answer->count > SPF_LIMIT_MX) {
		force(check, SPF_IS_PERMERROR, mem_printf(check, "more than %d hosts in an mx",
		    SPF_LIMIT_MX));
		return NULL;
	}
	for (i = 1; i < answer->count; i++)
		spf_ask_ahead(check, (const char *)answer->records[i].data, answer->records[i].len,
		    address_type(check));
	return answer;
}

/* mx_matches - whether the client is a host of an mx: 1, 0, -1 where the check ends
 * A host that DNS fails for decides nothing before the others were asked: which of them comes
 * first must not matter. A null MX (RFC 7505) names the root, which is no host. */
static int
mx_matches(struct check *check, struct bound *bound)
{
	struct dns_answer *hosts = mx_hosts(check, bound), *answer, *failed = NULL;
	const struct dns_record *host, *failed_host = NULL;
	enum dns_type type = address_type(check);

	for (size_t i = 0; hosts != NULL && i < hosts->count; i++) {
		host = &hosts->records[i];
		answer = ask_until(
		    check, (const char *)host->data, host->len, type, half_time(check));
		if (check->forced != SPF_NOT_CHECKED)
			return -1;
		if (has_client(check, answer, bound->token.prefix))
			return 1;
		if (dns_answer_failed(answer) && failed == NULL) {
			failed = answer;
			failed_host = host;
		}
		if (check->service->limits.strict_voids && !count_void(check,
		    answer_is_void(check, answer, (const char *)host->data, host->len, type)))
			return -1;
	}
	if (failed != NULL)
		fail_term(check, (const char *)failed_host->data, failed_host->len, type, failed);
	return hosts == NULL || failed != NULL ? -1 : 0;
}

/* ptr_matches - whether a validated name of the client lies in a domain: 1, 0, -1 as above
 * Where DNS fails the mechanism does not match (RFC 7208 section 5.5). */
static int
ptr_matches(struct check *check, struct bound *bound)
{
	size_t i;

	expand_bound(check, bound);
	find_names(check);
	if (!count_void(check, check->names_void))
		return -1;
	for (i = 0; i < check->n_names; i++)
		if (spf_name_within(check->names[i], bound->name))
			return 1;
	return 0;
}

/* spf_matches - whether a token matches: 1, 0, -1 where the check ends
 * bound is the caller's copy: the list of tokens may move. */
static int
spf_matches(struct check *check, struct bound *bound)
{
	struct dns_answer *answer;

	switch (bound->token.kind) {
	case SPF_TOKEN_A:
		answer = term_answer(check, bound, address_type(check));
		return answer == NULL ? -1 : has_client(check, answer, bound->token.prefix);
	case SPF_TOKEN_MX:
		return mx_matches(check, bound);
	case SPF_TOKEN_EXISTS:
		answer = term_answer(check, bound, DNS_A);
		return answer == NULL ? -1 : answer->count > 0;
	case SPF_TOKEN_PTR:
		return ptr_matches(check, bound);
	case SPF_TOKEN_RECORD:
		break;
	}
	return -1;
}

/* lookup - libspf2 asks about a token (callback); must not return NULL */
static SPF_dns_rr_t *
lookup(SPF_dns_server_t *layer, const char *domain, ns_type type, int should_cache)
{
	struct check *check = layer->hook;
	struct bound *found = bound_of(check, domain), bound;
	int yes = -1;

	(void)should_cache;
	if (found != NULL && check->forced == SPF_NOT_CHECKED && count_term(check)) {
		found->asked = true;
		bound = *found;
		spf_trace_term(check, &bound);
		yes = spf_matches(check, &bound);
	}
	if (yes >= 0 && check->forced == SPF_NOT_CHECKED) {
		bound_of(check, domain)->yes = yes > 0;
		TRACE(check, "    %s", yes > 0 ? "match" : "no match");
		return reply_yes_or_no(layer, domain, type, yes > 0);
	}
	force(check, SPF_IS_TEMPERROR, "internal: unknown token");
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
	prepare_values(check, check->exp_domain, check->exp);
	name = spf_macro_expand_name(check, check->exp.data, check->exp.len, &check->values,
	    &len);
	answer = ask_until(check, name, len, DNS_TXT, half_time(check));
	if (answer->status != DNS_OK || answer->count != 1)
		return NULL;
	record = &answer->records[0];
	text.data = (const char *)record->data;
	text.len = record->len;
	prepare_values(check, check->exp_domain, text);
	line = spf_macro_expand_explanation(ctx, text.data, text.len, &check->values);
	if (line == NULL || line[0] == '\0')
		return NULL;
	TRACE(check, "  explanation: %s", line);
	return line;
}

/* decider - the term that decided a record, absent where none matched; *qualifier_r: its own
 * An include matches where its record passes; a redirect gives what its record gives. The limit
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
	struct bound *root = new_bound(check);
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
	TRACE(check, "result: %s%s%s (%u terms, %u void lookups, %u queries)%s%s",
	    fact_r->result == SPF_NOT_CHECKED ? "not checked" : spf_result_word(fact_r->result),
	    fact_r->mechanism != NULL ? " by " : "",
	    fact_r->mechanism != NULL ? fact_r->mechanism : "", check->counts.terms,
	    check->counts.voids, check->counts.queries,
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
	if (domain_checkable(domain) && override_for(service, domain) == NULL)
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
