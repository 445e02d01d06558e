/*
 * netblock.h - IP networks in CIDR notation
 */
#ifndef POLICY_BASE_NETBLOCK_H
#define POLICY_BASE_NETBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

/* An IP address; IPv4-mapped IPv6 addresses are IPv4. */
struct ip_address {
	unsigned char octets[16]; /* network order; the first 4 for IPv4 */
	unsigned int bits;	/* 32 or 128; 0: none */
};

struct netblock {
	struct ip_address network;
	unsigned int prefix;	/* bits that count */
};

/* ip_address_parse - textual IPv4 or IPv6 (a leading "IPv6:", as Sendmail writes it, is skipped) */
bool ip_address_parse(const char *text, struct ip_address *address_r);

/* ip_address_text - the usual form of an address, which must not be none; on ctx */
char *ip_address_text(TALLOC_CTX *ctx, const struct ip_address *address);

/* ip_address_is_loopback - 127.0.0.0/8 or ::1 */
bool ip_address_is_loopback(const struct ip_address *address);

/* ip_address_is_inner - an address that never leaves its host or link (RFC 6890): loopback,
 * link-local, multicast ... */
bool ip_address_is_inner(const struct ip_address *address);

/* ip_address_is_private - an address that may leave this host but is not seen on the Internet:
 * RFC 1918, RFC 4193, and shared ones (RFC 6598) */
bool ip_address_is_private(const struct ip_address *address);

/*
 * netblock_parse - "ADDRESS" or "ADDRESS/PREFIX"
 * Host bits must be zero. ::ffff:192.0.2.0/120 is 192.0.2.0/24. Returns false and *error_r on ctx
 * otherwise.
 */
bool netblock_parse(TALLOC_CTX *ctx, const char *text, struct netblock *block_r,
    const char **error_r);

/*
 * netblock_prefix_equal - do two addresses agree in their first bits?
 * a and b: network order, at least (bits + 7) / 8 octets long.
 */
bool netblock_prefix_equal(const unsigned char *a, const unsigned char *b, unsigned int bits);

/* netblock_contains - is the address within one of n blocks? */
bool netblock_contains(const struct netblock *blocks, size_t n, const struct ip_address *address);

#endif
