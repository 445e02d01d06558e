/*
 * test_away_restart.c - the daemon ends while Redis hangs, and starts again: no limit is raised, and
 * no charge is lost; what operators change meanwhile holds, and is handed over
 *
 * The server is a real one, which is stopped (SIGSTOP) and goes on. A crash is that of a child
 * process that ends without closing the store.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/base/clock.h"
#include "filter/store/plan_text.h"
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "tests/support/redis_server.h"

#define PATIENCE_MS	60000
#define HANGS_MS	1000	/* without an answer for so long, Redis hangs: a busy host answers */

struct fixture {
	TALLOC_CTX *ctx;
	struct redis_server server;
	struct store_options options;
	struct plan *plan;
	char *file;
	char log[4096];		/* of the store that is open */
	uint64_t ids;
};

/* --- helpers --- */

static void
keep_log(void *arg, enum store_log_level level, const char *text)
{
	struct fixture *f = arg;
	size_t len = strlen(f->log);

	(void)level;
	snprintf(f->log + len, sizeof(f->log) - len, "%s\n", text);
}

static struct plan *
plan_of(TALLOC_CTX *ctx, const char *const *texts, size_t n)
{
	struct plan *plan = mem_new(ctx, struct plan);
	const char *error = NULL;

	plan->on_over = ACTION_TEMPFAIL;
	plan->limits = mem_array(plan, struct limit, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
		    limit_parse(plan, texts[i], &plan->limits[plan->n_limits++], &error), 0);
	return plan;
}

static int
set_up(void **state)
{
	static const char *const texts[] = { "10 recipients per day" };
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(redis_server_make(&f->server));
	redis_server_start(&f->server, NULL);
	f->ctx = talloc_new(NULL);
	f->plan = plan_of(f->ctx, texts, 1);
	f->file = mem_printf(f->ctx, "%s/away", f->server.directory);
	f->options.kind = STORE_REDIS;
	f->options.redis.server = f->server.address;
	f->options.deadline_ms = HANGS_MS;
	f->options.holds = true;
	f->options.away_file = f->file;
	f->options.log = keep_log;
	f->options.log_arg = f;
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	redis_server_signal(&f->server, SIGCONT);
	talloc_free(f->ctx);
	redis_server_remove(&f->server);
	free(f);
	return 0;
}

static struct store *
open_store(struct fixture *f)
{
	const char *error = NULL;
	struct store *store;

	f->log[0] = '\0';
	store = store_open(f->ctx, &f->options, &error);
	if (store == NULL)
		fail_msg("%s", error);
	return store;
}

static struct store_status
status_of(struct store *store)
{
	TALLOC_CTX *tmp = talloc_new(NULL);
	struct store_status status;

	store_status(store, tmp, &status);
	talloc_free(tmp);
	return status;
}

/* wait_handed_over - until nothing waits for Redis any more */
static void
wait_handed_over(struct store *store)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (status_of(store).away || status_of(store).pending > 0) {
		if (clock_ms() > end)
			fail_msg("the charges are never handed over");
		usleep(5000);
	}
}

/* wait_log - until one of two texts is in the log, which is written after the status has changed */
static void
wait_log(const struct fixture *f, const char *one, const char *other)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (strstr(f->log, one) == NULL && strstr(f->log, other) == NULL) {
		if (clock_ms() > end)
			fail_msg("neither \"%s\" nor \"%s\" in: %s", one, other, f->log);
		usleep(5000);
	}
}

/* ask - a message of alice: so many recipients, from one of some clients */
static struct quota_plan *
ask(struct fixture *f, uint64_t recipients, uint64_t client, const uint64_t *marks)
{
	struct quota_cost cost = { .messages = 1,
		.recipients = recipients,
		.bytes = 1,
		.things[LIMIT_CLIENTS] = { true, client },
		.marks = marks,
		.n_marks = marks != NULL ? (size_t)recipients : 0 };
	uint8_t id[QUOTA_ID_LEN] = { 0 };

	f->ids++;
	memcpy(id, &f->ids, sizeof(f->ids));
	return quota_plan_make(NULL, f->plan, "alice@example.org", &cost, false, id);
}

static bool
passes_with(struct fixture *f, struct store *store, uint64_t recipients, uint64_t client,
    const uint64_t *marks)
{
	struct quota_plan *asked = ask(f, recipients, client, marks);
	struct quota_reply reply;

	store_charge(store, asked, asked, clock_ms() + PATIENCE_MS, &reply);
	talloc_free(asked);
	assert_true(reply.state == QUOTA_CHARGED || reply.state == QUOTA_REFUSED);
	return reply.state == QUOTA_CHARGED;
}

static bool
passes(struct fixture *f, struct store *store, uint64_t recipients)
{
	return passes_with(f, store, recipients, 1, NULL);
}

static int
counted(struct fixture *f, struct store *store)
{
	struct quota_plan *asked = ask(f, 1, 1, NULL);
	struct quota_reply reply;
	int used;

	store_read(store, asked, asked, clock_ms() + PATIENCE_MS, &reply);
	assert_int_equal(reply.state, QUOTA_READ);
	used = (int)reply.counts[0].used;
	talloc_free(asked);
	return used;
}

/* change_file - what only time or another program does to the file */
static void
change_file(struct fixture *f, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* --- tests --- */

/* use_up - six while Redis works, four while it hangs: all that may pass */
static void
use_up(struct fixture *f, struct store *store)
{
	assert_true(passes(f, store, 6));
	redis_server_signal(&f->server, SIGSTOP);
	assert_true(passes(f, store, 4));
	assert_false(passes(f, store, 1));
}

/* go_on - another process, while Redis hangs and when it is back */
static void
go_on(struct fixture *f)
{
	struct store *store = open_store(f);

	assert_non_null(strstr(f->log, "1 charge passed while Redis was away before the start"));
	for (int i = 0; i < 3; i++)
		assert_false(passes(f, store, 1));
	assert_int_equal(status_of(store).pending, 1);
	redis_server_signal(&f->server, SIGCONT);
	wait_handed_over(store);
	assert_int_equal(counted(f, store), 10);
	assert_false(passes(f, store, 1));
	store_close(store);
	/* and it is told once */
	store = open_store(f);
	assert_null(strstr(f->log, "handed over"));
	assert_int_equal(counted(f, store), 10);
	store_close(store);
}

static void
test_stop(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_store(f);
	int64_t before;

	use_up(f, store);
	before = clock_ms();
	store_close(store);
	assert_true(clock_ms() - before < PATIENCE_MS);	/* about a second on an idle machine */
	go_on(f);
}

static void
test_crash(void **state)
{
	struct fixture *f = *state;
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		use_up(f, open_store(f));
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	f->ids = 100;
	go_on(f);
}

/* Redis works when we end, and hangs when we start. */
static void
test_hangs_in_between(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_store(f);

	assert_true(passes(f, store, 9));
	store_close(store);
	redis_server_signal(&f->server, SIGSTOP);
	store = open_store(f);
	assert_true(passes(f, store, 1));
	assert_false(passes(f, store, 1));
	redis_server_signal(&f->server, SIGCONT);
	wait_handed_over(store);
	assert_int_equal(counted(f, store), 10);
	store_close(store);
}

/* Redis works when we start: what waits is handed over before messages ask it. */
static void
test_back_before_start(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_store(f);

	use_up(f, store);
	store_close(store);
	redis_server_signal(&f->server, SIGCONT);
	store = open_store(f);
	assert_false(passes(f, store, 1));
	wait_handed_over(store);
	assert_int_equal(counted(f, store), 10);
	/* on a busy host Redis may have been away for a moment once more */
	wait_log(f, "is back; 1 charge from before the start handed over",
	    "; 1 charge handed over");
	store_close(store);
}

/* What an older release kept has one mark for all counters. */
static void
test_older_line(void **state)
{
	static const char counters[] = "2 0 c3600000 5 3600000 3600000 10 1 0 1 "
				       "0 r3600000.48 1 3600000 75000 10 2 1 1 0";
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *ids = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";

	(void)state;
	for (int known = 0; known < 2; known++) {
		const char *line = mem_printf(ctx,
		    "1 alice alice {alice}:s:alice %s 2 %d 42 1 97 {alice}:a:alice ! %s", ids,
		    known, counters);
		struct quota_plan *plan = plan_text_read(ctx, line), *again;

		assert_non_null(plan);
		assert_int_equal(plan->counters[0].mark, 42);
		assert_int_equal(plan->counters[0].cost, known);
		assert_int_equal(plan->counters[1].cost, 2);
		again = plan_text_read(ctx, plan_text_write(ctx, plan));
		assert_int_equal(again->counters[0].mark, 42);
		assert_int_equal(again->counters[0].cost, known);
	}
	talloc_free(ctx);
}

/* Limits of new recipients and of clients: who was counted is not counted again. */
static void
test_marks(void **state)
{
	static const char *const texts[] = { "2 client-addresses per day", "3 new-recipients per day" };
	static const uint64_t first[] = { 11 }, second[] = { 12, 13 }, third[] = { 11, 13 },
			      other[] = { 14 };
	struct fixture *f = *state;
	struct store *store = open_store(f);

	f->plan = plan_of(f->ctx, texts, 2);
	assert_true(passes_with(f, store, 1, 1, first));
	redis_server_signal(&f->server, SIGSTOP);
	assert_true(passes_with(f, store, 2, 2, second));
	store_close(store);
	store = open_store(f);
	assert_true(passes_with(f, store, 2, 1, third));
	assert_true(passes_with(f, store, 2, 2, third));
	assert_false(passes_with(f, store, 1, 3, first));
	assert_false(passes_with(f, store, 1, 1, other));
	redis_server_signal(&f->server, SIGCONT);
	wait_handed_over(store);
	assert_false(passes_with(f, store, 1, 3, first));
	assert_false(passes_with(f, store, 1, 1, other));
	assert_true(passes_with(f, store, 2, 2, second));
	store_close(store);
}

/* What Redis may have executed longer ago than it remembers ids is given up, which is logged. */
static void
test_too_old(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_store(f);

	use_up(f, store);
	store_close(store);
	change_file(f, "UPDATE charges SET at = at - 3600000, ambiguous_at = at - 3600000");
	store = open_store(f);
	assert_non_null(strstr(f->log, "1 charge from before the start, when Redis was away, given "
	    "up"));
	assert_int_equal(status_of(store).pending, 0);
	assert_int_equal(status_of(store).dropped, 1);
	store_close(store);
}

/* --- what operators change --- */

/* other_store - another filter on the same Redis */
static struct store *
other_store(struct fixture *f)
{
	struct store_options options = f->options;
	const char *error = NULL;
	struct store *store;

	options.away_file = NULL;
	options.log = NULL;
	options.deadline_ms = PATIENCE_MS;	/* it is asked while Redis works */
	store = store_open(f->ctx, &options, &error);
	assert_non_null(store);
	return store;
}

static bool
is_blocked(struct fixture *f, struct store *store)
{
	struct quota_plan *asked = ask(f, 1, 1, NULL);
	struct quota_reply reply;
	bool blocked;

	asked->block_binds = true;
	store_charge(store, asked, asked, clock_ms() + PATIENCE_MS, &reply);
	blocked = reply.state == QUOTA_REFUSED && reply.block != NULL;
	talloc_free(asked);
	return blocked;
}

/* expect_held - whether a change was held, as its note says */
static void
expect_held(const char *note, bool held)
{
	if (held)
		assert_non_null(note);
	else
		assert_null(note);
	if (held)
		assert_non_null(strstr(note, "Redis is away: this holds on this filter at once"));
}

/* until - when a change must be settled: soon if Redis hangs, else when a busy machine comes to it */
static int64_t
until(bool held)
{
	return clock_ms() + (held ? 1000 : PATIENCE_MS);
}

static void
block(struct fixture *f, struct store *store, bool held)
{
	struct quota_plan *alice = ask(f, 1, 1, NULL);
	const char *note = NULL;

	assert_int_equal(store_block(store, f->ctx, alice, 0, "why", "me",
			     until(held), &note), 0);
	expect_held(note, held);
	talloc_free(alice);
}

static void
unblock(struct fixture *f, struct store *store, bool held)
{
	struct quota_plan *alice = ask(f, 1, 1, NULL);
	const char *note = NULL;

	assert_int_equal(store_unblock(store, f->ctx, alice, until(held), &note), 1);
	expect_held(note, held);
	talloc_free(alice);
}

static void
raise_to(struct fixture *f, struct store *store, const char *text, bool held)
{
	struct quota_plan *alice = ask(f, 1, 1, NULL);
	const char *note = NULL;
	struct limit limit;

	assert_int_equal(limit_parse(f->ctx, text, &limit, &note), 0);
	assert_int_equal(store_raise(store, f->ctx, alice, &limit, 3600000, until(held),
			     &note), 0);
	expect_held(note, held);
	talloc_free(alice);
}

/* wait_changes - until no change waits any more */
static void
wait_changes(struct store *store)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (status_of(store).changes > 0 || status_of(store).away) {
		if (clock_ms() > end)
			fail_msg("the changes are never handed over");
		usleep(5000);
	}
}

/* hang - Redis hangs, and the store knows it */
static void
hang(struct fixture *f, struct store *store)
{
	redis_server_signal(&f->server, SIGSTOP);
	assert_true(passes(f, store, 1));
	assert_true(status_of(store).away);
}

/* A block holds at once, and a restart later; another filter has it when Redis is back. */
static void
test_block(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_store(f), *other = other_store(f);

	hang(f, store);
	assert_false(is_blocked(f, store));
	block(f, store, true);
	assert_true(is_blocked(f, store));
	store_close(store);
	store = open_store(f);
	assert_true(is_blocked(f, store));
	assert_int_equal(status_of(store).changes, 1);
	redis_server_signal(&f->server, SIGCONT);
	wait_changes(store);
	wait_changes(other);
	assert_true(is_blocked(f, other));
	assert_true(is_blocked(f, store));
	wait_log(f, "the block of alice@example.org, set while Redis was away, was handed over",
	    "the block of alice@example.org, set while Redis was away, was handed over");
	unblock(f, other, false);
	assert_false(is_blocked(f, other));
	store_close(other);
	store_close(store);
}

/* A block that Redis knows, too, holds after a crash while Redis worked; one that ended does not. */
static void
test_known_block(void **state)
{
	struct fixture *f = *state;
	struct store *store;

	for (int i = 0; i < 2; i++) {
		struct store *other = other_store(f);
		pid_t pid;

		wait_changes(other);
		if (i == 0)
			block(f, other, false);
		else
			unblock(f, other, false);
		store_close(other);	/* a process that forks has no other threads */
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			store = open_store(f);
			while (store_known_block(store, f->ctx, "alice@example.org", NULL) != (i == 0))
				usleep(10000);
			usleep(300000);		/* the file is written after the list was read */
			raise(SIGKILL);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		redis_server_signal(&f->server, SIGSTOP);
		f->ids += 100;
		store = open_store(f);
		assert_int_equal(is_blocked(f, store), i == 0);
		redis_server_signal(&f->server, SIGCONT);
		store_close(store);
	}
}

/* So does its end: Redis must not find the block in its buffers when it goes on. */
static void
test_unblock(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_store(f), *other = other_store(f);

	assert_true(passes(f, store, 1));
	redis_server_signal(&f->server, SIGSTOP);
	block(f, store, true);		/* by one who does not know yet that Redis hangs */
	unblock(f, store, true);
	assert_false(is_blocked(f, store));
	redis_server_signal(&f->server, SIGCONT);
	wait_changes(store);
	wait_changes(other);
	/* the block may reach Redis after that, and end with the list that is read next */
	for (int64_t end = clock_ms() + PATIENCE_MS; is_blocked(f, other) && clock_ms() < end; )
		usleep(10000);
	usleep(300000);			/* what Redis had in its buffers is done */
	assert_false(is_blocked(f, other));
	assert_false(is_blocked(f, store));
	store_close(other);
	store_close(store);
}

/* What is said to have failed is not done later, by a process that does not stay (--direct). */
static void
test_failed_is_not_done(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_store(f), *other;
	struct quota_plan *alice = ask(f, 1, 1, NULL);
	const char *error = NULL;
	struct limit limit;

	assert_true(passes(f, store, 1));
	assert_int_equal(limit_parse(f->ctx, "1 recipients per day", &limit, &error), 0);
	f->options.holds = false;
	f->options.away_file = NULL;
	for (int i = 0; i < 3; i++) {
		other = open_store(f);
		wait_changes(other);
		redis_server_signal(&f->server, SIGSTOP);
		if (i == 0)
			assert_int_equal(store_block(other, f->ctx, alice, 0, "why", "me",
					     clock_ms() + 1000, &error), -1);
		else if (i == 1)
			assert_int_equal(store_raise(other, f->ctx, alice, &limit, 3600000,
					     clock_ms() + 1000, &error), -1);
		else
			assert_int_equal(store_reset(other, f->ctx, alice, clock_ms() + 1000,
					     &error), -1);
		assert_non_null(strstr(error, "; nothing was changed"));
		redis_server_signal(&f->server, SIGCONT);
		store_close(other);
	}
	wait_changes(store);
	usleep(300000);			/* what Redis had in its buffers is done */
	other = open_store(f);
	wait_changes(other);
	assert_false(is_blocked(f, other));
	assert_false(store_known_block(other, f->ctx, "alice@example.org", NULL));
	assert_int_equal(counted(f, other), 2);
	assert_true(passes(f, other, 1));
	store_close(other);
	store_close(store);
	talloc_free(alice);
}

/* The later of two changes wins, though the earlier one arrives later. */
static void
test_later_wins(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_store(f), *other;

	hang(f, store);
	block(f, store, true);
	raise_to(f, store, "12 recipients per day", true);
	store_close(store);
	redis_server_signal(&f->server, SIGCONT);
	other = other_store(f);
	block(f, other, false);
	unblock(f, other, false);
	raise_to(f, other, "11 recipients per day", false);
	store = open_store(f);
	wait_changes(store);
	wait_log(f, "the block of alice@example.org, set while Redis was away, is superseded by a later",
	    "the raised limit of alice@example.org, set while Redis was away, is superseded by a later");
	assert_false(is_blocked(f, other));
	for (int64_t end = clock_ms() + PATIENCE_MS; is_blocked(f, store) && clock_ms() < end;)
		usleep(10000);
	assert_false(is_blocked(f, store));
	while (passes(f, other, 1))
		;
	assert_int_equal(counted(f, other), 11);
	store_close(other);
	store_close(store);
}

/* A raised limit holds at once, after a restart, and in Redis. */
static void
test_raise(void **state)
{
	struct fixture *f = *state;
	struct store *store = open_store(f), *other = other_store(f);

	use_up(f, store);
	raise_to(f, store, "13 recipients per day", true);
	assert_true(passes(f, store, 1));
	store_close(store);
	store = open_store(f);
	assert_true(passes(f, store, 1));
	assert_false(passes(f, store, 2));
	redis_server_signal(&f->server, SIGCONT);
	wait_changes(store);
	wait_changes(other);
	assert_int_equal(counted(f, other), 12);
	assert_true(passes(f, other, 1));
	assert_false(passes(f, store, 1));
	store_close(other);
	store_close(store);
}

/* expect_refusal - the file must not be used, and is not changed */
static void
expect_refusal(struct fixture *f, const char *words)
{
	const char *error = NULL;
	struct store *store = store_open(f->ctx, &f->options, &error);

	assert_null(store);
	if (strstr(error, words) == NULL || strstr(error, f->file) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", error, words);
}

static void
write_file(struct fixture *f, const char *text)
{
	int fd = open(f->file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void
test_bad_file(void **state)
{
	struct fixture *f = *state;
	struct store *store;

	write_file(f, "# not ours\n");
	expect_refusal(f, "were not written by countersign; move the file away");
	unlink(f->file);
	store = open_store(f);
	expect_refusal(f, "in use by another countersign");
	use_up(f, store);
	store_close(store);
	chmod(f->file, 0666);
	expect_refusal(f, "can be written by other users: chmod go-w");
	chmod(f->file, 0600);
	change_file(f, "UPDATE charges SET plan = replace(plan, ' ', '  ')");
	expect_refusal(f, "are damaged; move the file away");
	change_file(f, "UPDATE charges SET plan = replace(plan, '  ', ' '); UPDATE subjects SET"
	    " lines = 'nonsense'");
	expect_refusal(f, "are damaged; move the file away");
	change_file(f, "DELETE FROM subjects; PRAGMA user_version = 2");
	expect_refusal(f, "were written by a newer version of countersign");
	f->options.away_file = f->file = mem_printf(f->ctx, "%s/no/away", f->server.directory);
	expect_refusal(f, "its directory must be one in which the daemon may write");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_older_line),
		cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crash, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hangs_in_between, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_back_before_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_marks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_old, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_block, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_known_block, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unblock, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_is_not_done, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_later_wins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_raise, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_file, set_up, tear_down),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!redis_server_exists()) {
		printf("1..0 # SKIP redis-server is not installed: apt-get install redis-server\n");
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	cmocka_set_test_filter(getenv("TEST_FILTER"));	/* one of them, if it is set */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
