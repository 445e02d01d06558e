/*
 * ctl_rates.c - countersignctl hours, rates: what accounts and filters did by time
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <string.h>

#include "filter/ctl/ctl.h"

static void
print_hours(const json_t *answer)
{
	const json_t *hours = json_object_get(answer, "hours");

	if (json_array_size(hours) == 0) {
		(void)printf("no message of this account in that time\n");
		return;
	}
	(void)printf("%-23s %9s %10s %8s\n", "hour from", "messages", "recipients", "refused");
	for (size_t i = 0; i < json_array_size(hours); i++) {
		const json_t *hour = json_array_get(hours, i);

		ctl_time(ctl_number(hour, "at"));
		(void)printf(" %9lld %10lld %8lld\n", ctl_number(hour, "messages"),
		    ctl_number(hour, "recipients"), ctl_number(hour, "refused"));
	}
}

/* rates_set_number - a whole number of an option into a request, if it was given */
static void
rates_set_number(const struct ctl *ctl, json_t *request, const char *option, const char *name)
{
	const char *text = ctl_option(ctl, option);

	if (text != NULL)
		json_object_set_new(request, name, json_integer(ctl_count(text)));
}

/* ctl_hours - what an account sent and was refused by hour */
int
ctl_hours(struct ctl *ctl, char **operands)
{
	json_t *request = json_pack("{s:s}", "command", "hours");

	ctl_set(request, "account", operands[0]);
	rates_set_number(ctl, request, "--days", "days");
	return ctl_ask(ctl, request, print_hours);
}

/* print_counts - "  held: over 3, no-from 1" */
static void
print_counts(const json_t *place, const char *member, const char *front)
{
	const char *word;
	json_t *n;

	json_object_foreach(json_object_get(place, member), word, n) {
		(void)printf("%s%s %lld", front, word, (long long)json_integer_value(n));
		front = ", ";
	}
}

static void
print_rates(const json_t *answer)
{
	const json_t *places = json_object_get(answer, "places");

	if (json_array_size(places) == 0) {
		(void)printf("no message in that time\n");
		return;
	}
	(void)printf("%-23s %-24s %8s %8s %8s %8s\n",
	    ctl_number(answer, "step_s") == 60       ? "minute from"
		: ctl_number(answer, "step_s") == 600 ? "ten minutes from"
						      : "hour from",
	    "filter", "accepted", "held", "deferred", "rejected");
	for (size_t i = 0; i < json_array_size(places); i++) {
		const json_t *place = json_array_get(places, i);
		const json_t *actions = json_object_get(place, "actions");

		ctl_time(ctl_number(place, "at"));
		(void)printf(" ");
		ctl_safe(ctl_text(place, "host"));
		(void)printf("%*s %8lld %8lld %8lld %8lld",
		    strlen(ctl_text(place, "host")) < 24
			? 24 - (int)strlen(ctl_text(place, "host")) : 0,
		    "", ctl_number(actions, "accept") + ctl_number(actions, "warn"),
		    ctl_number(actions, "quarantine"), ctl_number(actions, "tempfail"),
		    ctl_number(actions, "reject"));
		print_counts(place, "reasons", "  not passed: ");
		print_counts(place, "would", "  watch let pass: ");
		(void)printf("\n");
	}
}

/* ctl_rates - decisions by time and filter */
int
ctl_rates(struct ctl *ctl, char **operands)
{
	json_t *request = json_pack("{s:s}", "command", "rates");
	const char *host = ctl_option(ctl, "--host");

	(void)operands;
	rates_set_number(ctl, request, "--hours", "hours");
	if (host != NULL)
		ctl_set(request, "host", host);
	return ctl_ask(ctl, request, print_rates);
}
