/*
 * suggest.c - plans proposed from what accounts really sent
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base/mem.h"
#include "policy/quota/suggest.h"

#define BUSY_PERCENT	99	/* accounts below this percentile fix the larger plan */

static int
by_number(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a;
	uint64_t second = *(const uint64_t *)b;

	return first < second ? -1 : first > second;
}

/* suggest_percentile - the smallest of n numbers that covers percent of them */
uint64_t
suggest_percentile(uint64_t *numbers, size_t n, size_t percent)
{
	size_t rank;

	if (n == 0)
		return 0;
	qsort(numbers, n, sizeof(numbers[0]), by_number);
	rank = (n * percent + 99) / 100;
	return numbers[rank > 0 ? rank - 1 : 0];
}

static int
by_account_and_day(const void *a, const void *b)
{
	const struct suggest_use *first = a;
	const struct suggest_use *second = b;
	int order = strcmp(first->account, second->account);

	return order != 0 ? order : first->day - second->day;
}

/* habit_of - of n uses of one account, sorted by day; a day that was read out twice counts once */
static struct suggest_habit
habit_of(TALLOC_CTX *ctx, const struct suggest_use *uses, size_t n, size_t percent)
{
	uint64_t *hours = mem_array(ctx, uint64_t, n);
	uint64_t *days = mem_array(ctx, uint64_t, n);
	struct suggest_habit habit = { .account = uses[0].account };
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && uses[i - 1].day == uses[i].day)
			continue;
		hours[kept] = uses[i].most_hour;
		days[kept++] = uses[i].whole_day;
	}
	habit.hour = suggest_percentile(hours, kept, percent);
	habit.day = suggest_percentile(days, kept, percent);
	habit.most_hour = hours[kept - 1];
	habit.most_day = days[kept - 1];
	talloc_free(hours);
	talloc_free(days);
	return habit;
}

/* suggest_habits - what each account sends, by percentile over its days */
struct suggest_habit *
suggest_habits(TALLOC_CTX *ctx, struct suggest_use *uses, size_t n, size_t percent, size_t *n_r)
{
	struct suggest_habit *habits = mem_array(ctx, struct suggest_habit, n + 1);
	size_t next;

	*n_r = 0;
	if (n > 0)
		qsort(uses, n, sizeof(uses[0]), by_account_and_day);
	for (size_t i = 0; i < n; i = next) {
		next = i + 1;
		while (next < n && strcmp(uses[next].account, uses[i].account) == 0)
			next++;
		habits[(*n_r)++] = habit_of(ctx, &uses[i], next - i, percent);
	}
	return habits;
}

/* suggest_rounded - up to a number that people write */
uint64_t
suggest_rounded(uint64_t number)
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

/* suggest_raised - a larger limit of the same unit and window */
char *
suggest_raised(TALLOC_CTX *ctx, const struct limit *limit, uint64_t need)
{
	static const struct { uint64_t factor; const char *unit; } bytes[] = {
		{ UINT64_C(1000000000), "GB" }, { 1000000, "MB" }, { 1000, "KB" },
	};
	uint64_t max = limit->max + (limit->max + 1) / 2;
	char *text;

	if (limit->unlimited || limit->max == 0)
		return NULL;
	max = suggest_rounded(need > max ? need : max);
	if (limit_is_distinct(limit->unit) && max > LIMIT_MAX_CLIENTS)
		max = LIMIT_MAX_CLIENTS;
	if (max <= limit->max)
		return NULL;
	text = limit_text(ctx, limit->unit, max, limit->window_ms);
	for (size_t i = 0; limit->unit == LIMIT_BYTES && i < sizeof(bytes) / sizeof(bytes[0]); i++)
		if (max % bytes[i].factor == 0)
			return mem_printf(ctx, "%" PRIu64 " %s%s", max / bytes[i].factor,
			    bytes[i].unit, strstr(text, " per "));
	return text;
}

/* suggest_span - for how long to raise it */
char *
suggest_span(TALLOC_CTX *ctx, const struct limit *limit)
{
	int64_t hours = (limit->window_ms + 3599999) / 3600000;

	if (hours < 1)
		hours = 1;
	return mem_printf(ctx, "%" PRId64 "%s", hours % 24 == 0 ? hours / 24 : hours,
	    hours % 24 == 0 ? "d" : "h");
}

/* propose - twice what the accounts below a percentile of all accounts usually send */
static struct suggest_plan
propose(TALLOC_CTX *ctx, const struct suggest_habit *habits, size_t n, size_t percent)
{
	uint64_t *hours = mem_array(ctx, uint64_t, n + 1);
	uint64_t *days = mem_array(ctx, uint64_t, n + 1);
	struct suggest_plan plan = { 0 };

	for (size_t i = 0; i < n; i++) {
		hours[i] = habits[i].hour;
		days[i] = habits[i].day;
	}
	plan.hour = suggest_rounded(2 * suggest_percentile(hours, n, percent));
	plan.day = suggest_rounded(2 * suggest_percentile(days, n, percent));
	if (plan.day < plan.hour)
		plan.day = plan.hour;
	talloc_free(hours);
	talloc_free(days);
	return plan;
}

/* suggest_fits - would this account not have reached the limits? */
bool
suggest_fits(const struct suggest_habit *habit, const struct suggest_plan *plan)
{
	return habit->most_hour <= plan->hour && habit->most_day <= plan->day;
}

static int
by_most(const void *a, const void *b)
{
	uint64_t first = ((const struct suggest_habit *)a)->most_day;
	uint64_t second = ((const struct suggest_habit *)b)->most_day;

	return first > second ? -1 : first < second;
}

/* suggest_plans - the plans for n habits */
struct suggest_plans
suggest_plans(TALLOC_CTX *ctx, struct suggest_habit *habits, size_t n, size_t percent)
{
	struct suggest_plans plans = {
		.person = propose(ctx, habits, n, percent),
		.busy = propose(ctx, habits, n, BUSY_PERCENT),
	};

	if (n > 0)
		qsort(habits, n, sizeof(habits[0]), by_most);
	for (size_t i = 0; i < n; i++) {
		bool small = suggest_fits(&habits[i], &plans.person);

		plans.person.accounts += small;
		plans.busy.accounts += !small && suggest_fits(&habits[i], &plans.busy);
	}
	return plans;
}
