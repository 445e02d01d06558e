/*
 * ctl_dmarc.c - countersignctl dmarc report: what is reported to the domains of a day
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/ctl/ctl.h"

/* print_state - what became of a report */
static void
print_state(const json_t *report)
{
	const json_t *to = json_object_get(report, "to");

	if (report == NULL) {
		(void)printf("not sent yet\n");
		return;
	}
	(void)printf("%s", ctl_text(report, "state"));
	for (size_t i = 0; i < json_array_size(to); i++) {
		(void)printf("%s", i == 0 ? " to " : ", ");
		ctl_safe(json_string_value(json_array_get(to, i)));
	}
	if (*ctl_text(report, "why") != '\0') {
		(void)printf(": ");
		ctl_safe(ctl_text(report, "why"));
	}
	(void)printf("\n");
}

/* print_domains - the domains of a day */
static void
print_domains(const json_t *answer)
{
	const json_t *domains = json_object_get(answer, "domains");
	long long day = ctl_number(answer, "day");

	(void)printf("%04lld-%02lld-%02lld (UTC): %zu domains want a report\n", day / 10000,
	    day / 100 % 100, day % 100, json_array_size(domains));
	for (size_t i = 0; i < json_array_size(domains); i++) {
		const json_t *domain = json_array_get(domains, i);

		(void)printf("%-40s %9lld messages  ", ctl_text(domain, "domain"),
		    ctl_number(domain, "messages"));
		print_state(json_object_get(domain, "report"));
	}
}

/* print_reports - the reports themselves */
static void
print_reports(const json_t *answer)
{
	const json_t *domains = json_object_get(answer, "domains");

	for (size_t i = 0; i < json_array_size(domains); i++)
		(void)fputs(ctl_text(json_array_get(domains, i), "xml"), stdout);
}

/* ctl_dmarc_report - the reports of a day: which there are, their text */
int
ctl_dmarc_report(struct ctl *ctl, char **operands)
{
	const char *day = ctl_option(ctl, "--day"), *domain = ctl_option(ctl, "--domain");
	bool print = ctl_flag(ctl, "--print");
	json_t *request = json_pack("{s:s, s:i}", "command", "dmarc report", "print", (int)print);

	(void)operands;
	if (day != NULL)
		(void)json_object_set_new(request, "day", json_integer(ctl_day(day)));
	if (domain != NULL)
		ctl_set(request, "domain", domain);
	return ctl_ask(ctl, request, print ? print_reports : print_domains);
}
