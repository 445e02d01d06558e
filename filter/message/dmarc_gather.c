/*
 * dmarc_gather.c - DMARC of a message from outside
 *
 * Only mail whose SPF client is known is evaluated: role inbound, and neither an exempt client
 * (loopback) nor a host of ours that hands on mail of its own.
 *
 * Thread rule: a message belongs to one thread at a time.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/dkim/verify.h"
#include "filter/dmarc/ask.h"
#include "filter/message/dmarc_gather.h"
#include "filter/message/lookup.h"
#include "filter/message/owners.h"
#include "policy/base/domain.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"
#include "policy/base/text.h"
#include "policy/dmarc/author.h"

#define REPORT_SUBJECT	"Report Domain:"

/* dmarc_gather_settings - the dmarc group that a message is judged by */
static const struct dmarc_config *
dmarc_gather_settings(const struct message *message)
{
	return &message->session->snapshot->config->dmarc;
}

/* dmarc_gather_wanted - is DMARC evaluated for this message? */
static bool
dmarc_gather_wanted(const struct message *message)
{
	const struct facts *facts = &message->facts;

	return facts->role == ROLE_INBOUND && message->listener != NULL &&
	    (facts->spf_client != NULL || facts->spf_mailfrom.result == SPF_IS_TEMPERROR);
}

/* may_align - could two domains be of one organisation? They share more than the top level. */
static bool
may_align(const char *a, const char *b)
{
	const char *top = strrchr(a, '.');

	while (top != NULL && top > a && top[-1] != '.')
		top--;
	return domain_is_or_below(b, top != NULL ? top : a);
}

/* dmarc_gather_prefetch - start the walks from authors and from what may be aligned with them */
static void
dmarc_gather_prefetch(const struct message *message, const struct dmarc_authors *authors)
{
	struct resolver *resolver = message->session->daemon->resolver;
	const struct facts *facts = &message->facts;
	const char *signers[DKIM_SIGNATURES_LIMIT];
	size_t n = dkim_verify_domains(message->verification, signers, DKIM_SIGNATURES_LIMIT);

	for (size_t i = 0; i < authors->n; i++) {
		dmarc_prefetch(resolver, authors->domains[i]);
		if (facts->spf_mailfrom.result == SPF_IS_PASS &&
		    may_align(authors->domains[i], facts->spf_mailfrom.domain))
			dmarc_prefetch(resolver, facts->spf_mailfrom.domain);
		for (size_t j = 0; j < n; j++)
			if (may_align(authors->domains[i], signers[j]))
				dmarc_prefetch(resolver, signers[j]);
	}
}

void
dmarc_gather_header(struct message *message)
{
	if (!dmarc_gather_wanted(message))
		return;
	message->authors = mem_new(message, struct dmarc_authors);
	dmarc_authors_read(message, message->header, message->authors);
	dmarc_gather_prefetch(message, message->authors);
}

/* spf_domain - the domain that SPF verified, or may verify later, in normal form; or NULL */
static const char *
spf_domain(struct message *message)
{
	const struct spf_fact *spf = &message->facts.spf_mailfrom;

	if ((spf->result != SPF_IS_PASS && spf->result != SPF_IS_TEMPERROR) ||
	    spf->domain == NULL || *spf->domain == '\0')
		return NULL;
	return domain_normalise(message, spf->domain, strlen(spf->domain), NULL);
}

/* identifiers_of - what SPF and DKIM verified, or may verify later; returns how many */
static size_t
identifiers_of(struct message *message, struct dmarc_identifier **identifiers_r)
{
	const struct facts *facts = &message->facts;
	struct dmarc_identifier *list =
	    mem_array(message, struct dmarc_identifier, facts->n_dkim + 1);
	const char *domain = spf_domain(message);
	size_t n = 0;

	if (domain != NULL)
		list[n++] = (struct dmarc_identifier){ .domain = domain,
			.passed = facts->spf_mailfrom.result == SPF_IS_PASS };
	for (size_t i = 0; i < facts->n_dkim; i++) {
		const struct dkim_fact *dkim = &facts->dkim[i];

		if ((dkim->result != DKIM_IS_PASS && dkim->result != DKIM_IS_TEMPERROR) ||
		    dkim->sdid == NULL)
			continue;
		list[n++] = (struct dmarc_identifier){ .domain = dkim->sdid,
			.selector = dkim->selector != NULL ? dkim->selector : "",
			.passed = dkim->result == DKIM_IS_PASS };
	}
	*identifiers_r = list;
	return n;
}

/* judge_author - the result for one author domain, and the walk from it */
static void
judge_author(struct message *message, struct dmarc_asking *asking, const char *domain,
    const struct dmarc_identifier *identifiers, size_t n, struct dmarc_walk *walk_r,
    struct dmarc_fact *fact_r)
{
	enum dmarc_existence existence = DMARC_EXISTS;

	dmarc_ask_walk(asking, domain);
	dmarc_walk(domain, &asking->answers, walk_r);
	for (size_t i = 0; i < n; i++)
		if (dmarc_needs_walk(walk_r, identifiers[i].domain))
			dmarc_ask_walk(asking, identifiers[i].domain);
	if (dmarc_needs_existence(walk_r))
		existence = dmarc_ask_existence(asking, domain);
	dmarc_judge(message, walk_r, &asking->answers, identifiers, n, existence, fact_r);
}

/* judge_all - every author domain; what cannot be read in one way never passes. first_r: the walk
 * from the first one, if there is one */
static void
judge_all(struct message *message, struct dmarc_asking *asking,
    const struct dmarc_identifier *identifiers, size_t n, struct dmarc_walk *first_r,
    struct dmarc_fact *fact)
{
	const struct dmarc_authors *authors = message->authors;

	*fact = (struct dmarc_fact){ 0 };
	for (size_t i = 0; i < authors->n; i++) {
		struct dmarc_walk walk;
		struct dmarc_fact one;

		judge_author(message, asking, authors->domains[i], identifiers, n,
		    i == 0 ? first_r : &walk, &one);
		dmarc_merge(fact, &one);
	}
	dmarc_settle(fact, authors->problem, authors->fields == 0, authors->too_many);
}

/* note_alignment - which signatures are of the organisation of the first author (on_dkim_unaligned
 * asks for it); walk: from that author */
static void
note_alignment(struct facts *facts, const struct dmarc_asking *asking,
    const struct dmarc_walk *walk)
{
	for (size_t i = 0; i < facts->n_dkim; i++)
		if (facts->dkim[i].sdid != NULL)
			facts->dkim[i].alignment =
			    dmarc_alignment(walk, facts->dkim[i].sdid, &asking->answers);
}

/* override_of - what the configuration says instead of the domain's policy, or NULL */
static const struct dmarc_override *
override_of(const struct message *message, const char *domain)
{
	const struct dmarc_config *config = dmarc_gather_settings(message);

	for (size_t i = 0; i < config->n_overrides; i++) {
		const struct dmarc_override *override = &config->overrides[i];

		if (override->domain != NULL &&
		    (override->below ? !domain_is_or_below(domain, override->domain) ||
			    domain_equal(domain, override->domain)
				     : !domain_equal(domain, override->domain)))
			continue;
		if (override->n_clients == 0 ||
		    netblock_contains(override->clients, override->n_clients,
			&message->session->connection.ip))
			return override;
	}
	return NULL;
}

/* note_exception - why a policy is not applied here as the domain wants it (RFC 9990) */
static void
note_exception(struct message *message, struct dmarc_fact *fact)
{
	const struct dmarc_config *config = dmarc_gather_settings(message);
	const struct dmarc_override *override;

	if (fact->result != DMARC_IS_FAIL)
		return;
	fact->disposition = fact->policy;
	override = override_of(message, fact->domain);
	if (netblock_contains(
		config->forwarders, config->n_forwarders, &message->session->connection.ip)) {
		fact->exception = "trusted_forwarder";
		fact->disposition = DMARC_POLICY_NONE;
	} else if (override != NULL) {
		fact->exception = "local_policy";
		fact->disposition = (enum dmarc_policy)override->policy;
	}
}

/* is_to_us - does a recipient take what comes back for our reports? */
static bool
is_to_us(const struct message *message, const struct dmarc_report_config *report)
{
	return map_find(message->recipients, report->from) != NULL ||
	    (report->email != NULL && map_find(message->recipients, report->email) != NULL);
}

/* is_report - is the message an aggregate report itself, by its Subject (RFC 9990)? */
static bool
is_report(const struct message *message)
{
	const struct header_field *field = header_find(message->header, "Subject", 0);
	struct span value;

	if (field == NULL)
		return false;
	value = text_trim(text_span_of(field->value, field->value_len));
	return value.len > strlen(REPORT_SUBJECT) &&
	    text_equal_fold(text_span_of(value.at, strlen(REPORT_SUBJECT)),
		text_span(REPORT_SUBJECT));
}

/*
 * note_counted - does a report to the domain say something of this message?
 * Reports about reports, and about what is said of ours, would never end (RFC 9990 section 3.5). A
 * stranger cannot hide behind a Subject: what fails counts.
 */
static void
note_counted(const struct message *message, struct dmarc_fact *fact)
{
	const struct dmarc_report_config *report = &dmarc_gather_settings(message)->report;

	fact->counted = report->from != NULL && fact->wants_reports &&
	    !is_to_us(message, report) && (fact->result != DMARC_IS_PASS || !is_report(message));
}

/* dmarc_is_own - is this domain one of ours? */
static bool
dmarc_is_own(struct message *message, const char *domain)
{
	const struct config *config = message->session->snapshot->config;
	const struct lookup lookup = message_lookup(message);
	const char *value = NULL;

	witness_topic(lookup.witness, "own domain", domain);
	if (!config->own_set)
		return owners_has_domain(&lookup, message->listener, domain);
	for (size_t i = 0; i < config->own_domains.n; i++) {
		const char *own = config->own_domains.items[i];

		if (*own == '.' ? domain_is_or_below(domain, own + 1) &&
			    !domain_equal(domain, own + 1) : domain_equal(domain, own))
			return true;
	}
	return lookup_key(&lookup, &config->own_tables, domain, true, &value) == TABLE_FOUND;
}

/* is_verified - did SPF or DKIM verify this domain, or one above or below it? */
static bool
is_verified(const char *domain, const struct dmarc_identifier *identifiers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (domain_is_or_below(identifiers[i].domain, domain) ||
		    (domain_is_or_below(domain, identifiers[i].domain) &&
			strchr(identifiers[i].domain, '.') != NULL))
			return true;
	return false;
}

/*
 * note_own - a name of ours without anything that verifies it
 * What may be verified later counts as verified: a failure of DNS is no forgery.
 */
static void
note_own(struct message *message, const struct dmarc_identifier *identifiers, size_t n)
{
	struct facts *facts = &message->facts;
	const struct dmarc_authors *authors = message->authors;
	const struct dmarc_config *config = dmarc_gather_settings(message);
	const char *at = facts->sender == NULL ? NULL : strrchr(facts->sender, '@'), *sender;

	if (netblock_contains(
		config->forwarders, config->n_forwarders, &message->session->connection.ip))
		return;
	for (size_t i = 0; i < authors->n && facts->own_domain == NULL; i++)
		if (!is_verified(authors->domains[i], identifiers, n) &&
		    dmarc_is_own(message, authors->domains[i]))
			facts->own_domain = authors->domains[i];
	if (facts->own_domain != NULL || at == NULL)
		return;
	sender = domain_normalise(message, at + 1, strlen(at + 1), NULL);
	if (sender != NULL && !is_verified(sender, identifiers, n) && dmarc_is_own(message, sender))
		facts->own_domain = sender;
}

void
dmarc_gather_end(struct message *message, int64_t deadline_ms)
{
	struct dmarc_identifier *identifiers;
	struct dmarc_asking *asking;
	struct dmarc_walk walk;
	size_t n;

	if (message->authors == NULL)
		return;
	asking = dmarc_asking_new(message, message->session->daemon->resolver, deadline_ms);
	n = identifiers_of(message, &identifiers);
	judge_all(message, asking, identifiers, n, &walk, &message->facts.dmarc);
	if (message->authors->n > 0)
		note_alignment(&message->facts, asking, &walk);
	note_exception(message, &message->facts.dmarc);
	note_counted(message, &message->facts.dmarc);
	note_own(message, identifiers, n);
}
