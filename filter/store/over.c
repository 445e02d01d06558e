/*
 * over.c - accounts just found to be over, whatever they send
 *
 * Thread rule: lock guards the map, a talloc tree of its own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/store/over.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"

#define OVER_MAX	1024	/* accounts remembered; of more, the last ones */
#define OVER_MS		3000	/* for how long at most */

/* One account that is over whatever it sends. */
struct over {
	char *limit;
	char *subject;		/* as in struct quota_fact, or NULL */
	uint64_t used;
	uint64_t max;
	int64_t until;		/* remembered until then */
	int64_t room_at;	/* when the smallest message fits; -1 never */
};

struct over_table {
	pthread_mutex_t lock;
	struct map *accounts;	/* account => struct over */
};

static int
over_free(struct over_table *over)
{
	(void)pthread_mutex_destroy(&over->lock);
	talloc_free(over->accounts);
	return 0;
}

/* over_clear - what a value owns ends */
static void
over_clear(void *value)
{
	struct over *over = value;

	talloc_free(over->limit);
	talloc_free(over->subject);
}

/* over_new - no account is remembered */
struct over_table *
over_new(TALLOC_CTX *ctx)
{
	struct over_table *over = mem_new(ctx, struct over_table);

	(void)pthread_mutex_init(&over->lock, NULL);
	over->accounts = map_new(NULL, &(struct map_options){
	    .value_size = sizeof(struct over), .max = OVER_MAX, .gone = over_clear });
	talloc_set_destructor(over, over_free);
	return over;
}

/* over_remember - the account is over whatever it sends */
void
over_remember(struct over_table *over, const struct quota_plan *plan,
    const struct quota_reply *reply)
{
	size_t fullest;
	int64_t wait = quota_one_wait(plan, reply, &fullest), now = clock_ms();
	struct quota_fact fact;
	TALLOC_CTX *tmp;
	struct over *found;

	if (wait == 0)
		return;		/* a smaller message would fit */
	tmp = mem_check(talloc_new(NULL));
	quota_name_limit(tmp, plan, reply, fullest, &fact);
	(void)pthread_mutex_lock(&over->lock);
	found = map_put(over->accounts, plan->account, NULL);
	map_used(over->accounts, found);
	over_clear(found);
	*found = (struct over){
		.limit = mem_strdup(over->accounts, fact.limit),
		.subject = mem_strdup_or_null(over->accounts, fact.subject),
		.used = fact.used,
		.max = fact.max,
		.until = now + (wait < 0 || wait > OVER_MS ? OVER_MS : wait),
		.room_at = wait < 0 ? -1 : now + wait,
	};
	(void)pthread_mutex_unlock(&over->lock);
	talloc_free(tmp);
}

/* over_forget - the account may have room again */
void
over_forget(struct over_table *over, const char *account)
{
	struct over *found;

	(void)pthread_mutex_lock(&over->lock);
	found = map_find(over->accounts, account);
	if (found != NULL)
		map_remove(over->accounts, found);
	(void)pthread_mutex_unlock(&over->lock);
}

/* over_fact - the fact of a remembered account; with the lock held */
static void
over_fact(TALLOC_CTX *ctx, const char *account, const struct over *over, int64_t now,
    struct quota_fact *fact)
{
	memset(fact, 0, sizeof(*fact));
	fact->outcome = OUTCOME_FAIL;
	fact->account = mem_strdup(ctx, account);
	fact->limit = mem_strdup_or_null(ctx, over->limit);
	fact->subject = mem_strdup_or_null(ctx, over->subject);
	fact->used = over->used;
	fact->max = over->max;
	fact->store = "cache";
	if (over->room_at >= 0)
		fact->retry_after = (uint32_t)((over->room_at - now + 999) / 1000);
	else
		fact->problem = mem_strdup(ctx, "the limit lets nothing pass");
}

/* over_find - whether account was just found to be over */
bool
over_find(struct over_table *over, TALLOC_CTX *ctx, const char *account, struct quota_fact *fact_r)
{
	int64_t now = clock_ms();
	struct over *found;
	bool known;

	(void)pthread_mutex_lock(&over->lock);
	found = map_find(over->accounts, account);
	known = found != NULL && found->until > now;
	if (known)
		over_fact(ctx, account, found, now, fact_r);
	(void)pthread_mutex_unlock(&over->lock);
	return known;
}
