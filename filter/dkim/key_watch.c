/*
 * key_watch.c - is a key's record visible yet, so that it may sign?
 *
 * What is known of a key is in a map by the name of its record. The first
 * message that a key would sign asks and waits. From then on the first thread keeps
 * what is in use fresh (key_watch_tick), off the messages' path: it sends the question in one call
 * and looks for the answer, which is then in the resolver's cache, in a later
 * one. A key that was idle for long has no fresh state; its next message asks again.
 *
 * A record that was seen and is gone may be a slip of one name server. So a key in use is only
 * withdrawn when DNS says so twice in a row.
 *
 * A key is known by its handle, which no two have in common, and by its public half, by which it is
 * recognised after a reload.
 *
 * Threads: the lock guards the map, a talloc root with all that belongs to its entries. DNS is
 * queried without the lock, and the entry is looked up again afterwards.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/dkim/key_record.h"
#include "filter/dkim/key_shortcut.h"
#include "filter/dkim/key_watch.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"

#define HOUR_MS		(3600 * 1000)
#define PICK_UP_MS	5000	/* an answer that is not there by then is none */

/* What is known of one key. */
struct entry {
	const char *name;	/* of its record */
	char handle[KEY_SHORTCUT_HANDLE];
	struct keyring_public half; /* octets on the map */
	bool asked;		/* DNS was queried, with or without result */
	bool matched;		/* its record was in DNS */
	bool withheld;		/* it does not sign */
	bool used;		/* a message wanted it since it was last asked for */
	unsigned int misses;	/* times in a row that DNS said no */
	enum key_state state;	/* the last that DNS reported */
	int64_t next_ms;	/* when to ask again */
	int64_t sent_ms;	/* when the tick asked; 0: nothing is under way */
};

struct key_watch {
	struct dkim_dns dns;
	pthread_mutex_t lock;	/* guards the rest */
	struct map *entries;	/* name of the record => struct entry */
	bool stop;		/* the thread is to end */
	pthread_cond_t wake;	/* said to it */
	pthread_t thread;	/* looks for keys at the name servers of their zones */
	int64_t hour_ms;	/* begin of the hour that lines are counted for */
	unsigned int lines;
};

/* --- the table --------------------------------------------------------- */

/* key_watch_find - what is known under a name, or NULL (lock held) */
static struct entry *
key_watch_find(struct key_watch *watch, const char *name)
{
	return map_find(watch->entries, name);
}

/* entry_gone - what an entry owns ends */
static void
entry_gone(void *value)
{
	talloc_free(((struct entry *)value)->half.octets);
}

/* same_half - is it the same public key? */
static bool
same_half(const struct keyring_public *a, const struct keyring_public *b)
{
	return a->type == b->type && a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

/* key_watch_keep - the entry of a key, new if there is none or another key had the name (lock
 * held) */
static struct entry *
key_watch_keep(struct key_watch *watch, const char *name, const char *handle,
    const struct keyring_public *half)
{
	struct entry *entry = map_put(watch->entries, name, NULL);

	if (entry->half.octets == NULL || !same_half(&entry->half, half)) {
		entry_gone(entry);
		*entry = (struct entry){ .name = map_key(watch->entries, entry), .half = *half };
		entry->half.octets = mem_memdup(watch->entries, half->octets, half->len);
	}
	memcpy(entry->handle, handle, strlen(handle) + 1);
	return entry;
}

/* --- what DNS said ----------------------------------------------------- */

/* may_log - is there room for one more line in this hour? (lock held) */
static bool
may_log(struct key_watch *watch, int64_t now_ms)
{
	if (watch->hour_ms == 0 || now_ms - watch->hour_ms >= HOUR_MS) {
		watch->hour_ms = now_ms;
		watch->lines = 0;
	}
	watch->lines++;
	if (watch->lines == KEY_WATCH_LINES + 1)
		log_warning(
		    "there are more keys whose records changed; see them all with: countersignctl dkim check --all");
	return watch->lines <= KEY_WATCH_LINES;
}

/* log_withheld - loudly, with the cure */
static void
log_withheld(const struct entry *entry, const struct key_finding *finding)
{
	char *text = key_record_text(NULL, &entry->half);

	log_error(
	    "the DKIM key %s is not used; state in DNS: %s%s%s; publish %s. IN TXT \"%s\" (in "
	    "strings of at most "
	    "255 bytes, as dkim genkey writes it), or set dkim = { check_dns = false } if this DNS "
	    "is not what others see",
	    entry->name, key_state_word(finding->state), finding->problem != NULL ? ": " : "",
	    finding->problem != NULL ? finding->problem : "", entry->name, text);
	talloc_free(text);
}

/* clamp_ms - a TTL in seconds, within bounds, in milliseconds */
static int64_t
clamp_ms(uint32_t ttl, uint32_t min, uint32_t max)
{
	return (int64_t)(ttl < min ? min : ttl > max ? max : ttl) * 1000;
}

/* settle_seen - the record in DNS contains the key (lock held) */
static void
settle_seen(struct key_watch *watch, struct entry *entry, uint32_t ttl, int64_t now_ms)
{
	entry->next_ms = now_ms + clamp_ms(ttl, KEY_WATCH_SEEN_MIN_S, KEY_WATCH_SEEN_MAX_S);
	if (entry->withheld && may_log(watch, now_ms))
		log_info("the DKIM key %s is visible in DNS and used from now on", entry->name);
	entry->withheld = false;
	entry->matched = true;
	entry->misses = 0;
}

/* settle_unseen - no verifier can use the key, says DNS (lock held) */
static void
settle_unseen(struct key_watch *watch, struct entry *entry, const struct key_finding *finding,
    int64_t now_ms)
{
	entry->next_ms = now_ms + (int64_t)KEY_WATCH_UNSEEN_S * 1000;
	entry->misses++;
	if (entry->withheld || (entry->matched && entry->misses < 2))
		return;
	if (may_log(watch, now_ms))
		log_withheld(entry, finding);
	entry->withheld = true;
}

/* key_watch_settle - what an answer means for a key (lock held) */
static void
key_watch_settle(struct key_watch *watch, struct entry *entry, const struct key_finding *finding,
    uint32_t ttl, int64_t now_ms)
{
	bool first = !entry->asked;

	entry->asked = true;
	entry->sent_ms = 0;
	entry->used = false;
	if (finding->state == KEY_UNKNOWN) {
		/* what was known stays known */
		entry->next_ms = now_ms + (int64_t)KEY_WATCH_FAILED_S * 1000;
		if (first && may_log(watch, now_ms))
			log_warning(
			    "DNS could not tell whether the DKIM key %s is published; it is used: %s",
			    entry->name,
			    finding->problem != NULL ? finding->problem : "DNS failure");
		return;
	}
	entry->state = finding->state;
	if (finding->state == KEY_MATCHES)
		settle_seen(watch, entry, ttl, now_ms);
	else
		settle_unseen(watch, entry, finding, now_ms);
}

/* key_watch_ask - ask DNS, without the lock, and settle; deadline_ms in the past: only what is
 * in the cache */
static void
key_watch_ask(struct key_watch *watch, TALLOC_CTX *scratch, const char *name,
    const struct keyring_public *half, int64_t deadline_ms, int64_t now_ms)
{
	const struct dns_answer *answer =
	    watch->dns.ask(watch->dns.state, scratch, name, strlen(name), DNS_TXT, deadline_ms);
	bool late = deadline_ms <= now_ms;
	struct key_finding finding;
	struct entry *entry;

	key_record_judge(scratch, half, answer, &finding);
	(void)pthread_mutex_lock(&watch->lock);
	entry = key_watch_find(watch, name);
	/* meanwhile it may have gone, or be of another key; what the tick asked for may still
	 * come */
	if (entry != NULL && same_half(&entry->half, half) &&
	    !(late && finding.state == KEY_UNKNOWN && now_ms - entry->sent_ms < PICK_UP_MS))
		key_watch_settle(watch, entry, &finding, answer->ttl, now_ms);
	(void)pthread_mutex_unlock(&watch->lock);
}

/* --- for a message ----------------------------------------------------- */

/* must_ask - is nothing recent known? If something is known, others meanwhile go by that (lock
 * held) */
static bool
must_ask(struct entry *entry, int64_t now_ms)
{
	if (!entry->asked)
		return true;
	if (now_ms < entry->next_ms + (int64_t)KEY_WATCH_LATE_S * 1000)
		return false;
	entry->next_ms = now_ms;
	return true;
}

/* recognise - the entry of a key, by its handle or its public half; returns with the lock held, or
 * NULL without */
static struct entry *
recognise(struct key_watch *watch, TALLOC_CTX *scratch, const struct keyring_key *key,
    const char *name, const char *handle, struct keyring_public *half_r)
{
	const char *error = NULL;
	struct entry *entry;

	(void)pthread_mutex_lock(&watch->lock);
	entry = key_watch_find(watch, name);
	if (entry != NULL && strcmp(entry->handle, handle) == 0) {
		*half_r = entry->half;
		half_r->octets = mem_memdup(scratch, entry->half.octets, entry->half.len);
		return entry;
	}
	(void)pthread_mutex_unlock(&watch->lock);
	if (keyring_public(scratch, key, half_r, &error) != 0)
		return NULL;
	(void)pthread_mutex_lock(&watch->lock);
	return key_watch_keep(watch, name, handle, half_r);
}

/* withheld - must this key not sign? *state_r: what DNS says of it */
static bool
withheld(struct key_watch *watch, const struct keyring_key *key, const char *handle, int64_t now_ms,
    enum key_state *state_r)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	char *name = key_record_name(scratch, key->selector, key->domain);
	struct keyring_public half;
	struct entry *entry = recognise(watch, scratch, key, name, handle, &half);
	bool result = false;

	if (entry != NULL) {
		bool waits = must_ask(entry, now_ms);

		(void)pthread_mutex_unlock(&watch->lock);
		if (waits)
			key_watch_ask(
			    watch, scratch, name, &half, now_ms + KEY_WATCH_WAIT_MS, now_ms);
		(void)pthread_mutex_lock(&watch->lock);
		entry = key_watch_find(watch, name);
		if (entry != NULL) {
			entry->used = true;
			map_used(watch->entries, entry);
			result = entry->withheld;
			*state_r = entry->state;
		}
		(void)pthread_mutex_unlock(&watch->lock);
	}
	talloc_free(scratch);
	return result;
}

/* foretold - withheld(), without a trace */
static bool
foretold(struct key_watch *watch, const struct keyring_key *key, const char *handle, int64_t now_ms,
    enum key_state *state_r)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	char *name = key_record_name(scratch, key->selector, key->domain);
	const char *error = NULL;
	struct keyring_public half;
	struct key_finding finding = { .state = KEY_UNKNOWN };
	struct entry *entry;
	bool known, result = false;

	(void)pthread_mutex_lock(&watch->lock);
	entry = key_watch_find(watch, name);
	known = entry != NULL && entry->asked && strcmp(entry->handle, handle) == 0;
	if (known) {
		result = entry->withheld;
		*state_r = entry->state;
	}
	(void)pthread_mutex_unlock(&watch->lock);
	if (!known && keyring_public(scratch, key, &half, &error) == 0) {
		key_record_judge(scratch, &half,
		    watch->dns.ask(watch->dns.state, scratch, name, strlen(name), DNS_TXT,
			now_ms + KEY_WATCH_LOOK_MS), &finding);
		*state_r = finding.state;
		result = finding.state != KEY_UNKNOWN && finding.state != KEY_MATCHES;
	}
	talloc_free(scratch);
	return result;
}

typedef bool withheld_fn(struct key_watch *, const struct keyring_key *, const char *handle,
    int64_t now_ms, enum key_state *state_r);

/* key_watch_do_filter - leave in a choice what is not withheld, as ask says */
static void
key_watch_do_filter(struct key_watch *watch, TALLOC_CTX *ctx, struct sign_choice *choice,
    int64_t now_ms, withheld_fn *ask)
{
	const char *problem = NULL;
	bool rsa = false, rsa_withheld = false;
	size_t n = 0;

	for (size_t i = 0; i < choice->n; i++) {
		const struct keyring_key *key = choice->requests[i].key;
		const char *error = NULL;
		struct keyring_ready ready;
		enum key_state state = KEY_UNKNOWN;
		bool good = keyring_ready(ctx, key, &ready, &error) == 0;
		bool out = good && ask(watch, key, ready.handle, now_ms, &state);

		if (good && ready.type == KEYRING_RSA) {
			rsa |= !out;
			rsa_withheld |= out;
		}
		if (out && problem == NULL)
			problem = mem_printf(ctx, "the key %s of %s is not used; state in DNS: %s",
			    key->selector, key->domain, key_state_word(state));
		if (!out)
			choice->requests[n++] = choice->requests[i];
	}
	choice->n = n;
	if (choice->outcome != OUTCOME_PASS || problem == NULL || (n > 0 && (rsa || !rsa_withheld)))
		return;
	choice->outcome = OUTCOME_FAIL;
	choice->problem = problem;
}

void
key_watch_filter(
    struct key_watch *watch, TALLOC_CTX *ctx, struct sign_choice *choice, int64_t now_ms)
{
	key_watch_do_filter(watch, ctx, choice, now_ms, withheld);
}

void
key_watch_foretell(
    struct key_watch *watch, TALLOC_CTX *ctx, struct sign_choice *choice, int64_t now_ms)
{
	key_watch_do_filter(watch, ctx, choice, now_ms, foretold);
}

void
key_watch_count(struct key_watch *watch, size_t *known_r, size_t *withheld_r)
{
	*known_r = *withheld_r = 0;
	(void)pthread_mutex_lock(&watch->lock);
	for (struct entry *entry = NULL; (entry = map_next(watch->entries, entry)) != NULL;) {
		*known_r += 1;
		*withheld_r += entry->withheld;
	}
	(void)pthread_mutex_unlock(&watch->lock);
}

/* --- off the message's path -------------------------------------------- */

/* One key that the tick asks for. */
struct due {
	char *name;
	struct keyring_public half;
	bool sent;		/* the question was sent before: look for the answer */
};

/* collect - the keys in use that are due, copied */
static struct due *
collect(struct key_watch *watch, TALLOC_CTX *scratch, int64_t now_ms, size_t *n_r)
{
	struct due *due = NULL;

	*n_r = 0;
	(void)pthread_mutex_lock(&watch->lock);
	for (struct entry *entry = NULL; (entry = map_next(watch->entries, entry)) != NULL;) {
		bool sent = entry->sent_ms != 0;

		if (!sent && (!entry->asked || !entry->used || now_ms < entry->next_ms))
			continue;
		if (!sent && entry->withheld && watch->dns.authority != NULL)
			continue;
		if ((*n_r & (*n_r + 1)) == 0)
			due = mem_grow(scratch, due, struct due, 2 * (*n_r + 1));
		due[*n_r] = (struct due){ mem_strdup(scratch, entry->name), entry->half, sent };
		due[*n_r].half.octets = mem_memdup(scratch, entry->half.octets, entry->half.len);
		++*n_r;
		entry->sent_ms = sent ? entry->sent_ms : now_ms;
	}
	(void)pthread_mutex_unlock(&watch->lock);
	return due;
}

void
key_watch_tick(struct key_watch *watch, int64_t now_ms)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	size_t n;
	const struct due *due = collect(watch, scratch, now_ms, &n);

	for (size_t i = 0; i < n; i++) {
		if (due[i].sent)
			key_watch_ask(watch, scratch, due[i].name, &due[i].half, now_ms, now_ms);
		else
			watch->dns.prefetch(
			    watch->dns.state, due[i].name, strlen(due[i].name), DNS_TXT);
	}
	talloc_free(scratch);
}

/* --- past every cache -------------------------------------------------- */

/* Keys to look for. */
struct sought {
	const char *names[KEY_WATCH_LOOK_MAX];
	struct keyring_public halves[KEY_WATCH_LOOK_MAX];
	size_t n;
};

/* seek - add the keys that are used, or those that are not: due ones only, or all (lock held) */
static void
seek(const struct key_watch *watch, TALLOC_CTX *ctx, struct sought *sought, bool withheld,
    bool due, int64_t now_ms)
{
	for (const struct entry *entry = NULL;
	     sought->n < KEY_WATCH_LOOK_MAX && (entry = map_next(watch->entries, entry)) != NULL;) {
		if (!entry->asked || entry->withheld != withheld ||
		    (due && (!entry->used || now_ms < entry->next_ms)))
			continue;
		sought->names[sought->n] = mem_strdup(ctx, entry->name);
		sought->halves[sought->n] = entry->half;
		sought->halves[sought->n++].octets =
		    mem_memdup(ctx, entry->half.octets, entry->half.len);
	}
}

/* settle_sought - what was found of one of them; certain: it holds at once */
static void
settle_sought(struct key_watch *watch, TALLOC_CTX *ctx, const struct sought *sought, size_t i,
    const struct dns_answer *answer, bool certain)
{
	struct key_finding finding;
	struct entry *entry;

	key_record_judge(ctx, &sought->halves[i], answer, &finding);
	(void)pthread_mutex_lock(&watch->lock);
	entry = key_watch_find(watch, sought->names[i]);
	if (entry != NULL && same_half(&entry->half, &sought->halves[i])) {
		entry->misses += certain && finding.state != KEY_UNKNOWN;
		key_watch_settle(watch, entry, &finding, answer->ttl, clock_ms());
	}
	(void)pthread_mutex_unlock(&watch->lock);
}

/* look_for - look for keys that are not used and due, or for all */
static void
look_for(struct key_watch *watch, bool all)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	struct sought *sought = mem_new(scratch, struct sought);
	struct dns_answer **answers;

	(void)pthread_mutex_lock(&watch->lock);
	seek(watch, scratch, sought, true, !all, clock_ms());
	if (all)
		seek(watch, scratch, sought, false, false, clock_ms());
	(void)pthread_mutex_unlock(&watch->lock);
	if (sought->n > 0) {
		answers = watch->dns.authority(watch->dns.state, scratch, sought->names, sought->n,
		    DNS_TXT, clock_ms() + KEY_WATCH_LOOK_MS);
		for (size_t i = 0; i < sought->n; i++)
			settle_sought(watch, scratch, sought, i, answers[i], all);
	}
	talloc_free(scratch);
}

void
key_watch_look(struct key_watch *watch)
{
	if (watch->dns.authority != NULL)
		look_for(watch, true);
}

/* look_on - the thread */
static void *
look_on(void *data)
{
	struct key_watch *watch = data;
	struct timespec until;

	(void)pthread_mutex_lock(&watch->lock);
	while (!watch->stop) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		(void)pthread_cond_timedwait(&watch->wake, &watch->lock, &until);
		if (watch->stop)
			break;
		(void)pthread_mutex_unlock(&watch->lock);
		look_for(watch, false);
		(void)pthread_mutex_lock(&watch->lock);
	}
	(void)pthread_mutex_unlock(&watch->lock);
	return NULL;
}

/* start_looking - the thread, with all signals blocked: they are for the first thread only
 * If the system refuses it, the tick does what it did. */
static void
start_looking(struct key_watch *watch)
{
	pthread_condattr_t attributes;
	sigset_t all, before;

	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&watch->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if (watch->dns.authority != NULL &&
	    pthread_create(&watch->thread, NULL, look_on, watch) != 0)
		watch->dns.authority = NULL;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* stop_looking - the reverse */
static void
stop_looking(struct key_watch *watch)
{
	(void)pthread_mutex_lock(&watch->lock);
	watch->stop = true;
	(void)pthread_cond_signal(&watch->wake);
	(void)pthread_mutex_unlock(&watch->lock);
	if (watch->dns.authority != NULL)
		(void)pthread_join(watch->thread, NULL);
	(void)pthread_cond_destroy(&watch->wake);
}

/* --- its life ---------------------------------------------------------- */

/* watch_free - destructor */
static int
watch_free(struct key_watch *watch)
{
	stop_looking(watch);
	talloc_free(watch->entries);
	(void)pthread_mutex_destroy(&watch->lock);
	return 0;
}

struct key_watch *
key_watch_new(TALLOC_CTX *ctx, const struct dkim_dns *dns)
{
	struct key_watch *watch = mem_new(ctx, struct key_watch);

	watch->dns = *dns;
	watch->entries = map_new(NULL, &(struct map_options){
	    .value_size = sizeof(struct entry), .max = KEY_WATCH_MAX, .gone = entry_gone });
	(void)pthread_mutex_init(&watch->lock, NULL);
	start_looking(watch);
	talloc_set_destructor(watch, watch_free);
	return watch;
}
