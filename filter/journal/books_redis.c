/*
 * books_redis.c - the books in Redis, which all filters share
 *
 * Decisions are one stream of batches, and a short list for each account (history.lua), so that
 * those of a quiet account outlive the traffic of busy ones: 2 * decisions of some 500 octets at
 * most. Events are a stream. books_redis_sums.c has the sums.
 *
 * Searching for a queue id or an account reads the whole stream, newest first, in pages: that is
 * some thousand decisions and an operator's question, and an index would cost every message.
 *
 * Thread rule: nothing changes after opening; journal_redis.c has rules of its own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/journal/books_kind.h"
#include "filter/journal/books_redis.h"
#include "filter/journal/daybook_lua.h"
#include "filter/journal/dmarc_lua.h"
#include "filter/journal/history_lua.h"
#include "filter/journal/journal_redis.h"
#include "filter/journal/rates_lua.h"
#include "policy/base/mem.h"
#include "policy/quota/quota.h"

#define DAY_S	86400

#define STREAM_KEY	"{history}:batches"
#define SIZES_KEY	"{history}:sizes"
#define OLD_STREAM_KEY	"{history}:all"	/* of earlier versions, a decision an entry; only read */
#define ACCOUNTS_KEY	"{history}:accounts"
#define LIST_KEY	"{history}:a:"
#define EVENTS_KEY	"{events}"
#define TOLD_KEY	"{events}:told:"

static void *
redis_books_open(TALLOC_CTX *ctx, const struct books_options *options, const char **error_r)
{
	struct redis_books *books = mem_new(ctx, struct redis_books);

	books->decisions = options->decisions;
	books->days = options->days;
	books->accounts = options->accounts;
	redis_script_init(&books->history, history_lua, history_lua_len);
	redis_script_init(&books->daybook, daybook_lua, daybook_lua_len);
	redis_script_init(&books->rates, rates_lua, rates_lua_len);
	redis_script_init(&books->dmarc, dmarc_lua, dmarc_lua_len);
	books->redis = talloc_steal(books, journal_redis_new(ctx, options->store, error_r));
	if (books->redis != NULL)
		return books;
	talloc_free(books);
	return NULL;
}

static int
redis_books_renew(void *impl, TALLOC_CTX *ctx, const struct redis_passwords *passwords,
    const char **error_r)
{
	struct redis_books *books = impl;

	return journal_redis_renew(books->redis, ctx, passwords, error_r);
}

static void
redis_books_hurry(void *impl, int64_t until_ms)
{
	struct redis_books *books = impl;

	journal_redis_hurry(books->redis, until_ms);
}

static const char *
redis_books_place(const void *impl)
{
	(void)impl;
	return "Redis";
}

/* --- decisions --- */

static int
redis_books_add_decisions(void *impl, TALLOC_CTX *ctx, const struct books_decision *items,
    size_t n, const char **error_r)
{
	struct redis_books *books = impl;
	struct journal_words *words = journal_words_new(ctx);

	journal_script(words, &books->history);
	journal_number(words, 3);
	journal_key(books->redis, words, STREAM_KEY);
	journal_key(books->redis, words, ACCOUNTS_KEY);
	journal_key(books->redis, words, SIZES_KEY);
	journal_number(words, (long long)books->decisions);
	journal_number(words, (long long)books->days * DAY_S);
	journal_number(words, BOOKS_PER_ACCOUNT);
	journal_number(words, (long long)(books->decisions / BOOKS_PER_ACCOUNT + 1));
	journal_key(books->redis, words, LIST_KEY);
	for (size_t i = 0; i < n; i++) {
		journal_word(
		    words, items[i].account != NULL ? quota_encode(words, items[i].account) : "");
		journal_word(words, items[i].text);
	}
	return journal_redis_number(books->redis, ctx, words, error_r) < 0 ? -1 : 0;
}

/* A query under way. */
struct search {
	const struct books_query *query;
	const char *encoded;	/* the account as Redis has it, or NULL */
	int64_t oldest;		/* UNIX time in ms */
	json_t *answer;
};

/* string_is - is a member this text? */
static bool
string_is(const json_t *decision, const char *name, const char *wanted)
{
	const char *value = json_string_value(json_object_get(decision, name));

	return value != NULL && strcmp(value, wanted) == 0;
}

/* passed - did this message go on? */
static bool
passed(const json_t *decision)
{
	return !string_is(decision, "action", "tempfail") &&
	    !string_is(decision, "action", "reject");
}

/* consider - add a decision to the answer if it matches; false: the answer is full, or all that
 * follows too old */
static bool
consider(const struct search *search, const char *text)
{
	const struct books_query *query = search->query;
	json_t *decision;
	bool young;

	/* cheaper than reading it all */
	if (query->queue_id != NULL && strstr(text, query->queue_id) == NULL)
		return true;
	decision = json_loads(text, 0, NULL);
	young = json_integer_value(json_object_get(decision, "at")) >= search->oldest;
	if (young && (query->queue_id == NULL || string_is(decision, "queue_id", query->queue_id)) &&
	    (!query->passed || passed(decision)))
		json_array_append(search->answer, decision);
	json_decref(decision);
	return young && json_array_size(search->answer) < query->n;
}

/* consider_of - the same of an entry's decision, of whatever account */
static bool
consider_of(const struct search *search, const redisReply *account, const redisReply *text)
{
	if (journal_redis_text(account) == NULL || journal_redis_text(text) == NULL ||
	    (search->encoded != NULL && strcmp(account->str, search->encoded) != 0))
		return true;
	return consider(search, text->str);
}

/* read_entry - one entry of a stream: {id, {"n", number, account, text, ...}}, the newest at the
 * end, or that of an earlier version: {id, {"a", account, "v", text}}; false: enough */
static bool
read_entry(const struct search *search, const redisReply *entry, const char **id_r)
{
	const redisReply *fields;
	const char *first;
	bool more = true;

	if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
	    journal_redis_text(entry->element[0]) == NULL)
		return false;
	*id_r = entry->element[0]->str;
	fields = entry->element[1];
	first = fields->type == REDIS_REPLY_ARRAY && fields->elements >= 4 ?
	    journal_redis_text(fields->element[0]) : NULL;
	if (first == NULL)
		return true;
	if (strcmp(first, "a") == 0)
		return consider_of(search, fields->element[1], fields->element[3]);
	for (size_t i = fields->elements - fields->elements % 2; more && i >= 4; i -= 2)
		more = consider_of(search, fields->element[i - 2], fields->element[i - 1]);
	return more;
}

/* read_back - n entries of a stream before an id (NULL: the last ones), newest first */
static redisReply *
read_back(struct redis_books *books, TALLOC_CTX *ctx, const char *key, const char *before, size_t n,
    const char **error_r)
{
	struct journal_words *words = journal_words_new(ctx);
	redisReply *reply;

	journal_word(words, "XREVRANGE");
	journal_key(books->redis, words, key);
	journal_word(words, before != NULL ? before : "+");
	journal_word(words, "-");
	journal_word(words, "COUNT");
	journal_number(words, (long long)n);
	reply = journal_redis_call(books->redis, ctx, words, true, error_r);
	talloc_free(words);
	return reply;
}

/* Where a search of a stream is. */
struct search_place {
	const char *key;
	char *before;		/* id of the last entry that was read, or NULL */
	size_t page;		/* entries to be read next */
};

/* next_page - entries that make about JOURNAL_PAGE decisions, after a page of this size */
static size_t
next_page(const redisReply *reply)
{
	size_t fields = 1, entries;

	for (size_t i = 0; i < reply->elements; i++)
		if (reply->element[i]->type == REDIS_REPLY_ARRAY &&
		    reply->element[i]->elements == 2)
			fields += reply->element[i]->element[1]->elements;
	entries = 1 + JOURNAL_PAGE * reply->elements * 2 / fields;
	return entries < JOURNAL_PAGE ? entries : JOURNAL_PAGE;
}

/* read_page - a page of a stream, newest first; -1: no answer */
static int
read_page(struct redis_books *books, TALLOC_CTX *ctx, const struct search *search,
    struct search_place *place, const char **error_r)
{
	/* a later page begins with the end of the one before */
	size_t first = place->before != NULL ? 1 : 0;
	redisReply *reply =
	    read_back(books, ctx, place->key, place->before, place->page + first, error_r);
	const char *last = NULL;
	bool more = true;

	if (reply == NULL)
		return -1;
	for (size_t i = first;
	     more && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
		more = read_entry(search, reply->element[i], &last);
	more = more && last != NULL && reply->elements == place->page + first;
	talloc_free(place->before);
	place->before = more ? mem_strdup(ctx, last) : NULL;
	if (more)
		place->page = next_page(reply);
	freeReplyObject(reply);
	return 0;
}

/* search_stream - all filters' decisions in a stream; -1: no answer */
static int
search_stream(struct redis_books *books, TALLOC_CTX *ctx, const struct search *search,
    const char *key, const char **error_r)
{
	struct search_place place = { key, NULL, JOURNAL_PAGE / REDIS_BOOKS_BATCH };

	for (int step = 0; step < JOURNAL_SCAN_STEPS; step++) {
		if (read_page(books, ctx, search, &place, error_r) != 0)
			return -1;
		if (place.before == NULL)
			return 0;
	}
	*error_r = "Redis did not come to the end of the decisions";
	return -1;
}

/* decided_at - when a decision of an answer was made */
static json_int_t
decided_at(const json_t *answer, size_t i)
{
	return json_integer_value(json_object_get(json_array_get(answer, i), "at"));
}

/* merge_older - put the decisions of an earlier version's stream where they belong, and of all the
 * newest n are kept */
static void
merge_older(json_t *answer, const json_t *older, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < json_array_size(older); i++) {
		while (at < json_array_size(answer) &&
		    decided_at(answer, at) >= decided_at(older, i))
			at++;
		if (at >= n)
			break;
		json_array_insert(answer, at++, json_array_get(older, i));
	}
	while (json_array_size(answer) > n)
		json_array_remove(answer, json_array_size(answer) - 1);
}

/* search_streams - that of this version, and that of earlier ones until it expires; -1: no
 * answer */
static int
search_streams(struct redis_books *books, TALLOC_CTX *ctx, const struct search *search,
    const char **error_r)
{
	struct search older = *search;
	int result = search_stream(books, ctx, search, STREAM_KEY, error_r);

	older.answer = json_array();
	if (result == 0)
		result = search_stream(books, ctx, &older, OLD_STREAM_KEY, error_r);
	if (result == 0)
		merge_older(search->answer, older.answer, search->query->n);
	json_decref(older.answer);
	return result;
}

/* search_list - an account's own list; -1: no answer */
static int
search_list(struct redis_books *books, TALLOC_CTX *ctx, const struct search *search,
    const char **error_r)
{
	struct journal_words *words = journal_words_new(ctx);
	redisReply *reply;

	journal_word(words, "LRANGE");
	journal_key(books->redis, words, mem_printf(words, LIST_KEY "%s", search->encoded));
	journal_number(words, 0);
	journal_number(words, (long long)search->query->n - 1);
	reply = journal_redis_call(books->redis, ctx, words, true, error_r);
	talloc_free(words);
	if (reply == NULL)
		return -1;
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
		if (journal_redis_text(reply->element[i]) != NULL &&
		    !consider(search, reply->element[i]->str))
			break;
	freeReplyObject(reply);
	return 0;
}

static json_t *
redis_books_find(
    void *impl, TALLOC_CTX *ctx, const struct books_query *query, const char **error_r)
{
	struct redis_books *books = impl;
	const struct search search = {
		.query = query,
		.encoded = query->account != NULL ? quota_encode(ctx, query->account) : NULL,
		.oldest = clock_wall_ms() - (int64_t)books->days * DAY_S * 1000,
		.answer = json_array(),
	};
	bool own_list = query->account != NULL && query->queue_id == NULL && !query->passed &&
	    query->n <= BOOKS_PER_ACCOUNT;
	int result = own_list ? search_list(books, ctx, &search, error_r) :
	    search_streams(books, ctx, &search, error_r);

	if (result == 0)
		return search.answer;
	json_decref(search.answer);
	return NULL;
}

/* --- events --- */

static bool
redis_books_event_is_news(
    void *impl, TALLOC_CTX *ctx, const struct books_event *event, int64_t quiet_ms)
{
	struct redis_books *books = impl;
	struct journal_words *words = journal_words_new(ctx);
	const char *error = NULL;
	redisReply *reply;
	bool told;

	journal_word(words, "SET");
	journal_key(books->redis, words,
	    mem_printf(words, TOLD_KEY "%s:%s", event->kind, quota_encode(words, event->key)));
	journal_word(words, "1");
	journal_word(words, "NX");
	journal_word(words, "PX");
	journal_number(words, quiet_ms);
	reply = journal_redis_call(books->redis, ctx, words, false, &error);
	told = reply != NULL && reply->type == REDIS_REPLY_NIL;
	freeReplyObject(reply);
	talloc_free(words);
	return !told;
}

#define ADD_EVENT	"if redis.replicate_commands then redis.replicate_commands() end " \
			"redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'event', ARGV[2]) " \
			"return redis.call('EXPIRE', KEYS[1], ARGV[3])"

/* redis_books_add_event - one entry of the stream; 0 or -1 */
static int
redis_books_add_event(struct redis_books *books, TALLOC_CTX *ctx, const struct books_event *event,
    const char **error_r)
{
	struct journal_words *words = journal_words_new(ctx);

	journal_word(words, "EVAL");
	journal_word(words, ADD_EVENT);
	journal_number(words, 1);
	journal_key(books->redis, words, EVENTS_KEY);
	journal_number(words, BOOKS_EVENTS);
	journal_word(words, event->text);
	journal_number(words, (long long)BOOKS_EVENTS_DAYS * DAY_S);
	return journal_redis_number(books->redis, ctx, words, error_r) < 0 ? -1 : 0;
}

static size_t
redis_books_add_events(void *impl, TALLOC_CTX *ctx, const struct books_event *events, size_t n,
    const char **error_r)
{
	size_t kept = 0;

	while (kept < n && redis_books_add_event(impl, ctx, &events[kept], error_r) == 0)
		kept++;
	return kept;
}

/* event_of - the text of an entry of the stream, or NULL */
static const char *
event_of(const redisReply *entry)
{
	const redisReply *fields;

	if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2)
		return NULL;
	fields = entry->element[1];
	return fields->type == REDIS_REPLY_ARRAY && fields->elements == 2 ?
	    journal_redis_text(fields->element[1]) : NULL;
}

static json_t *
redis_books_last_events(void *impl, TALLOC_CTX *ctx, size_t n, const char **error_r)
{
	redisReply *reply = read_back(impl, ctx, EVENTS_KEY, NULL, n, error_r);
	json_t *answer;

	if (reply == NULL)
		return NULL;
	answer = json_array();
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
		if (event_of(reply->element[i]) != NULL)
			json_array_append_new(
			    answer, json_loads(event_of(reply->element[i]), 0, NULL));
	freeReplyObject(reply);
	return answer;
}

const struct books_kind books_redis = {
	.open = redis_books_open,
	.renew = redis_books_renew,
	.hurry = redis_books_hurry,
	.place = redis_books_place,
	.batch = REDIS_BOOKS_BATCH,
	.add_decisions = redis_books_add_decisions,
	.find = redis_books_find,
	.event_is_news = redis_books_event_is_news,
	.add_events = redis_books_add_events,
	.last_events = redis_books_last_events,
};
