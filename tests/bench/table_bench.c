/*
 * table_bench.c - what lookup tables cost: a file of 100 000 lines loaded and asked
 *
 *	table_bench [ROUNDS]
 *
 * The median of ROUNDS rounds (9) of CPU time. Keys are asked in an order that no processor's cache
 * foresees; each lookup has its talloc context emptied behind it now and then, as a message has.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filter/table/open.h"
#include "policy/base/mem.h"

#define LINES		100000u
#define ROUNDS_MAX	99
#define STRIDE		61169u		/* no divisor in common with LINES */
#define THREADS		2
#define PATTERNS	100u

/* clock_us - of a clock in microseconds */
static double
clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* give_up - nothing to measure */
static void
give_up(const char *what)
{
	(void)fprintf(stderr, "table_bench: %s\n", what);
	exit(1);
}

static int
compare(const void *a, const void *b)
{
	const double *one = a, *two = b;

	return (*one > *two) - (*one < *two);
}

/* median - of n values, which are sorted */
static double
median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

/* write_lines - a file of n entries: a number, and what stands around it */
static void
write_lines(const char *path, const char *before, const char *behind, unsigned int n)
{
	FILE *file = fopen(path, "we");

	if (file == NULL)
		give_up("a file cannot be written");
	for (unsigned int i = 0; i < n; i++)
		(void)fprintf(file, "%s%u%s login%u, shared\n", before,
		    (unsigned int)((uint64_t)i * STRIDE % LINES), behind, i);
	if (fclose(file) != 0)
		give_up("a file cannot be written");
}

/* open_spec - a table, or the end */
static struct table *
open_spec(const char *spec)
{
	const char *error = NULL;
	struct table *table = table_open(NULL, spec, &error);

	if (table == NULL)
		give_up(error);
	return table;
}

/* load_ms - CPU time of loading */
static double
load_ms(const char *spec, size_t rounds)
{
	double times[ROUNDS_MAX];

	for (size_t i = 0; i < rounds; i++) {
		double began = clock_us(CLOCK_PROCESS_CPUTIME_ID);

		talloc_free(open_spec(spec));
		times[i] = (clock_us(CLOCK_PROCESS_CPUTIME_ID) - began) / 1000;
	}
	return median(times, rounds);
}

/* One series of lookups. */
struct series {
	struct table *table;
	const char *const *keys;
	unsigned int n;
	bool found;		/* what each must be */
	double cpu_us;		/* of the thread */
};

/* run - a series; also as a thread */
static void *
run(void *arg)
{
	struct series *series = arg;
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	double began = clock_us(CLOCK_THREAD_CPUTIME_ID);

	for (unsigned int i = 0; i < series->n; i++) {
		const char *value, *error;

		if ((table_get(series->table, ctx, series->keys[i], 0, &value, &error) ==
			TABLE_FOUND) != series->found)
			give_up("a lookup gave the wrong answer");
		if (i % 16 == 0)
			talloc_free_children(ctx);
	}
	series->cpu_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - began;
	talloc_free(ctx);
	return NULL;
}

/* make_keys - n addresses that begin with a name, out of the order of the file */
static const char **
make_keys(TALLOC_CTX *ctx, const char *name, unsigned int n)
{
	const char **keys = mem_array(ctx, const char *, n);

	for (unsigned int i = 0; i < n; i++) {
		keys[i] = mem_printf(
		    keys, "%s%u@example.org", name, (uint32_t)((uint64_t)i * 48271 % LINES));
	}
	return keys;
}

/* row - nanoseconds of one lookup */
static void
row(const char *name, struct table *table, const char *key_name, unsigned int n, bool found,
    size_t rounds)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct series series = {
		.table = table, .keys = make_keys(ctx, key_name, n), .n = n, .found = found
	};
	double times[ROUNDS_MAX];

	for (size_t i = 0; i < rounds; i++) {
		(void)run(&series);
		times[i] = series.cpu_us * 1000 / n;
	}
	(void)printf("%s %.0f ns\n", name, median(times, rounds));
	talloc_free(ctx);
}

/* row_threads - the same with several threads on one table */
static void
row_threads(const char *name, struct table *table, const char *key_name, size_t rounds)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	const char *const *keys = make_keys(ctx, key_name, LINES);
	double times[ROUNDS_MAX];

	for (size_t i = 0; i < rounds; i++) {
		struct series series[THREADS];
		pthread_t threads[THREADS];
		double sum = 0;

		for (int k = 0; k < THREADS; k++) {
			series[k] = (struct series){
				.table = table, .keys = keys, .n = LINES, .found = true
			};
			if (pthread_create(&threads[k], NULL, run, &series[k]) != 0)
				give_up("no thread");
		}
		for (int k = 0; k < THREADS; k++) {
			(void)pthread_join(threads[k], NULL);
			sum += series[k].cpu_us;
		}
		times[i] = sum * 1000 / (THREADS * LINES);
	}
	(void)printf("%s %.0f ns\n", name, median(times, rounds));
	talloc_free(ctx);
}

int
main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 9;
	char path[] = "/tmp/table_bench.XXXXXX";
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct table *table;
	const char *spec;
	int fd = mkstemp(path);

	if (fd < 0 || rounds < 1 || rounds > ROUNDS_MAX)
		give_up("usage: table_bench [ROUNDS]");
	(void)close(fd);
	spec = mem_printf(ctx, "texthash:%s", path);
	write_lines(path, "user", "@example.org", LINES);
	(void)printf("texthash_load_100000_lines %.0f ms\n", load_ms(spec, rounds));
	table = open_spec(spec);
	row("texthash_lookup_found", table, "user", LINES, true, rounds);
	row("texthash_lookup_not_found", table, "nobody", LINES, false, rounds);
	row_threads("texthash_lookup_found_2_threads", table, "user", rounds);
	talloc_free(table);
	write_lines(path, "/^user", "@example\\.org$/", PATTERNS);
	table = open_spec(mem_printf(ctx, "regexp:%s", path));
	row("regexp_lookup_100_patterns_none", table, "nobody", 1000, false, rounds);
	talloc_free(table);
#ifdef HAVE_PCRE2
	table = open_spec(mem_printf(ctx, "pcre:%s", path));
	row("pcre_lookup_100_patterns_none", table, "nobody", 1000, false, rounds);
	talloc_free(table);
#endif
	(void)unlink(path);
	talloc_free(ctx);
	return 0;
}
