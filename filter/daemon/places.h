/*
 * places.h - whether the directories that the configuration names are there
 *
 * Sockets and the file of the store are made when the daemon starts; a check of the configuration
 * makes none of them, so it looks at their directories.
 */
#ifndef FILTER_DAEMON_PLACES_H
#define FILTER_DAEMON_PLACES_H

#include <stdbool.h>
#include <talloc.h>

#include "filter/config/configuration.h"

/* What countersign.service makes for files that survive a restart (StateDirectory). */
#define PLACES_STATE_DIRECTORY	LOCALSTATEDIR "/lib/countersign"

/*
 * places_check - look at the directories of listen, control and store
 * sockets_by_root: the daemon makes its sockets before it gives up root's rights, so only the
 * store's directory must be writable by this process. Returns 0, or -1 and *error_r on ctx: all
 * that is wrong, a line each. *warnings_r, on ctx or unchanged: directories that
 * countersign.service makes when it starts. One thread.
 */
int places_check(TALLOC_CTX *ctx, const struct config *config, bool sockets_by_root,
    const char **warnings_r, const char **error_r);

#endif
