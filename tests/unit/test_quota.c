/*
 * test_quota.c - plans, keys, and what totals mean
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/quota/quota.h"

static const uint8_t id[QUOTA_ID_LEN] = { 1, 2, 3 };

/* plan_of - a plan with up to three limits */
static struct plan *
plan_of(TALLOC_CTX *ctx, enum action on_over, const char *a, const char *b, const char *c)
{
	struct plan *plan = mem_new(ctx, struct plan);
	const char *texts[3] = { a, b, c }, *error = NULL;

	plan->name = "test";
	plan->on_over = on_over;
	plan->limits = mem_array(plan, struct limit, 3);
	for (int i = 0; i < 3 && texts[i] != NULL; i++)
		if (limit_parse(plan, texts[i], &plan->limits[plan->n_limits++], &error) < 0)
			fail_msg("%s", error);
	return plan;
}

static void
test_keys(void **state)
{
	static const struct { const char *account, *key; } rows[] = {
		{ "alice@example.org", "{alice@example.org}:a:alice@example.org" },
		{ "o'brien+x", "{o%27brien+x}:a:o%27brien+x" },
		{ "}{", "{%7D%7B}:a:%7D%7B" },
		{ "100% \xc3\xa9\n", "{100%25%20%C3%A9%0A}:a:100%25%20%C3%A9%0A" },
		{ "", "{%}:a:%" },
		{ "%", "{%25}:a:%25" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct quota_plan *asked =
		    quota_plan_make(NULL, NULL, rows[i].account, NULL, false, id);

		assert_int_equal(asked->n_subjects, 1);
		assert_string_equal(asked->subjects[0].key, rows[i].key);
		assert_string_equal(asked->account, rows[i].account);
		assert_int_equal(asked->n_counters, 0);
		talloc_free(asked);
	}
}

static void
test_counters(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct quota_cost cost = { .messages = 1, .recipients = 7, .bytes = 0 };
	struct plan *plan = plan_of(ctx, ACTION_TEMPFAIL, "100 recipients per hour", "unlimited",
	    "1 GB per day");
	struct quota_plan *asked = quota_plan_make(ctx, plan, "alice", &cost, false, id), *copy;

	(void)state;
	assert_int_equal(asked->n_counters, 2);
	assert_string_equal(asked->counters[0].field, "r3600000.48");
	assert_string_equal(asked->counters[0].text, "100 recipients per hour");
	assert_int_equal(asked->counters[0].cost, 7);
	assert_int_equal(asked->counters[0].one, 1);
	assert_int_equal(asked->counters[0].max, 100);
	assert_int_equal(asked->counters[0].width_ms, 75000);
	assert_true(asked->counters[0].binding);
	assert_string_equal(asked->counters[1].field, "b86400000.48");
	assert_int_equal(asked->counters[1].cost, 1);	/* an empty message is a message */
	assert_memory_equal(asked->id, id, sizeof(id));
	copy = quota_plan_copy(ctx, asked);
	talloc_free(asked);
	assert_string_equal(copy->subjects[0].key, "{alice}:a:alice");
	assert_string_equal(copy->counters[1].field, "b86400000.48");
	assert_null(copy->counters[0].text);
	talloc_free(ctx);
}

/* The same window twice is one counter with the smaller limit: it must not be charged twice. */
static void
test_same_window(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct quota_cost cost = { .messages = 1, .recipients = 1, .bytes = 1 };
	struct plan *plan = plan_of(ctx, ACTION_TEMPFAIL, "100 recipients per hour",
	    "50 recipients per 60 minutes", "70 recipients per 3600 seconds");
	struct quota_plan *asked = quota_plan_make(ctx, plan, "alice", &cost, false, id);

	(void)state;
	assert_int_equal(asked->n_counters, 1);
	assert_int_equal(asked->counters[0].max, 50);
	assert_string_equal(asked->counters[0].text, "50 recipients per 60 minutes");
	talloc_free(ctx);
}

static void
test_binding(void **state)
{
	static const struct { enum action on_over; bool observe, binding; } rows[] = {
		{ ACTION_ACCEPT, false, false },
		{ ACTION_WARN, false, false },
		{ ACTION_QUARANTINE, false, false },
		{ ACTION_TEMPFAIL, false, true },
		{ ACTION_REJECT, false, true },
		{ ACTION_TEMPFAIL, true, false },
		{ ACTION_REJECT, true, false },
	};
	struct quota_cost cost = { .messages = 1, .recipients = 1, .bytes = 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan *plan =
		    plan_of(NULL, rows[i].on_over, "1 message per hour", NULL, NULL);
		struct quota_plan *asked =
		    quota_plan_make(plan, plan, "alice", &cost, rows[i].observe, id);

		assert_int_equal(asked->counters[0].binding, rows[i].binding);
		talloc_free(plan);
	}
}

/* Each counter has the mark of its own unit; what a level counts costs a message nothing. */
static void
test_things(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct quota_cost cost = { .messages = 1, .things = {
	    [LIMIT_CLIENTS] = { true, 1 }, [LIMIT_COUNTRIES] = { true, 2 },
	    [LIMIT_REFUSED] = { true, 3 } } };
	struct plan *plan = plan_of(ctx, ACTION_REJECT, "9 countries per day",
	    "9 client-addresses per day", "9 refused-recipients per day");
	const struct quota_party parties[] = { { QUOTA_ACCOUNT, "a", plan, ACTION_REJECT },
		{ QUOTA_DOMAIN, "d", NULL, ACTION_ACCEPT },
		{ QUOTA_POOL, "p", plan, ACTION_REJECT } };
	struct quota_plan *asked = quota_plan_of(ctx, parties, 3, &cost, false, id);

	(void)state;
	assert_int_equal(asked->n_counters, 6);
	assert_int_equal(asked->counters[0].mark, 2);
	assert_int_equal(asked->counters[1].mark, 1);
	assert_int_equal(asked->counters[1].cost, 1);
	assert_int_equal(asked->counters[2].cost, 0);
	assert_true(asked->counters[2].level && asked->counters[2].binding);
	asked = quota_plan_event(ctx, parties, 3, LIMIT_REFUSED, 0, &cost, id);
	assert_int_equal(asked->n_counters, 2);
	assert_string_equal(asked->subjects[asked->counters[1].subject].key, "{p}:p:p");
	assert_int_equal(asked->counters[0].cost, 1);
	assert_int_equal(asked->counters[0].mark, 3);
	assert_false(asked->counters[0].binding);
	assert_int_equal(
	    quota_plan_event(ctx, parties, 3, LIMIT_LOGINS, 0, &cost, id)->n_counters, 0);
	asked = quota_plan_offence(ctx, parties, 3, &plan->limits[0], &cost, id);
	assert_string_equal(asked->subjects[asked->counters[0].subject].key, "{p}:b:a");
	asked = quota_plan_owner(ctx, asked);
	assert_string_equal(asked->subjects[0].key, "{p}:a:a");
	assert_string_equal(asked->subjects[1].key, "{p}:b:a");
	talloc_free(ctx);
}

/* One judgement: a plan of "10 recipients per hour", "20 messages per day". */
struct judgement {
	const char *label;
	enum action on_over;
	bool observe;
	enum quota_state state;
	struct quota_count counts[2];
	enum outcome outcome;
	bool charged;
	bool observed_over;
	const char *limit;
	uint64_t used;
	uint64_t max;
	uint32_t retry_after;
	const char *problem;
};

#define HOURLY	"10 recipients per hour"
#define DAILY	"20 messages per day"

static void
test_judge(void **state)
{
	static const struct judgement rows[] = {
		{ "nothing asked", ACTION_TEMPFAIL, false, QUOTA_NONE, { { 0 } }, OUTCOME_NONE,
		    false, false, NULL, 0, 0, 0, NULL },
		{ "not known", ACTION_TEMPFAIL, false, QUOTA_UNKNOWN, { { 0 } }, OUTCOME_TEMPERROR,
		    false, false, NULL, 0, 0, 0, "away" },
		{ "the hour is nearer to full", ACTION_TEMPFAIL, false, QUOTA_CHARGED,
		    { { .used = 6 }, { .used = 11 } }, OUTCOME_PASS, true, false, HOURLY, 6, 10, 0,
		    NULL },
		{ "the day is nearer to full", ACTION_TEMPFAIL, false, QUOTA_CHARGED,
		    { { .used = 6 }, { .used = 13 } }, OUTCOME_PASS, true, false, DAILY, 13, 20, 0,
		    NULL },
		{ "full is not over", ACTION_WARN, false, QUOTA_CHARGED,
		    { { .used = 10 }, { .used = 3 } }, OUTCOME_PASS, true, false, HOURLY, 10, 10, 0,
		    NULL },
		{ "over, only warned", ACTION_WARN, false, QUOTA_CHARGED,
		    { { .used = 11 }, { .used = 3 } }, OUTCOME_PASS, true, true, HOURLY, 11, 10, 0,
		    NULL },
		{ "over, only watched", ACTION_REJECT, true, QUOTA_CHARGED,
		    { { .used = 4 }, { .used = 21 } }, OUTCOME_PASS, true, true, DAILY, 21, 20, 0,
		    NULL },
		{ "over, held", ACTION_QUARANTINE, false, QUOTA_CHARGED,
		    { { .used = 12 }, { .used = 3 } }, OUTCOME_FAIL, true, false, HOURLY, 12, 10, 0,
		    NULL },
		{ "over, would be held", ACTION_QUARANTINE, true, QUOTA_CHARGED,
		    { { .used = 12 }, { .used = 3 } }, OUTCOME_PASS, true, true, HOURLY, 12, 10, 0,
		    NULL },
		{ "binding and over: counted while Redis was away", ACTION_TEMPFAIL, false,
		    QUOTA_CHARGED, { { .used = 12 }, { .used = 3 } }, OUTCOME_PASS, true, false,
		    HOURLY, 12, 10, 0, NULL },
		{ "refused by the hour", ACTION_TEMPFAIL, false, QUOTA_REFUSED,
		    { { .used = 9, .wait_ms = 5001 }, { .used = 19, .wait_ms = 0 } }, OUTCOME_FAIL,
		    false, false, HOURLY, 9, 10, 6, NULL },
		{ "refused by both: the longer wait", ACTION_TEMPFAIL, false, QUOTA_REFUSED,
		    { { .used = 10, .wait_ms = 5000 }, { .used = 20, .wait_ms = 60000 } },
		    OUTCOME_FAIL, false, false, DAILY, 20, 20, 60, NULL },
		{ "never, by size", ACTION_TEMPFAIL, false, QUOTA_REFUSED,
		    { { .used = 1, .wait_ms = -1 }, { .used = 20, .wait_ms = 60000 } },
		    OUTCOME_FAIL, false, false, HOURLY, 1, 10, 0, "larger than the limit" },
		{ "a millisecond is a second", ACTION_TEMPFAIL, false, QUOTA_REFUSED,
		    { { .used = 10, .wait_ms = 1 }, { .used = 0 } }, OUTCOME_FAIL, false, false,
		    HOURLY, 10, 10, 1, NULL },
	};
	struct quota_cost cost = { .messages = 1, .recipients = 3, .bytes = 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct judgement *row = &rows[i];
		struct plan *plan = plan_of(NULL, row->on_over, HOURLY, DAILY, NULL);
		struct quota_plan *asked =
		    quota_plan_make(plan, plan, "alice", &cost, row->observe, id);
		struct quota_count counts[2];
		struct quota_reply reply = { .state = row->state, .counts = counts, .n_counts = 2,
		    .store = "redis", .problem = row->state == QUOTA_UNKNOWN ? "away" : NULL };
		struct quota_fact fact;

		memcpy(counts, row->counts, sizeof(counts));
		counts[0].max = 10;
		counts[1].max = 20;
		quota_judge(plan, asked, &reply, &fact);
		if (fact.outcome != row->outcome || fact.charged != row->charged ||
		    fact.observed_over != row->observed_over || fact.used != row->used ||
		    fact.max != row->max || fact.retry_after != row->retry_after)
			fail_msg("%s: outcome %d charged %d over %d used %llu max %llu retry %u",
			    row->label, (int)fact.outcome, fact.charged, fact.observed_over,
			    (unsigned long long)fact.used, (unsigned long long)fact.max,
			    fact.retry_after);
		if ((fact.limit == NULL) != (row->limit == NULL) ||
		    (fact.limit != NULL && strcmp(fact.limit, row->limit) != 0))
			fail_msg("%s: limit %s", row->label, fact.limit);
		if ((fact.problem == NULL) != (row->problem == NULL) ||
		    (fact.problem != NULL && strstr(fact.problem, row->problem) == NULL))
			fail_msg("%s: problem %s", row->label, fact.problem);
		assert_string_equal(fact.account, "alice");
		assert_string_equal(fact.store, "redis");
		talloc_free(plan);
	}
}

static void
test_nothing_passes(void **state)
{
	struct plan *plan = plan_of(NULL, ACTION_REJECT, "0", NULL, NULL);
	struct quota_cost cost = { .messages = 1, .recipients = 1, .bytes = 1 };
	struct quota_plan *asked = quota_plan_make(plan, plan, "alice", &cost, false, id);
	struct quota_count count = { .wait_ms = -1, .one_ms = -1 };
	struct quota_reply reply = { .state = QUOTA_REFUSED, .counts = &count, .n_counts = 1 };
	struct quota_fact fact;

	(void)state;
	assert_int_equal(asked->counters[0].max, 0);
	quota_judge(plan, asked, &reply, &fact);
	assert_int_equal(fact.outcome, OUTCOME_FAIL);
	assert_string_equal(fact.problem, "the limit lets nothing pass");
	assert_int_equal(quota_one_wait(asked, &reply, NULL), -1);
	talloc_free(plan);
}

static void
test_warned(void **state)
{
	static const struct {
		const char *label;
		unsigned int at;
		uint64_t used;
		bool warned;
	} rows[] = {
		{ "not asked for", 0, 10, false },
		{ "below", 80, 7, false },
		{ "crossed", 80, 8, true },
		{ "crossed and passed", 80, 10, true },
		{ "crossed before", 80, 11, false },
		{ "all of it", 100, 10, true },
		{ "not quite all of it", 100, 9, false },
	};
	struct quota_cost cost = { .messages = 1, .recipients = 3, .bytes = 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan *plan = plan_of(NULL, ACTION_TEMPFAIL, HOURLY, NULL, NULL);
		struct quota_count count = { .used = rows[i].used, .cost = 3, .max = 10 };
		struct quota_reply reply = {
			.state = QUOTA_CHARGED, .counts = &count, .n_counts = 1
		};
		struct quota_mark *marks;
		struct quota_plan *asked;

		plan->warn_at = rows[i].at;
		asked = quota_plan_make(plan, plan, "alice", &cost, false, id);
		if (quota_marks(plan, asked, &reply, &marks) != (rows[i].warned ? 1 : 0))
			fail_msg("%s", rows[i].label);
		reply.state = QUOTA_REFUSED;
		assert_int_equal(quota_marks(plan, asked, &reply, &marks), 0);
		talloc_free(plan);
	}
}

/* each limit of each party that one message takes to its mark */
static void
test_marks_of_parties(void **state)
{
	struct plan *own = plan_of(NULL, ACTION_TEMPFAIL, HOURLY, DAILY, NULL);
	struct plan *shared = plan_of(own, ACTION_REJECT, HOURLY, NULL, NULL);
	struct quota_party parties[] = {
		{ .kind = QUOTA_ACCOUNT, .name = "a@example.org", .plan = own },
		{ .kind = QUOTA_DOMAIN, .name = "example.org", .plan = shared,
		    .on_over = ACTION_REJECT },
		{ .kind = QUOTA_POOL, .name = "acme", .plan = shared },
	};
	struct quota_cost cost = { .messages = 1, .recipients = 6, .bytes = 1 };
	struct quota_count counts[] = {
		{ .used = 6, .cost = 6, .max = 10 },	/* 50% crossed */
		{ .used = 6, .cost = 6, .max = 20 },
		{ .used = 9, .cost = 6, .max = 10 },	/* 90% crossed */
		{ .used = 16, .cost = 6, .max = 10 },	/* crossed before */
	};
	struct quota_reply reply = { .state = QUOTA_CHARGED, .counts = counts, .n_counts = 4 };
	struct quota_mark *marks;
	struct quota_plan *asked;

	(void)state;
	own->warn_at = 50;
	shared->warn_at = 90;
	asked = quota_plan_of(own, parties, 3, &cost, false, id);
	assert_int_equal(asked->n_counters, 4);
	assert_int_equal(quota_marks(own, asked, &reply, &marks), 2);
	assert_null(marks[0].subject);
	assert_int_equal(marks[0].percent, 50);
	assert_string_equal(marks[1].subject, "domain example.org");
	assert_string_equal(marks[1].limit, HOURLY);
	assert_int_equal(marks[1].percent, 90);
	assert_int_equal(marks[1].on_over, ACTION_REJECT);
	talloc_free(own);
}

static void
test_one_wait(void **state)
{
	struct plan *plan = plan_of(NULL, ACTION_TEMPFAIL, HOURLY, DAILY, NULL);
	struct quota_cost cost = { .messages = 1, .recipients = 3, .bytes = 1 };
	struct quota_plan *asked = quota_plan_make(plan, plan, "alice", &cost, false, id);
	struct quota_count counts[2] = { { .wait_ms = 500 }, { .wait_ms = 0 } };
	struct quota_reply reply = { .state = QUOTA_REFUSED, .counts = counts, .n_counts = 2 };
	size_t fullest;

	(void)state;
	assert_int_equal(quota_one_wait(asked, &reply, &fullest), 0);
	counts[1].one_ms = 700;
	assert_int_equal(quota_one_wait(asked, &reply, &fullest), 700);
	assert_int_equal(fullest, 1);
	counts[0].one_ms = -1;
	assert_int_equal(quota_one_wait(asked, &reply, &fullest), -1);
	assert_int_equal(fullest, 0);
	asked->counters[0].binding = false;
	asked->counters[1].binding = false;
	assert_int_equal(quota_one_wait(asked, &reply, &fullest), 0);
	talloc_free(plan);
}

static void
test_like(void **state)
{
	size_t culprit;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct limit hourly, daily;
	const char *error;
	struct plan plans[] = {
		{ .name = "big", .like = "business", .has_warn_at = true, .warn_at = 50 },
		{ .name = "business",
		    .like = "person",
		    .has_limits = true,
		    .limits = &daily,
		    .n_limits = 1 },
		{ .name = "person",
		    .has_limits = true,
		    .limits = &hourly,
		    .n_limits = 1,
		    .has_on_over = true,
		    .on_over = ACTION_REJECT,
		    .has_warn_at = true,
		    .warn_at = 80,
		    .has_max_recipients = true,
		    .max_recipients = 100 },
		{ .name = "free", .like = "person", .has_limits = true },
		{ .name = "alone" },
	};

	(void)state;
	assert_int_equal(quota_plans_resolve(ctx, plans, 5, &culprit, &error), 0);
	assert_ptr_equal(plans[0].limits, &daily);
	assert_int_equal(plans[0].warn_at, 50);
	assert_int_equal(plans[0].on_over, ACTION_REJECT);
	assert_int_equal(plans[0].max_recipients, 100);
	assert_int_equal(plans[1].warn_at, 80);
	assert_int_equal(plans[3].n_limits, 0);
	assert_int_equal(plans[3].warn_at, 80);
	assert_int_equal(plans[4].on_over, ACTION_TEMPFAIL);
	talloc_free(ctx);
}

static void
test_like_wrong(void **state)
{
	size_t culprit;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct plan unknown[] = { { .name = "a", .like = "b" } };
	struct plan self[] = { { .name = "a", .like = "a" } };
	struct plan circle[] = { { .name = "a", .like = "b" }, { .name = "b", .like = "a" } };
	struct plan tail[] = { { .name = "x", .like = "a" }, { .name = "a", .like = "b" },
	    { .name = "b", .like = "a" } };
	struct plan twice[] = { { .name = "a" }, { .name = "a" } };
	const char *error;

	(void)state;
	assert_int_equal(quota_plans_resolve(ctx, unknown, 1, &culprit, &error), -1);
	assert_non_null(strstr(error, "there is no plan of that name"));
	assert_int_equal(quota_plans_resolve(ctx, self, 1, &culprit, &error), -1);
	assert_non_null(strstr(error, "like itself"));
	assert_int_equal(quota_plans_resolve(ctx, circle, 2, &culprit, &error), -1);
	assert_int_equal(quota_plans_resolve(ctx, tail, 3, &culprit, &error), -1);
	assert_int_equal(quota_plans_resolve(ctx, twice, 2, &culprit, &error), -1);
	assert_non_null(strstr(error, "two plans"));
	talloc_free(ctx);
}

/* whose limit it was: the texts of quota_name_limit find their party again */
static void
test_party_named(void **state)
{
	const struct quota_party parties[] = {
		{ .kind = QUOTA_ACCOUNT, .name = "a@example.org" },
		{ .kind = QUOTA_DOMAIN, .name = "example.org" },
		{ .kind = QUOTA_POOL, .name = "pool 7" },
		{ .kind = QUOTA_NETWORK, .name = "192.0.2.0/24" },
	};

	(void)state;
	assert_ptr_equal(quota_party_named(parties, 4, NULL), &parties[0]);
	assert_ptr_equal(quota_party_named(parties, 4, "domain example.org"), &parties[1]);
	assert_ptr_equal(quota_party_named(parties, 4, "pool pool 7"), &parties[2]);
	assert_ptr_equal(quota_party_named(parties, 4, "network 192.0.2.0/24"), &parties[3]);
	assert_null(quota_party_named(parties, 4, "network 198.51.100.0/24"));
	assert_null(quota_party_named(parties, 4, "domain"));
	assert_null(quota_party_named(parties, 4, "account a@example.org"));
	assert_null(quota_party_named(parties, 0, NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_same_window),
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_things),
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_nothing_passes),
		cmocka_unit_test(test_warned),
		cmocka_unit_test(test_marks_of_parties),
		cmocka_unit_test(test_one_wait),
		cmocka_unit_test(test_like),
		cmocka_unit_test(test_like_wrong),
		cmocka_unit_test(test_party_named),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
