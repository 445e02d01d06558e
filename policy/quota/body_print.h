/*
 * body_print.h - what the body of a message says, as a number: the same for the same text
 *
 * Bodies that are equal as DKIM's relaxed form has them (RFC 6376 section 3.4.4) have one print.
 * All white space is left out, and so are lines that begin with "--" or contain "boundary=": mail
 * programs invent the boundaries of a multipart body for each message. All of a body is looked at:
 * what differs between the letters of one run may be the attachment at its end.
 *
 * Pure. Threads: no state; a struct belongs to one thread at a time.
 */
#ifndef POLICY_QUOTA_BODY_PRINT_H
#define POLICY_QUOTA_BODY_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A body as far as it was read. Begin with body_print_begin(). */
struct body_print {
	uint64_t hash;		/* of the lines before this one */
	uint64_t line;		/* of this line */
	uint64_t seed;
	size_t visible;		/* octets of this line that are not white space */
	size_t boundary;	/* of "boundary=", so many octets match before here */
	bool skip;		/* this line is left out */
	bool some;		/* some line before was not left out */
};

/* body_print_begin - nothing was read; with different seeds, one body has different prints */
void body_print_begin(struct body_print *print, uint64_t seed);

/* body_print_add - the next octets of the body */
void body_print_add(struct body_print *print, const char *octets, size_t len);

/* body_print_end - the print of all that was read; false: the body says nothing */
bool body_print_end(struct body_print *print, uint64_t *print_r);

#endif
