/*
 * test_map.c - the table of chains: finding, growing, forgetting, removing
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/map.h"
#include "policy/base/mem.h"

#define MANY	20000u

struct thing {
	unsigned int number;
	bool kept;		/* may not go */
	unsigned int *ended;	/* counts things that ended */
};

static bool
thing_may_go(const void *value)
{
	return !((const struct thing *)value)->kept;
}

static void
thing_gone(void *value)
{
	const struct thing *thing = value;

	if (thing->ended != NULL)
		++*thing->ended;
}

/* key_of - a key for a number; some are long */
static const char *
key_of(char *key, size_t size, unsigned int number)
{
	(void)snprintf(key, size, number % 7 == 0 ? "%080u" : "%u", number);
	return key;
}

/* many values are found again, at the place and with the key that they had */
static void
test_many(void **state)
{
	static const size_t bounds[] = { 0, MANY };
	struct map *map;
	struct thing *thing, *first;
	char key[100];
	bool new;

	(void)state;
	for (size_t b = 0; b < 2; b++) {
		map = map_new(NULL, &(struct map_options){ .value_size = sizeof(struct thing),
		    .max = bounds[b], .seed = b * 77 });
		first = map_put(map, "", &new);
		assert_true(new);
		for (unsigned int i = 1; i < MANY; i++) {
			thing = map_put(map, key_of(key, sizeof(key), i), &new);
			assert_true(new);
			assert_int_equal(thing->number, 0);
			thing->number = i;
		}
		assert_int_equal(map_count(map), MANY);
		assert_ptr_equal(map_find(map, ""), first);
		for (unsigned int i = 1; i < MANY; i++) {
			thing = map_find(map, key_of(key, sizeof(key), i));
			assert_non_null(thing);
			assert_int_equal(thing->number, i);
			assert_string_equal(map_key(map, thing), key);
			assert_ptr_equal(map_put(map, key, &new), thing);
			assert_false(new);
		}
		assert_null(map_find(map, "no"));
		talloc_free(map);
	}
}

/* the order is that of entry and use; what is removed is in it no more */
static void
test_order(void **state)
{
	struct map *map = map_new(NULL, &(struct map_options){ .value_size = 1 });
	char order[8] = "";

	(void)state;
	(void)map_put(map, "a", NULL);
	(void)map_put(map, "b", NULL);
	(void)map_put(map, "c", NULL);
	(void)map_put(map, "d", NULL);
	map_used(map, map_find(map, "a"));
	map_used(map, map_find(map, "d"));
	map_remove(map, map_find(map, "b"));
	map_remove(map, map_find(map, "d"));
	for (const void *value = NULL; (value = map_next(map, value)) != NULL;)
		(void)strcat(order, map_key(map, value));
	assert_string_equal(order, "ac");
	assert_null(map_find(map, "b"));
	assert_int_equal(map_count(map), 2);
	talloc_free(map);
}

/* a full map forgets the oldest that may go, and exceeds its bound if none may */
static void
test_bound(void **state)
{
	unsigned int ended = 0;
	struct map *map = map_new(NULL, &(struct map_options){
	    .value_size = sizeof(struct thing), .max = 3,
	    .may_go = thing_may_go, .gone = thing_gone });
	static const char *const keys[] = { "a", "b", "c", "d" };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		*(struct thing *)map_put(map, keys[i], NULL) =
		    (struct thing){ .kept = true, .ended = &ended };
	((struct thing *)map_find(map, "b"))->kept = false;
	*(struct thing *)map_put(map, "d", NULL) = (struct thing){ .kept = true, .ended = &ended };
	assert_null(map_find(map, "b"));
	assert_int_equal(ended, 1);
	assert_int_equal(map_count(map), 3);

	*(struct thing *)map_put(map, "e", NULL) = (struct thing){ .ended = &ended };
	assert_int_equal(map_count(map), 4);
	map_remove(map, map_find(map, "a"));
	assert_int_equal(ended, 2);
	talloc_free(map);
	assert_int_equal(ended, 5);
}

/* keys are texts in normal form: nothing is folded, and the caller's copy may change */
static void
test_keys(void **state)
{
	static const char *const keys[] = {
		"a@example.org", "A@example.org", "b@example.org", "a@example.orga", "a@example.or",
		"", "\xff\x01",
	};
	struct map *map = map_new(NULL, &(struct map_options){ 0 });
	char key[20];
	bool new;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		(void)snprintf(key, sizeof(key), "%s", keys[i]);
		(void)map_put(map, key, &new);
		assert_true(new);
		(void)map_put(map, key, &new);
		assert_false(new);
		assert_int_equal(map_count(map), i + 1);
	}
	talloc_free(map);
}

/* putting and removing for ever keeps what was there, and takes no more memory */
static void
test_removed(void **state)
{
	struct map *map = map_new(NULL, &(struct map_options){ .value_size = 8 });
	char key[100];
	size_t size;
	bool new;
	void *value;

	(void)state;
	for (unsigned int i = 0; i < 7; i++)
		(void)map_put(map, key_of(key, sizeof(key), i), NULL);
	size = talloc_total_size(map);
	for (unsigned int i = 8; i < MANY; i++) {
		value = map_put(map, key_of(key, sizeof(key), i % 7 == 0 ? i + 1 : i), &new);
		assert_true(new);
		memset(value, 1, 8);
		map_remove(map, value);
		assert_null(map_find(map, key));
		value = map_put(map, key, &new);
		assert_true(new);
		assert_memory_equal(value, "\0\0\0\0\0\0\0", 8);
		map_remove(map, value);
	}
	assert_int_equal(talloc_total_size(map), size);
	assert_int_equal(map_count(map), 7);
	for (unsigned int i = 0; i < 7; i++)
		assert_non_null(map_find(map, key_of(key, sizeof(key), i)));
	talloc_free(map);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_removed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
