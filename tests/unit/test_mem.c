/*
 * test_mem.c - a process without memory ends, and the log says why
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/base/log.h"
#include "policy/base/mem.h"

/* end_of - what a child prints on standard error while it ends; its wait status */
static int
end_of(void (*child)(void), char *said, size_t size)
{
	const struct rlimit no_core = { 0, 0 };
	size_t len = 0;
	ssize_t got;
	int ends[2], status = 0;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(ends[1], STDERR_FILENO);
		child();
		_exit(0);
	}
	(void)close(ends[1]);
	while (len + 1 < size && (got = read(ends[0], said + len, size - len - 1)) > 0)
		len += (size_t)got;
	said[len] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
without_memory(void)
{
	log_open(false);
	(void)mem_check(NULL);
}

static void
too_many(void)
{
	log_open(false);
	(void)mem_count((size_t)UINT32_MAX + 1);
}

static void
without_log(void)
{
	(void)mem_check(NULL);
}

static void
test_end(void **state)
{
	static const struct { void (*child)(void); const char *says; } rows[] = {
		{ without_memory, "countersign: error: out of memory; this process ends\n" },
		{ too_many, "countersign: error: an array of more elements than fit; this process ends\n" },
		{ without_log, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char said[512];
		int status = end_of(rows[i].child, said, sizeof(said));

		assert_string_equal(said, rows[i].says);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
