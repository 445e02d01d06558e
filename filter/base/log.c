/*
 * log.c - one line to syslog or standard error
 *
 * Thread rule: the target is chosen once, before any thread exists; after that
 * every call only reads it. syslog(3) locks by itself; on standard error a line
 * is one write(2), which does not mix with others.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "filter/base/log.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define LINE_MAX_OCTETS	8192

static bool use_syslog;		/* set by log_open() before threads, then only read */

/* log_end - the process ends for lack of memory: one line, without allocating */
static void
log_end(const char *why)
{
	char line[128];

	(void)snprintf(line, sizeof(line), "%s; this process ends", why);
	log_text(LOG_LEVEL_ERROR, line);
}

/* log_open - choose the target */
void
log_open(bool to_syslog)
{
	use_syslog = to_syslog;
	mem_on_end(log_end);
	if (to_syslog)
		openlog("countersign", LOG_PID, LOG_MAIL);
}

/*
 * make_line - one line of a text; returns its length
 * Texts of strangers, of operators and of files are in it. None of them may begin a line of its
 * own, or move the cursor of a terminal.
 */
static size_t
make_line(char *line, size_t size, const char *word, const char *text)
{
	int made = snprintf(line, size, "%s%s", word, text);
	size_t len = made < 0 ? 0 : (size_t)made < size ? (size_t)made : size - 1;

	text_replace_controls(line, ' ', '\0');
	return len;
}

/* write_line - one line to standard error in one write */
static void
write_line(const char *word, const char *text)
{
	char line[LINE_MAX_OCTETS];
	size_t len = make_line(line, sizeof(line) - 1, word, text);
	ssize_t written;

	line[len] = '\n';
	written = write(STDERR_FILENO, line, len + 1);
	(void)written;	/* a full or closed standard error is nobody's to tell */
}

/* syslog_line - the same to syslog */
static void
syslog_line(int priority, const char *word, const char *text)
{
	char line[LINE_MAX_OCTETS];

	(void)make_line(line, sizeof(line), word, text);
	syslog(priority, "%s", line);
}

/* log_text - one line */
void
log_text(enum log_level level, const char *text)
{
	static const int priorities[] = { LOG_INFO, LOG_WARNING, LOG_ERR };
	static const char *const words[] = {
		"countersign: ", "countersign: warning: ", "countersign: error: ",
	};
	int saved = errno;

	if (use_syslog)
		syslog_line(priorities[level], words[level] + strlen("countersign: "), text);
	else
		write_line(words[level], text);
	errno = saved;
}

/* log_json - one line of JSON */
void
log_json(const char *text)
{
	int saved = errno;

	if (use_syslog)
		syslog_line(LOG_INFO, "", text);
	else
		write_line("", text);
	errno = saved;
}

/* log_start_error - why the daemon did not start */
void
log_start_error(const char *text)
{
	log_lines(LOG_LEVEL_ERROR, text);
	if (use_syslog)
		write_line("countersign: error: ", text);
}

/* log_lines - the lines of a text of our own */
void
log_lines(enum log_level level, const char *text)
{
	while (text != NULL && *text != '\0') {
		size_t len = strcspn(text, "\n");
		char line[LINE_MAX_OCTETS];

		(void)snprintf(line, sizeof(line), "%.*s",
		    (int)(len < sizeof(line) ? len : sizeof(line) - 1), text);
		log_text(level, line);
		text += len + (text[len] == '\n');
	}
}

/* log_format - format and write one line */
static void __attribute__((format(printf, 2, 0)))
log_format(enum log_level level, const char *format, va_list args)
{
	char text[LINE_MAX_OCTETS];
	int saved = errno;

	(void)vsnprintf(text, sizeof(text), format, args);
	log_text(level, text);
	errno = saved;
}

void
log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_format(LOG_LEVEL_INFO, format, args);
	va_end(args);
}

void
log_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_format(LOG_LEVEL_WARNING, format, args);
	va_end(args);
}

void
log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_format(LOG_LEVEL_ERROR, format, args);
	va_end(args);
}
