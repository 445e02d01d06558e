/*
 * adopt.h - from what a host runs today to a configuration of countersign
 *
 * Reads the MTA's configuration, OpenDKIM's, and the limits of policy services, and writes files
 * that say the same for countersign. Nothing but these files is changed; what has to be done in the
 * MTA, and what could not be taken over, is the report.
 *
 * Threads: one.
 */
#ifndef FILTER_ADOPT_ADOPT_H
#define FILTER_ADOPT_ADOPT_H

#include <talloc.h>

#include "filter/adopt/types.h"

/*
 * adopt - read, and write the files
 * Returns the report on ctx, or NULL and *error_r on ctx: nothing was written then.
 */
const struct adopt_report *adopt(
    TALLOC_CTX *ctx, const struct adopt_options *options, const char **error_r);

#endif
