/*
 * road.h - a TCP road to a server on a unix socket, on which packets can be lost
 *
 * It listens on a port of 127.0.0.1 and carries octets to the server and back. Packets are lost by
 * filters of the kernel (SO_ATTACH_FILTER) on the road's own sockets, which needs no privilege, no
 * name space and no program: what arrives at such a socket is dropped before TCP sees it, SYN, ACK
 * and FIN included, and nobody is told. (A filter on a client's socket would stay there when the
 * client closes it, and lose for ever.) When packets flow again TCP sends once more what was not
 * acknowledged, also on connections that the client has given up meanwhile.
 *
 * Threads: one of its own; the functions are for one thread.
 */
#ifndef TESTS_SUPPORT_ROAD_H
#define TESTS_SUPPORT_ROAD_H

#include <stdbool.h>
#include <stddef.h>

struct road;

/* road_open - to the server's socket; ends the program when it cannot. *port_r is its port */
struct road *road_open(const char *socket_path, int *port_r);

/* road_close - end it */
void road_close(struct road *road);

/* road_lose - from now on no packet of a client arrives, and no answer is sent; or they flow
 * again */
void road_lose(struct road *road, bool lose);

/* road_hold_answers - from now on commands arrive and answers do not; or those that waited go on */
void road_hold_answers(struct road *road, bool hold);

/* road_cut_after - the connection that brings the octets-th octet of answers from now on is closed
 * at it; once */
void road_cut_after(struct road *road, size_t octets);

/* road_late - connections that were closed here while their last octets have not been
 * acknowledged */
int road_late(const struct road *road);

#endif
