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
#define SLOW_MS		1000	/* books that need as long for an answer are not asked again */
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
	[EVENT_NEW_COUNTRY] = { "new-country", EVENT_QUIET_MS, LOG_LEVEL_WARNING },
	[EVENT_NEW_NETWORK] = { "new-network", EVENT_QUIET_MS, LOG_LEVEL_WARNING },
	[EVENT_LOGIN_GUESSING] = { "login-guessing", EVENT_QUIET_MS, LOG_LEVEL_WARNING },
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
	struct backlog_event row; /* with its key, for raising it once; its strings are children */
};

struct events {
	struct books *books;
	struct backlog *backlog;	/* or NULL */
	const char *host;		/* its name, as UTF-8 */

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
events_new(TALLOC_CTX *ctx, const char *host, struct books *books, struct backlog *backlog)
{
	struct events *events = mem_new(ctx, struct events);

	events->books = books;
	events->backlog = backlog;
	events->host = mem_strdup(events, host);
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

/* event_put - on the list; false: there is no room. row is copied. Called with the lock. */
static bool
event_put(struct events *events, enum event_kind kind, const struct backlog_event *row)
{
	struct event *event;

	if (events->n >= EVENTS_WAITING_MAX)
		return false;
	event = mem_new(events->memory, struct event);
	event->kind = kind;
	event->row = *row;
	event->row.kind = kinds[kind].word;
	event->row.key = mem_strdup(event, row->key);
	event->row.text = mem_strdup(event, row->text);
	*events->last = event;
	events->last = &event->next;
	events->n++;
	return true;
}

/* event_enqueue - on the list, or, if there is no room, nowhere; json is used up */
static void
event_enqueue(struct events *events, enum event_kind kind, const char *key, char *json)
{
	const struct backlog_event row = { .at_ms = clock_wall_ms(), .key = key, .text = json };
	bool first_time = false;

	(void)pthread_mutex_lock(&events->lock);
	if (!event_put(events, kind, &row)) {
		first_time = !events->full;
		events->full = true;
	}
	(void)pthread_mutex_unlock(&events->lock);
	talloc_free(json);
	if (first_time)
		log_warning(
		    "event: %d events wait to be passed on; further ones are only logged",
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

/* --- over a restart --- */

/* events_restore - one that was kept over a restart; raised again soon it is no news */
void
events_restore(struct events *events, const struct backlog_event *row)
{
	enum event_kind kind = 0;
	int64_t *until;
	char *name;
	bool news;

	while (kind < EVENT_KINDS && strcmp(kinds[kind].word, row->kind) != 0)
		kind++;
	if (kind == EVENT_KINDS)
		return;		/* of another version */
	name = mem_printf(NULL, "%s/%s", row->kind, row->key);
	(void)pthread_mutex_lock(&events->lock);
	if (event_put(events, kind, row) && kinds[kind].quiet_ms > 0) {
		until = map_put(events->told, name, &news);
		*until = clock_ms() + kinds[kind].quiet_ms - (clock_wall_ms() - row->at_ms);
	}
	(void)pthread_mutex_unlock(&events->lock);
	talloc_free(name);
}

/* take_all - all events of the list, in its order; they stay on it. The array is on ctx. */
static struct event **
take_all(struct events *events, TALLOC_CTX *ctx, size_t *n_r)
{
	struct event **all;
	size_t n = 0;

	(void)pthread_mutex_lock(&events->lock);
	all = mem_array(ctx, struct event *, events->n + 1);
	for (struct event *event = events->first; event != NULL; event = event->next)
		all[n++] = event;
	(void)pthread_mutex_unlock(&events->lock);
	*n_r = n;
	return all;
}

/* events_keep - put those that wait into the backlog */
void
events_keep(struct events *events)
{
	size_t n;
	struct event **all = take_all(events, NULL, &n);

	for (size_t i = 0; i < n; i++)
		backlog_put_event(events->backlog, &all[i]->row);
	talloc_free(all);
}

/* events_waiting - how many wait for the books */
size_t
events_waiting(struct events *events, size_t *unkept_r)
{
	size_t n;
	struct event **all = take_all(events, NULL, &n);

	if (unkept_r != NULL)
		*unkept_r = 0;
	for (size_t i = 0; unkept_r != NULL && i < n; i++)
		*unkept_r += !backlog_has_event(events->backlog, &all[i]->row);
	talloc_free(all);
	return n;
}

/* --- handing on --- */

/* event_record_of - an event as the books keep it */
static struct books_event
event_record_of(const struct event *event)
{
	return (struct books_event){ event->row.at_ms, event->row.kind, event->row.key,
		event->row.text };
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
	if (event->row.run)
		return;
	event->row.run = true;
	event->row.told = told_elsewhere(events, ctx, event);
	if (program->n > 0 && !event->row.told)
		event_runner_submit(program->runner, program->argv, program->n, event->row.text,
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
	(void)pthread_mutex_unlock(&events->lock);
	/* only this thread takes events off the list */
	backlog_remove_event(events->backlog, &event->row);
	(void)pthread_mutex_lock(&events->lock);
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
		if (!some[i]->row.told)
			records[n_records++] = event_record_of(some[i]);
	kept = books_add_events(events->books, ctx, records, n_records, error_r);
	while (done < n && (some[done]->row.told || kept > 0)) {
		kept -= !some[done++]->row.told;
		drop_event(events);
	}
	return done;
}

/* event_run_waiting - the books take nothing: the program gets what waits all the same */
void
event_run_waiting(struct events *events, const struct event_program *program)
{
	(void)pthread_mutex_lock(&events->lock);
	for (struct event *event = events->first; event != NULL; event = event->next) {
		if (!event->row.run && program->n > 0)
			event_runner_submit(program->runner, program->argv, program->n,
			    event->row.text, program->timeout_ms);
		event->row.run = true;
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
		for (size_t i = 0; i < n; i++) {
			int64_t before = clock_ms();

			event_run(events, ctx, program, some[i]);
			if (clock_ms() - before > SLOW_MS)
				event_run_waiting(events, program);
		}
		kept = event_keep(events, ctx, some, n, error_r);
		flushed += (int)kept;
		if (kept < n) {
			event_run_waiting(events, program);
			return -1;
		}
	}
	return flushed;
}
