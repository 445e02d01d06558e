/*
 * test_milter_gate.c - how many sessions are let in, and that each has its turn
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "filter/base/clock.h"
#include "filter/milter/gate.h"

#define SESSIONS	2000

/* make_ready - the pipe and so many sessions, all ready */
static void
make_ready(struct pollfd *fds, size_t sessions)
{
	for (size_t i = 0; i <= sessions; i++)
		fds[i] = (struct pollfd){ .fd = (int)i + 10, .events = POLLIN, .revents = POLLIN };
}

/* few sessions all get in, at once */
static void
test_few(void **state)
{
	struct pollfd fds[11];

	(void)state;
	make_ready(fds, 10);
	milter_gate_count(10);
	assert_true(milter_gate_room(10) >= 10);
	assert_int_equal(milter_gate_leave(fds, 11, 11, milter_gate_room(10)), 11);
	milter_gate_count(-10);
}

/* the gate closes when enough are in hand, and opens when half of them are done */
static void
test_closing(void **state)
{
	int max, waiting = SESSIONS;

	(void)state;
	milter_gate_count(SESSIONS);
	max = milter_gate_room(SESSIONS);
	assert_in_range(max, 32, 1024);
	waiting -= max;
	assert_int_equal(milter_gate_room((size_t)waiting), 0);
	assert_int_equal(milter_gate_room((size_t)waiting + 1), 0);
	assert_true(milter_gate_room((size_t)(waiting + max / 2)) >= max / 2);
	assert_true(milter_gate_room((size_t)waiting + 1) > 0);
	assert_true(milter_gate_relief() > 0);
	milter_gate_count(-SESSIONS);
}

/* beyond the room nobody gets in, the pipe always does, and after enough rounds everybody was in as
 * often */
static void
test_turns(void **state)
{
	static struct pollfd fds[SESSIONS + 1];
	static unsigned int served[SESSIONS + 1];
	unsigned int least = UINT32_MAX, most = 0;

	(void)state;
	for (int round = 0; round < SESSIONS; round++) {
		int in = 0;

		make_ready(fds, SESSIONS);
		assert_int_equal(milter_gate_leave(fds, SESSIONS + 1, SESSIONS + 1, 16), 17);
		assert_int_equal(fds[0].revents, POLLIN);
		for (size_t i = 1; i <= SESSIONS; i++) {
			in += fds[i].revents != 0;
			served[i] += fds[i].revents != 0;
		}
		assert_int_equal(in, 16);
	}
	for (size_t i = 1; i <= SESSIONS; i++) {
		least = served[i] < least ? served[i] : least;
		most = served[i] > most ? served[i] : most;
	}
	assert_int_equal(least, 16);
	assert_int_equal(most, 16);
}

/* those that are quiet stay so, and do not cost a turn */
static void
test_quiet(void **state)
{
	struct pollfd fds[101];

	(void)state;
	make_ready(fds, 100);
	for (size_t i = 1; i <= 100; i++)
		if (i % 10 != 0)
			fds[i].revents = 0;
	fds[0].revents = 0;
	assert_int_equal(milter_gate_leave(fds, 101, 10, 4), 4);
	for (size_t i = 1; i <= 100; i++)
		assert_true(fds[i].revents == 0 || i % 10 == 0);
}

/* few threads linger with their sessions, and these are not counted as at work */
static void
test_linger(void **state)
{
	int max, lingering = 0;

	(void)state;
	milter_gate_count(SESSIONS);
	max = milter_gate_room(SESSIONS);
	while (lingering < SESSIONS && milter_gate_linger())
		lingering++;
	assert_in_range(lingering, 8, 64);
	assert_false(milter_gate_linger());
	assert_int_equal(milter_gate_room((size_t)(SESSIONS - lingering)), max);
	milter_gate_lingered();
	assert_true(milter_gate_linger());
	for (int i = 0; i < lingering; i++)
		milter_gate_lingered();
	assert_int_equal(milter_gate_room((size_t)(SESSIONS - lingering)), max - lingering);
	milter_gate_count(-SESSIONS);
}

/* once the system has refused a thread, those that are there are for all */
static void
test_refused(void **state)
{
	int64_t now = clock_ms();

	(void)state;
	milter_gate_refuse(now);
	assert_false(milter_gate_linger());
	milter_gate_refuse(now - 3600000);
	assert_true(milter_gate_linger());
	milter_gate_lingered();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_closing),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_linger),
		cmocka_unit_test(test_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
