/*
 * rounds.c - the thread that looks, now and then, whether this site is still sound
 *
 * Records are deleted, a Redis gets a memory limit, an address changes: nothing of it is a mistake
 * in a file, and mail suffers before anyone looks. So the daemon makes some of the doctor's checks
 * by itself (filter/doctor). Time is that of the wall clock: after a suspended night a round is
 * due.
 *
 * Thread rule: rounds->lock guards stop; the rest belongs to the thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/daemon/daemon.h"
#include "filter/daemon/rounds.h"
#include "filter/doctor/doctor.h"
#include "policy/base/mem.h"

#define ROUNDS_FIRST_MS	(60 * 1000)
#define ROUNDS_EVERY_MS	(60 * 60 * 1000)
#define ROUNDS_REDIS_MS	(60 * 1000)	/* between two looks at how Redis is set up */
#define ROUNDS_AGAIN_MS	(10 * 1000)	/* the same while something is wrong with it */
#define ROUNDS_SHOWN	1000	/* findings that are handed out, errors first */
#define ROUNDS_LOOK_MS	1000	/* how often the clock is looked at */

/* An error that a round has found, until one finds it no more. */
struct rounds_error {
	struct rounds_error *next;
	const char *id, *where;
	enum doctor_level level;
	char *what, *cure;	/* as it was found last */
	bool untold;		/* no event was raised for it */
	bool whole;		/* only a whole round finds it */
};

struct rounds {
	struct daemon *daemon;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stopped;
	bool stop;
	struct rounds_error *errors; /* talloc children of rounds */
	bool begun;		/* a round was made */
	bool away;		/* the store was, at the last look at Redis */
};

/* rounds_rest - a little; false when it is time to stop */
static bool
rounds_rest(struct rounds *rounds)
{
	int64_t until_ms = clock_ms() + ROUNDS_LOOK_MS;
	const struct timespec until = { .tv_sec = until_ms / 1000,
		.tv_nsec = until_ms % 1000 * 1000000 };
	bool stop;

	(void)pthread_mutex_lock(&rounds->lock);
	while (
	    !rounds->stop && pthread_cond_timedwait(&rounds->stopped, &rounds->lock, &until) == 0)
		;
	stop = rounds->stop;
	(void)pthread_mutex_unlock(&rounds->lock);
	return !stop;
}

/* rounds_reader - as whom the keys are read (struct doctor_options) */
static int
rounds_reader(void *state, TALLOC_CTX *ctx, const struct config *config,
    struct keyring_options *options_r, const char **error_r)
{
	(void)state;
	return snapshot_key_options(ctx, config, options_r, error_r);
}

/* rounds_same - are two ids of one kind: "redis.away", "redis.evicts"? */
static bool
rounds_same(const char *a, const char *b)
{
	size_t len = strcspn(a, ".");

	return strncmp(a, b, len + 1) == 0;
}

/* rounds_find - an error that is known, or NULL */
static struct rounds_error *
rounds_find(const struct rounds *rounds, const struct doctor_finding *finding)
{
	for (struct rounds_error *error = rounds->errors; error != NULL; error = error->next)
		if (strcmp(error->id, finding->id) == 0 &&
		    strcmp(error->where, finding->where) == 0)
			return error;
	return NULL;
}

/* rounds_counts - is it an error? Of Redis warnings are, too: what it loses does not come back */
static bool
rounds_counts(const struct doctor_finding *finding)
{
	return finding->level == DOCTOR_ERROR ||
	    (finding->level == DOCTOR_WARNING && rounds_same("redis.", finding->id));
}

/* rounds_hides - does a finding keep others of its kind from being looked for? */
static bool
rounds_hides(const struct doctor_finding *finding)
{
	return finding->level == DOCTOR_UNKNOWN || strcmp(finding->id, "redis.away") == 0 ||
	    strcmp(finding->id, "redis.auth") == 0 ||
	    strcmp(finding->id, "redis.refuses-writes") == 0;
}

/* rounds_shadows - is an error of a domain's SPF record not looked for because of a finding?
 * Whether a host passes is asked only of a record that can be used. */
static bool
rounds_shadows(const struct doctor_finding *finding, const struct rounds_error *error)
{
	return strcmp(error->id, "spf.misses-us") == 0 && strcmp(finding->id, error->id) != 0 &&
	    rounds_same("spf.", finding->id) && finding->level == DOCTOR_ERROR &&
	    strcmp(finding->id, "spf.pass-all") != 0 &&
	    strncmp(error->where, finding->where, strlen(finding->where)) == 0 &&
	    error->where[strlen(finding->where)] == ' ';
}

/* rounds_lasts - does an error last, or is it not known? */
static bool
rounds_lasts(const struct doctor_report *report, const struct rounds_error *error)
{
	if (report->no_dns && (rounds_same("dkim.", error->id) ||
	    rounds_same("spf.", error->id) || rounds_same("dmarc.", error->id)))
		return true;
	for (size_t i = 0; i < report->n; i++) {
		const struct doctor_finding *finding = &report->findings[i];

		if ((rounds_same(error->id, finding->id) && rounds_hides(finding)) ||
		    rounds_shadows(finding, error))
			return true;
		if (rounds_counts(finding) && strcmp(finding->id, error->id) == 0 &&
		    strcmp(finding->where, error->where) == 0)
			return true;
	}
	return false;
}

/* rounds_raise - an event about a check */
static void
rounds_raise(struct rounds *rounds, enum event_kind kind, const char *id, const char *where,
    const char *what, const char *cure)
{
	event_raise(journal_events(rounds->daemon->journal), kind, "check", id, where, what,
	    json_pack("{s:s,s:s}", "where", where, "cure", cure));
}

/* rounds_note - how an error was found; whole: by a whole round. A look at Redis does not ask what
 * our user may do, and so cannot tell when that is right. */
static void
rounds_note(struct rounds_error *error, const struct doctor_finding *finding, bool whole)
{
	talloc_free(error->what);
	talloc_free(error->cure);
	error->level = finding->level;
	error->what = mem_strdup(error, finding->what);
	error->cure = mem_strdup(error, finding->cure);
	error->whole = whole && strcmp(finding->id, "redis.acl") == 0;
}

/* rounds_begin - an error that is new */
static struct rounds_error *
rounds_begin(struct rounds *rounds, const struct doctor_finding *finding)
{
	struct rounds_error *error = mem_new(rounds, struct rounds_error);

	error->id = mem_strdup(error, finding->id);
	error->where = mem_strdup(error, finding->where);
	/* whether mail leaves from this host, only the MTA knows: here only a change counts */
	error->untold = !rounds->begun && strcmp(finding->id, "spf.misses-us") == 0;
	error->next = rounds->errors;
	rounds->errors = error;
	if (!error->untold)
		rounds_raise(rounds, EVENT_CHECK_FAILED, finding->id, finding->where,
		    finding->what, finding->cure);
	return error;
}

/* rounds_end - errors of a kind, or NULL: of all, that are found no more */
static void
rounds_end(struct rounds *rounds, const struct doctor_report *report, const char *kind)
{
	struct rounds_error **at = &rounds->errors, *error;

	while ((error = *at) != NULL) {
		if ((kind != NULL && (error->whole || !rounds_same(kind, error->id))) ||
		    rounds_lasts(report, error)) {
			at = &error->next;
			continue;
		}
		*at = error->next;
		if (!error->untold)
			rounds_raise(rounds, EVENT_CHECK_PASSED, error->id, error->where,
			    "the error that was found here is gone", "");
		talloc_free(error);
	}
}

/* rounds_risk - one thing that is wrong with Redis */
static void
rounds_risk(json_t *risks, const char *id, enum doctor_level level, const char *what,
    const char *cure)
{
	(void)json_array_append_new(risks, json_pack("{s:s,s:s,s:s,s:s}", "check", id, "level",
	    doctor_level_word(level), "what", what, "cure", cure));
}

/* rounds_publish - what is wrong with Redis, for status: what is known, and what cannot be */
static void
rounds_publish(struct rounds *rounds, const struct doctor_report *report)
{
	struct daemon *daemon = rounds->daemon;
	json_t *risks = json_array();

	for (const struct rounds_error *error = rounds->errors; error != NULL; error = error->next)
		if (rounds_same("redis.", error->id))
			rounds_risk(risks, error->id, error->level, error->what, error->cure);
	for (size_t i = 0; i < report->n; i++)
		if (rounds_same("redis.", report->findings[i].id) &&
		    !rounds_counts(&report->findings[i]))
			rounds_risk(risks, report->findings[i].id, report->findings[i].level,
			    report->findings[i].what, report->findings[i].cure);
	(void)pthread_mutex_lock(&daemon->lock);
	json_decref(daemon->redis_risks);
	daemon->redis_risks = risks;
	(void)pthread_mutex_unlock(&daemon->lock);
}

/* rounds_show - what a whole round found, for "doctor" */
static void
rounds_show(struct daemon *daemon, const struct doctor_report *report)
{
	json_t *findings = json_array(), *all;

	for (size_t i = 0; i < report->n && i < ROUNDS_SHOWN; i++) {
		const struct doctor_finding *finding = &report->findings[i];
		json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "level",
		    doctor_level_word(finding->level), "id", finding->id, "where", finding->where,
		    "what", finding->what, "cure", finding->cure);

		/* NULL: a text that is not UTF-8 */
		(void)json_array_append_new(findings, object != NULL ? object
		    : json_pack("{s:s, s:s, s:s, s:s, s:s}", "level",
			  doctor_level_word(finding->level), "id", finding->id, "where", "", "what",
			  "countersignctl doctor shows it", "cure", ""));
	}
	all = json_pack("{s:I, s:I, s:o}", "at", (json_int_t)clock_wall_ms(), "more",
	    (json_int_t)(report->n - json_array_size(findings)), "findings", findings);
	(void)pthread_mutex_lock(&daemon->lock);
	json_decref(daemon->findings);
	daemon->findings = all;
	(void)pthread_mutex_unlock(&daemon->lock);
}

/* rounds_take - compare a report with the errors that are known; kind as for rounds_end() */
static void
rounds_take(struct rounds *rounds, const struct doctor_report *report, const char *kind)
{
	for (size_t i = 0; i < report->n; i++) {
		const struct doctor_finding *finding = &report->findings[i];
		struct rounds_error *error = rounds_find(rounds, finding);

		if (!rounds_counts(finding))
			continue;
		if (error == NULL)
			error = rounds_begin(rounds, finding);
		rounds_note(error, finding, kind == NULL);
	}
	rounds_end(rounds, report, kind);
	rounds_publish(rounds, report);
}

/* rounds_make - one round */
static void
rounds_make(struct rounds *rounds)
{
	struct daemon *daemon = rounds->daemon;
	const struct doctor_options options = { .file = daemon->file,
		.by_daemon = true,
		.reader = rounds_reader };
	struct doctor_report *report = doctor_examine(rounds, &options);

	/* while the daemon stops, its own socket is closed */
	if (!atomic_load(&daemon->draining)) {
		rounds_take(rounds, report, NULL);
		rounds_show(daemon, report);
		rounds->begun = true;
	}
	talloc_free(report);
}

/* rounds_silent - did Redis not answer? Then nothing is known of how it is set up. */
static bool
rounds_silent(const struct doctor_report *report)
{
	for (size_t i = 0; i < report->n; i++)
		if (strcmp(report->findings[i].id, "redis.away") == 0)
			return true;
	return false;
}

/*
 * rounds_look_at_redis - how it is set up now
 * Also while the store is away: a replica answers, and refuses what is written.
 */
static void
rounds_look_at_redis(struct rounds *rounds, bool away)
{
	struct snapshot *snapshot = daemon_snapshot(rounds->daemon);
	struct doctor_report *report = doctor_look_at_redis(rounds, snapshot->config);

	/* that Redis is away is told by an event of its own */
	if (!away || !rounds_silent(report))
		rounds_take(rounds, report, "redis.");
	talloc_free(report);
	snapshot_release(snapshot);
}

/* rounds_any - is an error of this kind known? */
static bool
rounds_any(const struct rounds *rounds, const char *kind)
{
	for (const struct rounds_error *error = rounds->errors; error != NULL; error = error->next)
		if (rounds_same(kind, error->id))
			return true;
	return false;
}

/* rounds_look_due - is it time for a look? Also when the store goes away or comes back. */
static bool
rounds_look_due(struct rounds *rounds, int64_t due, bool *away_r)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct store_status status;
	bool changed;

	store_status(rounds->daemon->store, tmp, &status);
	*away_r = status.away;
	changed = status.away != rounds->away;
	rounds->away = status.away;
	changed = strcmp(status.kind, "redis") == 0 && (changed || clock_ms() >= due);
	talloc_free(tmp);
	return changed;
}

/* rounds_run - the thread */
static void *
rounds_run(void *arg)
{
	struct rounds *rounds = arg;
	int64_t due = clock_wall_ms() + ROUNDS_FIRST_MS, redis_due = 0;

	while (rounds_rest(rounds)) {
		int64_t now = clock_wall_ms();
		bool away;

		if (rounds_look_due(rounds, redis_due, &away)) {
			rounds_look_at_redis(rounds, away);
			redis_due = clock_ms() +
			    (rounds_any(rounds, "redis.") ? ROUNDS_AGAIN_MS : ROUNDS_REDIS_MS);
		}
		/* a clock that was set back must not mean no round for years */
		if (!atomic_exchange(&rounds->daemon->round_wanted, false) && now < due &&
		    due - now <= ROUNDS_EVERY_MS)
			continue;
		due = now + ROUNDS_EVERY_MS;
		rounds_make(rounds);
	}
	return NULL;
}

struct rounds *
rounds_start(struct daemon *daemon)
{
	/* not below what others allocate on: its thread does so itself */
	struct rounds *rounds = mem_new(NULL, struct rounds);
	pthread_condattr_t attributes;
	sigset_t all, before;
	int code;

	rounds->daemon = daemon;
	(void)pthread_mutex_init(&rounds->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&rounds->stopped, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&rounds->thread, NULL, rounds_run, rounds);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code == 0)
		return rounds;
	(void)pthread_cond_destroy(&rounds->stopped);
	(void)pthread_mutex_destroy(&rounds->lock);
	talloc_free(rounds);
	return NULL;
}

void
rounds_stop(struct rounds *rounds)
{
	if (rounds == NULL)
		return;
	(void)pthread_mutex_lock(&rounds->lock);
	rounds->stop = true;
	(void)pthread_cond_signal(&rounds->stopped);
	(void)pthread_mutex_unlock(&rounds->lock);
	(void)pthread_join(rounds->thread, NULL);
	(void)pthread_cond_destroy(&rounds->stopped);
	(void)pthread_mutex_destroy(&rounds->lock);
	talloc_free(rounds);
}
