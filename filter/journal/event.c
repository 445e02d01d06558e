/*
 * event.c - what operators should hear of at once
 *
 * Raising an event writes its log line and puts it on a list; the journal's thread carries it to
 * Redis and starts the program. Repetition is held down twice: here by a small table of what was
 * told lately (two kinds of news in one place of it: the older is told again, no harm), and
 * between filters by a key in Redis that expires.
 *
 * Thread rule: lock guards the table, the list and what was kept, with their talloc tree.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/journal/event.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"
#include "policy/quota/quota.h"

#define TOLD_PLACES	4096	/* what was told lately */
#define KEPT_HERE	1000	/* events kept without Redis */

#define STREAM_KEY	"{events}"
#define QUIET_KEY	"{events}:told:"

static const struct {
	const char *word;
	int64_t quiet_ms; /* how long nothing more is raised for a subject; 0: never held back */
	enum log_level level;
} kinds[] = {
	[EVENT_SOFT_LEVEL] = { "soft-level", EVENT_QUIET_MS, LOG_LEVEL_WARNING },
	[EVENT_OVER] = { "over", EVENT_QUIET_MS, LOG_LEVEL_WARNING },
	[EVENT_BLOCKED] = { "blocked", EVENT_QUIET_MS, LOG_LEVEL_WARNING },
	[EVENT_UNBLOCKED] = { "unblocked", EVENT_QUIET_MS, LOG_LEVEL_INFO },
	[EVENT_STORE_AWAY] = { "store-away", 0, LOG_LEVEL_ERROR },
	[EVENT_STORE_BACK] = { "store-back", 0, LOG_LEVEL_INFO },
	[EVENT_RELOAD] = { "reload", 0, LOG_LEVEL_INFO },
	[EVENT_RELOAD_FAILED] = { "reload-failed", 0, LOG_LEVEL_ERROR },
	[EVENT_KEY_FAILURE] = { "key-failure", EVENT_QUIET_MS, LOG_LEVEL_ERROR },
	[EVENT_SIGN_RISK] = { "sign-risk", CLOCK_DAY_MS, LOG_LEVEL_WARNING },
	[EVENT_FOREIGN_BURST] = { "foreign-sender-burst", EVENT_QUIET_MS, LOG_LEVEL_WARNING },
};

/* One event on its way. */
struct event {
	struct event *next;
	enum event_kind kind;
	char *key;		/* what it is about, for telling it once */
	char *text;		/* JSON */
	bool run;		/* the program was given it, or was not to be */
};

/* When a kind was last told of a subject. */
struct told {
	uint64_t hash;
	int64_t until;
};

struct events {
	struct journal_redis *redis; /* or NULL */
	char host[256];

	pthread_mutex_t lock;
	TALLOC_CTX *memory;	/* a root of its own, because threads share it */
	struct told *told;
	struct event *first, **last;
	size_t n;
	bool full;		/* that it is full was told */
	char **kept;		/* a ring, without Redis */
	size_t n_kept;
	size_t next_kept;
};

/* event_word - the word of a kind */
const char *
event_word(enum event_kind kind)
{
	return kinds[kind].word;
}

static int
events_destroy(struct events *events)
{
	(void)pthread_mutex_destroy(&events->lock);
	return talloc_free(events->memory);
}

/* events_new - nothing happened yet */
struct events *
events_new(TALLOC_CTX *ctx, struct journal_redis *redis)
{
	struct events *events = mem_new(ctx, struct events);

	events->redis = redis;
	(void)gethostname(events->host, sizeof(events->host) - 1);
	(void)pthread_mutex_init(&events->lock, NULL);
	events->memory = mem_check(talloc_new(NULL));
	events->told = mem_array(events->memory, struct told, TOLD_PLACES);
	events->last = &events->first;
	if (redis == NULL)
		events->kept = mem_array(events->memory, char *, KEPT_HERE);
	talloc_set_destructor(events, events_destroy);
	return events;
}

/* --- raising --- */

/* hash_of - of a kind and what it is about */
static uint64_t
hash_of(enum event_kind kind, const char *about)
{
	return hash_text(HASH_START ^ (uint64_t)kind, about);
}

/* is_news - was this not told lately? From now on it was. Called with the lock. */
static bool
is_news(struct events *events, enum event_kind kind, const char *key)
{
	uint64_t hash = hash_of(kind, key);
	struct told *told = &events->told[hash % TOLD_PLACES];
	int64_t now = clock_ms();

	if (kinds[kind].quiet_ms == 0)
		return true;
	if (told->hash == hash && told->until > now)
		return false;
	*told = (struct told){ hash, now + kinds[kind].quiet_ms };
	return true;
}

/* event_json - the event as the program reads it */
static char *
event_json(const struct events *events, enum event_kind kind, const char *member,
    const char *subject, const char *text, json_t *details)
{
	char stamp[32] = "";
	time_t now = time(NULL);
	struct tm tm;
	json_t *object;
	char *dumped;
	char *copy;

	if (gmtime_r(&now, &tm) != NULL)
		(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	object = json_pack("{s:s, s:s}", "event", kinds[kind].word, "time", stamp);
	json_object_set_new(object, "filter", json_string(events->host));
	if (member != NULL)
		json_object_set_new(object, member, json_string(subject));
	json_object_set_new(object, "text", json_string(text));
	json_object_update(object, details);
	json_decref(details);
	dumped = mem_check(json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII));
	copy = mem_strdup(NULL, dumped);
	free(dumped);
	json_decref(object);
	return copy;
}

/* put - on the list; false: there is no room. Called with the lock. */
static bool
put(struct events *events, enum event_kind kind, const char *key, char *text)
{
	struct event *event;

	if (events->n >= EVENTS_WAITING_MAX)
		return false;
	event = mem_new(events->memory, struct event);
	event->kind = kind;
	event->key = mem_strdup(event, key);
	event->text = talloc_steal(event, text);
	*events->last = event;
	events->last = &event->next;
	events->n++;
	return true;
}

/* enqueue - on the list, or, where there is no room, nowhere; json is used up */
static void
enqueue(struct events *events, enum event_kind kind, const char *key, char *json)
{
	bool first_time = false;

	(void)pthread_mutex_lock(&events->lock);
	if (!put(events, kind, key, json)) {
		first_time = !events->full;
		events->full = true;
		talloc_free(json);
	}
	(void)pthread_mutex_unlock(&events->lock);
	if (first_time)
		log_warning(
		    "event: %d events wait to be told to Redis; further ones are only logged",
		    EVENTS_WAITING_MAX);
}

/* log_event - the line in the log */
static void
log_event(enum event_kind kind, const char *text)
{
	char *line = mem_printf(NULL, "event %s: %s", kinds[kind].word, text);

	log_text(kinds[kind].level, line);
	talloc_free(line);
}

/* event_raise - something happened */
void
event_raise(struct events *events, enum event_kind kind, const char *member, const char *subject,
    const char *about, const char *text, json_t *details)
{
	char *key =
	    mem_printf(NULL, "%s/%s", subject != NULL ? subject : "", about != NULL ? about : "");
	bool news;


	(void)pthread_mutex_lock(&events->lock);
	news = is_news(events, kind, key);
	(void)pthread_mutex_unlock(&events->lock);
	if (news) {
		log_event(kind, text);
		enqueue(
		    events, kind, key, event_json(events, kind, member, subject, text, details));
	} else {
		json_decref(details);
	}
	talloc_free(key);
}

/* --- handing on --- */

/* told_elsewhere - did another filter tell this lately? Where Redis cannot be asked: no. */
static bool
told_elsewhere(struct events *events, TALLOC_CTX *ctx, const struct event *event)
{
	struct journal_words *words;
	const char *error = NULL;
	redisReply *reply;
	bool told;

	if (events->redis == NULL || kinds[event->kind].quiet_ms == 0)
		return false;
	words = journal_words_new(ctx);
	journal_word(words, "SET");
	journal_key(events->redis, words,
	    mem_printf(words, QUIET_KEY "%s:%s", kinds[event->kind].word,
		quota_encode(words, event->key)));
	journal_word(words, "1");
	journal_word(words, "NX");
	journal_word(words, "PX");
	journal_number(words, kinds[event->kind].quiet_ms);
	reply = journal_redis_call(events->redis, ctx, words, false, &error);
	told = reply != NULL && reply->type == REDIS_REPLY_NIL;
	freeReplyObject(reply);
	talloc_free(words);
	return told;
}

/* keep_shared - into the stream; -1: Redis did not take it */
static int
keep_shared(struct events *events, TALLOC_CTX *ctx, const struct event *event, const char **error_r)
{
	struct journal_words *words = journal_words_new(ctx);
	redisReply *reply;

	journal_word(words, "XADD");
	journal_key(events->redis, words, STREAM_KEY);
	journal_word(words, "MAXLEN");
	journal_word(words, "~");
	journal_number(words, EVENTS_KEPT);
	journal_word(words, "*");
	journal_word(words, "event");
	journal_word(words, event->text);
	reply = journal_redis_call(events->redis, ctx, words, false, error_r);
	freeReplyObject(reply);
	talloc_free(words);
	return reply != NULL ? 0 : -1;
}

/* keep_here - into the ring */
static void
keep_here(struct events *events, const struct event *event)
{
	(void)pthread_mutex_lock(&events->lock);
	talloc_free(events->kept[events->next_kept]);
	events->kept[events->next_kept] = mem_strdup(events->kept, event->text);
	events->next_kept = (events->next_kept + 1) % KEPT_HERE;
	if (events->n_kept < KEPT_HERE)
		events->n_kept++;
	(void)pthread_mutex_unlock(&events->lock);
}

/* hand_on - to the program and to Redis; -1: it is to be tried again */
static int
hand_on(struct events *events, TALLOC_CTX *ctx, const struct event_program *program,
    struct event *event, const char **error_r)
{
	if (!event->run) {
		event->run = true;
		if (told_elsewhere(events, ctx, event))
			return 0;
		if (program->n > 0)
			event_runner_submit(program->runner, program->argv, program->n, event->text,
			    program->timeout_ms);
	}
	if (events->redis != NULL)
		return keep_shared(events, ctx, event, error_r);
	keep_here(events, event);
	return 0;
}

/* first_event - the event at the head of the list, or NULL */
static struct event *
first_event(struct events *events)
{
	struct event *event;

	(void)pthread_mutex_lock(&events->lock);
	event = events->first;
	(void)pthread_mutex_unlock(&events->lock);
	return event;
}

/* drop_event - an event that was handed on */
static void
drop_event(struct events *events, struct event *event)
{
	(void)pthread_mutex_lock(&events->lock);
	events->first = event->next;
	if (events->first == NULL)
		events->last = &events->first;
	events->n--;
	events->full = false;
	talloc_free(event);
	(void)pthread_mutex_unlock(&events->lock);
}

/* run_rest - Redis is away: the program hears of what waits all the same */
static void
run_rest(struct events *events, const struct event_program *program)
{
	(void)pthread_mutex_lock(&events->lock);
	for (struct event *event = events->first; event != NULL; event = event->next) {
		if (!event->run && program->n > 0)
			event_runner_submit(program->runner, program->argv, program->n, event->text,
			    program->timeout_ms);
		event->run = true;
	}
	(void)pthread_mutex_unlock(&events->lock);
}

/* event_flush - hand the waiting events on */
int
event_flush(struct events *events, TALLOC_CTX *ctx, const struct event_program *program,
    const char **error_r)
{
	struct event *event;
	int n;

	/* only this thread takes events off the list, so the first stays ours without the lock */
	for (n = 0; (event = first_event(events)) != NULL; n++) {
		if (hand_on(events, ctx, program, event, error_r) != 0) {
			run_rest(events, program);
			return -1;
		}
		drop_event(events, event);
	}
	return n;
}

/* --- asking --- */

/* last_here - without Redis */
static json_t *
last_here(struct events *events, size_t n)
{
	json_t *answer = json_array();

	(void)pthread_mutex_lock(&events->lock);
	for (size_t i = 0; i < events->n_kept && i < n; i++)
		json_array_append_new(answer,
		    json_loads(events->kept[(events->next_kept + KEPT_HERE - 1 - i) % KEPT_HERE], 0,
			NULL));
	(void)pthread_mutex_unlock(&events->lock);
	return answer;
}

/* event_of - the text of an entry of the stream, or NULL */
static const char *
event_of(const redisReply *entry)
{
	const redisReply *fields;

	if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2)
		return NULL;
	fields = entry->element[1];
	return fields->type == REDIS_REPLY_ARRAY && fields->elements == 2 &&
	    fields->element[1]->type == REDIS_REPLY_STRING ? fields->element[1]->str : NULL;
}

/* events_last - the last n events */
json_t *
events_last(struct events *events, TALLOC_CTX *ctx, size_t n, const char **error_r)
{
	struct journal_words *words;
	redisReply *reply;
	json_t *answer;

	if (events->redis == NULL)
		return last_here(events, n);
	words = journal_words_new(ctx);
	journal_word(words, "XREVRANGE");
	journal_key(events->redis, words, STREAM_KEY);
	journal_word(words, "+");
	journal_word(words, "-");
	journal_word(words, "COUNT");
	journal_number(words, (long long)n);
	reply = journal_redis_call(events->redis, ctx, words, true, error_r);
	talloc_free(words);
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
