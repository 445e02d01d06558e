/*
 * log.h - where lines go: syslog or standard error
 */
#ifndef FILTER_BASE_LOG_H
#define FILTER_BASE_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_INFO,		/* messages, start, reload */
	LOG_LEVEL_WARNING,	/* works, but not as it should */
	LOG_LEVEL_ERROR		/* does not work */
};

/* How the line of a message is spelled. */
enum log_format {
	LOG_FORMAT_TEXT,	/* key=value */
	LOG_FORMAT_JSON
};

/*
 * log_open - choose the target: syslog facility mail, or standard error
 * Called once, before threads. Until then lines go to standard error.
 */
void log_open(bool to_syslog);

/*
 * log_text - one line; control characters in it, line breaks included, become spaces
 * Any thread; a line is written whole. errno is kept.
 */
void log_text(enum log_level level, const char *text);

/*
 * log_lines - each line of a text as a line of the log: reports that were put together here
 * A part that comes from elsewhere must be without line breaks. Any thread.
 */
void log_lines(enum log_level level, const char *text);

/* log_json - one line of JSON, information, with nothing in front. Any thread. */
void log_json(const char *text);

/* log_start_error - why the daemon did not start, in lines: to the log, and to standard error */
void log_start_error(const char *text);

/* log_info, log_warning, log_error - one formatted line. Any thread. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
