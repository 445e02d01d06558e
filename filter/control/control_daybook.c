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

#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/control/control_asked.h"
#include "filter/control/control_sums.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

#define ROWS_MAX	1000	/* accounts or domains in an answer at most */
#define TOP_DEFAULT	20
#define USES_MAX	1000000	/* accounts times days that suggest weighs */
#define BEYOND_MAX	200	/* accounts named by suggest */

/* control_daybook_domain_of - the domain of an account, or "-" */
static const char *
control_daybook_domain_of(const char *account)
{
	const char *at = strrchr(account, '@');

	return at != NULL ? at + 1 : "-";
}

/* What is being read for a report. */
struct reading {
	struct sums_table accounts;
	const char *domain;		/* only accounts of this one, or NULL */
};

/* take_row - books_sums_each: an account of a day */
static void
take_row(void *arg, const char *account, const struct daybook_row *row)
{
	struct reading *reading = arg;

	if (reading->domain == NULL ||
	    strcmp(control_daybook_domain_of(account), reading->domain) == 0)
		sums_add_row(&reading->accounts, account, row);
}

/* reasons_json - refusals by reason, or NULL where there are none */
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
		json_array_append_new(array, line_json(&table->lines[i]));
	return array;
}

/* total_json - all lines in one */
static json_t *
total_json(const struct sums_table *domains)
{
	struct sums_table total = { .ctx = domains->ctx };
	const struct sums_line none = { 0 };

	sums_add_line(&total, "all", &none);
	for (size_t i = 0; i < domains->n; i++)
		sums_add_line(&total, "all", &domains->lines[i]);
	return line_json(&total.lines[0]);
}

/* control_report - what accounts and domains sent on a day, and what they were refused */
json_t *
control_report(const struct asked *asked)
{
	int today = daybook_day(clock_wall_ms());
	int day = (int)control_number(asked, "day", 20000101, 99991231, today);
	size_t n = (size_t)control_number(asked, "n", 1, ROWS_MAX, TOP_DEFAULT);
	const char *domain = control_text(asked, "domain");
	struct reading reading = { .accounts.ctx = asked->ctx };
	struct sums_table *accounts = &reading.accounts;
	struct sums_table domains = { .ctx = asked->ctx };
	const char *error = NULL;

	if (domain != NULL) {
		reading.domain = domain_normalise(asked->ctx, domain, strlen(domain), &error);
		if (reading.domain == NULL)
			return control_failed(
			    mem_printf(asked->ctx, "\"%.100s\" is no domain: %s", domain, error));
	}
	if (books_read_sums(journal_books(asked->daemon->journal), asked->ctx, day, take_row,
		&reading, &error) != 0)
		return control_failed(
		    mem_printf(asked->ctx, "the daybook cannot be read: %s", error));
	for (size_t i = 0; i < accounts->n; i++)
		sums_add_line(&domains, control_daybook_domain_of(accounts->lines[i].name),
		    &accounts->lines[i]);
	sums_sort(accounts, SUMS_BY_RECIPIENTS);
	sums_sort(&domains, SUMS_BY_RECIPIENTS);
	return json_pack("{s:b, s:i, s:I, s:I, s:o, s:o, s:o}", "ok", 1, "day", day, "n_accounts",
	    (json_int_t)accounts->n, "n_domains", (json_int_t)domains.n, "total",
	    total_json(&domains), "accounts", head_json(accounts, n), "domains",
	    head_json(&domains, n));
}

/* --- suggest --- */

static int
by_number(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a;
	uint64_t second = *(const uint64_t *)b;

	return first < second ? -1 : first > second;
}

/* percentile - of n numbers, which are sorted in place; the smallest that covers so many percent */
static uint64_t
percentile(uint64_t *numbers, size_t n, size_t percent)
{
	size_t rank;

	if (n == 0)
		return 0;
	qsort(numbers, n, sizeof(numbers[0]), by_number);
	rank = (n * percent + 99) / 100;
	return numbers[rank > 0 ? rank - 1 : 0];
}

/* What an account sent on one day. */
struct use {
	const char *account;
	int day;
	uint64_t most_hour;	/* recipients in the fullest hour */
	uint64_t most_day;
};

/* Of all accounts on some days. */
struct uses {
	TALLOC_CTX *ctx;
	int day;		/* being read */
	struct use *items;
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
		uses->items = mem_grow(uses->ctx, uses->items, struct use, uses->n + 1024);
	uses->items[uses->n++] = (struct use){ mem_strdup(uses->ctx, account), uses->day,
	    row->peak.recipients, row->day.recipients };
}

static int
by_account_and_day(const void *a, const void *b)
{
	const struct use *first = a;
	const struct use *second = b;
	int order = strcmp(first->account, second->account);

	return order != 0 ? order : first->day - second->day;
}

/* An account's usual use. */
struct habit {
	const char *account;
	uint64_t hour;		/* recipients in the fullest hour of all but its busiest days */
	uint64_t day;
	uint64_t most_hour;	/* and of the busiest */
	uint64_t most_day;
};

/* A plan in the making. */
struct proposal {
	uint64_t hour;
	uint64_t day;
	size_t accounts;	/* that it is enough for, and no smaller one */
};

/* habit_of - of n uses of one account, sorted by day; a day that was read out twice counts once */
static struct habit
habit_of(const struct use *uses, size_t n, size_t percent)
{
	uint64_t hours[DAYBOOK_DAYS];
	uint64_t days[DAYBOOK_DAYS];
	struct habit habit = { .account = uses[0].account };
	size_t kept = 0;

	for (size_t i = 0; i < n && kept < DAYBOOK_DAYS; i++) {
		if (i > 0 && uses[i - 1].day == uses[i].day)
			continue;
		hours[kept] = uses[i].most_hour;
		days[kept++] = uses[i].most_day;
	}
	habit.hour = percentile(hours, kept, percent);
	habit.day = percentile(days, kept, percent);
	habit.most_hour = hours[kept - 1];
	habit.most_day = days[kept - 1];
	return habit;
}

/* habits_of - what each account sends, by percentile over its days */
static struct habit *
habits_of(const struct uses *uses, size_t percent, size_t *n_r)
{
	struct habit *habits = mem_array(uses->ctx, struct habit, uses->n + 1);
	size_t next;

	*n_r = 0;
	if (uses->n > 0)
		qsort(uses->items, uses->n, sizeof(uses->items[0]), by_account_and_day);
	for (size_t i = 0; i < uses->n; i = next) {
		for (next = i + 1; next < uses->n &&
		     strcmp(uses->items[next].account, uses->items[i].account) == 0;
		     next++)
			;
		habits[(*n_r)++] = habit_of(&uses->items[i], next - i, percent);
	}
	return habits;
}

/* rounded - up to a number people write: 1, 2 or 5 and a half of it in between, times a power of
 * ten */
static uint64_t
rounded(uint64_t number)
{
	static const unsigned int steps[] = { 10, 15, 20, 30, 40, 50, 60, 80, 100 };
	uint64_t scale = 1;

	while (scale * 10 < number)
		scale *= 10;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (scale * steps[i] / 10 >= number && scale * steps[i] % 10 == 0)
			return scale * steps[i] / 10;
	return scale * 10;
}

/* propose - twice what the accounts below a percentile of all accounts usually send */
static struct proposal
propose(TALLOC_CTX *ctx, const struct habit *habits, size_t n, size_t percent)
{
	uint64_t *hours = mem_array(ctx, uint64_t, n + 1);
	uint64_t *days = mem_array(ctx, uint64_t, n + 1);
	struct proposal proposal = { 0 };

	for (size_t i = 0; i < n; i++) {
		hours[i] = habits[i].hour;
		days[i] = habits[i].day;
	}
	proposal.hour = rounded(2 * percentile(hours, n, percent));
	proposal.day = rounded(2 * percentile(days, n, percent));
	if (proposal.day < proposal.hour)
		proposal.day = proposal.hour;
	return proposal;
}

/* fits - would this account not have met the limits, even on its busiest day? */
static bool
fits(const struct habit *habit, const struct proposal *proposal)
{
	return habit->most_hour <= proposal->hour && habit->most_day <= proposal->day;
}

/* plan_of_proposal - as JSON */
static json_t *
plan_of_proposal(const char *name, const struct proposal *proposal)
{
	return json_pack("{s:s, s:I, s:I, s:I}", "name", name, "recipients_per_hour",
	    (json_int_t)proposal->hour, "recipients_per_day", (json_int_t)proposal->day, "accounts",
	    (json_int_t)proposal->accounts);
}

/* habit_json - an account that the smaller plan is not enough for */
static json_t *
habit_json(const struct habit *habit, const char *plan)
{
	json_t *object = json_pack("{s:s, s:I, s:I}", "account", habit->account, "most_per_hour",
	    (json_int_t)habit->most_hour, "most_per_day", (json_int_t)habit->most_day);

	json_object_set_new(object, "plan", plan != NULL ? json_string(plan) : json_null());
	return object;
}

static int
by_most(const void *a, const void *b)
{
	uint64_t first = ((const struct habit *)a)->most_day;
	uint64_t second = ((const struct habit *)b)->most_day;

	return first > second ? -1 : first < second;
}

/* suggestion - plans for these habits */
static json_t *
suggestion(TALLOC_CTX *ctx, struct habit *habits, size_t n, size_t percent)
{
	struct proposal person = propose(ctx, habits, n, percent);
	struct proposal busy = propose(ctx, habits, n, 99);
	json_t *beyond = json_array();

	if (n > 0)
		qsort(habits, n, sizeof(habits[0]), by_most);
	for (size_t i = 0; i < n; i++) {
		bool small = fits(&habits[i], &person);
		bool large = !small && fits(&habits[i], &busy);

		person.accounts += small;
		busy.accounts += large;
		if (!small && json_array_size(beyond) < BEYOND_MAX)
			json_array_append_new(
			    beyond, habit_json(&habits[i], large ? "busy" : NULL));
	}
	return json_pack("{s:b, s:I, s:I, s:[o, o], s:o}", "ok", 1, "n_accounts", (json_int_t)n,
	    "percentile", (json_int_t)percent, "plans", plan_of_proposal("person", &person),
	    plan_of_proposal("busy", &busy), "beyond", beyond);
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
	struct habit *habits;
	json_t *answer;
	size_t n;

	for (int i = first; i < n_days + first; i++) {
		uses.day = daybook_day(now - i * CLOCK_DAY_MS);
		if (books_read_sums(journal_books(asked->daemon->journal), asked->ctx, uses.day,
			take_use, &uses, &error) != 0)
			return control_failed(
			    mem_printf(asked->ctx, "the daybook cannot be read: %s", error));
	}
	if (uses.too_many)
		return control_failed("that is too much to weigh at once; ask for fewer --days");
	habits = habits_of(&uses, percent, &n);
	answer = suggestion(asked->ctx, habits, n, percent);
	json_object_set_new(
	    answer, "from", json_integer(daybook_day(now - (n_days + first - 1) * CLOCK_DAY_MS)));
	json_object_set_new(answer, "to", json_integer(daybook_day(now - first * CLOCK_DAY_MS)));
	return answer;
}
