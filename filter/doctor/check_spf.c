/*
 * check_spf.c - do the SPF records of the own domains let our mail pass?
 *
 * The daemon's own evaluation (filter/spf) is made for each outgoing address, without overrides:
 * others do not have them.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/base/clock.h"
#include "filter/doctor/inside.h"
#include "filter/spf/spf.h"
#include "policy/base/mem.h"
#include "policy/spf/record.h"

#define SPF_MANY	8	/* terms from which on it is worth a word */
#define SPF_WAIT_MS	5000	/* for one evaluation */

/* One evaluation. */
struct spf_trial {
	struct spf_fact fact;
	struct spf_counts counts;
};

/* spf_trial_make - mail of a domain from an address */
static struct spf_trial
spf_trial_make(struct exam *exam, const char *domain, const char *address)
{
	const struct site *site = exam->site;
	const struct spf_client client = { .address = address, .helo = site->config->authserv_id };
	struct spf_service service;
	struct spf_trial trial = { .counts = { 0 } };

	config_spf_service(
	    &site->config->spf, site->resolver, site->config->authserv_id, &service);
	service.n_overrides = 0;
	service.explain = false;
	spf_check(exam->ctx, &service, &client, exam_text(exam, "postmaster@%s", domain),
	    exam_deadline(exam, SPF_WAIT_MS), &trial.fact, &trial.counts);
	return trial;
}

/* published - the SPF record of a domain; how many there are in *n_r; false: DNS does not say */
static bool
published(struct exam *exam, const char *domain, struct spf_text *record_r, size_t *n_r)
{
	const struct dns_answer *answer = exam_ask(exam, domain, DNS_TXT);

	*n_r = 0;
	if (exam_dns_unknown(exam, "spf.missing", domain, answer))
		return false;
	for (size_t i = 0; i < answer->count; i++) {
		const char *text = (const char *)answer->records[i].data;

		if (!spf_record_is_spf(text, answer->records[i].len))
			continue;
		if ((*n_r)++ == 0)
			*record_r = (struct spf_text){ text, answer->records[i].len };
	}
	return true;
}

/* spf_wanted - the record that would do, for the cure */
static const char *
spf_wanted(struct exam *exam)
{
	char *text = mem_strdup(exam->ctx, "v=spf1 mx");

	for (size_t i = 0; i < exam->site->n_addresses; i++)
		text = mem_check(talloc_asprintf_append_buffer(text, " ip%c:%s",
		    exam->site->addresses[i].ip.bits == 128 ? '6' : '4',
		    exam->site->addresses[i].text));
	return exam_text(exam, "%s -all", text);
}

/* check_error - a permanent error, of which kind? */
static void
check_error(struct exam *exam, const char *domain, const struct spf_trial *trial)
{
	const char *problem = trial->fact.problem != NULL ? trial->fact.problem : "permanent error";
	bool many = trial->counts.terms > SPF_LIMIT_TERMS ||
	    trial->counts.voids > exam->site->config->spf.void_limit ||
	    strcasestr(problem, "void") != NULL || strcasestr(problem, "too many") != NULL ||
	    strcasestr(problem, "limit") != NULL || strcasestr(problem, "more than") != NULL;

	if (many)
		exam_add(exam, "spf.too-many", domain,
		    "replace include: terms by the ip4: and ip6: terms that they lead to",
		    "the SPF record needs too many DNS queries: %s", problem);
	else
		exam_add(exam, "spf.syntax", domain, "correct the term that is named",
		    "the SPF record is in error: %s", problem);
}

/* check_shape - what can be read from the record itself */
static void
check_shape(struct exam *exam, const char *domain, struct spf_text text)
{
	const char *error = NULL;
	const struct spf_record *record =
	    spf_record_parse(exam->ctx, text.data, text.len, &error);
	bool closed = false;

	if (record == NULL)
		return;
	for (size_t i = 0; i < record->n_terms; i++) {
		const struct spf_term *term = &record->terms[i];

		if (term->mechanism == SPF_MECH_ALL)
			closed = closed || term->qualifier != '?';
		if (term->mechanism == SPF_MECH_PTR)
			exam_add(exam, "spf.ptr", domain, "replace ptr by ip4: and ip6: terms",
			    "the SPF record uses ptr, which is slow and which many receivers skip "
			    "(RFC 7208 section 5.5)");
	}
	if (!closed && record->redirect.data == NULL)
		exam_add(exam, "spf.open-end", domain, "end the record with ~all or -all",
		    "the SPF record has no result for other senders");
}

/* spf_stranger - does everyone pass? true: yes, or the record is in error */
static bool
spf_stranger(struct exam *exam, const char *domain, struct spf_text text)
{
	/* reserved for ever (RFC 1112, RFC 4291): no record means them */
	static const char *const nobody[] = { "255.255.255.255",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" };
	unsigned int terms = 0;

	for (size_t i = 0; i < 2; i++) {
		struct spf_trial trial = spf_trial_make(exam, domain, nobody[i]);

		if (trial.fact.result == SPF_IS_PERMERROR) {
			check_error(exam, domain, &trial);
			return true;
		}
		if (trial.fact.result == SPF_IS_PASS) {
			exam_add(exam, "spf.pass-all", domain, "end the record with -all",
			    "the SPF record passes every client: \"%s\"",
			    exam_shown(exam, text.data, text.len));
			return true;
		}
		terms = trial.counts.terms > terms ? trial.counts.terms : terms;
	}
	if (terms >= SPF_MANY)
		exam_add_level(exam, DOCTOR_WARNING, "spf.too-many", domain,
		    "replace include: terms by the ip4: and ip6: terms that they lead to",
		    "the SPF record needs %u of the %d terms that may query DNS", terms,
		    SPF_LIMIT_TERMS);
	return false;
}

/* check_ours - does each outgoing address pass? */
static void
check_ours(struct exam *exam, const char *domain)
{
	const struct site *site = exam->site;

	for (size_t i = 0; site->sends && i < site->n_addresses; i++) {
		const struct site_address *address = &site->addresses[i];
		struct spf_trial trial = spf_trial_make(exam, domain, address->text);
		const char *where = exam_text(exam, "%s from %s", domain, address->text);

		if (trial.fact.result == SPF_IS_PASS)
			continue;
		if (trial.fact.result == SPF_IS_PERMERROR)
			check_error(exam, domain, &trial);
		else if (trial.fact.result == SPF_IS_TEMPERROR)
			exam_add_level(exam, DOCTOR_UNKNOWN, "spf.misses-us", where, NULL,
			    "DNS gave no answer: %s",
			    trial.fact.problem != NULL ? trial.fact.problem : "no answer in time");
		else
			exam_add(exam, "spf.misses-us", where,
			    exam_text(exam, "add ip%c:%s to the SPF record of %s",
				address->ip.bits == 128 ? '6' : '4', address->text, domain),
			    "mail of this domain from this host has the SPF result %s",
			    spf_result_word(trial.fact.result));
	}
}

/* check_domain - one own domain */
static void
check_domain(struct exam *exam, const char *domain)
{
	struct spf_text text = { NULL, 0 };
	size_t n;

	if (!published(exam, domain, &text, &n))
		return;
	if (n == 0)
		exam_add(exam, "spf.missing", domain,
		    exam_text(exam, "%s. IN TXT \"%s\"", domain, spf_wanted(exam)),
		    "this domain has no SPF record: big receivers refuse its mail, and everyone "
		    "may send under its name");
	else if (n > 1)
		exam_add(exam, "spf.several", domain, "delete all but one of them",
		    "this domain has %zu SPF records, which is an error for receivers", n);
	if (n != 1)
		return;
	check_shape(exam, domain, text);
	if (!spf_stranger(exam, domain, text))
		check_ours(exam, domain);
}

void
examine_spf(struct exam *exam)
{
	const struct site *site = exam->site;
	struct spf_text text;
	size_t n;

	if (site->resolver == NULL || site->config == NULL)
		return;
	for (size_t i = 0; i < site->n_domains; i++)
		exam_ahead(exam, site->domains[i], DNS_TXT);
	for (size_t i = 0; i < site->n_domains; i++)
		check_domain(exam, site->domains[i]);
	if (site->helo != NULL && helo_fault(site->helo) == NULL && site->n_addresses > 0 &&
	    !site->options->by_daemon && published(exam, site->helo, &text, &n) && n == 0)
		exam_add(exam, "spf.helo", site->helo,
		    exam_text(exam, "%s. IN TXT \"v=spf1 a -all\"", site->helo),
		    "the HELO name has no SPF record; bounces have no other");
}
