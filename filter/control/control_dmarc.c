/*
 * control_dmarc.c - commands about DMARC: dmarc report
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/control/control_asked.h"
#include "filter/daemon/reporter.h"
#include "filter/report/xml.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

#define PRINTED_MAX	100	/* reports in one answer */

/* domain_json - a domain of the day, with its report if that is wanted */
static json_t *
domain_json(const struct asked *asked, const struct dmarc_report_config *config, int day,
    const struct books_dmarc_domain *domain, bool print, const char **error_r)
{
	json_t *object = json_pack("{s:s, s:s, s:I, s:I}", "domain", domain->domain, "record",
	    domain->record, "messages", (json_int_t)domain->messages, "not_listed",
	    (json_int_t)domain->beyond);
	struct report_subject subject = { .config = config, .day = day, .domain = domain };
	struct books_dmarc_row *rows;
	size_t len;
	char *xml;

	if (domain->state != NULL)
		(void)json_object_set_new(object, "report", json_loads(domain->state, 0, NULL));
	if (!print || books_dmarc_rows(journal_books(asked->daemon->journal), asked->ctx, day,
		domain->domain, &rows, &subject.n, error_r) != 0)
		return object;
	subject.rows = rows;
	xml = report_xml(asked->ctx, &subject, &len);
	if (xml != NULL)
		(void)json_object_set_new(object, "xml", json_stringn(xml, len));
	return object;
}

/* domains_json - those of the day, or the one that is named */
static json_t *
domains_json(const struct asked *asked, const struct dmarc_report_config *config, int day,
    const char *wanted, bool print, const char **error_r)
{
	struct books_dmarc_domain *domains;
	json_t *list = json_array();
	size_t n;

	if (books_dmarc_domains(journal_books(asked->daemon->journal), asked->ctx, day, &domains,
		&n, error_r) != 0)
		n = 0;
	for (size_t i = 0; i < n && *error_r == NULL; i++) {
		if (wanted != NULL && strcmp(domains[i].domain, wanted) != 0)
			continue;
		if (print && json_array_size(list) == PRINTED_MAX)
			*error_r = "these are many reports; name one with --domain";
		else
			(void)json_array_append_new(list,
			    domain_json(asked, config, day, &domains[i], print, error_r));
	}
	return list;
}

/* send_asked_day - let the reporter send a day; NULL, or what is wrong */
static const char *
send_asked_day(const struct asked *asked, int day, const char *domain)
{
	if (!asked->asker->may_write)
		return "you may read, but not have reports sent";
	if (asked->daemon->reporter == NULL)
		return "only the daemon sends reports";
	if (day >= daybook_day(clock_wall_ms()))
		return "that day is not over (UTC): its report would lack messages";
	reporter_ask(asked->daemon->reporter, day, domain);
	return NULL;
}

/* control_dmarc_report - the domains of a day, what became of their reports, and the reports */
json_t *
control_dmarc_report(const struct asked *asked)
{
	int day = (int)control_number(asked, "day", 20000101, 99991231,
	    daybook_day(clock_wall_ms() - CLOCK_DAY_MS));
	bool print = control_number(asked, "print", 0, 1, 0) == 1;
	struct snapshot *snapshot = daemon_snapshot(asked->daemon);
	const struct dmarc_report_config *config = &snapshot->config->dmarc.report;
	const char *domain = control_text(asked, "domain"), *error = NULL;
	json_t *list = NULL;

	if (config->from == NULL)
		error = "no reports are prepared; write dmarc = { report = { from = \"...\"  org = "
			"\"...\" } }";
	else if (report_begin(day) < 0)
		error = mem_printf(asked->ctx, "%d is not a day", day);
	else if (domain != NULL)
		domain = domain_normalise(asked->ctx, domain, strlen(domain), &error);
	if (error == NULL && control_number(asked, "send", 0, 1, 0) == 1)
		error = send_asked_day(asked, day, domain);
	if (error == NULL)
		list = domains_json(asked, config, day, domain, print, &error);
	snapshot_release(snapshot);
	if (error == NULL)
		return json_pack("{s:b, s:i, s:b, s:o}", "ok", 1, "day", day, "sending",
		    asked->daemon->reporter != NULL &&
			reporter_is_busy(asked->daemon->reporter), "domains", list);
	json_decref(list);
	return control_failed(error);
}
