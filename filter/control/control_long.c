/*
 * control_long.c - requests whose answer takes long, in threads of their own
 *
 * Thread rule: lock guards the queue and the states of jobs. A job belongs to the queue, then to
 * the thread that answers it; when it is done, or if it was left before, to the control thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdlib.h>

#include "filter/control/control_answer.h"
#include "filter/control/control_long.h"
#include "policy/base/mem.h"

enum job_state { JOB_WAITS, JOB_RUNS, JOB_IS_DONE };

/* One request; a talloc root. */
struct control_job {
	const char *line;
	size_t len;
	struct asker asker;
	enum job_state state;
	bool left;		/* nobody waits for it: it ends when it is done */
	char *answer;		/* malloc */
	struct control_job *next;
};

struct control_long {
	struct daemon *daemon;
	const struct wakeup *done;
	pthread_mutex_t lock;
	pthread_cond_t more;	/* a job came, or the end */
	struct control_job *first, **end;
	bool ending;
	pthread_t threads[CONTROL_LONG_THREADS];
	size_t n_threads;
};

/* job_free - with its answer */
static void
job_free(struct control_job *job)
{
	free(job->answer);
	talloc_free(job);
}

/* job_next - the job that waits longest, taken out; NULL: the end. With the lock held. */
static struct control_job *
job_next(struct control_long *all)
{
	struct control_job *job;

	while (all->first == NULL && !all->ending)
		(void)pthread_cond_wait(&all->more, &all->lock);
	job = all->ending ? NULL : all->first;
	if (job == NULL)
		return NULL;
	all->first = job->next;
	if (all->first == NULL)
		all->end = &all->first;
	job->state = JOB_RUNS;
	return job;
}

/* control_long_run - a thread */
static void *
control_long_run(void *arg)
{
	struct control_long *all = arg;
	struct control_job *job;

	(void)pthread_mutex_lock(&all->lock);
	while ((job = job_next(all)) != NULL) {
		(void)pthread_mutex_unlock(&all->lock);
		job->answer = control_answer_text(
		    all->daemon, job->line, job->len, &job->asker);
		(void)pthread_mutex_lock(&all->lock);
		job->state = JOB_IS_DONE;
		if (job->left)
			job_free(job);
		wakeup_ring(all->done);
	}
	(void)pthread_mutex_unlock(&all->lock);
	return NULL;
}

struct control_long *
control_long_start(struct daemon *daemon, const struct wakeup *done)
{
	struct control_long *all = mem_new(NULL, struct control_long);

	*all = (struct control_long){ .daemon = daemon, .done = done, .end = &all->first };
	(void)pthread_mutex_init(&all->lock, NULL);
	(void)pthread_cond_init(&all->more, NULL);
	while (all->n_threads < CONTROL_LONG_THREADS &&
	    pthread_create(&all->threads[all->n_threads], NULL, control_long_run, all) == 0)
		all->n_threads++;
	if (all->n_threads > 0)
		return all;
	control_long_stop(all);
	return NULL;
}

void
control_long_stop(struct control_long *all)
{
	if (all == NULL)
		return;
	(void)pthread_mutex_lock(&all->lock);
	all->ending = true;
	(void)pthread_cond_broadcast(&all->more);
	(void)pthread_mutex_unlock(&all->lock);
	for (size_t i = 0; i < all->n_threads; i++)
		(void)pthread_join(all->threads[i], NULL);
	(void)pthread_cond_destroy(&all->more);
	(void)pthread_mutex_destroy(&all->lock);
	talloc_free(all);
}

struct control_job *
control_long_ask(struct control_long *all, const char *line, size_t len,
    const struct asker *asker)
{
	struct control_job *job = mem_new(NULL, struct control_job);

	*job = (struct control_job){ .line = mem_strndup(job, line, len), .len = len,
		.asker = { asker->may_write, mem_strdup(job, asker->name) } };
	(void)pthread_mutex_lock(&all->lock);
	*all->end = job;
	all->end = &job->next;
	(void)pthread_cond_signal(&all->more);
	(void)pthread_mutex_unlock(&all->lock);
	return job;
}

char *
control_long_take(struct control_long *all, struct control_job *job)
{
	char *answer = NULL;

	(void)pthread_mutex_lock(&all->lock);
	if (job->state == JOB_IS_DONE) {
		answer = job->answer;
		job->answer = NULL;
	}
	(void)pthread_mutex_unlock(&all->lock);
	if (answer != NULL)
		job_free(job);
	return answer;
}

/* forget_waiting - take a job that waits out of the queue; with the lock held */
static void
forget_waiting(struct control_long *all, struct control_job *job)
{
	struct control_job **at = &all->first;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	if (*at == NULL)
		all->end = at;
}

void
control_long_leave(struct control_long *all, struct control_job *job)
{
	bool runs;

	(void)pthread_mutex_lock(&all->lock);
	if (job->state == JOB_WAITS)
		forget_waiting(all, job);
	runs = job->state == JOB_RUNS;
	job->left = true;
	(void)pthread_mutex_unlock(&all->lock);
	if (!runs)
		job_free(job);
}
