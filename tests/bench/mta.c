/*
 * mta.c - one connection of an MTA to a filter, as a state machine
 *
 * Each step writes its packet into the buffer and says whether a reply must
 * come before the next one, which depends on what the filter negotiated. What
 * Postfix 3.7 sends was recorded: a packet of macros before every command,
 * ABORT between messages, QUIT at the end.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <fcntl.h>
#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/mta.h"

#define ACTIONS_OFFERED	0x1ffu		/* all of protocol 6 */
#define STEPS_OFFERED	0x1fffffu
#define CHUNK		65535u		/* octets of body in a packet */
#define BUFFERED_MAX	(256 * 1024)	/* octets that wait to be written before more is made */

double
mta_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

void
mta_sender(const struct mta_traffic *traffic, size_t number, char *address_r, size_t size)
{
	/* a large step visits all users, and neighbours in time are none in the tables */
	size_t user = traffic->users > 1 ? number * 2654435761u % traffic->users : 0;

	if (traffic->role == MTA_INBOUND)
		snprintf(address_r, size, "joe@friend.example");
	else if (traffic->domains > 1)
		snprintf(address_r, size, "u%zu@d%zu.example", user, user % traffic->domains);
	else if (traffic->users > 1)
		snprintf(address_r, size, "u%zu@example.org", user);
	else
		snprintf(address_r, size, "alice@example.org");
}

bool
mta_open(struct mta *mta, const struct mta_traffic *traffic)
{
	int on = 1;

	*mta = (struct mta){ .traffic = traffic, .in = mta->in, .out = mta->out };
	mta->in.at = mta->in.len = mta->out.at = mta->out.len = 0;
	mta->fd = socket(traffic->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (mta->fd < 0)
		return false;
	if (traffic->address.ss_family != AF_UNIX)
		(void)setsockopt(mta->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* a connect that waits for its turn in the backlog is fine; what follows must not block */
	if (connect(mta->fd, (const struct sockaddr *)&traffic->address, traffic->address_len) ==
		0 &&
	    fcntl(mta->fd, F_SETFL, O_NONBLOCK) == 0)
		return true;
	(void)close(mta->fd);
	mta->fd = -1;
	return false;
}

/* put_macros - the packet of macros before a command; pairs end with NULL */
static void
put_macros(struct mta *mta, char command, const char *const *pairs)
{
	size_t place = wire_begin(&mta->out, SMFIC_MACRO);

	wire_put(&mta->out, &command, 1);
	for (; *pairs != NULL; pairs++)
		wire_text(&mta->out, *pairs);
	wire_end(&mta->out, place);
}

/* put_queue_id - the macro that comes with everything after the envelope */
static void
put_queue_id(struct mta *mta, char command)
{
	char id[32];
	const char *pairs[] = { "i", id, NULL };

	snprintf(id, sizeof(id), "4B%08zX", mta->number);
	put_macros(mta, command, pairs);
}

/* put_command - a command with one text */
static void
put_command(struct mta *mta, char command, const char *text)
{
	size_t place = wire_begin(&mta->out, command);

	if (text != NULL)
		wire_text(&mta->out, text);
	wire_end(&mta->out, place);
}

static void
put_negotiation(struct mta *mta)
{
	size_t place = wire_begin(&mta->out, SMFIC_OPTNEG);

	wire_number(&mta->out, 6);
	wire_number(&mta->out, ACTIONS_OFFERED);
	wire_number(&mta->out, STEPS_OFFERED);
	wire_end(&mta->out, place);
}

static void
put_connect(struct mta *mta)
{
	static const char *const daemons[] = { "ORIGINATING", "mx.example.org", "mx.example.org" };
	static const char *const clients[] = { "127.0.0.1", "192.0.2.7", "127.0.0.1" };
	enum mta_role role = mta->traffic->role;
	const char *pairs[] = { "j", "mx.example.org", "{daemon_name}", daemons[role],
		"{daemon_port}", "587", "v", "Postfix 3.7.11", NULL };
	uint16_t port = htons(role == MTA_LOCAL ? 0 : 40000);
	size_t place;

	put_macros(mta, SMFIC_CONNECT, pairs);
	place = wire_begin(&mta->out, SMFIC_CONNECT);
	wire_text(&mta->out, role == MTA_INBOUND ? "out.friend.example" : "localhost");
	wire_put(&mta->out, "4", 1);
	wire_put(&mta->out, &port, sizeof(port));
	wire_text(&mta->out, clients[role]);
	wire_end(&mta->out, place);
}

static void
put_mail(struct mta *mta)
{
	char path[sizeof(mta->from) + 2];
	const char *login[] = { "{auth_type}", "PLAIN", "{auth_authen}", mta->from, "{mail_addr}",
		mta->from, NULL };
	const char *plain[] = { "{mail_addr}", mta->from, NULL };

	put_macros(mta, SMFIC_MAIL, mta->traffic->role == MTA_SUBMISSION ? login : plain);
	snprintf(path, sizeof(path), "<%s>", mta->from);
	put_command(mta, SMFIC_MAIL, path);
}

static void
put_rcpt(struct mta *mta)
{
	char path[64];
	const char *pairs[] = { "{rcpt_host}", "elsewhere.example", NULL };

	put_macros(mta, SMFIC_RCPT, pairs);
	snprintf(path, sizeof(path), "<bob%zu@elsewhere.example>", mta->index);
	put_command(mta, SMFIC_RCPT, path);
}

/* put_each - the macros that Postfix sends with each command of the content, and Sendmail does
 * not */
static void
put_each(struct mta *mta, char command)
{
	if (mta->traffic->macros_each)
		put_queue_id(mta, command);
}

static void
put_header(struct mta *mta)
{
	const struct letter_field *field = &mta->traffic->letter->fields[mta->index];
	char from[sizeof(mta->from) + 1];
	const char *value = field->value;
	size_t place;

	if (value == NULL) {
		snprintf(from, sizeof(from), " %s", mta->from);
		value = from;
	}
	/* without SMFIP_HDR_LEADSPC one space is the MTA's */
	if ((mta->steps & SMFIP_HDR_LEADSPC) == 0 && value[0] == ' ')
		value++;
	put_each(mta, SMFIC_HEADER);
	place = wire_begin(&mta->out, SMFIC_HEADER);
	wire_text(&mta->out, field->name);
	wire_text(&mta->out, value);
	wire_end(&mta->out, place);
}

static void
put_body(struct mta *mta)
{
	const struct letter *letter = mta->traffic->letter;
	size_t left = letter->body_len - mta->index;
	size_t len = left < CHUNK ? left : CHUNK;
	size_t place;

	put_each(mta, SMFIC_BODY);
	place = wire_begin(&mta->out, SMFIC_BODY);
	wire_put(&mta->out, letter->body + mta->index, len);
	wire_end(&mta->out, place);
	mta->index += len;
}

/* next_step - the step after this one, from its first item */
static void
next_step(struct mta *mta)
{
	mta->step++;
	mta->index = 0;
}

/* A step: the bit that leaves it out, the bit that leaves its reply out. */
static const struct step_bits { uint32_t none, silent; } step_bits[] = {
	[STEP_CONNECT] = { SMFIP_NOCONNECT, SMFIP_NR_CONN },
	[STEP_HELO] = { SMFIP_NOHELO, SMFIP_NR_HELO },
	[STEP_MAIL] = { SMFIP_NOMAIL, SMFIP_NR_MAIL },
	[STEP_RCPT] = { SMFIP_NORCPT, SMFIP_NR_RCPT },
	[STEP_DATA] = { SMFIP_NODATA, SMFIP_NR_DATA },
	[STEP_HEADER] = { SMFIP_NOHDRS, SMFIP_NR_HDR },
	[STEP_HEADER_END] = { SMFIP_NOEOH, SMFIP_NR_EOH },
	[STEP_BODY] = { SMFIP_NOBODY, SMFIP_NR_BODY },
	[STEP_END] = { 0, 0 },
};

/* step_over - is there nothing (left) to send of this step? */
static bool
step_over(const struct mta *mta)
{
	const struct letter *letter = mta->traffic->letter;

	if (mta->step > STEP_NEGOTIATE && (mta->steps & step_bits[mta->step].none) != 0)
		return true;
	switch (mta->step) {
	case STEP_RCPT:
		return mta->index == mta->traffic->recipients;
	case STEP_HEADER:
		return mta->index == letter->n_fields;
	case STEP_BODY:
		return mta->index == letter->body_len;
	default:
		return mta->index > 0;
	}
}

/* put_step - one packet, with its macros */
static void
put_step(struct mta *mta)
{
	static const char *const none[] = { NULL };

	switch (mta->step) {
	case STEP_NEGOTIATE:
		put_negotiation(mta);
		break;
	case STEP_CONNECT:
		put_connect(mta);
		break;
	case STEP_HELO:
		put_macros(mta, SMFIC_HELO, none);
		put_command(mta, SMFIC_HELO, "out.friend.example");
		break;
	case STEP_IDLE:
		return;
	case STEP_MAIL:
		put_mail(mta);
		break;
	case STEP_RCPT:
		put_rcpt(mta);
		break;
	case STEP_DATA:
		put_each(mta, SMFIC_DATA);
		put_command(mta, SMFIC_DATA, NULL);
		break;
	case STEP_HEADER:
		put_header(mta);
		break;
	case STEP_HEADER_END:
		put_each(mta, SMFIC_EOH);
		put_command(mta, SMFIC_EOH, NULL);
		break;
	case STEP_BODY:
		put_body(mta);
		return;
	case STEP_END:
		put_queue_id(mta, SMFIC_BODYEOB);
		put_command(mta, SMFIC_BODYEOB, NULL);
		mta->result.ended_us = mta_now_us();
		break;
	}
	mta->index++;
}

/* make_more - write packets until one needs a reply, or enough waits to be written */
static void
make_more(struct mta *mta)
{
	while (!mta->waiting && mta->step != STEP_IDLE && wire_pending(&mta->out) < BUFFERED_MAX) {
		if (step_over(mta)) {
			next_step(mta);
			continue;
		}
		put_step(mta);
		mta->waiting =
		    mta->step == STEP_NEGOTIATE || (mta->steps & step_bits[mta->step].silent) == 0;
	}
}

/* finish - the message is over */
static void
finish(struct mta *mta, char answer)
{
	static const char *const none[] = { NULL };

	mta->result.answer = answer;
	mta->result.answered_us = mta_now_us();
	mta->step = STEP_IDLE;
	mta->index = 0;
	/* between messages, and after a refusal, Postfix aborts; it goes out with what comes
	 * next */
	if (mta->traffic->macros_each)
		put_macros(mta, SMFIC_ABORT, none);
	put_command(mta, SMFIC_ABORT, NULL);
}

/* note_edit - a header edit */
static void
note_edit(struct mta *mta, const struct packet *packet)
{
	const char *expected = mta->traffic->expected;

	mta->result.edits++;
	if (expected != NULL &&
	    memmem(packet->data, packet->len, expected, strlen(expected)) != NULL)
		mta->result.as_expected = true;
}

/* note_reply - the text of a reply */
static void
note_reply(struct mta *mta, const struct packet *packet)
{
	snprintf(
	    mta->result.reply, sizeof(mta->result.reply), "%.*s", (int)packet->len, packet->data);
}

/* take_negotiation - what the filter negotiated; false if it is nonsense */
static bool
take_negotiation(struct mta *mta, const struct packet *packet)
{
	const unsigned char *at = (const unsigned char *)packet->data + 8;

	if (mta->step != STEP_NEGOTIATE || packet->len < 12)
		return false;
	mta->steps = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
	mta->waiting = false;
	return true;
}

/* take_answer - a reply to a command */
static enum mta_state
take_answer(struct mta *mta, char answer)
{
	bool in_message = mta->step > STEP_IDLE;

	if (!mta->waiting || (!in_message && answer != SMFIR_CONTINUE))
		return MTA_BROKEN;
	mta->waiting = false;
	if (mta->step == STEP_BODY && answer == SMFIR_SKIP)
		mta->index = mta->traffic->letter->body_len;
	else if (in_message && (mta->step == STEP_END || answer != SMFIR_CONTINUE)) {
		finish(mta, answer);
		return MTA_DONE;
	}
	return MTA_BUSY;
}

/* take_packet - one packet of the filter */
static enum mta_state
take_packet(struct mta *mta, const struct packet *packet)
{
	switch (packet->command) {
	case SMFIC_OPTNEG:
		return take_negotiation(mta, packet) ? MTA_BUSY : MTA_BROKEN;
	case SMFIR_PROGRESS:
		return MTA_BUSY;
	case SMFIR_ADDHEADER:
	case SMFIR_INSHEADER:
	case SMFIR_CHGHEADER:
		note_edit(mta, packet);
		return MTA_BUSY;
	case SMFIR_QUARANTINE:
	case SMFIR_ADDRCPT:
	case SMFIR_DELRCPT:
	case SMFIR_CHGFROM:
	case SMFIR_REPLBODY:
		return MTA_BUSY;
	case SMFIR_REPLYCODE:
		note_reply(mta, packet);
		return take_answer(mta, SMFIR_REPLYCODE);
	default:
		return take_answer(mta, packet->command);
	}
}

void
mta_send(struct mta *mta, size_t number)
{
	mta->number = number;
	mta->messages++;
	mta_sender(mta->traffic, number, mta->from, sizeof(mta->from));
	mta->result = (struct mta_result){ .begun_us = mta_now_us() };
	mta->step = STEP_MAIL;
	mta->index = 0;
}

enum mta_state
mta_go(struct mta *mta)
{
	enum mta_state state = MTA_BUSY;
	struct packet packet;

	/* between messages nothing is to come but the end of the connection */
	if ((mta->waiting || mta->step == STEP_IDLE) && !wire_receive(&mta->in, mta->fd))
		return MTA_BROKEN;
	while (state == MTA_BUSY && wire_next(&mta->in, &packet))
		state = take_packet(mta, &packet);
	if (state != MTA_BUSY)
		return state;
	/* a body without replies is made in pieces, until the socket is full */
	do {
		make_more(mta);
		if (!wire_send(&mta->out, mta->fd))
			return MTA_BROKEN;
	} while (!mta->waiting && mta->step != STEP_IDLE && wire_pending(&mta->out) == 0);
	return mta->step == STEP_IDLE ? MTA_READY : MTA_BUSY;
}

bool
mta_wants_write(const struct mta *mta)
{
	return mta->step != STEP_IDLE && wire_pending(&mta->out) > 0;
}

void
mta_close(struct mta *mta)
{
	if (mta->fd < 0)
		return;
	put_command(mta, SMFIC_QUIT, NULL);
	(void)wire_send(&mta->out, mta->fd);
	(void)close(mta->fd);
	mta->fd = -1;
	wire_free(&mta->in);
	wire_free(&mta->out);
}
