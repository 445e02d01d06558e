/*
 * use.c - what processes have used so far: use PID...
 *
 * One line a process, its children included: PID, CPU time in microseconds,
 * resident kilobytes, peak kilobytes.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/process.h"

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct process_use use = process_use((pid_t)atoi(argv[i]));

		printf("%s %.0f %lu %lu\n", argv[i], use.cpu_us, use.rss_kb, use.peak_kb);
	}
	return 0;
}
