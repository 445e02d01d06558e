/*
 * check_host.c - the host itself: disks, clock, files that may be open, libraries, MTAs
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <dirent.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <spf2/spf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "filter/base/peer.h"
#include "filter/base/unix_socket.h"
#include "filter/doctor/inside.h"
#include "filter/doctor/packages.h"
#include "filter/mta/command.h"
#include "policy/base/mem.h"

#define DISK_ERROR	2	/* percent that must be free */
#define DISK_WARNING	10
#define FILES_OWN	100	/* open files that are not sessions: Redis, DNS, tables */

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
	if (site->config != NULL && strcmp(site->config->log, "syslog") == 0)
		check_free(exam, "/var/log", "the log");
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
	if (ntp_adjtime(&state) == TIME_ERROR || (state.status & STA_UNSYNC) != 0)
		exam_add_level(exam, DOCTOR_UNKNOWN, "clock.off", NULL, "timedatectl set-ntp true",
		    "nothing synchronizes the clock of this host; whether it is right is not "
		    "known");
}

/* --- open files ------------------------------------------------------------ */

pid_t
exam_daemon_pid(const char *control)
{
	int fd = control != NULL ? unix_socket_connect(control) : -1;
	struct peer_user peer = { .pid = 0 };

	if (fd < 0)
		return 0;
	if (!peer_user(fd, &peer))
		peer.pid = 0;
	(void)close(fd);
	return peer.pid;
}

/* files_limit - how many a process may have open; -1: not known, or no limit */
static long
files_limit(struct exam *exam, pid_t pid)
{
	FILE *file = fopen(exam_text(exam, "/proc/%ld/limits", (long)pid), "re");
	long hard = -1;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "Max open files %*s %ld", &hard) == 1)
			break;
	if (file != NULL)
		(void)fclose(file);
	return hard;
}

/* files_wanted - sessions that the MTA may have with us at a time; 0: as many as it likes */
static long
files_wanted(struct exam *exam)
{
	const struct site *site = exam->site;
	const struct sendmail_line *children;
	long each, sum = 0;

	if (site->sendmail != NULL) {
		children = sendmail_find(site->sendmail, 'O', "MaxDaemonChildren");
		return children != NULL ? strtol(children->value, NULL, 10) : 0;
	}
	if (site->postfix == NULL)
		return 0;
	each = strtol(
	    postfix_value(exam->ctx, site->postfix, NULL, "default_process_limit"), NULL, 10);
	for (size_t i = 0; i < site->postfix->n_services; i++) {
		const struct postfix_service *service = &site->postfix->services[i];
		bool smtpd = postfix_is_smtpd(service);

		if ((smtpd || service == site_cleanup(site)) &&
		    site_our_milter(exam->ctx, site, service,
			smtpd ? "smtpd_milters" : "non_smtpd_milters") != NULL)
			sum += service->process_limit > 0 ? service->process_limit : each;
	}
	return sum;
}

void
examine_descriptors(struct exam *exam)
{
	const struct config *config = exam->site->config;
	pid_t pid = config != NULL ? exam_daemon_pid(config->control) : 0;
	long limit = pid > 0 ? files_limit(exam, pid) : -1, wanted = files_wanted(exam);

	if (limit >= 0 && limit < wanted + FILES_OWN && wanted > 0)
		exam_add(exam, "fd.limit", exam_text(exam, "/proc/%ld/limits", (long)pid),
		    exam_text(exam, "LimitNOFILE=%ld", 2 * (wanted + FILES_OWN)),
		    "countersign may have %ld files open, and the MTA may begin %ld sessions at a "
		    "time", limit, wanted);
}

/* --- libraries ------------------------------------------------------------- */

/* A library with a known hole. */
struct library {
	const char *name;
	const char *package;	/* of Debian; what its name begins with */
	unsigned long version;	/* in use: major * 10000 + minor * 100 + patch */
	unsigned long from, fixed; /* versions with the hole: from, and below fixed */
	const char *debian;	/* the package that is repaired, below that number */
	const char *hole;
};

void
examine_libraries(struct exam *exam)
{
	int major = 0, minor = 0, patch = 0;
	unsigned long openssl = OPENSSL_version_major() * 10000UL +
	    OPENSSL_version_minor() * 100UL + OPENSSL_version_patch();

	SPF_get_lib_version(&major, &minor, &patch);

	const struct library list[] = {
		{ "libspf2", "libspf2-2", (unsigned long)(major * 10000 + minor * 100 + patch), 0,
		    10211, "1.2.10-7.1", "CVE-2021-20314" },
		{ "hiredis", "libhiredis", HIREDIS_MAJOR * 10000 + HIREDIS_MINOR * 100 +
			HIREDIS_PATCH, 0, 10001, "0.14.1-2", "CVE-2021-32765" },
		{ "OpenSSL", "libssl3", openssl, 30000, 30007, "3.0.7", "CVE-2022-3602" },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		const struct library *one = &list[i];

		if (one->version == 0 || one->version < one->from || one->version >= one->fixed)
			continue;
		packages_report(exam, "library.hole", one->name,
		    exam_text(exam, "%s %lu.%lu.%lu has %s", one->name, one->version / 10000,
			one->version / 100 % 100, one->version % 100, one->hole),
		    packages_patched(exam->ctx, one->package, one->debian));
	}
}

/* --- MTAs ------------------------------------------------------------------ */

/* mtas_inode - of the socket that listens on port 25; 0: none */
static unsigned long
mtas_inode(void)
{
	static const char *const files[] = { "/proc/net/tcp", "/proc/net/tcp6" };
	unsigned long inode = 0;

	for (size_t i = 0; i < 2 && inode == 0; i++) {
		FILE *file = fopen(files[i], "re");
		char line[512];

		while (file != NULL && inode == 0 && fgets(line, sizeof(line), file) != NULL) {
			unsigned int port, state;
			unsigned long found;

			if (sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*s "
					 "%*s %lu", &port, &state, &found) == 3 &&
			    port == 25 && state == 10)
				inode = found;
		}
		if (file != NULL)
			(void)fclose(file);
	}
	return inode;
}

/* mtas_has - has a process this socket open? */
static bool
mtas_has(struct exam *exam, const char *pid, unsigned long inode)
{
	const char *wanted = exam_text(exam, "socket:[%lu]", inode);
	const char *path = exam_text(exam, "/proc/%s/fd", pid);
	DIR *all = opendir(path);
	const struct dirent *entry;
	bool found = false;

	while (all != NULL && !found && (entry = readdir(all)) != NULL) {
		char target[64], name[512];
		ssize_t len;

		(void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		len = readlink(name, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		found = strcmp(target, wanted) == 0;
	}
	if (all != NULL)
		(void)closedir(all);
	return found;
}

/* mtas_owner - the name of the program that listens on port 25, or NULL */
static const char *
mtas_owner(struct exam *exam)
{
	unsigned long inode = mtas_inode();
	DIR *all = inode > 0 ? opendir("/proc") : NULL;
	const struct dirent *entry;
	const char *found = NULL;

	while (all != NULL && found == NULL && (entry = readdir(all)) != NULL) {
		char name[64] = "";
		FILE *file;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !mtas_has(exam, entry->d_name, inode))
			continue;
		file = fopen(exam_text(exam, "/proc/%s/comm", entry->d_name), "re");
		if (file != NULL && fgets(name, sizeof(name), file) != NULL)
			found = exam_text(exam, "%.*s", (int)strcspn(name, "\n"), name);
		if (file != NULL)
			(void)fclose(file);
	}
	if (all != NULL)
		(void)closedir(all);
	return found;
}

/* mtas_both - are Postfix and Sendmail installed and configured? */
static bool
mtas_both(struct exam *exam)
{
	static const char *const programs[] = { "/usr/libexec/sendmail/sendmail",
		"/usr/lib/sm.bin/sendmail", "/usr/sbin/sendmail.sendmail" };
	bool found = false;

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		found = found || access(programs[i], X_OK) == 0;
	return found && access("/etc/mail/sendmail.cf", F_OK) == 0 &&
	    access("/etc/postfix/main.cf", F_OK) == 0 &&
	    command_find(exam->ctx, "postconf") != NULL;
}

void
examine_mtas(struct exam *exam)
{
	static const char *const strangers[] = { "sendmail", "exim4", "exim" };
	const struct site *site = exam->site;
	const char *owner;
	bool wrong = false, wants = site->sendmail != NULL;

	if (site->postfix == NULL && site->sendmail == NULL)
		return;
	owner = mtas_owner(exam);
	for (size_t i = 0; site->postfix != NULL && i < site->postfix->n_services; i++)
		wants = wants || site->postfix->services[i].port == 25;
	for (size_t i = 0; owner != NULL && i < sizeof(strangers) / sizeof(strangers[0]); i++)
		wrong = wrong ||
		    (site->postfix != NULL && strncmp(owner, strangers[i], 8) == 0);
	wrong = wrong ||
	    (site->sendmail != NULL && owner != NULL &&
		(strcmp(owner, "master") == 0 || strncmp(owner, "exim", 4) == 0));
	if (wants && wrong)
		exam_add(exam, "two.mtas", "port 25",
		    "stop and disable the MTA that is not in use",
		    "%s was looked at, and %s listens on port 25",
		    site->postfix != NULL ? "Postfix" : "Sendmail",
		    strcmp(owner, "master") == 0 ? "Postfix" : owner);
	else if (mtas_both(exam))
		exam_add(exam, "two.mtas", "/etc/mail/sendmail.cf",
		    "remove the MTA that is not in use",
		    "Postfix and Sendmail are both installed; %s listens on port 25",
		    owner == NULL		       ? "neither"
			: strcmp(owner, "master") == 0 ? "Postfix"
						       : owner);
}
