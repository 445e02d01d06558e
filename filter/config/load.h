/*
 * load.h - the configuration file, read and checked
 *
 * config_load() reads the file (and the plans file it names), checks every
 * word, and returns either a whole configuration or a list of errors, each
 * with file:line and how to correct it. It opens no table, key, store or socket.
 */
#ifndef FILTER_CONFIG_LOAD_H
#define FILTER_CONFIG_LOAD_H

#include <talloc.h>

#include "filter/config/configuration.h"
#include "filter/config/options.h"

/*
 * config_load - read and check a configuration file
 * Returns the configuration on ctx, or NULL and *error_r on ctx: one or more lines
 * "file:line: what is wrong; what to do", without a final newline. Any thread, but not twice at
 * once for the same ctx.
 */
struct config *config_load(TALLOC_CTX *ctx, const char *file, const char **error_r);

/* config_option_groups - the groups of all options of both files; the end is NULL. Any thread. */
const struct option_group *const *config_option_groups(void);

#endif
