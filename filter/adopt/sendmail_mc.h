/*
 * sendmail_mc.h - a sendmail.mc as the lines that sendmail.cf would have
 */
#ifndef FILTER_ADOPT_SENDMAIL_MC_H
#define FILTER_ADOPT_SENDMAIL_MC_H

#include "filter/adopt/inside.h"

/* sendmail_mc_read - its calls of INPUT_MAIL_FILTER, DAEMON_OPTIONS and some more; NULL: it cannot
 * be read. On adopt. */
struct sendmail *sendmail_mc_read(struct adopt *adopt, const char *path);

/* sendmail_mc_is - does a path name a .mc file? */
bool sendmail_mc_is(const char *path);

#endif
