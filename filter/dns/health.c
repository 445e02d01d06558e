/*
 * health.c - does our resolver answer at all?
 *
 * The probe asks for the name servers of the root, once without and once with "recursion desired":
 * any resolver has them at hand, and any other server refuses, which is an answer, too. Some drop
 * the one kind or the other.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <sys/random.h>
#include <sys/socket.h>

#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "filter/dns/health.h"
#include "policy/base/mem.h"

#define PROBE_OCTETS	17	/* header, and the root's NS in class IN */
#define FLAG_REPLY	0x80	/* third octet of a header (RFC 1035 section 4.1.1) */
#define FLAG_RECURSION	0x01

/* open_socket - a socket to "ADDRESS" or "ADDRESS@PORT"; -1 if there is none */
static int
open_socket(const char *server)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM,
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	const char *at = strchr(server, '@');
	char *host = mem_strndup(NULL, server, at != NULL ? (size_t)(at - server) : strlen(server));
	struct addrinfo *found = NULL;
	int fd = -1;

	if (getaddrinfo(host, at != NULL ? at + 1 : "53", &hints, &found) == 0) {
		fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
		freeaddrinfo(found);
	}
	talloc_free(host);
	return fd;
}

/* health_close - no socket is open after that; also talloc's destructor */
static int
health_close(struct health *health)
{
	for (size_t i = 0; i < health->n; i++) {
		if (health->fds[i] >= 0)
			close(health->fds[i]);
		health->fds[i] = -1;
	}
	return 0;
}

struct health *
health_new(TALLOC_CTX *ctx, const char **servers)
{
	struct health *health = mem_new(ctx, struct health);
	char *names = mem_strdup(health, "");

	health->servers = servers;
	for (; health->n < HEALTH_SERVERS_MAX && servers[health->n] != NULL; health->n++) {
		names = mem_check(talloc_asprintf_append_buffer(names, "%s%s",
		    health->n > 0 ? ", " : "", servers[health->n]));
		health->fds[health->n] = -1;
	}
	health->names = names;
	talloc_set_destructor(health, health_close);
	return health;
}

/* health_send - one probe to each server
 * From new sockets if a series begins or nothing was heard for long: addresses and routes of
 * this host may have changed. */
static void
health_send(struct health *health, int64_t now_ms)
{
	unsigned char probe[PROBE_OCTETS] = { [5] = 1, [14] = 2, [16] = 1 };

	if (health->away || health->asked_ms == now_ms)
		(void)health_close(health);
	probe[0] = (unsigned char)(health->id >> 8);
	probe[1] = (unsigned char)health->id;
	probe[2] = health->sent++ % 2 == 1 ? FLAG_RECURSION : 0;
	health->sent_ms = now_ms;
	/* what cannot be sent is not answered either */
	for (size_t i = 0; i < health->n; i++) {
		if (health->fds[i] < 0)
			health->fds[i] = open_socket(health->servers[i]);
		if (health->fds[i] >= 0)
			(void)!send(health->fds[i], probe, sizeof(probe), MSG_NOSIGNAL);
	}
}

void
health_ask(struct health *health, int64_t now_ms)
{
	if (health->asked_ms != 0)
		return;
	if (getrandom(&health->id, sizeof(health->id), GRND_NONBLOCK) < 0)
		health->id = (uint16_t)now_ms;
	health->asked_ms = now_ms;
	health_send(health, now_ms);
}

size_t
health_fds(const struct health *health, struct pollfd *fds)
{
	for (size_t i = 0; i < health->n; i++)
		fds[i] = (struct pollfd){ .fd = health->fds[i], .events = POLLIN };
	return health->n;
}

/* health_hear - has a server answered a probe that is under way? */
static bool
health_hear(struct health *health)
{
	unsigned char reply[512];
	bool heard = false;
	ssize_t n;

	for (size_t i = 0; i < health->n; i++)
		/* at most as many as can have been sent; errors of the network are read, too */
		for (int tries = 0; tries < 8 && health->fds[i] >= 0; tries++) {
			n = recv(health->fds[i], reply, sizeof(reply), 0);
			heard |= n >= 12 && health->asked_ms != 0 &&
			    (reply[0] << 8 | reply[1]) == health->id &&
			    (reply[2] & FLAG_REPLY) != 0;
		}
	return heard;
}

/* health_good - a server answers */
static void
health_good(struct health *health, int64_t now_ms)
{
	health->heard_ms = now_ms;
	health->asked_ms = 0;
	health->away = false;
	(void)health_close(health);
}

void
health_heard(struct health *health, int64_t asked_ms, int64_t now_ms)
{
	if (health->asked_ms != 0 && asked_ms >= health->asked_ms)
		health_good(health, now_ms);
}

void
health_look(struct health *health, int64_t now_ms)
{
	if (health_hear(health)) {
		health_good(health, now_ms);
	} else if (health->asked_ms != 0) {
		health->away |= now_ms - health->asked_ms >= HEALTH_SILENCE_MS;
		if (now_ms - health->sent_ms >= HEALTH_AGAIN_MS)
			health_send(health, now_ms);
	}
}
