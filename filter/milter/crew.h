/*
 * crew.h - threads for libmilter that are used again
 *
 * Threads: any thread may call.
 */
#ifndef FILTER_MILTER_CREW_H
#define FILTER_MILTER_CREW_H

#include <pthread.h>

/*
 * milter_crew_start - as pthread_create(3), with a thread that has run something else before, if
 * one is there
 * thread_r: its number; attributes: of a new thread, or NULL. Returns 0 or an error number.
 */
int milter_crew_start(
    pthread_t *thread_r, const pthread_attr_t *attributes, void *(*start)(void *), void *arg);

/* milter_crew_detach - as pthread_detach(3); a thread that was detached before stays so */
int milter_crew_detach(pthread_t thread);

#endif
