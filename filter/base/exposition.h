/*
 * exposition.h - figures as text that Prometheus reads
 *
 * There are two spellings. OpenMetrics 1.0 names a family of counters without the "_total" of its
 * samples, has units, and ends with "# EOF". Prometheus' own format 0.0.4, which promtool and
 * node_exporter read, names it with "_total".
 *
 * Threads: an exposition belongs to one thread.
 */
#ifndef FILTER_BASE_EXPOSITION_H
#define FILTER_BASE_EXPOSITION_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/base/histogram.h"

struct exposition;

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM,
	EXPOSITION_INFO };

/* exposition_new - a text without figures; a talloc child of ctx */
struct exposition *exposition_new(TALLOC_CTX *ctx, bool openmetrics);

/*
 * exposition_family - the samples that follow are of this family
 * name: without "_total" and "_info"; it ends in its unit, if it has one. unit: "seconds" or
 * "bytes", or NULL. help: a sentence. All are kept by reference until the next family.
 */
void exposition_family(struct exposition *exposition, enum exposition_type type, const char *name,
    const char *unit, const char *help);

/*
 * exposition_value - a sample of a counter, a gauge or an info
 * Labels follow: names and values in turn, ended by NULL. A value may be any text.
 */
void exposition_value(struct exposition *exposition, double value, ...)
    __attribute__((sentinel));

/* exposition_histogram - the samples of a histogram with one label, or none: label is NULL */
void exposition_histogram(struct exposition *exposition, const struct histogram *histogram,
    const char *label, const char *value);

/* exposition_text - the whole text, which ends the exposition; lives as long as it */
const char *exposition_text(struct exposition *exposition);

#endif
