/*
 * wire.c - packets of the milter protocol, written and read
 *
 * What a command and those before it without reply need is collected and
 * written at once, as MTAs do it; the sockets are non-blocking.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "policy/base/mem.h"
#include "tests/bench/wire.h"

#define READ_OCTETS	16384

/* make_room - for len octets more at the end */
static void
make_room(struct wire *wire, size_t len)
{
	if (wire->at == wire->len)
		wire->at = wire->len = 0;
	if (wire->len + len <= wire->room)
		return;
	wire->room = (wire->len + len) * 2;
	wire->bytes = mem_check(realloc(wire->bytes, wire->room));
}

void
wire_put(struct wire *wire, const void *bytes, size_t len)
{
	make_room(wire, len);
	memcpy(wire->bytes + wire->len, bytes, len);
	wire->len += len;
}

void
wire_text(struct wire *wire, const char *text)
{
	wire_put(wire, text, strlen(text) + 1);
}

void
wire_number(struct wire *wire, uint32_t number)
{
	uint32_t network = htonl(number);

	wire_put(wire, &network, sizeof(network));
}

size_t
wire_begin(struct wire *wire, char command)
{
	make_room(wire, 5);

	size_t place = wire->len;

	wire_number(wire, 0);
	wire_put(wire, &command, 1);
	return place;
}

void
wire_end(struct wire *wire, size_t place)
{
	uint32_t network = htonl((uint32_t)(wire->len - place - 4));

	memcpy(wire->bytes + place, &network, sizeof(network));
}

size_t
wire_pending(const struct wire *wire)
{
	return wire->len - wire->at;
}

bool
wire_send(struct wire *wire, int fd)
{
	while (wire->at < wire->len) {
		ssize_t n = send(fd, wire->bytes + wire->at, wire->len - wire->at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		wire->at += (size_t)n;
	}
	return true;
}

bool
wire_receive(struct wire *wire, int fd)
{
	for (;;) {
		make_room(wire, READ_OCTETS);

		ssize_t n = recv(fd, wire->bytes + wire->len, READ_OCTETS, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		if (n == 0)
			return false;
		wire->len += (size_t)n;
		if (n < READ_OCTETS)
			return true;
	}
}

bool
wire_next(struct wire *wire, struct packet *packet_r)
{
	uint32_t network;

	if (wire_pending(wire) < 5)
		return false;
	memcpy(&network, wire->bytes + wire->at, sizeof(network));

	size_t len = ntohl(network);

	if (len == 0 || wire_pending(wire) < 4 + len)
		return false;
	packet_r->command = (char)wire->bytes[wire->at + 4];
	packet_r->data = (const char *)wire->bytes + wire->at + 5;
	packet_r->len = len - 1;
	wire->at += 4 + len;
	return true;
}

void
wire_free(struct wire *wire)
{
	free(wire->bytes);
	memset(wire, 0, sizeof(*wire));
}
