/*
 * gate.c - how many sessions libmilter's pool takes in hand at once
 *
 * Why this exists. The pool starts a thread for each session that has a command while
 * no thread is idle, without bound: a thousand busy connections make a thousand threads
 * (958 were seen), some 60 KB each, all pulling at two processors. The library has no option
 * for it, and to refuse it a thread is worse: the session is then marked as running for ever.
 *
 * What is done. The pool's controller finds out by poll(2) which of the waiting sessions have
 * a command, and poll() is ours (edge.c). Sessions that are open and not among those that
 * it waits for are in hand. When these are enough, it only hears of its
 * pipe, by which workers report that they are done, until half of them are; then the next
 * sessions get their turn, in the order of their descriptors, round and round. Looking at
 * all sessions costs time for each, so it is done for many at once.
 *
 * A thread that lingers with its session only waits, so that is not counted as in hand. Few may, as
 * each needs a stack; none may for some seconds after the system refused a thread, as others wait
 * for those that are there.
 *
 * In hand may also mean waiting for DNS or a store. If no worker is done for a few
 * milliseconds, some more sessions are let in each time, so slow answers make threads as
 * they did before, only a little later, and nothing waits for ever.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/milter/gate.h"

#define IN_HAND_EACH \
	16 /* sessions in hand for each processor; most wait for their MTA's next octets */
#define IN_HAND_LEAST	32
#define IN_HAND_MOST	1024
#define LINGERING_MOST	16
#define REFUSED_MS	5000
#define NUMBERS		65536u	/* descriptors are counted round this */

static atomic_int connections;	/* open ones */
static atomic_int lingering;	/* threads that wait for the next command of their sessions */
static atomic_int_least64_t refused_ms; /* when a thread was refused last; 0: never */
static bool closed;		/* the controller's, as what follows */
static unsigned int last;	/* descriptor whose turn it was last */

void
milter_gate_count(int change)
{
	atomic_fetch_add_explicit(&connections, change, memory_order_relaxed);
}

/* in_hand_max - how many sessions may be in hand */
static int
in_hand_max(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	long max = processors * IN_HAND_EACH;

	if (max < IN_HAND_LEAST)
		return IN_HAND_LEAST;
	return max > IN_HAND_MOST ? IN_HAND_MOST : (int)max;
}

void
milter_gate_refuse(int64_t now_ms)
{
	atomic_store_explicit(&refused_ms, now_ms, memory_order_relaxed);
}

bool
milter_gate_is_refused(int64_t now_ms, int64_t within_ms)
{
	int64_t refused = atomic_load_explicit(&refused_ms, memory_order_relaxed);

	return refused != 0 && now_ms - refused <= within_ms;
}

bool
milter_gate_linger(void)
{
	if (milter_gate_is_refused(clock_ms(), REFUSED_MS))
		return false;
	if (atomic_fetch_add_explicit(&lingering, 1, memory_order_relaxed) < LINGERING_MOST)
		return true;
	milter_gate_lingered();
	return false;
}

void
milter_gate_lingered(void)
{
	atomic_fetch_sub_explicit(&lingering, 1, memory_order_relaxed);
}

int
milter_gate_room(size_t waiting)
{
	static int max;
	int in_hand = atomic_load_explicit(&connections, memory_order_relaxed) - (int)waiting -
	    atomic_load_explicit(&lingering, memory_order_relaxed);

	if (max == 0)
		max = in_hand_max();
	closed = in_hand >= max || (closed && in_hand > max / 2);
	return closed ? 0 : max - in_hand;
}

int
milter_gate_relief(void)
{
	return IN_HAND_LEAST / 4;
}

/* distance - how far a descriptor's turn is */
static unsigned int
distance(int fd)
{
	return ((unsigned int)fd - last - 1) % NUMBERS;
}

/* gate_nearest - the distance within which room of the ready sessions lie */
static unsigned int
gate_nearest(const struct pollfd *fds, nfds_t n, int room)
{
	unsigned int found[IN_HAND_MOST];
	int k = 0;

	for (nfds_t i = 1; i < n; i++) {
		unsigned int away = distance(fds[i].fd);
		int at;

		if (fds[i].revents == 0 || (k == room && away >= found[k - 1]))
			continue;
		/* into its place among the nearest so far */
		for (at = k < room ? k++ : k - 1; at > 0 && found[at - 1] > away; at--)
			found[at] = found[at - 1];
		found[at] = away;
	}
	return k > 0 ? found[k - 1] : 0;
}

int
milter_gate_leave(struct pollfd *fds, nfds_t n, int ready, int room)
{
	unsigned int most;

	if (ready - (fds[0].revents != 0) <= room)
		return ready;
	most = gate_nearest(fds, n, room < IN_HAND_MOST ? room : IN_HAND_MOST);
	for (nfds_t i = 1; i < n; i++) {
		if (fds[i].revents == 0 || distance(fds[i].fd) <= most)
			continue;
		fds[i].revents = 0;
		ready--;
	}
	last = (last + 1 + most) % NUMBERS;
	return ready;
}
