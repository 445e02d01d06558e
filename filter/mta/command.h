/*
 * command.h - run a program of the MTA: one that prints its settings, or takes mail
 */
#ifndef FILTER_MTA_COMMAND_H
#define FILTER_MTA_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#define COMMAND_OUTPUT_MAX (4 * 1024 * 1024) /* octets of each stream; more is an error */

/* What a program printed. */
struct command_output {
	char *out;		/* NUL-terminated */
	char *error;
	int status;		/* its exit status; 128 + signal */
};

/* command_find - the path of a program: in PATH, else in the usual directories of root; or NULL */
const char *command_find(TALLOC_CTX *ctx, const char *name);

/*
 * command_feed - as command_run(), with len octets as its standard input
 */
int command_feed(TALLOC_CTX *ctx, const char *const *argv, const void *input, size_t len,
    int64_t deadline_ms, struct command_output *output_r, const char **error_r);

/*
 * command_run - run argv[0], an absolute path, without a shell and without standard input
 * It is killed at deadline_ms (clock_ms()). Returns 0 with *output_r on ctx, or -1 and *error_r on
 * ctx. Any thread.
 */
int command_run(TALLOC_CTX *ctx, const char *const *argv, int64_t deadline_ms,
    struct command_output *output_r, const char **error_r);

/*
 * command_lines - as command_run(), with each line of its standard output to line(), without its
 * end and not kept; what it writes to standard error is dropped
 * The output may be of any length, a line has at most COMMAND_OUTPUT_MAX octets: a longer one ends
 * the program. Returns its exit status (128 + signal), or -1 and *error_r on ctx.
 */
typedef void command_line_fn(void *arg, char *text);
int command_lines(TALLOC_CTX *ctx, const char *const *argv, int64_t deadline_ms,
    command_line_fn *line, void *arg, const char **error_r);

#endif
