/*
 * event_command.c - run the operators' program for each event
 *
 * posix_spawn(3) rather than fork(2): it copies no page tables, so the mail path does not feel
 * it. The child gets a pipe as standard input, into which the whole event fits at once, and a pipe
 * for what it prints, of which the end is kept for the log.
 *
 * Thread rule: lock guards the waiting list and its talloc tree; running programs belong to the
 * thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/process.h"
#include "filter/journal/event_command.h"
#include "policy/base/mem.h"

#define LOOK_MS		100	/* how often running programs are looked at */
#define SAID_MAX	256	/* octets kept of what a program prints */

/* One run that waits. */
struct job {
	struct job *next;
	char **argv;		/* ends with NULL */
	char *text;
	long timeout_ms;
};

/* One that runs. */
struct running {
	pid_t pid;		/* 0: a free place */
	char *name;
	int out;		/* what it prints, or -1 */
	int64_t until;
	bool killed;
	char said[SAID_MAX + 1];
	size_t said_len;
};

struct event_runner {
	pthread_t thread;
	bool started;
	int wake[2];
	struct running running[EVENT_RUNNING_MAX];

	pthread_mutex_t lock;
	TALLOC_CTX *memory;	/* a root of its own, because threads share it */
	struct job *first, **last;
	size_t n;
	bool full;		/* that it is full was logged */
	bool stop;
};

/* --- the waiting list --- */

/* wake_up - the thread has something to do */
static void
wake_up(struct event_runner *runner)
{
	ssize_t written = write(runner->wake[1], "", 1);

	(void)written;		/* a full pipe wakes it just as well */
}

/* event_runner_submit - run a program soon */
void
event_runner_submit(struct event_runner *runner, const char *const *argv, size_t n,
    const char *text, long timeout_ms)
{
	struct job *job;
	bool news = false;

	(void)pthread_mutex_lock(&runner->lock);
	if (runner->n >= EVENT_WAITING_MAX) {
		news = !runner->full;
		runner->full = true;
	} else {
		job = mem_new(runner->memory, struct job);
		job->argv = mem_array(job, char *, n + 1);
		for (size_t i = 0; i < n; i++)
			job->argv[i] = mem_strdup(job, argv[i]);
		job->text = mem_printf(job, "%s\n", text);
		job->timeout_ms = timeout_ms;
		*runner->last = job;
		runner->last = &job->next;
		runner->n++;
	}
	(void)pthread_mutex_unlock(&runner->lock);
	if (news)
		log_warning(
		    "event_command: %d events wait for %s; further ones are dropped until some are done",
		    EVENT_WAITING_MAX, argv[0]);
	wake_up(runner);
}

/* event_runner_take - the next job, or NULL; it is then the thread's */
static struct job *
event_runner_take(struct event_runner *runner)
{
	struct job *job;

	(void)pthread_mutex_lock(&runner->lock);
	job = runner->first;
	if (job != NULL) {
		runner->first = job->next;
		if (runner->first == NULL)
			runner->last = &runner->first;
		runner->n--;
		if (runner->n < EVENT_WAITING_MAX / 2)
			runner->full = false;
		(void)talloc_steal(NULL, job);
	}
	(void)pthread_mutex_unlock(&runner->lock);
	return job;
}

/* is_stopping - has event_runner_stop() been called? */
static bool
is_stopping(struct event_runner *runner)
{
	bool stop;

	(void)pthread_mutex_lock(&runner->lock);
	stop = runner->stop;
	(void)pthread_mutex_unlock(&runner->lock);
	return stop;
}

/* --- one program --- */

/* add_actions - what the child does with its descriptors: 0, 1 and 2 are pipes, all else is
 * closed */
static int
add_actions(posix_spawn_file_actions_t *actions, int in, int out)
{
	if (posix_spawn_file_actions_adddup2(actions, in, STDIN_FILENO) != 0 ||
	    posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO) != 0 ||
	    posix_spawn_file_actions_adddup2(actions, out, STDERR_FILENO) != 0)
		return -1;
	return process_close_rest(actions);
}

/* event_runner_add_attributes - a process group of its own, signals as a fresh program has them */
static int
event_runner_add_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	if (posix_spawnattr_setpgroup(attributes, 0) != 0 ||
	    posix_spawnattr_setsigdefault(attributes, &all) != 0 ||
	    posix_spawnattr_setsigmask(attributes, &none) != 0)
		return -1;
	return posix_spawnattr_setflags(attributes,
	    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

/* spawn - start a program on these descriptors; its pid, or -1 with errno */
static pid_t
spawn(char *const *argv, int in, int out)
{
	extern char **environ;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid = -1;
	int error = ENOMEM;

	if (posix_spawn_file_actions_init(&actions) == 0) {
		if (posix_spawnattr_init(&attributes) == 0) {
			if (add_actions(&actions, in, out) == 0 &&
			    event_runner_add_attributes(&attributes) == 0)
				error = posix_spawn(
				    &pid, argv[0], &actions, &attributes, argv, environ);
			(void)posix_spawnattr_destroy(&attributes);
		}
		(void)posix_spawn_file_actions_destroy(&actions);
	}
	errno = error;
	return error == 0 ? pid : -1;
}

/* close_pair - both ends of a pipe; -1 are none */
static void
close_pair(const int *fds)
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

/* event_runner_hand_over - the event into the pipe; it is smaller than a pipe holds */
static void
event_runner_hand_over(int fd, const char *text)
{
	ssize_t written;

	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	written = write(fd, text, strlen(text));
	(void)written;		/* a program that reads nothing is free to do so */
}

/* event_runner_start - start a job in a free place */
static void
event_runner_start(struct running *running, const struct job *job)
{
	int in[2] = { -1, -1 };
	int out[2] = { -1, -1 };
	pid_t pid = -1;

	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0) {
		event_runner_hand_over(in[1], job->text);
		pid = spawn(job->argv, in[0], out[1]);
	}
	if (pid < 0) {
		log_error("event_command: %s cannot be started: %s", job->argv[0], strerror(errno));
		close_pair(in);
		close_pair(out);
		return;
	}
	close_pair(in);
	(void)close(out[1]);
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	*running = (struct running){
		.pid = pid,
		.name = mem_strdup(NULL, job->argv[0]),
		.out = out[0],
		.until = clock_ms() + job->timeout_ms,
	};
}

/* listen_to - keep the end of what a program prints */
static void
listen_to(struct running *running)
{
	char more[SAID_MAX];
	ssize_t got;

	/* bounded: one that prints without end must not keep the thread here */
	for (int i = 0; i < 64 && (got = read(running->out, more, sizeof(more))) > 0; i++) {
		size_t len = (size_t)got;
		size_t keep =
		    running->said_len + len > SAID_MAX ? SAID_MAX - len : running->said_len;

		memmove(running->said, running->said + running->said_len - keep, keep);
		memcpy(running->said + keep, more, len);
		running->said_len = keep + len;
	}
	running->said[running->said_len] = '\0';
}

/* event_runner_tell - how a program ended, if that was not well */
static void
event_runner_tell(const struct running *running, int status)
{
	char said[SAID_MAX + 1];

	memcpy(said, running->said, sizeof(said));
	for (char *c = said; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = ' ';
	if (running->killed)
		log_error("event_command: %s killed after event_timeout; output: %s",
		    running->name, said);
	else if (WIFSIGNALED(status))
		log_error("event_command: %s ended by signal %d; output: %s", running->name,
		    WTERMSIG(status), said);
	else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		log_error("event_command: %s ended with status %d; output: %s", running->name,
		    WEXITSTATUS(status), said);
}

/* look_after - has it ended, or is its time up? */
static void
look_after(struct running *running)
{
	siginfo_t ended = { 0 };
	int status = 0;

	listen_to(running);
	if (!running->killed && clock_ms() >= running->until) {
		running->killed = true;
		(void)kill(-running->pid, SIGKILL);
	}
	if (waitid(P_PID, (id_t)running->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    ended.si_pid == 0)
		return;
	listen_to(running);
	/* what it left behind in its group has no business any more; before the number may be
	 * another's */
	(void)kill(-running->pid, SIGKILL);
	(void)waitpid(running->pid, &status, 0);
	event_runner_tell(running, status);
	(void)close(running->out);
	talloc_free(running->name);
	running->pid = 0;
}

/* --- the thread --- */

/* end_all - closing time */
static void
end_all(struct event_runner *runner)
{
	for (size_t i = 0; i < EVENT_RUNNING_MAX; i++) {
		struct running *running = &runner->running[i];

		if (running->pid == 0)
			continue;
		log_warning("event_command: %s killed: countersign stops", running->name);
		(void)kill(-running->pid, SIGKILL);
		(void)waitpid(running->pid, NULL, 0);
		(void)close(running->out);
		talloc_free(running->name);
		running->pid = 0;
	}
}

/* start_some - fill the free places; how many run */
static size_t
start_some(struct event_runner *runner)
{
	size_t busy = 0;

	for (size_t i = 0; i < EVENT_RUNNING_MAX; i++) {
		struct running *running = &runner->running[i];
		struct job *job;

		if (running->pid != 0)
			look_after(running);
		while (running->pid == 0 && (job = event_runner_take(runner)) != NULL) {
			event_runner_start(running, job);
			talloc_free(job);
		}
		busy += running->pid != 0;
	}
	return busy;
}

/* drain_wake - empty the pipe that woke us */
static void
drain_wake(struct event_runner *runner)
{
	char octets[64];

	while (read(runner->wake[0], octets, sizeof(octets)) > 0)
		;
}

/* event_runner_serve - the thread */
static void *
event_runner_serve(void *arg)
{
	struct event_runner *runner = arg;

	while (!is_stopping(runner)) {
		size_t busy = start_some(runner);
		struct pollfd wake = { .fd = runner->wake[0], .events = POLLIN };

		(void)poll(&wake, 1, busy > 0 ? LOOK_MS : -1);
		drain_wake(runner);
	}
	end_all(runner);
	return NULL;
}

static int
runner_destroy(struct event_runner *runner)
{
	event_runner_stop(runner);
	close_pair(runner->wake);
	(void)pthread_mutex_destroy(&runner->lock);
	return talloc_free(runner->memory);
}

/* event_runner_new - start the thread */
struct event_runner *
event_runner_new(TALLOC_CTX *ctx, const char **error_r)
{
	struct event_runner *runner = mem_new(ctx, struct event_runner);

	runner->wake[0] = runner->wake[1] = -1;
	runner->last = &runner->first;
	runner->memory = mem_check(talloc_new(NULL));
	(void)pthread_mutex_init(&runner->lock, NULL);
	talloc_set_destructor(runner, runner_destroy);
	if (pipe2(runner->wake, O_CLOEXEC | O_NONBLOCK) != 0 ||
	    pthread_create(&runner->thread, NULL, event_runner_serve, runner) != 0) {
		*error_r = "the thread of event_command cannot be started";
		talloc_free(runner);
		return NULL;
	}
	runner->started = true;
	return runner;
}

/* event_runner_stop - end what runs and the thread */
void
event_runner_stop(struct event_runner *runner)
{
	if (!runner->started)
		return;
	(void)pthread_mutex_lock(&runner->lock);
	runner->stop = true;
	(void)pthread_mutex_unlock(&runner->lock);
	wake_up(runner);
	(void)pthread_join(runner->thread, NULL);
	runner->started = false;
}
