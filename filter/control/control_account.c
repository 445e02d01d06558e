/*
 * control_account.c - commands about one account and its limits
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <time.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/control/control_asked.h"
#include "filter/message/plans.h"
#include "policy/base/mem.h"


/* What a request about an account is about. */
struct subject {
	struct snapshot *snapshot; /* reference held */
	const char *account;	/* normal form */
	const struct plan *plan; /* or NULL */
	const char *plan_from;	/* where that is said */
	const char *home; /* "pool acme", where counters are kept; "" in the account's own home */
	struct plans plans;	/* the account's own first, then those of domain and pool */
	struct quota_plan *counters;
};

/* home_text - whose home the counters are in, "" for the account's own */
static const char *
home_text(TALLOC_CTX *ctx, const struct plans *plans)
{
	const char *home = quota_home(plans->parties, plans->n);

	for (size_t i = 1; i < plans->n; i++)
		if (plans->parties[i].name == home)
			return mem_printf(
			    ctx, "%s %s", quota_kind_word(plans->parties[i].kind), home);
	return "";
}

/* find_subject - the account of a request; NULL and an answer where there is none */
static json_t *
find_subject(const struct asked *asked, struct subject *subject_r)
{
	const char *error = NULL;
	json_t *answer = NULL;

	subject_r->account = control_account(asked, &answer);
	if (subject_r->account == NULL)
		return answer;
	subject_r->snapshot = daemon_snapshot(asked->daemon);
	subject_r->counters = plans_counters(asked->ctx, subject_r->snapshot, subject_r->account,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &subject_r->plans, &error);
	if (subject_r->counters == NULL) {
		snapshot_release(subject_r->snapshot);
		return control_failed(error);
	}
	subject_r->plan = subject_r->plans.parties[0].plan;
	subject_r->plan_from = subject_r->plans.from[0];
	subject_r->home = home_text(asked->ctx, &subject_r->plans);
	return NULL;
}

/* of_text - whose limit it is, "" for the account's own */
static const char *
of_text(TALLOC_CTX *ctx, const struct quota_subject *subject)
{
	return subject->kind == QUOTA_ACCOUNT ? "" :
	    mem_printf(ctx, "%s %s", quota_kind_word(subject->kind), subject->name);
}

/* limits_json - each limit of an account with its use */
static json_t *
limits_json(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct quota_reply *reply)
{
	json_t *limits = json_array();

	for (size_t i = 0; i < plan->n_counters && i < reply->n_counts; i++) {
		const struct quota_counter *counter = &plan->counters[i];
		const struct quota_count *count = &reply->counts[i];
		double percent =
		    count->max == 0 ? 100.0 : 100.0 * (double)count->used / (double)count->max;

		json_array_append_new(limits,
		    json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:I, s:I}", "limit",
			quota_limit_text(ctx, counter, count), "of",
			of_text(ctx, &plan->subjects[counter->subject]), "used",
			(json_int_t)count->used, "max", (json_int_t)count->max, "raised_ms",
			(json_int_t)count->raised_ms, "percent", percent, "wait_ms",
			(json_int_t)count->one_ms, "next_ms", (json_int_t)count->next_ms));
	}
	return limits;
}

/* block_json - a block */
static json_t *
block_json(const struct store_block *block)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I}", "account", block->account, "reason",
	    block->reason != NULL ? block->reason : "", "by", block->by != NULL ? block->by : "",
	    "since", (json_int_t)block->since, "until", (json_int_t)block->until);
}

/*
 * await_blocks - without a daemon the store was opened this moment, and its thread is reading who
 * is blocked So an empty list is looked at again for a second.
 */
static void
await_blocks(const struct asked *asked)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000000 };
	struct store_block *list = NULL;
	size_t n = 0;

	for (int i = 0; asked->remote && i < 50; i++) {
		store_blocked(asked->daemon->store, asked->ctx, &list, &n);
		if (n > 0)
			break;
		(void)nanosleep(&pause, NULL);
	}
}

/* block_of - an account's block, or NULL */
static json_t *
block_of(const struct asked *asked, const char *account)
{
	struct store_block block;

	await_blocks(asked);
	return store_known_block(asked->daemon->store, asked->ctx, account, &block)
	    ? block_json(&block)
	    : NULL;
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
	store_read(asked->daemon->store, asked->ctx, subject.counters,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &reply);
	if (reply.state == QUOTA_UNKNOWN)
		answer = control_failed(mem_printf(asked->ctx, "the store cannot be asked: %s",
		    reply.problem != NULL ? reply.problem : "no reason given"));
	else
		answer = json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:o, s:o*}", "ok", 1, "account",
		    subject.account, "home", subject.home, "plan",
		    subject.plan != NULL ? subject.plan->name : "", "plan_from", subject.plan_from,
		    "store", reply.store != NULL ? reply.store : "", "limits",
		    limits_json(asked->ctx, subject.counters, &reply), "blocked",
		    block_of(asked, subject.account));
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
	if (store_reset(asked->daemon->store, asked->ctx, subject.counters,
		clock_ms() + CONTROL_STORE_WAIT_MS, &error) != 0) {
		answer = control_failed(
		    mem_printf(asked->ctx, "the counters were not reset: %s", error));
	} else {
		answer = json_pack("{s:b, s:s}", "ok", 1, "account", subject.account);
		log_info("control: quota reset for %s", subject.account);
	}
	snapshot_release(subject.snapshot);
	return answer;
}

/* held_text - the end of a line of the log about a change */
static const char *
held_text(const char *note)
{
	return note != NULL ? " (held until Redis is back)" : "";
}

/* with_held - an answer of a change that was made, with the note that it is held, or NULL */
static json_t *
with_held(json_t *answer, const char *note)
{
	if (note != NULL)
		json_object_set_new(answer, "held", json_string(note));
	return answer;
}

/* control_quota_set - another limit for a time */
json_t *
control_quota_set(const struct asked *asked)
{
	const char *text = control_text(asked, "limit");
	int64_t for_ms = control_number(asked, "for_ms", 1000, CONTROL_FOR_MAX_MS, 0);
	const char *error = NULL;
	struct subject subject = { 0 };
	struct limit limit;
	json_t *answer;

	if (text == NULL || for_ms == 0)
		return control_failed(
		    "the request needs a limit and for how long it holds: 1 s to 366 days");
	if (limit_parse(asked->ctx, text, &limit, &error) != 0)
		return control_failed(error);
	answer = find_subject(asked, &subject);
	if (answer != NULL)
		return answer;
	if (store_raise(asked->daemon->store, asked->ctx, subject.counters, &limit, for_ms,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &error) != 0) {
		answer = control_failed(error);
	} else {
		log_info("control: %s may send %s for %lld s, says %s%s", subject.account,
		    limit.text, (long long)for_ms / 1000, asked->asker->name, held_text(error));
		answer = with_held(json_pack("{s:b, s:s, s:s, s:I}", "ok", 1, "account",
		    subject.account, "limit", limit.text, "for_ms", (json_int_t)for_ms), error);
	}
	snapshot_release(subject.snapshot);
	return answer;
}

/* control_quota_unset - the plan's own limits again */
json_t *
control_quota_unset(const struct asked *asked)
{
	struct subject subject = { 0 };
	const char *error = NULL;
	json_t *answer = find_subject(asked, &subject);
	int n;

	if (answer != NULL)
		return answer;
	n = store_unraise(asked->daemon->store, asked->ctx, subject.counters,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &error);
	if (n >= 0)
		log_info("control: the limits of %s are those of its plan, says %s%s",
		    subject.account, asked->asker->name, held_text(error));
	answer = n < 0 ? control_failed(error) : with_held(json_pack("{s:b, s:s, s:i}", "ok", 1,
	    "account", subject.account, "unset", n), error);
	snapshot_release(subject.snapshot);
	return answer;
}

/* control_block - no mail from this account */
json_t *
control_block(const struct asked *asked)
{
	int64_t for_ms = control_number(asked, "for_ms", 1000, CONTROL_FOR_MAX_MS, 0);
	const char *reason = control_text(asked, "reason");
	struct subject subject = { 0 };
	const char *error = NULL;
	json_t *answer = find_subject(asked, &subject);

	if (answer != NULL)
		return answer;
	if (reason == NULL)
		reason = "";
	if (store_block(asked->daemon->store, asked->ctx, subject.counters, for_ms, reason,
		asked->asker->name, clock_ms() + CONTROL_STORE_WAIT_MS, &error) != 0) {
		answer = control_failed(error);
	} else {
		/* each filter's journal sees the block and makes an event of it */
		log_info("control: %s is blocked, says %s%s%s%s", subject.account,
		    asked->asker->name, reason[0] != '\0' ? ": " : "", reason, held_text(error));
		answer = with_held(json_pack("{s:b, s:s, s:I}", "ok", 1, "account",
		    subject.account, "for_ms", (json_int_t)for_ms), error);
	}
	snapshot_release(subject.snapshot);
	return answer;
}

/* control_unblock - mail from this account again */
json_t *
control_unblock(const struct asked *asked)
{
	struct subject subject = { 0 };
	const char *error = NULL;
	json_t *answer = find_subject(asked, &subject);
	int n;

	if (answer != NULL)
		return answer;
	n = store_unblock(asked->daemon->store, asked->ctx, subject.counters,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &error);
	if (n > 0)
		log_info("control: %s is unblocked, says %s%s", subject.account,
		    asked->asker->name, held_text(error));
	answer = n < 0 ? control_failed(error) : with_held(json_pack("{s:b, s:s, s:b}", "ok", 1,
	    "account", subject.account, "was_blocked", n > 0), error);
	snapshot_release(subject.snapshot);
	return answer;
}

/* control_blocked - who is blocked */
json_t *
control_blocked(const struct asked *asked)
{
	struct store_block *list = NULL;
	json_t *blocked = json_array();
	size_t n = 0;

	await_blocks(asked);
	store_blocked(asked->daemon->store, asked->ctx, &list, &n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(blocked, block_json(&list[i]));
	return json_pack("{s:b, s:o}", "ok", 1, "blocked", blocked);
}

/* plan_json - a plan as it was written, with what it inherits */
static json_t *
plan_json(const struct plan *plan)
{
	json_t *limits = json_array();
	json_t *object;

	for (size_t i = 0; i < plan->n_limits; i++)
		json_array_append_new(limits, json_string(plan->limits[i].text));
	object = json_pack("{s:s, s:o}", "name", plan->name, "limits", limits);
	if (plan->like != NULL)
		json_object_set_new(object, "like", json_string(plan->like));
	if (plan->max_recipients > 0)
		json_object_set_new(
		    object, "max_recipients", json_integer((json_int_t)plan->max_recipients));
	if (plan->warn_at > 0)
		json_object_set_new(object, "warn_at", json_integer((json_int_t)plan->warn_at));
	if (plan->has_on_over)
		json_object_set_new(object, "on_over", json_string(action_word(plan->on_over)));
	if (plan->max_size > 0)
		json_object_set_new(object, "max_size", json_integer((json_int_t)plan->max_size));
	if (plan->block_on != NULL)
		json_object_set_new(object, "block_on", json_string(plan->block_on->text));
	if (plan->block_on != NULL && plan->block_for_ms > 0)
		json_object_set_new(
		    object, "block_for_ms", json_integer((json_int_t)plan->block_for_ms));
	return object;
}

/* party_json - a domain or pool that the account belongs to; with its plan, if it has one */
static json_t *
party_json(const struct plans *plans, const char *kind, const char *name)
{
	json_t *object = json_pack("{s:s, s:s}", "kind", kind, "name", name);

	for (size_t i = 1; i < plans->n; i++) {
		const struct quota_party *party = &plans->parties[i];

		if (strcmp(quota_kind_word(party->kind), kind) != 0 || party->plan == NULL)
			continue;
		json_object_set_new(object, "plan", plan_json(party->plan));
		json_object_set_new(object, "plan_from", json_string(plans->from[i]));
	}
	return object;
}

/* parties_json - the domain and the pool of the account */
static json_t *
parties_json(const struct subject *subject)
{
	const char *domain = strrchr(subject->account, '@');
	json_t *parties = json_array();

	if (domain != NULL && domain[1] != '\0')
		json_array_append_new(parties,
		    party_json(&subject->plans, quota_kind_word(QUOTA_DOMAIN), domain + 1));
	if (subject->plans.pool != NULL)
		json_array_append_new(parties,
		    party_json(&subject->plans, quota_kind_word(QUOTA_POOL), subject->plans.pool));
	return parties;
}

/* control_plan_of - the plans of an account, its domain and its pool, and what selects them */
json_t *
control_plan_of(const struct asked *asked)
{
	struct subject subject = { 0 };
	json_t *answer = find_subject(asked, &subject);

	if (answer != NULL)
		return answer;
	answer =
	    json_pack("{s:b, s:s, s:s, s:o*, s:o}", "ok", 1, "account", subject.account,
		"plan_from", subject.plan_from, "plan",
		subject.plan != NULL ? plan_json(subject.plan) : NULL, "parties",
		parties_json(&subject));
	snapshot_release(subject.snapshot);
	return answer;
}
