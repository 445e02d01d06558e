/*
 * gate.h - how many sessions libmilter's pool takes in hand at once
 *
 * Threads: milter_gate_room(), milter_gate_relief() and milter_gate_leave() from the one thread
 * that is the pool's controller; the others from any.
 */
#ifndef FILTER_MILTER_GATE_H
#define FILTER_MILTER_GATE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MILTER_GATE_PATIENCE_MS 10 /* without an end before more sessions are admitted */

/* milter_gate_count - a connection was accepted (1) or closed (-1) */
void milter_gate_count(int change);

/*
 * milter_gate_linger - may a thread wait for the next command of its session, and keep it from
 * the pool meanwhile? If so, milter_gate_lingered() says that it does no longer.
 */
bool milter_gate_linger(void);
void milter_gate_lingered(void);

/* milter_gate_refuse - the system refused a thread now: for some seconds none lingers */
void milter_gate_refuse(int64_t now_ms);

/* milter_gate_is_refused - was one refused within so many milliseconds? */
bool milter_gate_is_refused(int64_t now_ms, int64_t within_ms);

/* milter_gate_room - how many more may be taken in hand while so many sessions wait for a command;
 * 0: none */
int milter_gate_room(size_t waiting);

/* milter_gate_relief - how many may all the same, when those in hand did not get on */
int milter_gate_relief(void);

/*
 * milter_gate_leave - let some of those that are ready go first
 * fds: the pipe of the pool, then n - 1 sessions, as poll(2) left them; ready: what it returned.
 * Sessions beyond room (at least 1) are made to look quiet; each has its turn at a later call.
 * Returns how many are ready then.
 */
int milter_gate_leave(struct pollfd *fds, nfds_t n, int ready, int room);

#endif
