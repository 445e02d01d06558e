/*
 * control_history.c - commands about what happened: last, why, queued, sent, events
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/control/control_asked.h"
#include "policy/base/mem.h"

#define LAST_DEFAULT	10

/* advised - decisions with what to do about each; NULL stays NULL */
static json_t *
advised(const struct asked *asked, json_t *decisions)
{
	if (decisions != NULL)
		control_advise(asked, decisions);
	return decisions;
}

/* wrap - an array as an answer, or *error, which is set by the time that array is */
static json_t *
wrap(const struct asked *asked, const char *member, json_t *array, const char *const *error)
{
	if (array == NULL)
		return control_unread(asked, "the history", *error);
	return json_pack("{s:b, s:o}", "ok", 1, member, array);
}

/* history_of - the books, if they keep decisions; or NULL and an answer */
static struct books *
history_of(const struct asked *asked, json_t **answer_r)
{
	struct books *books = journal_books(asked->daemon->journal);

	if (books_keep_decisions(books))
		return books;
	*answer_r =
	    control_failed("no history is kept: the configuration has history = { messages = 0 }");
	return NULL;
}

/* control_last - the last verdicts of an account */
json_t *
control_last(const struct asked *asked)
{
	const char *error = NULL;
	json_t *answer = NULL;
	struct books *books = history_of(asked, &answer);
	const char *account = books == NULL ? NULL : control_account(asked, &answer);
	const struct books_query query = {
		.account = account,
		.n = (size_t)control_number(asked, "n", 1, BOOKS_ANSWER_MAX, LAST_DEFAULT),
	};

	if (account == NULL)
		return answer;
	answer = wrap(asked, "verdicts",
	    advised(asked, books_find(books, asked->ctx, &query, &error)), &error);
	json_object_set_new(answer, "account", json_string(account));
	return answer;
}

/* control_why - the verdicts on a queue id */
json_t *
control_why(const struct asked *asked)
{
	const char *queue_id = control_text(asked, "queue_id");
	const struct books_query query = { .queue_id = queue_id, .n = BOOKS_ANSWER_MAX };
	const char *error = NULL;
	json_t *answer = NULL;
	struct books *books = history_of(asked, &answer);

	if (books == NULL)
		return answer;
	if (queue_id == NULL || queue_id[0] == '\0' || strcmp(queue_id, "NOQUEUE") == 0)
		return control_failed("the request names no queue id");
	return wrap(asked, "verdicts",
	    advised(asked, books_find(books, asked->ctx, &query, &error)), &error);
}

/* add_once - a text into an array, unless it is there */
static void
add_once(json_t *array, const char *text)
{
	size_t i;
	const json_t *item;

	json_array_foreach(array, i, item)
		if (strcmp(json_string_value(item), text) == 0)
			return;
	json_array_append_new(array, json_string(text));
}

void
control_add_queued(json_t *filters, json_t *senders, const json_t *verdict)
{
	const char *filter = json_string_value(json_object_get(verdict, "filter"));
	const char *queue_id = json_string_value(json_object_get(verdict, "queue_id"));
	const char *from = json_string_value(json_object_get(verdict, "from"));
	json_t *ids;

	if (filter == NULL || queue_id == NULL || strcmp(queue_id, "NOQUEUE") == 0)
		return;
	ids = json_object_get(filters, filter);
	if (ids == NULL) {
		ids = json_array();
		json_object_set_new(filters, filter, ids);
	}
	/* verdicts on one message follow each other */
	if (json_array_size(ids) == 0 ||
	    strcmp(json_string_value(json_array_get(ids, json_array_size(ids) - 1)), queue_id) != 0)
		json_array_append_new(ids, json_string(queue_id));
	if (from != NULL && json_array_size(senders) < 100)
		add_once(senders, from);
}

/* add_sent - one more message of its From domain, account and signature; rows: by all of them */
static void
add_sent(TALLOC_CTX *ctx, json_t *rows, const json_t *verdict)
{
	const char *from = json_string_value(json_object_get(verdict, "header_from"));
	const char *account = json_string_value(json_object_get(verdict, "account"));
	const char *sign = json_string_value(json_object_get(verdict, "sign"));
	const char *at = from == NULL ? NULL : strrchr(from, '@'), *key;
	json_t *row;

	if (at == NULL)
		return;
	key = mem_printf(ctx, "%s\n%s\n%s", at, account != NULL ? account : "",
	    sign != NULL ? sign : "");
	row = json_object_get(rows, key);
	if (row == NULL) {
		row = json_pack("{s:s, s:s, s:s, s:i}", "domain", at + 1, "account",
		    account != NULL ? account : "", "sign", sign != NULL ? sign : "", "messages", 0);
		(void)json_object_set_new(rows, key, row);
	}
	(void)json_object_set_new(row, "messages",
	    json_integer(json_integer_value(json_object_get(row, "messages")) + 1));
}

/* control_sent - what was sent today (UTC), not taken from outside: messages by From domain,
 * account and signature; "all": false if only the last ones were looked up */
json_t *
control_sent(const struct asked *asked)
{
	const struct books_query query = { .passed = true, .n = CONTROL_QUEUED_MAX };
	const char *error = NULL, *role, *key;
	json_t *answer = NULL, *verdicts, *rows, *row, *sent;
	struct books *books = history_of(asked, &answer);
	int today = daybook_day(clock_wall_ms());
	bool all;
	size_t i;
	const json_t *verdict;

	if (books == NULL)
		return answer;
	verdicts = books_find(books, asked->ctx, &query, &error);
	if (verdicts == NULL)
		return wrap(asked, "sent", NULL, &error);
	all = json_array_size(verdicts) < CONTROL_QUEUED_MAX;
	rows = json_object();
	json_array_foreach(verdicts, i, verdict) {
		role = json_string_value(json_object_get(verdict, "role"));
		if (daybook_day(json_integer_value(json_object_get(verdict, "at"))) != today)
			all = true;
		else if (role != NULL && strcmp(role, "inbound") != 0)
			add_sent(asked->ctx, rows, verdict);
	}
	sent = json_array();
	json_object_foreach(rows, key, row)
		(void)json_array_append(sent, row);
	json_decref(rows);
	json_decref(verdicts);
	return json_pack("{s:b, s:b, s:o}", "ok", 1, "all", all, "sent", sent);
}

/* control_queued - what an account may still have in the queues: queue ids by filter, envelope
 * senders */
json_t *
control_queued(const struct asked *asked)
{
	const char *error = NULL;
	json_t *answer = NULL;
	struct books *books = history_of(asked, &answer);
	const char *account = books == NULL ? NULL : control_account(asked, &answer);
	const struct books_query query = {
		.account = account, .passed = true, .n = CONTROL_QUEUED_MAX
	};
	json_t *verdicts, *filters, *senders;
	const json_t *verdict;
	size_t i;

	if (account == NULL)
		return answer;
	verdicts = books_find(books, asked->ctx, &query, &error);
	if (verdicts == NULL)
		return control_unread(asked, "the history", error);
	filters = json_object();
	senders = json_array();
	json_array_foreach(verdicts, i, verdict)
		control_add_queued(filters, senders, verdict);
	json_decref(verdicts);
	return json_pack("{s:b, s:s, s:o, s:o}", "ok", 1, "account", account, "filters", filters,
	    "senders", senders);
}

/* control_events - the last events */
json_t *
control_events(const struct asked *asked)
{
	const char *error = NULL;
	size_t n = (size_t)control_number(asked, "n", 1, 1000, 20);
	struct books *books = journal_books(asked->daemon->journal);

	return wrap(asked, "events", books_last_events(books, asked->ctx, n, &error), &error);
}
