/*
 * from_policyd.c - policyd v2 (cluebringer)
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/adopt/inside.h"

void
adopt_policyd(struct adopt *adopt, const char *path)
{
	adopt_missing(adopt, "%s: the limits in policyd's database are not read", path);
}
