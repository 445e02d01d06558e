/*
 * fuzz_header.c - any octets as a header section
 *
 * Fields are divided by NUL octets, name and value by the first colon. Looks for
 * memory errors and for facts that contradict each other.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base/mem.h"
#include "policy/sender/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* require - end here if a promise is broken */
static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* read_fields - make a header list of the input */
static struct header_list *
read_fields(TALLOC_CTX *ctx, const char *text, size_t size)
{
	struct header_list *list = header_list_new(ctx, 64 * 1024);

	while (size > 0) {
		const char *end = memchr(text, '\0', size);
		size_t len = end == NULL ? size : (size_t)(end - text);
		const char *colon = memchr(text, ':', len);
		size_t name = colon == NULL ? len : (size_t)(colon - text);

		header_append(list, text, name, colon == NULL ? "" : colon + 1,
		    colon == NULL ? 0 : len - name - 1);
		size -= end == NULL ? len : len + 1;
		text += end == NULL ? len : len + 1;
	}
	return list;
}

/* LLVMFuzzerTestOneInput - the entry that libFuzzer calls */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct address_rules rules = { .fold_local = true };
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct header_list *list = read_fields(ctx, (const char *)data, size);
	struct header_displays displays;
	struct header_facts facts;
	struct claim *claims;
	size_t n, from = 0;

	header_read_senders(ctx, list, &rules, &facts, &claims, &n, &displays);
	require((facts.malformed == NULL) == (facts.malformed_field == NULL));
	require(facts.from_fields == header_count(list, "From"));
	require(facts.fields >= list->n);
	for (size_t i = 0; i < n; i++) {
		require(claims[i].place != CLAIM_ENVELOPE);
		require(claims[i].domain > claims[i].address &&
		    claims[i].domain[-1] == '@' && claims[i].domain[0] != '\0');
		from += claims[i].place == CLAIM_FROM;
	}
	require(displays.n <= n * (2 * ADDRESS_SHOWN_MAX + 1));
	if (facts.from_fields != 1)
		require(from == 0);
	else if (facts.malformed == NULL)
		require(from > 0);
	talloc_free(ctx);
	return 0;
}
