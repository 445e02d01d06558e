/*
 * process.c - this process as other processes see it, and what those it starts inherit
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef HAVE_SYS_PRCTL_H
#include <sys/prctl.h>
#elif defined(HAVE_SYS_PROCCTL_H)
#include <sys/procctl.h>
#endif

#include "filter/base/process.h"

void
process_hide(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
#ifdef HAVE_SYS_PRCTL_H
	(void)prctl(PR_SET_DUMPABLE, 0);
#elif defined(HAVE_SYS_PROCCTL_H)
	int state = PROC_TRACE_CTL_DISABLE;

	(void)procctl(P_PID, getpid(), PROC_TRACE_CTL, &state);
#endif
}

int
process_close_rest(posix_spawn_file_actions_t *actions)
{
#ifdef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
	return posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
#else
	const long most = sysconf(_SC_OPEN_MAX);
	int error = 0;

	for (int fd = STDERR_FILENO + 1; error == 0 && fd < most; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			error = posix_spawn_file_actions_addclose(actions, fd);
	return error;
#endif
}
