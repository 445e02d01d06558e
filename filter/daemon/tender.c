/*
 * tender.c - the thread that looks after the tables
 *
 * Files are looked at, and names of servers looked up, by a thread of its own: either may wait for
 * a disk or for DNS, which no message and no signal should.
 *
 * Thread rule: tender->lock guards stop; a snapshot is held while its tables are tended.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "filter/base/clock.h"
#include "filter/daemon/daemon.h"
#include "filter/daemon/tender.h"
#include "filter/table/table.h"
#include "policy/base/mem.h"

#define EVERY_MS	1000

struct tender {
	struct daemon *daemon;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stopped;
	bool stop;
};

/* tender_rest - until it is time again; false when it is time to stop */
static bool
tender_rest(struct tender *tender)
{
	int64_t until_ms = clock_ms() + EVERY_MS;
	const struct timespec until = { .tv_sec = until_ms / 1000,
		.tv_nsec = until_ms % 1000 * 1000000 };
	bool stop;

	(void)pthread_mutex_lock(&tender->lock);
	while (
	    !tender->stop && pthread_cond_timedwait(&tender->stopped, &tender->lock, &until) == 0)
		;
	stop = tender->stop;
	(void)pthread_mutex_unlock(&tender->lock);
	return !stop;
}

/* tender_tend - the thread */
static void *
tender_tend(void *arg)
{
	struct tender *tender = arg;

	while (tender_rest(tender)) {
		struct snapshot *snapshot = daemon_snapshot(tender->daemon);

		for (size_t i = 0; i < snapshot->config->tables.n; i++)
			table_tend(snapshot->tables[i]);
		snapshot_release(snapshot);
	}
	return NULL;
}

/* tender_start - the thread, without the signals that are the first one's */
struct tender *
tender_start(TALLOC_CTX *ctx, struct daemon *daemon)
{
	struct tender *tender = mem_new(ctx, struct tender);
	pthread_condattr_t attributes;
	sigset_t all, before;
	int code;

	tender->daemon = daemon;
	(void)pthread_mutex_init(&tender->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&tender->stopped, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&tender->thread, NULL, tender_tend, tender);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code == 0)
		return tender;
	(void)pthread_cond_destroy(&tender->stopped);
	(void)pthread_mutex_destroy(&tender->lock);
	talloc_free(tender);
	return NULL;
}

/* tender_stop - ends the thread and waits for it */
void
tender_stop(struct tender *tender)
{
	if (tender == NULL)
		return;
	(void)pthread_mutex_lock(&tender->lock);
	tender->stop = true;
	(void)pthread_cond_signal(&tender->stopped);
	(void)pthread_mutex_unlock(&tender->lock);
	(void)pthread_join(tender->thread, NULL);
	(void)pthread_cond_destroy(&tender->stopped);
	(void)pthread_mutex_destroy(&tender->lock);
	talloc_free(tender);
}
