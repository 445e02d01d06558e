/*
 * check_config.c - would countersign start, and has it read what the files say?
 *
 * The loader's and the keyring's own lines become findings: each names its place first.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/socket.h"
#include "filter/base/unix_socket.h"
#include "filter/doctor/inside.h"
#include "policy/base/mem.h"

#define CONFIG_WATCH_S	(14 * 86400) /* in mode watch for longer is forgotten */
#define CONFIG_LATE_S	5	     /* a file may be so much newer than the daemon */
#define CONFIG_ANSWER_MS 1500

/* key_id - which of our ids a line of the keyring is */
static const char *
key_id(const char *text)
{
	static const struct { const char *part, *id; } rows[] = {
		{ "could put keys there", "key.directory" },
		{ "must be a directory", "key.directory" },
		{ "who could change it", "key.open" },
		{ "is open to others", "key.open" },
		{ "lets group id", "key.open" },
		{ "cannot read it", "key.unreadable" },
		{ "holds no private key", "key.unreadable" },
		{ "is neither an RSA", "key.unreadable" },
		{ "a private key in PEM has", "key.unreadable" },
		{ "is not a regular file", "key.unreadable" },
		{ "give it to root", "key.unreadable" },
		{ "No such file", "key.unreadable" },
		{ "Permission denied", "key.unreadable" },
		{ "is too short", "dkim.short" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strstr(text, rows[i].part) != NULL)
			return rows[i].id;
	return "config.syntax";
}

/* config_add_lines - lines "PLACE: what; cure" as findings */
static void
config_add_lines(struct exam *exam, const char *text, bool keys)
{
	char *lines = mem_strdup(exam->ctx, text), *line, *rest = NULL;

	for (line = strtok_r(lines, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *what = strstr(line, ": ");
		const char *cure;
		const char *id = keys				? key_id(line)
		    : strstr(line, "can never match") != NULL	? "listener.never-reached"
								: "config.syntax";
		bool hidden = geteuid() != 0 && strstr(line, "Permission denied") != NULL;

		if (what != NULL) {
			*what = '\0';
			what += 2;
		} else {
			what = line;
			line = mem_strdup(exam->ctx, "");
		}
		cure = strstr(what, "; ");
		if (cure != NULL) {
			what[cure - what] = '\0';
			cure += 2;
		}
		if (cure != NULL && strncmp(cure, "run: ", 5) == 0)
			cure += 5;
		if (cure == NULL)
			cure = hidden ? "run this as root"
			    : strstr(what, "cannot be opened") != NULL
			    ? "countersignctl -c FILE doctor, if it is elsewhere"
			    : "correct it, and check it with countersign -t";
		exam_add_level(exam, hidden ? DOCTOR_UNKNOWN : DOCTOR_ERROR, id, line, cure, "%s",
		    what);
	}
}

/* --- what the daemon has read ---------------------------------------------- */

/* ask_status - of the daemon, on its control socket; NULL: it does not answer */
static json_t *
ask_status(TALLOC_CTX *ctx, const char *path)
{
	static const char question[] = "{\"command\":\"status\"}\n";
	int64_t deadline = clock_ms() + CONFIG_ANSWER_MS;
	int fd = unix_socket_connect(path);
	char *text = mem_array(ctx, char, 65536);
	size_t len = 0;
	ssize_t got;

	if (fd < 0)
		return NULL;
	(void)send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL);
	while (len < 65535 && memchr(text, '\n', len) == NULL &&
	    socket_wait(fd, POLLIN, deadline)) {
		got = recv(fd, text + len, 65535 - len, 0);
		if (got <= 0)
			break;
		len += (size_t)got;
	}
	(void)close(fd);
	return json_loadb(text, len, JSON_DISABLE_EOF_CHECK, NULL);
}

bool
exam_daemon_answers(struct exam *exam)
{
	const struct config *config = exam->site->config;
	json_t *status = config->control != NULL ? ask_status(exam->ctx, config->control) : NULL;
	bool answers = json_is_true(json_object_get(status, "ok"));

	json_decref(status);
	return answers;
}

/* check_newer - is a file newer than what the daemon has read of it? */
static void
check_newer(struct exam *exam, const char *path, time_t loaded)
{
	struct stat st;

	if (path == NULL || stat(path, &st) != 0 || st.st_mtime <= loaded + CONFIG_LATE_S)
		return;
	exam_add(exam, "config.not-loaded", path, "countersignctl reload",
	    "the file was changed after the daemon had read it");
}

/* config_check_program - does the daemon run a program that was replaced? */
static void
config_check_program(struct exam *exam)
{
	static const char gone[] = " (deleted)";
	pid_t pid = exam_daemon_pid(exam->site->config->control);
	char path[4096];
	ssize_t len = pid > 0
	    ? readlink(exam_text(exam, "/proc/%ld/exe", (long)pid), path, sizeof(path) - 1)
	    : -1;

	if (len <= (ssize_t)strlen(gone))
		return;
	path[len] = '\0';
	if (strcmp(path + len - strlen(gone), gone) != 0)
		return;
	path[len - (ssize_t)strlen(gone)] = '\0';
	if (access(path, X_OK) == 0)
		exam_add(exam, "config.not-loaded", path, "systemctl restart countersign",
		    "the daemon still runs the program that was installed before this one");
}

/* check_loaded_files - against what the daemon that runs has read */
static void
check_loaded_files(struct exam *exam)
{
	const struct config *config = exam->site->config;
	json_t *status = config->control != NULL ? ask_status(exam->ctx, config->control) : NULL;
	const json_t *age = json_object_get(status, "configuration_age_s");

	if (json_is_integer(age)) {
		time_t loaded = time(NULL) - (time_t)json_integer_value(age);

		for (size_t i = 0; i < config->files.n; i++)
			check_newer(exam, config->files.items[i], loaded);
		config_check_program(exam);
	}
	json_decref(status);
}

/* mta_cure - what to do about an MTA that could not be looked at: a path that was given is not to
 * be given again */
static const char *
mta_cure(const struct site *site)
{
	if (strstr(site->mta_problem, "postconf was not found") != NULL)
		return "PATH=$PATH:/usr/sbin countersignctl doctor";
	if (site->options->postfix_config != NULL || site->options->sendmail_cf != NULL)
		return "correct the path that was given, or run this as root";
	return "name it with --postfix-config DIR or --sendmail-cf FILE";
}

/* config_add_mta - an MTA that could not be read: a line that stops Postfix, too, or no right */
static void
config_add_mta(struct exam *exam)
{
	const struct site *site = exam->site;
	const char *file = strstr(site->mta_problem, "fatal: file ");
	const char *line = file != NULL ? strstr(file, ": line ") : NULL;

	if (line == NULL) {
		exam_add_level(exam, DOCTOR_UNKNOWN, "postfix.milter-missing", NULL,
		    mta_cure(site), "the MTA could not be looked at: %s", site->mta_problem);
		return;
	}
	file += strlen("fatal: file ");
	exam_add(exam, "postfix.master-syntax",
	    exam_text(exam, "%.*s:%.*s", (int)(line - file), file,
		(int)strspn(line + 7, "0123456789"),
		line + 7),
	    "correct the line, and check it with: postconf -M",
	    "Postfix cannot read its configuration, so it does not start: %s", file);
}

void
examine_config(struct exam *exam)
{
	const struct site *site = exam->site;
	struct stat st;

	if (site->config == NULL) {
		config_add_lines(exam, site->config_errors, false);
		return;
	}
	if (site->signers_errors != NULL)
		config_add_lines(exam, site->signers_errors, true);
	if (site->mta_problem != NULL)
		config_add_mta(exam);
	if (site->config->mode == MODE_WATCH && stat(site->config->file, &st) == 0 &&
	    st.st_mtime < time(NULL) - CONFIG_WATCH_S)
		exam_add(exam, "config.watch", exam_file_where(exam, "mode"), "mode = \"enforce\"",
		    "mode is watch, and the file has not changed for %ld days: nothing is refused",
		    (long)((time(NULL) - st.st_mtime) / 86400));
	check_loaded_files(exam);
}

/* control_group - is the control socket's group one of people or programs that take strangers' mail
 * or pages? Its members may unblock accounts and raise limits. gid is that of the socket. */
static void
control_group(struct exam *exam, gid_t gid)
{
	static const char *const names[] = { "users", "nogroup", "nobody", "www-data", "apache",
		"nginx", "http", "postdrop", "mail" };
	const char *name = exam->site->config->control_group;
	struct group entry, *found = NULL;
	char buffer[16384];

	if (name == NULL && getgrgid_r(gid, &entry, buffer, sizeof(buffer), &found) == 0 &&
	    found != NULL)
		name = found->gr_name;
	for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			exam_add(exam, "control.open", exam->site->config->control,
			    "control_group = \"countersign\", with the administrators in it",
			    "the group %s may use the control socket: it may unblock accounts and "
			    "raise limits", name);
}

void
examine_control(struct exam *exam)
{
	const struct config *config = exam->site->config;
	struct stat st;

	if (config == NULL)
		return;
	if (config->control == NULL)
		exam_add(exam, "control.missing", config->file,
		    "control = \"/run/countersign/control\"",
		    "no control socket is configured: countersignctl cannot reach the daemon");
	else if (stat(config->control, &st) != 0)
		return;
	/* with a group everyone may connect, and the daemon looks at who does */
	else if ((st.st_mode & S_IWOTH) != 0 && config->control_group == NULL &&
	    config->control_read_group == NULL)
		exam_add(exam, "control.open", config->control,
		    exam_text(exam, "chmod o-rwx %s", config->control),
		    "everyone may write to the control socket (mode %04o)",
		    (unsigned int)(st.st_mode & 07777));
	else if ((st.st_mode & S_IWGRP) != 0)
		control_group(exam, st.st_gid);
}
