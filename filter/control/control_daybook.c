/*
 * control_daybook.c - commands about many accounts over days: report, quota suggest
 *
 * Both read whole days of the books into a table, sort it, and answer with its head.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <time.h>

#include "filter/base/clock.h"
#include "filter/control/control_asked.h"
#include "filter/control/control_sums.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/quota/suggest.h"

#define TOP_DEFAULT	20
#define REPORT_DAYS_MAX	366	/* read for one report, though fewer are kept */
#define USES_MAX	1000000	/* accounts times days that suggest weighs */
#define BEYOND_MAX	200	/* accounts named by suggest */

/* control_daybook_domain_of - the domain of an account, or "-" */
static const char *
control_daybook_domain_of(const char *account)
{
	const char *at = strrchr(account, '@');

	return at != NULL ? at + 1 : "-";
}

/* day_text - 20261122 as 2026-11-22, on ctx */
static const char *
day_text(TALLOC_CTX *ctx, int day)
{
	return mem_printf(ctx, "%04d-%02d-%02d", day / 10000, day / 100 % 100, day % 100);
}

/* What is being read for a report. */
struct reading {
	struct sums_table accounts;
	const char *domain;		/* only accounts of this one, or NULL */
	const char *match;		/* only accounts that contain this, or NULL */
	int from, to;
	uint64_t beyond;		/* messages of accounts beyond the bound, in line "*" */
};

/* take_row - books_sums_each: an account of a day */
static void
take_row(void *arg, const char *account, const struct daybook_row *row)
{
	struct reading *reading = arg;

	if (reading->match != NULL && strcasestr(account, reading->match) == NULL)
		return;
	if (strcmp(account, "*") == 0)
		reading->beyond += row->day.messages;
	if (reading->domain == NULL ||
	    strcmp(control_daybook_domain_of(account), reading->domain) == 0)
		sums_add_row(&reading->accounts, account, row);
}

/* reasons_json - refusals by reason, or NULL if there are none */
static json_t *
reasons_json(const uint32_t *counts)
{
	json_t *object = NULL;

	for (int reason = 0; reason < REASON_COUNT; reason++) {
		if (counts[reason] == 0)
			continue;
		if (object == NULL)
			object = json_object();
		json_object_set_new(
		    object, reply_row((enum reason)reason)->word, json_integer(counts[reason]));
	}
	return object;
}

/* line_json - a line of a report */
static json_t *
line_json(const struct sums_line *line)
{
	static const uint32_t none[2 * REASON_COUNT];
	const uint32_t *reasons = line->reasons != NULL ? line->reasons : none;

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o*, s:o*}", "name", line->name,
	    "messages", (json_int_t)line->sums.messages, "recipients",
	    (json_int_t)line->sums.recipients, "bytes", (json_int_t)line->sums.bytes,
	    "connections", (json_int_t)line->connections, "peak_hour_recipients",
	    (json_int_t)line->peak, "refused", reasons_json(reasons), "would_be_refused",
	    reasons_json(reasons + REASON_COUNT));
}

/* head_json - the first n lines */
static json_t *
head_json(const struct sums_table *table, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < table->n && i < n; i++)
		json_array_append_new(array, line_json(table->lines[i]));
	return array;
}

/* total_json - all lines in one */
static json_t *
total_json(const struct sums_table *domains)
{
	struct sums_table total = { .ctx = domains->ctx };

	sums_add_line(&total, "all", &(struct sums_line){ 0 });
	for (size_t i = 0; i < domains->n; i++)
		sums_add_line(&total, "all", domains->lines[i]);
	sums_sort(&total, SUMS_BY_RECIPIENTS);
	return line_json(total.lines[0]);
}

/* day_start - the time at which a day begins (UNIX time in ms); -1: there is no such day */
static int64_t
day_start(int day)
{
	struct tm tm = { .tm_year = day / 10000 - 1900, .tm_mon = day / 100 % 100 - 1,
		.tm_mday = day % 100 };
	int64_t at = (int64_t)timegm(&tm) * 1000;

	return daybook_day(at) == day ? at : -1;
}

/* read_days - the days of a request, "day" or "from" and "to"; 0, or *error_r on ctx and 1: they are
 * none, or -1 */
static int
read_days(const struct asked *asked, struct reading *reading, const char **error_r)
{
	int today = daybook_day(clock_wall_ms());
	int day = (int)control_number(asked, "day", 20000101, 99991231, today);
	int64_t at;

	reading->from = (int)control_number(asked, "from", 20000101, 99991231, day);
	reading->to = (int)control_number(asked, "to", 20000101, 99991231, day);
	at = day_start(reading->from);
	if (at < 0 || day_start(reading->to) < at ||
	    day_start(reading->to) - at >= REPORT_DAYS_MAX * CLOCK_DAY_MS) {
		*error_r = mem_printf(asked->ctx, "%s to %s are not 1 to %d days",
		    day_text(asked->ctx, reading->from),
		    day_text(asked->ctx, reading->to), REPORT_DAYS_MAX);
		return 1;
	}
	for (; daybook_day(at) <= reading->to; at += CLOCK_DAY_MS)
		if (books_read_sums(journal_books(asked->daemon->journal), asked->ctx,
			daybook_day(at), take_row, reading, error_r) != 0)
			return -1;
	return 0;
}

/* take_signed - books_sums_each: a domain of a day */
static void
take_signed(void *arg, const char *domain, const struct daybook_row *row)
{
	struct reading *reading = arg;

	if (reading->domain == NULL || strcmp(domain, reading->domain) == 0)
		sums_add_row(&reading->accounts, domain, row);
}

/* signing_json - for which domains messages were signed on the days of a report; NULL: unreadable
 */
static json_t *
signing_json(const struct asked *asked, const struct reading *report, size_t n)
{
	struct reading reading = { .accounts.ctx = asked->ctx, .domain = report->domain };
	json_t *array = json_array();
	const char *error = NULL;

	for (int64_t at = day_start(report->from); daybook_day(at) <= report->to;
	     at += CLOCK_DAY_MS)
		if (books_read_signed(journal_books(asked->daemon->journal), asked->ctx,
			daybook_day(at), take_signed, &reading, &error) != 0) {
			json_decref(array);
			return NULL;
		}
	sums_sort(&reading.accounts, SUMS_BY_RECIPIENTS);
	for (size_t i = 0; i < reading.accounts.n && i < n; i++) {
		const struct sums_line *line = reading.accounts.lines[i];

		json_array_append_new(array, json_pack("{s:s, s:I, s:I, s:I}", "domain",
		    line->name, "messages", (json_int_t)line->sums.messages, "recipients",
		    (json_int_t)line->sums.recipients, "bytes", (json_int_t)line->sums.bytes));
	}
	return array;
}

/* control_report - what accounts and domains sent on some days, and what they were refused */
json_t *
control_report(const struct asked *asked)
{
	size_t n = (size_t)control_number(asked, "n", 1, CONTROL_ROWS_MAX, TOP_DEFAULT);
	const char *domain = control_text(asked, "domain");
	struct reading reading = { .accounts.ctx = asked->ctx,
		.match = control_text(asked, "match") };
	struct sums_table *accounts = &reading.accounts;
	struct sums_table domains = { .ctx = asked->ctx };
	const char *error = NULL;
	int days;

	if (domain != NULL) {
		reading.domain = domain_normalise(asked->ctx, domain, strlen(domain), &error);
		if (reading.domain == NULL)
			return control_failed(
			    mem_printf(asked->ctx, "\"%.100s\" is not a domain: %s", domain,
			        error));
	}
	days = read_days(asked, &reading, &error);
	if (days != 0)
		return days > 0 ? control_failed_as(CONTROL_REQUEST, error) :
		    control_unread(asked, "the sums", error);
	sums_sort(accounts, SUMS_BY_RECIPIENTS);
	for (size_t i = 0; i < accounts->n; i++)
		sums_add_line(&domains, control_daybook_domain_of(accounts->lines[i]->name),
		    accounts->lines[i]);
	sums_sort(&domains, SUMS_BY_RECIPIENTS);
	return json_pack("{s:b, s:i, s:i, s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:o?}", "ok", 1, "day",
	    reading.to, "from", reading.from, "to", reading.to, "beyond",
	    (json_int_t)reading.beyond, "n_accounts", (json_int_t)accounts->n, "n_domains", (json_int_t)domains.n, "total",
	    total_json(&domains), "accounts", head_json(accounts, n), "domains",
	    head_json(&domains, n), "signing", signing_json(asked, &reading, n));
}

/* --- suggest --- */

/* Of all accounts on some days. */
struct uses {
	TALLOC_CTX *ctx;
	int day;		/* being read */
	struct suggest_use *items;
	size_t n;
	bool too_many;
};

/* take_use - books_sums_each: an account of a day */
static void
take_use(void *arg, const char *account, const struct daybook_row *row)
{
	struct uses *uses = arg;

	if (row->day.messages == 0 || strcmp(account, "*") == 0)
		return;
	uses->too_many = uses->too_many || uses->n == USES_MAX;
	if (uses->too_many)
		return;
	if (uses->n % 1024 == 0)
		uses->items = mem_grow(uses->ctx, uses->items, struct suggest_use, uses->n + 1024);
	uses->items[uses->n++] = (struct suggest_use){ mem_strdup(uses->ctx, account), uses->day,
	    row->peak_recipients, row->day.recipients };
}

/* plan_of_proposal - as JSON */
static json_t *
plan_of_proposal(const char *name, const struct suggest_plan *proposal)
{
	return json_pack("{s:s, s:I, s:I, s:I}", "name", name, "recipients_per_hour",
	    (json_int_t)proposal->hour, "recipients_per_day", (json_int_t)proposal->day, "accounts",
	    (json_int_t)proposal->accounts);
}

/* habit_json - an account that the smaller plan is not enough for */
static json_t *
habit_json(const struct suggest_habit *habit, const char *plan)
{
	json_t *object = json_pack("{s:s, s:I, s:I}", "account", habit->account, "most_per_hour",
	    (json_int_t)habit->most_hour, "most_per_day", (json_int_t)habit->most_day);

	json_object_set_new(object, "plan", plan != NULL ? json_string(plan) : json_null());
	return object;
}

/* suggestion - plans for these habits */
static json_t *
suggestion(TALLOC_CTX *ctx, struct suggest_habit *habits, size_t n, size_t percent)
{
	struct suggest_plans plans = suggest_plans(ctx, habits, n, percent);
	json_t *beyond = json_array();

	for (size_t i = 0; i < n && json_array_size(beyond) < BEYOND_MAX; i++)
		if (!suggest_fits(&habits[i], &plans.person))
			json_array_append_new(beyond, habit_json(&habits[i],
			    suggest_fits(&habits[i], &plans.busy) ? "busy" : NULL));
	return json_pack("{s:b, s:I, s:I, s:[o, o], s:o}", "ok", 1, "n_accounts", (json_int_t)n,
	    "percentile", (json_int_t)percent, "plans", plan_of_proposal("person", &plans.person),
	    plan_of_proposal("busy", &plans.busy), "beyond", beyond);
}

/* control_suggest - limits proposed from what accounts sent on the last days, today left out */
json_t *
control_suggest(const struct asked *asked)
{
	int64_t now = clock_wall_ms();
	int n_days = (int)control_number(asked, "days", 1, DAYBOOK_DAYS - 1, 14);
	size_t percent = (size_t)control_number(asked, "percentile", 50, 100, 95);
	int first = control_number(asked, "today", 0, 1, 0) == 1 ? 0 : 1;
	struct uses uses = { .ctx = asked->ctx };
	const char *error = NULL;
	struct suggest_habit *habits;
	json_t *answer;
	size_t n;

	for (int i = first; i < n_days + first; i++) {
		uses.day = daybook_day(now - i * CLOCK_DAY_MS);
		if (books_read_sums(journal_books(asked->daemon->journal), asked->ctx, uses.day,
			take_use, &uses, &error) != 0)
			return control_unread(asked, "the daybook", error);
	}
	if (uses.too_many)
		return control_failed("that is too much to process at once; use fewer --days");
	if (uses.n == 0)
		return control_failed(mem_printf(asked->ctx,
		    "there is nothing to judge by: no account sent mail from %s to %s (UTC)%s",
		    day_text(asked->ctx, daybook_day(now - (n_days + first - 1) * CLOCK_DAY_MS)),
		    day_text(asked->ctx, daybook_day(now - first * CLOCK_DAY_MS)),
		    first == 1 ? "; today counts with --today" : ""));
	habits = suggest_habits(asked->ctx, uses.items, uses.n, percent, &n);
	answer = suggestion(asked->ctx, habits, n, percent);
	json_object_set_new(
	    answer, "from", json_integer(daybook_day(now - (n_days + first - 1) * CLOCK_DAY_MS)));
	json_object_set_new(answer, "to", json_integer(daybook_day(now - first * CLOCK_DAY_MS)));
	return answer;
}
