/*
 * test_bounce.c - delivery reports as MTAs write them, and others
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

#include "policy/sender/bounce.h"

static struct bounce bounce;

/* id_in - the Message-ID of a report that comes in pieces of so many octets, or "" */
static const char *
id_in(const char *body, size_t piece)
{
	const char *id;

	memset(&bounce, 0, sizeof(bounce));
	for (size_t left = strlen(body); left > 0; left -= piece, body += piece) {
		if (piece > left)
			piece = left;
		bounce_add(&bounce, body, piece);
	}
	id = bounce_end(&bounce);
	return id != NULL ? id : "";
}

static const char *
id_of(const char *body)
{
	char whole[BOUNCE_LINE_MAX + 1];

	memcpy(whole, id_in(body, 100000), sizeof(whole));
	for (size_t piece = 1; piece < 5; piece++)
		assert_string_equal(id_in(body, piece), whole);
	return id_in(body, 100000);
}

/* As Postfix writes it. */
#define POSTFIX(action, type, after) \
	"This is a MIME-encapsulated message.\r\n\r\n--4Xb.1/mx\r\n" \
	"Content-Description: Notification\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n" \
	"I'm sorry to have to inform you\r\nMessage-ID: <not@this.one>\r\n\r\n--4Xb.1/mx\r\n" \
	"Content-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\n" \
	"Reporting-MTA: dns; mx.example\r\nX-Postfix-Queue-ID: 4Xb\r\n\r\n" \
	"Final-Recipient: rfc822; gone@there.example\r\nAction: " action "\r\nStatus: 5.1.1\r\n" \
	"\r\n--4Xb.1/mx\r\nContent-Description: Undelivered Message\r\n" \
	"Content-Type: " type "\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" \
	"Return-Path: <alice@example.org>\r\nFrom: alice@example.org\r\n" after \
	"Subject: hello\r\n\r\nHello.\r\nMessage-ID: <nor@this.one>\r\n\r\n--4Xb.1/mx--\r\n"

static void
test_good(void **state)
{
	(void)state;
	assert_string_equal(id_of(POSTFIX("failed", "message/rfc822",
		"Message-ID: <1@client.example>\r\n")), "<1@client.example>");
	assert_string_equal(id_of(POSTFIX("failed", "text/rfc822-headers; charset=utf-8",
		"message-id:\r\n <1@client.example>\r\n")), "<1@client.example>");
	assert_string_equal(id_of(POSTFIX("Failed (really)", "message/global-headers",
		"MESSAGE-ID:<1@client.example> \r\n")), "<1@client.example>");
	/* Sendmail and Exim: other names of fields, and no text first */
	assert_string_equal(id_of("--x\r\nContent-type: message/delivery-status\r\n\r\n"
	    "Reporting-MTA: dns; a\r\n\r\nAction: delayed\r\n\r\naction: failed\r\n\r\n--x\r\n"
	    "Content-type:\r\n\tmessage/rfc822\r\n\r\nMessage-Id: <2@b>\r\n"), "<2@b>");
}

static void
test_none(void **state)
{
	(void)state;
	assert_string_equal(id_of(""), "");
	assert_string_equal(id_of("\r\n\r\n"), "");
	/* not for good, and not failed at all */
	assert_string_equal(
	    id_of(POSTFIX("delayed", "message/rfc822", "Message-ID: <1@c>\r\n")), "");
	assert_string_equal(
	    id_of(POSTFIX("relayed", "message/rfc822", "Message-ID: <1@c>\r\n")), "");
	/* nothing is returned, or it has no Message-ID in its header */
	assert_string_equal(id_of(POSTFIX("failed", "text/plain", "Message-ID: <1@c>\r\n")), "");
	assert_string_equal(id_of(POSTFIX("failed", "message/rfc822", "")), "");
	assert_string_equal(
	    id_of(POSTFIX("failed", "message/rfc822", "Message-ID:  \r\n")), "");
	assert_string_equal(
	    id_of(POSTFIX("failed", "message/rfc822", "\r\nMessage-ID: <1@c>\r\n")), "");
}

/* test_bounds - endless lines, folds and reports */
static void
test_bounds(void **state)
{
	static char line[5000];
	struct bounce *own = calloc(1, sizeof(*own));

	(void)state;
	assert_non_null(own);
	memset(line, 'x', sizeof(line));
	bounce_add(own, "Content-Type: message/delivery-status\n\nAction: failed\n", 54);
	bounce_add(own, "Content-Type: message/rfc822\n\nMessage-ID:", 41);
	for (size_t i = 0; i < 100; i++) {
		bounce_add(own, line, sizeof(line));
		bounce_add(own, "\n ", 2);
	}
	assert_int_equal(strlen(bounce_end(own)), BOUNCE_LINE_MAX - strlen("Message-ID:"));
	memset(own, 0, sizeof(*own));
	for (size_t i = 0; i < 300; i++)
		bounce_add(own, line, sizeof(line));
	assert_int_equal(own->octets, BOUNCE_OCTETS_MAX);
	assert_null(bounce_end(own));
	free(own);
}

/* Of a report that is larger than what is read, the first part counts; one that is signed has the
 * report within. */
static void
test_large_and_signed(void **state)
{
	static const char front[] = "--s\r\nContent-Type: multipart/report; boundary=x;\r\n"
	    " report-type=delivery-status\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
	    "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a\r\n\r\n"
	    "Action: failed\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"
	    "Message-ID: <3@c>\r\n\r\n";
	static char body[5000];
	struct bounce *own = calloc(1, sizeof(*own));

	(void)state;
	assert_non_null(own);
	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = '\n';
	bounce_add(own, front, sizeof(front) - 1);
	for (size_t i = 0; i < 3 * BOUNCE_OCTETS_MAX / sizeof(body); i++)
		bounce_add(own, body, sizeof(body));
	assert_string_equal(bounce_end(own), "<3@c>");
	free(own);
	assert_true(bounce_is_report(
	    " multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=s"));
	assert_false(bounce_is_report(" application/pkcs7-mime; smime-type=enveloped-data"));
}

static void
test_type(void **state)
{
	(void)state;
	assert_true(bounce_is_report(
	    " multipart/report; report-type=delivery-status;\n\tboundary=\"x\""));
	assert_true(bounce_is_report(
	    " Multipart/Report; boundary=\"x\"; Report-Type = \"Delivery-Status\""));
	assert_false(bounce_is_report(
	    " multipart/report; report-type=disposition-notification; boundary=x"));
	assert_false(bounce_is_report(" multipart/report; boundary=x"));
	assert_false(bounce_is_report(" multipart/reports; report-type=delivery-status"));
	assert_false(bounce_is_report(" text/plain; report-type=delivery-status"));
	assert_false(bounce_is_report(""));
	assert_false(bounce_is_report(" multipart/report; report-type="));
}

static void
test_queue_id(void **state)
{
	struct span id;

	(void)state;
	id = bounce_queue_id("<20261129094200.4XbC123@mail.example.org>");
	assert_int_equal(id.len, 7);
	assert_memory_equal(id.at, "4XbC123", 7);
	id = bounce_queue_id("<202611290942.3AT9g0xx012345@host>");
	assert_int_equal(id.len, 14);
	assert_int_equal(bounce_queue_id("<1@client.example>").len, 0);
	assert_int_equal(bounce_queue_id("<20261129094200.4Xb.C@host>").len, 0);
	assert_int_equal(bounce_queue_id("<20261129094200.4XbC").len, 0);
	assert_int_equal(bounce_queue_id("<20261129094200").len, 0);
	assert_int_equal(bounce_queue_id("").len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_large_and_signed),
		cmocka_unit_test(test_type),
		cmocka_unit_test(test_queue_id),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
