/*
 * replies.c - how libmilter writes to MTAs: the edits of a message go out with its reply
 *
 * libmilter asks poll(2) whether there is room and then writes, for each packet: three header edits
 * and a reply are eight system calls, and each wakes the MTA, which can do nothing before the
 * reply. So an edit is kept, and the reply takes it along. No poll(2) is needed, because the
 * socket blocks, for as long as edge_accept() has set (SO_SNDTIMEO).
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <libmilter/mfdef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "filter/base/clock.h"
#include "filter/milter/replies.h"
#include "policy/base/mem.h"

#define HEAD		(MILTER_LEN_BYTES + 1)	/* length and command */
#define EDITS_MOST	65536	/* octets kept, at most */
#define PARTS_MOST	4	/* libmilter writes a packet in two */

/* is_edit - does a reply follow this packet? (libmilter's mfdef.h; SMFIR_PROGRESS is for now) */
static bool
is_edit(unsigned char command)
{
	switch (command) {
	case SMFIR_ADDRCPT:
	case SMFIR_ADDRCPT_PAR:
	case SMFIR_DELRCPT:
	case SMFIR_REPLBODY:
	case SMFIR_CHGFROM:
	case SMFIR_ADDHEADER:
	case SMFIR_INSHEADER:
	case SMFIR_CHGHEADER:
	case SMFIR_QUARANTINE:
		return true;
	default:
		return false;
	}
}

/* keep_edit - add a packet to those that wait; false if there is no room */
static bool
keep_edit(struct connection *connection, const struct iovec *parts, int n, size_t len)
{
	if (len > EDITS_MOST - connection->edits_len)
		return false;
	connection->edits = mem_check(realloc(connection->edits, connection->edits_len + len));
	for (int i = 0; i < n; i++) {
		if (parts[i].iov_len == 0)
			continue;
		memcpy(connection->edits + connection->edits_len, parts[i].iov_base,
		    parts[i].iov_len);
		connection->edits_len += parts[i].iov_len;
	}
	return true;
}

/* skip - leave out the octets that were written */
static void
skip(struct msghdr *message, size_t written)
{
	while (message->msg_iovlen > 0 && written >= message->msg_iov->iov_len) {
		written -= message->msg_iov->iov_len;
		message->msg_iov++;
		message->msg_iovlen--;
	}
	if (message->msg_iovlen == 0)
		return;
	message->msg_iov->iov_base = (char *)message->msg_iov->iov_base + written;
	message->msg_iov->iov_len -= written;
}

/* replies_write_whole - all octets, or -1 with errno; the MTA reads within
 * connection_packet_ms() */
static int
replies_write_whole(int fd, struct connection *connection, struct msghdr *message)
{
	int64_t begun_ms = 0;

	for (;;) {
		ssize_t written = sendmsg(fd, message, MSG_NOSIGNAL);

		if (written >= 0)
			skip(message, (size_t)written);
		else if (errno != EINTR && errno != EAGAIN)
			return -1;
		if (message->msg_iovlen == 0)
			return 0;
		if (begun_ms == 0)
			begun_ms = clock_ms();
		if ((written < 0 && errno == EAGAIN) ||
		    clock_ms() - begun_ms >= connection_packet_ms())
			break;
	}
	connection->check.fault = "its peer does not read the replies";
	connection_refuse(fd, connection);
	errno = ETIMEDOUT;
	return -1;
}

/* packet_len - of all parts */
static size_t
packet_len(const struct iovec *parts, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += parts[i].iov_len;
	return len;
}

ssize_t
replies_write(int fd, struct connection *connection, const struct iovec *parts, int n)
{
	struct iovec all[1 + PARTS_MOST];
	struct msghdr message = { .msg_iov = all };
	size_t len = packet_len(parts, n);

	if (n < 1 || n > PARTS_MOST || connection->check.fault != NULL) {
		errno = EPIPE;
		return -1;
	}
	if (parts[0].iov_len >= HEAD &&
	    is_edit(((const unsigned char *)parts[0].iov_base)[MILTER_LEN_BYTES]) &&
	    keep_edit(connection, parts, n, len))
		return (ssize_t)len;
	all[0] = (struct iovec){ connection->edits, connection->edits_len };
	memcpy(all + 1, parts, (size_t)n * sizeof(*parts));
	message.msg_iovlen = (size_t)n + 1;
	if (connection->edits_len == 0)
		skip(&message, 0);
	if (replies_write_whole(fd, connection, &message) != 0)
		return -1;
	replies_forget(connection);
	connection->unacknowledged = false;
	return (ssize_t)len;
}

void
replies_forget(struct connection *connection)
{
	free(connection->edits);
	connection->edits = NULL;
	connection->edits_len = 0;
}
