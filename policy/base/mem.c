/*
 * mem.c - the end of a process without memory
 *
 * Threads: mem_on_end() is called before there are any.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>

#include "policy/base/mem.h"

static void (*mem_told)(const char *why);	/* set before threads start, then only read */

/* mem_on_end - what is called before the end */
void
mem_on_end(void (*told)(const char *why))
{
	mem_told = told;
}

/* mem_end - end the process */
void
mem_end(const char *why)
{
	if (mem_told != NULL)
		mem_told(why);
	abort();
}
