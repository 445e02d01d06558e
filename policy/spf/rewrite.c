/*
 * rewrite.c - SPF records as libspf2 gets to see them
 *
 * libspf2 1.2.10 must never parse a stranger's record: its macro code overruns
 * the stack, it drops mechanisms beyond 511 compiled octets, takes /0 for "no
 * length", and obeys redirect= where it stands. So it gets this instead:
 *
 *	ip4, ip6	decided here: nothing, or "<qualifier>all" and the end
 *	a, mx, ptr	exists:N.t; addresses and names are found out and compared by us
 *	exists, include	the same with a token
 *	all		as it is, and the end
 *	redirect=	redirect=N.t, last, and only if no "all" was met
 *	exp=, others	nothing
 *
 * where N.t is a token whose meaning the DNS layer of filter/spf/spf.c knows. What
 * "all" hides and what lies after the last term that the limit of DNS terms
 * allows is left out, so the text is short however long the record is.
 *
 * Threads: no state; everything belongs to the caller.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdio.h>
#include <string.h>

#include "policy/base/mem.h"
#include "policy/base/netblock.h"
#include "policy/spf/rewrite.h"

/* Longest number of a token that is read back. */
#define DIGITS_MAX	6

/* Octets of the longest term written here, " redirect=123456.t", and to spare. */
#define TERM_MAX	32

/* A record on its way through rewriting. */
struct work {
	struct spf_rewritten *out;
	const unsigned char *address;
	bool ipv6;
	size_t first_token;
	size_t max_terms;
	size_t len;		/* octets of out->text so far */
	bool ended;		/* nothing after this can be reached */
};

/* put - append a term to the text */
static void
spf_rewrite_put(struct work *work, const char *term)
{
	size_t n = strlen(term);

	memcpy(work->out->text + work->len, term, n + 1);
	work->len += n;
}

/* put_all - append an "all" for a term that matches; whatever follows is unreachable */
static void
put_all(struct work *work, const struct spf_term *from)
{
	char term[TERM_MAX];

	snprintf(term, sizeof(term), " %call", from->qualifier);
	spf_rewrite_put(work, term);
	work->out->end = from->text;
	work->out->end_qualifier = from->qualifier;
	work->ended = true;
}

/* new_token - make a token; returns its number */
static size_t
new_token(struct work *work, const struct spf_token *token)
{
	work->out->tokens[work->out->n_tokens] = *token;
	if (++work->out->n_tokens >= work->max_terms)
		work->ended = true;
	return work->first_token + work->out->n_tokens - 1;
}

/* put_token - append a term with a token */
static void
put_token(struct work *work, const struct spf_term *from, const char *mechanism,
    enum spf_token_kind kind)
{
	const struct spf_token token = { .kind = kind, .qualifier = from->qualifier,
		.prefix = work->ipv6 ? from->prefix6 : from->prefix4, .spec = from->spec,
		.text = from->text };
	char term[TERM_MAX];

	snprintf(term, sizeof(term), " %c%s:%zu.t", from->qualifier, mechanism,
	    new_token(work, &token));
	spf_rewrite_put(work, term);
}

/* rewrite_network - decide an ip4 or ip6 (RFC 7208 section 5.6) */
static void
rewrite_network(struct work *work, const struct spf_term *term)
{
	bool ipv6 = term->mechanism == SPF_MECH_IP6;

	if (ipv6 == work->ipv6 && netblock_prefix_equal(term->network, work->address,
	    ipv6 ? term->prefix6 : term->prefix4))
		put_all(work, term);
}

/* rewrite_term - rewrite one term */
static void
rewrite_term(struct work *work, const struct spf_term *term)
{
	switch (term->mechanism) {
	case SPF_MECH_ALL:
		put_all(work, term);
		break;
	case SPF_MECH_IP4:
	case SPF_MECH_IP6:
		rewrite_network(work, term);
		break;
	case SPF_MECH_A:
		put_token(work, term, "exists", SPF_TOKEN_A);
		break;
	case SPF_MECH_MX:
		put_token(work, term, "exists", SPF_TOKEN_MX);
		break;
	case SPF_MECH_PTR:
		put_token(work, term, "exists", SPF_TOKEN_PTR);
		break;
	case SPF_MECH_EXISTS:
		put_token(work, term, "exists", SPF_TOKEN_EXISTS);
		break;
	case SPF_MECH_INCLUDE:
		put_token(work, term, "include", SPF_TOKEN_RECORD);
		break;
	}
}

/* rewrite_redirect - the redirect= of a record, after all its mechanisms */
static void
rewrite_redirect(struct work *work, struct spf_text target)
{
	const struct spf_token token = { .kind = SPF_TOKEN_RECORD, .redirect = true,
		.qualifier = '+', .spec = target, .text = target };
	char term[TERM_MAX];

	snprintf(term, sizeof(term), " redirect=%zu.t", new_token(work, &token));
	spf_rewrite_put(work, term);
}

struct spf_rewritten *
spf_rewrite(TALLOC_CTX *ctx, const struct spf_record *record, const unsigned char *address,
    bool ipv6, size_t first_token, size_t max_terms)
{
	struct spf_rewritten *out = mem_new(ctx, struct spf_rewritten);
	struct work work = { .out = out, .address = address, .ipv6 = ipv6,
	    .first_token = first_token, .max_terms = max_terms };
	size_t i;

	if (work.max_terms > SPF_REWRITE_TERMS_MAX)
		work.max_terms = SPF_REWRITE_TERMS_MAX;

	/* Room for the version, as many terms as there are tokens, and one "all". */
	out->tokens = mem_array(out, struct spf_token, SPF_REWRITE_TERMS_MAX + 1);
	out->text = mem_array(out, char, TERM_MAX * (SPF_REWRITE_TERMS_MAX + 3));
	spf_rewrite_put(&work, "v=spf1");
	for (i = 0; i < record->n_terms && !work.ended; i++)
		rewrite_term(&work, &record->terms[i]);
	if (!work.ended && record->redirect.data != NULL)
		rewrite_redirect(&work, record->redirect);
	return out;
}

bool
spf_token_number(const char *name, size_t *number_r)
{
	size_t number = 0, i;

	for (i = 0; name[i] >= '0' && name[i] <= '9'; i++) {
		if (i == DIGITS_MAX)
			return false;
		number = number * 10 + (size_t)(name[i] - '0');
	}
	*number_r = number;
	return i > 0 && strcmp(name + i, ".t") == 0;
}
