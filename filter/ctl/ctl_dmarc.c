/*
 * ctl_dmarc.c - countersignctl dmarc report: what is reported to the domains of a day
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/ctl/ctl.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define SEND_LOOKS	150	/* how often the daemon is asked whether it has sent, in 30 s */

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

	(void)printf("%04lld-%02lld-%02lld (UTC): %zu domain%s\n", day / 10000,
	    day / 100 % 100, day % 100, json_array_size(domains),
	    json_array_size(domains) == 1 ? " wants a report" : "s want a report");
	for (size_t i = 0; i < json_array_size(domains); i++) {
		const json_t *domain = json_array_get(domains, i);

		(void)printf("%-40s %9lld message%-2s ", ctl_text(domain, "domain"),
		    ctl_number(domain, "messages"),
		    text_s((uint64_t)ctl_number(domain, "messages")));
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

/* sending_now - what the daemon answers: 1: it sends, 0: it has done so, -1: an error */
static int
sending_now(struct ctl *ctl, const json_t *request)
{
	char *text = mem_check(json_dumps(request, JSON_COMPACT));
	char *line = ctl_talk(ctl, mem_printf(ctl->memory, "%s\n", text));
	json_t *answer = json_loads(line, 0, NULL);
	int sending = !json_is_true(json_object_get(answer, "ok")) ? -1 :
	    json_is_true(json_object_get(answer, "sending"));

	json_decref(answer);
	talloc_free(line);
	free(text);
	return sending;
}

/* send_reports - let the daemon send, and wait for a while until it has; an error is for the caller
 * to ask again for */
static void
send_reports(struct ctl *ctl, json_t *request)
{
	if (ctl->direct)
		ctl_misuse(ctl, "takes no --direct with --send: the daemon sends reports");
	(void)json_object_set_new(request, "send", json_integer(1));
	if (sending_now(ctl, request) < 0)
		return;
	(void)json_object_set_new(request, "send", json_integer(0));
	for (int i = 0; i < SEND_LOOKS && sending_now(ctl, request) == 1; i++)
		clock_pause(200);
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
	if (ctl_flag(ctl, "--send")) {
		if (print)
			ctl_misuse(ctl, "takes --print or --send");
		send_reports(ctl, request);
	}
	return ctl_ask(ctl, request, print ? print_reports : print_domains);
}
