/*
 * terms.c - the records of a check, and whether their terms match (RFC 7208 section 5)
 *
 * A record is fetched, parsed and rewritten into tokens; each token is bound to the term that it
 * stands for. Nothing here knows libspf2.
 *
 * Threads: a check belongs to one thread.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <string.h>

#include "filter/spf/check.h"
#include "filter/spf/questions.h"
#include "filter/spf/terms.h"
#include "filter/spf/trace.h"
#include "policy/base/mem.h"

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
	spf_prepare_values(check, bound->domain, bound->token.spec);
	bound->name = spf_macro_expand_name(check, bound->token.spec.data,
	    bound->token.spec.len, &check->values, &bound->name_len);
}

/* spf_new_bound - a new place in the list of tokens */
struct bound *
spf_new_bound(struct check *check)
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

/* spf_bound_of - what a token stands for, or NULL if it is none of ours */
struct bound *
spf_bound_of(struct check *check, const char *token)
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
		type = spf_address_type(check);
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
		bound = spf_new_bound(check);
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
		spf_force(check, SPF_IS_PERMERROR, "several SPF records");
	else if (root)
		spf_force(check, SPF_IS_NONE, NULL);
	else
		spf_force(
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

/* spf_override_for - the record of this site's own for a domain, or NULL */
const char *
spf_override_for(const struct spf_service *service, const char *domain)
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

/* record_text - the SPF record of a token's domain; absent if the result is forced */
static struct spf_text
record_text(struct check *check, const struct bound *bound, bool root)
{
	const char *own = root ? spf_override_for(check->service, bound->name) : NULL;
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
		spf_force(check, SPF_IS_TEMPERROR, mem_printf(check, "TXT of %s: %s",
		    spf_shown(check, bound->name, bound->name_len),
		    answer->problem != NULL ? answer->problem : "no answer"));
		return text;
	}
	record = select_record(check, answer, root);
	if (record != NULL)
		text = (struct spf_text){ (const char *)record->data, record->len };
	return text;
}

/* spf_fetch_record - the record of a domain, rewritten; NULL if the result is forced */
const struct spf_rewritten *
spf_fetch_record(struct check *check, size_t number)
{
	const struct spf_rewritten *rewritten;
	const struct spf_record *parsed;
	struct bound bound;
	struct spf_text text;

	if (number > 0 && !spf_count_term(check))
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
		spf_force(check, SPF_IS_PERMERROR, check->problem);
		return NULL;
	}
	note_main(check, &bound, parsed);
	rewritten = spf_rewrite(check, parsed, check->values.address, check->values.ipv6,
	    check->n_bounds, check->max_terms - check->counts.terms + 1);
	bind_tokens(check, rewritten, number);
	return rewritten;
}

/* fail_term - end the check because DNS failed */
static void
fail_term(struct check *check, const char *name, size_t len, enum dns_type type,
    const struct dns_answer *answer)
{
	spf_force(check, SPF_IS_TEMPERROR, mem_printf(check, "%s of %s: %s", dns_type_name(type),
	    spf_shown(check, name, len),
	    answer->problem != NULL ? answer->problem : "no answer"));
}

/* term_answer - ask the own question of a term; NULL if it ends the check */
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
	return spf_count_void(check,
	    spf_answer_is_void(check, answer, bound->name, bound->name_len, type))
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
		spf_force(check, SPF_IS_PERMERROR, mem_printf(check, "more than %d hosts in an mx",
		    SPF_LIMIT_MX));
		return NULL;
	}
	for (i = 1; i < answer->count; i++)
		spf_ask_ahead(check, (const char *)answer->records[i].data, answer->records[i].len,
		    spf_address_type(check));
	return answer;
}

/* mx_matches - whether the client is a host of an mx: 1, 0, -1 if the check ends
 * A host that DNS fails for decides nothing before the others were asked: which of them comes
 * first must not matter. A null MX (RFC 7505) names the root, which is no host. */
static int
mx_matches(struct check *check, struct bound *bound)
{
	struct dns_answer *hosts = mx_hosts(check, bound), *answer, *failed = NULL;
	const struct dns_record *host, *failed_host = NULL;
	enum dns_type type = spf_address_type(check);

	for (size_t i = 0; hosts != NULL && i < hosts->count; i++) {
		host = &hosts->records[i];
		answer = spf_ask_until(
		    check, (const char *)host->data, host->len, type, spf_half_time(check));
		if (check->forced != SPF_NOT_CHECKED)
			return -1;
		if (spf_has_client(check, answer, bound->token.prefix))
			return 1;
		if (dns_answer_failed(answer) && failed == NULL) {
			failed = answer;
			failed_host = host;
		}
		if (check->service->limits.strict_voids && !spf_count_void(check,
		    spf_answer_is_void(check, answer, (const char *)host->data, host->len, type)))
			return -1;
	}
	if (failed != NULL)
		fail_term(check, (const char *)failed_host->data, failed_host->len, type, failed);
	return hosts == NULL || failed != NULL ? -1 : 0;
}

/* ptr_matches - whether a validated name of the client lies in a domain: 1, 0, -1 as above
 * If DNS fails the mechanism does not match (RFC 7208 section 5.5). */
static int
ptr_matches(struct check *check, struct bound *bound)
{
	size_t i;

	expand_bound(check, bound);
	spf_find_names(check);
	if (!spf_count_void(check, check->names_void))
		return -1;
	for (i = 0; i < check->n_names; i++)
		if (spf_name_within(check->names[i], bound->name))
			return 1;
	return 0;
}

/* spf_matches - whether a token matches: 1, 0, -1 if the check ends
 * bound is the caller's copy: the list of tokens may move. */
int
spf_matches(struct check *check, struct bound *bound)
{
	struct dns_answer *answer;

	switch (bound->token.kind) {
	case SPF_TOKEN_A:
		answer = term_answer(check, bound, spf_address_type(check));
		return answer == NULL ? -1 : spf_has_client(check, answer, bound->token.prefix);
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
