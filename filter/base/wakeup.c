/*
 * wakeup.c - a descriptor that ends another thread's poll(2)
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>
#ifdef HAVE_SYS_EVENTFD_H
#include <sys/eventfd.h>
#endif

#include "filter/base/wakeup.h"

int
wakeup_open(struct wakeup *wakeup_r)
{
	*wakeup_r = (struct wakeup)WAKEUP_NONE;
#ifdef HAVE_SYS_EVENTFD_H
	wakeup_r->fd = wakeup_r->ringing = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return wakeup_r->fd < 0 ? -1 : 0;
#else
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return -1;
	wakeup_r->fd = ends[0];
	wakeup_r->ringing = ends[1];
	return 0;
#endif
}

/* It can only fail if the counter or the pipe is full, and then it is readable. */
void
wakeup_ring(const struct wakeup *wakeup)
{
	const uint64_t one = 1;	/* an eventfd takes eight octets, a pipe as many */

	while (write(wakeup->ringing, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* An eventfd is empty after one read; a pipe once there is less than was asked for. */
void
wakeup_quiet(const struct wakeup *wakeup)
{
	uint64_t rings[64];
	ssize_t n;

	do
		n = read(wakeup->fd, rings, sizeof(rings));
	while (n == (ssize_t)sizeof(rings) || (n < 0 && errno == EINTR));
}

void
wakeup_close(struct wakeup *wakeup)
{
	if (wakeup->ringing >= 0 && wakeup->ringing != wakeup->fd)
		(void)close(wakeup->ringing);
	if (wakeup->fd >= 0)
		(void)close(wakeup->fd);
	*wakeup = (struct wakeup)WAKEUP_NONE;
}
