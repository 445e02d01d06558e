/*
 * dns_probe.c - which DNS servers answer at all
 *
 * The resolver cannot distinguish its servers, so here one packet goes to each of them: the
 * question ". NS" (RFC 1035 section 4.1), by UDP, twice.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/plain_file.h"
#include "filter/doctor/dns_probe.h"
#include "filter/doctor/dns_question.h"
#include "policy/base/dns.h"
#include "policy/base/mem.h"

#define DNS_PROBE_SERVERS	16
#define DNS_PROBE_AGAIN_MS	1000
#define DNS_PROBE_ROOM	4096	/* octets of an answer */

/* One question under way. */
struct dns_probe {
	int fd;			/* connected, or -1 */
	unsigned char id[2];
};

/* dns_probe_system - the servers of /etc/resolv.conf */
static const char **
dns_probe_system(TALLOC_CTX *ctx)
{
	const char **servers = mem_array(ctx, const char *, DNS_PROBE_SERVERS + 1);
	FILE *file = fopen("/etc/resolv.conf", "re");
	char line[512], address[256];
	size_t n = 0;

	while (file != NULL && n < DNS_PROBE_SERVERS && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, " nameserver %255s", address) == 1)
			servers[n++] = mem_strdup(ctx, address);
	if (file != NULL)
		(void)fclose(file);
	return servers;
}

/* dns_probe_connect - a UDP socket to "ADDRESS" or "ADDRESS@PORT"; -1: it is none */
static int
dns_probe_connect(const char *server)
{
	struct sockaddr_storage address;
	const struct sockaddr *name = (const void *)&address;
	socklen_t len = dns_server_address(server, &address);
	int fd = -1;

	if (len > 0)
		fd = socket(name->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, name, len) != 0) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

/* dns_probe_send - ". NS", recursion desired */
static void
dns_probe_send(struct dns_probe *probe)
{
	unsigned char packet[17] = { 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1 };

	packet[0] = probe->id[0];
	packet[1] = probe->id[1];
	(void)send(probe->fd, packet, sizeof(packet), 0);
}

/* dns_probe_receive - an answer: 1 alive, 0 not one to our question, -1 dead */
static int
dns_probe_receive(const struct dns_probe *probe)
{
	unsigned char packet[4096];
	ssize_t got = recv(probe->fd, packet, sizeof(packet), 0);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (got < 12 || packet[0] != probe->id[0] || packet[1] != probe->id[1] ||
	    (packet[2] & 0x80) == 0)
		return 0;
	return (packet[3] & 0x0f) == DNS_RCODE_SERVFAIL ? -1 : 1;
}

/* dns_probe_wait - until all have answered, or it is time to go on */
static void
dns_probe_wait(struct dns_probe *probes, size_t n, int64_t start_ms, int64_t until_ms, bool *alive,
    int64_t *ms)
{
	struct pollfd polled[DNS_PROBE_SERVERS];

	for (;;) {
		int64_t left = until_ms - clock_ms();
		size_t open = 0;

		for (size_t i = 0; i < n; i++) {
			polled[i] = (struct pollfd){ .fd = probes[i].fd, .events = POLLIN };
			open += probes[i].fd >= 0;
		}
		if (open == 0 || left <= 0 || (poll(polled, n, (int)left) < 0 && errno != EINTR))
			return;
		for (size_t i = 0; i < n; i++) {
			int what = polled[i].fd >= 0 && polled[i].revents != 0
			    ? dns_probe_receive(&probes[i])
			    : 0;

			if (what == 0)
				continue;
			alive[i] = what > 0;
			ms[i] = clock_ms() - start_ms;
			(void)close(probes[i].fd);
			probes[i].fd = -1;
		}
	}
}

void
dns_probe(struct site *site, const char **servers)
{
	struct dns_probe probes[DNS_PROBE_SERVERS];
	bool *alive = mem_array(site, bool, DNS_PROBE_SERVERS);
	int64_t *ms = mem_array(site, int64_t, DNS_PROBE_SERVERS), start = clock_ms();
	size_t n = 0;

	if (servers == NULL || servers[0] == NULL)
		servers = dns_probe_system(site);
	for (; n < DNS_PROBE_SERVERS && servers[n] != NULL; n++) {
		probes[n].fd = dns_probe_connect(servers[n]);
		if (getrandom(probes[n].id, sizeof(probes[n].id), 0) < 0)
			probes[n].id[0] = probes[n].id[1] = 0;
		if (probes[n].fd >= 0)
			dns_probe_send(&probes[n]);
	}
	dns_probe_wait(probes, n, start, start + DNS_PROBE_AGAIN_MS, alive, ms);
	for (size_t i = 0; i < n; i++)
		if (probes[i].fd >= 0)
			dns_probe_send(&probes[i]);
	dns_probe_wait(probes, n, start, start + DNS_PROBE_MS, alive, ms);
	for (size_t i = 0; i < n; i++)
		if (probes[i].fd >= 0)
			(void)close(probes[i].fd);
	site->dns_servers = servers;
	site->dns_alive = alive;
	site->dns_ms = ms;
	site->n_dns_servers = n;
}

/* anchor_owner - the zone whose keys a trust anchor holds, "" for the root: the first word of its
 * first line that is no comment, or NULL */
static const char *
anchor_owner(TALLOC_CTX *ctx, const char *path)
{
	FILE *file = plain_file(path);
	char line[4096], name[DNS_NAME_MAX + 2];
	const char *found = NULL;

	while (file != NULL && found == NULL && fgets(line, sizeof(line), file) != NULL)
		if (line[0] != ';' && sscanf(line, " %254s", name) == 1)
			found = mem_strndup(
			    ctx, name, strlen(name) - (name[strlen(name) - 1] == '.'));
	if (file != NULL)
		(void)fclose(file);
	return found;
}

void
dns_probe_signatures(struct site *site, const char *anchor)
{
	struct dns_question question = { .name = anchor_owner(site, anchor),
		.type = DNS_TYPE_DNSKEY,
		.room = DNS_PROBE_ROOM,
		.dnssec = true };
	struct dns_reply reply;

	for (size_t i = 0; question.name != NULL && i < site->n_dns_servers; i++)
		if (site->dns_alive[i] &&
		    dns_question_ask(site->dns_servers[i], &question,
			clock_ms() + DNS_PROBE_AGAIN_MS, &reply) &&
		    reply.rcode == 0 && reply.answers > 0 && !reply.truncated &&
		    !reply.has_signature)
			site->dns_strips = true;
}
