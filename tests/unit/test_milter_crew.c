/*
 * test_milter_crew.c - threads for libmilter that are used again
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/base/clock.h"
#include "filter/milter/crew.h"

#define STARTS	40

/* What a start is to do, and what it saw. */
struct task {
	sem_t *go;		/* wait for it first, or NULL */
	sem_t done;
	bool detach;
	int detached;		/* what milter_crew_detach() returned */
	pid_t tid;		/* pthread_t may be that of a thread which has ended */
	pthread_t self;
	pthread_t named;	/* what milter_crew_start() called it */
};

/* await - a semaphore */
static void
await(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		continue;
}

static void *
do_task(void *arg)
{
	struct task *task = arg;

	task->self = pthread_self();
	task->tid = (pid_t)syscall(SYS_gettid);
	if (task->detach)
		task->detached = milter_crew_detach(task->self);
	if (task->go != NULL)
		await(task->go);
	(void)sem_post(&task->done);
	return NULL;
}

/* begin - start one task */
static void
begin(struct task *task, bool detach, sem_t *go)
{
	*task = (struct task){ .go = go, .detach = detach };
	assert_int_equal(sem_init(&task->done, 0, 0), 0);
	assert_int_equal(milter_crew_start(&task->named, NULL, do_task, task), 0);
}

/* finish - wait for a task's end */
static void
finish(struct task *task)
{
	await(&task->done);
	(void)sem_destroy(&task->done);
	assert_true(pthread_equal(task->self, task->named));
	assert_int_equal(task->detached, 0);
}

/* a thread that is done runs the next start, and is detached once */
static void
test_again(void **state)
{
	struct task task;
	pid_t last;
	int again = 0;

	(void)state;
	begin(&task, true, NULL);
	finish(&task);
	for (int i = 0; i < STARTS; i++) {
		last = task.tid;
		clock_pause(5);		/* it may not have come to rest yet */
		begin(&task, true, NULL);
		finish(&task);
		again += task.tid == last;
	}
	assert_true(again > 0);
}

/* starts that run at once have a thread each */
static void
test_at_once(void **state)
{
	struct task tasks[STARTS];
	sem_t go;

	(void)state;
	assert_int_equal(sem_init(&go, 0, 0), 0);
	for (int i = 0; i < STARTS; i++)
		begin(&tasks[i], true, &go);
	for (int i = 0; i < STARTS; i++)
		(void)sem_post(&go);
	for (int i = 0; i < STARTS; i++)
		finish(&tasks[i]);
	for (int i = 0; i < STARTS; i++)
		for (int k = 0; k < i; k++)
			assert_int_not_equal(tasks[i].tid, tasks[k].tid);
	(void)sem_destroy(&go);
}

/* a thread that somebody will join ends with its start */
static void
test_joined(void **state)
{
	struct task task;

	(void)state;
	begin(&task, false, NULL);
	finish(&task);
	assert_int_equal(pthread_join(task.self, NULL), 0);
}

/* A pool: threads that wait for something to do, and how much there is. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	int waiting;
	int to_do;
	sem_t taken;
	sem_t go;		/* to be done with it */
	sem_t done;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

/* work - a thread of the pool does one thing, and ends */
static void *
work(void *arg)
{
	struct timespec until;

	(void)milter_crew_detach(pthread_self());
	(void)pthread_mutex_lock(&pool.lock);
	while (pool.to_do == 0) {
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 60;
		pool.waiting++;
		(void)milter_crew_await(&pool.more, &pool.lock, &until);
		pool.waiting--;
	}
	pool.to_do--;
	(void)pthread_mutex_unlock(&pool.lock);
	(void)sem_post(&pool.taken);
	await(&pool.go);
	(void)sem_post(&pool.done);
	return arg;
}

/* two threads wait and are called forty times before they can run: forty threads run */
static void
test_called(void **state)
{
	pthread_t thread;
	bool both = false;

	(void)state;
	assert_int_equal(sem_init(&pool.taken, 0, 0), 0);
	assert_int_equal(sem_init(&pool.go, 0, 0), 0);
	assert_int_equal(sem_init(&pool.done, 0, 0), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(milter_crew_start(&thread, NULL, work, NULL), 0);
	while (!both) {
		clock_pause(5);
		(void)pthread_mutex_lock(&pool.lock);
		both = pool.waiting == 2;
		(void)pthread_mutex_unlock(&pool.lock);
	}
	(void)pthread_mutex_lock(&pool.lock);
	for (int i = 0; i < STARTS; i++) {
		pool.to_do++;
		assert_int_equal(milter_crew_call(&pool.more), 0);
	}
	(void)pthread_mutex_unlock(&pool.lock);
	/* none is done before all were taken */
	for (int i = 0; i < STARTS; i++)
		await(&pool.taken);
	for (int i = 0; i < STARTS; i++)
		(void)sem_post(&pool.go);
	for (int i = 0; i < STARTS; i++)
		await(&pool.done);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_joined),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_called),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
