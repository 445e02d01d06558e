/*
 * dmarc_bench.c - what DMARC costs: CPU with all answers in the resolver's cache, round trips with
 * none
 *
 * One line a figure: NAME VALUE UNIT. CPU is that of the thread that handles the message: From, the
 * walks from the author and from SPF's domain, their answers, and the result. A round trip is the
 * time that the DNS server of this program lets pass before each answer.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/dmarc/ask.h"
#include "policy/base/mem.h"
#include "policy/dmarc/author.h"
#include "tests/bench/cpu.h"

#define ROUNDS		9	/* the median of so many */
#define TIMES		2000	/* messages of a round */
#define TRIP_MS		40	/* before each answer of a slow server */
#define WAITING_MAX	64	/* answers that are on their way */
#define PACKET_MAX	512

/* A message that is measured. */
struct subject {
	const char *name;
	const char *from;	/* the From field */
	const char *sender;	/* the domain that passes SPF */
};

static const struct subject subjects[] = {
	{ "itself", " Joe <joe@bank.example>", "bank.example" },
	{ "below", " Joe <joe@news.bank.example>", "bounce.mail.bank.example" },
	{ "no-record", " Joe <joe@news.plain.example>", "esp.example" },
	{ "eight-labels", " Joe <joe@a.b.c.d.e.f.bank.example>", "g.h.i.j.k.l.bank.example" },
};

/* An answer on its way. */
struct waiting {
	uint8_t packet[PACKET_MAX];
	size_t len;
	struct sockaddr_in to;
	int64_t due_ms;
};

/* The DNS server: one record at _dmarc.bank.example, and no other name. */
struct server {
	int socket;
	int port;
	int trip_ms;
	pthread_t thread;
	struct waiting waiting[WAITING_MAX];
	size_t n;
};

/* server_answer - turn a question into its answer; len octets of room for more; its length, or 0 */
static size_t
server_answer(uint8_t *packet, size_t len)
{
	static const char name[] = "\6_dmarc\4bank\7example", text[] = "v=DMARC1; p=reject";
	size_t end = 12;
	bool found;

	while (end < len && packet[end] != 0)
		end += packet[end] + 1u;
	end += 5;
	if (end > len || end + 13 + sizeof(text) > PACKET_MAX)
		return 0;
	found = end - 12 == sizeof(name) + 4 && memcmp(packet + 12, name, sizeof(name)) == 0 &&
	    packet[end - 3] == 16;
	packet[2] = 0x85;
	packet[3] = found ? 0x80 : 0x83;
	memset(packet + 6, 0, 6);
	if (!found)
		return end;
	packet[7] = 1;
	memcpy(packet + end, "\xc0\x0c\0\x10\0\1\0\0\x0e\x10\0", 11);
	packet[end + 11] = sizeof(text);
	packet[end + 12] = sizeof(text) - 1;
	memcpy(packet + end + 13, text, sizeof(text) - 1);
	return end + 12 + sizeof(text);
}

/* server_send - what is due */
static void
server_send(struct server *server)
{
	size_t left = 0;

	for (size_t i = 0; i < server->n; i++) {
		struct waiting *one = &server->waiting[i];

		if (one->due_ms > clock_ms())
			server->waiting[left++] = *one;
		else
			(void)sendto(server->socket, one->packet, one->len, 0,
			    (struct sockaddr *)&one->to, sizeof(one->to));
	}
	server->n = left;
}

/* server_run - the thread, until it gets a packet without content */
static void *
server_run(void *arg)
{
	struct server *server = arg;

	for (;;) {
		struct waiting *next = &server->waiting[server->n];
		struct pollfd ready = { .fd = server->socket, .events = POLLIN };
		socklen_t size = sizeof(next->to);
		ssize_t len;

		server_send(server);
		next = &server->waiting[server->n];
		if (poll(&ready, 1, server->n > 0 ? 1 : -1) <= 0 || server->n == WAITING_MAX - 1)
			continue;
		len = recvfrom(server->socket, next->packet, PACKET_MAX, 0,
		    (struct sockaddr *)&next->to, &size);
		if (len == 0)
			return NULL;
		next->len = len < 0 ? 0 : server_answer(next->packet, (size_t)len);
		next->due_ms = clock_ms() + server->trip_ms;
		server->n += next->len > 0;
	}
}

/* server_start - on a port of loopback */
static void
server_start(struct server *server, int trip_ms)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(here);

	memset(server, 0, sizeof(*server));
	server->trip_ms = trip_ms;
	server->socket = socket(AF_INET, SOCK_DGRAM, 0);
	if (server->socket < 0 || bind(server->socket, (struct sockaddr *)&here, size) != 0 ||
	    getsockname(server->socket, (struct sockaddr *)&here, &size) != 0 ||
	    pthread_create(&server->thread, NULL, server_run, server) != 0) {
		(void)fprintf(stderr, "dmarc_bench: no DNS server: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	server->port = ntohs(here.sin_port);
}

/* server_stop - end it */
static void
server_stop(struct server *server)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)server->port) };

	(void)sendto(server->socket, "", 0, 0, (struct sockaddr *)&here, sizeof(here));
	(void)pthread_join(server->thread, NULL);
	(void)close(server->socket);
}

/* bench_resolver - one that asks the server */
static struct resolver *
bench_resolver(const struct server *server)
{
	char address[32];
	const char *servers[] = { address, NULL };
	const struct resolver_options options = { .servers = servers, .cache_entries = 100000 };
	const char *error = NULL;
	struct resolver *resolver;

	(void)snprintf(address, sizeof(address), "127.0.0.1@%d", server->port);
	resolver = resolver_new(NULL, &options, &error);
	if (resolver == NULL) {
		(void)fprintf(stderr, "dmarc_bench: %s\n", error);
		exit(EXIT_FAILURE);
	}
	return resolver;
}

/* judge - what filter/message/dmarc_gather.c does for a message, at the end of header and at the
 * end */
static enum dmarc_result
judge(struct resolver *resolver, const struct subject *subject)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct header_list *header = header_list_new(ctx, 1000);
	const struct dmarc_identifier identifier = { .domain = subject->sender, .passed = true };
	enum dmarc_existence existence = DMARC_EXISTS;
	struct dmarc_authors authors;
	struct dmarc_asking *asking;
	struct dmarc_walk walk;
	struct dmarc_fact fact;

	header_append(header, "From", strlen("From"), subject->from, strlen(subject->from));
	dmarc_authors_read(ctx, header, &authors);
	dmarc_prefetch(resolver, authors.domains[0]);
	dmarc_prefetch(resolver, subject->sender);
	asking = dmarc_asking_new(ctx, resolver, clock_ms() + 5000);
	dmarc_ask_walk(asking, authors.domains[0]);
	dmarc_walk(authors.domains[0], &asking->answers, &walk);
	if (dmarc_needs_walk(&walk, identifier.domain))
		dmarc_ask_walk(asking, identifier.domain);
	if (dmarc_needs_existence(&walk))
		existence = dmarc_ask_existence(asking, authors.domains[0]);
	dmarc_judge(ctx, &walk, &asking->answers, &identifier, 1, existence, &fact);
	talloc_free(ctx);
	return fact.result;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* measure_warm - CPU of a message whose answers are cached */
static void
measure_warm(struct resolver *resolver, const struct subject *subject)
{
	double values[ROUNDS];

	if (judge(resolver, subject) == DMARC_IS_TEMPERROR) {
		(void)fprintf(stderr, "dmarc_bench: the DNS server does not answer\n");
		exit(EXIT_FAILURE);
	}
	for (int i = 0; i < ROUNDS; i++) {
		double start = cpu_us();

		for (int k = 0; k < TIMES; k++)
			(void)judge(resolver, subject);
		values[i] = (cpu_us() - start) / TIMES;
	}
	qsort(values, ROUNDS, sizeof(values[0]), compare);
	(void)printf("dmarc/%s/cpu %.2f us\n", subject->name, values[ROUNDS / 2]);
}

/* measure_cold - round trips of a message with nothing cached */
static void
measure_cold(const struct server *server, const struct subject *subject)
{
	double values[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		struct resolver *resolver = bench_resolver(server);
		int64_t start = clock_ms();

		(void)judge(resolver, subject);
		values[i] = (double)(clock_ms() - start) / TRIP_MS;
		talloc_free(resolver);
	}
	qsort(values, ROUNDS, sizeof(values[0]), compare);
	(void)printf("dmarc/%s/cold %.2f round-trips\n", subject->name, values[ROUNDS / 2]);
}

int
main(void)
{
	struct server quick, slow;
	struct resolver *resolver;

	server_start(&quick, 0);
	server_start(&slow, TRIP_MS);
	resolver = bench_resolver(&quick);
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		measure_warm(resolver, &subjects[i]);
		measure_cold(&slow, &subjects[i]);
	}
	talloc_free(resolver);
	server_stop(&quick);
	server_stop(&slow);
	return EXIT_SUCCESS;
}
