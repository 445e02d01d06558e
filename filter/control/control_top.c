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
#define TOP_POOLED	10000	/* accounts that are looked up for those of a pool */
#define TOP_DECISIONS	10000	/* messages of the history looked at for those of a network */

/* One account of the answer. */
struct top {
	const struct sums_line *sums;
	double percent;		/* of its fullest limit */
	const char *limit;	/* that one, or NULL */
	const char *limit_of;	/* "pool acme"; NULL: the account's own */
};

/* fill_percent - how full is its fullest limit? */
static void
fill_percent(const struct asked *asked, const struct snapshot *snapshot, struct top *top)
{
	const char *error = NULL;
	struct quota_plan *counters = plans_counters(asked->ctx, snapshot, QUOTA_ACCOUNT,
	    top->sums->name, clock_ms() + CONTROL_STORE_WAIT_MS, NULL, &error);
	struct quota_reply reply = { 0 };
	const struct quota_subject *subject;

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
		subject = &counters->subjects[counters->counters[i].subject];
		top->limit_of = quota_subject_text(asked->ctx, subject->kind, subject->name);
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
		    json_pack("{s:s, s:I, s:I, s:I, s:f, s:s, s:s*}", "account", tops[i].sums->name,
			"messages", (json_int_t)tops[i].sums->sums.messages, "recipients",
			(json_int_t)tops[i].sums->sums.recipients, "refused",
			(json_int_t)tops[i].sums->refused, "percent", tops[i].percent, "limit",
			tops[i].limit != NULL ? tops[i].limit : "", "limit_of",
			tops[i].limit_of));
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

/* Whose accounts are wanted. */
struct top_of {
	const struct asked *asked;
	struct snapshot *snapshot; /* reference held */
	enum quota_subject_kind kind; /* QUOTA_ACCOUNT: of all */
	const char *name;
	struct sums_table *table;
};

/* take_of_domain - books_sums_each: an account of today, if it is of the domain */
static void
take_of_domain(void *arg, const char *account, const struct daybook_row *row)
{
	struct top_of *of = arg;
	const char *domain = strrchr(account, '@');

	if (domain != NULL && strcmp(domain + 1, of->name) == 0)
		sums_add_row(of->table, account, row);
}

/* keep_of_pool - of a sorted table, the accounts of a pool, n at most */
static void
keep_of_pool(const struct top_of *of, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < of->table->n && i < TOP_POOLED && kept < n; i++) {
		const struct lookup lookup = { of->asked->ctx, of->snapshot,
			clock_ms() + CONTROL_STORE_WAIT_MS, NULL, NULL };
		struct plans plans;

		plans_assign(&lookup, of->table->lines[i]->name, NULL, &plans);
		if (plans.pool != NULL && strcmp(plans.pool, of->name) == 0)
			of->table->lines[kept++] = of->table->lines[i];
	}
	of->table->n = kept;
}

/* is_of_network - did a message come from the network? */
static bool
is_of_network(const struct top_of *of, const json_t *decision)
{
	const char *client = json_string_value(json_object_get(decision, "client"));
	const char *open = client != NULL ? strrchr(client, '[') : NULL;
	const struct lookup lookup = { of->asked->ctx, of->snapshot,
		clock_ms() + CONTROL_STORE_WAIT_MS, NULL, NULL };
	struct plans plans;

	if (open == NULL)
		return false;
	plans_assign(&lookup, "-",
	    mem_printf(of->asked->ctx, "%.*s", (int)strcspn(open + 1, "]"), open + 1), &plans);
	return plans.network != NULL && strcmp(plans.network, of->name) == 0;
}

/* take_of_network - the accounts of today's messages from a network, by the history */
static int
take_of_network(const struct top_of *of, const char **error_r)
{
	const struct books_query query = { .n = TOP_DECISIONS };
	json_t *decisions = books_find(
	    journal_books(of->asked->daemon->journal), of->asked->ctx, &query, error_r);
	int today = daybook_day(clock_wall_ms());
	const json_t *decision;
	size_t i;

	if (decisions == NULL)
		return -1;
	json_array_foreach(decisions, i, decision) {
		const char *account = json_string_value(json_object_get(decision, "account"));
		const char *action = json_string_value(json_object_get(decision, "action"));
		struct daybook_row row = { 0 };

		if (account == NULL || action == NULL ||
		    daybook_day(json_integer_value(json_object_get(decision, "at"))) != today ||
		    !is_of_network(of, decision))
			continue;
		if (strcmp(action, "reject") == 0 || strcmp(action, "tempfail") == 0)
			row.refused[REASON_NONE]++;
		else {
			row.day.messages = 1;
			row.day.recipients = (uint64_t)json_integer_value(
			    json_object_get(decision, "recipients"));
		}
		sums_add_row(of->table, account, &row);
	}
	json_decref(decisions);
	return 0;
}

/* take_accounts - the accounts that are wanted, with what they sent today, into of->table */
static int
take_accounts(struct top_of *of, const char **error_r)
{
	if (of->kind == QUOTA_NETWORK)
		return take_of_network(of, error_r);
	return books_read_sums(journal_books(of->asked->daemon->journal), of->asked->ctx,
	    daybook_day(clock_wall_ms()),
	    of->kind == QUOTA_DOMAIN ? take_of_domain : take_account,
	    of->kind == QUOTA_DOMAIN ? (void *)of : of->table, error_r);
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
fill_tops(const struct top_of *of, size_t n)
{
	struct top *tops = mem_array(of->asked->ctx, struct top, n + 1);

	for (size_t i = 0; i < n; i++) {
		tops[i].sums = of->table->lines[i];
		fill_percent(of->asked, of->snapshot, &tops[i]);
	}
	return tops;
}

/* top_answer - the accounts that are wanted, by an order */
static json_t *
top_answer(struct top_of *of, const char *by, enum sums_order order)
{
	bool percent = by != NULL && strcmp(by, "percent") == 0;
	size_t n = (size_t)control_number(of->asked, "n", 1, 1000, 10), most, found;
	const char *error = NULL;
	struct top *tops;

	if (take_accounts(of, &error) != 0)
		return control_unread(of->asked, "the sums of today", error);
	sums_sort(of->table, order);
	/* an account near a limit need not be among the largest; so many are looked at */
	most = percent && n < TOP_LOOKED_AT ? TOP_LOOKED_AT : n;
	if (of->kind == QUOTA_POOL)
		keep_of_pool(of, most);
	found = first_of(of->table, order, most);
	tops = fill_tops(of, found);
	if (percent && found > 0)
		qsort(tops, found, sizeof(tops[0]), compare_percent);
	return json_pack("{s:b, s:s, s:s*, s:o}", "ok", 1, "by", by != NULL ? by : "recipients",
	    "of", quota_subject_text(of->asked->ctx, of->kind, of->name), "accounts",
	    top_json(tops, found < n ? found : n));
}

/* control_quota_top - the accounts that send most today, of all or of a domain, pool or network */
json_t *
control_quota_top(const struct asked *asked)
{
	const char *by = control_text(asked, "by"), *text = control_text(asked, "of");
	struct sums_table table = { .ctx = asked->ctx };
	struct top_of of = { .asked = asked, .kind = QUOTA_ACCOUNT, .table = &table };
	enum sums_order order = SUMS_BY_RECIPIENTS;
	const char *error = NULL;
	struct plans plans;
	json_t *answer;

	if (by != NULL && strcmp(by, "percent") != 0 && !order_of(by, &order))
		return control_failed("top sorts by recipients, messages, refused or percent");
	if (text != NULL && (of.kind = quota_owner_read(text, &of.name)) == QUOTA_ACCOUNT)
		return control_failed(mem_printf(asked->ctx, "\"%.100s\" has no accounts: write "
		    "@DOMAIN, pool:NAME or network:ADDRESS", text));
	of.snapshot = daemon_snapshot(asked->daemon);
	if (text == NULL)
		answer = top_answer(&of, by, order);
	else if (plans_counters(asked->ctx, of.snapshot, of.kind, of.name,
		clock_ms() + CONTROL_STORE_WAIT_MS, &plans, &error) == NULL)
		answer = control_failed(error);
	else {
		of.name = plans.parties[0].name;
		answer = top_answer(&of, by, order);
	}
	snapshot_release(of.snapshot);
	return answer;
}
