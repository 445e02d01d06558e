/*
 * read.h - connections of libmilter read in large pieces
 *
 * Threads: milter_read_follow() before libmilter serves; everything else from any thread.
 */
#ifndef FILTER_MILTER_READ_H
#define FILTER_MILTER_READ_H

#include <stdint.h>

/* What was saved since the start, for tests. */
struct milter_read_counts {
	uint64_t pieces;	/* reads that brought more than was asked for */
	uint64_t octets;	/* how much more, in all */
};

/*
 * milter_read_follow - read ahead on the connections that accept(2) takes from a listening socket
 * fd: the socket; at most a few may be named. Where the trick does not take effect (see read.c)
 * nothing is different but the cost.
 */
void milter_read_follow(int fd);

/* milter_read_counts - the counts so far */
void milter_read_counts(struct milter_read_counts *counts_r);

#endif
