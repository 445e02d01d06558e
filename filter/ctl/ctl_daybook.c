/*
 * ctl_daybook.c - countersignctl report, quota suggest: many accounts over days
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filter/ctl/ctl.h"
#include "policy/base/text.h"

/* print_bytes - with a unit, in 9 columns */
static void
print_bytes(long long bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	(void)printf(unit == 0 ? "%7.0f %-2s" : "%7.1f %-2s", value, units[unit]);
}

/* print_reasons - "over 3, no-from 1" */
static void
print_reasons(const json_t *line, const char *member, const char *front)
{
	json_t *reasons = json_object_get(line, member);
	const char *word;
	json_t *n;
	const char *between = front;

	json_object_foreach(reasons, word, n) {
		(void)printf("%s%s %lld", between, word, (long long)json_integer_value(n));
		between = ", ";
	}
}

static void
print_line(const json_t *line)
{
	(void)printf("%-40s %9lld %10lld ", ctl_text(line, "name"), ctl_number(line, "messages"),
	    ctl_number(line, "recipients"));
	print_bytes(ctl_number(line, "bytes"));
	(void)printf(" %11lld", ctl_number(line, "connections"));
	print_reasons(line, "refused", "  refused: ");
	print_reasons(line, "would_be_refused", "  watch let pass: ");
	(void)printf("\n");
}

/* print_table - accounts or domains */
static void
print_table(const json_t *answer, const char *member, const char *head)
{
	const json_t *lines = json_object_get(answer, member);

	(void)printf(
	    "\n%-40s %9s %10s %10s %11s\n", head, "messages", "recipients", "bytes", "connections");
	for (size_t i = 0; i < json_array_size(lines); i++)
		print_line(json_array_get(lines, i));
}

/* print_day - 20261122 as 2026-11-22 */
static void
print_day(long long day)
{
	(void)printf("%04lld-%02lld-%02lld", day / 10000, day / 100 % 100, day % 100);
}

static void
print_report(const json_t *answer)
{
	print_day(ctl_number(answer, "from"));
	if (ctl_number(answer, "to") != ctl_number(answer, "from")) {
		(void)printf(" to ");
		print_day(ctl_number(answer, "to"));
	}
	(void)printf(" (UTC): %lld account%s of %lld domain%s\n", ctl_number(answer, "n_accounts"),
	    text_s((uint64_t)ctl_number(answer, "n_accounts")), ctl_number(answer, "n_domains"),
	    text_s((uint64_t)ctl_number(answer, "n_domains")));
	if (ctl_number(answer, "beyond") > 0)
		(void)printf(
		    "More accounts sent than are listed a day: %lld message%s of the others as \"*\".\n"
		    "Raise accounts in history = { }.\n",
		    ctl_number(answer, "beyond"), text_s((uint64_t)ctl_number(answer, "beyond")));
	print_table(answer, "accounts", "account");
	print_table(answer, "domains", "domain");
	(void)printf("\n");
	print_line(json_object_get(answer, "total"));
}

/* days_ago - that day, UTC, as a number */
static long long
days_ago(long long n)
{
	time_t when = time(NULL) - (time_t)n * 86400;
	struct tm tm;

	(void)gmtime_r(&when, &tm);
	return (tm.tm_year + 1900) * 10000 + (tm.tm_mon + 1) * 100 + tm.tm_mday;
}

long long
ctl_day(const char *text)
{
	int year, month, day, end = 0;

	if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &end) == 3 && text[end] == '\0' &&
	    month >= 1 && month <= 12 && day >= 1 && day <= 31)
		return year * 10000 + month * 100 + day;
	if (strcmp(text, "yesterday") == 0)
		return days_ago(1);
	if (strcmp(text, "today") != 0)
		ctl_wrong("\"%s\" is not a day; write for example 2026-11-22, today or yesterday",
		    text);
	return days_ago(0);
}

/* set_days - the days of a report: "7d", or a day */
static void
set_days(json_t *request, const char *text)
{
	long long n;
	int end = 0;

	if (sscanf(text, "%3lld%n", &n, &end) == 1 && strcmp(text + end, "d") == 0) {
		if (n < 1 || n > 366)
			ctl_wrong("\"%s\" is not 1d to 366d", text);
		json_object_set_new(request, "from", json_integer(days_ago(n - 1)));
		json_object_set_new(request, "to", json_integer(days_ago(0)));
		return;
	}
	json_object_set_new(request, "day", json_integer(ctl_day(text)));
}

/* ctl_report - the mail of some days by account and domain */
int
ctl_report(struct ctl *ctl, char **operands)
{
	const char *day = ctl_option(ctl, "--day");
	const char *from = ctl_option(ctl, "--from");
	const char *to = ctl_option(ctl, "--to");
	const char *domain = ctl_option(ctl, "--domain");
	const char *top = ctl_option(ctl, "--top");
	json_t *request;

	(void)operands;
	if (day != NULL && (from != NULL || to != NULL))
		ctl_wrong("--day cannot be used with --from and --to");
	if (to != NULL && from == NULL)
		ctl_wrong("--to needs --from");
	request = json_pack("{s:s}", "command", "report");
	if (day != NULL)
		set_days(request, day);
	if (from != NULL) {
		json_object_set_new(request, "from", json_integer(ctl_day(from)));
		json_object_set_new(
		    request, "to", json_integer(to != NULL ? ctl_day(to) : days_ago(0)));
	}
	if (domain != NULL)
		ctl_set(request, "domain", domain);
	if (top != NULL)
		json_object_set_new(request, "n", json_integer(ctl_count(top)));
	return ctl_ask(ctl, request, print_report);
}

/* print_proposal - one plan of the file */
static void
print_proposal(const json_t *plan)
{
	bool first = strcmp(ctl_text(plan, "name"), "person") == 0;
	long long hour = ctl_number(plan, "recipients_per_hour");
	long long day = ctl_number(plan, "recipients_per_day");

	(void)printf("  # enough for %lld account%s%s\n", ctl_number(plan, "accounts"),
	    text_s((uint64_t)ctl_number(plan, "accounts")), first ? "" : " beyond person");
	(void)printf(
	    "  %s = { %slimits = [\"%lld recipient%s per hour\", \"%lld recipient%s per day\"]%s }\n",
	    ctl_text(plan, "name"), first ? "" : "like = \"person\"  ", hour,
	    text_s((uint64_t)hour), day, text_s((uint64_t)day),
	    first ? "  warn_at = \"80%\"  on_over = \"tempfail\"" : "");
}

/* print_beyond - an account that person is not enough for */
static void
print_beyond(const json_t *account)
{
	const char *plan = ctl_text(account, "plan");

	(void)printf("#   ");
	ctl_safe(ctl_text(account, "account"));
	(void)printf(": at most %lld an hour, %lld a day: %s\n",
	    ctl_number(account, "most_per_hour"), ctl_number(account, "most_per_day"),
	    plan[0] != '\0' ? plan : "a plan of its own");
}

static void
print_suggestion(const json_t *answer)
{
	const json_t *plans = json_object_get(answer, "plans");
	const json_t *beyond = json_object_get(answer, "beyond");

	(void)printf(
	    "# Proposed from what %lld account%s sent from ", ctl_number(answer, "n_accounts"),
	    text_s((uint64_t)ctl_number(answer, "n_accounts")));
	print_day(ctl_number(answer, "from"));
	(void)printf(" to ");
	print_day(ctl_number(answer, "to"));
	(void)printf(
	    " (UTC):\n# twice what %lld%% (person) and 99%% (busy) of them sent on %lld%% of their days.\n",
	    ctl_number(answer, "percentile"), ctl_number(answer, "percentile"));
	if (ctl_number(answer, "n_accounts") < 20)
		(void)printf(
		    "# These are few accounts to judge by: look at the figures before using them.\n");
	(void)printf("default_plan = \"person\"\nplans = {\n");
	for (size_t i = 0; i < json_array_size(plans); i++)
		if (i == 0 || ctl_number(json_array_get(plans, i), "accounts") > 0)
			print_proposal(json_array_get(plans, i));
	(void)printf("}\n");
	if (json_array_size(beyond) > 0)
		(void)printf("# Accounts that person would have stopped, the largest first:\n");
	for (size_t i = 0; i < json_array_size(beyond); i++)
		print_beyond(json_array_get(beyond, i));
}

/* ctl_quota_suggest - a plans file from what accounts really send */
int
ctl_quota_suggest(struct ctl *ctl, char **operands)
{
	const char *days = ctl_option(ctl, "--days");
	const char *percent = ctl_option(ctl, "--percentile");
	bool today = ctl_flag(ctl, "--today");
	json_t *request;

	(void)operands;
	request = json_pack("{s:s, s:i}", "command", "quota suggest", "today", (int)today);
	if (days != NULL)
		json_object_set_new(request, "days", json_integer(ctl_count(days)));
	if (percent != NULL)
		json_object_set_new(request, "percentile", json_integer(ctl_count(percent)));
	return ctl_ask(ctl, request, print_suggestion);
}
