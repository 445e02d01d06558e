/*
 * resolver.c - DNS answers with a deadline, on top of libunbound
 *
 * libunbound is used asynchronously, because its blocking call costs ten times
 * the CPU and knows no deadline. ub_ctx_async(ctx, 1) makes it keep a worker
 * thread of its own, which talks to the servers; the other kind, a forked
 * process, would not do in a daemon full of threads. All calls to the context
 * are made by one thread of ours, the dispatcher: it hands over new questions
 * and calls ub_process() when answers are there. So libunbound's pipes are
 * never filled or read by two threads, and an asker never blocks in them.
 *
 *	asker ── queue, wakeup ──► dispatcher ── ub_resolve_async ──► libunbound
 *	asker ◄── condition ─────── dispatcher ◄── ub_fd, ub_process ──┘
 *
 * A question is an object of its own, never memory of a message. It is found
 * by name and type in a tree (not a hash table: strangers choose the names, and
 * a tree has no collisions to aim at), from when it is first asked until
 * it is forgotten: one that is under way is shared by all who ask the
 * same, and one that is answered is the cache. The answered ones also hang in
 * a list by last use, whose oldest goes when there are too many or they hold
 * too many octets; those under way in another, by age. References are counted: one for the tree,
 * one for each trial that runs, one per asker. An asker whose deadline passes drops its
 * count and leaves; the answer comes into the cache when it comes.
 *
 * Trials. The first goes to the quick context of upstream.c; one that has no answer after
 * PATIENT_AFTER_MS, or a failure, is tried a second time by the patient one. The
 * first answer that is no failure counts; both trials must fail before the question has.
 *
 * Failures. Before a failure is reported, a probe shows whether our resolver answers at all
 * (health.c), because what is to be done differs. While it does not, questions are
 * not waited for.
 *
 * Stale answers (RFC 8767). What DNS said last of a name is kept for STALE_MAX_MS after its
 * TTL, and given, marked as stale, if DNS fails or is silent for STALE_AFTER_MS. Else an attacker
 * who makes a domain's servers fail decides that its mail is not judged by its records.
 *
 * Threads: every field below "lock" is read and written with the lock held.
 * A question's answer is written once, before done is set, and never after, and what it inherits
 * before it is in the tree; who holds a reference reads both without the lock. The dispatcher calls
 * libunbound and health.c without the lock.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif


#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <search.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <unbound.h>

#include "filter/base/clock.h"
#include "filter/base/wakeup.h"
#include "filter/dns/fresh.h"
#include "filter/dns/health.h"
#include "filter/dns/resolver.h"
#include "filter/dns/upstream.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define CLASS_IN	1	/* RFC 1035 section 3.2.4 */

/* How long answers are kept, in milliseconds. An answer lives for a second in
 * any case, so that one asked ahead lives until it is wanted. A failure lives no
 * longer: it spares a second attempt within one message, and hides no recovery. */
#define KEEP_MIN		1000
#define KEEP_MAX		(3600 * 1000)
#define KEEP_NEGATIVE_MAX	(300 * 1000)
#define KEEP_FAILURE		1000

/* Octets of cached answers per allowed entry, on average. */
#define BYTES_PER_ENTRY		2048

/* How long an answer is of use after its TTL, when a question waits no longer than for that, and
 * when DNS is asked again after a failure that one covers. */
#define STALE_MAX_MS		(6 * 3600 * 1000)
#define STALE_AFTER_MS		1800
#define STALE_KEEP		5000

/* When the second trial begins, when an answer is so late that our resolver may be away, and
 * when nothing is awaited any more. */
#define PATIENT_AFTER_MS	1000
#define LATE_MS			500
#define GIVE_UP_MS		30000

/* Questions under way. Above the first number nothing is asked ahead and the oldest give way
 * when they are OLD_MS old; more than the second are failures. */
#define UNDER_WAY_MANY		UPSTREAM_UNDER_WAY
#define UNDER_WAY_MAX		(4 * UNDER_WAY_MANY)
#define OLD_MS			2000

#define TICK_MS			100	/* the dispatcher looks at what is under way */

/* A question handed to one of the contexts. */
struct trial {
	struct question *question;
	int id;			/* libunbound's; 0: not running */
	bool failed;
};

/* One question and, later, its answer. */
struct question {
	struct resolver *resolver;
	atomic_uint refs;	/* the tree, each trial that runs, each asker */
	enum dns_type type;
	size_t len;		/* octets of name */
	char *name;		/* raw octets, lower case */
	char *text;		/* the same for libunbound: absolute, escaped */
	pthread_cond_t answered;
	int64_t asked_ms;	/* CLOCK_MONOTONIC */
	struct dns_answer *last; /* what DNS said before and is still of use; or NULL */
	int64_t last_until_ms;

	struct trial trials[UPSTREAM_PATIENT + 1]; /* the dispatcher's alone, as the next two */
	struct dns_answer *failure; /* of the trial that failed last */
	bool handed;		/* it is no longer in the queue */

	bool done;		/* answer is there */
	struct dns_answer *answer;
	int64_t expires_ms;
	size_t bytes;		/* what it weighs in the cache */
	struct question *next;	/* in the queue to the dispatcher */
	struct question *newer;	/* in the list of those done, or of those under way */
	struct question *older;
};

/* Questions in an order. */
struct list {
	struct question *newest;
	struct question *oldest;
	size_t n;
};

struct resolver {
	struct ub_ctx *unbound[UPSTREAM_PATIENT + 1]; /* the dispatcher's alone, once it runs */
	struct health *health;	/* the dispatcher's, too */
	const char **servers;
	const char *trust_anchor;
	unsigned int authority_port;
	pthread_t dispatcher;
	struct wakeup wakeup;	/* rung: the queue has something, or stop is set */
	size_t max_entries;

	pthread_mutex_t lock;
	bool stop;		/* the dispatcher is to end */
	void *tree;		/* all questions, see tsearch(3) */
	struct question *queue;	/* for the dispatcher, newest first */
	struct list under_way;	/* those without answer, by age */
	struct list answered;	/* by last use */
	size_t bytes;		/* and their weight */
	struct resolver_status status;
	int64_t heard_ms;	/* as health says */
	struct resolver_figures figures; /* atomic, without the lock */
};

/*
 * Answers
 */

/* keep_ms - how long an answer is kept */
static int64_t
keep_ms(const struct dns_answer *answer)
{
	int64_t ms = (int64_t)answer->ttl * 1000;
	int64_t max = answer->status == DNS_OK ? KEEP_MAX : KEEP_NEGATIVE_MAX;

	if (answer->stale)
		return STALE_KEEP;
	if (dns_answer_failed(answer))
		return KEEP_FAILURE;
	return ms < KEEP_MIN ? KEEP_MIN : ms > max ? max : ms;
}

/*
 * Questions
 */

/* question_new - a question with one reference, for the tree */
static struct question *
question_new(struct resolver *resolver, const char *name, size_t len, enum dns_type type)
{
	struct question *question = mem_new(NULL, struct question);
	pthread_condattr_t attributes;
	size_t i;

	question->resolver = resolver;
	atomic_init(&question->refs, 1);
	question->type = type;
	question->len = len;
	question->name = mem_strndup(question, name, len);
	for (i = 0; i < len; i++)
		question->name[i] = text_lower(name[i]);
	question->text = dns_name_text(question, question->name, len);
	question->asked_ms = clock_ms();
	for (i = 0; i < sizeof(question->trials) / sizeof(question->trials[0]); i++)
		question->trials[i].question = question;

	/* Deadlines are on the clock that is never set. */
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&question->answered, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	return question;
}

/* question_free - the end of a question */
static void
question_free(struct question *question)
{
	(void)pthread_cond_destroy(&question->answered);
	talloc_free(question);
}

/* question_ref, question_unref - take and give back a reference */
static void
question_ref(struct question *question)
{
	atomic_fetch_add(&question->refs, 1);
}

static void
question_unref(struct question *question)
{
	if (atomic_fetch_sub(&question->refs, 1) == 1)
		question_free(question);
}

/* question_compare - the order of the tree */
static int
question_compare(const void *a, const void *b)
{
	const struct question *one = a, *other = b;

	if (one->type != other->type)
		return one->type < other->type ? -1 : 1;
	if (one->len != other->len)
		return one->len < other->len ? -1 : 1;
	return memcmp(one->name, other->name, one->len);
}

/* list_add, list_remove - a question as the newest of a list (lock held) */
static void
list_add(struct list *list, struct question *question)
{
	question->newer = NULL;
	question->older = list->newest;
	if (list->newest != NULL)
		list->newest->newer = question;
	else
		list->oldest = question;
	list->newest = question;
	list->n++;
}

static void
list_remove(struct list *list, struct question *question)
{
	if (question->newer != NULL)
		question->newer->older = question->older;
	else
		list->newest = question->older;
	if (question->older != NULL)
		question->older->newer = question->newer;
	else
		list->oldest = question->newer;
	list->n--;
}

/* resolver_forget - take an answered question out of the cache (lock held) */
static void
resolver_forget(struct resolver *resolver, struct question *question)
{
	list_remove(&resolver->answered, question);
	resolver->bytes -= question->bytes;
	tdelete(question, &resolver->tree, question_compare);
	question_unref(question);
}

/* resolver_find - a question under way or answered, maybe long ago, or NULL (lock held) */
static struct question *
resolver_find(struct resolver *resolver, const char *name, size_t len, enum dns_type type)
{
	struct question *question, key = { .type = type, .len = len };
	char folded[DNS_NAME_MAX];
	void *node;
	size_t i;

	for (i = 0; i < len; i++)
		folded[i] = text_lower(name[i]);
	key.name = folded;
	node = tfind(&key, &resolver->tree, question_compare);
	if (node == NULL)
		return NULL;
	question = *(struct question **)node;
	if (question->done) {
		list_remove(&resolver->answered, question);
		list_add(&resolver->answered, question);
	}
	return question;
}

/* is_old - was a question answered so long ago that it must be asked again? (lock held) */
static bool
is_old(const struct question *question)
{
	return question->done && question->expires_ms <= clock_ms();
}

/* resolver_inherit - keep what DNS said before, if it is still of use (lock held) */
static void
resolver_inherit(struct question *question, const struct question *before)
{
	const struct dns_answer *last = before->last;

	question->last_until_ms = before->last_until_ms;
	if (!before->answer->stale && !dns_answer_failed(before->answer)) {
		last = before->answer;
		question->last_until_ms = before->expires_ms + STALE_MAX_MS;
	}
	if (last == NULL || question->last_until_ms <= clock_ms())
		return;
	question->last = dns_answer_copy(question, last);
	question->last->stale = true;
	question->last->ttl = 0;
}

/* wake - make the dispatcher look at the queue */
static void
wake(const struct resolver *resolver)
{
	wakeup_ring(&resolver->wakeup);
}

/* resolver_start - a new question on its way to the dispatcher, or NULL (lock held)
 * before: the same question as it was answered long ago, or NULL. */
static struct question *
resolver_start(struct resolver *resolver, const char *name, size_t len, enum dns_type type,
    struct question *before, size_t max)
{
	struct question *question;

	if (resolver->under_way.n >= max)
		return NULL;
	question = question_new(resolver, name, len, type);
	if (before != NULL) {
		resolver_inherit(question, before);
		resolver_forget(resolver, before);
	}
	mem_check(tsearch(question, &resolver->tree, question_compare));
	list_add(&resolver->under_way, question);
	question_ref(question);
	question->next = resolver->queue;
	resolver->queue = question;
	(void)atomic_fetch_add_explicit(&resolver->figures.questions, 1, memory_order_relaxed);
	wake(resolver);
	return question;
}

/*
 * Contexts of libunbound
 */

/* close_unbound - end the contexts; their callbacks are not called any more */
static void
close_unbound(struct ub_ctx **unbound)
{
	for (size_t i = 0; i <= UPSTREAM_PATIENT; i++)
		if (unbound[i] != NULL)
			ub_ctx_delete(unbound[i]);
}

/* open_unbound - make the contexts; false and an error on ctx if that fails */
static bool
open_unbound(const struct resolver *resolver, TALLOC_CTX *ctx, struct ub_ctx **unbound,
    const char **error_r)
{
	for (int i = 0; i <= UPSTREAM_PATIENT; i++) {
		unbound[i] = upstream_open(ctx, (enum upstream_kind)i, resolver->servers,
		    NULL, resolver->trust_anchor, error_r);
		if (unbound[i] != NULL)
			continue;
		close_unbound(unbound);
		return false;
	}
	return true;
}

/*
 * The dispatcher
 */

/* trial_end - a trial runs no longer */
static void
trial_end(struct trial *trial)
{
	if (trial->id == 0)
		return;
	trial->id = 0;
	question_unref(trial->question);
}

/* resolver_finish - note the answer to a question and wake the waiting threads
 * The answer is a child of question. What DNS said before stands in for a failure. */
static void
resolver_finish(struct question *question, struct dns_answer *answer)
{
	struct resolver *resolver = question->resolver;

	if (dns_answer_failed(answer) && question->last != NULL &&
	    question->last_until_ms > clock_ms()) {
		struct dns_answer *last = dns_answer_copy(question, question->last);

		last->problem = answer->problem;
		answer = last;
	}
	(void)pthread_mutex_lock(&resolver->lock);
	question->answer = answer;
	question->bytes = dns_answer_bytes(answer) + sizeof(*question) +
	    (question->last != NULL ? dns_answer_bytes(question->last) : 0);
	question->expires_ms = clock_ms() + keep_ms(answer);
	question->done = true;
	list_remove(&resolver->under_way, question);
	list_add(&resolver->answered, question);
	resolver->bytes += question->bytes;
	(void)pthread_cond_broadcast(&question->answered);
	while (resolver->answered.n > resolver->max_entries ||
	    resolver->bytes > resolver->max_entries * BYTES_PER_ENTRY)
		resolver_forget(resolver, resolver->answered.oldest);
	(void)pthread_mutex_unlock(&resolver->lock);
}

/* finish_trials - the same, and end what still runs for it; question may be gone after that */
static void
finish_trials(struct question *question, struct dns_answer *answer)
{
	struct resolver *resolver = question->resolver;

	question_ref(question);
	for (size_t i = 0; i <= UPSTREAM_PATIENT; i++)
		if (question->trials[i].id != 0) {
			ub_cancel(resolver->unbound[i], question->trials[i].id);
			trial_end(&question->trials[i]);
		}
	resolver_finish(question, answer);
	question_unref(question);
}

static void try_on(struct question *question, enum upstream_kind kind);

/* resolver_blame - report a failure, if it is known by now whose it is; the probe is on its way
 * else */
static void
resolver_blame(struct question *question, int64_t now_ms)
{
	struct health *health = question->resolver->health;
	const char *problem;

	if (health->heard_ms < question->asked_ms && !health->away) {
		health_ask(health, now_ms);
		return;
	}
	if (health->away)
		problem = mem_printf(question, "our resolver %s does not answer", health->names);
	else
		problem = mem_printf(question, "the name servers of this domain fail (%s from our resolver)",
		    question->failure->problem);
	finish_trials(question, dns_answer_new(question, DNS_FAILURE, problem));
}

/* fail_trial - what a failed trial means: another one, or the failure of the question */
static void
fail_trial(struct trial *trial, struct dns_answer *failure)
{
	struct question *question = trial->question;
	struct trial *other = &question->trials[trial == &question->trials[UPSTREAM_QUICK]
	    ? UPSTREAM_PATIENT : UPSTREAM_QUICK];

	trial->failed = true;
	question->failure = failure;
	if (other->failed)
		resolver_blame(question, clock_ms());
	else if (other->id == 0)
		try_on(question, UPSTREAM_PATIENT);
}

/* on_result - libunbound has an answer (called by ub_process)
 * SERVFAIL may come without anybody having been asked, so it needs the other trial; what is bogus
 * or malformed needs none. */
static void
on_result(void *data, int error, struct ub_result *result)
{
	struct trial *trial = data;
	struct question *question = trial->question;
	struct dns_answer *answer;
	bool again = error != 0 || result == NULL;

	if (again)
		answer = dns_answer_new(question, DNS_FAILURE, ub_strerror(error));
	else {
		answer = dns_answer_read(question, question->type, result);
		again = dns_answer_failed(answer) && !result->bogus && result->rcode != 0;
	}
	ub_resolve_free(result);
	question_ref(question);
	trial_end(trial);
	if (again)
		fail_trial(trial, answer);
	else {
		health_heard(question->resolver->health, question->asked_ms, clock_ms());
		finish_trials(question, answer);
	}
	question_unref(question);
}

/* try_on - hand a question to one of the contexts */
static void
try_on(struct question *question, enum upstream_kind kind)
{
	struct trial *trial = &question->trials[kind];
	int error;

	question_ref(question);
	error = ub_resolve_async(question->resolver->unbound[kind], question->text,
	    (int)question->type, CLASS_IN, trial, on_result, &trial->id);
	if (error == 0)
		return;
	trial->id = 0;
	fail_trial(trial, dns_answer_new(question, DNS_FAILURE, ub_strerror(error)));
	question_unref(question);
}

/* resolver_hand_over - give a list of new questions to libunbound, oldest first
 * The reference of the queue goes. */
static void
resolver_hand_over(struct question *newest)
{
	struct question *oldest = NULL, *next;

	for (; newest != NULL; newest = next) {
		next = newest->next;
		newest->next = oldest;
		oldest = newest;
	}
	for (; oldest != NULL; oldest = next) {
		next = oldest->next;
		oldest->handed = true;
		try_on(oldest, UPSTREAM_QUICK);
		question_unref(oldest);
	}
}

/* resolver_tend - what time brings to a question under way; many: there are too many of them */
static void
resolver_tend(struct question *question, int64_t now_ms, bool many)
{
	struct health *health = question->resolver->health;
	int64_t age = now_ms - question->asked_ms;

	if (age >= LATE_MS && health->heard_ms < question->asked_ms)
		health_ask(health, now_ms);
	if (question->failure != NULL && question->trials[UPSTREAM_QUICK].failed &&
	    question->trials[UPSTREAM_PATIENT].failed)
		resolver_blame(question, now_ms);
	else if (health->away && age >= LATE_MS)
		finish_trials(question, dns_answer_new(question, DNS_FAILURE, mem_printf(question,
		    "our resolver %s does not answer", health->names)));
	else if (age >= GIVE_UP_MS || (many && age >= OLD_MS))
		finish_trials(question, dns_answer_new(question, DNS_TIMEOUT,
		    "the name servers of this domain do not answer"));
	else if (age >= PATIENT_AFTER_MS && question->trials[UPSTREAM_PATIENT].id == 0 &&
	    !question->trials[UPSTREAM_PATIENT].failed)
		try_on(question, UPSTREAM_PATIENT);
}

/* all_under_way - the questions without answer, oldest first, with a reference to each */
static struct question **
all_under_way(struct resolver *resolver, size_t *n_r)
{
	struct question **all, *question;

	*n_r = 0;
	(void)pthread_mutex_lock(&resolver->lock);
	all = mem_array(NULL, struct question *, resolver->under_way.n + 1);
	for (question = resolver->under_way.oldest; question != NULL; question = question->newer) {
		question_ref(question);
		all[(*n_r)++] = question;
	}
	(void)pthread_mutex_unlock(&resolver->lock);
	return all;
}

/* tend_all - the same for all of them */
static void
tend_all(struct resolver *resolver, int64_t now_ms)
{
	size_t n;
	struct question **all = all_under_way(resolver, &n);

	for (size_t i = 0; i < n; i++) {
		if (all[i]->handed && !all[i]->done)
			resolver_tend(all[i], now_ms, n - i > UNDER_WAY_MANY);
		question_unref(all[i]);
	}
	talloc_free(all);
}

/* ask_again - our resolver is back: send the unanswered queries again
 * By new contexts. The old ones wait for answers that do not come, for longer each time, and
 * join a repeated question to the one that waits. */
static void
ask_again(struct resolver *resolver)
{
	TALLOC_CTX *scratch = mem_check(talloc_new(NULL));
	struct ub_ctx *unbound[UPSTREAM_PATIENT + 1] = { NULL };
	const char *error = NULL;
	struct question **all;
	size_t n;

	/* if there is no memory or thread for new ones, the old ones will do */
	if (!open_unbound(resolver, scratch, unbound, &error)) {
		talloc_free(scratch);
		return;
	}
	close_unbound(resolver->unbound);
	memcpy(resolver->unbound, unbound, sizeof(unbound));
	all = all_under_way(resolver, &n);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k <= UPSTREAM_PATIENT; k++) {
			trial_end(&all[i]->trials[k]);
			all[i]->trials[k].failed = false;
		}
		if (all[i]->handed)
			try_on(all[i], UPSTREAM_QUICK);
		question_unref(all[i]);
	}
	talloc_free(all);
	talloc_free(scratch);
}

/* resolver_look - how our resolver is, and let askers know */
static void
resolver_look(struct resolver *resolver, int64_t now_ms)
{
	struct health *health = resolver->health;
	bool was_away = resolver->status.away;

	health_look(health, now_ms);
	if (was_away && !health->away)
		ask_again(resolver);
	(void)pthread_mutex_lock(&resolver->lock);
	if (was_away != health->away)
		resolver->status.since_ms = now_ms;
	resolver->status.away = health->away;
	resolver->heard_ms = health->heard_ms;
	(void)pthread_mutex_unlock(&resolver->lock);
}

/* take_queue - the new questions; false: it is time to stop */
static bool
take_queue(struct resolver *resolver, struct question **queue_r, bool *idle_r)
{
	bool stop;

	(void)pthread_mutex_lock(&resolver->lock);
	*queue_r = resolver->queue;
	resolver->queue = NULL;
	*idle_r = resolver->under_way.n == 0;
	stop = resolver->stop;
	(void)pthread_mutex_unlock(&resolver->lock);
	return !stop;
}

/* dispatch - the dispatcher thread */
static void *
dispatch(void *data)
{
	struct resolver *resolver = data;
	struct pollfd fds[3 + HEALTH_SERVERS_MAX] = {
		{ .fd = resolver->wakeup.fd, .events = POLLIN }, { .events = POLLIN },
		{ .events = POLLIN },
	};
	int64_t tended_ms = 0, now_ms;
	struct question *queue;
	bool idle = true, asked;
	size_t n;

	for (;;) {
		for (size_t i = 0; i <= UPSTREAM_PATIENT; i++)
			fds[1 + i].fd = ub_fd(resolver->unbound[i]);
		n = health_fds(resolver->health, fds + 3);
		if (poll(fds, 3 + n, idle && resolver->health->asked_ms == 0 ? -1 : TICK_MS) < 0) {
			if (errno != EINTR)
				clock_pause(TICK_MS);
			continue;
		}
		if (fds[0].revents != 0)
			wakeup_quiet(&resolver->wakeup);
		if (!take_queue(resolver, &queue, &idle))
			break;
		resolver_hand_over(queue);
		for (size_t i = 0; i <= UPSTREAM_PATIENT; i++)
			if (fds[1 + i].revents != 0)
				ub_process(resolver->unbound[i]);
		now_ms = clock_ms();
		asked = resolver->health->asked_ms != 0;
		resolver_look(resolver, now_ms);
		/* the answer to a probe lets go of failures at once */
		if (now_ms - tended_ms >= TICK_MS ||
		    (asked && resolver->health->asked_ms == 0)) {
			tend_all(resolver, now_ms);
			tended_ms = now_ms;
		}
	}
	return NULL;
}

/*
 * Construction and destruction
 */

/* start_dispatcher - start the thread with all signals blocked
 * libunbound's worker is its child and inherits that: signals are for the first
 * thread of the daemon only. */
static int
start_dispatcher(struct resolver *resolver)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&resolver->dispatcher, NULL, dispatch, resolver);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

/* free_questions - free all questions with their tree */
static void
free_questions(struct resolver *resolver)
{
	while (resolver->tree != NULL) {
		struct question *question = *(struct question **)resolver->tree;

		tdelete(question, &resolver->tree, question_compare);
		question_free(question);
	}
}

/* resolver_delete - talloc's destructor
 * Nobody asks any more. libunbound calls no callback for what is still under way; that is in
 * the tree, so references of trials do not matter, and what is answered has none. */
static int
resolver_delete(struct resolver *resolver)
{
	(void)pthread_mutex_lock(&resolver->lock);
	resolver->stop = true;
	(void)pthread_mutex_unlock(&resolver->lock);
	wake(resolver);
	(void)pthread_join(resolver->dispatcher, NULL);
	close_unbound(resolver->unbound);
	free_questions(resolver);
	wakeup_close(&resolver->wakeup);
	(void)pthread_mutex_destroy(&resolver->lock);
	return 0;
}

struct resolver *
resolver_new(TALLOC_CTX *ctx, const struct resolver_options *options, const char **error_r)
{
	struct resolver *resolver = mem_new(ctx, struct resolver);
	int error;

	*error_r = NULL;
	resolver->max_entries = options->cache_entries;
	resolver->servers = upstream_servers(resolver, options->servers);
	for (size_t i = 0; resolver->servers[i] != NULL; i++)
		resolver->servers[i] = mem_strdup(resolver->servers, resolver->servers[i]);
	if (options->trust_anchor != NULL)
		resolver->trust_anchor = mem_strdup(resolver, options->trust_anchor);
	resolver->authority_port = options->authority_port;
	resolver->health = health_new(resolver, resolver->servers);
	resolver->status.servers = resolver->health->names;
	resolver->status.since_ms = clock_ms();
	if (!open_unbound(resolver, ctx, resolver->unbound, error_r)) {
		talloc_free(resolver);
		return NULL;
	}
	(void)pthread_mutex_init(&resolver->lock, NULL);
	error = wakeup_open(&resolver->wakeup) != 0 ? errno : start_dispatcher(resolver);
	if (error != 0) {
		*error_r = mem_printf(ctx, "cannot start the resolver: %s", strerror(error));
		wakeup_close(&resolver->wakeup);
		(void)pthread_mutex_destroy(&resolver->lock);
		close_unbound(resolver->unbound);
		talloc_free(resolver);
		return NULL;
	}
	talloc_set_destructor(resolver, resolver_delete);
	return resolver;
}

void
resolver_status(struct resolver *resolver, struct resolver_status *status_r)
{
	(void)pthread_mutex_lock(&resolver->lock);
	*status_r = resolver->status;
	(void)pthread_mutex_unlock(&resolver->lock);
}

/*
 * Asking
 */

/* resolver_wait_for - wait until a question is answered or the deadline has passed (lock held) */
static bool
resolver_wait_for(struct resolver *resolver, struct question *question, int64_t deadline_ms)
{
	struct timespec until;

	if (question->last != NULL && deadline_ms > question->asked_ms + STALE_AFTER_MS)
		deadline_ms = question->asked_ms + STALE_AFTER_MS;
	until = (struct timespec){ .tv_sec = (time_t)(deadline_ms / 1000),
	    .tv_nsec = (long)(deadline_ms % 1000) * 1000000 };
	while (!question->done)
		if (pthread_cond_timedwait(&question->answered, &resolver->lock, &until) != 0)
			break;
	return question->done;
}

/* late_problem - why a question has no answer by the deadline of its asker (lock held) */
static const char *
late_problem(const struct resolver *resolver, TALLOC_CTX *ctx, const struct question *question)
{
	if (resolver->status.away)
		return mem_printf(ctx, "our resolver %s does not answer", resolver->status.servers);
	if (resolver->heard_ms >= question->asked_ms)
		return "the name servers of this domain do not answer in time";
	return "no answer in time";
}

/* without_answer - what an asker gets whose question has no answer (lock held) */
static struct dns_answer *
without_answer(const struct resolver *resolver, TALLOC_CTX *ctx, const struct question *question)
{
	struct dns_answer *answer;

	if (question->last == NULL)
		return dns_answer_new(ctx, DNS_TIMEOUT, late_problem(resolver, ctx, question));
	answer = dns_answer_copy(ctx, question->last);
	answer->problem = mem_strdup(answer, late_problem(resolver, ctx, question));
	return answer;
}

/* resolver_do_ask - the answer to a question, or why there is none (lock held); cached_r is set
 * only if there was one */
static struct dns_answer *
resolver_do_ask(struct resolver *resolver, TALLOC_CTX *ctx, const char *name, size_t len,
    enum dns_type type, int64_t deadline_ms, bool *cached_r)
{
	struct question *question = resolver_find(resolver, name, len, type);
	struct dns_answer *answer = NULL;

	if (question == NULL || is_old(question)) {
		if (deadline_ms <= clock_ms())
			return dns_answer_new(ctx, DNS_TIMEOUT, "no time left for a query");
		question = resolver_start(resolver, name, len, type, question, UNDER_WAY_MAX);
	}
	if (question == NULL)
		return dns_answer_new(ctx, DNS_FAILURE, "too many DNS questions under way");
	question_ref(question);
	*cached_r = question->done;
	if (!resolver_wait_for(resolver, question, deadline_ms))
		answer = without_answer(resolver, ctx, question);
	(void)pthread_mutex_unlock(&resolver->lock);
	if (answer == NULL)
		answer = dns_answer_copy(ctx, question->answer);
	question_unref(question);
	(void)pthread_mutex_lock(&resolver->lock);
	return answer;
}

/* resolver_count - an asker has its answer */
static void
resolver_count(struct resolver_figures *figures, const struct dns_answer *answer, bool cached,
    uint64_t since)
{
	(void)atomic_fetch_add_explicit(&figures->answers[answer->status], 1, memory_order_relaxed);
	if (answer->stale)
		(void)atomic_fetch_add_explicit(&figures->stale, 1, memory_order_relaxed);
	if (cached)
		(void)atomic_fetch_add_explicit(&figures->cached, 1, memory_order_relaxed);
	else
		histogram_since(&figures->waits, since);
}

const struct resolver_figures *
resolver_figures(const struct resolver *resolver)
{
	return &resolver->figures;
}

struct dns_answer *
resolver_ask(struct resolver *resolver, TALLOC_CTX *ctx, const char *name, size_t name_len,
    enum dns_type type, int64_t deadline_ms)
{
	uint64_t since = histogram_now();
	struct dns_answer *answer;
	bool cached = false;

	if (!dns_name_ok(name, name_len))
		return dns_answer_new(ctx, DNS_FAILURE, "not a name that DNS could have");
	(void)pthread_mutex_lock(&resolver->lock);
	answer = resolver_do_ask(resolver, ctx, name, name_len, type, deadline_ms, &cached);
	(void)pthread_mutex_unlock(&resolver->lock);
	resolver_count(&resolver->figures, answer, cached, since);
	return answer;
}

void
resolver_prefetch(struct resolver *resolver, const char *name, size_t name_len,
    enum dns_type type)
{
	struct question *question;

	if (!dns_name_ok(name, name_len))
		return;
	(void)pthread_mutex_lock(&resolver->lock);
	question = resolver_find(resolver, name, name_len, type);
	if (question == NULL || is_old(question))
		resolver_start(resolver, name, name_len, type, question, UNDER_WAY_MANY);
	(void)pthread_mutex_unlock(&resolver->lock);
}

struct dns_answer **
resolver_ask_authority(struct resolver *resolver, TALLOC_CTX *ctx, const char *const *names,
    size_t n, enum dns_type type, int64_t deadline_ms)
{
	const struct fresh_options options = { .servers = resolver->servers,
		.trust_anchor = resolver->trust_anchor,
		.port = resolver->authority_port != 0 ? resolver->authority_port : 53 };

	return fresh_ask(ctx, &options, names, n, type, deadline_ms);
}
