/*
 * fuzz_daybook.c - a row of an account's day, packed and as text, and the files of earlier versions
 *
 * An input that begins with "history" or "daybook" and a line break is the old file of that name,
 * which is imported; any other is a row, and the counts of a minute. Counts that were read must be
 * the same once they were written and read again.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/log.h"
#include "filter/journal/books_import.h"
#include "filter/journal/daybook.h"
#include "filter/journal/rates.h"
#include "policy/base/mem.h"
#include "tests/fuzz/folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* check_row - a packed row adds up, and no hour has more than the fullest one */
static void
check_row(const struct daybook_row *row, bool packed)
{
	uint64_t messages = 0;

	for (int i = 0; i < DAYBOOK_HOURS; i++) {
		messages += row->hours[i].messages;
		must(!packed || row->hours[i].recipients <= row->peak_recipients);
	}
	must(!packed || messages == row->day.messages);
}

/* check_rates - what was read is the same once it was written and read again */
static void
check_rates(TALLOC_CTX *ctx, const char *text)
{
	struct rates rates = { .actions = { 0 } }, again = { .actions = { 0 } };
	const char *written;

	rates_parse(text, strlen(text), &rates);
	written = rates_write(ctx, &rates);
	rates_parse(written, strlen(written), &again);
	must(memcmp(&rates, &again, sizeof(again)) == 0);
}

/* take_decision - of the history */
static int
take_decision(void *arg, const struct books_decision *item)
{
	(void)arg;
	must(item->text[0] != '\0');
	return 0;
}

/* take_sums - of the daybook */
static int
take_sums(void *arg, int day, const char *account, const struct daybook_row *row)
{
	(void)arg;
	must(day >= 20000000 && account[0] != '\0');
	check_row(row, false);
	return 0;
}

/* import - the files beside a file of counters */
static void
import(TALLOC_CTX *ctx, const char *name, const uint8_t *data, size_t size)
{
	static bool quiet;
	const struct books_import to = { NULL, take_decision, take_sums };
	const char *file = folder_path(ctx, "counters"), *error = NULL;

	if (!quiet)
		log_open(true);
	quiet = true;
	folder_write(mem_printf(ctx, "%s.%s", file, name), data, size);
	if (books_import(ctx, file, &to, &error) != 0)
		must(error != NULL);
	folder_empty();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct daybook_row row;

	if (size > 8 && memcmp(data, "history\n", 8) == 0) {
		import(ctx, "history", data + 8, size - 8);
	} else if (size > 8 && memcmp(data, "daybook\n", 8) == 0) {
		import(ctx, "daybook", data + 8, size - 8);
	} else {
		const char *text = mem_strndup(ctx, (const char *)data, size);

		daybook_parse(text, &row);
		check_row(&row, false);
		daybook_unpack((const char *)data, size, &row);
		check_row(&row, true);
		check_rates(ctx, text);
	}
	talloc_free(ctx);
	return 0;
}
