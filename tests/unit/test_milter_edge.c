/*
 * test_milter_edge.c - what libmilter calls: the same octets, fewer system calls, checked packets
 *
 * What the kernel still holds (FIONREAD) tells whether a read took more than was asked for.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/base/clock.h"
#include "filter/milter/connection.h"
#include "filter/milter/edge.h"
#include "filter/milter/listen.h"
#include "filter/milter/reading.h"

#define BODY_OCTETS	500000	/* of the body that the octets of these tests are part of */

static char directory[] = "/tmp/milter-edge.XXXXXX";

/* A listening socket, and both ends of a connection to it. */
struct ends {
	int listening;
	int client;
	int server;
};

/* unix_address - of a name in the directory */
static struct sockaddr_un
unix_address(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, name);
	return address;
}

/* client_of - a connection to it */
static int
client_of(const char *name)
{
	struct sockaddr_un address = unix_address(name);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* put - a packet at the end of a buffer */
static size_t
put(unsigned char *buffer, size_t at, char command, const void *data, size_t len)
{
	buffer[at] = 0;
	buffer[at + 1] = (unsigned char)((len + 1) >> 16);
	buffer[at + 2] = (unsigned char)((len + 1) >> 8);
	buffer[at + 3] = (unsigned char)(len + 1);
	buffer[at + 4] = (unsigned char)command;
	if (data != NULL)
		memcpy(buffer + at + 5, data, len);
	return at + 5 + (data != NULL ? len : 0);
}

static const unsigned char offer[12] = { 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff };

/* put_message - all packets of a session up to the head of a body of BODY_OCTETS */
static size_t
put_message(unsigned char *buffer)
{
	size_t n = put(buffer, 0, SMFIC_OPTNEG, offer, sizeof(offer));

	n = put(buffer, n, SMFIC_CONNECT, "host\0004\0\00119.2.0.1", 17);
	n = put(buffer, n, SMFIC_MAIL, "<a@x>", 6);
	n = put(buffer, n, SMFIC_RCPT, "<b@x>", 6);
	n = put(buffer, n, SMFIC_EOH, "", 0);
	return put(buffer, n, SMFIC_BODY, NULL, BODY_OCTETS);
}

/* begin_body - let the next octets be those of a body, in which any octets are good */
static void
begin_body(const struct ends *ends)
{
	unsigned char sent[256], got[256];
	size_t n = put_message(sent);

	assert_int_equal(send(ends->client, sent, n, 0), n);
	assert_int_equal(edge_read(ends->server, got, n), n);
	assert_memory_equal(got, sent, n);
}

/* make_ends - a connection, which the edge knows or does not know */
static struct ends
make_ends(const char *name, int follow)
{
	struct sockaddr_un address = unix_address(name);
	struct ends ends = { .listening = socket(AF_UNIX, SOCK_STREAM, 0) };

	assert_int_equal(bind(ends.listening, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(ends.listening, 5), 0);
	ends.client = client_of(name);
	ends.server = follow ? edge_accept(ends.listening, NULL, NULL) :
	    accept(ends.listening, NULL, NULL);
	assert_true(ends.server >= 0);
	if (follow)
		begin_body(&ends);
	return ends;
}

static void
close_ends(const struct ends *ends)
{
	close(ends->client);
	edge_close(ends->server);
	close(ends->listening);
}

static void
test_slow_packet(void **state)
{
	struct ends ends;
	struct pollfd fd = { .events = POLLIN };
	unsigned char got[64];

	(void)state;
	connection_set_packet_ms(200);
	ends = make_ends("slow", 1);
	fd.fd = ends.server;
	/* in the middle of a body: one octet now and then is not enough */
	for (int i = 0; i < 100; i++) {
		assert_int_equal(send(ends.client, "x", 1, MSG_NOSIGNAL), 1);
		if (edge_poll(&fd, 1, 7200000) == 0)
			break;
		assert_int_equal(edge_read(ends.server, got, 1), 1);
		(void)poll(NULL, 0, 10);
	}
	assert_int_equal(edge_poll(&fd, 1, 7200000), 0);
	assert_int_equal(edge_read(ends.server, got, 1), 0);
	close_ends(&ends);
	/* a shorter time of the caller's is no fault */
	ends = make_ends("short", 1);
	fd.fd = ends.server;
	assert_int_equal(edge_poll(&fd, 1, 1), 0);
	assert_int_equal(send(ends.client, "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(edge_read(ends.server, got, 1), 1);
	close_ends(&ends);
	connection_set_packet_ms(CONNECTION_PACKET_MS);
}

/* write_packet - as libmilter writes one */
static ssize_t
write_packet(int fd, char command, const char *text)
{
	unsigned char head[5];
	struct iovec parts[2] = { { head, sizeof(head) },
		{ (void *)(uintptr_t)text, strlen(text) + 1 } };

	(void)put(head, 0, command, NULL, strlen(text) + 1);
	return edge_writev(fd, parts, 2);
}

/* expect_packet - the client reads this one next */
static void
expect_packet(const struct ends *ends, char command, const char *text)
{
	unsigned char expected[64], got[64];
	size_t n = put(expected, 0, command, text, strlen(text) + 1);

	assert_int_equal(recv(ends->client, got, n, MSG_WAITALL), n);
	assert_memory_equal(got, expected, n);
}

/* edits wait for the reply, and go with it in one piece; others go at once */
static void
test_edits(void **state)
{
	static const char edits[] = { SMFIR_INSHEADER, SMFIR_ADDHEADER, SMFIR_CHGHEADER,
		SMFIR_QUARANTINE, SMFIR_ADDRCPT, SMFIR_ADDRCPT_PAR, SMFIR_DELRCPT, SMFIR_CHGFROM,
		SMFIR_REPLBODY };
	struct ends ends = make_ends("edits", 1);
	struct pollfd fd = { .fd = ends.server, .events = POLLOUT };
	char got[1];

	(void)state;
	assert_int_equal(edge_poll(&fd, 1, 7200000), 1);
	assert_int_equal(fd.revents, POLLOUT);
	for (size_t i = 0; i < sizeof(edits); i++)
		assert_int_equal(write_packet(ends.server, edits[i], "text"), 10);
	assert_int_equal(recv(ends.client, got, 1, MSG_DONTWAIT), -1);
	assert_int_equal(write_packet(ends.server, SMFIR_CONTINUE, ""), 6);
	for (size_t i = 0; i < sizeof(edits); i++)
		expect_packet(&ends, edits[i], "text");
	expect_packet(&ends, SMFIR_CONTINUE, "");
	/* an edit, then "progress": the MTA must see it now */
	assert_int_equal(write_packet(ends.server, SMFIR_ADDHEADER, "more"), 10);
	assert_int_equal(write_packet(ends.server, SMFIR_PROGRESS, ""), 6);
	expect_packet(&ends, SMFIR_ADDHEADER, "more");
	expect_packet(&ends, SMFIR_PROGRESS, "");
	/* what waits when the connection ends is not another's */
	assert_int_equal(write_packet(ends.server, SMFIR_ADDHEADER, "late"), 10);
	close_ends(&ends);
	ends = make_ends("next", 1);
	assert_int_equal(write_packet(ends.server, SMFIR_CONTINUE, ""), 6);
	expect_packet(&ends, SMFIR_CONTINUE, "");
	close_ends(&ends);
}

static void *
drain(void *arg)
{
	static char got[65536];
	size_t n = 0;
	ssize_t part;

	while ((part = recv(*(int *)arg, got, sizeof(got), 0)) > 0)
		n += (size_t)part;
	return (void *)(uintptr_t)n;
}

/* edits that are more than is kept, and than the kernel takes at once */
static void
test_many_edits(void **state)
{
	struct ends ends = make_ends("many", 1);
	static char text[40000];
	pthread_t reader;
	void *got;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(pthread_create(&reader, NULL, drain, &ends.client), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write_packet(ends.server, SMFIR_REPLBODY, text),
		    sizeof(text) + 5);
	assert_int_equal(write_packet(ends.server, SMFIR_ACCEPT, ""), 6);
	assert_int_equal(shutdown(ends.server, SHUT_WR), 0);
	assert_int_equal(pthread_join(reader, &got), 0);
	assert_int_equal((uintptr_t)got, 100 * (sizeof(text) + 5) + 6);
	close_ends(&ends);
}

/* replies that nobody reads: the connection is at its end after a while */
static void
test_unread(void **state)
{
	static struct edge_figures figures;
	struct ends ends;
	char got[64];
	int i;

	(void)state;
	edge_open(&figures);
	connection_set_packet_ms(200);
	ends = make_ends("unread", 1);
	for (i = 0; i < 1000000; i++)
		if (write_packet(ends.server, SMFIR_PROGRESS, "nobody reads this") < 0)
			break;
	assert_true(i < 1000000);
	assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal(write_packet(ends.server, SMFIR_PROGRESS, ""), -1);
	assert_int_equal(edge_read(ends.server, got, 1), 0);
	assert_int_equal(atomic_load(&figures.bad_packets), 1);
	close_ends(&ends);
	connection_set_packet_ms(CONNECTION_PACKET_MS);
}

/* in_kernel - octets that the kernel holds for a descriptor */
static int
in_kernel(int fd)
{
	int n = -1;

	assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
	return n;
}

/* ready - does poll() say that something can be read? */
static int
ready(int fd)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN };

	return edge_poll(&entry, 1, 0) == 1 && (entry.revents & POLLIN) != 0;
}

/* send_text - from the client */
static void
send_text(const struct ends *ends, const char *text)
{
	assert_int_equal(send(ends->client, text, strlen(text), 0), strlen(text));
}

/* expect - the next read brings these octets */
static void
expect(int fd, size_t asked, const char *text)
{
	char buffer[64];

	assert_int_equal(edge_read(fd, buffer, asked), strlen(text));
	assert_memory_equal(buffer, text, strlen(text));
}

/* others are read as they always were */
static void
test_not_followed(void **state)
{
	struct ends ends = make_ends("other", 0);

	(void)state;
	send_text(&ends, "0123456789");
	assert_true(ready(ends.server));
	expect(ends.server, 4, "0123");
	assert_int_equal(in_kernel(ends.server), 6);
	expect(ends.server, 60, "456789");
	close_ends(&ends);
}

/* a followed connection is read whole, in the same order, and poll() knows it */
static void
test_followed(void **state)
{
	struct ends ends = make_ends("followed", 1);

	(void)state;
	send_text(&ends, "0123456789");
	expect(ends.server, 1, "0");
#ifdef READ_AHEAD
	assert_int_equal(in_kernel(ends.server), 0);
#else
	assert_int_equal(in_kernel(ends.server), 9);
#endif
	assert_true(ready(ends.server));
	expect(ends.server, 3, "123");
	assert_true(ready(ends.server));
	send_text(&ends, "abc");
	expect(ends.server, 2, "45");
#ifdef READ_AHEAD
	/* kept octets come first, and alone */
	expect(ends.server, 60, "6789");
	assert_true(ready(ends.server));
	expect(ends.server, 60, "abc");
#else
	expect(ends.server, 60, "6789abc");
#endif
	assert_false(ready(ends.server));
	close_ends(&ends);
}

/* poll() of several descriptors sees kept octets and what the kernel has */
static void
test_several(void **state)
{
	struct ends ends = make_ends("several", 1);
	struct pollfd entries[3] = { { .fd = -1, .events = POLLIN } };
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	send_text(&ends, "0123456789");
	assert_true(ready(ends.server));
	expect(ends.server, 3, "012");
	entries[0] = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	entries[1] = (struct pollfd){ .fd = ends.server, .events = POLLIN };
	entries[2] = (struct pollfd){ .fd = ends.listening, .events = POLLIN };
	/* with a time-out that would show if it were waited for */
	assert_int_equal(edge_poll(entries, 3, 60000), 1);
	assert_int_equal(entries[1].revents, POLLIN);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(edge_poll(entries, 3, 60000), 2);
	assert_int_equal(entries[0].revents, POLLIN);
	expect(ends.server, 60, "3456789");
	assert_int_equal(edge_poll(entries, 3, 0), 1);
	close(pipes[0]);
	close(pipes[1]);
	close_ends(&ends);
}

/* the end of a connection comes after its octets, and its number starts anew */
static void
test_end(void **state)
{
	struct ends ends = make_ends("end", 1);
	int number = ends.server, again;

	(void)state;
	send_text(&ends, "0123456789");
	assert_true(ready(ends.server));
	close(ends.client);
	expect(ends.server, 2, "01");
	assert_true(ready(ends.server));
	expect(ends.server, 8, "23456789");
	assert_true(ready(ends.server));
	expect(ends.server, 8, "");
	/* closed with octets kept: a new descriptor of that number must not get them */
	ends.client = client_of("end");
	edge_close(ends.server);
	ends.server = edge_accept(ends.listening, NULL, NULL);
	assert_int_equal(ends.server, number);
	begin_body(&ends);
	send_text(&ends, "secret");
	assert_true(ready(ends.server));
	expect(ends.server, 1, "s");
	edge_close(ends.server);
	again = dup(ends.listening);
	assert_int_equal(again, number);
	assert_false(ready(again));
	close(again);
	ends.server = -1;
	close_ends(&ends);
}

/* a large read is one read, and what is more than fits is not lost */
static void
test_large(void **state)
{
	struct ends ends = make_ends("large", 1);
	static char sent[100000], got[100000];
	size_t n = 0, head = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 7 % 251);
	assert_int_equal(send(ends.client, sent, sizeof(sent), 0), sizeof(sent));
	while (n < sizeof(got)) {
		/* a head of five octets, then data, as libmilter reads */
		size_t ask = head++ % 2 == 0 ? 5 : 30000;
		ssize_t part;

		assert_true(ready(ends.server));
		part = edge_read(ends.server, got + n, ask < sizeof(got) - n ? ask : sizeof(got) - n);
		assert_true(part > 0);
		n += (size_t)part;
	}
	assert_memory_equal(got, sent, sizeof(sent));
	assert_false(ready(ends.server));
	close_ends(&ends);
}

/* a packet that libmilter must not see: its reader sees the end, and it is counted */
static void
test_bad_packet(void **state)
{
	static struct edge_figures figures;
	struct ends ends = make_ends("bad", 0);
	unsigned char sent[256], got[256];
	size_t n;

	(void)state;
	edge_open(&figures);
	edge_close(ends.server);
	close(ends.client);
	ends.client = client_of("bad");
	ends.server = edge_accept(ends.listening, NULL, NULL);
	n = put(sent, 0, SMFIC_OPTNEG, offer, sizeof(offer));
	n = put(sent, n, SMFIC_MACRO, "Ci", 3);
	assert_int_equal(send(ends.client, sent, n, 0), n);
	assert_int_equal(edge_read(ends.server, got, 17), 17);
	assert_int_equal(edge_read(ends.server, got, 5), 5);
	assert_int_equal(edge_read(ends.server, got, 3), 0);
	assert_int_equal(edge_read(ends.server, got, 3), 0);
	assert_int_equal(atomic_load(&figures.bad_packets), 1);
	close_ends(&ends);
}

/* What say_late() sends, and when. */
struct late {
	int fd;
	int ms;
};

static void *
say_late(void *arg)
{
	const struct late *late = arg;

	clock_pause(late->ms);
	assert_int_equal(send(late->fd, "\0\0\0\2Bx", 6, 0), 6);
	return NULL;
}

/* the pool's look for the next command, of a millisecond, also finds one that comes a little
 * later */
static void
test_linger(void **state)
{
	struct ends ends = make_ends("linger", 1);
	struct late late = { ends.client, 20 };
	struct pollfd fd = { .fd = ends.server, .events = POLLIN };
	unsigned char got[8];
	int found = 0;

	(void)state;
	/* the body that make_ends() began must end first */
	for (size_t left = BODY_OCTETS, n; left > 0; left -= n) {
		static unsigned char piece[10000];

		n = left < sizeof(piece) ? left : sizeof(piece);
		assert_int_equal(send(ends.client, piece, n, 0), n);
		for (size_t at = 0; at < n;) {
			ssize_t part = edge_read(ends.server, piece, n - at);

			assert_true(part > 0);
			at += (size_t)part;
		}
	}
	/* on a busy machine some come too late */
	for (int i = 0; i < 20; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, say_late, &late), 0);
		found += edge_poll(&fd, 1, 1);
		(void)pthread_join(thread, NULL);
		assert_int_equal(edge_read(ends.server, got, 6), 6);
	}
#ifdef READ_AHEAD
	assert_true(found >= 5);
#endif
	close_ends(&ends);
}

/* --- libmilter --- */

static sfsistat
accept_all(SMFICTX *ctx, char **words)
{
	(void)ctx, (void)words;
	return SMFIS_CONTINUE;
}

static void *
serve(void *arg)
{
	(void)arg;
	(void)smfi_main();
	return NULL;
}

/* the real library reads less often: fails when the trick does not take effect any more */
static void
test_libmilter(void **state)
{
	static char name[] = "test", place[80];
	struct smfiDesc description = { .xxfi_name = name, .xxfi_version = SMFI_VERSION,
		.xxfi_envfrom = accept_all };
	struct reading_ahead before, after;
	unsigned char buffer[4096];
	pthread_t thread;
	size_t n = 0;
	int fds[8], client;

	(void)state;
	snprintf(place, sizeof(place), "unix:%s/milter", directory);
	assert_int_equal(smfi_register(description), MI_SUCCESS);
	assert_int_equal(smfi_setconn(place), MI_SUCCESS);
	assert_int_equal(smfi_opensocket(1), MI_SUCCESS);
	assert_int_equal(milter_socket_descriptors(fds, 8), 1);
	reading_ahead(&before);
	assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
	client = client_of("milter");
	n = put(buffer, n, SMFIC_OPTNEG, offer, sizeof(offer));
	n = put(buffer, n, SMFIC_CONNECT, "host\0U", 6);
	/* macros that nobody looks at, then a command that is answered, in one piece */
	for (int i = 0; i < 40; i++)
		n = put(buffer, n, SMFIC_MACRO, "Mi\0004B4711", 10);
	n = put(buffer, n, SMFIC_MAIL, "<alice@example.org>", 20);
	assert_int_equal(send(client, buffer, n, 0), n);
	/* the negotiation's answer, then the commands': "continue" */
	n = 0;
	while (n < 17 + 5 + 5) {
		ssize_t got = recv(client, buffer + n, sizeof(buffer) - n, 0);

		assert_true(got > 0);
		n += (size_t)got;
	}
	assert_int_equal(buffer[17 + 4], SMFIR_CONTINUE);
	assert_int_equal(buffer[22 + 4], SMFIR_CONTINUE);
	reading_ahead(&after);
#ifdef READ_AHEAD
	assert_true(after.octets - before.octets > 40 * 10);
	assert_true(after.pieces - before.pieces < 10);
#else
	assert_int_equal(after.octets - before.octets, 0);
#endif
	close(client);
	milter_socket_stop();
	(void)pthread_join(thread, NULL);
}

static int
make_directory(void **state)
{
	*state = mkdtemp(directory);
	return *state == NULL ? -1 : 0;
}

static int
remove_directory(void **state)
{
	static const char *const names[] = { "other", "followed", "several", "end", "large", "bad",
		"milter", "slow", "short", "unread", "edits", "many", "next",
		"linger" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct sockaddr_un address = unix_address(names[i]);

		(void)unlink(address.sun_path);
	}
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* first, because nothing but libmilter's listening socket may be open there */
		cmocka_unit_test(test_libmilter),
		cmocka_unit_test(test_not_followed),
		cmocka_unit_test(test_followed),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_slow_packet),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_many_edits),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_bad_packet),
		cmocka_unit_test(test_linger),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
