/*
 * control_account.c - commands about one account and its limits
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/clock.h"
#include "filter/control_answer.h"
#include "filter/log.h"
#include "policy/mem.h"

/* What a request about an account is about. */
struct subject {
	struct snapshot *snapshot; /* reference held */
	const char *account;	/* normal form */
	const struct plan *plan; /* or NULL */
	const char *plan_from;	/* where that is said */
	struct quota_plan *counters;
};

/* find_subject - the account of a request; NULL and an answer where there is none */
static json_t *
find_subject(const struct asked *asked, struct subject *subject_r)
{
	static const struct quota_cost one = { 1, 1, 1 };
	json_t *answer = NULL;

	subject_r->account = control_account(asked, &answer);
	if (subject_r->account == NULL)
		return answer;
	subject_r->snapshot = daemon_snapshot(asked->daemon);
	subject_r->plan = config_plan(subject_r->snapshot->config, subject_r->account, &subject_r->plan_from);
	subject_r->counters = quota_plan_make(asked->ctx, subject_r->plan, subject_r->account, &one, false, NULL);
	return NULL;
}

/* limits_json - each limit of an account with its use */
static json_t *
limits_json(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct quota_reply *reply)
{
	json_t *limits = json_array();

	for (size_t i = 0; i < plan->n_counters && i < reply->n_counts; i++) {
		const struct quota_counter *counter = &plan->counters[i];
		const struct quota_count *count = &reply->counts[i];
		double percent = count->max == 0 ? 100.0 : 100.0 * (double)count->used / (double)count->max;

		json_array_append_new(limits, json_pack("{s:s, s:I, s:I, s:I, s:f, s:I, s:I}",
		    "limit", quota_limit_text(ctx, counter, count), "used", (json_int_t)count->used,
		    "max", (json_int_t)count->max, "raised_ms", (json_int_t)count->raised_ms, "percent", percent, "wait_ms", (json_int_t)count->one_ms,
		    "next_ms", (json_int_t)count->next_ms));
	}
	return limits;
}

/* control_quota_show - what an account has used */
json_t *
control_quota_show(const struct asked *asked)
{
	struct subject subject = { 0 };
	struct quota_reply reply = { 0 };
	json_t *answer = find_subject(asked, &subject);

	if (answer != NULL)
		return answer;
	store_read(asked->daemon->store, asked->ctx, subject.counters, clock_ms() + CONTROL_STORE_WAIT_MS, &reply);
	if (reply.state == QUOTA_UNKNOWN)
		answer = control_failed(mem_printf(asked->ctx, "the store cannot be asked: %s",
		    reply.problem != NULL ? reply.problem : "no reason given"));
	else
		answer = json_pack("{s:b, s:s, s:s, s:s, s:s, s:o}", "ok", 1, "account", subject.account,
		    "plan", subject.plan != NULL ? subject.plan->name : "", "plan_from", subject.plan_from,
		    "store", reply.store != NULL ? reply.store : "", "limits",
		    limits_json(asked->ctx, subject.counters, &reply));
	snapshot_release(subject.snapshot);
	return answer;
}

/* control_quota_reset - forget what an account has used */
json_t *
control_quota_reset(const struct asked *asked)
{
	struct subject subject = { 0 };
	const char *error = NULL;
	json_t *answer = find_subject(asked, &subject);

	if (answer != NULL)
		return answer;
	if (store_reset(asked->daemon->store, asked->ctx, subject.counters, clock_ms() + CONTROL_STORE_WAIT_MS,
	    &error) != 0) {
		answer = control_failed(mem_printf(asked->ctx, "the counters were not reset: %s", error));
	} else {
		answer = json_pack("{s:b, s:s}", "ok", 1, "account", subject.account);
		log_info("control: quota reset for %s", subject.account);
	}
	snapshot_release(subject.snapshot);
	return answer;
}
