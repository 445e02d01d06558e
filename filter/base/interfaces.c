/*
 * interfaces.c - the addresses of this host
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "filter/base/interfaces.h"
#include "policy/base/mem.h"

/* interface_octets - of a socket address; 4 or 16 of them, or 0: it is of another family */
static size_t
interface_octets(const struct sockaddr *name, unsigned char octets[16])
{
	const struct sockaddr_in *in = (const void *)name;
	const struct sockaddr_in6 *in6 = (const void *)name;

	if (name != NULL && name->sa_family == AF_INET) {
		memcpy(octets, &in->sin_addr, sizeof(in->sin_addr));
		return sizeof(in->sin_addr);
	}
	if (name != NULL && name->sa_family == AF_INET6) {
		memcpy(octets, &in6->sin6_addr, sizeof(in6->sin6_addr));
		return sizeof(in6->sin6_addr);
	}
	return 0;
}

/* interface_prefix - the bits of a netmask */
static unsigned int
interface_prefix(const unsigned char *mask, size_t len)
{
	unsigned int bits = 0;

	while (bits < len * 8 && (mask[bits / 8] & 0x80 >> bits % 8) != 0)
		bits++;
	return bits;
}

struct interface_address *
interfaces_read(TALLOC_CTX *ctx, size_t *n_r)
{
	struct interface_address *list = mem_array(ctx, struct interface_address, 1);
	struct ifaddrs *all = NULL;

	*n_r = 0;
	if (getifaddrs(&all) != 0) {
		talloc_free(list);
		return NULL;
	}
	for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
		struct interface_address address = { .prefix = 0 };
		unsigned char mask[16] = { 0 };
		size_t len = interface_octets(one->ifa_addr, address.ip.octets);

		if (len == 0 || (one->ifa_flags & IFF_UP) == 0)
			continue;
		address.interface = mem_strdup(ctx, one->ifa_name);
		address.ip.bits = (unsigned int)len * 8;
		address.prefix = interface_octets(one->ifa_netmask, mask) == len
		    ? interface_prefix(mask, len)
		    : address.ip.bits;
		list = mem_grow(ctx, list, struct interface_address, *n_r + 1);
		list[(*n_r)++] = address;
	}
	freeifaddrs(all);
	return list;
}
