/*
 * site.h - what is known of a site before the checks begin
 */
#ifndef FILTER_DOCTOR_SITE_H
#define FILTER_DOCTOR_SITE_H

#include <stdint.h>

#include "filter/doctor/inside.h"

/* site_prepare - read configuration, MTA, keys and addresses; waits at most for some seconds.
 * options must outlive the result. Never NULL. */
struct site *site_prepare(const struct doctor_options *options, int64_t deadline_ms);

/* site_free - once no exam uses it */
void site_free(struct site *site);

#endif
