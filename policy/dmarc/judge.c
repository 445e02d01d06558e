/*
 * judge.c - from records, SPF and DKIM to the DMARC result of a message
 *
 * Threads: see judge.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/dmarc/judge.h"

/* How one identifier stands to the author domain. */
enum alignment {
	ALIGNED,
	NOT_ALIGNED,
	ALIGNMENT_UNKNOWN	/* a name of a walk is silent */
};

/* policy_record - the answer whose record says the policy, or NULL (section 4.10.1) */
static const struct dmarc_answer *
policy_record(const struct dmarc_walk *walk)
{
	return walk->own != NULL ? walk->own : walk->upper != NULL ? walk->upper : walk->registry;
}

bool
dmarc_needs_existence(const struct dmarc_walk *walk)
{
	const struct dmarc_answer *answer = policy_record(walk);

	return answer != NULL && answer != walk->own && answer->record.usable &&
	    answer->record.np != answer->record.sp;
}

bool
dmarc_needs_walk(const struct dmarc_walk *walk, const char *identifier)
{
	return strcmp(walk->domain, identifier) != 0 &&
	    domain_is_or_below(identifier, walk->highest);
}

/* align - does an identifier belong to the author domain? (section 4.10.2) */
static enum alignment
align(const struct dmarc_walk *walk, const char *identifier, bool strict,
    const struct dmarc_answers *answers)
{
	struct dmarc_walk other;

	if (strcmp(walk->domain, identifier) == 0)
		return ALIGNED;
	if (strict || !domain_is_or_below(identifier, walk->highest))
		return NOT_ALIGNED;
	if (walk->organisation == NULL)
		return ALIGNMENT_UNKNOWN;
	dmarc_walk(identifier, answers, &other);
	if (other.organisation == NULL)
		return ALIGNMENT_UNKNOWN;
	return strcmp(walk->organisation, other.organisation) == 0 ? ALIGNED : NOT_ALIGNED;
}

enum dkim_alignment
dmarc_alignment(const struct dmarc_walk *walk, const char *identifier,
    const struct dmarc_answers *answers)
{
	if (policy_record(walk) == NULL)
		return DKIM_ALIGNMENT_UNKNOWN;
	switch (align(walk, identifier, false, answers)) {
	case ALIGNED:
		return DKIM_ALIGNED;
	case NOT_ALIGNED:
		return DKIM_NOT_ALIGNED;
	case ALIGNMENT_UNKNOWN:
		break;
	}
	return DKIM_ALIGNMENT_UNKNOWN;
}

/* note_pass - an aligned identifier that passed */
static void
note_pass(struct dmarc_fact *fact, const struct dmarc_identifier *identifier)
{
	fact->result = DMARC_IS_PASS;
	if (identifier->selector == NULL) {
		fact->spf_aligned = true;
	} else if (fact->dkim_domain == NULL) {
		fact->dkim_domain = identifier->domain;
		fact->dkim_selector = identifier->selector;
	}
}

/* judge_identifiers - pass, fail, or temperror if one that may still pass could be aligned */
static void
judge_identifiers(TALLOC_CTX *ctx, const struct dmarc_walk *walk, const struct dmarc_record *record,
    const struct dmarc_answers *answers, const struct dmarc_identifier *identifiers, size_t n,
    struct dmarc_fact *fact)
{
	const struct dmarc_identifier *doubtful = NULL;

	fact->result = DMARC_IS_FAIL;
	for (size_t i = 0; i < n; i++) {
		bool spf = identifiers[i].selector == NULL;
		enum alignment alignment = align(walk, identifiers[i].domain,
		    spf ? record->strict_spf : record->strict_dkim, answers);

		if (alignment == ALIGNED && identifiers[i].passed)
			note_pass(fact, &identifiers[i]);
		else if (alignment != NOT_ALIGNED)
			doubtful = &identifiers[i];
	}
	if (fact->result == DMARC_IS_PASS || doubtful == NULL)
		return;
	fact->result = DMARC_IS_TEMPERROR;
	fact->problem = doubtful->passed ?
	    mem_printf(ctx, "whether %s is aligned cannot be determined now: no answer about %s",
		doubtful->domain, walk->silent != NULL ? walk->silent : doubtful->domain) :
	    mem_printf(ctx, "%s of %s cannot be checked now",
		doubtful->selector == NULL ? "SPF" : "the DKIM signature", doubtful->domain);
}

/* choose_policy - the tag that applies, and the policy after t (section 4.7) */
static void
choose_policy(const struct dmarc_record *record, bool own, enum dmarc_existence existence,
    struct dmarc_fact *fact)
{
	fact->tag = own ? "p" : record->has_sp ? "sp" : "p";
	fact->policy = own ? record->p : record->sp;
	if (!own && record->has_np && !record->broken &&
	    (existence == DMARC_ABSENT ||
		(existence == DMARC_EXISTENCE_UNKNOWN && record->np < record->sp))) {
		fact->tag = "np";
		fact->policy = record->np;
	}
	if (record->testing && fact->policy != DMARC_POLICY_NONE) {
		fact->testing = true;
		fact->policy--;
	}
}

/* judge_without - no record that may be used: why */
static void
judge_without(TALLOC_CTX *ctx, const struct dmarc_walk *walk, const struct dmarc_answer *answer,
    struct dmarc_fact *fact)
{
	if (answer != NULL) {
		fact->result =
		    answer == walk->registry ? DMARC_IS_NONE : DMARC_IS_PERMERROR;
		fact->problem = mem_printf(
		    ctx, "the record of %s has no valid policy", answer->name);
	} else if (walk->silent != NULL) {
		fact->result = DMARC_IS_TEMPERROR;
		fact->problem = mem_printf(ctx, "no answer about %s", walk->silent);
	} else {
		fact->result = DMARC_IS_NONE;
		fact->problem = "there is no record";
	}
}

void
dmarc_judge(TALLOC_CTX *ctx, const struct dmarc_walk *walk, const struct dmarc_answers *answers,
    const struct dmarc_identifier *identifiers, size_t n, enum dmarc_existence existence,
    struct dmarc_fact *fact_r)
{
	const struct dmarc_answer *answer = policy_record(walk);

	*fact_r = (struct dmarc_fact){ .domain = walk->domain, .domains = 1,
		.organisation = walk->organisation };
	if (answer == NULL || !answer->record.usable) {
		judge_without(ctx, walk, answer, fact_r);
		return;
	}
	fact_r->policy_domain = answer->name;
	fact_r->record = answer->record.text;
	fact_r->wants_reports = dmarc_record_has_address(&answer->record);
	choose_policy(&answer->record, answer == walk->own, existence, fact_r);
	judge_identifiers(ctx, walk, &answer->record, answers, identifiers, n, fact_r);
}

/* judge_rank - which of two results counts for the message; the higher one */
static int
judge_rank(const struct dmarc_fact *fact)
{
	switch (fact->result) {
	case DMARC_IS_FAIL:
		return 10 + (int)fact->policy;
	case DMARC_IS_TEMPERROR:
		return 5;
	case DMARC_IS_PERMERROR:
		return 4;
	case DMARC_IS_NONE:
		return 3;
	case DMARC_IS_PASS:
		return 2;
	case DMARC_NOT_CHECKED:
		break;
	}
	return 0;
}

void
dmarc_merge(struct dmarc_fact *fact, const struct dmarc_fact *other)
{
	size_t domains = fact->domains + other->domains;

	if (judge_rank(other) > judge_rank(fact))
		*fact = *other;
	fact->domains = domains;
}

void
dmarc_settle(struct dmarc_fact *fact, const char *problem, bool no_from, bool too_many)
{
	if (too_many) {
		fact->result = DMARC_IS_FAIL;
		fact->policy = DMARC_POLICY_REJECT;
		fact->problem = "From names more domains than are evaluated";
		return;
	}
	if (problem == NULL || fact->result == DMARC_IS_FAIL || fact->result == DMARC_IS_TEMPERROR)
		return;
	fact->result = no_from ? DMARC_IS_NONE : DMARC_IS_PERMERROR;
	fact->problem = problem;
}
