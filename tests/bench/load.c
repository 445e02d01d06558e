/*
 * load.c - the load generator: many connections to a filter, and what they cost it
 *
 * One thread and epoll, so that the generator takes as little of the machine as
 * possible from the filter it measures. Without --rate each connection sends
 * its next message as soon as the last was answered, so throughput and latency
 * are bound to each other (connections = rate x latency); with --rate
 * messages begin at fixed times and their latency counts from
 * there, whether or not a connection was free.
 *
 * CPU time and memory of the filter are taken before and after the measured
 * messages. What is sent before (--warmup) visits the same senders.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "policy/base/mem.h"
#include "tests/bench/mta.h"
#include "tests/bench/options.h"
#include "tests/bench/process.h"

/* A connection, and how epoll knows it. */
struct line {
	struct mta mta;
	bool registered;
	bool writing;		/* epoll looks for room to write, too */
	bool free;		/* READY, and no message was due */
};

/* Messages of one phase. */
struct run {
	const struct options *options;
	int epoll;
	struct line *lines;
	size_t target;		/* messages of this phase */
	size_t begun, finished;
	double start_us;	/* of the phase */
	double progress_us;	/* when the last message was answered */
	bool record;		/* the times below */
	double *message_us;	/* MAIL to answer */
	double *end_us;		/* end of message to answer */
	size_t n_end;
	size_t accepted, otherwise, unexpected, edits, broken;
	char other_answer;	/* the first answer that was not the wanted one */
	char other_reply[MTA_REPLY_MAX];
};

/* fail - what cannot go on */
static void __attribute__((noreturn))
fail(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(1);
}

/* watch - tell epoll what a connection waits for */
static void
watch(struct run *run, struct line *line)
{
	bool writing = mta_wants_write(&line->mta);
	struct epoll_event event = { .events = EPOLLIN | (writing ? EPOLLOUT : 0u),
		.data.ptr = line };

	if (line->registered && line->writing == writing)
		return;
	if (epoll_ctl(run->epoll, line->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, line->mta.fd,
		&event) != 0)
		fail("epoll does not take a connection");
	line->registered = true;
	line->writing = writing;
}

/* reopen - a new connection in the place of an old one */
static void
reopen(struct run *run, struct line *line)
{
	mta_close(&line->mta);
	line->registered = false;
	if (!mta_open(&line->mta, &run->options->traffic)) {
		fprintf(stderr, "load: cannot connect: %s\n", strerror(errno));
		exit(1);
	}
}

/* due_us - when the next message of the phase is due */
static double
due_us(const struct run *run)
{
	if (run->options->rate <= 0)
		return 0;
	return run->start_us + (double)run->begun * 1e6 / run->options->rate;
}

/* as_wanted - is this the answer? At the end of a message "accept" says what "continue" says. */
static bool
as_wanted(char wanted, char answer)
{
	return wanted == '\0' || answer == wanted ||
	    (wanted == SMFIR_CONTINUE && answer == SMFIR_ACCEPT);
}

/* note_answer - count what became of a message */
static void
note_answer(struct run *run, const struct mta_result *result)
{
	const struct options *options = run->options;

	run->progress_us = result->answered_us;
	run->edits += result->edits;
	if (as_wanted(options->answer, result->answer))
		run->accepted++;
	else if (run->otherwise++ == 0) {
		run->other_answer = result->answer;
		memcpy(run->other_reply, result->reply, sizeof(run->other_reply));
	}
	run->unexpected += options->traffic.expected != NULL && !result->as_expected;
	if (run->record) {
		run->message_us[run->finished] = result->answered_us - result->begun_us;
		if (result->ended_us > 0)
			run->end_us[run->n_end++] = result->answered_us - result->ended_us;
	}
	run->finished++;
}

/* begin_next - begin the next message on a free connection; false if none is due */
static bool
begin_next(struct run *run, struct line *line)
{
	double due = due_us(run);

	line->free = true;
	if (run->begun == run->target || (due > 0 && mta_now_us() < due))
		return false;
	line->free = false;
	if (line->mta.messages >= run->options->per_connection) {
		reopen(run, line);
		return true;
	}
	/* a longer warm-up goes to the same senders several times */
	mta_send(&line->mta, run->begun++ % run->options->messages);
	if (due > 0)
		line->mta.result.begun_us = due;
	return true;
}

/* go_on - let a connection do what it can */
static void
go_on(struct run *run, struct line *line)
{
	enum mta_state state = mta_go(&line->mta);

	while (state == MTA_DONE || state == MTA_READY) {
		if (state == MTA_DONE)
			note_answer(run, &line->mta.result);
		if (!begin_next(run, line))
			break;
		state = mta_go(&line->mta);
	}
	if (state == MTA_BROKEN) {
		run->broken++;
		if (run->broken > run->options->connections)
			fail("the filter breaks connections off");
		run->begun -= line->mta.step > STEP_IDLE;
		reopen(run, line);
		(void)mta_go(&line->mta);
	}
	watch(run, line);
}

/* patience_ms - until the next message is due, or until too long nothing was answered */
static int
patience_ms(const struct run *run)
{
	double now = mta_now_us();
	double due = due_us(run);

	if (now - run->progress_us > (double)run->options->stall_s * 1e6)
		fail("the filter does not answer any more");
	if (due > 0 && run->begun < run->target)
		return due <= now ? 0 : (int)((due - now) / 1000);
	return 1000;
}

/* start_free - give messages that are due to free connections */
static void
start_free(struct run *run)
{
	for (size_t i = 0; i < run->options->connections; i++)
		if (run->lines[i].free && run->begun < run->target && mta_now_us() >= due_us(run))
			go_on(run, &run->lines[i]);
}

/* run_phase - send messages and wait for all answers */
static void
run_phase(struct run *run, size_t messages)
{
	struct epoll_event events[64];

	run->target = messages;
	run->begun = run->finished = run->accepted = run->otherwise = run->unexpected = run->edits =
	    0;
	run->start_us = run->progress_us = mta_now_us();
	while (run->finished < run->target) {
		int n;

		start_free(run);
		n = epoll_wait(run->epoll, events, 64, patience_ms(run));
		for (int i = 0; i < n; i++)
			go_on(run, events[i].data.ptr);
	}
}

/* open_lines - the connections of the run; the idle ones behind them greet and stay */
static void
open_lines(struct run *run)
{
	size_t n = run->options->connections + run->options->idle;

	run->lines = mem_array(NULL, struct line, n);
	for (size_t i = 0; i < n; i++) {
		struct line *line = &run->lines[i];
		enum mta_state state = MTA_BUSY;
		double start = mta_now_us();

		line->mta.fd = -1;
		reopen(run, line);
		while ((state = mta_go(&line->mta)) == MTA_BUSY && mta_now_us() - start < 30e6)
			(void)usleep(50);
		if (state != MTA_READY)
			fail("the filter does not greet");
		line->free = true;
		if (i < run->options->connections)
			watch(run, line);
	}
}

/* compare - for qsort */
static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* print_times - percentiles of times in microseconds */
static void
print_times(const char *name, double *times, size_t n)
{
	static const double parts[] = { 0.5, 0.9, 0.99, 0.999 };
	static const char *const names[] = { "p50", "p90", "p99", "p999" };

	qsort(times, n, sizeof(times[0]), compare);
	printf(", \"%s_us\": {", name);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		printf("\"%s\": %.0f, ", names[i],
		    n > 0 ? times[(size_t)((double)(n - 1) * parts[i])] : 0);
	printf("\"max\": %.0f}", n > 0 ? times[n - 1] : 0);
}

/* own_cpu_us - CPU time of this program */
static double
own_cpu_us(void)
{
	struct rusage use;

	(void)getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
	    (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

/* What was read before and after the measured messages. */
struct readings {
	struct process_use filter;
	struct process_use also[OPTIONS_ALSO_MAX];
	double own_us;
	double at_us;
};

/* take_readings - of all processes */
static void
take_readings(const struct options *options, struct readings *readings_r)
{
	readings_r->filter = process_use(options->pid);
	for (size_t i = 0; i < options->n_also; i++)
		readings_r->also[i] = process_use(options->also[i].pid);
	readings_r->own_us = own_cpu_us();
	readings_r->at_us = mta_now_us();
}

/* print_report - one line of JSON; names are the bench's own and need no escapes */
static void
print_report(const struct run *run, const struct readings *before, const struct readings *after)
{
	const struct options *options = run->options;
	double n = (double)run->finished;
	double seconds = (after->at_us - before->at_us) / 1e6;

	printf(
	    "{\"name\": \"%s\", \"messages\": %zu, \"answered_as_wanted\": %zu, \"otherwise\": %zu, "
	    "\"without_expected\": %zu, \"edits\": %zu, \"broken\": %zu",
	    options->name, run->finished, run->accepted, run->otherwise, run->unexpected,
	    run->edits, run->broken);
	printf(
	    ", \"connections\": %zu, \"idle\": %zu, \"per_connection\": %zu, \"recipients\": %zu, \"fields\": %zu, "
	    "\"body\": %zu, \"users\": %zu, \"domains\": %zu",
	    options->connections, options->idle, options->per_connection,
	    options->traffic.recipients, options->traffic.letter->n_fields,
	    options->traffic.letter->body_len, options->traffic.users, options->traffic.domains);
	printf(", \"seconds\": %.3f, \"per_second\": %.1f", seconds, n / seconds);
	if (options->pid > 0)
		printf(
		    ", \"cpu_us\": %.2f, \"rss_kb\": %lu, \"anon_kb\": %lu, \"peak_kb\": %lu, \"threads\": %lu",
		    (after->filter.cpu_us - before->filter.cpu_us) / n, after->filter.rss_kb,
		    after->filter.anon_kb, after->filter.peak_kb, after->filter.threads);
	for (size_t i = 0; i < options->n_also; i++)
		printf(", \"%s_cpu_us\": %.2f", options->also[i].name,
		    (after->also[i].cpu_us - before->also[i].cpu_us) / n);
	printf(", \"load_cpu_us\": %.2f", (after->own_us - before->own_us) / n);
	print_times("message", run->message_us, run->finished);
	print_times("end", run->end_us, run->n_end);
	printf("}\n");
}

/* complain - why the status is not 0; whether it is */
static bool
complain(const struct run *run)
{
	if (run->otherwise > 0)
		fprintf(stderr,
		    "load: %zu of %zu messages were answered otherwise than wanted, the first with %c %s\n",
		    run->otherwise, run->finished, run->other_answer, run->other_reply);
	if (run->unexpected > 0)
		fprintf(stderr, "load: %zu of %zu messages got no header edit with \"%s\"\n",
		    run->unexpected, run->finished, run->options->traffic.expected);
	if (run->broken > 0)
		fprintf(stderr, "load: the filter broke %zu connections off\n", run->broken);
	return run->otherwise > 0 || run->unexpected > 0 || run->broken > 0;
}

int
main(int argc, char **argv)
{
	struct readings before, after;
	struct options options;
	struct run run = { .options = &options };
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));

	options_read(ctx, argc, argv, &options);
	(void)signal(SIGPIPE, SIG_IGN);
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	run.message_us = mem_array(ctx, double, options.messages);
	run.end_us = mem_array(ctx, double, options.messages);
	open_lines(&run);
	run_phase(&run, options.warmup);
	run.record = true;
	take_readings(&options, &before);
	run_phase(&run, options.messages);
	take_readings(&options, &after);
	print_report(&run, &before, &after);
	for (size_t i = 0; i < options.connections + options.idle; i++)
		mta_close(&run.lines[i].mta);
	talloc_free(run.lines);
	talloc_free(ctx);
	return complain(&run) ? 1 : 0;
}
