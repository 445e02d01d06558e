/*
 * process.h - CPU time and memory of other processes, their children included
 *
 * CPU time is read from the process's own clock (clock_getcpuclockid), which
 * counts nanoseconds of all its threads, ended ones included; /proc/PID/stat would
 * round to a hundredth of a second.
 */
#ifndef TESTS_BENCH_PROCESS_H
#define TESTS_BENCH_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* What a process and its descendants have used. */
struct process_use {
	double cpu_us;		/* CPU time so far, microseconds */
	unsigned long rss_kb;	/* resident memory now; pages that processes share count in each */
	unsigned long anon_kb;	/* of that, memory of its own: no file, no library behind it */
	unsigned long peak_kb;	/* the highest resident memory so far */
	unsigned long threads;
};

/* process_use - what pid and its descendants use; all zero if there is no such process */
struct process_use process_use(pid_t pid);

#endif
