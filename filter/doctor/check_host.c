/*
 * check_host.c - the host itself: its disks and its clock
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include "filter/doctor/inside.h"
#include "policy/base/mem.h"

#define DISK_ERROR	2	/* percent that must be free */
#define DISK_WARNING	10

/* check_free - bytes and inodes where a path is */
static void
check_free(struct exam *exam, const char *path, const char *what)
{
	struct statvfs st;
	unsigned long free, inodes;

	if (path == NULL || path[0] != '/' || statvfs(path, &st) != 0 || st.f_blocks == 0)
		return;
	free = (unsigned long)(st.f_bavail * 100 / st.f_blocks);
	inodes = st.f_files == 0 ? 100 : (unsigned long)(st.f_favail * 100 / st.f_files);
	if (free >= DISK_WARNING && inodes >= DISK_WARNING)
		return;
	exam_add_level(exam,
	    free < DISK_ERROR || inodes < DISK_ERROR ? DOCTOR_ERROR : DOCTOR_WARNING, "disk.full",
	    path, exam_text(exam, "df -h %s; df -i %s", path, path),
	    "%lu %% of the bytes and %lu %% of the inodes for %s are free", free, inodes, what);
}

void
examine_disk(struct exam *exam)
{
	const struct site *site = exam->site;
	const char *file;

	if (site->postfix != NULL)
		check_free(exam, postfix_value(exam->ctx, site->postfix, NULL, "queue_directory"),
		    "the queue");
	file = site->config != NULL ? site->config->store_options.file : NULL;
	if (file != NULL && strrchr(file, '/') != NULL)
		check_free(exam,
		    mem_strndup(exam->ctx, file, (size_t)(strrchr(file, '/') - file) + 1),
		    "the counters");
}

void
examine_clock(struct exam *exam)
{
	struct timex state = { .modes = 0 };

	/* Redis has a clock to compare with (redis.clock); without it, this is all that is known */
	if (adjtimex(&state) == TIME_ERROR || (state.status & STA_UNSYNC) != 0)
		exam_add_level(exam, DOCTOR_UNKNOWN, "clock.off", NULL, "timedatectl set-ntp true",
		    "nothing synchronizes the clock of this host; whether it is right is not "
		    "known");
}
