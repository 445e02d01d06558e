/*
 * test_received.c - whom a relay's Received field names as its client
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/sender/received.h"

#define BY " by mx1.example.org (Postfix) with ESMTP id 4ABC; Mon, 2 Nov 2026 10:00:00 +0000"

struct row {
	const char *label;
	const char *value;
	enum received_outcome outcome;
	const char *address, *helo;
};

static const struct row rows[] = {
	{ "Postfix",
	    " from mail.s.example (out.s.example [203.0.113.9])\n\tby mx1.example.org (Postfix) with ESMTPS id 4;\n\tMon",
	    RECEIVED_CLIENT, "203.0.113.9", "mail.s.example" },
	{ "Postfix, name unknown", " from x.example (unknown [203.0.113.9])" BY, RECEIVED_CLIENT,
	    "203.0.113.9", "x.example" },
	{ "Postfix, IPv6", " from x.example (x.example [IPv6:2001:db8::9])" BY, RECEIVED_CLIENT,
	    "2001:db8::9", "x.example" },
	{ "IPv4-mapped", " from x.example (x.example [IPv6:::ffff:203.0.113.9])" BY,
	    RECEIVED_CLIENT, "203.0.113.9", "x.example" },
	{ "Postfix with TLS comments",
	    " from x.example (x.example [203.0.113.9])\n\t(using TLSv1.3 with cipher [1.2.3.4] (256/256 bits))\n\t"
	    "(No client certificate requested)\n\tby mx1 (Postfix) with ESMTPS id 4; Mon",
	    RECEIVED_CLIENT, "203.0.113.9", "x.example" },
	{ "Sendmail",
	    " from x.example (out.x.example [203.0.113.9])\r\n\tby mx1 (8.17.1/8.17.1) with ESMTP id 2; Mon",
	    RECEIVED_CLIENT, "203.0.113.9", "x.example" },
	{ "Sendmail, may be forged", " from x.example (y.example [203.0.113.9] (may be forged))" BY,
	    RECEIVED_CLIENT, "203.0.113.9", "x.example" },
	{ "Sendmail, ident", " from x.example (joe@y.example [203.0.113.9])" BY, RECEIVED_CLIENT,
	    "203.0.113.9", "x.example" },
	{ "Sendmail without name", " from x.example ([203.0.113.9])" BY, RECEIVED_CLIENT,
	    "203.0.113.9", "x.example" },
	{ "Exim, name and HELO differ",
	    " from out.x.example ([203.0.113.9] helo=x.example)\n\tby mx1 with esmtps",
	    RECEIVED_CLIENT, "203.0.113.9", "x.example" },
	{ "Exim with port",
	    " from out.x.example ([203.0.113.9]:4567 helo=x.example ident=joe) by mx1",
	    RECEIVED_CLIENT, "203.0.113.9", "x.example" },
	{ "Exim, the same", " from x.example ([203.0.113.9]) by mx1", RECEIVED_CLIENT,
	    "203.0.113.9", "x.example" },
	{ "Exim, no name", " from [203.0.113.9] (helo=x.example) by mx1", RECEIVED_CLIENT,
	    "203.0.113.9", "x.example" },
	{ "Exim, no name, port first", " from [203.0.113.9] (port=4567 helo=x.example) by mx1",
	    RECEIVED_CLIENT, "203.0.113.9", "x.example" },
	{ "Exim, HELO is the address", " from [203.0.113.9] by mx1 with esmtp", RECEIVED_CLIENT,
	    "203.0.113.9", "[203.0.113.9]" },
	{ "Exim, HELO is another address", " from [203.0.113.9] (helo=[192.0.2.1]) by mx1",
	    RECEIVED_CLIENT, "203.0.113.9", "[192.0.2.1]" },
	{ "Exim, name and a HELO that is an address",
	    " from x.example ([203.0.113.9] helo=[192.0.2.1]) by mx1", RECEIVED_CLIENT,
	    "203.0.113.9", "[192.0.2.1]" },
	{ "Exim, ident that is an address",
	    " from x.example ([203.0.113.9] ident=[192.0.2.1]) by mx1", RECEIVED_CLIENT,
	    "203.0.113.9", "x.example" },
	{ "Exchange", " from x.example (203.0.113.9) by ex (10.0.0.1) with Microsoft SMTP Server",
	    RECEIVED_CLIENT, "203.0.113.9", "x.example" },
	{ "Postfix, HELO is an address", " from [192.0.2.1] (unknown [203.0.113.9])" BY,
	    RECEIVED_CLIENT, "203.0.113.9", "[192.0.2.1]" },
	{ "words in any case", " FROM x.example (x.example [203.0.113.9]) BY mx1", RECEIVED_CLIENT,
	    "203.0.113.9", "x.example" },
	{ "login",
	    " from pc (pc.isp.example [203.0.113.9])\n\t(Authenticated sender: alice)\n\tby mx1 (Postfix) with ESMTPSA id 4; Mon",
	    RECEIVED_LOCAL, NULL, NULL },
	{ "login, Exim", " from pc ([203.0.113.9]) by mx1 with esmtpa (Exim 4.96)", RECEIVED_LOCAL,
	    NULL, NULL },
	{ "the word only in a comment",
	    " from pc (pc [203.0.113.9]) (with ESMTPSA) by mx1 with ESMTP id 4", RECEIVED_CLIENT,
	    "203.0.113.9", "pc" },
	{ "the word only behind the date",
	    " from pc (pc [203.0.113.9]) by mx1 with ESMTP id 4; with ESMTPSA", RECEIVED_CLIENT,
	    "203.0.113.9", "pc" },
	{ "made on the relay", " by mx1.example.org (Postfix, from userid 0)\n\tid 4; Mon",
	    RECEIVED_LOCAL, NULL, NULL },
	{ "other brackets behind the address",
	    " from x.example (y.example [203.0.113.9] [no address])" BY, RECEIVED_CLIENT,
	    "203.0.113.9", "x.example" },
	{ "two addresses", " from x.example ([192.0.2.1] [203.0.113.9])" BY, RECEIVED_UNREADABLE,
	    NULL, NULL },
	{ "an ident with an address", " from x.example ([192.0.2.1]@y.example [203.0.113.9])" BY,
	    RECEIVED_UNREADABLE, NULL, NULL },
	{ "Exim's form with more behind it", " from [192.0.2.1] (y.example) by mx1",
	    RECEIVED_UNREADABLE, NULL, NULL },
	{ "no address", " from x.example (x.example)" BY, RECEIVED_UNREADABLE, NULL, NULL },
	{ "no comment", " from x.example by mx1", RECEIVED_UNREADABLE, NULL, NULL },
	{ "an address only in a later comment", " from x.example (y.example) ([203.0.113.9])" BY,
	    RECEIVED_UNREADABLE, NULL, NULL },
	{ "no end of the comment", " from x.example (x.example [203.0.113.9] by mx1",
	    RECEIVED_UNREADABLE, NULL, NULL },
	{ "no bracket at the end", " from x.example (x.example [203.0.113.9) by mx1",
	    RECEIVED_UNREADABLE, NULL, NULL },
	{ "no address in brackets", " from x.example (x.example [203.0.113.999])" BY,
	    RECEIVED_UNREADABLE, NULL, NULL },
	{ "qmail", " from unknown (HELO x.example) (203.0.113.9)\n  by mx1 with SMTP; 2 Nov",
	    RECEIVED_UNREADABLE, NULL, NULL },
	{ "qmail, made there", " (qmail 123 invoked by uid 1000); 2 Nov", RECEIVED_UNREADABLE, NULL,
	    NULL },
	{ "nothing behind from", " from ", RECEIVED_UNREADABLE, NULL, NULL },
	{ "a comment at once", " from (x [203.0.113.9]) by mx1", RECEIVED_UNREADABLE, NULL, NULL },
	{ "empty", "", RECEIVED_UNREADABLE, NULL, NULL },
};

static void
test_fields(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct received_client client;

		if (received_read(ctx, rows[i].value, strlen(rows[i].value), &client) !=
		    rows[i].outcome)
			fail_msg("%s", rows[i].label);
		if (rows[i].outcome != RECEIVED_CLIENT)
			continue;
		if (strcmp(client.address, rows[i].address) != 0)
			fail_msg("%s: %s", rows[i].label, client.address);
		assert_non_null(client.helo);
		if (strcmp(client.helo, rows[i].helo) != 0)
			fail_msg("%s: HELO %s", rows[i].label, client.helo);
	}
	talloc_free(ctx);
}

/* Every field cut at every octet: nothing behind its end is read (run with sanitizers). */
static void
test_cut(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (len = 0; len < strlen(rows[i].value); len++) {
			unsigned int room = len > 0 ? (unsigned int)len : 1;
			char *copy = mem_array(ctx, char, room);
			struct received_client client;

			memcpy(copy, rows[i].value, len);
			if (received_read(ctx, copy, len, &client) == RECEIVED_CLIENT)
				assert_int_not_equal(client.ip.bits, 0);
		}
	}
	talloc_free(ctx);
}

/* header - a list of Received fields; NULL ends it */
static struct header_list *
header(TALLOC_CTX *ctx, const char *const *clients)
{
	struct header_list *list = header_list_new(ctx, 100000);

	header_append(list, "Subject", 7, " hi", 3);
	for (; *clients != NULL; clients++) {
		char *value = mem_printf(ctx, " from h (n [%s])" BY, *clients);

		header_append(list, "received", 8, value, strlen(value));
	}
	return list;
}

static void
test_walk(void **state)
{
	static const struct {
		const char *label;
		const char *clients[6];
		enum received_outcome outcome;
		const char *address;
	} walks[] = {
		{ "the client of the relay", { "203.0.113.9", "192.0.2.1" }, RECEIVED_CLIENT, "203.0.113.9" },
		{ "a relay behind a relay", { "198.51.100.2", "203.0.113.9", "192.0.2.1" }, RECEIVED_CLIENT, "203.0.113.9" },
		{ "what a stranger wrote is not read", { "203.0.113.9", "198.51.100.2", "192.0.2.1" }, RECEIVED_CLIENT, "203.0.113.9" },
		{ "relays only", { "198.51.100.2", "198.51.100.3" }, RECEIVED_LOCAL, NULL },
		{ "no field", { NULL }, RECEIVED_LOCAL, NULL },
		{ "an unreadable one of a relay", { "198.51.100.2", "x", "192.0.2.1" }, RECEIVED_UNREADABLE, NULL },
		{ "an unreadable one of a stranger", { "203.0.113.9", "x" }, RECEIVED_CLIENT, "203.0.113.9" },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;
	struct netblock relays;
	size_t i;

	(void)state;
	assert_true(netblock_parse(ctx, "198.51.100.0/24", &relays, &error));
	for (i = 0; i < sizeof(walks) / sizeof(walks[0]); i++) {
		struct received_client client;

		if (received_find_client(ctx, header(ctx, walks[i].clients), &relays, 1, &client) !=
		    walks[i].outcome)
			fail_msg("%s", walks[i].label);
		if (walks[i].address != NULL)
			assert_string_equal(client.address, walks[i].address);
	}
	talloc_free(ctx);
}

static void
test_walk_ends(void **state)
{
	const char *clients[RECEIVED_RELAYS_MAX + 2] = { NULL };
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct received_client client;
	const char *error = NULL;
	struct netblock relays;
	size_t i;

	(void)state;
	assert_true(netblock_parse(ctx, "198.51.100.0/24", &relays, &error));
	for (i = 0; i < RECEIVED_RELAYS_MAX; i++)
		clients[i] = "198.51.100.2";
	assert_int_equal(received_find_client(ctx, header(ctx, clients), &relays, 1, &client),
	    RECEIVED_UNREADABLE);
	clients[RECEIVED_RELAYS_MAX - 1] = "203.0.113.9";
	assert_int_equal(
	    received_find_client(ctx, header(ctx, clients), &relays, 1, &client), RECEIVED_CLIENT);
	talloc_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_walk_ends),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
