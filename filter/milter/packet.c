/*
 * packet.c - what an MTA may send over the milter protocol, checked as the bytes arrive
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <libmilter/mfdef.h>
#include <string.h>

#include "filter/milter/packet.h"

#define STAGE(stage)	(1u << (stage))
#define IN_MESSAGE	(STAGE(PACKET_MAIL) | STAGE(PACKET_RCPT) | STAGE(PACKET_DATA) | \
	STAGE(PACKET_HEADER) | STAGE(PACKET_EOH) | STAGE(PACKET_BODY))
#define AFTER_CONNECT	(STAGE(PACKET_CONNECTED) | IN_MESSAGE)
#define ANYWHERE	(STAGE(PACKET_START) | STAGE(PACKET_NEGOTIATED) | AFTER_CONNECT)
#define STAY		255	/* the stage after the command is the one before it */

#define NEGOTIATION_OCTETS	12	/* version, actions, steps */

/* What a command's data must be. */
enum shape {
	SHAPE_NOTHING,		/* no data */
	SHAPE_OCTETS,		/* any */
	SHAPE_NEGOTIATION,	/* at least three numbers */
	SHAPE_CONNECT,		/* name NUL family, then port and address NUL */
	SHAPE_STRING,		/* one string: ends with the only NUL */
	SHAPE_STRINGS,		/* one or more */
	SHAPE_FIELD,		/* a name that is not empty, and a value */
	SHAPE_MACROS		/* a command, then pairs of strings, or none */
};

/* A command, when it may come, and what follows. */
struct command {
	unsigned char code;
	unsigned char shape;	/* enum shape */
	unsigned char next;	/* enum packet_stage, or STAY */
	unsigned int stages;	/* those it may come in */
	uint32_t max;		/* octets of its data */
	const char *name;
};

/* A new MAIL or HELO may come at any point of a message, for Sendmail sends no ABORT then.
 * QUIT_NC ("a new connection follows") is not among them: no MTA uses it, and libmilter neither
 * ends the old session reliably nor negotiates a new one. */
static const struct command commands[] = {
	{ SMFIC_MACRO, SHAPE_MACROS, STAY, STAGE(PACKET_NEGOTIATED) | AFTER_CONNECT,
	    PACKET_TEXT_MAX, "MACRO" },
	{ SMFIC_HEADER, SHAPE_FIELD, PACKET_HEADER,
	    STAGE(PACKET_RCPT) | STAGE(PACKET_DATA) | STAGE(PACKET_HEADER),
	    PACKET_DATA_MAX, "HEADER" },
	{ SMFIC_BODY, SHAPE_OCTETS, PACKET_BODY, STAGE(PACKET_EOH) | STAGE(PACKET_BODY),
	    PACKET_DATA_MAX, "BODY" },
	{ SMFIC_RCPT, SHAPE_STRINGS, PACKET_RCPT, STAGE(PACKET_MAIL) | STAGE(PACKET_RCPT),
	    PACKET_TEXT_MAX, "RCPT" },
	{ SMFIC_MAIL, SHAPE_STRINGS, PACKET_MAIL, AFTER_CONNECT, PACKET_TEXT_MAX, "MAIL" },
	{ SMFIC_DATA, SHAPE_NOTHING, PACKET_DATA, STAGE(PACKET_RCPT), 0, "DATA" },
	{ SMFIC_EOH, SHAPE_NOTHING, PACKET_EOH,
	    STAGE(PACKET_RCPT) | STAGE(PACKET_DATA) | STAGE(PACKET_HEADER), 0, "EOH" },
	{ SMFIC_BODYEOB, SHAPE_NOTHING, PACKET_CONNECTED, STAGE(PACKET_EOH) | STAGE(PACKET_BODY),
	    0, "BODYEOB" },
	{ SMFIC_ABORT, SHAPE_NOTHING, PACKET_CONNECTED, AFTER_CONNECT, 0, "ABORT" },
	{ SMFIC_HELO, SHAPE_STRING, PACKET_CONNECTED, AFTER_CONNECT, PACKET_TEXT_MAX, "HELO" },
	{ SMFIC_CONNECT, SHAPE_CONNECT, PACKET_CONNECTED, STAGE(PACKET_NEGOTIATED),
	    PACKET_TEXT_MAX, "CONNECT" },
	{ SMFIC_OPTNEG, SHAPE_NEGOTIATION, PACKET_NEGOTIATED, STAGE(PACKET_START),
	    PACKET_TEXT_MAX, "OPTNEG" },
	{ SMFIC_QUIT, SHAPE_NOTHING, PACKET_QUIT, ANYWHERE, 0, "QUIT" },
	{ SMFIC_UNKNOWN, SHAPE_STRING, STAY, AFTER_CONNECT, PACKET_TEXT_MAX, "UNKNOWN" },
};

/* command_of - the command of that code, or NULL */
static const struct command *
command_of(unsigned char code)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].code == code)
			return &commands[i];
	return NULL;
}

/* check_head - the length and the command, before any data */
static const char *
check_head(struct packet_check *check)
{
	const unsigned char *head = check->head;
	const struct command *command = command_of(head[4]);
	uint32_t len = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 |
	    (uint32_t)head[2] << 8 | head[3];

	if (command == NULL)
		return "an unknown command";
	if (len == 0)
		return "a length of 0, which has no room for the command";
	check->len = len - 1;
	check->at = check->strings = check->name_len = 0;
	check->last = 0;
	if ((command->stages & STAGE(check->stage)) == 0)
		return "a command that may not come here";
	if (check->len > command->max)
		return command->max == 0 ? "data after a command that has none" :
		    "more data than the command may have";
	return NULL;
}

/* check_connect - the fixed part of CONNECT after the host name */
static const char *
check_connect(const struct packet_check *check)
{
	if (check->strings == 0 || check->len < check->name_len + 2)
		return "a host name without end";
	if (check->family == SMFIA_UNKNOWN)
		return NULL;
	if (check->family != SMFIA_INET && check->family != SMFIA_INET6 &&
	    check->family != SMFIA_UNIX)
		return "an unknown family of addresses";
	/* name, NUL, family, a port of two octets, an address and its NUL */
	if (check->len < check->name_len + 6 || check->last != '\0')
		return "an address without end";
	return NULL;
}

/* check_macros - a command and pairs; libmilter steps from name to name without looking */
static const char *
check_macros(const struct packet_check *check)
{
	if (check->len == 0)
		return "macros of no command";
	if (check->len > 1 && check->last != '\0')
		return "a macro without end";
	return check->strings % 2 == 0 ? NULL : "a macro without value";
}

/* check_data - the data as a whole, when its last octet is there */
static const char *
check_data(const struct packet_check *check, enum shape shape)
{
	switch (shape) {
	case SHAPE_NOTHING:
	case SHAPE_OCTETS:
		return NULL;
	case SHAPE_NEGOTIATION:
		return check->len < NEGOTIATION_OCTETS ? "a negotiation cut short" : NULL;
	case SHAPE_CONNECT:
		return check_connect(check);
	case SHAPE_MACROS:
		return check_macros(check);
	default:
		break;
	}
	if (check->strings == 0 || check->last != '\0')
		return "a string without end";
	if (shape == SHAPE_STRING && check->strings != 1)
		return "more strings than the command has";
	if (shape != SHAPE_FIELD)
		return NULL;
	if (check->name_len == 0)
		return "a field without name";
	return check->strings < 2 ? "a field without value" : NULL;
}

/* note_strings - count the NULs of further data */
static void
note_strings(struct packet_check *check, const unsigned char *octets, size_t len)
{
	const unsigned char *at = octets, *end = octets + len;

	while ((at = memchr(at, '\0', (size_t)(end - at))) != NULL) {
		if (check->strings++ == 0)
			check->name_len = check->at + (uint32_t)(at - octets);
		at++;
	}
	check->last = end[-1];
}

/* note_data - further data of a packet; returns what is wrong with it already */
static const char *
note_data(struct packet_check *check, const unsigned char *octets, size_t len)
{
	enum shape shape = command_of(check->head[4])->shape;

	if (shape == SHAPE_OCTETS || shape == SHAPE_NEGOTIATION)
		return NULL;
	if (shape == SHAPE_MACROS && check->at == 0) {
		/* the command that the macros are for is not part of the list */
		if (command_of(octets[0]) == NULL)
			return "macros of an unknown command";
		octets++;
		len--;
		if (len == 0)
			return NULL;
	}
	note_strings(check, octets, len);
	if (shape == SHAPE_CONNECT && check->strings > 0 && check->family == 0) {
		uint32_t at = check->name_len + 1;

		if (at >= check->at && at < check->at + len)
			check->family = octets[at - check->at];
	}
	return shape != SHAPE_CONNECT && shape != SHAPE_FIELD &&
	    check->strings > PACKET_STRINGS_MAX ? "too many strings" : NULL;
}

/* check_whole - the packet is there: is it good, and what may come next? */
static const char *
check_whole(struct packet_check *check)
{
	const struct command *command = command_of(check->head[4]);
	const char *fault = check_data(check, command->shape);

	check->head_at = 0;
	if (fault == NULL && command->next != STAY)
		check->stage = command->next;
	return fault;
}

/* check_some - take octets of the head or of the data; returns what is wrong */
static const char *
check_some(struct packet_check *check, const unsigned char **octets, size_t *len)
{
	const char *fault = NULL;
	size_t n;

	if (check->head_at < PACKET_HEAD_OCTETS) {
		check->head[check->head_at++] = *(*octets)++;
		(*len)--;
		if (check->head_at < PACKET_HEAD_OCTETS)
			return NULL;
		fault = check_head(check);
	} else {
		n = check->len - check->at < *len ? check->len - check->at : *len;
		fault = note_data(check, *octets, n);
		check->at += (uint32_t)n;
		*octets += n;
		*len -= n;
	}
	return fault == NULL && check->at == check->len ? check_whole(check) : fault;
}

const char *
packet_check(struct packet_check *check, const unsigned char *octets, size_t len)
{
	while (len > 0 && check->fault == NULL)
		check->fault = check_some(check, &octets, &len);
	return check->fault;
}

bool
packet_is_begun(const struct packet_check *check)
{
	return check->head_at > 0;
}

const char *
packet_command(const struct packet_check *check)
{
	const struct command *command = command_of(check->head[4]);

	return command != NULL ? command->name : "packet";
}
