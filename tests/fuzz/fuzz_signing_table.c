/*
 * fuzz_signing_table.c - libFuzzer entry for OpenDKIM's KeyTable and SigningTable
 *
 * The first line is the address that is looked up; in front of it may stand "*" (both tables are
 * refiles) and "+" (all matches). The KeyTable follows, up to a line "--", then the SigningTable.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/dkim/signing_table.h"

#define BORDER	"\n--\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* check_report - a text for what was counted, and no more lines than are kept */
static void
check_report(const char *text, size_t n)
{
	size_t lines = text != NULL;

	must((text == NULL) == (n == 0));
	for (; text != NULL && *text != '\0'; text++)
		lines += *text == '\n';
	must(lines <= TABLE_REPORT_LINES);
}

/* check_row - the parts of a KeyTable's row, and its name for a domain */
static void
check_row(TALLOC_CTX *ctx, const struct key_table *keys, const struct key_row *row)
{
	const char *path = table_substitute(ctx, row->key, "example.org");

	must(row->name[0] != '\0' && row->domain[0] != '\0' && row->selector[0] != '\0');
	must(row->key[0] != '\0' && strlen(path) >= strlen(row->key));
	must(key_table_find(keys, row->name) != NULL);
	must(key_row_is_file(row) || row->key[0] != '/');
	(void)key_row_is_fixed(row);
}

/* find - what signs mail of the address */
static void
find(TALLOC_CTX *ctx, const struct signing_table *table, const char *address, bool multiple)
{
	struct signing_match matches[SIGNING_MATCHES_MAX];
	bool more = false;
	size_t n = 0;

	signing_table_find(ctx, table, address, multiple, matches, &n, &more);
	must(n <= (multiple ? SIGNING_MATCHES_MAX : 1) && (multiple || !more));
	for (size_t i = 0; i < n; i++)
		must(matches[i].key != NULL && matches[i].line > 0);
}

/* next_part - a copy of what stands before the next border, with a NUL; *size_r its length */
static char *
next_part(TALLOC_CTX *ctx, const uint8_t **data, size_t *size, const char *border, size_t *size_r)
{
	const uint8_t *end = memmem(*data, *size, border, strlen(border));
	size_t len = end == NULL ? *size : (size_t)(end - *data);
	size_t gone = end == NULL ? *size : len + strlen(border);
	char *part = mem_strndup(ctx, "", 0);

	part = mem_grow(ctx, part, char, len + 1);
	memcpy(part, *data, len);
	part[len] = '\0';
	*data += gone;
	*size -= gone;
	*size_r = len;
	return part;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct table_report report = { .ctx = ctx };
	size_t address_len, keys_len, table_len;
	char *address = next_part(ctx, &data, &size, "\n", &address_len);
	char *keys_text = next_part(ctx, &data, &size, BORDER, &keys_len);
	char *table_text = next_part(ctx, &data, &size, BORDER, &table_len);
	enum dataset_kind kind = address[0] == '*' ? DATASET_REFILE : DATASET_FILE;
	bool multiple;
	struct key_table *keys;
	struct signing_table *table;

	address += kind == DATASET_REFILE;
	multiple = address[0] == '+';
	address += multiple;
	keys = key_table_read(ctx, kind, "KeyTable", keys_text, keys_len, &report);
	for (size_t i = 0; i < keys->n; i++)
		check_row(ctx, keys, &keys->rows[i]);
	table = signing_table_read(ctx, kind, "SigningTable", table_text, table_len, keys, &report);
	must(signing_table_rows(table) <= table_len);
	(void)signing_table_has_domain(table, "example.org");
	if (strchr(address, '@') != NULL)
		find(ctx, table, address, multiple);
	check_report(report.errors, report.n_errors);
	check_report(report.missing, report.n_missing);
	check_report(report.warnings, report.n_warnings);
	talloc_free(ctx);
	return 0;
}
