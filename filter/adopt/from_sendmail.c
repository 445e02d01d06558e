/*
 * from_sendmail.c - reading Sendmail
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/adopt/inside.h"

bool
adopt_sendmail_read(struct adopt *adopt, const char **error_r)
{
	(void)adopt;
	(void)error_r;
	return false;
}

void
adopt_sendmail(struct adopt *adopt)
{
	(void)adopt;
}
