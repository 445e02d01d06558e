/*
 * trust.h - the files that a configuration reads: may others change them?
 */
#ifndef FILTER_DAEMON_TRUST_H
#define FILTER_DAEMON_TRUST_H

#include <stdbool.h>
#include <talloc.h>

#include "filter/base/trusted_file.h"
#include "filter/config/configuration.h"

/*
 * trust_check - the configuration and what it includes, plans, tables, OpenDKIM's tables and the
 * event_command
 * What others may change is an error; a password that others may read is a warning, a line of
 * *warnings_r. false and *error_r on ctx. Any thread.
 */
bool trust_check(TALLOC_CTX *ctx, const struct config *config, const struct trusted_by *by,
    const char **warnings_r, const char **error_r);

#endif
