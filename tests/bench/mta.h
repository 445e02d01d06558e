/*
 * mta.h - one connection of an MTA to a filter, as a state machine
 *
 * It sends what Postfix sends, in the same order and with the same macros, in the same writes:
 * commands without reply wait in the buffer until one that has a reply. The socket is non-blocking;
 * mta_go() does what can be done and says what it waits for.
 *
 * Threads: a connection belongs to one thread; the traffic is fixed.
 */
#ifndef TESTS_BENCH_MTA_H
#define TESTS_BENCH_MTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "tests/bench/letter.h"
#include "tests/bench/wire.h"

#define MTA_REPLY_MAX	160	/* octets kept of a reply's text */

enum mta_role {
	MTA_SUBMISSION,		/* a logged-in user */
	MTA_INBOUND,		/* another site */
	MTA_LOCAL		/* sendmail(1) */
};

/* What all connections of a run send. */
struct mta_traffic {
	struct sockaddr_storage address; /* of the filter */
	socklen_t address_len;
	const struct letter *letter;
	enum mta_role role;
	size_t recipients;	/* of each message */
	size_t users;		/* different senders */
	size_t domains;		/* of theirs */
	bool macros_each;       /* a packet of macros before every command, as Postfix does; else as
				   Sendmail */
	const char *expected;	/* text that a header edit of each message must hold, or NULL */
};

/* What became of a message. Times are of CLOCK_MONOTONIC, in microseconds. */
struct mta_result {
	double begun_us;	/* MAIL was sent */
	double ended_us;	/* the end of message was sent; 0: it did not come so far */
	double answered_us;	/* the last reply came */
	char answer; /* SMFIR_*: of the end of message, or of the command that was refused */
	char reply[MTA_REPLY_MAX]; /* its text, if it has one */
	size_t edits;		/* header edits */
	bool as_expected;	/* one of them held the expected text */
};

/* What a connection waits for. */
enum mta_state {
	MTA_BUSY,		/* the filter */
	MTA_READY,		/* a message to send, or to be closed */
	MTA_DONE,		/* as READY, and result is new */
	MTA_BROKEN		/* nothing: the filter closed it or spoke nonsense */
};

/* The step that is sent next. */
enum mta_step {
	STEP_NEGOTIATE, STEP_CONNECT, STEP_HELO, STEP_IDLE,
	STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_HEADER, STEP_HEADER_END, STEP_BODY, STEP_END
};

struct mta {
	const struct mta_traffic *traffic;
	int fd;			/* -1: not open */
	uint32_t steps;		/* SMFIP_* in force */
	enum mta_step step;
	size_t index;		/* of the recipient, field or octet of body that comes next */
	bool waiting;		/* for a reply */
	size_t messages;	/* begun on this connection */
	size_t number;		/* of the message: chooses the sender */
	char from[128];		/* its sender's address */
	struct wire out;
	struct wire in;
	struct mta_result result;
};

/* mta_now_us - CLOCK_MONOTONIC in microseconds */
double mta_now_us(void);

/* mta_open - connect; false with errno if that is not possible. The next mta_go() begins. */
bool mta_open(struct mta *mta, const struct mta_traffic *traffic);

/* mta_send - begin message number on a connection that is READY or DONE; mta_go() must follow */
void mta_send(struct mta *mta, size_t number);

/* mta_go - go on; call it after mta_open(), mta_send() and whenever the socket is readable or
 * writable */
enum mta_state mta_go(struct mta *mta);

/* mta_wants_write - whether there is something that the socket has not taken yet */
bool mta_wants_write(const struct mta *mta);

/* mta_close - say goodbye and close; a connection that is not open is fine */
void mta_close(struct mta *mta);

/* mta_sender - the address of the sender of message number */
void mta_sender(const struct mta_traffic *traffic, size_t number, char *address_r, size_t size);

#endif
