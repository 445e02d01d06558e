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

/* commands_print_all - the text of --help */
void commands_print_all(FILE *to);

/* commands_print - the text of --help COMMAND */
void commands_print(TALLOC_CTX *ctx, FILE *to, const struct ctl_command *command);

/* commands_print_named - that of the command or group that words name; false if there is none */
bool commands_print_named(TALLOC_CTX *ctx, FILE *to, char **words);

/* completion_print - the completion for "bash", "zsh" or "fish"; false: another shell */
bool completion_print(FILE *to, const char *shell);

#endif
