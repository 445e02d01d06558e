/*
 * test_netblock.c - addresses and networks, and which lie in which
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/base/netblock.h"

#define COUNT(rows)	(sizeof(rows) / sizeof((rows)[0]))

static void
test_addresses(void **state)
{
	static const struct {
		const char *text;
		unsigned int bits;	/* 0: refused */
		unsigned char octets[16];
		bool loopback;
	} rows[] = {
		{ "192.0.2.7", 32, { 192, 0, 2, 7 }, false },
		{ "0.0.0.0", 32, { 0 }, false },
		{ "255.255.255.255", 32, { 255, 255, 255, 255 }, false },
		{ "127.0.0.1", 32, { 127, 0, 0, 1 }, true },
		{ "127.255.255.254", 32, { 127, 255, 255, 254 }, true },
		{ "126.255.255.255", 32, { 126, 255, 255, 255 }, false },
		{ "128.0.0.1", 32, { 128, 0, 0, 1 }, false },
		{ "2001:db8::7", 128, { 0x20, 1, 0x0d, 0xb8, [15] = 7 }, false },
		{ "2001:DB8:0:0:0:0:0:7", 128, { 0x20, 1, 0x0d, 0xb8, [15] = 7 }, false },
		{ "::", 128, { 0 }, false },
		{ "::1", 128, { [15] = 1 }, true },
		{ "::2", 128, { [15] = 2 }, false },
		{ "1::1", 128, { [1] = 1, [15] = 1 }, false },
		{ "IPv6:::1", 128, { [15] = 1 }, true },
		{ "ipv6:2001:db8::7", 128, { 0x20, 1, 0x0d, 0xb8, [15] = 7 }, false },
		{ "::ffff:192.0.2.7", 32, { 192, 0, 2, 7 }, false },
		{ "::ffff:c000:207", 32, { 192, 0, 2, 7 }, false },
		{ "::ffff:127.0.0.1", 32, { 127, 0, 0, 1 }, true },
		{ "IPv6:::FFFF:127.0.0.1", 32, { 127, 0, 0, 1 }, true },
		{ "::127.0.0.1", 128, { [12] = 127, [15] = 1 }, false },
		{ "", 0, { 0 }, false },
		{ "IPv6:", 0, { 0 }, false },
		{ "192.0.2", 0, { 0 }, false },
		{ "192.0.2.256", 0, { 0 }, false },
		{ "192.0.2.7.", 0, { 0 }, false },
		{ " 192.0.2.7", 0, { 0 }, false },
		{ "192.0.2.7 ", 0, { 0 }, false },
		{ "192.0.2.7/32", 0, { 0 }, false },
		{ "[192.0.2.7]", 0, { 0 }, false },
		{ "0x7f.0.0.1", 0, { 0 }, false },
		{ "2130706433", 0, { 0 }, false },
		{ "2001:db8::7::1", 0, { 0 }, false },
		{ "2001:db8", 0, { 0 }, false },
		{ "fe80::1%lo", 0, { 0 }, false },
		{ "[2001:db8::7]", 0, { 0 }, false },
		{ "localhost", 0, { 0 }, false },
		{ "unknown", 0, { 0 }, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ip_address address;
		bool good = ip_address_parse(rows[i].text, &address);

		if (good != (rows[i].bits > 0) || address.bits != rows[i].bits)
			fail_msg("\"%s\": %u bits", rows[i].text, address.bits);
		if (good && memcmp(address.octets, rows[i].octets, sizeof(address.octets)) != 0)
			fail_msg("\"%s\": other octets", rows[i].text);
		if (ip_address_is_loopback(&address) != rows[i].loopback)
			fail_msg("\"%s\": loopback", rows[i].text);
	}
}

static void
test_good_networks(void **state)
{
	static const struct { const char *text; unsigned int bits, prefix; } rows[] = {
		{ "10.0.3.0/28", 32, 28 }, { "10.0.4.7", 32, 32 }, { "10.0.4.7/32", 32, 32 },
		{ "0.0.0.0/0", 32, 0 }, { "128.0.0.0/1", 32, 1 }, { "10.0.4.6/31", 32, 31 },
		{ "2001:db8::/32", 128, 32 }, { "::/0", 128, 0 }, { "2001:db8::7", 128, 128 },
		{ "2001:db8::7/128", 128, 128 }, { "2001:db8::8000:0:0:0/65", 128, 65 },
		{ "::ffff:10.0.0.0/8", 32, 8 }, { "::ffff:10.0.0.0/104", 32, 8 },
		{ "::ffff:192.0.2.1/128", 32, 32 }, { "::ffff:0:0/96", 32, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;
		struct netblock block;

		if (!netblock_parse(ctx, rows[i].text, &block, &error))
			fail_msg("%s: %s", rows[i].text, error);
		if (block.network.bits != rows[i].bits || block.prefix != rows[i].prefix)
			fail_msg("%s: /%u of %u", rows[i].text, block.prefix, block.network.bits);
		talloc_free(ctx);
	}
}

static void
test_bad_networks(void **state)
{
	static const struct { const char *text, *part; } rows[] = {
		{ "", "is not an IP address" },
		{ "/8", "is not an IP address" },
		{ "example.org", "\"example.org\" is not an IP address" },
		{ "10.0.0", "is not an IP address" },
		{ "10.0.0/24", "is not an IP address" },
		{ "10.0.0.0/", "must be 0 to 32" },
		{ "10.0.0.0/33", "must be 0 to 32" },
		{ "10.0.0.0/-1", "must be 0 to 32" },
		{ "10.0.0.0/+8", "must be 0 to 32" },
		{ "10.0.0.0/ 8", "must be 0 to 32" },
		{ "10.0.0.0/8 ", "must be 0 to 32" },
		{ "10.0.0.0/8/8", "must be 0 to 32" },
		{ "10.0.0.0/0x8", "must be 0 to 32" },
		{ "10.0.0.0/255.0.0.0", "must be 0 to 32" },
		{ "10.0.0.0/4294967304", "must be 0 to 32" },
		{ "2001:db8::/129", "must be 0 to 128" },
		{ "2001:db8::/1000", "must be 0 to 128" },
		{ "::ffff:10.0.0.0/64", "must be 0 to 32" },
		{ "10.0.3.1/28", "bits set after its prefix" },
		{ "10.0.3.8/28", "bits set after its prefix" },
		{ "10.0.0.1/0", "bits set after its prefix" },
		{ "10.0.0.1/31", "bits set after its prefix" },
		{ "2001:db8::1/127", "bits set after its prefix" },
		{ "2001:db8::/28", "bits set after its prefix" },
		{ "8000::/0", "bits set after its prefix" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;
		struct netblock block;

		if (netblock_parse(ctx, rows[i].text, &block, &error))
			fail_msg("\"%s\": taken", rows[i].text);
		if (error == NULL || strstr(error, rows[i].part) == NULL)
			fail_msg("\"%s\": %s", rows[i].text, error);
		talloc_free(ctx);
	}
}

static void
test_contains(void **state)
{
	static const struct { const char *network, *address; bool inside; } rows[] = {
		{ "10.0.3.0/28", "10.0.3.0", true },
		{ "10.0.3.0/28", "10.0.3.15", true },
		{ "10.0.3.0/28", "10.0.3.16", false },
		{ "10.0.3.0/28", "10.0.2.255", false },
		{ "10.0.4.7", "10.0.4.7", true },
		{ "10.0.4.7", "10.0.4.6", false },
		{ "10.0.4.7", "::ffff:10.0.4.7", true },
		{ "10.0.4.7", "IPv6:::ffff:10.0.4.7", true },
		{ "10.0.4.6/31", "10.0.4.7", true },
		{ "10.0.4.6/31", "10.0.4.8", false },
		{ "0.0.0.0/0", "255.255.255.255", true },
		{ "0.0.0.0/0", "::", false },
		{ "0.0.0.0/0", "2001:db8::7", false },
		{ "128.0.0.0/1", "127.255.255.255", false },
		{ "128.0.0.0/1", "128.0.0.0", true },
		{ "10.0.0.0/9", "10.127.255.255", true },
		{ "10.0.0.0/9", "10.128.0.0", false },
		{ "::/0", "2001:db8::7", true },
		{ "::/0", "192.0.2.1", false },
		{ "::/0", "::ffff:192.0.2.1", false },
		{ "2001:db8::/32", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true },
		{ "2001:db8::/32", "2001:db9::", false },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "2001:db8::7", "2001:db8::7", true },
		{ "2001:db8::7", "2001:db8::8", false },
		{ "2001:db8::6/127", "2001:db8::7", true },
		/* the first four octets agree, the families do not */
		{ "32.1.13.184", "2001:db8::", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL;
		struct ip_address address;
		struct netblock block;

		assert_true(netblock_parse(ctx, rows[i].network, &block, &error));
		assert_true(ip_address_parse(rows[i].address, &address));
		if (netblock_contains(&block, 1, &address) != rows[i].inside)
			fail_msg("%s in %s", rows[i].address, rows[i].network);
		talloc_free(ctx);
	}
}

static void
test_lists(void **state)
{
	static const char *const networks[] = { "10.0.0.0/8", "2001:db8::/32", "192.0.2.1" };
	static const struct ip_address nobody;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct netblock blocks[COUNT(networks)], everything[2];
	struct ip_address address;
	const char *error = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(networks); i++)
		assert_true(netblock_parse(ctx, networks[i], &blocks[i], &error));
	assert_true(netblock_parse(ctx, "0.0.0.0/0", &everything[0], &error));
	assert_true(netblock_parse(ctx, "::/0", &everything[1], &error));
	assert_true(ip_address_parse("192.0.2.1", &address));
	assert_true(netblock_contains(blocks, 3, &address));
	assert_false(netblock_contains(blocks, 2, &address));
	assert_false(netblock_contains(blocks, 0, &address));
	assert_false(netblock_contains(NULL, 0, &address));
	/* a client without address, such as a unix socket, is in no network */
	assert_false(netblock_contains(everything, 2, &nobody));
	assert_false(ip_address_is_loopback(&nobody));
	talloc_free(ctx);
}

/* A text of a megabyte is refused and no more. */
static void
test_long(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *text = mem_array(ctx, char, 1000001);
	struct ip_address address;
	struct netblock block;
	const char *error = NULL;

	(void)state;
	memset(text, '1', 1000000);
	assert_false(ip_address_parse(text, &address));
	assert_false(netblock_parse(ctx, text, &block, &error));
	memcpy(text, "10.0.0.0/", 9);
	assert_false(netblock_parse(ctx, text, &block, &error));
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_good_networks),
		cmocka_unit_test(test_bad_networks),
		cmocka_unit_test(test_contains),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_long),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
