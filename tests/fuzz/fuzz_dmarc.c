/*
 * fuzz_dmarc.c - libFuzzer entry for DMARC records, report addresses and author domains
 *
 * The input is one TXT record, and the value of a From field.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base/mem.h"
#include "policy/dmarc/address.h"
#include "policy/dmarc/author.h"
#include "policy/dmarc/record.h"
#include "policy/dmarc/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* try_record - a record, and what it says of reports */
static void
try_record(TALLOC_CTX *ctx, const char *text, size_t len)
{
	struct dmarc_record record;
	struct dmarc_uri uri;
	struct span rest;
	size_t n = 0;

	if (!dmarc_record_read(ctx, text, len, &record))
		return;
	must(record.usable || (record.p == DMARC_POLICY_NONE && record.sp == DMARC_POLICY_NONE));
	must(!record.broken || record.np == DMARC_POLICY_NONE);
	rest = text_span(record.rua);
	while (dmarc_uri_next(&rest, &uri)) {
		must(++n <= len);
		must(uri.text.len > 0 && uri.mailto.len < uri.text.len);
		must(memchr(uri.text.at, ',', uri.text.len) == NULL &&
		    memchr(uri.text.at, '!', uri.text.len) == NULL);
	}
}

/* try_authors - the author domains of a field, and the walks from them */
static void
try_authors(TALLOC_CTX *ctx, const char *text, size_t len)
{
	struct header_list *list = header_list_new(ctx, 1000000);
	struct dmarc_authors authors;

	header_append(list, "From", 4, text, len);
	dmarc_authors_read(ctx, list, &authors);
	must(authors.n <= DMARC_AUTHORS_MAX);
	must(authors.n > 0 || authors.problem != NULL);
	for (size_t i = 0; i < authors.n; i++) {
		const char *names[DMARC_WALK_MAX];
		size_t n = dmarc_walk_names(authors.domains[i], names);

		must(n >= 1 && n <= DMARC_WALK_MAX && strchr(names[n - 1], '.') == NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	char *text;

	text = mem_memdup(ctx, size > 0 ? (const void *)data : "", size + (size == 0));
	try_record(ctx, text, size);
	try_authors(ctx, text, size);
	talloc_free(ctx);
	return 0;
}
