/*
 * crew.c - threads for libmilter that are used again
 *
 * libmilter's pool ends a thread once two others are idle, and starts one for the next command
 * that finds none: behind Postfix one for nearly every message. A new thread needs a stack, and
 * what malloc and OpenSSL keep for each. So a thread that is done waits here for some seconds
 * whether there is something else to run.
 *
 * The pool signals a thread that waits for a session, even if all that wait have been signaled
 * already and not run yet. The session then waits until the session of some other thread is done,
 * so each signal that is one too many starts a thread.
 *
 * Thread rule: `crew` is held for a few instructions, never while something runs. `idle` is under
 * the mutex of the pool, which callers of milter_crew_await() and milter_crew_call() hold.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "filter/milter/crew.h"

#define RESTING_MOST	16	/* threads that may wait for a start */
#define REST_S		5	/* for how long */

/* A thread: what it runs, and its place among those that rest. */
struct hand {
	void *(*start)(void *);	/* NULL while it rests */
	void *arg;
	pthread_t thread;
	pthread_cond_t called;
	bool detached;
	struct hand *next;
};

/* Threads of a pool that wait for something to do. */
struct idle {
	int waiting;
	int called;		/* of these, but they do not run yet */
	void *(*start)(void *);	/* what they run */
};

static pthread_mutex_t crew = PTHREAD_MUTEX_INITIALIZER;
static struct hand *resting;		/* under crew: the one that came last in front */
static int n_resting;			/* how many these are */
static _Thread_local struct hand *own;	/* of this thread, or NULL */
static struct idle idle;

/* hand_leave - take a thread from those that rest */
static void
hand_leave(struct hand *hand)
{
	struct hand **at = &resting;

	while (*at != hand)
		at = &(*at)->next;
	*at = hand->next;
	n_resting--;
}

/* hand_rest - wait for the next start; false: there is none, the thread may end */
static bool
hand_rest(struct hand *hand)
{
	struct timespec until;
	int result = 0;

	(void)pthread_mutex_lock(&crew);
	hand->start = NULL;
	if (!hand->detached || n_resting >= RESTING_MOST)
		result = ETIMEDOUT;
	else {
		hand->next = resting;
		resting = hand;
		n_resting++;
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += REST_S;
		while (hand->start == NULL && result == 0)
			result = pthread_cond_timedwait(&hand->called, &crew, &until);
		if (hand->start == NULL)
			hand_leave(hand);
	}
	(void)pthread_mutex_unlock(&crew);
	return hand->start != NULL;
}

/* hand_run - one start after the other */
static void *
hand_run(void *arg)
{
	struct hand hand = *(struct hand *)arg;

	free(arg);
	hand.thread = pthread_self();
	own = &hand;
	(void)pthread_cond_init(&hand.called, NULL);
	do
		(void)hand.start(hand.arg);
	while (hand_rest(&hand));
	(void)pthread_cond_destroy(&hand.called);
	return NULL;
}

/* hand_call - give a start to a thread that rests; false if there is none */
static bool
hand_call(pthread_t *thread_r, void *(*start)(void *), void *arg)
{
	struct hand *hand;

	(void)pthread_mutex_lock(&crew);
	hand = resting;
	if (hand != NULL) {
		hand_leave(hand);
		hand->start = start;
		hand->arg = arg;
		*thread_r = hand->thread;
		(void)pthread_cond_signal(&hand->called);
	}
	(void)pthread_mutex_unlock(&crew);
	return hand != NULL;
}

int
milter_crew_start(
    pthread_t *thread_r, const pthread_attr_t *attributes, void *(*start)(void *), void *arg)
{
	struct hand *hand;
	int result;

	if (hand_call(thread_r, start, arg))
		return 0;
	hand = malloc(sizeof(*hand));
	if (hand == NULL)
		return EAGAIN;
	*hand = (struct hand){ .start = start, .arg = arg };
	result = pthread_create(thread_r, attributes, hand_run, hand);
	if (result != 0)
		free(hand);
	return result;
}

int
milter_crew_detach(pthread_t thread)
{
	bool is_own = own != NULL && pthread_equal(thread, pthread_self());
	int result = is_own && own->detached ? 0 : pthread_detach(thread);

	if (is_own)
		own->detached = result == 0;
	return result;
}

int
milter_crew_await(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
	int result;

	if (own != NULL)
		idle.start = own->start;
	idle.waiting++;
	result = pthread_cond_timedwait(cond, mutex, until);
	idle.waiting--;
	/* one that wakes up because its time is over does what another was called for */
	if (idle.called > 0)
		idle.called--;
	return result;
}

int
milter_crew_call(pthread_cond_t *cond)
{
	pthread_t thread;

	if (idle.called >= idle.waiting && idle.start != NULL)
		return milter_crew_start(&thread, NULL, idle.start, NULL);
	idle.called++;
	return pthread_cond_signal(cond);
}
