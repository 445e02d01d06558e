/*
 * letter.h - the message that is sent over and over
 *
 * Threads: fixed once made.
 */
#ifndef TESTS_BENCH_LETTER_H
#define TESTS_BENCH_LETTER_H

#include <stddef.h>
#include <stdio.h>
#include <talloc.h>

/* A header field as an MTA gives it to a filter: value with its leading space, folds as LF. */
struct letter_field {
	const char *name;
	const char *value;	/* NULL: From, which differs from sender to sender */
};

struct letter {
	struct letter_field *fields;
	size_t n_fields;
	const char *body;	/* lines end in CRLF */
	size_t body_len;
};

/* letter_make - a letter of n_fields fields (at least 1, From) and body_len octets of body */
struct letter *letter_make(TALLOC_CTX *ctx, size_t n_fields, size_t body_len);

/* letter_read - a letter from a file, lines ending in LF or CRLF; NULL and *error_r if it cannot
 * be read */
struct letter *letter_read(TALLOC_CTX *ctx, const char *file, const char **error_r);

/* letter_print - write a letter as letter_read() reads it; from: the value of From, with its
 * leading space */
void letter_print(const struct letter *letter, const char *from, FILE *file);

#endif
