/*
 * check_queue.c - what Postfix has written: warnings about us in its log, and mail that waits
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/plain_file.h"
#include "filter/doctor/inside.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define QUEUE_MANY	100	/* deferred messages */
#define QUEUE_FILES	5000	/* that are looked at */
#define QUEUE_SENDERS	1000	/* that are counted apart */
#define QUEUE_HEAD	2048	/* octets of a file, in which its sender stands */
#define QUEUE_DEPTH	4	/* of directories */
#define LOG_TAIL	(4 * 1024 * 1024) /* octets at the end of a log that are read */
#define LOG_DAY_S	86400

/* --- the queue ------------------------------------------------------------- */

/* A sender and how much of it waits. */
struct queue_sender {
	const char *address;
	size_t n;
};

/* The deferred queue. */
struct queue {
	struct exam *exam;
	struct queue_sender *senders;
	size_t n_senders;
	size_t n;		/* messages */
	bool hidden;		/* a directory may not be read */
};

/*
 * queue_sender_of - the envelope sender of a queue file, or NULL
 * A file is a row of records: a letter, a length in groups of seven bits with the lowest first, and
 * so many octets. S is the sender; M begins the message.
 */
static const char *
queue_sender_of(struct exam *exam, int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	unsigned char head[QUEUE_HEAD];
	ssize_t got = fd >= 0 ? read(fd, head, sizeof(head)) : -1;
	const char *found = NULL;

	for (ssize_t at = 0; found == NULL && at + 1 < got && head[at] != 'M';) {
		unsigned char type = head[at++];
		size_t len = 0;

		for (unsigned int shift = 0; at < got && shift < 28; shift += 7) {
			len |= (size_t)(head[at] & 0x7f) << shift;
			if ((head[at++] & 0x80) == 0)
				break;
		}
		if (len > (size_t)(got - at))
			break;
		if (type == 'S')
			found = exam_shown(exam, (const char *)head + at, len);
		at += (ssize_t)len;
	}
	if (fd >= 0)
		(void)close(fd);
	return found;
}

/* queue_count - one message of a sender */
static void
queue_count(struct queue *queue, const char *address)
{
	size_t i = 0;

	while (i < queue->n_senders && strcmp(queue->senders[i].address, address) != 0)
		i++;
	if (i == QUEUE_SENDERS)
		return;
	if (i == queue->n_senders)
		queue->senders[queue->n_senders++] = (struct queue_sender){ address, 0 };
	queue->senders[i].n++;
}

/* queue_read - the files of a directory, and of those in it. fd is used up. */
static void
queue_read(struct queue *queue, int fd, int depth)
{
	DIR *all = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (all == NULL) {
		queue->hidden = queue->hidden || errno == EACCES;
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while (queue->n < QUEUE_FILES && clock_ms() < queue->exam->site->deadline_ms &&
	    (entry = readdir(all)) != NULL) {
		struct stat st;

		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(all), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < QUEUE_DEPTH)
			queue_read(queue,
			    openat(dirfd(all), entry->d_name,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW),
			    depth + 1);
		if (S_ISREG(st.st_mode)) {
			const char *sender =
			    queue_sender_of(queue->exam, dirfd(all), entry->d_name);

			queue->n++;
			queue_count(queue, sender != NULL ? sender : "?");
		}
	}
	(void)closedir(all);
}

void
examine_queue(struct exam *exam)
{
	const struct postfix *postfix = exam->site->postfix;
	struct queue queue = { .exam = exam };
	const struct queue_sender *most = NULL;
	const char *path;

	if (postfix == NULL)
		return;
	path = exam_text(exam, "%s/deferred",
	    postfix_value(exam->ctx, postfix, NULL, "queue_directory"));
	queue.senders = mem_array(exam->ctx, struct queue_sender, QUEUE_SENDERS);
	errno = 0;
	queue_read(&queue, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0);
	if (queue.hidden)
		exam_add_level(exam, DOCTOR_UNKNOWN, "queue.long", path, "run this as root",
		    "the deferred queue cannot be read by this user");
	for (size_t i = 0; i < queue.n_senders; i++)
		if (most == NULL || queue.senders[i].n > most->n)
			most = &queue.senders[i];
	if (queue.n > QUEUE_MANY && most != NULL && most->n > queue.n / 2)
		exam_add(exam, "queue.long", path,
		    exam_text(exam, "postqueue -p | grep -F '%s'; then postsuper -h QUEUE-ID",
			most->address),
		    "%zu messages are deferred, and %zu of them are of the sender <%s>", queue.n,
		    most->n, most->address);
}

/* --- the log --------------------------------------------------------------- */

/* log_time - when a line was written; 0: it does not say */
static time_t
log_time(const char *line, time_t now)
{
	struct tm when = { .tm_isdst = -1 }, today;
	const char *end;
	time_t found;

	if (localtime_r(&now, &today) == NULL)
		return 0;
	end = strptime(line, "%Y-%m-%dT%H:%M:%S", &when);
	if (end == NULL) {
		when = (struct tm){ .tm_isdst = -1, .tm_year = today.tm_year };
		end = strptime(line, "%b %d %H:%M:%S", &when);
	}
	if (end == NULL)
		return 0;
	found = mktime(&when);
	if (found > now + LOG_DAY_S) { /* of last year */
		when.tm_year--;
		found = mktime(&when);
	}
	return found;
}

/* log_endpoint - the milter that a warning of Postfix is about, or NULL */
static const char *
log_endpoint(struct exam *exam, const char *line)
{
	static const char *const marks[] = { "warning: milter ",
		"warning: connect to Milter service " };

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		const char *at = strstr(line, marks[i]);
		const char *end = at != NULL ? strstr(at + strlen(marks[i]), ": ") : NULL;

		if (end != NULL)
			return exam_text(exam, "%.*s", (int)(end - at - (long)strlen(marks[i])),
			    at + strlen(marks[i]));
	}
	return NULL;
}

void
examine_log(struct exam *exam)
{
	const struct site *site = exam->site;
	const char *paths[] = { NULL, "/var/log/mail.log", "/var/log/maillog" }, *path = NULL;
	const char *last = NULL;
	time_t now = time(NULL);
	FILE *file = NULL;
	char *line = NULL;
	size_t size = 0, n = 0;

	if (site->postfix == NULL || site->config == NULL)
		return;
	paths[0] = postfix_value(exam->ctx, site->postfix, NULL, "maillog_file");
	for (size_t i = 0; i < 3 && file == NULL; i++) {
		path = paths[i];
		file = path[0] == '/' ? plain_file(path) : NULL;
	}
	if (file != NULL && fseeko(file, -(off_t)LOG_TAIL, SEEK_END) != 0)
		rewind(file);
	while (file != NULL && clock_ms() < site->deadline_ms &&
	    getline(&line, &size, file) > 0) {
		const char *endpoint = log_endpoint(exam, line);

		if (endpoint == NULL || !site_names_us(exam->ctx, site, NULL, endpoint) ||
		    log_time(line, now) < now - LOG_DAY_S)
			continue;
		n++;
		last = exam_shown(exam, strstr(line, "warning: "),
		    strcspn(strstr(line, "warning: "), "\r\n"));
	}
	free(line);
	if (file != NULL)
		(void)fclose(file);
	if (n > 0)
		exam_add(exam, "log.milter-warnings", path,
		    "countersignctl status, and countersign's own log of that time",
		    "within a day, Postfix has warned of countersign %zu time%s; the last: %s", n,
		    text_s(n), last);
}
