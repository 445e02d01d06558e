/*
 * talk.c - a line to a daemon on a stream socket, and its line of answer
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "filter/base/socket.h"
#include "filter/base/talk.h"
#include "policy/base/mem.h"

#define CHUNK	65536

/* talk_is_patient - may the same be tried again? */
static bool
talk_is_patient(void)
{
	return errno == EAGAIN || errno == EINTR;
}

bool
talk_send(int fd, const char *bytes, size_t len, int64_t deadline_ms)
{
	size_t done = 0;

	while (done < len && socket_wait(fd, POLLOUT, deadline_ms)) {
		ssize_t sent = send(fd, bytes + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && !talk_is_patient())
			return false;
		done += sent > 0 ? (size_t)sent : 0;
	}
	return done == len;
}

char *
talk_read_line(TALLOC_CTX *ctx, int fd, size_t max, int64_t deadline_ms)
{
	size_t room = CHUNK, len = 0;
	char *line = mem_array(ctx, char, room + 1);

	while (len < max && socket_wait(fd, POLLIN, deadline_ms)) {
		ssize_t got = recv(fd, line + len, room - len, MSG_DONTWAIT);

		if (got < 0 && talk_is_patient())
			continue;
		if (got <= 0)
			break;
		len += (size_t)got;
		line[len] = '\0';
		if (line[len - 1] == '\n')
			return line;
		if (len == room)
			line = mem_grow(ctx, line, char, (room *= 2) + 1);
	}
	if (len > 0 && len < max)
		return line;
	talloc_free(line);
	return NULL;
}
