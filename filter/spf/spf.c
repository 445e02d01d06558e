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
#include "filter/spf/spf.h"
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

/* Octets of a name or a text that a trace or a problem shows. */
#define SHOWN_MAX	500

/* A token of a rewritten record, or the host of an mx, while the check runs. */
struct bound {
	struct spf_token token;
	const char *domain;	/* current domain where the term stands */
	bool main;		/* its record was reached by redirects only */
	char *name;		/* expanded; NULL until it is asked for */
	size_t name_len;
};

/* One check. */
struct check {
	const struct spf_service *service;
	int64_t deadline_ms;
	unsigned int max_terms;
	struct spf_values values; /* domain changes from term to term */
	struct spf_counts counts;
	unsigned int prefetched;

	struct bound *bounds;	/* by token number; 0 is the domain under check */
	size_t n_bounds;

	enum spf_result forced;	/* SPF_NOT_CHECKED while libspf2 is to decide */
	const char *problem;	/* why, for temperror and permerror */
	bool local;		/* the record of the domain under check is this site's own */

	struct spf_text exp;	/* exp= of the record that decides */
	const char *exp_domain;	/* and the domain it stands in */

	bool names_known;	/* names below were found out */
	bool names_void;	/* the client has no PTR record */
	const char *names[SPF_LIMIT_PTR]; /* validated names of the client */
	size_t n_names;
};

/* spf_shown - strangers' text as printable ASCII of bounded length */
static const char *
spf_shown(TALLOC_CTX *ctx, const char *text, size_t len)
{
	size_t i, n = len < SHOWN_MAX ? len : SHOWN_MAX;
	char *copy = mem_array(ctx, char, SHOWN_MAX + 4);

	for (i = 0; i < n; i++)
		copy[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	strcpy(copy + n, n < len ? "..." : "");
	return copy;
}

/* TRACE - tell the service's listener, where there is one, of a step
 * A macro, so that nothing is formatted where nobody listens. */
#define TRACE(check, ...) do {							\
	if ((check)->service->trace != NULL) {					\
		char *trace_line = mem_printf((check), __VA_ARGS__);		\
		(check)->service->trace((check)->service->trace_state, trace_line); \
		talloc_free(trace_line);					\
	}									\
} while (0)

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

/* address_len - octets of such an address */
static size_t
address_len(const struct check *check)
{
	return check->values.ipv6 ? 16 : 4;
}

/* is_failure - whether an answer says that DNS did not work */
static bool
is_failure(const struct dns_answer *answer)
{
	return answer->status == DNS_TIMEOUT || answer->status == DNS_FAILURE;
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

/* trace_answer - tell of a question and its answer */
static void
trace_answer(struct check *check, const char *name, size_t len, enum dns_type type,
    const struct dns_answer *answer)
{
	static const char *const words[] = {
		[DNS_OK] = "found", [DNS_NODATA] = "no such record",
		[DNS_NXDOMAIN] = "no such name", [DNS_TIMEOUT] = "no answer in time",
		[DNS_FAILURE] = "failure",
	};

	TRACE(check, "  query %u: %s %s: %s, %zu record%s%s%s%s", check->counts.queries,
	    spf_shown(check, name, len), dns_type_name(type), words[answer->status], answer->count,
	    answer->count == 1 ? "" : "s", answer->secure ? ", validated" : "",
	    answer->problem != NULL ? ": " : "", answer->problem != NULL ? answer->problem : "");
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
	trace_answer(check, name, len, type, answer);

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

/* spf_ask - one question that may take all the time that is left */
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

/* spf_ask_ahead - start a question that will probably be asked */
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

/* answer_is_void - whether a question was asked and answered without records */
static bool
answer_is_void(const struct dns_answer *answer, const char *name, size_t len)
{
	return (answer->status == DNS_NODATA || answer->status == DNS_NXDOMAIN) &&
	    dns_name_ok(name, len);
}

/* has_client - whether the client's address is among the records */
static bool
has_client(const struct check *check, const struct dns_answer *answer)
{
	size_t i;

	for (i = 0; i < answer->count; i++)
		if (answer->records[i].len == address_len(check) &&
		    memcmp(answer->records[i].data, check->values.address,
		    address_len(check)) == 0)
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
	if (check->service->limits.strict_voids &&
	    !count_void(check, answer_is_void(answer, name, record->len)))
		return;
	if (answer->status == DNS_OK && has_client(check, answer))
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
	check->names_void = answer_is_void(answer, reverse, strlen(reverse));
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

	/* At most 12 records of 11 tokens and 10 mx of 10 hosts: the limits bound this. */
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
	else if (bound->token.kind == SPF_TOKEN_MX || bound->token.kind == SPF_TOKEN_MX_ANY)
		type = DNS_MX;
	else if (bound->token.kind != SPF_TOKEN_EXISTS)
		type = address_type(check);
	expand_bound(check, bound);
	spf_ask_ahead(check, bound->name, bound->name_len, type);
}

/* bind_tokens - take over the tokens of a rewritten record */
static void
bind_tokens(struct check *check, const struct spf_rewritten *rewritten, const char *domain,
    bool main)
{
	size_t i, first = check->n_bounds;
	struct bound *bound;

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

/* trace_term - tell which term comes */
static void
trace_term(struct check *check, const struct bound *bound)
{
	if (bound->token.kind != SPF_TOKEN_HOST)
		TRACE(check, "  term %u of %u: %s", check->counts.terms, check->max_terms,
		    spf_shown(check, bound->token.text.data, bound->token.text.len));
}

/* term_word - what becomes of a term of a record for this client, as far as DNS is not asked */
static const char *
term_word(const struct check *check, const struct spf_term *term)
{
	bool ipv6 = term->mechanism == SPF_MECH_IP6;

	if (term->mechanism == SPF_MECH_ALL)
		return "matches whatever comes here";
	if (term->mechanism != SPF_MECH_IP4 && !ipv6)
		return "asks DNS";
	if (ipv6 != check->values.ipv6)
		return "no match: other family";
	return netblock_prefix_equal(term->network, check->values.address,
	    ipv6 ? term->prefix6 : term->prefix4) ? "match" : "no match";
}

/* trace_record - tell of a record, term by term */
static void
trace_record(struct check *check, const struct bound *bound, struct spf_text text,
    const struct spf_record *record)
{
	size_t i;

	if (check->service->trace == NULL)
		return;
	TRACE(check, "%s: %s", spf_shown(check, bound->name, bound->name_len),
	    spf_shown(check, text.data, text.len));
	for (i = 0; record != NULL && i < record->n_terms; i++)
		TRACE(check, "    %s: %s", spf_shown(check, record->terms[i].text.data,
		    record->terms[i].text.len), term_word(check, &record->terms[i]));
	if (record != NULL && record->redirect.data != NULL)
		TRACE(check, "    redirect=%s: where nothing above matches", spf_shown(check,
		    record->redirect.data, record->redirect.len));
}

/* trace_match - tell whether a term, or the host of an mx, matched */
static void
trace_match(struct check *check, const struct bound *bound, const struct dns_answer *answer)
{
	bool match = false;
	size_t i;

	for (i = 0; i < answer->count && !match; i++)
		match = answer->records[i].len == address_len(check) && netblock_prefix_equal(
		    answer->records[i].data, check->values.address, bound->token.prefix);
	TRACE(check, "    %s", match ? "match" : "no match");
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
	if (is_failure(answer)) {
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
		trace_term(check, &bound);
	text = record_text(check, &bound, number == 0);
	if (text.data == NULL)
		return NULL;
	parsed = spf_record_parse(check, text.data, text.len, &check->problem);
	trace_record(check, &bound, text, parsed);
	if (parsed == NULL) {
		force(check, SPF_IS_PERMERROR, check->problem);
		return NULL;
	}
	note_main(check, &bound, parsed);
	rewritten = spf_rewrite(check, parsed, check->values.address, check->values.ipv6,
	    check->n_bounds, check->max_terms - check->counts.terms + 1);
	bind_tokens(check, rewritten, bound.name, bound.main);
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

/* reply_addresses - the reply to an a, or to the host of an mx */
static SPF_dns_rr_t *
reply_addresses(const struct check *check, SPF_dns_server_t *layer, const char *domain,
    ns_type type, const struct dns_answer *answer)
{
	SPF_dns_rr_t *reply;
	size_t i;

	reply = new_reply(layer, domain, type, answer->count > 0 ? NETDB_SUCCESS : NO_DATA);
	for (i = 0; i < answer->count; i++)
		if (answer->records[i].len == address_len(check))
			reply_octets(reply, answer->records[i].data, address_len(check));
	if (reply->num_rr == 0)
		reply->herrno = NO_DATA;
	return reply;
}

/* term_answer - ask the own question of a term; NULL where it ends the check */
static struct dns_answer *
term_answer(struct check *check, struct bound *bound, enum dns_type type)
{
	struct dns_answer *answer;

	expand_bound(check, bound);
	answer = spf_ask(check, bound->name, bound->name_len, type);
	if (is_failure(answer)) {
		force(check, SPF_IS_TEMPERROR,
		    mem_printf(check, "%s of %s: %s", dns_type_name(type),
			spf_shown(check, bound->name, bound->name_len),
			answer->problem != NULL ? answer->problem : "no answer"));
		return NULL;
	}
	if (bound->token.kind == SPF_TOKEN_HOST && !check->service->limits.strict_voids)
		return answer;
	return count_void(check, answer_is_void(answer, bound->name, bound->name_len)) ?
	    answer : NULL;
}

/* mx_answer - the hosts of an mx, at most SPF_LIMIT_MX of them; NULL as above
 * A null MX (RFC 7505) names the root, which is no host; it is dropped when asked for. */
static struct dns_answer *
mx_answer(struct check *check, struct bound *bound)
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

/* reply_hosts - the reply to an mx: a new token for each host */
static SPF_dns_rr_t *
reply_hosts(struct check *check, SPF_dns_server_t *layer, const char *domain,
    const struct dns_answer *answer, unsigned int prefix)
{
	SPF_dns_rr_t *reply;
	struct bound *host;
	char token[32];
	size_t i;

	reply = new_reply(layer, domain, ns_t_mx, answer->count > 0 ? NETDB_SUCCESS : NO_DATA);
	for (i = 0; i < answer->count; i++) {
		host = new_bound(check);
		host->token.kind = SPF_TOKEN_HOST;
		host->token.prefix = prefix;
		host->name = mem_strndup(check, (const char *)answer->records[i].data,
		    answer->records[i].len);
		host->name_len = answer->records[i].len;
		snprintf(token, sizeof(token), "%zu.t", check->n_bounds - 1);
		reply_octets(reply, token, strlen(token) + 1);
	}
	return reply;
}

/* any_host_has_address - whether any host of an mx has an address: 1, 0, -1 where the check ends */
static int
any_host_has_address(struct check *check, const struct dns_answer *hosts)
{
	struct bound host = { .token = { .kind = SPF_TOKEN_HOST } };
	struct dns_answer *answer;
	size_t i;

	for (i = 0; i < hosts->count; i++) {
		host.name = mem_strndup(check, (const char *)hosts->records[i].data,
		    hosts->records[i].len);
		host.name_len = hosts->records[i].len;
		answer = term_answer(check, &host, address_type(check));
		if (answer == NULL)
			return -1;
		if (answer->count > 0)
			return 1;
	}
	return 0;
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

/* answer_token - reply to a question about a token; NULL where the check ends
 * bound is the caller's copy: the list of tokens may move while mx hosts are added. */
static SPF_dns_rr_t *
answer_token(struct check *check, struct bound *bound, SPF_dns_server_t *layer,
    const char *domain, ns_type type)
{
	struct dns_answer *answer = NULL;
	int yes = -1;

	switch (bound->token.kind) {
	case SPF_TOKEN_A:
	case SPF_TOKEN_HOST:
		answer = term_answer(check, bound, address_type(check));
		if (answer == NULL)
			return NULL;
		trace_match(check, bound, answer);
		return reply_addresses(check, layer, domain, type, answer);
	case SPF_TOKEN_MX:
		answer = mx_answer(check, bound);
		return answer == NULL ? NULL : reply_hosts(check, layer, domain, answer,
		    bound->token.prefix);
	case SPF_TOKEN_A_ANY:
		answer = term_answer(check, bound, address_type(check));
		yes = answer == NULL ? -1 : answer->count > 0;
		break;
	case SPF_TOKEN_EXISTS:
		answer = term_answer(check, bound, DNS_A);
		yes = answer == NULL ? -1 : answer->count > 0;
		break;
	case SPF_TOKEN_MX_ANY:
		answer = mx_answer(check, bound);
		yes = answer == NULL ? -1 : any_host_has_address(check, answer);
		break;
	case SPF_TOKEN_PTR:
		yes = ptr_matches(check, bound);
		break;
	case SPF_TOKEN_RECORD:
		break;
	}
	if (yes < 0)
		return NULL;
	TRACE(check, "    %s", yes > 0 ? "match" : "no match");
	return reply_yes_or_no(layer, domain, type, yes > 0);
}

/* lookup - libspf2 asks about a token (callback); must not return NULL */
static SPF_dns_rr_t *
lookup(SPF_dns_server_t *layer, const char *domain, ns_type type, int should_cache)
{
	struct check *check = layer->hook;
	struct bound *found = bound_of(check, domain), bound;
	SPF_dns_rr_t *reply = NULL;

	(void)should_cache;
	if (found != NULL && check->forced == SPF_NOT_CHECKED &&
	    (found->token.kind == SPF_TOKEN_HOST || count_term(check))) {
		bound = *found;
		trace_term(check, &bound);
		reply = answer_token(check, &bound, layer, domain, type);
	}
	if (reply != NULL && check->forced == SPF_NOT_CHECKED)
		return reply;
	if (reply != NULL)
		SPF_dns_rr_free(reply);
	force(check, SPF_IS_TEMPERROR, "internal: unknown token");
	return new_reply(layer, domain, type, TRY_AGAIN);
}

/* spf_result_of - libspf2's result in our words
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

/* spf_run - the check of a domain that can be asked for */
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
	TRACE(check, "result: %s (%u terms, %u void lookups, %u queries)%s%s",
	    fact_r->result == SPF_NOT_CHECKED ? "not checked" : spf_result_word(fact_r->result),
	    check->counts.terms, check->counts.voids, check->counts.queries,
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
