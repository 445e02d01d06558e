/*
 * wire.c - one connection to a Redis server: octets there and replies back, until a deadline
 *
 * hiredis formats commands and reads replies; waiting is done here. Its own time-out bounds one
 * read or write, and a server that sends an octet now and then would hold a mail thread for ever.
 * So the socket is non-blocking, and one loop sends and receives until an absolute deadline that
 * the caller chose; connecting and the handshake of TLS are within it.
 *
 * What a caller must know after a failure is whether the command may have been executed. It cannot
 * have been as long as its last octet has not left us; afterwards only an answer tells.
 *
 * Thread rule: no state but the connection's.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/socket.h"
#include "filter/redis/wire.h"
#include "policy/base/mem.h"

#define PIECE_MAX	16384	/* octets read at once: what one record of TLS has at most */
#define ELEMENTS_MAX	(1 << 20) /* of one array in a reply; 50001 are the most that we ask for */
#define REPLY_MAX	(64 * 1024 * 1024) /* octets of a reply */
#define TLS_ALERT	0x15	/* the first octet of what a TLS server says to a client without */

struct redis_wire {
	int fd;
	SSL *ssl;		/* NULL: without TLS */
	redisReader *reader;
	bool remote;		/* not over a unix socket */
	bool heard;		/* the server has said something */
	char why[256];		/* what went wrong */
};

/* --- octets --- */

/* What came of moving octets. */
enum moved {
	MOVED_SOME,
	MOVED_WAIT_READ,	/* nothing yet: wait until there is something to read */
	MOVED_WAIT_WRITE,	/* nothing yet: wait until there is room to write */
	MOVED_FAILED		/* wire->why is set */
};

/* tls_state - what a call on the SSL that did not succeed wants */
static enum moved
tls_state(struct redis_wire *wire, int result)
{
	switch (SSL_get_error(wire->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return MOVED_WAIT_READ;
	case SSL_ERROR_WANT_WRITE:
		return MOVED_WAIT_WRITE;
	default:
		redis_tls_why(wire->ssl, result, wire->why, sizeof(wire->why));
		return MOVED_FAILED;
	}
}

/* socket_state - what a call on the socket that failed wants */
static enum moved
socket_state(struct redis_wire *wire, enum moved wanted)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return wanted;
	(void)snprintf(wire->why, sizeof(wire->why), "%s", strerror(errno));
	return MOVED_FAILED;
}

/* redis_wire_put - send some octets */
static enum moved
redis_wire_put(struct redis_wire *wire, const char *octets, size_t len, size_t *n_r)
{
	ssize_t n;
	int result;

	if (wire->ssl == NULL) {
		n = send(wire->fd, octets, len, MSG_NOSIGNAL);
		*n_r = n > 0 ? (size_t)n : 0;
		return n >= 0 ? MOVED_SOME : socket_state(wire, MOVED_WAIT_WRITE);
	}
	/* Errors that others left in this thread's queue would be taken for ours. */
	ERR_clear_error();
	errno = 0;
	result = SSL_write_ex(wire->ssl, octets, len, n_r);
	return result == 1 ? MOVED_SOME : tls_state(wire, result);
}

/* redis_wire_get - receive some octets */
static enum moved
redis_wire_get(struct redis_wire *wire, char *octets, size_t size, size_t *n_r)
{
	ssize_t n;
	int result;

	if (wire->ssl == NULL) {
		n = recv(wire->fd, octets, size, 0);
		*n_r = n > 0 ? (size_t)n : 0;
		if (n == 0)
			(void)snprintf(
			    wire->why, sizeof(wire->why), "Server closed the connection");
		return n > 0 ? MOVED_SOME
		    : n == 0 ? MOVED_FAILED
			     : socket_state(wire, MOVED_WAIT_READ);
	}
	ERR_clear_error();
	errno = 0;
	result = SSL_read_ex(wire->ssl, octets, size, n_r);
	return result == 1 ? MOVED_SOME : tls_state(wire, result);
}

/* wait_moved - until octets may move again; false at the deadline */
static bool
wait_moved(const struct redis_wire *wire, enum moved moved, int64_t deadline_ms)
{
	return socket_wait(wire->fd, moved == MOVED_WAIT_READ ? POLLIN : POLLOUT, deadline_ms);
}

/* --- one exchange --- */

/* redis_wire_send_all - a command as a whole */
static enum wire_outcome
redis_wire_send_all(struct redis_wire *wire, const char *octets, size_t len, int64_t deadline_ms)
{
	size_t sent = 0, n = 0;

	while (sent < len) {
		enum moved moved = redis_wire_put(wire, octets + sent, len - sent, &n);

		if (moved == MOVED_FAILED)
			return WIRE_UNSENT;
		if (moved == MOVED_SOME) {
			sent += n;
		} else if (!wait_moved(wire, moved, deadline_ms)) {
			(void)snprintf(
			    wire->why, sizeof(wire->why), "it took no command before the deadline");
			return WIRE_UNSENT;
		}
	}
	return WIRE_DONE;
}

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

/* make_array - as hiredis does it, unless there are too many elements: their number is a claim of
 * the server's, for which hiredis allocates memory before it sees the first one */
static void *
make_array(const redisReadTask *task, array_size n)
{
	const redisReplyObjectFunctions *plain = task->privdata;

	return n <= ELEMENTS_MAX ? plain->createArray(task, n) : NULL;
}

redisReader *
redis_wire_reader(void)
{
	redisReader *reader = redisReaderCreate();
	redisReplyObjectFunctions *functions = reader != NULL ? malloc(sizeof(*functions)) : NULL;

	if (functions == NULL) {
		redisReaderFree(reader);
		return NULL;
	}
	*functions = *reader->fn;
	functions->createArray = make_array;
	reader->privdata = reader->fn;
	reader->fn = functions;
	return reader;
}

void
redis_wire_reader_free(redisReader *reader)
{
	redisReplyObjectFunctions *functions = reader->fn;

	redisReaderFree(reader);
	free(functions);
}

/* redis_wire_feed - octets for the reader; false when they cannot be the start of a reply */
static bool
redis_wire_feed(struct redis_wire *wire, const char *octets, size_t n)
{
	if (!wire->heard && wire->ssl == NULL && n > 0 && octets[0] == TLS_ALERT) {
		(void)snprintf(
		    wire->why, sizeof(wire->why), "the server speaks TLS; write tls = true");
		return false;
	}
	wire->heard = true;
	if (wire->reader->len > REPLY_MAX) {
		(void)snprintf(wire->why, sizeof(wire->why), "a reply is longer than %d bytes",
		    REPLY_MAX);
		return false;
	}
	if (redisReaderFeed(wire->reader, octets, n) == REDIS_OK)
		return true;
	(void)snprintf(wire->why, sizeof(wire->why), "%s", wire->reader->errstr);
	return false;
}

/* hint_tls - a server that was not spoken to as it wants may hang up without a word */
static void
hint_tls(struct redis_wire *wire)
{
	size_t len = strlen(wire->why);

	if (wire->ssl == NULL && wire->remote && !wire->heard)
		(void)snprintf(
		    wire->why + len, sizeof(wire->why) - len, " (does it want TLS, tls = true?)");
}

/* redis_wire_receive - read one reply */
static enum wire_outcome
redis_wire_receive(struct redis_wire *wire, int64_t deadline_ms, redisReply **reply_r)
{
	char piece[PIECE_MAX];
	void *reply = NULL;
	size_t n = 0;

	for (;;) {
		enum moved moved;

		if (redisReaderGetReply(wire->reader, &reply) != REDIS_OK) {
			(void)snprintf(wire->why, sizeof(wire->why), "%s", wire->reader->errstr);
			return WIRE_CLOSED;
		}
		if (reply != NULL) {
			*reply_r = reply;
			return WIRE_DONE;
		}
		moved = redis_wire_get(wire, piece, sizeof(piece), &n);
		if (moved == MOVED_FAILED)
			hint_tls(wire);
		if (moved == MOVED_FAILED ||
		    (moved == MOVED_SOME && !redis_wire_feed(wire, piece, n)))
			return WIRE_CLOSED;
		if (moved != MOVED_SOME && !wait_moved(wire, moved, deadline_ms)) {
			(void)snprintf(
			    wire->why, sizeof(wire->why), "no answer before the deadline");
			return WIRE_TIMEOUT;
		}
	}
}

/* redis_wire_exchange - one command and its answer */
enum wire_outcome
redis_wire_exchange(struct redis_wire *wire, int argc, const char **argv, const size_t *argv_len,
    int64_t deadline_ms, struct redisReply **reply_r, const char **why_r)
{
	char *command = NULL;
	long long len = redisFormatCommandArgv(&command, argc, argv, argv_len);
	enum wire_outcome outcome;

	*reply_r = NULL;
	*why_r = wire->why;
	mem_check(len < 0 ? NULL : command);
	outcome = redis_wire_send_all(wire, command, (size_t)len, deadline_ms);
	/* A password may be among the words. */
	explicit_bzero(command, (size_t)len);
	redisFreeCommand(command);
	return outcome == WIRE_DONE ? redis_wire_receive(wire, deadline_ms, reply_r) : outcome;
}

/* redis_wire_exchange_many - n commands, written before any answer is read, and the answers */
size_t
redis_wire_exchange_many(struct redis_wire *wire, const char *octets, size_t len, size_t n,
    int64_t deadline_ms, struct redisReply **replies, const char **why_r)
{
	size_t answered = 0;

	*why_r = wire->why;
	if (redis_wire_send_all(wire, octets, len, deadline_ms) != WIRE_DONE)
		return 0;
	while (
	    answered < n && redis_wire_receive(wire, deadline_ms, &replies[answered]) == WIRE_DONE)
		answered++;
	return answered;
}

/* --- making a connection --- */

/* redis_wire_connect_to - a connected, non-blocking socket, or -1 with errno */
static int
redis_wire_connect_to(const struct redis_address *address, int64_t deadline_ms)
{
	int fd = socket_connect((const struct sockaddr *)&address->name, address->len, deadline_ms);
	int on = 1;

	if (fd >= 0 && address->name.ss_family != AF_UNIX) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	return fd;
}

/* connect_any - a socket to the first address that works, or -1 with errno */
static int
connect_any(const struct redis_place *place, int64_t deadline_ms)
{
	int fd = -1;

	errno = EHOSTUNREACH;
	for (size_t i = 0; i < place->n && fd < 0; i++) {
		/* Each gets its share of the time, so that a silent one does not eat it all. */
		int64_t now = clock_ms();

		fd = redis_wire_connect_to(
		    &place->addresses[i], now + (deadline_ms - now) / (int64_t)(place->n - i));
	}
	return fd;
}

/* shake_hands - until the server has shown a certificate that is good; false with wire->why */
static bool
shake_hands(struct redis_wire *wire, int64_t deadline_ms)
{
	for (;;) {
		enum moved moved;
		int result;

		ERR_clear_error();
		errno = 0;
		result = SSL_do_handshake(wire->ssl);
		if (result == 1)
			return true;
		moved = tls_state(wire, result);
		if (moved == MOVED_FAILED)
			return false;
		if (!wait_moved(wire, moved, deadline_ms)) {
			(void)snprintf(wire->why, sizeof(wire->why),
			    "no answer before the deadline (does it speak TLS "
			    "on this port?)");
			return false;
		}
	}
}

/* redis_wire_open - connect, and with tls shake hands */
struct redis_wire *
redis_wire_open(const struct redis_place *place, struct redis_tls *tls, TALLOC_CTX *ctx,
    int64_t deadline_ms, const char **error_r)
{
	struct redis_wire *wire;
	int fd = connect_any(place, deadline_ms);

	if (fd < 0) {
		*error_r = mem_printf(ctx, "cannot connect: %s", strerror(errno));
		return NULL;
	}
	wire = mem_new(NULL, struct redis_wire);
	wire->fd = fd;
	wire->remote = place->host != NULL;
	wire->reader = mem_check(redis_wire_reader());
	if (tls == NULL)
		return wire;
	wire->ssl = redis_tls_start(tls, place, fd);
	if (wire->ssl == NULL)
		(void)snprintf(wire->why, sizeof(wire->why), "no certificate can be for that name");
	else if (shake_hands(wire, deadline_ms))
		return wire;
	*error_r = mem_printf(ctx, "no TLS with %s: %s", place->text, wire->why);
	redis_wire_close(wire);
	return NULL;
}

/* redis_wire_close - accepts NULL */
void
redis_wire_close(struct redis_wire *wire)
{
	if (wire == NULL)
		return;
	SSL_free(wire->ssl);
	close(wire->fd);
	redis_wire_reader_free(wire->reader);
	talloc_free(wire);
}

/* redis_wire_is_sound - an idle connection has nothing to say; if it has, it is an end or an
 * error */
bool
redis_wire_is_sound(struct redis_wire *wire)
{
	struct pollfd entry = { .fd = wire->fd, .events = POLLIN };
	char octet;
	size_t n;

	if (poll(&entry, 1, 0) == 0)
		return true;
	/* TLS may have something to say of its own, such as new keys. */
	return wire->ssl != NULL && redis_wire_get(wire, &octet, 1, &n) == MOVED_WAIT_READ;
}
