/*
 * interfaces.h - the addresses of this host
 */
#ifndef FILTER_BASE_INTERFACES_H
#define FILTER_BASE_INTERFACES_H

#include <stddef.h>
#include <talloc.h>

#include "policy/base/netblock.h"

/* An address of an interface that is up. */
struct interface_address {
	const char *interface;	/* "eth0" */
	struct ip_address ip;
	unsigned int prefix;	/* of its network */
};

/*
 * interfaces_read - all addresses of this host
 * Returns n_r of them on ctx; NULL with errno if they cannot be read. Any thread.
 */
struct interface_address *interfaces_read(TALLOC_CTX *ctx, size_t *n_r);

#endif
