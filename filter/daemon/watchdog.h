/*
 * watchdog.h - the thread that assures the service manager that the daemon answers
 */
#ifndef FILTER_DAEMON_WATCHDOG_H
#define FILTER_DAEMON_WATCHDOG_H

#include <talloc.h>

#include "filter/daemon/probe.h"

struct watchdog;

/*
 * watchdog_start - if the service manager has a watchdog (WatchdogSec), feed it while our own
 * socket answers
 * NULL if it has none, or if no thread can be started, which is logged. listening is copied.
 */
struct watchdog *watchdog_start(TALLOC_CTX *ctx, const struct probe_address *listening);

/* watchdog_stop - ends the thread and waits for it; NULL is fine */
void watchdog_stop(struct watchdog *watchdog);

#endif
