/*
 * road.c - a TCP road to a server on a unix socket, on which packets can be lost
 *
 * Thread rule: the thread owns the pairs; lock guards their descriptors and what others set.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/road.h"

#define MANY_PAIRS	256

/* One connection: to the client and to the server. */
struct pair {
	int near, far;
};

struct road {
	char path[108];
	int listener;
	int port;
	pthread_t thread;
	pthread_mutex_t lock;
	bool stop, hold, lose;
	size_t cut_after;		/* 0: not */
	struct pair pairs[MANY_PAIRS];
	size_t n;
};

/* give_up - the test cannot go on */
static void
give_up(const char *what)
{
	perror(what);
	exit(1);
}

/* set_filter - drop what arrives at a socket, or no longer */
static void
set_filter(int fd, bool lose)
{
	struct sock_filter drop[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program;

	memset(&program, 0, sizeof(program));	/* holes included, which the kernel reads */
	program.len = 1;
	program.filter = drop;
	if (lose && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		give_up("SO_ATTACH_FILTER");
	if (!lose)
		(void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &program, sizeof(program));
}

/* road_lose - from now on no packet arrives; or they flow again */
void
road_lose(struct road *road, bool lose)
{
	pthread_mutex_lock(&road->lock);
	road->lose = lose;
	set_filter(road->listener, lose);
	for (size_t i = 0; i < road->n; i++)
		set_filter(road->pairs[i].near, lose);
	pthread_mutex_unlock(&road->lock);
}

/* road_hold_answers - answers do not arrive; or those that waited go on */
void
road_hold_answers(struct road *road, bool hold)
{
	pthread_mutex_lock(&road->lock);
	road->hold = hold;
	pthread_mutex_unlock(&road->lock);
}

/* road_cut_after - close the connection that brings that octet */
void
road_cut_after(struct road *road, size_t octets)
{
	pthread_mutex_lock(&road->lock);
	road->cut_after = octets;
	pthread_mutex_unlock(&road->lock);
}

/* road_late - connections closed here that still have something to say: FIN_WAIT1, LAST_ACK,
 * CLOSING */
int
road_late(const struct road *road)
{
	FILE *file = fopen("/proc/net/tcp", "r");
	unsigned int from, to, state;
	char line[512];
	int late = 0;

	if (file == NULL)
		give_up("/proc/net/tcp");
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, " %*d: %*8x:%x %*8x:%x %x", &from, &to, &state) == 3 &&
		    (from == (unsigned int)road->port || to == (unsigned int)road->port) &&
		    (state == 4 || state == 9 || state == 11))
			late++;
	fclose(file);
	return late;
}

/* meet - a client has come; with the lock held */
static void
meet(struct road *road)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct pair pair = { .near = accept(road->listener, NULL, NULL), .far = -1 };
	const int on = 1;

	if (pair.near < 0)
		return;
	pair.far = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(name.sun_path, road->path, sizeof(name.sun_path));
	if (road->n == MANY_PAIRS ||
	    connect(pair.far, (struct sockaddr *)&name, sizeof(name)) < 0) {
		close(pair.near);
		close(pair.far);
		return;
	}
	(void)setsockopt(pair.near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	set_filter(pair.near, road->lose);
	road->pairs[road->n++] = pair;
}

/* carry - octets from one to the other; false at the end */
static bool
carry(struct road *road, int from, int to, bool answers)
{
	char octets[16384];
	ssize_t n = recv(from, octets, sizeof(octets), MSG_DONTWAIT);
	size_t len;
	bool cut = false;

	if (n < 0)
		return errno == EAGAIN;
	if (n == 0)
		return false;
	len = (size_t)n;
	if (answers && road->cut_after > 0) {
		cut = len >= road->cut_after;
		len = cut ? road->cut_after : len;
		road->cut_after -= len;
	}
	for (size_t done = 0; done < len; done += (size_t)n) {
		n = send(to, octets + done, len - done, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return !cut;
}

/* go - what waits at one pair; with the lock held */
static void
go(struct road *road, size_t i, const struct pollfd *entries)
{
	struct pair *pair = &road->pairs[i];
	bool good = true;

	if (entries[0].revents != 0)
		good = carry(road, pair->near, pair->far, false);
	if (good && entries[1].revents != 0 && !road->hold && !road->lose)
		good = carry(road, pair->far, pair->near, true);
	if (good)
		return;
	close(pair->near);
	close(pair->far);
	pair->near = -1;
}

/* run - the thread */
static void *
run(void *arg)
{
	struct road *road = arg;

	for (bool stop = false; !stop;) {
		struct pollfd entries[1 + 2 * MANY_PAIRS];
		size_t n = road->n, kept = 0;
		bool hold;

		pthread_mutex_lock(&road->lock);
		hold = road->hold || road->lose;
		pthread_mutex_unlock(&road->lock);
		entries[0] = (struct pollfd){ .fd = road->listener, .events = POLLIN };
		for (size_t i = 0; i < n; i++) {
			entries[1 + 2 * i] =
			    (struct pollfd){ .fd = road->pairs[i].near, .events = POLLIN };
			entries[2 + 2 * i] = (struct pollfd){ .fd = hold ? -1 : road->pairs[i].far,
				.events = POLLIN };
		}
		(void)poll(entries, 1 + 2 * n, 10);
		pthread_mutex_lock(&road->lock);
		for (size_t i = 0; i < n; i++)
			go(road, i, &entries[1 + 2 * i]);
		for (size_t i = 0; i < n; i++)
			if (road->pairs[i].near >= 0)
				road->pairs[kept++] = road->pairs[i];
		road->n = kept;
		if (entries[0].revents != 0)
			meet(road);
		stop = road->stop;
		pthread_mutex_unlock(&road->lock);
	}
	return NULL;
}

/* road_open - to the server's socket */
struct road *
road_open(const char *socket_path, int *port_r)
{
	struct road *road = calloc(1, sizeof(*road));
	struct sockaddr_in name = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(name);

	if (road == NULL || strlen(socket_path) >= sizeof(road->path))
		give_up("road");
	memcpy(road->path, socket_path, strlen(socket_path) + 1);
	road->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (road->listener < 0 ||
	    bind(road->listener, (struct sockaddr *)&name, sizeof(name)) < 0 ||
	    listen(road->listener, 64) < 0 ||
	    getsockname(road->listener, (struct sockaddr *)&name, &len) < 0)
		give_up("listen");
	*port_r = road->port = ntohs(name.sin_port);
	pthread_mutex_init(&road->lock, NULL);
	if (pthread_create(&road->thread, NULL, run, road) != 0)
		give_up("pthread_create");
	return road;
}

/* road_close - end it */
void
road_close(struct road *road)
{
	pthread_mutex_lock(&road->lock);
	road->stop = true;
	pthread_mutex_unlock(&road->lock);
	pthread_join(road->thread, NULL);
	for (size_t i = 0; i < road->n; i++) {
		close(road->pairs[i].near);
		close(road->pairs[i].far);
	}
	close(road->listener);
	pthread_mutex_destroy(&road->lock);
	free(road);
}
