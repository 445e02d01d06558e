/*
 * test_away_restart.c - the daemon ends while Redis hangs, and starts again: no limit is raised, and
 * no charge is lost
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
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "tests/support/redis_server.h"

#define PATIENCE_MS	60000

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
	f->options.deadline_ms = 100;
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

/* ask - a message of alice: so many recipients, from one of some clients */
static struct quota_plan *
ask(struct fixture *f, uint64_t recipients, uint64_t client, const uint64_t *marks)
{
	struct quota_cost cost = { .messages = 1,
		.recipients = recipients,
		.bytes = 1,
		.client = client,
		.has_client = true,
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
	assert_null(strstr(f->log, "charges"));
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
	assert_true(clock_ms() - before < 5000);	/* about a second on an idle machine */
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
	assert_non_null(strstr(f->log, "is back; 1 charge of before the start handed over"));
	store_close(store);
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
	assert_non_null(strstr(f->log, "1 charge of before the start, when Redis was away, given up"));
	assert_int_equal(status_of(store).pending, 0);
	assert_int_equal(status_of(store).dropped, 1);
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
		cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crash, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hangs_in_between, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_back_before_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_marks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_old, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_file, set_up, tear_down),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!redis_server_exists()) {
		printf("1..0 # SKIP redis-server is not installed: apt-get install redis-server\n");
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	cmocka_set_test_filter(getenv("TEST_FILTER"));	/* one of them, where it is set */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
