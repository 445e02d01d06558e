/*
 * test_store_embedded.c - counts in this process: rules, bounds, baselines, the file
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/base/clock.h"
#include "filter/store/embedded.h"
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "policy/quota/window.h"

#define T0	INT64_C(1700000000000)
#define MINUTE	INT64_C(60000)

/* A directory for files, and charge ids that are never the same. */
/* who would be charged, for store_known_over() */
#define ALICE_OF(of) \
	&(const struct quota_party){ .kind = QUOTA_ACCOUNT, .name = "alice", .plan = (of) }, 1

struct fixture {
	TALLOC_CTX *ctx;
	char directory[64];
	char *file;
	atomic_uint_fast64_t ids;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	f->ctx = talloc_new(NULL);
	strcpy(f->directory, "/tmp/countersign-embedded-XXXXXX");
	if (mkdtemp(f->directory) == NULL)
		return -1;
	f->file = mem_printf(f->ctx, "%s/counters", f->directory);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	static const char *const ends[] = { "", ".tmp", ".lock" };

	for (size_t i = 0; i < 3; i++)
		unlink(mem_printf(f->ctx, "%s%s", f->file, ends[i]));
	rmdir(f->directory);
	talloc_free(f->ctx);
	free(f);
	return 0;
}

static struct plan *
plan_of(TALLOC_CTX *ctx, const char *a, const char *b)
{
	struct plan *plan = mem_new(ctx, struct plan);
	const char *texts[2] = { a, b }, *error = NULL;

	plan->on_over = ACTION_TEMPFAIL;
	plan->limits = mem_array(plan, struct limit, 2);
	for (int i = 0; i < 2 && texts[i] != NULL; i++)
		if (limit_parse(plan, texts[i], &plan->limits[plan->n_limits++], &error) < 0)
			fail_msg("%s", error);
	return plan;
}

static struct quota_plan *
ask(struct fixture *f, const struct plan *plan, const char *account, uint64_t recipients)
{
	struct quota_cost cost = { .messages = 1, .recipients = recipients, .bytes = 1000 };
	uint8_t id[QUOTA_ID_LEN] = { 0 };
	uint64_t number = atomic_fetch_add(&f->ids, 1) + 1;

	memcpy(id, &number, sizeof(number));
	return quota_plan_make(NULL, plan, account, &cost, false, id);
}

/* charge - one message; the state, and the first counter if asked for */
static enum quota_state
charge(struct fixture *f, struct embedded *table, const struct plan *plan, const char *account,
    uint64_t recipients, int64_t now, struct quota_count *count_r)
{
	struct quota_plan *asked = ask(f, plan, account, recipients);
	struct quota_reply reply;

	embedded_charge(table, asked, asked, now, true, &reply);
	if (count_r != NULL)
		*count_r = reply.counts[0];
	talloc_free(asked);
	return reply.state;
}

static uint64_t
used(struct fixture *f, struct embedded *table, const struct plan *plan, const char *account,
    int64_t now)
{
	struct quota_plan *asked = ask(f, plan, account, 1);
	struct quota_reply reply;
	uint64_t result;

	embedded_read(table, asked, asked, now, &reply);
	assert_int_equal(reply.state, QUOTA_READ);
	result = reply.counts[0].used;
	talloc_free(asked);
	return result;
}

static void
test_rules(void **state)
{
	struct fixture *f = *state;
	struct embedded *table = embedded_new(f->ctx, 100, true);
	struct plan *plan = plan_of(f->ctx, "10 recipients per hour", "3 messages per day");
	struct quota_plan *asked;
	struct quota_reply reply;
	struct quota_count count;

	assert_int_equal(charge(f, table, plan, "alice", 4, T0, &count), QUOTA_CHARGED);
	assert_int_equal(count.used, 4);
	assert_int_equal(charge(f, table, plan, "bob", 4, T0, &count), QUOTA_CHARGED);
	assert_int_equal(count.used, 4);
	assert_int_equal(charge(f, table, plan, "alice", 7, T0, &count), QUOTA_REFUSED);
	assert_int_equal(count.used, 4);
	assert_true(count.wait_ms > 60 * MINUTE && count.wait_ms <= 60 * MINUTE + 75000);
	assert_int_equal(count.one_ms, 0);
	assert_int_equal(charge(f, table, plan, "alice", 1, T0, NULL), QUOTA_CHARGED);
	assert_int_equal(charge(f, table, plan, "alice", 1, T0, NULL), QUOTA_CHARGED);
	/* Three messages today: the hour would have room, and is not charged. */
	assert_int_equal(charge(f, table, plan, "alice", 1, T0, NULL), QUOTA_REFUSED);
	assert_int_equal(used(f, table, plan, "alice", T0), 6);
	/* The same id twice. */
	asked = ask(f, plan, "bob", 2);
	embedded_charge(table, asked, asked, T0, true, &reply);
	embedded_charge(table, asked, asked, T0 + 9 * MINUTE, true, &reply);
	assert_int_equal(reply.state, QUOTA_CHARGED);
	assert_int_equal(reply.counts[0].used, 6);
	embedded_reset(table, asked);
	assert_int_equal(used(f, table, plan, "bob", T0), 0);
	assert_int_equal(used(f, table, plan, "alice", T0), 6);
	talloc_free(asked);
}

static void
test_limit_change(void **state)
{
	struct fixture *f = *state;
	struct embedded *table = embedded_new(f->ctx, 100, true);
	struct plan *small = plan_of(f->ctx, "10 recipients per hour", NULL);
	struct plan *large = plan_of(f->ctx, "20 recipients per 60 minutes", "5 messages per day");

	assert_int_equal(charge(f, table, small, "alice", 10, T0, NULL), QUOTA_CHARGED);
	assert_int_equal(charge(f, table, small, "alice", 1, T0, NULL), QUOTA_REFUSED);
	assert_int_equal(charge(f, table, large, "alice", 5, T0, NULL), QUOTA_CHARGED);
	assert_int_equal(used(f, table, small, "alice", T0), 15);
	assert_int_equal(charge(f, table, small, "alice", 1, T0, NULL), QUOTA_REFUSED);
}

static void
test_eviction(void **state)
{
	struct fixture *f = *state;
	struct embedded *table = embedded_new(f->ctx, 10, true);
	struct plan *plan = plan_of(f->ctx, "10 recipients per hour", NULL);
	uint64_t subjects, evicted;
	char name[16];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		charge(f, table, plan, name, 1, T0, NULL);
	}
	assert_int_equal(charge(f, table, plan, "u0", 1, T0, NULL), QUOTA_CHARGED);
	charge(f, table, plan, "new", 1, T0, NULL);
	embedded_count(table, &subjects, &evicted);
	assert_int_equal(subjects, 10);
	assert_int_equal(evicted, 1);
	assert_int_equal(used(f, table, plan, "u0", T0), 2);	/* was used again */
	assert_int_equal(used(f, table, plan, "u1", T0), 0);	/* was the oldest */
	assert_int_equal(used(f, table, plan, "u2", T0), 1);
	/* Later all are idle, and forgetting them is no loss. */
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		charge(f, table, plan, name, 1, T0 + 62 * MINUTE, NULL);
	}
	embedded_count(table, &subjects, &evicted);
	assert_int_equal(subjects, 10);
	assert_int_equal(evicted, 1 + 40);
}

/* A table has room for as many accounts as it was made for, however they fall into its shards. */
static void
test_capacity(void **state)
{
	struct fixture *f = *state;
	struct embedded *table = embedded_new(f->ctx, 5000, true);
	struct plan *plan = plan_of(f->ctx, "10 recipients per hour", NULL);
	uint64_t subjects, evicted;
	char name[16];

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		charge(f, table, plan, name, 1, T0, NULL);
	}
	embedded_count(table, &subjects, &evicted);
	assert_int_equal(subjects, 5000);
	assert_int_equal(evicted, 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		charge(f, table, plan, name, 1, T0, NULL);
	}
	embedded_count(table, &subjects, &evicted);
	assert_int_equal(subjects, 5000);
	assert_int_equal(evicted, 100);
}

static struct embedded *reopen(struct fixture *f, struct embedded *table, int64_t now);

/* next_random - a small generator with a fixed seed, so that failures repeat */
static uint64_t
next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

/* An account and its windows by the definition. */
struct model {
	const char *name;
	struct window bytes;
	struct window messages;
};

/* charge_model - one message of so many octets, in the table and by the definition */
static void
charge_model(struct fixture *f, struct embedded *table, const struct plan *plan,
    struct model *model, uint64_t octets, int64_t now)
{
	const struct quota_cost cost = { .messages = 1, .recipients = 1, .bytes = octets };
	uint64_t id[2] = { atomic_fetch_add(&f->ids, 1) + 1, 0 };
	struct quota_plan *asked = quota_plan_make(NULL, plan, model->name, &cost, false,
	    (const uint8_t *)id);
	struct window *windows[2] = { &model->bytes, &model->messages };
	struct quota_reply reply;

	embedded_charge(table, asked, asked, now, true, &reply);
	assert_int_equal(reply.state, QUOTA_CHARGED);
	for (int i = 0; i < 2; i++) {
		window_turn(windows[i], asked->counters[i].width_ms, now);
		window_add(windows[i], asked->counters[i].cost);
		if (reply.counts[i].used != windows[i]->total)
			fail_msg("%s: %llu in counter %d, not %llu", model->name,
			    (unsigned long long)reply.counts[i].used, i,
			    (unsigned long long)windows[i]->total);
	}
	talloc_free(asked);
}

/* Small counts, large ones and larger ones, each in its width, through buckets and the file. */
static void
test_widths(void **state)
{
	struct fixture *f = *state;
	static const uint64_t sizes[] = { 100, 100000, UINT64_C(10000000000),
		UINT64_C(1000000000000) };
	struct plan *plan = plan_of(f->ctx, "9 PB per day", "1000000 messages per hour");
	struct model models[4] = { { .name = "small" }, { .name = "large" }, { .name = "larger" },
	    { .name = "largest" } };
	struct embedded *table = reopen(f, NULL, T0);
	uint64_t random = 4711;
	int64_t now = T0;

	for (int i = 0; i < 3000; i++) {
		size_t which = next_random(&random) % 4;
		/* an account begins small, so that its counts outgrow their width */
		size_t scale = (size_t)i * 4 / 3000 < which ? (size_t)i * 4 / 3000 : which;

		now += (int64_t)(next_random(&random) % (20 * MINUTE));
		charge_model(
		    f, table, plan, &models[which], next_random(&random) % sizes[scale] + 1, now);
		if (i % 500 == 499)
			table = reopen(f, table, now);
	}
	talloc_free(table);
}

/* Local mode: totals of Redis count whole until they are a window old. */
static void
test_baseline(void **state)
{
	struct fixture *f = *state;
	struct embedded *table = embedded_new(f->ctx, 100, false);
	struct plan *plan = plan_of(f->ctx, "10 recipients per hour", NULL);
	struct quota_plan *asked = ask(f, plan, "alice", 1);
	struct quota_count seen = { .used = 7 }, count;
	struct quota_reply reply = { .state = QUOTA_CHARGED, .counts = &seen, .n_counts = 1 };

	embedded_seen(table, asked, &reply, 1000, T0, true);
	assert_int_equal(used(f, table, plan, "alice", T0), 7);
	/* An older answer that comes late is ignored, one of the same time only when larger
	 * counts. */
	seen.used = 6;
	embedded_seen(table, asked, &reply, 999, T0 + 10, true);
	embedded_seen(table, asked, &reply, 1000, T0 + 10, true);
	assert_int_equal(used(f, table, plan, "alice", T0), 7);
	/* Unless the clock there was set back. */
	embedded_seen(table, asked, &reply, 5, T0 + 1011, true);
	assert_int_equal(used(f, table, plan, "alice", T0 + 1011), 6);
	assert_int_equal(charge(f, table, plan, "alice", 3, T0 + MINUTE, &count), QUOTA_CHARGED);
	assert_int_equal(count.used, 9);
	assert_int_equal(charge(f, table, plan, "alice", 2, T0 + MINUTE, &count), QUOTA_REFUSED);
	assert_int_equal(count.wait_ms, 1011 + 49 * 75000 - MINUTE);
	assert_int_equal(charge(f, table, plan, "alice", 1, T0 + MINUTE, NULL), QUOTA_CHARGED);
	/* What is ours is contained in the next totals, or not. */
	seen.used = 8;
	embedded_seen(table, asked, &reply, 2000, T0 + 2 * MINUTE, false);
	assert_int_equal(used(f, table, plan, "alice", T0 + 2 * MINUTE), 12);
	embedded_seen(table, asked, &reply, 2001, T0 + 2 * MINUTE, true);
	assert_int_equal(used(f, table, plan, "alice", T0 + 2 * MINUTE), 8);
	assert_int_equal(used(f, table, plan, "alice", T0 + 2 * MINUTE + 49 * 75000), 0);
	talloc_free(asked);
}

static struct embedded *
reopen(struct fixture *f, struct embedded *table, int64_t now)
{
	const char *error = NULL;

	if (table != NULL) {
		assert_int_not_equal(embedded_save(table, f->ctx, now, &error), -1);
		talloc_free(table);
	}
	table = embedded_open(f->ctx, 5000, f->file, NULL, now, &error);
	if (table == NULL)
		fail_msg("%s", error);
	return table;
}

static void
test_file(void **state)
{
	struct fixture *f = *state;
	struct plan *plan = plan_of(f->ctx, "10 recipients per hour", "100 messages per day");
	struct plan *large = plan_of(f->ctx, "9 PB per day", NULL);
	struct embedded *table = reopen(f, NULL, T0);
	const char *error = NULL;
	struct stat info;
	char name[16];

	assert_int_equal(embedded_save(table, f->ctx, T0, &error), 0);
	assert_int_equal(access(f->file, F_OK), -1);
	charge(f, table, plan, "we ird\n", 4, T0, NULL);
	charge(f, table, plan, "we ird\n", 2, T0 + 30 * MINUTE, NULL);
	charge(f, table, large, "", 1, T0, NULL);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		charge(f, table, plan, name, (uint64_t)i % 10 + 1, T0, NULL);
	}
	assert_int_equal(embedded_save(table, f->ctx, T0, &error), 1);
	assert_int_equal(embedded_save(table, f->ctx, T0, &error), 0);
	assert_int_equal(stat(f->file, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	table = reopen(f, table, T0 + 31 * MINUTE);
	assert_int_equal(used(f, table, plan, "we ird\n", T0 + 31 * MINUTE), 6);
	assert_int_equal(used(f, table, plan, "we ird\n", T0 + 62 * MINUTE), 2);
	assert_int_equal(used(f, table, large, "", T0), 1000);
	assert_int_equal(used(f, table, plan, "user7", T0), 8);
	/* A day later nothing is left, and saving writes that. */
	charge(f, table, plan, "last", 1, T0 + 48 * 60 * MINUTE, NULL);
	table = reopen(f, table, T0 + 48 * 60 * MINUTE);
	assert_int_equal(used(f, table, plan, "user7", T0 + 48 * 60 * MINUTE), 0);
	assert_int_equal(used(f, table, plan, "last", T0 + 48 * 60 * MINUTE), 1);
	talloc_free(table);
}

/* What was used last before it was saved is forgotten last after it is loaded. */
static void
test_order(void **state)
{
	struct fixture *f = *state;
	struct plan *plan = plan_of(f->ctx, "10 recipients per hour", NULL);
	struct embedded *table = reopen(f, NULL, T0);
	const char *error = NULL;
	char name[16];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 40; i++) {
			snprintf(name, sizeof(name), "u%d", i * 7 % 40);
			charge(f, table, plan, name, 1, T0, NULL);
		}
	}
	/* of one shard, so that there is one order */
	assert_int_equal(embedded_save(table, f->ctx, T0, &error), 1);
	talloc_free(table);
	table = embedded_open(f->ctx, 40, f->file, NULL, T0, &error);
	assert_non_null(table);
	charge(f, table, plan, "u3", 1, T0, NULL);
	assert_int_equal(embedded_save(table, f->ctx, T0, &error), 1);
	talloc_free(table);
	table = embedded_open(f->ctx, 10, f->file, NULL, T0, &error);
	assert_non_null(table);
	assert_int_equal(used(f, table, plan, "u3", T0), 3);
	for (int i = 31; i < 40; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		charge(f, table, plan, name, 1, T0, NULL);
	}
	assert_int_equal(used(f, table, plan, "u3", T0), 3);
	talloc_free(table);
}

static void
test_in_use(void **state)
{
	struct fixture *f = *state;
	struct embedded *table = reopen(f, NULL, T0);
	const char *error = NULL;

	assert_null(embedded_open(f->ctx, 10, f->file, NULL, T0, &error));
	assert_non_null(strstr(error, "in use by another countersign"));
	talloc_free(table);
	talloc_free(reopen(f, NULL, T0));
}

/* write_file - the file becomes this text */
static void
write_file(struct fixture *f, const char *text, size_t len)
{
	FILE *stream = fopen(f->file, "w");

	assert_non_null(stream);
	assert_int_equal(fwrite(text, 1, len, stream), len);
	fclose(stream);
}

static void
test_bad_file(void **state)
{
	struct fixture *f = *state;
	static const struct { const char *label, *text, *part;
	} rows[] = {
		{ "empty", "", "not written by countersign" },
		{ "foreign", "root:x:0:0\n", "not written by countersign" },
		{ "another version", "countersign-counters 1\nend 0 cbf29ce484222325\n",
		    "another format" },
		{ "no end", "countersign-counters 2\n", "torn" },
		{ "wrong sum", "countersign-counters 2\nend 0 cbf29ce484222326\n", "damaged" },
		{ "wrong number", "countersign-counters 2\nend 1 cbf29ce484222325\n", "damaged" },
		{ "cut end", "countersign-counters 2\nend 0 cbf29ce484222325", "damaged" },
		{ "more", "countersign-counters 2\nend 0 cbf29ce484222325\nx\n", "go on after" },
		{ "no braces", "countersign-counters 2\nalice r1.48 1 1 1\n", "cannot be read" },
		{ "no slots", "countersign-counters 2\n{a}:a:a r1.48 1 1\n", "cannot be read" },
		{ "a sign", "countersign-counters 2\n{a}:a:a r1.48 1 1 -1\n", "cannot be read" },
		{ "too much", "countersign-counters 2\n{a}:a:a r1.48 1 1 9007199254740991 1\n",
		    "cannot be read" },
		{ "no width", "countersign-counters 2\n{a}:a:a r1.48 0 1 1\n", "cannot be read" },
		{ "long field",
		    "countersign-counters 2\n{a}:a:a r12345678901234567890123456789012345 1 1 1\n",
		    "cannot be read" },
		{ "a raise without an end", "countersign-counters 2\nraise {a}:a:a r1.48 1 5\n",
		    "cannot be read" },
		{ "a block of nobody", "countersign-counters 2\nblock 1 2 %\n", "cannot be read" },
		{ "a block badly encoded", "countersign-counters 2\nblock a%4 1 2 x y\n",
		    "cannot be read" },
		{ "a word of no meaning", "countersign-counters 2\nnothing\n", "cannot be read" },
		{ "50 slots",
		    "countersign-counters 2\n{a}:a:a r1.48 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"
		    " 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
		    "cannot be read" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *error = NULL;

		write_file(f, rows[i].text, strlen(rows[i].text));
		if (embedded_open(f->ctx, 10, f->file, NULL, T0, &error) != NULL)
			fail_msg("%s: taken", rows[i].label);
		if (strstr(error, rows[i].part) == NULL)
			fail_msg("%s: %s", rows[i].label, error);
	}
	write_file(f, "countersign-counters 2\nend 0 cbf29ce484222325\n", 46);
	talloc_free(reopen(f, NULL, T0));
	/* earlier versions kept the sums of two days here, too */
	write_file(f, "countersign-counters 2\nusage a 20000 1 2 3\nend 1 03edd28018570e11\n", 66);
	talloc_free(reopen(f, NULL, T0));
}

/* Cut anywhere, or with any octet changed, a file is refused. */
static void
test_torn(void **state)
{
	struct fixture *f = *state;
	struct plan *plan = plan_of(f->ctx, "10 recipients per hour", NULL);
	struct embedded *table = reopen(f, NULL, T0);
	char text[4096];
	const char *error;
	FILE *stream;
	size_t len;

	charge(f, table, plan, "alice", 4, T0, NULL);
	charge(f, table, plan, "bob", 2, T0, NULL);
	assert_int_equal(embedded_save(table, f->ctx, T0, &error), 1);
	talloc_free(table);
	stream = fopen(f->file, "r");
	assert_non_null(stream);
	len = fread(text, 1, sizeof(text), stream);
	fclose(stream);
	for (size_t i = 0; i < len; i++) {
		char kept = text[i];

		write_file(f, text, i);
		if (embedded_open(f->ctx, 10, f->file, NULL, T0, &error) != NULL)
			fail_msg("cut at %zu: taken", i);
		text[i] = kept == '1' ? '2' : '1';
		write_file(f, text, len);
		if (embedded_open(f->ctx, 10, f->file, NULL, T0, &error) != NULL)
			fail_msg("changed at %zu: taken", i);
		text[i] = kept;
	}
	write_file(f, text, len);
	table = reopen(f, NULL, T0);
	assert_int_equal(used(f, table, plan, "alice", T0), 4);
	talloc_free(table);
}

static void
count_line(void *arg, enum store_log_level level, const char *text)
{
	(void)level;
	(void)text;
	atomic_fetch_add((atomic_int *)arg, 1);
}

/* Through the front door: saved when closed, a failure to save told once. */
static void
test_front(void **state)
{
	struct fixture *f = *state;
	struct plan *plan = plan_of(f->ctx, "2 recipients per hour", NULL),
		    *none = plan_of(f->ctx, NULL, NULL);
	atomic_int lines = 0;
	struct store_options options = { .kind = STORE_EMBEDDED, .file = f->file, .log = count_line,
	    .log_arg = &lines };
	struct quota_plan *asked = ask(f, plan, "alice", 2), *again = ask(f, plan, "alice", 1);
	struct quota_plan *free_of_limits = ask(f, none, "alice", 1);
	struct store_status status;
	struct quota_reply reply;
	struct quota_fact fact;
	const char *error = NULL;
	struct store *store = store_open(f->ctx, &options, &error);

	assert_non_null(store);
	store_charge(store, f->ctx, asked, clock_ms(), &reply);
	assert_int_equal(reply.state, QUOTA_CHARGED);
	assert_string_equal(reply.store, "file");
	store_status(store, f->ctx, &status);
	assert_string_equal(status.kind, "file");
	store_close(store);
	assert_int_equal(access(f->file, F_OK), 0);
	store = store_open(f->ctx, &options, &error);
	store_charge(store, f->ctx, again, clock_ms(), &reply);
	assert_int_equal(reply.state, QUOTA_REFUSED);
	assert_true(store_known_over(store, f->ctx, "alice", ALICE_OF(plan), &fact));
	store_charge(store, f->ctx, free_of_limits, clock_ms(), &reply);
	assert_int_equal(reply.state, QUOTA_NONE);
	assert_int_equal(store_reset(store, f->ctx, again, clock_ms(), &error), 1);
	assert_false(store_known_over(store, f->ctx, "alice", ALICE_OF(plan), &fact));
	store_charge(store, f->ctx, again, clock_ms(), &reply);
	assert_int_equal(reply.state, QUOTA_CHARGED);
	store_tick(store);
	store_tick(store);
	store_status(store, f->ctx, &status);
	assert_int_equal(status.accounts, 1);
	assert_int_equal(status.charged, 1);
	assert_int_equal(status.refused, 1);
	assert_null(status.problem);
	assert_int_equal(lines, 0);
	/* A directory in the way of the temporary file: even root cannot write it. */
	assert_int_equal(mkdir(mem_printf(f->ctx, "%s.tmp", f->file), 0700), 0);
	store_reset(store, f->ctx, again, clock_ms(), &error);
	store_tick(store);
	store_tick(store);
	store_status(store, f->ctx, &status);
	assert_non_null(status.problem);
	assert_int_equal(lines, 1);
	assert_int_equal(rmdir(mem_printf(f->ctx, "%s.tmp", f->file)), 0);
	store_tick(store);
	assert_int_equal(lines, 2);
	store_close(store);
	talloc_free(asked);
	talloc_free(again);
	talloc_free(free_of_limits);
}

/* Threads: exactly the limit, whatever they do, while the file is saved. */
struct crowd {
	struct fixture *f;
	struct embedded *table;
	const struct plan *plan;
	atomic_int charged;
	atomic_bool stop;
};

static void *
crowd_member(void *arg)
{
	struct crowd *crowd = arg;
	char name[16];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "user%d", i % 3);
		if (charge(crowd->f, crowd->table, crowd->plan, name, 1, T0, NULL) == QUOTA_CHARGED)
			atomic_fetch_add(&crowd->charged, 1);
	}
	return NULL;
}

static void *
saver(void *arg)
{
	struct crowd *crowd = arg;
	TALLOC_CTX *tmp = talloc_new(NULL);
	const char *error;

	while (!atomic_load(&crowd->stop))
		assert_int_not_equal(embedded_save(crowd->table, tmp, T0, &error), -1);
	talloc_free(tmp);
	return NULL;
}

static void
test_threads(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f, .table = reopen(f, NULL, T0),
	    .plan = plan_of(f->ctx, "777 recipients per hour", NULL) };
	pthread_t threads[6], disk;

	assert_int_equal(pthread_create(&disk, NULL, saver, &crowd), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_member, &crowd), 0);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&crowd.stop, true);
	pthread_join(disk, NULL);
	assert_int_equal(crowd.charged, 3 * 777);
	crowd.table = reopen(f, crowd.table, T0);
	assert_int_equal(used(f, crowd.table, crowd.plan, "user1", T0), 777);
	talloc_free(crowd.table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limit_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_eviction, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_capacity, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_widths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_baseline, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_in_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_torn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_front, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
