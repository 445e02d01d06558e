/*
 * charge.c - a message and its limits
 *
 * Plans are looked up at MAIL, so that a table that fails is reported early; all else waits for
 * the end of the message, when it is known to pass everything else. What only some limits need (who
 * of the recipients is ours, marks of recipients and client) is found out only if a plan asks
 * for it.
 *
 * Thread rule: a message belongs to one thread at a time.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/keyed_mark.h"
#include "filter/message/charge.h"
#include "filter/message/owners.h"
#include "policy/base/address.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"
#include "policy/quota/merge.h"

#define STORE_PATIENCE_MS	30000	/* the store has a shorter deadline of its own */
#define READINGS_MAX		32	/* addresses looked at for one recipient */
#define MANY_DOMAINS		16	/* recipients' domains whose owner is remembered */
#define EVENT_SERIAL		0x80	/* charge ids of events differ from those of signs */

/* charge_config_of - the configuration a message is judged by */
static const struct config *
charge_config_of(const struct message *message)
{
	return message->session->snapshot->config;
}

/* over_action - what being over a plan's limits does: listener, then plan, then the role's
 * default */
static enum action
over_action(const struct message *message, const struct plan *plan)
{
	int own = message->listener->set.of[REASON_OVER];

	if (own >= 0)
		return (enum action)own;
	if (plan != NULL && plan->has_on_over &&
	    !(message->facts.role == ROLE_LOCAL && plan->on_over == ACTION_TEMPFAIL))
		return plan->on_over;
	return message->listener->actions[REASON_OVER];
}

/* smaller - the smaller of two bounds, of which 0 is none */
static uint64_t
smaller(uint64_t a, uint64_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

/* apply_plan - what a party's plan says of each message */
static void
apply_plan(struct message *message, struct quota_party *party)
{
	struct rules *rules = &message->rules;

	party->on_over = over_action(message, party->plan);
	if (party->plan == NULL)
		return;
	rules->max_recipients = (size_t)smaller(rules->max_recipients, party->plan->max_recipients);
	rules->max_size = smaller(rules->max_size, party->plan->max_size);
}

/* is_reporter - is it our own mail, the sender of DMARC reports through sendmail(1)? */
static bool
is_reporter(const struct message *message)
{
	const char *from = charge_config_of(message)->dmarc.report.from;

	return message->facts.role == ROLE_LOCAL && from != NULL &&
	    strcmp(message->facts.account, from) == 0;
}

/* charge_plan - who is charged, by which plans; the plan of all is for people, and a day's reports
 * would exceed it */
void
charge_plan(struct message *message)
{
	const struct config *config = charge_config_of(message);
	const struct lookup lookup = message_lookup(message);
	struct facts *facts = &message->facts;

	if (facts->account == NULL)
		return;
	message->account = config_account(config, facts->account);
	if (message->account != NULL && message->account->mode_set >= 0)
		message->rules.mode = (enum mode)message->account->mode_set;
	witness_topic(lookup.witness, "plan", facts->account);
	plans_assign(&lookup, facts->account, facts->client_addr, &message->plans);
	if (message->plans.from[0] == config->assign.account.plan_option && is_reporter(message))
		message->plans.parties[0].plan = NULL;
	if (message->plans.failed != NULL)
		facts->lookup_failed = message->plans.failed;
	for (size_t i = 0; i < message->plans.n; i++)
		apply_plan(message, &message->plans.parties[i]);
	message->rules.actions[REASON_OVER] = message->plans.parties[0].on_over;
}

/* block_stops - whether a blocked account is refused, as opposed to marked or held */
static bool
block_stops(const struct message *message)
{
	return message->rules.mode == MODE_ENFORCE &&
	    message->rules.actions[REASON_BLOCKED] >= ACTION_TEMPFAIL;
}

/* own_plan - the plan of the message's account, or NULL */
static const struct plan *
own_plan(const struct message *message)
{
	return message->facts.account != NULL ? message->plans.parties[0].plan : NULL;
}

/* is_lenient - whether mail of an account that block_on blocks is not refused */
static bool
is_lenient(const struct message *message)
{
	const struct plan *plan = own_plan(message);

	return plan != NULL && plan->block_action != PLAN_BLOCK_REFUSE &&
	    message->listener->set.of[REASON_BLOCKED] < 0;
}

/* soften_block - a block by block_on: hold the message, or let one pass now and then, as the plan
 * says; mail of role local, which cannot be deferred, is held */
static void
soften_block(struct message *message, const struct store_block *known)
{
	enum action *action = &message->rules.actions[REASON_BLOCKED];

	if (!is_lenient(message) || strcmp(known->by, STORE_BY_SIGNS) != 0)
		return;
	if (own_plan(message)->block_action == PLAN_BLOCK_HOLD ||
	    message->facts.role == ROLE_LOCAL) {
		*action = ACTION_QUARANTINE;
		message->block_holds = message->rules.mode == MODE_ENFORCE;
	} else if (message->session->witness == NULL) {
		*action = repeats_turn(message->session->daemon->repeats, message->facts.account,
		    clock_wall_ms(), PLAN_SLOW_MS) ? ACTION_WARN : ACTION_TEMPFAIL;
	} else {
		*action = ACTION_TEMPFAIL;
	}
}

/* find_block - the block of the account, and what it does; false: it is not blocked */
static bool
find_block(struct message *message, struct store_block *known_r)
{
	if (!store_known_block(
		message->session->daemon->store, message, message->facts.account, known_r))
		return false;
	soften_block(message, known_r);
	return true;
}

/* note_block - a block as a fact */
static void
note_block(struct message *message, const struct store_block *known)
{
	struct quota_fact *fact = &message->facts.quota;
	struct quota_block block;

	block.reason = known->reason;
	block.left_ms = known->until == 0 ? -1 : known->until - clock_wall_ms();
	fact->account = message->facts.account;
	quota_block_fact(message, &block, fact);
}

/* check_over - gather whether the account is known to be over a limit that refuses this message */
static void
check_over(struct message *message)
{
	struct quota_fact *fact = &message->facts.quota;
	const struct quota_party *party;

	if (message->rules.mode != MODE_ENFORCE ||
	    !store_known_over(
		message->session->daemon->store, message, message->facts.account,
		message->plans.parties, message->plans.n, fact))
		return;
	/* It may have been found out on another listener, where other actions hold, or from another
	 * network. */
	party = quota_party_named(message->plans.parties, message->plans.n, fact->subject);
	if (party != NULL && party->on_over >= ACTION_TEMPFAIL)
		message->rules.actions[REASON_OVER] = fact->on_over = party->on_over;
	else
		*fact = (struct quota_fact){ 0 };
}

/* charge_known - what is known without asking the store */
void
charge_known(struct message *message)
{
	struct store_block known;
	bool blocked;

	if (message->facts.account == NULL)
		return;
	blocked = find_block(message, &known);
	if (!message->block_holds)
		check_over(message);
	if (blocked)
		note_block(message, &known);
}

/* mark_of - of a text, keyed with the home */
static uint64_t
mark_of(const char *home, const char *text)
{
	return keyed_mark(home, strlen(home) + 1, text);
}

/* charge_client_text - the client's address as it is counted: of IPv6 the /64, for clients
 * change the rest at will */
static const char *
charge_client_text(const struct message *message)
{
	const struct ip_address *ip = &message->session->connection.ip;
	char *text;

	if (ip->bits != 128)
		return message->facts.client_addr;
	text = mem_strdup(message, "6:");
	for (size_t i = 0; i < 8; i++)
		text = mem_check(talloc_asprintf_append(text, "%02x", ip->octets[i]));
	return text;
}

/* charge_domain_of - the domain of a recipient, or NULL */
static const char *
charge_domain_of(const char *recipient)
{
	const char *at = strrchr(recipient, '@');

	return at != NULL && at[1] != '\0' ? at + 1 : NULL;
}

/* is_ours - whether a domain is ours; answers are remembered in known, MANY_DOMAINS of them */
static bool
is_ours(struct message *message, const char *domain, const char **known, bool *ours, size_t *n)
{
	const struct lookup lookup = message_lookup(message);
	bool answer;

	for (size_t i = 0; i < *n; i++)
		if (strcmp(known[i], domain) == 0)
			return ours[i];
	answer = owners_has_domain(&lookup, message->listener, domain);
	if (*n < MANY_DOMAINS) {
		known[*n] = domain;
		ours[(*n)++] = answer;
	}
	return answer;
}

/*
 * is_external - whether mail to a recipient may leave our own domains
 *
 * An MTA may go on with an address inside the local part, if the domain is its own. A name without
 * domain is of this host. A recipient with too many addresses inside, or with a route that cannot
 * be read, is external.
 */
static bool
is_external(struct message *message, const char *recipient, const char **known, bool *ours,
    size_t *n_known)
{
	const char *found[READINGS_MAX + ADDRESS_INNER_MAX] = { recipient };
	size_t n = 1;

	for (size_t i = 0; i < n; i++) {
		const char *domain = charge_domain_of(found[i]);
		size_t inner;

		if (domain != NULL && !is_ours(message, domain, known, ours, n_known))
			return true;
		if (n > READINGS_MAX)
			return true;
		inner = address_inner(message, found[i], found + n);
		if (inner == 0 && address_may_route(found[i]))
			return true;
		n += inner;
	}
	return false;
}

/* count_external - the recipients outside our own domains */
static uint64_t
count_external(struct message *message, const char **recipients, size_t n)
{
	const char *known[MANY_DOMAINS];
	bool ours[MANY_DOMAINS];
	size_t n_known = 0;
	uint64_t external = 0;

	for (size_t i = 0; i < n; i++)
		if (is_external(message, recipients[i], known, ours, &n_known))
			external++;
	return external;
}

/* mark_recipients - for limits of new recipients */
static const uint64_t *
mark_recipients(struct message *message, const char *home, const char **recipients, size_t n)
{
	uint64_t *marks = mem_array(message, uint64_t, n + 1);

	for (size_t i = 0; i < n; i++)
		marks[i] = mark_of(home, recipients[i]);
	return marks;
}

/* list_recipients - the message's recipients in an array */
static const char **
list_recipients(struct message *message)
{
	const struct map *map = message->recipients;
	const char **list = mem_array(message, const char *, map_count(map) + 1);
	const void *entry = NULL;

	for (size_t n = 0; (entry = map_next(map, entry)) != NULL; n++)
		list[n] = map_key(map, entry);
	return list;
}

/* charge_place - what tables say of the client's address; false: they know nothing of it
 * place: the fact, where it stays for the journal */
static bool
charge_place(struct message *message, const struct table_list *tables, const char **place,
    uint64_t *mark_r)
{
	const struct lookup lookup = message_lookup(message);

	if (*place == NULL && (message->facts.client_addr == NULL ||
	    lookup_key(&lookup, tables, message->facts.client_addr, false, place) != TABLE_FOUND)) {
		*place = NULL;
		return false;
	}
	*mark_r = mark_of(quota_home(message->plans.parties, message->plans.n), *place);
	return true;
}

/* charge_origin - where the message came from, as a unit counts it; false: that is not known, or
 * the unit counts something else */
static bool
charge_origin(struct message *message, enum limit_unit unit, uint64_t *mark_r)
{
	const struct config *config = charge_config_of(message);

	switch (unit) {
	case LIMIT_CLIENTS:
		if (message->facts.client_addr == NULL)
			return false;
		*mark_r = mark_of(quota_home(message->plans.parties, message->plans.n),
		    charge_client_text(message));
		return true;
	case LIMIT_COUNTRIES:
		return charge_place(message, &config->country_tables,
		    &message->facts.client_country, mark_r);
	case LIMIT_NETWORKS:
		return charge_place(message, &config->asn_tables,
		    &message->facts.client_network, mark_r);
	default:
		return false;
	}
}

/* cost_of - what the message costs, in the units that its plans count */
static struct quota_cost
cost_of(struct message *message)
{
	const struct facts *facts = &message->facts;
	const struct quota_party *parties = message->plans.parties;
	const char *home = quota_home(parties, message->plans.n);
	const char **recipients = list_recipients(message);
	struct quota_cost cost = {
		.messages = 1, .recipients = facts->recipients, .bytes = facts->size
	};

	if (quota_counts(parties, message->plans.n, LIMIT_EXTERNAL))
		cost.external = count_external(message, recipients, facts->recipients);
	if (quota_counts(parties, message->plans.n, LIMIT_NEW)) {
		cost.marks = mark_recipients(message, home, recipients, facts->recipients);
		cost.n_marks = facts->recipients;
	}
	for (enum limit_unit unit = 0; unit <= LIMIT_LAST; unit++)
		if (limit_is_distinct(unit) && quota_counts(parties, message->plans.n, unit))
			cost.things[unit].known =
			    charge_origin(message, unit, &cost.things[unit].mark);
	return cost;
}

/* charge_message - charge the message if it is not over */
void
charge_message(struct message *message)
{
	struct quota_fact *fact = &message->facts.quota;
	struct witness *witness = message->session->witness;
	struct quota_cost cost;
	struct quota_plan *plan;
	struct quota_reply reply;
	struct store_block known;

	if (message->facts.account == NULL)
		return;
	/* blocked since MAIL */
	if (!fact->blocked && is_lenient(message))
		(void)find_block(message, &known);
	witness_topic(witness, "external", message->facts.account);
	cost = cost_of(message);
	plan = quota_plan_of(message, message->plans.parties, message->plans.n, &cost,
	    message->rules.mode == MODE_WATCH || message->block_holds, message->charge_id);
	/* whether another filter's block is one by hand is known when the list is read again */
	plan->block_binds = block_stops(message) && (fact->blocked || !is_lenient(message));
	(witness != NULL ? store_foretell : store_charge)(
	    message->session->daemon->store, message, plan, clock_ms() + STORE_PATIENCE_MS, &reply);
	witness_charge(witness, plan, &reply);
	quota_judge(message, plan, &reply, fact);
	if (fact->limit != NULL)
		message->rules.actions[REASON_OVER] =
		    message->block_holds ? ACTION_WARN : fact->on_over;
	/* the journal makes events of them */
	message->n_marks = quota_marks(message, plan, &reply, &message->marks);
}

/* is_refused - whether a message was refused for a reason */
static bool
is_refused(const struct message *message, enum reason reason)
{
	return message->verdict.action >= ACTION_TEMPFAIL && message->verdict.reason == reason;
}

/* mark_of_message - recipients and subject of a message: the same when it is tried again */
static uint64_t
mark_of_message(struct message *message)
{
	const char *home = quota_home(message->plans.parties, message->plans.n);
	const struct header_field *subject =
	    header_find(message->header, "Subject", 0);
	const char **recipients = list_recipients(message);
	size_t n = map_count(message->recipients);
	uint64_t mark = mark_of(home, subject != NULL ? subject->value : "");

	for (size_t i = 0; i < n; i++)
		mark += mark_of(home, recipients[i]);
	return mark;
}

/* counts_as_over - whether a message refused over a limit counts: neither one that is tried again
 * nor most of a mail merge */
static bool
counts_as_over(struct message *message, uint64_t mark, int64_t window_ms)
{
	const char *home = quota_home(message->plans.parties, message->plans.n);
	const struct header_field *subject = header_find(message->header, "Subject", 0);
	const char *common = merge_subject(message, subject != NULL ? subject->value : "");
	/* signs of different windows count apart */
	uint64_t of = mark_of(home, message->facts.account) + (uint64_t)window_ms;

	return repeats_refused(message->session->daemon->repeats, mark ^ of,
	    mark_of(home, common) ^ of, clock_wall_ms(), window_ms);
}

/* charge_is_over - was it refused over a limit? Not by one of 0, which is no sign of anything */
static bool
charge_is_over(const struct message *message)
{
	return is_refused(message, REASON_OVER) ||
	    (is_refused(message, REASON_NEVER_FITS) && message->facts.quota.max > 0);
}

/* shows - whether a decided message shows a sign, and what of it is counted */
static bool
shows(struct message *message, const struct limit *limit, struct quota_cost *cost)
{
	const char *home = quota_home(message->plans.parties, message->plans.n);
	struct quota_thing *thing = &cost->things[limit->unit];

	switch (limit->unit) {
	case LIMIT_FOREIGN:
		return message->verdict.action >= ACTION_TEMPFAIL &&
		    reply_is_offence(message->verdict.reason);
	case LIMIT_OVER:
		/* What MAIL is refused for is not known to be another message; a shared limit may
		 * be used up by others. */
		if (!charge_is_over(message) || message->facts.quota.subject != NULL ||
		    map_count(message->recipients) == 0)
			return false;
		*thing = (struct quota_thing){ true, mark_of_message(message) };
		return counts_as_over(message, thing->mark, limit->window_ms);
	case LIMIT_USUAL:
		return false;	/* charge_usual() */
	case LIMIT_NEW:
		cost->n_marks = map_count(message->recipients);
		cost->marks = mark_recipients(
		    message, home, list_recipients(message), cost->n_marks);
		return message->rules.mode == MODE_ENFORCE && cost->n_marks > 0;
	default:
		thing->known = message->rules.mode == MODE_ENFORCE &&
		    charge_origin(message, limit->unit, &thing->mark);
		return thing->known;
	}
}

void
charge_event_id(const struct message *message, uint64_t mark, uint8_t serial, uint8_t *id)
{
	memcpy(id, message->charge_id, QUOTA_ID_LEN);
	for (size_t i = 0; i < sizeof(mark); i++)
		id[i] ^= (uint8_t)(mark >> (8 * i));
	id[QUOTA_ID_LEN - 1] ^= serial;
}

/* charge_sign - count one sign towards block_on number i */
static void
charge_sign(struct message *message, size_t i, const struct quota_cost *cost)
{
	const struct plan *plan = message->plans.parties[0].plan;
	const struct store_block_rule rule = { plan->block_for_ms, plan->block_grows };
	const struct limit *limit = &plan->block_on[i];
	uint8_t id[QUOTA_ID_LEN];

	charge_event_id(message, cost->things[limit->unit].mark, (uint8_t)(i + 1), id);
	store_offence(message->session->daemon->store,
	    quota_plan_offence(
		message, message->plans.parties, message->plans.n, limit, cost, id),
	    &rule);
}

/* charge_level - count what happened towards the limits on a level that some parties have, at once:
 * a message that comes next must know it. window_ms: of limits with this window; 0: any */
static void
charge_level(struct message *message, const struct plans *plans, enum limit_unit unit,
    int64_t window_ms, const struct quota_cost *cost)
{
	struct quota_plan *plan;
	struct quota_reply reply;
	struct quota_mark *marks;
	uint8_t id[QUOTA_ID_LEN];
	size_t n;

	if (!quota_counts(plans->parties, plans->n, unit))
		return;
	charge_event_id(message, cost->things[unit].mark + (uint64_t)window_ms,
	    (uint8_t)(EVENT_SERIAL + unit), id);
	plan = quota_plan_event(
	    message, plans->parties, plans->n, unit, window_ms, cost, id);
	store_event(message->session->daemon->store, message, plan,
	    clock_ms() + STORE_PATIENCE_MS, &reply);
	n = quota_marks(message, plan, &reply, &marks);
	journal_marks(message->session->daemon->journal, plans->parties[0].name,
	    message->rules.mode, marks, n);
	talloc_free(plan);
}

/* charge_offence - count the signs that a decided message shows */
void
charge_offence(struct message *message)
{
	static const struct limit foreign = { .unit = LIMIT_FOREIGN };
	const struct plan *plan = own_plan(message);

	for (size_t i = 0; plan != NULL && i < plan->n_block_on; i++) {
		struct quota_cost cost = { 0 };

		if (shows(message, &plan->block_on[i], &cost))
			charge_sign(message, i, &cost);
	}
	if (message->facts.account != NULL && shows(message, &foreign, &(struct quota_cost){ 0 }))
		charge_level(message, &message->plans, LIMIT_FOREIGN, 0,
		    &(struct quota_cost){ 0 });
}

void
charge_usual(struct message *message)
{
	static const struct quota_cost nothing;
	const struct plan *plan = own_plan(message);

	if (plan == NULL || message->facts.account == NULL ||
	    message->verdict.action >= ACTION_TEMPFAIL || message->rules.mode != MODE_ENFORCE)
		return;
	for (size_t i = 0; i < plan->n_block_on; i++) {
		const struct store_block_rule rule = { plan->block_for_ms, plan->block_grows };
		const struct limit *limit = &plan->block_on[i];
		uint8_t id[QUOTA_ID_LEN];

		if (limit->unit != LIMIT_USUAL)
			continue;
		charge_event_id(message, 0, (uint8_t)(i + 1), id);
		journal_usual(message->session->daemon->journal,
		    quota_plan_offence(message, message->plans.parties, message->plans.n, limit,
			&nothing, id),
		    &rule, message->facts.recipients);
	}
}

/* charge_cost_of - what a thing costs some parties */
static struct quota_cost
charge_cost_of(const struct plans *plans, enum limit_unit unit, const char *thing)
{
	struct quota_cost cost = { 0 };

	cost.things[unit] =
	    (struct quota_thing){ true, mark_of(quota_home(plans->parties, plans->n), thing) };
	return cost;
}

/* charge_event - count a thing towards the limits of some parties */
void
charge_event(struct message *message, const struct plans *plans, enum limit_unit unit,
    int64_t window_ms, const char *thing)
{
	const struct quota_cost cost = charge_cost_of(plans, unit, thing);

	charge_level(message, plans, unit, window_ms, &cost);
}

/* charge_thing_to - count a thing towards block_on number i */
void
charge_thing_to(struct message *message, size_t i, const char *thing)
{
	enum limit_unit unit = message->plans.parties[0].plan->block_on[i].unit;
	const struct quota_cost cost = charge_cost_of(&message->plans, unit, thing);

	charge_sign(message, i, &cost);
}

/* charge_thing - count a thing that a message shows */
void
charge_thing(struct message *message, enum limit_unit unit, const char *thing)
{
	const struct plan *plan = own_plan(message);
	struct quota_cost cost;

	if (message->facts.account == NULL)
		return;
	cost = charge_cost_of(&message->plans, unit, thing);
	charge_level(message, &message->plans, unit, 0, &cost);
	if (message->rules.mode != MODE_ENFORCE)
		return;
	for (size_t i = 0; plan != NULL && i < plan->n_block_on; i++)
		if (plan->block_on[i].unit == unit)
			charge_sign(message, i, &cost);
}
