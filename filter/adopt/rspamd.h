/*
 * rspamd.h - the modules of rspamd that countersign takes over
 */
#ifndef FILTER_ADOPT_RSPAMD_H
#define FILTER_ADOPT_RSPAMD_H

#include "filter/adopt/inside.h"
#include "filter/adopt/ucl.h"

struct rspamd_file {
	const char *path; /* the last one that was read */
	const struct ucl_node *root;
	struct ucl_node settings; /* of all files of the module */
	const char *incomplete;   /* a file that was not read whole, or NULL */
};

/* rspamd_where - "file:line" of a setting; on adopt */
const char *rspamd_where(
    struct adopt *adopt, const struct rspamd_file *file, const struct ucl_node *node);

/* rspamd_ratelimit.c, rspamd_dkim.c */
void rspamd_ratelimit(struct adopt *adopt, const struct rspamd_file *file);
void rspamd_dkim_signing(struct adopt *adopt, const struct rspamd_file *file);
void rspamd_arc(struct adopt *adopt, const struct rspamd_file *file);

#endif
