/*
 * signals.c - HUP, TERM and INT for the first thread
 *
 * libmilter has a thread of its own that waits for these signals with
 * sigwait() and stops the daemon at HUP. It gets one only while no thread has
 * it unblocked, so here the first thread keeps them unblocked always, with
 * handlers that do nothing but set a flag and write to a pipe. SA_NODEFER leaves
 * no moment in which the handler's own signal is blocked: in bursts of HUP
 * that moment was enough for libmilter's thread to take one. For the same reason
 * sigwait() and signalfd() are not used here.
 *
 * The flags and the pipe are the process's: handlers have no argument.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/signals.h"

static volatile sig_atomic_t hup_seen;
static volatile sig_atomic_t stop_seen;
static int wake_pipe[2] = { -1, -1 };

/* on_signal - note it, and wake signals_wait() */
static void
on_signal(int signal)
{
	int saved = errno;
	ssize_t written;

	if (signal == SIGHUP)
		hup_seen = 1;
	else
		stop_seen = 1;
	written = write(wake_pipe[1], "", 1);
	(void)written;	/* a full pipe wakes as well */
	errno = saved;
}

/* ours - the set of the three */
static void
ours(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGHUP);
	(void)sigaddset(set, SIGTERM);
	(void)sigaddset(set, SIGINT);
}

void
signals_begin(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* signals_block - for all threads made from now on */
void
signals_block(void)
{
	sigset_t set;

	ours(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* signals_receive - in the first thread */
int
signals_receive(void)
{
	struct sigaction action;
	sigset_t set;

	if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		return -1;
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	action.sa_flags = SA_NODEFER | SA_RESTART;
	(void)sigemptyset(&action.sa_mask);
	if (sigaction(SIGHUP, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0 ||
	    sigaction(SIGINT, &action, NULL) != 0)
		return -1;
	ours(&set);
	return pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0 ? 0 : -1;
}

/* signals_wait - wait for a signal or until timeout_ms */
void
signals_wait(int timeout_ms, struct signals_seen *seen_r)
{
	struct pollfd fd = { .fd = wake_pipe[0], .events = POLLIN };
	char drain[256];

	if (!hup_seen && !stop_seen)
		(void)poll(&fd, 1, timeout_ms);
	while (read(wake_pipe[0], drain, sizeof(drain)) > 0)
		continue;
	/* cleared before they are acted on: a signal from here on is seen next time */
	seen_r->reload = hup_seen != 0;
	hup_seen = 0;
	seen_r->stop = stop_seen != 0;
	stop_seen = 0;
}
