/*
 * fuzz_embedded.c - any octets as the file of the embedded store's counters
 *
 * The title and the last line, which has a checksum of the others, are put around the input, so
 * that a change of it gets past them; an input that begins with "!" is the whole file behind that.
 * What is loaded must be savable, and what was saved loadable.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filter/store/blocks.h"
#include "filter/store/embedded.h"
#include "filter/store/embedded_table.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"
#include "tests/fuzz/folder.h"

#define NOW	INT64_C(1795000000000)	/* UNIX time in ms at which all is loaded */
#define ACCOUNTS	64	/* few, so that some are forgotten */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* write_file - the input with title and last line */
static void
write_file(TALLOC_CTX *ctx, const char *path, const char *lines, size_t len)
{
	char *text = mem_printf(ctx, "%s", TABLE_FILE_TITLE);
	size_t title = strlen(text), n = 0, end_len;
	uint64_t sum = HASH_START;
	const char *end;

	for (size_t i = 0, start = 0; i < len; i++) {
		if (lines[i] != '\n')
			continue;
		sum = hash_octets(sum, lines + start, i + 1 - start);
		start = i + 1;
		n++;
	}
	end = mem_printf(ctx, "end %" PRIu64 " %016" PRIx64 "\n", n, sum);
	end_len = strlen(end);
	text = mem_grow(ctx, text, char, title + len + end_len);
	memcpy(text + title, lines, len);
	memcpy(text + title + len, end, end_len);
	folder_write(path, text, title + len + end_len);
}

/* open_file - load it; what is loaded twice must have been saved right */
static void
open_file(TALLOC_CTX *ctx, const char *path, bool ours)
{
	const char *error = NULL;
	struct blocks *blocks = blocks_new(ctx);
	struct embedded *table = embedded_open(ctx, ACCOUNTS, path, blocks, NOW, &error);
	uint64_t subjects, evicted;
	size_t n;

	if (table == NULL) {
		must(!ours && error != NULL && error[0] != '\0');
		return;
	}
	embedded_count(table, &subjects, &evicted);
	(void)blocks_list(blocks, ctx, NOW, &n);
	must(n <= STORE_BLOCKS_MAX);
	embedded_touch(table);
	must(embedded_save(table, ctx, NOW, &error) == 1);
	talloc_free(table);
	if (!ours)
		open_file(ctx, path, true);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	const char *path = folder_path(ctx, "counters");

	if (size > 0 && data[0] == '!')
		folder_write(path, data + 1, size - 1);
	else
		write_file(ctx, path, (const char *)data, size);
	open_file(ctx, path, false);
	folder_empty();
	talloc_free(ctx);
	return 0;
}
