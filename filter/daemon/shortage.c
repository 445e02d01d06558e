/*
 * shortage.c - the system has no more threads or descriptors for us: the log, and an event
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdbool.h>
#include <stddef.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/daemon/shortage.h"
#include "filter/journal/event.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define LINE_EVERY_MS	(INT64_C(60) * 1000)
#define EVENT_EVERY_MS	(INT64_C(60) * LINE_EVERY_MS)

/* report - a line in the log, or an event, which also makes one */
static void
report(struct daemon *daemon, const char *resource, const char *text, int64_t *raised_ms,
    int64_t now_ms)
{
	struct events *events = journal_events(daemon->journal);

	if (*raised_ms != 0 && now_ms - *raised_ms < EVENT_EVERY_MS) {
		log_error("%s", text);
		return;
	}
	*raised_ms = now_ms;
	event_raise(events, EVENT_SHORTAGE, "resource", resource, NULL, text, NULL);
}

/* is_due - is there something new, and was nothing logged for a minute? */
static bool
is_due(unsigned long figure, unsigned long seen, int64_t logged_ms, int64_t now_ms)
{
	return figure != seen && (logged_ms == 0 || now_ms - logged_ms >= LINE_EVERY_MS);
}

void
shortage_tick(struct shortage *shortage, struct daemon *daemon, int64_t now_ms)
{
	unsigned long threads = atomic_load(&daemon->edge.no_threads);
	unsigned long closed = atomic_load(&daemon->edge.closed);
	unsigned long descriptors = atomic_load(&daemon->edge.no_descriptors);
	char *text;

	if (is_due(threads + closed, shortage->threads.seen + shortage->threads.closed,
	    shortage->threads.logged_ms, now_ms)) {
		text = mem_printf(NULL, "the system refused %lu new thread%s; sessions wait for "
		    "those that exist; closed after 5 s (the MTA defers): %lu; raise "
		    "TasksMax or LimitNPROC of the unit", threads - shortage->threads.seen,
		    text_s(threads - shortage->threads.seen), closed - shortage->threads.closed);
		report(daemon, "threads", text, &shortage->threads.raised_ms, now_ms);
		talloc_free(text);
		shortage->threads.seen = threads;
		shortage->threads.closed = closed;
		shortage->threads.logged_ms = now_ms;
	}
	if (!is_due(descriptors, shortage->descriptors.seen, shortage->descriptors.logged_ms,
	    now_ms))
		return;
	text = mem_printf(NULL, "no descriptors left for %lu connection%s, which the MTA defers; raise "
	    "LimitNOFILE of the unit", descriptors - shortage->descriptors.seen,
	    text_s(descriptors - shortage->descriptors.seen));
	report(daemon, "descriptors", text, &shortage->descriptors.raised_ms, now_ms);
	talloc_free(text);
	shortage->descriptors.seen = descriptors;
	shortage->descriptors.logged_ms = now_ms;
}
