/*
 * netblock.c - IP networks in CIDR notation
 *
 * inet_pton() is text in, octets out, so it may be used here. Pure; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "policy/base/mem.h"
#include "policy/base/netblock.h"

#define MAPPED_BITS	96	/* of an IPv6 address, those that say that it is an IPv4 one */

/* ip_address_parse - textual IPv4 or IPv6 */
bool
ip_address_parse(const char *text, struct ip_address *address_r)
{
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	memset(address_r, 0, sizeof(*address_r));
	if (strncasecmp(text, "IPv6:", 5) == 0)
		text += 5;
	if (inet_pton(AF_INET, text, address_r->octets) == 1) {
		address_r->bits = 32;
		return true;
	}
	if (inet_pton(AF_INET6, text, address_r->octets) != 1)
		return false;
	address_r->bits = 128;
	if (memcmp(address_r->octets, mapped, sizeof(mapped)) == 0) {
		memmove(address_r->octets, address_r->octets + 12, 4);
		memset(address_r->octets + 4, 0, 12);
		address_r->bits = 32;
	}
	return true;
}

/* ip_address_text - the usual form of an address */
char *
ip_address_text(TALLOC_CTX *ctx, const struct ip_address *address)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(address->bits == 32 ? AF_INET : AF_INET6, address->octets, text,
		sizeof(text)) == NULL)
		text[0] = '\0';	/* cannot happen: there is room for any address */
	return mem_strdup(ctx, text);
}

/* ip_address_is_loopback - 127.0.0.0/8 or ::1 */
bool
ip_address_is_loopback(const struct ip_address *address)
{
	static const unsigned char one[16] = { [15] = 1 };

	if (address->bits == 32)
		return address->octets[0] == 127;
	return address->bits == 128 && memcmp(address->octets, one, sizeof(one)) == 0;
}

/* A network of a list that is written out here. */
struct known_network {
	unsigned char octets[4]; /* the rest is zero */
	unsigned int bits, prefix;
};

/* netblock_known - does an address lie in one of n networks? */
static bool
netblock_known(const struct ip_address *address, const struct known_network *networks, size_t n)
{
	unsigned char octets[16] = { 0 };

	for (size_t i = 0; i < n; i++) {
		memcpy(octets, networks[i].octets, sizeof(networks[i].octets));
		if (address->bits == networks[i].bits &&
		    netblock_prefix_equal(address->octets, octets, networks[i].prefix))
			return true;
	}
	return false;
}

bool
ip_address_is_inner(const struct ip_address *address)
{
	static const struct known_network networks[] = {
		{ { 0 }, 32, 8 },
		{ { 127 }, 32, 8 },
		{ { 169, 254 }, 32, 16 },
		{ { 224 }, 32, 3 },
		{ { 0 }, 128, 127 },	/* :: and ::1 */
		{ { 0xfe, 0x80 }, 128, 10 },
		{ { 0xff }, 128, 8 },
	};

	return netblock_known(address, networks, sizeof(networks) / sizeof(networks[0]));
}

bool
ip_address_is_private(const struct ip_address *address)
{
	static const struct known_network networks[] = {
		{ { 10 }, 32, 8 },
		{ { 172, 16 }, 32, 12 },
		{ { 192, 168 }, 32, 16 },
		{ { 100, 64 }, 32, 10 },
		{ { 0xfc }, 128, 7 },
	};

	return netblock_known(address, networks, sizeof(networks) / sizeof(networks[0]));
}

/* netblock_prefix_equal - do two addresses agree in their first bits? */
bool
netblock_prefix_equal(const unsigned char *a, const unsigned char *b, unsigned int bits)
{
	unsigned int whole = bits / 8;
	unsigned int rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

/* parse_prefix - a decimal number of at most max; -1: none */
static int
parse_prefix(const char *text, unsigned int max)
{
	unsigned int value = 0;

	if (*text == '\0' || strlen(text) > 3)
		return -1;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		value = value * 10 + (unsigned int)(*text - '0');
	}
	return value <= max ? (int)value : -1;
}

/* netblock_parse - "ADDRESS" or "ADDRESS/PREFIX" */
bool
netblock_parse(TALLOC_CTX *ctx, const char *text, struct netblock *block_r, const char **error_r)
{
	static const unsigned char zero[16] = { 0 };
	const char *slash = strchr(text, '/');
	char *address = slash == NULL ? mem_strdup(ctx, text) :
	    mem_strndup(ctx, text, (size_t)(slash - text));
	struct netblock masked;
	int prefix;

	if (!ip_address_parse(address, &block_r->network)) {
		*error_r = mem_printf(ctx, "\"%s\" is not an IP address or network", text);
		return false;
	}
	prefix = slash == NULL ? (int)block_r->network.bits : parse_prefix(slash + 1, 128);
	if (block_r->network.bits == 32 && prefix >= MAPPED_BITS && strchr(address, ':') != NULL)
		prefix -= MAPPED_BITS;
	if (prefix < 0 || prefix > (int)block_r->network.bits) {
		*error_r = mem_printf(ctx, "\"%s\": the prefix must be 0 to %u", text,
		    block_r->network.bits);
		return false;
	}
	block_r->prefix = (unsigned int)prefix;
	masked = *block_r;
	for (unsigned int bit = block_r->prefix; bit < block_r->network.bits; bit++)
		masked.network.octets[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
	if (memcmp(masked.network.octets, block_r->network.octets, sizeof(zero)) != 0) {
		*error_r = mem_printf(ctx, "\"%s\" has bits set after its prefix", text);
		return false;
	}
	return true;
}

/* netblock_contains - is the address within one of the blocks? */
bool
netblock_contains(const struct netblock *blocks, size_t n, const struct ip_address *address)
{
	for (size_t i = 0; i < n; i++)
		if (blocks[i].network.bits == address->bits &&
		    netblock_prefix_equal(
			blocks[i].network.octets, address->octets, blocks[i].prefix))
			return true;
	return false;
}
