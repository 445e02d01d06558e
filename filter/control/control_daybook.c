/*
 * control_daybook.c - commands about many accounts over days: report, quota suggest
 *
 * Both read whole days of the daybook into a table, sort it, and answer with its head.
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
#include "policy/base/domain.h"
#include "policy/base/mem.h"

#define ROWS_MAX	1000	/* accounts or domains in an answer at most */
#define TOP_DEFAULT	20
#define USES_MAX	1000000	/* accounts times days that suggest weighs */
#define BEYOND_MAX	200	/* accounts named by suggest */

/* One account, or one domain, of a day. */
struct line {
	char *name;
	struct daybook_row sum;
};

/* All of them. */
struct lines {
	TALLOC_CTX *ctx;
	struct line **items;
	size_t n;
	const char *domain;		/* only accounts of this one, or NULL */
};

/* domain_of - the domain of an account, or "-" */
static const char *
domain_of(const char *account)
{
	const char *at = strrchr(account, '@');

	return at != NULL ? at + 1 : "-";
}

/* add_row - b to a; hours are not added, they are of single days */
static void
add_row(struct daybook_row *a, const struct daybook_row *b)
{
	a->day.messages += b->day.messages;
	a->day.recipients += b->day.recipients;
	a->day.bytes += b->day.bytes;
	a->connections += b->connections;
	for (int reason = 0; reason < REASON_COUNT; reason++) {
		a->refused[reason] += b->refused[reason];
		a->would[reason] += b->would[reason];
	}
}

/* push_line - one more line */
static struct line *
push_line(struct lines *lines, const char *name)
{
	if (lines->n % 256 == 0)
		lines->items = mem_grow(lines->ctx, lines->items, struct line *, lines->n + 256);
	lines->items[lines->n] = mem_new(lines->ctx, struct line);
	lines->items[lines->n]->name = mem_strdup(lines->items[lines->n], name);
	return lines->items[lines->n++];
}

/* take_row - books_sums_each: an account of a day */
static void
take_row(void *arg, const char *account, const struct daybook_row *row)
{
	struct lines *lines = arg;
	struct line *line;

	if (lines->domain != NULL && strcmp(domain_of(account), lines->domain) != 0)
		return;
	line = push_line(lines, account);
	line->sum = *row;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(struct line *const *)a)->name, (*(struct line *const *)b)->name);
}

static int
by_recipients(const void *a, const void *b)
{
	const struct line *first = *(struct line *const *)a;
	const struct line *second = *(struct line *const *)b;

	if (first->sum.day.recipients != second->sum.day.recipients)
		return first->sum.day.recipients > second->sum.day.recipients ? -1 : 1;
	return strcmp(first->name, second->name);
}

/* sort_lines - in that order */
static void
sort_lines(struct lines *lines, int (*compare)(const void *, const void *))
{
	if (lines->n > 0)
		qsort(lines->items, lines->n, sizeof(lines->items[0]), compare);
}

/* merge_lines - lines of one name become one; leaves them sorted by name */
static void
merge_lines(struct lines *lines)
{
	size_t kept = 0;

	sort_lines(lines, by_name);
	for (size_t i = 0; i < lines->n; i++) {
		struct line *line = lines->items[i];
		struct line *last = kept > 0 ? lines->items[kept - 1] : NULL;

		if (last == NULL || strcmp(last->name, line->name) != 0) {
			lines->items[kept++] = line;
			continue;
		}
		add_row(&last->sum, &line->sum);
		talloc_free(line);
	}
	lines->n = kept;
}

/* drop_doubles - a hash that grows while Redis reads it out may tell a row twice; of one day the
 * last counts */
static void
drop_doubles(struct lines *lines)
{
	size_t kept = 0;

	sort_lines(lines, by_name);
	for (size_t i = 0; i < lines->n; i++) {
		if (kept > 0 && strcmp(lines->items[kept - 1]->name, lines->items[i]->name) == 0)
			talloc_free(lines->items[--kept]);
		lines->items[kept++] = lines->items[i];
	}
	lines->n = kept;
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
line_json(const struct line *line)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o*, s:o*}", "name", line->name,
	    "messages", (json_int_t)line->sum.day.messages, "recipients",
	    (json_int_t)line->sum.day.recipients, "bytes", (json_int_t)line->sum.day.bytes,
	    "connections", (json_int_t)line->sum.connections, "peak_hour_recipients",
	    (json_int_t)line->sum.peak.recipients, "refused", reasons_json(line->sum.refused),
	    "would_be_refused", reasons_json(line->sum.would));
}

/* head_json - the first n lines */
static json_t *
head_json(const struct lines *lines, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < lines->n && i < n; i++)
		json_array_append_new(array, line_json(lines->items[i]));
	return array;
}

/* domains_of - the same by domain */
static struct lines
domains_of(const struct lines *accounts)
{
	struct lines domains = { .ctx = accounts->ctx };

	for (size_t i = 0; i < accounts->n; i++) {
		struct line *line = push_line(&domains, domain_of(accounts->items[i]->name));

		line->sum = accounts->items[i]->sum;
		/* the hours of accounts need not be the same ones */
		memset(&line->sum.peak, 0, sizeof(line->sum.peak));
	}
	merge_lines(&domains);
	return domains;
}

/* total_of - all lines in one */
static struct line
total_of(const struct lines *lines)
{
	static char name[] = "all";
	struct line total = { .name = name };

	for (size_t i = 0; i < lines->n; i++)
		add_row(&total.sum, &lines->items[i]->sum);
	return total;
}

/* control_report - what accounts and domains sent on a day, and what they were refused */
json_t *
control_report(const struct asked *asked)
{
	int today = daybook_day(clock_wall_ms());
	int day = (int)control_number(asked, "day", 20000101, 99991231, today);
	size_t n = (size_t)control_number(asked, "n", 1, ROWS_MAX, TOP_DEFAULT);
	const char *domain = control_text(asked, "domain");
	struct lines accounts = { .ctx = asked->ctx };
	struct lines domains;
	struct line total;
	const char *error = NULL;

	if (domain != NULL) {
		accounts.domain = domain_normalise(asked->ctx, domain, strlen(domain), &error);
		if (accounts.domain == NULL)
			return control_failed(
			    mem_printf(asked->ctx, "\"%.100s\" is no domain: %s", domain, error));
	}
	if (books_read_sums(journal_books(asked->daemon->journal), asked->ctx, day, take_row,
		&accounts, &error) != 0)
		return control_failed(
		    mem_printf(asked->ctx, "the daybook cannot be read: %s", error));
	drop_doubles(&accounts);
	domains = domains_of(&accounts);
	total = total_of(&accounts);
	sort_lines(&accounts, by_recipients);
	sort_lines(&domains, by_recipients);
	return json_pack("{s:b, s:i, s:I, s:I, s:o, s:o, s:o}", "ok", 1, "day", day, "n_accounts",
	    (json_int_t)accounts.n, "n_domains", (json_int_t)domains.n, "total", line_json(&total),
	    "accounts", head_json(&accounts, n), "domains", head_json(&domains, n));
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
