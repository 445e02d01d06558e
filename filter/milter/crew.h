/*
 * crew.h - threads for libmilter that are used again
 *
 * Threads: any thread may call.
 */
#ifndef FILTER_MILTER_CREW_H
#define FILTER_MILTER_CREW_H

#include <pthread.h>
#include <time.h>

/*
 * milter_crew_start - as pthread_create(3), with a thread that has run something else before, if
 * one is there
 * thread_r: its number; attributes: of a new thread, or NULL. Returns 0 or an error number.
 */
int milter_crew_start(
    pthread_t *thread_r, const pthread_attr_t *attributes, void *(*start)(void *), void *arg);

/* milter_crew_detach - as pthread_detach(3); a thread that was detached before stays so */
int milter_crew_detach(pthread_t thread);

/*
 * milter_crew_await - as pthread_cond_timedwait(3), for a thread of a pool that has nothing to do
 * There is one pool; callers hold its mutex, here and below.
 */
int milter_crew_await(
    pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);

/*
 * milter_crew_call - as pthread_cond_signal(3), for one that waits so
 * If all that wait were called already, a thread is started with what they run, and NULL.
 * Returns 0 or an error number: then those that run must do it.
 */
int milter_crew_call(pthread_cond_t *cond);

#endif
