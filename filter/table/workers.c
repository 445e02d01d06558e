/*
 * workers.c - servers asked through libraries that may block
 *
 * A question is a job in a queue. A worker takes it, uses its connection or makes one, and puts the
 * answer into the job. Who asked waits on the job until its deadline; then it leaves, and a job
 * that a worker has in hand is freed by that worker, when its library lets it go.
 *
 * A worker whose connection broke makes a new one for the same job: the server may have been
 * restarted since the connection was last used. Then it goes through the other servers. Connections
 * unused for a minute are closed, and their threads end, as Postfix does it.
 *
 * The table may be freed, with the last session of an old configuration, while workers are held up.
 * So what they share is counted: the table holds it, and each thread does. Freeing never waits.
 *
 * How many worker threads there are is the one thing that the whole process shares, for
 * workers_settle.
 *
 * Thread rule: shared->lock guards all of struct shared but what is fixed when it is made, and the
 * state of jobs. A job's strings belong to the worker until it is JOB_DONE, then to the asker.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "filter/base/clock.h"
#include "filter/table/workers.h"
#include "policy/base/mem.h"

#define IDLE_MS		60000	/* an unused connection lives that long */
#define AVOID_MS	60000	/* a server that failed is tried last for that long */
#define MAX_SERVERS	32

enum job_state {
	JOB_QUEUED,
	JOB_TAKEN,
	JOB_DONE
};

/* One question; a talloc root of its own. */
struct job {
	struct job *next;		/* in the queue */
	enum job_state state;
	bool abandoned;			/* no one waits any more */
	pthread_cond_t done;
	const char *key;
	int64_t deadline_ms;
	enum worker_result result;
	const char *value;
	const char *error;
};

struct shared {
	const struct worker_driver *driver;
	const void *config;
	struct worker_servers servers;
	unsigned int max_threads;

	pthread_mutex_t lock;
	pthread_cond_t work;		/* a job came, or closing */
	unsigned int references;	/* the table and the threads */
	unsigned int n_threads, n_idle;
	unsigned int n_queued;
	struct job *first, *last;
	int64_t failed_ms[MAX_SERVERS];	/* when; 0: never */
	bool closing;
};

struct workers {
	struct shared *shared;
};

/* A connection and where it leads. */
struct link {
	TALLOC_CTX *memory;		/* NULL: none */
	void *connection;
	size_t server;
};

static atomic_uint n_workers;

/* --- what is shared --- */

/* release - one reference less; with the lock held, which is given up */
static void
release(struct shared *shared)
{
	bool last = --shared->references == 0;

	(void)pthread_mutex_unlock(&shared->lock);
	if (!last)
		return;
	(void)pthread_cond_destroy(&shared->work);
	(void)pthread_mutex_destroy(&shared->lock);
	talloc_free(shared);
}

static int
workers_free(struct workers *workers)
{
	struct shared *shared = workers->shared;

	(void)pthread_mutex_lock(&shared->lock);
	shared->closing = true;
	(void)pthread_cond_broadcast(&shared->work);
	release(shared);
	return 0;
}

/* init_cond - a condition that waits by the clock of deadlines */
static void
init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;

	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attributes);
	(void)pthread_condattr_destroy(&attributes);
}

/* workers_new - no connection yet, no thread yet */
struct workers *
workers_new(TALLOC_CTX *ctx, const struct worker_driver *driver, void *config,
    const struct worker_servers *servers, const struct table_limits *limits)
{
	struct workers *workers = mem_new(ctx, struct workers);
	struct shared *shared = mem_new(NULL, struct shared);

	shared->driver = driver;
	shared->config = talloc_steal(shared, config);
	shared->servers = *servers;
	if (shared->servers.n > MAX_SERVERS)
		shared->servers.n = MAX_SERVERS;
	shared->max_threads = (unsigned int)limits->connections;
	shared->references = 1;
	(void)pthread_mutex_init(&shared->lock, NULL);
	init_cond(&shared->work);
	workers->shared = shared;
	talloc_set_destructor(workers, workers_free);
	return workers;
}

/* wait_until - on a condition; false at the deadline */
static bool
wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ms)
{
	struct timespec until = { .tv_sec = deadline_ms / 1000,
		.tv_nsec = deadline_ms % 1000 * 1000000 };

	return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}

/* --- a worker --- */

/* hang_up - close a connection; accepts none */
static void
hang_up(struct shared *shared, struct link *link)
{
	if (link->memory == NULL)
		return;
	shared->driver->close(link->connection);
	talloc_free(link->memory);
	link->memory = NULL;
}

/* dial - a new connection to a server; false with *error_r on the job */
static bool
dial(struct shared *shared, struct job *job, struct link *link, size_t server)
{
	link->memory = mem_check(talloc_named_const(NULL, 0, "table connection"));
	link->server = server;
	link->connection = shared->driver->connect(
	    link->memory, shared->config, server, job->deadline_ms, &job->error);
	if (link->connection != NULL)
		return true;
	job->error = job->error != NULL ? mem_strdup(job, job->error) : "cannot connect";
	talloc_free(link->memory);
	link->memory = NULL;
	return false;
}

/* ask_link - ask on a connection; what has come out of order ends it */
static bool
ask_link(struct shared *shared, struct job *job, struct link *link)
{
	job->value = job->error = NULL;
	job->result = shared->driver->ask(shared->config, link->connection, job, job->key,
	    job->deadline_ms, &job->value, &job->error);
	if (job->result == WORKER_LOST)
		hang_up(shared, link);
	return job->result != WORKER_LOST;
}

/* pick_servers - those from first on, n of them, that have (or have not) failed lately; with the
 * lock held */
static size_t
pick_servers(
    const struct shared *shared, size_t first, size_t n, bool failed, size_t turn, size_t *order_r)
{
	int64_t now_ms = clock_ms();
	size_t picked = 0;

	for (size_t i = 0; i < n; i++) {
		size_t server = first + (i + turn) % n;
		int64_t at = shared->failed_ms[server];

		if ((at != 0 && now_ms - at < AVOID_MS) == failed)
			order_r[picked++] = server;
	}
	return picked;
}

/* order_servers - local ones first, in turn, those that failed lately at the end */
static void
order_servers(struct shared *shared, size_t *order_r)
{
	size_t n = shared->servers.n,
	       local = shared->servers.n_local < n ? shared->servers.n_local : n;
	uint32_t turn = 0;
	size_t at = 0;

	if (!shared->servers.in_order && getrandom(&turn, sizeof(turn), 0) < 0)
		turn = 0;
	(void)pthread_mutex_lock(&shared->lock);
	for (int failed = 0; failed < 2; failed++) {
		at += pick_servers(shared, 0, local, failed == 1, turn, order_r + at);
		at += pick_servers(shared, local, n - local, failed == 1, turn, order_r + at);
	}
	(void)pthread_mutex_unlock(&shared->lock);
}

/* note_server - remember how a server did */
static void
note_server(struct shared *shared, size_t server, bool good)
{
	(void)pthread_mutex_lock(&shared->lock);
	shared->failed_ms[server] = good ? 0 : clock_ms();
	(void)pthread_mutex_unlock(&shared->lock);
}

/* work - answer a job: on the connection that is there, else on a new one to some server */
static void
work(struct shared *shared, struct job *job, struct link *link)
{
	size_t order[MAX_SERVERS];

	if (link->memory != NULL && ask_link(shared, job, link))
		return;
	order_servers(shared, order);
	job->result = WORKER_LOST;
	for (size_t i = 0; i < shared->servers.n; i++) {
		bool good;

		if (clock_ms() >= job->deadline_ms && job->error != NULL)
			return;
		good = dial(shared, job, link, order[i]) && ask_link(shared, job, link);
		note_server(shared, order[i], good);
		if (good)
			return;
	}
}

/* next_job - wait for one; NULL when there is none for long or the table goes. With the lock
 * held. */
static struct job *
next_job(struct shared *shared)
{
	int64_t until_ms = clock_ms() + IDLE_MS;
	struct job *job;

	shared->n_idle++;
	while (shared->first == NULL && !shared->closing)
		if (!wait_until(&shared->work, &shared->lock, until_ms))
			break;
	shared->n_idle--;
	job = shared->first;
	if (job == NULL)
		return NULL;
	shared->first = job->next;
	if (shared->first == NULL)
		shared->last = NULL;
	shared->n_queued--;
	job->state = JOB_TAKEN;
	return job;
}

static void
free_job(struct job *job)
{
	(void)pthread_cond_destroy(&job->done);
	talloc_free(job);
}

/* run_worker - a thread's life */
static void *
run_worker(void *arg)
{
	struct shared *shared = arg;
	struct link link = { NULL, NULL, 0 };
	struct job *job;

	(void)pthread_mutex_lock(&shared->lock);
	while ((job = next_job(shared)) != NULL) {
		(void)pthread_mutex_unlock(&shared->lock);
		work(shared, job, &link);
		(void)pthread_mutex_lock(&shared->lock);
		job->state = JOB_DONE;
		if (job->abandoned)
			free_job(job);
		else
			(void)pthread_cond_signal(&job->done);
	}
	shared->n_threads--;
	(void)pthread_mutex_unlock(&shared->lock);
	hang_up(shared, &link);
	if (shared->driver->thread_end != NULL)
		shared->driver->thread_end();
	(void)pthread_mutex_lock(&shared->lock);
	release(shared);
	atomic_fetch_sub(&n_workers, 1);
	return NULL;
}

/* start_worker - one more thread, without the signals that are the first one's; with the lock
 * held */
static void
start_worker(struct shared *shared)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	(void)sigfillset(&all);
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, &attributes, run_worker, shared) == 0) {
		shared->n_threads++;
		shared->references++;
		atomic_fetch_add(&n_workers, 1);
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
}

/* --- asking --- */

/* new_job - a question */
static struct job *
new_job(const char *key, int64_t deadline_ms)
{
	struct job *job = mem_new(NULL, struct job);

	job->key = mem_strdup(job, key);
	job->deadline_ms = deadline_ms;
	init_cond(&job->done);
	return job;
}

/* workers_enqueue - hand a job to the workers; with the lock held. False if there is none and
 * none can be made. */
static bool
workers_enqueue(struct shared *shared, struct job *job)
{
	if (shared->n_idle <= shared->n_queued && shared->n_threads < shared->max_threads)
		start_worker(shared);
	if (shared->n_threads == 0)
		return false;
	*(shared->last != NULL ? &shared->last->next : &shared->first) = job;
	shared->last = job;
	shared->n_queued++;
	(void)pthread_cond_signal(&shared->work);
	return true;
}

/* withdraw - take a job out of the queue; with the lock held */
static void
withdraw(struct shared *shared, struct job *job)
{
	struct job *before = NULL;

	for (struct job *at = shared->first; at != job; at = at->next)
		before = at;
	*(before != NULL ? &before->next : &shared->first) = job->next;
	if (shared->last == job)
		shared->last = before;
	shared->n_queued--;
}

/* workers_take_answer - what a job came to, on ctx */
static void
workers_take_answer(const struct job *job, TALLOC_CTX *ctx, struct table_answer *answer)
{
	if (job->result == WORKER_ANSWER) {
		answer->outcome = job->value != NULL ? TABLE_FOUND : TABLE_NOT_FOUND;
		answer->value = job->value != NULL ? mem_strdup(ctx, job->value) : NULL;
		return;
	}
	answer->outcome = TABLE_TEMPERROR;
	answer->error =
	    mem_strdup(ctx, job->error != NULL ? job->error : "the server gave no reason");
	answer->away = job->result == WORKER_LOST;
}

/* workers_ask - get of struct table_type */
void
workers_ask(struct workers *workers, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	struct shared *shared = workers->shared;
	struct job *job = new_job(key, deadline_ms);
	bool queued;

	answer_r->outcome = TABLE_TEMPERROR;
	answer_r->away = true;
	(void)pthread_mutex_lock(&shared->lock);
	queued = workers_enqueue(shared, job);
	while (queued && job->state != JOB_DONE)
		if (!wait_until(&job->done, &shared->lock, deadline_ms))
			break;
	if (!queued) {
		answer_r->error = "no thread can be started";
	} else if (job->state == JOB_QUEUED) {
		answer_r->error = mem_printf(
		    ctx, "no free connection in time, of %u", shared->n_threads);
		withdraw(shared, job);
	} else if (job->state == JOB_TAKEN) {
		answer_r->error = "no answer within the time allowed";
		job->abandoned = true;
		job = NULL;
	} else {
		answer_r->away = false;
		workers_take_answer(job, ctx, answer_r);
	}
	(void)pthread_mutex_unlock(&shared->lock);
	if (job != NULL)
		free_job(job);
}

/* workers_settle - before the process ends: wait for worker threads */
void
workers_settle(int64_t wait_ms)
{
	int64_t until_ms = clock_ms() + wait_ms;

	while (atomic_load(&n_workers) > 0 && clock_ms() < until_ms)
		clock_pause(5);
}
