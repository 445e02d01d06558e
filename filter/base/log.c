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

#define LINE_MAX_OCTETS	8192

static bool use_syslog;		/* set by log_open() before threads, then only read */

/* log_open - choose the target */
void
log_open(bool to_syslog)
{
	use_syslog = to_syslog;
	if (to_syslog)
		openlog("countersign", LOG_PID, LOG_MAIL);
}

/* write_line - one line to standard error in one write */
static void
write_line(const char *word, const char *text)
{
	char line[LINE_MAX_OCTETS];
	int len = snprintf(line, sizeof(line) - 1, "%s%s", word, text);
	ssize_t written;

	if (len < 0)
		return;
	if ((size_t)len > sizeof(line) - 2)
		len = (int)sizeof(line) - 2;
	for (int i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	line[len] = '\n';
	written = write(STDERR_FILENO, line, (size_t)len + 1);
	(void)written;	/* a full or closed standard error is nobody's to tell */
}

/* log_text - one line, as it is */
void
log_text(enum log_level level, const char *text)
{
	static const int priorities[] = { LOG_INFO, LOG_WARNING, LOG_ERR };
	static const char *const words[] = {
		"countersign: ", "countersign: warning: ", "countersign: error: ",
	};
	int saved = errno;

	if (use_syslog)
		syslog(priorities[level], "%s%s", words[level] + strlen("countersign: "), text);
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
		syslog(LOG_INFO, "%s", text);
	else
		write_line("", text);
	errno = saved;
}

/* log_start_error - why the daemon did not start */
void
log_start_error(const char *text)
{
	log_text(LOG_LEVEL_ERROR, text);
	if (use_syslog)
		write_line("countersign: error: ", text);
}

/* log_format - format and write; lines of a text become lines of the log */
static void __attribute__((format(printf, 2, 0)))
log_format(enum log_level level, const char *format, va_list args)
{
	char text[LINE_MAX_OCTETS];
	int saved = errno;
	char *line = text;

	(void)vsnprintf(text, sizeof(text), format, args);
	while (line != NULL) {
		char *next = strchr(line, '\n');

		if (next != NULL)
			*next++ = '\0';
		log_text(level, line);
		line = next;
	}
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
