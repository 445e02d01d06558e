/*
 * exposition.c - figures as text that Prometheus reads
 *
 * Thread rule: as exposition.h says.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "filter/base/exposition.h"
#include "policy/base/mem.h"

struct exposition {
	bool openmetrics;
	FILE *out;		/* NULL: it has ended */
	char *text;		/* malloc */
	size_t len;
	enum exposition_type type;	/* of the family */
	const char *name;
};

static int
exposition_free(struct exposition *exposition)
{
	if (exposition->out != NULL)
		(void)fclose(exposition->out);
	free(exposition->text);
	return 0;
}

struct exposition *
exposition_new(TALLOC_CTX *ctx, bool openmetrics)
{
	struct exposition *exposition = mem_new(ctx, struct exposition);

	exposition->openmetrics = openmetrics;
	exposition->out = mem_check(open_memstream(&exposition->text, &exposition->len));
	talloc_set_destructor(exposition, exposition_free);
	return exposition;
}

/* exposition_suffix - what the name of a sample has that the name of its family has not */
static const char *
exposition_suffix(enum exposition_type type)
{
	return type == EXPOSITION_COUNTER ? "_total" : type == EXPOSITION_INFO ? "_info" : "";
}

void
exposition_family(struct exposition *exposition, enum exposition_type type, const char *name,
    const char *unit, const char *help)
{
	static const char *const words[] = { [EXPOSITION_COUNTER] = "counter",
		[EXPOSITION_GAUGE] = "gauge", [EXPOSITION_HISTOGRAM] = "histogram",
		[EXPOSITION_INFO] = "info" };
	const char *suffix = exposition->openmetrics ? "" : exposition_suffix(type);
	const char *word = words[type];

	if (!exposition->openmetrics && type == EXPOSITION_INFO)
		word = "gauge";
	exposition->type = type;
	exposition->name = name;
	(void)fprintf(exposition->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name,
	    suffix, word);
	if (exposition->openmetrics && unit != NULL)
		(void)fprintf(exposition->out, "# UNIT %s %s\n", name, unit);
}

/* exposition_label - name="value", with what may not stand in a value escaped */
static void
exposition_label(FILE *out, char before, const char *name, const char *value)
{
	(void)fprintf(out, "%c%s=\"", before, name);
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			(void)fputc('\\', out);
		if (*value == '\n')
			(void)fputs("\\n", out);
		else
			(void)fputc(*value, out);
	}
	(void)fputc('"', out);
}

void
exposition_value(struct exposition *exposition, double value, ...)
{
	const char *label;
	char before = '{';
	va_list labels;

	(void)fprintf(
	    exposition->out, "%s%s", exposition->name, exposition_suffix(exposition->type));
	va_start(labels, value);
	while ((label = va_arg(labels, const char *)) != NULL) {
		exposition_label(exposition->out, before, label, va_arg(labels, const char *));
		before = ',';
	}
	va_end(labels);
	(void)fprintf(exposition->out, "%s %.16g\n", before == ',' ? "}" : "", value);
}

/* exposition_part - the name of a sample of a histogram, and its label, not closed */
static void
exposition_part(struct exposition *exposition, const char *part, const char *label,
    const char *value)
{
	(void)fprintf(exposition->out, "%s_%s", exposition->name, part);
	if (label != NULL)
		exposition_label(exposition->out, '{', label, value);
}

void
exposition_histogram(struct exposition *exposition, const struct histogram *histogram,
    const char *label, const char *value)
{
	double sum_us = (double)atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
	const char *before = label != NULL ? "," : "{", *end = label != NULL ? "}" : "";
	uint64_t n = 0;

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		n += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
		exposition_part(exposition, "bucket", label, value);
		if (i < HISTOGRAM_BOUNDS)
			(void)fprintf(exposition->out, "%sle=\"%g\"} %" PRIu64 "\n", before,
			    (double)histogram_bounds_us[i] / 1e6, n);
		else
			(void)fprintf(
			    exposition->out, "%sle=\"+Inf\"} %" PRIu64 "\n", before, n);
	}
	exposition_part(exposition, "sum", label, value);
	(void)fprintf(exposition->out, "%s %.16g\n", end, sum_us / 1e6);
	exposition_part(exposition, "count", label, value);
	(void)fprintf(exposition->out, "%s %" PRIu64 "\n", end, n);
}

const char *
exposition_text(struct exposition *exposition)
{
	/* a comment in Prometheus' own format: it shows that the text is whole */
	(void)fputs("# EOF\n", exposition->out);
	(void)fclose(exposition->out);
	exposition->out = NULL;
	return mem_check(exposition->text);
}
