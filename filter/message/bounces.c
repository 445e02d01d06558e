/*
 * bounces.c - delivery reports that come in for mail of our accounts
 *
 * Anyone can write a report. One counts only if it returns a message that the account sent within
 * SENT_MS, known by its Message-ID, and once for each such message. So a stranger must have got
 * mail of the account, and may count as often as it got some. The Message-IDs are in the store, a
 * mark of each, the latest LIMIT_MAX_CLIENTS of an account: the report may come to another host.
 * A message without one is known by its queue id, which the MTA then makes part of the Message-ID.
 *
 * Thread rule: a message belongs to one thread at a time.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/keyed_mark.h"
#include "filter/message/bounces.h"
#include "filter/message/charge.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"
#include "policy/sender/identity.h"

#define SENT_MS		(INT64_C(5) * 24 * 3600 * 1000)	/* as long as MTAs try to deliver */
#define RECIPIENTS	4	/* of a report that are looked at; it has one */
#define ACCOUNTS	8	/* that may have sent the message */
#define PATIENCE_MS	5000	/* for the store */
#define SENT_SERIAL	0x40	/* charge ids of sent mail differ from those of signs */

/* The counter of sent messages; more than it holds block nobody. */
static const struct limit sent_limit = { .text = "", .unit = LIMIT_SENT, .max = LIMIT_MAX_CLIENTS,
	.window_ms = SENT_MS, .field = "i432000000" };

/* Accounts that may have sent what is returned. */
struct suspects {
	const char *accounts[ACCOUNTS];
	size_t n;
};

/* bounces_begin - read the body, if it is a report and a plan counts it */
void
bounces_begin(struct message *message)
{
	const struct facts *facts = &message->facts;
	const struct header_field *type;

	if ((facts->role != ROLE_INBOUND && facts->role != ROLE_LOCAL) ||
	    facts->sender_malformed != NULL || facts->sender[0] != '\0' ||
	    message->session->witness != NULL ||
	    !config_counts(message->session->snapshot->config, LIMIT_BOUNCES))
		return;
	type = header_find(message->header, "Content-Type", 0);
	if (type != NULL && bounce_is_report(type->value))
		message->bounce = mem_new(message, struct bounce);
}

/* charge_for - the charge of one thing of parties to a limit */
static struct quota_plan *
charge_for(struct message *message, const struct plans *plans, const struct limit *limit,
    const char *thing, uint8_t serial)
{
	const char *home = quota_home(plans->parties, plans->n);
	uint64_t mark = keyed_mark(home, strlen(home) + 1, thing);
	struct quota_cost cost = { 0 };
	uint8_t id[QUOTA_ID_LEN];

	charge_event_id(message, mark, serial, id);
	cost.things[limit->unit] = (struct quota_thing){ true, mark };
	return quota_plan_offence(message, plans->parties, plans->n, limit, &cost, id);
}

/* queue_text - what a message without Message-ID is known by */
static char *
queue_text(struct message *message, struct span id)
{
	return mem_printf(message, "queue %.*s", (int)id.len, id.at);
}

/* note_sent - remember the Message-ID of mail that an account sends */
static void
note_sent(struct message *message)
{
	static const struct store_block_rule never = { 0 };
	const struct header_field *field = header_find(message->header, "Message-ID", 0);
	struct span id = bounce_message_id(field != NULL ? field->value : "");
	const char *thing;

	if (id.len > 0)
		thing = mem_strndup(message, id.at, id.len);
	else if (message->facts.queue_id != NULL)
		thing = queue_text(message, text_span(message->facts.queue_id));
	else
		return;
	store_offence(message->session->daemon->store,
	    charge_for(message, &message->plans, &sent_limit, thing, SENT_SERIAL), &never);
}

/* suspect - one more account, by the name that a table or the configuration has */
static void
suspect(const struct lookup *lookup, struct suspects *suspects, const char *login)
{
	const struct config *config = lookup->snapshot->config;
	const char *account = identity_account(lookup->ctx, login, config->realm, NULL), *value;

	if (account != NULL && config->login_tables.n > 0 &&
	    lookup_key(lookup, &config->login_tables, account, false, &value) == TABLE_FOUND)
		account = identity_account(lookup->ctx, value, config->realm, NULL);
	if (account == NULL || suspects->n == ACCOUNTS)
		return;
	for (size_t i = 0; i < suspects->n; i++)
		if (strcmp(suspects->accounts[i], account) == 0)
			return;
	suspects->accounts[suspects->n++] = account;
}

/* suspect_by_tables - those that the owners tables of a listener name for an address */
static void
suspect_by_tables(const struct lookup *lookup, const struct listener *listener,
    const char *address, struct suspects *suspects)
{
	const char *value = NULL;
	struct span rest, entry;

	if (listener->owner_tables.n == 0 || lookup_address(lookup, &listener->owner_tables,
	    address, LOOKUP_ALL, &value) != TABLE_FOUND)
		return;
	rest = text_span(value);
	while (suspects->n < ACCOUNTS && text_list_next(&rest, &entry))
		suspect(lookup, suspects, mem_strndup(lookup->ctx, entry.at, entry.len));
}

/* suspect_by_owns - accounts of the configuration that list the address, and itself */
static void
suspect_by_owns(const struct lookup *lookup, const char *address, struct suspects *suspects)
{
	const struct config *config = lookup->snapshot->config;

	suspect(lookup, suspects, address);
	for (size_t i = 0; i < config->n_accounts; i++)
		for (size_t k = 0; k < config->accounts[i].owns.n; k++)
			if (identity_pattern_matches(&config->accounts[i].patterns[k], address,
				config->delimiter))
				suspect(lookup, suspects, config->accounts[i].name);
}

/* find_suspects - whose mail may come back to the recipients of a report? */
static void
find_suspects(const struct lookup *lookup, const struct message *message,
    struct suspects *suspects)
{
	const struct config *config = lookup->snapshot->config;
	const void *entry = NULL;

	for (size_t n = 0; n < RECIPIENTS &&
	     (entry = map_next(message->recipients, entry)) != NULL; n++) {
		const char *address = map_key(message->recipients, entry);

		suspect_by_owns(lookup, address, suspects);
		for (size_t i = 0; i < config->n_listeners; i++)
			suspect_by_tables(lookup, &config->listeners[i], address, suspects);
	}
}

/* has_sent - did these parties send a message lately? */
static bool
has_sent(struct message *message, const struct plans *plans, const char *thing)
{
	const struct quota_plan *asked =
	    charge_for(message, plans, &sent_limit, thing, SENT_SERIAL);
	struct quota_reply reply = { 0 };

	store_read(message->session->daemon->store, message, asked, clock_ms() + PATIENCE_MS,
	    &reply);
	/* what was sent before would cost nothing */
	return reply.state == QUOTA_READ && reply.n_counts == 1 && reply.counts[0].used > 0 &&
	    reply.counts[0].cost == 0;
}

/* accuse - count the report to an account, if it sent the message; whether it did */
static bool
accuse(struct message *message, const char *account, const char *id)
{
	const struct lookup lookup = message_lookup(message);
	const struct span queue_id = bounce_queue_id(id);
	const struct plan *plan;
	struct plans plans;

	plans_assign(&lookup, account, NULL, &plans);
	plan = plans.parties[0].plan;
	if (plans.failed != NULL || !quota_watches(plans.parties, plans.n, LIMIT_BOUNCES) ||
	    (!has_sent(message, &plans, id) && (queue_id.len == 0 ||
	    !has_sent(message, &plans, queue_text(message, queue_id)))))
		return false;
	charge_event(message, &plans, LIMIT_BOUNCES, 0, id);
	for (size_t i = 0; plan != NULL && i < plan->n_block_on; i++)
		if (plan->block_on[i].unit == LIMIT_BOUNCES)
			store_offence(message->session->daemon->store,
			    charge_for(message, &plans, &plan->block_on[i], id,
				(uint8_t)(i + 1)),
			    &(struct store_block_rule){ plan->block_for_ms, plan->block_grows });
	return true;
}

/* bounces_count - a message was decided */
void
bounces_count(struct message *message)
{
	const struct lookup lookup = message_lookup(message);
	struct suspects suspects = { .n = 0 };
	const char *id;

	if (!verdict_passes(&message->verdict))
		return;
	if (message->facts.account != NULL && message->rules.mode == MODE_ENFORCE &&
	    quota_watches(message->plans.parties, message->plans.n, LIMIT_BOUNCES))
		note_sent(message);
	if (message->bounce == NULL || (id = bounce_end(message->bounce)) == NULL)
		return;
	find_suspects(&lookup, message, &suspects);
	for (size_t i = 0; i < suspects.n; i++)
		if (accuse(message, suspects.accounts[i], id))
			break;
}
