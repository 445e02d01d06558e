/*
 * fuzz_books.c - a damaged file of the books
 *
 * The input changes a good SQLite database: each three octets are an offset (the highest first)
 * and the octet that stands there. Behind a first octet of "!" it is the whole file. The file is
 * refused with an error, or everything that is asked of it afterwards has an answer or an error.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/journal/books.h"
#include "policy/base/mem.h"
#include "tests/fuzz/folder.h"

#define FILE_MAX	(256 * 1024)
#define AT_MS		INT64_C(1795000000000)
#define ACCOUNT		"alice@example.org"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* fuzz_books_open - the books of the folder */
static struct books *
fuzz_books_open(TALLOC_CTX *ctx, const char **error_r)
{
	const struct store_options store = { .kind = STORE_EMBEDDED,
		.file = folder_path(ctx, "counters") };
	const struct books_options options = { .store = &store, .decisions = 100, .days = 36500,
		.accounts = 10 };

	return books_open(ctx, &options, error_r);
}

/* fuzz_books_add - something of everything */
static void
fuzz_books_add(TALLOC_CTX *ctx, struct books *books)
{
	const struct books_decision decisions[] = {
		{ AT_MS, ACCOUNT, "4ABC", true,
		    "{\"at\":1795000000000,\"account\":\"" ACCOUNT "\"}" },
		{ AT_MS, NULL, NULL, false, "{\"at\":1795000000000}" },
	};
	const struct daybook_delta delta = { .account = ACCOUNT, .sums = { 1, 2, 3 },
		.connections = 1, .refused = { [REASON_COUNT - 1] = 1 } };
	const struct rates rates = { .actions = { 1 } };
	const struct books_event event = { AT_MS, "blocked", ACCOUNT, "{\"event\":\"blocked\"}" };
	const char *error;

	error = NULL;
	must(books_add_decisions(books, ctx, decisions, 2, &error) == 0 || error != NULL);
	error = NULL;
	must(books_add_sums(books, ctx, AT_MS, &delta, 1, NULL, &error) >= 0 || error != NULL);
	error = NULL;
	must(books_add_rates(books, ctx, AT_MS, "mx1", &rates, &error) == 0 || error != NULL);
	error = NULL;
	must(books_add_events(books, ctx, &event, 1, &error) == 1 || error != NULL);
}

/* note_sums - an account of a day */
static void
note_sums(void *arg, const char *account, const struct daybook_row *row)
{
	(void)arg;
	(void)row;
	must(account != NULL);
}

/* note_rates - what a host's filter did in a time */
static void
note_rates(void *arg, int64_t at_ms, const char *host, const struct rates *rates)
{
	(void)arg;
	(void)at_ms;
	(void)rates;
	must(host != NULL);
}

/* check_answer - an array that can be sent, or an error */
static void
check_answer(json_t *answer, const char *error)
{
	char *text = json_dumps(answer, JSON_ENSURE_ASCII);

	must(answer != NULL ? json_is_array(answer) && text != NULL : error != NULL);
	free(text);
	json_decref(answer);
}

/* fuzz_books_ask - all that operators ask */
static void
fuzz_books_ask(TALLOC_CTX *ctx, struct books *books)
{
	static const struct books_query queries[] = {
		{ .n = 20 }, { .account = ACCOUNT, .n = 20 }, { .queue_id = "4ABC", .n = 20 },
		{ .account = ACCOUNT, .passed = true, .n = 20 },
	};
	const struct books_event event = { AT_MS, "blocked", ACCOUNT, "{}" };
	struct daybook_hour hours[DAYBOOK_HOURS];
	const char *error;

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		error = NULL;
		check_answer(books_find(books, ctx, &queries[i], &error), error);
	}
	error = NULL;
	check_answer(books_last_events(books, ctx, 20, &error), error);
	(void)books_event_is_news(books, ctx, &event, 1000);
	error = NULL;
	must(books_read_sums(books, ctx, daybook_day(AT_MS), note_sums, NULL, &error) == 0 ||
	    error != NULL);
	error = NULL;
	must(books_read_hours(books, ctx, ACCOUNT, AT_MS, hours, DAYBOOK_HOURS, &error) == 0 ||
	    error != NULL);
	for (int by_hour = 0; by_hour < 2; by_hour++) {
		error = NULL;
		must(books_read_rates(books, ctx, by_hour != 0, AT_MS - CLOCK_DAY_MS, AT_MS,
			 note_rates, NULL, &error) == 0 ||
		    error != NULL);
	}
}

/* make_good - a good database, made once; its size */
static size_t
make_good(const uint8_t **octets_r)
{
	static uint8_t octets[FILE_MAX];
	static size_t size;
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	const char *error = NULL;
	struct books *books;
	FILE *file;

	*octets_r = octets;
	if (size == 0) {
		books = fuzz_books_open(ctx, &error);
		must(books != NULL);
		fuzz_books_add(ctx, books);
		talloc_free(books);
		file = fopen(folder_path(ctx, "counters.books"), "rb");
		must(file != NULL);
		size = fread(octets, 1, sizeof(octets), file);
		(void)fclose(file);
		must(size > 0 && size < sizeof(octets));
		folder_empty();
	}
	talloc_free(ctx);
	return size;
}

/* make_file - as the input says */
static void
make_file(TALLOC_CTX *ctx, const uint8_t *data, size_t size)
{
	const char *path = folder_path(ctx, "counters.books");
	const uint8_t *good;
	size_t len = make_good(&good);
	uint8_t *octets = mem_memdup(ctx, good, len);

	if (size > 0 && data[0] == '!') {
		folder_write(path, data + 1, size - 1);
		return;
	}
	for (; size >= 3; data += 3, size -= 3)
		octets[(size_t)(data[0] << 8 | data[1]) % len] = data[2];
	folder_write(path, octets, len);
}

/* be_quiet - that the books are damaged is no news here */
static void
be_quiet(void)
{
	static bool quiet;

	if (!quiet)
		log_open(true);
	quiet = true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	const char *error = NULL;
	struct books *books;

	be_quiet();
	make_file(ctx, data, size);
	books = fuzz_books_open(ctx, &error);
	must(books != NULL || (error != NULL && error[0] != '\0'));
	if (books != NULL) {
		fuzz_books_ask(ctx, books);
		fuzz_books_add(ctx, books);
		fuzz_books_ask(ctx, books);
	}
	talloc_free(ctx);
	folder_empty();
	return 0;
}
