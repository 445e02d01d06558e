/*
 * over.c - accounts just found to be over, whatever they send
 *
 * Thread rule: lock guards the map, a talloc tree of its own; the two numbers are atomic.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdatomic.h>
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
	enum limit_unit unit;	/* of the limit as its plan has it, ... */
	int64_t window_ms;
	uint64_t plan_max;	/* ... which max is not if it is raised by hand */
	unsigned int mark;	/* forgotten when it is not that of the table any more */
	int64_t until;		/* remembered until then */
	int64_t room_at;	/* when the smallest message fits; -1 never */
};

struct over_table {
	pthread_mutex_t lock;
	struct map *accounts;	/* account => struct over */
	atomic_uint mark;	/* changes when limits do */
	atomic_int_fast64_t last; /* until when any account is remembered */
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
	atomic_init(&over->mark, 0);
	atomic_init(&over->last, 0);
	over->accounts = map_new(NULL, &(struct map_options){
	    .value_size = sizeof(struct over), .max = OVER_MAX, .gone = over_clear });
	talloc_set_destructor(over, over_free);
	return over;
}

/* over_mark - to be taken before the store is asked */
unsigned int
over_mark(const struct over_table *over)
{
	return atomic_load(&over->mark);
}

/* over_any - is any account remembered? */
bool
over_any(const struct over_table *over)
{
	return atomic_load(&over->last) > clock_ms();
}

/* over_remember - the account is over whatever it sends */
bool
over_remember(struct over_table *over, const struct quota_plan *plan,
    const struct quota_reply *reply, unsigned int mark)
{
	size_t fullest;
	int64_t wait = quota_one_wait(plan, reply, &fullest), now = clock_ms();
	int64_t until = now + (wait < 0 || wait > OVER_MS ? OVER_MS : wait);
	bool first;
	struct quota_fact fact;
	TALLOC_CTX *tmp;
	struct over *found;

	if (wait == 0 || mark != over_mark(over))
		return false;	/* a smaller message would fit, or this is not true any more */
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
		.unit = plan->counters[fullest].unit,
		.window_ms = plan->counters[fullest].window_ms,
		.plan_max = plan->counters[fullest].max,
		.mark = mark,
		.until = until,
		.room_at = wait < 0 ? -1 : now + wait,
	};
	first = !over_any(over);
	if (until > atomic_load(&over->last))
		atomic_store(&over->last, until);
	(void)pthread_mutex_unlock(&over->lock);
	talloc_free(tmp);
	return first;
}

/* over_changed - some limit was changed by hand */
void
over_changed(struct over_table *over)
{
	atomic_fetch_add(&over->mark, 1);
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
	fact->level = limit_is_level(over->unit);
	fact->store = "cache";
	if (over->room_at >= 0)
		fact->retry_after = (uint32_t)((over->room_at - now + 999) / 1000);
	else
		fact->problem = mem_strdup(ctx, "the limit lets nothing pass");
}

/* still_limits - whether the limit is one of the party's that it was of */
static bool
still_limits(const struct over *over, const struct quota_party *parties, size_t n)
{
	const struct quota_party *party = quota_party_named(parties, n, over->subject);
	const struct plan *plan = party != NULL ? party->plan : NULL;

	for (size_t i = 0; plan != NULL && i < plan->n_limits; i++) {
		const struct limit *limit = &plan->limits[i];

		if (!limit->unlimited && limit->unit == over->unit &&
		    limit->window_ms == over->window_ms && limit->max == over->plan_max)
			return true;
	}
	return false;
}

/* over_find - whether account was just found to be over */
bool
over_find(struct over_table *over, TALLOC_CTX *ctx, const char *account,
    const struct quota_party *parties, size_t n, struct quota_fact *fact_r)
{
	int64_t now = clock_ms();
	struct over *found;
	bool known;

	(void)pthread_mutex_lock(&over->lock);
	found = map_find(over->accounts, account);
	known = found != NULL && found->until > now && found->mark == over_mark(over) &&
	    still_limits(found, parties, n);
	if (known)
		over_fact(ctx, account, found, now, fact_r);
	(void)pthread_mutex_unlock(&over->lock);
	return known;
}
