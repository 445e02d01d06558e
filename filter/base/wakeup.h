/*
 * wakeup.h - a descriptor that ends another thread's poll(2)
 *
 * An eventfd if the system has it, a pipe otherwise. Threads: wakeup_ring() any; the others the
 * thread that polls.
 */
#ifndef FILTER_BASE_WAKEUP_H
#define FILTER_BASE_WAKEUP_H

#define WAKEUP_NONE	{ -1, -1 }

struct wakeup {
	int fd;			/* to poll: readable once rung; -1: not open */
	int ringing;		/* where it is rung */
};

/* wakeup_open - both ends, non-blocking and close-on-exec; 0, or -1 with errno */
int wakeup_open(struct wakeup *wakeup_r);

/* wakeup_ring - make it readable; it stays so until wakeup_quiet(), however often it is rung */
void wakeup_ring(const struct wakeup *wakeup);

/* wakeup_quiet - forget all rings until now */
void wakeup_quiet(const struct wakeup *wakeup);

/* wakeup_close - also of one that is not open */
void wakeup_close(struct wakeup *wakeup);

#endif
