/*
 * commands.h - the table of the commands of countersignctl
 *
 * One row for each command, with its operands and options. The command line is parsed by it;
 * --help, the suggestions for misspelled words and the completion of three shells are made from it.
 *
 * Threads: there is one.
 */
#ifndef FILTER_CTL_COMMANDS_H
#define FILTER_CTL_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <talloc.h>

#include "filter/ctl/ctl.h"

#define COMMAND_OPERANDS_MAX	3
#define COMMAND_OPTIONS_MAX	6

/* An option of a command, or of all of them. */
struct ctl_option {
	const char *name;	/* "--for"; NULL ends a list */
	const char *value;	/* "TIME"; NULL: a flag */
	const char *help;	/* a verb phrase or a noun phrase, 50 columns at most */
	const char *words;	/* values, separated by spaces; others are errors unless the last is
				 * "..."; "FILE": a path; NULL: any */
	enum { OPTIONAL, REQUIRED, REPEATED } times;
};

struct ctl_command {
	const char *name;	/* one word or two: "quota show"; NULL ends the table */
	const char *operands[COMMAND_OPERANDS_MAX + 1];	/* "ACCOUNT"; in brackets if optional */
	struct ctl_option options[COMMAND_OPTIONS_MAX + 1];
	const char *help;	/* a verb phrase, 60 columns at most */
	const char *usage;	/* the words behind the name; NULL: as the rows say */
	ctl_run *run;
};

extern const struct ctl_command ctl_commands[];		/* sorted by subject */
extern const struct ctl_option ctl_global_options[];	/* of every command */

/* commands_find - the command that words begin with and how many words that is; NULL: none */
const struct ctl_command *commands_find(char **words, int *n_r);

/*
 * commands_unknown - why words begin with no command, in one line with the nearest one
 * The text is on ctx.
 */
const char *commands_unknown(TALLOC_CTX *ctx, char **words);

/* commands_option - the row of an option, of the command (may be NULL) or of all; NULL: none */
const struct ctl_option *commands_option(const struct ctl_command *command, const char *name,
    size_t len);

/* commands_usage - "quota set ACCOUNT LIMIT --for TIME", on ctx */
const char *commands_usage(TALLOC_CTX *ctx, const struct ctl_command *command);

/* commands_print_all - the text of --help */
void commands_print_all(FILE *to);

/* commands_print - the text of --help COMMAND */
void commands_print(TALLOC_CTX *ctx, FILE *to, const struct ctl_command *command);

/* commands_print_named - that of the command or group that words name; false if there is none */
bool commands_print_named(TALLOC_CTX *ctx, FILE *to, char **words);

/* completion_print - the completion for "bash", "zsh" or "fish"; false: another shell */
bool completion_print(FILE *to, const char *shell);

#endif
