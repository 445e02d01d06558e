/*
 * dns_probe.h - which DNS servers answer at all
 */
#ifndef FILTER_DOCTOR_DNS_PROBE_H
#define FILTER_DOCTOR_DNS_PROBE_H

#include "filter/doctor/inside.h"

#define DNS_PROBE_MS	2500	/* for all servers together */

/*
 * dns_probe - ask each server for the name servers of the root; fills dns_ of the site
 * servers: NULL-terminated, or NULL or empty for those of /etc/resolv.conf. A server that cannot
 * resolve (SERVFAIL) counts as dead, one that will not (REFUSED) as alive: it may know our zones.
 */
void dns_probe(struct site *site, const char **servers);

/* dns_probe_signatures - do servers that are alive give the signatures of the zone whose keys are
 * in the file anchor? Sets dns_strips of the site. */
void dns_probe_signatures(struct site *site, const char *anchor);

#endif
