/*
 * test_window.c - the promise of the sliding window, and its arithmetic
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/quota/limit.h"
#include "policy/quota/window_packed.h"

#define HOUR	INT64_C(3600000)

/* next_random - a small generator with a fixed seed, so that failures repeat */
static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void
test_width(void **state)
{
	static const struct { const char *label; int64_t length, width; } rows[] = {
		{ "an hour", HOUR, 75000 },
		{ "a day", 24 * HOUR, 1800000 },
		{ "a second, rounded up", 1000, 21 },
		{ "the longest", LIMIT_MAX_WINDOW_MS, LIMIT_MAX_WINDOW_MS / 48 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (window_width(rows[i].length) != rows[i].width)
			fail_msg("%s: width %lld", rows[i].label,
			    (long long)window_width(rows[i].length));
		assert_true(window_width(rows[i].length) * WINDOW_BUCKETS >= rows[i].length);
	}
}

/* One step of a story about one window of an hour with limit 10. */
struct step {
	const char *label;
	int64_t now;
	uint64_t add;		/* counted after looking */
	uint64_t total;		/* seen before adding */
	int64_t wait;		/* seen before adding, for cost 1 */
	int64_t next;
};

static void
test_story(void **state)
{
	const int64_t w = window_width(HOUR), start = 1000 * w;
	const struct step steps[] = {
		{ "empty", start, 4, 0, 0, 0 },
		{ "same bucket", start + w - 1, 1, 4, 0, 48 * w + 1 },
		{ "next bucket", start + w, 5, 5, 0, 48 * w },
		{ "full", start + w, 0, 10, 48 * w, 48 * w },
		{ "just before room", start + 49 * w - 1, 0, 10, 1, 1 },
		{ "the first bucket has left", start + 49 * w, 0, 5, 0, w },
		{ "all has left", start + 50 * w, 10, 0, 0, 0 },
		{ "time runs back a little: it stands still", start + 10 * w, 0, 10, 89 * w, 89 * w },
		{ "and goes on", start + 50 * w, 0, 10, 49 * w, 49 * w },
		{ "a head too far ahead is put right", start, 0, 10, 49 * w, 49 * w },
		{ "long after", start + 1000 * w, 0, 0, 0, 0 },
	};
	struct window window = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step *s = &steps[i];

		window_turn(&window, w, s->now);
		if (window.total != s->total || window_wait(&window, w, s->now, 10, 1) != s->wait ||
		    window_next(&window, w, s->now) != s->next)
			fail_msg("%s: total %llu wait %lld next %lld", s->label,
			    (unsigned long long)window.total,
			    (long long)window_wait(&window, w, s->now, 10, 1),
			    (long long)window_next(&window, w, s->now));
		window_add(&window, s->add);
	}
}

static void
test_wait(void **state)
{
	struct window window = { 0 };

	(void)state;
	assert_int_equal(window_wait(&window, 100, 0, 0, 1), -1);
	assert_int_equal(window_wait(&window, 100, 0, 5, 6), -1);
	assert_int_equal(window_wait(&window, 100, 0, 5, 5), 0);
	for (int64_t t = 0; t < 5; t++) {
		window_turn(&window, 100, t * 100);
		window_add(&window, 1);
	}
	/* One in each of buckets 0..4; bucket b leaves at (b + 49) * 100. */
	assert_int_equal(window_wait(&window, 100, 450, 5, 1), 4900 - 450);
	assert_int_equal(window_wait(&window, 100, 450, 5, 3), 5100 - 450);
	assert_int_equal(window_wait(&window, 100, 450, 5, 5), 5300 - 450);
	assert_int_equal(window_wait(&window, 100, 450, 2, 1), 5200 - 450);
}

static void
test_add_at(void **state)
{
	struct window window = { 0 };

	(void)state;
	window_turn(&window, 100, 10000);
	window_add_at(&window, 100, 10000, 1);
	window_add_at(&window, 100, 9950, 2);		/* the bucket before */
	window_add_at(&window, 100, 20000, 4);		/* ahead: counts now */
	window_add_at(&window, 100, 10000 - 4800, 8);	/* the oldest bucket */
	window_add_at(&window, 100, 10000 - 4801, 16);	/* has left */
	window_add_at(&window, 100, -5, 32);		/* has left long ago */
	assert_int_equal(window.total, 15);
	assert_int_equal(window.slots[0], 5);
	assert_int_equal(window.slots[1], 2);
	assert_int_equal(window.slots[48], 8);
}

static void
test_saturation(void **state)
{
	struct window window = { 0 };

	(void)state;
	window_turn(&window, 100, 0);
	window_add(&window, (uint64_t)LIMIT_MAX_COUNT - 1);
	window_turn(&window, 100, 100);
	window_add(&window, (uint64_t)LIMIT_MAX_COUNT);
	assert_int_equal(window.total, LIMIT_MAX_COUNT);
	assert_int_equal(window.slots[0], 1);
	window_turn(&window, 100, 4900);
	assert_int_equal(window.total, 1);
}

/* One random arrival pattern, against the definition of the promise. */
#define ARRIVALS	400

struct arrivals {
	int64_t at[ARRIVALS];
	uint64_t cost[ARRIVALS];
	size_t n;		/* admitted ones */
};

/* most_in_span - the most that any span of length holds, by looking at all spans */
static uint64_t
most_in_span(const struct arrivals *a, int64_t length)
{
	uint64_t most = 0;

	for (size_t i = 0; i < a->n; i++) {
		uint64_t sum = 0;

		for (size_t j = i; j < a->n && a->at[j] < a->at[i] + length; j++)
			sum += a->cost[j];
		if (sum > most)
			most = sum;
	}
	return most;
}

/* held_late - what a window without buckets would hold if counts left one bucket later */
static uint64_t
held_late(const struct arrivals *a, int64_t now, int64_t length, int64_t width)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < a->n; i++)
		if (a->at[i] > now - length - width)
			sum += a->cost[i];
	return sum;
}

static void
check_pattern(uint64_t seed)
{
	uint64_t random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	int64_t width = (int64_t)(next_random(&random) % 1000) + 1, now;
	int64_t length = width * WINDOW_BUCKETS;
	uint64_t max = next_random(&random) % 30 + 1, burst = next_random(&random) % 5 + 1;
	int64_t pace = length / (int64_t)(next_random(&random) % 60 + 1) + 1;
	struct window window = { 0 };
	struct arrivals a = { .n = 0 };

	now = (int64_t)(next_random(&random) % 1000000000000u);
	for (int i = 0; i < ARRIVALS; i++) {
		uint64_t cost = next_random(&random) % burst + 1;
		int64_t wait;

		if (next_random(&random) % 3 != 0)
			now += (int64_t)(next_random(&random) % (uint64_t)pace);
		window_turn(&window, width, now);
		wait = window_wait(&window, width, now, max, cost);
		if (wait == 0) {
			a.at[a.n] = now;
			a.cost[a.n++] = cost;
			window_add(&window, cost);
			continue;
		}
		if (cost <= max && held_late(&a, now, length, width) + cost <= max)
			fail_msg("seed %llu: room returned later than a bucket",
			    (unsigned long long)seed);
		if (wait < 0)
			continue;
		/* The wait is exact: refused one millisecond before, admitted then. */
		struct window later = window;

		window_turn(&later, width, now + wait - 1);
		assert_int_not_equal(window_wait(&later, width, now + wait - 1, max, cost), 0);
		window_turn(&later, width, now + wait);
		assert_int_equal(window_wait(&later, width, now + wait, max, cost), 0);
	}
	if (most_in_span(&a, length) > max)
		fail_msg("seed %llu: a span holds more than the limit", (unsigned long long)seed);
}

static void
test_promise(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 2000; seed++)
		check_pattern(seed);
}

/* Packed at the width it needs and at all larger ones, a window comes back as it was. */
static void
check_packed(const struct window *window)
{
	uint64_t older[WINDOW_BUCKETS];
	struct window_packed packed;
	struct window back;

	for (unsigned int width = window_older_width(window); width <= 8;
	     width += width < 4 ? 2 : 4) {
		memset(older, 0xa5, sizeof(older));
		window_pack(window, &packed, older, width);
		window_unpack(&packed, older, width, &back);
		assert_memory_equal(&back, window, sizeof(back));
		if (width < 8)	/* and nothing was written beyond its room */
			assert_int_equal(((unsigned char *)older)[window_older_size(width)], 0xa5);
	}
}

static void
test_packed(void **state)
{
	static const struct { const char *label; uint64_t count; unsigned int width; } rows[] = {
		{ "none", 0, 0 },
		{ "one", 1, 2 },
		{ "the last of 2 octets", UINT16_MAX, 2 },
		{ "the first of 4", UINT64_C(1) + UINT16_MAX, 4 },
		{ "the last of 4", UINT32_MAX, 4 },
		{ "the first of 8", UINT64_C(1) + UINT32_MAX, 8 },
		{ "the most", (uint64_t)LIMIT_MAX_COUNT, 8 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t slot = 1; slot < WINDOW_SLOTS; slot++) {
			struct window window = { .head = 7, .total = rows[i].count };

			window.slots[slot] = rows[i].count;
			if (window_older_width(&window) != rows[i].width)
				fail_msg(
				    "%s: width %u", rows[i].label, window_older_width(&window));
			check_packed(&window);
		}
	}
}

/* Windows as they come about, and the bucket that is filling added to either way. */
static void
test_packed_random(void **state)
{
	uint64_t random = 4711, most[] = { 1, 2000, UINT32_MAX, (uint64_t)LIMIT_MAX_COUNT };
	int64_t now = 0;

	(void)state;
	for (int i = 0; i < 400; i++) {
		struct window window = { 0 };
		uint64_t older[WINDOW_BUCKETS];
		struct window_packed packed;

		for (int k = 0; k < 60; k++) {
			uint64_t amount = next_random(&random) % (most[i % 4] + 1);

			now += (int64_t)(next_random(&random) % 300);
			window_turn(&window, 100, now);
			window_pack(&window, &packed, older, window_older_width(&window));
			assert_true(window_packed_is_filling(&packed, now / 100));
			window_packed_add(&packed, amount);
			window_add(&window, amount);
			assert_int_equal(packed.total, window.total);
			assert_int_equal(packed.newest, window.slots[0]);
			check_packed(&window);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_story),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_add_at),
		cmocka_unit_test(test_saturation),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_packed_random),
		cmocka_unit_test(test_promise),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
