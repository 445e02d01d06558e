/*
 * test_resolver_bad.c - the resolver against a server that misbehaves
 *
 * tests/support/dns_server.py answers on a port of loopback as the first label of each
 * name says: with errors, truncated, in loops, too much, or with octets that
 * are no DNS. Every row has a resolver of its own, because libunbound remembers
 * of a server how it behaved.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <sys/types.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/base/clock.h"
#include "filter/dns/resolver.h"
#include "filter/spf/spf.h"
#include "policy/base/mem.h"

/* No answer on loopback takes so long; tests that pass never wait for it. */
#define PATIENCE_MS	20000
/* Silence is waited for, so this is what such a test takes. */
#define SILENCE_MS	400

struct row {
	const char *label;
	const char *name;	/* below bad.test */
	enum dns_type type;
	enum dns_status status;
	size_t count;
	size_t len;		/* of the first record */
};

static const struct row rows[] = {
	{ "an honest answer", "good", DNS_TXT, DNS_OK, 1, 11 },
	{ "a late one", "late-300", DNS_TXT, DNS_OK, 1, 11 },
	{ "no such name", "nothing", DNS_TXT, DNS_NXDOMAIN, 0, 0 },
	{ "no such record", "empty", DNS_TXT, DNS_NODATA, 0, 0 },
	{ "no such record, and no SOA", "bare", DNS_TXT, DNS_NODATA, 0, 0 },
	{ "SERVFAIL", "servfail", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "REFUSED", "refused", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "FORMERR", "formerr", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "NOTIMP", "notimp", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "silence", "silent", DNS_TXT, DNS_TIMEOUT, 0, 0 },
	{ "truncated, whole by TCP", "truncated", DNS_TXT, DNS_OK, 1, 11 },
	{ "truncated, TCP closes", "halfopen", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "a record that needs TCP", "big-4000", DNS_TXT, DNS_OK, 1, 4000 },
	{ "the largest record that fits", "big-65000", DNS_TXT, DNS_OK, 1, 65000 },
	{ "more than a message holds", "big-65500", DNS_TXT, DNS_TIMEOUT, 0, 0 },
	{ "3000 addresses", "many-3000", DNS_A, DNS_OK, 3000, 4 },
	{ "more addresses than a message holds", "many-4500", DNS_A, DNS_FAILURE, 0, 0 },
	{ "1000 hosts", "many-1000", DNS_MX, DNS_OK, 1000, 10 },
	{ "an alias of an alias", "chain-2", DNS_TXT, DNS_OK, 1, 11 },
	{ "a chain of 8 aliases", "chain-8", DNS_TXT, DNS_OK, 1, 11 },
	{ "a chain of 30", "chain-30", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "a loop of two", "loop-0", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "an alias of itself", "self", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "an alias of nothing", "lost", DNS_TXT, DNS_NXDOMAIN, 0, 0 },
	{ "the id of another question", "wrongid", DNS_TXT, DNS_TIMEOUT, 0, 0 },
	{ "the answer to another question", "wrongname", DNS_A, DNS_FAILURE, 0, 0 },
	{ "a record of another name", "othername", DNS_A, DNS_NODATA, 0, 0 },
	{ "a record of another type", "othertype", DNS_TXT, DNS_NODATA, 0, 0 },
	{ "a record of another class", "otherclass", DNS_A, DNS_NODATA, 0, 0 },
	{ "octets that are no DNS", "garbage", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "an answer that is cut off", "stump", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "a header that is cut off", "header", DNS_TXT, DNS_TIMEOUT, 0, 0 },
	{ "a name that points to itself", "pointer", DNS_A, DNS_FAILURE, 0, 0 },
	{ "a string longer than its record", "lie", DNS_TXT, DNS_FAILURE, 0, 0 },
	{ "an address of three octets", "lie", DNS_A, DNS_FAILURE, 0, 0 },
	{ "the question sent back", "query", DNS_TXT, DNS_FAILURE, 0, 0 },
};

/* The server. */
struct fixture {
	pid_t pid;
	int input;		/* it ends when this is closed */
	char address[32];
};

static int
start_server(void **state)
{
	const char *top = getenv("srcdir");
	struct fixture *fixture = mem_new(NULL, struct fixture);
	char *script =
	    mem_printf(fixture, "%s/tests/support/dns_server.py", top != NULL ? top : ".");
	int in[2], out[2];
	unsigned int port = 0;
	FILE *answer;

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	fixture->pid = fork();
	assert_true(fixture->pid >= 0);
	if (fixture->pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		execlp("python3", "python3", "-B", script, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	fixture->input = in[1];
	answer = fdopen(out[0], "r");
	if (answer == NULL || fscanf(answer, "%u", &port) != 1)
		fail_msg("tests/support/dns_server.py did not start");
	fclose(answer);
	snprintf(fixture->address, sizeof(fixture->address), "127.0.0.1@%u", port);
	*state = fixture;
	return 0;
}

static int
stop_server(void **state)
{
	struct fixture *fixture = *state;

	close(fixture->input);
	waitpid(fixture->pid, NULL, 0);
	talloc_free(fixture);
	return 0;
}

static struct resolver *
new_resolver(const struct fixture *fixture)
{
	const char *servers[] = { fixture->address, NULL };
	const struct resolver_options options = { .servers = servers, .cache_entries = 100,
		.authority_port = (unsigned int)atoi(strchr(fixture->address, '@') + 1) };
	const char *error;
	struct resolver *resolver = resolver_new(NULL, &options, &error);

	assert_non_null(resolver);
	return resolver;
}

/* is_dropped - libunbound 1.22 drops an address of a wrong length, whereas earlier ones take the
 * whole answer for broken */
static bool
is_dropped(const struct row *row, const struct dns_answer *answer)
{
	return row->type == DNS_A && strcmp(row->name, "lie") == 0 && answer->status == DNS_NODATA;
}

static void
test_answers(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct resolver *resolver = new_resolver(*state);
		char *name = mem_printf(resolver, "%s.bad.test", row->name);
		struct dns_answer *answer =
		    resolver_ask(resolver, resolver, name, strlen(name), row->type,
			clock_ms() + (row->status == DNS_TIMEOUT ? SILENCE_MS : PATIENCE_MS));

		if (is_dropped(row, answer)) {
			assert_int_equal(answer->count, 0);
			talloc_free(resolver);
			continue;
		}
		if (answer->status != row->status || answer->count != row->count ||
		    (row->count > 0 && answer->records[0].len != row->len))
			fail_msg("%s: status %d, %zu records (%s)", row->label, answer->status,
			    answer->count, answer->problem != NULL ? answer->problem : "-");
		assert_int_equal(answer->problem != NULL, row->status == DNS_FAILURE ||
		    row->status == DNS_TIMEOUT);
		talloc_free(resolver);
	}
}

/* ask_for - one question below bad.test */
static struct dns_answer *
ask_for(struct resolver *resolver, const char *name, enum dns_type type, int64_t wait_ms)
{
	char *whole = mem_printf(resolver, "%s.bad.test", name);

	return resolver_ask(resolver, resolver, whole, strlen(whole), type, clock_ms() + wait_ms);
}

/* pause_ms - wait a little */
static void
pause_ms(long ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

/* Domains whose servers are dead hide no others. The pause is the time in which a resolver
 * library concludes from silence that the server is dead. */
static void
test_dead_domains(void **state)
{
	struct resolver *resolver = new_resolver(*state);

	for (int i = 0; i < 8; i++) {
		char *name = mem_printf(resolver, "silent.%d.bad.test", i);

		resolver_prefetch(resolver, name, strlen(name), DNS_TXT);
	}
	pause_ms(6200);
	for (int i = 0; i < 79; i++)
		assert_int_equal(ask_for(resolver, mem_printf(resolver, "good.%d", i), DNS_TXT,
		    PATIENCE_MS)->status, DNS_OK);
	talloc_free(resolver);
}

/* A name that takes its servers long is waited for as long as the asker likes. */
static void
test_slow_domains(void **state)
{
	static const char *const names[] = { "late-900", "late-2900" };
	struct resolver *resolver = new_resolver(*state);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(
		    ask_for(resolver, names[i], DNS_TXT, PATIENCE_MS)->status, DNS_OK);
	talloc_free(resolver);
}

/* Who does not answer: the domain's servers, or our resolver? */
static void
test_blame(void **state)
{
	struct fixture *fixture = *state;
	struct resolver *resolver = new_resolver(fixture);
	struct resolver_status status;
	struct dns_answer *answer;
	int64_t until;

	assert_non_null(strstr(ask_for(resolver, "servfail", DNS_TXT, PATIENCE_MS)->problem,
	    "the name servers of this domain fail (SERVFAIL"));
	assert_non_null(strstr(ask_for(resolver, "silent", DNS_TXT, 2500)->problem,
	    "the name servers of this domain do not answer"));
	resolver_status(resolver, &status);
	assert_false(status.away);
	assert_string_equal(status.servers, fixture->address);

	assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
	answer = ask_for(resolver, "good.1", DNS_TXT, PATIENCE_MS);
	assert_true(dns_answer_failed(answer));
	assert_non_null(strstr(answer->problem, "our resolver 127.0.0.1@"));
	resolver_status(resolver, &status);
	assert_true(status.away);

	/* It is back without anybody having asked. */
	assert_int_equal(kill(fixture->pid, SIGCONT), 0);
	for (until = clock_ms() + PATIENCE_MS; status.away && clock_ms() < until; pause_ms(20))
		resolver_status(resolver, &status);
	assert_false(status.away);
	assert_int_equal(ask_for(resolver, "good.2", DNS_TXT, PATIENCE_MS)->status, DNS_OK);
	talloc_free(resolver);
}

/* What DNS said before stands in where it fails, and says so. */
static void
test_stale(void **state)
{
	static const char *const names[] = { "once-0", "once-1" };
	struct resolver *resolver = new_resolver(*state);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int64_t until = clock_ms() + PATIENCE_MS;
		struct dns_answer *answer = ask_for(resolver, names[i], DNS_TXT, PATIENCE_MS);

		assert_int_equal(answer->status, DNS_OK);
		assert_false(answer->stale);
		while (!answer->stale && clock_ms() < until) {
			pause_ms(50);
			answer = ask_for(resolver, names[i], DNS_TXT, PATIENCE_MS);
		}
		assert_true(answer->stale);
		assert_int_equal(answer->status, DNS_OK);
		assert_int_equal(answer->count, 1);
		assert_string_equal((const char *)answer->records[0].data, "v=spf1 -all");
		assert_non_null(answer->problem);
	}
	/* a name that never had an answer has none to stand in */
	assert_int_equal(ask_for(resolver, "servfail", DNS_TXT, PATIENCE_MS)->status, DNS_FAILURE);
	talloc_free(resolver);
}

/* The order of hosts is not the order of the day. */
static void
test_order(void **state)
{
	for (int i = 0; i < 5; i++) {
		struct resolver *resolver = new_resolver(*state);
		struct dns_answer *mx = ask_for(resolver, "turn", DNS_MX, PATIENCE_MS);
		struct dns_answer *ptr = ask_for(resolver, "turn", DNS_PTR, PATIENCE_MS);

		assert_int_equal(mx->count, 12);
		assert_int_equal(ptr->count, 12);
		for (size_t k = 0; k < 12; k++) {
			char *name = mem_printf(resolver, "h%02zu.test", k);

			assert_string_equal((const char *)mx->records[k].data, name);
			assert_string_equal((const char *)ptr->records[k].data, name);
		}
		talloc_free(resolver);
	}
}

/* A name that our resolver does not know of yet is asked for at the name servers of its zone. */
static void
test_authority(void **state)
{
	static const char *const names[] = { "behind.bad.test", "nothing.bad.test", "alias.bad.test",
		"good.elsewhere.test", "..", "servfail.bad.test" };
	static const enum dns_status expected[] = { DNS_OK, DNS_NXDOMAIN, DNS_OK, DNS_OK, DNS_TIMEOUT,
		DNS_FAILURE };
	struct resolver *resolver = new_resolver(*state);
	struct dns_answer **answers;

	assert_int_equal(ask_for(resolver, "behind", DNS_TXT, PATIENCE_MS)->status, DNS_NXDOMAIN);
	answers = resolver_ask_authority(
	    resolver, resolver, names, 6, DNS_TXT, clock_ms() + PATIENCE_MS);
	for (size_t i = 0; i < 6; i++)
		if (answers[i]->status != expected[i])
			fail_msg("%s: status %d (%s)", names[i], answers[i]->status,
			    answers[i]->problem != NULL ? answers[i]->problem : "-");
	talloc_free(resolver);
}

/* What each of them means for SPF of a domain, and how it is said. */
static void
test_spf(void **state)
{
	static const struct {
		const char *name;
		enum spf_result result;
	} checks[] = {
		{ "good", SPF_IS_FAIL }, { "nothing", SPF_IS_NONE }, { "empty", SPF_IS_NONE },
		{ "servfail", SPF_IS_TEMPERROR }, { "refused", SPF_IS_TEMPERROR },
		{ "silent", SPF_IS_TEMPERROR }, { "truncated", SPF_IS_FAIL },
		{ "halfopen", SPF_IS_TEMPERROR }, { "chain-8", SPF_IS_FAIL },
		{ "loop-0", SPF_IS_TEMPERROR }, { "lie", SPF_IS_TEMPERROR },
		{ "big-65000", SPF_IS_NONE }, { "many-3000", SPF_IS_NONE },
		{ "garbage", SPF_IS_TEMPERROR },
	};
	const struct spf_client client = { .address = "192.0.2.1" };
	size_t i;

	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct resolver *resolver = new_resolver(*state);
		struct spf_service service;
		struct spf_fact fact;

		spf_service_init(&service, resolver, "mx.example.org");
		spf_check_mailfrom(resolver, &service, &client,
		    mem_printf(resolver, "x@%s.bad.test", checks[i].name),
		    clock_ms() + (strcmp(checks[i].name, "silent") == 0 ? SILENCE_MS : PATIENCE_MS),
		    &fact);
		if (fact.result != checks[i].result)
			fail_msg("%s: %d (%s)", checks[i].name, fact.result,
			    fact.problem != NULL ? fact.problem : "-");
		assert_int_equal(fact.problem != NULL, fact.result == SPF_IS_TEMPERROR);
		talloc_free(resolver);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_blame),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_authority),
		cmocka_unit_test(test_slow_domains),
		cmocka_unit_test(test_dead_domains),
		cmocka_unit_test(test_spf),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, start_server, stop_server);
}
