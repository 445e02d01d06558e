/*
 * watchdog.c - the thread that assures the service manager that the daemon answers
 *
 * Three times in the time that the service manager waits, the daemon connects to its own socket
 * as an MTA does (probe.h), and only if that is answered it sends WATCHDOG=1. That the process
 * lives is no reason to send it.
 *
 * Thread rule: watchdog->lock guards stop; the rest does not change.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/supervisor.h"
#include "filter/daemon/watchdog.h"
#include "policy/base/mem.h"

struct watchdog {
	struct probe_address listening;
	long every_ms;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stopped;
	bool stop;
};

/* watchdog_rest - until it is time again; false when it is time to stop */
static bool
watchdog_rest(struct watchdog *watchdog)
{
	int64_t until_ms = clock_ms() + watchdog->every_ms;
	const struct timespec until = { .tv_sec = until_ms / 1000,
		.tv_nsec = until_ms % 1000 * 1000000 };
	bool stop;

	(void)pthread_mutex_lock(&watchdog->lock);
	while (!watchdog->stop &&
	    pthread_cond_timedwait(&watchdog->stopped, &watchdog->lock, &until) == 0)
		;
	stop = watchdog->stop;
	(void)pthread_mutex_unlock(&watchdog->lock);
	return !stop;
}

/* watchdog_feed - the thread */
static void *
watchdog_feed(void *arg)
{
	struct watchdog *watchdog = arg;

	do {
		const char *problem =
		    probe_listener(&watchdog->listening, (int)watchdog->every_ms);

		if (problem == NULL)
			supervisor_notify("WATCHDOG=1");
		else
			log_warning("the listening socket does not answer: %s; the watchdog of the "
			    "service manager is not fed", problem);
	} while (watchdog_rest(watchdog));
	return NULL;
}

struct watchdog *
watchdog_start(TALLOC_CTX *ctx, const struct probe_address *listening)
{
	long within_ms = supervisor_watchdog_ms();
	struct watchdog *watchdog;
	pthread_condattr_t attributes;
	sigset_t all, before;
	int code;

	if (within_ms == 0)
		return NULL;
	watchdog = mem_new(ctx, struct watchdog);
	watchdog->listening = *listening;
	watchdog->every_ms = within_ms / 3 > 0 ? within_ms / 3 : 1;
	(void)pthread_mutex_init(&watchdog->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&watchdog->stopped, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&watchdog->thread, NULL, watchdog_feed, watchdog);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code == 0)
		return watchdog;
	log_error("the thread of the watchdog cannot be started");
	(void)pthread_cond_destroy(&watchdog->stopped);
	(void)pthread_mutex_destroy(&watchdog->lock);
	talloc_free(watchdog);
	return NULL;
}

void
watchdog_stop(struct watchdog *watchdog)
{
	if (watchdog == NULL)
		return;
	(void)pthread_mutex_lock(&watchdog->lock);
	watchdog->stop = true;
	(void)pthread_cond_signal(&watchdog->stopped);
	(void)pthread_mutex_unlock(&watchdog->lock);
	(void)pthread_join(watchdog->thread, NULL);
	(void)pthread_cond_destroy(&watchdog->stopped);
	(void)pthread_mutex_destroy(&watchdog->lock);
	talloc_free(watchdog);
}
