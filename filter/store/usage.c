/*
 * usage.c - who sent how much today and yesterday, as far as this process knows
 *
 * A hash table for each of two days. Noting is on every message's path, so that a note is only put
 * aside; some dozen are entered together, because then the processor fetches what they touch, which
 * lies anywhere, all at once. Who asks has them entered first; sorting is left to him. A full
 * table forgets the half with the fewest recipients at once, so that forgetting costs little for
 * each account and never those that matter.
 *
 * Thread rule: lock guards the days, their talloc trees included. What was put aside is in several
 * places, each with a lock of its own, inside which the other may be taken; which place is used
 * depends on the processor, so that processors seldom meet.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "filter/store/usage.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define DAYS		2
#define FIRST_BUCKETS	1024
#define ASIDES		8	/* where notes are put aside */
#define NOTES \
	64 /* in each place; from half of them on they are entered as soon as nobody is in the way
	    * \ */
#define NOTE_NAME	72	/* octets of a name in a note; what is longer is entered at once */
#define SLICE		64	/* users that are copied with the lock held once */
#define BLOCK		65536	/* octets of memory for users */
#define LINE		64	/* octets that a processor fetches at once */

struct user {
	struct user *next;
	uint64_t hash;
	struct store_top_entry entry;
	char account[];		/* entry's */
};

/* What was noted, but not entered yet. */
struct note {
	int64_t day;
	uint64_t hash;
	struct store_top_entry entry; /* without the account */
	char account[NOTE_NAME];
};

struct aside {
	pthread_mutex_t lock;
	size_t n;
	struct note notes[NOTES];
	char apart[LINE];	/* so that no two places share a line of the processor's cache */
};

struct day {
	int64_t number;
	TALLOC_CTX *memory;	/* the root of all below, or NULL: empty */
	struct user **buckets;
	size_t n_buckets;	/* a power of two */
	size_t n;
	char *block;		/* users lie one behind the other, and go all at once */
	size_t block_left;	/* octets of it that are free */
	uint64_t order;		/* a number that changes when users move to other buckets */
};

struct usage {
	pthread_mutex_t lock;
	size_t max;
	struct day days[DAYS];	/* day d at d % DAYS */
	struct aside asides[ASIDES];
};

/* day_clear - forget a day */
static void
day_clear(struct day *day, int64_t number)
{
	uint64_t order = day->order + 1;

	talloc_free(day->memory);
	memset(day, 0, sizeof(*day));
	day->number = number;
	day->order = order;
}

/* usage_free - talloc destructor */
static int
usage_free(struct usage *usage)
{
	for (size_t i = 0; i < DAYS; i++)
		talloc_free(usage->days[i].memory);
	for (size_t i = 0; i < ASIDES; i++)
		pthread_mutex_destroy(&usage->asides[i].lock);
	pthread_mutex_destroy(&usage->lock);
	return 0;
}

/* usage_new - nothing noted */
struct usage *
usage_new(TALLOC_CTX *ctx, size_t max)
{
	struct usage *usage = mem_new(ctx, struct usage);

	pthread_mutex_init(&usage->lock, NULL);
	for (size_t i = 0; i < ASIDES; i++)
		pthread_mutex_init(&usage->asides[i].lock, NULL);
	usage->max = max > 1 ? max : 2;
	talloc_set_destructor(usage, usage_free);
	return usage;
}

/* hash_of - names are accounts, which nobody chooses at will */
static uint64_t
hash_of(const char *account)
{
	return hash_quick(HASH_START, account, strlen(account));
}

/* day_of - the day's table, emptied if it held an older day; NULL for a day long past */
static struct day *
day_of(struct usage *usage, int64_t number)
{
	struct day *day = &usage->days[(uint64_t)number % DAYS];

	if (number < day->number)
		return NULL;
	if (number > day->number)
		day_clear(day, number);
	return day;
}

/* resize - a table of n buckets with the same users */
static void
resize(struct day *day, size_t n_buckets)
{
	struct user **buckets = mem_array(day->memory, struct user *, n_buckets);

	for (size_t i = 0; i < day->n_buckets; i++) {
		struct user *next;

		for (struct user *user = day->buckets[i]; user != NULL; user = next) {
			struct user **to = &buckets[user->hash & (n_buckets - 1)];

			next = user->next;
			user->next = *to;
			*to = user;
		}
	}
	talloc_free(day->buckets);
	day->buckets = buckets;
	day->n_buckets = n_buckets;
	day->order++;
}

/* measure - what an order sorts by */
static uint64_t
measure(const struct store_top_entry *entry, enum store_top_by by)
{
	switch (by) {
	case STORE_TOP_RECIPIENTS:
		return entry->recipients;
	case STORE_TOP_MESSAGES:
		return entry->messages;
	case STORE_TOP_REFUSED:
		return entry->refused;
	}
	return 0;
}

/* compare - larger first, then by name */
static int
compare(const struct store_top_entry *a, const struct store_top_entry *b, enum store_top_by by)
{
	uint64_t of_a = measure(a, by), of_b = measure(b, by);

	if (of_a != of_b)
		return of_a > of_b ? -1 : 1;
	return strcmp(a->account, b->account);
}

static int
by_recipients(const void *a, const void *b)
{
	return compare(a, b, STORE_TOP_RECIPIENTS);
}

static int
by_messages(const void *a, const void *b)
{
	return compare(a, b, STORE_TOP_MESSAGES);
}

static int
by_refused(const void *a, const void *b)
{
	return compare(a, b, STORE_TOP_REFUSED);
}

/* find_user - the user, or NULL */
static struct user *
find_user(const struct day *day, const char *account, uint64_t hash)
{
	struct user *user = day->buckets[hash & (day->n_buckets - 1)];

	while (user != NULL && (user->hash != hash || strcmp(user->entry.account, account) != 0))
		user = user->next;
	return user;
}

/* user_memory - a place for a user, zeroed */
static struct user *
user_memory(struct day *day, size_t size)
{
	struct user *user;

	size = (size + sizeof(user) - 1) / sizeof(user) * sizeof(user);
	if (size > BLOCK)
		return mem_check(talloc_zero_size(day->memory, size));
	if (size > day->block_left) {
		day->block = mem_check(talloc_zero_size(day->memory, BLOCK));
		day->block_left = BLOCK;
	}
	user = (struct user *)(void *)(day->block + BLOCK - day->block_left);
	day->block_left -= size;
	return user;
}

/* add_user - one more */
static struct user *
add_user(struct day *day, const char *account, uint64_t hash)
{
	size_t len = strlen(account) + 1;
	struct user *user, **to;

	if (day->n >= day->n_buckets)
		resize(day, day->n_buckets * 2);
	to = &day->buckets[hash & (day->n_buckets - 1)];
	user = user_memory(day, sizeof(*user) + len);
	memcpy(user->account, account, len);
	user->entry.account = user->account;
	user->hash = hash;
	user->next = *to;
	*to = user;
	day->n++;
	return user;
}

/* all_of - a day's entries in some order; the strings stay where they are */
static struct store_top_entry *
all_of(const struct day *day, TALLOC_CTX *ctx)
{
	struct store_top_entry *list = mem_array(ctx, struct store_top_entry, day->n + 1);
	size_t n = 0;

	for (size_t i = 0; i < day->n_buckets; i++)
		for (const struct user *user = day->buckets[i]; user != NULL; user = user->next)
			list[n++] = user->entry;
	return list;
}

/* add - to an entry */
static void
add(struct store_top_entry *to, const struct store_top_entry *from)
{
	to->messages += from->messages;
	to->recipients += from->recipients;
	to->refused += from->refused;
}

/* halve - forget the half with the fewest recipients */
static void
halve(struct day *day)
{
	TALLOC_CTX *old = day->memory;
	size_t n = day->n;
	struct store_top_entry *list = all_of(day, old);

	qsort(list, n, sizeof(list[0]), by_recipients);
	day->memory = NULL;	/* still ours */
	day_clear(day, day->number);
	day->memory = mem_check(talloc_named_const(NULL, 0, "usage"));
	resize(day, FIRST_BUCKETS);
	for (size_t i = 0; i < n / 2; i++)
		add(&add_user(day, list[i].account, hash_of(list[i].account))->entry, &list[i]);
	talloc_free(old);
}

/* --- noting --- */

/* enter - one note, with the lock held */
static void
enter(struct usage *usage, int64_t number, const char *account, uint64_t hash,
    const struct store_top_entry *entry)
{
	struct day *day = day_of(usage, number);
	struct user *user;

	if (day == NULL)
		return;
	if (day->memory == NULL) {
		const struct day *other = &usage->days[(uint64_t)(number + 1) % DAYS];

		day->memory = mem_check(talloc_named_const(NULL, 0, "usage"));
		/* as large as the day before became, so that it seldom has to grow while mail
		 * waits */
		resize(day, other->n_buckets > FIRST_BUCKETS ? other->n_buckets : FIRST_BUCKETS);
	}
	user = find_user(day, account, hash);
	if (user == NULL && day->n >= usage->max)
		halve(day);
	if (user == NULL)
		user = add_user(day, account, hash);
	add(&user->entry, entry);
}

/* bucket_of - where the user of a note would be; NULL: nowhere */
static struct user **
bucket_of(const struct usage *usage, const struct note *note)
{
	const struct day *day = &usage->days[(uint64_t)note->day % DAYS];

	return day->n_buckets == 0 ? NULL : &day->buckets[note->hash & (day->n_buckets - 1)];
}

/* fetch - tell the processor to fetch what the notes that were put aside will touch; with both
 * locks held */
static void
fetch(const struct usage *usage, const struct aside *aside)
{
	for (size_t i = 0; i < aside->n; i++)
		__builtin_prefetch(bucket_of(usage, &aside->notes[i]));
	for (size_t i = 0; i < aside->n; i++) {
		struct user **bucket = bucket_of(usage, &aside->notes[i]);

		if (bucket == NULL || *bucket == NULL)
			continue;
		__builtin_prefetch(*bucket, 1);
		__builtin_prefetch((const char *)*bucket + LINE);
	}
}

/* enter_all - what was put aside in one of the places, with its lock held; patient: unless another
 * has the lock */
static void
enter_all(struct usage *usage, struct aside *aside, bool patient)
{
	if (!patient)
		pthread_mutex_lock(&usage->lock);
	else if (pthread_mutex_trylock(&usage->lock) != 0)
		return;
	fetch(usage, aside);
	for (size_t i = 0; i < aside->n; i++) {
		const struct note *note = &aside->notes[i];

		enter(usage, note->day, note->account, note->hash, &note->entry);
	}
	pthread_mutex_unlock(&usage->lock);
	aside->n = 0;
}

/* settle - nothing is put aside any more */
static void
settle(struct usage *usage)
{
	for (size_t i = 0; i < ASIDES; i++) {
		struct aside *aside = &usage->asides[i];

		pthread_mutex_lock(&aside->lock);
		enter_all(usage, aside, false);
		pthread_mutex_unlock(&aside->lock);
	}
}

/* usage_note - add to an account's day */
void
usage_note(struct usage *usage, int64_t number, const struct store_top_entry *entry)
{
	struct aside *aside = &usage->asides[(unsigned int)sched_getcpu() % ASIDES];
	uint64_t hash = hash_of(entry->account);
	size_t len = strlen(entry->account) + 1;

	if (len > NOTE_NAME) {
		pthread_mutex_lock(&usage->lock);
		enter(usage, number, entry->account, hash, entry);
		pthread_mutex_unlock(&usage->lock);
		return;
	}
	pthread_mutex_lock(&aside->lock);
	if (aside->n >= NOTES / 2)
		enter_all(usage, aside, aside->n < NOTES);
	aside->notes[aside->n].day = number;
	aside->notes[aside->n].hash = hash;
	aside->notes[aside->n].entry = *entry;
	memcpy(aside->notes[aside->n++].account, entry->account, len);
	pthread_mutex_unlock(&aside->lock);
}

/* --- asking --- */

/* Copies of the users of a day. */
struct listing {
	struct store_top_entry *list;	/* owns the names */
	size_t n;
	size_t room;
	size_t named; /* so many have their names, those of the others lie one behind the other in
			 ... */
	char *names;
	size_t names_len;
	size_t names_room;
	size_t bucket;		/* the next */
	uint64_t order;		/* of the day, when the first was copied */
};

/* list_reserve - room for n users more, with so many octets of names */
static void
list_reserve(struct listing *l, size_t n, size_t octets)
{
	if (l->n + n > l->room) {
		l->room = 2 * l->room + n;
		l->list = mem_grow(NULL, l->list, struct store_top_entry, l->room);
	}
	if (l->names_len + octets > l->names_room) {
		l->names_room = 2 * l->names_room + octets;
		l->names = mem_grow(NULL, l->names, char, l->names_room);
	}
}

/* list_slice - copy some users more, with the lock held; whether there are others */
static bool
list_slice(struct listing *l, const struct day *day)
{
	size_t end;

	if (l->order != day->order)
		l->n = l->named = l->bucket = 0;	/* they moved: from the start */
	l->order = day->order;
	end = l->n + SLICE;
	for (; l->bucket < day->n_buckets && l->n < end; l->bucket++) {
		for (const struct user *user = day->buckets[l->bucket]; user != NULL;
		     user = user->next) {
			size_t len = strlen(user->account) + 1;

			list_reserve(l, 1, len);
			memcpy(l->names + l->names_len, user->account, len);
			l->names_len += len;
			l->list[l->n++] = user->entry;
		}
	}
	return l->bucket < day->n_buckets;
}

/* list_names - give the users copied last their names; without the lock, which lets others have
 * it */
static void
list_names(struct listing *l)
{
	for (const char *name = l->names; l->named < l->n; name += strlen(name) + 1)
		l->list[l->named++].account = mem_strdup(l->list, name);
	l->names_len = 0;
}

/* list_day - copies of a day's users, some at a time, so that no message waits long; list is on
 * ctx */
static struct listing
list_day(struct usage *usage, TALLOC_CTX *ctx, int64_t number)
{
	struct listing l = { .list = mem_array(NULL, struct store_top_entry, 1), .room = 1 };
	const struct day *day = &usage->days[(uint64_t)number % DAYS];
	bool more = true;

	while (more) {
		/* seldom too little, so that it is seldom enlarged with the lock held */
		list_reserve(&l, 2 * SLICE, 2 * SLICE * NOTE_NAME);
		pthread_mutex_lock(&usage->lock);
		if (day->number == number) {
			more = list_slice(&l, day);
		} else {
			l.n = 0;	/* it is long past */
			more = false;
		}
		pthread_mutex_unlock(&usage->lock);
		list_names(&l);
	}
	talloc_free(l.names);
	talloc_steal(ctx, l.list);
	return l;
}

/* usage_top - the first accounts of a day */
struct store_top_entry *
usage_top(struct usage *usage, TALLOC_CTX *ctx, int64_t day, enum store_top_by by, size_t max,
    size_t *n_r)
{
	static int (*const orders[])(const void *, const void *) = {
		[STORE_TOP_RECIPIENTS] = by_recipients,
		[STORE_TOP_MESSAGES] = by_messages,
		[STORE_TOP_REFUSED] = by_refused,
	};
	struct listing l;

	settle(usage);
	l = list_day(usage, ctx, day);
	if (max > 0) {
		qsort(l.list, l.n, sizeof(l.list[0]), orders[by]);
		l.n = l.n < max ? l.n : max;
		/* who has nothing of what was asked for is not among those with most of it */
		while (l.n > 0 && measure(&l.list[l.n - 1], by) == 0)
			l.n--;
	}
	*n_r = l.n;
	return l.list;
}

/* usage_take - all of a day, which is then forgotten */
struct store_top_entry *
usage_take(struct usage *usage, TALLOC_CTX *ctx, int64_t number, size_t *n_r)
{
	struct day *day = &usage->days[(uint64_t)number % DAYS], taken = { 0 };
	struct store_top_entry *list;

	settle(usage);
	pthread_mutex_lock(&usage->lock);
	if (day->number == number) {
		taken = *day;
		day->memory = NULL;	/* it is ours now */
		day_clear(day, number);
	}
	pthread_mutex_unlock(&usage->lock);
	list = all_of(&taken, ctx);
	if (taken.memory != NULL)
		talloc_steal(list, taken.memory);	/* the names */
	*n_r = taken.n;
	return list;
}
