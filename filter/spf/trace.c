/*
 * trace.c - an SPF check, reported step by step
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <string.h>

#include "filter/spf/trace.h"
#include "policy/base/netblock.h"
#include "policy/base/text.h"

/* Octets of a name or a text that a trace or a problem shows. */
#define SHOWN_MAX	500

const char *
spf_shown(TALLOC_CTX *ctx, const char *text, size_t len)
{
	size_t i, n = len < SHOWN_MAX ? len : SHOWN_MAX;
	char *copy = mem_array(ctx, char, SHOWN_MAX + 4);

	for (i = 0; i < n; i++)
		copy[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	strcpy(copy + n, n < len ? "..." : "");
	return copy;
}

void
spf_trace_answer(struct check *check, const char *name, size_t len, enum dns_type type,
    const struct dns_answer *answer)
{
	static const char *const words[] = {
		[DNS_OK] = "found", [DNS_NODATA] = "no such record",
		[DNS_NXDOMAIN] = "no such name", [DNS_TIMEOUT] = "no answer in time",
		[DNS_FAILURE] = "failure",
	};

	TRACE(check, "  query %u: %s %s: %s, %zu record%s%s%s%s%s", check->counts.queries,
	    spf_shown(check, name, len), dns_type_name(type), words[answer->status], answer->count,
	    text_s(answer->count), answer->secure ? ", validated" : "",
	    answer->stale ? ", as DNS had it before it failed" : "",
	    answer->problem != NULL ? ": " : "", answer->problem != NULL ? answer->problem : "");
}

void
spf_trace_term(struct check *check, const struct bound *bound)
{
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
		return "queries DNS";
	if (ipv6 != check->values.ipv6)
		return "no match: other family";
	return netblock_prefix_equal(term->network, check->values.address,
	    ipv6 ? term->prefix6 : term->prefix4) ? "match" : "no match";
}

void
spf_trace_record(struct check *check, const struct bound *bound, struct spf_text text,
    const struct spf_record *record)
{
	size_t i;

	if (check->service->trace == NULL)
		return;
	TRACE(check, "%s: %s", spf_shown(check, bound->name, bound->name_len),
	    spf_shown(check, text.data, text.len));
	for (i = 0; record != NULL && i < record->n_terms; i++)
		TRACE(check, "    %s: %s",
		    spf_shown(check, record->terms[i].text.data, record->terms[i].text.len),
		    term_word(check, &record->terms[i]));
	if (record != NULL && record->redirect.data != NULL)
		TRACE(check, "    redirect=%s: if nothing above matches",
		    spf_shown(check, record->redirect.data, record->redirect.len));
}
