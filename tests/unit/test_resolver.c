/*
 * test_resolver.c - the resolver against a real name server
 *
 * An nsd of our own serves a few zones on a private port of loopback, from a
 * directory that goes at the end. Servers that do not answer are UDP sockets
 * that nobody reads. A question whose deadline has passed is answered from the
 * cache or not at all, which is how the tests look into the cache.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/dns/resolver.h"
#include "policy/base/mem.h"

#define NSD		"nsd"	/* found by PATH */

/* No answer on loopback takes so long; tests that pass never wait for it. */
#define PATIENCE_MS	20000
#define PORTS_TRIED	10

/* Length of the TXT record that needs TCP: 200 strings of 250 octets. */
#define BIG_STRINGS	200
#define BIG_STRING	250

/* The zones. Private and documentation networks are among them, because
 * libunbound would answer for those by itself. */
static const char *const zone_names[] = {
	"site.example", "2.0.192.in-addr.arpa", "10.in-addr.arpa",
	"8.b.d.0.1.0.0.2.ip6.arpa", "lab.test", "home.arpa",
};

static const char site_zone[] =
    "$TTL 300\n"
    "@ SOA ns hostmaster 1 3600 600 86400 60\n"
    "@ NS ns\n"
    "@ TXT \"v=spf1 \" \"mx -all\"\n"
    "@ MX 20 second\n"
    "@ MX 10 first.site.example.\n"
    "ns A 127.0.0.1\n"
    "host A 192.0.2.1\n"
    "host A 192.0.2.2\n"
    "host AAAA 2001:db8::1\n"
    "nullmx MX 0 .\n"
    "binary TXT \"a\\000b\\255\" \"\" \"c\"\n"
    "empty TXT \"\"\n"
    "alias CNAME alias2\n"
    "alias2 CNAME host\n"
    "nowhere CNAME nothing\n"
    "loop CNAME loop2\n"
    "loop2 CNAME loop\n"
    "own CNAME own\n"
    "with\\032space%20 A 192.0.2.3\n"
    "dotted PTR with\\.dot.site.example.\n"
    "short 1 A 192.0.2.4\n"
    "*.wild A 192.0.2.5\n";

static const char reverse_zone[] =
    "$TTL 300\n"
    "@ SOA ns.site.example. hostmaster.site.example. 1 3600 600 86400 60\n"
    "@ NS ns.site.example.\n"
    "1 PTR host.site.example.\n"
    "1.0.0 PTR ten.site.example.\n"
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR six.site.example.\n"
    "host A 192.0.2.9\n";

/* What the tests share. */
struct fixture {
	char directory[64];
	pid_t nsd;
	char server[32];	/* 127.0.0.1@PORT */
	in_port_t port;		/* network order */
	struct resolver *resolver; /* over nsd */
};

/* now_ms - CLOCK_MONOTONIC in milliseconds */
static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* pause_ms - wait a little */
static void
pause_ms(long ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

/* bound_socket - a UDP socket on loopback; port 0 chooses one */
static int
bound_socket(in_port_t *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = *port };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*port = address.sin_port;
	return fd;
}

/* new_resolver - a resolver with one server */
static struct resolver *
new_resolver(const char *server, size_t cache_entries)
{
	const char *servers[] = { server, NULL };
	struct resolver_options options = { .servers = servers, .cache_entries = cache_entries };
	struct resolver *resolver;
	const char *error;

	resolver = resolver_new(NULL, &options, &error);
	assert_non_null(resolver);
	return resolver;
}

/* ask - ask with patience */
static struct dns_answer *
ask(struct resolver *resolver, const char *name, enum dns_type type)
{
	return resolver_ask(resolver, resolver, name, strlen(name), type,
	    now_ms() + PATIENCE_MS);
}

/* cached - look into the cache */
static enum dns_status
cached(struct resolver *resolver, const char *name, enum dns_type type)
{
	struct dns_answer *answer;
	enum dns_status status;

	answer = resolver_ask(resolver, NULL, name, strlen(name), type, now_ms() - 1);
	status = answer->status;
	talloc_free(answer);
	return status;
}

/* put_file - write a file into the directory of the test */
static FILE *
put_file(const struct fixture *fixture, const char *name)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	return file;
}

/* write_zones - the zone files */
static void
write_zones(const struct fixture *fixture)
{
	FILE *file = put_file(fixture, "site.zone");
	int i, j;

	fputs(site_zone, file);
	fputs("big TXT (", file);
	for (i = 0; i < BIG_STRINGS; i++) {
		fputs(" \"", file);
		for (j = 0; j < BIG_STRING; j++)
			fputc('a' + i % 26, file);
		fputc('"', file);
	}
	fputs(" )\n", file);
	fclose(file);
	file = put_file(fixture, "reverse.zone");
	fputs(reverse_zone, file);
	fclose(file);
}

/* write_configuration - nsd.conf */
static void
write_configuration(const struct fixture *fixture)
{
	FILE *file = put_file(fixture, "nsd.conf");
	size_t i;

	fprintf(file, "server:\n"
	    "  ip-address: 127.0.0.1@%u\n"
	    "  username: \"\"\n  chroot: \"\"\n  server-count: 1\n"
	    "  database: \"\"\n  zonesdir: \"%s\"\n  pidfile: \"%s/pid\"\n"
	    "  xfrdfile: \"%s/xfrd\"\n  xfrdir: \"%s\"\n  zonelistfile: \"%s/zones\"\n"
	    "  logfile: \"%s/log\"\n"
	    "remote-control:\n  control-enable: no\n",
	    ntohs(fixture->port), fixture->directory, fixture->directory, fixture->directory,
	    fixture->directory, fixture->directory, fixture->directory);
	for (i = 0; i < sizeof(zone_names) / sizeof(zone_names[0]); i++)
		fprintf(file, "zone:\n  name: %s\n  zonefile: %s.zone\n", zone_names[i],
		    i == 0 ? "site" : "reverse");
	fclose(file);
}

/* nsd_answers - whether the server answers a question for site.example by now */
static bool
nsd_answers(const struct fixture *fixture)
{
	static const unsigned char query[] = "\0\1\1\0\0\1\0\0\0\0\0\0\4site\7example\0\0\6\0\1";
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = fixture->port };
	struct pollfd poller = { .events = POLLIN };
	in_port_t any = 0;
	char reply[512];
	bool answers;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	poller.fd = bound_socket(&any);
	sendto(poller.fd, query, sizeof(query) - 1, 0, (struct sockaddr *)&address,
	    sizeof(address));
	answers = poll(&poller, 1, 200) == 1 && recv(poller.fd, reply, sizeof(reply), 0) > 12 &&
	    (reply[3] & 15) == 0;
	close(poller.fd);
	return answers;
}

/* stop_nsd - stop it again */
static void
stop_nsd(struct fixture *fixture)
{
	if (fixture->nsd <= 0)
		return;
	kill(fixture->nsd, SIGTERM);
	waitpid(fixture->nsd, NULL, 0);
	fixture->nsd = 0;
}

/* serves_soon - whether the server that was started answers, before it ends or ten seconds are
 * over */
static bool
serves_soon(struct fixture *fixture)
{
	for (int i = 0; i < 100; i++) {
		if (nsd_answers(fixture))
			return true;
		if (waitpid(fixture->nsd, NULL, WNOHANG) == fixture->nsd) {
			fixture->nsd = 0;
			return false;
		}
		pause_ms(100);
	}
	stop_nsd(fixture);
	return false;
}

/* start_nsd - start the server on the fixture's port and wait until it serves; false: the port may
 * be another's by now */
static bool
start_nsd(struct fixture *fixture)
{
	char path[160];

	write_configuration(fixture);
	snprintf(path, sizeof(path), "%s/nsd.conf", fixture->directory);
	fixture->nsd = fork();
	assert_true(fixture->nsd >= 0);
	if (fixture->nsd == 0) {
		execlp(NSD, "nsd", "-d", "-c", path, (char *)NULL);
		_exit(127);
	}
	return serves_soon(fixture);
}

/* set_up - a directory, zones, a server, a resolver */
static int
set_up(void **state)
{
	struct fixture *fixture = mem_new(NULL, struct fixture);

	*state = fixture;
	strcpy(fixture->directory, "/tmp/countersign-dns-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	write_zones(fixture);
	/* Whatever runs beside this test may take the port between our looking and the server's
	 * start. */
	for (int i = 0; i < PORTS_TRIED && fixture->nsd == 0; i++) {
		fixture->port = 0;
		close(bound_socket(&fixture->port));
		(void)start_nsd(fixture);
	}
	assert_int_not_equal(fixture->nsd, 0);
	snprintf(fixture->server, sizeof(fixture->server), "127.0.0.1@%u",
	    ntohs(fixture->port));
	fixture->resolver = new_resolver(fixture->server, 100);
	return 0;
}

/* tear_down - everything away */
static int
tear_down(void **state)
{
	static const char *const files[] = { "site.zone", "reverse.zone", "nsd.conf", "pid", "xfrd",
	    "zones", "log" };
	struct fixture *fixture = *state;
	char path[160];
	size_t i;

	talloc_free(fixture->resolver);
	stop_nsd(fixture);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", fixture->directory, files[i]);
		unlink(path);
	}
	rmdir(fixture->directory);
	talloc_free(fixture);
	return 0;
}

/* One question and the answer to it. */
struct row {
	const char *label;
	const char *name;
	enum dns_type type;
	enum dns_status status;
	size_t count;
	const char *data;	/* expected among the records; NULL: not looked at */
	size_t len;
};

static const struct row rows[] = {
	{ "addresses", "host.site.example", DNS_A, DNS_OK, 2, "\300\0\2\1", 4 },
	{ "IPv6 address", "host.site.example", DNS_AAAA, DNS_OK, 1,
	    "\040\001\015\270\0\0\0\0\0\0\0\0\0\0\0\1", 16 },
	{ "case does not matter", "HOST.Site.EXAMPLE", DNS_A, DNS_OK, 2, "\300\0\2\2", 4 },
	{ "no such type", "ns.site.example", DNS_AAAA, DNS_NODATA, 0, NULL, 0 },
	{ "no such name", "nothing.site.example", DNS_A, DNS_NXDOMAIN, 0, NULL, 0 },
	{ "strings are joined", "site.example", DNS_TXT, DNS_OK, 1, "v=spf1 mx -all", 14 },
	{ "NUL and 8-bit octets", "binary.site.example", DNS_TXT, DNS_OK, 1, "a\0b\377c", 5 },
	{ "empty string", "empty.site.example", DNS_TXT, DNS_OK, 1, "", 0 },
	{ "hosts of MX", "site.example", DNS_MX, DNS_OK, 2, "first.site.example", 18 },
	{ "null MX", "nullmx.site.example", DNS_MX, DNS_OK, 1, "", 0 },
	{ "alias of an alias", "alias.site.example", DNS_A, DNS_OK, 2, "\300\0\2\1", 4 },
	{ "alias without the type", "alias.site.example", DNS_MX, DNS_NODATA, 0, NULL, 0 },
	{ "alias of nothing", "nowhere.site.example", DNS_A, DNS_NXDOMAIN, 0, NULL, 0 },
	{ "loop of aliases", "loop.site.example", DNS_A, DNS_FAILURE, 0, NULL, 0 },
	{ "alias of itself", "own.site.example", DNS_A, DNS_FAILURE, 0, NULL, 0 },
	{ "odd octets", "with space%20.site.example", DNS_A, DNS_OK, 1, "\300\0\2\3", 4 },
	{ "backslash is an octet", "with\\032space%20.site.example", DNS_A, DNS_NXDOMAIN, 0,
	    NULL, 0 },
	{ "8-bit name", "\344.wild.site.example", DNS_A, DNS_OK, 1, "\300\0\2\5", 4 },
	{ "label with a dot inside", "dotted.site.example", DNS_PTR, DNS_NODATA, 0, NULL, 0 },
	{ "documentation network", "1.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, 1,
	    "host.site.example", 17 },
	{ "private network", "1.0.0.10.in-addr.arpa", DNS_PTR, DNS_OK, 1,
	    "ten.site.example", 16 },
	{ "IPv6 documentation network",
	    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	    DNS_PTR, DNS_OK, 1, "six.site.example", 16 },
	{ "home domain", "host.home.arpa", DNS_A, DNS_OK, 1, "\300\0\2\11", 4 },
	{ "laboratory domain", "host.lab.test", DNS_A, DNS_OK, 1, "\300\0\2\11", 4 },
	{ "refused by the server", "other.example", DNS_A, DNS_FAILURE, 0, NULL, 0 },
	{ "empty label", "a..site.example", DNS_A, DNS_FAILURE, 0, NULL, 0 },
	{ "dot at the end", "host.site.example.", DNS_A, DNS_FAILURE, 0, NULL, 0 },
	{ "the root", "", DNS_A, DNS_FAILURE, 0, NULL, 0 },
	{ "label of 64 octets",
	    "a234567890123456789012345678901234567890123456789012345678901234.site.example",
	    DNS_A, DNS_FAILURE, 0, NULL, 0 },
};

/* has_record - whether an answer holds a record */
static bool
has_record(const struct dns_answer *answer, const char *data, size_t len)
{
	size_t i;

	for (i = 0; i < answer->count; i++)
		if (answer->records[i].len == len &&
		    memcmp(answer->records[i].data, data, len) == 0 &&
		    answer->records[i].data[len] == '\0')
			return true;
	return false;
}

static void
test_answers(void **state)
{
	struct fixture *fixture = *state;
	struct dns_answer *answer;
	const struct row *row;
	size_t i, round;

	/* The second round comes from the cache and must not differ. */
	for (round = 0; round < 2; round++) {
		for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			row = &rows[i];
			answer = ask(fixture->resolver, row->name, row->type);
			if (answer->status != row->status || answer->count != row->count)
				fail_msg("%s: status %d, %zu records (%s)", row->label,
				    answer->status, answer->count,
				    answer->problem != NULL ? answer->problem : "-");
			if (row->data != NULL && !has_record(answer, row->data, row->len))
				fail_msg("%s: the record is missing", row->label);
			assert_int_equal(answer->problem != NULL, row->status == DNS_FAILURE);
			assert_false(answer->secure);
			talloc_free(answer);
		}
	}
}

static void
test_preference(void **state)
{
	struct fixture *fixture = *state;
	struct dns_answer *answer = ask(fixture->resolver, "site.example", DNS_MX);
	size_t i;

	assert_int_equal(answer->count, 2);
	for (i = 0; i < 2; i++)
		assert_int_equal(answer->records[i].preference,
		    strcmp((const char *)answer->records[i].data, "first.site.example") == 0 ?
		    10 : 20);
	assert_true(answer->ttl > 0 && answer->ttl <= 300);
	talloc_free(answer);
}

static void
test_truncated_comes_by_tcp(void **state)
{
	struct fixture *fixture = *state;
	struct dns_answer *answer = ask(fixture->resolver, "big.site.example", DNS_TXT);

	assert_int_equal(answer->status, DNS_OK);
	assert_int_equal(answer->count, 1);
	assert_int_equal(answer->records[0].len, BIG_STRINGS * BIG_STRING);
	assert_int_equal(answer->records[0].data[0], 'a');
	assert_int_equal(answer->records[0].data[BIG_STRING], 'b');
	talloc_free(answer);
}

static void
test_cache(void **state)
{
	struct fixture *fixture = *state;
	struct resolver *resolver = new_resolver(fixture->server, 4);
	char name[64];
	int i;

	assert_int_equal(cached(resolver, "host.site.example", DNS_A), DNS_TIMEOUT);
	ask(resolver, "host.site.example", DNS_A);
	assert_int_equal(cached(resolver, "host.site.example", DNS_A), DNS_OK);
	assert_int_equal(cached(resolver, "HOST.site.example", DNS_A), DNS_OK);
	assert_int_equal(cached(resolver, "host.site.example", DNS_AAAA), DNS_TIMEOUT);
	ask(resolver, "nothing.site.example", DNS_A);
	assert_int_equal(cached(resolver, "nothing.site.example", DNS_A), DNS_NXDOMAIN);

	/* The bound holds, and what was used last stays. */
	for (i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "n%d.wild.site.example", i);
		ask(resolver, name, DNS_A);
		assert_int_equal(cached(resolver, "host.site.example", DNS_A), DNS_OK);
	}
	assert_int_equal(cached(resolver, "n9.wild.site.example", DNS_A), DNS_OK);
	assert_int_equal(cached(resolver, "n8.wild.site.example", DNS_A), DNS_OK);
	assert_int_equal(cached(resolver, "n7.wild.site.example", DNS_A), DNS_OK);
	assert_int_equal(cached(resolver, "n6.wild.site.example", DNS_A), DNS_TIMEOUT);
	assert_int_equal(cached(resolver, "nothing.site.example", DNS_A), DNS_TIMEOUT);

	/* An answer heavier than the whole cache may be is not kept. */
	ask(resolver, "big.site.example", DNS_TXT);
	assert_int_equal(cached(resolver, "big.site.example", DNS_TXT), DNS_TIMEOUT);
	talloc_free(resolver);
}

static void
test_cache_can_be_off(void **state)
{
	struct fixture *fixture = *state;
	struct resolver *resolver = new_resolver(fixture->server, 0);

	assert_int_equal(ask(resolver, "host.site.example", DNS_A)->status, DNS_OK);
	assert_int_equal(cached(resolver, "host.site.example", DNS_A), DNS_TIMEOUT);
	assert_int_equal(ask(resolver, "host.site.example", DNS_A)->status, DNS_OK);
	talloc_free(resolver);
}

static void
test_answers_expire(void **state)
{
	struct fixture *fixture = *state;
	int64_t until;

	assert_int_equal(ask(fixture->resolver, "short.site.example", DNS_A)->status, DNS_OK);
	until = now_ms() + PATIENCE_MS;
	while (cached(fixture->resolver, "short.site.example", DNS_A) == DNS_OK &&
	    now_ms() < until)
		pause_ms(50);
	assert_int_equal(cached(fixture->resolver, "short.site.example", DNS_A), DNS_TIMEOUT);
	assert_int_equal(ask(fixture->resolver, "short.site.example", DNS_A)->status, DNS_OK);
}

static void
test_prefetch(void **state)
{
	struct fixture *fixture = *state;
	const char *name = "ahead.wild.site.example";
	int64_t until = now_ms() + PATIENCE_MS;

	assert_int_equal(cached(fixture->resolver, name, DNS_A), DNS_TIMEOUT);
	resolver_prefetch(fixture->resolver, name, strlen(name), DNS_A);
	resolver_prefetch(fixture->resolver, name, strlen(name), DNS_A);
	resolver_prefetch(fixture->resolver, "..", 2, DNS_A);
	while (cached(fixture->resolver, name, DNS_A) != DNS_OK && now_ms() < until)
		pause_ms(10);
	assert_int_equal(cached(fixture->resolver, name, DNS_A), DNS_OK);
}

static void
test_silent_server(void **state)
{
	struct resolver *resolver;
	struct dns_answer *answer;
	char server[32];
	in_port_t port = 0;
	int fd = bound_socket(&port);

	(void)state;
	snprintf(server, sizeof(server), "127.0.0.1@%u", ntohs(port));
	resolver = new_resolver(server, 100);
	answer = resolver_ask(resolver, NULL, "a.site.example", 14, DNS_A, now_ms() + 200);
	assert_int_equal(answer->status, DNS_TIMEOUT);
	assert_non_null(answer->problem);
	talloc_free(answer);

	/* Questions that nobody waits for any more are under way when it ends. */
	talloc_free(resolver);
	close(fd);
}

static void
test_server_comes_back(void **state)
{
	struct fixture *fixture = *state;
	struct resolver *resolver = new_resolver(fixture->server, 100);
	struct dns_answer *answer;
	int64_t until;
	int fd;

	/* Silence for long enough that libunbound takes the server for dead. */
	stop_nsd(fixture);
	fd = bound_socket(&fixture->port);
	answer = resolver_ask(resolver, NULL, "host.site.example", 17, DNS_A, now_ms() + 3000);
	assert_true(answer->status == DNS_TIMEOUT || answer->status == DNS_FAILURE);
	talloc_free(answer);
	close(fd);
	for (int i = 0; i < PORTS_TRIED && fixture->nsd == 0; i++)
		(void)start_nsd(fixture);
	assert_int_not_equal(fixture->nsd, 0);
	until = now_ms() + PATIENCE_MS;
	do {
		answer = resolver_ask(resolver, NULL, "host.site.example", 17, DNS_A,
		    now_ms() + 2000);
		fd = answer->status == DNS_OK;
		talloc_free(answer);
	} while (!fd && now_ms() < until);
	assert_true(fd);
	talloc_free(resolver);
}

static void
test_bad_server_is_refused(void **state)
{
	const char *servers[] = { "ns.example", NULL };
	struct resolver_options options = { .servers = servers };
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;

	(void)state;
	assert_null(resolver_new(ctx, &options, &error));
	assert_non_null(strstr(error, "\"ns.example\""));
	talloc_free(ctx);
}

/* What each of several threads does: the same questions, and some of its own. */
struct asker {
	struct resolver *resolver;
	pthread_t thread;
	int number;
	int wrong;		/* unexpected answers; a thread cannot fail a test itself */
};

static void *
ask_many(void *data)
{
	struct asker *asker = data;
	struct dns_answer *answer;
	char name[64];
	int i;

	for (i = 0; i < 60; i++) {
		/* Every third is asked by this thread only, every fourth is impatient. */
		snprintf(name, sizeof(name), "t%d-%d.wild.site.example",
		    i % 3 == 0 ? asker->number : 0, i);
		answer = resolver_ask(asker->resolver, NULL, name, strlen(name), DNS_A,
		    now_ms() + (i % 4 == 0 ? 0 : PATIENCE_MS));
		if (answer->status != DNS_OK && (i % 4 != 0 || answer->status != DNS_TIMEOUT))
			asker->wrong++;
		talloc_free(answer);
	}
	return NULL;
}

static void
test_many_threads(void **state)
{
	struct fixture *fixture = *state;
	struct asker askers[8];
	size_t i;

	for (i = 0; i < 8; i++) {
		askers[i].resolver = fixture->resolver;
		askers[i].number = (int)i;
		askers[i].wrong = 0;
		assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_many, &askers[i]), 0);
	}
	for (i = 0; i < 8; i++) {
		pthread_join(askers[i].thread, NULL);
		assert_int_equal(askers[i].wrong, 0);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_preference),
		cmocka_unit_test(test_truncated_comes_by_tcp),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_cache_can_be_off),
		cmocka_unit_test(test_answers_expire),
		cmocka_unit_test(test_prefetch),
		cmocka_unit_test(test_silent_server),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_bad_server_is_refused),
		cmocka_unit_test(test_server_comes_back),
	};

	if (system("command -v " NSD " >/dev/null 2>&1") != 0) {
		printf("1..0 # SKIP there is no %s in PATH\n", NSD);
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
