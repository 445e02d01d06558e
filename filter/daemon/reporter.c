/*
 * reporter.c - the thread that sends the aggregate reports of DMARC
 *
 * The reports of a day (UTC) go out from the next day on, after a pause that differs from site to
 * site, so that receivers do not get all reports of the world at midnight. What did not work is
 * tried again while the day is young enough; older days are left alone, so that an outage has no
 * storm after it. Of several filters that share the books, the one that has the lease does it all.
 *
 * Thread rule: reporter->lock guards stop and what was asked for; the rest belongs to the thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/daemon/daemon.h"
#include "filter/daemon/reporter.h"
#include "filter/report/send.h"
#include "policy/base/hash.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"

#define REPORTER_LOOK_MS	1000	/* how often it looks whether it is asked */
#define REPORTER_TURN_MS	60000	/* how often it looks whether something is due */
#define REPORTER_LEASE_MS	600000	/* renewed for each domain */
#define REPORTER_FIRST_S	600	/* after midnight: all filters have written */
#define REPORTER_SPREAD_S	(4 * 3600) /* ... and up to so much later */
#define REPORTER_DAYS		2	/* whose reports are still sent */
#define REPORTER_PAUSE_MS	50	/* between two mails */
#define DAY_S			86400

struct reporter {
	struct daemon *daemon;
	pthread_t thread;
	char owner[320];	/* this process, for the lease */
	struct map *hosts;	/* host of addresses => size_t: reports of hosts_day to it */
	int hosts_day;
	int64_t next_ms;	/* of a turn, clock_wall_ms(): what is due goes by that clock */
	bool failing;		/* the books do not answer, and the log was told */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	int asked_day;		/* 0: nothing is asked for */
	char *asked_domain;	/* NULL: all; a talloc root */
	bool busy;		/* what was asked for is being done */
};

/* reporter_stops - is it time to stop? */
static bool
reporter_stops(struct reporter *reporter)
{
	bool stop;

	(void)pthread_mutex_lock(&reporter->lock);
	stop = reporter->stop;
	(void)pthread_mutex_unlock(&reporter->lock);
	return stop;
}

/* reporter_rest - until somebody asks, or for a while; false: it is time to stop */
static bool
reporter_rest(struct reporter *reporter, int64_t for_ms)
{
	int64_t until_ms = clock_ms() + for_ms;
	const struct timespec until = { .tv_sec = until_ms / 1000,
		.tv_nsec = until_ms % 1000 * 1000000 };
	bool stop;

	(void)pthread_mutex_lock(&reporter->lock);
	while (!reporter->stop && reporter->asked_day == 0 &&
	    pthread_cond_timedwait(&reporter->wake, &reporter->lock, &until) == 0)
		;
	stop = reporter->stop;
	(void)pthread_mutex_unlock(&reporter->lock);
	return !stop;
}

/* note_books - log when the books stop to answer, and when they do again */
static void
note_books(struct reporter *reporter, const char *error)
{
	if ((error != NULL) == reporter->failing)
		return;
	reporter->failing = error != NULL;
	if (error != NULL)
		log_warning("dmarc report: the books cannot be read: %s; reports wait", error);
	else
		log_info("dmarc report: the books can be read again");
}

/* has_lease - is this the filter that sends? */
static bool
has_lease(struct reporter *reporter, TALLOC_CTX *ctx)
{
	const char *error = NULL;
	int mine = books_lease(journal_books(reporter->daemon->journal), ctx, "report",
	    reporter->owner, REPORTER_LEASE_MS, &error);

	note_books(reporter, mine < 0 ? error : NULL);
	return mine == 1;
}

/* hosts_of - how many reports of a day went where */
static struct map *
hosts_of(struct reporter *reporter, int day)
{
	if (reporter->hosts_day != day) {
		talloc_free(reporter->hosts);
		reporter->hosts = map_new(NULL, &(struct map_options){
		    .value_size = sizeof(size_t), .max = BOOKS_DMARC_DOMAINS });
		reporter->hosts_day = day;
	}
	return reporter->hosts;
}

/* send_domain - the report to one domain; false: no more now */
static bool
send_domain(struct reporter *reporter, TALLOC_CTX *ctx, const struct dmarc_report_config *config,
    int day, const struct books_dmarc_domain *domain)
{
	const struct report_sender sender = {
		.books = journal_books(reporter->daemon->journal),
		.resolver = reporter->daemon->resolver,
		.config = config,
		.hosts = hosts_of(reporter, day),
	};
	TALLOC_CTX *tmp = mem_check(talloc_new(ctx));
	const char *error = NULL;
	bool goes_on = !reporter_stops(reporter) && has_lease(reporter, tmp);

	if (goes_on) {
		goes_on = report_send(
		    tmp, &sender, day, domain, clock_wall_ms() / 1000, &error) == 0;
		note_books(reporter, error);
		clock_pause(REPORTER_PAUSE_MS);
	}
	talloc_free(tmp);
	return goes_on;
}

/* send_day - what is due of a day, or with by_hand all that was not sent; domain: NULL for all */
static void
send_day(struct reporter *reporter, const struct dmarc_report_config *config, int day,
    const char *domain, bool by_hand)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct books_dmarc_domain *domains;
	const char *error = NULL;
	size_t n = 0;

	if (books_dmarc_domains(journal_books(reporter->daemon->journal), ctx, day, &domains, &n,
		&error) != 0)
		note_books(reporter, error);
	for (size_t i = 0; i < n; i++) {
		if ((domain != NULL && strcmp(domains[i].domain, domain) != 0) ||
		    !report_is_due(&domains[i], clock_wall_ms() / 1000, by_hand))
			continue;
		if (!send_domain(reporter, ctx, config, day, &domains[i]))
			break;
	}
	talloc_free(ctx);
}

/* site_pause - seconds after midnight at which reports of this site go out */
static int64_t
site_pause(const struct dmarc_report_config *config)
{
	return REPORTER_FIRST_S +
	    (int64_t)(hash_mix(hash_text(HASH_START, config->from)) % REPORTER_SPREAD_S);
}

/* send_due - of the last days; older ones have expired */
static void
send_due(struct reporter *reporter, const struct dmarc_report_config *config)
{
	int64_t now_s = clock_wall_ms() / 1000;

	if (now_s % DAY_S < site_pause(config))
		now_s -= DAY_S;
	for (int i = REPORTER_DAYS; i >= 1; i--)
		send_day(reporter, config, daybook_day((now_s - (int64_t)i * DAY_S) * 1000), NULL,
		    false);
}

/* send_asked - what somebody asked for */
static void
send_asked(struct reporter *reporter, const struct dmarc_report_config *config)
{
	char *domain;
	int day;

	(void)pthread_mutex_lock(&reporter->lock);
	day = reporter->asked_day;
	domain = reporter->asked_domain;
	reporter->asked_domain = NULL;
	reporter->asked_day = 0;
	reporter->busy = day != 0;
	(void)pthread_mutex_unlock(&reporter->lock);
	if (day == 0)
		return;
	if (config->from != NULL)
		send_day(reporter, config, day, domain, true);
	talloc_free(domain);
	(void)pthread_mutex_lock(&reporter->lock);
	reporter->busy = false;
	(void)pthread_mutex_unlock(&reporter->lock);
}

/* is_turn - is it time to look whether something is due, even if the clock was set? */
static bool
is_turn(struct reporter *reporter)
{
	int64_t now_ms = clock_wall_ms();

	if (now_ms < reporter->next_ms && now_ms >= reporter->next_ms - REPORTER_TURN_MS)
		return false;
	reporter->next_ms = now_ms + REPORTER_TURN_MS;
	return true;
}

/* reporter_run - the thread */
static void *
reporter_run(void *arg)
{
	struct reporter *reporter = arg;

	while (reporter_rest(reporter, REPORTER_LOOK_MS)) {
		struct snapshot *snapshot = daemon_snapshot(reporter->daemon);
		const struct dmarc_report_config *config = &snapshot->config->dmarc.report;

		send_asked(reporter, config);
		if (is_turn(reporter) && config->from != NULL)
			send_due(reporter, config);
		snapshot_release(snapshot);
	}
	return NULL;
}

/* reporter_free - what no thread uses any more */
static void
reporter_free(struct reporter *reporter)
{
	(void)pthread_cond_destroy(&reporter->wake);
	(void)pthread_mutex_destroy(&reporter->lock);
	talloc_free(reporter->hosts);
	talloc_free(reporter->asked_domain);
	talloc_free(reporter);
}

struct reporter *
reporter_start(struct daemon *daemon)
{
	struct reporter *reporter = mem_new(NULL, struct reporter);
	pthread_condattr_t attributes;
	sigset_t all, before;
	char host[256] = "";
	int code;

	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(reporter->owner, sizeof(reporter->owner), "%s:%ld:%lld", host,
	    (long)getpid(), (long long)clock_wall_ms());
	reporter->daemon = daemon;
	reporter->next_ms = clock_wall_ms() + REPORTER_TURN_MS;
	(void)pthread_mutex_init(&reporter->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&reporter->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&reporter->thread, NULL, reporter_run, reporter);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code == 0)
		return reporter;
	reporter_free(reporter);
	return NULL;
}

void
reporter_stop(struct reporter *reporter)
{
	if (reporter == NULL)
		return;
	(void)pthread_mutex_lock(&reporter->lock);
	reporter->stop = true;
	(void)pthread_cond_signal(&reporter->wake);
	(void)pthread_mutex_unlock(&reporter->lock);
	(void)pthread_join(reporter->thread, NULL);
	reporter_free(reporter);
}

void
reporter_ask(struct reporter *reporter, int day, const char *domain)
{
	(void)pthread_mutex_lock(&reporter->lock);
	talloc_free(reporter->asked_domain);
	reporter->asked_domain = domain != NULL ? mem_strdup(NULL, domain) : NULL;
	reporter->asked_day = day;
	(void)pthread_cond_signal(&reporter->wake);
	(void)pthread_mutex_unlock(&reporter->lock);
}

bool
reporter_is_busy(struct reporter *reporter)
{
	bool busy;

	(void)pthread_mutex_lock(&reporter->lock);
	busy = reporter->busy || reporter->asked_day != 0;
	(void)pthread_mutex_unlock(&reporter->lock);
	return busy;
}
