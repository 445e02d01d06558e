/*
 * unusual.c - accounts that send far more than they usually do
 *
 * Thread rule: the lock guards the map and its values. An account's books are read without it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/journal/unusual.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"
#include "policy/quota/usual.h"

#define LOOKS_MAX	500	/* accounts compared at once, most recipients first */
#define LEASE_MS	(2 * CLOCK_HOUR_MS)

/* An account that was noted. */
struct noted {
	struct quota_plan *offence; /* a talloc root; NULL: nothing sent since the last look */
	uint64_t first, last;	/* turns in which it sent something since then */
	struct store_block_rule rule;
	int64_t hour;		/* since 1970 */
	uint64_t recipients;	/* that it sent here in that hour */
	int64_t looked_ms;	/* when it was compared last */
	int64_t found_hour;	/* in which it sent too much */
};

struct unusual {
	pthread_mutex_t lock;
	struct map *accounts;	/* account => struct noted; a talloc root */
	uint64_t turn;		/* of the journal */
	char *owner;		/* of what is to be done once: this process */
};

static void
noted_gone(void *value)
{
	struct noted *noted = value;

	talloc_free(noted->offence);
	noted->offence = NULL;
}

static int
unusual_free(struct unusual *unusual)
{
	talloc_free(unusual->accounts);
	(void)pthread_mutex_destroy(&unusual->lock);
	return 0;
}

struct unusual *
unusual_new(TALLOC_CTX *ctx, const char *host)
{
	struct unusual *unusual = mem_new(ctx, struct unusual);

	(void)pthread_mutex_init(&unusual->lock, NULL);
	unusual->owner = mem_printf(
	    unusual, "%s:%ld:%" PRId64, host, (long)getpid(), clock_wall_ms());
	unusual->accounts = map_new(NULL, &(struct map_options){ .value_size = sizeof(struct noted),
	    .max = UNUSUAL_ACCOUNTS, .gone = noted_gone });
	talloc_set_destructor(unusual, unusual_free);
	return unusual;
}

void
unusual_note(struct unusual *unusual, const struct quota_plan *offence,
    const struct store_block_rule *rule, uint64_t recipients, int64_t now_ms)
{
	int64_t hour = now_ms / CLOCK_HOUR_MS;
	struct noted *noted;

	(void)pthread_mutex_lock(&unusual->lock);
	noted = map_put(unusual->accounts, offence->account, NULL);
	map_used(unusual->accounts, noted);
	if (noted->hour != hour)
		noted->recipients = 0;
	noted->hour = hour;
	noted->recipients += recipients;
	noted->rule = *rule;
	if (noted->offence == NULL) {
		noted->offence = quota_plan_copy(NULL, offence);
		noted->first = unusual->turn;
	}
	noted->last = unusual->turn;
	(void)pthread_mutex_unlock(&unusual->lock);
}

void
unusual_begin(struct unusual *unusual)
{
	(void)pthread_mutex_lock(&unusual->lock);
	unusual->turn++;
	(void)pthread_mutex_unlock(&unusual->lock);
}

uint64_t
unusual_read(struct books *books, const char *account, int64_t now_ms, uint64_t *recipients_r)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct daybook_hour *hours = mem_array(tmp, struct daybook_hour, USUAL_HOURS);
	struct usual_hour *sent = mem_array(tmp, struct usual_hour, USUAL_HOURS);
	const char *error = NULL;
	uint64_t usual = 0;

	*recipients_r = 0;
	if (books_read_hours(books, tmp, account, now_ms, hours, USUAL_HOURS, &error) == 0) {
		for (size_t i = 0; i < USUAL_HOURS; i++)
			sent[i] = (struct usual_hour){ hours[i].recipients, hours[i].blocked };
		*recipients_r = hours[USUAL_HOURS - 1].recipients;
		usual = usual_recipients(sent, USUAL_HOURS);
	}
	talloc_free(tmp);
	return usual;
}

/* What is to be compared. */
struct look {
	struct quota_plan *offence; /* on the list */
	struct store_block_rule rule;
	uint64_t recipients;
};

/* compare_looks - the most recipients first */
static int
compare_looks(const void *a, const void *b)
{
	const struct look *one = a, *two = b;

	return (one->recipients < two->recipients) - (one->recipients > two->recipients);
}

/* take_looks - the accounts that sent something since they were compared last, on ctx */
static struct look *
take_looks(struct unusual *unusual, TALLOC_CTX *ctx, int64_t now_ms, size_t *n_r)
{
	struct look *looks = mem_array(ctx, struct look, UNUSUAL_ACCOUNTS);
	int64_t hour = now_ms / CLOCK_HOUR_MS;
	struct noted *noted = NULL;
	size_t n = 0;

	(void)pthread_mutex_lock(&unusual->lock);
	while ((noted = map_next(unusual->accounts, noted)) != NULL && n < UNUSUAL_ACCOUNTS) {
		/* a clock that was set back does not put it off */
		if (noted->offence == NULL || noted->first == unusual->turn ||
		    noted->found_hour == hour ||
		    (now_ms >= noted->looked_ms && now_ms - noted->looked_ms < UNUSUAL_EVERY_MS))
			continue;
		looks[n++] = (struct look){ quota_plan_copy(ctx, noted->offence), noted->rule,
			noted->recipients };
		noted->looked_ms = now_ms;
		noted->first = noted->last;
		if (noted->last != unusual->turn)
			noted_gone(noted);
	}
	(void)pthread_mutex_unlock(&unusual->lock);
	qsort(looks, n, sizeof(looks[0]), compare_looks);
	*n_r = n < LOOKS_MAX ? n : LOOKS_MAX;
	return looks;
}

/* set_found - it is not looked at again in this hour */
static void
set_found(struct unusual *unusual, const char *account, int64_t hour)
{
	struct noted *noted;

	(void)pthread_mutex_lock(&unusual->lock);
	noted = map_put(unusual->accounts, account, NULL);
	noted->found_hour = hour;
	(void)pthread_mutex_unlock(&unusual->lock);
}

/* unusual_look_at - compare one account; false: the books cannot be read now */
static bool
unusual_look_at(struct unusual *unusual, TALLOC_CTX *ctx, struct books *books, struct store *store,
    const struct look *look, int64_t now_ms)
{
	const char *account = look->offence->account, *error = NULL;
	uint64_t times = look->offence->counters[0].max, recipients, usual;
	int64_t hour = now_ms / CLOCK_HOUR_MS;
	struct daybook_hour now;

	/* cheap, and nearly all are below it */
	if (books_read_hours(books, ctx, account, now_ms, &now, 1, &error) != 0)
		return false;
	if (now.recipients < USUAL_LEAST)
		return true;
	usual = unusual_read(books, account, now_ms, &recipients);
	if (!usual_exceeded(recipients, times, usual))
		return true;
	set_found(unusual, account, hour);
	if (books_lease(books, ctx, mem_printf(ctx, "unusual:%" PRId64 ":%s", hour, account),
		unusual->owner, LEASE_MS, &error) == 0)
		return true;
	log_info("journal: %s sent to %" PRIu64 " recipients in this hour, more than %" PRIu64
	    " times its usual %" PRIu64, account, recipients, times, usual);
	store_offence(store, look->offence, &look->rule);
	return true;
}

void
unusual_look(struct unusual *unusual, struct books *books, struct store *store, int64_t now_ms)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	size_t n;
	struct look *looks = take_looks(unusual, tmp, now_ms, &n);

	/* each wait for books that do not answer is one in which nothing is written */
	for (size_t i = 0; i < n; i++)
		if (!unusual_look_at(unusual, tmp, books, store, &looks[i], now_ms))
			break;
	talloc_free(tmp);
}
