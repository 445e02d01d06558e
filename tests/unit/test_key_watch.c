/*
 * test_key_watch.c - which keys may sign, as DNS and time go on
 *
 * DNS is a table here and time is a number, so that hours pass at once.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "filter/base/clock.h"
#include "filter/dkim/key_record.h"
#include "filter/dkim/key_watch.h"
#include "policy/base/mem.h"

#define S	1000	/* milliseconds */

/* What DNS says of one name. */
struct answer_row {
	const char *name;
	enum dns_status status;
	char *record;
	uint32_t ttl;
};

struct world {
	char *dir;
	struct keyring *keyring;
	const struct keyring_domain *keys;	/* e1, r2, r1: the last selector first */
	struct answer_row rows[8];
	size_t n_rows;
	unsigned int asked;	/* questions that a message waited for */
	unsigned int looked;	/* in the cache, by the tick */
	unsigned int ahead;	/* questions sent ahead */
	bool cached;		/* what was sent ahead has come */
	struct key_watch *watch;
	struct sign_request requests[8];
	struct sign_choice choice;
	int64_t now;
};

/* ask - for struct dkim_dns */
static struct dns_answer *
ask(void *state, TALLOC_CTX *ctx, const char *name, size_t name_len, enum dns_type type,
    int64_t deadline_ms)
{
	struct world *world = state;
	struct dns_answer *answer = mem_new(ctx, struct dns_answer);
	bool late = deadline_ms <= world->now;

	assert_int_equal(type, DNS_TXT);
	assert_int_equal(name_len, strlen(name));
	*(late ? &world->looked : &world->asked) += 1;
	answer->status = late && !world->cached ? DNS_TIMEOUT : DNS_NXDOMAIN;
	answer->ttl = 60;
	for (size_t i = 0; i < world->n_rows && answer->status != DNS_TIMEOUT; i++) {
		const struct answer_row *row = &world->rows[i];

		if (strcmp(row->name, name) != 0)
			continue;
		answer->status = row->status;
		answer->ttl = row->ttl;
		if (row->status != DNS_OK)
			continue;
		answer->count = 1;
		answer->records = mem_array(answer, struct dns_record, 1);
		answer->records[0].data = mem_memdup(answer, row->record, strlen(row->record) + 1);
		answer->records[0].len = strlen(row->record);
	}
	return answer;
}

static void
prefetch(void *state, const char *name, size_t name_len, enum dns_type type)
{
	struct world *world = state;

	(void)name, (void)name_len, (void)type;
	world->ahead++;
}

/* put_key - a key file */
static void
put_key(struct world *world, const char *selector, EVP_PKEY *key)
{
	FILE *file = fopen(mem_printf(world, "%s/example.org/%s.pem", world->dir, selector), "w");

	assert_non_null(file);
	assert_non_null(key);
	assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(fclose(file), 0);
	EVP_PKEY_free(key);
}

/* load - read the keys anew, as a reload does */
static void
load(struct world *world)
{
	const struct keyring_options options = { .uid = geteuid(), .gid = getegid() };
	const char *warnings = NULL, *error = NULL;

	talloc_free(world->keyring);
	world->keyring = keyring_load(world, world->dir, &options, &warnings, &error);
	if (world->keyring == NULL)
		fail_msg("%s", error);
	world->keys = keyring_find(world->keyring, "example.org");
	assert_int_equal(world->keys->n, 3);
}

static int
set_up(void **state)
{
	struct world *world = mem_new(NULL, struct world);
	const struct dkim_dns dns = { .ask = ask, .prefetch = prefetch, .state = world };
	char template[] = "/tmp/test_key_watch.XXXXXX";

	umask(0077);
	assert_non_null(mkdtemp(template));
	world->dir = mem_strdup(world, template);
	assert_int_equal(mkdir(mem_printf(world, "%s/example.org", world->dir), 0700), 0);
	put_key(world, "r1", EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024));
	put_key(world, "r2", EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024));
	put_key(world, "e1", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	load(world);
	world->watch = key_watch_new(world, &dns);
	world->now = 1000000 * (int64_t)S;
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *world = *state;

	assert_int_equal(system(mem_printf(world, "rm -rf %s", world->dir)), 0);
	talloc_free(world);
	return 0;
}

/* key_of - the key of a selector */
static const struct keyring_key *
key_of(const struct world *world, const char *selector)
{
	for (size_t i = 0; i < world->keys->n; i++)
		if (strcmp(world->keys->keys[i].selector, selector) == 0)
			return &world->keys->keys[i];
	fail_msg("no key %s", selector);
	return NULL;
}

/* says - DNS says this of a selector: the key of another one (or the same), or only a status */
static void
says(struct world *world, const char *selector, const char *bears, enum dns_status status,
    uint32_t ttl)
{
	const char *error = NULL;
	char *name = key_record_name(world, selector, "example.org");
	struct keyring_public half;
	size_t i = 0;

	while (i < world->n_rows && strcmp(world->rows[i].name, name) != 0)
		i++;
	world->n_rows += i == world->n_rows;
	world->rows[i] = (struct answer_row){ .name = name, .status = status, .ttl = ttl };
	if (bears == NULL)
		return;
	assert_int_equal(keyring_public(world, key_of(world, bears), &half, &error), 0);
	world->rows[i].record = key_record_text(world, &half);
}

/* filter - what is left of a choice of these selectors, in a text; "!": it became FAIL */
static const char *
filter(struct world *world, const char *selectors)
{
	char *result = mem_strdup(world, "");

	world->choice = (struct sign_choice){ .outcome = OUTCOME_PASS, .domain = "example.org",
	    .requests = world->requests };
	for (const char *p = selectors; *p != '\0'; p += p[2] == '\0' ? 2 : 3)
		world->requests[world->choice.n++] =
		    (struct sign_request){ .key = key_of(world, mem_strndup(world, p, 2)) };
	key_watch_filter(world->watch, world, &world->choice, world->now);
	for (size_t i = 0; i < world->choice.n; i++)
		result = mem_printf(
		    world, "%s%s%s", result, i > 0 ? " " : "", world->requests[i].key->selector);
	return world->choice.outcome == OUTCOME_FAIL ? mem_printf(world, "%s!", result) : result;
}

/* pass - time goes by, with the tick every second */
static void
pass(struct world *world, int seconds)
{
	for (; seconds > 0; seconds--) {
		world->now += S;
		key_watch_tick(world->watch, world->now);
	}
}

/* Which answers keep a key from signing. */
static void
answers(void **state)
{
	struct world *world = *state;

	says(world, "r1", "r1", DNS_OK, 300);
	says(world, "r2", "r1", DNS_OK, 300);
	assert_string_equal(filter(world, "r1"), "r1");
	assert_string_equal(filter(world, "r2"), "!");
	assert_non_null(strstr(world->choice.problem, "another key"));
	assert_string_equal(filter(world, "r2 r1"), "r1");
	assert_null(world->choice.problem);
	assert_int_equal(world->asked, 2);

	/* Ed25519 alone is no signature that many can verify */
	says(world, "e1", "e1", DNS_OK, 300);
	assert_string_equal(filter(world, "r2 e1"), "e1!");
	assert_string_equal(filter(world, "e1"), "e1");
	assert_string_equal(filter(world, "r2 r1 e1"), "r1 e1");
}

/* A record that appears is seen while messages come, and none of them waits for it. */
static void
appears(void **state)
{
	struct world *world = *state;

	assert_string_equal(filter(world, "r1"), "!");
	assert_non_null(strstr(world->choice.problem, "not visible yet"));
	assert_int_equal(world->asked, 1);
	says(world, "r1", "r1", DNS_OK, 300);
	world->cached = true;
	pass(world, KEY_WATCH_UNSEEN_S - 1);
	assert_string_equal(filter(world, "r1"), "!");
	pass(world, 1);
	assert_int_equal(world->ahead, 1);
	assert_string_equal(filter(world, "r1"), "!");
	pass(world, 1);
	assert_int_equal(world->looked, 1);
	assert_string_equal(filter(world, "r1"), "r1");
	assert_int_equal(world->asked, 1);
}

/* A key that was idle is asked for by its next message. */
static void
idle(void **state)
{
	struct world *world = *state;

	assert_string_equal(filter(world, "r1"), "!");
	world->now += 3600 * (int64_t)S;
	says(world, "r1", "r1", DNS_OK, 300);
	assert_string_equal(filter(world, "r1"), "r1");
	assert_int_equal(world->asked, 2);
	assert_string_equal(filter(world, "r1"), "r1");
	assert_int_equal(world->asked, 2);
}

/* DNS that cannot tell keeps nothing from signing, and is not waited for again and again. */
static void
dns_failure(void **state)
{
	struct world *world = *state;

	says(world, "r1", NULL, DNS_FAILURE, 0);
	says(world, "r2", NULL, DNS_TIMEOUT, 0);
	assert_string_equal(filter(world, "r1 r2"), "r1 r2");
	for (int i = 0; i < 50; i++)
		assert_string_equal(filter(world, "r1 r2"), "r1 r2");
	assert_int_equal(world->asked, 2);

	/* nor does it make a key usable of which DNS said no */
	says(world, "e1", NULL, DNS_NXDOMAIN, 30);
	assert_string_equal(filter(world, "e1"), "!");
	says(world, "e1", NULL, DNS_FAILURE, 0);
	world->now += 600 * (int64_t)S;
	assert_string_equal(filter(world, "e1"), "!");
}

/* A key that signs is withdrawn when its record is gone twice in a row, not once. */
static void
disappears(void **state)
{
	struct world *world = *state;

	says(world, "r1", "r1", DNS_OK, 300);
	world->cached = true;
	assert_string_equal(filter(world, "r1"), "r1");
	says(world, "r1", NULL, DNS_NXDOMAIN, 30);
	pass(world, 302);
	assert_string_equal(filter(world, "r1"), "r1");
	says(world, "r1", "r1", DNS_OK, 300);
	pass(world, 32);
	assert_string_equal(filter(world, "r1"), "r1");
	says(world, "r1", NULL, DNS_NXDOMAIN, 30);
	pass(world, 285);
	assert_string_equal(filter(world, "r1"), "r1");
	pass(world, 32);
	assert_string_equal(filter(world, "r1"), "!");
	says(world, "r1", "r1", DNS_OK, 300);
	pass(world, 32);
	assert_string_equal(filter(world, "r1"), "r1");
	assert_int_equal(world->asked, 1);
}

/* A reload keeps what is known, unless another key has the name. */
static void
reload(void **state)
{
	struct world *world = *state;

	says(world, "r1", "r1", DNS_OK, 3600);
	assert_string_equal(filter(world, "r1"), "r1");
	load(world);
	assert_string_equal(filter(world, "r1"), "r1");
	assert_int_equal(world->asked, 1);
	put_key(world, "r1", EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024));
	load(world);
	assert_string_equal(filter(world, "r1"), "!");
	assert_int_equal(world->asked, 2);
}

/* authority - for struct dkim_dns: r1 is there, whatever the cache says; or gone */
static struct dns_answer **
authority(void *state, TALLOC_CTX *ctx, const char *const *names, size_t n, enum dns_type type,
    int64_t deadline_ms)
{
	struct dns_answer **answers = mem_array(ctx, struct dns_answer *, n);
	struct world there = *(struct world *)state;

	for (size_t i = 0; i < n; i++)
		answers[i] = ask(&there, answers, names[i], strlen(names[i]), type, deadline_ms);
	return answers;
}

/* A look past the caches holds at once, in both directions. */
static void
look(void **state)
{
	struct world *world = *state;
	const struct dkim_dns dns = { .ask = ask, .prefetch = prefetch, .authority = authority,
		.state = world };

	talloc_free(world->watch);
	world->watch = key_watch_new(world, &dns);
	world->now = clock_ms();
	assert_string_equal(filter(world, "r1"), "!");
	says(world, "r1", "r1", DNS_OK, 300);
	assert_string_equal(filter(world, "r1"), "!");
	key_watch_look(world->watch);
	assert_string_equal(filter(world, "r1"), "r1");
	says(world, "r1", NULL, DNS_NXDOMAIN, 3600);
	key_watch_look(world->watch);
	assert_string_equal(filter(world, "r1"), "!");
	says(world, "r1", NULL, DNS_FAILURE, 0);
	key_watch_look(world->watch);
	assert_string_equal(filter(world, "r1"), "!");
}

/* An answer that does not come is given up, and asked for again later. */
static void
no_answer_ahead(void **state)
{
	struct world *world = *state;

	says(world, "r1", "r1", DNS_OK, 300);
	assert_string_equal(filter(world, "r1"), "r1");
	pass(world, 300);
	assert_int_equal(world->ahead, 1);
	pass(world, 5);
	assert_int_equal(world->looked, 5);
	assert_string_equal(filter(world, "r1"), "r1");
	pass(world, 54);
	assert_int_equal(world->ahead, 1);
	pass(world, 6);
	assert_int_equal(world->ahead, 2);
	assert_int_equal(world->asked, 1);
}

/* What nobody uses is not asked for. */
static void
unused(void **state)
{
	struct world *world = *state;

	says(world, "r1", "r1", DNS_OK, 300);
	world->cached = true;
	assert_string_equal(filter(world, "r1"), "r1");
	pass(world, 3 * 3600);
	assert_int_equal(world->ahead, 1);
}

/* one_thread - messages, while others do the same */
static void *
one_thread(void *state)
{
	struct world *world = state;

	for (int i = 0; i < 500; i++) {
		struct sign_request requests[2] = { { .key = key_of(world, "r1") },
			{ .key = key_of(world, "r2") } };
		struct sign_choice choice = { .outcome = OUTCOME_PASS,
			.domain = "example.org",
			.requests = requests,
			.n = 2 };
		TALLOC_CTX *ctx = mem_new(NULL, char);

		key_watch_filter(world->watch, ctx, &choice, world->now + i * 10 * (int64_t)S);
		if (choice.n != 1 || strcmp(requests[0].key->selector, "r1") != 0)
			return world;
		talloc_free(ctx);
	}
	return NULL;
}

/* ask_threads - ask() without counting */
static struct dns_answer *
ask_threads(void *state, TALLOC_CTX *ctx, const char *name, size_t name_len, enum dns_type type,
    int64_t deadline_ms)
{
	struct world quiet = *(struct world *)state;

	return ask(&quiet, ctx, name, name_len, type, deadline_ms);
}

static void
prefetch_threads(void *state, const char *name, size_t name_len, enum dns_type type)
{
	(void)state, (void)name, (void)name_len, (void)type;
}

/* Several threads and the tick at once; for TSan and valgrind. */
static void
threads(void **state)
{
	struct world *world = *state;
	const struct dkim_dns dns = { .ask = ask_threads, .prefetch = prefetch_threads,
		.state = world };
	pthread_t others[4];
	void *failed;

	talloc_free(world->watch);
	world->watch = key_watch_new(world, &dns);
	world->cached = true;
	says(world, "r1", "r1", DNS_OK, 300);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&others[i], NULL, one_thread, world), 0);
	for (int i = 0; i < 500; i++)
		key_watch_tick(world->watch, world->now + i * 10 * (int64_t)S);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(others[i], &failed), 0);
		assert_null(failed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(appears, set_up, tear_down),
		cmocka_unit_test_setup_teardown(idle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dns_failure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(disappears, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reload, set_up, tear_down),
		cmocka_unit_test_setup_teardown(look, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_answer_ahead, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(threads, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
