/*
 * measure.h - what benches of one process share: clocks, medians, and that they must work
 *
 * Threads: no state.
 */
#ifndef TESTS_BENCH_MEASURE_H
#define TESTS_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* clock_us - of a clock in microseconds */
double clock_us(clockid_t clock);

/* median, percentile - of n values, which are sorted; part is below 1 */
double median(double *values, size_t n);
double percentile(double *values, size_t n, double part);

/* require - the bench itself must work; else it ends. what: NULL is written as "-" */
void require(bool good, const char *what);

#endif
