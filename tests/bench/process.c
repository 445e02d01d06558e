/*
 * process.c - CPU time and memory of other processes, their children included
 *
 * opendkim and rspamd fork, so a tree of processes is summed. A child that
 * ended between two looks is missed; the servers of the bench keep theirs.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/process.h"

#define DEPTH_MAX	16

/* add_cpu - CPU time of one process */
static void
add_cpu(pid_t pid, struct process_use *use)
{
	struct timespec time;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &time) == 0)
		use->cpu_us += (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* add_memory - memory and threads of one process */
static void
add_memory(pid_t pid, struct process_use *use)
{
	char name[64], line[256];
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/status", (int)pid);
	file = fopen(name, "re");
	if (file == NULL)
		return;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "VmRSS:", 6) == 0)
			use->rss_kb += strtoul(line + 6, NULL, 10);
		else if (strncmp(line, "RssAnon:", 8) == 0)
			use->anon_kb += strtoul(line + 8, NULL, 10);
		else if (strncmp(line, "VmHWM:", 6) == 0)
			use->peak_kb += strtoul(line + 6, NULL, 10);
		else if (strncmp(line, "Threads:", 8) == 0)
			use->threads += strtoul(line + 8, NULL, 10);
	}
	fclose(file);
}

/* add_tree - a process and its descendants */
static void
add_tree(pid_t pid, int depth, struct process_use *use)
{
	char name[96];
	FILE *file;
	int child;

	add_cpu(pid, use);
	add_memory(pid, use);
	if (depth == 0)
		return;
	snprintf(name, sizeof(name), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(name, "re");
	if (file == NULL)
		return;
	while (fscanf(file, "%d", &child) == 1)
		add_tree((pid_t)child, depth - 1, use);
	fclose(file);
}

struct process_use
process_use(pid_t pid)
{
	struct process_use use = { 0 };

	if (pid > 0)
		add_tree(pid, DEPTH_MAX, &use);
	return use;
}
