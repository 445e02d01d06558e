/*
 * control_sums.c - the sums of many accounts over some days, added up by name
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/control/control_sums.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"

/* line_of - the line of a name; made if there is none */
static struct sums_line *
line_of(struct sums_table *table, const char *name)
{
	struct sums_line *line;

	if (table->names == NULL)
		table->names = map_new(table->ctx,
		    &(struct map_options){ .value_size = sizeof(struct sums_line) });
	line = map_put(table->names, name, NULL);
	line->name = map_key(table->names, line);
	return line;
}

/* add_sums - to those of a line */
static void
add_sums(struct sums_line *line, const struct daybook_sums *sums, uint64_t connections)
{
	line->sums.messages += sums->messages;
	line->sums.recipients += sums->recipients;
	line->sums.bytes += sums->bytes;
	line->connections += connections;
}

/* add_reasons - counts of all reasons to those of a line, from one of its halves on */
static void
add_reasons(struct sums_table *table, struct sums_line *line, const uint32_t *counts, size_t at)
{
	for (size_t reason = 0; reason < REASON_COUNT; reason++) {
		if (counts[reason] == 0)
			continue;
		if (line->reasons == NULL)
			line->reasons = mem_array(table->ctx, uint32_t, 2 * REASON_COUNT);
		line->reasons[at + reason] += counts[reason];
		if (at == 0)
			line->refused += counts[reason];
	}
}

/* sums_add_row - add an account's day to the line of a name */
void
sums_add_row(struct sums_table *table, const char *name, const struct daybook_row *row)
{
	struct sums_line *line = line_of(table, name);

	add_sums(line, &row->day, row->connections);
	if (row->peak_recipients > line->peak)
		line->peak = row->peak_recipients;
	add_reasons(table, line, row->refused, 0);
	add_reasons(table, line, row->would, REASON_COUNT);
}

/* sums_add_line - add a line to that of a name */
void
sums_add_line(struct sums_table *table, const char *name, const struct sums_line *from)
{
	struct sums_line *line = line_of(table, name);

	add_sums(line, &from->sums, from->connections);
	if (from->reasons == NULL)
		return;
	add_reasons(table, line, from->reasons, 0);
	add_reasons(table, line, from->reasons + REASON_COUNT, REASON_COUNT);
}

/* sums_measure - what an order compares */
uint64_t
sums_measure(const struct sums_line *line, enum sums_order order)
{
	switch (order) {
	case SUMS_BY_RECIPIENTS:
		return line->sums.recipients;
	case SUMS_BY_MESSAGES:
		return line->sums.messages;
	case SUMS_BY_REFUSED:
		return line->refused;
	}
	return 0;
}

/* compare - the larger first, then by name */
static int
compare(const void *one, const void *two, enum sums_order order)
{
	const struct sums_line *a = *(struct sums_line *const *)one;
	const struct sums_line *b = *(struct sums_line *const *)two;
	uint64_t of_a = sums_measure(a, order), of_b = sums_measure(b, order);

	if (of_a != of_b)
		return of_a > of_b ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int
by_recipients(const void *a, const void *b)
{
	return compare(a, b, SUMS_BY_RECIPIENTS);
}

static int
by_messages(const void *a, const void *b)
{
	return compare(a, b, SUMS_BY_MESSAGES);
}

static int
by_refused(const void *a, const void *b)
{
	return compare(a, b, SUMS_BY_REFUSED);
}

/* sums_sort - sort the lines */
void
sums_sort(struct sums_table *table, enum sums_order order)
{
	static int (*const orders[])(const void *, const void *) = {
		[SUMS_BY_RECIPIENTS] = by_recipients,
		[SUMS_BY_MESSAGES] = by_messages,
		[SUMS_BY_REFUSED] = by_refused,
	};

	struct sums_line *line = NULL;
	size_t n = 0;

	if (table->names == NULL)
		return;
	table->n = map_count(table->names);
	table->lines = mem_array(table->ctx, struct sums_line *, table->n);
	while ((line = map_next(table->names, line)) != NULL)
		table->lines[n++] = line;
	qsort(table->lines, table->n, sizeof(table->lines[0]), orders[order]);
}
