/*
 * body_print.c - what the body of a message says, as a number
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "policy/base/hash.h"
#include "policy/quota/body_print.h"

static const char boundary[] = "boundary=";

#define BOUNDARY_LEN	(sizeof(boundary) - 1)

/* begin_line - at the start of a line */
static void
begin_line(struct body_print *print)
{
	print->line = print->seed;
	print->visible = print->boundary = 0;
	print->skip = false;
}

/* end_line - the line is whole: add it, unless it is left out */
static void
end_line(struct body_print *print)
{
	if (print->visible > 0 && !print->skip) {
		print->hash = hash_mix(print->hash ^ print->line);
		print->some = true;
	}
	begin_line(print);
}

/* body_print_begin - nothing was read */
void
body_print_begin(struct body_print *print, uint64_t seed)
{
	*print = (struct body_print){ .hash = HASH_START ^ seed, .seed = HASH_START ^ seed };
	begin_line(print);
}

/* match_boundary - follow "boundary=" through a line; no start of it is in it twice */
static void
match_boundary(struct body_print *print, char c)
{
	char lower = text_lower(c);

	if (lower == boundary[print->boundary])
		print->boundary++;
	else
		print->boundary = lower == boundary[0];
	if (print->boundary == BOUNDARY_LEN) {
		print->skip = true;
		print->boundary = 0;
	}
}

/* body_print_octet - one octet that is not white space */
static void
body_print_octet(struct body_print *print, char c)
{
	static const uint64_t dash = (unsigned char)'-';

	/* the second of two dashes that begin the line */
	if (print->visible == 1 && c == '-' && print->line == hash_octet(print->seed, dash))
		print->skip = true;
	print->visible++;
	/* most octets are none of that word: this is for attachments */
	if (!print->skip && (print->boundary > 0 || c == boundary[0] || c == 'B'))
		match_boundary(print, c);
	print->line = hash_octet(print->line, (unsigned char)c);
}

/* body_print_add - the next octets of the body */
void
body_print_add(struct body_print *print, const char *octets, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (octets[i] == '\n')
			end_line(print);
		else if (octets[i] != ' ' && octets[i] != '\t' && octets[i] != '\r')
			body_print_octet(print, octets[i]);
	}
}

/* body_print_end - the print of all that was read */
bool
body_print_end(struct body_print *print, uint64_t *print_r)
{
	end_line(print);
	*print_r = print->hash;
	return print->some;
}
