/*
 * breaker.c - not asking a server that has just failed
 *
 * A server that is down costs every message its whole time-out, and mail queues behind that. What
 * is known to have failed is not asked again at once. One failure alone does not count: a restart
 * closes connections that then fail once.
 *
 * Thread rule: everything is under breaker->lock.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdio.h>

#include "filter/table/breaker.h"
#include "policy/base/mem.h"

#define FAILURES	2	/* in a row, before asking stops */
#define PAUSE_MS	250	/* the first */
#define PAUSE_MAX_MS	8000

struct table_breaker {
	pthread_mutex_t lock;
	unsigned int failures;	/* in a row */
	int64_t pause_ms;
	int64_t next_ms;	/* when it is tried again */
	bool trying;		/* somebody does so now */
	char problem[256];
};

static int
breaker_free(struct table_breaker *breaker)
{
	(void)pthread_mutex_destroy(&breaker->lock);
	return 0;
}

/* table_breaker_new - closed */
struct table_breaker *
table_breaker_new(TALLOC_CTX *ctx)
{
	struct table_breaker *breaker = mem_new(ctx, struct table_breaker);

	(void)pthread_mutex_init(&breaker->lock, NULL);
	talloc_set_destructor(breaker, breaker_free);
	return breaker;
}

/* table_breaker_may - may the caller ask? */
bool
table_breaker_may(
    struct table_breaker *breaker, TALLOC_CTX *ctx, int64_t now_ms, const char **why_r)
{
	bool may = true;

	(void)pthread_mutex_lock(&breaker->lock);
	if (breaker->failures >= FAILURES) {
		may = !breaker->trying && now_ms >= breaker->next_ms;
		breaker->trying |= may;
	}
	if (!may)
		*why_r = mem_printf(ctx,
		    "it failed %u times in a row and is not queried for a moment; last: %s",
		    breaker->failures, breaker->problem);
	(void)pthread_mutex_unlock(&breaker->lock);
	return may;
}

/* table_breaker_report - how it went */
bool
table_breaker_report(struct table_breaker *breaker, int64_t now_ms, const char *problem)
{
	bool news;

	(void)pthread_mutex_lock(&breaker->lock);
	breaker->trying = false;
	if (problem == NULL) {
		news = breaker->failures > 0;
		breaker->failures = 0;
		breaker->pause_ms = 0;
	} else {
		news = breaker->failures++ == 0;
		(void)snprintf(breaker->problem, sizeof(breaker->problem), "%s", problem);
		if (breaker->failures >= FAILURES && now_ms >= breaker->next_ms) {
			breaker->pause_ms =
			    breaker->pause_ms == 0 ? PAUSE_MS : breaker->pause_ms * 2;
			if (breaker->pause_ms > PAUSE_MAX_MS)
				breaker->pause_ms = PAUSE_MAX_MS;
			breaker->next_ms = now_ms + breaker->pause_ms;
		}
	}
	(void)pthread_mutex_unlock(&breaker->lock);
	return news;
}
