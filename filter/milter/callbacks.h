/*
 * callbacks.h - the libmilter side of the daemon
 */
#ifndef FILTER_MILTER_CALLBACKS_H
#define FILTER_MILTER_CALLBACKS_H

#include "filter/daemon/daemon.h"

/*
 * callbacks_register - register our callbacks with libmilter
 * Once, before smfi_main(). daemon must outlive it. Returns 0, or -1.
 */
int callbacks_register(struct daemon *daemon);

#endif
