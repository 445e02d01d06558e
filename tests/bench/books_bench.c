/*
 * books_bench.c - what keeping decisions and sums costs without Redis, off the message's path
 *
 *	books_bench [ROUNDS]
 *
 * The median of ROUNDS rounds (5) of BATCHES batches as the journal writes them at full load: 200
 * decisions, and the sums of their accounts. CPU time of the process a decision; and the time of a
 * batch, which is that of the disk. The questions are asked of full books.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/journal/books.h"
#include "policy/base/mem.h"
#include "tests/bench/measure.h"

#define DECISIONS	20000	/* kept, as by default */
#define BATCH		200
#define BATCHES		100
#define ACCOUNTS	5000
#define ROUNDS_MAX	99

/* write_batch - decisions n and following, of accounts that no cache foresees */
static void
write_batch(struct books *books, TALLOC_CTX *ctx, unsigned int n)
{
	static char filling[400];
	struct books_decision items[BATCH];
	struct daybook_delta *deltas = mem_array(ctx, struct daybook_delta, BATCH);
	const char *error = NULL;
	int64_t now = clock_wall_ms();

	memset(filling, 'x', sizeof(filling) - 1);
	for (unsigned int i = 0; i < BATCH; i++) {
		const char *account =
		    mem_printf(ctx, "user%u@example.org", (n + i) * 61169u % ACCOUNTS);
		const char *id = mem_printf(ctx, "%08X%u", (n + i) * 2654435761u, n + i);

		items[i] = (struct books_decision){ now, account, id, true,
			mem_printf(ctx,
			    "{\"at\":%lld,\"queue_id\":\"%s\",\"account\":\"%s\",\"filling\":\"%s\"}",
			    (long long)now, id, account, filling) };
		deltas[i] = (struct daybook_delta){ .account = account, .sums = { 1, 2, 1000 } };
	}
	require(books_add_decisions(books, ctx, items, BATCH, &error) == 0, error);
	require(books_add_sums(books, ctx, now, deltas, BATCH, NULL, &error) >= 0, error);
}

/* write_all - rounds of batches; two rows */
static void
write_all(struct books *books, const char *name, size_t rounds)
{
	double cpu[ROUNDS_MAX], wall[ROUNDS_MAX];
	unsigned int n = 0;

	for (size_t i = 0; i < rounds; i++) {
		cpu[i] = -clock_us(CLOCK_PROCESS_CPUTIME_ID);
		wall[i] = -clock_us(CLOCK_MONOTONIC);
		for (unsigned int k = 0; k < BATCHES; k++, n += BATCH) {
			TALLOC_CTX *tmp = mem_check(talloc_new(NULL));

			write_batch(books, tmp, n);
			talloc_free(tmp);
		}
		cpu[i] = (cpu[i] + clock_us(CLOCK_PROCESS_CPUTIME_ID)) / (BATCHES * BATCH);
		wall[i] = (wall[i] + clock_us(CLOCK_MONOTONIC)) / 1000 / BATCHES;
	}
	(void)printf("%s_decision %.2f us\n", name, median(cpu, rounds));
	(void)printf("%s_batch_of_200 %.2f ms\n", name, median(wall, rounds));
}

/* count_row - books_sums_each */
static void
count_row(void *arg, const char *account, const struct daybook_row *row)
{
	(void)account;
	*(uint64_t *)arg += row->day.messages;
}

/* ask_all - the questions of operators; a row each */
static void
ask_all(struct books *books)
{
	const struct books_query by_account = { .account = "user1@example.org", .n = 10 };
	const struct books_query by_id = { .queue_id = "none", .n = 10 };
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *error = NULL;
	uint64_t messages = 0;
	double began;

	began = clock_us(CLOCK_MONOTONIC);
	json_decref(books_find(books, tmp, &by_account, &error));
	(void)printf("books_last %.0f us\n", clock_us(CLOCK_MONOTONIC) - began);
	began = clock_us(CLOCK_MONOTONIC);
	json_decref(books_find(books, tmp, &by_id, &error));
	(void)printf("books_why %.0f us\n", clock_us(CLOCK_MONOTONIC) - began);
	began = clock_us(CLOCK_MONOTONIC);
	require(books_read_sums(books, tmp, daybook_day(clock_wall_ms()), count_row, &messages,
		    &error) == 0,
	    error);
	(void)printf("books_sums_of_5000_accounts %.2f ms\n",
	    (clock_us(CLOCK_MONOTONIC) - began) / 1000);
	talloc_free(tmp);
}

/* open_books - beside a file of counters, or in memory (NULL) */
static struct books *
open_books(TALLOC_CTX *ctx, const char *file)
{
	const struct store_options store = { .kind = STORE_EMBEDDED, .file = file };
	const struct books_options options = {
		.store = &store, .decisions = DECISIONS, .days = 7, .accounts = 1000000
	};
	const char *error = NULL;
	struct books *books = books_open(ctx, &options, &error);

	require(books != NULL, error);
	return books;
}

int
main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 5;
	char directory[] = "/tmp/books_bench.XXXXXX";
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct books *books;
	const char *file;

	require(rounds >= 1 && rounds <= ROUNDS_MAX, "usage: books_bench [ROUNDS]");
	require(mkdtemp(directory) != NULL, "no directory");
	file = mem_printf(ctx, "%s/counters", directory);
	books = open_books(ctx, file);
	write_all(books, "books_file", rounds);
	ask_all(books);
	talloc_free(books);
	books = open_books(ctx, NULL);
	write_all(books, "books_memory", rounds);
	(void)unlink(mem_printf(ctx, "%s.books", file));
	(void)rmdir(directory);
	talloc_free(ctx);
	return 0;
}
