/*
 * test_spf_hostile.c - SPF records, senders and zones made to do harm
 *
 * Two functions of libspf2 are replaced by our own of the same name, which the
 * dynamic linker prefers, also for calls from within the library: those that
 * compile a record and a macro text. They look at what libspf2 is about to parse
 * and pass it on. So the test that no octet of a stranger reaches its macro
 * code runs in every test of this file, against the library as installed.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <sys/socket.h>
#include <netdb.h>

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <spf2/spf.h>

#include "tests/support/spf_zone.h"

/* Worst legal case: 10 mx of 10 hosts, the records and an explanation. */
#define QUERIES_MAX	125

/* What the replaced functions saw. cmocka runs tests one after the other. */
static struct {
	unsigned int records;	/* records compiled */
	unsigned int macros;	/* macro texts compiled */
	unsigned int foreign;	/* texts that are not ours alone */
	char last[1024];	/* the last record */
} seen;

/* word_ok - whether a term is one that policy/spf/rewrite.c writes */
static bool
word_ok(const char *word, size_t len)
{
	static const char *const names[] = { "all", "a:", "mx:", "exists:", "include:" };
	size_t i, n, digits = 0;

	if (len > 9 && memcmp(word, "redirect=", 9) == 0) {
		word += 9;
		len -= 9;
	} else {
		if (len == 0 || strchr("+-~?", word[0]) == NULL)
			return false;
		word++;
		len--;
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			n = strlen(names[i]);
			if (len >= n && memcmp(word, names[i], n) == 0)
				break;
		}
		if (i == sizeof(names) / sizeof(names[0]))
			return false;
		word += n;
		len -= n;
		if (i == 0)
			return len == 0;
	}
	while (digits < len && word[digits] >= '0' && word[digits] <= '9')
		digits++;
	if (digits == 0 || digits > 6 || len < digits + 2 || memcmp(word + digits, ".t", 2) != 0)
		return false;
	for (i = digits + 2; i < len; i++)
		if (strchr("/0123456789", word[i]) == NULL)
			return false;
	return len <= digits + 2 + 5;
}

/* record_ok - whether a whole record is ours */
static bool
record_ok(const char *text)
{
	size_t len;

	/* The empty local policy that every server of libspf2 begins with. */
	if (strcmp(text, "v=spf1 ") == 0)
		return true;
	if (strncmp(text, "v=spf1", 6) != 0)
		return false;
	for (text += 6; *text != '\0'; text += len) {
		if (*text++ != ' ')
			return false;
		len = strcspn(text, " ");
		if (!word_ok(text, len))
			return false;
	}
	return true;
}

/* SPF_record_compile - in place of libspf2's */
SPF_errcode_t
SPF_record_compile(SPF_server_t *server, SPF_response_t *response, SPF_record_t **record_r,
    const char *text)
{
	SPF_errcode_t (*real)(SPF_server_t *, SPF_response_t *, SPF_record_t **, const char *);

	*(void **)&real = dlsym(RTLD_NEXT, "SPF_record_compile");
	seen.records++;
	if (!record_ok(text))
		seen.foreign++;
	snprintf(seen.last, sizeof(seen.last), "%s", text);
	return real(server, response, record_r, text);
}

/* SPF_record_compile_macro - in place of libspf2's: only its own default may come */
SPF_errcode_t
SPF_record_compile_macro(SPF_server_t *server, SPF_response_t *response, SPF_macro_t **macro_r,
    const char *text)
{
	SPF_errcode_t (*real)(SPF_server_t *, SPF_response_t *, SPF_macro_t **, const char *);

	*(void **)&real = dlsym(RTLD_NEXT, "SPF_record_compile_macro");
	seen.macros++;
	if (strcmp(text, SPF_DEFAULT_EXP) != 0)
		seen.foreign++;
	return real(server, response, macro_r, text);
}

/* One check in a zone of one record or of several. */
struct bench {
	struct zone *zone;
	struct spf_service service;
	struct spf_client client;
	struct spf_fact fact;
	struct spf_counts counts;
};

static int
set_up(void **state)
{
	struct bench *bench = mem_new(NULL, struct bench);

	memset(&seen, 0, sizeof(seen));
	bench->zone = mem_new(bench, struct zone);
	zone_service(bench->zone, &bench->service);
	bench->client.address = "192.0.2.1";
	bench->client.helo = "helo.site.example";
	*state = bench;
	return 0;
}

static int
tear_down(void **state)
{
	struct bench *bench = *state;

	/* Whatever a test did: libspf2 compiled something, and nothing foreign. */
	assert_int_equal(seen.foreign, 0);
	assert_true(seen.macros > 0);
	talloc_free(bench);
	return 0;
}

/* check - check a sender; the number of queries is bounded in every case */
static enum spf_result
check(struct bench *bench, const char *sender)
{
	bench->zone->questions = 0;
	spf_check(bench, &bench->service, &bench->client, sender, zone_deadline(), &bench->fact,
	    &bench->counts);
	assert_int_equal(bench->counts.queries, bench->zone->questions);
	assert_in_range(bench->counts.queries, 0, QUERIES_MAX);
	assert_in_range(bench->counts.terms, 0, SPF_LIMIT_TERMS);
	return bench->fact.result;
}

/* txt - put a record at site.example */
static void
txt(struct bench *bench, const char *text)
{
	zone_add(bench->zone, "site.example", DNS_TXT, text);
}

/* repeat - begin, a text n times, end */
static char *
repeat(TALLOC_CTX *ctx, const char *begin, const char *text, size_t n, const char *end)
{
	size_t first = strlen(begin), len = strlen(text), i;
	char *all = mem_array(ctx, char, (unsigned int)(first + n * len + strlen(end) + 1));

	memcpy(all, begin, first);
	for (i = 0; i < n; i++)
		memcpy(all + first + i * len, text, len);
	strcpy(all + first + n * len, end);
	return all;
}

/* The replaced functions have to be able to tell. */
static void
test_the_guard_works(void **state)
{
	(void)state;
	assert_true(record_ok("v=spf1 -include:22.t ?exists:3.t ~all redirect=4.t"));
	assert_false(record_ok("v=spf1 +a:site.example"));
	assert_false(record_ok("v=spf1 +a:1.t/%{d}"));
	assert_false(record_ok("v=spf1 exp=1.t"));
	assert_false(record_ok("v=spf1  -all"));
	txt(*state, "v=spf1 a:host.site.example -all");
	assert_int_equal(check(*state, "x@site.example"), SPF_IS_FAIL);
	assert_string_equal(seen.last, "v=spf1 +exists:1.t -all");
}

/* The macro overflow of libspf2 1.2.10: 127 macros and a literal (SPF_record_compile_macro
 * miscounts the room that is left). First as an explanation, then in a record. */
static void
test_overflow_in_explanation(void **state)
{
	struct bench *bench = *state;
	char *text = repeat(bench, "", "%{d}", 127,
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");

	txt(bench, "v=spf1 -all exp=why.site.example");
	zone_add(bench->zone, "why.site.example", DNS_TXT, text);
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_FAIL);
	assert_int_equal(strlen(bench->fact.explanation), 400);
}

static void
test_overflow_in_record(void **state)
{
	static const char *const begins[] = { "v=spf1 exists:", "v=spf1 exp=", "v=spf1 redirect=",
	    "v=spf1 include:" };
	struct bench *bench = *state;
	size_t i, n;
	char *end, *text;

	for (i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		for (n = 100; n < 140; n++) {
			end = repeat(bench, "", "A", n * 8, ".site.example -all");
			text = repeat(bench, begins[i], "%{d}", n, end);
			bench->zone->n = 0;
			txt(bench, text);
			assert_int_not_equal(check(bench, "x@site.example"), SPF_IS_PASS);
		}
	}
}

static void
test_include_bomb(void **state)
{
	struct bench *bench = *state;

	/* Every name below bomb.example includes ten more. */
	zone_add(bench->zone, "bomb.example", ZONE_WILD, "v=spf1 include:a.%{d} include:b.%{d} "
	    "include:c.%{d} include:d.%{d} include:e.%{d} include:f.%{d} include:g.%{d} "
	    "include:h.%{d} include:i.%{d} include:j.%{d} exp=k.%{d} -all");
	assert_int_equal(check(bench, "x@x.bomb.example"), SPF_IS_PERMERROR);
	assert_int_equal(bench->counts.queries, 11);
}

static void
test_flat_include_bomb(void **state)
{
	struct bench *bench = *state;

	/* Includes that do not match, one level deep: each costs an inner a, too. */
	zone_add(bench->zone, "leaf.bomb.example", ZONE_WILD, "v=spf1 a:none.example ?all");
	txt(bench, repeat(bench, "v=spf1", " include:x.leaf.bomb.example", 200, " +all"));
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_PERMERROR);
	assert_true(bench->counts.queries <= 11);
}

static void
test_redirect_loop(void **state)
{
	struct bench *bench = *state;

	txt(bench, "v=spf1 redirect=%{d}");
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_PERMERROR);
	assert_int_equal(bench->counts.queries, 11);
}

static void
test_mx_bomb(void **state)
{
	struct bench *bench = *state;
	char host[64];
	int i;

	/* The worst that the limits allow, with an explanation behind it. */
	bench->service.limits.voids = 100;
	txt(bench, "v=spf1 mx mx mx mx mx mx mx mx mx mx -all exp=why.site.example");
	for (i = 0; i < 10; i++) {
		snprintf(host, sizeof(host), "mx%d.site.example", i);
		zone_put(bench->zone, "site.example", DNS_MX, host, strlen(host), 0);
		zone_add(bench->zone, host, DNS_A, "192.0.2.99");
	}
	zone_add(bench->zone, "why.site.example", DNS_TXT, "No.");
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_FAIL);
	assert_string_equal(bench->fact.explanation, "No.");
	assert_int_equal(bench->counts.queries, 1 + 10 * 11 + 1);
	zone_put(bench->zone, "site.example", DNS_MX, "m.example", 9, 0);
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_PERMERROR);
	assert_int_equal(bench->counts.queries, 2);
}

static void
test_ptr_flood(void **state)
{
	struct bench *bench = *state;
	char name[64];
	int i;

	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "h%d.site.example", i);
		zone_add(bench->zone, "1.2.0.192.in-addr.arpa", DNS_PTR, name);
		zone_add(bench->zone, name, DNS_A, "192.0.2.2");
	}
	txt(bench, "v=spf1 ptr exists:%{p}.x.example ptr:a.example ptr:%{p} -all exp=%{p}.example");
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_FAIL);
	/* one TXT, one PTR, ten names, once; the exists; the explanation */
	assert_int_equal(bench->counts.queries, 14);
}

static void
test_long_record_keeps_its_end(void **state)
{
	struct bench *bench = *state;

	/* libspf2 alone drops what is beyond 511 compiled octets. */
	txt(bench, repeat(bench, "v=spf1", " ip4:198.51.100.0/24", 3000, " ip4:192.0.2.1 -all"));
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_PASS);
	bench->client.address = "192.0.2.2";
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_FAIL);
	assert_int_equal(bench->counts.queries, 1);
}

static void
test_as_many_terms_as_may_be_set(void **state)
{
	struct bench *bench = *state;

	/* What reaches libspf2 stays within its room at the highest limit. */
	bench->service.limits.terms = 1000;
	bench->service.limits.voids = 1000;
	txt(bench,
	    repeat(bench, "v=spf1", " ~include:in.site.example", 18, " -a:host.site.example"));
	zone_add(bench->zone, "in.site.example", DNS_TXT, "v=spf1 -all");
	zone_add(bench->zone, "host.site.example", DNS_A, "192.0.2.1");
	spf_check(bench, &bench->service, &bench->client, "x@site.example", zone_deadline(),
	    &bench->fact, &bench->counts);
	assert_int_equal(bench->fact.result, SPF_IS_FAIL);
	assert_int_equal(bench->counts.terms, 19);
}

static void
test_thousands_of_macros(void **state)
{
	struct bench *bench = *state;
	char *sender = repeat(bench, "", "&.", 32000, "@site.example");

	txt(bench, repeat(bench, "v=spf1 exists:", "%{S}%{lr-}", 6000, ".%{h} -all"));
	bench->client.helo = repeat(bench, "", "h.", 32000, "example");
	assert_int_equal(check(bench, sender), SPF_IS_FAIL);
	assert_true(strlen(bench->fact.sender) < 600);
}

static void
test_endless_strings(void **state)
{
	struct bench *bench = *state;
	char *domain = repeat(bench, "x@", "abcdefgh.", 7000, "example");

	/* Not a name that DNS could know: no query at all. */
	assert_int_equal(check(bench, domain), SPF_IS_NONE);
	assert_int_equal(bench->counts.queries, 0);
	bench->client.helo = domain;
	assert_int_equal(check(bench, ""), SPF_IS_NONE);
	assert_int_equal(bench->counts.queries, 0);
	seen.macros++;		/* libspf2 was not needed */
}

/* Records by their octets, and the result for 192.0.2.1. */
#define OCTETS(literal)	(literal), sizeof(literal) - 1
static const struct {
	const char *label;
	const char *text;
	size_t len;
	enum spf_result result;
} octets[] = {
	{ "NUL ends nothing", OCTETS("v=spf1 ip4:192.0.2.1\0 -all"), SPF_IS_PERMERROR },
	{ "NUL behind the version", OCTETS("v=spf1\0 +all"), SPF_IS_NONE },
	{ "8-bit", OCTETS("v=spf1 ip4:192.0.2.1 \344"), SPF_IS_PERMERROR },
	{ "carriage return", OCTETS("v=spf1 ip4:192.0.2.1\r\n"), SPF_IS_PERMERROR },
	{ "wrapped length", OCTETS("v=spf1 ip4:192.0.2.9/4294967297"), SPF_IS_PERMERROR },
	{ "wrapped length of a", OCTETS("v=spf1 a/18446744073709551615"), SPF_IS_PERMERROR },
	{ "endless address", OCTETS("v=spf1 ip4:11111111111111111111111111111111111111111111111111 "
	    "+all"), SPF_IS_PERMERROR },
	{ "huge count of parts", OCTETS("v=spf1 exists:%{d99999999999999999999}.x.example -all"),
	    SPF_IS_FAIL },
	{ "token of ours", OCTETS("v=spf1 include:0.t -all"), SPF_IS_PERMERROR },
	{ "token of ours in a", OCTETS("v=spf1 a:0.t a:1.t -all"), SPF_IS_FAIL },
	{ "libspf2's own modifier", OCTETS("v=spf1 -all exp-text=%{d}%{d}%{d}"), SPF_IS_FAIL },
	{ "percent sign", OCTETS("v=spf1 a:% -all"), SPF_IS_PERMERROR },
	{ "format string", OCTETS("v=spf1 a:%%n%%s%%n.site.example -all"), SPF_IS_FAIL },
};

static void
test_octets(void **state)
{
	struct bench *bench = *state;
	enum spf_result result;
	size_t i;

	for (i = 0; i < sizeof(octets) / sizeof(octets[0]); i++) {
		bench->zone->n = 0;
		zone_put(bench->zone, "site.example", DNS_TXT, octets[i].text, octets[i].len, 0);
		result = check(bench, "x@site.example");
		if (result != octets[i].result)
			fail_msg("%s: result %d (%s)", octets[i].label, result,
			    bench->fact.problem != NULL ? bench->fact.problem : "-");
		assert_null(bench->fact.explanation);
	}
}

/* Senders and clients that could be read wrongly. The record is "v=spf1 exists:%{l}.by.%{o}
 * -all", and passes for local parts "right" only. */
static const struct {
	const char *label;
	const char *sender;
	const char *helo;
	const char *client;
	enum spf_result result;
	const char *domain;
} senders[] = {
	{ "plain", "right@site.example", "h.example", "192.0.2.1", SPF_IS_PASS, "site.example" },
	{ "dot at the end", "right@site.example.", "h.example", "192.0.2.1", SPF_IS_PASS,
	    "site.example" },
	{ "two dots at the end", "right@site.example..", "h.example", "192.0.2.1", SPF_IS_NONE,
	    "site.example." },
	{ "quoted at sign", "\"x@y\"@site.example", "h.example", "192.0.2.1", SPF_IS_FAIL,
	    "site.example" },
	{ "source route", "@a.example,@b.example:right@site.example", "h.example", "192.0.2.1",
	    SPF_IS_PASS, "site.example" },
	{ "no local part", "@site.example", "h.example", "192.0.2.1", SPF_IS_FAIL, "site.example" },
	{ "no domain", "right@", "h.example", "192.0.2.1", SPF_IS_NONE, "" },
	{ "no at sign", "root", "h.example", "192.0.2.1", SPF_IS_NONE, "root" },
	{ "literal", "right@[192.0.2.1]", "h.example", "192.0.2.1", SPF_IS_NONE, "[192.0.2.1]" },
	{ "single label", "right@localhost", "h.example", "192.0.2.1", SPF_IS_NONE, "localhost" },
	{ "null sender", "", "site.example", "192.0.2.1", SPF_IS_FAIL, "site.example" },
	{ "null sender, no HELO", "", NULL, "192.0.2.1", SPF_IS_NONE, "" },
	{ "mapped address", "right@site.example", "h.example", "::ffff:192.0.2.1", SPF_IS_PASS,
	    "site.example" },
	{ "IPv6", "right@site.example", "h.example", "2001:db8::1", SPF_IS_PASS, "site.example" },
	{ "loopback is no one special", "wrong@site.example", "h.example", "127.0.0.1", SPF_IS_FAIL,
	    "site.example" },
	{ "IPv6 loopback neither", "wrong@site.example", "h.example", "::1", SPF_IS_FAIL,
	    "site.example" },
	{ "no address", "right@site.example", "h.example", NULL, SPF_NOT_CHECKED, "site.example" },
	{ "no address that is one", "right@site.example", "h.example", "unknown", SPF_NOT_CHECKED,
	    "site.example" },
	{ "IDN", "right@b\303\274cher.example", "h.example", "192.0.2.1", SPF_IS_PASS,
	    "xn--bcher-kva.example" },
	{ "not UTF-8", "right@b\374cher.example", "h.example", "192.0.2.1", SPF_IS_NONE,
	    "b\374cher.example" },
};

static void
test_senders(void **state)
{
	struct bench *bench = *state;
	enum spf_result result;
	size_t i;

	txt(bench, "v=spf1 exists:%{l}.by.%{o} -all");
	zone_add(bench->zone, "right.by.site.example", DNS_A, "127.0.0.2");
	zone_add(bench->zone, "xn--bcher-kva.example", DNS_TXT, "v=spf1 exists:%{l}.by.%{o} -all");
	zone_add(bench->zone, "right.by.xn--bcher-kva.example", DNS_A, "127.0.0.2");
	for (i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		bench->client.address = senders[i].client;
		bench->client.helo = senders[i].helo;
		result = check(bench, senders[i].sender);
		if (result != senders[i].result)
			fail_msg("%s: result %d (%s)", senders[i].label, result,
			    bench->fact.problem != NULL ? bench->fact.problem : "-");
		assert_string_equal(bench->fact.domain, senders[i].domain);
	}
}

static void
test_void_lookups(void **state)
{
	struct bench *bench = *state;
	int i;

	/* Hosts of an mx without an IPv6 address are no void lookups of a term ... */
	txt(bench, "v=spf1 mx -all");
	zone_put(bench->zone, "site.example", DNS_MX, "m1.site.example", 15, 0);
	zone_put(bench->zone, "site.example", DNS_MX, "m2.site.example", 15, 0);
	zone_put(bench->zone, "site.example", DNS_MX, "m3.site.example", 15, 0);
	bench->client.address = "2001:db8::1";
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_FAIL);
	assert_int_equal(bench->counts.voids, 0);

	/* ... unless the strict reading is wanted. */
	bench->service.limits.strict_voids = true;
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_PERMERROR);
	assert_int_equal(bench->counts.voids, 2);

	/* Neither are names that exist and have no address of the client's family. */
	for (i = 0; i < 2; i++) {
		bench->service.limits.strict_voids = i == 1;
		bench->client.address = "2001:db8::1";
		bench->zone->n = 0;
		txt(bench, "v=spf1 a:n1.example a:n2.example a:n3.example ip6:2001:db8::/32 -all");
		zone_add(bench->zone, "n1.example", DNS_A, "192.0.2.1");
		zone_add(bench->zone, "n2.example", DNS_A, "192.0.2.1");
		zone_add(bench->zone, "n3.example", DNS_A, "192.0.2.1");
		assert_int_equal(check(bench, "x@site.example"),
		    i == 1 ? SPF_IS_PERMERROR : SPF_IS_PASS);
		bench->client.address = "192.0.2.9";
		bench->zone->n = 0;
		txt(bench, "v=spf1 exists:n1.example a:n2.example a:n3.example ip4:192.0.2.9 -all");
		zone_add(bench->zone, "n1.example", DNS_AAAA, "2001:db8::1");
		zone_add(bench->zone, "n2.example", DNS_AAAA, "2001:db8::1");
		zone_add(bench->zone, "n3.example", DNS_AAAA, "2001:db8::1");
		assert_int_equal(check(bench, "x@site.example"),
		    i == 1 ? SPF_IS_PERMERROR : SPF_IS_PASS);
	}

	/* Three names that do not exist are one too many, and it is said so. */
	bench->service.limits.strict_voids = false;
	bench->zone->n = 0;
	txt(bench, "v=spf1 a:n1.example exists:n2.example mx:n3.example +all");
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_PERMERROR);
	assert_non_null(strstr(bench->fact.problem, "without records"));
}

/* A host that DNS fails for decides nothing before the others, wherever it stands. */
static void
test_mx_hosts(void **state)
{
	static const char *const orders[][2] = { { "m1.example", "m2.example" },
		{ "m2.example", "m1.example" } };
	struct bench *bench = *state;

	for (int i = 0; i < 2; i++) {
		bench->zone->n = 0;
		txt(bench, "v=spf1 mx -all");
		zone_put(bench->zone, "site.example", DNS_MX, orders[i][0], 10, 0);
		zone_put(bench->zone, "site.example", DNS_MX, orders[i][1], 10, 0);
		zone_put(bench->zone, "m1.example", ZONE_SILENT, "", 0, 0);
		zone_add(bench->zone, "m2.example", DNS_A, "192.0.2.1");
		bench->client.address = "192.0.2.1";
		assert_int_equal(check(bench, "x@site.example"), SPF_IS_PASS);
		assert_string_equal(bench->fact.mechanism, "mx");
		bench->client.address = "192.0.2.2";
		assert_int_equal(check(bench, "x@site.example"), SPF_IS_TEMPERROR);
		assert_non_null(strstr(bench->fact.problem, "A of m1.example"));
	}
}

/* The term that decided, as Received-SPF names it. */
static void
test_mechanism(void **state)
{
	static const struct {
		const char *record;
		const char *mechanism;
	} rows[] = {
		{ "v=spf1", "default" },
		{ "v=spf1 ?ip4:10.0.0.0/8", "default" },
		{ "v=spf1 ip4:10.0.0.0/8 ~all", "~all" },
		{ "v=spf1 ip4:10.0.0.0/8 -ip4:192.0.2.0/24 all", "-ip4:192.0.2.0/24" },
		{ "v=spf1 a:far.example a:near.example/24 -all", "a:near.example/24" },
		{ "v=spf1 exists:%{i}.no.example ?exists:near.example -all", "?exists:near.example" },
		{ "v=spf1 include:passes.example -all", "include:passes.example" },
		{ "v=spf1 -include:passes.example +all", "-include:passes.example" },
		{ "v=spf1 include:fails.example -all", "-all" },
		{ "v=spf1 include:neutral.example ~all", "~all" },
		{ "v=spf1 include:nested.example include:passes.example -all",
		    "include:passes.example" },
		{ "v=spf1 include:fails.example redirect=passes.example", "a:near.example" },
		{ "v=spf1 redirect=fails.example", "-a:near.example" },
		{ "v=spf1 redirect=open.example", "default" },
		{ "v=spf1 include:redirects.example -all", "include:redirects.example" },
	};
	struct bench *bench = *state;

	bench->client.address = "192.0.2.1";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bench->zone->n = 0;
		txt(bench, rows[i].record);
		zone_add(bench->zone, "near.example", DNS_A, "192.0.2.1");
		zone_add(bench->zone, "far.example", DNS_A, "192.0.3.1");
		zone_add(bench->zone, "passes.example", DNS_TXT, "v=spf1 a:near.example -all");
		zone_add(bench->zone, "fails.example", DNS_TXT, "v=spf1 -a:near.example +all");
		zone_add(bench->zone, "neutral.example", DNS_TXT, "v=spf1 ?a:near.example");
		zone_add(bench->zone, "nested.example", DNS_TXT, "v=spf1 include:fails.example ?all");
		zone_add(bench->zone, "open.example", DNS_TXT, "v=spf1 a:far.example");
		zone_add(
		    bench->zone, "redirects.example", DNS_TXT, "v=spf1 redirect=passes.example");
		check(bench, "x@site.example");
		assert_string_equal(bench->fact.mechanism, rows[i].mechanism);
	}
	txt(bench, "v=spf1 nonsense");
	check(bench, "x@site.example");
	assert_null(bench->fact.mechanism);
}

static void
test_budget(void **state)
{
	struct bench *bench = *state;
	unsigned int i;

	txt(bench, "v=spf1 a:a1.example a:a2.example a:a3.example +all");
	bench->service.limits.voids = 10;
	bench->service.limits.queries = 3;
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_TEMPERROR);
	assert_int_equal(bench->counts.queries, 3);
	bench->service.limits.queries = 4;
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_PASS);

	for (i = 0; i < 100; i++)
		zone_put(bench->zone, "a1.example", DNS_A, "\12\0\0\1", 4, 0);
	bench->service.limits.bytes = 400;
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_TEMPERROR);
	assert_int_equal(bench->counts.queries, 2);
}

static void
test_prefetch_is_bounded(void **state)
{
	struct bench *bench = *state;

	bench->service.dns.prefetch = zone_ahead;
	zone_add(bench->zone, "bomb.example", ZONE_WILD, "v=spf1 include:a.%{d} mx:b.%{d} "
	    "a:c.%{d} exists:d.%{d} ptr:e.%{d} a:f.%{d} a:g.%{d} a:h.%{d} a:i.%{d} a:j.%{d} -all");
	assert_int_equal(check(bench, "x@x.bomb.example"), SPF_IS_PERMERROR);
	assert_int_equal(bench->zone->ahead, SPF_LIMIT_PREFETCH);

	/* What one term decides is not asked ahead for. */
	bench->zone->ahead = 0;
	bench->zone->n = 0;
	txt(bench, "v=spf1 a ip4:192.0.2.0/24 mx include:c.example -all");
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_PASS);
	assert_int_equal(bench->zone->ahead, 0);
}

/* The first question for HELO is asked ahead only if there will be one. */
static void
test_begin_helo(void **state)
{
	static const struct spf_override override = { .domain = "own.example",
		.record = "v=spf1 -all" };
	static const struct {
		const char *helo;
		unsigned int ahead;
	} rows[] = {
		{ "mail.site.example", 1 }, { "mail.site.example.", 1 }, { "b\303\274cher.example", 1 },
		{ "localhost", 0 }, { "[192.0.2.1]", 0 }, { "", 0 }, { NULL, 0 }, { "a..example", 0 },
		{ "OWN.example", 0 },
	};
	struct bench *bench = *state;
	size_t i;

	txt(bench, "v=spf1 -all");
	check(bench, "x@site.example");
	bench->service.overrides = &override;
	bench->service.n_overrides = 1;
	bench->service.dns.prefetch = zone_ahead;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct spf_client client = { .address = "192.0.2.1", .helo = rows[i].helo };

		bench->zone->ahead = 0;
		spf_begin_helo(&bench->service, &client);
		if (bench->zone->ahead != rows[i].ahead)
			fail_msg("%s", rows[i].helo);
	}
}

/* A record of this site's own stands for the domain under check, and for no target of include. */
static void
test_overrides(void **state)
{
	static const struct spf_override overrides[] = {
		{ .domain = "site.example", .record = "v=spf1 ip4:192.0.2.9 include:site.example -all" },
		{ .domain = "below.example", .below = true, .record = "v=spf1 +all" },
		{ .domain = "esp.example", .record = "v=spf1 +all" },
		{ .domain = "site.example", .record = "v=spf1 +all" },
	};
	static const struct {
		const char *sender, *client;
		enum spf_result result;
		bool local;
	} rows[] = {
		{ "x@site.example", "192.0.2.9", SPF_IS_PASS, true },
		{ "x@SITE.example", "192.0.2.1", SPF_IS_PASS, true },
		{ "x@site.example", "192.0.2.2", SPF_IS_FAIL, true },
		{ "x@a.below.example", "192.0.2.2", SPF_IS_PASS, true },
		{ "x@a.b.below.example", "192.0.2.2", SPF_IS_PASS, true },
		{ "x@below.example", "192.0.2.2", SPF_IS_NONE, false },
		{ "x@abelow.example", "192.0.2.2", SPF_IS_NONE, false },
		{ "x@uses.example", "192.0.2.2", SPF_IS_FAIL, false },
		{ "x@asite.example", "192.0.2.9", SPF_IS_NONE, false },
	};
	struct bench *bench = *state;
	size_t i;

	txt(bench, "v=spf1 ip4:192.0.2.1 -all");
	zone_add(bench->zone, "uses.example", DNS_TXT, "v=spf1 include:esp.example -all");
	zone_add(bench->zone, "esp.example", DNS_TXT, "v=spf1 ip4:192.0.2.1 -all");
	bench->service.overrides = overrides;
	bench->service.n_overrides = sizeof(overrides) / sizeof(overrides[0]);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bench->client.address = rows[i].client;
		if (check(bench, rows[i].sender) != rows[i].result ||
		    bench->fact.local != rows[i].local)
			fail_msg(
			    "%s from %s: %d", rows[i].sender, rows[i].client, bench->fact.result);
	}
}

/* A cold check of an ordinary record takes few round trips, because its terms are asked side by
 * side. */
static void
test_round_trips(void **state)
{
	struct bench *bench = *state;
	size_t i;
	static const struct {
		const char *record;
		unsigned int serial, side_by_side;
	} rows[] = {
		{ "v=spf1 ip4:192.0.2.1 -all", 1, 1 },
		{ "v=spf1 a include:esp.example mx -all", 6, 3 },
		{ "v=spf1 include:big.example ~all", 5, 3 },
		{ "v=spf1 a:h1.example a:h2.example a:h3.example mx include:esp.example exists:%{i}.x.example -all",
		    9, 3 },
	};

	bench->zone->watch_trips = true;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned int round;

		for (round = 0; round < 2; round++) {
			bench->zone->n = 0;
			bench->zone->trips = bench->zone->ahead = 0;
			bench->service.dns.prefetch = round == 0 ? NULL : zone_ahead;
			txt(bench, rows[i].record);
			zone_add(
			    bench->zone, "esp.example", DNS_TXT, "v=spf1 ip4:203.0.113.0/24 -all");
			zone_add(bench->zone, "big.example", DNS_TXT,
			    "v=spf1 include:n1.example include:n2.example include:n3.example ~all");
			zone_add(
			    bench->zone, "n1.example", DNS_TXT, "v=spf1 ip4:203.0.113.0/24 ~all");
			zone_add(
			    bench->zone, "n2.example", DNS_TXT, "v=spf1 ip4:203.0.113.0/24 ~all");
			zone_add(
			    bench->zone, "n3.example", DNS_TXT, "v=spf1 ip4:203.0.113.0/24 ~all");
			zone_add(bench->zone, "site.example", DNS_A, "203.0.113.1");
			zone_put(bench->zone, "site.example", DNS_MX, "h1.example", 10, 10);
			zone_put(bench->zone, "site.example", DNS_MX, "h2.example", 10, 20);
			zone_add(bench->zone, "h1.example", DNS_A, "203.0.113.1");
			zone_add(bench->zone, "h2.example", DNS_A, "203.0.113.2");
			zone_add(bench->zone, "h3.example", DNS_A, "203.0.113.3");
			check(bench, "x@site.example");
			if (bench->zone->trips !=
			    (round == 0 ? rows[i].serial : rows[i].side_by_side))
				fail_msg("%s: %u trips", rows[i].record, bench->zone->trips);
		}
	}
}

static void
test_explanation_is_safe(void **state)
{
	struct bench *bench = *state;

	txt(bench, "v=spf1 -all exp=why.site.example");
	zone_add(bench->zone, "why.site.example", DNS_TXT, "%{l} and %{h}");
	bench->client.helo = "\r\n250 ok\r\n";
	assert_int_equal(check(bench, "\r\nRCPT TO:<x>@site.example"), SPF_IS_FAIL);
	assert_string_equal(bench->fact.explanation, "??RCPT TO:<x> and ??250 ok??");
	bench->service.explain = false;
	assert_int_equal(check(bench, "x@site.example"), SPF_IS_FAIL);
	assert_null(bench->fact.explanation);
	assert_int_equal(bench->counts.queries, 1);
}

/* What the trace wrote. */
static void
trace_into(void *state, const char *text)
{
	char **all = state;
	const char *c;

	for (c = text; *c != '\0'; c++)
		assert_in_range(*c, ' ', '~');
	*all = talloc_asprintf_append(*all, "%s\n", text);
}

static void
test_trace(void **state)
{
	struct bench *bench = *state;
	char *all = mem_strdup(bench, "");

	bench->service.trace = trace_into;
	bench->service.trace_state = &all;
	txt(bench, "v=spf1 a:host.site.example -all");
	check(bench, "\r\n@site.example");
	assert_non_null(strstr(all, "site.example: v=spf1 a:host.site.example -all\n"));
	assert_non_null(strstr(all, "term 1 of 10: a:host.site.example\n"));
	assert_non_null(strstr(all, "query 2: host.site.example A: no such name"));
	assert_non_null(strstr(all, "result: fail by -all (1 term, 1 void lookup, 2 queries)\n"));
}

/* soup - a record of random terms and pieces of terms; the same ones in every run */
static char *
soup(TALLOC_CTX *ctx, uint32_t *seed)
{
	static const char *const terms[] = { " a", " ~mx", " ?ptr", " -all", " include:x.example",
	    " exists:%{ir}.%{l2r-}.x.example", " redirect=x.example", " exp=x.example",
	    " ip4:192.0.2.0/24", " ip6:2001:db8::/32", " all", " a:x.example/0", " mx//0",
	    " exists:%{p}", " foo=%{d}", " -a:%{d}/24//64", " a:%{D3r}.example", " -include:%{o}" };
	static const char *const pieces[] = { " ", "%{", "}", "%", "%%", ".", "/", "//", "24", "0",
	    "4294967296", ":", "\001", "\377", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "~", "-", "=" };
	char *text = mem_strdup(ctx, "v=spf1");
	uint32_t n, pick;

	*seed = *seed * 1664525 + 1013904223;
	for (n = *seed >> 28; n > 0; n--) {
		*seed = *seed * 1664525 + 1013904223;
		pick = *seed >> 8;
		if (pick % 16 == 0)
			text = talloc_strdup_append_buffer(text,
			    pieces[pick / 16 % (sizeof(pieces) / sizeof(pieces[0]))]);
		else
			text = talloc_strdup_append_buffer(text,
			    terms[pick / 16 % (sizeof(terms) / sizeof(terms[0]))]);
	}
	return text;
}

static void
test_soup(void **state)
{
	static const char *const clients[] = { "192.0.2.1", "2001:db8::1" };
	unsigned int results[SPF_IS_PERMERROR + 1] = { 0 };
	struct bench *bench = *state;
	TALLOC_CTX *ctx;
	uint32_t seed = 1;
	unsigned int i;

	for (i = 0; i < 20000; i++) {
		ctx = talloc_new(NULL);
		talloc_free_children(bench->zone);
		bench->zone->entries = NULL;
		bench->zone->n = 0;
		txt(bench, soup(ctx, &seed));
		zone_add(bench->zone, "x.example", DNS_TXT, soup(ctx, &seed));
		zone_add(bench->zone, "x.example", DNS_A, "192.0.2.1");
		zone_add(bench->zone, "site.example", DNS_MX, "x.example");
		zone_add(bench->zone, "1.2.0.192.in-addr.arpa", DNS_PTR, "x.example");
		bench->client.address = clients[i % 2];
		results[check(bench, "a-b.c@site.example")]++;
		talloc_free(ctx);
	}
	/* Some of it has to make sense; else this tests little. */
	assert_true(results[SPF_IS_PERMERROR] > 1000);
	assert_true(results[SPF_IS_PASS] > 100);
	assert_true(results[SPF_IS_FAIL] > 100);
	assert_int_equal(results[SPF_IS_TEMPERROR], 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name)	cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_the_guard_works),
		TEST(test_overflow_in_explanation),
		TEST(test_overflow_in_record),
		TEST(test_include_bomb),
		TEST(test_flat_include_bomb),
		TEST(test_redirect_loop),
		TEST(test_mx_bomb),
		TEST(test_ptr_flood),
		TEST(test_long_record_keeps_its_end),
		TEST(test_as_many_terms_as_may_be_set),
		TEST(test_thousands_of_macros),
		TEST(test_endless_strings),
		TEST(test_octets),
		TEST(test_senders),
		TEST(test_void_lookups),
		TEST(test_mx_hosts),
		TEST(test_mechanism),
		TEST(test_budget),
		TEST(test_prefetch_is_bounded),
		TEST(test_round_trips),
		TEST(test_begin_helo),
		TEST(test_overrides),
		TEST(test_explanation_is_safe),
		TEST(test_trace),
		TEST(test_soup),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
