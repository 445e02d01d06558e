/*
 * dns_question.c - one question to one DNS server, past the resolver
 *
 * Packets are those of RFC 1035 section 4.1, with EDNS (RFC 6891). Of answers only the header and
 * the types of records are read.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "filter/base/socket.h"
#include "filter/doctor/dns_question.h"
#include "policy/base/dns.h"

#define QUESTION_MAX	(2 + 12 + DNS_NAME_MAX + 2 + 4 + 11)
#define DNS_TYPE_OPT	41
#define DNS_TYPE_RRSIG	46

/* A packet with its length in front, as TCP wants it. */
struct dns_packet {
	unsigned char octets[QUESTION_MAX];
	size_t len;		/* with those two octets */
};

socklen_t
dns_server_address(const char *server, struct sockaddr_storage *address_r)
{
	size_t len = strcspn(server, "@");
	long port = server[len] == '@' ? strtol(server + len + 1, NULL, 10) : 53;
	struct sockaddr_in *v4 = (void *)address_r;
	struct sockaddr_in6 *v6 = (void *)address_r;
	char address[INET6_ADDRSTRLEN] = "";

	memset(address_r, 0, sizeof(*address_r));
	if (len < sizeof(address))
		memcpy(address, server, len);
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		return sizeof(*v6);
	}
	return 0;
}

/* packet_number - append a number of two octets */
static void
packet_number(struct dns_packet *packet, unsigned int number)
{
	packet->octets[packet->len++] = (unsigned char)(number >> 8);
	packet->octets[packet->len++] = (unsigned char)number;
}

/* packet_name - append a name; false: it is none */
static bool
packet_name(struct dns_packet *packet, const char *name)
{
	if (name[0] != '\0' && !dns_name_ok(name, strlen(name)))
		return false;
	while (*name != '\0') {
		size_t len = strcspn(name, ".");

		packet->octets[packet->len++] = (unsigned char)len;
		memcpy(packet->octets + packet->len, name, len);
		packet->len += len;
		name += len + (name[len] == '.');
	}
	packet->octets[packet->len++] = 0;
	return true;
}

/* packet_make - a question; false: its name is none */
static bool
packet_make(const struct dns_question *question, struct dns_packet *packet)
{
	unsigned char id[2] = { 0 };

	if (getrandom(id, sizeof(id), GRND_NONBLOCK) < 0)
		id[0] = id[1] = 0;
	packet->len = 2;
	packet_number(packet, (unsigned int)id[0] << 8 | id[1]);
	packet_number(packet, 0x0100U | (question->unchecked ? 0x10U : 0)); /* RD, CD */
	packet_number(packet, 1);
	packet_number(packet, 0);
	packet_number(packet, 0);
	packet_number(packet, 1);
	if (!packet_name(packet, question->name))
		return false;
	packet_number(packet, question->type);
	packet_number(packet, 1);
	packet->octets[packet->len++] = 0; /* EDNS: the name of the root, then what we take */
	packet_number(packet, DNS_TYPE_OPT);
	packet_number(packet, question->room);
	packet_number(packet, 0);
	packet_number(packet, question->dnssec ? 0x8000U : 0);
	packet_number(packet, 0);
	packet->octets[0] = (unsigned char)((packet->len - 2) >> 8);
	packet->octets[1] = (unsigned char)(packet->len - 2);
	return true;
}

/* reply_skip_name - the place after a name, or 0: it is cut off */
static size_t
reply_skip_name(const unsigned char *packet, size_t len, size_t at)
{
	while (at < len) {
		if (packet[at] == 0)
			return at + 1;
		if ((packet[at] & 0xc0) == 0xc0)
			return at + 2;
		at += 1U + packet[at];
	}
	return 0;
}

/* reply_number - two octets */
static unsigned int
reply_number(const unsigned char *at)
{
	return (unsigned int)at[0] << 8 | at[1];
}

/* reply_read - an answer to our question; false: it is not one */
static bool
reply_read(const struct dns_packet *asked, const unsigned char *packet, size_t len,
    struct dns_reply *reply)
{
	size_t at, n;

	if (len < 12 || memcmp(packet, asked->octets + 2, 2) != 0 || (packet[2] & 0x80) == 0)
		return false;
	*reply = (struct dns_reply){ .rcode = packet[3] & 0x0fU,
		.truncated = (packet[2] & 0x02) != 0,
		.answers = reply_number(packet + 6) };
	at = reply_number(packet + 4) == 0 ? 12 : reply_skip_name(packet, len, 12) + 4;
	for (n = 0; n < reply->answers; n++) {
		at = reply_skip_name(packet, len, at);
		if (at == 0 || at + 10 > len)
			break;
		reply->has_alias |= reply_number(packet + at) == DNS_TYPE_CNAME;
		reply->has_signature |= reply_number(packet + at) == DNS_TYPE_RRSIG;
		at += 10U + reply_number(packet + at + 8);
	}
	reply->answers = n;
	return true;
}

/* question_receive - so many octets, or by UDP one packet; 0: not in time */
static size_t
question_receive(int fd, unsigned char *to, size_t size, bool tcp, int64_t deadline_ms)
{
	size_t len = 0;

	while (len < size && socket_wait(fd, POLLIN, deadline_ms)) {
		ssize_t got = recv(fd, to + len, size - len, 0);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <= 0)
			return 0;
		len += (size_t)got;
		if (!tcp)
			return len;
	}
	return tcp && len < size ? 0 : len;
}

/* question_talk - send the question, and read packets until one answers it */
static bool
question_talk(int fd, const struct dns_packet *packet, bool tcp, int64_t deadline_ms,
    struct dns_reply *reply_r)
{
	size_t from = tcp ? 0 : 2, size, len;
	unsigned char front[2], *answer;
	bool good = false;

	if (send(fd, packet->octets + from, packet->len - from, MSG_NOSIGNAL) !=
	    (ssize_t)(packet->len - from))
		return false;
	do {
		size = 65535;
		if (tcp && question_receive(fd, front, 2, true, deadline_ms) != 2)
			return false;
		if (tcp)
			size = reply_number(front);
		answer = malloc(size + 1);
		if (answer == NULL)
			return false;
		len = question_receive(fd, answer, size, tcp, deadline_ms);
		good = reply_read(packet, answer, len, reply_r);
		free(answer);
	} while (!good && len > 0);
	return good;
}

bool
dns_question_ask(const char *server, const struct dns_question *question, int64_t deadline_ms,
    struct dns_reply *reply_r)
{
	struct sockaddr_storage address;
	const struct sockaddr *name = (const void *)&address;
	socklen_t len = dns_server_address(server, &address);
	struct dns_packet packet;
	bool good = false;
	int fd;

	if (len == 0 || !packet_make(question, &packet))
		return false;
	if (question->tcp) {
		fd = socket_connect(name, len, deadline_ms);
	} else {
		fd = socket(name->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0 && connect(fd, name, len) != 0) {
			(void)close(fd);
			fd = -1;
		}
	}
	if (fd >= 0) {
		good = question_talk(fd, &packet, question->tcp, deadline_ms, reply_r);
		(void)close(fd);
	}
	return good;
}
