/*
 * doors.h - who may connect as an MTA
 *
 * Everything that a milter packet says is a claim of the peer: the login, the client, the queue id.
 * So the option peers says which UNIX users and which networks may make such claims.
 */
#ifndef FILTER_MILTER_DOORS_H
#define FILTER_MILTER_DOORS_H

#include <stdbool.h>

#include "filter/daemon/daemon.h"

/* doors_open - whose snapshots say who may connect; before libmilter serves. daemon outlives it. */
void doors_open(struct daemon *daemon);

/*
 * doors_admit - may the peer of an accepted connection speak?
 * Otherwise it is counted, an event, and logged at most once a minute for each user or address. Any
 * thread; asks the kernel only.
 */
bool doors_admit(int fd);

#endif
