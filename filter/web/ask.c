/*
 * ask.c - the daemon's answers, by its control socket
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/talk.h"
#include "filter/base/unix_socket.h"
#include "filter/web/ask.h"
#include "policy/base/mem.h"

/* ask_send - the request, and for "try" the message after it */
static bool
ask_send(TALLOC_CTX *ctx, int fd, const char *dumped, const char *message, int64_t deadline_ms)
{
	const char *line = message == NULL ? mem_printf(ctx, "%s\n", dumped)
	    : mem_printf(ctx, "{\"command\":\"try\",\"request\":%zu,\"message\":%zu}\n%s%s",
		  strlen(dumped), strlen(message), dumped, message);

	return talk_send(fd, line, strlen(line), deadline_ms);
}

json_t *
ask_daemon(TALLOC_CTX *ctx, const char *socket, const json_t *request, const char *message,
    int64_t wait_ms, const char **error_r)
{
	int64_t deadline = clock_ms() + wait_ms;
	char *dumped = mem_check(json_dumps(request, JSON_COMPACT));
	int fd = unix_socket_connect(socket);
	json_t *answer = NULL;
	char *line = NULL;

	if (fd < 0)
		*error_r = mem_printf(ctx, "no daemon answers: %s", strerror(errno));
	else {
		/* one that turns us away says why before it reads */
		(void)ask_send(ctx, fd, dumped, message, deadline);
		line = talk_read_line(ctx, fd, ASK_ANSWER_MAX, deadline);
		(void)close(fd);
		answer = line != NULL ? json_loads(line, 0, NULL) : NULL;
		if (answer == NULL)
			*error_r = "the daemon gave no answer in time";
	}
	talloc_free(line);
	free(dumped);
	return answer;
}
