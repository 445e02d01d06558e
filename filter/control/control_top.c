/*
 * control_top.c - quota top: the accounts that send most today, and how near they are to a limit
 *
 * The sums are those of the books, which get to know a message within a second or two.
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
#include "filter/message/plans.h"
#include "policy/base/mem.h"

#define TOP_LOOKED_AT	1000	/* accounts whose limits are read for an order by percent */

/* One account of the answer. */
struct top {
	const struct sums_line *sums;
	double percent;		/* of its fullest limit */
	const char *limit;	/* that one, or NULL */
};

/* fill_percent - how full is its fullest limit? */
static void
fill_percent(const struct asked *asked, const struct snapshot *snapshot, struct top *top)
{
	const char *error = NULL;
	struct quota_plan *counters = plans_counters(asked->ctx, snapshot, top->sums->name,
	    clock_ms() + CONTROL_STORE_WAIT_MS, NULL, &error);
	struct quota_reply reply = { 0 };

	if (counters == NULL)
		return;
	store_read(
	    asked->daemon->store, asked->ctx, counters, clock_ms() + CONTROL_STORE_WAIT_MS, &reply);
	for (size_t i = 0; i < reply.n_counts && i < counters->n_counters; i++) {
		const struct quota_count *count = &reply.counts[i];
		double percent =
		    count->max == 0 ? 100.0 : 100.0 * (double)count->used / (double)count->max;

		if (top->limit != NULL && percent <= top->percent)
			continue;
		top->percent = percent;
		top->limit = quota_limit_text(asked->ctx, &counters->counters[i], count);
	}
}

static int
compare_percent(const void *a, const void *b)
{
	const struct top *first = a;
	const struct top *second = b;

	if (first->percent != second->percent)
		return first->percent > second->percent ? -1 : 1;
	return strcmp(first->sums->name, second->sums->name);
}

/* top_json - the first n of a list */
static json_t *
top_json(const struct top *tops, size_t n)
{
	json_t *accounts = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(accounts,
		    json_pack("{s:s, s:I, s:I, s:I, s:f, s:s}", "account", tops[i].sums->name,
			"messages", (json_int_t)tops[i].sums->sums.messages, "recipients",
			(json_int_t)tops[i].sums->sums.recipients, "refused",
			(json_int_t)tops[i].sums->refused, "percent", tops[i].percent, "limit",
			tops[i].limit != NULL ? tops[i].limit : ""));
	return accounts;
}

/* order_of - the order that a word names; false: none */
static bool
order_of(const char *word, enum sums_order *order_r)
{
	static const char *const words[] = {
		[SUMS_BY_RECIPIENTS] = "recipients",
		[SUMS_BY_MESSAGES] = "messages",
		[SUMS_BY_REFUSED] = "refused",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word, words[i]) != 0)
			continue;
		*order_r = (enum sums_order)i;
		return true;
	}
	return false;
}

/* take_account - books_sums_each: an account of today; what is beyond the bound is none */
static void
take_account(void *arg, const char *account, const struct daybook_row *row)
{
	if (strcmp(account, "*") != 0)
		sums_add_row(arg, account, row);
}

/* first_of - how many of a sorted table are among the first n, and have any of what it is sorted
 * by */
static size_t
first_of(const struct sums_table *table, enum sums_order order, size_t n)
{
	size_t first = table->n < n ? table->n : n;

	while (first > 0 && sums_measure(table->lines[first - 1], order) == 0)
		first--;
	return first;
}

/* fill_tops - the first n accounts of a table with their fullest limits */
static struct top *
fill_tops(const struct asked *asked, const struct sums_table *table, size_t n)
{
	struct snapshot *snapshot = daemon_snapshot(asked->daemon);
	struct top *tops = mem_array(asked->ctx, struct top, n + 1);

	for (size_t i = 0; i < n; i++) {
		tops[i].sums = table->lines[i];
		fill_percent(asked, snapshot, &tops[i]);
	}
	snapshot_release(snapshot);
	return tops;
}

/* control_quota_top - the accounts that send most today */
json_t *
control_quota_top(const struct asked *asked)
{
	const char *by = control_text(asked, "by");
	bool percent = by != NULL && strcmp(by, "percent") == 0;
	size_t n = (size_t)control_number(asked, "n", 1, 1000, 10);
	struct sums_table table = { .ctx = asked->ctx };
	enum sums_order order = SUMS_BY_RECIPIENTS;
	const char *error = NULL;
	struct top *tops;
	size_t found;

	if (by != NULL && !percent && !order_of(by, &order))
		return control_failed("top goes by recipients, messages, refused or percent");
	if (books_read_sums(journal_books(asked->daemon->journal), asked->ctx,
		daybook_day(clock_wall_ms()), take_account, &table, &error) != 0)
		return control_failed(
		    mem_printf(asked->ctx, "the sums of today cannot be read: %s", error));
	sums_sort(&table, order);
	/* an account near a limit need not be among the largest; so many are looked at */
	found = first_of(&table, order, percent && n < TOP_LOOKED_AT ? TOP_LOOKED_AT : n);
	tops = fill_tops(asked, &table, found);
	if (percent && found > 0)
		qsort(tops, found, sizeof(tops[0]), compare_percent);
	return json_pack("{s:b, s:s, s:o}", "ok", 1, "by", by != NULL ? by : "recipients",
	    "accounts", top_json(tops, found < n ? found : n));
}
