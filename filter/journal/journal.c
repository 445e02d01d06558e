/*
 * journal.c - what happened, written down off the message's path
 *
 * The message's thread makes an entry of values that are its own anyway and appends it to a list
 * under a lock that no thread holds for long. The journal's thread wakes once a second, or earlier
 * when there is much, and writes batches: JSON is made there, Redis or the disk is waited for
 * there. What the books did not take is kept for the next time, up to the bound; then the oldest
 * go. With Redis it is also kept in a file (backlog.h), so that a restart does not forget it.
 *
 * Thread rule: lock guards the list and `problem`; `pending` and `bursts` belong to the thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/journal/backlog.h"
#include "filter/journal/journal.h"
#include "filter/journal/sightings.h"
#include "filter/journal/unusual.h"
#include "filter/journal/watch.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define TURN_MS		1000	/* how often it writes at least */
#define MANY		200	/* entries that wake the thread early */
#define FAILING_MS	3000	/* the books may fail for so long before that is an event */
#define BURST		10	/* refused foreign senders within an hour that make an event */
#define BURST_MS	CLOCK_HOUR_MS
#define BURST_MAX	1024	/* accounts that are counted; of more, the last ones */

/* Refused foreign senders of an account. */
struct burst {
	int64_t since;
	unsigned int n;
};

/* What the journal writes. */
enum written {
	WRITTEN_HISTORY,
	WRITTEN_SUMS,
	WRITTEN_RATES,
	WRITTEN_SIGNED,
	WRITTEN_DMARC,
	WRITTEN_EVENTS,
	WRITTEN_COUNT
};

struct journal {
	struct books *books;
	struct backlog *backlog;	/* or NULL */
	struct events *events;
	struct event_runner *runner;
	struct store *store;
	journal_program_fn *program_of;
	void *program_arg;
	const char *host;		/* its name, as UTF-8 */
	pthread_t thread;
	bool started;
	atomic_uint_fast64_t dropped;
	atomic_uint_fast64_t waiting;	/* entries that the books did not take yet */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct entry *first, **last;
	size_t n;
	bool stop;
	char *problem;			/* why the books take nothing, a talloc root; or NULL */

	struct entry **pending;		/* taken from the list, oldest first */
	size_t n_pending;
	struct map *bursts;		/* account => struct burst */
	struct journal_watch *watch;
	struct sightings *sightings;
	struct unusual *unusual;
	size_t accounts;		/* with sums a day */
	int beyond_day;			/* the last one with more, which was logged */
	int dmarc_beyond_day;		/* the same for rows of DMARC */
	bool failing[WRITTEN_COUNT];	/* and that was logged */
	int64_t failing_since;		/* clock_ms() when the first of them began, or 0 */
	bool failure_raised;
};

/* --- construction --- */

static int
journal_destroy(struct journal *journal)
{
	journal_stop(journal);
	for (size_t i = 0; i < journal->n_pending; i++)
		talloc_free(journal->pending[i]);
	talloc_free(journal->bursts);
	talloc_free(journal->problem);
	(void)pthread_cond_destroy(&journal->wake);
	(void)pthread_mutex_destroy(&journal->lock);
	return 0;
}

/* is_signed - did the message go out with a signature? */
static bool
is_signed(const struct entry *entry)
{
	return entry->sign == OUTCOME_PASS && entry->action < ACTION_TEMPFAIL &&
	    entry->sign_domain != NULL;
}

/* restore_entry - a decision of before the start */
static void
restore_entry(void *arg, struct entry *entry)
{
	struct journal *journal = arg;

	entry->in_history = entry->in_history || !books_keep_decisions(journal->books);
	entry->in_signed = entry->in_signed || !is_signed(entry);
	journal->pending =
	    mem_grow(journal, journal->pending, struct entry *, journal->n_pending + 1);
	journal->pending[journal->n_pending++] = entry;
}

/* restore_event - an event of before the start */
static void
restore_event(void *arg, const struct backlog_event *event)
{
	struct journal *journal = arg;

	events_restore(journal->events, event);
}

/* open_backlog - open the file beside away_file, and go on with what it holds; 0, or -1 and
 * *error_r */
static int
open_backlog(struct journal *journal, TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	const struct backlog_reader reader = { journal, restore_entry, restore_event };
	size_t events;

	if (journal->backlog == NULL)
		return path == NULL ? 0 : -1;
	if (backlog_read(journal->backlog, ctx, &reader, error_r) != 0)
		return -1;
	atomic_store(&journal->waiting, journal->n_pending);
	events = events_waiting(journal->events, NULL);
	if (journal->n_pending + events > 0)
		log_info("journal: %zu decision%s and %zu event%s from before the start wait for the "
		    "books",
		    journal->n_pending, text_s(journal->n_pending), events, text_s(events));
	return 0;
}

/* name_host - the name of this host; octets that are not UTF-8 are escaped */
static const char *
name_host(TALLOC_CTX *ctx)
{
	char host[256] = "";
	size_t len;

	(void)gethostname(host, sizeof(host) - 1);
	len = strlen(host);
	return text_is_utf8(host, len) ? mem_strdup(ctx, host) :
	    text_escape(ctx, host, len, sizeof(host));
}

/* journal_open - the journal of a configuration */
struct journal *
journal_open(TALLOC_CTX *ctx, const struct config *config, const struct store_options *options,
    const char **error_r)
{
	const struct books_options books = {
		.store = options,
		.decisions = (size_t)config->history_messages,
		.days = (int)config->history_days,
		.accounts = (size_t)config->history_accounts,
	};
	struct journal *journal = mem_new(ctx, struct journal);
	const char *path = options->kind == STORE_REDIS && options->away_file != NULL
	    ? mem_printf(journal, "%s.books", options->away_file) : NULL;
	pthread_condattr_t attributes;

	journal->last = &journal->first;
	journal->bursts = map_new(NULL, &(struct map_options){
	    .value_size = sizeof(struct burst), .max = BURST_MAX });
	journal->host = name_host(journal);
	(void)pthread_mutex_init(&journal->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&journal->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	talloc_set_destructor(journal, journal_destroy);
	journal->accounts = books.accounts;
	journal->unusual = unusual_new(journal, journal->host);
	journal->books = talloc_steal(journal, books_open(ctx, &books, error_r));
	if (journal->books == NULL) {
		talloc_free(journal);
		return NULL;
	}
	if (path != NULL)
		journal->backlog = talloc_steal(journal, backlog_open(ctx, path, error_r));
	journal->events = events_new(journal, journal->host, journal->books, journal->backlog);
	if (open_backlog(journal, ctx, path, error_r) == 0)
		return journal;
	talloc_free(journal);
	return NULL;
}

/* journal_renew - files of TLS and passwords may be new */
int
journal_renew(struct journal *journal, TALLOC_CTX *ctx,
    const struct redis_passwords *passwords, const char **error_r)
{
	return books_renew(journal->books, ctx, passwords, error_r);
}

const char *
journal_host(const struct journal *journal)
{
	return journal->host;
}

struct books *
journal_books(const struct journal *journal)
{
	return journal->books;
}

struct events *
journal_events(const struct journal *journal)
{
	return journal->events;
}

/* journal_status - how the journal is doing */
void
journal_status(struct journal *journal, TALLOC_CTX *ctx, struct journal_status *status_r)
{
	status_r->books = books_place(journal->books);
	status_r->dropped = atomic_load(&journal->dropped);
	status_r->events = events_waiting(journal->events, NULL);
	(void)pthread_mutex_lock(&journal->lock);
	status_r->waiting = atomic_load(&journal->waiting) + journal->n;
	status_r->problem = journal->problem != NULL ? mem_strdup(ctx, journal->problem) : NULL;
	(void)pthread_mutex_unlock(&journal->lock);
}

/* --- the message's side --- */

/* journal_put - on the list, or nowhere */
static void
journal_put(struct journal *journal, struct entry *entry)
{
	bool fits;

	(void)pthread_mutex_lock(&journal->lock);
	fits = journal->n < JOURNAL_WAITING_MAX;
	if (fits) {
		*journal->last = entry;
		journal->last = &entry->next;
		if (++journal->n == MANY)
			(void)pthread_cond_signal(&journal->wake);
	}
	(void)pthread_mutex_unlock(&journal->lock);
	if (fits)
		return;
	atomic_fetch_add(&journal->dropped, 1);
	talloc_free(entry);
}

/* entry_take_marks - the limits whose mark a message crossed */
static void
entry_take_marks(struct entry *entry, const struct quota_mark *marks, size_t n)
{
	if (n == 0)
		return;
	entry->marks = mem_memdup(entry, marks, n * sizeof(marks[0]));
	entry->n_marks = n;
	for (size_t i = 0; i < n; i++) {
		entry->marks[i].limit = mem_strdup(entry, marks[i].limit);
		entry->marks[i].subject = mem_strdup_or_null(entry, marks[i].subject);
	}
}

/* journal_message - a message was decided */
void
journal_message(struct journal *journal, struct logline *line, const struct facts *facts,
    const struct verdict *verdict, bool connection, const struct quota_mark *marks, size_t n)
{
	struct entry *entry = mem_new(NULL, struct entry);

	entry->at_ms = clock_wall_ms();
	entry->line = talloc_steal(entry, line);
	entry->account = facts->account != NULL ? mem_strdup(entry, facts->account) : NULL;
	if (verdict->reply_text != NULL)
		entry->reply = mem_printf(entry, "%s %s %s", verdict->reply_code,
		    verdict->reply_status, verdict->reply_text);
	entry->action = verdict->action;
	entry->would = verdict->would;
	entry->reason = verdict->reason;
	entry->sign = facts->sign.outcome;
	entry->sign_domain = facts->sign.sdid != NULL ? mem_strdup(entry, facts->sign.sdid) : NULL;
	entry->recipients = facts->recipients;
	entry->fresh = facts->quota.fresh;
	entry->bytes = facts->size;
	entry->connection = connection;
	entry->sign_risk = facts->sign.risk;
	if (facts->client_country != NULL)
		entry->country = mem_strdup(entry, facts->client_country);
	if (facts->client_network != NULL)
		entry->network = mem_strdup(entry, facts->client_network);
	entry_take_marks(entry, marks, n);
	entry->dmarc = dmarc_sum_of(entry, facts, verdict);
	journal_put(journal, entry);
}

void
journal_usual(struct journal *journal, const struct quota_plan *offence,
    const struct store_block_rule *rule, uint64_t recipients)
{
	unusual_note(journal->unusual, offence, rule, recipients, clock_wall_ms());
}

/* --- events out of entries --- */

/* journal_or_dash - a value of the line for a sentence */
static const char *
journal_or_dash(const struct entry *entry, const char *key)
{
	const char *value = logline_value(entry->line, key);

	return value != NULL ? value : "-";
}

/* is_watched - is nothing refused for now? */
static bool
is_watched(const struct entry *entry)
{
	return strcmp(journal_or_dash(entry, "mode"), mode_word(MODE_WATCH)) == 0;
}

/* raise_limit - an event about a limit: of the account, or of others whom it shares it with;
 * details is used up */
static void
raise_limit(struct journal *journal, enum event_kind kind, const char *account, const char *mode,
    const char *subject, const char *limit, const char *text, json_t *details)
{
	if (subject != NULL)
		json_object_set_new(details, "account", json_string(account));
	json_object_set_new(details, "limit", json_string(limit));
	json_object_set_new(details, "mode", json_string(mode));
	event_raise(journal->events, kind, subject != NULL ? "limit_of" : "account",
	    subject != NULL ? subject : account, limit, text, details);
}

/* raise_soft - something of account took a limit to its mark */
static void
raise_soft(struct journal *journal, TALLOC_CTX *ctx, const char *account, const char *mode,
    const struct quota_mark *mark)
{
	const char *text = mem_printf(ctx, "%s has reached %u%% of its limit of %s",
	    mark->subject != NULL ? mark->subject : account, mark->percent, mark->limit);

	if (mark->subject != NULL)
		text = mem_printf(ctx, "%s; the last message was of %s", text, account);
	raise_limit(journal, EVENT_SOFT_LEVEL, account, mode, mark->subject, mark->limit, text,
	    json_pack("{s:i, s:s}", "percent", (int)mark->percent, "on_over",
		action_word(mark->on_over)));
}

/* journal_marks - something other than an accepted message took limits to their mark */
void
journal_marks(struct journal *journal, const char *account, enum mode mode,
    const struct quota_mark *marks, size_t n)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));

	for (size_t i = 0; journal != NULL && i < n; i++)
		raise_soft(journal, tmp, account, mode_word(mode), &marks[i]);
	talloc_free(tmp);
}

/* fate - what became of a message, in words */
static const char *
fate(enum action action)
{
	switch (action) {
	case ACTION_ACCEPT:
	case ACTION_WARN:
		return "accepted";
	case ACTION_QUARANTINE:
		return "held";
	case ACTION_TEMPFAIL:
		return "deferred";
	case ACTION_REJECT:
		return "rejected";
	}
	return "-";
}

/* raise_over - a message does not fit a limit */
static void
raise_over(struct journal *journal, TALLOC_CTX *ctx, const struct entry *entry)
{
	const char *subject = logline_value(entry->line, "limit_of");
	const char *limit = journal_or_dash(entry, "limit"), *used = journal_or_dash(entry, "quota");
	const char *of = subject != NULL ? mem_printf(ctx, "the limit of %s", subject) : "its limit";
	const char *text = mem_printf(ctx, "a message of %s exceeds %s (%s): %s used; it %s%s",
	    entry->account, of, limit, used, is_watched(entry) ? "would be " : "was ",
	    fate(entry->would));

	if (is_watched(entry))
		text = mem_printf(ctx, "%s, but mode watch accepts it", text);
	raise_limit(journal, EVENT_OVER, entry->account, journal_or_dash(entry, "mode"), subject,
	    limit, text,
	    json_pack("{s:s, s:s, s:s}", "used", used, "action", action_word(entry->action), "would",
		action_word(entry->would)));
}

/* raise_key - no signature although one was due */
static void
raise_key(struct journal *journal, TALLOC_CTX *ctx, const struct entry *entry)
{
	const char *domain = entry->sign_domain != NULL ? entry->sign_domain : "-";

	event_raise(journal->events, EVENT_KEY_FAILURE, "domain", domain, NULL,
	    mem_printf(ctx, "a message of %s could not be signed for %s: %s",
		entry->account != NULL ? entry->account : "-", domain, journal_or_dash(entry, "why")),
	    json_pack("{s:s, s:s}", "problem", journal_or_dash(entry, "why"), "queue_id",
		entry->line->queue_id != NULL ? entry->line->queue_id : "NOQUEUE"));
}

/* raise_risk - a signature that will not verify */
static void
raise_risk(struct journal *journal, TALLOC_CTX *ctx, const struct entry *entry)
{
	event_raise(journal->events, EVENT_SIGN_RISK, "account", entry->account, NULL,
	    mem_printf(ctx, "the MTA will change a message of %s after it was signed, so its "
		"DKIM signature will not verify (%s)", entry->account, entry->sign_risk),
	    json_pack("{s:s, s:s}", "risk", entry->sign_risk, "queue_id",
		entry->line->queue_id != NULL ? entry->line->queue_id : "NOQUEUE"));
}

/* is_foreign - does a reason mean that another sender's name was shown, or hidden? */
static bool
is_foreign(enum reason reason)
{
	return reply_is_offence(reason) || reason == REASON_DISGUISED_FROM ||
	    reason == REASON_MALFORMED_FROM || reason == REASON_SEVERAL_FROM;
}

/* journal_escaped - a value of the line, which may be a stranger's octets, for a sentence or for
 * JSON */
static const char *
journal_escaped(TALLOC_CTX *ctx, const struct entry *entry, const char *key)
{
	const char *value = journal_or_dash(entry, key);

	return text_escape(ctx, value, strlen(value), LOGLINE_VALUE_MAX);
}

/* count_foreign - one more foreign sender of an account; true when that makes it a burst */
static bool
count_foreign(struct journal *journal, const char *account)
{
	int64_t now = clock_ms();
	struct burst *burst = map_put(journal->bursts, account, NULL);

	map_used(journal->bursts, burst);
	if (burst->n == 0 || now - burst->since > BURST_MS)
		*burst = (struct burst){ .since = now };
	return ++burst->n == BURST;
}

/* raise_burst - an account tries many names that are not its own */
static void
raise_burst(struct journal *journal, TALLOC_CTX *ctx, const struct entry *entry)
{
	const char *address = journal_escaped(ctx, entry, "address"),
		   *why = journal_escaped(ctx, entry, "why");

	event_raise(journal->events, EVENT_FOREIGN_BURST, "account", entry->account, NULL,
	    mem_printf(ctx,
		"%s tried %d messages under foreign names within an hour, the last as %s (%s)",
		entry->account, BURST, address, why),
	    json_pack("{s:s, s:s, s:s, s:i}", "address", address, "reason",
		reply_row(entry->reason)->word, "why", why, "count", BURST));
}

/* raise_events - what operators should hear of an entry */
static void
raise_events(struct journal *journal, const struct entry *entry)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	bool found = entry->would >= ACTION_TEMPFAIL;

	for (size_t i = 0; entry->account != NULL && i < entry->n_marks; i++)
		raise_soft(journal, tmp, entry->account, journal_or_dash(entry, "mode"),
		    &entry->marks[i]);
	if (entry->account != NULL && entry->reason == REASON_OVER &&
	    entry->would >= ACTION_QUARANTINE)
		raise_over(journal, tmp, entry);
	if (entry->account != NULL && is_foreign(entry->reason) && found &&
	    count_foreign(journal, entry->account))
		raise_burst(journal, tmp, entry);
	if (entry->sign == OUTCOME_TEMPERROR || entry->sign == OUTCOME_PERMERROR ||
	    (entry->reason == REASON_MISSING_KEY && entry->would > ACTION_ACCEPT))
		raise_key(journal, tmp, entry);
	if (entry->account != NULL && entry->sign_risk != NULL)
		raise_risk(journal, tmp, entry);
	talloc_free(tmp);
}

/* --- writing --- */

/* entry_json - an entry as the history keeps it: the line with a few members more */
static char *
entry_json(const struct journal *journal, TALLOC_CTX *ctx, const struct entry *entry)
{
	json_t *more = json_pack("{s:I}", "at", (json_int_t)entry->at_ms);
	char *line = logline_json(ctx, entry->line);
	char *dumped;
	char *text;

	json_object_set_new(more, "filter", json_string(journal->host));
	if (entry->reply != NULL)
		json_object_set_new(more, "reply", json_string(entry->reply));
	dumped = mem_check(json_dumps(more, JSON_COMPACT | JSON_ENSURE_ASCII));
	text = mem_printf(ctx, "%.*s,%s", (int)strlen(dumped) - 1, dumped, line + 1);
	free(dumped);
	json_decref(more);
	talloc_free(line);
	return text;
}

/* entry_write - make the text of a decision, and forget the line that it was made of */
static void
entry_write(const struct journal *journal, struct entry *entry)
{
	if (!entry->in_history)
		entry->text = entry_json(journal, entry, entry);
	entry->queue_id = mem_strdup_or_null(entry, entry->line->queue_id);
	talloc_free(entry->line);
	entry->line = NULL;
}

/* take_waiting - all that waits becomes pending; each is looked at for events once, here */
static void
take_waiting(struct journal *journal)
{
	struct entry *entry;
	size_t n;

	(void)pthread_mutex_lock(&journal->lock);
	entry = journal->first;
	n = journal->n;
	atomic_fetch_add(&journal->waiting, n);
	journal->first = NULL;
	journal->last = &journal->first;
	journal->n = 0;
	(void)pthread_mutex_unlock(&journal->lock);
	if (n == 0)
		return;
	journal->pending =
	    mem_grow(journal, journal->pending, struct entry *, journal->n_pending + n);
	while (entry != NULL) {
		struct entry *next = entry->next;

		raise_events(journal, entry);
		sightings_note(journal->sightings, entry);
		entry->in_history = !books_keep_decisions(journal->books);
		entry->in_usage = entry->account == NULL;
		entry->in_dmarc = entry->dmarc == NULL;
		entry->in_signed = !is_signed(entry);
		entry_write(journal, entry);
		journal->pending[journal->n_pending++] = entry;
		entry = next;
	}
}

/* set_problem - why the books take nothing, for status; NULL: they do */
static void
set_problem(struct journal *journal, const char *problem)
{
	(void)pthread_mutex_lock(&journal->lock);
	talloc_free(journal->problem);
	journal->problem = problem != NULL ? mem_strdup(NULL, problem) : NULL;
	(void)pthread_mutex_unlock(&journal->lock);
}

/* note_written - log when writing begins to fail, and when it works again; error: NULL if it
 * worked */
static void
note_written(struct journal *journal, enum written what, const char *error)
{
	static const char *const names[] = { "the history of decisions", "the sums of a day",
		"the counts by minute", "the sums of signatures",
		"the counts for DMARC reports", "the events" };
	bool failed = error != NULL;
	bool any = false;

	if (failed == journal->failing[what])
		return;
	journal->failing[what] = failed;
	for (size_t i = 0; i < WRITTEN_COUNT; i++)
		any = any || journal->failing[i];
	if (failed)
		log_warning(
		    "journal: %s cannot be written: %s; mail is not affected, and what is to be written waits",
		    names[what], error);
	else
		log_info("journal: %s can be written again", names[what]);
	if (failed || !any)
		set_problem(journal, error);
	if (!any)
		journal->failing_since = 0;
	else if (journal->failing_since == 0)
		journal->failing_since = clock_ms();
}

/* look_at_books - raise that they fail, if that lasts and is no matter of the store, and that they
 * are back */
static void
look_at_books(struct journal *journal)
{
	int64_t since = journal->failing_since;
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct journal_status status;

	journal_status(journal, tmp, &status);
	if (journal->failure_raised && since == 0) {
		journal->failure_raised = false;
		event_raise(journal->events, EVENT_BOOKS_BACK, NULL, NULL, NULL,
		    "decisions, sums and events can be written again", NULL);
	}
	if (!journal->failure_raised && since != 0 && clock_ms() - since >= FAILING_MS &&
	    !journal_watch_away(journal->watch)) {
		journal->failure_raised = true;
		event_raise(journal->events, EVENT_BOOKS_FAILED, NULL, NULL, NULL,
		    mem_printf(tmp, "decisions, sums and events cannot be written: %s",
			status.problem),
		    json_pack("{s:s, s:s}", "books", status.books, "problem", status.problem));
	}
	talloc_free(tmp);
}

/* write_history - in batches; false: not now */
static bool
write_history(struct journal *journal, TALLOC_CTX *ctx)
{
	size_t i = 0, most = books_batch(journal->books);

	while (i < journal->n_pending) {
		struct books_decision items[BOOKS_BATCH_MAX];
		TALLOC_CTX *batch = mem_check(talloc_new(ctx));
		const char *error = NULL;
		size_t first = i;
		size_t n = 0;

		for (; i < journal->n_pending && n < most; i++) {
			const struct entry *entry = journal->pending[i];

			if (!entry->in_history)
				items[n++] = (struct books_decision){ entry->at_ms, entry->account,
				    entry->queue_id, entry->action < ACTION_TEMPFAIL, entry->text };
		}
		if (books_add_decisions(journal->books, batch, items, n, &error) != 0) {
			note_written(journal, WRITTEN_HISTORY, error);
			talloc_free(batch);
			return false;
		}
		if (n > 0)
			note_written(journal, WRITTEN_HISTORY, NULL);
		talloc_free(batch);
		while (first < i)
			journal->pending[first++]->in_history = true;
	}
	return true;
}

/* A kind of sums that entries are added to, those of one span of time at once. */
struct sums_kind {
	enum written what;
	size_t done;		/* offset of the member of struct entry: it is there already */
	int64_t span_ms;
	int (*compare)(const void *a, const void *b); /* for qsort(3): by span, then by sum */
	/* add n entries of one span, sorted; each gets the number of its sum, the first *done_r of
	 * which are written. Returns how much is beyond the bounds, or -1 and *error_r. */
	int (*add)(struct journal *journal, TALLOC_CTX *ctx, struct entry **sorted, size_t n,
	    size_t *sum_of, size_t *done_r, const char **error_r);
};

/* sums_done - is an entry in the sums of a kind? */
static bool *
sums_done(const struct sums_kind *kind, struct entry *entry)
{
	return (bool *)((char *)entry + kind->done);
}

/* write_span - n entries of one span; false: not now */
static bool
write_span(struct journal *journal, TALLOC_CTX *ctx, const struct sums_kind *kind,
    struct entry **sorted, size_t n)
{
	size_t *sum_of = mem_array(ctx, size_t, n), done = 0;
	const char *error = NULL;
	int beyond = kind->add(journal, ctx, sorted, n, sum_of, &done, &error);

	for (size_t i = 0; i < n; i++)
		*sums_done(kind, sorted[i]) = sum_of[i] < done;
	talloc_free(sum_of);
	if (beyond < 0)
		note_written(journal, kind->what, error);
	return beyond >= 0;
}

/* write_sums - what is not in the sums of a kind; false: not now */
static bool
write_sums(struct journal *journal, TALLOC_CTX *ctx, const struct sums_kind *kind)
{
	struct entry **sorted = mem_array(ctx, struct entry *, journal->n_pending + 1);
	size_t n = 0, next;

	for (size_t i = 0; i < journal->n_pending; i++)
		if (!*sums_done(kind, journal->pending[i]))
			sorted[n++] = journal->pending[i];
	qsort(sorted, n, sizeof(sorted[0]), kind->compare);
	for (size_t i = 0; i < n; i = next) {
		int64_t span = sorted[i]->at_ms / kind->span_ms;

		for (next = i + 1; next < n && sorted[next]->at_ms / kind->span_ms == span; next++)
			;
		if (!write_span(journal, ctx, kind, &sorted[i], next - i))
			return false;
	}
	if (n > 0)
		note_written(journal, kind->what, NULL);
	return true;
}

/* hour_of - the hour an entry belongs to, since 1970 */
static int64_t
hour_of(const struct entry *entry)
{
	return entry->at_ms / CLOCK_HOUR_MS;
}

static int
compare_entries(const void *a, const void *b)
{
	const struct entry *first = *(struct entry *const *)a;
	const struct entry *second = *(struct entry *const *)b;

	if (hour_of(first) != hour_of(second))
		return hour_of(first) < hour_of(second) ? -1 : 1;
	return strcmp(first->account, second->account);
}

/* journal_add_entry - one more entry of an account */
static void
journal_add_entry(struct daybook_delta *delta, const struct entry *entry)
{
	bool passed = entry->action < ACTION_TEMPFAIL;

	delta->account = entry->account;
	delta->connections += entry->connection;
	if (passed) {
		delta->sums.messages++;
		delta->sums.recipients += entry->recipients;
		delta->sums.bytes += entry->bytes;
	}
	if (!passed)
		delta->refused[entry->reason]++;
	else if (entry->would >= ACTION_TEMPFAIL)
		delta->would[entry->reason]++;
}

/* note_beyond - log, once a day, that there are more accounts than sums are kept of */
static void
note_beyond(struct journal *journal, int64_t at_ms)
{
	int day = daybook_day(at_ms);

	if (day == journal->beyond_day)
		return;
	journal->beyond_day = day;
	log_warning("journal: more than %zu accounts sent on %d: what the others sent is added up "
		    "as \"*\" in report; raise accounts in history = { }",
	    journal->accounts, day);
}

/* journal_add_hour - sums_kind: entries of one hour, sorted by account */
static int
journal_add_hour(struct journal *journal, TALLOC_CTX *ctx, struct entry **sorted, size_t n,
    size_t *sum_of, size_t *done_r, const char **error_r)
{
	struct daybook_delta *deltas = mem_array(ctx, struct daybook_delta, n);
	size_t n_deltas = 0;
	int beyond;

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(sorted[i - 1]->account, sorted[i]->account) != 0)
			n_deltas++;
		sum_of[i] = n_deltas;
		journal_add_entry(&deltas[n_deltas], sorted[i]);
	}
	beyond = books_add_sums(
	    journal->books, ctx, sorted[0]->at_ms, deltas, n_deltas + 1, done_r, error_r);
	if (beyond > 0)
		note_beyond(journal, sorted[0]->at_ms);
	talloc_free(deltas);
	return beyond;
}

/* write_usage - one sum an account and hour; false: not now */
static bool
write_usage(struct journal *journal, TALLOC_CTX *ctx)
{
	static const struct sums_kind usage = { WRITTEN_SUMS, offsetof(struct entry, in_usage),
		CLOCK_HOUR_MS, compare_entries, journal_add_hour };

	return write_sums(journal, ctx, &usage);
}

/* write_rates - what was done in each minute; false: not now */
static bool
write_rates(struct journal *journal, TALLOC_CTX *ctx)
{
	const char *error = NULL;
	bool any = false;

	for (size_t i = 0; i < journal->n_pending; i++) {
		int64_t minute = journal->pending[i]->at_ms / CLOCK_MINUTE_MS;
		struct rates rates = { .actions = { 0 } };

		if (journal->pending[i]->in_rates)
			continue;
		for (size_t k = i; k < journal->n_pending; k++) {
			const struct entry *entry = journal->pending[k];

			if (!entry->in_rates && entry->at_ms / CLOCK_MINUTE_MS == minute)
				rates_count(&rates, entry->action, entry->would, entry->reason);
		}
		if (books_add_rates(journal->books, ctx, minute * CLOCK_MINUTE_MS, journal->host,
			&rates, &error) != 0) {
			note_written(journal, WRITTEN_RATES, error);
			return false;
		}
		for (size_t k = i; k < journal->n_pending; k++)
			if (journal->pending[k]->at_ms / CLOCK_MINUTE_MS == minute)
				journal->pending[k]->in_rates = true;
		any = true;
	}
	if (any)
		note_written(journal, WRITTEN_RATES, NULL);
	return true;
}

/* compare_signed - by day and domain */
static int
compare_signed(const void *a, const void *b)
{
	const struct entry *first = *(struct entry *const *)a;
	const struct entry *second = *(struct entry *const *)b;
	int days = daybook_day(first->at_ms) - daybook_day(second->at_ms);

	return days != 0 ? days : strcmp(first->sign_domain, second->sign_domain);
}

/* journal_add_signed - sums_kind: entries of one day, sorted by the domain that signed */
static int
journal_add_signed(struct journal *journal, TALLOC_CTX *ctx, struct entry **sorted, size_t n,
    size_t *sum_of, size_t *done_r, const char **error_r)
{
	struct daybook_delta *deltas = mem_array(ctx, struct daybook_delta, n);
	size_t n_deltas = 0;
	int beyond;

	for (size_t i = 0; i < n; i++) {
		struct daybook_delta *delta;

		if (i > 0 && strcmp(sorted[i - 1]->sign_domain, sorted[i]->sign_domain) != 0)
			n_deltas++;
		delta = &deltas[n_deltas];
		delta->account = sorted[i]->sign_domain;
		delta->sums.messages++;
		delta->sums.recipients += sorted[i]->recipients;
		delta->sums.bytes += sorted[i]->bytes;
		sum_of[i] = n_deltas;
	}
	beyond = books_add_signed(
	    journal->books, ctx, sorted[0]->at_ms, deltas, n_deltas + 1, done_r, error_r);
	talloc_free(deltas);
	return beyond;
}

/* write_signed - for which domains; false: not now */
static bool
write_signed(struct journal *journal, TALLOC_CTX *ctx)
{
	static const struct sums_kind all_signed = { WRITTEN_SIGNED,
		offsetof(struct entry, in_signed), CLOCK_DAY_MS, compare_signed,
		journal_add_signed };

	return write_sums(journal, ctx, &all_signed);
}

/* compare_dmarc - by day, domain and row; the domain's last record comes last */
static int
compare_dmarc(const void *a, const void *b)
{
	const struct entry *first = *(struct entry *const *)a;
	const struct entry *second = *(struct entry *const *)b;
	int days = daybook_day(first->at_ms) - daybook_day(second->at_ms);
	int domains = strcmp(first->dmarc->domain, second->dmarc->domain);
	int rows = strcmp(first->dmarc->row, second->dmarc->row);

	if (days != 0 || domains != 0 || rows != 0)
		return days != 0 ? days : domains != 0 ? domains : rows;
	return first->at_ms < second->at_ms ? -1 : first->at_ms > second->at_ms;
}

/* note_dmarc_beyond - log, once a day, that reports will not list all messages */
static void
note_dmarc_beyond(struct journal *journal, int day)
{
	if (day == journal->dmarc_beyond_day)
		return;
	journal->dmarc_beyond_day = day;
	log_warning("journal: %d has more domains with DMARC reports, or more different mail, than "
		    "reports list; the rest is counted only", day);
}

/* journal_add_dmarc - sums_kind: entries of one day, sorted by row */
static int
journal_add_dmarc(struct journal *journal, TALLOC_CTX *ctx, struct entry **sorted, size_t n,
    size_t *sum_of, size_t *done_r, const char **error_r)
{
	struct dmarc_sum *sums = mem_array(ctx, struct dmarc_sum, n);
	int day = daybook_day(sorted[0]->at_ms), beyond;
	size_t n_sums = 0;

	for (size_t i = 0; i < n; i++) {
		const struct dmarc_sum *sum = sorted[i]->dmarc;

		if (n_sums > 0 && strcmp(sums[n_sums - 1].domain, sum->domain) == 0 &&
		    strcmp(sums[n_sums - 1].row, sum->row) == 0) {
			sums[n_sums - 1].n += sum->n;
			sums[n_sums - 1].record = sum->record;
		} else {
			sums[n_sums++] = *sum;
		}
		sum_of[i] = n_sums - 1;
	}
	beyond = books_add_dmarc(journal->books, ctx, day, sums, n_sums, done_r, error_r);
	if (beyond > 0)
		note_dmarc_beyond(journal, day);
	talloc_free(sums);
	return beyond;
}

/* write_dmarc - rows of aggregate reports; false: not now */
static bool
write_dmarc(struct journal *journal, TALLOC_CTX *ctx)
{
	static const struct sums_kind rows = { WRITTEN_DMARC, offsetof(struct entry, in_dmarc),
		CLOCK_DAY_MS, compare_dmarc, journal_add_dmarc };

	return write_sums(journal, ctx, &rows);
}

/* is_written - everywhere where it belongs */
static bool
is_written(const struct entry *entry)
{
	return entry->in_history && entry->in_usage && entry->in_rates && entry->in_signed &&
	    entry->in_dmarc;
}

/* forget_written - what is written everywhere, and, beyond the bound, the oldest of the rest */
static void
forget_written(struct journal *journal)
{
	size_t unwritten = 0;
	size_t kept = 0;

	for (size_t i = 0; i < journal->n_pending; i++)
		unwritten += !is_written(journal->pending[i]);
	for (size_t i = 0; i < journal->n_pending; i++) {
		struct entry *entry = journal->pending[i];
		bool written = is_written(entry);

		if (!written && unwritten <= JOURNAL_WAITING_MAX) {
			journal->pending[kept++] = entry;
			continue;
		}
		if (!written) {
			unwritten--;
			atomic_fetch_add(&journal->dropped, 1);
		}
		backlog_remove_entry(journal->backlog, entry);
		talloc_free(entry);
	}
	journal->n_pending = kept;
	atomic_store(&journal->waiting, kept);
}

/* write_pending - all that is pending; false: not all of it now */
static bool
write_pending(struct journal *journal)
{
	static bool (*const writers[])(struct journal *, TALLOC_CTX *) = {
		write_history, write_usage, write_rates, write_signed, write_dmarc
	};
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	int64_t began = clock_ms();
	bool written = true;

	/* books that answer that they do not take the one may take the other; if they do not
	 * answer, one wait is enough */
	for (size_t i = 0; journal->n_pending > 0 && i < sizeof(writers) / sizeof(writers[0]) &&
	     (written || clock_ms() - began < TURN_MS); i++)
		written = writers[i](journal, tmp) && written;
	forget_written(journal);
	talloc_free(tmp);
	return written;
}

/* keep_pending - what waits, in the file */
static void
keep_pending(struct journal *journal)
{
	for (size_t i = 0; i < journal->n_pending; i++)
		backlog_put_entry(journal->backlog, journal->pending[i]);
	events_keep(journal->events);
	backlog_commit(journal->backlog);
}

/* tell_events - to the books, if they take anything, and the program of the configuration in
 * force */
static void
tell_events(struct journal *journal, bool books_take)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct event_program program = { .runner = journal->runner };
	const char *error = NULL;
	int n;

	journal->program_of(journal->program_arg, tmp, &program);
	n = books_take ? event_flush(journal->events, tmp, &program, &error) : 0;
	if (!books_take)
		event_run_waiting(journal->events, &program);
	if (n != 0)
		note_written(journal, WRITTEN_EVENTS, n < 0 ? error : NULL);
	talloc_free(tmp);
}

/* --- the thread --- */

/* wait_for_work - until there is much, or a turn is over; false: it is time to stop */
static bool
wait_for_work(struct journal *journal)
{
	int64_t until = clock_ms() + TURN_MS;
	const struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
	bool go_on;

	(void)pthread_mutex_lock(&journal->lock);
	while (!journal->stop && journal->n < MANY)
		if (pthread_cond_timedwait(&journal->wake, &journal->lock, &at) != 0)
			break;
	go_on = !journal->stop;
	(void)pthread_mutex_unlock(&journal->lock);
	return go_on;
}

/* turn - everything once */
static void
turn(struct journal *journal)
{
	bool written;

	unusual_begin(journal->unusual);
	take_waiting(journal);
	/* trying may take seconds, in which a crash should not forget more */
	if (journal->failing_since != 0)
		keep_pending(journal);
	written = write_pending(journal);
	if (written)
		unusual_look(journal->unusual, journal->books, journal->store, clock_wall_ms());
	journal_watch_look(journal->watch, journal->store, journal->sightings, journal->books,
	    journal->events);
	look_at_books(journal);
	tell_events(journal, written);
	keep_pending(journal);
}

/* journal_serve - the thread */
static void *
journal_serve(void *arg)
{
	struct journal *journal = arg;

	while (wait_for_work(journal))
		turn(journal);
	turn(journal);
	return NULL;
}

/* journal_start - start the thread */
int
journal_start(struct journal *journal, TALLOC_CTX *ctx, struct store *store,
    journal_program_fn *program_of, void *arg, const char **error_r)
{
	journal->store = store;
	journal->program_of = program_of;
	journal->program_arg = arg;
	journal->watch = journal_watch_new(journal);
	journal->sightings = sightings_new(journal);
	journal->runner = event_runner_new(journal, error_r);
	if (journal->runner == NULL)
		return -1;
	if (pthread_create(&journal->thread, NULL, journal_serve, journal) != 0) {
		*error_r =
		    mem_printf(ctx, "the journal's thread cannot be started: %s", strerror(errno));
		return -1;
	}
	journal->started = true;
	return 0;
}

/* say_left - what still waits at the end, and whether the next start finds it */
static void
say_left(const struct journal *journal)
{
	size_t lost_events, events = events_waiting(journal->events, &lost_events), lost = 0;

	for (size_t i = 0; i < journal->n_pending; i++)
		lost += !backlog_has_entry(journal->backlog, journal->pending[i]);
	if (journal->n_pending + events > lost + lost_events)
		log_info("journal: %zu decision%s and %zu event%s wait for the books until the next "
		    "start", journal->n_pending - lost, text_s(journal->n_pending - lost),
		    events - lost_events, text_s(events - lost_events));
	if (lost + lost_events > 0)
		log_warning("journal: %zu decision%s, with their sums, and %zu event%s are given up: the "
		    "books cannot be written, and %s", lost, text_s(lost), lost_events,
		    text_s(lost_events),
		    journal->backlog != NULL ? "neither can the file next to away_file" :
					       "there is no away_file to keep them");
}

/* journal_stop - write what waits and end the thread */
void
journal_stop(struct journal *journal)
{
	if (journal == NULL || !journal->started)
		return;
	(void)pthread_mutex_lock(&journal->lock);
	journal->stop = true;
	(void)pthread_cond_signal(&journal->wake);
	(void)pthread_mutex_unlock(&journal->lock);
	(void)pthread_join(journal->thread, NULL);
	journal->started = false;
	event_runner_stop(journal->runner);
	say_left(journal);
	for (size_t i = 0; i < journal->n_pending; i++)
		talloc_free(journal->pending[i]);
	journal->n_pending = 0;
}
