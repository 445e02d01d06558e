/*
 * control_account.c - commands about an account, and about the limits of one, or of a domain, pool
 * or network
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/control/control_asked.h"
#include "filter/message/plans.h"
#include "policy/base/mem.h"


/* What a request about an account is about. */
struct subject {
	struct snapshot *snapshot; /* reference held */
	enum quota_subject_kind kind;
	const char *account;	/* normal form; or the name of a domain, pool or network */
	const char *owner;	/* the same as an operator writes it: "pool:acme" */
	const struct plan *plan; /* or NULL */
	const char *plan_from;	/* where that is said */
	const char *home; /* "pool acme", where counters are kept; "" in the account's own home */
	struct plans plans;	/* the account's own first, then those of domain and pool */
	struct quota_plan *counters;
};

/* home_text - whose home the counters are in, "" for the subject's own */
static const char *
home_text(TALLOC_CTX *ctx, const struct plans *plans)
{
	const char *home = quota_home(plans->parties, plans->n);

	for (size_t i = 1; i < plans->n; i++)
		if (plans->parties[i].name == home)
			return quota_subject_text(ctx, plans->parties[i].kind, home);
	return "";
}

/* find_owner - whose limits a request is about; NULL and an answer if it names no one */
static json_t *
find_owner(const struct asked *asked, struct subject *subject_r)
{
	const char *text = control_text(asked, "account"), *name = NULL, *error = NULL;
	json_t *answer = NULL;

	subject_r->kind = text != NULL ? quota_owner_read(text, &name) : QUOTA_ACCOUNT;
	if (subject_r->kind == QUOTA_ACCOUNT)
		name = control_account(asked, &answer);
	if (name == NULL)
		return answer;
	subject_r->snapshot = daemon_snapshot(asked->daemon);
	subject_r->counters = plans_counters(asked->ctx, subject_r->snapshot, subject_r->kind,
	    name, clock_ms() + CONTROL_STORE_WAIT_MS, &subject_r->plans, &error);
	if (subject_r->counters == NULL) {
		snapshot_release(subject_r->snapshot);
		return control_failed(error);
	}
	subject_r->account = subject_r->plans.parties[0].name;
	subject_r->owner = quota_owner_text(asked->ctx, subject_r->kind, subject_r->account);
	subject_r->plan = subject_r->plans.parties[0].plan;
	subject_r->plan_from = subject_r->plans.from[0];
	subject_r->home = home_text(asked->ctx, &subject_r->plans);
	return NULL;
}

/* control_find_account - the account of a request; NULL and an answer if it names none */
static json_t *
control_find_account(const struct asked *asked, struct subject *subject_r)
{
	json_t *answer = find_owner(asked, subject_r);

	if (answer != NULL || subject_r->kind == QUOTA_ACCOUNT)
		return answer;
	snapshot_release(subject_r->snapshot);
	return control_failed(mem_printf(asked->ctx,
	    "\"%.100s\" is a %s; only accounts can be blocked", subject_r->owner,
	    quota_kind_word(subject_r->kind)));
}

/* find_limits - as find_owner(); an owner without a plan has no limits to be changed */
static json_t *
find_limits(const struct asked *asked, struct subject *subject_r)
{
	json_t *answer = find_owner(asked, subject_r);

	if (answer != NULL || subject_r->plan != NULL || subject_r->kind == QUOTA_ACCOUNT)
		return answer;
	snapshot_release(subject_r->snapshot);
	return control_failed(mem_printf(asked->ctx,
	    "%s has no plan, and so no limits: see %s_plan and %s_plan_of", subject_r->owner,
	    quota_kind_word(subject_r->kind), quota_kind_word(subject_r->kind)));
}

/* owner_json - an answer that begins with whose limits it is about */
static json_t *
owner_json(const struct asked *asked, const struct subject *subject)
{
	const char *of = quota_subject_text(asked->ctx, subject->kind, subject->account);

	return json_pack("{s:b, s:s, s:s}", "ok", 1, "owner", subject->owner,
	    of != NULL ? "limit_of" : "account", of != NULL ? of : subject->account);
}

/* subject_text - whose limit it is, "" if it is that of the first subject */
static const char *
subject_text(TALLOC_CTX *ctx, const struct quota_plan *plan, size_t subject)
{
	const struct quota_subject *owner = &plan->subjects[subject];

	return subject == 0 ? "" : quota_subject_text(ctx, owner->kind, owner->name);
}

/* nothing_used - is nothing counted in any limit of the first subject? */
static bool
nothing_used(const struct quota_plan *plan, const struct quota_reply *reply)
{
	for (size_t i = 0; i < plan->n_counters && i < reply->n_counts; i++)
		if (plan->counters[i].subject == 0 && reply->counts[i].used > 0)
			return false;
	return true;
}

/* was_found - was a network found by an address? Then it is one. */
static bool
was_found(const struct asked *asked, const struct subject *subject)
{
	const char *name = "";

	return subject->kind == QUOTA_NETWORK &&
	    quota_owner_read(control_text(asked, "account"), &name) == QUOTA_NETWORK &&
	    strcmp(name, subject->account) != 0;
}

/*
 * owner_note - that a name may not be the one that was meant, or NULL
 * A name nobody has heard of, or an account with a sub-address: logins are accounts as they are
 * written, so it is another than the one without. reply: the counters, or NULL.
 */
static const char *
owner_note(const struct asked *asked, const struct subject *subject,
    const struct quota_reply *reply)
{
	const char *base = subject->kind != QUOTA_ACCOUNT ? NULL :
	    plans_base(asked->ctx, subject->snapshot, subject->account);

	if (base != NULL && !plans_is_named(subject->snapshot, &subject->plans))
		return mem_printf(asked->ctx, "%s is another account than %s", subject->account,
		    base);
	if (reply == NULL || reply->state != QUOTA_READ || was_found(asked, subject) ||
	    plans_is_known(subject->snapshot, &subject->plans) ||
	    !nothing_used(subject->counters, reply))
		return NULL;
	return mem_printf(asked->ctx, "nothing is counted for %s now, and no plan is given to it by "
		"name: check the spelling", subject->owner);
}

/* with_note - an answer with a note, or without if that is NULL */
static json_t *
with_note(json_t *answer, const char *note)
{
	if (note != NULL)
		json_object_set_new(answer, "note", json_string(note));
	return answer;
}

/* limits_json - each limit with its use */
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
			subject_text(ctx, plan, counter->subject), "used",
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
	struct store_block *list = NULL;
	size_t n = 0;

	for (int i = 0; asked->remote && i < 50; i++) {
		store_blocked(asked->daemon->store, asked->ctx, &list, &n);
		if (n > 0)
			break;
		clock_pause(20);
	}
}

json_t *
control_block_of(const struct asked *asked, const char *account)
{
	struct store_block block;

	await_blocks(asked);
	return store_known_block(asked->daemon->store, asked->ctx, account, &block)
	    ? block_json(&block)
	    : NULL;
}

/* control_quota_show - what is used of limits */
json_t *
control_quota_show(const struct asked *asked)
{
	struct subject subject = { 0 };
	struct quota_reply reply = { 0 };
	json_t *answer = find_limits(asked, &subject), *rest;

	if (answer != NULL)
		return answer;
	store_read(asked->daemon->store, asked->ctx, subject.counters,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &reply);
	if (reply.state == QUOTA_UNKNOWN)
		answer = control_failed_as(CONTROL_UNAVAILABLE, mem_printf(asked->ctx,
		    "the store is unavailable: %s",
		    reply.problem != NULL ? reply.problem : "no reason given"));
	else {
		answer = owner_json(asked, &subject);
		rest = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o*}", "home", subject.home, "plan",
		    subject.plan != NULL ? subject.plan->name : "", "plan_from", subject.plan_from,
		    "store", reply.store != NULL ? reply.store : "", "limits",
		    limits_json(asked->ctx, subject.counters, &reply), "blocked",
		    subject.kind == QUOTA_ACCOUNT
			? control_block_of(asked, subject.account) : NULL);
		(void)json_object_update(answer, rest);
		json_decref(rest);
		if (json_object_get(answer, "blocked") != NULL)
			(void)with_note(answer, control_watch_note(asked,
			    subject.snapshot->config, subject.account));
		(void)with_note(answer, owner_note(asked, &subject, &reply));
	}
	snapshot_release(subject.snapshot);
	return answer;
}

/* because_text - why somebody made a change, for the log */
static const char *
because_text(const struct asked *asked)
{
	const char *reason = control_text(asked, "reason");

	return reason == NULL || reason[0] == '\0' ? "" : mem_printf(asked->ctx, ": %s", reason);
}

/* control_quota_reset - forget what is counted */
json_t *
control_quota_reset(const struct asked *asked)
{
	struct subject subject = { 0 };
	const char *error = NULL;
	json_t *answer = find_limits(asked, &subject);
	int any;

	if (answer != NULL)
		return answer;
	any = store_reset(asked->daemon->store, asked->ctx, subject.counters,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &error);
	if (any < 0)
		answer = control_failed(
		    mem_printf(asked->ctx, "the counters were not reset: %s", error));
	else if (any == 0 && !plans_is_named(subject.snapshot, &subject.plans))
		answer = control_failed(mem_printf(asked->ctx,
		    "there is no %s %s: nothing is counted for it, and the configuration does "
		    "not name it", quota_kind_word(subject.kind), subject.account));
	else {
		answer = owner_json(asked, &subject);
		json_object_set_new(answer, "counted", json_boolean(any > 0));
		log_info("control: %s: counters emptied by %s%s", subject.owner,
		    asked->asker->name, because_text(asked));
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
	struct quota_reply reply = { 0 };
	struct limit limit;
	json_t *answer;

	if (text == NULL || for_ms == 0)
		return control_failed(
		    "the request needs a limit and for how long it holds: 1 s to 366 days");
	if (limit_parse(asked->ctx, text, &limit, &error) != 0)
		return control_failed(error);
	answer = find_limits(asked, &subject);
	if (answer != NULL)
		return answer;
	store_read(asked->daemon->store, asked->ctx, subject.counters,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &reply);
	if (store_raise(asked->daemon->store, asked->ctx, subject.counters, &limit, for_ms,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &error) != 0) {
		answer = control_failed(error);
	} else {
		log_info("control: %s: limit set to %s for %lld s by %s%s%s", subject.owner,
		    limit.text, (long long)for_ms / 1000, asked->asker->name, because_text(asked),
		    held_text(error));
		answer = with_held(owner_json(asked, &subject), error);
		json_object_set_new(answer, "limit", json_string(limit.text));
		json_object_set_new(answer, "for_ms", json_integer((json_int_t)for_ms));
		(void)with_note(answer, owner_note(asked, &subject, &reply));
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
	json_t *answer = find_limits(asked, &subject);
	int n;

	if (answer != NULL)
		return answer;
	n = store_unraise(asked->daemon->store, asked->ctx, subject.counters,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &error);
	if (n >= 0)
		log_info("control: %s: limits of its plan restored by %s%s%s",
		    subject.owner, asked->asker->name, because_text(asked), held_text(error));
	answer = n < 0 ? control_failed(error)
		       : with_held(owner_json(asked, &subject), error);
	if (n >= 0)
		json_object_set_new(answer, "unset", json_integer(n));
	snapshot_release(subject.snapshot);
	return answer;
}

const char *
control_watch_note(const struct asked *asked, const struct config *config, const char *account)
{
	return config_account_mode(config, account, ROLE_AUTO) == MODE_ENFORCE ? NULL :
	    mem_printf(asked->ctx, "mode watch refuses nothing: mail of %s still passes; to stop it, "
		"write accounts = ( { login = \"%s\"  mode = \"enforce\" } ) and reload", account,
		account);
}

/* control_block - no mail from this account */
json_t *
control_block(const struct asked *asked)
{
	int64_t for_ms = control_number(asked, "for_ms", 1000, CONTROL_FOR_MAX_MS, 0);
	const char *reason = control_text(asked, "reason");
	struct subject subject = { 0 };
	const char *error = NULL;
	json_t *answer = control_find_account(asked, &subject);

	if (answer != NULL)
		return answer;
	if (reason == NULL)
		reason = "";
	if (store_block(asked->daemon->store, asked->ctx, subject.counters, for_ms, reason,
		asked->asker->name, clock_ms() + CONTROL_STORE_WAIT_MS, &error) != 0) {
		answer = control_failed(error);
	} else {
		/* each filter's journal sees the block and makes an event of it */
		log_info("control: %s: blocked by %s%s%s%s", subject.account,
		    asked->asker->name, reason[0] != '\0' ? ": " : "", reason, held_text(error));
		answer = with_held(json_pack("{s:b, s:s, s:I}", "ok", 1, "account",
		    subject.account, "for_ms", (json_int_t)for_ms), error);
		(void)with_note(answer, owner_note(asked, &subject, NULL));
		(void)with_note(answer,
		    control_watch_note(asked, subject.snapshot->config, subject.account));
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
	json_t *answer = control_find_account(asked, &subject);
	int n;

	if (answer != NULL)
		return answer;
	n = store_unblock(asked->daemon->store, asked->ctx, subject.counters,
	    clock_ms() + CONTROL_STORE_WAIT_MS, &error);
	if (n > 0)
		log_info("control: %s: unblocked by %s%s%s", subject.account,
		    asked->asker->name, because_text(asked), held_text(error));
	answer = n < 0 ? control_failed(error) : with_held(json_pack("{s:b, s:s, s:b}", "ok", 1,
	    "account", subject.account, "was_blocked", n > 0), error);
	if (n == 0)
		(void)with_note(answer, owner_note(asked, &subject, NULL));
	snapshot_release(subject.snapshot);
	return answer;
}

/* control_blocked - who is blocked */
json_t *
control_blocked(const struct asked *asked)
{
	struct snapshot *snapshot = daemon_snapshot(asked->daemon);
	struct store_block *list = NULL;
	json_t *blocked = json_array(), *block;
	size_t n = 0;

	await_blocks(asked);
	store_blocked(asked->daemon->store, asked->ctx, &list, &n);
	for (size_t i = 0; i < n; i++) {
		block = block_json(&list[i]);
		if (config_account_mode(snapshot->config, list[i].account, ROLE_AUTO) !=
		    MODE_ENFORCE)
			json_object_set_new(block, "passes", json_true());
		json_array_append_new(blocked, block);
	}
	snapshot_release(snapshot);
	return json_pack("{s:b, s:o}", "ok", 1, "blocked", blocked);
}

/* left_out_json - in whose limits the accounts of a plan are not counted */
static json_t *
left_out_json(const struct plan *plan)
{
	static const enum quota_subject_kind kinds[] = { QUOTA_DOMAIN, QUOTA_POOL, QUOTA_NETWORK };
	json_t *words = json_array();

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (quota_left_out(plan, kinds[i]))
			json_array_append_new(words, json_string(quota_kind_word(kinds[i])));
	return words;
}

/* block_on_json - the signs that block */
static json_t *
block_on_json(const struct plan *plan)
{
	json_t *array = json_array();

	for (size_t i = 0; i < plan->n_block_on; i++)
		json_array_append_new(array, json_string(plan->block_on[i].text));
	return array;
}

static const char *const block_words[] = {
	[PLAN_BLOCK_REFUSE] = "refuse",
	[PLAN_BLOCK_HOLD] = "hold",
	[PLAN_BLOCK_SLOW] = "slow",
};

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
	if (plan->left_out != 0)
		json_object_set_new(object, "not_counted_in", left_out_json(plan));
	if (plan->block_on != NULL)
		json_object_set_new(object, "block_on", block_on_json(plan));
	if (plan->block_on != NULL && plan->block_for_ms > 0)
		json_object_set_new(
		    object, "block_for_ms", json_integer((json_int_t)plan->block_for_ms));
	if (plan->block_on != NULL && plan->block_grows > 1)
		json_object_set_new(object, "block_grows", json_integer(plan->block_grows));
	if (plan->block_on != NULL && plan->has_block_action)
		json_object_set_new(
		    object, "block_action", json_string(block_words[plan->block_action]));
	return object;
}

/* party_json - a domain or pool that the account belongs to; with its plan, if it has one */
static json_t *
party_json(const struct subject *subject, enum quota_subject_kind kind, const char *name)
{
	const struct plans *plans = &subject->plans;
	json_t *object = json_pack("{s:s, s:s}", "kind", quota_kind_word(kind), "name", name);

	if (subject->kind == QUOTA_ACCOUNT && quota_left_out(subject->plan, kind))
		json_object_set_new(object, "left_out", json_true());
	for (size_t i = 1; i < plans->n; i++) {
		const struct quota_party *party = &plans->parties[i];

		if (party->kind != kind || party->plan == NULL)
			continue;
		json_object_set_new(object, "plan", plan_json(party->plan));
		json_object_set_new(object, "plan_from", json_string(plans->from[i]));
	}
	return object;
}

/* parties_json - the domain and the pool of an account, the pool of a domain */
static json_t *
parties_json(const struct subject *subject)
{
	const char *domain =
	    subject->kind == QUOTA_ACCOUNT ? strrchr(subject->account, '@') : NULL;
	json_t *parties = json_array();

	if (domain != NULL && domain[1] != '\0')
		json_array_append_new(parties, party_json(subject, QUOTA_DOMAIN, domain + 1));
	if (subject->plans.pool != NULL)
		json_array_append_new(
		    parties, party_json(subject, QUOTA_POOL, subject->plans.pool));
	return parties;
}

/* control_plan_of - the plans of an account, its domain and its pool, and what selects them */
json_t *
control_plan_of(const struct asked *asked)
{
	struct subject subject = { 0 };
	json_t *answer = find_owner(asked, &subject);

	if (answer != NULL)
		return answer;
	answer = owner_json(asked, &subject);
	json_object_set_new(answer, "plan_from", json_string(subject.plan_from));
	if (subject.plan != NULL)
		json_object_set_new(answer, "plan", plan_json(subject.plan));
	json_object_set_new(answer, "parties", parties_json(&subject));
	snapshot_release(subject.snapshot);
	return answer;
}
