/*
 * process.h - this process as other processes see it, and what those it starts inherit
 */
#ifndef FILTER_BASE_PROCESS_H
#define FILTER_BASE_PROCESS_H

#include <spawn.h>

/* process_hide - no core dump, and no debugger of the same user, as far as the system has that */
void process_hide(void);

/* process_close_rest - the child has no descriptors but 0, 1 and 2; 0 or an error number
 * libmilter's connections are not close-on-exec; a program that hangs must not hold them. */
int process_close_rest(posix_spawn_file_actions_t *actions);

#endif
