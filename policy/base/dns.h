/*
 * dns.h - what DNS carries, as values: names and the data of records
 *
 * Pure. Names are raw octets with dots between labels and no dot at the end;
 * backslashes mean nothing. filter/dns/resolver.c sends the queries.
 * Source: RFC 1035 sections 2.3.4 and 3.3, RFC 3596 section 2.2.
 */
#ifndef POLICY_BASE_DNS_H
#define POLICY_BASE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

/* Bounds of RFC 1035 section 2.3.4, the name without the root's dot. */
#define DNS_NAME_MAX	253
#define DNS_LABEL_MAX	63

/* Record types that are understood (IANA numbers). */
enum dns_type {
	DNS_A = 1,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28
};

/* One record's data: A 4 octets, AAAA 16, MX and PTR the host name ("" is the
 * root), TXT all character-strings joined. A NUL follows data, not counted in len. */
struct dns_record {
	const unsigned char *data;
	size_t len;
	unsigned int preference; /* MX only */
};

/*
 * dns_name_ok - whether a name can be asked for in DNS
 * 1 to DNS_NAME_MAX octets, every label 1 to DNS_LABEL_MAX octets, no dot at the end.
 * Other octets than letters, digits and hyphens are no obstacle.
 */
bool dns_name_ok(const char *name, size_t len);

/* dns_type_name - a record type for people; never NULL */
const char *dns_type_name(enum dns_type type);

/*
 * dns_record_read - the data of one record as it stands in an answer, names uncompressed
 *
 * data: len octets. Fills *record_r, whose data is on ctx. False if the data
 * is malformed for its type: cut off, of a wrong length, or a name whose
 * labels hold a dot or a NUL, because such a name cannot be distinguished from another
 * one in this form, and no host has it. *record_r must not be used then.
 */
bool dns_record_read(TALLOC_CTX *ctx, enum dns_type type, const unsigned char *data,
    size_t len, struct dns_record *record_r);

#endif
