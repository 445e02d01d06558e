/*
 * measure.c - what benches of one process share: clocks, medians, and that they must work
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/measure.h"

double
clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int
compare(const void *a, const void *b)
{
	const double *one = a, *two = b;

	return (*one > *two) - (*one < *two);
}

double
percentile(double *values, size_t n, double part)
{
	qsort(values, n, sizeof(*values), compare);
	return values[(size_t)((double)n * part)];
}

double
median(double *values, size_t n)
{
	return percentile(values, n, 0.5);
}

void
require(bool good, const char *what)
{
	if (good)
		return;
	(void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, what != NULL ? what : "-");
	exit(1);
}
