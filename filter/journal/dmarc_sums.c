/*
 * dmarc_sums.c - what an aggregate report says of a message
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "filter/journal/dmarc_sums.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/verdict/reply.h"

#define TEXT_MAX	255	/* octets kept of a stranger's text */

/* dmarc_sums_text - a stranger's text as JSON: printable, and not too long */
static json_t *
dmarc_sums_text(const char *text)
{
	char copy[TEXT_MAX + 1];
	size_t n = 0;

	for (; text != NULL && n < TEXT_MAX && text[n] != '\0'; n++)
		copy[n] = text[n] > ' ' && text[n] <= '~' ? text[n] : '?';
	copy[n] = '\0';
	return json_string(copy);
}

/* disposition_of - what was done to the message because of DMARC, a word of RFC 9990 */
static const char *
disposition_of(const struct dmarc_fact *dmarc, const struct verdict *verdict)
{
	if (dmarc->result == DMARC_IS_PASS)
		return dmarc->policy == DMARC_POLICY_NONE ? "none" : "pass";
	switch (verdict->action) {
	case ACTION_REJECT:
		return "reject";
	case ACTION_QUARANTINE:
		return "quarantine";
	case ACTION_WARN:
		/* marked for the delivery agent to file */
		return verdict->reason == REASON_DMARC_QUARANTINE ? "quarantine" : "none";
	case ACTION_ACCEPT:
	case ACTION_TEMPFAIL:
		break;
	}
	return "none";
}

/* dmarc_sums_add_reason - one more */
static void
dmarc_sums_add_reason(json_t *reasons, const char *type, const char *comment)
{
	(void)json_array_append_new(reasons, json_pack("[s, s]", type, comment));
}

/* reasons_of - why a message that fails was not treated as the domain wants it */
static json_t *
reasons_of(const struct dmarc_fact *dmarc, const struct verdict *verdict, const char *disposition)
{
	bool differs = strcmp(disposition, dmarc_policy_word(dmarc->policy)) != 0;
	json_t *reasons = json_array();

	if (dmarc->result != DMARC_IS_FAIL)
		return reasons;
	if (dmarc->testing)
		dmarc_sums_add_reason(reasons, "policy_test_mode", "t=y");
	if (dmarc->exception != NULL)
		dmarc_sums_add_reason(reasons, dmarc->exception,
		    strcmp(dmarc->exception, "local_policy") == 0 ? "an override" : "");
	else if (differs && verdict->would > verdict->action)
		dmarc_sums_add_reason(reasons, "local_policy", "nothing is refused yet (mode watch)");
	else if (differs && verdict->reason != REASON_NONE &&
	    verdict->reason != REASON_DMARC_FAIL && verdict->reason != REASON_DMARC_QUARANTINE)
		dmarc_sums_add_reason(reasons, "local_policy", reply_row(verdict->reason)->word);
	else if (differs)
		dmarc_sums_add_reason(reasons, "local_policy", "");
	return reasons;
}

/* is_aligned_signature - is this the one by which DMARC passed? */
static bool
is_aligned_signature(const struct dmarc_fact *dmarc, const struct dkim_fact *dkim)
{
	return dkim->result == DKIM_IS_PASS && dmarc->dkim_domain != NULL &&
	    strcmp(dmarc->dkim_domain, dkim->sdid) == 0 && dmarc->dkim_selector != NULL &&
	    dkim->selector != NULL && strcmp(dmarc->dkim_selector, dkim->selector) == 0;
}

/* signature_rank - in which order signatures are listed (RFC 9990 section 3.1.3) */
static int
signature_rank(const struct dmarc_fact *dmarc, const struct dkim_fact *dkim)
{
	return is_aligned_signature(dmarc, dkim) ? 0 : dkim->result == DKIM_IS_PASS ? 1 : 2;
}

/* dkim_results_of - the signatures, those that matter most first */
static json_t *
dkim_results_of(const struct facts *facts)
{
	json_t *list = json_array();

	for (int rank = 0; rank < 3; rank++)
		for (size_t i = 0; i < facts->n_dkim; i++) {
			const struct dkim_fact *dkim = &facts->dkim[i];

			if (dkim->sdid == NULL || dkim->selector == NULL ||
			    signature_rank(&facts->dmarc, dkim) != rank ||
			    json_array_size(list) == DMARC_SIGNATURES_MAX)
				continue;
			(void)json_array_append_new(list,
			    json_pack("[o, o, s]", dmarc_sums_text(dkim->sdid),
				dmarc_sums_text(dkim->selector),
				dkim_result_word(dkim->result)));
		}
	return list;
}

/* envelope_of - the domain of MAIL FROM as it came, in lower case */
static json_t *
envelope_of(TALLOC_CTX *ctx, const struct facts *facts)
{
	const char *at = facts->sender == NULL ? NULL : strrchr(facts->sender, '@');
	const char *domain =
	    at == NULL ? NULL : domain_normalise(ctx, at + 1, strlen(at + 1), NULL);

	return dmarc_sums_text(domain != NULL ? domain : at != NULL ? at + 1 : "");
}

/* dmarc_sums_spf - what SPF said of MAIL FROM; NULL: it was not checked */
static json_t *
dmarc_sums_spf(const struct facts *facts)
{
	const struct spf_fact *spf = &facts->spf_mailfrom;

	if (spf->result == SPF_NOT_CHECKED || spf->domain == NULL || *spf->domain == '\0')
		return NULL;
	return json_pack("[o, s]", dmarc_sums_text(spf->domain), spf_result_word(spf->result));
}

/* row_of - the text of a row, on ctx */
static char *
row_of(TALLOC_CTX *ctx, const struct facts *facts, const struct verdict *verdict)
{
	const struct dmarc_fact *dmarc = &facts->dmarc;
	const char *disposition = disposition_of(dmarc, verdict);
	json_t *row = json_pack("{s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o*}", "ip",
	    dmarc_sums_text(
		facts->spf_client != NULL ? facts->spf_client : facts->client_addr),
	    "disposition", disposition, "dkim", dmarc->dkim_domain != NULL ? "pass" : "fail",
	    "spf", dmarc->spf_aligned ? "pass" : "fail", "reasons",
	    reasons_of(dmarc, verdict, disposition), "header_from",
	    dmarc_sums_text(dmarc->domain), "envelope_from", envelope_of(ctx, facts),
	    "dkim_results", dkim_results_of(facts), "spf_result", dmarc_sums_spf(facts));
	char *text = mem_check(json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS));
	char *copy = mem_strdup(ctx, text);

	free(text);
	json_decref(row);
	return copy;
}

struct dmarc_sum *
dmarc_sum_of(TALLOC_CTX *ctx, const struct facts *facts, const struct verdict *verdict)
{
	const struct dmarc_fact *dmarc = &facts->dmarc;
	struct dmarc_sum *sum;

	if (!dmarc->counted || dmarc->policy_domain == NULL || dmarc->record == NULL ||
	    (dmarc->result != DMARC_IS_PASS && dmarc->result != DMARC_IS_FAIL) ||
	    verdict->action == ACTION_TEMPFAIL)
		return NULL;
	sum = mem_new(ctx, struct dmarc_sum);
	*sum = (struct dmarc_sum){
		.domain = mem_strdup(sum, dmarc->policy_domain),
		.record = mem_strdup(sum, dmarc->record),
		.row = row_of(sum, facts, verdict),
		.n = 1,
	};
	return sum;
}
