/*
 * check_dmarc.c - do the own domains say what is to be done with forged mail?
 *
 * Records and the walk to them are the daemon's own (policy/dmarc, filter/dmarc). Receivers pass
 * over errors silently: the point here is to name them.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/base/clock.h"
#include "filter/dmarc/ask.h"
#include "filter/dmarc/destinations.h"
#include "filter/doctor/inside.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/dmarc/record.h"

#define DMARC_MARK	"v=DMARC" /* what begins so is meant to be a record */
#define DMARC_WAIT_MS	4000	/* for all questions of one domain */

/* What there is at a name. */
struct dmarc_found {
	struct dmarc_record record; /* the first one */
	size_t n;
	const char *meant;	/* what is meant to be one and is none, or NULL */
	bool unknown;		/* DNS did not say */
};

/* find_records - at a name */
static struct dmarc_found
find_records(struct exam *exam, const char *name)
{
	const struct dns_answer *answer = exam_ask(exam, name, DNS_TXT);
	struct dmarc_found found = { .unknown =
		exam_dns_unknown(exam, "dmarc.missing", name, answer) };

	for (size_t i = 0; i < answer->count; i++) {
		const char *text = (const char *)answer->records[i].data;
		size_t len = answer->records[i].len;
		struct span trimmed = text_trim(text_span_of(text, len));
		struct dmarc_record record;

		if (!dmarc_record_read(exam->ctx, text, len, &record)) {
			if (trimmed.len >= strlen(DMARC_MARK) &&
			    strncasecmp(trimmed.at, DMARC_MARK, strlen(DMARC_MARK)) == 0)
				found.meant = exam_shown(exam, text, len);
		} else if (found.n++ == 0)
			found.record = record;
	}
	return found;
}

/* dmarc_wanted - the record that would do, for the cure */
static const char *
dmarc_wanted(struct exam *exam, const char *domain)
{
	return exam_text(exam, "_dmarc.%s. IN TXT \"v=DMARC1; p=none; rua=mailto:dmarc@%s\"",
	    domain, domain);
}

/* --- reports --------------------------------------------------------------- */

/* check_rua - has another organisation agreed to get the reports? */
static void
check_rua(
    struct exam *exam, struct dmarc_asking *asking, const char *domain, const char *rua)
{
	struct dmarc_destination destinations[DMARC_ADDRESSES_MAX];
	size_t n = dmarc_destinations(asking, domain, rua, destinations);

	for (size_t i = 0; i < n; i++)
		if (destinations[i].state == DMARC_DESTINATION_REFUSED &&
		    destinations[i].question != NULL)
			exam_add(exam, "dmarc.rua-unauthorised", domain,
			    exam_text(exam, "%s. IN TXT \"v=DMARC1\"", destinations[i].question),
			    "reports go to %s, which has not said that it wants them",
			    destinations[i].host);
}

/* --- records --------------------------------------------------------------- */

/* check_record - the one of a domain */
static void
check_record(struct exam *exam, struct dmarc_asking *asking, const char *domain,
    const struct dmarc_record *record)
{
	const char *name = exam_text(exam, "_dmarc.%s", domain);

	if (record->fault != NULL) {
		exam_add(exam, "dmarc.syntax", name, dmarc_wanted(exam, domain),
		    "the DMARC record is in error: %s", record->fault);
		return;
	}
	if (record->p == DMARC_POLICY_NONE && record->rua == NULL)
		exam_add(exam, "dmarc.none-no-rua", name, dmarc_wanted(exam, domain),
		    "the DMARC record requests neither a policy nor reports");
	if (record->rua != NULL)
		check_rua(exam, asking, domain, record->rua);
}

/* check_misplaced - a record at the domain itself; false: there is none */
static bool
check_misplaced(struct exam *exam, const char *domain)
{
	struct dmarc_found found = find_records(exam, domain);
	const char *text = found.n > 0 ? found.record.text : found.meant;

	if (text == NULL)
		return false;
	exam_add(exam, "dmarc.syntax", domain,
	    exam_text(exam, "_dmarc.%s. IN TXT \"%s\"", domain,
		exam_shown(exam, text, strlen(text))),
	    "the DMARC record is at the domain itself; it must be at _dmarc.%s", domain);
	return true;
}

/* check_domain_dmarc - its record, or that of a domain above it */
static void
check_domain_dmarc(struct exam *exam, const char *domain)
{
	const char *name = exam_text(exam, "_dmarc.%s", domain);
	struct dmarc_found found = find_records(exam, name);
	struct dmarc_asking *asking;
	struct dmarc_walk walk;

	if (found.unknown)
		return;
	asking = dmarc_asking_new(exam->ctx, exam->site->resolver,
	    exam_deadline(exam, DMARC_WAIT_MS));
	if (found.n > 1)
		exam_add(exam, "dmarc.several", name, "delete all but one of them",
		    "there are %zu DMARC records: receivers use none of them", found.n);
	else if (found.n == 1)
		check_record(exam, asking, domain, &found.record);
	else if (found.meant != NULL)
		exam_add(exam, "dmarc.syntax", name, dmarc_wanted(exam, domain),
		    "receivers do not take \"%s\" for a DMARC record: it must begin with "
		    "\"v=DMARC1;\"", found.meant);
	if (found.n > 0 || found.meant != NULL || check_misplaced(exam, domain))
		return;
	dmarc_ask_walk(asking, domain);
	dmarc_walk(domain, &asking->answers, &walk);
	if (walk.silent == NULL && walk.upper == NULL)
		exam_add(exam, "dmarc.missing", domain, dmarc_wanted(exam, domain),
		    "this domain has no DMARC record; big receivers want one");
}

void
examine_dmarc(struct exam *exam)
{
	const struct site *site = exam->site;

	if (site->resolver == NULL)
		return;
	for (size_t i = 0; i < site->n_domains; i++)
		dmarc_prefetch(site->resolver, site->domains[i]);
	for (size_t i = 0; i < site->n_domains; i++)
		check_domain_dmarc(exam, site->domains[i]);
}
