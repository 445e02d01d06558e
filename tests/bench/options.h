/*
 * options.h - the command line of the load generator
 */
#ifndef TESTS_BENCH_OPTIONS_H
#define TESTS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/bench/mta.h"

#define OPTIONS_ALSO_MAX	8	/* further processes that are measured */

/* A process that is measured beside the filter. */
struct options_also {
	const char *name;
	pid_t pid;
};

struct options {
	struct mta_traffic traffic;
	const char *name;		/* of the run, for the report */
	size_t connections;		/* at once */
	size_t per_connection;		/* messages on each before it is closed and opened anew */
	size_t idle;			/* connections that are opened and send nothing */
	size_t messages;		/* that are measured */
	size_t warmup;			/* sent before, not measured */
	double rate;			/* messages per second, 0: as fast as answers come */
	char answer;			/* SMFIR_* that a message should get; 0: any */
	pid_t pid;			/* of the filter; 0: unknown */
	struct options_also also[OPTIONS_ALSO_MAX];
	size_t n_also;
	size_t stall_s;			/* seconds without an answer that end the run */
};

/* options_read - read the command line; mistakes are told and end the program, as --help and
 * --print-letter do */
void options_read(TALLOC_CTX *ctx, int argc, char **argv, struct options *options_r);

#endif
