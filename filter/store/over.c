/*
 * over.c - accounts just found to be over, whatever they send
 *
 * Thread rule: lock guards the slots, their talloc tree included.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/store/over.h"
#include "policy/base/mem.h"

#define OVER_SLOTS	1024	/* accounts remembered; a newer one may displace an older */
#define OVER_MS		3000	/* for how long at most */

/* One account that is over whatever it sends. */
struct over {
	char *account;		/* NULL: an empty slot */
	char *limit;
	char *subject;		/* as in struct quota_fact, or NULL */
	uint64_t used;
	uint64_t max;
	int64_t until;		/* remembered until then */
	int64_t room_at;	/* when the smallest message fits; -1 never */
};

struct over_table {
	pthread_mutex_t lock;
	TALLOC_CTX *memory;	/* a root of its own, because threads share it */
	struct over *slots;
};

static int
over_free(struct over_table *over)
{
	pthread_mutex_destroy(&over->lock);
	talloc_free(over->memory);
	return 0;
}

/* over_new - nobody is remembered */
struct over_table *
over_new(TALLOC_CTX *ctx)
{
	struct over_table *over = mem_new(ctx, struct over_table);

	pthread_mutex_init(&over->lock, NULL);
	over->memory = mem_check(talloc_named_const(NULL, 0, "over"));
	over->slots = mem_array(over->memory, struct over, OVER_SLOTS);
	talloc_set_destructor(over, over_free);
	return over;
}

/* over_slot - the slot of an account; with the lock held */
static struct over *
over_slot(struct over_table *over, const char *account)
{
	uint32_t hash = 2166136261u;

	for (const char *c = account; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	return &over->slots[hash % OVER_SLOTS];
}

/* over_clear - empty a slot; with the lock held */
static void
over_clear(struct over *slot)
{
	talloc_free(slot->account);
	talloc_free(slot->limit);
	talloc_free(slot->subject);
	memset(slot, 0, sizeof(*slot));
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
	struct over *slot;

	if (wait == 0)
		return;		/* a smaller message would fit */
	tmp = mem_check(talloc_new(NULL));
	quota_name_limit(tmp, plan, reply, fullest, &fact);
	pthread_mutex_lock(&over->lock);
	slot = over_slot(over, plan->account);
	over_clear(slot);
	slot->account = mem_strdup(over->memory, plan->account);
	slot->limit = mem_strdup(over->memory, fact.limit);
	slot->subject = mem_strdup_or_null(over->memory, fact.subject);
	slot->used = fact.used;
	slot->max = fact.max;
	slot->until = now + (wait < 0 || wait > OVER_MS ? OVER_MS : wait);
	slot->room_at = wait < 0 ? -1 : now + wait;
	pthread_mutex_unlock(&over->lock);
	talloc_free(tmp);
}

/* over_forget - the account may have room again */
void
over_forget(struct over_table *over, const char *account)
{
	struct over *slot;

	pthread_mutex_lock(&over->lock);
	slot = over_slot(over, account);
	if (slot->account != NULL && strcmp(slot->account, account) == 0)
		over_clear(slot);
	pthread_mutex_unlock(&over->lock);
}

/* over_fact - the fact of a remembered account; with the lock held */
static void
over_fact(TALLOC_CTX *ctx, const struct over *slot, int64_t now, struct quota_fact *fact)
{
	memset(fact, 0, sizeof(*fact));
	fact->outcome = OUTCOME_FAIL;
	fact->account = mem_strdup(ctx, slot->account);
	fact->limit = mem_strdup_or_null(ctx, slot->limit);
	fact->subject = mem_strdup_or_null(ctx, slot->subject);
	fact->used = slot->used;
	fact->max = slot->max;
	fact->store = "cache";
	if (slot->room_at >= 0)
		fact->retry_after = (uint32_t)((slot->room_at - now + 999) / 1000);
	else
		fact->problem = mem_strdup(ctx, "the limit lets nothing pass");
}

/* over_find - whether account was just found to be over */
bool
over_find(struct over_table *over, TALLOC_CTX *ctx, const char *account, struct quota_fact *fact_r)
{
	int64_t now = clock_ms();
	struct over *slot;
	bool known;

	pthread_mutex_lock(&over->lock);
	slot = over_slot(over, account);
	known = slot->account != NULL && slot->until > now && strcmp(slot->account, account) == 0;
	if (known)
		over_fact(ctx, slot, now, fact_r);
	pthread_mutex_unlock(&over->lock);
	return known;
}
