/*
 * packet.h - what an MTA may send over the milter protocol, checked as the bytes arrive
 *
 * libmilter trusts its peer: it reads past a list of macros that has a name without a value, past
 * a host name without a NUL, loses its place after a length of zero, and never answers some
 * commands that are out of order. None of that is anything an MTA sends. The check knows the
 * commands, their order and the shape of their data, for every octet that libmilter reads, and
 * finds the fault before libmilter sees the packet's last octet.
 *
 * The functions are pure and keep nothing but the caller's structure: no allocation, no copy of
 * the data. One connection has one check, used by one thread at a time.
 */
#ifndef FILTER_MILTER_PACKET_H
#define FILTER_MILTER_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_HEAD_OCTETS	5		/* length, command */
#define PACKET_DATA_MAX		(1024 * 1024)	/* octets: a field of 100 000 must pass */
#define PACKET_TEXT_MAX		(64 * 1024)	/* octets of a command with names or addresses */
#define PACKET_STRINGS_MAX	1024		/* macros count twice, parameters once */

/* How far a connection has come; a message's stages are in the order in which they come. */
enum packet_stage {
	PACKET_START,		/* nothing was read */
	PACKET_NEGOTIATED,
	PACKET_CONNECTED,	/* no message */
	PACKET_MAIL,
	PACKET_RCPT,
	PACKET_DATA,
	PACKET_HEADER,
	PACKET_EOH,
	PACKET_BODY,
	PACKET_QUIT		/* nothing may follow */
};

/* The check of one connection. All zero is its beginning. */
struct packet_check {
	const char *fault;	/* what was wrong; then all that follows is wrong */
	uint32_t len;		/* of the packet's data */
	uint32_t at;		/* octets of it that were seen */
	uint32_t strings;	/* NULs among them */
	uint32_t name_len;	/* octets before the first NUL */
	unsigned char stage;	/* enum packet_stage */
	unsigned char head_at;	/* octets of the packet's head that were seen */
	unsigned char head[PACKET_HEAD_OCTETS];
	unsigned char family;	/* of CONNECT: the octet after the name's NUL */
	unsigned char last;	/* the octet before */
};

/*
 * packet_check - look at the next octets that the peer sent, in any portions
 * Returns NULL, or a phrase that says what is wrong with the packet, to be used after
 * "the connection was closed: ". Its text is static. The octets of a fault must not reach
 * libmilter. packet_command() is that packet's.
 */
const char *packet_check(struct packet_check *check, const unsigned char *octets, size_t len);

/* packet_is_begun - were some octets of a packet seen, and not all? */
bool packet_is_begun(const struct packet_check *check);

/* packet_command - the name of the command that was read last, for the log; static text */
const char *packet_command(const struct packet_check *check);

#endif
