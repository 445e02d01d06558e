/*
 * control_stolen.c - the command "stolen": what the history and the events know about a theft
 *
 * Since when: the latest run of signs without a gap of SIGN_GAP_MS. A sign is a message that was
 * not accepted (in mode watch: would not have been), or an event about the account. Before it, an
 * address that the account had not used, within NEW_ADDRESS_MS, is the first sign.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filter/base/clock.h"
#include "filter/control/control_asked.h"
#include "policy/base/mem.h"
#include "policy/verdict/reply_texts.h"

#define SIGN_GAP_MS	INT64_C(86400000)
#define NEW_ADDRESS_MS	INT64_C(86400000)	/* before the first other sign */
#define EVENTS_LOOKED_AT	1000
#define CLIENTS_MAX	100	/* in an answer */

/* One sign. */
struct sign {
	int64_t at_ms;
	const char *what;	/* a reason or an event, as in the log */
};

/* What is known; decisions are newest first. */
struct theft {
	TALLOC_CTX *ctx;
	json_t *decisions;
	json_t *events;		/* of the account, newest first */
	struct sign *signs;
	size_t n_signs;
	struct sign first;
	json_t *clients;	/* by their text */
	json_t *filters, *senders; /* of what may be queued */
	json_int_t messages, recipients, held, refused, deferred, before;
};

/* stolen_text - a text member, never NULL */
static const char *
stolen_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

/* decision_at - when it was made */
static int64_t
decision_at(const json_t *decision)
{
	return json_integer_value(json_object_get(decision, "at"));
}

/* stolen_passed - did the message go on? It may be held. */
static bool
stolen_passed(const json_t *decision)
{
	const char *action = stolen_text(decision, "action");

	return strcmp(action, "reject") != 0 && strcmp(action, "tempfail") != 0;
}

/* event_at - when an event was raised; 0: its time cannot be read */
static int64_t
event_at(const json_t *event)
{
	struct tm tm = { 0 };

	if (sscanf(stolen_text(event, "time"), "%4d-%2d-%2dT%2d:%2d:%2dZ", &tm.tm_year,
	    &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) * 1000;
}

/* add_sign - one more */
static void
add_sign(struct theft *theft, int64_t at_ms, const char *what)
{
	theft->signs[theft->n_signs++] = (struct sign){ at_ms, what };
}

/* newest_first - for qsort(3) */
static int
newest_first(const void *a, const void *b)
{
	const struct sign *first = a, *second = b;

	return (first->at_ms < second->at_ms) - (first->at_ms > second->at_ms);
}

/* find_signs - all signs, newest first */
static void
find_signs(struct theft *theft)
{
	const json_t *item;
	size_t i;

	theft->signs = mem_array(theft->ctx, struct sign, json_array_size(theft->decisions) +
	    json_array_size(theft->events) + 1);
	json_array_foreach(theft->decisions, i, item) {
		const char *would = stolen_text(item, "would");

		if (!stolen_passed(item) || (would[0] != '\0' && strcmp(would, "accept") != 0))
			add_sign(theft, decision_at(item), stolen_text(item, "reason"));
	}
	json_array_foreach(theft->events, i, item)
		if (strcmp(stolen_text(item, "event"), "unblocked") != 0)
			add_sign(theft, event_at(item), stolen_text(item, "event"));
	qsort(theft->signs, theft->n_signs, sizeof(*theft->signs), newest_first);
	for (i = 0; i < theft->n_signs; i++) {
		if (i > 0 && theft->first.at_ms - theft->signs[i].at_ms > SIGN_GAP_MS)
			break;
		theft->first = theft->signs[i];
	}
}

/* find_new_address - was there an address before the first sign that was not used before? */
static void
find_new_address(struct theft *theft)
{
	size_t n = json_array_size(theft->decisions);
	int64_t oldest = n == 0 ? 0 : decision_at(json_array_get(theft->decisions, n - 1));
	int64_t until = theft->first.at_ms, from = until - NEW_ADDRESS_MS;
	json_t *known = json_object();

	for (size_t i = n; i > 0; i--) {
		const json_t *decision = json_array_get(theft->decisions, i - 1);
		const char *client = stolen_text(decision, "client");
		int64_t at = decision_at(decision);

		if (at >= until)
			break;
		if (json_object_get(known, client) == NULL && at >= from &&
		    at > oldest + NEW_ADDRESS_MS && client[0] != '\0') {
			theft->first = (struct sign){ at,
				mem_printf(theft->ctx, "first mail from %s", client) };
			break;
		}
		(void)json_object_set_new(known, client, json_true());
	}
	json_decref(known);
}

/* bump - add to a number of an object */
static void
bump(json_t *object, const char *name, json_int_t n)
{
	(void)json_object_set_new(object, name,
	    json_integer(json_integer_value(json_object_get(object, name)) + n));
}

/* stolen_add_client - a decision to the line of its client; the newest comes first */
static void
stolen_add_client(struct theft *theft, const json_t *decision)
{
	const char *client = stolen_text(decision, "client");
	json_t *line = json_object_get(theft->clients, client);

	if (line == NULL) {
		line = json_pack("{s:s, s:i, s:i, s:i, s:I, s:I}", "client", client, "passed", 0,
		    "recipients", 0, "refused", 0, "first", (json_int_t)0, "last",
		    (json_int_t)decision_at(decision));
		(void)json_object_set_new(theft->clients, client, line);
	}
	(void)json_object_set_new(line, "first", json_integer(decision_at(decision)));
	bump(line, stolen_passed(decision) ? "passed" : "refused", 1);
	if (stolen_passed(decision))
		bump(line, "recipients",
		    json_integer_value(json_object_get(decision, "recipients")));
}

/* count_since - what passed since the first sign; clients also of the day before it */
static void
count_since(struct theft *theft)
{
	const json_t *decision;
	size_t i;

	json_array_foreach(theft->decisions, i, decision) {
		const char *action = stolen_text(decision, "action");
		int64_t at = decision_at(decision);

		if (stolen_passed(decision))
			control_add_queued(theft->filters, theft->senders, decision);
		if (theft->first.at_ms - at < SIGN_GAP_MS)
			stolen_add_client(theft, decision);
		if (at < theft->first.at_ms) {
			if (stolen_passed(decision) && theft->first.at_ms - at < SIGN_GAP_MS)
				theft->before++;
			continue;
		}
		theft->held += strcmp(action, "quarantine") == 0;
		theft->deferred += strcmp(action, "tempfail") == 0;
		theft->refused += strcmp(action, "reject") == 0;
		if (!stolen_passed(decision))
			continue;
		theft->messages++;
		theft->recipients += json_integer_value(json_object_get(decision, "recipients"));
	}
}

/* most_first - for qsort(3), by recipients, then by refusals */
static int
most_first(const void *a, const void *b)
{
	static const char *const by[] = { "recipients", "passed", "refused" };
	const json_t *const *first = a, *const *second = b;

	for (size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
		json_int_t x = json_integer_value(json_object_get(*first, by[i]));
		json_int_t y = json_integer_value(json_object_get(*second, by[i]));

		if (x != y)
			return x < y ? 1 : -1;
	}
	return strcmp(stolen_text(*first, "client"), stolen_text(*second, "client"));
}

/* clients_json - the clients with most recipients */
static json_t *
clients_json(const struct theft *theft)
{
	size_t n = json_object_size(theft->clients), i = 0;
	json_t **lines = mem_array(theft->ctx, json_t *, n + 1);
	json_t *list = json_array(), *line;
	const char *name;

	json_object_foreach(theft->clients, name, line)
		lines[i++] = line;
	qsort(lines, n, sizeof(json_t *), most_first);
	for (i = 0; i < n && i < CLIENTS_MAX; i++)
		(void)json_array_append(list, lines[i]);
	return list;
}

/* events_of - the events of an account; not NULL: events that cannot be read are none */
static json_t *
events_of(const struct asked *asked, struct books *books, const char *account)
{
	const char *error = NULL;
	json_t *all = books_last_events(books, asked->ctx, EVENTS_LOOKED_AT, &error);
	json_t *own = json_array(), *event;
	size_t i;

	json_array_foreach(all, i, event)
		if (strcmp(stolen_text(event, "account"), account) == 0)
			(void)json_array_append(own, event);
	json_decref(all);
	return own;
}

/* language_of - of the replies: a text for the holder should be in it, too */
static const char *
language_of(const struct asked *asked)
{
	struct snapshot *snapshot = daemon_snapshot(asked->daemon);
	const struct reply_texts *texts = snapshot->config->replies;
	const struct reply_texts *french = reply_texts_named("fr");
	bool is_french = texts != NULL && french != NULL && french->limit_words != NULL &&
	    texts->limit_words == french->limit_words;

	snapshot_release(snapshot);
	return is_french ? "fr" : "en";
}

/* stolen_json - all of it */
static json_t *
stolen_json(const struct asked *asked, const char *account, const struct theft *theft)
{
	size_t n = json_array_size(theft->decisions);
	struct snapshot *snapshot = daemon_snapshot(asked->daemon);
	const char *note = control_watch_note(asked, snapshot->config, account);
	json_t *answer = json_pack("{s:b, s:s, s:s, s:I, s:s, s:b, s:I, s:I}", "ok", 1, "account",
	    account, "language", language_of(asked), "since", (json_int_t)theft->first.at_ms,
	    "sign", theft->first.what != NULL ? theft->first.what : "", "all",
	    n < CONTROL_QUEUED_MAX, "decisions", (json_int_t)n, "oldest",
	    n == 0 ? (json_int_t)0
		   : (json_int_t)decision_at(json_array_get(theft->decisions, n - 1)));
	json_t *rest = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:O, s:O, s:O, s:o*}",
	    "messages", theft->messages, "recipients", theft->recipients, "held", theft->held,
	    "deferred", theft->deferred, "refused", theft->refused, "before", theft->before,
	    "n_clients", (json_int_t)json_object_size(theft->clients), "clients",
	    clients_json(theft), "filters", theft->filters, "senders", theft->senders, "events",
	    theft->events, "blocked", control_block_of(asked, account));

	(void)json_object_update(answer, rest);
	json_decref(rest);
	if (note != NULL)
		(void)json_object_set_new(answer, "note", json_string(note));
	snapshot_release(snapshot);
	return answer;
}

/* control_stolen - what is known about the theft of an account */
json_t *
control_stolen(const struct asked *asked)
{
	const char *error = NULL;
	json_t *answer = NULL;
	const char *account = control_account(asked, &answer);
	struct books *books = journal_books(asked->daemon->journal);
	const struct books_query query = { .account = account, .n = CONTROL_QUEUED_MAX };
	struct theft theft = { .ctx = asked->ctx };

	if (account == NULL)
		return answer;
	theft.decisions = books_keep_decisions(books)
	    ? books_find(books, asked->ctx, &query, &error) : json_array();
	if (theft.decisions == NULL)
		return control_unread(asked, "the history", error);
	theft.events = events_of(asked, books, account);
	theft.clients = json_object();
	theft.filters = json_object();
	theft.senders = json_array();
	find_signs(&theft);
	find_new_address(&theft);
	count_since(&theft);
	answer = stolen_json(asked, account, &theft);
	json_decref(theft.decisions);
	json_decref(theft.events);
	json_decref(theft.clients);
	json_decref(theft.filters);
	json_decref(theft.senders);
	return answer;
}
