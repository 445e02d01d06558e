/*
 * control_sums.h - the sums of many accounts over some days, added up by name
 *
 * A site may have a million accounts: a line takes little, and refusals only if there are any.
 *
 * Threads: a table belongs to one thread.
 */
#ifndef FILTER_CONTROL_CONTROL_SUMS_H
#define FILTER_CONTROL_CONTROL_SUMS_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/journal/daybook.h"

/* One account, or one domain. */
struct sums_line {
	const char *name;
	struct daybook_sums sums;
	uint64_t connections;
	uint64_t peak;		/* recipients in the fullest hour of the fullest day */
	uint64_t refused;	/* all refusals */
	uint32_t *reasons;	/* refusals by reason, then those let pass by mode watch; or NULL */
};

struct sums_table {
	TALLOC_CTX *ctx;
	struct map *names;	/* name => struct sums_line; NULL: none yet */
	struct sums_line **lines; /* sums_sort() makes it */
	size_t n;		/* lines */
};

/* sums_add_row - add an account's day to the line of a name */
void sums_add_row(struct sums_table *table, const char *name, const struct daybook_row *row);

/* sums_add_line - add a line to that of a name; its peak is not added, hours may differ */
void sums_add_line(struct sums_table *table, const char *name, const struct sums_line *line);

/* What a table is sorted by; the largest first, then by name. */
enum sums_order { SUMS_BY_RECIPIENTS, SUMS_BY_MESSAGES, SUMS_BY_REFUSED };

/* sums_sort - make the array of lines, sorted; nothing may be added after it */
void sums_sort(struct sums_table *table, enum sums_order order);

/* sums_measure - what an order compares */
uint64_t sums_measure(const struct sums_line *line, enum sums_order order);

#endif
