/*
 * check_signing.c - does another filter sign, too, or break what was signed?
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/doctor/filters.h"
#include "filter/doctor/inside.h"
#include "policy/base/mem.h"

/* signing_twice - a filter that signs what we sign */
static void
signing_twice(struct exam *exam, const char *where, const struct mail_filter *filter)
{
	if (filter->signs == NULL)
		return;
	exam_add(exam, "sign.twice", filter->conf != NULL ? filter->conf : where,
	    strcmp(filter->name, "Rspamd") == 0	      ? "enabled = false;"
		: strcmp(filter->name, "amavis") == 0 ? "$enable_dkim_signing = 0;"
						      : "Mode v",
	    "%s signs for %s, and so does countersign: mail has two signatures", filter->name,
	    filter->signs);
}

/* signing_list - the milters of a service beside ours; out: mail from here goes through them */
static void
signing_list(
    struct exam *exam, const struct postfix_service *service, const char *parameter, bool out)
{
	const struct site *site = exam->site;
	const char *where = postfix_where(exam->ctx, site->postfix, service, parameter);
	bool behind = false;
	size_t n, ours = 0;
	const struct postfix_milter *milters = postfix_milters(
	    exam->ctx, postfix_value(exam->ctx, site->postfix, service, parameter), &n);

	while (ours < n && !site_names_us(exam->ctx, site, service, milters[ours].endpoint))
		ours++;
	for (size_t i = 0; ours < n && i < n; i++) {
		struct mail_filter filter;

		behind = behind || i == ours;
		if (i == ours || !filters_milter(exam, service, milters[i].endpoint, &filter))
			continue;
		if (out)
			signing_twice(exam, where, &filter);
		if (out && behind && filter.changes)
			exam_add(exam, "sign.order", where,
			    exam_text(exam, "%s = %s, %s", parameter, milters[i].endpoint,
				milters[ours].endpoint),
			    "%s comes after countersign and may change mail after it was signed",
			    filter.name);
		if (!behind && filter.authserv_id != NULL &&
		    strcasecmp(filter.authserv_id, site->config->authserv_id) == 0)
			exam_add(exam, "ar.authserv-id", where,
			    exam_text(exam, "authserv_id = \"countersign.%s\"",
				site->config->authserv_id),
			    "%s in front of countersign writes Authentication-Results as %s, which "
			    "is countersign's own name: its field is removed",
			    filter.name, filter.authserv_id);
	}
}

/* signing_content - what content_filter of a service does to what was signed */
static void
signing_content(struct exam *exam, const struct postfix_service *service)
{
	const struct postfix *postfix = exam->site->postfix;
	const char *value = postfix_value(exam->ctx, postfix, service, "content_filter");
	const char *where = postfix_where(exam->ctx, postfix, service, "content_filter");
	struct mail_filter filter;

	if (value[0] == '\0' || !filters_content(exam, value, &filter))
		return;
	signing_twice(exam, where, &filter);
	if (filter.changes)
		exam_add(exam, "sign.order", where,
		    "give it mail before countersign, as milter or by smtpd_proxy_filter",
		    "%s changes mail after it was signed", filter.name);
}

/* signing_later - tables that rewrite when mail is sent */
static void
signing_later(struct exam *exam)
{
	static const char *const names[] = { "smtp_header_checks", "smtp_mime_header_checks",
		"smtp_nested_header_checks", "smtp_body_checks", "smtp_generic_maps" };
	const struct site *site = exam->site;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (postfix_value(exam->ctx, site->postfix, site->client, names[i])[0] != '\0')
			exam_add(exam, "sign.smtp-header-checks",
			    postfix_where(exam->ctx, site->postfix, site->client, names[i]),
			    "use header_checks, which works before the signature is made",
			    "%s may change mail after it was signed", names[i]);
}

void
examine_signing(struct exam *exam)
{
	const struct site *site = exam->site;

	if (site->postfix == NULL || site->config == NULL)
		return;
	for (size_t i = 0; i < site->postfix->n_services; i++) {
		const struct postfix_service *service = &site->postfix->services[i];
		bool out = site->signers != NULL && config_signs(site->config) &&
		    postfix_has_auth(exam->ctx, site->postfix, service);

		if (!postfix_is_smtpd(service) || site_milters_off(exam->ctx, site, service))
			continue;
		signing_list(exam, service, "smtpd_milters", out);
		if (out)
			signing_content(exam, service);
	}
	if (site->signers == NULL || !config_signs(site->config))
		return;
	signing_list(exam, site_cleanup(site), "non_smtpd_milters", true);
	signing_later(exam);
}
