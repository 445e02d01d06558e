/*
 * event.c - what operators should hear of at once
 *
 * Raising an event writes its log line and puts it on a list; the journal's thread carries it to
 * the books and starts the program. Repetition is held down twice: here by a map of what was
 * raised lately (of more than TOLD_MAX subjects the oldest may be raised again, no harm), and
 * between filters, or across a restart, by the books.
 *
 * Thread rule: lock guards the table and the list, with their talloc tree.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/journal/event.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"

#define TOLD_MAX	4096	/* subjects remembered as told lately; of more, the last */
#define SOME		100	/* events handed on together */
#define QUIET_SLACK_MS	60000	/* the clocks of the table and of the books differ by less */

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
	[EVENT_BOOKS_FAILED] = { "books-failed", 0, LOG_LEVEL_ERROR },
	[EVENT_BOOKS_BACK] = { "books-back", 0, LOG_LEVEL_INFO },
	[EVENT_STORE_EMPTIED] = { "store-emptied", 0, LOG_LEVEL_WARNING },
	[EVENT_RESOLVER_AWAY] = { "resolver-away", false, LOG_LEVEL_ERROR },
	[EVENT_RESOLVER_BACK] = { "resolver-back", false, LOG_LEVEL_INFO },
	[EVENT_RELOAD] = { "reload", 0, LOG_LEVEL_INFO },
	[EVENT_RELOAD_FAILED] = { "reload-failed", 0, LOG_LEVEL_ERROR },
	[EVENT_KEY_FAILURE] = { "key-failure", EVENT_QUIET_MS, LOG_LEVEL_ERROR },
	[EVENT_SIGN_RISK] = { "sign-risk", CLOCK_DAY_MS, LOG_LEVEL_WARNING },
	[EVENT_PEER_REFUSED] = { "peer-refused", EVENT_QUIET_MS, LOG_LEVEL_WARNING },
	[EVENT_FOREIGN_BURST] = { "foreign-sender-burst", EVENT_QUIET_MS, LOG_LEVEL_WARNING },
	[EVENT_CHECK_FAILED] = { "check-failed", EVENT_QUIET_MS, LOG_LEVEL_ERROR },
	[EVENT_CHECK_PASSED] = { "check-passed", 0, LOG_LEVEL_INFO },
	[EVENT_SHORTAGE] = { "shortage", 0, LOG_LEVEL_ERROR },
};

/* One event on its way. */
struct event {
	struct event *next;
	enum event_kind kind;
	int64_t at_ms;		/* UNIX time */
	char *key;		/* what it is about, for telling it once */
	char *text;		/* JSON */
	bool run;		/* the program was given it, or was not to be */
	bool told;		/* raised lately elsewhere, so it is not kept */
};

struct events {
	struct books *books;
	char host[256];

	pthread_mutex_t lock;
	TALLOC_CTX *memory;	/* a root of its own, because threads share it */
	struct map *told;	/* kind/subject/about => int64_t, until when it is no news */
	struct event *first, **last;
	size_t n;
	bool full;		/* that it is full was logged */
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
events_new(TALLOC_CTX *ctx, struct books *books)
{
	struct events *events = mem_new(ctx, struct events);

	events->books = books;
	(void)gethostname(events->host, sizeof(events->host) - 1);
	(void)pthread_mutex_init(&events->lock, NULL);
	events->memory = mem_check(talloc_new(NULL));
	events->told = map_new(events->memory,
	    &(struct map_options){ .value_size = sizeof(int64_t), .max = TOLD_MAX });
	events->last = &events->first;
	talloc_set_destructor(events, events_destroy);
	return events;
}

/* --- raising --- */

/* is_news - was this not raised lately? From now on it was. Called with the lock. */
static bool
is_news(struct events *events, enum event_kind kind, const char *key)
{
	int64_t now = clock_ms(), *until;
	char *name;
	bool news;

	if (kinds[kind].quiet_ms == 0)
		return true;
	name = mem_printf(NULL, "%s/%s", kinds[kind].word, key);
	until = map_put(events->told, name, &news);
	talloc_free(name);
	if (!news && *until > now)
		return false;
	*until = now + kinds[kind].quiet_ms;
	map_used(events->told, until);
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

/* event_put - on the list; false: there is no room. Called with the lock. */
static bool
event_put(struct events *events, enum event_kind kind, const char *key, char *text)
{
	struct event *event;

	if (events->n >= EVENTS_WAITING_MAX)
		return false;
	event = mem_new(events->memory, struct event);
	event->kind = kind;
	event->at_ms = clock_wall_ms();
	event->key = mem_strdup(event, key);
	event->text = talloc_steal(event, text);
	*events->last = event;
	events->last = &event->next;
	events->n++;
	return true;
}

/* event_enqueue - on the list, or, where there is no room, nowhere; json is used up */
static void
event_enqueue(struct events *events, enum event_kind kind, const char *key, char *json)
{
	bool first_time = false;

	(void)pthread_mutex_lock(&events->lock);
	if (!event_put(events, kind, key, json)) {
		first_time = !events->full;
		events->full = true;
		talloc_free(json);
	}
	(void)pthread_mutex_unlock(&events->lock);
	if (first_time)
		log_warning(
		    "event: %d events wait to be handed on; further ones are only logged",
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
		event_enqueue(
		    events, kind, key, event_json(events, kind, member, subject, text, details));
	} else {
		json_decref(details);
	}
	talloc_free(key);
}

/* --- handing on --- */

/* event_record_of - an event as the books keep it */
static struct books_event
event_record_of(const struct event *event)
{
	return (struct books_event){ event->at_ms, kinds[event->kind].word, event->key,
		event->text };
}

/* told_elsewhere - was this raised lately, by another filter or before a restart? */
static bool
told_elsewhere(struct events *events, TALLOC_CTX *ctx, const struct event *event)
{
	struct books_event record = event_record_of(event);

	int64_t quiet_ms = kinds[event->kind].quiet_ms;

	return quiet_ms > 0 &&
	    !books_event_is_news(events->books, ctx, &record, quiet_ms - QUIET_SLACK_MS);
}

/* event_run - hand an event to the program, once, unless it was raised elsewhere */
static void
event_run(struct events *events, TALLOC_CTX *ctx, const struct event_program *program,
    struct event *event)
{
	if (event->run)
		return;
	event->run = true;
	event->told = told_elsewhere(events, ctx, event);
	if (program->n > 0 && !event->told)
		event_runner_submit(program->runner, program->argv, program->n, event->text,
		    program->timeout_ms);
}

/* take_some - the first events of the list, SOME at most; they stay on it */
static size_t
take_some(struct events *events, struct event **some)
{
	size_t n = 0;

	(void)pthread_mutex_lock(&events->lock);
	for (struct event *event = events->first; event != NULL && n < SOME; event = event->next)
		some[n++] = event;
	(void)pthread_mutex_unlock(&events->lock);
	return n;
}

/* drop_event - the first event was handed on */
static void
drop_event(struct events *events)
{
	struct event *event;

	(void)pthread_mutex_lock(&events->lock);
	event = events->first;
	events->first = event->next;
	if (events->first == NULL)
		events->last = &events->first;
	events->n--;
	events->full = false;
	talloc_free(event);
	(void)pthread_mutex_unlock(&events->lock);
}

/* event_keep - events into the books, and off the list; how many, and *error_r if they are not
 * all */
static size_t
event_keep(
    struct events *events, TALLOC_CTX *ctx, struct event **some, size_t n, const char **error_r)
{
	struct books_event records[SOME];
	size_t n_records = 0;
	size_t kept, done = 0;

	for (size_t i = 0; i < n; i++)
		if (!some[i]->told)
			records[n_records++] = event_record_of(some[i]);
	kept = books_add_events(events->books, ctx, records, n_records, error_r);
	while (done < n && (some[done]->told || kept > 0)) {
		kept -= !some[done++]->told;
		drop_event(events);
	}
	return done;
}

/* run_rest - the books take nothing: the program gets what waits all the same */
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
	struct event *some[SOME];
	int flushed = 0;
	size_t n, kept;

	/* only this thread takes events off the list, so they stay ours without the lock */
	while ((n = take_some(events, some)) > 0) {
		for (size_t i = 0; i < n; i++)
			event_run(events, ctx, program, some[i]);
		kept = event_keep(events, ctx, some, n, error_r);
		flushed += (int)kept;
		if (kept < n) {
			run_rest(events, program);
			return -1;
		}
	}
	return flushed;
}
