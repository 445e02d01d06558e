/*
 * report.c - what a trial found, as JSON; for trial.c
 *
 * Only what the message and its witness hold is told; nothing is decided here. Strangers' octets
 * that are not UTF-8 become "?".
 *
 * Thread rule: that of the trial.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <openssl/evp.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/config/listener.h"
#include "filter/trial/report.h"
#include "policy/base/mem.h"
#include "policy/verdict/authres.h"
#include "policy/verdict/reply.h"

#define STORE_WAIT_MS	5000	/* for the counters of a message that was refused before */

/* report_set - one more member */
static void
report_set(json_t *object, const char *name, json_t *value)
{
	(void)json_object_set_new(object, name, value);
}

const char *
trial_reply(TALLOC_CTX *ctx, const struct verdict *verdict)
{
	return verdict_passes(verdict) ? NULL
				       : mem_printf(ctx, "%s %s %s", verdict->reply_code,
					     verdict->reply_status, verdict->reply_text);
}

/* reason_json - the word of a reason, or null */
static json_t *
reason_json(enum reason reason)
{
	return reason == REASON_NONE ? json_null() : json_string(reply_row(reason)->word);
}

/* steps_json - what was looked up for something; about may be NULL: for anything */
static json_t *
steps_json(const struct witness *witness, const char *of, const char *about)
{
	json_t *list = json_array();
	const json_t *step;
	size_t i;

	json_array_foreach(witness->steps, i, step) {
		json_t *copy, *wanted = witness_text(about);
		bool same = about == NULL || json_equal(json_object_get(step, "about"), wanted);

		json_decref(wanted);
		if (!same || strcmp(json_string_value(json_object_get(step, "of")), of) != 0)
			continue;
		copy = json_copy((json_t *)(uintptr_t)step);
		(void)json_object_del(copy, "of");
		(void)json_object_del(copy, "about");
		(void)json_array_append_new(list, copy);
	}
	return list;
}

/* --- the connection and the account --- */

/* condition_text - why a listener does or does not take the connection */
static const char *
condition_text(TALLOC_CTX *ctx, enum listener_condition fails, const struct config *config,
    const struct listener *listener, const struct listener_traits *traits)
{
	const char *name = traits->daemon_name != NULL ? traits->daemon_name : "(none)";

	switch (fails) {
	case LISTENER_ANY:
		if (!config->auto_roles)
			return "all its conditions hold";
		return traits->login ? "there are no listeners; the connection has a login"
		    : traits->pickup ? "there are no listeners; the mail is from sendmail(1)"
				     : "there are no listeners; the connection has no login";
	case LISTENER_ROLE:
		return mem_printf(ctx, "the connection is not of role %s", role_word(listener->role));
	case LISTENER_PICKUP:
		return listener->pickup == 1 ? "the mail is not from sendmail(1)"
					     : "the mail is from sendmail(1)";
	case LISTENER_LOGIN:
		return listener->login == 1 ? "there is no login" : "there is a login";
	case LISTENER_CLIENTS:
		return "the client is not in client";
	case LISTENER_DAEMON:
		return mem_printf(ctx, "the daemon name %s is not in daemon", name);
	case LISTENER_PORT:
		return "the daemon port is not in port";
	}
	return "";
}

/* listeners_json - each listener that was looked at, the last takes it */
static json_t *
listeners_json(TALLOC_CTX *ctx, const struct message *message)
{
	const struct config *config = message->session->snapshot->config;
	const struct listener_traits *traits = &message->session->witness->traits;
	json_t *list = json_array();

	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener *listener = &config->listeners[i];
		enum listener_condition fails = listener_fails(config, listener, traits);

		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s}", "name",
		    listener->name, "where", listener->where != NULL ? listener->where : "",
		    "takes", fails == LISTENER_ANY, "why",
		    condition_text(ctx, fails, config, listener, traits)));
		if (fails == LISTENER_ANY)
			break;
	}
	return list;
}

/* account_from - how the account was found, for people */
static const char *
account_from(TALLOC_CTX *ctx, const struct message *message)
{
	const struct facts *facts = &message->facts;

	switch (facts->role) {
	case ROLE_SUBMISSION:
		if (facts->login == NULL)
			return "there is no login";
		if (facts->login_malformed != NULL)
			return mem_printf(ctx, "the login %s is not an account: %s", facts->login,
			    facts->login_malformed);
		return mem_printf(ctx, "the login %s", facts->login);
	case ROLE_RELAY:
		if (facts->account == NULL)
			return "client_accounts has no such client, and the listener no account";
		return message->listener->account != NULL &&
			strcmp(message->listener->account, facts->account) == 0
		    ? "account of the listener"
		    : "client_accounts of the listener";
	case ROLE_LOCAL:
		return facts->n_claims > 0 ? "the envelope sender"
					   : "the null sender of this listener";
	case ROLE_INBOUND:
	case ROLE_AUTO:
		break;
	}
	return "mail from outside has no account";
}

/* report_connection - listener, role, mode, account */
static void
report_connection(TALLOC_CTX *ctx, json_t *json, const struct trial_run *run)
{
	const struct message *message = run->session->message;
	const struct witness *witness = run->session->witness;
	const struct facts *facts = &message->facts;

	report_set(json, "file", witness_text(message->session->snapshot->config->file));
	report_set(json, "listener", witness_text(facts->listener));
	report_set(json, "where", witness_text(
	    message->listener != NULL ? message->listener->where : NULL));
	report_set(json, "role", json_string(role_word(facts->role)));
	report_set(json, "mode", json_string(mode_word(message->rules.mode)));
	report_set(json, "mta", json_string(run->mta));
	report_set(json, "client", witness_text(facts->client_addr));
	report_set(json, "listeners", listeners_json(ctx, message));
	report_set(json, "account", witness_text(facts->account));
	report_set(json, "account_from", witness_text(account_from(ctx, message)));
	report_set(json, "account_steps", steps_json(witness, "account", NULL));
	report_set(json, "network_steps", steps_json(witness, "networks", NULL));
}

/* --- the addresses --- */

/* owned_word - whether an address is the account's */
static const char *
owned_word(enum ownership owned)
{
	switch (owned) {
	case OWNED_YES:
		return "owned";
	case OWNED_NO:
		return "foreign";
	case OWNED_NO_DOMAIN:
		return "foreign domain";
	case OWNED_TEMPERROR:
		return "lookup failed";
	case OWNED_NOT_ASKED:
		break;
	}
	return "not asked";
}

/* claims_json - each address that is claimed, where, and what was looked up for it */
static json_t *
claims_json(const struct facts *facts, const struct witness *witness)
{
	json_t *list = json_array();

	for (size_t i = 0; i < facts->n_claims; i++) {
		const struct claim *claim = &facts->claims[i];
		json_t *json = json_pack("{s:s, s:s, s:o}", "place", witness_place(claim->place),
		    "owned", owned_word(claim->owned), "address", witness_text(claim->address));

		report_set(json, "field", witness_text(claim->field));
		report_set(json, "text", witness_text(claim->text));
		report_set(json, "steps",
		    steps_json(witness, witness_place(claim->place), claim->address));
		(void)json_array_append_new(list, json);
	}
	return list;
}

/* report_addresses - the sender's and the recipients', and what was looked up for them */
static void
report_addresses(json_t *json, const struct trial_run *run)
{
	const struct facts *facts = &run->session->message->facts;
	const struct witness *witness = run->session->witness;

	report_set(json, "sender", witness_text(facts->sender));
	report_set(json, "claims", claims_json(facts, witness));
	report_set(json, "recipients", json_incref(run->recipients));
	report_set(json, "recipient_steps", steps_json(witness, "recipient", NULL));
}

/* --- the rules --- */

/* stage_word - from when on a rule is asked */
static const char *
stage_word(enum stage stage)
{
	static const char *const words[] = {
		[STAGE_MAIL] = "MAIL", [STAGE_RCPT] = "RCPT", [STAGE_HEADER] = "header",
		[STAGE_CONTENT] = "content", [STAGE_SIGNED] = "signed",
		[STAGE_CHARGED] = "charged",
	};

	return words[stage];
}

/* rules_json - each rule in order, with its finding */
static json_t *
rules_json(const struct witness *witness)
{
	json_t *list = json_array();

	for (size_t i = 0; witness->rules != NULL && i < verdict_rules(); i++) {
		const struct verdict_step *step = &witness->rules[i];
		json_t *json = json_pack("{s:s, s:s, s:b, s:b, s:s, s:b}", "reason",
		    reply_row(step->reason)->word, "stage", stage_word(step->stage), "asked",
		    (int)step->asked, "found", (int)step->found, "action",
		    action_word(step->action), "decides", (int)step->decides);

		report_set(json, "address", witness_text(step->address));
		report_set(json, "problem", witness_text(step->problem));
		(void)json_array_append_new(list, json);
	}
	return list;
}

/* --- plans and limits --- */

/* plans_json - the plan of each party */
static json_t *
plans_json(const struct plans *plans)
{
	json_t *list = json_array();

	for (size_t i = 0; i < plans->n; i++) {
		const struct quota_party *party = &plans->parties[i];

		(void)json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o}", "of",
		    quota_kind_word(party->kind), "name", witness_text(party->name), "plan",
		    witness_text(party->plan != NULL ? party->plan->name : NULL), "from",
		    witness_text(plans->from[i] != NULL ? plans->from[i] : "")));
	}
	return list;
}

/* limit_json - one limit before and after */
static json_t *
limit_json(
    TALLOC_CTX *ctx, const struct quota_plan *plan, const struct quota_reply *reply, size_t i)
{
	const struct quota_counter *counter = &plan->counters[i];
	const struct quota_subject *subject = &plan->subjects[counter->subject];
	const struct quota_count *count = &reply->counts[i];
	uint64_t before = count->used;

	if (reply->state == QUOTA_CHARGED)
		before -= count->cost < before ? count->cost : before;
	return json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:b, s:I, s:I}", "of",
	    quota_kind_word(subject->kind), "name", witness_text(subject->name), "limit",
	    quota_limit_text(ctx, counter, count), "before", (json_int_t)before, "cost",
	    (json_int_t)count->cost, "after", (json_int_t)count->used, "max",
	    (json_int_t)count->max, "refuses", (int)counter->binding, "wait_ms",
	    (json_int_t)count->wait_ms, "raised_ms", (json_int_t)count->raised_ms);
}

/* report_limits - of every party; of a message that was refused before, as they stand */
static void
report_limits(TALLOC_CTX *ctx, json_t *json, const struct trial_run *run)
{
	static const struct quota_cost one = { .messages = 1, .recipients = 1, .bytes = 1 };
	const struct message *message = run->session->message;
	const struct witness *witness = run->session->witness;
	const struct quota_plan *plan = witness->plan;
	struct quota_reply reply = witness->reply;
	json_t *list = json_array();

	if (plan == NULL && message->facts.account != NULL && message->plans.n > 0) {
		plan = quota_plan_of(
		    ctx, message->plans.parties, message->plans.n, &one, true, NULL);
		memset(&reply, 0, sizeof(reply));
		if (plan->n_counters > 0)
			store_read(message->session->daemon->store, ctx, plan,
			    clock_ms() + STORE_WAIT_MS, &reply);
		for (size_t i = 0; i < reply.n_counts; i++)
			reply.counts[i].cost = 0;
	}
	for (size_t i = 0; plan != NULL && reply.counts != NULL && i < reply.n_counts; i++)
		(void)json_array_append_new(list, limit_json(ctx, plan, &reply, i));
	report_set(json, "plans", plans_json(&message->plans));
	report_set(json, "plan_steps", steps_json(witness, "plan", NULL));
	report_set(json, "limits", list);
	report_set(json, "store", witness_text(reply.store));
	report_set(json, "store_problem", witness_text(reply.problem));
	report_set(json, "blocked", json_boolean(message->facts.quota.blocked));
}

/* --- checks of mail from outside --- */

/* spf_json - the check of one identity, or null */
static json_t *
spf_json(const struct spf_fact *fact)
{
	json_t *json;

	if (fact->result == SPF_NOT_CHECKED)
		return json_null();
	json = json_pack("{s:s}", "result", spf_result_word(fact->result));
	report_set(json, "domain", witness_text(fact->domain));
	report_set(json, "sender", witness_text(fact->sender));
	report_set(json, "mechanism", witness_text(fact->mechanism));
	report_set(json, "problem", witness_text(fact->problem));
	report_set(json, "explanation", witness_text(fact->explanation));
	return json;
}

/* dkim_json - each signature, or null: none was looked for */
static json_t *
dkim_json(const struct facts *facts)
{
	json_t *list;

	if (!facts->dkim_checked)
		return json_null();
	list = json_array();
	for (size_t i = 0; i < facts->n_dkim; i++) {
		const struct dkim_fact *dkim = &facts->dkim[i];
		json_t *json = json_pack("{s:s, s:i}", "result", dkim_result_word(dkim->result),
		    "key_bits", (int)dkim->key_bits);

		report_set(json, "domain", witness_text(dkim->sdid));
		report_set(json, "selector", witness_text(dkim->selector));
		report_set(json, "algorithm", witness_text(dkim->algorithm));
		report_set(json, "problem", witness_text(dkim->problem));
		(void)json_array_append_new(list, json);
	}
	return list;
}

/* dmarc_json - the evaluation, or null */
static json_t *
dmarc_json(const struct dmarc_fact *dmarc)
{
	json_t *json;

	if (dmarc->result == DMARC_NOT_CHECKED)
		return json_null();
	json = json_pack("{s:s, s:s, s:s, s:b}", "result", dmarc_result_word(dmarc->result),
	    "policy", dmarc_policy_word(dmarc->policy), "disposition",
	    dmarc_policy_word(dmarc->disposition), "spf_aligned", (int)dmarc->spf_aligned);
	report_set(json, "domain", witness_text(dmarc->domain));
	report_set(json, "policy_domain", witness_text(dmarc->policy_domain));
	report_set(json, "tag", witness_text(dmarc->tag));
	report_set(json, "dkim_domain", witness_text(dmarc->dkim_domain));
	report_set(json, "exception", witness_text(dmarc->exception));
	report_set(json, "problem", witness_text(dmarc->problem));
	return json;
}

/* authres_json - our field; of a message that is refused, what was known so far */
static json_t *
authres_json(TALLOC_CTX *ctx, const struct message *message)
{
	const struct authres_options options = {
		.authserv_id = message->session->snapshot->config->authserv_id
	};

	return message->facts.role == ROLE_INBOUND && message->listener != NULL
	    ? witness_text(authres_write(ctx, &options, &message->facts))
	    : json_null();
}

/* report_checks - SPF, DKIM, DMARC */
static void
report_checks(TALLOC_CTX *ctx, json_t *json, const struct trial_run *run)
{
	const struct message *message = run->session->message;
	const struct witness *witness = run->session->witness;

	report_set(json, "spf", json_pack("{s:o, s:o, s:O}", "mailfrom",
	    spf_json(&message->facts.spf_mailfrom), "helo", spf_json(&message->facts.spf_helo),
	    "steps", witness->spf));
	report_set(json, "dkim", dkim_json(&message->facts));
	report_set(json, "dmarc", dmarc_json(&message->facts.dmarc));
	report_set(json, "own_domain_steps", steps_json(witness, "own domain", NULL));
	report_set(json, "authentication_results", authres_json(ctx, message));
}

/* --- what is changed --- */

/* inserts_json - fields that are added, the uppermost first; name NULL: all */
static json_t *
inserts_json(const struct edits *edits, const char *name)
{
	json_t *list = json_array();

	for (size_t i = edits->n_inserts; i-- > 0;) {
		const struct edit_insert *insert = &edits->inserts[i];

		if (name == NULL)
			(void)json_array_append_new(list, json_pack("{s:s, s:o}", "name",
			    insert->name, "value", witness_text(insert->value)));
		else if (strcmp(insert->name, name) == 0)
			(void)json_array_append_new(list, witness_text(insert->value));
	}
	return list;
}

/* report_edits - signatures and fields */
static void
report_edits(json_t *json, const struct message *message)
{
	const struct edits *edits = &message->edits;
	const struct sign_fact *sign = &message->facts.sign;
	json_t *deleted = json_array(), *changed = json_array();

	for (size_t i = 0; i < edits->n_deletes; i++)
		(void)json_array_append_new(deleted, json_pack("{s:s, s:I}", "name",
		    edits->deletes[i].name, "index", (json_int_t)edits->deletes[i].index));
	for (size_t i = 0; i < edits->n_changes; i++)
		(void)json_array_append_new(changed, json_pack("{s:o, s:I}", "name",
		    witness_text(edits->changes[i].name), "index",
		    (json_int_t)edits->changes[i].index));
	report_set(json, "signatures", inserts_json(edits, "DKIM-Signature"));
	report_set(json, "signing", json_pack("{s:s, s:o, s:o, s:o, s:o}", "outcome",
	    outcome_word(sign->outcome), "domain", witness_text(sign->sdid), "selector",
	    witness_text(sign->selector), "problem", witness_text(sign->problem), "risk",
	    witness_text(sign->risk)));
	report_set(json, "added", inserts_json(edits, NULL));
	report_set(json, "deleted", deleted);
	report_set(json, "changed", changed);
}

/* verdict_json - the answer in short */
static json_t *
verdict_json(TALLOC_CTX *ctx, const struct verdict *verdict)
{
	json_t *json = json_pack("{s:s}", "verdict", action_word(verdict->action));

	report_set(json, "reply", witness_text(trial_reply(ctx, verdict)));
	report_set(json, "reason", reason_json(verdict->reason));
	return json;
}

json_t *
trial_report(TALLOC_CTX *ctx, const struct trial_run *run)
{
	const struct message *message = run->session->message;
	json_t *json = verdict_json(ctx, &message->verdict);

	report_set(json, "ok", json_true());
	report_set(json, "would", json_string(action_word(message->verdict.would)));
	report_set(json, "stage", json_string(run->stage));
	report_connection(ctx, json, run);
	report_addresses(json, run);
	report_set(json, "rules", rules_json(run->session->witness));
	report_limits(ctx, json, run);
	report_checks(ctx, json, run);
	report_edits(json, message);
	report_set(json, "hold_text", witness_text(message->verdict.hold_text));
	report_set(json, "log", witness_text(message->line));
	return json;
}

json_t *
trial_report_other(TALLOC_CTX *ctx, const struct trial_run *run)
{
	const struct message *message = run->session->message;
	json_t *json = verdict_json(ctx, &message->verdict);

	report_set(json, "mode", json_string(mode_word(message->rules.mode)));
	report_set(json, "would", json_string(action_word(message->verdict.would)));
	report_set(json, "signatures", inserts_json(&message->edits, "DKIM-Signature"));
	return json;
}

/* edited - the value of a field after the edits; NULL: it is deleted */
static const char *
edited(const struct edits *edits, const struct header_field *field, size_t index)
{
	const char *value = field->value;

	for (size_t i = 0; i < edits->n_deletes; i++)
		if (edits->deletes[i].index == index && header_is(field, edits->deletes[i].name))
			return NULL;
	for (size_t i = 0; i < edits->n_changes; i++)
		if (edits->changes[i].index == index && header_is(field, edits->changes[i].name))
			value = edits->changes[i].value;
	return value;
}

/* index_of - the how manieth field of its name it is, from 1 */
static size_t
index_of(const struct header_list *list, size_t at)
{
	size_t index = 1;

	for (size_t i = 0; i < at; i++)
		index += header_is(&list->fields[i], list->fields[at].name);
	return index;
}

json_t *
trial_report_header(TALLOC_CTX *ctx, const struct trial_run *run)
{
	const struct message *message = run->session->message;
	const struct header_list *list = message->header;
	char *text = mem_strdup(ctx, "");
	unsigned char *coded;
	size_t len;
	json_t *json;

	if (!verdict_passes(&message->verdict) || list->too_many)
		return json_null();
	for (size_t i = message->edits.n_inserts; i-- > 0;)
		text = mem_check(talloc_asprintf_append_buffer(text, "%s:%s\n",
		    message->edits.inserts[i].name, message->edits.inserts[i].value));
	for (size_t i = 0; i < list->n; i++) {
		const char *value =
		    edited(&message->edits, &list->fields[i], index_of(list, i));

		if (value != NULL)
			text = mem_check(talloc_asprintf_append_buffer(
			    text, "%s:%s\n", list->fields[i].name, value));
	}
	len = strlen(text);
	coded = mem_array(ctx, unsigned char, 4 * ((len + 2) / 3) + 1);
	(void)EVP_EncodeBlock(coded, (const unsigned char *)text, (int)len);
	json = json_string((const char *)coded);
	talloc_free(coded);
	talloc_free(text);
	return json;
}
