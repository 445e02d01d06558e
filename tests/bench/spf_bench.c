/*
 * spf_bench.c - what an SPF check costs: CPU with all answers at hand, round trips with none
 *
 * One line a figure: NAME VALUE UNIT. CPU is that of a whole check less that of the
 * answers to the same questions from memory (tests/support/spf_zone.h), so it is what parser,
 * macros, libspf2 and the glue between them take. "cached-answer" is one answer from
 * the resolver's cache, as a check gets it. Round trips are counted, not timed: those a
 * check waits for with nothing cached, if every answer takes one.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/spf_zone.h"

#define ROUNDS		9	/* the median of so many counts */
#define ROUND_US	20000.0	/* CPU time of a round, at least */
#define ASKED_MAX	200	/* questions of a check */

/* A check that is measured. */
struct subject {
	const char *name;
	const char *client;
	const char *sender;
};

static const struct subject subjects[] = {
	{ "no-record", "192.0.2.1", "x@plain.example" },
	{ "pass-by-ip4", "192.0.2.1", "x@small.example" },
	{ "pass-by-include", "203.0.113.9", "x@small.example" },
	{ "fail-of-all-terms", "198.51.100.200", "x@small.example" },
	{ "large-provider", "198.51.100.200", "x@large.example" },
	{ "macros-and-explanation", "198.51.100.200", "x@macro.example" },
	{ "longest-legal", "198.51.100.200", "x@longest.example" },
};

/* A question that a check asked. */
struct asked {
	char name[256];
	size_t len;
	enum dns_type type;
};

/* The zone, and what is asked of it. */
struct recorder {
	struct zone *zone;
	struct asked asked[ASKED_MAX];
	size_t n;
};

/* cpu_us - CPU time of this thread */
static double
cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* record - the ask of struct spf_dns that also notes the question */
static struct dns_answer *
record(void *state, TALLOC_CTX *ctx, const char *name, size_t len, enum dns_type type,
    int64_t deadline_ms)
{
	struct recorder *recorder = state;

	if (recorder->n < ASKED_MAX && len < sizeof(recorder->asked[0].name)) {
		struct asked *asked = &recorder->asked[recorder->n++];

		memcpy(asked->name, name, len);
		asked->len = len;
		asked->type = type;
	}
	return zone_ask(recorder->zone, ctx, name, len, type, deadline_ms);
}

/* fill - the domains of the table */
static void
fill(struct zone *zone)
{
	char *longest = mem_strdup(zone, "v=spf1"), *name;

	zone_add(zone, "plain.example", DNS_A, "192.0.2.1");
	zone_add(
	    zone, "small.example", DNS_TXT, "v=spf1 ip4:192.0.2.0/28 include:esp.example mx -all");
	zone_put(zone, "small.example", DNS_MX, "mx1.small.example", 17, 10);
	zone_put(zone, "small.example", DNS_MX, "mx2.small.example", 17, 20);
	zone_add(zone, "mx1.small.example", DNS_A, "192.0.2.17");
	zone_add(zone, "mx2.small.example", DNS_A, "192.0.2.18");
	zone_add(zone, "esp.example", DNS_TXT, "v=spf1 ip4:203.0.113.0/24 ip4:192.0.2.128/25 ~all");
	zone_add(zone, "large.example", DNS_TXT, "v=spf1 include:nets.large.example ~all");
	zone_add(zone, "nets.large.example", DNS_TXT,
	    "v=spf1 include:n1.large.example include:n2.large.example include:n3.large.example ~all");
	for (int i = 1; i <= 3; i++) {
		char *text = mem_strdup(zone, "v=spf1");

		for (int k = 0; k < 10; k++)
			text = mem_check(
			    talloc_asprintf_append_buffer(text, " ip4:203.0.%d.0/24", 10 * i + k));
		name = mem_printf(zone, "n%d.large.example", i);
		zone_add(zone, name, DNS_TXT, mem_printf(zone, "%s ~all", text));
	}
	zone_add(zone, "macro.example", DNS_TXT,
	    "v=spf1 exists:%{ir}.%{v}.%{l1r-}.%{d2}.macro.example -all exp=why.%{d}");
	zone_add(
	    zone, "why.macro.example", DNS_TXT, "%{i} may not send for %{s}, see http://%{d}/%{L}");
	for (int i = 0; i < 10; i++) {
		longest = mem_check(talloc_asprintf_append_buffer(longest, " mx:m%d.example", i));
		name = mem_printf(zone, "m%d.example", i);
		for (int k = 0; k < 10; k++) {
			char *host = mem_printf(zone, "h%d.%s", k, name);

			zone_put(zone, name, DNS_MX, host, strlen(host), (unsigned int)k);
			zone_add(zone, host, DNS_A, "192.0.2.99");
		}
	}
	zone_add(zone, "longest.example", DNS_TXT, mem_printf(zone, "%s -all", longest));
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* check_us - CPU time of one check */
static double
check_us(struct spf_service *service, const struct subject *subject, unsigned int times)
{
	const struct spf_client client = { .address = subject->client,
		.helo = "mail.client.example" };
	double start = cpu_us();

	for (unsigned int i = 0; i < times; i++) {
		TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
		struct spf_fact fact;

		spf_check_mailfrom(ctx, service, &client, subject->sender, zone_deadline(), &fact);
		talloc_free(ctx);
	}
	return (cpu_us() - start) / times;
}

/* answers_us - CPU time of the answers to what a check asked */
static double
answers_us(const struct recorder *recorder, unsigned int times)
{
	double start = cpu_us();

	for (unsigned int i = 0; i < times; i++) {
		TALLOC_CTX *ctx = mem_check(talloc_new(NULL));

		for (size_t k = 0; k < recorder->n; k++)
			(void)zone_ask(recorder->zone, ctx, recorder->asked[k].name,
			    recorder->asked[k].len, recorder->asked[k].type, 0);
		talloc_free(ctx);
	}
	return (cpu_us() - start) / times;
}

/* measure - CPU and questions of one check */
static void
measure(struct recorder *recorder, const struct subject *subject)
{
	struct spf_service service;
	double values[ROUNDS];
	unsigned int times = 1;

	zone_service(recorder->zone, &service);
	service.dns.ask = record;
	service.dns.state = recorder;
	recorder->n = 0;
	(void)check_us(&service, subject, 1);
	service.dns.ask = zone_ask;
	service.dns.state = recorder->zone;
	while (check_us(&service, subject, times) * times < ROUND_US)
		times *= 2;
	for (int i = 0; i < ROUNDS; i++)
		values[i] = check_us(&service, subject, times) - answers_us(recorder, times);
	qsort(values, ROUNDS, sizeof(values[0]), compare);
	(void)printf("spf/%s/cpu %.2f us\n", subject->name, values[ROUNDS / 2]);
	(void)printf("spf/%s/questions %zu questions\n", subject->name, recorder->n);
}

/* count_trips - round trips of a cold check, with and without asking ahead */
static void
count_trips(const struct subject *subject)
{
	static const char *const words[] = { "one-by-one", "side-by-side" };

	for (int ahead = 0; ahead < 2; ahead++) {
		struct zone *zone = mem_new(NULL, struct zone);
		struct spf_service service;

		fill(zone);
		zone_service(zone, &service);
		zone->watch_trips = true;
		service.dns.prefetch = ahead ? zone_ahead : NULL;
		(void)check_us(&service, subject, 1);
		(void)printf(
		    "spf/%s/%s %u round-trips\n", subject->name, words[ahead], zone->trips);
		talloc_free(zone);
	}
}

/* measure_cache - an answer from the resolver's cache: here that nothing could be found out */
static void
measure_cache(void)
{
	const char *servers[] = { "127.0.0.1@1", NULL };
	const struct resolver_options options = { .servers = servers, .cache_entries = 100000 };
	const char *error = NULL, name[] = "cached.example";
	struct resolver *resolver = resolver_new(NULL, &options, &error);
	double values[ROUNDS];

	if (resolver == NULL) {
		(void)fprintf(stderr, "spf_bench: %s\n", error);
		exit(EXIT_FAILURE);
	}
	for (int i = 0; i < ROUNDS; i++) {
		const int times = 2000;
		double start;

		/* a port where nobody listens: a failure, kept for a second */
		talloc_free(
		    resolver_ask(resolver, NULL, name, strlen(name), DNS_TXT, zone_deadline()));
		start = cpu_us();
		for (int k = 0; k < times; k++)
			talloc_free(resolver_ask(
			    resolver, NULL, name, strlen(name), DNS_TXT, zone_deadline()));
		values[i] = (cpu_us() - start) / times;
	}
	qsort(values, ROUNDS, sizeof(values[0]), compare);
	(void)printf("spf/cached-answer/cpu %.2f us\n", values[ROUNDS / 2]);
	talloc_free(resolver);
}

int
main(void)
{
	struct recorder *recorder = mem_new(NULL, struct recorder);

	recorder->zone = mem_new(recorder, struct zone);
	fill(recorder->zone);
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		measure(recorder, &subjects[i]);
		count_trips(&subjects[i]);
	}
	measure_cache();
	talloc_free(recorder);
	return EXIT_SUCCESS;
}
