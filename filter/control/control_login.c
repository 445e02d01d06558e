/*
 * control_login.c - commands of those who log users in: login allow, login report
 *
 * Failed logins are counted by the same machinery as other signs (block_on), in the shared store.
 * Strangers try names by the million, so only accounts of our domains, or named in the
 * configuration, count; and of those that have not logged in here, a network may name
 * GUESSES_NETWORK an hour, and all networks together as many as the table holds.
 *
 * Thread rule: the control thread's, which answers one request at a time.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/keyed_mark.h"
#include "filter/base/log.h"
#include "filter/base/seldom.h"
#include "filter/control/control_asked.h"
#include "filter/message/lookup.h"
#include "filter/message/plans.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"
#include "policy/sender/identity.h"

#define GUESSES_NETWORK	20	/* accounts that a network may name an hour */
#define HOUR_MS		INT64_C(3600000)
#define SLOTS		8192	/* of each table */
#define TRIES		8	/* slots that are looked at */
#define PLACES	6	/* countries and networks remembered of an account, each */
#define PLACE_MAX	16	/* octets of the name of one, NUL included */

/* Something that was named within an hour. */
struct guess {
	uint64_t mark;
	int64_t hour;
	unsigned int n;
};

/* An account that logged in. */
struct homely {
	uint64_t mark;
	int64_t at_ms;
	char places[2][PLACES][PLACE_MAX]; /* countries, networks (AS); the latest first */
};

/* What this process remembers; a restart forgets it. */
struct logins {
	unsigned char salt[16];
	struct guess accounts[SLOTS], networks[SLOTS];
	struct guess names[SLOTS], spread[SLOTS]; /* that failed: of each network, and how many */
	struct homely homely[SLOTS];
	struct seldom seldom;
};

/* A log-in that was tried. */
struct login {
	const struct asked *asked;
	struct logins *logins;
	struct snapshot *snapshot;
	const char *account;
	const char *client;	/* or NULL */
};

/* logins_of - the daemon's, made at first use */
static struct logins *
logins_of(struct daemon *daemon)
{
	if (daemon->logins == NULL) {
		daemon->logins = mem_new(NULL, struct logins);
		(void)pthread_mutex_init(&daemon->logins->seldom.lock, NULL);
		if (RAND_bytes(daemon->logins->salt, sizeof(daemon->logins->salt)) != 1)
			mem_end("OpenSSL has no random numbers");
	}
	return daemon->logins;
}

/* guess_slot - where a mark is in a table, or may be put; NULL: there is no room this hour */
static struct guess *
guess_slot(struct guess *table, uint64_t mark, int64_t hour)
{
	struct guess *free_slot = NULL;

	for (size_t i = 0; i < TRIES; i++) {
		struct guess *slot = &table[(mark + i) % SLOTS];

		if (slot->hour == hour && slot->mark == mark)
			return slot;
		if (slot->hour != hour && free_slot == NULL)
			free_slot = slot;
	}
	if (free_slot != NULL)
		*free_slot = (struct guess){ mark, hour, 0 };
	return free_slot;
}

/* homely_slot - of an account that logged in; else NULL, or a place for it */
static struct homely *
homely_slot(struct logins *logins, uint64_t mark, bool make)
{
	struct homely *oldest = &logins->homely[mark % SLOTS];

	for (size_t i = 0; i < TRIES; i++) {
		struct homely *slot = &logins->homely[(mark + i) % SLOTS];

		if (slot->at_ms > 0 && slot->mark == mark)
			return slot;
		if (slot->at_ms < oldest->at_ms)
			oldest = slot;
	}
	if (!make)
		return NULL;
	*oldest = (struct homely){ .mark = mark };
	return oldest;
}

/* network_of - the /24 or /64 of an address, as a text; "" if it is none */
static const char *
network_of(TALLOC_CTX *ctx, const char *client)
{
	struct ip_address ip;
	char *text = mem_strdup(ctx, "");

	if (client == NULL || !ip_address_parse(client, &ip))
		return text;
	for (size_t i = 0; i < (ip.bits == 128 ? 8U : 3U); i++)
		text = mem_check(talloc_asprintf_append(text, "%02x", ip.octets[i]));
	return text;
}

/* network_text - the same as people write it: "192.0.2.0/24" */
static const char *
network_text(TALLOC_CTX *ctx, const char *client)
{
	struct ip_address ip;

	if (!ip_address_parse(client, &ip))
		return client;
	for (size_t i = ip.bits == 128 ? 8 : 3; i < ip.bits / 8; i++)
		ip.octets[i] = 0;
	return mem_printf(
	    ctx, "%s/%d", ip_address_text(ctx, &ip), ip.bits == 128 ? 64 : 24);
}

/* login_mark_of - of an account or a network, in this process */
static uint64_t
login_mark_of(const struct login *login, const char *text)
{
	return keyed_mark(login->logins->salt, sizeof(login->logins->salt), text);
}

/* login_counts - may a failure of this account be counted? */
static bool
login_counts(const struct login *login, const struct plans *plans)
{
	struct logins *logins = login->logins;
	int64_t hour = clock_ms() / HOUR_MS + 1;
	uint64_t account = login_mark_of(login, login->account);
	struct guess *of_account, *of_network;

	if (!plans_is_known(login->snapshot, plans))
		return false;
	if (homely_slot(logins, account, false) != NULL)
		return true;
	of_network = guess_slot(logins->networks,
	    login_mark_of(login, network_of(login->asked->ctx, login->client)), hour);
	of_account = guess_slot(logins->accounts, account, hour);
	if (of_account != NULL && of_account->n > 0)
		return true;
	if (of_account == NULL || of_network == NULL || of_network->n >= GUESSES_NETWORK)
		return false;
	of_account->n = 1;
	of_network->n++;
	return true;
}

/* login_mode - the mode of the account's mail that comes with a login */
static enum mode
login_mode(const struct login *login)
{
	return config_account_mode(login->snapshot->config, login->account, ROLE_SUBMISSION);
}

/* is_enforced - would a block refuse mail of this account? */
static bool
is_enforced(const struct login *login)
{
	return login_mode(login) == MODE_ENFORCE;
}

/* count_sign - a wrong password towards block_on */
static bool
count_sign(const struct login *login, const struct plans *plans, const struct quota_cost *cost,
    const uint8_t *id)
{
	const struct plan *plan = plans->parties[0].plan;
	bool counted = false;

	for (size_t i = 0; plan != NULL && i < plan->n_block_on; i++) {
		const struct store_block_rule rule = { plan->block_for_ms, plan->block_grows };
		uint8_t own[QUOTA_ID_LEN];

		if (plan->block_on[i].unit != LIMIT_LOGINS)
			continue;
		memcpy(own, id, sizeof(own));
		own[0] ^= (uint8_t)(i + 1);
		store_offence(login->asked->daemon->store, quota_plan_offence(login->asked->ctx,
		    plans->parties, plans->n, &plan->block_on[i], cost, own), &rule);
		counted = true;
	}
	return counted;
}

/* count_level - a wrong password towards limits */
static bool
count_level(const struct login *login, const struct plans *plans, const struct quota_cost *cost,
    const uint8_t *id)
{
	TALLOC_CTX *ctx = login->asked->ctx;
	struct quota_plan *plan = quota_plan_event(
	    ctx, plans->parties, plans->n, LIMIT_LOGINS, 0, cost, id);
	struct quota_reply reply;
	struct quota_mark *marks;
	size_t n;

	if (plan->n_counters == 0)
		return false;
	store_event(login->asked->daemon->store, ctx, plan, clock_ms() + CONTROL_STORE_WAIT_MS,
	    &reply);
	n = quota_marks(ctx, plan, &reply, &marks);
	journal_marks(
	    login->asked->daemon->journal, login->account, login_mode(login), marks, n);
	return true;
}

/* count_failure - a wrong password; secret tells different ones apart, or NULL */
static bool
count_failure(const struct login *login, const char *secret)
{
	const struct lookup lookup = { login->asked->ctx, login->snapshot,
		clock_ms() + CONTROL_STORE_WAIT_MS, NULL, NULL };
	struct plans plans = { 0 };
	struct quota_cost cost = { 0 };
	uint8_t id[QUOTA_ID_LEN];
	uint64_t mark;
	bool counted;

	plans_assign(&lookup, login->account, login->client, &plans);
	if (plans.failed != NULL || !quota_watches(plans.parties, plans.n, LIMIT_LOGINS) ||
	    !login_counts(login, &plans))
		return false;
	if (RAND_bytes(id, sizeof(id)) != 1)
		mem_end("OpenSSL has no random numbers");
	memcpy(&mark, id, sizeof(mark));
	if (secret != NULL && secret[0] != '\0')
		mark = keyed_mark(login->account, strlen(login->account), secret);
	cost.things[LIMIT_LOGINS] = (struct quota_thing){ true, mark };
	counted = is_enforced(login) && count_sign(login, &plans, &cost, id);
	return count_level(login, &plans, &cost, id) || counted;
}

/* What is remembered of an account, and what a new one raises. */
enum login_place { LOGIN_COUNTRY, LOGIN_NETWORK, LOGIN_PLACES };
static const struct {
	enum event_kind kind;
	const char *member;	/* of the event's details */
	const char *before;	/* the name, in the sentence */
} login_places[LOGIN_PLACES] = {
	[LOGIN_COUNTRY] = { EVENT_NEW_COUNTRY, "country", "" },
	[LOGIN_NETWORK] = { EVENT_NEW_NETWORK, "network", "network " },
};

/* raise_place - an account logged in from a place that it was not in before */
static void
raise_place(const struct login *login, enum login_place which, char places[][PLACE_MAX],
    const char *place)
{
	TALLOC_CTX *ctx = login->asked->ctx;
	char *before = mem_strdup(ctx, places[0]);

	for (size_t i = 1; i < PLACES && places[i][0] != '\0'; i++)
		before = mem_check(talloc_asprintf_append(before, ", %s", places[i]));
	event_raise(journal_events(login->asked->daemon->journal), login_places[which].kind,
	    "account", login->account, place,
	    mem_printf(ctx, "%s logged in from %s%s (%s); before: %s", login->account,
		login_places[which].before, place, login->client, before),
	    json_pack("{s:s, s:s}", login_places[which].member, place, "client", login->client));
}

/* note_place - put a place in front of those of an account; whether it was new and others there */
static bool
note_place(char places[][PLACE_MAX], const char *place)
{
	size_t i = 0;
	bool news;

	while (i < PLACES - 1 && places[i][0] != '\0' && strcmp(places[i], place) != 0)
		i++;
	news = strcmp(places[i], place) != 0 && places[0][0] != '\0';
	memmove(places[1], places[0], i * PLACE_MAX);
	(void)snprintf(places[0], PLACE_MAX, "%s", place);
	return news;
}

/* place_of_login - what tables say of the client's address, or NULL */
static const char *
place_of_login(const struct login *login, const struct table_list *tables)
{
	const struct lookup lookup = { login->asked->ctx, login->snapshot,
		clock_ms() + CONTROL_STORE_WAIT_MS, NULL, NULL };
	const char *place = NULL;

	if (login->client == NULL || tables->n == 0 ||
	    lookup_key(&lookup, tables, login->client, false, &place) != TABLE_FOUND ||
	    place[0] == '\0' || strlen(place) >= PLACE_MAX)
		return NULL;
	return place;
}

/* note_success - remember that the account logged in, and where; a new country says more than the
 * new network that comes with it */
static void
note_success(const struct login *login)
{
	const struct config *config = login->snapshot->config;
	const struct table_list *const tables[LOGIN_PLACES] = {
		[LOGIN_COUNTRY] = &config->country_tables, [LOGIN_NETWORK] = &config->asn_tables };
	struct homely *homely = homely_slot(login->logins, login_mark_of(login, login->account),
	    true);
	bool raised = login->asked->daemon->journal == NULL;

	homely->at_ms = clock_ms();
	for (enum login_place which = 0; which < LOGIN_PLACES; which++) {
		const char *place = place_of_login(login, tables[which]);
		char before[PLACES][PLACE_MAX];

		if (place == NULL)
			continue;
		memcpy(before, homely->places[which], sizeof(before));
		if (note_place(homely->places[which], place) && !raised) {
			raise_place(login, which, before, place);
			raised = true;
		}
	}
}

/* note_guess - a network failed to log in; names that do not exist count as well */
static void
note_guess(const struct login *login)
{
	struct logins *logins = login->logins;
	TALLOC_CTX *ctx = login->asked->ctx;
	const char *network = network_of(ctx, login->client);
	int64_t hour = clock_ms() / HOUR_MS + 1;
	struct guess *name, *spread;
	struct ip_address ip;

	/* a webmail of this host stands for all its users */
	if (network[0] == '\0' || login->asked->daemon->journal == NULL ||
	    (ip_address_parse(login->client, &ip) && ip_address_is_loopback(&ip)))
		return;
	name = guess_slot(logins->names,
	    login_mark_of(login, mem_printf(ctx, "%s %s", network, login->account)), hour);
	spread = guess_slot(logins->spread, login_mark_of(login, network), hour);
	if (name == NULL || spread == NULL || name->n++ > 0 || ++spread->n < GUESSES_NETWORK)
		return;
	event_raise(journal_events(login->asked->daemon->journal), EVENT_LOGIN_GUESSING, "network",
	    network_text(ctx, login->client), NULL,
	    mem_printf(ctx, "log-ins of %u accounts or more failed from the network of %s (%s) "
		"within an hour: ban it, if it is not that of many users", GUESSES_NETWORK,
		login->client, network_text(ctx, login->client)),
	    json_pack("{s:s, s:i}", "client", login->client, "accounts", GUESSES_NETWORK));
}

/* login_begin - read a request; NULL, or an answer that says what is wrong; then nothing is held */
static json_t *
login_begin(const struct asked *asked, struct login *login)
{
	const char *client = control_text(asked, "client"), *value = NULL, *error = NULL;
	struct ip_address ip;
	json_t *answer = NULL;

	if (client != NULL && client[0] != '\0' && !ip_address_parse(client, &ip))
		return control_failed_as(CONTROL_REQUEST, "client must be an address, such as 192.0.2.7");
	login->asked = asked;
	login->client = client != NULL && client[0] != '\0' ? client : NULL;
	login->account = control_account(asked, &answer);
	if (login->account == NULL)
		return answer;
	login->logins = logins_of(asked->daemon);
	login->snapshot = daemon_snapshot(asked->daemon);
	if (login->snapshot->config->login_tables.n > 0) {
		const struct lookup lookup = { asked->ctx, login->snapshot,
			clock_ms() + CONTROL_STORE_WAIT_MS, NULL, NULL };

		if (lookup_key(&lookup, &login->snapshot->config->login_tables, login->account,
		    false, &value) == TABLE_FOUND)
			value = identity_account(asked->ctx, value, login->snapshot->config->realm,
			    &error);
		if (value != NULL)
			login->account = value;
	}
	return NULL;
}

/* control_login_allow - may this account log in? */
json_t *
control_login_allow(const struct asked *asked)
{
	struct login login = { 0 };
	json_t *answer = login_begin(asked, &login);
	unsigned long skipped = 0;
	bool blocked;

	if (answer != NULL)
		return answer;
	blocked = is_enforced(&login) &&
	    store_known_block(asked->daemon->store, asked->ctx, login.account, NULL);
	if (blocked && seldom_may(&login.logins->seldom, login.account, clock_ms(), &skipped))
		log_info("login: %s: refused from %s, the account is blocked", login.account,
		    login.client != NULL ? login.client : "an unknown address");
	answer = json_pack("{s:b, s:s, s:b, s:s}", "ok", 1, "account", login.account, "allow",
	    !blocked, "why", blocked ? "the account is blocked" : "");
	snapshot_release(login.snapshot);
	return answer;
}

/* control_login_report - a log-in succeeded or failed */
json_t *
control_login_report(const struct asked *asked)
{
	struct login login = { 0 };
	json_t *answer = login_begin(asked, &login);
	bool counted = false;

	if (answer != NULL)
		return answer;
	if (!asked->asker->may_write) {
		snapshot_release(login.snapshot);
		return control_failed_as(CONTROL_NOT_PERMITTED,
		    "log-ins are reported by members of control_group alone");
	}
	if (control_number(asked, "success", 0, 1, 0) == 1) {
		note_success(&login);
	} else {
		note_guess(&login);
		counted = count_failure(&login, control_text(asked, "password_hash"));
	}
	answer = json_pack("{s:b, s:s, s:b}", "ok", 1, "account", login.account, "counted",
	    counted);
	snapshot_release(login.snapshot);
	return answer;
}
