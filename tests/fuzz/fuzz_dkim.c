/*
 * fuzz_dkim.c - any octets as a signed message and as the record of its key
 *
 * Input: a header (LF line ends), NUL, the record or records of every key that is asked
 * for (LF between), NUL, the body. Besides memory errors this looks for broken
 * promises: a signature that is reported without a result; a pass without a
 * key, with a key below the least size, or over a body that is not covered whole; a result that
 * depends on how the body is cut into pieces; and a verification that takes more than
 * its bound of signatures.
 *
 * Threads: one.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filter/dkim/verify.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define RECORDS_MAX	4	/* at a name */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The records that every question is answered with. */
struct zone {
	struct span records[RECORDS_MAX];
	size_t n;
};

/* require - end here if a promise is broken */
static void
require(bool holds)
{
	if (!holds)
		abort();
}

static struct dns_answer *
zone_ask(void *state, TALLOC_CTX *ctx, const char *name, size_t len, enum dns_type type,
    int64_t deadline_ms)
{
	const struct zone *zone = state;
	struct dns_answer *answer = mem_new(ctx, struct dns_answer);

	(void)type, (void)deadline_ms;
	require(len <= 253 && memmem(name, len, "._domainkey.", 12) != NULL);
	answer->status = zone->n == 0 ? DNS_FAILURE : DNS_OK;
	answer->records = mem_array(answer, struct dns_record, RECORDS_MAX);
	for (size_t i = 0; i < zone->n; i++)
		answer->records[answer->count++] = (struct dns_record){
		    (const unsigned char *)zone->records[i].at, zone->records[i].len, 0 };
	return answer;
}

/* cut - the part of the input before the next NUL */
static struct span
cut(struct span *rest)
{
	const char *end = memchr(rest->at, '\0', rest->len);
	struct span part = *rest;

	part.len = end == NULL ? rest->len : (size_t)(end - rest->at);
	*rest = end == NULL ? text_span_of(rest->at + rest->len, 0) :
	    text_span_of(end + 1, rest->len - part.len - 1);
	return part;
}

/* read_header - fields as an MTA would give them: lines without a colon go */
static struct header_list *
read_header(TALLOC_CTX *ctx, struct span text)
{
	struct header_list *list = header_list_new(ctx, 1024 * 1024);

	while (text.len > 0) {
		size_t len = 0;
		const char *colon;

		while (len < text.len && !(text.at[len] == '\n' &&
		    (len + 1 == text.len || (text.at[len + 1] != ' ' && text.at[len + 1] != '\t'))))
			len++;
		colon = memchr(text.at, ':', len);
		if (colon != NULL)
			header_append(list, text.at, (size_t)(colon - text.at), colon + 1,
			    len - (size_t)(colon - text.at) - 1);
		text = text_span_of(text.at + len, text.len - len);
		if (text.len > 0)
			text = text_span_of(text.at + 1, text.len - 1);
	}
	return list;
}

/* verify - the results with the body in pieces of so many octets */
static struct dkim_fact *
verify(TALLOC_CTX *ctx, struct dkim_service *service, const struct header_list *list,
    struct span body, size_t piece, size_t *n_r)
{
	struct dkim_verification *v = dkim_verify_start(ctx, service, list, "example.org");
	struct dkim_fact *facts;

	for (size_t i = 0; i < body.len; i += piece)
		dkim_verify_body(v, body.at + i, body.len - i < piece ? body.len - i : piece);
	dkim_verify_finish(v, ctx, INT64_MAX, &facts, n_r);
	talloc_free(v);
	return facts;
}

/* check - what must hold of every result */
static void
check(const struct dkim_service *service, const struct zone *zone, const struct dkim_fact *facts,
    size_t n)
{
	size_t tried = 0;

	require(n <= DKIM_FACTS_MAX);
	for (size_t i = 0; i < n; i++) {
		require(facts[i].result > DKIM_IS_NONE && facts[i].result <= DKIM_IS_PERMERROR);
		require((facts[i].problem == NULL) == (facts[i].result == DKIM_IS_PASS));
		tried += facts[i].key_bits > 0;
		if (facts[i].result != DKIM_IS_PASS)
			continue;
		require(zone->n > 0 && facts[i].sdid != NULL && facts[i].selector != NULL);
		require(facts[i].key_bits == 256 || facts[i].key_bits >= 1024);
	}
	require(tried <= dkim_service_options(service)->max_signatures);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dkim_service *service;	/* one for all inputs; it is not changed by them */
	static struct zone zone;
	struct span rest = text_span_of((const char *)data, size), header = cut(&rest),
		    records = cut(&rest);
	TALLOC_CTX *ctx = mem_new(NULL, char);
	const char *error = NULL;

	if (service == NULL) {
		/* the messages of the corpus are of a certain day */
		const struct dkim_options options = { .dns = { .ask = zone_ask, .state = &zone },
			.clock_drift = 2000000000 };

		service = dkim_service_new(NULL, &options, &error);
	}
	require(service != NULL);
	for (zone.n = 0; zone.n < RECORDS_MAX && records.len > 0; zone.n++) {
		const char *end = memchr(records.at, '\n', records.len);
		size_t len = end == NULL ? records.len : (size_t)(end - records.at);

		zone.records[zone.n] = text_span_of(records.at, len);
		len += end != NULL;
		records = text_span_of(records.at + len, records.len - len);
	}

	struct header_list *list = read_header(ctx, header);
	size_t n, again;
	struct dkim_fact *facts = verify(ctx, service, list, rest, 65535, &n);
	struct dkim_fact *others = verify(ctx, service, list, rest, 7, &again);

	check(service, &zone, facts, n);
	require(n == again);
	for (size_t i = 0; i < n; i++)
		require(facts[i].result == others[i].result);
	talloc_free(ctx);
	return 0;
}
