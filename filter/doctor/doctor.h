/*
 * doctor.h - what is wrong with a site: its MTA, DNS, keys, certificates, limits, Redis
 *
 * Each check of the table looks at one thing and adds findings. The checks run at the same time,
 * each in a thread, and end by a deadline. Nothing is changed; only DNS questions leave the host.
 */
#ifndef FILTER_DOCTOR_DOCTOR_H
#define FILTER_DOCTOR_DOCTOR_H

#include <stdbool.h>
#include <talloc.h>

#include "filter/config/configuration.h"
#include "filter/doctor/types.h"

#define DOCTOR_TIME_MS	8500	/* for all checks together */

/*
 * doctor_examine - run the checks
 * Returns within about DOCTOR_TIME_MS, plus a second, whatever hangs; what did not end is
 * DOCTOR_UNKNOWN. Threads of such checks live on until they have ended. Strings and findings are on
 * ctx. What options point to must live as long as the process. It must ignore SIGPIPE. Any thread.
 */
struct doctor_report *doctor_examine(TALLOC_CTX *ctx, const struct doctor_options *options);

/*
 * doctor_look_at_redis - of these checks, as the daemon makes them, those of how Redis is set up
 * Cheap enough for every minute, and within a few seconds. config must have the store in Redis; its
 * passwords are read again. Findings are on ctx. Any thread.
 */
struct doctor_report *doctor_look_at_redis(TALLOC_CTX *ctx, const struct config *config);

/* doctor_level_word - "error", "warning", "unknown", "ok" */
const char *doctor_level_word(enum doctor_level level);

/* doctor_known - is there a check with this id? If not, *near_r is the one that was meant, or
 * NULL */
bool doctor_known(const char *id, const char **near_r);

#endif
