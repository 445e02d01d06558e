/*
 * fuzz_spf_record.c - libFuzzer entry for SPF records, macros and explanations
 *
 * The input is one TXT record. As a record it is parsed, rewritten for both
 * families, and all its domain-specs are expanded; as an explanation it is
 * expanded, too. What has to hold of any result is checked on the way.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base/dns.h"
#include "policy/base/mem.h"
#include "policy/spf/macro.h"
#include "policy/spf/record.h"
#include "policy/spf/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* try_spec - expand a domain-spec of a record */
static void
try_spec(TALLOC_CTX *ctx, struct spf_text spec, const struct spf_values *values)
{
	size_t len;
	char *name;

	if (spec.data == NULL)
		return;
	must(spf_record_domain_spec_ok(spec.data, spec.len));
	name = spf_macro_expand_name(ctx, spec.data, spec.len, values, &len);
	must(name[len] == '\0');
	must(len <= DNS_NAME_MAX || !dns_name_ok(name, len));
}

/* try_rewrite - rewrite a record for one family */
static void
try_rewrite(TALLOC_CTX *ctx, const struct spf_record *record, const struct spf_values *values)
{
	struct spf_rewritten *rewritten;
	size_t i;

	rewritten = spf_rewrite(ctx, record, values->address, values->ipv6, 1, 11);
	must(rewritten->n_tokens <= 11);
	must(strspn(rewritten->text, "v=spf1 +-~?alincudemxtr:.0123456789/") ==
	    strlen(rewritten->text));
	for (i = 0; i < rewritten->n_tokens; i++)
		try_spec(ctx, rewritten->tokens[i].spec, values);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spf_values values = { .local = "strong-bad", .sender_domain = "email.example",
	    .domain = "email.example", .helo = "mx.email.example", .validated = "unknown",
	    .receiver = "mx.example", .time = 1, .address = { 192, 0, 2, 1 } };
	const char *text = (const char *)data, *error = NULL;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct spf_record *record;
	char *line, *whole;

	line = spf_macro_expand_explanation(ctx, text, size, &values);
	must(line == NULL || strlen(line) <= SPF_EXPLANATION_MAX);

	/* Most inputs lack the version, which is no news; put it before them. */
	whole = mem_array(ctx, char, (unsigned int)size + 8);
	memcpy(whole, "v=spf1 ", 7);
	memcpy(whole + 7, text, size);
	record = spf_record_parse(ctx, whole, size + 7, &error);
	must((record == NULL) == (error != NULL));
	if (record != NULL) {
		try_spec(ctx, record->exp, &values);
		try_rewrite(ctx, record, &values);
		values.ipv6 = true;
		try_rewrite(ctx, record, &values);
	}
	talloc_free(ctx);
	return 0;
}
