/*
 * test_packet.c - every packet that an MTA sends is good, every other is not
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filter/milter/packet.h"

#define OFFER	"O\0\0\0\6\0\0\1\xff\0\x1f\xff\xff"
#define CONNECT	"Chost\0" "4\0\1" "192.0.2.1"

/* A packet as a string literal: its first octet is the command. */
#define PACKET(text)	{ text, sizeof(text) - 1 }	/* without the literal's own NUL */
#define STRING(text)	{ text, sizeof(text) }		/* with it */
#define END		{ NULL, 0 }

struct packet {
	const char *octets;
	size_t len;
};

/* give - a packet, in pieces of so many octets; the fault, or NULL */
static const char *
give(struct packet_check *check, const struct packet *packet, size_t piece)
{
	unsigned char octets[4096];
	const char *fault = NULL;
	size_t len = packet->len + 4;

	assert_true(len <= sizeof(octets));
	octets[0] = octets[1] = 0;
	octets[2] = (unsigned char)(packet->len >> 8);
	octets[3] = (unsigned char)packet->len;
	memcpy(octets + 4, packet->octets, packet->len);
	for (size_t at = 0; at < len && fault == NULL; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		unsigned char *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, octets + at, n);
		fault = packet_check(check, copy, n);
		free(copy);
	}
	return fault;
}

/* check_each - all packets are good but the last, whose fault is this one (NULL: it is good) */
static void
check_each(const struct packet *packets, const char *fault)
{
	for (size_t piece = 1; piece < 40; piece += 3) {
		struct packet_check check = { 0 };
		size_t i;

		for (i = 0; packets[i + 1].octets != NULL; i++)
			assert_null(give(&check, &packets[i], piece));
		if (fault == NULL)
			assert_null(give(&check, &packets[i], piece));
		else {
			assert_string_equal(give(&check, &packets[i], piece), fault);
			/* and nothing is good after it */
			assert_string_equal(
			    give(&check, &(struct packet)PACKET("Q"), piece), fault);
		}
	}
}

/* what Postfix and Sendmail send */
static void
test_good(void **state)
{
	static const struct packet postfix[] = {
		PACKET(OFFER), STRING("DCj\0mx.example.org\0{daemon_name}\0mx"), STRING(CONNECT),
		PACKET("DH"), STRING("Hclient.example"), PACKET("A"), STRING("Hclient.example"),
		STRING("DMi\0" "4B\0{mail_addr}\0a@example.org\0{auth_type}\0"),
		STRING("M<a@example.org>\0SIZE=100\0BODY=8BITMIME"), STRING("DRi\0" "4B"),
		STRING("R<b@example.net>"), STRING("R<c@example.net>\0NOTIFY=NEVER"), STRING("DTi\0x"),
		PACKET("T"), STRING("DLi\0x"), STRING("LFrom\0 a@example.org"),
		STRING("DLi\0x"), STRING("LSubject\0"), STRING("DNi\0x"), PACKET("N"),
		STRING("DBi\0x"), PACKET("Bbody\0octets\r\n"), PACKET("B"), STRING("DEi\0x"),
		PACKET("E"), PACKET("A"), PACKET("A"), PACKET("A"), PACKET("Q"), END
	};
	static const struct packet sendmail[] = {
		PACKET(OFFER), STRING("Clocalhost\0" "6\0\0IPv6:::1"), STRING("Hx"), STRING("Hy"),
		STRING("M<a@example.org>"), STRING("R<b@example.net>"), STRING("LFrom\0 a"), PACKET("N"),
		PACKET("E"), STRING("M<>"), STRING("R<b@example.net>"), STRING("M<again@example.org>"),
		STRING("UVRFY x"), STRING("R<b@example.net>"), PACKET("N"), STRING("Hz"),
		STRING("M<a>"), PACKET("Q"), END
	};
	static const struct packet unknown_client[] = { PACKET(OFFER), PACKET("Cunknown\0U"),
		STRING("Hx"), END };
	static const struct packet unix_client[] = { PACKET(OFFER), STRING("Cx\0L\0\0/run/x"),
		PACKET("Q"), END };
	static const struct packet monitor[] = { PACKET("Q"), END };
	static const struct packet two_names[] = { PACKET(OFFER), STRING(CONNECT), STRING("M<a>"),
		STRING("R<b>"), STRING("LFrom\0 a\0 b"), END };

	(void)state;
	check_each(postfix, NULL);
	check_each(sendmail, NULL);
	check_each(unknown_client, NULL);
	check_each(unix_client, NULL);
	check_each(monitor, NULL);
	check_each(two_names, NULL);
}

/* one packet after a connection, and what is wrong with it */
static void
bad_packet(const char *octets, size_t len, const char *fault)
{
	const struct packet packets[] = { PACKET(OFFER), STRING(CONNECT), { octets, len }, END };

	check_each(packets, fault);
}
#define BAD(text, fault)	bad_packet(text, sizeof(text) - 1, fault)

/* lists of macros that libmilter would read past */
static void
test_macros(void **state)
{
	(void)state;
	BAD("DMi\0", "a macro without value");
	BAD("DMi\0x\0j\0", "a macro without value");
	BAD("DMa\0b\0c\0d\0e\0f\0g\0h\0i\0", "a macro without value");
	BAD("DMi", "a macro without end");
	BAD("DMi\0x", "a macro without end");
	BAD("DMi\0x\0j", "a macro without end");
	BAD("DM\0", "a macro without value");
	BAD("D", "macros of no command");
	BAD("DZi\0x\0", "macros of an unknown command");
	BAD("D\0i\0x\0", "macros of an unknown command");
}

/* commands whose data is not theirs */
static void
test_shapes(void **state)
{
	(void)state;
	BAD("H", "a string without end");
	BAD("Hx", "a string without end");
	BAD("Hx\0y\0", "more strings than the command has");
	BAD("M", "a string without end");
	BAD("M<a>", "a string without end");
	BAD("M<a>\0SIZE=1", "a string without end");
	BAD("Ux", "a string without end");
	BAD("Ax", "data after a command that has none");
	BAD("Qx", "data after a command that has none");
	BAD("Z", "an unknown command");
	BAD("K", "an unknown command");
	BAD("\0", "an unknown command");
	BAD("\xff", "an unknown command");
}

/* the fields of a message */
static void
test_fields(void **state)
{
	static const struct { struct packet packet; const char *fault; } bad[] = {
		{ PACKET("LFrom\0 a"), "a string without end" },
		{ PACKET("LFrom"), "a string without end" },
		{ PACKET("LFrom\0"), "a field without value" },
		{ PACKET("L\0x\0y\0"), "a field without name" },
		{ PACKET("L\0\0"), "a field without name" },
		{ PACKET("L"), "a string without end" },
		{ PACKET("Nx"), "data after a command that has none" },
		{ PACKET("R<c>"), "a string without end" },
		{ PACKET("Tx"), "data after a command that has none" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct packet packets[] = { PACKET(OFFER), STRING(CONNECT), STRING("M<a>"),
			STRING("R<b>"), bad[i].packet, END };

		check_each(packets, bad[i].fault);
	}
}

/* CONNECT, which libmilter searches for a NUL beyond its end */
static void
test_connect(void **state)
{
	static const struct { struct packet packet; const char *fault; } bad[] = {
		{ PACKET("C"), "a host name without end" },
		{ PACKET("Chost"), "a host name without end" },
		{ PACKET("Chost\0"), "a host name without end" },
		{ PACKET("Chost\0" "4"), "an address without end" },
		{ PACKET("Chost\0" "4\0"), "an address without end" },
		{ PACKET("Chost\0" "4\0\0"), "an address without end" },
		{ PACKET("Chost\0" "4\0\0" "1"), "an address without end" },
		{ PACKET("Chost\0" "6\0\0" "::1"), "an address without end" },
		{ PACKET("Chost\0" "9\0\0" "1\0"), "an unknown family of addresses" },
		{ PACKET("Chost\0\0\0\0" "1\0"), "an unknown family of addresses" },
		{ PACKET(OFFER), "a command that may not come here" },
		{ STRING("Hx"), "a command that may not come here" },
		{ STRING("M<a>"), "a command that may not come here" },
		{ PACKET("A"), "a command that may not come here" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct packet packets[] = { PACKET(OFFER), bad[i].packet, END };

		check_each(packets, bad[i].fault);
	}
}

/* the beginning */
static void
test_start(void **state)
{
	static const struct packet early[] = { STRING(CONNECT), END };
	static const struct packet macros[] = { STRING("DCi\0x"), END };
	static const struct packet cut[] = { PACKET("O\0\0\0\6\0\0\1\xff\0\x1f\xff"), END };
	static const struct packet after_quit[] = { PACKET("Q"), PACKET("Q"), END };

	(void)state;
	check_each(early, "a command that may not come here");
	check_each(macros, "a command that may not come here");
	check_each(cut, "a negotiation cut short");
	check_each(after_quit, "a command that may not come here");
}

/* commands in another order */
static void
test_order(void **state)
{
	static const struct packet orders[][8] = {
		{ STRING("R<b>"), END },
		{ STRING("LFrom\0x"), END },
		{ PACKET("N"), END },
		{ PACKET("Bx"), END },
		{ PACKET("E"), END },
		{ PACKET("T"), END },
		{ STRING(CONNECT), END },
		{ STRING("M<a>"), STRING("LFrom\0x"), END },
		{ STRING("M<a>"), PACKET("T"), END },
		{ STRING("M<a>"), STRING("R<b>"), PACKET("Bx"), END },
		{ STRING("M<a>"), STRING("R<b>"), PACKET("E"), END },
		{ STRING("M<a>"), STRING("R<b>"), PACKET("T"), STRING("R<b>"), END },
		{ STRING("M<a>"), STRING("R<b>"), PACKET("N"), STRING("LFrom\0x"), END },
		{ STRING("M<a>"), STRING("R<b>"), PACKET("N"), PACKET("N"), END },
		{ STRING("M<a>"), STRING("R<b>"), PACKET("N"), PACKET("E"), PACKET("E"), END },
		{ STRING("M<a>"), STRING("Hx"), STRING("R<b>"), END },
		{ STRING("M<a>"), PACKET("A"), STRING("R<b>"), END },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct packet packets[12] = { PACKET(OFFER), STRING(CONNECT) };

		memcpy(packets + 2, orders[i], sizeof(orders[i]));
		check_each(packets, "a command that may not come here");
	}
}

/* a length is judged before any data comes */
static void
test_lengths(void **state)
{
	static const struct { const char *head; const char *fault; } heads[] = {
		{ "\0\x10\0\2B", "a command that may not come here" },
		{ "\0\1\0\2M", "more data than the command may have" },
		{ "\x7f\xff\xff\xffM", "more data than the command may have" },
		{ "\x80\0\0\0D", "more data than the command may have" },
		{ "\xff\xff\xff\xffH", "more data than the command may have" },
		{ "\0\0\0\0M", "a length of 0, which has no room for the command" },
		{ "\0\0\0\2E", "a command that may not come here" },
		{ "\0\0\0\2A", "data after a command that has none" },
	};
	static const unsigned char header[] = { 0, 16, 0, 2, 'L' };

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct packet_check check = { .stage = PACKET_CONNECTED };

		assert_string_equal(
		    packet_check(&check, (const unsigned char *)heads[i].head, 5), heads[i].fault);
	}
	struct packet_check check = { .stage = PACKET_RCPT };

	assert_string_equal(packet_check(&check, header, 5), "more data than the command may have");
	assert_string_equal(packet_command(&check), "HEADER");
}

/* strings, each of which costs libmilter a pointer, are bounded */
static void
test_many_strings(void **state)
{
	unsigned char octets[PACKET_STRINGS_MAX + 10] = { 0 };
	struct packet_check check = { .stage = PACKET_CONNECTED };
	uint32_t len = PACKET_STRINGS_MAX + 2;

	(void)state;
	octets[2] = (unsigned char)(len >> 8);
	octets[3] = (unsigned char)len;
	octets[4] = 'M';
	assert_string_equal(packet_check(&check, octets, len + 4), "too many strings");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_macros),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_many_strings),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
