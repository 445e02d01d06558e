/*
 * clients.c - connections of countersign-web, and how long they may last
 *
 * Thread rule: the lock guards all of it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/web/clients.h"
#include "policy/base/mem.h"

#define DRAIN_ONCE	(1024 * 1024)	/* octets, so that one client does not hold up others */

/* A connection; a talloc root. */
struct client {
	struct client *next, **before;
	int fd;
	int64_t since_ms;	/* when it came, or its last request was answered */
	bool answering;		/* a request is complete, and its answer is awaited */
	bool drain;		/* it has a place among the drained */
};

/* A connection whose rest is read and thrown away. */
struct drained {
	int fd;			/* ours; -1: free, or its client is still in the list */
	int64_t until_ms;
};

struct clients {
	pthread_mutex_t lock;
	struct client *first;
	struct drained drained[CLIENTS_DRAINED];
	unsigned int n_drained;	/* with those in the list that have a place */
};

static int
clients_free(struct clients *clients)
{
	for (int i = 0; i < CLIENTS_DRAINED; i++)
		if (clients->drained[i].fd >= 0)
			(void)close(clients->drained[i].fd);
	(void)pthread_mutex_destroy(&clients->lock);
	return 0;
}

struct clients *
clients_new(TALLOC_CTX *ctx)
{
	struct clients *clients = mem_new(ctx, struct clients);

	(void)pthread_mutex_init(&clients->lock, NULL);
	for (int i = 0; i < CLIENTS_DRAINED; i++)
		clients->drained[i].fd = -1;
	talloc_set_destructor(clients, clients_free);
	return clients;
}

struct client *
clients_came(struct clients *clients, int fd)
{
	struct client *client = mem_new(NULL, struct client);

	client->fd = fd;
	client->since_ms = clock_ms();
	(void)pthread_mutex_lock(&clients->lock);
	client->before = &clients->first;
	client->next = clients->first;
	if (client->next != NULL)
		client->next->before = &client->next;
	clients->first = client;
	(void)pthread_mutex_unlock(&clients->lock);
	return client;
}

/* clients_drain - keep a connection that is about to be closed (lock held) */
static void
clients_drain(struct clients *clients, const struct client *client)
{
	int fd = fcntl(client->fd, F_DUPFD_CLOEXEC, 0);

	for (int i = 0; fd >= 0 && i < CLIENTS_DRAINED; i++)
		if (clients->drained[i].fd < 0) {
			(void)shutdown(fd, SHUT_WR);
			clients->drained[i] = (struct drained){ fd,
				clock_ms() + CLIENTS_DRAIN_S * INT64_C(1000) };
			return;
		}
	if (fd >= 0)
		(void)close(fd);
	clients->n_drained--;
}

void
clients_left(struct clients *clients, struct client *client)
{
	if (client == NULL)
		return;
	(void)pthread_mutex_lock(&clients->lock);
	*client->before = client->next;
	if (client->next != NULL)
		client->next->before = client->before;
	if (client->drain)
		clients_drain(clients, client);
	(void)pthread_mutex_unlock(&clients->lock);
	talloc_free(client);
}

void
clients_note(struct clients *clients, struct client *client, bool answering)
{
	if (client == NULL)
		return;
	(void)pthread_mutex_lock(&clients->lock);
	client->answering = answering;
	client->since_ms = clock_ms();
	(void)pthread_mutex_unlock(&clients->lock);
}

bool
clients_may_drain(struct clients *clients, struct client *client)
{
	bool may = false;

	if (client == NULL || client->fd < 0)
		return false;
	(void)pthread_mutex_lock(&clients->lock);
	if (clients->n_drained < CLIENTS_DRAINED && !client->drain) {
		clients->n_drained++;
		client->drain = may = true;
	}
	(void)pthread_mutex_unlock(&clients->lock);
	return may;
}

/* drained_read - read what is there; false: it has ended */
static bool
drained_read(const struct drained *drained)
{
	char octets[16 * 1024];
	size_t all = 0;
	ssize_t got = 1;

	while (got > 0 && all < DRAIN_ONCE) {
		got = recv(drained->fd, octets, sizeof(octets), MSG_DONTWAIT);
		if (got > 0)
			all += (size_t)got;
	}
	return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

bool
clients_tend(struct clients *clients)
{
	int64_t now = clock_ms();
	bool soon;

	(void)pthread_mutex_lock(&clients->lock);
	for (struct client *client = clients->first; client != NULL; client = client->next)
		if (client->fd >= 0 && !client->answering &&
		    now - client->since_ms > CLIENTS_REQUEST_S * INT64_C(1000))
			(void)shutdown(client->fd, SHUT_RDWR);
	for (int i = 0; i < CLIENTS_DRAINED; i++) {
		struct drained *drained = &clients->drained[i];

		if (drained->fd < 0 || (now < drained->until_ms && drained_read(drained)))
			continue;
		(void)close(drained->fd);
		drained->fd = -1;
		clients->n_drained--;
	}
	soon = clients->n_drained > 0;
	(void)pthread_mutex_unlock(&clients->lock);
	return soon;
}
