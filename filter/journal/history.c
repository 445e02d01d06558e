/*
 * history.c - the verdicts of the last days
 *
 * In Redis one stream of all, and a short list for each account (history.lua). In this process a
 * ring of texts; with a file behind it, lines are appended as they come and the whole ring is
 * written anew when the file has grown to twice its size, so that a restart forgets nothing.
 *
 * Searching for a queue id or an account reads the whole history, newest first, in pages: that is
 * some thousand verdicts and an operator's question, and an index would cost every message.
 *
 * Thread rule: lock guards the ring, its talloc tree and the file; Redis has rules of its own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/journal/history.h"
#include "filter/journal/history_lua.h"
#include "policy/base/mem.h"
#include "policy/quota/quota.h"

#define PAGE		500		/* verdicts read from Redis at once */
#define LINE_MAX_OCTETS	16384		/* of a line in the file */
#define DAY_S		86400

#define STREAM_KEY	"{history}:all"
#define ACCOUNTS_KEY	"{history}:accounts"
#define LIST_KEY	"{history}:a:"

/* One verdict in this process. */
struct kept {
	int64_t at_ms;
	char *account;		/* child of text, or NULL */
	char *text;
};

struct history {
	struct journal_redis *redis;	/* or NULL: the ring */
	size_t max;
	int days;

	pthread_mutex_t lock;
	struct kept *ring;
	size_t n;		/* places filled */
	size_t next;		/* place of the next verdict */
	char *path;		/* or NULL */
	FILE *file;		/* open for appending, or NULL */
	size_t lines;		/* in the file */
};

/* --- the ring --- */

/* oldest_of - what is older is not told, wherever it still lies */
static int64_t
oldest_of(const struct history *history)
{
	return clock_wall_ms() - (int64_t)history->days * DAY_S * 1000;
}

/* ring_add - keep a verdict in place of the oldest */
static void
ring_add(struct history *history, int64_t at_ms, const char *account, const char *text)
{
	struct kept *kept = &history->ring[history->next];

	talloc_free(kept->text);
	kept->at_ms = at_ms;
	kept->text = mem_strdup(history->ring, text);
	kept->account = account != NULL ? mem_strdup(kept->text, account) : NULL;
	history->next = (history->next + 1) % history->max;
	if (history->n < history->max)
		history->n++;
}

/* ring_at - the i-th newest verdict */
static const struct kept *
ring_at(const struct history *history, size_t i)
{
	return &history->ring[(history->next + history->max - 1 - i) % history->max];
}

/* --- the file --- */

/* compact - write the ring anew as the file; the old one stays where that fails */
static void
compact(struct history *history)
{
	char *path = mem_printf(NULL, "%s.new", history->path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	for (size_t i = history->n; file != NULL && i > 0; i--)
		(void)fprintf(file, "%s\n", ring_at(history, i - 1)->text);
	if (file != NULL && fflush(file) == 0 && rename(path, history->path) == 0) {
		if (history->file != NULL)
			(void)fclose(history->file);
		history->file = file;
		history->lines = history->n;
	} else {
		log_warning("history: %s cannot be written: %s", path, strerror(errno));
		if (file != NULL)
			(void)fclose(file);
		else if (fd >= 0)
			(void)close(fd);
		/* not at each verdict again */
		history->lines = 0;
	}
	talloc_free(path);
}

/* read_line - a line of the file back into the ring */
static void
read_line(struct history *history, char *line, int64_t oldest)
{
	json_t *verdict;
	int64_t at;

	line[strcspn(line, "\n")] = '\0';
	verdict = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	at = json_integer_value(json_object_get(verdict, "at"));
	if (at >= oldest)
		ring_add(history, at, json_string_value(json_object_get(verdict, "account")), line);
	json_decref(verdict);
}

/* read_file - what an earlier process wrote */
static void
read_file(struct history *history)
{
	int64_t oldest = oldest_of(history);
	int fd = open(history->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char line[LINE_MAX_OCTETS];

	if (file == NULL && fd >= 0)
		(void)close(fd);
	if (file == NULL)
		return;
	while (fgets(line, sizeof(line), file) != NULL)
		read_line(history, line, oldest);
	(void)fclose(file);
}

/* append_file - verdicts behind the others */
static void
append_file(struct history *history, const struct history_item *items, size_t n)
{
	if (history->file == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		(void)fprintf(history->file, "%s\n", items[i].text);
	(void)fflush(history->file);
	history->lines += n;
	if (history->lines >= 2 * history->max)
		compact(history);
}

/* --- construction --- */

static int
history_destroy(struct history *history)
{
	if (history->file != NULL)
		(void)fclose(history->file);
	(void)pthread_mutex_destroy(&history->lock);
	/* with the shared history there is none, and a destructor that fails keeps the object */
	if (history->ring != NULL)
		talloc_free(history->ring);
	return 0;
}

/* history_new - an empty history, or the shared one */
struct history *
history_new(TALLOC_CTX *ctx, struct journal_redis *redis, const char *file, size_t max, int days)
{
	struct history *history = mem_new(ctx, struct history);

	history->redis = redis;
	history->max = max;
	history->days = days;
	(void)pthread_mutex_init(&history->lock, NULL);
	/* a root of its own, because threads share it */
	if (redis == NULL)
		history->ring = mem_array(NULL, struct kept, max);
	talloc_set_destructor(history, history_destroy);
	if (redis == NULL && file != NULL) {
		history->path = mem_strdup(history, file);
		read_file(history);
		compact(history);
	}
	return history;
}

/* --- adding --- */

/* add_shared - in Redis, all in one call */
static int
add_shared(struct history *history, TALLOC_CTX *ctx, const struct history_item *items, size_t n,
    const char **error_r)
{
	struct journal_words *words = journal_words_new(ctx);
	redisReply *reply;

	journal_word(words, "EVAL");
	journal_word(words, history_lua);
	journal_number(words, 2);
	journal_key(history->redis, words, STREAM_KEY);
	journal_key(history->redis, words, ACCOUNTS_KEY);
	journal_number(words, (long long)history->max);
	journal_number(words, (long long)history->days * DAY_S);
	journal_number(words, HISTORY_PER_ACCOUNT);
	journal_number(words, (long long)(history->max / HISTORY_PER_ACCOUNT + 1));
	journal_key(history->redis, words, LIST_KEY);
	for (size_t i = 0; i < n; i++) {
		journal_word(
		    words, items[i].account != NULL ? quota_encode(words, items[i].account) : "");
		journal_word(words, items[i].text);
	}
	reply = journal_redis_call(history->redis, ctx, words, false, error_r);
	talloc_free(words);
	freeReplyObject(reply);
	return reply != NULL ? 0 : -1;
}

/* history_add - keep verdicts */
int
history_add(struct history *history, TALLOC_CTX *ctx, const struct history_item *items, size_t n,
    const char **error_r)
{
	if (n == 0)
		return 0;
	if (history->redis != NULL)
		return add_shared(history, ctx, items, n, error_r);
	(void)pthread_mutex_lock(&history->lock);
	for (size_t i = 0; i < n; i++)
		ring_add(history, items[i].at_ms, items[i].account, items[i].text);
	append_file(history, items, n);
	(void)pthread_mutex_unlock(&history->lock);
	return 0;
}

/* --- asking --- */

/* What is looked for; unset members match all. */
struct query {
	const char *account;	/* normal form */
	const char *encoded;	/* the same as in Redis */
	const char *queue_id;
	bool accepted;		/* only what passed */
	size_t n;		/* as many at most */
	int64_t oldest;		/* UNIX time in ms */
};

/* string_is - is a member this text? */
static bool
string_is(const json_t *verdict, const char *name, const char *wanted)
{
	const char *value = json_string_value(json_object_get(verdict, name));

	return value != NULL && strcmp(value, wanted) == 0;
}

/* passed - did this message go on? */
static bool
passed(const json_t *verdict)
{
	return !string_is(verdict, "action", "tempfail") && !string_is(verdict, "action", "reject");
}

/* consider - add a verdict to the answer where it matches; false: the answer is full, or all that
 * follows too old */
static bool
consider(const struct query *query, const char *text, json_t *answer)
{
	json_t *verdict;
	bool young;

	/* cheaper than reading it all */
	if (query->queue_id != NULL && strstr(text, query->queue_id) == NULL)
		return true;
	verdict = json_loads(text, 0, NULL);
	young = json_integer_value(json_object_get(verdict, "at")) >= query->oldest;
	if (young && (query->queue_id == NULL || string_is(verdict, "queue_id", query->queue_id)) &&
	    (!query->accepted || passed(verdict)))
		json_array_append(answer, verdict);
	json_decref(verdict);
	return young && json_array_size(answer) < query->n;
}

/* search_ring - in this process */
static json_t *
search_ring(struct history *history, const struct query *query)
{
	json_t *answer = json_array();

	(void)pthread_mutex_lock(&history->lock);
	for (size_t i = 0; i < history->n; i++) {
		const struct kept *kept = ring_at(history, i);

		if (query->account != NULL &&
		    (kept->account == NULL || strcmp(kept->account, query->account) != 0))
			continue;
		if (!consider(query, kept->text, answer))
			break;
	}
	(void)pthread_mutex_unlock(&history->lock);
	return answer;
}

/* is_text - a string of a reply, or NULL */
static const char *
is_text(const redisReply *reply)
{
	return reply != NULL && reply->type == REDIS_REPLY_STRING ? reply->str : NULL;
}

/* read_entry - one entry of the stream: {id, {"a", account, "v", text}}; false: enough */
static bool
read_entry(const struct query *query, const redisReply *entry, json_t *answer, const char **id_r)
{
	const redisReply *fields;

	if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
	    is_text(entry->element[0]) == NULL)
		return false;
	*id_r = entry->element[0]->str;
	fields = entry->element[1];
	if (fields->type != REDIS_REPLY_ARRAY || fields->elements != 4 ||
	    is_text(fields->element[1]) == NULL || is_text(fields->element[3]) == NULL)
		return true;
	if (query->encoded != NULL && strcmp(fields->element[1]->str, query->encoded) != 0)
		return true;
	return consider(query, fields->element[3]->str, answer);
}

/* read_page - a page of the stream, newest first; the id before it in *before_r, NULL at the end;
 * -1: no answer */
static int
read_page(struct history *history, TALLOC_CTX *ctx, const struct query *query, char **before_r,
    json_t *answer, const char **error_r)
{
	struct journal_words *words = journal_words_new(ctx);
	const char *last = NULL;
	bool more = true;
	redisReply *reply;

	journal_word(words, "XREVRANGE");
	journal_key(history->redis, words, STREAM_KEY);
	journal_word(words, *before_r != NULL ? *before_r : "+");
	journal_word(words, "-");
	journal_word(words, "COUNT");
	journal_number(words, PAGE);
	reply = journal_redis_call(history->redis, ctx, words, true, error_r);
	talloc_free(words);
	if (reply == NULL)
		return -1;
	/* the first entry of a later page is the last of the page before */
	for (size_t i = *before_r != NULL ? 1 : 0;
	     more && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
		more = read_entry(query, reply->element[i], answer, &last);
	more = more && last != NULL && reply->elements == PAGE;
	talloc_free(*before_r);
	*before_r = more ? mem_strdup(ctx, last) : NULL;
	freeReplyObject(reply);
	return 0;
}

/* search_stream - in Redis */
static json_t *
search_stream(
    struct history *history, TALLOC_CTX *ctx, const struct query *query, const char **error_r)
{
	json_t *answer = json_array();
	char *before = NULL;

	do {
		if (read_page(history, ctx, query, &before, answer, error_r) != 0) {
			json_decref(answer);
			return NULL;
		}
	} while (before != NULL);
	return answer;
}

/* search - wherever the history is */
static json_t *
search(struct history *history, TALLOC_CTX *ctx, struct query query, const char **error_r)
{
	query.oldest = oldest_of(history);
	if (history->redis == NULL)
		return search_ring(history, &query);
	if (query.account != NULL)
		query.encoded = quota_encode(ctx, query.account);
	return search_stream(history, ctx, &query, error_r);
}

/* read_list - an account's own list in Redis */
static json_t *
read_list(
    struct history *history, TALLOC_CTX *ctx, const char *account, size_t n, const char **error_r)
{
	const struct query query = { .n = n, .oldest = oldest_of(history) };
	struct journal_words *words = journal_words_new(ctx);
	json_t *answer;
	redisReply *reply;

	journal_word(words, "LRANGE");
	journal_key(
	    history->redis, words, mem_printf(words, LIST_KEY "%s", quota_encode(words, account)));
	journal_number(words, 0);
	journal_number(words, (long long)n - 1);
	reply = journal_redis_call(history->redis, ctx, words, true, error_r);
	talloc_free(words);
	if (reply == NULL)
		return NULL;
	answer = json_array();
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
		if (is_text(reply->element[i]) != NULL &&
		    !consider(&query, reply->element[i]->str, answer))
			break;
	freeReplyObject(reply);
	return answer;
}

/* history_last - the last n verdicts of an account */
json_t *
history_last(struct history *history, TALLOC_CTX *ctx, const char *account, size_t n,
    const char **error_r)
{
	const struct query query = { .account = account, .n = n };

	if (history->redis != NULL && n <= HISTORY_PER_ACCOUNT)
		return read_list(history, ctx, account, n, error_r);
	return search(history, ctx, query, error_r);
}

/* history_why - the verdicts on messages of that queue id */
json_t *
history_why(struct history *history, TALLOC_CTX *ctx, const char *queue_id, const char **error_r)
{
	const struct query query = { .queue_id = queue_id, .n = HISTORY_ANSWER_MAX };

	return search(history, ctx, query, error_r);
}

/* history_accepted - the messages of an account that passed */
json_t *
history_accepted(struct history *history, TALLOC_CTX *ctx, const char *account, size_t n,
    const char **error_r)
{
	const struct query query = { .account = account, .accepted = true, .n = n };

	return search(history, ctx, query, error_r);
}
