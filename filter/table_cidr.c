/*
 * table_cidr.c - cidr: tables
 *
 * The format of Postfix's cidr_table(5), its plain lines: "network white-space
 * value", # comments, empty lines. The first network that holds the address
 * wins, so the order of the file counts. if and endif are refused, not ignored.
 *
 * Read-only after open; lookups need no lock.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/table_type.h"
#include "policy/mem.h"
#include "policy/netblock.h"
#include "policy/text.h"

struct row {
	struct netblock block;
	const char *value;
};

struct rows {
	struct row *rows;
	size_t n;
};

/* add_line - one line of the file; false with *error_r where it is nonsense */
static bool
add_line(TALLOC_CTX *ctx, struct rows *rows, const char *line, const char **error_r)
{
	struct span text = text_trim(text_span(line));
	size_t len = 0;
	struct row *row;

	if (text.len == 0 || text.at[0] == '#')
		return true;
	while (len < text.len && !text_is_space(text.at[len]))
		len++;
	if (rows->n % 64 == 0)
		rows->rows = mem_grow(rows, rows->rows, struct row, rows->n + 64);
	row = &rows->rows[rows->n];
	if (!netblock_parse(ctx, mem_strndup(ctx, text.at, len), &row->block, error_r))
		return false;
	text = text_trim(text_span_of(text.at + len, text.len - len));
	if (text.len == 0) {
		*error_r = "the network has no value; write: network, white space, value";
		return false;
	}
	row->value = mem_strndup(rows->rows, text.at, text.len);
	rows->n++;
	return true;
}

static void *
cidr_open(TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct rows *rows = mem_new(ctx, struct rows);
	FILE *file = fopen(argument, "re");
	const char *problem = NULL;
	unsigned int number = 0;
	char *line = NULL;
	size_t size = 0;
	bool good = true;

	(void)env;
	if (file == NULL) {
		*error_r = mem_printf(ctx, "%s: cannot be opened: %s", argument, strerror(errno));
		talloc_free(rows);
		return NULL;
	}
	while (good && getline(&line, &size, file) >= 0) {
		number++;
		good = add_line(rows, rows, line, &problem);
	}
	free(line);
	if (!good)
		*error_r = mem_printf(ctx, "%s:%u: %s", argument, number, problem);
	else if (ferror(file))
		*error_r = mem_printf(ctx, "%s: cannot be read: %s", argument, strerror(errno));
	good = good && !ferror(file);
	(void)fclose(file);
	if (good)
		return rows;
	talloc_free(rows);
	return NULL;
}

static void
cidr_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms, struct table_answer *answer_r)
{
	const struct rows *rows = state;
	struct ip_address address;

	(void)ctx, (void)deadline_ms;
	answer_r->outcome = TABLE_NOT_FOUND;
	if (!ip_address_parse(key, &address))
		return;
	for (size_t i = 0; i < rows->n; i++) {
		if (!netblock_contains(&rows->rows[i].block, 1, &address))
			continue;
		answer_r->outcome = TABLE_FOUND;
		answer_r->value = rows->rows[i].value;
		return;
	}
}

const struct table_type table_cidr = { "cidr", TABLE_FILE, cidr_open, cidr_get, NULL };
