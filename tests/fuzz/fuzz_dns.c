/*
 * fuzz_dns.c - libFuzzer entry for the data of DNS records
 *
 * The first octet chooses the type, the rest is the data as a name server sent
 * it. What is read must lie within it, end with a NUL, and be a name that can be
 * asked for if it is a name.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base/dns.h"
#include "policy/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_A, DNS_AAAA, DNS_TXT, DNS_PTR, DNS_MX };
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct dns_record record;
	enum dns_type type;
	uint8_t *copy;

	if (size == 0) {
		talloc_free(ctx);
		return 0;
	}
	type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
	/* of its own, so that a step beyond the end is seen */
	copy = mem_array(ctx, uint8_t, size);
	memcpy(copy, data + 1, size - 1);
	if (dns_record_read(ctx, type, copy, size - 1, &record)) {
		must(record.len < size && record.data[record.len] == '\0');
		if (type == DNS_A || type == DNS_AAAA)
			must(record.len == (type == DNS_A ? 4 : 16));
		if ((type == DNS_PTR || type == DNS_MX) && record.len > 0)
			must(dns_name_ok((const char *)record.data, record.len));
		must(record.preference <= 65535);
	}
	(void)dns_name_ok((const char *)copy, size - 1);
	talloc_free(ctx);
	return 0;
}
