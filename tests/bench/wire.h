/*
 * wire.h - packets of the milter protocol, written and read
 *
 * A packet is four octets of length (network order, counting what follows), one
 * octet of command, and data. Documented with libmilter (mfdef.h) and in
 * Postfix's milter8.c.
 *
 * Threads: a wire belongs to one thread.
 */
#ifndef TESTS_BENCH_WIRE_H
#define TESTS_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

/* Octets on their way; those before at are done with. */
struct wire {
	unsigned char *bytes;	/* malloc's; freed by wire_free() */
	size_t at;
	size_t len;
	size_t room;
};

/* A packet that was read; data points into the wire and is good until the next call. */
struct packet {
	char command;
	const char *data;
	size_t len;
};

/* wire_begin - begin a packet; what it holds is put behind; wire_end() closes it. Returns its
 * place. */
size_t wire_begin(struct wire *wire, char command);

/* wire_put - octets; wire_text - a text and its NUL; wire_number - 32 bits */
void wire_put(struct wire *wire, const void *bytes, size_t len);
void wire_text(struct wire *wire, const char *text);
void wire_number(struct wire *wire, uint32_t number);

/* wire_end - close the packet that wire_begin() returned as place */
void wire_end(struct wire *wire, size_t place);

/* wire_pending - octets not yet done with */
size_t wire_pending(const struct wire *wire);

/* wire_send - write what can be written; false if the other side is gone */
bool wire_send(struct wire *wire, int fd);

/* wire_receive - read what is there; false if the other side is gone */
bool wire_receive(struct wire *wire, int fd);

/* wire_next - the next whole packet; false if there is none yet */
bool wire_next(struct wire *wire, struct packet *packet_r);

/* wire_free - give the memory back; the wire is then empty */
void wire_free(struct wire *wire);

#endif
